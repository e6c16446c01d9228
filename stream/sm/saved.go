package sm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// saver keeps the links of a server in a store, so that another process can
// resume them. What has happened to a link gathers in its journal; whoever is
// about to write something to a peer has all of that stored first. So a stanza
// that a peer may have is in the store, and what was done because of a stanza is
// before the stanza is acknowledged, whichever session it was done to.
type saver struct {
	store  Store
	report func(error)

	// one is held by who commits; who comes next stores what has gathered since.
	one sync.Mutex

	mu    sync.Mutex
	dirty []*Link
	shut  bool // the process ends: nothing is stored or deleted any more
}

// savedLink is what a store has of a link. It is guarded by the lock of the link.
type savedLink struct {
	by      *saver // nil: the link is in no store
	whole   bool   // a state was put; otherwise the journal means nothing yet
	listed  bool   // the link is in saver.dirty
	journal Journal
	in      uint32 // how many stanzas of the peer are handled, says the store
	promise uint32 // and what it has to say before the peer is told
	extra   map[string][]byte
	marks   map[string]mark // the last cause of each session
	before  map[string]mark // those of another process, see repeatedLocked
}

// mark is how far a session has caused stanzas to be sent on another one: by its
// stanza n, times of them.
type mark struct{ n, times uint32 }

// maxMarks bounds the sessions that a link remembers as causes. When there are
// more the link begins anew; after a crash at that moment what they have caused
// may be sent twice.
const maxMarks = 1024

// touchLocked puts the link on the list of those that have changed.
func (l *Link) touchLocked() {
	v := l.saved.by
	if v == nil || l.saved.listed {
		return
	}
	l.saved.listed = true
	v.mu.Lock()
	defer v.mu.Unlock()
	v.dirty = append(v.dirty, l)
}

// markPrefix begins the names of marks in State.Extra.
const markPrefix = "\x00"

// recordSent notes that a stanza is about to be sent.
func (l *Link) recordSent(xml []byte, at int64, cause stream.Cause) {
	s := &l.saved
	if s.by == nil {
		return
	}
	if s.whole {
		s.journal.sent(xml, at)
	}
	if cause.ID != "" {
		if len(s.marks) >= maxMarks {
			clear(s.marks)
			s.whole = false
		}
		m := s.marks[cause.ID]
		if m.n != cause.N {
			m = mark{n: cause.N}
		}
		m.times++
		if s.marks == nil {
			s.marks = make(map[string]mark)
		}
		s.marks[cause.ID] = m
		if s.whole {
			s.journal.Extra(markPrefix+cause.ID, m.encode())
		}
	}
	l.touchLocked()
}

func (m mark) encode() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, uint64(m.n)), uint64(m.times))
}

func decodeMark(b []byte) (mark, bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > maxCount {
		return mark{}, false
	}
	times, size := binary.Uvarint(b[size:])
	return mark{uint32(n), uint32(times)}, size > 0 && times <= maxCount
}

// repeatedLocked reports whether a stanza was kept before, by the process that
// was killed: its cause has come a second time, because it was not acknowledged.
func (l *Link) repeatedLocked(cause stream.Cause) bool {
	m, ok := l.saved.before[cause.ID]
	if !ok || cause.ID == "" {
		return false
	}
	ahead := int32(cause.N - m.n)
	switch {
	case ahead < 0:
		return true
	case ahead > 0 || m.times == 0:
		delete(l.saved.before, cause.ID)
		return false
	}
	m.times--
	l.saved.before[cause.ID] = m
	return true
}

// recordHandled notes what the peer is about to be told.
func (l *Link) recordHandled(h uint32) {
	if l.saved.by != nil && l.saved.promise != h {
		l.saved.promise = h
		l.touchLocked()
	}
}

// promise stores what the peer is about to be told.
func (l *Link) promise(h uint32) {
	l.mu.Lock()
	l.recordHandled(h)
	l.mu.Unlock()
	l.Commit()
}

// recordAcked notes what the peer has told.
func (l *Link) recordAcked(h uint32) {
	if l.saved.by != nil {
		if l.saved.whole {
			l.saved.journal.Acked(h)
		}
		l.touchLocked()
	}
}

// SetExtra keeps something of the host's with the state of the link: see
// State.Extra. A nil value removes it. It costs nothing if the link is in no
// store. The name must not be empty nor begin with a zero byte.
func (l *Link) SetExtra(name string, value []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.saved
	if s.by == nil || l.state == finished {
		return
	}
	if value == nil {
		delete(s.extra, name)
	} else {
		if s.extra == nil {
			s.extra = make(map[string][]byte)
		}
		s.extra[name] = append([]byte{}, value...)
	}
	if s.whole {
		s.journal.Extra(name, value)
	}
	l.touchLocked()
}

// Next returns the cause that is to be given for what is sent because of the
// stanza that the reader of the session hands out now; zero if it does not
// matter, because the link is in no store.
func (l *Link) Next() stream.Cause {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.saved.by == nil || !l.counting {
		return stream.Cause{}
	}
	l.touchLocked() // it will have been handled by the next commit, or the one after
	_, h := l.takenLocked()
	return stream.Cause{ID: l.id, N: h + 1}
}

// Commit implements [stream.Ledger].
func (l *Link) Commit() {
	l.mu.Lock()
	v := l.saved.by
	l.mu.Unlock()
	if v != nil {
		v.commit()
	}
}

// commit stores all that has happened up to now.
func (v *saver) commit() {
	v.one.Lock()
	defer v.one.Unlock()
	v.mu.Lock()
	early := slices.Clone(v.dirty)
	v.mu.Unlock()
	// How many stanzas were handled is looked at first and stored last. What was
	// sent because of them is on the list of those that have changed by now, whoever
	// it was sent to, and stored in between.
	handled := make([]uint32, len(early))
	for i, l := range early {
		l.mu.Lock()
		handled[i] = l.saved.promise
		if _, h := l.takenLocked(); int32(h-handled[i]) > 0 {
			handled[i] = h // so that a short life gets somewhere
		}
		l.mu.Unlock()
	}
	v.mu.Lock()
	dirty := v.dirty
	v.dirty = nil
	shut := v.shut
	v.mu.Unlock()
	if shut {
		return
	}
	for _, l := range dirty {
		l.mu.Lock()
		l.saved.listed = false // what comes now is for the next commit, or for this one
		l.mu.Unlock()
	}
	each(dirty, func(_ int, l *Link) { v.save(l) })
	each(early, func(i int, l *Link) { v.keepPromise(l, handled[i]) })
	for _, l := range dirty[len(early):] { // which came in between: the next commit is theirs
		l.mu.Lock()
		l.oweLocked()
		l.mu.Unlock()
	}
}

// oweLocked puts the link on the list again if its peer is about to be told
// something that is not stored.
func (l *Link) oweLocked() {
	if s := &l.saved; s.by != nil && int32(s.promise-s.in) > 0 {
		l.touchLocked()
	}
}

// each calls do for every link, some at a time: a store may be faster then.
func each(links []*Link, do func(int, *Link)) {
	if len(links) <= 2 {
		for i, l := range links {
			do(i, l)
		}
		return
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range min(len(links), 32) {
		// Owner: this call. Ends when nothing is left. Joined below.
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(links); i = int(next.Add(1)) - 1 {
				do(i, links[i])
			}
		})
	}
	all.Wait()
}

// keepPromise stores how many stanzas of the peer are handled.
func (v *saver) keepPromise(l *Link, h uint32) {
	l.mu.Lock()
	s := &l.saved
	due := s.by != nil && int32(h-s.in) > 0 && l.state != finished
	if due {
		s.in = h
	}
	l.oweLocked() // made meanwhile, and whoever made it waits for it
	l.mu.Unlock()
	if !due {
		return
	}
	var j Journal
	j.Handled(h)
	if err := v.store.Append(context.Background(), l.id, j); err != nil {
		v.drop(l, err)
	}
}

// save stores what has happened to one link.
func (v *saver) save(l *Link) {
	l.mu.Lock()
	s := &l.saved
	switch {
	case s.by == nil || l.state == finished:
		l.mu.Unlock()
		return
	case !l.can: // stanzas are missing
		l.mu.Unlock()
		v.drop(l, nil)
		return
	}
	var st *State
	j := s.journal
	s.journal = nil
	if !s.whole {
		st, s.whole = l.stateLocked(), true
		st.In = s.in
	}
	l.mu.Unlock()

	var err error
	switch {
	case st != nil:
		err = v.store.Put(context.Background(), st)
	case len(j) > 0:
		err = v.store.Append(context.Background(), l.id, j)
	}
	if err != nil {
		v.drop(l, err)
	}
}

// drop is about a link that cannot be stored: it goes on without. What the store
// has of it is not true any more.
func (v *saver) drop(l *Link, err error) {
	l.mu.Lock()
	l.saved = savedLink{}
	l.mu.Unlock()
	if err = errors.Join(err, v.store.Delete(context.Background(), l.id)); err != nil {
		v.report(err)
	}
}

// forget removes a link that is over.
func (v *saver) forget(l *Link) {
	v.one.Lock() // or a commit that has begun would put it back
	defer v.one.Unlock()
	v.mu.Lock()
	shut := v.shut
	v.mu.Unlock()
	if shut {
		return
	}
	if err := v.store.Delete(context.Background(), l.id); err != nil {
		v.report(err)
	}
}

// close stores everything once more, and then nothing.
func (v *saver) close(links []*Link) {
	for _, l := range links {
		l.mu.Lock()
		_, l.saved.promise = l.takenLocked()
		l.saved.whole = false // with the time that it has left
		l.touchLocked()
		l.mu.Unlock()
	}
	v.commit()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.shut = true
}

// extraOf returns what is stored beside the counters and stanzas of a link.
func (s *savedLink) extraOf() map[string][]byte {
	if len(s.extra) == 0 && len(s.marks) == 0 {
		return nil
	}
	all := make(map[string][]byte, len(s.extra)+len(s.marks))
	for name, v := range s.extra {
		all[name] = v
	}
	for id, m := range s.marks {
		all[markPrefix+id] = m.encode()
	}
	return all
}

// restoreExtra is the other way round.
func (s *savedLink) restoreExtra(all map[string][]byte) {
	for name, v := range all {
		id, is := strings.CutPrefix(name, markPrefix)
		if !is {
			if s.extra == nil {
				s.extra = make(map[string][]byte)
			}
			s.extra[name] = v
			continue
		}
		if m, ok := decodeMark(v); ok {
			if s.marks == nil {
				s.marks, s.before = make(map[string]mark), make(map[string]mark)
			}
			s.marks[id], s.before[id] = m, m
		}
	}
}

// Load makes the sessions that an earlier process has stored resumable again, and
// tells adopt of each: a suspended link, and what the host has kept with it.
// Those whose time is up are over right after that, as if it had run out now. If
// adopt returns false the session is given up. Call it once, before there are
// clients. It does nothing without a Store.
func (s *Server) Load(ctx context.Context, adopt func(l *Link, extra map[string][]byte) bool) error {
	if s.saver == nil {
		return nil
	}
	return s.opts.Store.All(ctx, func(id string, st *State) error {
		if st == nil {
			return s.opts.Store.Delete(ctx, id)
		}
		return s.adopt(st, true, adopt)
	})
}

// Adopt makes one session resumable that another server has suspended and does not
// know any more: what Load does, for a state that came some other way. Extra and
// adopt are as in Load. It may be called at any time.
func (s *Server) Adopt(st *State, adopt func(l *Link, extra map[string][]byte) bool) error {
	s.mu.Lock()
	_, known := s.links[st.ID]
	s.mu.Unlock()
	if known {
		return fmt.Errorf("sm: adopting a session: %w", errTaken)
	}
	return s.adopt(st, false, adopt)
}

// adopt makes a link of a state. Stored says that it is in the store.
func (s *Server) adopt(st *State, stored bool, adopt func(l *Link, extra map[string][]byte) bool) error {
	if st.Until.IsZero() { // the process was killed
		c := *st
		c.Until = time.Now().Add(s.opts.Max)
		st = &c
	}
	l, err := restore(s, s.opts.Policy, st)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.saved.restoreExtra(st.Extra)
	extra := l.saved.extra
	if s.saver != nil {
		l.saved.by, l.saved.whole = s.saver, stored
		l.saved.in, l.saved.promise = st.In, st.In
	}
	l.mu.Unlock()
	s.keep(l)
	if !adopt(l, extra) {
		l.GiveUp(ErrNotResumed)
	}
	return nil
}

// Save stores all sessions that can be resumed, and nothing afterwards: what
// happens to them from then on does not concern the next process. Call it when
// all streams have ended. It reports whether there is a Store.
func (s *Server) Save() bool {
	if s.saver == nil {
		return false
	}
	s.saver.close(s.Links())
	return true
}

// TrySend keeps a stanza for the client of a link that is suspended, or sends it
// on the session that the link is attached to. It is for links of which there is
// no session, since another process has had it; see [Server.Load].
func (l *Link) TrySend(el stream.Appender) error {
	b, err := el.AppendXML(nil)
	if err != nil {
		return err
	}
	var k stream.Kept
	if c, ok := el.(stream.Caused); ok {
		k.Cause = c.Cause()
	}
	next, err := l.Hold(context.Background(), b, k, false)
	switch {
	case next != nil:
		return next.TrySend(el)
	case errors.Is(err, stream.ErrRepeated):
		return nil
	}
	return err
}
