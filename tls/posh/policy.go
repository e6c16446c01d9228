package posh

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// The services, as [Options].Service (RFC 7712 §9).
const (
	ServiceClient = "xmpp-client"
	ServiceServer = "xmpp-server"
)

// Options is how documents are fetched and kept. Nil and the zero value are
// right for a client.
type Options struct {
	// Service is what the stream is for, ServiceClient or ServiceServer; empty
	// means ServiceClient.
	Service string
	// Transport makes the requests, and checks the certificates of web servers.
	// It must not follow redirects, so it is not an http.Client; those to HTTPS
	// are followed here. Nil means an http.Transport of its own with the
	// system's roots and the proxy of the environment.
	Transport http.RoundTripper
	// Timeout bounds what is fetched for one certificate, within the time that
	// the handshake has; zero means 10 seconds.
	Timeout time.Duration
	// MaxDomains is for how many domains documents are kept; zero means 1,000.
	// With one more, the one that has not been used for longest goes.
	MaxDomains int
}

const (
	defaultTimeout = 10 * time.Second
	defaultDomains = 1000
	// retryAfter is how long a domain is left alone whose document could not be
	// had: with the certificates that somebody presents in its name, nobody
	// shall make this side flood its web server.
	retryAfter = time.Minute
)

// ErrMismatch: the certificate is not among those of the document.
var ErrMismatch = errors.New("posh: the certificate is in no document of the domain")

// Policy returns a policy that accepts what the ordinary rules accept, and a
// certificate whose only faults are that its authority is not known, that it is
// self-signed, or that it names somebody else, if a document of the domain has
// its fingerprint. One that has expired (RFC 7711 §6), is revoked or meant for
// another use is never accepted. So with the policy alone there is no need for
// [xtls.Default] beside it.
//
// Its errors wrap that of the ordinary rules and, where something was fetched,
// what came of it: [ErrNoDocument], [ErrDocument], [ErrMismatch], or an error of
// the transport.
//
// For the certificates of clients, and for domains that are IP addresses,
// nothing is fetched.
func Policy(opts *Options) xtls.VerifyPolicy {
	o := Options{}
	if opts != nil {
		o = *opts
	}
	if o.Service == "" {
		o.Service = ServiceClient
	}
	if o.Transport == nil {
		o.Transport = newTransport()
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	if o.MaxDomains <= 0 {
		o.MaxDomains = defaultDomains
	}
	return &policy{
		fetcher: fetcher{o.Transport, o.Service}, timeout: o.Timeout,
		most: o.MaxDomains, kept: map[string]*slot{},
	}
}

type policy struct {
	fetcher fetcher
	timeout time.Duration
	most    int

	mu   sync.Mutex
	uses uint64
	kept map[string]*slot // by domain
}

// slot is where the document of one domain is kept.
type slot struct {
	used uint64 // guarded by policy.mu

	// turn has room for one: whoever has put something into it may use what is
	// below, and takes it out again. Others wait while a document is fetched,
	// and do not fetch it too.
	turn        chan struct{}
	doc         *document
	err         error
	from, until time.Time
}

// VerifyCertificate implements [xtls.VerifyPolicy].
func (o *policy) VerifyCertificate(ctx context.Context, p *xtls.Presented) error {
	ordinary := xtls.Default().VerifyCertificate(ctx, p)
	if ordinary == nil || len(p.Chain) == 0 || p.Domain.IsZero() || !forgivable(p.Verdict) {
		return ordinary
	}
	if _, ok := p.Domain.DomainAddr(); ok {
		return ordinary
	}
	// RFC 7712 §5.2: the domain is the one that the stream header is for.
	domain, err := p.Domain.ASCIIDomain()
	if err != nil {
		return &refusal{ordinary, err}
	}
	doc, err := o.document(ctx, domain, p.Now)
	switch {
	case err != nil:
		return &refusal{ordinary, err}
	case !doc.matches(p.Chain[0].Raw):
		return &refusal{ordinary, ErrMismatch}
	}
	return nil
}

// forgivable reports whether nothing is wrong that a document could not make
// good.
func forgivable(v xtls.Verdict) bool {
	const who = stream.UnknownAuthority | stream.SelfSigned
	return v&(stream.Anchored|who) != 0 && v&^(stream.Anchored|who|stream.WrongName) == 0
}

// document returns the document of a domain, kept or fetched.
func (o *policy) document(ctx context.Context, domain string, now time.Time) (*document, error) {
	s := o.slot(domain)
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	// A clock that was set back makes everything old.
	if !now.Before(s.from) && now.Before(s.until) {
		return s.doc, s.err
	}
	fetching, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	doc, err := o.fetcher.fetch(fetching, domain)
	if err != nil {
		if ctx.Err() == nil { // else the fault of the caller, not of the domain
			s.doc, s.err, s.from, s.until = nil, err, now, now.Add(retryAfter)
		}
		return nil, err
	}
	s.doc, s.err, s.from, s.until = doc, nil, now, now.Add(doc.expires)
	return doc, nil
}

// slot finds or makes room for a domain.
func (o *policy) slot(domain string) *slot {
	o.mu.Lock()
	defer o.mu.Unlock()
	s, ok := o.kept[domain]
	if !ok {
		if len(o.kept) >= o.most {
			oldest, least := "", o.uses+1
			for d, other := range o.kept {
				if other.used < least {
					oldest, least = d, other.used
				}
			}
			delete(o.kept, oldest)
		}
		s = &slot{turn: make(chan struct{}, 1)}
		o.kept[domain] = s
	}
	o.uses++
	s.used = o.uses
	return s
}

// refusal is what the ordinary rules say, and POSH.
type refusal struct{ ordinary, posh error }

// Error quotes what may come from a web server.
func (r *refusal) Error() string {
	return r.ordinary.Error() + "; POSH: " + quote.ASCII(r.posh.Error(), 256)
}

func (r *refusal) Unwrap() []error { return []error{r.ordinary, r.posh} }
