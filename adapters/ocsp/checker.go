package ocsp

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	wire "golang.org/x/crypto/ocsp"

	xtls "stanzakit.dev/xmpp/tls"
)

// Options is how responses are fetched and kept. Nil and the zero value are
// reasonable.
type Options struct {
	// StapledOnly keeps the checker from asking anybody: what a server sends
	// along is all there is, and nothing is known about the authorities between.
	StapledOnly bool
	// Transport makes the requests. It must not follow redirects, so it is not
	// an http.Client. Nil means an http.Transport of its own with the proxy of
	// the environment.
	Transport http.RoundTripper
	// Timeout bounds what is fetched for one certificate, within the time that
	// the handshake has; zero means 5 seconds.
	Timeout time.Duration
	// MaxResponses is how many responses are kept; zero means 1,000. With one
	// more, the one that has not been used for longest goes.
	MaxResponses int
}

const (
	defaultTimeout   = 5 * time.Second
	defaultResponses = 1000
	// refreshAfter is how long a response is kept, if it is valid for so long.
	refreshAfter = time.Hour
	// retryAfter is how long responders that have failed are left alone.
	retryAfter = time.Minute
)

// Checker returns a checker for [xtls.ClientOptions].Revocation. For each
// certificate of a path but the root it wants a response that says that the
// certificate is good, and that is valid at the time. Without one it cannot
// tell; [xtls.RevocationKnown] refuses the certificate then. Many authorities
// have no responders any more, so that xtls.FirstToTell(ocsp.Checker(nil),
// xtls.CRLs(…)) makes sense.
//
// It is safe for concurrent use.
func Checker(opts *Options) xtls.RevocationChecker {
	c := &checker{kept: map[[sha256.Size]byte]*kept{}}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Transport == nil {
		c.opts.Transport = newTransport()
	}
	if c.opts.Timeout <= 0 {
		c.opts.Timeout = defaultTimeout
	}
	if c.opts.MaxResponses <= 0 {
		c.opts.MaxResponses = defaultResponses
	}
	return c
}

type checker struct {
	opts Options

	mu   sync.Mutex
	uses uint64
	kept map[[sha256.Size]byte]*kept
}

// kept is the newest response about a certificate, and what came of the last
// attempt to get one.
type kept struct {
	used        uint64
	response    *wire.Response // nil: none yet
	failed      error
	from, until time.Time // when not to ask again
}

// CheckRevocation implements [xtls.RevocationChecker].
func (c *checker) CheckRevocation(ctx context.Context, path []*x509.Certificate, now time.Time) error {
	stapled := xtls.StapledOCSP(ctx)
	var unknown error
	for i := range max(len(path), 1) - 1 {
		err := c.check(ctx, path[i], path[i+1], stapled, now)
		if errors.Is(err, xtls.ErrRevoked) {
			return err
		}
		if err != nil && unknown == nil {
			unknown = fmt.Errorf("%w: %w", xtls.ErrRevocationUnknown, err)
		}
		stapled = nil // that was about the first one
	}
	return unknown
}

func (c *checker) check(ctx context.Context, cert, issuer *x509.Certificate, stapled []byte, now time.Time) error {
	key := keyOf(cert, issuer)
	err := errors.New("ocsp: no response was sent along")
	if len(stapled) > 0 {
		err = c.take(key, stapled, cert, issuer, now)
	}
	known, again, failed := c.get(key, now)
	if known != nil {
		err = status(known, now)
	}
	switch {
	case errors.Is(err, xtls.ErrRevoked), c.opts.StapledOnly, known != nil && !again:
		return err
	case !again:
		return failed
	}
	fetching, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	resp, failed := fetch(fetching, c.opts.Transport, cert, issuer)
	if failed == nil {
		return status(c.put(key, resp, now), now)
	}
	if ctx.Err() == nil { // else the fault of the caller, not of the responders
		c.fail(key, failed, now)
	}
	if known != nil {
		return err
	}
	return failed
}

// take keeps a response that was sent along, if it is of any use.
func (c *checker) take(key [sha256.Size]byte, stapled []byte, cert, issuer *x509.Certificate, now time.Time) error {
	if len(stapled) > maxResponse {
		return fmt.Errorf("%w: longer than %d bytes", errResponse, maxResponse)
	}
	resp, err := parse(stapled, cert, issuer)
	if err != nil {
		return err
	}
	if err := status(resp, now); err != nil && !errors.Is(err, xtls.ErrRevoked) {
		return err
	}
	c.put(key, resp, now)
	return nil
}

func keyOf(cert, issuer *x509.Certificate) (key [sha256.Size]byte) {
	h := sha256.New()
	h.Write(cert.Raw)
	h.Write(issuer.Raw)
	h.Sum(key[:0])
	return key
}

// entry finds or makes room for a certificate, with the lock held.
func (c *checker) entry(key [sha256.Size]byte) *kept {
	k, ok := c.kept[key]
	if !ok {
		if len(c.kept) >= c.opts.MaxResponses {
			var oldest [sha256.Size]byte
			least := c.uses + 1
			for other, k := range c.kept {
				if k.used < least {
					oldest, least = other, k.used
				}
			}
			delete(c.kept, oldest)
		}
		k = new(kept)
		c.kept[key] = k
	}
	c.uses++
	k.used = c.uses
	return k
}

// get returns what is known about a certificate: a response, or none and how
// the last attempt to get one has failed; and whether to try again.
func (c *checker) get(key [sha256.Size]byte, now time.Time) (known *wire.Response, again bool, failed error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.entry(key)
	// A clock that was set back makes everything old.
	return k.response, now.Before(k.from) || !now.Before(k.until), k.failed
}

// put keeps a response and returns the newest one. An older one does not replace
// it: somebody in between may send one from before a certificate was revoked.
func (c *checker) put(key [sha256.Size]byte, resp *wire.Response, now time.Time) *wire.Response {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.entry(key)
	if k.response == nil || !resp.ThisUpdate.Before(k.response.ThisUpdate) || now.Add(maxSkew).Before(k.response.ThisUpdate) {
		k.response = resp
	}
	k.failed, k.from, k.until = nil, now, now.Add(refreshAfter)
	switch {
	case status(k.response, now) != nil: // nobody is asked again about what is revoked
		k.until = now.Add(retryAfter)
	case k.response.NextUpdate.Before(k.until):
		k.until = k.response.NextUpdate
	}
	return k.response
}

// fail notes that the responders are to be left alone for a while.
func (c *checker) fail(key [sha256.Size]byte, err error, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.entry(key)
	k.failed, k.from, k.until = err, now, now.Add(retryAfter)
}
