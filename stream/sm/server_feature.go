package sm

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// serverTurn is what the feature remembers of one negotiation.
type serverTurn struct {
	link    *Link
	turn    uint64
	resumed bool
}

type serverKey struct{}

// Feature returns the feature for [stream.AcceptOptions]. It stands in front of
// the resource binding, since a session that was resumed is bound already.
func (s *Server) Feature() stream.Feature {
	return stream.Feature{
		Name:      nameFeature,
		Needs:     stream.Authenticated, // and not bound; but what rides in the binding is with it
		Advertise: s.advertise,
		Claims:    func(el *stream.Element) bool { return el.Name() == nameResume || el.Name() == nameEnable },
		Accept:    s.accept,
		Inline: []stream.Inline{
			{In: stream.InAuthentication, Space: NS, Advertise: s.advertise, Accept: s.acceptResume},
			{In: stream.InBinding, Space: NS, Accept: s.acceptEnable},
		},
		Established: s.established,
	}
}

func (s *Server) advertise(n *stream.Negotiation, w *stream.Writer) error {
	if t, _ := n.Value(serverKey{}).(*serverTurn); t != nil && t.link != nil {
		return nil // enabled while binding, and once is enough
	}
	w.Start(nameFeature)
	w.End()
	return nil
}

// accept answers what comes before a resource is bound.
func (s *Server) accept(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
	if el.Name() == nameEnable || n.State().Has(stream.Bound) {
		// XEP-0198 §3: the one not before resource binding, the other before it.
		return stream.Outcome{}, n.Write(func(w *stream.Writer) { failed{condition: "unexpected-request"}.append(w) })
	}
	var out stream.Outcome
	var bad error
	err := n.Write(func(w *stream.Writer) { out, bad = s.resume(ctx, n, el, w) })
	if bad != nil {
		err = bad
	}
	return out, err
}

func (s *Server) acceptResume(ctx context.Context, n *stream.Negotiation, el *stream.Element, w *stream.Writer) (stream.Outcome, error) {
	if el.Name() != nameResume || n.State().Has(stream.Bound) {
		failed{condition: "unexpected-request"}.append(w)
		return stream.Outcome{}, nil
	}
	return s.resume(ctx, n, el, w)
}

// resume answers a <resume/> (XEP-0198 §5).
func (s *Server) resume(ctx context.Context, n *stream.Negotiation, el *stream.Element, w *stream.Writer) (stream.Outcome, error) {
	request, err := parseResume(el)
	if err != nil {
		failed{condition: "bad-request"}.append(w)
		return stream.Outcome{}, nil
	}
	if s.opts.NoResume {
		failed{condition: "feature-not-implemented"}.append(w)
		return stream.Outcome{}, nil
	}
	refuse := func() (stream.Outcome, error) {
		failed{condition: "item-not-found", h: s.late(request.previd, n.Identity())}.append(w)
		return stream.Outcome{}, nil
	}
	l := s.find(request.previd, n.Identity())
	if l == nil {
		return refuse()
	}
	turn, h, err := s.takeOver(ctx, l)
	if err != nil {
		return refuse()
	}
	first, err := l.acknowledgeIn(turn, request.h)
	switch {
	case !first:
		return refuse()
	case err != nil:
		// Both sides disagree about what happened.
		l.GiveUp(err)
		return stream.Outcome{}, streamError(err)
	}
	l.promise(h)
	*s.turn(n) = serverTurn{link: l, turn: turn, resumed: true}
	n.SetIdentity(l.Addr())
	resumed{previd: request.previd, h: h}.append(w)
	return stream.Outcome{Reached: stream.Authenticated | stream.Bound, Resumed: true}, nil
}

// takeOver ends the session that l is attached to, if there still is one, and
// returns how many stanzas came in over it.
func (s *Server) takeOver(ctx context.Context, l *Link) (turn uint64, h uint32, err error) {
	old, on := l.Session()
	if on {
		// XEP-0198 §5: the connection that the client has lost is not worth
		// waiting for.
		old.Supersede(&stream.Error{Condition: stream.Conflict, Text: "resumed on another connection"})
	}
	turn, ok := l.begin()
	if !ok {
		return 0, 0, ErrNotResumed
	}
	if !l.still(ctx) {
		return 0, 0, ErrNotResumed
	}
	if s.opts.Takeover != nil {
		if err := s.opts.Takeover(ctx, l); err != nil {
			return 0, 0, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// What was received is this side's responsibility from then on, handled or
	// not, as §4 defines it.
	h, _ = l.takenLocked()
	return turn, h, nil
}

func (s *Server) turn(n *stream.Negotiation) *serverTurn {
	t, _ := n.Value(serverKey{}).(*serverTurn)
	if t == nil {
		t = &serverTurn{}
		n.SetValue(serverKey{}, t)
	}
	return t
}

// acceptEnable answers an <enable/> inside a binding.
func (s *Server) acceptEnable(_ context.Context, n *stream.Negotiation, el *stream.Element, w *stream.Writer) (stream.Outcome, error) {
	request, err := parseEnable(el)
	if err != nil || el.Name() != nameEnable {
		failed{condition: "bad-request"}.append(w)
		return stream.Outcome{}, nil
	}
	l, answer := s.grant(request, n.Identity())
	s.turn(n).link = l
	answer.append(w)
	return stream.Outcome{}, nil
}

// established attaches the link of the session.
func (s *Server) established(n *stream.Negotiation, session *stream.Session) {
	if !n.State().Has(stream.Bound) {
		return
	}
	n.HandleNonza(NS, s.nonza)
	t := s.turn(n)
	switch l := t.link; {
	case l == nil:
	case t.resumed:
		session.PromptEvery(l.promptEvery())
		if err := l.attach(session, t.turn); err != nil {
			session.Abort(err)
		}
	default:
		l.settleOn(session, n.Identity(), true)
		s.keep(l)
		s.enabled(l)
		session.PromptEvery(l.promptEvery())
		if err := session.Manage(l, nil); err != nil {
			l.GiveUp(err) // another feature has ended it
		}
	}
}

// nonza handles what the client sends in the namespace.
func (s *Server) nonza(session *stream.Session, el *stream.Element) error {
	l := Of(session)
	if l != nil {
		if ok, err := l.received(session, el); ok {
			return err
		}
	}
	switch el.Name() {
	case nameEnable:
		if l != nil {
			// XEP-0198 §3: at most one attempt.
			return &stream.Error{Condition: stream.PolicyViolation, Text: "stream management is enabled already", Cause: errEnabled}
		}
		return s.enable(session, el)
	case nameResume:
		return session.TrySend(failed{condition: "unexpected-request"})
	}
	return &stream.Error{Condition: stream.UnsupportedStanzaType, Text: quote.ASCII(el.Name().String(), 128)}
}

// enable answers an <enable/> of a session (XEP-0198 §3).
func (s *Server) enable(session *stream.Session, el *stream.Element) error {
	request, err := parseEnable(el)
	if err != nil {
		return session.TrySend(failed{condition: "bad-request"})
	}
	l, answer := s.grant(request, session.RemoteAddr())
	l.settleOn(session, session.RemoteAddr(), false)
	l.countFrom(session)
	s.keep(l)
	s.enabled(l)
	session.PromptEvery(l.promptEvery())
	if err := session.Manage(l, answer); err != nil {
		l.GiveUp(err)
		if errors.Is(err, stream.ErrClosed) {
			return nil
		}
		return err
	}
	return nil
}
