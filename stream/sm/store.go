package sm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Errors of a [Store].
var (
	// ErrNoState is wrapped by the error for an SM-ID of which nothing is stored.
	ErrNoState = errors.New("sm: no such session is stored")
	// ErrStoreFull is wrapped by the error for what there is no room for.
	ErrStoreFull = errors.New("sm: there is no room in the store")
)

// Store keeps sessions over the end of the process: what a server needs so that
// its clients can resume their sessions after it was started again, and a client
// too. It is safe for concurrent use, but whoever puts and appends to one session
// does so one call after the other.
//
// A session is a [State] and the [Journal] of what has happened since. What is in
// them is confidential, and as good as the messages in it.
//
// The suite in stream/xmpptest/storetest tests an implementation.
type Store interface {
	// Put stores a state under its ID. It takes the place of what is there under
	// that ID, journal included. It keeps nothing of st. When it returns nil, the
	// state will be found by the next process. The error is a [*StateError] for a
	// state that is not complete, and wraps ErrStoreFull if there is no room;
	// nothing changes then.
	Put(ctx context.Context, st *State) error

	// Append adds to the journal of a session: all of j or nothing. It keeps
	// nothing of j. When it returns nil, the records will be found by the next
	// process. The error wraps ErrNoState if there is no such session, and
	// ErrStoreFull if there is no room.
	//
	// It is called for each batch of stanzas, so it should be fast. A store may
	// replay the journal now and then to keep it short.
	Append(ctx context.Context, id string, j Journal) error

	// Load returns the state of a session with its journal replayed. It is given
	// away. The error wraps ErrNoState if there is no such session.
	Load(ctx context.Context, id string) (*State, error)

	// Delete removes a session, if it is there.
	Delete(ctx context.Context, id string) error

	// All calls each for every session, as Load returns it, in any order, until
	// it returns an error, which All returns. The state is nil if what is stored
	// cannot be read: it is of use to nobody, and can be deleted. Each may use the
	// store; whether it sees what changes meanwhile is not defined. All takes
	// memory for some of the states at a time.
	All(ctx context.Context, each func(id string, st *State) error) error
}

// MemoryStore is a [Store] that lasts as long as the program: for tests, and for
// servers that are stopped and started inside it. The zero value is ready.
type MemoryStore struct {
	// Sessions is how many sessions are kept. Zero means 100,000.
	Sessions int
	// Bytes is how large they may be together. Zero means 256 MiB.
	Bytes int

	mu       sync.Mutex
	sessions map[string]stored
	bytes    int
}

// stored is a session.
type stored struct {
	state   []byte
	journal Journal
}

func (s stored) size() int { return len(s.state) + len(s.journal) }

// minJournal is how long a journal gets before it is worth replaying.
const minJournal = 16 << 10

// open returns the state as it is now.
func (s stored) open() (*State, error) {
	st := new(State)
	if err := st.UnmarshalBinary(s.state); err != nil {
		return nil, err
	}
	if err := st.Replay(s.journal); err != nil {
		return nil, err
	}
	return st, nil
}

// Put implements [Store].
func (m *MemoryStore) Put(ctx context.Context, st *State) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b, err := st.MarshalBinary()
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.setLocked(st.ID, stored{state: b})
}

// setLocked replaces a session, if there is room.
func (m *MemoryStore) setLocked(id string, s stored) error {
	sessions, total := m.Sessions, m.Bytes
	if sessions <= 0 {
		sessions = 100_000
	}
	if total <= 0 {
		total = 256 << 20
	}
	old, had := m.sessions[id]
	after := m.bytes + s.size() - old.size()
	switch {
	case !had && len(m.sessions) >= sessions:
		return fmt.Errorf("%w: it has %d sessions", ErrStoreFull, len(m.sessions))
	case after > total && after > m.bytes:
		return fmt.Errorf("%w: it has %d bytes", ErrStoreFull, m.bytes)
	}
	if m.sessions == nil {
		m.sessions = make(map[string]stored)
	}
	m.sessions[id], m.bytes = s, after
	return nil
}

// Append implements [Store].
func (m *MemoryStore) Append(ctx context.Context, id string, j Journal) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[id]
	if !ok {
		return ErrNoState
	}
	s.journal = append(s.journal, j...)
	if len(s.journal) > max(minJournal, len(s.state)) {
		// What cannot be read now cannot be read later either, and is kept for
		// who wants to know why.
		if st, err := s.open(); err == nil {
			if b, err := st.MarshalBinary(); err == nil {
				s = stored{state: b}
			}
		}
	}
	return m.setLocked(id, s)
}

// Load implements [Store].
func (m *MemoryStore) Load(ctx context.Context, id string) (*State, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.sessions[id]
	if !ok {
		return nil, ErrNoState
	}
	return s.open()
}

// Delete implements [Store].
func (m *MemoryStore) Delete(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bytes -= m.sessions[id].size()
	delete(m.sessions, id)
	return nil
}

// All implements [Store].
func (m *MemoryStore) All(ctx context.Context, each func(id string, st *State) error) error {
	m.mu.Lock()
	ids := make([]string, 0, len(m.sessions))
	for id := range m.sessions {
		ids = append(ids, id)
	}
	m.mu.Unlock()
	slices.Sort(ids)
	for _, id := range ids {
		st, err := m.Load(ctx, id)
		if errors.Is(err, ErrNoState) {
			continue // deleted meanwhile
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := each(id, st); err != nil {
			return err
		}
	}
	return ctx.Err()
}
