package interop_test

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream/sm"
)

// theirVoice talks with a client that is not ours.
type theirVoice struct {
	*interop.Resumer
	address  jid.JID
	messages []interop.ResumerEvent // heard and not taken yet
	counts   map[string]int         // of events, by kind
	acked    map[string]int         // by id
	spoken   []string               // what it was told to say since it was settled
	garbles  bool
}

// startTheirVoice waits until the client has a session that can be resumed.
func startTheirVoice(ctx context.Context, t *testing.T, r *interop.Resumer) *theirVoice {
	t.Helper()
	v := &theirVoice{Resumer: r, counts: map[string]int{}, acked: map[string]int{}}
	v.until(ctx, t, "it has a session that can be resumed", func() bool { return v.counts["session"] == 1 && v.counts["managed"] == 1 })
	return v
}

// until takes events until something holds.
func (v *theirVoice) until(ctx context.Context, t *testing.T, what string, holds func() bool) {
	t.Helper()
	for !holds() {
		e, err := v.Next(ctx)
		require.NoError(t, err, "%s: so far %v", what, v.counts)
		v.counts[e.Event]++
		switch e.Event {
		case "message":
			v.messages = append(v.messages, *e)
		case "acked":
			v.acked[e.ID]++
		case "session", "resumed":
			v.address = jid.MustParse(e.JID)
		}
	}
}

func (v *theirVoice) who() jid.JID { return v.address }

func (v *theirVoice) say(_ context.Context, t *testing.T, to jid.JID, s said) {
	t.Helper()
	require.NoError(t, v.Say(to.String(), s.id, s.body))
	v.spoken = append(v.spoken, s.id)
}

func (v *theirVoice) hear(ctx context.Context, t *testing.T) said {
	t.Helper()
	v.until(ctx, t, "it hears something", func() bool { return len(v.messages) > 0 })
	m := v.messages[0]
	v.messages = v.messages[1:]
	if v.garbles {
		m.Body = ascii(m.Body)
	}
	return said{m.ID, m.Body}
}

func (v *theirVoice) settled(ctx context.Context, t *testing.T) {
	t.Helper()
	// slixmpp asks before it sends, so it is something further that has it ask about the last.
	require.NoError(t, v.Appear(ours.Bare().String()))
	for _, id := range v.spoken {
		v.until(ctx, t, "our server acknowledges "+id, func() bool { return v.acked[id] > 0 })
		require.Equal(t, 1, v.acked[id])
	}
	v.spoken = nil
}

// silent is somebody who only listens.
type silent struct{ voice }

func (silent) say(context.Context, *testing.T, jid.JID, said) {}

// resumingClient is a foreign client that resumes its sessions at our server.
type resumingClient struct {
	name  string
	start func(t *testing.T, s *ourServer, addr net.Addr) *interop.Resumer
	// forgets says that it may not send again what was being sent when the connection broke: slixmpp 1.8 never does, and @xmpp/client does not
	// know of what it was writing just then. It only listens while its connection breaks.
	forgets bool
	// garbles says that it decodes what it reads piece by piece, so that a character between two pieces is not itself any more.
	garbles bool
}

// ascii is what a text that may be garbled is compared by.
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= utf8.RuneSelf {
			return -1
		}
		return r
	}, text)
}

// resumingClients are those that are installed.
func resumingClients(t *testing.T) []resumingClient {
	t.Helper()
	var clients []resumingClient
	for _, peer := range interop.FindSlixmpp(t) {
		clients = append(clients, resumingClient{
			name: "slixmpp " + peer.Version,
			start: func(t *testing.T, s *ourServer, addr net.Addr) *interop.Resumer {
				return peer.StartResumer(t, interop.SlixmppOptions{JID: foreign.String(), Password: password, Addr: addr, CA: s.file, TLS: "1.2"})
			},
			forgets: peer.Version == "1.8.3",
		})
	}
	return append(clients, resumingClient{
		name: "xmpp.js",
		start: func(t *testing.T, s *ourServer, addr net.Addr) *interop.Resumer {
			return interop.FindXMPPJS(t).StartResumer(t, interop.XMPPJSOptions{
				Domain: ourDomain, Resource: "balcony", Username: foreign.Local(), Password: password, TLS: "1.2",
				UserAgent: "d4565fa7-4d72-4749-b3d3-740edbf87770", Addr: addr, CA: s.file,
			})
		},
		forgets: true,
		garbles: true,
	})
}

// romeo is a client of ours whose connection is fine.
func (s *ourServer) romeo(ctx context.Context, t *testing.T) *ourVoice {
	t.Helper()
	v := startOurVoice(t, s.login(ctx, t))
	require.NoError(t, v.Send(ctx, &stanza.Presence{}))
	return v
}

// TestResumeClient: a foreign client, whose connection to our server breaks in the middle of a conversation, resumes its session (XEP-0198 §5). What both
// have said is heard by the other once and in order, and is acknowledged.
func TestResumeClient(t *testing.T) {
	for _, client := range resumingClients(t) {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			ctx := patient(t)
			s := startOurServer(t, tlsVersion(tls.VersionTLS12))
			b := startBreaker(t, s.addr.String())
			romeo := s.romeo(ctx, t)
			juliet := startTheirVoice(ctx, t, client.start(t, s, b.addr))
			address := juliet.who()
			juliet.garbles = client.garbles
			count, resumptions := 0, 0
			var speaker voice = juliet
			if client.forgets {
				speaker = silent{juliet}
			}
			conversation := func(between func(int)) {
				toJuliet, toRomeo := talk(ctx, t, speaker, romeo, count, 6, between)
				count += 6
				if client.forgets {
					toRomeo = nil
				}
				for i := range toJuliet {
					if client.garbles {
						toJuliet[i].body = ascii(toJuliet[i].body)
					}
				}
				heardBy(ctx, t, romeo, toRomeo)
				heardBy(ctx, t, juliet, toJuliet)
				juliet.settled(ctx, t)
				romeo.settled(ctx, t)
			}
			again := func() {
				resumptions++
				juliet.until(ctx, t, "it resumes", func() bool { return juliet.counts["resumed"] >= resumptions })
			}
			conversation(nil)
			for _, p := range breakPoints() {
				if client.forgets && p.to == toServer {
					continue
				}
				broken := b.breakAt(t, p)
				conversation(nil)
				happened(ctx, t, "the connection breaks", broken)
				again()
			}
			conversation(func(i int) {
				if i == 3 {
					b.cut(t)
				}
			})
			again()
			require.Equal(t, address, juliet.who())
			require.Equal(t, 1, juliet.counts["session"])
			require.Zero(t, juliet.counts["refused"])
			t.Logf("%d connections, %d resumptions", b.connections(), resumptions)
		})
	}
}

// TestResumeClientExpired: our server has given the session up when the client comes back, and says so; the client has a fresh one, and what was for the
// old one is there.
func TestResumeClientExpired(t *testing.T) {
	for _, client := range resumingClients(t) {
		t.Run(client.name, func(t *testing.T) {
			t.Parallel()
			ctx := patient(t)
			s := startOurServer(t, tlsVersion(tls.VersionTLS12), func(s *xmpp.Server) { s.Management = &sm.ServerOptions{Max: time.Second} })
			b := startBreaker(t, s.addr.String())
			romeo := s.romeo(ctx, t)
			juliet := startTheirVoice(ctx, t, client.start(t, s, b.addr))
			first := juliet.who()
			juliet.say(ctx, t, romeo.who(), said{"a0", "hello"})
			heardBy(ctx, t, romeo, []said{{"a0", "hello"}})
			juliet.settled(ctx, t)
			require.NoError(t, juliet.Appear(romeo.who().String()))
			romeo.meets(ctx, t, first, stanza.AvailablePresence)

			b.lose(t)
			romeo.say(ctx, t, first, said{"b1", "are you there?"})
			romeo.settled(ctx, t)
			romeo.meets(ctx, t, first, stanza.UnavailablePresence)
			b.cut(t)
			juliet.until(ctx, t, "it has a fresh session", func() bool { return juliet.counts["session"] == 2 && juliet.counts["managed"] == 2 })
			require.Zero(t, juliet.counts["resumed"])
			heardBy(ctx, t, juliet, []said{{"b1", "are you there?"}})
			juliet.say(ctx, t, romeo.who(), said{"a1", "I am again"})
			heardBy(ctx, t, romeo, []said{{"a1", "I am again"}})
			juliet.settled(ctx, t)
		})
	}
}
