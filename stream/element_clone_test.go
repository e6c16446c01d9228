package stream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// TestCloneInto: the copy is independent of its source and of what was in its
// memory before, and takes no new memory when there is enough.
func TestCloneInto(t *testing.T) {
	parse := func(xml string) *stream.Element {
		el, err := stream.ParseElement([]byte(xml), nil)
		require.NoError(t, err)
		return el
	}
	var dst stream.Element
	for _, xml := range []string{
		`<a xmlns='urn:a' one='1' two='&lt;2'><b>text</b></a>`,
		`<c/>`,
		`<d three='3'>longer than everything that came before it, so that it needs more memory</d>`,
		`<a xmlns='urn:a' x='&#65;'/>`,
	} {
		src := parse(xml)
		src.CloneInto(&dst)
		clear(src.Raw())
		want := parse(xml)
		require.Equal(t, want.Name(), dst.Name())
		require.Equal(t, xml, string(dst.Raw()))
		require.Equal(t, string(want.Inner()), string(dst.Inner()))
		for a := range want.Attrs() {
			v, ok := dst.AttrNS(a.Name)
			require.True(t, ok)
			require.Equal(t, string(a.Value), string(v))
		}
		n := 0
		for range dst.Attrs() {
			n++
		}
		for range want.Attrs() {
			n--
		}
		require.Zero(t, n)

		// A clone of the copy does not share its memory.
		kept := dst.Clone()
		parse(`<other attr='value'/>`).CloneInto(&dst)
		require.Equal(t, xml, string(kept.Raw()))
		parse(`<zzz/>`).CloneInto(kept)
		require.Equal(t, "value", dst.Attr("attr"))
	}
	src := parse(`<a xmlns='urn:a' one='1' two='2'><b>text</b></a>`)
	require.Zero(t, testing.AllocsPerRun(100, func() { src.CloneInto(&dst) }))
}
