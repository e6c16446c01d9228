package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// defaultRetries is how many attempts follow a failed one unless ServerOptions says otherwise.
const defaultRetries = 3

// ServerOptions says how a server authenticates its clients. Store or StoreFor is required, unless
// Anonymous, Bearer or MapCertificate is set; everything else has a default that is safe. [Server] and
// [SASL2Server] take the same options.
type ServerOptions struct {
	// Store holds the accounts of all domains, by localpart. Use it when there is one domain.
	Store sasl.KeyStore

	// StoreFor returns the accounts of a domain, or nil if it has none. Each domain is taken to have
	// accounts of its own: the salts of names without one differ between domains. Nil means Store
	// for every domain.
	StoreFor func(domain jid.JID) sasl.KeyStore

	// Mechanisms are the mechanisms to offer, most preferred first. Nil means sasl.External and
	// sasl.Default. Those that cannot work on a connection, or with the keys that the store has, are
	// left out there: -PLUS without a channel binding, EXTERNAL without a certificate of the client
	// that was verified and leads to an account, DIGEST-MD5 without InsecureDigest. Anonymous, Bearer
	// and AllowPlain add the mechanisms that they are for, behind these, if they are missing.
	Mechanisms []sasl.Mechanism

	// AllowPlain offers mechanisms that reveal the password, inside TLS. It adds PLAIN behind
	// Mechanisms if they have no such mechanism. False: such mechanisms are never offered, listed
	// or not.
	AllowPlain bool

	// MapCertificate decides for EXTERNAL whose account a client's certificate is for, where the
	// certificate does not say so itself: it names no account (XmppAddr, RFC 6120 §13.7.1.4) at the
	// domain of the stream, or it is one that the policy of the TLS layer has accepted without an
	// authority that vouches for it (§13.7.2.2). asked is who the client asks to be, as authorization
	// identity or in its stream header, and the domain alone if it does not say. The result is a bare
	// JID at that domain. Look the certificate up by its key or its fingerprint; the text of a
	// distinguished name is no key, since who writes it decides where its parts begin. The condition
	// of a [*sasl.Error] goes to the client, any other error refuses with not-authorized. Nil refuses
	// such certificates.
	//
	// A certificate that names an account lets it in only if Store knows that account (XEP-0178 §2), by
	// keys for whatever hash.
	MapCertificate func(ctx context.Context, sec *stream.Security, asked jid.JID) (jid.JID, error)

	// Anonymous makes up the account of a client of ANONYMOUS, a bare JID at the domain;
	// [RandomAccount] is one that does. The trace is what the client says about itself, for logs
	// only. Sessions of such accounts should be allowed as little as XEP-0175 says. Nil means that
	// ANONYMOUS is not offered.
	Anonymous func(ctx context.Context, domain jid.JID, trace string) (jid.JID, error)

	// Bearer verifies an OAuth 2.0 token for OAUTHBEARER (RFC 7628) and returns whose it is, a bare
	// JID at the domain. It must look at what the token was issued for, and by whom. The condition of
	// a [*sasl.Error] goes to the client, any other error refuses with not-authorized. Nil means that
	// OAUTHBEARER is not offered; it never is without TLS.
	Bearer func(ctx context.Context, domain jid.JID, token sasl.BearerToken) (jid.JID, error)

	// InsecureDigest returns what DIGEST-MD5 (RFC 2831, declared historic by RFC 6331) stores for a
	// user in a realm, as sasl.ServerConfig says. DIGEST-MD5 is offered if it is listed in Mechanisms
	// too. Nil means that it is not.
	InsecureDigest func(ctx context.Context, username, realm string) (digest [16]byte, canonical string, err error)

	// Retries is how many attempts may follow a failed one on a stream, from 2 to 5 (RFC 6120
	// §6.4.5). Zero means 3. One attempt more ends the stream with policy-violation. After a failed
	// attempt with channel binding there is no other one: the stream ends with the failure, whatever
	// Retries says, since the binding of a connection serves one exchange (RFC 9266 §4.1).
	Retries int

	// Attempts bounds failed attempts over all connections. It is asked with what Address returns.
	// An attempt too many is answered with temporary-auth-failure, and the stream ends with
	// policy-violation. Share one value between features that have the same accounts, [Server] and
	// [SASL2Server] among them. Nil means one of this feature's own, made by NewAttempts(nil), if there
	// is an Address, and otherwise that each stream has its own bound only.
	Attempts AttemptLimiter

	// Address returns the network address of the client of a stream. Its context is that of the
	// negotiation. Behind a proxy it is the client's address that matters: with the proxy's, clients
	// lock each other out. Nil, or the zero Addr, means that it is not known.
	Address func(ctx context.Context) netip.Addr

	// TellTLSVersion tells clients of SCRAM which version of TLS this side sees, so that they notice
	// somebody who ends TLS between the two (XEP-0515 version 0.1.0, experimental). False: they are
	// not told.
	TellTLSVersion bool

	// Authorize is called when the credentials of account have been verified, and decides whether
	// it may come in and act as asked, which is account itself unless the client asked to act for
	// somebody else at the same domain (RFC 6120 §6.3.8). It returns nil to allow it; one that is
	// only there to refuse some accounts must refuse too where the two differ, or everybody may act
	// for everybody. The condition and text of a [*sasl.Error] go to the client
	// (sasl.AccountDisabled, say); any other error refuses with invalid-authzid, or with
	// not-authorized where asked is account, and tells nothing more. Nil allows account itself and
	// nobody else.
	Authorize func(ctx context.Context, account, asked jid.JID) error

	// FakeSecret, FakeIterations and PlainHash are as in sasl.ServerConfig. Set FakeSecret when
	// several servers share a domain or restart often, or the salts of names without an account
	// tell them apart from those with one.
	FakeSecret     []byte
	FakeIterations int
	PlainHash      sasl.Hash

	// SASL2 is for [SASL2Server]: tasks, upgrades and tokens.
	SASL2 SASL2ServerOptions

	// InsecureWithoutTLS offers authentication on streams without TLS, for loopback and tests.
	// Mechanisms that reveal the password are not offered there all the same.
	InsecureWithoutTLS bool

	// InsecurePlainWithoutTLS offers, with InsecureWithoutTLS and AllowPlain, mechanisms that reveal
	// the password on streams without TLS too, for load generators and conformance tools that know
	// nothing better. Whoever is between client and server can then read passwords.
	InsecurePlainWithoutTLS bool
}

// Format prints the options without secrets, whatever the verb.
func (o ServerOptions) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ServerOptions{AllowPlain:%t Retries:%d}", o.AllowPlain, o.Retries)
}

// LogValue is what log/slog shows of the options.
func (o ServerOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// ErrOptions is wrapped by errors about options that cannot be used.
var ErrOptions = errors.New("auth: unusable options")

// Server returns the feature with which a receiving entity authenticates clients. The options are
// copied; it is safe for concurrent use by any number of streams. Options that cannot be used end
// every stream with internal-server-error, and with an error that wraps [ErrOptions] on this side;
// see [ServerOptions.Validate].
//
// The identity of a stream that has authenticated is the bare JID of the account at the stream's
// domain, with the localpart prepared by package jid: names that prepare to the same localpart are
// one account, and Store is asked for that localpart. A client whose stream header claimed another
// identity is turned away with invalid-from (RFC 6120 §6.4.6).
func Server(opts *ServerOptions) stream.Feature {
	o := opts.prepare()
	return stream.Feature{
		Name: stream.Name{Space: NS, Local: "mechanisms"},
		// Not Needs: stream.Secure. A client that authenticates before TLS gets an answer of its own (RFC 6120 §6.5.4), and
		// nothing is offered until then.
		Forbids:   stream.Authenticated,
		Advertise: o.advertise,
		Claims:    func(el *stream.Element) bool { return el.Name().Space == NS },
		Accept:    o.accept,
	}
}

// prepare copies the options, which may be nil, and fills in what follows from others.
func (o *ServerOptions) prepare() *ServerOptions {
	var out ServerOptions
	if o != nil {
		out = *o
	}
	if out.Mechanisms == nil {
		out.Mechanisms = append([]sasl.Mechanism{sasl.External()}, sasl.Default()...)
	}
	out.Mechanisms = permitted(out.Mechanisms, out.AllowPlain)
	if out.Bearer != nil {
		out.Mechanisms = with(out.Mechanisms, sasl.OAuthBearer())
	}
	if out.Anonymous != nil {
		out.Mechanisms = with(out.Mechanisms, sasl.Anonymous())
	}
	out.FakeSecret = slices.Clone(out.FakeSecret)
	if out.Retries == 0 {
		out.Retries = defaultRetries
	}
	if out.Attempts == nil && out.Address != nil {
		out.Attempts = NewAttempts(nil)
	}
	return &out
}

// Validate reports what is wrong with the options, in an error that wraps [ErrOptions]. A server
// calls it when it starts, rather than learn from its first client.
func (o *ServerOptions) Validate() error {
	switch {
	case o == nil || o.Store == nil && o.StoreFor == nil && o.Anonymous == nil && o.Bearer == nil && o.MapCertificate == nil:
		return fmt.Errorf("%w: neither Store nor StoreFor", ErrOptions)
	// RFC 6120 §6.4.5: at least 2 and no more than 5.
	case o.Retries != 0 && (o.Retries < 2 || o.Retries > 5):
		return fmt.Errorf("%w: Retries is %d, not from 2 to 5", ErrOptions, o.Retries)
	case o.FakeIterations != 0 && o.FakeIterations < sasl.MinIterations:
		return fmt.Errorf("%w: FakeIterations is %d, the least is %d", ErrOptions, o.FakeIterations, sasl.MinIterations)
	case o.PlainHash != "" && !o.PlainHash.Available():
		return fmt.Errorf("%w: PlainHash %q is not available", ErrOptions, o.PlainHash)
	}
	return o.SASL2.Validate()
}

// advertise implements stream.Feature.Advertise.
func (o *ServerOptions) advertise(n *stream.Negotiation, w *stream.Writer) error {
	// Before anything is read: the trace must not show even what a client should not have sent.
	n.Secrets(secretNames()...)
	if err := o.Validate(); err != nil {
		return &stream.Error{Condition: stream.InternalServerError, Cause: err}
	}
	r := o.rules(n)
	if r.secured {
		writeOffer(w, r.offered)
		announceTypes(n, w, r.types)
	}
	return nil
}

// accept implements stream.Feature.Accept.
func (o *ServerOptions) accept(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
	x, r := exchangeOf(n), o.rules(n)
	r.authorize = o.withoutTasks(r.authorize, x, n.Domain())
	for {
		f := parseKind(el)
		if r.secured {
			// RFC 6120 §6.5.4: what must not have been sent yet is not looked at either.
			f.readContent(el)
		}
		step := x.next(ctx, r, f)
		if step.done {
			// Before the client can know: what it sends next is sent as who it is.
			n.SetIdentity(step.who)
		}
		if step.reply.kind != 0 {
			if err := n.Write(step.reply.write); err != nil {
				return stream.Outcome{}, err
			}
		}
		switch {
		case step.err != nil:
			return stream.Outcome{}, step.err
		case step.done:
			if t := n.Trace(); t.Authenticated != nil {
				t.Authenticated(step.who, x.mechanism.Name)
			}
			// RFC 6120 §6.3.2.
			return stream.Outcome{Reached: stream.Authenticated, Restart: true}, nil
		case !step.waiting:
			return stream.Outcome{}, nil
		}
		var err error
		if el, err = n.Read(ctx); err != nil {
			return stream.Outcome{}, err
		}
	}
}
