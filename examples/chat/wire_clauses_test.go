package main_test

import (
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// What the program says to its server, in order: RFC 6121 §2.2, §4.2.1 and §5.1.
//
//conformance:proves 6120-4.3.5-2 6120-8.1.1.1-1 6120-8.1.1.1-2 6121-2.2-1 6121-2.2-3 6121-3.1-1 6121-4.2.1-1 6121-4.2.1-2 6121-4.3-2 6121-4.7.1-1
//conformance:proves 6121-4.7.1-3 6121-5.1-1 6121-5.1-5 6121-5.1-6 6121-5.2.2-1
func TestWhatChatSends(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	server := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) {
		s.Trace = func(net.Conn) *stream.Trace {
			note := func(s string) {
				mu.Lock()
				defer mu.Unlock()
				heard = append(heard, s)
			}
			return &stream.Trace{
				XMLReceived: func(b []byte) { note(string(b)) },
				Bound:       func(jid.JID) { note("bound") },
			}
		}
	}})
	server.AddAccount(t, "romeo", "secret")
	juliet := open(t, server, "juliet")
	juliet.types("/add romeo@xmpp.test", "/to romeo@xmpp.test", "hello", "are you there?", "/away", "/quit good night")
	_, err := juliet.ends()
	require.NoError(t, err)

	mu.Lock()
	defer mu.Unlock()
	all := strings.Join(heard, "\n")
	// is finds the first element with that name that has all these texts.
	is := func(name string, has ...string) int {
		return slices.IndexFunc(heard, func(s string) bool {
			if !strings.HasPrefix(s, "<"+name+" ") && !strings.HasPrefix(s, "<"+name+">") && !strings.HasPrefix(s, "<"+name+"/>") {
				return false
			}
			return !slices.ContainsFunc(has, func(h string) bool { return !strings.Contains(s, h) })
		})
	}
	bound := slices.Index(heard, "bound")
	roster, presence, message := is("iq", "type='get'", "jabber:iq:roster"), is("presence"), is("message")
	require.NotEqual(t, -1, bound, all)
	require.Less(t, bound, roster, all)
	require.Less(t, roster, presence, "RFC 6121 §2.2, §4.2.1: the roster first\n%s", all)
	require.Less(t, presence, message, all)
	require.Equal(t, "<presence/>", heard[presence])
	// RFC 6120 §4.3.5: no stanza for anybody before the end of negotiation.
	require.NotContains(t, strings.Join(heard[:bound], ""), "<presence", all)
	require.NotContains(t, strings.Join(heard[:bound], ""), "<message", all)

	// RFC 6120 §8.1.1.1: what is for the server has no address, what is for somebody has one.
	require.NotContains(t, heard[roster], " to=")
	require.NotEqual(t, -1, is("presence", "to='romeo@xmpp.test'", "type='subscribe'"), all)
	require.NotEqual(t, -1, is("presence", "<show>away</show>"), all)
	messages := 0
	for _, s := range heard {
		switch {
		case strings.HasPrefix(s, "<message"):
			messages++
			// RFC 6121 §5.1: to the bare JID until there is a reply.
			require.Contains(t, s, " to='romeo@xmpp.test'")
			require.Contains(t, s, " type='chat'")
		case strings.HasPrefix(s, "<presence") && !strings.Contains(s, "type='subscribe'"):
			require.NotContains(t, s, " to=")
			require.NotContains(t, s, "type='probe'", "RFC 6121 §4.3, §4.7.1: that is for servers to do")
		}
	}
	require.Equal(t, 2, messages, all)
}
