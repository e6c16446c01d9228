package auth

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// SASL2Server returns the feature with which a receiving entity authenticates clients by SASL 2
// (XEP-0388), for servers that list it beside or instead of [Server]. The options are those of Server;
// they are copied, and it is safe for concurrent use by any number of streams. Options that cannot be
// used end every stream as they do there.
//
// What clients ask for inline, binding a resource by Bind 2 (XEP-0386) for example, is handled by the
// features of the stream that have a stream.Inline, after authentication has succeeded, tasks
// included, and answered in one write with the success. There is no stream restart.
//
// A client whose stream header claimed another identity fails with invalid-authzid. White space, or
// any other traffic, in the middle of an exchange ends the stream (XEP-0388 §2.4).
func SASL2Server(opts *ServerOptions) stream.Feature {
	o := opts.prepare()
	o.SASL2.prepare()
	return stream.Feature{
		Name: stream.Name{Space: NS2, Local: "authentication"},
		// Not Needs: stream.Secure. A client that authenticates before TLS gets an answer of its own (RFC 6120 §6.5.4), and
		// nothing is offered until then.
		Forbids:   stream.Authenticated,
		Advertise: o.advertise2,
		Claims:    func(el *stream.Element) bool { return el.Name().Space == NS2 },
		Accept:    o.accept2,
		Inline: []stream.Inline{{
			In:        stream.InAuthentication,
			Space:     NSFast,
			Advertise: o.advertiseFast,
			Accept:    fastIsAccepted,
		}},
	}
}

// fastIsAccepted stands for FAST in the list of what is offered inline. It is not called: when that
// list is gone through with a request, the stream is authenticated, which this feature forbids; and
// what there is of FAST in a request is part of the authentication.
func fastIsAccepted(context.Context, *stream.Negotiation, *stream.Element, *stream.Writer) (stream.Outcome, error) {
	return stream.Outcome{}, nil
}

// advertise2 implements stream.Feature.Advertise (XEP-0388 §2.1).
func (o *ServerOptions) advertise2(n *stream.Negotiation, w *stream.Writer) error {
	// Before anything is read: the trace must not show even what a client should not have sent.
	n.Secrets(secret2Names()...)
	if err := o.Validate(); err != nil {
		return &stream.Error{Condition: stream.InternalServerError, Cause: err}
	}
	r := o.rules2(n, new(serverExchange2))
	// There is no way to begin without a mechanism.
	if !r.secured || len(r.offered) == 0 {
		return nil
	}
	// §2.1: SHOULD respond with invalid-from. The same mechanisms are offered to everybody, whether there is such an
	// account or not.
	if from := n.RemoteHeader().From; !from.IsZero() && from.DomainJID() != n.Domain() {
		return &stream.Error{Condition: stream.InvalidFrom, Text: "the from of the stream header is not of this domain"}
	}
	w.Start(stream.Name{Space: NS2, Local: "authentication"})
	for _, m := range r.offered {
		w.Start(stream.Name{Space: NS2, Local: "mechanism"})
		w.Text(m.Name)
		w.End()
	}
	if err := n.AdvertiseInline(stream.InAuthentication, stream.Name{Space: NS2, Local: "inline"}, w); err != nil {
		return err
	}
	if r.upgrades != nil {
		// XEP-0480 §2.1. All that accounts may be missing, so that it does not tell what an account has, or whether there
		// is one.
		for _, h := range r.upgrades.hashes {
			w.Start(stream.Name{Space: nsUpgrade, Local: "upgrade"})
			w.Text(upgradeTask(h))
			w.End()
		}
	}
	w.End()
	announceTypes(n, w, r.types)
	return nil
}

// advertiseFast implements stream.Inline.Advertise.
func (o *ServerOptions) advertiseFast(n *stream.Negotiation, w *stream.Writer) error {
	writeFastOffer(w, o.rules2(n, new(serverExchange2)).unlisted)
	return nil
}

// rules2 returns what holds on the connection as it is now, for the exchange s.
func (o *ServerOptions) rules2(n *stream.Negotiation, s *serverExchange2) *serverRules2 {
	r := &serverRules2{serverRules: o.rules(n), tasks: o.SASL2.Tasks}
	if r.gate != nil {
		r.limiter = r.gate.limiter
		r.gate.limiter = heldLimiter{r.limiter}
	}
	r.authorize = s.authorized(r.authorize, r.tasks, n.Domain())
	if !n.State().Has(stream.Secure) {
		// XEP-0484 §6; and keys are passwords.
		return r
	}
	store := o.store(n.Domain())
	if store == nil {
		return r
	}
	r.upgrades = o.upgrader(store)
	r.adjust = func(cfg *sasl.ServerConfig) {
		cfg.Store = stampingStore{gatedStore{KeyStore: store}, &s.stamp}
		if r.fast != nil {
			cfg.FastTokens = r.fast.finder(s, n.Domain())
		}
	}
	if o.SASL2.Tokens != nil {
		r.unlisted = fastMechanisms(r.bindings)
		r.fast = &fastServer{store: o.SASL2.Tokens, lifetime: o.SASL2.TokenLifetime, mechanisms: r.unlisted, accounts: store}
	}
	return r
}

// store returns the accounts of a domain, or nil.
func (o *ServerOptions) store(domain jid.JID) sasl.KeyStore {
	if o.StoreFor != nil {
		return o.StoreFor(domain)
	}
	return o.Store
}

// upgrader returns what there is for upgrades of accounts, or nil.
func (o *ServerOptions) upgrader(store sasl.KeyStore) *upgrader {
	keys, ok := store.(KeyUpgrader)
	if !ok || len(o.SASL2.Upgrades) == 0 {
		return nil
	}
	u := &upgrader{store: store, keys: keys, hashes: o.SASL2.Upgrades, iterations: o.SASL2.UpgradeIterations}
	if k, ok := store.(interface{ KeyIterations() int }); ok && u.iterations == 0 {
		u.iterations = k.KeyIterations()
	}
	if u.iterations == 0 {
		u.iterations = sasl.DefaultIterations
	}
	return u
}

// accept2 implements stream.Feature.Accept.
func (o *ServerOptions) accept2(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
	s := &serverExchange2{x: exchangeOf(n)}
	r := o.rules2(n, s)
	for {
		f := parseKind2(el)
		if r.secured {
			// RFC 6120 §6.5.4: what must not have been sent yet is not looked at either.
			f.readContent(el)
		}
		step := s.next(ctx, r, f)
		if step.done {
			return s.success(ctx, n, step.reply)
		}
		if step.reply.kind != 0 {
			if err := n.Write(step.reply.write); err != nil {
				return stream.Outcome{}, err
			}
		}
		switch {
		case step.err != nil:
			return stream.Outcome{}, step.err
		case !step.waiting:
			return stream.Outcome{}, nil
		}
		var err error
		if el, err = n.ReadStrict(ctx); err != nil {
			s.lost(r)
			return stream.Outcome{}, err
		}
	}
}

// success lets the client in: what it asked for inline is done, and all that there is to say is said in
// one write.
func (s *serverExchange2) success(ctx context.Context, n *stream.Negotiation, reply frame2) (stream.Outcome, error) {
	// Before the client can know: what it sends next is sent as who it is.
	n.SetIdentity(s.who)
	n.SetUserAgent(s.request.agent)
	n.Establish(stream.Authenticated)
	answers := stream.NewWriter(nil)
	out, err := n.AcceptInline(ctx, stream.InAuthentication, s.request.el, &answers)
	if err != nil {
		return stream.Outcome{}, err
	}
	b, err := answers.Bytes()
	if err != nil {
		return stream.Outcome{}, err
	}
	reply.content = append(reply.content, b...)
	// XEP-0388 §2.6.1: a full JID if a resource was bound.
	reply.who = n.Identity().String()
	if err := n.Write(reply.write); err != nil {
		return stream.Outcome{}, err
	}
	if t := n.Trace(); t.Authenticated != nil {
		t.Authenticated(s.who, s.x.mechanism.Name)
	}
	out.Reached |= stream.Authenticated
	out.Features = true
	return out, nil
}
