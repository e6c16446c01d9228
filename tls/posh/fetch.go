package posh

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	// maxBody is how long a document may be: some hundred fingerprints.
	maxBody = 64 << 10
	// maxRedirects bounds those of HTTP. RFC 7711 §10 has ten as the most.
	maxRedirects = 5
)

// ErrNoDocument: the domain does not use POSH.
var ErrNoDocument = errors.New("posh: the domain has no document")

// newTransport returns what fetches documents if nothing else is said. It keeps
// no connections: the next document is wanted in hours, if ever.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  10 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}
}

// fetcher fetches what a domain says by POSH.
type fetcher struct {
	transport http.RoundTripper
	service   string
}

// fetch returns the fingerprints document of a domain, given as A-labels, with
// the time that it and a reference to it may be kept.
func (f *fetcher) fetch(ctx context.Context, domain string) (*document, error) {
	// RFC 7711 §3, RFC 7712 §5.2.
	u := &url.URL{Scheme: "https", Host: domain, Path: "/.well-known/posh/" + f.service + ".json"}
	redirects := maxRedirects
	d, err := f.get(ctx, u, &redirects)
	if err != nil || d.reference == nil {
		return d, err
	}
	target, err := f.get(ctx, d.reference, &redirects)
	switch {
	case errors.Is(err, ErrNoDocument):
		return nil, fmt.Errorf("%w: a reference to nothing", ErrDocument)
	case err != nil:
		return nil, err
	case target.reference != nil: // RFC 7711 §3.2
		return nil, fmt.Errorf("%w: a reference to a reference", ErrDocument)
	}
	target.expires = min(target.expires, d.expires) // RFC 7711 §6
	return target, nil
}

// get fetches one document, and counts the redirects that it follows.
func (f *fetcher) get(ctx context.Context, u *url.URL, redirects *int) (*document, error) {
	for {
		body, next, err := f.once(ctx, u)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return parseDocument(body)
		}
		if *redirects--; *redirects < 0 {
			return nil, fmt.Errorf("%w: too many redirects", ErrDocument)
		}
		u = next
	}
}

// once makes one request. Redirects are not for the transport to follow: it
// might go by way of plain HTTP, in between, where nobody would see it.
func (f *fetcher) once(ctx context.Context, u *url.URL) (body []byte, next *url.URL, err error) {
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{"Accept": {"application/json"}}}
	resp, err := f.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		// RFC 7711 §10: to an HTTPS URI; any of them can be taken as temporary.
		location, err := u.Parse(resp.Header.Get("Location"))
		if err != nil {
			return nil, nil, errNotHTTPS
		}
		next, err = httpsURL(location.String())
		return nil, next, err
	case http.StatusNotFound, http.StatusGone:
		return nil, nil, ErrNoDocument
	}
	if resp.StatusCode/100 != 2 {
		return nil, nil, fmt.Errorf("posh: HTTP status %d", resp.StatusCode)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, nil, err
	}
	if len(body) > maxBody {
		return nil, nil, fmt.Errorf("%w: longer than %d bytes", ErrDocument, maxBody)
	}
	return body, nil, nil
}
