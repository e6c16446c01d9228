package caps_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

// exodus is the answer of XEP-0115 §1.2 and §5.2, psi that of §5.3.
const (
	exodus = `<query xmlns='http://jabber.org/protocol/disco#info'
         node='http://code.google.com/p/exodus#QgayPKawpkPSDYmwT/WM94uAlu0='>
    <identity category='client' name='Exodus 0.9.1' type='pc'/>
    <feature var='http://jabber.org/protocol/caps'/>
    <feature var='http://jabber.org/protocol/disco#info'/>
    <feature var='http://jabber.org/protocol/disco#items'/>
    <feature var='http://jabber.org/protocol/muc'/>
  </query>`
	exodusVer = "QgayPKawpkPSDYmwT/WM94uAlu0="

	psi = `<query xmlns='http://jabber.org/protocol/disco#info'
         node='http://psi-im.org#q07IKJEyjvHSyhy//CH0CxmKi8w='>
    <identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
    <identity xml:lang='el' category='client' name='&#936; 0.11' type='pc'/>
    <feature var='http://jabber.org/protocol/caps'/>
    <feature var='http://jabber.org/protocol/disco#info'/>
    <feature var='http://jabber.org/protocol/disco#items'/>
    <feature var='http://jabber.org/protocol/muc'/>
    <x xmlns='jabber:x:data' type='result'>
      <field var='FORM_TYPE' type='hidden'>
        <value>urn:xmpp:dataforms:softwareinfo</value>
      </field>
      <field var='ip_version' type='text-multi' >
        <value>ipv4</value>
        <value>ipv6</value>
      </field>
      <field var='os'>
        <value>Mac</value>
      </field>
      <field var='os_version'>
        <value>10.5.1</value>
      </field>
      <field var='software'>
        <value>Psi</value>
      </field>
      <field var='software_version'>
        <value>0.11</value>
      </field>
    </x>
  </query>`
	psiVer = "q07IKJEyjvHSyhy//CH0CxmKi8w="
)

func parse(t testing.TB, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err, "%s", xml)
	return el
}

func decodeInfo(t testing.TB, xml string) *disco.Info {
	t.Helper()
	info := new(disco.Info)
	require.NoError(t, info.DecodeElement(parse(t, xml)))
	return info
}

// XEP-0115 §5.2 and §5.3.
func TestVer(t *testing.T) {
	for _, tt := range []struct{ name, xml, ver string }{
		{"§5.2 simple", exodus, exodusVer},
		{"§5.3 complex", psi, psiVer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ver, err := caps.Ver("sha-1", decodeInfo(t, tt.xml))
			require.NoError(t, err)
			require.Equal(t, tt.ver, ver)
		})
	}
	// §5.1: the order in which somebody answers does not matter.
	info := decodeInfo(t, psi)
	reverse(info.Identities)
	reverse(info.Features)
	reverse(info.Forms[0].Fields)
	for _, f := range info.Forms[0].Fields {
		reverse(f.Values)
	}
	ver, err := caps.Ver("sha-1", info)
	require.NoError(t, err)
	require.Equal(t, psiVer, ver)
	require.Equal(t, "el", info.Identities[0].Lang, "what was given is not sorted")
	require.Equal(t, "ipv6", info.Forms[0].Field("ip_version").Values[0])

	// §5.1 step 6, §5.4 rules 3.5 and 3.6: which forms have a part in it.
	base, err := caps.Ver("sha-1", decodeInfo(t, exodus))
	require.NoError(t, err)
	withForms := func(forms ...*form.Data) string {
		info := decodeInfo(t, exodus)
		info.Forms = forms
		ver, err := caps.Ver("sha-1", info)
		require.NoError(t, err)
		return ver
	}
	field := form.Field{Var: "os", Values: []string{"Mac"}}
	require.Equal(t, base, withForms(&form.Data{Type: form.Result, Fields: []form.Field{field}}), "no FORM_TYPE")
	require.Equal(t, base, withForms(&form.Data{Type: form.Result, Fields: []form.Field{{Var: "FORM_TYPE", Values: []string{"a"}}, field}}), "not hidden")
	require.Equal(t, base, withForms(&form.Data{Type: form.Result, Fields: []form.Field{{Var: "FORM_TYPE", Type: form.Hidden}, field}}), "empty")
	one, two := form.New(form.Result, "urn:one", field), form.New(form.Result, "urn:two")
	require.NotEqual(t, base, withForms(one))
	require.NotEqual(t, withForms(one), withForms(one, two))
	require.Equal(t, withForms(one, two), withForms(two, one))
	same := &form.Data{Type: form.Result, Fields: []form.Field{{Var: "FORM_TYPE", Type: form.Hidden, Values: []string{"urn:one", "urn:one"}}, field}}
	require.Equal(t, withForms(one), withForms(same), "two values with the same character data")
}

func reverse[T any](s []T) {
	for i, j := 0, len(s)-1; i < j; i, j = i+1, j-1 {
		s[i], s[j] = s[j], s[i]
	}
}

// XEP-0115 §8.1: SHA-1, and others.
func TestHashes(t *testing.T) {
	info := decodeInfo(t, exodus)
	for hash, octets := range map[string]int{"sha-1": 20, "sha-224": 28, "sha-256": 32, "sha-384": 48, "sha-512": 64, "sha3-256": 32, "sha3-512": 64} {
		ver, err := caps.Ver(hash, info)
		require.NoError(t, err)
		require.Len(t, ver, (octets+2)/3*4)
		c := caps.Caps{Hash: hash, Node: "n", Ver: ver}
		require.True(t, c.Verifiable())
		got, err := c.Verify(info)
		require.NoError(t, err)
		require.Empty(t, got.Node)
		require.Equal(t, info.Features, got.Features)
	}
	for _, hash := range []string{"", "md5", "SHA-1", "sha1", strings.Repeat("x", 1<<10)} {
		_, err := caps.Ver(hash, info)
		require.ErrorIs(t, err, caps.ErrHash)
		require.Less(t, len(err.Error()), 400)
		require.False(t, caps.Caps{Hash: hash}.Verifiable())
	}
}

// XEP-0115 §5.4 rules 3.3 to 3.9, and what is ambiguous.
func TestVerify(t *testing.T) {
	id := disco.Identity{Category: "client", Type: "pc", Name: "x"}
	for _, tt := range []struct {
		name string
		info disco.Info
	}{
		{"identity twice", disco.Info{Identities: []disco.Identity{id, {Category: "a", Type: "b"}, id}}},
		{"feature twice", disco.Info{Features: []string{"a", "b", "a"}}},
		{"FORM_TYPE twice", disco.Info{Forms: []*form.Data{form.New(form.Result, "a"), form.New(form.Result, "b"), form.New(form.Result, "a")}}},
		{"several FORM_TYPEs", disco.Info{Forms: []*form.Data{{Type: form.Result, Fields: []form.Field{{Var: "FORM_TYPE", Type: form.Hidden, Values: []string{"a", "b"}}}}}}},
		{"several FORM_TYPEs, not hidden", disco.Info{Forms: []*form.Data{{Type: form.Result, Fields: []form.Field{{Var: "FORM_TYPE", Values: []string{"a", "b"}}}}}}},
		{"field twice", disco.Info{Forms: []*form.Data{form.New(form.Result, "a", form.Field{Var: "x"}, form.Field{Var: "x"})}}},
		{"'<' in a category", disco.Info{Identities: []disco.Identity{{Category: "<", Type: "b"}}}},
		{"'<' in a type", disco.Info{Identities: []disco.Identity{{Category: "a", Type: "<"}}}},
		{"'<' in a language", disco.Info{Identities: []disco.Identity{{Category: "a", Type: "b", Lang: "<"}}}},
		{"'<' in a name", disco.Info{Identities: []disco.Identity{{Category: "a", Type: "b", Name: "<"}}}},
		{"'/' in a category", disco.Info{Identities: []disco.Identity{{Category: "a/b", Type: "c"}}}},
		{"'/' in a type", disco.Info{Identities: []disco.Identity{{Category: "a", Type: "b/c"}}}},
		{"'/' in a language", disco.Info{Identities: []disco.Identity{{Category: "a", Type: "b", Lang: "c/d"}}}},
		{"'<' in a feature", disco.Info{Features: []string{"<"}}},
		{"'<' in a FORM_TYPE", disco.Info{Forms: []*form.Data{form.New(form.Result, "<")}}},
		{"'<' in a field", disco.Info{Forms: []*form.Data{form.New(form.Result, "a", form.Field{Var: "<"})}}},
		{"'<' in a value", disco.Info{Forms: []*form.Data{form.New(form.Result, "a", form.Field{Var: "b", Values: []string{"<"}})}}},
		{"too large", disco.Info{Features: []string{strings.Repeat("x", 16<<10)}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := caps.Ver("sha-1", &tt.info)
			require.ErrorIs(t, err, caps.ErrIllFormed)
			_, err = caps.Caps{Hash: "sha-1", Ver: exodusVer}.Verify(&tt.info)
			require.ErrorIs(t, err, caps.ErrIllFormed)
		})
	}
	info := decodeInfo(t, exodus)
	_, err := caps.Caps{Hash: "sha-1", Ver: psiVer}.Verify(info)
	require.ErrorIs(t, err, caps.ErrMismatch)
	_, err = caps.Caps{Hash: "md5", Ver: exodusVer}.Verify(info)
	require.ErrorIs(t, err, caps.ErrHash)

	// A '/' in a name, and four letters that look like an escape, are literal.
	_, err = caps.Ver("sha-1", &disco.Info{Identities: []disco.Identity{{Category: "a", Type: "b", Name: "x/y &lt; z"}}})
	require.NoError(t, err)
	// The largest that is hashed: with the '<' behind it, 16 KiB.
	_, err = caps.Ver("sha-1", &disco.Info{Features: []string{strings.Repeat("x", 16<<10-1)}})
	require.NoError(t, err)
}

// Only what is hashed is kept for everybody.
func TestVerifyKeeps(t *testing.T) {
	info := decodeInfo(t, psi)
	info.Forms[0].Title = "poison"
	info.Forms[0].Fields[1].Label = "poison"
	info.Forms[0].Fields[1].Options = []form.Option{{Value: "poison"}}
	info.Forms[0].Fields = append(info.Forms[0].Fields, form.Field{Type: form.Fixed, Values: []string{"poison"}})
	info.Forms = append(info.Forms, &form.Data{Type: form.Result, Title: "poison"})
	got, err := caps.Caps{Hash: "sha-1", Ver: psiVer}.Verify(info)
	require.NoError(t, err)
	b, err := got.AppendXML(nil)
	require.NoError(t, err)
	require.NotContains(t, string(b), "poison")
	require.Equal(t, []string{"ipv4", "ipv6"}, got.Form("urn:xmpp:dataforms:softwareinfo").Field("ip_version").Values)
	ver, err := caps.Ver("sha-1", got)
	require.NoError(t, err)
	require.Equal(t, psiVer, ver)
}

// XEP-0115 §4, §6.1: the element.
func TestCaps(t *testing.T) {
	const wire = `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>`
	p := new(stanza.Presence)
	require.NoError(t, p.DecodeElement(parse(t, "<presence xmlns='jabber:client'><x xmlns='urn:x'/>"+wire+"</presence>")))
	c, ok := caps.Of(p)
	require.True(t, ok)
	require.Equal(t, caps.Caps{Hash: "sha-1", Node: "http://code.google.com/p/exodus", Ver: exodusVer}, c)
	require.Equal(t, "http://code.google.com/p/exodus#"+exodusVer, c.Query())
	require.Equal(t, caps.Key{Hash: "sha-1", Ver: exodusVer}, c.Key())
	b, err := c.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, wire, string(b))

	// §12: the legacy format.
	require.NoError(t, c.DecodeElement(parse(t, "<c xmlns='http://jabber.org/protocol/caps' node='http://psi-im.org' ver='0.9' ext='cs xhtml'/>")))
	require.Equal(t, caps.Caps{Node: "http://psi-im.org", Ver: "0.9", Ext: "cs xhtml"}, c)
	require.False(t, c.Verifiable())
	b, err = c.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, "<c xmlns='http://jabber.org/protocol/caps' node='http://psi-im.org' ver='0.9' ext='cs xhtml'/>", string(b))

	_, ok = caps.Of(new(stanza.Presence))
	require.False(t, ok)
	long := strings.Repeat("x", 2_000)
	for name, attrs := range map[string]string{
		"no node":    "hash='sha-1' ver='v'",
		"empty node": "hash='sha-1' node='' ver='v'",
		"no ver":     "hash='sha-1' node='n'",
		"empty ver":  "hash='sha-1' node='n' ver=''",
		"long hash":  "hash='" + long + "' node='n' ver='v'",
		"long node":  "hash='sha-1' node='" + long + "' ver='v'",
		"long ver":   "hash='sha-1' node='n' ver='" + long + "'",
		"long ext":   "node='n' ver='v' ext='" + long + "'",
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, c.DecodeElement(parse(t, "<c xmlns='http://jabber.org/protocol/caps' "+attrs+"/>")), stanza.BadRequest)
			require.Zero(t, c)
		})
	}
	require.ErrorIs(t, c.DecodeElement(parse(t, "<c xmlns='urn:x' node='n' ver='v'/>")), stanza.BadRequest)
	_, err = caps.Caps{Node: "n"}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)
	_, err = caps.Caps{Ver: "v"}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)
}

// FuzzVerify: whatever somebody answers, hashing it never panics, does not depend
// on the order, and what is kept of it has the same hash.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(exodus))
	f.Add([]byte(psi))
	f.Add([]byte(`<query xmlns='http://jabber.org/protocol/disco#info'><x xmlns='jabber:x:data' type='result'><field/></x></query>`))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		info := new(disco.Info)
		if info.DecodeElement(el) != nil {
			return
		}
		ver, err := caps.Ver("sha-1", info)
		if err != nil {
			require.ErrorIs(t, err, caps.ErrIllFormed)
			return
		}
		reverse(info.Identities)
		reverse(info.Features)
		reverse(info.Forms)
		got, err := caps.Caps{Hash: "sha-1", Ver: ver}.Verify(info)
		require.NoError(t, err)
		again, err := caps.Ver("sha-1", got)
		require.NoError(t, err)
		require.Equal(t, ver, again)
	})
}

// FuzzDecode: decoding never panics, and what was decoded is written the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://psi-im.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>`))
	f.Add([]byte(`<c xmlns='http://jabber.org/protocol/caps' node='n' ver='&lt;' ext=' a b '>x</c>`))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var c, again caps.Caps
		if err := c.DecodeElement(el); err != nil {
			require.ErrorIs(t, err, stanza.BadRequest)
			return
		}
		b, err := c.AppendXML(nil)
		require.NoError(t, err)
		require.NoError(t, again.DecodeElement(parse(t, string(b))))
		require.Equal(t, c, again)
	})
}
