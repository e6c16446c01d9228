package hostmeta

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
)

var (
	// ErrNoDocument: the domain's web server has no such document.
	ErrNoDocument = errors.New("hostmeta: the domain has no document")

	// ErrDocument is wrapped by errors about documents that are not as RFC 6415
	// has them, and about redirects that are not followed.
	ErrDocument = errors.New("hostmeta: unusable document")

	// ErrNoEndpoint: there is a document, and it names no endpoint that can be
	// used.
	ErrNoEndpoint = errors.New("hostmeta: the document names no secure endpoint")
)

const (
	defaultTimeout = 15 * time.Second
	maxBody        = 64 << 10
	maxEndpoints   = 16
	maxRedirects   = 3
)

// Options says how the document is fetched. Nil and the zero value are right on
// the public internet.
type Options struct {
	// Transport makes the requests, by way of a proxy for instance. It has to
	// check certificates as net/http does. Nil means an http.Transport of our
	// own, with the proxy that the environment names.
	Transport http.RoundTripper

	// TLS is for the transport of our own, with other authorities for instance.
	// Its ServerName is ignored. It must not skip the verification, and cannot
	// be given together with a Transport. Nil means the system's authorities.
	TLS *tls.Config

	// Timeout bounds the whole. Zero means 15 seconds; a context with an earlier
	// deadline prevails.
	Timeout time.Duration
}

// Endpoint is a place where the service of a domain can be reached by WebSocket.
type Endpoint struct {
	// URL is absolute, with the scheme wss and neither user nor fragment. What it
	// says besides is up to the domain.
	URL string

	// Names are the reference identities for the endpoint's certificate, any of
	// which suffices: the host of the URL, which is also what is sent as the
	// Server Name Indication, and the domain (XEP-0156, RFC 7395 §6). Names are
	// A-labels, addresses have no brackets. The domain is the last of them.
	Names []string
}

// Lookup returns the endpoints of a domain, one at least and 16 at most, in no
// particular order (XEP-0156). They are to be trusted as far as this package's
// documentation says.
//
// Errors are [ErrNoDocument], [ErrNoEndpoint], those of the transport, or wrap
// [ErrDocument], [dial.ErrOptions] or a [*jid.Error]. Lookup is safe for
// concurrent use.
func Lookup(ctx context.Context, domain jid.JID, opts *Options) ([]Endpoint, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	transport := o.Transport
	if transport == nil {
		own, err := newTransport(o.TLS)
		if err != nil {
			return nil, err
		}
		defer own.CloseIdleConnections()
		transport = own
	} else if o.TLS != nil {
		return nil, fmt.Errorf("%w: both TLS and a Transport", dial.ErrOptions)
	}
	host, name, err := origin(domain)
	if err != nil {
		return nil, fmt.Errorf("hostmeta: %w", err)
	}
	f := fetcher{transport: transport, host: host}
	// XEP-0156: services MUST offer XRD, and SHOULD offer JRD in addition.
	links, err := fetchLinks(ctx, &f, "/.well-known/host-meta", "application/xrd+xml", parseXRD)
	if ctx.Err() == nil && (errors.Is(err, ErrNoDocument) || errors.Is(err, ErrDocument)) {
		first := err
		links, err = fetchLinks(ctx, &f, "/.well-known/host-meta.json", "application/json", parseJRD)
		if errors.Is(err, ErrNoDocument) {
			err = first // which says as much, or more
		}
	}
	if err != nil {
		return nil, err
	}
	var out []Endpoint
	for _, l := range links {
		if e, ok := endpoint(l, name); ok && len(out) < maxEndpoints {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, ErrNoEndpoint
	}
	return out, nil
}

// origin returns the domain as the host of a URL and as a name in certificates.
func origin(domain jid.JID) (host, name string, err error) {
	if addr, ok := domain.DomainAddr(); ok {
		if addr.Is6() {
			return "[" + addr.String() + "]", addr.String(), nil
		}
		return addr.String(), addr.String(), nil
	}
	name, err = domain.ASCIIDomain()
	return name, name, err
}

// newTransport returns what fetches documents if nothing else is said. It keeps
// no connections: who has an endpoint does not ask again soon.
func newTransport(config *tls.Config) (*http.Transport, error) {
	if config == nil {
		config = new(tls.Config)
	}
	if config.InsecureSkipVerify {
		return nil, fmt.Errorf("%w: the certificate of the web server has to be verified", dial.ErrOptions)
	}
	config = config.Clone()
	config.ServerName = "" // net/http takes the host's
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  10 * time.Second,
		MaxResponseHeaderBytes: 16 << 10,
		DisableKeepAlives:      true,
		DisableCompression:     true,
	}, nil
}

// fetcher fetches documents of one web server.
type fetcher struct {
	transport http.RoundTripper
	host      string
}

func fetchLinks(ctx context.Context, f *fetcher, path, accept string, parse func([]byte) ([]link, error)) ([]link, error) {
	u := &url.URL{Scheme: "https", Host: f.host, Path: path}
	for range maxRedirects + 1 {
		body, next, err := f.get(ctx, u, accept)
		if err != nil {
			return nil, err
		}
		if next == nil {
			return parse(body)
		}
		u = next
	}
	return nil, fmt.Errorf("%w: too many redirects", ErrDocument)
}

// get makes one request. Redirects are not for the transport to follow, which
// might go anywhere with them.
func (f *fetcher) get(ctx context.Context, u *url.URL, accept string) (body []byte, next *url.URL, err error) {
	req := &http.Request{Method: http.MethodGet, URL: u, Host: u.Host, Header: http.Header{"Accept": {accept}}}
	resp, err := f.transport.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		// RFC 6415 §2 would follow it anywhere. But it is this host that may speak
		// for the domain.
		next, err := u.Parse(resp.Header.Get("Location"))
		if err != nil || next.Scheme != "https" || next.User != nil || !strings.EqualFold(next.Hostname(), u.Hostname()) || next.Port() != "" && next.Port() != "443" {
			return nil, nil, fmt.Errorf("%w: a redirect to somewhere else", ErrDocument)
		}
		return nil, &url.URL{Scheme: "https", Host: f.host, Path: next.Path, RawPath: next.RawPath, RawQuery: next.RawQuery}, nil
	case http.StatusNotFound, http.StatusGone:
		return nil, nil, ErrNoDocument
	case http.StatusOK:
	default:
		return nil, nil, fmt.Errorf("%w: HTTP status %d", ErrDocument, resp.StatusCode)
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

// endpoint returns what a link leads to, if it can be used.
func endpoint(l link, domain string) (Endpoint, bool) {
	if !l.isWebSocket() || len(l.href) > maxHref {
		return Endpoint{}, false
	}
	u, err := url.Parse(l.href)
	// XEP-0156: only wss. RFC 6455 §3: no fragment.
	if err != nil || u.Scheme != "wss" || u.User != nil || u.Fragment != "" || u.Port() == "0" {
		return Endpoint{}, false
	}
	name, err := certName(u.Hostname())
	if err != nil {
		return Endpoint{}, false
	}
	e := Endpoint{URL: u.String(), Names: []string{name}}
	if name != domain {
		e.Names = append(e.Names, domain)
	}
	return e, true
}

// certName returns a host of a URL as it stands in certificates.
func certName(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		return addr.Unmap().String(), nil
	}
	j, err := jid.New("", host, "")
	if err != nil {
		return "", err
	}
	return j.ASCIIDomain()
}
