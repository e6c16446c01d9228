package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
)

// InitiateOptions says how to open a stream. Only To is mandatory in practice:
// the zero value of everything else is a default that is safe.
type InitiateOptions struct {
	// Profile is the kind of stream; zero means [C2S].
	Profile Profile
	// To is the domain to talk to. Its bare domain is used.
	To jid.JID
	// From is who this side means to be: for a client, its bare or full JID.
	// It goes into stream headers only when TLS protects them (RFC 6120
	// §4.7.1).
	From jid.JID
	// Lang is the default language of what this side sends; empty means "en".
	Lang string
	// Features are negotiated in this order of preference.
	Features []Feature
	// Security describes a TLS layer that the connection has already, as with
	// direct TLS; nil means that there is none.
	Security *Security
	// Limits bounds what the peer can make this side hold; nil means the
	// defaults.
	Limits *Limits
	// Timeout is the absolute bound on the whole negotiation; zero means 30
	// seconds.
	Timeout time.Duration
	// WriteTimeout bounds each write to the connection once the session is up;
	// zero means one minute.
	WriteTimeout time.Duration
	// CloseTimeout bounds the wait for the peer's closing tag; zero means five
	// seconds.
	CloseTimeout time.Duration
	// Liveness says how the session finds out that its peer is gone; the zero
	// value watches nothing.
	Liveness Liveness
	// Trace observes the stream; nil observes nothing.
	Trace *Trace
}

// Initiate opens a stream as the initiating entity on a fresh connection,
// negotiates features until the goal of the profile is reached, and returns
// the session (RFC 6120 §4.2, §4.3). It owns conn from then on: on error the
// connection is closed.
//
// ctx bounds the negotiation only. When it ends the connection is closed and
// the error wraps its cause. Errors of the peer are of type [*Error], or of the
// type that the feature documents.
func Initiate(ctx context.Context, conn net.Conn, opts *InitiateOptions) (*Session, error) {
	var o InitiateOptions
	if opts != nil {
		o = *opts
	}
	n, err := newNegotiation(conn, Initiating, o.Profile, o.Lang, o.Limits, o.Trace, o.Security)
	if err == nil {
		err = n.checkTo(o.To)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	n.domain = o.To.DomainJID()
	n.identity, n.wanted = o.From, o.From
	n.local.To = n.domain
	n.liveness = o.Liveness
	if err := n.run(ctx, o.Timeout, func(ctx context.Context) error { return n.initiate(ctx, o.Features) }); err != nil {
		return nil, err
	}
	return n.session(o.WriteTimeout, o.CloseTimeout), nil
}

// checkTo decides whether a stream to a domain can be opened here. XEP-0368 §2:
// the certificate is validated as with STARTTLS, so for the domain of the
// stream and no other.
func (n *Negotiation) checkTo(to jid.JID) error {
	switch good := n.sec.Domains; {
	case to.IsZero():
		return fmt.Errorf("%w: no domain to talk to", ErrOptions)
	case len(good) > 0 && !slices.Contains(good, to.DomainJID()):
		return fmt.Errorf("%w: the connection was secured for %s, not for %s", ErrOptions, good[0], to.DomainJID())
	}
	return nil
}

func newNegotiation(
	conn net.Conn, role Role, prof Profile, lang string, limits *Limits, trace *Trace, sec *Security,
) (*Negotiation, error) {
	lim, err := limits.withDefaults()
	if err != nil {
		return nil, err
	}
	if prof, err = prof.withDefaults(); err != nil {
		return nil, err
	}
	if lang == "" {
		lang = "en"
	} else if !validLang(lang) {
		return nil, fmt.Errorf("%w: Lang is %s, which is no language tag", ErrOptions, quote.ASCII(lang, 64))
	}
	n := &Negotiation{
		carrier: &carrier{raw: beneath(conn), conn: conn, trace: newTracer(trace)},
		role:    role,
		prof:    prof,
		limits:  lim,
		local:   Header{Version: Version10, Lang: lang},
		values:  make(map[any]any),

		requested: make(map[requestKey]bool),
	}
	if sec.Secure() {
		n.sec = *sec
		n.state = Secure
	}
	n.acks = newQuickAcks(n.raw)
	n.sc.init(lim.preAuth(), false)
	return n, nil
}

// initiate runs the whole negotiation of the initiating entity.
func (n *Negotiation) initiate(ctx context.Context, features []Feature) error {
	n.offers = features
	if err := n.open(ctx); err != nil {
		return err
	}
	for range maxRounds {
		f, offer := n.choose(features)
		if f == nil {
			return n.settled()
		}
		n.featureStart(f)
		out, err := f.Initiate(ctx, n, offer)
		n.featureDone(f, out, err)
		if errors.Is(err, ErrSkip) {
			n.done[f.Name] = false
			continue
		}
		if err != nil {
			return err
		}
		n.done[f.Name] = true
		restart := n.enter(out)
		switch {
		case n.resumed:
			// XEP-0198 §5: stanzas flow at once, and nothing else is negotiated.
			return n.settled()
		case restart:
			err = n.open(ctx)
		case out.Features:
			err = n.readFeatures(ctx)
		}
		if err != nil {
			return err
		}
	}
	return errRounds()
}

// open sends a stream header and reads the peer's header and features (RFC 6120
// §4.2, §4.3.3). What an earlier header or features element said is forgotten.
func (n *Negotiation) open(ctx context.Context) error {
	n.sc.restart()
	// RFC 6120 §4.7.1: who we are is private until TLS protects it.
	if n.state.Has(Secure) {
		n.local.From = n.identity.Bare()
	}
	if err := n.writeRaw(n.appendHeader(nil)); err != nil {
		return err
	}
	kind, el, err := n.next()
	if err != nil {
		return err
	}
	if kind != itemHeader {
		return newError(BadFormat, "a stream header was expected")
	}
	if e := checkRoot(el, n.prof.ContentNS, n.sc.defaultNS()); e != nil {
		return e
	}
	h, bad := parseHeader(el)
	n.remote = h
	if n.trace.hooks.HeaderReceived != nil {
		n.trace.hooks.HeaderReceived(h)
	}
	if bad == nil && !h.From.IsZero() && h.From != n.domain {
		bad = newError(InvalidFrom, "asked for %s, answered by %s", n.domain, quote.ASCII(h.From.String(), 128))
	}
	// A peer that is about to refuse us may have an odd header; its error says
	// more than ours (RFC 6120 §4.9.1.3).
	err = n.readFeatures(ctx)
	var received *Error
	if bad != nil && (!errors.As(err, &received) || !received.Received) {
		return bad
	}
	return err
}

// readFeatures reads the peer's features, in place of those it sent before.
func (n *Negotiation) readFeatures(ctx context.Context) error {
	el, err := n.Read(ctx)
	if err != nil {
		return err
	}
	if el.Name() != (Name{NSStream, "features"}) {
		return newError(BadFormat, "stream features were expected, not %s", quote.ASCII(el.Name().String(), 128))
	}
	n.features = el.Clone()
	n.readPeerLimits()
	n.done = make(map[Name]bool)
	if n.trace.hooks.FeaturesReceived != nil {
		var names []Name
		for c := range n.features.Children() {
			names = append(names, c.Name())
		}
		n.trace.hooks.FeaturesReceived(names)
	}
	return nil
}

// choose returns the next feature to negotiate and what was offered of it.
func (n *Negotiation) choose(features []Feature) (*Feature, *Element) {
	for i := range features {
		f := &features[i]
		if _, tried := n.done[f.Name]; tried || f.Initiate == nil || !f.ready(n.state) {
			continue
		}
		offer, ok := n.features.Child(f.Name)
		if ok {
			return f, offer.Clone()
		}
		if f.Unadvertised {
			return f, nil
		}
	}
	return nil, nil
}

// reached reports whether the feature of this side with that name is not to be
// negotiated any more, because the stream has what it is for.
func (n *Negotiation) reached(name Name) bool {
	return slices.ContainsFunc(n.offers, func(f Feature) bool { return f.Name == name && n.state&f.Forbids != 0 })
}

// settled decides what it means that there is nothing left to negotiate.
func (n *Negotiation) settled() error {
	for c := range n.features.Children() {
		name := c.Name()
		// What it stands for may have been reached another way: servers that bind
		// inline (XEP-0386) go on offering the binding of RFC 6120, as required.
		if n.done[name] || n.reached(name) {
			continue
		}
		// RFC 6120 §4.3.2, §4.9.3.23: a feature that the peer insists on and
		// that was not negotiated ends the stream.
		if _, required := c.Child(Name{name.Space, "required"}); required {
			return &Error{
				Condition: UnsupportedFeature,
				Text:      "cannot negotiate " + quote.ASCII(name.String(), 128),
				Cause:     ErrNoProgress,
			}
		}
	}
	if missing := n.prof.Goal &^ n.state; missing != 0 {
		return &Error{
			Condition: UnsupportedFeature,
			Text:      fmt.Sprintf("nothing offered leads to a stream that is %s", missing),
			Cause:     ErrNoProgress,
		}
	}
	return nil
}
