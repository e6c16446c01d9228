package stream_test

import (
	"context"
	"crypto/tls"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// Dropping a connection takes no time, whatever is beneath the stream, and says
// nothing: to the peer it is a lost one.
func TestAbortDropsDirectTLSAtOnce(t *testing.T) {
	for name, full := range map[string]bool{"a peer that listens": false, "a peer that does not read": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := memconn.Pipe()
				defer far.Close()
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
				_, err = io.WriteString(peer, clientHeader)
				require.NoError(t, err)
				s, err := stream.Accept(t.Context(), secured, &stream.AcceptOptions{
					Profile: bare, Domains: []jid.JID{domain}, Security: &stream.Security{Version: tls.VersionTLS13},
				})
				require.NoError(t, err)
				n, err := peer.Read(make([]byte, 4096))
				require.NoError(t, err)
				require.NotZero(t, n)
				if full {
					require.NoError(t, near.SetWriteDeadline(time.Now().Add(time.Second)))
					_, err = near.Write(make([]byte, 1<<20))
					require.ErrorIs(t, err, os.ErrDeadlineExceeded)
					require.NoError(t, near.SetWriteDeadline(time.Time{}))
				}
				start := time.Now()
				s.Abort(context.Canceled)
				require.Zero(t, time.Since(start))
				if !full {
					rest, err := io.ReadAll(far)
					require.NoError(t, err)
					require.Empty(t, rest, "an end in good order has close_notify")
				}
			})
		})
	}
}
