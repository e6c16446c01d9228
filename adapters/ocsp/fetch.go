package ocsp

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	wire "golang.org/x/crypto/ocsp"
)

const (
	// maxResponse is how long a response may be: it has a certificate or two in
	// it.
	maxResponse = 64 << 10
	// maxResponders is how many of those that a certificate names are asked.
	maxResponders = 2
)

// newTransport returns what makes the requests if nothing else is said. It keeps
// no connections: the next request is for hours later.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    5 * time.Second,
		ResponseHeaderTimeout:  5 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}

// fetch asks the responders that a certificate names, up to the first that has a
// usable response. Most of them are asked by plain HTTP: what they say is signed.
func fetch(ctx context.Context, transport http.RoundTripper, cert, issuer *x509.Certificate) (*wire.Response, error) {
	request, err := wire.CreateRequest(cert, issuer, nil)
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	err = errors.New("ocsp: the certificate names no responder")
	for _, server := range cert.OCSPServer[:min(len(cert.OCSPServer), maxResponders)] {
		var der []byte
		if der, err = post(ctx, transport, server, request); err != nil {
			continue
		}
		var resp *wire.Response
		if resp, err = parse(der, cert, issuer); err == nil {
			return resp, nil
		}
	}
	return nil, err
}

// post makes one request (RFC 6960 Appendix A.1). It follows no redirects.
func post(ctx context.Context, transport http.RoundTripper, server string, request []byte) ([]byte, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, errors.New("ocsp: the certificate names a responder that is not on the web")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	req.Header.Set("Content-Type", "application/ocsp-request")
	req.Header.Set("Accept", "application/ocsp-response")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ocsp: HTTP status %d", resp.StatusCode)
	}
	der, err := io.ReadAll(io.LimitReader(resp.Body, maxResponse+1))
	if err != nil {
		return nil, fmt.Errorf("ocsp: %w", err)
	}
	if len(der) > maxResponse {
		return nil, fmt.Errorf("%w: longer than %d bytes", errResponse, maxResponse)
	}
	return der, nil
}
