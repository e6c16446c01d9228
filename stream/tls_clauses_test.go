package stream_test

import (
	"crypto/tls"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// RFC 6120 §4.4: a stream over TLS ends with the closing tags, then with an alert
// of each side, and only then is the connection closed. A peer that keeps its alert
// to itself is waited for, for half a second.
//
//conformance:proves 6120-4.4-2 6120-4.4-3
func TestEndOfAStreamOverTLS(t *testing.T) {
	for name, answers := range map[string]bool{"the peer answers": true, "the peer says nothing": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := memconn.Pipe()
				ca, err := xtls.NewDevCA()
				require.NoError(t, err)
				cert, err := ca.Issue("im.example")
				require.NoError(t, err)
				secured := tls.Server(near, &tls.Config{Certificates: []tls.Certificate{cert}})
				peer := tls.Client(far, &tls.Config{RootCAs: ca.Pool(), ServerName: "im.example"})
				shaken := make(chan error, 1)
				go func() { shaken <- secured.Handshake() }() // ends with the handshake
				require.NoError(t, peer.Handshake())
				require.NoError(t, <-shaken)
				_, err = io.WriteString(peer, clientHeader+"</stream:stream>")
				require.NoError(t, err)
				s, err := stream.Accept(t.Context(), secured, &stream.AcceptOptions{
					Profile: bare, Domains: []jid.JID{domain}, Security: &stream.Security{Version: tls.VersionTLS13},
				})
				require.NoError(t, err)
				served := make(chan error, 1)
				go func() { served <- s.Serve(nil) }() // ends with the stream
				begin := time.Now()
				wire, err := io.ReadAll(peer)
				require.NoError(t, err, "without close_notify it were io.ErrUnexpectedEOF")
				require.Contains(t, string(wire), "</stream:stream>")
				closed := make(chan time.Duration, 1)
				go func() { // ends with the connection
					_, _ = io.Copy(io.Discard, far)
					closed <- time.Since(begin)
				}()
				<-time.After(400 * time.Millisecond)
				synctest.Wait()
				require.Empty(t, closed, "it waits for the alert of the peer")
				want := 500 * time.Millisecond
				if answers {
					require.NoError(t, peer.CloseWrite())
					want = 400 * time.Millisecond
				}
				require.Equal(t, want, <-closed)
				require.NoError(t, <-served)
				require.NoError(t, far.Close())
			})
		})
	}
}
