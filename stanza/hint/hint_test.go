package hint

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

func parse(t testing.TB, s string) *stream.Element {
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

func TestOf(t *testing.T) {
	for wire, want := range map[string]Hint{
		// XEP-0334 example 1.
		`<message xmlns='jabber:client' from='romeo@montague.lit/laptop' to='juliet@capulet.lit/laptop'>
  <body>V unir avtug'f pybnx gb uvqr zr sebz gurve fvtug</body>
  <no-copy xmlns="urn:xmpp:hints"/>
  <no-store xmlns="urn:xmpp:hints"/>
</message>`: NoCopy | NoStore,
		`<message xmlns='jabber:server'><store xmlns='urn:xmpp:hints'/><store xmlns='urn:xmpp:hints'/></message>`: Store,
		`<message xmlns='jabber:client'><no-permanent-store xmlns='urn:xmpp:hints'/></message>`:                   NoPermanentStore,
		`<message xmlns='jabber:client'><no-store xmlns='urn:other'/><no-such xmlns='urn:xmpp:hints'/></message>`: 0,
		`<message xmlns='jabber:client'><x xmlns='urn:x'><no-store xmlns='urn:xmpp:hints'/></x></message>`:        0,
		`<message xmlns='jabber:client' type='error'><no-store xmlns='urn:xmpp:hints'/><error/></message>`:        0, // §5
		`<presence xmlns='jabber:client'><no-store xmlns='urn:xmpp:hints'/></presence>`:                           0,
		`<x xmlns='urn:x'><no-store xmlns='urn:xmpp:hints'/></x>`:                                                 0,
		`<message xmlns='jabber:client'><h:no-store xmlns:h='urn:xmpp:hints'/><no-copy xmlns=''/></message>`:      NoStore,
	} {
		el := parse(t, wire)
		require.Equal(t, want, Of(el), wire)
		require.Equal(t, want&NoStore != 0, Has(el, NoStore), wire)
		require.Equal(t, want == NoStore|NoCopy, Has(el, NoStore|NoCopy), wire)
		var m stanza.Message
		if m.DecodeElement(el) == nil {
			require.Equal(t, want, OfMessage(&m), wire)
		}
	}
}

func TestAppendXML(t *testing.T) {
	b, err := Hint(0).AppendXML(nil)
	require.NoError(t, err)
	require.Empty(t, b)
	for h := range Hint(16) {
		m := &stanza.Message{Extra: []stanza.Payload{h}}
		b, err := stanza.Qualified(m, stream.NSClient).AppendXML(nil)
		require.NoError(t, err)
		require.Equal(t, h, Of(parse(t, string(b))))
	}
	b, err = (Store | NoCopy).AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<no-copy xmlns='urn:xmpp:hints'/><store xmlns='urn:xmpp:hints'/>`, string(b))
}

// XEP-0334 §4.1, §4.2, §4.4, and a hint that contradicts another.
func TestStores(t *testing.T) {
	for h, want := range map[Hint][4]bool{ // archive: may, must; offline: may, must
		0:                        {true, false, true, false},
		NoCopy:                   {true, false, true, false},
		Store:                    {true, true, true, true},
		NoStore:                  {false, false, false, false},
		NoPermanentStore:         {false, false, true, false},
		NoPermanentStore | Store: {false, false, true, true},
		NoStore | Store:          {false, false, false, false},
	} {
		may, must := h.Archive()
		mayOffline, mustOffline := h.Offline()
		require.Equal(t, want, [4]bool{may, must, mayOffline, mustOffline}, "%b", h)
	}
}

// FuzzOf: looking for hints never panics, and finds the same in both ways.
func FuzzOf(f *testing.F) {
	f.Add([]byte(`<message xmlns='jabber:client'><no-copy xmlns="urn:xmpp:hints"/><no-store xmlns="urn:xmpp:hints"/></message>`))
	f.Add([]byte(`<message xmlns='jabber:client' type='error'><store xmlns="urn:xmpp:hints"/></message>`))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		h := Of(el)
		require.Less(t, h, Hint(16))
		var m stanza.Message
		if m.DecodeElement(el) == nil {
			require.Equal(t, h, OfMessage(&m))
		}
	})
}
