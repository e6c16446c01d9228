package ocsp_test

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	wire "golang.org/x/crypto/ocsp"

	"stanzakit.dev/xmpp/adapters/ocsp"
	"stanzakit.dev/xmpp/jid"
	xtls "stanzakit.dev/xmpp/tls"
)

// TestHandshake has a responder on the network and the checker where it belongs.
func TestHandshake(t *testing.T) {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	block, _ := pem.Decode(ca.PEM())
	issuer, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	issue := func(edit func(*x509.Certificate)) tls.Certificate {
		cert, err := ca.IssueWith(xtls.IssueOptions{Edit: edit})
		require.NoError(t, err)
		return cert
	}
	responder := issue(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning} })
	var answer atomic.Pointer[[]byte]
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if der := answer.Load(); der != nil {
			_, _ = w.Write(*der)
			return
		}
		http.Error(w, "not now", http.StatusServiceUnavailable)
	}))
	defer web.Close()
	cert := issue(func(c *x509.Certificate) {
		c.DNSNames, c.OCSPServer = []string{"im.example"}, []string{web.URL}
	})
	says := func(status int) {
		now := time.Now()
		der, err := wire.CreateResponse(issuer, responder.Leaf, wire.Response{
			Status: status, SerialNumber: cert.Leaf.SerialNumber, Certificate: responder.Leaf,
			ThisUpdate: now.Add(-time.Minute), NextUpdate: now.Add(time.Hour), RevokedAt: now.Add(-time.Minute),
		}, responder.PrivateKey.(crypto.Signer))
		require.NoError(t, err)
		answer.Store(&der)
	}
	try := func(policy xtls.VerifyPolicy) error {
		return handshake(t, cert, &xtls.ClientOptions{RootCAs: ca.Pool(), Revocation: ocsp.Checker(nil), Policy: policy})
	}
	strict := xtls.AllOf(xtls.Default(), xtls.RevocationKnown())

	require.NoError(t, try(nil), "nothing can be found out, and that is permitted")
	require.ErrorIs(t, try(strict), xtls.ErrRevocationUnknown)
	says(wire.Good)
	require.NoError(t, try(strict))
	says(wire.Unknown)
	require.ErrorIs(t, try(strict), xtls.ErrRevocationUnknown)
	says(wire.Revoked)
	require.ErrorIs(t, try(nil), xtls.ErrRevoked)
	require.ErrorIs(t, try(xtls.Pin(jid.MustParse("im.example"), xtls.PinOf(cert.Leaf))), xtls.ErrRevoked)

	// What the server sends along is enough, and nobody is asked.
	staple := func(status int) error {
		says(status)
		stapled := cert
		stapled.OCSPStaple = *answer.Load()
		answer.Store(nil)
		return handshake(t, stapled, &xtls.ClientOptions{
			RootCAs: ca.Pool(), Revocation: ocsp.Checker(&ocsp.Options{StapledOnly: true}), Policy: strict,
		})
	}
	require.NoError(t, staple(wire.Good))
	require.ErrorIs(t, staple(wire.Unknown), xtls.ErrRevocationUnknown)
	require.ErrorIs(t, staple(wire.Revoked), xtls.ErrRevoked)
}

// handshake runs direct TLS over loopback.
func handshake(t *testing.T, cert tls.Certificate, opts *xtls.ClientOptions) error {
	t.Helper()
	domain := jid.MustParse("im.example")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	done := make(chan struct{})
	go func() { // ends with the handshake; joined below
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		conn, _, err = xtls.ServerHandshake(t.Context(), conn, []jid.JID{domain}, &xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
		if err == nil {
			conn.Close()
		}
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	conn, _, err = xtls.ClientHandshake(t.Context(), conn, domain, opts)
	if err == nil {
		conn.Close()
	}
	<-done
	return err
}
