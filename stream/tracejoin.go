package stream

import "stanzakit.dev/xmpp/jid"

// JoinTraces returns hooks that call those of each trace, in order. Nil traces
// are left out. A hook that no trace has is nil, so that nothing is done for
// it. A hook that panics keeps those after it from being called, as it keeps
// the stream from going on.
func JoinTraces(traces ...*Trace) *Trace {
	var all Trace
	for _, t := range traces {
		if t == nil {
			continue
		}
		all.HeaderSent = both(all.HeaderSent, t.HeaderSent)
		all.HeaderReceived = both(all.HeaderReceived, t.HeaderReceived)
		all.FeaturesSent = both(all.FeaturesSent, t.FeaturesSent)
		all.FeaturesReceived = both(all.FeaturesReceived, t.FeaturesReceived)
		all.FeatureStart = both(all.FeatureStart, t.FeatureStart)
		all.FeatureDone = bothDone(all.FeatureDone, t.FeatureDone)
		all.Secured = both(all.Secured, t.Secured)
		all.Authenticated = bothAuthenticated(all.Authenticated, t.Authenticated)
		all.Bound = both(all.Bound, t.Bound)
		all.Established = both(all.Established, t.Established)
		all.XMLSent = both(all.XMLSent, t.XMLSent)
		all.XMLReceived = both(all.XMLReceived, t.XMLReceived)
		all.ErrorSent = both(all.ErrorSent, t.ErrorSent)
		all.ErrorReceived = both(all.ErrorReceived, t.ErrorReceived)
		all.Closed = both(all.Closed, t.Closed)
	}
	return &all
}

// both returns a function that calls f and then g, either of which may be nil.
func both[A any](f, g func(A)) func(A) {
	if f == nil {
		return g
	}
	if g == nil {
		return f
	}
	return func(a A) { f(a); g(a) }
}

func bothAuthenticated(f, g func(jid.JID, string)) func(jid.JID, string) {
	if f == nil {
		return g
	}
	if g == nil {
		return f
	}
	return func(who jid.JID, mechanism string) { f(who, mechanism); g(who, mechanism) }
}

func bothDone(f, g func(Name, Outcome, error)) func(Name, Outcome, error) {
	if f == nil {
		return g
	}
	if g == nil {
		return f
	}
	return func(n Name, out Outcome, err error) { f(n, out, err); g(n, out, err) }
}
