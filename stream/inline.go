package stream

import (
	"context"

	"stanzakit.dev/xmpp/internal/quote"
)

// InlinePlace is where the request of an [Inline] rides.
type InlinePlace uint8

const (
	// InAuthentication: in the <authenticate/> of SASL 2 (XEP-0388).
	InAuthentication InlinePlace = iota
	// InBinding: in the <bind/> of Bind 2 (XEP-0386), which itself rides in the
	// <authenticate/>.
	InBinding
)

// Inline is how a feature is negotiated inside the authentication of SASL 2
// (XEP-0388) or the binding of Bind 2 (XEP-0386), rather than in a round trip of
// its own. It exists so that the feature that frames the exchange need not know
// those that ride in it: [Negotiation.AdvertiseInline], RequestInline,
// AcceptInline and ResultInline find them among the features of the stream.
//
// An Inline is considered while the stream has none of the facts in its
// feature's Forbids; Needs are for the feature's other way. It is shared by all
// streams, as its feature is.
type Inline struct {
	// In is where it rides.
	In InlinePlace

	// Space is the namespace by which offers, requests and answers are
	// recognised.
	Space string

	// Advertise writes the receiving entity's offer, or nothing. Nil means that
	// it is not offered; nil in InBinding, with an Accept, that it is offered by
	// its namespace, as XEP-0386 has it.
	Advertise func(n *Negotiation, w *Writer) error

	// Request writes the initiating entity's request, given the offer, or
	// nothing. Nil means that nothing is requested.
	Request func(n *Negotiation, offer *Element, w *Writer) error

	// Accept handles the request as the receiving entity, once authentication
	// has succeeded, and writes the answer, or nothing. An error ends the
	// stream; what the peer may live with is an answer. It is called for a
	// request whether or not Advertise wrote an offer this time: what made it
	// write none has to be looked at here too.
	Accept func(ctx context.Context, n *Negotiation, request *Element, w *Writer) (Outcome, error)

	// Result handles the answer as the initiating entity. The answer is nil
	// when the request got none. It is called after success only, and not if
	// nothing was requested.
	Result func(n *Negotiation, answer *Element) (Outcome, error)
}

// inlineFeature is a feature that Bind 2 offers by namespace (XEP-0386 §3.1).
var inlineFeature = Name{"urn:xmpp:bind:0", "feature"}

// inlines calls do for what rides in place and may still be negotiated, in the
// order of the features, until do fails.
func (n *Negotiation) inlines(place InlinePlace, do func(*Inline) error) error {
	for i := range n.offers {
		f := &n.offers[i]
		for j := range f.Inline {
			if in := &f.Inline[j]; in.In == place && n.state&f.Forbids == 0 {
				if err := do(in); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// AdvertiseInline writes what the receiving entity offers inline in place, in
// an element of the given name, or nothing at all if there is nothing to offer.
func (n *Negotiation) AdvertiseInline(place InlinePlace, name Name, w *Writer) error {
	// Apart, since an element that was begun cannot be taken back.
	sub := NewWriter(nil)
	sub.Start(name)
	offers := 0
	err := n.inlines(place, func(in *Inline) error {
		before := sub.Len()
		switch {
		case in.Accept == nil:
		case in.Advertise != nil:
			if err := in.Advertise(n, &sub); err != nil {
				return err
			}
		case place == InBinding:
			sub.Start(inlineFeature)
			sub.Attr("var", in.Space)
			sub.End()
		}
		if sub.Len() > before {
			offers++
		}
		return nil
	})
	sub.End()
	b, bad := sub.Bytes()
	switch {
	case err != nil:
		return err
	case bad != nil:
		return bad
	case offers > 0:
		w.Append(written(b))
	}
	return nil
}

// written is what another writer has written.
type written []byte

func (b written) AppendXML(dst []byte) ([]byte, error) { return append(dst, b...), nil }

// RequestInline writes the requests of the initiating entity that ride in
// place. The offer is the <inline/> element of the peer; nil means that it
// offered nothing.
func (n *Negotiation) RequestInline(place InlinePlace, offer *Element, w *Writer) error {
	if offer == nil {
		return nil
	}
	return n.inlines(place, func(in *Inline) error {
		if in.Request == nil {
			return nil
		}
		for child := range offer.Children() {
			offered := child.Name().Space == in.Space
			if place == InBinding {
				offered = child.Name() == inlineFeature && child.Attr("var") == in.Space
			}
			if offered {
				before := w.Len()
				err := in.Request(n, child, w)
				if w.Len() > before {
					n.requested[requestKey{place, in.Space}] = true
				}
				return err
			}
		}
		return nil
	})
}

// AcceptInline hands the children of request, an <authenticate/> or <bind/>, to
// what rides in place, in the order of the features of this side, and writes
// the answers. Facts that it reaches hold at once, so that a session that was
// resumed is not bound again (XEP-0386 §3.2). The caller must have established
// that the peer is authenticated; see [Negotiation.Establish].
func (n *Negotiation) AcceptInline(ctx context.Context, place InlinePlace, request *Element, w *Writer) (Outcome, error) {
	var all Outcome
	err := n.inlines(place, func(in *Inline) error {
		if in.Accept == nil {
			return nil
		}
		el, err := n.inlineChild(request, in.Space)
		if el == nil {
			return err
		}
		out, err := in.Accept(ctx, n, el, w)
		all.add(n, out)
		return err
	})
	return all, err
}

// ResultInline hands the children of answer, a <success/> or <bound/>, to what
// was requested in place.
func (n *Negotiation) ResultInline(place InlinePlace, answer *Element) (Outcome, error) {
	var all Outcome
	err := n.inlines(place, func(in *Inline) error {
		key := requestKey{place, in.Space}
		if in.Result == nil || !n.requested[key] {
			return nil
		}
		delete(n.requested, key)
		el, err := n.inlineChild(answer, in.Space)
		if err != nil {
			return err
		}
		out, err := in.Result(n, el)
		all.add(n, out)
		return err
	})
	return all, err
}

// requestKey tells what was requested where.
type requestKey struct {
	place InlinePlace
	space string
}

// inlineChild returns the one child of el in a namespace, or nil.
func (n *Negotiation) inlineChild(el *Element, space string) (*Element, error) {
	var found *Element
	for child := range el.Children() {
		if child.Name().Space != space {
			continue
		}
		if found != nil {
			// Whoever takes one of two takes the other one than somebody else.
			return nil, newError(BadFormat, "more than one element of %s", quote.ASCII(space, 128))
		}
		found = child.Clone()
	}
	return found, nil
}

// add joins what one inline feature achieved with what others did.
func (o *Outcome) add(n *Negotiation, out Outcome) {
	n.Establish(out.Reached)
	o.Reached |= out.Reached
	o.Restart = o.Restart || out.Restart
	o.Features = o.Features || out.Features
	o.Resumed = o.Resumed || out.Resumed
}

// Establish records facts before the feature that reached them returns, for
// what it hands on to others meanwhile.
func (n *Negotiation) Establish(s State) { n.state |= s }
