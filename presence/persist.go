package presence

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// This file is for servers that store their sessions (sm.ServerOptions.Store), so
// that clients can resume them when the process was stopped, or killed, and started
// again: what is stored with a session of its resource, and how the resource comes
// back.

// What is stored beside what modules keep.
const (
	keptShown      = "presence/shown"      // when it came, priority, presence
	keptInterested = "presence/interested" // there or not
	keptDirected   = "presence/directed"   // addresses, one a line
)

// link returns the link of the session of r, or nil.
func (r *Resource) link() *sm.Link {
	if session := r.session.Load(); session != nil {
		return sm.Of(session)
	}
	return r.orphan.Load()
}

// Keep implements [stanza.KeepingResource].
func (r *Resource) Keep(name string, value []byte) {
	if !r.connection().router.storing() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Until the client has a link, which is told of everything then.
	if value == nil {
		delete(r.kept, name)
	} else {
		if r.kept == nil {
			r.kept = make(map[string][]byte)
		}
		r.kept[name] = value
	}
	if l := r.link(); l != nil {
		l.SetExtra(name, value)
	}
}

// enabled tells a link what there is to keep with it.
func (r *Router) enabled(l *sm.Link) {
	res := r.held(l)
	if res == nil {
		return // it has not begun, so there is nothing
	}
	res.mu.Lock()
	defer res.mu.Unlock()
	for name, value := range res.kept {
		l.SetExtra(name, value)
	}
}

// storing reports whether sessions are stored.
func (r *Router) storing() bool {
	return r.streams != nil && r.Management != nil && r.Management.Store != nil
}

// keepShown stores the presence of the resource.
func (r *Resource) keepShown() {
	if !r.connection().router.storing() {
		return
	}
	p := r.shown.Load()
	if p == nil {
		r.Keep(keptShown, nil)
		return
	}
	b := binary.AppendVarint(nil, p.came)
	b = append(b, byte(p.priority))
	r.Keep(keptShown, append(b, p.b...))
}

// keepDirected stores who has been sent directed presence. The caller holds the
// lock of the account.
func (r *Resource) keepDirected() {
	if !r.connection().router.storing() {
		return
	}
	if len(r.directed) == 0 {
		r.Keep(keptDirected, nil)
		return
	}
	list := make([]string, 0, len(r.directed))
	for to := range r.directed {
		list = append(list, to.String())
	}
	slices.Sort(list)
	r.Keep(keptDirected, []byte(strings.Join(list, "\n")))
}

// Adopt makes a session resumable here that another server has suspended and given
// away, resource and all: see [sm.Server.Adopt]. States of a server that was shut down
// are in its Store.
func (r *Router) Adopt(st *sm.State) error {
	if err := r.Init(); err != nil {
		return err
	}
	if r.streams == nil {
		return fmt.Errorf("%w: no stream management", ErrRouter)
	}
	return r.streams.Adopt(st, r.adopt)
}

// adopt makes the resource of a session that an earlier process has stored. It has
// no connection until the session is resumed.
func (r *Router) adopt(l *sm.Link, extra map[string][]byte) bool {
	addr := l.Addr()
	if !addr.IsFull() || !r.hosted(addr.DomainJID()) {
		return false
	}
	if ok, err := r.Accounts.Exists(context.Background(), addr.Bare()); err == nil && !ok {
		return false
	}
	c := r.Connect(context.Background())
	c.heard()
	c.Cancel(errors.New("presence: the process was started again"))
	res, _, err := r.table.claim(addr, c, false, r.maxResources())
	if res == nil {
		r.report("restoring a session failed", err)
		return false
	}
	c.mu.Lock()
	c.resource, c.released = res, true
	c.mu.Unlock()
	l.SetValue(res)
	res.orphan.Store(l)
	res.early.Store(nil)
	res.kept = maps.Clone(extra) // the link has the other one
	res.interested.Store(extra[keptInterested] != nil)
	if p := readShown(extra[keptShown]); p != nil {
		res.rank.Store(int32(p.priority))
		res.shown.Store(p)
	}
	for line := range strings.Lines(string(extra[keptDirected])) {
		if to, err := jid.Parse(strings.TrimSuffix(line, "\n")); err == nil {
			if res.directed == nil {
				res.directed = make(map[jid.JID]struct{})
			}
			res.directed[to] = struct{}{}
		}
	}
	for _, m := range r.hooks.keepers {
		r.guard(func() { m.RestoreResource(res, func(name string) []byte { return extra[name] }) })
	}
	return true
}

// readShown reads what keepShown has stored, or returns nil.
func readShown(b []byte) *shown {
	came, n := binary.Varint(b)
	if n <= 0 || len(b) <= n {
		return nil
	}
	l := letterOf(b[n+1:])
	if _, err := l.element(); err != nil {
		return nil
	}
	return &shown{letter: l, priority: int8(b[n]), came: min(came, time.Now().UnixMilli())}
}

// pass is write for a resource whose session is still to be resumed.
func (r *Resource) pass(l *sm.Link, st stream.Appender) error {
	err := l.TrySend(st)
	if errors.Is(err, stream.ErrFull) && r.orphan.CompareAndSwap(l, nil) {
		l.GiveUp(err)
	}
	return err
}

// caused is a stanza that is sent because of another one.
type caused struct {
	stream.Appender
	cause stream.Cause
}

// Cause implements [stream.Caused].
func (c caused) Cause() stream.Cause { return c.cause }

// causeFor returns the cause of what is sent because of the stanza that the client
// is being heard with now.
func (r *Router) causeFor(res *Resource) stream.Cause {
	if l := res.link(); l != nil {
		return l.Next()
	}
	return stream.Cause{}
}

// causeOf returns the cause of what is sent with a transit.
func causeOf(t *stanza.Transit) stream.Cause {
	if t == nil {
		return stream.Cause{}
	}
	return t.Cause
}

var _ stanza.KeepingResource = (*Resource)(nil)
