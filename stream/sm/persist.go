package sm

import (
	"context"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// restore makes a suspended link of what was stored. The time that it has left
// begins to run.
func restore(owner keeper, policy Policy, st *State) (*Link, error) {
	if err := st.check(); err != nil {
		return nil, err
	}
	left := defaultMax
	if !st.Until.IsZero() {
		left = time.Until(st.Until)
	}
	l := newLink(owner, policy)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.reason = suspended, ErrNotResumed
	l.id, l.can, l.who = st.ID, true, st.Owner
	l.counting, l.carry = true, st.In
	l.out.start(st.Acked)
	for _, u := range st.Queue {
		l.out.push(u.XML, nil, u.At.UnixMilli())
	}
	l.max = left
	l.suspendLocked(max(left, 0))
	return l, nil
}

// snapshot returns what restore needs. The link is suspended, or the error says
// that it cannot be resumed.
func (l *Link) snapshot() (*State, error) {
	if l.Suspended() && !l.still(context.Background()) {
		return nil, ErrNotResumed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != suspended {
		return nil, ErrNotResumed
	}
	return l.stateLocked(), nil
}

// stateLocked returns what is known of the link now.
func (l *Link) stateLocked() *State {
	st := &State{ID: l.id, Owner: l.who, Acked: l.out.acked(), Extra: l.saved.extraOf()}
	if l.state == suspended {
		st.Since, st.Until = l.since, l.since.Add(l.max)
	}
	_, st.In = l.takenLocked()
	for e := range l.out.all() {
		st.Queue = append(st.Queue, Unacked{XML: append([]byte(nil), e.xml...), At: time.UnixMilli(e.at).UTC()})
	}
	return st
}

var _ stream.Ledger = (*Link)(nil)
