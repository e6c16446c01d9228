package stream

import "stanzakit.dev/xmpp/jid"

// Trace is a set of hooks that run as a stream lives, in the manner of
// net/http/httptrace. Any of them may be nil. Hooks run on the goroutine that
// does the work: during negotiation that is one, and afterwards those about
// receiving run on the reader's, those about sending on the writer's or the
// closer's, Closed on whoever finds that the stream is over. Hooks that share
// anything need a lock. They must be quick and must not keep byte slices they
// are given; of the session they observe they may call Abort and what does not
// wait.
//
// No hook is given a secret: the contents of elements that a feature has named
// with [Negotiation.Secrets], credentials, proofs and tokens, are replaced by
// "[redacted n bytes]" in XMLSent and XMLReceived. Bytes that do not parse are
// counted and not shown.
type Trace struct {
	// HeaderSent and HeaderReceived run for every stream header, so once more
	// after each restart.
	HeaderSent     func(Header)
	HeaderReceived func(Header)

	// FeaturesSent and FeaturesReceived run with the names of the features.
	FeaturesSent     func([]Name)
	FeaturesReceived func([]Name)

	// FeatureStart and FeatureDone bracket the negotiation of a feature. The
	// outcome is meaningless when err is not nil.
	FeatureStart func(Name)
	FeatureDone  func(Name, Outcome, error)

	// Secured runs when a TLS layer is in place.
	Secured func(Security)
	// Authenticated runs on both sides when authentication succeeded, with the
	// name of the mechanism. A client learns its address only with Bound, and
	// who is zero until then.
	Authenticated func(who jid.JID, mechanism string)
	// Bound runs when a resource is bound, with the full JID.
	Bound func(jid.JID)
	// Established runs when negotiation is complete and stanzas may flow.
	Established func(*Session)

	// XMLSent and XMLReceived run with the raw XML of each item that goes over
	// the wire: a stream header, a first-level element, a closing tag. Secrets
	// are redacted; the bytes are valid during the call only. XMLSent runs just
	// before the connection is given the bytes: whether it took them shows in
	// what follows.
	XMLSent     func(xml []byte)
	XMLReceived func(xml []byte)

	// ErrorSent and ErrorReceived run for stream errors (RFC 6120 §4.9).
	ErrorSent     func(*Error)
	ErrorReceived func(*Error)

	// Closed runs once, when the stream is over, with its cause: what Initiate
	// or Accept return if it was never established.
	Closed func(cause error)
}
