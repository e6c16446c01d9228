package posh

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTransport: the transport that is used if none is given is no weaker than
// what RFC 7711 §10 asks for.
func TestTransport(t *testing.T) {
	transport, ok := Policy(nil).(*policy).fetcher.transport.(*http.Transport)
	require.True(t, ok)
	require.Nil(t, transport.TLSClientConfig.RootCAs, "the system's")
	require.EqualValues(t, tls.VersionTLS12, transport.TLSClientConfig.MinVersion)

	asked := 0
	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, _ = io.WriteString(w, `{"fingerprints":[{}],"expires":1}`)
	}))
	web.Config.ErrorLog = log.New(io.Discard, "", 0)
	web.StartTLS()
	defer web.Close()
	u, err := url.Parse(web.URL)
	require.NoError(t, err)
	redirects := 0
	f := fetcher{transport: transport}
	// RFC 2818: nobody has vouched for this web server.
	_, err = f.get(t.Context(), u, &redirects)
	require.ErrorAs(t, err, new(x509.UnknownAuthorityError))
	require.Zero(t, asked)
	// Nothing is wrong with it otherwise.
	transport.TLSClientConfig.RootCAs = x509.NewCertPool()
	transport.TLSClientConfig.RootCAs.AddCert(web.Certificate())
	_, err = f.get(t.Context(), u, &redirects)
	require.NoError(t, err)
	require.Equal(t, 1, asked)
}
