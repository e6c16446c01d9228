package stream
import "testing"
func BenchmarkZZ(b *testing.B) {
	m := elementIn(b, "xmlns='jabber:client'", allocStanza)
	dst := make([]byte, 0, 64<<10)
	b.Run("text", func(b *testing.B) { b.ReportAllocs(); for b.Loop() { dst = m.AppendText(dst[:0]) } })
	b.Run("xml", func(b *testing.B) { b.ReportAllocs(); for b.Loop() { dst, _ = m.AppendXML(dst[:0]) } })
	b.Run("rw", func(b *testing.B) { b.ReportAllocs(); for b.Loop() { dst, _ = m.AppendRewritten(dst[:0], NSServer, AttrSet{Name: Name{Local: "from"}, Value: "juliet@example.net"}) } })
}
