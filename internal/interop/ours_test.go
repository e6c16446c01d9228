package interop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
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
	addr, direct net.Addr // at the latter TLS begins with the first byte
	ca           *xtls.DevCA
	file         string // the certificate of ca

	overheard

	mu sync.Mutex
	// successes are the mechanisms that led to success, by account.
	successes map[string]string
	// sent are the stream errors that the server sent.
	sent []stream.Condition
	// refusals has a <failure/> for each attempt to authenticate that the server refused, the first few.
	refusals chan string
}

// startOurServer starts a server with default settings, except for what the edits change.
func startOurServer(t *testing.T, edits ...func(*xmpp.Server)) *ourServer {
	t.Helper()
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	certificate, err := ca.Issue(ourDomain, "127.0.0.1") // for clients that are told no name with direct TLS
	require.NoError(t, err)
	s := &ourServer{ca: ca, file: filepath.Join(t.TempDir(), "ca.pem"), successes: map[string]string{}, refusals: make(chan string, 8)}
	require.NoError(t, os.WriteFile(s.file, ca.PEM(), 0o600))

	accounts := &xmpp.MemoryAccounts{Iterations: 4096} // slixmpp derives keys in Python
	for _, account := range []jid.JID{ours, foreign} {
		require.NoError(t, accounts.Set(t.Context(), account, password))
	}
	server := &xmpp.Server{
		Domains:  []jid.JID{jid.MustParse(ourDomain)},
		Accounts: accounts,
		TLS:      &xtls.ServerOptions{Certificates: []tls.Certificate{certificate}},
		Auth:     &auth.ServerOptions{Mechanisms: usual()},
		Trace:    func(net.Conn) *stream.Trace { return s.trace() },
		Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, edit := range edits {
		edit(server)
	}
	server.Auth.Mechanisms = s.overheard.mechanisms(server.Auth.Mechanisms)
	served := make(chan error, 2)
	listen := func(serve func(context.Context, net.Listener) error) net.Addr {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		// Owner: the test. Stops with the shutdown below. Joined through served.
		go func() { served <- serve(context.Background(), listener) }()
		return listener.Addr()
	}
	s.addr, s.direct = listen(server.Serve), listen(server.ServeTLS)
	t.Cleanup(func() {
		require.NoError(t, server.Close())
		for range cap(served) {
			require.ErrorIs(t, <-served, xmpp.ErrServerClosed)
		}
	})
	return s
}

func (s *ourServer) trace() *stream.Trace {
	return &stream.Trace{
		Authenticated: func(who jid.JID, mechanism string) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.successes[who.Local()] = mechanism
		},
		XMLSent: func(xml []byte) {
			if bytes.HasPrefix(xml, []byte("<failure ")) {
				select {
				case s.refusals <- string(xml):
				default:
				}
			}
		},
		ErrorSent: func(e *stream.Error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.sent = append(s.sent, e.Condition)
		},
	}
}

// tlsVersion has the server use one version of TLS.
func tlsVersion(version uint16) func(*xmpp.Server) {
	return func(s *xmpp.Server) {
		s.TLS.Config = &tls.Config{MinVersion: version, MaxVersion: version}
	}
}

// certificateFor returns an authority, and a directory with cert.pem and key.pem for a client that has an account.
func certificateFor(t *testing.T, account jid.JID) (*xtls.DevCA, string) {
	t.Helper()
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	certificate, err := ca.IssueWith(xtls.IssueOptions{Client: true, XMPPAddrs: []jid.JID{account.Bare()}})
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	require.NoError(t, err)
	dir := t.TempDir()
	for name, block := range map[string]*pem.Block{
		"cert.pem": {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]},
		"key.pem":  {Type: "PRIVATE KEY", Bytes: key},
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
	return ca, dir
}

// login logs a client of ours in, with default settings.
func (s *ourServer) login(ctx context.Context, t *testing.T) *stanza.Conn {
	t.Helper()
	client := &xmpp.Client{JID: ours, Password: password, Addr: s.addr.String(), RootCAs: s.ca.Pool()}
	conn, err := client.Connect(ctx)
	require.NoError(t, err)
	return conn
}

func (s *ourServer) mechanism(local string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.successes[local]
}

func (s *ourServer) errorsSent() []stream.Condition {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}
