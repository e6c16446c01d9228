package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// defaultRetries is how many attempts follow a failed one unless ServerOptions says otherwise.
const defaultRetries = 3

// ServerOptions says how a server authenticates its clients. Store or StoreFor is required;
// everything else has a default that is safe.
type ServerOptions struct {
	// Store holds the accounts of all domains, by localpart. Use it when there is one domain.
	Store sasl.KeyStore

	// StoreFor returns the accounts of a domain, or nil if it has none. Each domain is taken to have
	// accounts of its own: the salts of names without one differ between domains. Nil means Store
	// for every domain.
	StoreFor func(domain jid.JID) sasl.KeyStore

	// Mechanisms are the mechanisms to offer, most preferred first. Nil means sasl.Default. Those
	// that cannot work on a connection, or with the keys that the store has, are left out there.
	Mechanisms []sasl.Mechanism

	// AllowPlain offers mechanisms that reveal the password, inside TLS. It adds PLAIN behind
	// Mechanisms if they have no such mechanism. False: such mechanisms are never offered, listed
	// or not.
	AllowPlain bool

	// Retries is how many attempts may follow a failed one on a stream, from 2 to 5 (RFC 6120
	// §6.4.5). Zero means 3. One attempt more ends the stream with policy-violation. A mechanism
	// with channel binding is not tried twice on one connection (RFC 9266 §4.1): its second attempt
	// ends the stream at once.
	Retries int

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

	// InsecureWithoutTLS offers authentication on streams without TLS, for loopback and tests.
	// Mechanisms that reveal the password are not offered there all the same.
	InsecureWithoutTLS bool
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
	var o ServerOptions
	if opts != nil {
		o = *opts
	}
	o.Mechanisms = permitted(o.Mechanisms, o.AllowPlain)
	o.FakeSecret = slices.Clone(o.FakeSecret)
	if o.Retries == 0 {
		o.Retries = defaultRetries
	}
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

// Validate reports what is wrong with the options, in an error that wraps [ErrOptions]. A server
// calls it when it starts, rather than learn from its first client.
func (o *ServerOptions) Validate() error {
	switch {
	case o == nil || o.Store == nil && o.StoreFor == nil:
		return fmt.Errorf("%w: neither Store nor StoreFor", ErrOptions)
	// RFC 6120 §6.4.5: at least 2 and no more than 5.
	case o.Retries != 0 && (o.Retries < 2 || o.Retries > 5):
		return fmt.Errorf("%w: Retries is %d, not from 2 to 5", ErrOptions, o.Retries)
	case o.FakeIterations != 0 && o.FakeIterations < sasl.MinIterations:
		return fmt.Errorf("%w: FakeIterations is %d, the least is %d", ErrOptions, o.FakeIterations, sasl.MinIterations)
	case o.PlainHash != "" && !o.PlainHash.Available():
		return fmt.Errorf("%w: PlainHash %q is not available", ErrOptions, o.PlainHash)
	}
	return nil
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
		writeOffer(w, r.offered, bindingsOf(n.Security()))
	}
	return nil
}

// exchangeKey is where the exchange of a stream is kept.
type exchangeKey struct{}

// accept implements stream.Feature.Accept.
func (o *ServerOptions) accept(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
	if err := o.Validate(); err != nil {
		return stream.Outcome{}, &stream.Error{Condition: stream.InternalServerError, Cause: err}
	}
	x, ok := n.Value(exchangeKey{}).(*serverExchange)
	if !ok {
		x = new(serverExchange)
		n.SetValue(exchangeKey{}, x)
	}
	r := o.rules(n)
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

// rules returns what holds on the connection as it is now.
func (o *ServerOptions) rules(n *stream.Negotiation) *serverRules {
	tls := n.State().Has(stream.Secure)
	r := &serverRules{secured: tls || o.InsecureWithoutTLS, retries: o.Retries}
	store := o.Store
	if o.StoreFor != nil {
		store = o.StoreFor(n.Domain())
	}
	if store == nil {
		return r
	}
	service := ""
	if o.StoreFor != nil {
		service = n.Domain().String()
	}
	bindings := bindingsOf(n.Security())
	for _, m := range sasl.ForStore(o.Mechanisms, store) {
		switch {
		case m.NewServer == nil:
		case m.Plaintext && !tls:
			// RFC 6120 §6.3.4, §13.8.3.
			r.needTLS = append(r.needTLS, m.Name)
		case m.ChannelBinding && len(bindings) == 0:
		default:
			r.offered = append(r.offered, m)
		}
	}
	r.begin = func(m sasl.Mechanism) (sasl.Server, error) {
		return m.NewServer(&sasl.ServerConfig{
			Store:    store,
			Bindings: bindings,
			Offered:  names(r.offered),
			// RFC 6120 §6.3.7: the user name is a localpart, so names that are equal as localparts are equal here.
			Normalize: func(name string) (string, error) {
				j, err := account(name, n.Domain())
				return j.Local(), err
			},
			// Decided below, the same way for every mechanism.
			Authorize:      func(context.Context, sasl.Identity) error { return nil },
			Secure:         tls,
			Service:        service,
			FakeSecret:     o.FakeSecret,
			FakeIterations: o.FakeIterations,
			PlainHash:      o.PlainHash,
		})
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

// authorize turns a verified identity into the JID that the stream is for.
func (o *ServerOptions) authorize(ctx context.Context, id sasl.Identity, domain jid.JID) (jid.JID, error) {
	own, err := account(id.AuthcID, domain)
	if err != nil {
		// Only a store that returns a canonical name which is no localpart gets here.
		return jid.JID{}, &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	asked := own
	if id.AuthzID != "" {
		// RFC 6120 §6.3.8: a bare JID with a localpart. Nor is anybody here somebody at another
		// domain, whatever Authorize has to say.
		asked, err = jid.Parse(id.AuthzID)
		if err != nil || !asked.IsBare() || asked.Local() == "" || asked.DomainJID() != own.DomainJID() {
			return jid.JID{}, &sasl.Error{Condition: sasl.InvalidAuthzid, Cause: err}
		}
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
