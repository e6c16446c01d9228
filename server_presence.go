package xmpp

import (
	"errors"
	"iter"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// announce handles undirected presence: it keeps what that says about the
// resource, and tells the account's resources (RFC 6121 §4.2.2, §4.4.2, §4.5.2).
func (s *Server) announce(r *resource, st routed, el *stream.Element) {
	// So that nobody is told of presence after vacate has said that it is over.
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.connected() {
		return
	}
	switch st.typ {
	case "":
		r.presence.Store(&availability{priority: priorityOf(el)})
	case "unavailable":
		r.presence.Store(nil)
	}
	var room [8]*resource
	out := passOn(r.conn, st.from, el)
	for _, to := range route(st, s.hosted, &s.resources, room[:0]).to {
		s.offer(to, out)
	}
	if st.typ == "unavailable" {
		for to := range s.takeDirected(r) {
			out.set[1] = stream.AttrSet{Name: nameTo, Value: to.addr.String()}
			s.offer(to.resource, out)
		}
	}
}

// priorityOf reads the priority of presence. RFC 6121 §4.7.2.3: an integer from
// -128 to +127, and zero if there is none. Anything else counts as none.
func priorityOf(el *stream.Element) int8 {
	c, ok := el.Child(stream.Name{Space: stream.NSClient, Local: "priority"})
	if !ok {
		return 0
	}
	n, err := strconv.ParseInt(strings.Trim(c.Text(), " \t\r\n"), 10, 8)
	if err != nil {
		return 0
	}
	return int8(n)
}

// vacate takes the session from a resource, once: nothing reaches it any more,
// who waits for its reply is told, and so are those who knew that it was
// available: the account's other resources (RFC 6121 §4.5.2), and whom it sent
// directed presence (§4.6.3).
func (s *Server) vacate(r *resource) {
	r.mu.Lock()
	r.settle(nil)
	gone := &stanza.Presence{From: r.addr, Type: stanza.UnavailablePresence}
	if r.presence.Swap(nil) != nil {
		for _, other := range s.resources.of(nil, r.addr, (*resource).available) {
			gone.To = other.addr
			s.offer(other, gone)
		}
	}
	for to := range s.takeDirected(r) {
		gone.To = to.addr
		s.offer(to.resource, gone)
	}
	r.mu.Unlock()
	s.requests.abandon(r)
}

// direct delivers directed presence and remembers whom to tell when it does not
// hold any more (RFC 6121 §4.6.3). What cannot be delivered is ignored
// (§8.5.3.2.2).
func (s *Server) direct(r *resource, st routed, where routing, out stream.Appender) routing {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.connected() || len(where.to) == 0 {
		return routing{verdict: drop}
	}
	if st.typ != "error" && r.direct(st.to, st.typ) != nil {
		return refuse(st, stanza.ResourceConstraint)
	}
	for _, to := range where.to {
		s.offer(to, out)
	}
	return routing{verdict: drop}
}

// directedTo is a resource that was sent presence, by the address that was used.
type directedTo struct {
	addr     jid.JID
	resource *resource
}

// takeDirected yields whom r has sent directed presence, and forgets them. The
// caller holds r.mu.
func (s *Server) takeDirected(r *resource) iter.Seq[directedTo] {
	return func(yield func(directedTo) bool) {
		addrs := r.directed
		r.directed = nil
		st := routed{kind: stanza.PresenceKind, typ: "unavailable", from: r.addr}
		for st.to = range addrs {
			for _, to := range route(st, s.hosted, &s.resources, nil).to {
				if !yield(directedTo{st.to, to}) {
					return
				}
			}
		}
	}
}

// maxDirected bounds resource.directed. Presence to one address more is refused
// with resource-constraint, rather than leave somebody with a ghost.
const maxDirected = 256

// errTooManyDirected is returned by direct.
var errTooManyDirected = errors.New("xmpp: directed presence to too many addresses")

// direct notes directed presence. The caller holds mu.
func (r *resource) direct(to jid.JID, typ string) error {
	if typ == "unavailable" {
		delete(r.directed, to)
		return nil
	}
	if _, known := r.directed[to]; !known && len(r.directed) >= maxDirected {
		return errTooManyDirected
	}
	if r.directed == nil {
		r.directed = make(map[jid.JID]struct{})
	}
	r.directed[to] = struct{}{}
	return nil
}
