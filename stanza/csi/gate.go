package csi

import (
	"bytes"
	"sync"
	"time"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// gate stands before a resource while its client is inactive. It is made when the
// client says so for the first time, and kept at the resource.
type gate struct {
	mod *Module
	r   stanza.Resource

	mu       sync.Mutex // also for what is written, so that it goes out in order
	inactive bool
	held     held
}

// close begins to hold stanzas back.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.inactive {
		g.inactive = true
		g.r.Intercept(g.intercept)
	}
}

// open lets everything go and holds back nothing more. XEP-0352 §5.1: it is on its
// way before open returns, and so before the answer to whatever comes next.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.inactive {
		return
	}
	g.inactive = false
	for _, w := range g.held.take(time.Now()) {
		// By way of intercept, which knows it. If the session is over, then what
		// waited for it is too.
		_ = g.r.TrySend(w)
	}
	// Last, so that nothing that is sent meanwhile overtakes it.
	g.r.Intercept(nil)
}

// intercept is given to [stanza.Resource.Intercept].
func (g *gate) intercept(t *stanza.Transit, st stream.Appender, next func(stream.Appender) error) error {
	if w, ok := st.(*waiting); ok {
		return next(w) // from open, which has the lock
	}
	w, err := g.hold(t, st)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if w == nil || !g.inactive {
		if err := g.flush(next); err != nil {
			return err
		}
		return next(st)
	}
	g.held.add(w)
	if g.held.over(g.mod.limits()) {
		return g.flush(next)
	}
	return nil
}

// flush writes what waits, in order. It is called with the lock.
func (g *gate) flush(next func(stream.Appender) error) error {
	if len(g.held.list) == 0 {
		return nil
	}
	for _, w := range g.held.take(time.Now()) {
		if err := next(w); err != nil {
			return err // the session is over, and what waited for it is too
		}
	}
	return nil
}

// hold decides whether a stanza waits, and if so, returns a copy. What is looked at
// is what would be written: the Transit may be about another stanza, such as the one
// that is answered.
func (g *gate) hold(t *stanza.Transit, st stream.Appender) (*waiting, error) {
	_, iq := st.(*stanza.IQ)
	if iq || t != nil && (t.Kind == stanza.IQKind || t.Kind == stanza.MessageKind && t.Element != nil && !CanWait(t.Element)) {
		return nil, nil // most of what does not wait, without encoding it
	}
	b, err := st.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	el := first(b)
	if el == nil || !CanWait(el) || !g.mod.unimportant(g.r, el) {
		return nil, nil
	}
	w := &waiting{b: bytes.TrimRight(b, " \t\r\n"), since: time.Now(), by: g.r.Addr().DomainJID()}
	_, w.stamped = el.Child(delayName)
	if stanza.KindOf(el.Name()) == stanza.PresenceKind && replaceable(el) {
		// A server writes addresses that are good. From others nothing is replaced.
		w.latest, _ = el.From()
	}
	return w, nil
}

// first returns the one stanza that b is in a stream of clients, or nil.
func first(b []byte) *stream.Element {
	const start, end = "<stream xmlns='" + stream.NSClient + "'>", "</stream>"
	around := make([]byte, 0, len(start)+len(b)+len(end))
	around = append(append(append(around, start...), b...), end...)
	el, err := stream.ParseElement(around, nil)
	if err != nil {
		return nil // too large, or not for this kind of stream: it does not wait
	}
	var found *stream.Element
	for child := range el.Children() {
		if found != nil {
			return nil
		}
		found = child.Clone()
	}
	return found
}
