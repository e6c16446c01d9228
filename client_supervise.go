package xmpp

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/sm"
)

// supervisor keeps one connection of a Client connected: the shell around the policy
// of [Reconnect]. It implements [stanza.Supervisor], whose methods run on the
// goroutine of the connection, one at a time.
type supervisor struct {
	client  Client // a copy
	policy  Reconnect
	managed *sm.Client // nil without stream management
	began   time.Time
	news    *announcer

	state  reconnectState
	target dial.Target // where the last session was
	addr   jid.JID     // of the last session
	last   *Closed     // what is told at the end
}

// supervise returns the supervisor of a connection that does not exist yet.
func (c *Client) supervise(managed *sm.Client) (*supervisor, error) {
	policy, err := c.Reconnect.complete()
	if err != nil {
		return nil, err
	}
	return &supervisor{client: *c, policy: policy, managed: managed, began: time.Now(), news: newAnnouncer(policy.Events)}, nil
}

// begin returns the connection on its first session.
func (s *supervisor) begin(session *stream.Session, target dial.Target) *stanza.Conn {
	var o stanza.Options
	if s.client.Conn != nil {
		o = *s.client.Conn
	}
	o.Supervisor, o.QueueStanzas, o.QueueBytes = s, s.policy.QueueStanzas, s.policy.QueueBytes
	s.target, s.addr = target, session.LocalAddr()
	s.step(reconnectInput{kind: inConnected, resumed: resumed(session)})
	return stanza.NewConn(session, &o)
}

// step tells the policy what has happened, and the program what comes of it.
func (s *supervisor) step(in reconnectInput) reconnectAction {
	in.at = time.Since(s.began)
	var a reconnectAction
	s.state, a = s.policy.next(s.state, in, unpredictable)
	if closed, ok := a.event.(Closed); ok {
		s.last = &closed // told by Ended, which knows what is left
	} else if a.event != nil {
		s.news.tell(a.event)
	}
	return a
}

// Next implements [stanza.Supervisor].
func (s *supervisor) Next(ctx context.Context, lost error) (stanza.Successor, error) {
	a := s.step(reconnectInput{kind: inLost, err: lost, resumable: s.resumable()})
	last, redirect := lost, lost
	for {
		switch a.do {
		case doWait:
			timer := time.NewTimer(a.delay)
			select {
			case <-timer.C:
				a = s.step(reconnectInput{kind: inDue})
			case <-ctx.Done():
				timer.Stop()
				return stanza.Successor{}, context.Cause(ctx)
			}
		case doTry:
			session, err := s.attempt(ctx, a.otherResource, redirect)
			redirect = nil
			switch {
			case err == nil:
				return s.succeeded(session), nil
			case ctx.Err() != nil:
				return stanza.Successor{}, context.Cause(ctx)
			}
			last = err
			a = s.step(reconnectInput{kind: inFailed, err: err})
		default:
			if closed, ok := a.event.(Closed); ok && closed.Cause != nil {
				return stanza.Successor{}, closed.Cause
			}
			return stanza.Successor{}, last
		}
	}
}

// resumable returns for how long the session that was lost can be resumed.
func (s *supervisor) resumable() time.Duration {
	if s.managed == nil || !s.managed.Resumable() {
		return 0
	}
	return s.managed.Link().Left()
}

// attempt makes one attempt to get a session. Redirect is what the last one has ended
// with, for the first attempt, and may be a redirect.
func (s *supervisor) attempt(ctx context.Context, otherResource bool, redirect error) (*stream.Session, error) {
	c := s.client
	if f := s.policy.Credentials; f != nil {
		if err := f(ctx, s.state.attempt, &c); err != nil {
			return nil, err
		}
		if err := c.check(); err != nil {
			return nil, err
		}
	}
	a := &attempt{client: &c, managed: s.managed, anyResource: otherResource}
	session, err := s.find(ctx, a, redirect)
	if err == nil {
		s.target = a.target
	}
	return session, err
}

// find tries the places where the server may be.
func (s *supervisor) find(ctx context.Context, a *attempt, redirect error) (*stream.Session, error) {
	if a.client.Open != nil {
		return a.opened(ctx) // where to is the program's business
	}
	if s.managed != nil && s.managed.Resumable() {
		// XEP-0198 §5: where the server prefers it, and else where it is.
		if where := s.managed.Location(); where != "" {
			session, err := a.elsewhere(ctx, where, s.target)
			if err == nil || ctx.Err() != nil || a.begun {
				return session, err
			}
		}
	}
	o := a.client.dialOptions()
	// RFC 6120 §4.9.3.19: the session was ended by a redirect.
	if next, err := a.redirects.Follow(redirect, s.target, true, o); err == nil {
		session, err := a.at(ctx, next)
		if err == nil || ctx.Err() != nil || a.begun {
			return session, err
		}
	}
	return a.at(ctx, o)
}

// resumed reports whether a session continues an earlier one.
func resumed(session *stream.Session) bool {
	l := sm.Of(session)
	return l != nil && l.Resumed()
}

// succeeded takes note of a session.
func (s *supervisor) succeeded(session *stream.Session) stanza.Successor {
	out := stanza.Successor{Session: session, Resumed: resumed(session)}
	in := reconnectInput{kind: inConnected, resumed: out.Resumed, at: time.Since(s.began)}
	var a reconnectAction
	s.state, a = s.policy.next(s.state, in, unpredictable)
	connected, ok := a.event.(Connected)
	if !out.Resumed && s.managed != nil {
		// Nothing of the earlier session can be acknowledged any more.
		if l := s.managed.Link(); l != nil && l != sm.Of(session) {
			s.managed.GiveUp(sm.ErrNotResumed)
		}
		for left, st := range s.left() {
			if s.policy.resend(st, left) {
				connected.Resent = append(connected.Resent, st)
				out.Resend = append(out.Resend, s.delayed(st, left.At))
			} else {
				connected.Unacked = append(connected.Unacked, st)
			}
		}
	}
	s.addr = session.LocalAddr()
	if ok {
		s.news.tell(connected)
	}
	return out
}

// left takes what sessions have left without an acknowledgement.
func (s *supervisor) left() iter.Seq2[sm.Left, stanza.Stanza] {
	return func(yield func(sm.Left, stanza.Stanza) bool) {
		for _, left := range s.managed.TakeLeft() {
			st, err := decodeSent(left.XML)
			if err != nil { // such as raw XML that is none
				s.Incomplete(fmt.Errorf("xmpp: what was left unsent cannot be read: %w", err))
				continue
			}
			if !yield(left, st) {
				return
			}
		}
	}
}

// decodeSent reads a stanza as it went over the wire.
func decodeSent(xml []byte) (stanza.Stanza, error) {
	// It is in the namespace of the stream around it.
	around := slices.Concat([]byte("<stream xmlns='"+stream.NSClient+"'>"), xml, []byte("</stream>"))
	size := len(around) + 64<<10
	el, err := stream.ParseElement(around, &stream.Limits{ElementBytes: size, InboundBytes: 4 * size, Elements: size})
	if err != nil {
		return nil, err
	}
	for child := range el.Children() {
		return stanza.Decode(child.Clone())
	}
	return nil, stanza.ErrNotStanza
}

// resend decides about a stanza that was left.
func (r *Reconnect) resend(st stanza.Stanza, left sm.Left) bool {
	if st.Kind() == stanza.IQKind && st.(*stanza.IQ).IsRequest() {
		return false // whoever sent it was told, by Do
	}
	if r.Resend != nil {
		return r.Resend(st, left.Unsent)
	}
	m, ok := st.(*stanza.Message)
	if !ok || left.Receipt != nil {
		return false
	}
	switch m.Type {
	case stanza.NormalMessage, stanza.ChatMessage, stanza.GroupChatMessage, "":
		return true
	}
	return false
}

// delayed returns a stanza with the time at which it was sent first (XEP-0198 §4).
func (s *supervisor) delayed(st stanza.Stanza, at time.Time) stream.Appender {
	m, ok := st.(*stanza.Message)
	if !ok {
		return st
	}
	if _, stamped, err := delay.Of(m); stamped || err != nil {
		return st // it was sent again before, or passed on
	}
	again := stanza.Clone(m).(*stanza.Message)
	again.Extra = append(slices.Clip(again.Extra), delay.Delay{From: s.addr, Stamp: at})
	return again
}

// Incomplete implements [stanza.Supervisor].
func (s *supervisor) Incomplete(err error) { s.news.tell(Incomplete{Err: err}) }

// Ended implements [stanza.Supervisor].
func (s *supervisor) Ended(err error) {
	s.step(reconnectInput{kind: inClosed})
	if s.managed != nil {
		s.managed.GiveUp(err)
	}
	if s.last != nil {
		if s.managed != nil {
			for _, st := range s.left() {
				s.last.Unacked = append(s.last.Unacked, st)
			}
		}
		s.news.tell(*s.last)
	}
	s.news.close()
}

// announcer tells the program of events, in order, on a goroutine of its own that
// lives while there are some.
type announcer struct {
	f func(Event)

	mu      sync.Mutex
	waiting []Event
	telling bool
	closed  bool
}

// maxNews bounds the events that wait for a function that takes its time. Of those
// that do not tell that a session came or went, the oldest are dropped for more.
const maxNews = 256

func newAnnouncer(f func(Event)) *announcer { return &announcer{f: f} }

// tell queues an event. It does not wait.
func (n *announcer) tell(e Event) {
	if n.f == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return
	}
	if len(n.waiting) >= maxNews {
		i := max(0, slices.IndexFunc(n.waiting, func(e Event) bool {
			_, failed := e.(Failed)
			_, incomplete := e.(Incomplete)
			return failed || incomplete
		}))
		n.waiting = slices.Delete(n.waiting, i, i+1)
	}
	n.waiting = append(n.waiting, e)
	if !n.telling {
		n.telling = true
		// Owner: the announcer. Ends when nothing is left to tell, for which it
		// needs the function of the program to return. Nobody waits for it, so that
		// the function may wait for the connection.
		go n.run()
	}
}

// close makes the last event the last.
func (n *announcer) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
}

func (n *announcer) run() {
	for {
		n.mu.Lock()
		if len(n.waiting) == 0 {
			n.telling = false
			n.mu.Unlock()
			return
		}
		e := n.waiting[0]
		n.waiting = slices.Delete(n.waiting, 0, 1)
		n.mu.Unlock()
		n.f(e)
	}
}

var _ stanza.Supervisor = (*supervisor)(nil)
