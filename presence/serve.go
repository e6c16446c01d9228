package presence

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// serve gives a stanza that is addressed to the server, or that it answers on
// behalf of an account, to its handlers.
func (r *Router) serve(ctx context.Context, res *Resource, t *stanza.Transit, mux *stanza.Mux) error {
	st, err := t.Stanza()
	if err != nil {
		return conditionOf(err)
	}
	if to, _ := t.Element.To(); to.IsZero() {
		h := st.Head()
		h.To = to // handlers are to see that there was none
		st.SetHead(h)
	}
	if iq, ok := st.(*stanza.IQ); ok && !iq.IsRequest() {
		r.requests.settle(iq)
		return nil
	}
	if err := stanza.Dispatch(ctx, mux, &sender{r, res}, st); err != nil {
		r.report("handler failed", err)
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

// bounced builds the error reply at element level, since the stanza may be one
// that cannot be decoded (RFC 6120 §8.3.1).
func bounced(t *stanza.Transit, el *stream.Element, err error) stream.Appender {
	return appenderFunc(func(dst []byte) ([]byte, error) {
		w := stream.NewWriter(dst)
		w.Start(stream.Name{Local: el.Name().Local})
		// The attributes are in the order of [stanza.IQ], or they would tell whether a
		// handler has answered for an account that there is.
		if id, ok := el.AttrBytes("id"); ok {
			w.Attr("id", string(id))
		}
		// §8.3.1 rule 3: from the address that the stanza was sent to; not one
		// that is none.
		if to, err := el.To(); err == nil && !to.IsZero() {
			w.Attr("from", to.String())
		}
		w.Attr("to", t.From.String())
		w.Attr("type", "error")
		w.Append(errorOf(err))
		w.End()
		return w.Bytes()
	})
}

// errorOf returns what the sender is told.
func errorOf(err error) *stanza.Error {
	var e *stanza.Error
	if errors.As(err, &e) && e != nil && !e.Received {
		return e
	}
	var c stanza.Condition
	if e == nil && errors.As(err, &c) && c.Known() {
		return &stanza.Error{Condition: c}
	}
	return &stanza.Error{Condition: stanza.InternalServerError}
}

type appenderFunc func([]byte) ([]byte, error)

// AppendXML implements [stream.Appender].
func (f appenderFunc) AppendXML(dst []byte) ([]byte, error) { return f(dst) }

func isReplyOrError(el *stream.Element) bool {
	switch v, _ := el.AttrBytes("type"); string(v) {
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
