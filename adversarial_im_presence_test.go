package xmpp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stream"
)

// A probe of somebody who may not ask gets unsubscribed from the bare JID, byte for
// byte the same whoever is there, and changes nothing (RFC 6121 §4.3.2 rule 1).
func adversarialR15(t *testing.T) {
	for name, state := range map[string]roster.State{
		"stranger": roster.None, "pre-approved": roster.Approved, "has asked": roster.PendingIn,
		"is watched": roster.To, "is asked": roster.PendingOut,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rosters := new(roster.MemoryStore)
				s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = rosters })
				know(t, rosters, "juliet", "romeo", state)
				romeo := join(t, s, "romeo", "orchard")
				juliet, hidden := join(t, s, "juliet", "balcony"), join(t, s, "juliet", "hidden")
				juliet.roster()
				juliet.say(`<presence><status>secret</status></presence>`)
				juliet.roundOf(func(*stream.Element) {})
				before, err := rosters.Roster(t.Context(), address(julietJID))
				require.NoError(t, err)
				answer := ""
				for _, to := range []string{julietJID, full("balcony"), full("hidden"), full("nowhere"), "nobody@xmpp.test", "nobody@xmpp.test/x"} {
					romeo.say(`<presence type='probe' id='p' to='` + to + `'/>`)
					el := romeo.hear()
					require.Equal(t, "unsubscribed", el.Attr("type"), "%s", el.Raw())
					bare, _, _ := strings.Cut(to, "/")
					require.Equal(t, bare, el.Attr("from"), "a full JID would tell that it is there")
					got := strings.ReplaceAll(string(el.Raw()), bare, "X")
					if answer == "" {
						answer = got
					}
					require.Equal(t, answer, got, "%s", to)
					romeo.quiet()
				}
				juliet.quiet()
				hidden.quiet()
				after, err := rosters.Roster(t.Context(), address(julietJID))
				require.NoError(t, err)
				require.Equal(t, before, after)
			})
		})
	}
}

// What a stranger hears about a resource is the same whether it is there, whether it
// is available, and whether there is such an account at all (RFC 6121 §8.5.3.1).
func adversarialR16(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := stage(t, "equal mix", "publisher")
		answers := map[string]string{}
		for _, to := range []string{full("a"), full("low"), full("plain"), full("absent"), "nobody@xmpp.test/a", julietJID, "nobody@xmpp.test"} {
			for _, xml := range []string{
				`<iq type='get' id='1' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>`,
				`<iq type='get' id='1' to='%s'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
				`<iq type='get' id='1' to='%s'><query xmlns='jabber:iq:version'/></iq>`,
				`<iq type='get' id='1' to='%s'><query xmlns='jabber:iq:last'/></iq>`,
				`<iq type='set' id='1' to='%s' xml:lang='de'><q xmlns='urn:q'/></iq>`,
			} {
				c.sender.say(fmt.Sprintf(xml, to))
				el := c.sender.hears("iq error " + to + "→romeo@xmpp.test/orchard 1 service-unavailable")
				got := strings.ReplaceAll(string(el.Raw()), to, "X")
				if answers[xml] == "" {
					answers[xml] = got
				}
				require.Equal(t, answers[xml], got, "%s", to)
				require.Empty(t, c.heard(), "nobody is disturbed")
			}
		}
	})
}

// Unavailable presence of a resource that was never available tells nobody that it
// was there, and one that had sent directed presence is taken back everywhere (RFC
// 6121 §4.6.3), however it goes.
func adversarialR17(t *testing.T) {
	for name, leave := range map[string]func(c *scene){
		"says so":  func(c *scene) { c.sender.say(`<presence type='unavailable'><status>x</status></presence>`) },
		"vanishes": func(c *scene) { c.sender.Abort(stream.ErrTruncated) },
		"closes":   func(c *scene) { require.NoError(c.t, c.sender.Close(c.t.Context())) },
		"breaks": func(c *scene) {
			c.sender.say(`<message from='eve@xmpp.test'/>`)
			require.ErrorIs(c.t, c.sender.ended(), stream.InvalidFrom)
		},
		"replaced": func(c *scene) { join(c.t, c.s, "juliet", "balcony") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := crowd(t)
				leave(c)
				require.Empty(t, c.heard(), "never available, so nobody is told")
			})
			bubble(t, func(t *testing.T) {
				c := crowd(t)
				want := map[string][]string{}
				for _, to := range []string{"none", "to", "both"} {
					want[to+"/here"] = []string{"presence unavailable" + fromBalcony + to + "@xmpp.test -"}
					want[to+"/low"] = want[to+"/here"]
					c.sender.say(`<presence to='` + to + `@xmpp.test'/>`)
				}
				for _, to := range []string{"from", "noneout", "approved"} {
					want[to+"/plain"] = []string{"presence unavailable" + fromBalcony + to + "@xmpp.test/plain -"}
					c.sender.say(`<presence to='` + to + `@xmpp.test/plain'/>`)
				}
				require.Len(t, c.heard(), len(want))
				leave(c)
				require.Equal(t, want, c.heard())
				leave = func(c *scene) { c.sender.Abort(stream.ErrTruncated) }
				leave(c)
				require.Empty(t, c.heard(), "once")
			})
		})
	}
}

// Priorities that are none, and other nonsense in presence: it is passed on as it
// is, and counts as zero, or as what is defined (RFC 6121 §4.7.2.3).
//
//conformance:proves 6121-4.7.2.3-1 6121-4.7.2.3-4 6121-4.7.2.3-5
func adversarialR21(t *testing.T) {
	const negative, zero, positive = "negative", "zero", "positive"
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo := join(t, s, "romeo", "orchard")
		low, zeroth, juliet := join(t, s, "juliet", "minus"), join(t, s, "juliet", "zero"), join(t, s, "juliet", "balcony")
		low.say(`<presence><priority>-1</priority></presence>`)
		zeroth.say(`<presence><priority>0</priority></presence>`)
		deaf := func() {
			for _, p := range []*peer{low, zeroth, juliet, romeo} {
				p.roundOf(func(*stream.Element) {})
			}
		}
		deaf()
		for content, want := range map[string]string{
			"": zero, "<priority/>": zero, "<priority>0</priority>": zero, "<priority>-0</priority>": zero,
			"<priority>1</priority>": positive, "<priority>127</priority>": positive, "<priority>+5</priority>": positive, "<priority>007</priority>": positive,
			"<priority> 5</priority>": positive, "<priority>\n\t5 \r</priority>": positive,
			"<priority>-1</priority>": negative, "<priority>-128</priority>": negative, "<priority> -5 </priority>": negative,
			"<priority>-129</priority>": zero, "<priority>128</priority>": zero, "<priority>1e2</priority>": zero, "<priority>0x10</priority>": zero,
			"<priority>1.0</priority>": zero, "<priority>1 2</priority>": zero, "<priority>--1</priority>": zero, "<priority>\u0665</priority>": zero,
			"<priority>\u00a05</priority>": zero, "<priority>99999999999999999999999</priority>": zero, "<priority>high</priority>": zero,
			"<priority>1_0</priority>": zero, "<priority xmlns='urn:x'>5</priority>": zero,
			"<x xmlns='urn:x'><priority xmlns='jabber:client'>5</priority></x>": zero,
			"<priority>5</priority><priority>-5</priority>":                     positive, // the first one
			"<show>garbage</show><show/><status/>":                              zero,
			"<show><b/></show><priority>3</priority>":                           positive,
		} {
			juliet.say(`<presence id='1'>` + content + `</presence>`)
			for _, p := range []*peer{low, zeroth, juliet} {
				el := p.hears("presence - " + full("balcony") + "→" + julietJID + " 1")
				back, err := stream.ParseElement([]byte(`<presence xmlns='jabber:client'>`+content+`</presence>`), nil)
				require.NoError(t, err)
				for child := range back.Children() {
					got, ok := el.Child(child.Name())
					require.True(t, ok)
					require.Equal(t, child.Text(), got.Text(), "as the client said it")
					break
				}
			}
			deaf()
			romeo.say(`<message to='juliet@xmpp.test' type='chat' id='` + want + `'><body>hi</body></message>`)
			romeo.quiet()
			low.quiet()
			gets := map[*peer]bool{zeroth: want != positive, juliet: want != negative}
			for p, yes := range gets {
				require.Equal(t, yes, len(p.in) == 1, "%q at %s", content, p.LocalAddr())
			}
			deaf()
		}
		for _, typ := range []string{"foo", "Unavailable", "available", " ", "-", "unavailable "} {
			juliet.say(`<presence id='2' type='` + typ + `'/>`)
			juliet.hears("presence error -→" + full("balcony") + " 2 bad-request")
			juliet.say(`<presence id='3' to='romeo@xmpp.test' type='` + typ + `'/>`)
			juliet.hears("presence error romeo@xmpp.test→" + full("balcony") + " 3 bad-request")
		}
		// Without an address some types say nothing to anybody, and are no error.
		for _, typ := range []string{"probe", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "error"} {
			juliet.say(`<presence type='` + typ + `'/>`)
		}
		for _, p := range []*peer{low, zeroth, juliet, romeo} {
			p.quiet()
		}
	})
}
