package stream_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §13.7.2.3, §4.9.3.16: a certificate that expires during the stream
// ends it with a reset, on either side.
func TestSessionEndsWithCertificate(t *testing.T) {
	for _, side := range []string{"client", "server"} {
		t.Run(side, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				sec := &stream.Security{Version: tls.VersionTLS13, Verified: true, Expires: begin.Add(time.Hour)}
				co, so := &stream.InitiateOptions{}, &stream.AcceptOptions{}
				if side == "client" {
					co.Security = sec
				} else {
					so.Security = sec
				}
				client, server := sessions(t, co, so)
				watching, other := server, client
				if side == "client" {
					watching, other = client, server
				}
				go watching.Serve(func(*stream.Element) error { return nil })
				go other.Serve(func(*stream.Element) error { return nil })
				<-time.After(time.Hour - time.Second)
				synctest.Wait()
				require.NoError(t, watching.Err())
				<-time.After(time.Second)
				<-watching.Done()
				<-other.Done()
				require.Equal(t, time.Hour, time.Since(begin))
				require.ErrorIs(t, watching.Err(), stream.ErrCertificateExpired)
				require.ErrorIs(t, watching.Err(), stream.Reset)
				require.ErrorIs(t, other.Err(), stream.Reset)
			})
		})
	}
	t.Run("already expired", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := sessions(t, nil, &stream.AcceptOptions{Security: &stream.Security{Version: tls.VersionTLS13, Expires: time.Now().Add(-time.Hour)}})
			go client.Serve(func(*stream.Element) error { return nil })
			go server.Serve(func(*stream.Element) error { return nil })
			<-server.Done()
			require.ErrorIs(t, server.Err(), stream.ErrCertificateExpired)
		})
	})
	t.Run("ended at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gone := errors.New("gone")
			var s *stream.Session
			_, server := sessions(t, nil, &stream.AcceptOptions{
				Security: &stream.Security{Version: tls.VersionTLS13, Expires: time.Now().Add(time.Hour)},
				Trace:    &stream.Trace{Established: func(e *stream.Session) { s = e; e.Abort(gone) }},
			})
			require.Same(t, s, server)
			require.False(t, server.ExpiryPending())
			require.ErrorIs(t, server.Err(), gone)
		})
	})
	t.Run("established before it is over", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var log []string
			client, server := sessions(t, nil, &stream.AcceptOptions{
				Security: &stream.Security{Version: tls.VersionTLS13, Expires: time.Now().Add(-time.Hour)},
				Trace: &stream.Trace{
					Established: func(*stream.Session) {
						<-time.After(time.Minute) // is time enough for any timer
						log = append(log, "established")
					},
					Closed: func(error) { log = append(log, "closed") },
				},
			})
			go client.Serve(func(*stream.Element) error { return nil })
			_ = server.Serve(func(*stream.Element) error { return nil })
			require.Equal(t, []string{"established", "closed"}, log)
		})
	})
	t.Run("ended before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			gone := errors.New("gone")
			_, server := sessions(t, nil, &stream.AcceptOptions{Security: &stream.Security{Version: tls.VersionTLS13, Expires: time.Now().Add(time.Hour)}})
			server.Abort(gone)
			require.False(t, server.ExpiryPending(), "the timer would keep the session in memory until then")
			<-time.After(2 * time.Hour)
			require.ErrorIs(t, server.Err(), gone)
		})
	})
}

func TestVerdict(t *testing.T) {
	require.True(t, stream.Anchored.OK())
	for _, v := range []stream.Verdict{0, stream.SelfSigned, stream.UnknownAuthority, stream.Anchored | stream.WrongName, stream.Anchored | stream.Revoked} {
		require.False(t, v.OK(), "%s", v)
	}
	v := stream.SelfSigned | stream.WrongTime
	require.True(t, v.Has(stream.WrongTime))
	require.False(t, v.Has(stream.WrongTime|stream.WrongName))
	require.Equal(t, "self-signed, wrong time", v.String())
	require.Equal(t, "no certificate", stream.Verdict(0).String())
	require.Equal(t, "unacceptable", stream.Unacceptable.String())
}

func TestUserAgentDoesNotPrintItsID(t *testing.T) {
	a := stream.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770", Software: "Bot", Device: "rack"}
	requireNotPrinted(t, a, a.ID)
}

// requireNotPrinted checks that no verb shows a secret.
func requireNotPrinted(t *testing.T, v any, secret string) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(verb, v), secret)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
	require.NotContains(t, log.String(), secret)
}
