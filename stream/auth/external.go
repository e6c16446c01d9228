package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// presented reports whether the peer has presented a certificate that the TLS layer has accepted.
func presented(sec *stream.Security) bool {
	return sec.Secure() && sec.Verified && len(sec.PeerChain) > 0
}

// certified returns the accounts at a domain that a peer's certificate is for. Only a certificate
// with nothing wrong about it vouches for addresses: with one that a policy has accepted all the same,
// anybody may have written them (RFC 6120 §13.7.2.2.2, §13.7.2.2.3). Nothing else in a certificate is
// an address, least of all its distinguished name.
func certified(sec *stream.Security, domain jid.JID) []jid.JID {
	if !presented(sec) || !sec.Verdict.OK() {
		return nil
	}
	var out []jid.JID
	for _, a := range sec.XMPPAddrs {
		// RFC 6120 §13.7.2.2.1: the domainpart is one of ours, and among ours that which the stream is for. An address of a
		// server is nobody's account.
		if a.IsBare() && a.Local() != "" && a.DomainJID() == domain && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// canExternal reports whether EXTERNAL could work on a connection (RFC 6120 §6.3.4). Accounts says
// whether the domain has any.
func (o *ServerOptions) canExternal(sec *stream.Security, domain jid.JID, accounts bool) bool {
	return presented(sec) && (o.MapCertificate != nil || accounts && len(certified(sec, domain)) > 0)
}

// external decides whose account a certificate is for, by the sub-cases of RFC 6120 §13.7.2.2.1 and
// XEP-0178 §2. Whether that account may come in, and act as asked, is for authorize.
func (o *ServerOptions) external(ctx context.Context, sec *stream.Security, domain, from jid.JID, authzID string) (jid.JID, error) {
	if !presented(sec) {
		return jid.JID{}, &sasl.Error{Condition: sasl.NotAuthorized}
	}
	asked, err := askedFor(authzID, domain)
	if err != nil {
		return jid.JID{}, err
	}
	addrs := certified(sec, domain)
	switch {
	case len(addrs) == 0:
		return o.mapped(ctx, sec, domain, from, asked)
	case slices.Contains(addrs, asked):
		return asked, nil
	case len(addrs) == 1:
		// Sub-case 1. Asked, if anything, is somebody else.
		return addrs[0], nil
	case asked.IsZero() && slices.Contains(addrs, from.Bare()):
		// Sub-case 2: the from of the stream header chooses.
		return from.Bare(), nil
	}
	// XEP-0178 §2: the client did not say which.
	return jid.JID{}, &sasl.Error{Condition: sasl.InvalidAuthzid, Text: "the certificate is for several accounts"}
}

// mapped is sub-case 3: a certificate without an address that counts.
func (o *ServerOptions) mapped(ctx context.Context, sec *stream.Security, domain, from, asked jid.JID) (jid.JID, error) {
	if o.MapCertificate == nil {
		return jid.JID{}, &sasl.Error{Condition: sasl.NotAuthorized}
	}
	who := asked
	if who.IsZero() {
		who = domain
		if from.DomainJID() == domain {
			who = from.Bare()
		}
	}
	account, err := o.MapCertificate(ctx, sec, who)
	if err != nil {
		return jid.JID{}, err
	}
	if err := atDomain(account, domain); err != nil {
		return jid.JID{}, &sasl.Error{Condition: sasl.NotAuthorized, Cause: fmt.Errorf("MapCertificate: %w", err)}
	}
	return account, nil
}

// registered returns nil if the store knows an account: a certificate may outlive it, and XEP-0178 §2 is
// about the addresses of registered accounts.
func registered(ctx context.Context, store sasl.KeyStore, account jid.JID) error {
	if store == nil {
		return &sasl.Error{Condition: sasl.NotAuthorized, Cause: sasl.ErrUnknownUser}
	}
	hashes := []sasl.Hash{sasl.SHA256, sasl.SHA1, sasl.SHA512, sasl.SHA3_512}
	if s, ok := store.(interface{ Hashes() []sasl.Hash }); ok {
		hashes = s.Hashes()
	}
	for _, h := range hashes {
		_, _, err := store.Keys(ctx, account.Local(), h)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, sasl.ErrUnknownUser):
			return &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
		}
	}
	return &sasl.Error{Condition: sasl.NotAuthorized, Cause: sasl.ErrUnknownUser}
}

// askedFor reads an authorization identity, which is a bare JID with a localpart (RFC 6120 §6.3.8), at
// the domain that the stream is for: nobody here is anybody at another one. Zero: none was given.
func askedFor(authzID string, domain jid.JID) (jid.JID, error) {
	if authzID == "" {
		return jid.JID{}, nil
	}
	asked, err := jid.Parse(authzID)
	if err == nil {
		err = atDomain(asked, domain)
	}
	if err != nil {
		return jid.JID{}, &sasl.Error{Condition: sasl.InvalidAuthzid, Cause: err}
	}
	return asked, nil
}

// errNoAccount: not the address of an account at the domain of the stream.
var errNoAccount = errors.New("not an account of this domain")

func atDomain(account, domain jid.JID) error {
	if !account.IsBare() || account.Local() == "" || account.DomainJID() != domain.DomainJID() {
		return errNoAccount
	}
	return nil
}

// localpart adapts a function of the options that returns a JID to package sasl, which knows names.
func localpart(account jid.JID, err error, domain jid.JID) (string, error) {
	if err != nil {
		return "", err
	}
	if err := atDomain(account, domain); err != nil {
		return "", &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	return account.Local(), nil
}

// RandomAccount is for [ServerOptions].Anonymous: it makes up an account that nobody had before (XEP-0175
// §3), with 128 bits of crypto/rand.
func RandomAccount(_ context.Context, domain jid.JID, _ string) (jid.JID, error) {
	return jid.New(strings.ToLower(rand.Text()), domain.Domain(), "")
}
