package stream

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
)

// AcceptOptions says how to accept a stream. Domains is mandatory in practice:
// the zero value of everything else is a default that is safe.
type AcceptOptions struct {
	// Profile is the kind of stream; zero means [C2S].
	Profile Profile
	// Domains are the domains served. The first one is used in a response to a
	// header that names none.
	Domains []jid.JID
	// Lang is the language of what this side writes for people; empty means
	// "en".
	Lang string
	// Features are offered in this order.
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
	// Admit is asked about each element that the session receives, before its
	// handler; see [Throttle] for one. It belongs to this stream alone. Nil
	// admits everything at once.
	Admit Admit
	// Liveness says how the session finds out that its peer is gone; the zero
	// value watches nothing.
	Liveness Liveness
	// Trace observes the stream; nil observes nothing.
	Trace *Trace
}

// Accept answers a stream as the receiving entity on a fresh connection, offers
// features until the goal of the profile is reached, and returns the session
// (RFC 6120 §4.2, §4.3). It owns conn from then on: on error the connection is
// closed, after a stream error where there is somebody to read it.
//
// ctx bounds the negotiation only. When it ends the connection is closed and
// the error wraps its cause.
func Accept(ctx context.Context, conn net.Conn, opts *AcceptOptions) (*Session, error) {
	var o AcceptOptions
	if opts != nil {
		o = *opts
	}
	n, err := newNegotiation(conn, Receiving, o.Profile, o.Lang, o.Limits, o.Trace, o.Security)
	if err == nil && len(o.Domains) == 0 {
		err = fmt.Errorf("%w: no domain to serve", ErrOptions)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	n.lang, n.admit = n.local.Lang, o.Admit
	n.liveness = o.Liveness
	if err := n.run(ctx, o.Timeout, func(ctx context.Context) error { return n.accept(ctx, &o) }); err != nil {
		return nil, err
	}
	return n.session(o.WriteTimeout, o.CloseTimeout), nil
}

// accept runs the whole negotiation of the receiving entity.
func (n *Negotiation) accept(ctx context.Context, o *AcceptOptions) error {
	n.offers = o.Features
	if err := n.answer(o); err != nil {
		return err
	}
	for range maxRounds {
		if n.state.Has(n.prof.Goal) {
			return nil
		}
		el, err := n.Read(ctx)
		if err != nil {
			return err
		}
		f := n.claimant(o.Features, el)
		if f == nil {
			return n.unclaimed(el)
		}
		n.featureStart(f)
		out, err := f.Accept(ctx, n, el)
		n.featureDone(f, out, err)
		if err != nil {
			return err
		}
		restart := n.enter(out)
		switch {
		case restart:
			err = n.answer(o)
		case n.resumed:
		case out.Features:
			err = n.sendFeatures()
		}
		if err != nil {
			return err
		}
	}
	return errRounds()
}

// answer reads a stream header, checks it, and sends ours with the features
// (RFC 6120 §4.2, §4.3.3).
func (n *Negotiation) answer(o *AcceptOptions) error {
	n.sc.restart()
	n.headerSent = false
	// RFC 6120 §4.7.3: a new ID for every header. §4.9.1.3: a from of ours even
	// if the peer asked for somebody else.
	n.local = Header{From: n.defaultDomain(o.Domains), ID: newStreamID(), Version: Version10, Lang: n.lang}

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
	h.ID = "" // RFC 6120 §4.7.3: ignored on an initial header.
	n.remote = h
	if n.trace.hooks.HeaderReceived != nil {
		n.trace.hooks.HeaderReceived(h)
	}
	// RFC 6120 §4.7.2: the to of the response is the from of the initial
	// header, and absent if that was.
	n.local.To = h.From.Bare()
	n.local.Lang = responseLang(h.Lang, n.lang)
	if bad != nil {
		return bad
	}
	if e := n.checkAddresses(h, o.Domains); e != nil {
		return e
	}
	n.local.From = n.domain

	features, err := n.appendFeatures(nil, o.Features)
	if err != nil {
		return err
	}
	out := n.appendHeader(nil)
	if n.trace.hooks.FeaturesSent != nil {
		n.trace.hooks.FeaturesSent(featureNames(features))
	}
	return n.writeRaw(append(out, features...))
}

// sendFeatures sends the features anew, without a restart.
func (n *Negotiation) sendFeatures() error {
	features, err := n.appendFeatures(nil, n.offers)
	if err != nil {
		return err
	}
	if n.trace.hooks.FeaturesSent != nil {
		n.trace.hooks.FeaturesSent(featureNames(features))
	}
	return n.writeRaw(features)
}

// defaultDomain returns the domain of a stream whose header names none.
func (n *Negotiation) defaultDomain(domains []jid.JID) jid.JID {
	switch {
	case !n.domain.IsZero():
		return n.domain
	case len(n.sec.Domains) > 0:
		return n.sec.Domains[0]
	}
	return domains[0]
}

// checkAddresses decides whether the addresses of an initial header are
// acceptable, and settles the domain of the stream.
func (n *Negotiation) checkAddresses(h Header, domains []jid.JID) *Error {
	to := h.To
	if to.IsZero() {
		// RFC 6120 §4.7.2: liberal towards peers of RFC 3920's time, which may
		// leave it out.
		to = n.defaultDomain(domains)
	}
	if !slices.Contains(domains, to) {
		return newError(HostUnknown, "%s is not served here", quote.ASCII(to.String(), 128))
	}
	// XEP-0368 §2: the Server Name Indication is the domain of the JID, and the
	// certificate is for that. To a client that has looked at it this side is
	// nobody else; as with a request that HTTP calls misdirected (RFC 9110
	// §15.5.20), a connection of its own leads there.
	if good := n.sec.Domains; len(good) > 0 && !slices.Contains(good, to) {
		return newError(HostUnknown, "%s is not what this connection was secured for", quote.ASCII(to.String(), 128))
	}
	if n.state.Has(Authenticated) {
		// Whoever proved an identity in one domain has proved nothing in
		// another, and is nobody else either (RFC 6120 §6.4.6).
		if to != n.domain {
			return newError(HostUnknown, "authenticated in another domain")
		}
		if !h.From.IsZero() && h.From.Bare() != n.identity.Bare() {
			return newError(InvalidFrom, "the from of the stream header is not who authenticated")
		}
	}
	n.domain = to
	return nil
}

// appendFeatures appends <stream:features/> with what can be negotiated now.
func (n *Negotiation) appendFeatures(dst []byte, features []Feature) ([]byte, error) {
	w := NewWriter(append(dst, `<stream:features>`...))
	for i := range features {
		f := &features[i]
		if f.Advertise == nil || !f.ready(n.state) {
			continue
		}
		if err := f.Advertise(n, &w); err != nil {
			return nil, err
		}
	}
	dst, err := w.Bytes()
	if err != nil {
		return nil, err
	}
	return append(dst, `</stream:features>`...), nil
}

// featureNames lists what a <stream:features/> of ours holds: a feature may
// advertise more than one element.
func featureNames(features []byte) []Name {
	el, err := ParseElement(append([]byte(`<x xmlns:stream='`+NSStream+`'>`), append(features, `</x>`...)...), nil)
	if err != nil {
		return nil
	}
	var names []Name
	for f := range el.Children() {
		for c := range f.Children() {
			names = append(names, c.Name())
		}
	}
	return names
}

// claimant returns the feature whose negotiation el begins.
func (n *Negotiation) claimant(features []Feature, el *Element) *Feature {
	for i := range features {
		f := &features[i]
		if f.Accept != nil && f.ready(n.state) && f.claims(el) {
			return f
		}
	}
	return nil
}

// unclaimed says what is wrong with an element that no feature recognised.
func (n *Negotiation) unclaimed(el *Element) *Error {
	if e := checkContentNS(el, n.prof); e != nil {
		return e
	}
	// RFC 6120 §4.3.5, §4.9.3.12: neither stanzas nor anything else before
	// authentication and binding are done.
	return newError(NotAuthorized, "%s before the stream is negotiated", quote.ASCII(el.Name().String(), 128))
}
