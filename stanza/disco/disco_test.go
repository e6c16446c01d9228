package disco_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stream"
)

var plays = jid.MustParse("plays.shakespeare.lit")

// parse reads an element as it is printed in the specification.
func parse(t testing.TB, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err, "%s", xml)
	return el
}

// inStream declares the content namespace on a stanza.
func inStream(xml string) string { return "<iq xmlns='jabber:client'" + xml[len("<iq"):] }

// peer answers each request with the reply of an example.
type peer struct {
	t     *testing.T
	reply string
	err   error
	asked string
}

func (p *peer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	q := *iq
	q.ID = "id"
	b, err := q.AppendXML(nil)
	require.NoError(p.t, err)
	p.asked = string(b)
	if p.err != nil {
		return nil, p.err
	}
	st, err := stanza.Decode(parse(p.t, inStream(p.reply)))
	require.NoError(p.t, err)
	return st.(*stanza.IQ), nil
}

// XEP-0030 example 2.
const example2 = `<iq type='result'
    from='plays.shakespeare.lit'
    to='romeo@montague.net/orchard'
    id='info1'>
  <query xmlns='http://jabber.org/protocol/disco#info'>
    <identity
        category='conference'
        type='text'
        name='Play-Specific Chatrooms'/>
    <identity
        category='directory'
        type='chatroom'
        name='Play-Specific Chatrooms'/>
    <feature var='http://jabber.org/protocol/disco#info'/>
    <feature var='http://jabber.org/protocol/disco#items'/>
    <feature var='http://jabber.org/protocol/muc'/>
    <feature var='jabber:iq:register'/>
    <feature var='jabber:iq:search'/>
    <feature var='jabber:iq:time'/>
    <feature var='jabber:iq:version'/>
  </query>
</iq>`

// XEP-0030 §3.1, examples 1 and 2.
func TestGetInfo(t *testing.T) {
	p := &peer{t: t, reply: example2}
	info, err := disco.GetInfo(t.Context(), p, plays, "")
	require.NoError(t, err)
	require.Equal(t, `<iq id='id' to='plays.shakespeare.lit' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`, p.asked)
	require.Equal(t, []disco.Identity{
		{Category: "conference", Type: "text", Name: "Play-Specific Chatrooms"},
		{Category: "directory", Type: "chatroom", Name: "Play-Specific Chatrooms"},
	}, info.Identities)
	require.Len(t, info.Features, 7)
	require.True(t, info.Has("jabber:iq:search"))
	require.False(t, info.Has("jabber:iq:last"))
	require.True(t, info.Is("conference", "text"))
	require.True(t, info.Is("conference", ""))
	require.False(t, info.Is("conference", "irc"))

	// Nobody is no entity.
	var none *disco.Info
	require.False(t, none.Has(disco.NSInfo))
	require.False(t, none.Is("client", ""))
}

// XEP-0030 §3.2, examples 13 and 14: the node of the request, and of the answer.
func TestGetInfoNode(t *testing.T) {
	reply := `<iq type='result' from='mim.shakespeare.lit' to='romeo@montague.net/orchard' id='info3'>
  <query xmlns='http://jabber.org/protocol/disco#info'%s>
    <identity category='automation' type='command-list'/>
  </query>
</iq>`
	const node = "http://jabber.org/protocol/commands"
	for _, tt := range []struct {
		name, attr string
		ok         bool
	}{
		{"mirrored", " node='" + node + "'", true},
		{"left out", "", true},
		{"another", " node='other'", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := &peer{t: t, reply: fmt.Sprintf(reply, tt.attr)}
			info, err := disco.GetInfo(t.Context(), p, jid.MustParse("mim.shakespeare.lit"), node)
			require.Contains(t, p.asked, "<query xmlns='http://jabber.org/protocol/disco#info' node='"+node+"'/>")
			if !tt.ok {
				require.ErrorIs(t, err, stanza.BadRequest)
				return
			}
			require.NoError(t, err)
			require.Equal(t, node, info.Node)
			require.True(t, info.Is("automation", "command-list"))
			// §3.1: support is inferred.
			require.Empty(t, info.Features)
			require.True(t, info.Has(disco.NSInfo))
		})
	}
}

// XEP-0030 §4.1, examples 15 to 17, and §4.2, examples 20 to 23.
func TestGetItems(t *testing.T) {
	p := &peer{t: t, reply: `<iq type='result' from='catalog.shakespeare.lit' to='romeo@montague.net/orchard' id='items4'>
  <query xmlns='http://jabber.org/protocol/disco#items'
         node='music/D'>
    <item jid='catalog.shakespeare.lit'
          node='music/D/dowland-firstbooke'
          name='John Dowland - First Booke of Songes or Ayres'/>
    <unknown xmlns='urn:x'/>
    <item jid='people.shakespeare.lit'><x xmlns='urn:x'/></item>
  </query>
</iq>`}
	items, err := disco.GetItems(t.Context(), p, jid.MustParse("catalog.shakespeare.lit"), "music/D")
	require.NoError(t, err)
	require.Equal(t, `<iq id='id' to='catalog.shakespeare.lit' type='get'><query xmlns='http://jabber.org/protocol/disco#items' node='music/D'/></iq>`, p.asked)
	require.Equal(t, &disco.Items{Node: "music/D", Items: []disco.Item{
		{JID: jid.MustParse("catalog.shakespeare.lit"), Node: "music/D/dowland-firstbooke", Name: "John Dowland - First Booke of Songes or Ayres"},
		{JID: jid.MustParse("people.shakespeare.lit")},
	}}, items)

	// Example 17: an empty result is an answer.
	p = &peer{t: t, reply: `<iq type='result' id='items1'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`}
	items, err = disco.GetItems(t.Context(), p, jid.MustParse("shakespeare.lit"), "")
	require.NoError(t, err)
	require.Empty(t, items.Items)
}

// What a reply can have wrong, and what somebody else says instead of one.
func TestGetErrors(t *testing.T) {
	query := func(ns, inner string) string {
		return "<iq type='result' id='x'><query xmlns='http://jabber.org/protocol/disco#" + ns + "'>" + inner + "</query></iq>"
	}
	long := strings.Repeat("x", 5000)
	for _, tt := range []struct {
		name, ns, reply string
		is              stanza.Condition
	}{
		{"no payload", "info", "<iq type='result' id='x'/>", stanza.BadRequest},
		{"another payload", "info", query("items", ""), stanza.BadRequest},
		{"no category", "info", query("info", "<identity type='a'/>"), stanza.BadRequest},
		{"empty category", "info", query("info", "<identity category='' type='a'/>"), stanza.BadRequest},
		{"no type", "info", query("info", "<identity category='a'/>"), stanza.BadRequest},
		{"no var", "info", query("info", "<feature/>"), stanza.BadRequest},
		{"empty var", "info", query("info", "<feature var=''/>"), stanza.BadRequest},
		{"long var", "info", query("info", "<feature var='"+long+"'/>"), stanza.BadRequest},
		{"long name", "info", query("info", "<identity category='a' type='b' name='"+long+"'/>"), stanza.BadRequest},
		{"long language", "info", query("info", "<identity category='a' type='b' xml:lang='"+long+"'/>"), stanza.BadRequest},
		{"too many identities", "info", query("info", strings.Repeat("<identity category='a' type='b'/>", disco.MaxIdentities+1)), stanza.BadRequest},
		{"too many features", "info", query("info", strings.Repeat("<feature var='a'/>", disco.MaxFeatures+1)), stanza.BadRequest},
		{"another payload", "items", query("info", ""), stanza.BadRequest},
		{"no jid", "items", query("items", "<item/>"), stanza.BadRequest},
		{"empty jid", "items", query("items", "<item jid=''/>"), stanza.BadRequest},
		{"malformed jid", "items", query("items", "<item jid='@'/>"), stanza.JIDMalformed},
		{"long node", "items", query("items", "<item jid='a' node='"+long+"'/>"), stanza.BadRequest},
		{"too many items", "items", query("items", strings.Repeat("<item jid='a'/>", disco.MaxItems+1)), stanza.BadRequest},
	} {
		t.Run(tt.ns+" "+tt.name, func(t *testing.T) {
			p := &peer{t: t, reply: tt.reply}
			var err error
			if tt.ns == "info" {
				_, err = disco.GetInfo(t.Context(), p, plays, "")
			} else {
				_, err = disco.GetItems(t.Context(), p, plays, "")
			}
			require.ErrorIs(t, err, tt.is)
			e, ok := errors.AsType[*stanza.Error](err)
			require.True(t, ok)
			require.False(t, e.Received)
		})
	}
	refused := &stanza.Error{Condition: stanza.ItemNotFound, Received: true}
	_, err := disco.GetInfo(t.Context(), &peer{t: t, err: refused}, plays, "")
	require.ErrorIs(t, err, stanza.ItemNotFound)
	_, err = disco.GetItems(t.Context(), &peer{t: t, err: refused}, plays, "")
	require.ErrorIs(t, err, stanza.ItemNotFound)
}

// What is not written, since it must not be sent.
func TestInvalid(t *testing.T) {
	for name, p := range map[string]stanza.Payload{
		"no category":      &disco.Info{Identities: []disco.Identity{{Type: "pc"}}},
		"no type":          &disco.Info{Identities: []disco.Identity{{Category: "client"}}},
		"two names (§3.1)": &disco.Info{Identities: []disco.Identity{{Category: "a", Type: "b", Name: "x"}, {Category: "a", Type: "b", Name: "y"}}},
		"empty feature":    &disco.Info{Features: []string{""}},
		"many features":    &disco.Info{Features: make([]string, disco.MaxFeatures+1)},
		"many identities":  &disco.Info{Identities: make([]disco.Identity, disco.MaxIdentities+1)},
		"no jid":           &disco.Items{Items: []disco.Item{{Name: "x"}}},
		"many items":       &disco.Items{Items: make([]disco.Item, disco.MaxItems+1)},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := p.AppendXML([]byte("before"))
			require.ErrorIs(t, err, stanza.ErrInvalid)
			require.Equal(t, "before", string(b))
		})
	}
	// §3.1: the same identity in several languages is fine.
	b, err := (&disco.Info{Identities: []disco.Identity{
		{Category: "a", Type: "b", Lang: "en", Name: "x<"},
		{Category: "a", Type: "b", Lang: "de", Name: "y"},
	}}).AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<query xmlns='http://jabber.org/protocol/disco#info'>`+
		`<identity xml:lang='en' category='a' type='b' name='x&lt;'/><identity xml:lang='de' category='a' type='b' name='y'/></query>`, string(b))
}

// FuzzDecode: decoding never panics, and what was decoded means the same after
// it was written and decoded again.
func FuzzDecode(f *testing.F) {
	for _, xml := range []string{
		`<query xmlns='http://jabber.org/protocol/disco#info' node='n'><identity category='a' type='b' xml:lang='c' name='d'/><feature var='e'/></query>`,
		`<query xmlns='http://jabber.org/protocol/disco#items' node='n'><item jid='a@b/c' node='d' name='e'/></query>`,
		`<query xmlns='http://jabber.org/protocol/disco#items'><item jid=''/></query>`,
		`<query xmlns='http://jabber.org/protocol/disco#info'><feature/></query>`,
		`<query xmlns='http://jabber.org/protocol/disco#info'><x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>a</value></field></x></query>`,
		`<q:query xmlns:q='http://jabber.org/protocol/disco#info'><q:identity category='a' type='b'/><q:identity category='a' type='b'/></q:query>`,
	} {
		f.Add([]byte(xml))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		info := new(disco.Info)
		if again := new(disco.Info); roundTrip(t, el, info, again) {
			require.Equal(t, info, again)
		}
		items := new(disco.Items)
		if again := new(disco.Items); roundTrip(t, el, items, again) {
			require.Equal(t, items, again)
		}
	})
}

// codec is a payload that reads itself.
type codec interface {
	stanza.Payload
	stanza.Decoder
}

// roundTrip reads el into a, writes that and reads it into b. It reports whether
// el could be read and written.
func roundTrip(t *testing.T, el *stream.Element, a, b codec) bool {
	if err := a.DecodeElement(el); err != nil {
		_, ok := errors.AsType[*stanza.Error](err)
		require.True(t, ok, "%v", err)
		return false
	}
	wire, err := a.AppendXML(nil)
	if err != nil { // two identities that differ in nothing
		require.ErrorIs(t, err, stanza.ErrInvalid)
		return false
	}
	require.NoError(t, b.DecodeElement(parse(t, string(wire))), "%s", wire)
	return true
}
