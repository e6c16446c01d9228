package auth

import (
	"context"
	"errors"
	"net/netip"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
)

// gate is an AttemptLimiter as one handshake of one stream meets it. A nil gate is always open. It
// is made anew with the rules of a stream, and for one goroutine.
type gate struct {
	limiter AttemptLimiter
	address func(context.Context) netip.Addr // nil: not known
	domain  jid.JID

	addr    netip.Addr
	account jid.JID // whom the client says it is, once it has said so
	closed  bool    // the client is turned away
	settled bool    // the limiter knows that the attempt failed
}

// errTurnedAway is the error of a mechanism whose account is not let in; the exchange knows more of it.
var errTurnedAway = &sasl.Error{Condition: sasl.TemporaryAuthFailure}

// open begins an attempt by somebody not known yet.
func (g *gate) open(ctx context.Context) bool {
	if g == nil {
		return true
	}
	if g.address != nil {
		g.addr = g.address(ctx)
	}
	g.account, g.closed, g.settled = jid.JID{}, false, false
	return g.limiter.Allow(jid.JID{}, g.addr)
}

// enter is called with the name that the client has given, before the credentials of that account are
// looked at. The name is a localpart.
func (g *gate) enter(name string) error {
	if g == nil {
		return nil
	}
	who, err := account(name, g.domain)
	if err != nil {
		return nil // nobody's name
	}
	g.account = who
	if g.closed = !g.limiter.Allow(who, g.addr); g.closed {
		return errTurnedAway
	}
	return nil
}

// found is called when a lookup has told the canonical form of a name. The attempt is one at that account
// from now on: otherwise there would be as many attempts at an account as it has names.
func (g *gate) found(name, canonical string) error {
	if canonical == name {
		return nil
	}
	return g.enter(canonical) // empty: it has not
}

// failed ends an attempt that failed. It reports whether the client may know.
func (g *gate) failed() bool {
	if g == nil {
		return true
	}
	if !g.settled && !g.closed {
		g.settled, g.closed = true, !g.limiter.Failed(g.account, g.addr)
	}
	return !g.closed
}

// refused reports whether the client is turned away already.
func (g *gate) refused() bool { return g != nil && g.closed }

// succeeded ends an attempt that succeeded. It reports whether the client may know, and come in.
func (g *gate) succeeded(who jid.JID) bool {
	if g == nil {
		return true
	}
	if g.account.IsZero() {
		g.account = who
	}
	return g.limiter.Succeeded(g.account, g.addr)
}

// guard puts the gate before the credentials that a mechanism looks up by name. EXTERNAL and
// OAUTHBEARER learn the name from the credential; it is at succeeded that they meet the gate.
func (g *gate) guard(cfg *sasl.ServerConfig) {
	if g == nil {
		return
	}
	if cfg.Store != nil {
		cfg.Store = gatedStore{cfg.Store, g}
	}
	if verify := cfg.Bearer; verify != nil {
		cfg.Bearer = func(ctx context.Context, token sasl.BearerToken) (string, error) {
			name, err := verify(ctx, token)
			if err != nil && ctx.Err() == nil && !errors.Is(err, sasl.TemporaryAuthFailure) && !g.failed() {
				// Now, since the client is told in a challenge (RFC 7628 §3.2.2) and need not stay for the failure.
				return "", errTurnedAway
			}
			return name, err
		}
	}
	if find := cfg.FastTokens; find != nil {
		cfg.FastTokens = func(ctx context.Context, username string, match func([]byte) bool) (string, error) {
			if err := g.enter(username); err != nil {
				return "", err
			}
			canonical, err := find(ctx, username, match)
			if turned := g.found(username, canonical); turned != nil {
				return "", turned
			}
			return canonical, err
		}
	}
	if find := cfg.InsecureDigest; find != nil {
		cfg.InsecureDigest = func(ctx context.Context, username, realm string) ([16]byte, string, error) {
			if err := g.enter(username); err != nil {
				return [16]byte{}, "", err
			}
			digest, canonical, err := find(ctx, username, realm)
			if turned := g.found(username, canonical); turned != nil {
				return [16]byte{}, "", turned
			}
			return digest, canonical, err
		}
	}
}

// gatedStore is a KeyStore behind a gate.
type gatedStore struct {
	sasl.KeyStore
	gate *gate
}

// Keys implements [sasl.KeyStore].
func (s gatedStore) Keys(ctx context.Context, username string, hash sasl.Hash) (sasl.Keys, string, error) {
	if err := s.gate.enter(username); err != nil {
		return sasl.Keys{}, "", err
	}
	keys, canonical, err := s.KeyStore.Keys(ctx, username, hash)
	if turned := s.gate.found(username, canonical); turned != nil {
		return sasl.Keys{}, "", turned
	}
	return keys, canonical, err
}

// Hashes is for package sasl, which looks for it: nil means that there is nothing to know.
func (s gatedStore) Hashes() []sasl.Hash {
	if l, ok := s.KeyStore.(interface{ Hashes() []sasl.Hash }); ok {
		return l.Hashes()
	}
	return nil
}

// KeyIterations is for package sasl, which looks for it.
func (s gatedStore) KeyIterations() int {
	if k, ok := s.KeyStore.(interface{ KeyIterations() int }); ok {
		return k.KeyIterations()
	}
	return sasl.DefaultIterations
}
