package posh_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
	"stanzakit.dev/xmpp/tls/posh"
)

// shake runs STARTTLS between a client with a policy and a server with a
// certificate.
func shake(t *testing.T, policy xtls.VerifyPolicy, cert tls.Certificate) (stream.Security, error) {
	t.Helper()
	near, far := memconn.Pipe()
	t.Cleanup(func() { near.Close(); far.Close() })
	profile := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure, InsecureGoal: true}
	domain := jid.MustParse("im.example")
	done := make(chan struct{})
	go func() { // ends with Accept; joined below
		defer close(done)
		s, err := stream.Accept(t.Context(), far, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain},
			Features: []stream.Feature{xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{cert}})},
		})
		if err == nil {
			s.Abort(context.Canceled)
		}
	}()
	s, err := stream.Initiate(t.Context(), near, &stream.InitiateOptions{
		Profile: profile, To: domain,
		Features: []stream.Feature{xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: x509.NewCertPool(), Policy: policy})},
	})
	var sec stream.Security
	if err == nil {
		sec = s.Security()
		s.Abort(context.Canceled)
	}
	near.Close()
	<-done
	return sec, err
}

// TestHandshake has a real web server, with a certificate for the domain, and a
// server of XMPP, with one for its own name by an authority that nobody knows.
func TestHandshake(t *testing.T) {
	webCA, err := xtls.NewDevCA()
	require.NoError(t, err)
	hostingCA, err := xtls.NewDevCA()
	require.NoError(t, err)
	hosting, err := hostingCA.Issue("hosting.example")
	require.NoError(t, err)
	another, err := hostingCA.Issue("im.example")
	require.NoError(t, err)

	sum := sha256.Sum256(hosting.Leaf.Raw)
	doc := fmt.Sprintf(`{"fingerprints":[{"sha-256":%q}],"expires":60}`, base64.StdEncoding.EncodeToString(sum[:]))
	mux := http.NewServeMux()
	mux.HandleFunc("GET im.example/.well-known/posh/xmpp-client.json", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://www.im.example/moved", http.StatusFound)
	})
	mux.HandleFunc("GET www.im.example/moved", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"url":"https://hosting.example/posh.json","expires":60}`)
	})
	mux.HandleFunc("GET hosting.example/posh.json", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, doc) })
	serve := func(names ...string) *http.Transport {
		cert, err := webCA.Issue(names...)
		require.NoError(t, err)
		web := httptest.NewUnstartedServer(mux)
		web.Config.ErrorLog = log.New(io.Discard, "", 0)
		web.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		web.StartTLS()
		t.Cleanup(web.Close)
		return &http.Transport{
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{RootCAs: webCA.Pool(), MinVersion: tls.VersionTLS12},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", strings.TrimPrefix(web.URL, "https://"))
			},
		}
	}
	good := posh.Policy(&posh.Options{Transport: serve("im.example", "www.im.example", "hosting.example")})
	sec, err := shake(t, good, hosting)
	require.NoError(t, err)
	require.True(t, sec.Verified)
	require.Equal(t, stream.UnknownAuthority|stream.WrongName, sec.Verdict)

	_, err = shake(t, good, another)
	require.ErrorIs(t, err, posh.ErrMismatch)
	require.ErrorIs(t, err, xtls.ErrUntrusted)
	var cerr *xtls.CertificateError
	require.ErrorAs(t, err, &cerr)
	require.Equal(t, another.Leaf.Raw, cerr.Chain[0].Raw)

	// RFC 7711 §3: the web server has to prove that it is the domain's.
	_, err = shake(t, posh.Policy(&posh.Options{Transport: serve("evil.example")}), hosting)
	require.ErrorIs(t, err, xtls.ErrUntrusted)
	require.ErrorAs(t, err, new(x509.HostnameError))
	// And where the reference leads to as well.
	_, err = shake(t, posh.Policy(&posh.Options{Transport: serve("im.example", "www.im.example")}), hosting)
	require.ErrorAs(t, err, new(x509.HostnameError))
}
