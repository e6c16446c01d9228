package version_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/version"
	"stanzakit.dev/xmpp/stream"
)

// XEP-0092 §3.
const (
	example1 = `<iq
    type='get'
    from='romeo@montague.net/orchard'
    to='juliet@capulet.com/balcony'
    id='version_1'>
  <query xmlns='jabber:iq:version'/>
</iq>`
	example2 = `<query xmlns='jabber:iq:version'>
    <name>Exodus</name>
    <version>0.7.0.4</version>
    <os>Windows-XP 5.01.2600</os>
  </query>`
)

// XEP-0092 examples 1 and 2, as who asks.
func TestGet(t *testing.T) {
	p := &peer{T: t, Answer: example2}
	v, err := version.Get(t.Context(), p, juliet)
	require.NoError(t, err)
	require.Equal(t, "<iq id='1' to='juliet@montague.net/balcony' type='get'><query xmlns='jabber:iq:version'/></iq>", p.Asked)
	require.Equal(t, version.Version{Name: "Exodus", Number: "0.7.0.4", OS: "Windows-XP 5.01.2600"}, v)

	_, err = version.Get(t.Context(), &peer{T: t, Err: refused}, juliet)
	require.ErrorIs(t, err, stanza.ServiceUnavailable)

	// §2: what is required, and what may be left out.
	head := "<query xmlns='jabber:iq:version'>"
	for _, tt := range []struct {
		name, answer string
		want         version.Version
		ok           bool
	}{
		{"no os", head + "<name>a</name><version>b</version></query>", version.Version{Name: "a", Number: "b"}, true},
		{"another order, and something else", head + "<x/><os>c</os><version>b</version><y xmlns='urn:y'/><name>a</name></query>", version.Version{Name: "a", Number: "b", OS: "c"}, true},
		{"empty", head + "<name/><version/></query>", version.Version{}, true},
		{"no payload", "", version.Version{}, false},
		{"another payload", "<query xmlns='jabber:iq:last'/>", version.Version{}, false},
		{"no name", head + "<version>b</version></query>", version.Version{}, false},
		{"no version", head + "<name>b</name></query>", version.Version{}, false},
		{"another's name", head + "<name xmlns='urn:x'>a</name><version>b</version></query>", version.Version{}, false},
		{"two names", head + "<name>a</name><name>a</name><version>b</version></query>", version.Version{}, false},
		{"too long", head + "<name>" + strings.Repeat("a", 1025) + "</name><version>b</version></query>", version.Version{}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, err := version.Get(t.Context(), &peer{T: t, Answer: tt.answer}, juliet)
			if !tt.ok {
				require.ErrorIs(t, err, stanza.BadRequest)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, tt.want, v)
		})
	}
}

// XEP-0092 examples 1 and 2, as who answers; §4 and §5.
func TestResponder(t *testing.T) {
	mod := version.Responder(version.Version{Name: "Exodus", Number: "0.7.0.4", OS: "Windows-XP 5.01.2600"})
	require.Equal(t, "<iq id='version_1' from='juliet@capulet.com/balcony' to='romeo@montague.net/orchard' type='result'>"+
		"<query xmlns='jabber:iq:version'><name>Exodus</name><version>0.7.0.4</version><os>Windows-XP 5.01.2600</os></query></iq>", ask(t, mod, example1))
	require.Equal(t, "version", mod.Name())
	require.Equal(t, []string{"jabber:iq:version"}, mod.(stanza.Featurer).Features())
	require.Contains(t, ask(t, mod, "<iq type='set' id='1'><query xmlns='jabber:iq:version'/></iq>"), unavailable)

	mod = version.Responder(version.Version{Name: "a<", Number: "b"})
	require.Contains(t, ask(t, mod, example1), "<name>a&lt;</name><version>b</version></query>")

	for _, v := range []version.Version{{}, {Name: "a"}, {Number: "b"}} {
		require.ErrorIs(t, stanza.Install(new(stanza.Mux), version.Responder(v)), stanza.ErrInvalid)
	}
	_, err := version.Version{OS: "x"}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)
}

// FuzzDecode: decoding never panics, and what can be written again means the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(example2))
	f.Add([]byte("<query xmlns='jabber:iq:version'><name>&lt;</name><version> </version></query>"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var v, again version.Version
		if err := v.DecodeElement(el); err != nil {
			require.ErrorIs(t, err, stanza.BadRequest)
			require.Zero(t, v)
			return
		}
		b, err := v.AppendXML(nil)
		if v.Name == "" || v.Number == "" {
			return
		}
		require.NoError(t, err)
		require.NoError(t, again.DecodeElement(parse(t, string(b))))
		require.Equal(t, v, again)
	})
}
