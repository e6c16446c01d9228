package xmpp_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

var iqTypes = map[string]string{
	"get": `<q xmlns='urn:q'/>`, "set": `<q xmlns='urn:q'/>`, "result": "",
	"error": `<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`,
}

// RFC 6121 §8.5.1, §8.5.2.1.3, §8.5.2.2.3, §8.5.3.1, §8.5.3.2.3: requests get to a
// resource only if it shares its presence with the sender, replies get there in any
// case, and what is for the account never gets to a resource.
//
//conformance:proves 6120-10.5.3.1-3 6120-10.5.3.2-5 6121-8.5.1-1 6121-8.5.2.1.3-1 6121-8.5.2.1.3-2 6121-8.5.2.1.3-4 6121-8.5.2.2.3-1 6121-8.5.2.2.3-3 6121-8.5.3.1-1 6121-8.5.3.1-2 6121-8.5.3.1-3
//conformance:proves 6121-8.5.3.2.3-1 6120-8.3.3.7-2 6120-8.3.3.7-3 6120-8.3.3.13-2 6120-8.3.3.13-3 6120-8.3.3.19-2
func TestIQDeliveryRFC6121Section8_5(t *testing.T) {
	situations := []string{"missing"}
	for name := range messageTable {
		if name != "missing" {
			situations = append(situations, name)
		}
	}
	for _, situation := range situations {
		for _, relation := range relations {
			if situation == "missing" && relation == "own" {
				continue
			}
			t.Run(situation+"/"+relation, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := stage(t, situation, relation)
					c.iq(julietJID, "", false)
					c.iq(full("absent"), "", false)
					for _, name := range c.matches() {
						shares := map[string]bool{"subscriber": true, "own": true, "directed": name == firstOf(situation)}[relation]
						c.iq(full(name), name, shares)
					}
				})
			})
		}
	}
}

func firstOf(situation string) string { return situations[situation][0][0] }

// iq sends an IQ of each type. Requests get to a resource only if it shares its
// presence; nobody has an answer on behalf of the account.
func (c *scene) iq(to, resource string, shares bool) {
	c.t.Helper()
	for typ, payload := range iqTypes {
		xml := `<iq type='` + typ + `' to='` + to + `' id='1'>` + payload + `</iq>`
		passed := "iq " + typ + " " + c.sender.LocalAddr().String() + "→" + to + " 1"
		if typ == "error" {
			passed += " gone"
		}
		request := typ == "get" || typ == "set"
		switch {
		case resource != "" && (shares || !request):
			c.expect(xml, all([]string{resource}, passed))
		case request:
			c.expect(xml, all([]string{"sender"}, "iq error "+to+"→"+c.sender.LocalAddr().String()+" 1 service-unavailable"))
		default:
			c.expect(xml, map[string][]string{})
		}
	}
}

// A subscription that has ended, and directed presence that was taken back, open
// nothing any more; nor does what was sent to another resource.
//
//conformance:proves 6121-8.5.3.1-1 6121-8.5.3.1-2
func TestIQSharingEndsRFC6121Section8_5_3_1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := stage(t, "mix", "subscriber")
		c.iq(full("plain"), "plain", true)
		c.peers["a"].say(`<presence type='unsubscribed' to='romeo@xmpp.test'/>`)
		c.heard()
		for _, name := range c.matches() {
			c.iq(full(name), name, false)
		}
		c.peers["low"].say(`<presence to='romeo@xmpp.test'/>`) // to the bare JID: to all of it
		c.heard()
		c.iq(full("low"), "low", true)
		c.iq(full("a"), "a", false)
		c.peers["low"].say(`<presence to='romeo@xmpp.test' type='unavailable'/>`)
		c.heard()
		c.iq(full("low"), "low", false)

		orchard := join(t, c.s, "romeo", "garden")
		orchard.say(`<presence/>`)
		c.peers["a"].say(`<presence to='romeo@xmpp.test/garden'/>`)
		c.heard()
		c.iq(full("a"), "a", false)
	})
}

// RFC 6120 §10.3.3, §10.5: requests for the own account and for the server itself
// are answered by it: what it understands and what it does not.
//
//conformance:proves 6120-8.1.1.1-4 6120-10.3-1 6120-10.3.3-1 6120-10.3.3-3 6120-10.3.3-4 6121-8.5.2.1.3-3 6121-8.5.2.2.3-2
func TestIQForTheServerRFC6120Section10(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := stage(t, "mix", "own")
		const ping, unknown = `<ping xmlns='urn:xmpp:ping'/>`, `<q xmlns='urn:q'/>`
		for _, to := range []string{"", julietJID, "xmpp.test", "xmpp.test/x"} {
			attr, from := "", "-"
			if to != "" {
				attr, from = ` to='`+to+`'`, to
			}
			c.sender.say(`<iq type='get' id='1'` + attr + `>` + ping + `</iq>`)
			got := c.heard()
			require.Len(t, got, 1, "the others hear nothing")
			// RFC 6120 §8.1.2.1 rule 4: without a from it comes from the account.
			require.Contains(t, []string{"iq result " + from + "→" + full("self") + " 1", "iq result -→" + full("self") + " 1"}, got["sender"][0])
			c.expect(`<iq type='set' id='2'`+attr+`>`+unknown+`</iq>`,
				all([]string{"sender"}, "iq error "+from+"→"+full("self")+" 2 service-unavailable"))
			c.expect(`<iq type='result' id='3'`+attr+`/>`, map[string][]string{})
			c.expect(`<iq type='error' id='4'`+attr+`>`+iqTypes["error"]+`</iq>`, map[string][]string{})
		}
		// On behalf of the account, whether anybody is there or not.
		c.expect(`<iq type='get' id='5'><query xmlns='jabber:iq:roster'/></iq>`, all([]string{"sender"}, "iq result -→"+full("self")+" 5"))
	})
}

// A reply is handled by the request that it answers (RFC 6120 §10.3.3), and what
// follows waits for a request that influences it (§10.1): presence that comes
// behind a roster set finds it done.
//
//conformance:proves 6120-10.1-6
func TestRequestsAreDoneInOrderRFC6120Section10_1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		c := stage(t, "one", "stranger", func(s *xmpp.Server) {
			s.Handler = stanza.HandlerFunc(func(ctx context.Context, sender stanza.Sender, st stanza.Stanza) error {
				if iq, ok := st.(*stanza.IQ); ok && iq.IsRequest() {
					<-release
					return sender.Send(ctx, iq.Result(nil))
				}
				return nil
			})
		})
		c.sender.say(`<iq type='set' id='1' to='xmpp.test'><q xmlns='urn:q'/></iq>`)
		c.sender.say(`<message to='` + full("a") + `' id='2'/>`)
		require.Empty(t, c.heard(), "the message waits for the request")
		close(release)
		require.Equal(t, map[string][]string{
			"sender": {"iq result xmpp.test→romeo@xmpp.test/orchard 1"},
			"a":      {"message - romeo@xmpp.test/orchard→" + full("a") + " 2"},
		}, c.heard())
	})
}

// RFC 6120 §10.4, RFC 6121 §8.3: stanzas for other domains come back from a server
// that reaches none, and errors and results do not.
//
//conformance:proves 6120-10.4.3-1
func TestStanzasForOtherDomainsRFC6120Section10_4(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := stage(t, "one", "stranger")
		for _, to := range []string{"other.example", "romeo@other.example", "juliet@other.example/a", "sub.xmpp.test", "mpp.test"} {
			for xml, answered := range map[string]bool{
				`<message to='` + to + `' id='1'><body>hi</body></message>`: true, `<message type='error' to='` + to + `' id='1'/>`: false,
				`<iq type='get' to='` + to + `' id='1'><q xmlns='urn:q'/></iq>`: true, `<iq type='result' to='` + to + `' id='1'/>`: false,
				`<presence to='` + to + `' id='1'/>`: true, `<presence to='` + to + `' id='1' type='error'/>`: false,
			} {
				el, err := stream.ParseElement([]byte(`<x xmlns='jabber:client'>`+xml+`</x>`), nil)
				require.NoError(t, err)
				want := map[string][]string{}
				for child := range el.Children() {
					if answered {
						want["sender"] = []string{child.Name().Local + " error " + to + "→romeo@xmpp.test/orchard 1 remote-server-not-found"}
					}
				}
				c.expect(xml, want)
			}
		}
	})
}
