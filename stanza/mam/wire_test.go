package mam_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/rsm"
	"stanzakit.dev/xmpp/stream"
)

// XEP-0313 examples 2, 6 to 12, 18 and 22: what a query looks like.
func TestQueryXML(t *testing.T) {
	no := false
	for want, q := range map[string]mam.Query{
		"<query xmlns='urn:xmpp:mam:2'/>":                                     {},
		"<query xmlns='urn:xmpp:mam:2' queryid='f27'/>":                       {ID: "f27"},
		"<query xmlns='urn:xmpp:mam:2'><flip-page/></query>":                  {Flip: true},
		queryOf(field("with", "juliet@capulet.lit")):                          {Filter: mam.Filter{With: juliet}},
		queryOf(field("ids", "28482-98726-73623")):                            {Filter: mam.Filter{IDs: []string{"28482-98726-73623"}}},
		queryOf(field("include-groupchat", "0")):                              {Groupchat: &no},
		queryOf(field("after-id", "a") + field("before-id", "b")):             {Filter: mam.Filter{AfterID: "a", BeforeID: "b"}},
		queryOf(field("start", "2010-08-07T00:00:00Z"), set("<max>10</max>")): {Filter: mam.Filter{Start: time.Date(2010, 8, 7, 0, 0, 0, 0, time.UTC)}, Page: rsm.Forward(10, "")},
		queryOf(field("start", "2010-06-07T00:00:00Z") + field("end", "2010-07-07T13:23:54Z")): {
			Filter: mam.Filter{Start: time.Date(2010, 6, 7, 0, 0, 0, 0, time.UTC), End: time.Date(2010, 7, 7, 13, 23, 54, 0, time.UTC)},
		},
	} {
		require.Equal(t, want, xmlOf(t, &q))
		var got mam.Query
		require.NoError(t, got.DecodeElement(element(t, want)))
		require.Equal(t, q, got)
	}
	for _, q := range []mam.Query{
		{ID: strings.Repeat("x", 1025)},
		{Filter: mam.Filter{IDs: make([]string, mam.MaxIDs+1)}},
	} {
		_, err := q.AppendXML(nil)
		require.ErrorIs(t, err, stanza.ErrInvalid)
	}
	for _, q := range []mam.Query{
		{Filter: mam.Filter{Start: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}},
		{Filter: mam.Filter{End: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}},
	} {
		_, err := q.AppendXML(nil)
		require.Error(t, err)
	}
}

func queryOf(fields string, more ...string) string {
	return strings.Replace(filtered(fields, more...), " queryid='f27'", "", 1)
}

const exampleResult = "<result xmlns='urn:xmpp:mam:2' queryid='f27' id='28482-98726-73623'>" +
	"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>" +
	"<message xmlns='jabber:client' to='juliet@capulet.lit/balcony' from='romeo@montague.lit/orchard' type='chat'>" +
	"<body>Call me but love</body></message></forwarded></result>"

// XEP-0313 §4.2, example 15.
func TestResultXML(t *testing.T) {
	var r mam.Result
	require.NoError(t, r.DecodeElement(element(t, exampleResult)))
	require.Equal(t, "f27", r.QueryID)
	require.Equal(t, "28482-98726-73623", r.ID)
	require.Equal(t, time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC), r.Time)
	require.Equal(t, orchard, r.Message.From)
	require.Equal(t, "Call me but love", r.Message.Body.String())

	const forwarded = "<forwarded xmlns='urn:xmpp:forward:0'>"
	for xml, want := range map[string]error{
		strings.Replace(exampleResult, " id='28482-98726-73623'", "", 1):                                                stanza.BadRequest,
		strings.Replace(exampleResult, "28482", strings.Repeat("x", 1025), 1):                                           stanza.BadRequest,
		strings.Replace(exampleResult, "f27", strings.Repeat("x", 1025), 1):                                             stanza.BadRequest,
		"<result xmlns='urn:xmpp:mam:2' id='1'/>":                                                                       stanza.BadRequest,
		"<result xmlns='urn:xmpp:mam:1' id='1'/>":                                                                       stanza.BadRequest,
		strings.Replace(exampleResult, "2010-07-10T23:08:25Z", "x", 1):                                                  stanza.BadRequest,
		"<result xmlns='urn:xmpp:mam:2' id='1'>" + forwarded + "<presence xmlns='jabber:client'/></forwarded></result>": stanza.BadRequest,
		"<result xmlns='urn:xmpp:mam:2' id='1'>" + forwarded + "<delay xmlns='urn:xmpp:delay'/></forwarded></result>":   stanza.BadRequest,
		strings.Replace(exampleResult, "romeo@", "@", 1):                                                                stanza.JIDMalformed,
	} {
		require.ErrorIs(t, r.DecodeElement(element(t, xml)), want, xml)
		require.Equal(t, mam.Result{}, r)
	}
	// §3.2: the message may be omitted; §4.2: the delay SHOULD be there.
	require.NoError(t, r.DecodeElement(element(t, "<result xmlns='urn:xmpp:mam:2' id='1'>"+forwarded+"</forwarded></result>")))
	require.Equal(t, mam.Result{ID: "1"}, r)
}

// XEP-0313 §4.3.2, examples 4 and 21.
func TestFinXML(t *testing.T) {
	zero, count := 0, 16
	page := rsm.Result{First: "23452-4534-1", Last: "390-2342-22", Index: &zero, Count: &count}
	const inside = "<set xmlns='http://jabber.org/protocol/rsm'><first index='0'>23452-4534-1</first><last>390-2342-22</last><count>16</count></set></fin>"
	for xml, want := range map[string]mam.Fin{
		"<fin xmlns='urn:xmpp:mam:2'>" + inside:                                {Page: page},
		"<fin xmlns='urn:xmpp:mam:2' complete='true'>" + inside:                {Complete: true, Page: page},
		"<fin xmlns='urn:xmpp:mam:2' complete='true' stable='false'>" + inside: {Complete: true, Unstable: true, Page: page},
	} {
		require.Equal(t, xml, xmlOf(t, &want))
		var got mam.Fin
		require.NoError(t, got.DecodeElement(element(t, xml)))
		require.Equal(t, want, got)
	}
	for xml, complete := range map[string]bool{"complete='1' stable='1'": true, "complete='0' stable='true'": false, "complete='false'": false, "complete='x'": false} {
		var got mam.Fin
		require.NoError(t, got.DecodeElement(element(t, "<fin xmlns='urn:xmpp:mam:2' "+xml+">"+inside)))
		require.Equal(t, mam.Fin{Complete: complete, Page: page}, got)
	}
}

// XEP-0313 §5, example 24.
func TestMetadataXML(t *testing.T) {
	const example = "<metadata xmlns='urn:xmpp:mam:2'><start id='YWxwaGEg' timestamp='2008-08-22T21:09:04Z'/>" +
		"<end id='b21lZ2Eg' timestamp='2020-04-20T14:34:21Z'/></metadata>"
	want := mam.Metadata{
		Start: &mam.Mark{ID: "YWxwaGEg", Time: time.Date(2008, 8, 22, 21, 9, 4, 0, time.UTC)},
		End:   &mam.Mark{ID: "b21lZ2Eg", Time: time.Date(2020, 4, 20, 14, 34, 21, 0, time.UTC)},
	}
	require.Equal(t, example, xmlOf(t, &want))
	var got mam.Metadata
	require.NoError(t, got.DecodeElement(element(t, example)))
	require.Equal(t, want, got)
	_, err := (&mam.Metadata{Start: want.Start}).AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)
	_, err = (&mam.Metadata{Start: &mam.Mark{Time: time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)}, End: want.End}).AppendXML(nil)
	require.Error(t, err)
	const start = "<start id='1' timestamp='2008-08-22T21:09:04Z'/>"
	const end = "<end id='1' timestamp='2008-08-22T21:09:04Z'/>"
	for _, inside := range []string{
		start, end, start + start + end, start + "<end timestamp='2008-08-22T21:09:04Z'/>", start + "<end id='1'/>", start + "<end id='1' timestamp='x'/>",
	} {
		require.ErrorIs(t, got.DecodeElement(element(t, "<metadata xmlns='urn:xmpp:mam:2'>"+inside+"</metadata>")), stanza.BadRequest, inside)
		require.Equal(t, mam.Metadata{}, got)
	}
}

// XEP-0441 §2.1, examples 2 and 4.
func TestPrefsXML(t *testing.T) {
	var p mam.Prefs
	require.NoError(t, p.DecodeElement(element(t, "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague.lit</jid>"+
		"<jid>ROMEO@montague.lit</jid><x/></always><never><jid>montague@montague.lit</jid></never></prefs>")))
	want := mam.Prefs{Default: mam.ArchiveRoster, Always: []jid.JID{romeo}, Never: []jid.JID{jid.MustParse("montague@montague.lit")}}
	require.Equal(t, want, p)
	// §2.1.2, §2.1.3: a list that is missing is empty.
	require.NoError(t, p.DecodeElement(element(t, "<prefs xmlns='urn:xmpp:mam:2' default='always'/>")))
	require.Equal(t, mam.Prefs{Default: mam.ArchiveAlways}, p)
	for _, p := range []*mam.Prefs{{}, {Default: "x"}, {Default: mam.ArchiveNever, Always: make([]jid.JID, mam.MaxPrefs), Never: []jid.JID{romeo}}} {
		_, err := p.AppendXML(nil)
		require.ErrorIs(t, err, stanza.ErrInvalid)
	}
	require.ErrorIs(t, p.DecodeElement(element(t, "<query xmlns='urn:xmpp:mam:2'/>")), stanza.BadRequest)
}

// decoders are everything that reads what a peer has written.
func decoders() []interface {
	stanza.Decoder
} {
	return []interface{ stanza.Decoder }{new(mam.Query), new(mam.Result), new(mam.Fin), new(mam.Metadata), new(mam.Prefs)}
}

// What is decoded can be written, and reads the same again.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		exampleResult,
		"<query xmlns='urn:xmpp:mam:2' queryid='f27'/>",
		"<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>" +
			"<field var='start'><value>2010-08-07T00:00:00Z</value></field><field var='with'><value>a@b</value></field></x>" +
			"<set xmlns='http://jabber.org/protocol/rsm'><max>10</max><after>1</after></set><flip-page/></query>",
		"<fin xmlns='urn:xmpp:mam:2' complete='true'><set xmlns='http://jabber.org/protocol/rsm'><first index='0'>1</first><last>2</last><count>16</count></set></fin>",
		"<metadata xmlns='urn:xmpp:mam:2'><start id='1' timestamp='2008-08-22T21:09:04Z'/><end id='2' timestamp='2020-04-20T14:34:21Z'/></metadata>",
		"<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague.lit</jid></always><never/></prefs>",
		"<message xmlns='jabber:client' from='a@b'>" + exampleResult + "</message>",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		for i, d := range decoders() {
			if d.DecodeElement(el) != nil {
				continue
			}
			p, ok := d.(stanza.Payload)
			if !ok {
				continue
			}
			out, err := p.AppendXML(nil)
			if err != nil {
				t.Fatalf("%T cannot be written: %v", d, err)
			}
			again, err := stream.ParseElement(out, nil)
			if err != nil {
				t.Fatalf("%T: %v: %s", d, err, out)
			}
			e := decoders()[i]
			if err := e.DecodeElement(again); err != nil {
				t.Fatalf("%T: %v: %s", d, err, out)
			}
			require.Equal(t, d, e)
		}
		var msg stanza.Message
		if msg.DecodeElement(el) == nil {
			new(mam.Client).Take(&msg)
		}
	})
}
