package carbons_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza/carbons"
)

// XEP-0280 §6.1, §9: which messages are copied, to whom.
func TestEligible(t *testing.T) {
	const (
		body    = "<body>x</body>"
		room    = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
		private = "<private xmlns='urn:xmpp:carbons:2'/>"
		noCopy  = "<no-copy xmlns='urn:xmpp:hints'/>"
		invite  = "<x xmlns='jabber:x:conference' jid='darkcave@macbeth.shakespeare.lit'/>"
		ask     = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='crone1@shakespeare.lit/desktop'/></x>"
		receipt = "<received xmlns='urn:xmpp:receipts' id='1'/>"
		state   = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
		marker  = "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>"
	)
	for _, tt := range []struct {
		name, typ, inside string
		bare              bool // the other side has a bare JID
		want              string
	}{
		{"chat", "chat", body, false, "sent received"},
		{"chat without a body", "chat", "", false, "sent received"},
		{"normal with a body", "normal", body, false, "sent received"},
		{"normal with an empty body", "normal", "<body/>", false, "sent received"},
		{"normal without a type", "", body, false, "sent received"},
		{"unknown type counts as normal", "strange", body, false, "sent received"},
		{"unknown type without a body", "strange", "", false, ""},
		{"normal without a body", "normal", "<subject>x</subject>", false, ""},
		{"normal with a body of something else", "normal", "<body xmlns='urn:example'>x</body>", false, ""},
		{"normal with a receipt", "normal", receipt, false, "sent received"},
		{"normal with a chat state", "normal", state, false, "sent received"},
		{"normal with a marker", "normal", marker, false, "sent received"},
		{"headline", "headline", body, false, ""},
		{"headline with a receipt", "headline", receipt, false, "sent received"},
		{"headline with an invitation", "headline", invite, true, "sent received"},
		{"groupchat", "groupchat", body, false, ""},
		{"groupchat with a chat state", "groupchat", state, false, ""},
		{"groupchat with an invitation", "groupchat", invite, false, ""},
		{"direct invitation", "normal", invite, false, "sent received"},
		{"mediated invitation", "normal", ask, true, "sent received"},
		{"mediated invitation of a service that says who", "normal", ask, false, "sent received"},
		{"private message of an occupant", "chat", body + room, false, "sent"},
		{"private message of an occupant, normal", "normal", room, false, "sent"},
		{"what a room says itself", "chat", body + room, true, "sent received"},
		{"private", "chat", body + private, false, ""},
		{"private first", "chat", private + body, false, ""},
		{"private invitation", "normal", invite + private, false, ""},
		{"private of something else", "chat", "<private xmlns='urn:example'/>", false, "sent received"},
		{"private inside something else", "chat", "<x xmlns='urn:example'>" + private + "</x>", false, "sent received"},
		{"no-copy", "chat", body + noCopy, false, ""},
		{"example 14", "chat", body + "<thread>0e3141cd80894871a68e6fe6b1ec56fa</thread>" + private + noCopy, false, ""},
		{"carbon of a carbon, received", "chat", "<received xmlns='urn:xmpp:carbons:2'/>", false, ""},
		{"carbon of a carbon, sent", "chat", body + "<sent xmlns='urn:xmpp:carbons:2'/>", false, ""},
		{"error about nothing", "error", body + state, false, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			g, h := s.enabled(t, garden), s.enabled(t, home)
			other := juliet
			if tt.bare {
				other = "juliet@capulet.example"
			}
			typ := ""
			if tt.typ != "" {
				typ = " type='" + tt.typ + "'"
			}
			var got []string
			s.mod.AfterRoute(t.Context(), transit(t, fmt.Sprintf("<message xmlns='jabber:client' from='%s' to='%s'%s>%s</message>", garden, other, typ, tt.inside), g))
			for _, xml := range h.take() {
				require.Contains(t, xml, "<sent xmlns='urn:xmpp:carbons:2'>")
				got = append(got, "sent")
			}
			s.mod.AfterRoute(t.Context(), transit(t, fmt.Sprintf("<message xmlns='jabber:client' from='%s' to='%s'%s>%s</message>", other, garden, typ, tt.inside), nil, g))
			for _, xml := range h.take() {
				require.Contains(t, xml, "<received xmlns='urn:xmpp:carbons:2'>")
				got = append(got, "received")
			}
			require.Empty(t, g.take())
			require.Equal(t, tt.want, strings.Join(got, " "))
		})
	}
}

// §6.1: an error in response to an eligible message is eligible, in both
// directions, and no other one is.
func TestErrors(t *testing.T) {
	const (
		problem  = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
		original = `<message xmlns='jabber:client' from='%s' to='%s' type='%s' id='m1'>%s</message>`
		reply    = `<message xmlns='jabber:client' from='%s' to='%s' type='error' id='%s'>%s` + problem + `</message>`
	)
	for _, tt := range []struct {
		name               string
		to, typ, inside    string
		errorFrom, errorID string
		errorInside        string
		want               int
	}{
		{"about a chat message", juliet, "chat", "<body>x</body>", juliet, "m1", "", 1},
		{"repeating it", juliet, "chat", "<body>x</body>", juliet, "m1", "<body>x</body>", 1},
		{"with hints of what it repeats", juliet, "chat", "<body>x</body>", juliet, "m1", "<no-copy xmlns='urn:xmpp:hints'/>", 1},
		{"from a client of the account", "juliet@capulet.example", "chat", "", juliet, "m1", "", 1},
		{"from the server of the client", juliet, "chat", "", "juliet@capulet.example", "m1", "", 1},
		{"about another message", juliet, "chat", "", juliet, "m2", "", 0},
		{"from somebody else", juliet, "chat", "", "tybalt@capulet.example/home", "m1", "", 0},
		{"about a headline", juliet, "headline", "<body>x</body>", juliet, "m1", "", 0},
		{"about a private message", juliet, "chat", "<private xmlns='urn:xmpp:carbons:2'/>", juliet, "m1", "", 0},
		{"private itself", juliet, "chat", "", juliet, "m1", "<private xmlns='urn:xmpp:carbons:2'/>", 0},
		{"with a carbon in it", juliet, "chat", "", juliet, "m1", "<sent xmlns='urn:xmpp:carbons:2'/>", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t)
			g, h := s.enabled(t, garden), s.enabled(t, home)
			j, k := s.enabled(t, juliet), s.enabled(t, "juliet@capulet.example/chamber")
			s.mod.AfterRoute(t.Context(), transit(t, fmt.Sprintf(original, garden, tt.to, tt.typ, tt.inside), g, j))
			h.take()
			k.take()
			s.mod.AfterRoute(t.Context(), transit(t, fmt.Sprintf(reply, tt.errorFrom, garden, tt.errorID, tt.errorInside), nil, g))
			require.Empty(t, g.take())
			got := h.take()
			require.Len(t, got, tt.want)
			if tt.want == 0 {
				require.Empty(t, k.take())
				return
			}
			// The copy is of type error too, and then RFC 6120 §8.3.1 rule 4 wants an error.
			m := message(t, got[0])
			require.True(t, m.IsError())
			require.Equal(t, "service-unavailable", string(m.Error.Condition))
			c, err := carbons.Decode(m, h.addr)
			require.NoError(t, err)
			require.Equal(t, carbons.Received, c.Direction)
			require.True(t, c.Message.IsError())
			// Who sent the error has other clients as well.
			require.Contains(t, strings.Join(k.take(), ""), "<sent ")
		})
	}
	t.Run("without ids", func(t *testing.T) {
		s := newServer(t)
		g, h := s.enabled(t, garden), s.enabled(t, home)
		s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='`+garden+`' to='`+juliet+`' type='chat'/>`, g))
		require.Len(t, h.take(), 1)
		s.mod.AfterRoute(t.Context(), transit(t, `<message xmlns='jabber:client' from='`+juliet+`' to='`+garden+`' type='error'>`+problem+`</message>`, nil, g))
		require.Empty(t, h.take())
	})
	t.Run("the oldest is forgotten", func(t *testing.T) {
		s := newServer(t)
		g, h := s.enabled(t, garden), s.enabled(t, home)
		const n = 1000
		for i := range n {
			s.mod.AfterRoute(t.Context(), transit(t, fmt.Sprintf(`<message xmlns='jabber:client' from='%s' to='%s' type='chat' id='%d'/>`, garden, juliet, i), g))
		}
		h.take()
		for i := range n {
			s.mod.AfterRoute(t.Context(), transit(t, fmt.Sprintf(reply, juliet, garden, fmt.Sprint(i), ""), nil, g))
		}
		require.Len(t, h.take(), 64)
	})
}
