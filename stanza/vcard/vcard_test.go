package vcard_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream"
)

// stpeter is the profile of XEP-0054 §3.1, example 2.
const stpeter = `<vCard xmlns='vcard-temp'>
    <FN>Peter Saint-Andre</FN>
    <N>
      <FAMILY>Saint-Andre</FAMILY>
      <GIVEN>Peter</GIVEN>
      <MIDDLE/>
    </N>
    <NICKNAME>stpeter</NICKNAME>
    <URL>http://www.xmpp.org/xsf/people/stpeter.shtml</URL>
    <BDAY>1966-08-06</BDAY>
    <ORG>
      <ORGNAME>XMPP Standards Foundation</ORGNAME>
      <ORGUNIT/>
    </ORG>
    <TITLE>Executive Director</TITLE>
    <ROLE>Patron Saint</ROLE>
    <TEL><WORK/><VOICE/><NUMBER>303-308-3282</NUMBER></TEL>
    <TEL><WORK/><FAX/><NUMBER/></TEL>
    <TEL><WORK/><MSG/><NUMBER/></TEL>
    <ADR>
      <WORK/>
      <EXTADD>Suite 600</EXTADD>
      <STREET>1899 Wynkoop Street</STREET>
      <LOCALITY>Denver</LOCALITY>
      <REGION>CO</REGION>
      <PCODE>80202</PCODE>
      <CTRY>USA</CTRY>
    </ADR>
    <TEL><HOME/><VOICE/><NUMBER>303-555-1212</NUMBER></TEL>
    <ADR>
      <HOME/>
      <EXTADD/>
      <STREET/>
      <LOCALITY>Denver</LOCALITY>
      <REGION>CO</REGION>
      <PCODE>80209</PCODE>
      <CTRY>USA</CTRY>
    </ADR>
    <EMAIL><INTERNET/><PREF/><USERID>stpeter@jabber.org</USERID></EMAIL>
    <JABBERID>stpeter@jabber.org</JABBERID>
    <DESC>
      More information about me is located on my
      personal website: http://www.saint-andre.com/
    </DESC>
  </vCard>`

func parse(t testing.TB, s string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

func decode(t testing.TB, s string) *vcard.VCard {
	t.Helper()
	v := &vcard.VCard{}
	require.NoError(t, v.DecodeElement(parse(t, s)))
	return v
}

func encode(t testing.TB, p stanza.Payload) string {
	t.Helper()
	b, err := p.AppendXML(nil)
	require.NoError(t, err)
	return string(b)
}

func TestDecode(t *testing.T) {
	v := decode(t, stpeter)
	require.Equal(t, "Peter Saint-Andre", v.FullName)
	require.Equal(t, vcard.Name{Family: "Saint-Andre", Given: "Peter"}, v.Name)
	require.Equal(t, "stpeter", v.Nickname)
	require.Equal(t, "1966-08-06", v.Birthday)
	require.Equal(t, "http://www.xmpp.org/xsf/people/stpeter.shtml", v.URL)
	require.Equal(t, vcard.Organization{Name: "XMPP Standards Foundation"}, v.Organization)
	require.Equal(t, "Executive Director", v.Title)
	require.Equal(t, "Patron Saint", v.Role)
	require.Equal(t, []vcard.Phone{
		{Types: []string{"WORK", "VOICE"}, Number: "303-308-3282"},
		{Types: []string{"WORK", "FAX"}},
		{Types: []string{"WORK", "MSG"}},
		{Types: []string{"HOME", "VOICE"}, Number: "303-555-1212"},
	}, v.Phones)
	require.Equal(t, []vcard.Address{
		{Types: []string{"WORK"}, Extended: "Suite 600", Street: "1899 Wynkoop Street", Locality: "Denver", Region: "CO", PostalCode: "80202", Country: "USA"},
		{Types: []string{"HOME"}, Locality: "Denver", Region: "CO", PostalCode: "80209", Country: "USA"},
	}, v.Addresses)
	require.Equal(t, []vcard.Email{{Types: []string{"INTERNET", "PREF"}, Address: "stpeter@jabber.org"}}, v.Emails)
	require.Equal(t, "stpeter@jabber.org", v.JID)
	require.Contains(t, v.Description, "http://www.saint-andre.com/")
	require.Nil(t, v.Photo)
	require.False(t, v.IsEmpty())
}

// children returns the children of an element as they were received.
func children(el *stream.Element) (out []string) {
	for child := range el.Children() {
		out = append(out, string(child.Raw()))
	}
	return out
}

// What was not changed is written as it was received, in its place.
func TestPreserved(t *testing.T) {
	const weird = `<v:vCard xmlns:v='vcard-temp' version='2.0' xmlns:x='urn:x' x:k='v'>
  <v:FN x:lang="la">P</v:FN><FN xmlns='urn:x'>other</FN>
  <v:LABEL><v:HOME/><v:LINE>one &amp; two</v:LINE></v:LABEL><x:unknown><![CDATA[<raw>]]></x:unknown>
  <v:N><v:GIVEN>G</v:GIVEN><v:FUTURE a='b'>?</v:FUTURE></v:N><v:NICKNAME/><v:NICKNAME>second</v:NICKNAME>
  <v:TEL><v:CELL/><v:NUMBER>1</v:NUMBER><v:EXTENSION>2</v:EXTENSION></v:TEL>
  <v:TEL><v:CELL/><v:NUMBER>1</v:NUMBER></v:TEL>
  <v:PHOTO><v:TYPE>image/png</v:TYPE><v:BINVAL>
    AQ
    ID
  </v:BINVAL></v:PHOTO><v:URL>a</v:URL><v:URL>b</v:URL></v:vCard>`
	source := parse(t, weird)
	v := decode(t, weird)
	require.Equal(t, []byte{1, 2, 3}, append(v.Photo.Data[:1:1], 2, 3))
	require.Equal(t, "a", v.URL)
	require.Equal(t, vcard.Name{Given: "G"}, v.Name)

	same := func(t *testing.T, got string, without ...string) *stream.Element {
		t.Helper()
		out := parse(t, got)
		want := map[string]int{}
		for c := range source.Children() {
			want[string(c.Inner())]++
		}
		for _, w := range without {
			want[w]--
		}
		for c := range out.Children() {
			want[string(c.Inner())]--
		}
		for inner, n := range want {
			require.LessOrEqual(t, n, 0, inner)
		}
		require.Equal(t, "2.0", out.Attr("version"))
		k, ok := out.AttrNS(stream.Name{Space: "urn:x", Local: "k"})
		require.True(t, ok)
		require.Equal(t, "v", string(k))
		return out
	}
	t.Run("nothing changed", func(t *testing.T) {
		out := same(t, encode(t, v))
		require.Len(t, children(out), len(children(source)))
		for i, c := range children(source) {
			require.Equal(t, inner(t, c), inner(t, children(out)[i]))
		}
	})
	t.Run("one text changed", func(t *testing.T) {
		c := *v
		c.FullName = "Q"
		out := encode(t, &c)
		same(t, out, "P")
		require.Equal(t, "Q", decode(t, out).FullName)
		require.NotContains(t, out, ">P<")
	})
	t.Run("one of two phones", func(t *testing.T) {
		c := *v
		c.Phones = []vcard.Phone{v.Phones[0], {Types: []string{"HOME"}, Number: "3"}}
		again := decode(t, encode(t, &c))
		require.Equal(t, c.Phones, again.Phones)
		require.Contains(t, encode(t, &c), "<v:EXTENSION>2</v:EXTENSION>")
	})
	t.Run("taken away", func(t *testing.T) {
		c := *v
		c.FullName, c.Name, c.Phones, c.Photo, c.URL = "", vcard.Name{}, nil, nil, ""
		again := decode(t, encode(t, &c))
		require.Equal(t, "", again.FullName)
		require.Equal(t, vcard.Name{}, again.Name)
		require.Empty(t, again.Phones)
		require.Nil(t, again.Photo)
		require.Equal(t, "b", again.URL, "what had no field is not the field's to take away")
	})
	t.Run("an empty one filled", func(t *testing.T) {
		c := *v
		c.Nickname = "n"
		got := encode(t, &c)
		require.Equal(t, "n", decode(t, got).Nickname)
		require.Contains(t, got, "second")
	})
	t.Run("a new picture", func(t *testing.T) {
		c := *v
		c.Photo = &vcard.Photo{Type: "image/gif", Data: []byte("gif")}
		got := decode(t, encode(t, &c))
		require.Equal(t, c.Photo, got.Photo)
		require.NotContains(t, encode(t, &c), "image/png")
	})
}

func inner(t *testing.T, s string) string {
	t.Helper()
	return s[strings.Index(s, ">"):]
}

// XEP-0054 §8: the form of what is written.
func TestEncode(t *testing.T) {
	v := &vcard.VCard{
		FullName: "Juliet <Capulet>", Name: vcard.Name{Family: "Capulet", Given: "Juliet", Middle: "M", Prefix: "P", Suffix: "S"},
		Nickname: "jules", Birthday: "1476-06-09", Note: "n", JID: "juliet@capulet.lit", Title: "t", Role: "r", URL: "u", Description: "d",
		Organization: vcard.Organization{Name: "o", Units: []string{"a", "b"}},
		Addresses:    []vcard.Address{{Types: []string{"HOME"}, POBox: "1", Extended: "2", Street: "3", Locality: "Verona", Region: "4", PostalCode: "5", Country: "Italy"}},
		Phones:       []vcard.Phone{{Types: []string{"WORK", "FAX"}}},
		Emails:       []vcard.Email{{Address: "j@c.lit"}},
		Photo:        &vcard.Photo{Type: "image/png", Data: []byte{1, 2, 3}},
		Extra: []stanza.Payload{stanza.XML(struct {
			XMLName struct{} `xml:"vcard-temp MAILER"`
		}{})},
	}
	got := encode(t, v)
	require.Equal(t, "<vCard xmlns='vcard-temp'><FN>Juliet &lt;Capulet&gt;</FN><N><FAMILY>Capulet</FAMILY><GIVEN>Juliet</GIVEN>"+
		"<MIDDLE>M</MIDDLE><PREFIX>P</PREFIX><SUFFIX>S</SUFFIX></N><NICKNAME>jules</NICKNAME>"+
		"<PHOTO><TYPE>image/png</TYPE><BINVAL>AQID</BINVAL></PHOTO><BDAY>1476-06-09</BDAY>"+
		"<ADR><HOME/><POBOX>1</POBOX><EXTADD>2</EXTADD><STREET>3</STREET><LOCALITY>Verona</LOCALITY><REGION>4</REGION><PCODE>5</PCODE><CTRY>Italy</CTRY></ADR>"+
		"<TEL><WORK/><FAX/><NUMBER/></TEL><EMAIL><USERID>j@c.lit</USERID></EMAIL><JABBERID>juliet@capulet.lit</JABBERID>"+
		"<TITLE>t</TITLE><ROLE>r</ROLE><ORG><ORGNAME>o</ORGNAME><ORGUNIT>a</ORGUNIT><ORGUNIT>b</ORGUNIT></ORG>"+
		"<NOTE>n</NOTE><URL>u</URL><DESC>d</DESC>", got[:strings.Index(got, "<MAILER")])
	again := decode(t, got)
	require.Equal(t, got[:strings.Index(got, "<MAILER")], encode(t, again)[:strings.Index(got, "<MAILER")])
	require.Contains(t, encode(t, again), "<MAILER")

	require.Equal(t, "<vCard xmlns='vcard-temp'><PHOTO><EXTVAL>http://x</EXTVAL></PHOTO></vCard>", encode(t, &vcard.VCard{Photo: &vcard.Photo{URL: "http://x"}}))
	require.Equal(t, "http://x", decode(t, "<vCard xmlns='vcard-temp'><PHOTO><EXTVAL>http://x</EXTVAL></PHOTO></vCard>").Photo.URL)
	require.Equal(t, "<vCard xmlns='vcard-temp'/>", encode(t, &vcard.VCard{}))

	for name, bad := range map[string]*vcard.VCard{
		"text": {FullName: "\x00"}, "type": {Phones: []vcard.Phone{{Types: []string{"<"}}}}, "nil": {Extra: []stanza.Payload{nil}},
	} {
		_, err := bad.AppendXML(nil)
		require.Error(t, err, name)
	}
}

func TestBroken(t *testing.T) {
	v := &vcard.VCard{FullName: "kept"}
	require.ErrorIs(t, v.DecodeElement(parse(t, "<vcard xmlns='vcard-temp'/>")), stanza.BadRequest)
	require.ErrorIs(t, v.DecodeElement(parse(t, "<vCard xmlns='vcard-temp'>"+strings.Repeat("<TEL/>", 257)+"</vCard>")), stanza.PolicyViolation)
	require.Equal(t, "kept", v.FullName)
	require.Len(t, decode(t, "<vCard xmlns='vcard-temp'>"+strings.Repeat("<TEL/>", 256)+"</vCard>").Phones, 256)

	// A picture that is none does not cost the rest, and is not lost.
	broken := "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>Base64-encoded-avatar-file-here!</BINVAL></PHOTO><FN>J</FN></vCard>"
	v = decode(t, broken)
	require.Nil(t, v.Photo)
	require.Equal(t, "J", v.FullName)
	require.Equal(t, broken, encode(t, v))
	v.Photo = &vcard.Photo{Data: []byte{1, 2, 3}}
	require.Equal(t, "<vCard xmlns='vcard-temp'><PHOTO><BINVAL>AQID</BINVAL></PHOTO><FN>J</FN></vCard>", encode(t, v))

	// XEP-0153 §4.3: a BINVAL that is empty is no picture.
	empty := "<vCard xmlns='vcard-temp'><PHOTO><BINVAL/></PHOTO></vCard>"
	require.Nil(t, decode(t, empty).Photo)
	require.Equal(t, empty, encode(t, decode(t, empty)))
}

func TestIsEmpty(t *testing.T) {
	for s, want := range map[string]bool{
		"<vCard xmlns='vcard-temp'/>":                       true,
		"<vCard xmlns='vcard-temp' version='3.0'> </vCard>": true,
		"<vCard xmlns='vcard-temp'><FN/></vCard>":           false,
		"<vCard xmlns='vcard-temp'><UID>1</UID></vCard>":    false,
	} {
		require.Equal(t, want, decode(t, s).IsEmpty(), s)
	}
	require.True(t, (&vcard.VCard{}).IsEmpty())
	require.False(t, (&vcard.VCard{Role: "r"}).IsEmpty())
	require.False(t, (&vcard.VCard{Phones: make([]vcard.Phone, 1)}).IsEmpty())
	require.False(t, (&vcard.VCard{Extra: []stanza.Payload{vcard.Update{}}}).IsEmpty())
}

func FuzzVCard(f *testing.F) {
	f.Add([]byte(stpeter))
	f.Add([]byte("<v:vCard xmlns:v='vcard-temp' version='2.0'><v:N><v:GIVEN>J</v:GIVEN></v:N><x xmlns=''/></v:vCard>"))
	f.Add([]byte("<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>AQ ID\n</BINVAL></PHOTO><PHOTO><EXTVAL>x</EXTVAL></PHOTO></vCard>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		var v vcard.VCard
		if err := v.DecodeElement(el); err != nil {
			var e *stanza.Error
			require.ErrorAs(t, err, &e)
			return
		}
		// Decoded and encoded, all children are there, in their order, with their bytes.
		out, err := v.AppendXML(nil)
		require.NoError(t, err)
		again, err := stream.ParseElement(out, &stream.Limits{ElementBytes: 1 << 24, Namespaces: 1 << 10, Attributes: 1 << 10})
		require.NoError(t, err)
		var want, got []string
		for c := range el.Children() {
			want = append(want, c.Name().String()+string(c.Inner()))
		}
		for c := range again.Children() {
			got = append(got, c.Name().String()+string(c.Inner()))
		}
		require.Equal(t, want, got)
		// Without what it came from, the fields alone say the same.
		bare := vcard.VCard{
			FullName: v.FullName, Nickname: v.Nickname, Name: v.Name, Photo: v.Photo, Birthday: v.Birthday, Addresses: v.Addresses,
			Phones: v.Phones, Emails: v.Emails, JID: v.JID, Organization: v.Organization, Title: v.Title, Role: v.Role, URL: v.URL,
			Description: v.Description, Note: v.Note,
		}
		out, err = bare.AppendXML(nil)
		require.NoError(t, err)
		el, err = stream.ParseElement(out, &stream.Limits{ElementBytes: 1 << 24})
		require.NoError(t, err)
		var third vcard.VCard
		require.NoError(t, third.DecodeElement(el))
		require.Equal(t, v.FullName, third.FullName)
		require.Equal(t, v.Name, third.Name)
		require.Equal(t, len(v.Phones), len(third.Phones))
		require.Equal(t, v.Addresses, third.Addresses)
		require.Equal(t, v.Organization, third.Organization)
	})
}
