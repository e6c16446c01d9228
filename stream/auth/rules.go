package auth

import (
	"context"
	"errors"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// digestMD5 is the mechanism that takes an opt-in of its own.
const digestMD5 = "DIGEST-MD5"

// rules returns what holds on the connection as it is now, for either profile.
func (o *ServerOptions) rules(n *stream.Negotiation) *serverRules {
	tls := n.State().Has(stream.Secure)
	r := &serverRules{secured: tls || o.InsecureWithoutTLS, retries: o.Retries, bindings: bindingsOf(n.Security())}
	store := o.Store
	if o.StoreFor != nil {
		store = o.StoreFor(n.Domain())
	}
	for _, m := range sasl.ForStore(o.Mechanisms, store) {
		switch {
		case m.NewServer == nil || !o.possible(m, n, store != nil):
		case m.ChannelBinding && len(r.bindings) == 0:
		case m.Plaintext && !tls && !(o.InsecureWithoutTLS && o.InsecurePlainWithoutTLS):
			// RFC 6120 §6.3.4, §13.8.3; RFC 7628 §5.
			r.needTLS = append(r.needTLS, m.Name)
		default:
			r.offered = append(r.offered, m)
			if m.ChannelBinding {
				r.types = bindingTypes(r.bindings)
			}
		}
	}
	if o.Attempts != nil {
		r.gate = &gate{limiter: o.Attempts, address: o.Address, domain: n.Domain()}
	}
	r.begin = func(m sasl.Mechanism) (sasl.Server, error) {
		cfg := o.config(n, r, store)
		if m.Name == digestMD5 {
			cfg.Service = n.Domain().String() // its realm
		}
		if r.adjust != nil {
			r.adjust(cfg)
		}
		r.gate.guard(cfg)
		return m.NewServer(cfg)
	}
	r.authorize = func(ctx context.Context, id sasl.Identity) (jid.JID, error) {
		who, err := o.authorize(ctx, id, n.Domain())
		if err != nil {
			return jid.JID{}, err
		}
		// RFC 6120 §6.4.6: correlate with the from of the stream header.
		if from := n.RemoteHeader().From; !from.IsZero() && from.Bare() != who {
			return jid.JID{}, &stream.Error{Condition: stream.InvalidFrom, Text: "the from of the stream header is not who authenticated"}
		}
		return who, nil
	}
	return r
}

// possible reports whether there is what a mechanism needs: in the options, and on the connection.
// Accounts says whether the domain has a store.
func (o *ServerOptions) possible(m sasl.Mechanism, n *stream.Negotiation, accounts bool) bool {
	switch m.Credential {
	case sasl.CertificateCredential:
		// RFC 6120 §6.3.4: not offered to a client that has not presented a certificate that will do.
		return o.canExternal(n.Security(), n.Domain(), accounts)
	case sasl.TokenCredential:
		return o.Bearer != nil
	case sasl.NoCredential:
		return o.Anonymous != nil
	case sasl.FastTokenCredential:
		return false // offered elsewhere, if at all (XEP-0484)
	}
	if m.Name == digestMD5 {
		return o.InsecureDigest != nil
	}
	return accounts
}

// config returns what a mechanism that begins needs to know.
func (o *ServerOptions) config(n *stream.Negotiation, r *serverRules, store sasl.KeyStore) *sasl.ServerConfig {
	domain, sec := n.Domain(), n.Security()
	cfg := &sasl.ServerConfig{
		Store:        store,
		Bindings:     r.bindings,
		Offered:      names(r.offered),
		OfferedTypes: r.types,
		// RFC 6120 §6.3.7: the user name is a localpart, so names that are equal as localparts are equal here.
		Normalize: func(name string) (string, error) {
			j, err := account(name, domain)
			return j.Local(), err
		},
		// Decided in serverRules.authorize, the same way for every mechanism.
		Authorize:      func(context.Context, sasl.Identity) error { return nil },
		Secure:         n.State().Has(stream.Secure) || o.InsecureWithoutTLS && o.InsecurePlainWithoutTLS,
		FakeSecret:     o.FakeSecret,
		FakeIterations: o.FakeIterations,
		PlainHash:      o.PlainHash,
		External: func(ctx context.Context, authzID string) (string, error) {
			who, err := o.external(ctx, sec, domain, n.RemoteHeader().From, authzID)
			if err == nil && slices.Contains(certified(sec, domain), who) {
				err = registered(ctx, store, who)
			}
			return who.Local(), err
		},
		InsecureDigest: o.InsecureDigest,
	}
	if o.StoreFor != nil {
		cfg.Service = domain.String()
	}
	if o.TellTLSVersion {
		cfg.TLSVersion = sec.Version
	}
	if o.Anonymous != nil {
		cfg.Anonymous = func(ctx context.Context, trace string) (string, error) {
			who, err := o.Anonymous(ctx, domain, trace)
			return localpart(who, err, domain)
		}
	}
	if o.Bearer != nil {
		cfg.Bearer = func(ctx context.Context, token sasl.BearerToken) (string, error) {
			who, err := o.Bearer(ctx, domain, token)
			return localpart(who, err, domain)
		}
	}
	return cfg
}

// authorize turns a verified identity into the JID that the stream is for.
func (o *ServerOptions) authorize(ctx context.Context, id sasl.Identity, domain jid.JID) (jid.JID, error) {
	own, err := account(id.AuthcID, domain)
	if err != nil {
		// Only a store that returns a canonical name which is no localpart gets here.
		return jid.JID{}, &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	asked, err := askedFor(id.AuthzID, domain)
	if err != nil {
		// Whatever Authorize has to say.
		return jid.JID{}, err
	}
	if asked.IsZero() {
		asked = own
	}
	if o.Authorize == nil {
		if asked != own {
			return jid.JID{}, &sasl.Error{Condition: sasl.InvalidAuthzid}
		}
		return own, nil
	}
	err = o.Authorize(ctx, own, asked)
	var e *sasl.Error
	switch {
	case err == nil:
		return asked, nil
	case errors.As(err, &e):
		return jid.JID{}, e
	case ctx.Err() != nil:
		return jid.JID{}, &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
	case asked != own:
		return jid.JID{}, &sasl.Error{Condition: sasl.InvalidAuthzid, Cause: err}
	default:
		return jid.JID{}, &sasl.Error{Condition: sasl.NotAuthorized, Cause: err}
	}
}

// account returns the bare JID that a user name stands for.
func account(name string, domain jid.JID) (jid.JID, error) {
	if name == "" {
		return jid.JID{}, sasl.ErrUsername
	}
	return jid.New(name, domain.Domain(), "")
}
