package vcard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream"
)

const example = "01b87fcd030b72895ff8e88db57ec525450f000d"

// XEP-0153 §3.1 and §4.1, examples 3, 6 and 7.
func TestUpdate(t *testing.T) {
	for _, tt := range []struct {
		name, xml string
		want      vcard.Update
	}{
		{"example 3", "<x xmlns='vcard-temp:x:update'><photo>" + example + "</photo></x>", vcard.Update{Known: true, Hash: example}},
		{"not ready", "<x xmlns='vcard-temp:x:update'/>", vcard.Update{}},
		{"no image", "<x xmlns='vcard-temp:x:update'><photo/></x>", vcard.Update{Known: true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u := vcard.Update{Known: true, Hash: "old"}
			require.NoError(t, u.DecodeElement(parse(t, tt.xml)))
			require.Equal(t, tt.want, u)
			require.Equal(t, tt.xml, encode(t, u))
		})
	}
	// Upper case and white space are read, and not written.
	var u vcard.Update
	require.NoError(t, u.DecodeElement(parse(t, "<x xmlns='vcard-temp:x:update'><photo>\n "+strings.ToUpper(example)+" </photo></x>")))
	require.Equal(t, vcard.Update{Known: true, Hash: example}, u)
	require.Contains(t, encode(t, vcard.Update{Known: true, Hash: strings.ToUpper(example)}), ">"+example+"<")

	for _, bad := range []string{
		"<y xmlns='vcard-temp:x:update'/>", "<x xmlns='y'/>",
		"<x xmlns='vcard-temp:x:update'><photo>01</photo></x>",
		"<x xmlns='vcard-temp:x:update'><photo>" + strings.Repeat("g", 40) + "</photo></x>",
	} {
		require.ErrorIs(t, u.DecodeElement(parse(t, bad)), stanza.BadRequest, bad)
	}
	for _, bad := range []vcard.Update{{Hash: example}, {Known: true, Hash: "01"}, {Known: true, Hash: strings.Repeat("g", 40)}} {
		_, err := bad.AppendXML(nil)
		require.ErrorIs(t, err, stanza.ErrInvalid)
	}
}

func TestUpdateOf(t *testing.T) {
	presence := func(inner string) *stanza.Presence {
		p := &stanza.Presence{}
		require.NoError(t, p.DecodeElement(parse(t, "<presence xmlns='jabber:client'>"+inner+"</presence>")))
		return p
	}
	u, ok := vcard.UpdateOf(presence("<show>away</show><x xmlns='vcard-temp:x:update'><photo>" + example + "</photo></x>"))
	require.True(t, ok)
	require.Equal(t, example, u.Hash)
	_, ok = vcard.UpdateOf(presence(""))
	require.False(t, ok)
	_, ok = vcard.UpdateOf(presence("<x xmlns='vcard-temp:x:update'><photo>no</photo></x>"))
	require.False(t, ok)
}

// FIPS 180-4: the digest of "abc".
func TestHash(t *testing.T) {
	p := &vcard.Photo{Data: []byte("abc")}
	require.Equal(t, "a9993e364706816aba3e25717850c26c9cd0d89d", p.Hash())
	require.Equal(t, vcard.Update{Known: true, Hash: p.Hash()}, vcard.Announce(p))
	require.Equal(t, vcard.Update{Known: true}, vcard.Announce(nil))
	require.Equal(t, vcard.Update{Known: true}, vcard.Announce(&vcard.Photo{URL: "http://x"}))
}

// XEP-0153 §3.2: when to get the profile.
func TestFetch(t *testing.T) {
	u := vcard.Update{Known: true, Hash: example}
	require.True(t, u.Fetch(""))
	require.True(t, u.Fetch(strings.Repeat("0", 40)))
	require.False(t, u.Fetch(example))
	require.False(t, u.Fetch(strings.ToUpper(example)))
	require.False(t, vcard.Update{}.Fetch(""))
	require.False(t, vcard.Update{Known: true}.Fetch(example))
}

// XEP-0153 §4.3, in its order.
func TestOther(t *testing.T) {
	own := vcard.Update{Known: true, Hash: example}
	require.Equal(t, vcard.Stop, own.Other(vcard.Update{}, false))
	require.Equal(t, vcard.Keep, own.Other(vcard.Update{}, true))
	require.Equal(t, vcard.Reset, own.Other(vcard.Update{Known: true}, true))
	require.Equal(t, vcard.Keep, own.Other(own, true))
	require.Equal(t, vcard.Reset, own.Other(vcard.Update{Known: true, Hash: strings.Repeat("0", 40)}, true))
	require.Equal(t, vcard.Keep, vcard.Update{Known: true}.Other(vcard.Update{Known: true}, true))
	require.Equal(t, vcard.Reset, vcard.Update{}.Other(own, true))
}

func FuzzUpdate(f *testing.F) {
	f.Add([]byte("<x xmlns='vcard-temp:x:update'><photo>" + example + "</photo></x>"))
	f.Add([]byte("<x xmlns='vcard-temp:x:update'><photo/></x>"))
	f.Add([]byte("<x xmlns='vcard-temp:x:update'/>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		var u, again vcard.Update
		if u.DecodeElement(el) != nil {
			return
		}
		require.NoError(t, again.DecodeElement(parse(t, encode(t, u))))
		require.Equal(t, u, again)
	})
}
