package stanza

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// FuzzDecode: decoding never panics, and what was decoded means the same after
// it was written and decoded again.
func FuzzDecode(f *testing.F) {
	for _, xml := range samples {
		f.Add([]byte(declare(stream.NSClient, xml)))
		f.Add([]byte(declare(stream.NSServer, xml)))
	}
	for _, xml := range []string{
		"<iq xmlns='jabber:client' id='' type='error'><error by='@' xmlns='jabber:client'/></iq>",
		"<c:message xmlns:c='jabber:client' c:type='chat'><c:body xml:lang=''/></c:message>",
		"<presence xmlns='jabber:client'><priority> +7</priority><show>x</show><status xml:lang='EN'/><status xml:lang='en'/></presence>",
		"<message xmlns='jabber:client' xmlns:p='urn:p'><p:x p:a=''><y/></p:x><body xmlns=''/><unknown/></message>",
		"<message xmlns='jabber:client' to='a@b/&#xA0;'><thread parent=' a '> a </thread><body>&#13;&#10;]]&gt;</body></message>",
		"<x/>",
	} {
		f.Add([]byte(xml))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		st, err := Decode(el)
		if st == nil {
			require.ErrorIs(t, err, ErrNotStanza)
			return
		}
		if err != nil {
			require.True(t, is(err, BadRequest) || is(err, JIDMalformed), "%v", err)
			require.LessOrEqual(t, len(err.Error()), 1<<10)
			if reply := ErrorReply(st, err); reply != nil {
				encode(t, reply)
			}
			return
		}
		first, err := Qualified(st, el.Name().Space).AppendXML(nil)
		require.NoError(t, err)
		el2, err := stream.ParseElement(first, nil)
		require.NoError(t, err, "%s", first)
		st2, err := Decode(el2)
		require.NoError(t, err, "%s", first)
		requireSame(t, st, st2)
		// From here on the bytes are the same, too.
		second, err := Qualified(st2, el.Name().Space).AppendXML(nil)
		require.NoError(t, err)
		require.Equal(t, string(first), string(second))
		requireSame(t, st, Clone(st))
		// The same on a stream, whose content namespace is around it.
		plain := declare(el.Name().Space, encode(t, st))
		el3, err := stream.ParseElement([]byte(plain), nil)
		require.NoError(t, err, "%s", plain)
		st3, err := Decode(el3)
		require.NoError(t, err, "%s", plain)
		requireSame(t, st, st3)
	})
}

// requireSame compares two stanzas for what they say.
func requireSame(t *testing.T, a, b Stanza) {
	t.Helper()
	require.Equal(t, a.Head(), b.Head())
	require.Equal(t, a.Kind(), b.Kind())
	switch a := a.(type) {
	case *Message:
		b := b.(*Message)
		require.Equal(t, a.Type, b.Type)
		require.ElementsMatch(t, a.Body, b.Body)
		require.ElementsMatch(t, a.Subject, b.Subject)
		require.Equal(t, a.Thread, b.Thread)
		require.Equal(t, a.ThreadParent, b.ThreadParent)
		requireSameError(t, a.Error, b.Error)
		requireSamePayloads(t, a.source, b.source)
	case *Presence:
		b := b.(*Presence)
		require.Equal(t, a.Type, b.Type)
		require.Equal(t, a.Show, b.Show)
		require.Equal(t, a.Priority, b.Priority)
		require.ElementsMatch(t, a.Status, b.Status)
		requireSameError(t, a.Error, b.Error)
		requireSamePayloads(t, a.source, b.source)
	case *IQ:
		b := b.(*IQ)
		require.Equal(t, a.Type, b.Type)
		requireSameError(t, a.Error, b.Error)
		if require.Equal(t, a.Element() == nil, b.Element() == nil); a.Element() != nil {
			requireSameElement(t, a.Element(), b.Element())
		}
	}
}

func requireSameError(t *testing.T, a, b *Error) {
	t.Helper()
	require.Equal(t, a == nil, b == nil)
	if a == nil {
		return
	}
	x, y := *a, *b
	x.Application, y.Application = nil, nil
	require.Equal(t, x, y)
	ax, _ := a.Application.(*stream.Element)
	bx, _ := b.Application.(*stream.Element)
	if require.Equal(t, ax == nil, bx == nil); ax != nil {
		requireSameElement(t, ax, bx)
	}
}

func requireSamePayloads(t *testing.T, a, b *stream.Element) {
	t.Helper()
	var x, y []*stream.Element
	for el := range payloads(a) {
		x = append(x, el.Clone())
	}
	for el := range payloads(b) {
		y = append(y, el.Clone())
	}
	require.Len(t, y, len(x))
	for i := range x {
		requireSameElement(t, x[i], y[i])
	}
}

// requireSameElement compares what two elements say, whatever their prefixes.
func requireSameElement(t *testing.T, a, b *stream.Element) {
	t.Helper()
	require.Equal(t, events(a), events(b))
}

type event struct {
	kind stream.Kind
	name stream.Name
	text string
}

func events(el *stream.Element) (out []event) {
	for tok := range el.Tokens() {
		out = append(out, event{tok.Kind, tok.Name, string(tok.Text)})
		for _, a := range tok.Attrs {
			out = append(out, event{0, a.Name, string(a.Value)})
		}
	}
	return out
}
