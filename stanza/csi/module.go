package csi

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Module is the server's side: it offers the protocol (XEP-0352 §4.1), also in Bind
// 2 (XEP-0386 §3.2), and holds back what can wait for clients that are inactive. The
// zero value is ready, for one server; it is safe for concurrent use. Do not change
// its fields once it runs.
//
// It uses [stanza.Resource.Intercept] of clients while they are inactive, so nobody
// else may then.
type Module struct {
	// Unimportant is the policy: it reports whether a stanza may wait until the
	// client r is active again. It is asked only about what [CanWait] at all, and
	// only while r is inactive. It must be fast, must not block, and must not call
	// the server, which may hold a lock; el is borrowed. Nil means that all of it
	// waits.
	Unimportant func(r stanza.Resource, el *stream.Element) bool

	// MaxStanzas and MaxBytes bound what waits for one client. When there is more,
	// all of it is sent, and the count begins anew: nothing is lost. Zero means
	// 256, and 64 KiB.
	MaxStanzas, MaxBytes int

	host stanza.Host
}

const (
	defaultStanzas = 256
	defaultBytes   = 64 << 10
)

var (
	_ stanza.HostModule     = (*Module)(nil)
	_ stanza.StreamFeaturer = (*Module)(nil)
	_ stanza.SessionWatcher = (*Module)(nil)
)

// Name implements [stanza.Module].
func (m *Module) Name() string { return "csi" }

// Attach implements [stanza.HostModule].
func (m *Module) Attach(h stanza.Host) error {
	switch {
	case m.host != nil:
		return errors.New("csi: the module has a server already")
	case m.MaxStanzas < 0 || m.MaxBytes < 0:
		return errors.New("csi: a bound is negative")
	}
	m.host = h
	return nil
}

// Register implements [stanza.Module]. There are no stanzas of this protocol.
func (m *Module) Register(*stanza.Mux) error { return nil }

// limits returns the bounds in force.
func (m *Module) limits() (stanzas, bytes int) {
	stanzas, bytes = m.MaxStanzas, m.MaxBytes
	if stanzas == 0 {
		stanzas = defaultStanzas
	}
	if bytes == 0 {
		bytes = defaultBytes
	}
	return stanzas, bytes
}

// unimportant asks the policy.
func (m *Module) unimportant(r stanza.Resource, el *stream.Element) bool {
	return m.Unimportant == nil || m.Unimportant(r, el)
}

// StreamFeatures implements [stanza.StreamFeaturer].
func (m *Module) StreamFeatures() []stream.Feature {
	return []stream.Feature{{
		Name:      csiName,
		Needs:     stream.Authenticated,
		Advertise: m.advertise,
		Inline:    []stream.Inline{{In: stream.InBinding, Space: NS, Accept: m.accept}},
		// For each session, since one that is resumed inline has no features before it
		// (XEP-0198 §9.2).
		Established: func(n *stream.Negotiation, _ *stream.Session) { n.HandleNonza(NS, m.nonza) },
	}}
}

// advertise implements [stream.Feature.Advertise]. §4.1: after the client has
// authenticated.
func (m *Module) advertise(_ *stream.Negotiation, w *stream.Writer) error {
	w.Start(csiName)
	w.End()
	return nil
}

// accept implements [stream.Inline.Accept]. XEP-0386 §3.2: the session must begin in
// the state that is asked for. There is no answer.
func (m *Module) accept(_ context.Context, n *stream.Negotiation, request *stream.Element, _ *stream.Writer) (stream.Outcome, error) {
	if m.host == nil || request.Name() != inactiveName {
		return stream.Outcome{}, nil // §4.2: a stream begins active
	}
	if r := m.host.Resource(n.Identity()); r != nil {
		m.set(r, true)
	}
	return stream.Outcome{}, nil
}

// sessioned is a resource that tells which session is beneath it.
type sessioned interface{ Session() *stream.Session }

// nonza handles what a client says of itself (§4.2). It runs on the reader of the
// session, so that nothing after it is handled before it is done (§5.1).
func (m *Module) nonza(s *stream.Session, el *stream.Element) error {
	if el.Name() != activeName && el.Name() != inactiveName {
		// RFC 6120 §4.9.3.24.
		return &stream.Error{Condition: stream.UnsupportedStanzaType, Text: "there is no such client state"}
	}
	if m.host == nil {
		return nil
	}
	r := m.host.Resource(s.RemoteAddr())
	if r == nil {
		return nil // the address is not this client's any more
	}
	if own, ok := r.(sessioned); ok && own.Session() != s {
		return nil // nor is it if somebody else has it: a session begins active
	}
	m.set(r, el.Name() == inactiveName)
	return nil
}

// gateKey finds the gate of a resource.
type gateKey struct{}

// set changes the state of a client. Calls for one client come one after the other:
// from the negotiation of its stream, and then from the reader.
func (m *Module) set(r stanza.Resource, inactive bool) {
	g, _ := r.Value(gateKey{}).(*gate)
	if g == nil {
		if !inactive {
			return
		}
		g = &gate{mod: m, r: r}
		r.SetValue(gateKey{}, g)
	}
	if inactive {
		g.close()
	} else {
		g.open()
	}
}

// SessionDetached implements [stanza.SessionResumer]. What is held back stays so.
func (m *Module) SessionDetached(context.Context, stanza.Resource) {}

// SessionResumed implements [stanza.SessionResumer]: it puts the resource into the
// active state, because another stream has come beneath it, and the state is not
// restored (§5.2). What was held back goes out.
func (m *Module) SessionResumed(_ context.Context, r stanza.Resource) { m.set(r, false) }

// SessionUp implements [stanza.SessionWatcher].
func (m *Module) SessionUp(context.Context, stanza.Resource) {}

// SessionGone implements [stanza.SessionWatcher]. What waited was of use to this
// session only: the next one asks for presence anew.
func (m *Module) SessionGone(_ context.Context, r stanza.Resource) {
	if r.Value(gateKey{}) != nil {
		r.Intercept(nil)
		r.SetValue(gateKey{}, nil)
	}
}
