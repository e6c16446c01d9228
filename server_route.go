package xmpp

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// encoded is a stanza that is XML already.
type encoded []byte

// AppendXML implements stream.Appender.
func (e encoded) AppendXML(dst []byte) ([]byte, error) { return append(dst, e...), nil }

// rewritten is a stanza on its way through: the bytes that came in, with a new
// start tag.
type rewritten struct {
	el  *stream.Element
	set []stream.AttrSet
}

// AppendXML implements stream.Appender.
func (r rewritten) AppendXML(dst []byte) ([]byte, error) {
	return r.el.AppendRewritten(dst, stream.NSClient, r.set...)
}

var (
	nameFrom = stream.Name{Local: "from"}
	nameTo   = stream.Name{Local: "to"}
	nameLang = stream.Name{Space: stream.NSXML, Local: "lang"}
)

// route decides about a stanza of a client and carries the decision out. An
// error ends the session of the client.
func (s *Server) route(ctx context.Context, c *serverConn, from jid.JID, el *stream.Element) error {
	st, err := describe(from, el)
	if err != nil {
		if isReplyOrError(el) {
			return nil // RFC 6120 §8.2.3 rule 4, §8.3.1 rule 8
		}
		return s.bounce(ctx, c, from, el, err)
	}
	if st.kind == stanza.PresenceKind && st.to.IsZero() {
		s.announce(c.resource, st, el)
		return nil
	}
	var room [8]*resource
	r := route(st, s.hosted, &s.resources, room[:0])
	switch {
	case r.verdict != deliver:
	case st.kind == stanza.PresenceKind:
		r = s.direct(c.resource, st, r, passOn(c, from, el))
	default:
		r = s.deliver(ctx, c, st, r, passOn(c, from, el))
	}
	switch r.verdict {
	case serve:
		return s.handle(ctx, c, from, el)
	case bounce:
		return s.bounce(ctx, c, from, el, r.condition)
	}
	return nil
}

// passOn returns a stanza as others get to see it.
func passOn(c *serverConn, from jid.JID, el *stream.Element) rewritten {
	out := rewritten{el, []stream.AttrSet{{Name: nameFrom, Value: from.String()}}}
	if _, ok := el.AttrBytes("to"); !ok {
		// RFC 6120 §10.3.1, RFC 6121 §4.2.2: it is for the account. It is the
		// second of the set: announce relies on it.
		out.set = append(out.set, stream.AttrSet{Name: nameTo, Value: from.Bare().String()})
	}
	// RFC 6120 §4.7.4: the language of the stream is lost with the stream.
	if lang := c.session.Header().Lang; lang != "" {
		if _, ok := el.AttrNS(nameLang); !ok {
			out.set = append(out.set, stream.AttrSet{Name: nameLang, Value: lang})
		}
	}
	return out
}

// deliver hands a stanza to those that were chosen. If none of them takes it,
// they are gone by now, and the verdict is what it would have been without them.
func (s *Server) deliver(ctx context.Context, c *serverConn, st routed, r routing, out stream.Appender) routing {
	taken := false
	for _, to := range r.to {
		var err error
		if to == c.resource {
			// Whoever writes to themselves and does not read waits for themselves.
			err = c.session.Send(ctx, out)
		} else {
			err = s.offer(to, out)
		}
		taken = taken || err == nil
	}
	if taken || st.typ == string(stanza.HeadlineMessage) {
		return routing{verdict: drop}
	}
	return refuse(st, stanza.ServiceUnavailable)
}

// describe reads what routing depends on. An error is the answer to the sender.
func describe(from jid.JID, el *stream.Element) (routed, error) {
	st := routed{kind: stanza.KindOf(el.Name()), typ: el.Attr("type"), from: from}
	var err error
	if st.to, err = el.To(); err != nil {
		// RFC 6120 §8.3.3.8.
		return st, stanza.JIDMalformed
	}
	switch st.kind {
	case stanza.MessageKind:
		switch stanza.MessageType(st.typ) {
		case stanza.ChatMessage, stanza.GroupChatMessage, stanza.HeadlineMessage, stanza.ErrorMessage:
		default:
			// RFC 6121 §5.2.2: none and unknown ones are normal.
			st.typ = string(stanza.NormalMessage)
		}
	case stanza.PresenceKind:
		switch stanza.PresenceType(st.typ) {
		case stanza.AvailablePresence, stanza.UnavailablePresence, stanza.ErrorPresence:
		default:
			if !aboutSubscription(st.typ) {
				return st, stanza.BadRequest // RFC 6121 §4.7.1
			}
		}
	case stanza.IQKind:
		return st, checkIQ(st.typ, el)
	}
	return st, nil
}

// checkIQ holds a request against the rules of RFC 6120 §8.2.3.
func checkIQ(typ string, el *stream.Element) error {
	if _, ok := el.AttrBytes("id"); !ok {
		return stanza.BadRequest
	}
	switch typ {
	case "get", "set":
		children := 0
		for range el.Children() {
			children++
		}
		if children != 1 {
			return stanza.BadRequest
		}
	case "result", "error":
	default:
		return stanza.BadRequest
	}
	return nil
}

// offer queues a stanza for a resource. It does not wait: a client that takes
// nothing any more must not hold up those who write to it. When its queue is
// full its session is ended (RFC 6120 §4.9.3.17).
func (s *Server) offer(to *resource, st stream.Appender) error {
	session := to.session.Load()
	if session == nil {
		if held, err := to.hold(st); held {
			return err
		}
		if session = to.session.Load(); session == nil {
			return errGone
		}
	}
	err := session.TrySend(st)
	if errors.Is(err, stream.ErrFull) && to.session.CompareAndSwap(session, nil) {
		session.Abort(&stream.Error{Condition: stream.ResourceConstraint, Text: "the client does not read", Cause: err})
		// The rest of what vacate does is up to the reader of that session, which
		// ends now: the caller may hold the lock of another resource.
		s.requests.abandon(to)
	}
	return err
}

// bounce returns an error to the sender of a stanza.
func (s *Server) bounce(ctx context.Context, c *serverConn, from jid.JID, el *stream.Element, err error) error {
	return c.session.Send(ctx, bounced(from, el, err))
}

// bounced builds the error reply at element level, since the stanza may be one
// that cannot be decoded (RFC 6120 §8.3.1).
func bounced(from jid.JID, el *stream.Element, err error) stream.Appender {
	return appenderFunc(func(dst []byte) ([]byte, error) {
		var cond stanza.Condition
		if !errors.As(err, &cond) {
			cond = stanza.InternalServerError
		}
		w := stream.NewWriter(dst)
		w.Start(stream.Name{Local: el.Name().Local})
		w.Attr("type", "error")
		if id, ok := el.AttrBytes("id"); ok {
			w.Attr("id", string(id))
		}
		// §8.3.1 rule 3: from the address that the stanza was sent to; not one
		// that is none.
		if to, err := el.To(); err == nil && !to.IsZero() {
			w.Attr("from", to.String())
		}
		w.Attr("to", from.String())
		w.Append(&stanza.Error{Condition: cond})
		w.End()
		return w.Bytes()
	})
}

type appenderFunc func([]byte) ([]byte, error)

func (f appenderFunc) AppendXML(dst []byte) ([]byte, error) { return f(dst) }

// handle gives a stanza that is addressed to the server to its handler.
func (s *Server) handle(ctx context.Context, c *serverConn, from jid.JID, el *stream.Element) error {
	st, err := stanza.Decode(el)
	if err != nil {
		if isReplyOrError(el) {
			return nil
		}
		return s.bounce(ctx, c, from, el, conditionOf(err))
	}
	h := st.Head()
	h.From = from
	st.SetHead(h)
	if iq, ok := st.(*stanza.IQ); ok && !iq.IsRequest() {
		s.requests.settle(iq)
		return nil
	}
	handler := s.Handler
	if handler == nil {
		handler = stanza.HandlerFunc(nobodyHome)
	}
	if err := stanza.Dispatch(ctx, handler, &serverSender{s, c}, st); err != nil {
		s.logFailure("handler failed", err)
	}
	return nil
}

// nobodyHome is the handler of a server without one. RFC 6120 §10.5.1: what is
// not handled comes back. Presence asks for nothing.
func nobodyHome(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
	if st.Kind() == stanza.PresenceKind {
		return nil
	}
	return stanza.ServiceUnavailable
}

func isReplyOrError(el *stream.Element) bool {
	switch el.Attr("type") {
	case "error":
		return true
	case "result":
		return el.Name().Local == "iq"
	}
	return false
}

func conditionOf(err error) stanza.Condition {
	var e *stanza.Error
	if errors.As(err, &e) {
		return e.Condition
	}
	return stanza.BadRequest
}

// serverSender is what handlers of the server talk through. What they send
// comes from the server.
type serverSender struct {
	server *Server
	conn   *serverConn // whose stanza is being handled
}

// Send sends a stanza to the client whose stanza is being handled, or to any
// other resource that is connected.
func (d *serverSender) Send(ctx context.Context, st stanza.Stanza) error {
	if st == nil {
		return fmt.Errorf("%w: nil", stanza.ErrInvalid)
	}
	h := st.Head()
	if h.To.IsZero() || h.To == d.conn.resource.addr {
		// RFC 6120 §8.1.2.1 rule 4: without a from it is from the account.
		return d.conn.session.Send(ctx, st)
	}
	r := d.server.resources.find(h.To)
	if r == nil {
		return fmt.Errorf("sending to %s: %w", h.To, errGone)
	}
	if h.From.IsZero() {
		h.From = d.conn.session.LocalAddr()
		st = withHead(st, h)
	}
	return d.server.offer(r, st)
}

// withHead returns st with other attributes. The stanza is the caller's own and
// stays as it is.
func withHead(st stanza.Stanza, h stanza.Head) stanza.Stanza {
	switch st := st.(type) {
	case *stanza.Message:
		c := *st
		c.SetHead(h)
		return &c
	case *stanza.Presence:
		c := *st
		c.SetHead(h)
		return &c
	case *stanza.IQ:
		c := *st
		c.SetHead(h)
		return &c
	}
	return st
}

// Do sends a request from the server to a connected client and waits for the
// reply.
func (d *serverSender) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	return d.server.requests.do(ctx, d, iq)
}
