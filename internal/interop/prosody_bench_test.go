package interop_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// BenchmarkProsodyLogin is what a client waits for with a server that leaves
// Nagle's algorithm on. The acknowledgements that a negotiation asks for at once
// cannot be had from a connection that hides its socket, which shows what they
// are worth.
func BenchmarkProsodyLogin(b *testing.B) {
	ca, err := xtls.NewDevCA()
	require.NoError(b, err)
	certificates := b.TempDir()
	require.NoError(b, ca.WriteFiles(certificates, prosodyDomain))
	p := interop.StartProsody(b, interop.ProsodyOptions{
		Domain: prosodyDomain, Certificates: certificates, Accounts: map[string]string{"alice": password}, Hash: "SHA-1",
	})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, dialer := range map[string]dial.ContextDialer{
			"acknowledged at once": &net.Dialer{},
			"left to the kernel":   hidingDialer{},
		} {
			b.Run(tls.VersionName(version)+"/"+name, func(b *testing.B) {
				c := &xmpp.Client{
					JID: jid.MustParse("alice@" + prosodyDomain), Password: password, Addr: p.Addr,
					TLS:  &xtls.ClientOptions{RootCAs: ca.Pool(), Config: &tls.Config{MaxVersion: version}},
					Auth: &auth.ClientOptions{Cache: &sasl.MemoryKeyCache{}},
					Dial: &dial.Options{Dialer: dialer},
				}
				var took []time.Duration
				for b.Loop() {
					begin := time.Now()
					conn, err := c.Connect(b.Context())
					require.NoError(b, err)
					took = append(took, time.Since(begin))
					conn.Session().Abort(errMeasured)
					<-conn.Done()
				}
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2]), "median-ns/op")
			})
		}
	}
}

var errMeasured = errors.New("measured")

// hidingDialer makes connections that show nothing of their sockets.
type hidingDialer struct{ net.Dialer }

func (d hidingDialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.Dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil
}
