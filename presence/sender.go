package presence

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// sender is what handlers of the server talk through, and what the Router itself
// is to its modules. What they send comes from the server if they say nothing
// else.
type sender struct {
	router   *Router
	resource *Resource // whose stanza is being handled, or nil
}

// Send implements [stanza.Host].
func (r *Router) Send(ctx context.Context, st stanza.Stanza) error {
	return (&sender{router: r}).Send(ctx, st)
}

// Do implements [stanza.Host].
func (r *Router) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	return (&sender{router: r}).Do(ctx, iq)
}

// Send sends a stanza to the client whose stanza is being handled, to any other
// resource that is connected, or by the rules of delivery to an account.
func (s *sender) Send(ctx context.Context, st stanza.Stanza) error {
	if st == nil {
		return fmt.Errorf("%w: nil", stanza.ErrInvalid)
	}
	if err := s.router.Init(); err != nil {
		return err
	}
	h := st.Head()
	if s.resource != nil && (h.To.IsZero() || h.To == s.resource.addr) {
		// RFC 6120 §8.1.2.1 rule 4: without a from it is from the account.
		return s.resource.reply(ctx, st)
	}
	if h.From.IsZero() {
		h.From = s.local()
		st = withHead(st, h)
	}
	if routed(st) {
		return s.router.sendFrom(ctx, st, h)
	}
	// Requests of the server, replies, and presence of its services to one client.
	if res := s.router.table.resource(h.To); res != nil {
		return res.offer(nil, st)
	}
	if h.To.IsFull() || h.To.IsZero() {
		return fmt.Errorf("sending to %s: %w", h.To, errGone)
	}
	return s.router.sendFrom(ctx, st, h)
}

// routed reports whether the rules of delivery apply to a stanza even if it has the
// full JID of somebody who is connected: to messages, and to what is about
// subscriptions (RFC 6121 §3.1.3).
func routed(st stanza.Stanza) bool {
	switch st := st.(type) {
	case *stanza.Message:
		return true
	case *stanza.Presence:
		switch st.Type {
		case stanza.SubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribePresence, stanza.UnsubscribedPresence:
			return true
		}
	}
	return false
}

// local is the address of the server.
func (s *sender) local() jid.JID {
	if s.resource != nil {
		return s.resource.addr.DomainJID()
	}
	return s.router.Hosted[0]
}

// sendFrom routes a stanza that comes from no client of this server.
func (r *Router) sendFrom(ctx context.Context, st stanza.Stanza, h stanza.Head) error {
	b, err := st.AppendXML(nil)
	if err != nil {
		return err
	}
	el, err := letterOf(b).element()
	if err != nil {
		return err
	}
	t := &stanza.Transit{From: h.From, Element: el}
	if err := describe(t); err != nil {
		return err
	}
	a := (*account)(nil)
	q := Question{Kind: t.Kind, Type: t.Type}
	// A resource that nobody is connected with, for its scratch memory.
	desk := &Resource{addr: h.From, work: new(work)}
	defer func() { r.after(ctx, t) }()
	if !r.hosted(h.From) { // the server itself cannot be kept out
		if done, err := r.gate(t.From, t.To, t); done {
			return err
		}
	}
	if err := r.ask(ctx, &q, &a, t); err != nil {
		return err
	}
	out := &rewritten{el: el}
	switch ans := Decide(q); {
	case ans.Action == Refuse:
		t.Refused = ans.Condition
		return ans.Condition
	case t.Kind == stanza.IQKind && !isReplyOrError(el):
		// Nobody would answer it: clients are asked with Do.
		return fmt.Errorf("sending a request to %s: %w", h.To, stanza.ServiceUnavailable)
	case t.Kind == stanza.MessageKind && ans.Action != Drop && ans.Action != Serve:
		return r.deliver(ctx, desk, a, q, ans, t, out)
	case t.Kind == stanza.PresenceKind && ans.Action == DeliverAvailable:
		for _, to := range r.recipients(desk, a, ans.Action, t) {
			to.offer(t, out)
		}
	case t.Kind == stanza.PresenceKind && ans.Action == Subscription:
		// §3.1.2: from the bare JID. Only the addressee's roster changes.
		l, err := seal(el, stream.AttrSet{Name: nameFrom, Value: t.From.Bare().String()}, stream.AttrSet{Name: nameTo, Remove: true})
		if err != nil {
			return err
		}
		r.arrive(ctx, t.From.Bare(), t.To.Bare(), stanza.PresenceType(t.Type), l, nil)
	}
	return nil
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
func (s *sender) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	if err := s.router.Init(); err != nil {
		return nil, err
	}
	return s.router.requests.do(ctx, s, iq)
}
