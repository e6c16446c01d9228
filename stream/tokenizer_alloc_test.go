package stream

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireNoAllocs checks that f, run often enough before, does not allocate.
func requireNoAllocs(t *testing.T, f func()) {
	t.Helper()
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	f()
	require.Zero(t, testing.AllocsPerRun(20, f))
}

// Names that no table knows, a namespace of their own, references, text in
// other scripts: all without allocation once they were seen.
const allocStanza = "<message to='romeo@example.net' id='a&amp;b'><body>caf\u00e9 &lt;3 \U0001F600</body>" +
	"<own-element xmlns='urn:example:own' xmlns:own='urn:example:two' own:attr='1'><![CDATA[x]]></own-element></message>"

func TestTokenizerAllocs(t *testing.T) {
	var tok Tokenizer
	stanza := []byte(allocStanza)
	tok.Feed([]byte(clientHeader))
	requireNoAllocs(t, func() {
		tok.Feed(stanza)
		for {
			if _, err := tok.Next(); err == ErrNeedMore {
				return
			} else if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestScannerAllocs(t *testing.T) {
	var s scanner
	s.init(defaultLimits(t), false)
	_, err := items(&s, clientHeader)
	require.ErrorIs(t, err, errNeedMore)
	requireNoAllocs(t, func() {
		copy(s.space(len(allocStanza)), allocStanza)
		s.filled(len(allocStanza))
		kind, el, err := s.next()
		if err != nil || kind != itemElement || el.Name().Local != "message" {
			t.Fatal(kind, err)
		}
		if v, ok := el.AttrBytes("id"); !ok || string(v) != "a&b" {
			t.Fatal(v)
		}
		if _, _, err := s.next(); err != errNeedMore {
			t.Fatal(err)
		}
		s.release()
	})
}

func TestElementAllocs(t *testing.T) {
	e := parse(t, "<a>"+strings.Repeat(allocStanza, 20)+"</a>")
	dst := make([]byte, 0, 64<<10)
	requireNoAllocs(t, func() {
		n := 0
		for c := range e.Children() {
			for range c.Attrs() {
				n++
			}
		}
		if n != 40 {
			t.Fatal(n)
		}
	})
	m := elementIn(t, "xmlns='jabber:client'", allocStanza)
	requireNoAllocs(t, func() {
		dst = m.AppendText(dst[:0])
		dst, _ = m.AppendXML(dst[:0])
		dst, _ = m.AppendRewritten(dst[:0], NSServer, AttrSet{Name: Name{Local: "from"}, Value: "juliet@example.net"})
	})
}

func TestWriterAllocs(t *testing.T) {
	dst := make([]byte, 0, 4<<10)
	requireNoAllocs(t, func() {
		w := NewWriter(dst)
		w.Within(NSClient)
		w.Start(Name{NSClient, "message"})
		w.Attr("to", "romeo@example.net")
		w.Attr("id", "a&b")
		w.Lang("en")
		w.Start(Name{Local: "body"})
		w.Text("caf\u00e9 <3")
		w.End()
		w.Start(Name{"urn:xmpp:receipts", "request"})
		w.End()
		w.End()
		if _, err := w.Bytes(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestElementAllocsManyNamespaces: what a peer declares in its stream header is
// not worked through again for each element that is looked into.
func TestElementAllocsManyNamespaces(t *testing.T) {
	var decls strings.Builder
	for i := range 50 {
		fmt.Fprintf(&decls, " xmlns:p%d='u%d'", i, i)
	}
	e := elementIn(t, decls.String(), "<m>"+strings.Repeat("<a><p7:b/></a>", 100)+"</m>")
	if raceEnabled {
		t.Skip("the race detector allocates, and makes pools forget")
	}
	look := func() {
		n := 0
		for a := range e.Children() {
			for b := range a.Children() {
				if b.Name().Space == "u7" {
					n++
				}
			}
		}
		if n != 100 {
			t.Fatal(n)
		}
	}
	look()
	// The declarations are indexed once, for m, and not for each of its children.
	require.Less(t, testing.AllocsPerRun(20, look), 100.)
}
