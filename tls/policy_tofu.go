package tls

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// A PinStore remembers the public keys of domains for [TrustOnFirstUse]. What
// is in it decides who is trusted: keep it like a password file, and let people
// see and change it. Implementations are safe for concurrent use.
type PinStore interface {
	// Get returns the pins of a domain; none if the domain is not known. An
	// error means that this could not be found out, and nobody is trusted then.
	Get(ctx context.Context, domain jid.JID) ([]PublicKeyPin, error)
	// PutFirst remembers pins for a domain that has none, and returns the pins
	// that the domain has afterwards. It never changes those that are there: of
	// two connections at once, one is the first. Both see its pins.
	PutFirst(ctx context.Context, domain jid.JID, pins []PublicKeyPin) ([]PublicKeyPin, error)
}

// TrustOnFirstUse returns a policy that accepts a certificate of an unknown
// authority, or a self-signed one, when it is the first of its domain, and
// remembers its key. From then on the domain has to show that key. Somebody who
// is in the middle already the first time is not noticed.
//
// Only the authority may be missing: a certificate with the wrong name, at the
// wrong time, revoked, or for another use is accepted neither the first time nor
// later.
//
// A domain without a remembered key whose certificate a trusted authority
// vouches for is accepted by that authority's word, and its key is not
// remembered: such certificates are renewed with new keys all the time. A domain
// whose key is remembered has to show that key, whoever vouches for another one;
// AnyOf(Default(), TrustOnFirstUse(store)) is less strict.
//
// Another key than the remembered one is refused with a [*PinError]. An error
// of the store refuses every certificate.
func TrustOnFirstUse(store PinStore) VerifyPolicy { return &tofuPolicy{store} }

type tofuPolicy struct{ store PinStore }

// VerifyCertificate implements [VerifyPolicy].
func (o *tofuPolicy) VerifyCertificate(ctx context.Context, p *Presented) error {
	// A client's certificate is nobody's before the client says who it is.
	if p.Domain.IsZero() || !nothingBut(p.Verdict, stream.UnknownAuthority|stream.SelfSigned) {
		return verdictError(p)
	}
	if len(p.Chain) == 0 {
		return errNoCertificate
	}
	if o.store == nil {
		return errors.New("xmpp/tls: there is no PinStore")
	}
	domain, got := p.Domain.DomainJID(), PinOf(p.Chain[0])
	known, err := o.store.Get(ctx, domain)
	if err == nil && len(known) == 0 {
		if p.Verdict.OK() {
			return verdictError(p)
		}
		known, err = o.store.PutFirst(ctx, domain, []PublicKeyPin{got})
	}
	if err != nil {
		return fmt.Errorf("xmpp/tls: pins of %s: %w", quote.ASCII(domain.Domain(), 256), err)
	}
	if !slices.Contains(known, got) {
		return &PinError{Domain: domain.Domain(), Got: got, Want: slices.Clone(known)}
	}
	return nil
}

// ErrPinsFull is wrapped when a [MemoryPins] has no room for another domain.
var ErrPinsFull = errors.New("xmpp/tls: no room for another pinned domain")

// DefaultMaxPinned is how many domains a [MemoryPins] remembers if nothing else
// is said.
const DefaultMaxPinned = 10_000

// MemoryPins is a [PinStore] that lasts as long as the process, so that each
// start of the program is a first use. The zero value is empty and ready. It
// must not be copied. Its methods are safe for concurrent use.
type MemoryPins struct {
	// Max bounds how many domains are remembered; zero means
	// DefaultMaxPinned. One more fails with ErrPinsFull, and is refused: to
	// forget another one instead would make that one's next use its first.
	// Set it before the first use.
	Max int

	mu   sync.Mutex
	pins map[string][]PublicKeyPin // by domain
}

// Get implements [PinStore].
func (m *MemoryPins) Get(_ context.Context, domain jid.JID) ([]PublicKeyPin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.pins[domain.Domain()]), nil
}

// PutFirst implements [PinStore].
func (m *MemoryPins) PutFirst(_ context.Context, domain jid.JID, pins []PublicKeyPin) ([]PublicKeyPin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.pins[domain.Domain()]; len(known) > 0 {
		return slices.Clone(known), nil
	}
	if err := m.set(domain, pins); err != nil {
		return nil, err
	}
	return slices.Clone(pins), nil
}

// Set replaces the pins of a domain, for when somebody has found out that its
// new key is genuine. Without pins the domain is forgotten, and its next use is
// its first.
func (m *MemoryPins) Set(domain jid.JID, pins ...PublicKeyPin) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.set(domain, pins)
}

// set is Set with the lock held.
func (m *MemoryPins) set(domain jid.JID, pins []PublicKeyPin) error {
	name := domain.Domain()
	if len(pins) == 0 {
		delete(m.pins, name)
		return nil
	}
	most := m.Max
	if most <= 0 {
		most = DefaultMaxPinned
	}
	if _, ok := m.pins[name]; !ok && len(m.pins) >= most {
		return ErrPinsFull
	}
	if m.pins == nil {
		m.pins = map[string][]PublicKeyPin{}
	}
	m.pins[name] = slices.Clone(pins)
	return nil
}
