package xmpp_test

import (
	"maps"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// situations are what can be the case at juliet@xmpp.test: her resources, and what
// each of them says of its priority. "" is one that is connected and not available.
// Without an entry there is no such account.
var situations = map[string][][2]string{
	"offline":   {},
	"connected": {{"plain", ""}},
	"negative":  {{"low", "-5"}},
	"negatives": {{"low", "-1"}, {"lower", "-128"}},
	"one":       {{"a", "0"}},
	"equal":     {{"a", "3"}, {"b", "3"}},
	"different": {{"a", "127"}, {"b", "0"}},
	"mix":       {{"a", "7"}, {"b", "0"}, {"low", "-1"}, {"plain", ""}},
	"equal mix": {{"a", "5"}, {"b", "5"}, {"c", "1"}, {"low", "-1"}, {"plain", ""}},
}

// relations are what romeo, who sends, can be to juliet.
var relations = []string{
	"stranger",
	"subscriber", // sees her presence
	"publisher",  // she sees his, which gives him nothing
	"directed",   // her first resource has sent him directed presence
	"own",        // a resource of her own that is connected and not available
}

const (
	julietJID = "juliet@xmpp.test"
	tybaltJID = "tybalt@xmpp.test/street"
)

// scene is a situation with its people. Nothing is under way in it.
type scene struct {
	t      testing.TB
	s      *xmpptest.Server
	peers  map[string]*peer // juliet's resources by name, and "tybalt", who is nobody's business
	sender *peer            // also in peers as "sender"
}

// stage sets up a scene inside a bubble.
func stage(t *testing.T, situation, relation string, configure ...func(*xmpp.Server)) *scene {
	t.Helper()
	rosters := new(roster.MemoryStore)
	know := func(account, contact string, state roster.State) {
		_, err := rosters.Put(t.Context(), address(account), roster.Item{JID: address(contact), State: state})
		require.NoError(t, err)
	}
	switch relation {
	case "subscriber":
		know(julietJID, "romeo@xmpp.test", roster.From)
		know("romeo@xmpp.test", julietJID, roster.To)
	case "publisher":
		know(julietJID, "romeo@xmpp.test", roster.To)
		know("romeo@xmpp.test", julietJID, roster.From)
	}
	c := &scene{t: t, peers: map[string]*peer{}}
	c.s = memoryServer(t, func(s *xmpp.Server) {
		s.Rosters = rosters
		for _, f := range configure {
			f(s)
		}
	})
	resources, exists := situations[situation]
	if exists {
		c.s.AddAccount(t, "juliet", "secret of juliet")
	}
	if relation == "own" {
		c.sender = join(t, c.s, "juliet", "self")
	} else {
		c.sender = join(t, c.s, "romeo", "orchard")
		c.sender.say(`<presence/>`)
	}
	c.peers["sender"] = c.sender
	c.peers["tybalt"] = join(t, c.s, "tybalt", "street")
	c.peers["tybalt"].say(`<presence/>`)
	for i, r := range resources {
		p := join(t, c.s, "juliet", r[0])
		c.peers[r[0]] = p
		if r[1] != "" {
			p.say(`<presence id='` + r[0] + `'><show>away</show><priority>` + r[1] + `</priority></presence>`)
		}
		if relation == "directed" && i == 0 {
			p.say(`<presence to='` + c.sender.LocalAddr().String() + `'/>`)
		}
	}
	c.heard()
	return c
}

// matches are the resources of juliet that can be addressed.
func (c *scene) matches() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.peers)), func(name string) bool { return name == "sender" || name == "tybalt" })
}

// heard returns what each has heard since it was called last, in the notation of
// look; who has heard nothing is left out.
func (c *scene) heard() map[string][]string {
	c.t.Helper()
	synctest.Wait()
	out := map[string][]string{}
	for name, p := range c.peers {
		for len(p.in) > 0 {
			out[name] = append(out[name], look(<-p.in))
		}
	}
	return out
}

// expect says something as the sender and requires that these, and nobody else,
// hear something of it.
func (c *scene) expect(xml string, want map[string][]string) {
	c.t.Helper()
	c.sender.say(xml)
	require.Equal(c.t, want, c.heard(), xml)
}

// all maps names to the same thing heard.
func all(names []string, what string) map[string][]string {
	out := map[string][]string{}
	for _, name := range names {
		out[name] = []string{what}
	}
	return out
}

// messagesOf lets a new resource of juliet become available, and returns the
// messages that it gets.
func (c *scene) messagesOf(resource string) []string {
	c.t.Helper()
	p := join(c.t, c.s, "juliet", resource)
	p.say(`<presence/>`)
	synctest.Wait()
	var out []string
	for len(p.in) > 0 {
		if el := <-p.in; stanza.KindOf(el.Name()) == stanza.MessageKind {
			require.Contains(c.t, string(el.Raw()), "urn:xmpp:delay", "XEP-0160: with the time")
			out = append(out, look(el))
		}
	}
	p.Abort(errOver)
	synctest.Wait()
	c.heard()
	return out
}

// full is an address of juliet.
func full(resource string) string {
	return jid.MustParse(julietJID).String() + "/" + resource
}

// roundOf hands what has come to a function.
func (p *peer) roundOf(f func(el *stream.Element)) {
	synctest.Wait()
	for len(p.in) > 0 {
		f(<-p.in)
	}
}
