package roster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// parse reads XML with nothing declared around it.
func parse(t testing.TB, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err)
	return el
}

func entry(j, name string, s roster.State, groups ...string) roster.Entry {
	return roster.Entry{Item: roster.Item{JID: jid.MustParse(j), Name: name, State: s, Groups: groups}}
}

// The queries of RFC 6121, as printed there, and what is written for them.
//
//conformance:proves 6121-2.1.2.5-1
func TestQuery(t *testing.T) {
	for name, tt := range map[string]struct {
		xml     string
		want    roster.Query
		written string // "" is xml
	}{
		"§2.1.3 get": {`<query xmlns='jabber:iq:roster'/>`, roster.Query{}, ""},
		"§2.6.2 get": {
			`<query xmlns='jabber:iq:roster' ver='ver14'/>`, roster.Query{Ver: "ver14", Versioned: true}, "",
		},
		"§2.6.2 nothing is cached": {`<query xmlns='jabber:iq:roster' ver=''/>`, roster.Query{Versioned: true}, ""},
		"§2.1.4 result": {
			`<query xmlns='jabber:iq:roster' ver='ver7'>
         <item jid='nurse@example.com'/>
         <item jid='romeo@example.net'/>
       </query>`,
			roster.Query{Ver: "ver7", Versioned: true, Items: []roster.Entry{
				entry("nurse@example.com", "", roster.None), entry("romeo@example.net", "", roster.None),
			}},
			`<query xmlns='jabber:iq:roster' ver='ver7'><item jid='nurse@example.com' subscription='none'/><item jid='romeo@example.net' subscription='none'/></query>`,
		},
		"§2.2 result": {
			`<query xmlns='jabber:iq:roster' ver='ver11'>
          <item jid='romeo@example.net'
                name='Romeo'
                subscription='both'>
            <group>Friends</group>
          </item>
          <item jid='mercutio@example.com'
                name='Mercutio'
                subscription='from'/>
          <item jid='benvolio@example.net'
                name='Benvolio'
                subscription='both'/>
        </query>`,
			roster.Query{Ver: "ver11", Versioned: true, Items: []roster.Entry{
				entry("romeo@example.net", "Romeo", roster.Both, "Friends"),
				entry("mercutio@example.com", "Mercutio", roster.From),
				entry("benvolio@example.net", "Benvolio", roster.Both),
			}},
			`<query xmlns='jabber:iq:roster' ver='ver11'><item jid='romeo@example.net' name='Romeo' subscription='both'><group>Friends</group></item>` +
				`<item jid='mercutio@example.com' name='Mercutio' subscription='from'/><item jid='benvolio@example.net' name='Benvolio' subscription='both'/></query>`,
		},
		"§2.6.3 removed": {
			`<query xmlns='jabber:iq:roster' ver='ver34'><item jid='tybalt@example.org' subscription='remove'/></query>`,
			roster.Query{Ver: "ver34", Versioned: true, Items: []roster.Entry{{Item: roster.Item{JID: jid.MustParse("tybalt@example.org")}, Remove: true}}}, "",
		},
		"§3.1.2 pending": {
			`<query xmlns='jabber:iq:roster'><item ask='subscribe' jid='juliet@example.com' subscription='none'/></query>`,
			roster.Query{Items: []roster.Entry{entry("juliet@example.com", "", roster.PendingOut)}},
			`<query xmlns='jabber:iq:roster'><item jid='juliet@example.com' subscription='none' ask='subscribe'/></query>`,
		},
		"§3.4.2 approved": {
			`<query xmlns='jabber:iq:roster'><item approved='true' jid='juliet@example.com' subscription='none'/></query>`,
			roster.Query{Items: []roster.Entry{entry("juliet@example.com", "", roster.Approved)}},
			`<query xmlns='jabber:iq:roster'><item jid='juliet@example.com' subscription='none' approved='true'/></query>`,
		},
		"§2.1.2.5 values that do not exist": {
			`<query xmlns='jabber:iq:roster'><item jid='a@x' subscription='BOTH' ask='unsubscribe' approved='yes'/><item jid='b@x' subscription=' to'/><item jid='c@x' subscription=''/></query>`,
			roster.Query{Items: []roster.Entry{entry("a@x", "", roster.None), entry("b@x", "", roster.None), entry("c@x", "", roster.None)}},
			`<query xmlns='jabber:iq:roster'><item jid='a@x' subscription='none'/><item jid='b@x' subscription='none'/><item jid='c@x' subscription='none'/></query>`,
		},
		"other people's elements, groups twice and without a name, text to escape": {
			`<q:query xmlns:q='jabber:iq:roster' xmlns:o='urn:o' o:ver='1'><o:item jid='!'/><q:item jid='A@X' name='&lt;&#39;'><o:group>o</o:group><q:group>a</q:group><q:group/><q:group>a</q:group><q:group>&amp;</q:group></q:item></q:query>`,
			roster.Query{Items: []roster.Entry{entry("a@x", "<'", roster.None, "a", "&")}},
			`<query xmlns='jabber:iq:roster'><item jid='a@x' name='&lt;&apos;' subscription='none'><group>a</group><group>&amp;</group></item></query>`,
		},
		"xs:boolean, and text at its bounds": {
			`<query xmlns='jabber:iq:roster' ver='` + strings.Repeat("v", 4096) + `'><item jid='a@x' name='` + strings.Repeat("n", 4096) + `' approved='1'><group>` + strings.Repeat("g", 4096) + `</group></item></query>`,
			roster.Query{Ver: strings.Repeat("v", 4096), Versioned: true, Items: []roster.Entry{
				entry("a@x", strings.Repeat("n", 4096), roster.Approved, strings.Repeat("g", 4096)),
			}},
			`<query xmlns='jabber:iq:roster' ver='` + strings.Repeat("v", 4096) + `'><item jid='a@x' name='` + strings.Repeat("n", 4096) + `' subscription='none' approved='true'><group>` + strings.Repeat("g", 4096) + `</group></item></query>`,
		},
		"states that do not exist": {
			`<query xmlns='jabber:iq:roster'><item jid='a@x' subscription='both' ask='subscribe' approved='1'/></query>`,
			roster.Query{Items: []roster.Entry{entry("a@x", "", roster.Both)}},
			`<query xmlns='jabber:iq:roster'><item jid='a@x' subscription='both'/></query>`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var q roster.Query
			require.NoError(t, q.DecodeElement(parse(t, tt.xml)))
			require.Equal(t, tt.want, q)
			if tt.written == "" {
				tt.written = tt.xml
			}
			b, err := q.AppendXML(nil)
			require.NoError(t, err)
			require.Equal(t, tt.written, string(b))
		})
	}
}

// A request that is pending is not the roster's to show: RFC 6121 §A.1 state 3.
func TestQueryHidesRequests(t *testing.T) {
	q := roster.Query{Items: []roster.Entry{{Item: roster.Item{JID: romeo, State: roster.To | roster.PendingIn, Request: []byte("<presence/>")}}}}
	b, err := q.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<query xmlns='jabber:iq:roster'><item jid='romeo@example.net' subscription='to'/></query>`, string(b))
}

func TestQueryErrors(t *testing.T) {
	const ns = "<query xmlns='jabber:iq:roster'"
	for name, tt := range map[string]struct {
		xml  string
		want stanza.Condition
	}{
		"another element":   {"<item xmlns='jabber:iq:roster'/>", stanza.BadRequest},
		"another namespace": {"<query xmlns='jabber:iq:private'/>", stanza.BadRequest},
		"§2.1.2.3 no jid":   {ns + "><item/></query>", stanza.BadRequest},
		"empty jid":         {ns + "><item jid=''/></query>", stanza.JIDMalformed},
		"malformed jid":     {ns + "><item jid='@x'/></query>", stanza.JIDMalformed},
		"§2.1.4 twice":      {ns + "><item jid='a@x'/><item jid='A@X'/></query>", stanza.BadRequest},
		"long version":      {ns + " ver='" + strings.Repeat("v", 4097) + "'/>", stanza.NotAcceptable},
		"long name":         {ns + "><item jid='a@x' name='" + strings.Repeat("n", 4097) + "'/></query>", stanza.NotAcceptable},
		"long group":        {ns + "><item jid='a@x'><group>" + strings.Repeat("n", 4097) + "</group></item></query>", stanza.NotAcceptable},
		"many groups":       {ns + "><item jid='a@x'>" + strings.Repeat("<group>g</group>", 257) + "</item></query>", stanza.NotAcceptable},
	} {
		t.Run(name, func(t *testing.T) {
			q := roster.Query{Ver: "old", Items: []roster.Entry{entry("a@x", "", roster.None)}}
			err := q.DecodeElement(parse(t, tt.xml))
			require.ErrorIs(t, err, tt.want)
			require.Equal(t, roster.Query{}, q)
		})
	}
	var q roster.Query
	require.ErrorIs(t, q.DecodeElement(nil), stanza.BadRequest)

	var b strings.Builder
	b.WriteString(ns + ">")
	for i := range 16_385 {
		fmt.Fprintf(&b, "<item jid='c%d@x'/>", i)
	}
	b.WriteString("</query>")
	el, err := stream.ParseElement([]byte(b.String()), &stream.Limits{ElementBytes: 1 << 20, Elements: 20_000})
	require.NoError(t, err)
	require.ErrorIs(t, q.DecodeElement(el), stanza.NotAcceptable)
	require.Empty(t, q.Items)
}

// Text that XML cannot express is an error and no half of a query.
func TestQueryCannotBeWritten(t *testing.T) {
	q := roster.Query{Items: []roster.Entry{entry("a@x", "\x00", roster.None)}}
	b, err := q.AppendXML([]byte("before"))
	require.Error(t, err)
	require.Equal(t, "before", string(b))
}

func FuzzQuery(f *testing.F) {
	for _, xml := range []string{
		`<query xmlns='jabber:iq:roster'/>`,
		`<query xmlns='jabber:iq:roster' ver='ver11'><item jid='romeo@example.net' name='Romeo' subscription='both'><group>Friends</group></item><item jid='mercutio@example.com' subscription='from'/></query>`,
		`<query xmlns='jabber:iq:roster'><item ask='subscribe' jid='juliet@example.com' subscription='none'/></query>`,
		`<query xmlns='jabber:iq:roster'><item approved='true' jid='juliet@example.com'/></query>`,
		`<query xmlns='jabber:iq:roster'><item jid='nurse@example.com' subscription='remove'/></query>`,
		`<query xmlns='jabber:iq:roster'><item jid='a@x'><group/><group>a</group><group>a</group></item></query>`,
	} {
		f.Add([]byte(xml))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		iq := &stanza.IQ{ID: "1", Type: stanza.SetIQ, From: balcony, Payload: el}
		// What a server accepts is within its limits and fits an item.
		if e, err := roster.ParseSet(juliet, iq, nil); err == nil {
			item, err := e.Apply(roster.Item{JID: e.JID, Added: true})
			require.NoError(t, err)
			require.Equal(t, e.JID, item.JID)
			require.LessOrEqual(t, len(item.Groups), 64)
			require.NotContains(t, item.Groups, "")
			require.Equal(t, roster.None, item.State)
		}
		var q roster.Query
		if err := q.DecodeElement(el); err != nil {
			require.Equal(t, roster.Query{}, q)
			return
		}
		// What a client applies is all of a push or nothing of it.
		var l roster.List
		if _, _, err := l.Push(&q); err != nil {
			require.Zero(t, l.Len())
		}
		l.Replace(&q)
		require.Equal(t, len(q.Items), l.Len())
		// What was read is written and read again as the same.
		out, err := q.AppendXML(nil)
		require.NoError(t, err)
		var again roster.Query
		require.NoError(t, again.DecodeElement(parse(t, string(out))))
		for i := range q.Items {
			if q.Items[i].Remove { // of these the JID counts
				q.Items[i].Item = roster.Item{JID: q.Items[i].JID}
			}
		}
		require.Equal(t, q, again)
	})
}
