package presence

import (
	"context"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// recipients returns the resources that an action names. The slice is valid until
// the next stanza of res.
func (r *Router) recipients(res *Resource, a *account, action Action, t *stanza.Transit) []*Resource {
	out := res.work.to[:0]
	if a == nil {
		return out
	}
	best := int8(-1)
	for _, to := range a.connected() {
		p := to.shown.Load()
		switch {
		case !to.connected():
		case action == DeliverOne:
			if to.addr == t.To {
				out = append(out, to)
			}
		case p == nil || !t.To.IsFull() && r.apart(t, to.addr):
		case action == DeliverAvailable, action == DeliverReachable && p.reachable():
			out = append(out, to)
		case action == DeliverBest && p.reachable() && p.priority >= best:
			// RFC 6121 §8.5.2.1.1: the most available, all of them if they are
			// equally so.
			if p.priority > best {
				best, out = p.priority, out[:0]
			}
			out = append(out, to)
		}
	}
	res.work.to = out
	return out
}

// passOn returns the stanza as others get to see it. It is valid until the next
// stanza of r.
func (r *Resource) passOn(t *stanza.Transit, asked jid.JID, redirected bool) *rewritten {
	w := r.work
	set := append(w.set[:0], stream.AttrSet{Name: nameFrom, Value: r.addr.String()})
	if asked.IsZero() || redirected {
		// RFC 6120 §10.3.1: it is for the account.
		set = append(set, stream.AttrSet{Name: nameTo, Value: t.To.String()})
	}
	if lang := r.lang(t.Element); lang != "" {
		set = append(set, stream.AttrSet{Name: nameLang, Value: lang})
	}
	w.out = rewritten{el: t.Element, set: set}
	return &w.out
}

// lang returns the language of the stream if the stanza has none of its own,
// because it is lost with the stream (RFC 6120 §4.7.4).
func (r *Resource) lang(el *stream.Element) string {
	session := r.session.Load()
	if session == nil {
		return ""
	}
	lang := session.Header().Lang
	if lang == "" {
		return ""
	}
	if _, ok := el.AttrNS(nameLang); ok {
		return ""
	}
	return lang
}

// deliver hands a message or IQ to those that are to have it. If none of them
// takes it, they are gone by now, and it is what it would have been without
// them.
func (r *Router) deliver(ctx context.Context, res *Resource, a *account, q Question, ans Answer, t *stanza.Transit, out *rewritten) error {
	if ans.Action == Keep {
		return r.keep(ctx, res, q, t, out)
	}
	to, crowded := uncrowded(r.recipients(res, a, ans.Action, t), res)
	if crowded && len(to) == 0 {
		// RFC 6120 §8.3.3.18: it reads too slowly for how much it is sent.
		return q.refuse(stanza.ResourceConstraint).err()
	}
	if t.Kind == stanza.MessageKind {
		t.Delivered = res.work.delivered[:0]
		for _, one := range to {
			t.Delivered = append(t.Delivered, one)
		}
		res.work.delivered = t.Delivered
		if t.Type != string(stanza.ErrorMessage) && t.Sent.IsZero() {
			for _, m := range r.hooks.deliver {
				m.BeforeDeliver(ctx, t)
			}
			out.el = t.Element
		}
	}
	taken := 0
	for _, one := range to {
		var err error
		if one == res && one.between.Load() == nil {
			if err = res.reply(ctx, out); err != nil {
				return fatal(err)
			}
		} else {
			err = one.offer(t, out)
		}
		if err == nil {
			if t.Delivered != nil {
				t.Delivered[taken] = one
			}
			taken++
		}
	}
	t.Delivered = t.Delivered[:min(taken, len(t.Delivered))]
	switch {
	case taken > 0 || t.Type == string(stanza.HeadlineMessage) && ans.Action != DeliverOne:
		return nil
	case t.Kind == stanza.IQKind:
		return q.refuse(stanza.ServiceUnavailable).err()
	}
	if q.To == Connected {
		q.To = Absent
		if err := r.standing(ctx, &q, a, t.To.Bare()); err != nil {
			return err
		}
	}
	if q.Standing > Negative {
		q.Standing = Unavailable // they are gone, or as good as gone
	}
	ans = Decide(q)
	if ans.Action == Keep {
		return r.keep(ctx, res, q, t, out)
	}
	return ans.err()
}

// uncrowded drops those whose queue is too full from to, and reports whether there
// were any. Who writes to themselves waits for themselves instead.
func uncrowded(to []*Resource, from *Resource) (left []*Resource, some bool) {
	left = to[:0]
	for _, one := range to {
		if one != from && one.crowded() {
			some = true
			if p := one.shown.Load(); p != nil {
				p.since.Store(time.Now().UnixMilli()) // it has not got everything
			}
			continue
		}
		left = append(left, one)
	}
	return left, some
}

// err is the answer as an error for the sender.
func (a Answer) err() error {
	if a.Action == Refuse {
		return a.Condition
	}
	return nil
}

// after tells modules what became of a stanza.
func (r *Router) after(ctx context.Context, t *stanza.Transit) {
	for _, m := range r.hooks.after {
		m.AfterRoute(ctx, t)
	}
}
