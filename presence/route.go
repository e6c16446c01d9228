package presence

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

// desks are work for readers: an idle session has none.
var desks = sync.Pool{New: func() any { return new(work) }}

// work is what the reader of a session needs for the stanza at hand.
type work struct {
	transit   stanza.Transit
	out       rewritten
	set       [3]stream.AttrSet
	to        []*Resource
	delivered []stanza.Resource
}

// clear forgets the stanza, for the next one.
func (w *work) clear() {
	clear(w.to)
	clear(w.delivered)
	*w = work{to: w.to[:0], delivered: w.delivered[:0]}
}

// stanza routes one stanza of the client, on the session's reader.
func (c *Connection) stanza(el *stream.Element) error {
	res := c.resource
	if res.session.Load() == nil {
		// The address is not this client's any more. It has been told why
		// (RFC 6120 §4.9.1.1), and what it said since is not heard.
		return stream.ErrNotTaken
	}
	if err := res.checkFrom(el); err != nil {
		return err
	}
	if reply, ok := bind.AnswerSession(el); ok {
		return ignoreClosed(c.session.Send(c.ctx, encoded(reply)))
	}
	return ignoreClosed(c.router.handle(c.ctx, res, el))
}

// checkFrom looks at who the stanza says that it comes from. RFC 6120 §8.1.2.1
// rule 1: a client may leave out from, or give its own bare or full JID; the
// server puts the full JID in its place. Anybody else's is an attempt to speak
// for others.
func (r *Resource) checkFrom(el *stream.Element) error {
	value, ok := el.AttrBytes("from")
	if !ok || string(value) == r.addr.String() {
		return nil
	}
	from, err := el.From()
	if err != nil || from != r.addr && from != r.addr.Bare() {
		return &stream.Error{
			Condition: stream.InvalidFrom,
			Text:      "the from of a stanza is not the sender",
			Cause:     err,
		}
	}
	return nil
}

// ignoreClosed drops the error of writing to our own session when it has
// ended: the reader finds out by itself.
func ignoreClosed(err error) error {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return fmt.Errorf("presence: routing: %w", err)
}

// handle decides about a stanza of a client and carries the decision out. An
// error ends the session of the client.
func (r *Router) handle(ctx context.Context, res *Resource, el *stream.Element) error {
	w := desks.Get().(*work)
	res.work = w
	err := r.decide(ctx, res, el)
	res.work = nil
	w.clear()
	desks.Put(w)
	return err
}

// decide is handle with memory to work with.
func (r *Router) decide(ctx context.Context, res *Resource, el *stream.Element) error {
	t := &res.work.transit
	*t = stanza.Transit{From: res.addr, Element: el, Sender: res}
	if r.storing() {
		cause := r.causeFor(res)
		t.Cause = cause
		res.cause.Store(&cause)
		defer res.cause.Store(nil)
	}
	err := describe(t)
	if err == nil {
		err = r.forward(ctx, res, t)
	}
	if err == nil || isReplyOrError(t.Element) { // RFC 6120 §8.2.3 rule 4, §8.3.1 rule 8
		r.after(ctx, t)
		return nil
	}
	var fatal *fatalError
	if errors.As(err, &fatal) {
		return fatal.error
	}
	t.Refused = err
	err = res.reply(ctx, bounced(t, el, err))
	r.after(ctx, t)
	return err
}

// reply sends the client what it asked for: a client that does not read waits for
// itself.
func (r *Resource) reply(ctx context.Context, st stream.Appender) error {
	session := r.session.Load()
	switch {
	case session == nil:
		return r.offer(nil, st)
	case r.between.Load() != nil:
		// A module does not wait, so that is done before.
		if err := (&pace{to: r}).wait(ctx, 0); err != nil {
			return err
		}
		return r.offer(nil, st)
	}
	if c := r.cause.Load(); c != nil && c.ID != "" {
		st = caused{st, *c}
	}
	return session.Send(ctx, st)
}

// fatalError is the error of writing to the client whose stanza is handled.
type fatalError struct{ error }

func fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

// describe reads what routing depends on. An error is the answer to the sender.
func describe(t *stanza.Transit) error {
	el := t.Element
	t.Kind, t.Type = stanza.KindOf(el.Name()), typeOf(el)
	var err error
	if t.To, err = el.To(); err != nil {
		t.To = jid.JID{}
		return stanza.JIDMalformed // RFC 6120 §8.3.3.8
	}
	switch t.Kind {
	case stanza.MessageKind:
		switch stanza.MessageType(t.Type) {
		case stanza.ChatMessage, stanza.GroupChatMessage, stanza.HeadlineMessage, stanza.ErrorMessage:
		default:
			// RFC 6121 §5.2.2: none and unknown ones are normal.
			t.Type = string(stanza.NormalMessage)
		}
	case stanza.PresenceKind:
		switch stanza.PresenceType(t.Type) {
		case stanza.AvailablePresence, stanza.UnavailablePresence, stanza.ErrorPresence, stanza.ProbePresence,
			stanza.SubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribePresence, stanza.UnsubscribedPresence:
		default:
			return stanza.BadRequest // RFC 6121 §4.7.1
		}
	case stanza.IQKind:
		return checkIQ(t.Type, el)
	}
	return nil
}

// typeOf returns the type attribute, without an allocation for those there are.
func typeOf(el *stream.Element) string {
	v, _ := el.AttrBytes("type")
	switch string(v) {
	case "":
		return ""
	case "chat":
		return "chat"
	case "get":
		return "get"
	case "set":
		return "set"
	case "result":
		return "result"
	case "unavailable":
		return "unavailable"
	}
	return string(v)
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

// forward finds out what becomes of a stanza and does it. The error is for the
// sender.
func (r *Router) forward(ctx context.Context, res *Resource, t *stanza.Transit) error {
	to, redirected := t.To, false
	if t.To.IsZero() && t.Kind != stanza.PresenceKind {
		// RFC 6120 §10.3.1, §10.3.3: as if addressed to the sender's account.
		t.To = t.From.Bare()
	}
	for _, m := range r.hooks.before {
		v := m.BeforeRoute(ctx, t)
		if v.Action == stanza.ActionRedirect {
			t.To, redirected = v.To, true
			break
		}
		if done, err := r.obey(t, v); done {
			return err
		}
	}
	if t.Kind == stanza.PresenceKind && t.To.IsZero() {
		return r.announce(ctx, res, t)
	}
	if done, err := r.gate(t.From, t.To, t); done {
		return err
	}
	if t.Kind == stanza.PresenceKind && t.Type == "" && !res.room(t.To) {
		return stanza.ResourceConstraint
	}
	var a *account
	q := Question{Kind: t.Kind, Type: t.Type}
	if err := r.ask(ctx, &q, &a, t); err != nil {
		return err
	}
	switch ans := Decide(q); ans.Action {
	case Drop:
		return nil
	case Refuse:
		return ans.Condition
	case Serve:
		return r.serve(ctx, res, t, &r.mux)
	case ServePublic:
		return r.serve(ctx, res, t, &r.public)
	case Subscription:
		return r.subscription(ctx, res, t)
	case Probe:
		r.probed(ctx, res, t)
		return nil
	default:
		out := res.passOn(t, to, redirected)
		if t.Kind == stanza.PresenceKind {
			return r.direct(res, t, r.recipients(res, a, ans.Action, t), out)
		}
		return r.deliver(ctx, res, a, q, ans, t, out)
	}
}

// obey carries out the verdict of a module, and reports whether the stanza goes
// no further.
func (r *Router) obey(t *stanza.Transit, v stanza.Verdict) (done bool, err error) {
	switch v.Action {
	case stanza.ActionPass:
		return false, nil
	case stanza.ActionBounce:
		if v.Err != nil {
			return true, v.Err
		}
	}
	if t.Kind == stanza.IQKind {
		return true, stanza.ServiceUnavailable // RFC 6120 §8.2.3 rule 3
	}
	return true, nil
}

// gate asks the modules that keep addresses apart.
func (r *Router) gate(from, to jid.JID, t *stanza.Transit) (done bool, err error) {
	for _, g := range r.hooks.gates {
		if done, err := r.obey(t, g.Gate(from, to, t.Kind, t.Type)); done {
			return true, err
		}
	}
	return false, nil
}

// barred reports whether presence must not get from one address to another.
func (r *Router) barred(from, to jid.JID, typ stanza.PresenceType) bool {
	for _, g := range r.hooks.gates {
		if g.Gate(from, to, stanza.PresenceKind, string(typ)).Action != stanza.ActionPass {
			return true
		}
	}
	return false
}

// apart reports whether a stanza to an account must not get to one of its
// resources.
func (r *Router) apart(t *stanza.Transit, addr jid.JID) bool {
	for _, g := range r.hooks.gates {
		if g.Gate(t.From, addr, t.Kind, t.Type).Action != stanza.ActionPass {
			return true
		}
	}
	return false
}

// ask finds out what Decide has to know about the addressee.
func (r *Router) ask(ctx context.Context, q *Question, a **account, t *stanza.Transit) error {
	to := t.To
	switch {
	case !r.hosted(to.DomainJID()):
		q.To = Elsewhere
		return nil
	case to.Local() == "":
		q.To = Service
		return nil
	}
	bare := to.Bare()
	q.Own = bare == t.From.Bare()
	*a = r.table.find(bare)
	switch {
	case !to.IsFull():
		q.To = Account
	case *a != nil && (*a).present(to):
		q.To = Connected
		if q.Kind == stanza.IQKind && !q.Own {
			// Own is enough, and asking takes the lock of the account.
			if q.Seen = isReplyOrError(t.Element); !q.Seen {
				var err error
				q.Seen, err = r.shares(ctx, *a, to, t.From)
				return err
			}
		}
		return nil
	default:
		q.To = Absent
	}
	return r.standing(ctx, q, *a, bare)
}

// standing fills in what is known of an account.
func (r *Router) standing(ctx context.Context, q *Question, a *account, bare jid.JID) error {
	q.Standing = Unavailable
	if a != nil && len(a.connected()) > 0 {
		q.Standing = a.standing()
		return nil
	}
	exists, err := r.Exists(ctx, bare)
	if err != nil {
		r.report("looking for an account failed", err)
		return stanza.InternalServerError
	}
	if !exists {
		q.Standing = Unknown
	}
	return nil
}

// present reports whether a full JID is connected.
func (a *account) present(addr jid.JID) bool {
	r := a.find(addr)
	return r != nil && r.connected()
}
