package interop_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

const ourDomain = "stanzakit.example"

var (
	ours    = jid.MustParse("romeo@" + ourDomain + "/orchard")
	foreign = jid.MustParse("juliet@" + ourDomain + "/balcony")
)

// ourServer is a server of this library with two accounts.
type ourServer struct {
	addr net.Addr
	ca   *xtls.DevCA
	file string // the certificate of ca

	mu sync.Mutex
	// mechanisms are those that led to success, by account.
	mechanisms map[string]string
	// sent are the stream errors that the server sent.
	sent []stream.Condition
}

func startOurServer(t *testing.T, options *auth.ServerOptions) *ourServer {
	t.Helper()
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	certificate, err := ca.Issue(ourDomain)
	require.NoError(t, err)
	s := &ourServer{ca: ca, file: filepath.Join(t.TempDir(), "ca.pem"), mechanisms: map[string]string{}}
	require.NoError(t, os.WriteFile(s.file, ca.PEM(), 0o600))

	accounts := &xmpp.MemoryAccounts{Iterations: 4096} // slixmpp derives keys in Python
	for _, account := range []jid.JID{ours, foreign} {
		require.NoError(t, accounts.Set(t.Context(), account, password))
	}
	server := &xmpp.Server{
		Domains:  []jid.JID{jid.MustParse(ourDomain)},
		Accounts: accounts,
		TLS:      &xtls.ServerOptions{Certificates: []tls.Certificate{certificate}},
		Auth:     options,
		Trace:    func(net.Conn) *stream.Trace { return s.trace() },
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.addr = listener.Addr()
	served := make(chan error, 1)
	// Owner: the test. Stops with the shutdown below. Joined through served.
	go func() { served <- server.Serve(context.Background(), listener) }()
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, xmpp.ErrServerClosed)
	})
	return s
}

func (s *ourServer) trace() *stream.Trace {
	return &stream.Trace{
		Authenticated: func(who jid.JID, mechanism string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.mechanisms[who.Local()] = mechanism
		},
		ErrorSent: func(e *stream.Error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sent = append(s.sent, e.Condition)
		},
	}
}

func (s *ourServer) mechanism(local string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mechanisms[local]
}

func (s *ourServer) errorsSent() []stream.Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// start logs a slixmpp in.
func (s *ourServer) start(ctx context.Context, t *testing.T, peer interop.Slixmpp, version, password string) (*interop.SlixmppClient, *interop.SlixmppEvent) {
	t.Helper()
	c := peer.Start(t, interop.SlixmppOptions{JID: foreign.String(), Password: password, Addr: s.addr, CA: s.file, TLS: version})
	hello := nextEvent(ctx, t, c)
	require.Equal(t, "hello", hello.Event)
	require.Equal(t, peer.Version, hello.Version)
	return c, hello
}

func nextEvent(ctx context.Context, t *testing.T, c *interop.SlixmppClient) *interop.SlixmppEvent {
	t.Helper()
	e, err := c.Next(ctx)
	require.NoError(t, err)
	return e
}

// TestSlixmpp: a foreign client logs in to our server and talks with a client of ours.
func TestSlixmpp(t *testing.T) {
	for _, peer := range interop.FindSlixmpp(t) {
		t.Run(peer.Version, func(t *testing.T) {
			t.Run("TLS 1.2", func(t *testing.T) {
				s := startOurServer(t, nil)
				ctx := bounded(t)
				c, _ := s.start(ctx, t, peer, "1.2", password)
				s.talk(ctx, t, c, interop.SlixmppEvent{TLS: "TLSv1.2", Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-unique,,"})
			})
			t.Run("TLS 1.3", func(t *testing.T) {
				s := startOurServer(t, nil)
				ctx := bounded(t)
				c, hello := s.start(ctx, t, peer, "1.3", password)
				if !hello.KnowsTLS13 {
					// It takes tls-unique from TLS 1.3, where it is not defined (RFC 9266 §3).
					s.refuse(ctx, t, c, interop.SlixmppEvent{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-unique,,"})
					return
				}
				want := interop.SlixmppEvent{TLS: "TLSv1.3", Mechanism: "SCRAM-SHA-256", GS2: "n,,"}
				if slices.Contains(hello.Bindings, "tls-exporter") { // which Python 3.11 does not have
					want.Mechanism, want.GS2 = "SCRAM-SHA-256-PLUS", "p=tls-exporter,,"
				}
				s.talk(ctx, t, c, want)
			})
			t.Run("TLS 1.3 without channel binding", func(t *testing.T) {
				// What an operator can do for old clients: offer no -PLUS, so that "y" is the truth (RFC 5802 §6).
				s := startOurServer(t, &auth.ServerOptions{Mechanisms: []sasl.Mechanism{sasl.Scram(sasl.SHA256)}})
				ctx := bounded(t)
				c, _ := s.start(ctx, t, peer, "1.3", password)
				s.talk(ctx, t, c, interop.SlixmppEvent{TLS: "TLSv1.3", Mechanism: "SCRAM-SHA-256", GS2: "y,,"})
			})
			t.Run("bad password", func(t *testing.T) {
				s := startOurServer(t, nil)
				ctx := bounded(t)
				c, _ := s.start(ctx, t, peer, "1.2", "wrong")
				s.refuse(ctx, t, c, interop.SlixmppEvent{Mechanism: "SCRAM-SHA-256-PLUS", GS2: "p=tls-unique,,"})
			})
		})
	}
}

// talk waits until the slixmpp c has logged in as wanted and exchanges messages between it and a client of ours.
func (s *ourServer) talk(ctx context.Context, t *testing.T, c *interop.SlixmppClient, want interop.SlixmppEvent) {
	t.Helper()
	want.Event, want.JID = "session", foreign.String()
	require.Equal(t, want, *nextEvent(ctx, t, c))
	require.Equal(t, want.Mechanism, s.mechanism(foreign.Local()), "both sides mean the same")

	client := &xmpp.Client{JID: ours, Password: password, Addr: s.addr.String(), RootCAs: s.ca.Pool()}
	conn, err := client.Connect(ctx)
	require.NoError(t, err)

	const there, back = "Wherefore <art> thou & “Romeo”? \U0001F319", "Call me but \u2764 & I'll be new baptis'd ]]>"
	require.NoError(t, conn.Send(ctx, &stanza.Message{To: foreign, Type: stanza.ChatMessage, Body: stanza.Plain(there)}))
	got := nextEvent(ctx, t, c)
	require.Equal(t, interop.SlixmppEvent{Event: "message", From: ours.String(), Type: "chat", Body: there}, *got)

	require.NoError(t, c.Send(ours.String(), back))
	message := nextMessage(ctx, t, conn)
	require.Equal(t, foreign, message.From)
	require.Equal(t, stanza.ChatMessage, message.Type)
	require.Equal(t, back, message.Body.String())

	// Both close in good order (RFC 6120 §4.4).
	require.NoError(t, c.Close())
	require.Equal(t, "disconnected", nextEvent(ctx, t, c).Event)
	require.NoError(t, conn.Close(ctx))
}

// refuse checks that the server refuses the slixmpp c, whose first attempt is as given, and the weaker mechanisms that it then tries on the
// same connection: channel-binding data is for one exchange (RFC 9266 §4.1).
func (s *ourServer) refuse(ctx context.Context, t *testing.T, c *interop.SlixmppClient, attempt interop.SlixmppEvent) {
	t.Helper()
	attempt.Event, attempt.Condition = "failed", string(sasl.NotAuthorized)
	require.Equal(t, attempt, *nextEvent(ctx, t, c))
	e := nextEvent(ctx, t, c)
	require.Equal(t, interop.SlixmppEvent{Event: "stream_error", Condition: string(stream.PolicyViolation)}, *e)
	require.Equal(t, "disconnected", nextEvent(ctx, t, c).Event)
	require.Empty(t, s.mechanism(foreign.Local()))
	require.Contains(t, s.errorsSent(), stream.PolicyViolation)
}
