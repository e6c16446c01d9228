package stanza

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"stanzakit.dev/xmpp/stream"
)

// ErrRoute is wrapped by every error about a route that cannot be registered.
var ErrRoute = errors.New("stanza: unusable route")

// Any stands for every type of stanza in a route: it can be given as an
// [IQType], a [MessageType], a [PresenceType] or a string.
const Any = "*"

// Mux is a [Handler] that routes each stanza to one other handler, by its kind,
// its type and the name of a payload. The most specific route wins: first the
// one with the more specific payload name, then the one that names the type.
//
// A payload name without a local part stands for all payloads of that namespace,
// the zero name for all stanzas, also those without a payload. Of a message or
// presence with several payloads, the one with the most specific route decides,
// and among equals the one that comes first.
//
// What no route matches goes to the fallback, if there is one. Otherwise a get or
// set is answered with [ServiceUnavailable] (RFC 6120 §8.2.3 rule 3, §8.4) and
// anything else is ignored.
//
// A route that cannot be registered is an error; nothing that comes from a peer
// can cause one. The zero Mux is ready. All methods are safe for concurrent use,
// though it is usual to register everything before stanzas arrive.
type Mux struct {
	mu       sync.RWMutex
	routes   map[route]Handler
	chain    []Handler // the middleware, each wrapped around what comes after it
	fallback Handler
	named    [IQKind + 1]bool // kinds with a route that names a payload
}

// route is what a handler is registered for.
type route struct {
	kind Kind
	typ  string
	name stream.Name
}

// Handle registers h for stanzas of a kind with the given type and payload; for
// type and name see [Mux]. The type of a message without a type attribute is
// "normal", that of an available presence is "". The error wraps [ErrRoute]:
// there is such a route already, there is no such type, or h is nil.
func (m *Mux) Handle(kind Kind, typ string, name stream.Name, h Handler) error {
	r := route{kind, typ, name}
	switch {
	case h == nil:
		return fmt.Errorf("%w: %s has a nil handler", ErrRoute, r)
	case !r.known():
		return fmt.Errorf("%w: %s: there is no such type", ErrRoute, r)
	case name.Space == "" && name.Local != "":
		return fmt.Errorf("%w: %s: a payload has a namespace", ErrRoute, r)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.routes[r] != nil {
		return fmt.Errorf("%w: %s is registered already", ErrRoute, r)
	}
	if m.routes == nil {
		m.routes = make(map[route]Handler)
	}
	m.routes[r] = h
	if name != (stream.Name{}) {
		m.named[kind] = true
	}
	return nil
}

// known reports whether stanzas of that kind and type exist.
func (r route) known() bool {
	if r.typ == Any {
		return r.kind >= MessageKind && r.kind <= IQKind
	}
	switch r.kind {
	case MessageKind:
		switch MessageType(r.typ) {
		case NormalMessage, ChatMessage, GroupChatMessage, HeadlineMessage, ErrorMessage:
			return true
		}
	case PresenceKind:
		switch PresenceType(r.typ) {
		case AvailablePresence, ErrorPresence, ProbePresence, SubscribePresence, SubscribedPresence,
			UnavailablePresence, UnsubscribePresence, UnsubscribedPresence:
			return true
		}
	case IQKind:
		switch IQType(r.typ) {
		case GetIQ, SetIQ, ResultIQ, ErrorIQ:
			return true
		}
	}
	return false
}

// String describes the route for an error message.
func (r route) String() string {
	s := r.kind.String()
	if r.typ != "" {
		s += " of type " + r.typ
	}
	if r.name != (stream.Name{}) {
		s += " with " + r.name.String()
	}
	return s
}

// HandleIQ registers fn for requests of type [GetIQ], [SetIQ] or [Any] with the
// given payload. What fn returns is the reply: a result with the payload, which
// may be nil; or if the error is not nil, the error that [Handler] describes. To
// answer later, register a [Handler] with [Mux.Handle] and Clone the request.
//
// The error is that of Handle; replies are not requests, so their types cannot be
// registered here.
func (m *Mux) HandleIQ(typ IQType, name stream.Name, fn func(ctx context.Context, iq *IQ) (Payload, error)) error {
	switch {
	case typ == ResultIQ || typ == ErrorIQ:
		return fmt.Errorf("%w: %s is not a request", ErrRoute, route{IQKind, string(typ), name})
	case fn == nil:
		return m.Handle(IQKind, string(typ), name, nil)
	}
	return m.Handle(IQKind, string(typ), name, HandlerFunc(func(ctx context.Context, s Sender, st Stanza) error {
		iq, ok := st.(*IQ)
		if !ok || !iq.IsRequest() { // a reply, by way of a route for any type
			return nil
		}
		payload, err := fn(ctx, iq)
		if err != nil {
			return err
		}
		return s.Send(ctx, iq.Result(payload))
	}))
}

// HandleMessage registers fn for messages of a type, or of [Any], with the given
// payload. The message is borrowed until fn returns; for its error see
// [Handler]. The error is that of [Mux.Handle].
func (m *Mux) HandleMessage(typ MessageType, name stream.Name, fn func(ctx context.Context, s Sender, msg *Message) error) error {
	if typ == "" {
		typ = NormalMessage
	}
	return m.Handle(MessageKind, string(typ), name, typed(fn))
}

// HandlePresence registers fn for presence of a type, or of [Any], with the given
// payload. The presence is borrowed until fn returns; for its error see
// [Handler]. The error is that of [Mux.Handle].
func (m *Mux) HandlePresence(typ PresenceType, name stream.Name, fn func(ctx context.Context, s Sender, p *Presence) error) error {
	return m.Handle(PresenceKind, string(typ), name, typed(fn))
}

// typed makes a Handler of a function for one kind of stanza, and nil of nil.
func typed[S Stanza](fn func(context.Context, Sender, S) error) Handler {
	if fn == nil {
		return nil
	}
	return HandlerFunc(func(ctx context.Context, s Sender, st Stanza) error {
		if want, ok := st.(S); ok {
			return fn(ctx, s, want)
		}
		return nil
	})
}

// Fallback sets the handler for what no route matches; nil takes it away again.
func (m *Mux) Fallback(h Handler) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fallback = h
}

// Use puts middleware around the whole Mux, the fallback included: every stanza
// passes it, routed or not. What was added first is outermost. Each function is
// called once, with the handler that it is to wrap; nil ones are ignored.
func (m *Mux) Use(middleware ...func(next Handler) Handler) {
	for _, mw := range middleware {
		if mw == nil {
			continue
		}
		var after int // where the next handler of the chain is found
		h := mw(HandlerFunc(func(ctx context.Context, s Sender, st Stanza) error {
			return m.from(ctx, after, s, st)
		}))
		if h == nil {
			continue
		}
		m.mu.Lock()
		m.chain = append(m.chain, h)
		after = len(m.chain)
		m.mu.Unlock()
	}
}

// from handles a stanza with the chain without its first i handlers, the routing
// at its end.
func (m *Mux) from(ctx context.Context, i int, s Sender, st Stanza) error {
	m.mu.RLock()
	var h Handler
	if i < len(m.chain) {
		h = m.chain[i]
	}
	m.mu.RUnlock()
	if h == nil {
		return m.route(ctx, s, st)
	}
	return h.HandleStanza(ctx, s, st)
}

// HandleStanza implements [Handler].
func (m *Mux) HandleStanza(ctx context.Context, s Sender, st Stanza) error {
	return m.from(ctx, 0, s, st)
}

// route calls the handler that st is for.
func (m *Mux) route(ctx context.Context, s Sender, st Stanza) error {
	if h := m.find(st); h != nil {
		return h.HandleStanza(ctx, s, st)
	}
	if iq, ok := st.(*IQ); ok && iq.IsRequest() {
		return ServiceUnavailable
	}
	return nil
}

// find returns the handler for st, or nil.
func (m *Mux) find(st Stanza) Handler {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := route{kind: st.Kind()}
	switch st := st.(type) {
	case *Message:
		if r.typ = string(st.Type); st.Type == "" {
			r.typ = string(NormalMessage)
		}
	case *Presence:
		r.typ = string(st.Type)
	case *IQ:
		r.typ = string(st.Type)
	}
	if m.named[r.kind] { // else there is no need to look inside
		if h := m.byPayload(st, r); h != nil {
			return h
		}
	}
	if h := m.lookup(r); h != nil {
		return h
	}
	return m.fallback
}

// byPayload finds the route of the payload with the most specific one: the first
// that is matched by its whole name, or else by its namespace.
func (m *Mux) byPayload(st Stanza, r route) Handler {
	var bySpace Handler
	switch st := st.(type) {
	case *Message:
		for el := range st.Payloads() {
			if h := m.byName(r, el.Name(), &bySpace); h != nil {
				return h
			}
		}
	case *Presence:
		for el := range st.Payloads() {
			if h := m.byName(r, el.Name(), &bySpace); h != nil {
				return h
			}
		}
	case *IQ:
		if el := st.Element(); el != nil {
			if h := m.byName(r, el.Name(), &bySpace); h != nil {
				return h
			}
		}
	}
	return bySpace
}

// byName finds the route for a payload name. The first one for its namespace goes
// to bySpace instead.
func (m *Mux) byName(r route, name stream.Name, bySpace *Handler) Handler {
	r.name = name
	if h := m.lookup(r); h != nil {
		return h
	}
	if r.name.Local = ""; *bySpace == nil && r.name.Space != "" {
		*bySpace = m.lookup(r)
	}
	return nil
}

// lookup finds the route with that name, for the type or else for any type.
func (m *Mux) lookup(r route) Handler {
	if h := m.routes[r]; h != nil {
		return h
	}
	r.typ = Any
	return m.routes[r]
}
