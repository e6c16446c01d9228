package stream

import "context"

// Feature is one stream feature (RFC 6120 §4.3): a value that takes part in
// negotiation, for either role. STARTTLS, SASL and resource binding are such
// values; adding a feature to a stream is adding a value to a slice.
//
// The order of the slice is the order of preference. A feature is left out of
// consideration until the stream has every fact in Needs, and as soon as it
// has any fact in Forbids; that is what makes the order TLS, SASL, binding a
// matter of data.
//
// A Feature is shared by any number of streams at the same time: what its
// functions have to remember of one stream they keep with
// [Negotiation.SetValue].
type Feature struct {
	// Name is the element that stands for the feature in <stream:features/>.
	Name Name

	// Needs are the facts without which the feature is neither advertised nor
	// negotiated, Forbids those with which it is no longer.
	Needs, Forbids State

	// Advertise writes the feature's element into <stream:features/>. The
	// receiving entity calls it after each header that it sends. Writing
	// nothing means that the feature is not offered now. With a nil Advertise
	// the feature is never offered, yet Accept works for a peer that knows of
	// it by other means.
	Advertise func(n *Negotiation, w *Writer) error

	// Claims reports whether a first-level element from the initiating entity
	// begins the negotiation of this feature. Nil means that an element named
	// Name does. It is asked only when Needs and Forbids permit.
	Claims func(el *Element) bool

	// Accept negotiates as the receiving entity, beginning with the element
	// that Claims recognised. A failed attempt after which the stream goes on
	// (RFC 6120 §6.4.5) is a zero Outcome and a nil error.
	Accept func(ctx context.Context, n *Negotiation, el *Element) (Outcome, error)

	// Initiate negotiates as the initiating entity. The offer is the feature's
	// element from <stream:features/>; it is nil when the feature was not
	// advertised, which happens only to a feature with Unadvertised set.
	// Returning [ErrSkip] passes the feature over on this stream; if the peer
	// requires it (RFC 6120 §4.3.2), negotiation fails.
	Initiate func(ctx context.Context, n *Negotiation, offer *Element) (Outcome, error)

	// Unadvertised makes the initiating entity call Initiate even when the
	// peer did not advertise the feature, so that it can insist on it or fail
	// with an error of its own.
	Unadvertised bool

	// Inline is how the feature takes part in SASL 2 and Bind 2. Nil: it does
	// not.
	Inline []Inline

	// Established is called on either side when the negotiation is complete,
	// with the session, before anybody else has it and before it is read.
	// Whatever it sends goes out before anything else. It must not wait. Nil
	// means that there is nothing to do. It is called for every feature in the
	// slice, whether or not it was negotiated.
	Established func(n *Negotiation, s *Session)
}

// Outcome is what negotiating a feature achieved.
type Outcome struct {
	// Reached are the facts that hold now.
	Reached State
	// Restart asks for a stream restart (RFC 6120 §4.3.3).
	Restart bool
	// Features says that the receiving entity sends its features anew without
	// a restart, as after the authentication of SASL 2 (XEP-0388 §2.6.1).
	// Restart includes it.
	Features bool
	// Resumed says that an earlier session was resumed (XEP-0198 §5): what is
	// left of the negotiation is done, and no features follow, whatever
	// Features says.
	Resumed bool
}

// ready reports whether f may be considered in state s.
func (f *Feature) ready(s State) bool { return s.Has(f.Needs) && s&f.Forbids == 0 }

// claims reports whether el begins the negotiation of f.
func (f *Feature) claims(el *Element) bool {
	if f.Claims != nil {
		return f.Claims(el)
	}
	return el.Name() == f.Name
}
