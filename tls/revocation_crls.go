package tls

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A CRLSource fetches lists of revoked certificates for [CRLs]. This package
// brings none that goes out to the network: whether that is permitted, through
// which proxy, and where lists are kept is for the program to say.
// Implementations are safe for concurrent use.
type CRLSource interface {
	// CRL returns a list of an issuer as DER. The urls are where the certificate
	// in question says that it is to be found (cRLDistributionPoints); there may
	// be none, or several for the same list. They come from the certificate of
	// a peer, though one that leads to a trusted root. An error means that there
	// is no list.
	//
	// The result must not change later. Its size is checked against
	// CRLOptions.MaxBytes afterwards: a source that reads from somebody else has
	// a limit of its own.
	CRL(ctx context.Context, issuer *x509.Certificate, urls []string) ([]byte, error)
}

// CRLOptions bound what [CRLs] does. Nil and the zero value are reasonable.
type CRLOptions struct {
	// MaxBytes is how long a list may be; zero means 8 MiB. A longer one is an
	// error.
	MaxBytes int
	// MaxLists is how many lists are kept; zero means 32. With one more, the one
	// that has not been used for longest goes.
	MaxLists int
	// Refresh is after which time the source is asked for a newer list than the
	// one that is kept; zero means an hour. It is asked earlier if that one's
	// nextUpdate has passed.
	Refresh time.Duration
}

// The defaults of CRLOptions.
const (
	defaultCRLBytes   = 8 << 20
	defaultCRLLists   = 32
	defaultCRLRefresh = time.Hour
)

const (
	// maxCRLURLs is how many addresses of one certificate the source is given.
	maxCRLURLs = 16
	// retryAfter is how long a source that has failed is left alone.
	retryAfter = time.Minute
)

// CRLs returns a checker that looks certificates up in lists of revoked ones
// (RFC 5280 §6.3), for [ClientOptions].Revocation. A list has to be signed by
// the very authority that issued the certificate. The root of a path is not
// looked up.
//
// It can tell that a certificate is not revoked by a list that is valid at the
// time and about all certificates of its kind. Lists that are not understood in
// full are not used: delta lists, those of one authority about certificates of
// another, and those with unknown critical extensions. A list that is out of
// date can still tell what is revoked.
func CRLs(source CRLSource, opts *CRLOptions) RevocationChecker {
	c := &crlChecker{source: source, kept: map[[sha256.Size]byte]*crlSlot{}}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.MaxBytes <= 0 {
		c.opts.MaxBytes = defaultCRLBytes
	}
	if c.opts.MaxLists <= 0 {
		c.opts.MaxLists = defaultCRLLists
	}
	if c.opts.Refresh <= 0 {
		c.opts.Refresh = defaultCRLRefresh
	}
	return c
}

type crlChecker struct {
	source CRLSource
	opts   CRLOptions

	mu   sync.Mutex
	uses uint64
	kept map[[sha256.Size]byte]*crlSlot
}

// crlSlot is where the newest list of one issuer and place is kept.
type crlSlot struct {
	used uint64 // guarded by crlChecker.mu

	// turn has room for one: whoever has put something into it may use what is
	// below, and takes it out again. Others wait while a list is fetched, and do
	// not fetch it too.
	turn   chan struct{}
	list   *crl // nil: none yet
	asked  time.Time
	failed error // of the last attempt
}

// CheckRevocation implements [RevocationChecker].
func (c *crlChecker) CheckRevocation(ctx context.Context, path []*x509.Certificate, now time.Time) error {
	return eachIssued(path, func(i int) error {
		err := c.check(ctx, path[i], path[i+1], now)
		if err == nil || errors.Is(err, ErrRevoked) {
			return err
		}
		return fmt.Errorf("%w: %w", ErrRevocationUnknown, err)
	})
}

func (c *crlChecker) check(ctx context.Context, cert, issuer *x509.Certificate, now time.Time) error {
	urls := cert.CRLDistributionPoints
	urls = urls[:min(len(urls), maxCRLURLs)]
	list, err := c.newest(ctx, c.slot(issuer, urls), issuer, urls, now)
	if list == nil {
		return err
	}
	return list.status(cert, now)
}

// slot finds or makes room for the list of an issuer.
func (c *crlChecker) slot(issuer *x509.Certificate, urls []string) *crlSlot {
	h := sha256.New()
	h.Write(issuer.Raw)
	for _, u := range urls {
		h.Write([]byte(u))
		h.Write([]byte{0})
	}
	var key [sha256.Size]byte
	h.Sum(key[:0])

	c.mu.Lock()
	defer c.mu.Unlock()
	s, ok := c.kept[key]
	if !ok {
		if len(c.kept) >= c.opts.MaxLists {
			var oldest [sha256.Size]byte
			for k, other := range c.kept {
				if o, ok := c.kept[oldest]; !ok || other.used < o.used {
					oldest = k
				}
			}
			delete(c.kept, oldest)
		}
		s = &crlSlot{turn: make(chan struct{}, 1)}
		c.kept[key] = s
	}
	c.uses++
	s.used = c.uses
	return s
}

// newest returns the newest list there is, perhaps an old one, or an error and
// no list.
func (c *crlChecker) newest(ctx context.Context, s *crlSlot, issuer *x509.Certificate, urls []string, now time.Time) (*crl, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	again := c.opts.Refresh
	if s.failed != nil || s.list != nil && !now.Before(s.list.nextUpdate) {
		again = min(again, retryAfter)
	}
	// A clock that was set back makes everything old.
	if !now.Before(s.asked) && now.Before(s.asked.Add(again)) {
		return s.list, s.failed
	}
	list, err := c.fetch(ctx, issuer, urls)
	if err != nil && ctx.Err() != nil {
		return s.list, err // the fault of the caller, not of the source
	}
	s.asked, s.failed = now, err
	// Somebody in between may send an older list that is still valid.
	if err == nil && (s.list == nil || !list.thisUpdate.Before(s.list.thisUpdate) || now.Before(s.list.thisUpdate)) {
		s.list = list
	}
	return s.list, err
}

func (c *crlChecker) fetch(ctx context.Context, issuer *x509.Certificate, urls []string) (*crl, error) {
	if c.source == nil {
		return nil, errNoCRL
	}
	der, err := c.source.CRL(ctx, issuer, urls)
	if err != nil {
		return nil, err
	}
	return parseCRL(der, issuer, c.opts.MaxBytes)
}

// pemOrDER returns the blocks of a kind in PEM, or what is no PEM as it is.
func pemOrDER(data []byte, kind string) ([][]byte, error) {
	var out [][]byte
	for rest := data; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != kind {
			return nil, fmt.Errorf("xmpp/tls: a block of PEM that is no %s", kind)
		}
		out = append(out, block.Bytes)
	}
	if len(out) == 0 {
		out = append(out, data)
	}
	return out, nil
}
