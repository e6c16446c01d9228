package sm

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// ServerOptions says how a server manages its streams. Nil and the zero value
// are right for most.
type ServerOptions struct {
	// NoResume gives and asks for acknowledgements only.
	NoResume bool

	// Max is for how long a session may be resumed after it was lost. Zero means
	// five minutes. A client may want less.
	Max time.Duration

	// Policy says when acknowledgements are asked for and how much is kept for
	// each session.
	Policy Policy

	// Store keeps the sessions that can be resumed, so that they can be when the
	// process has ended and another one calls [Server.Load]. Nil keeps them as
	// long as the process. Report is told when the store fails; the session goes
	// on, and will not be found by the next process.
	Store  Store
	Report func(error)

	// Location returns where the client of a session should reconnect to, as
	// "host" or "host:port" (XEP-0198 §3); an empty string leaves that to the
	// client. Nil means that.
	Location func(client jid.JID) string

	// Enabled is told of a link that a client has just got, before anything is
	// sent over it. It must not wait. Nil does nothing.
	Enabled func(l *Link)

	// Takeover is called before a session is resumed, with the one that is to be
	// replaced, which was lost and hands out nothing any more. Whatever the host
	// has received of it counts as handled, as far as the client is concerned. An
	// error makes the resumption fail. ctx is that of the negotiation. Nil does
	// nothing.
	Takeover func(ctx context.Context, l *Link) error

	// Suspended is told that a session was lost and can be resumed.
	Suspended func(l *Link, cause error)

	// Over is told that a link is over, with the stanzas that its client has not
	// acknowledged, in order. XEP-0198 §4: they should be treated like stanzas to
	// a resource that is not available. Both run on goroutines of their own.
	Over func(l *Link, unacked []Left, cause error)
}

// Server manages the streams of a server's clients: it enables stream management
// and keeps the sessions that can be resumed (XEP-0198 §3, §5). Put its
// [Server.Feature] in front of resource binding. It is safe for concurrent use.
type Server struct {
	opts ServerOptions

	saver *saver // nil without a store

	mu    sync.Mutex
	calls int                   // of Over, that have begun
	idle  chan struct{}         // closed when there are none; nil when nobody waits
	links map[string]*Link      // those that can be resumed, by SM-ID
	old   [oldSessions]oldEntry // of those that timed out, a ring
	next  int
}

// oldSessions is of how many sessions that timed out the last h is remembered,
// for clients that come too late (XEP-0198 §5).
const oldSessions = 512

type oldEntry struct {
	id  string
	who jid.JID // bare
	h   uint32
}

// NewServer returns a Server. The options are copied and may be nil.
func NewServer(opts *ServerOptions) *Server {
	s := &Server{links: make(map[string]*Link)}
	if opts != nil {
		s.opts = *opts
	}
	if s.opts.Max <= 0 {
		s.opts.Max = defaultMax
	}
	s.opts.Policy = s.opts.Policy.withDefaults()
	if s.opts.Store != nil {
		s.saver = &saver{store: s.opts.Store, report: s.opts.Report}
		if s.opts.Report == nil {
			s.saver.report = func(error) {}
		}
	}
	return s
}

// newID returns an SM-ID of 192 random bits.
func newID() string {
	var b [24]byte
	rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// inSeconds returns a time as the protocol has it: whole seconds, one at least.
func inSeconds(d time.Duration) *uint32 {
	secs := uint32(min(max(d/time.Second, 1), 1<<31))
	return &secs
}

// grant makes the link that a client has asked for, and the answer.
func (s *Server) grant(e enable, who jid.JID) (*Link, enabled) {
	l := newLink(s, s.opts.Policy)
	var answer enabled
	if e.resume && !s.opts.NoResume {
		l.id, l.can, l.max = newID(), true, s.opts.Max
		if e.max != nil {
			l.max = min(l.max, time.Duration(*e.max)*time.Second)
		}
		answer = enabled{id: l.id, resume: true, max: inSeconds(l.max)}
		if s.opts.Location != nil {
			answer.location = s.opts.Location(who)
		}
	}
	return l, answer
}

// keep makes a link findable by its SM-ID.
func (s *Server) keep(l *Link) {
	if l.id == "" {
		return
	}
	s.mu.Lock()
	s.links[l.id] = l
	s.mu.Unlock()
	if s.saver != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.saved.by = s.saver
		l.touchLocked()
	}
}

// enabled tells the host of a new link.
func (s *Server) enabled(l *Link) {
	if s.opts.Enabled != nil {
		s.opts.Enabled(l)
	}
}

// find returns the link with an SM-ID, if it is that client's.
func (s *Server) find(id string, who jid.JID) *Link {
	s.mu.Lock()
	l := s.links[id]
	s.mu.Unlock()
	// XEP-0198 §10: whoever knows the SM-ID of another account has not proved
	// to be that account.
	if l == nil || l.Addr().Bare() != who.Bare() {
		return nil
	}
	return l
}

// late returns the last h of a session that timed out.
func (s *Server) late(id string, who jid.JID) *uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.old {
		if e := &s.old[i]; e.id == id && e.who == who.Bare() {
			h := e.h
			return &h
		}
	}
	return nil
}

// lost implements keeper.
func (s *Server) lost(l *Link, cause error) {
	if s.saver != nil {
		l.mu.Lock()
		l.saved.whole = false // with the time that it has left
		l.touchLocked()
		l.mu.Unlock()
		s.saver.commit()
	}
	if s.opts.Suspended != nil {
		s.opts.Suspended(l, cause)
	}
}

// gone implements keeper.
func (s *Server) gone(l *Link, cause error) {
	left := l.settle(cause)
	l.mu.Lock()
	id, who := l.id, l.who
	received, _ := l.takenLocked()
	l.mu.Unlock()
	if s.opts.Over != nil {
		s.calling(1) // who waits for the link, or finds it no more, may wait for the call then
	}
	if id != "" {
		s.mu.Lock()
		delete(s.links, id)
		s.old[s.next] = oldEntry{id, who.Bare(), received}
		s.next = (s.next + 1) % oldSessions
		s.mu.Unlock()
	}
	if s.opts.Over != nil {
		defer close(l.over)
		// Owner: the server. Ends with the call. Joined through Wait.
		go func() {
			defer s.calling(-1)
			s.opts.Over(l, leftOf(left), cause)
			s.forget(l, id) // not before: what was left is somewhere else now
		}()
		return
	}
	close(l.over)
	s.forget(l, id)
}

// forget removes a link that is over from the store.
func (s *Server) forget(l *Link, id string) {
	if s.saver != nil && id != "" {
		s.saver.forget(l)
	}
}

// Wait waits until all calls of Over that have begun have returned.
func (s *Server) Wait() {
	s.mu.Lock()
	if s.calls == 0 {
		s.mu.Unlock()
		return
	}
	if s.idle == nil {
		s.idle = make(chan struct{})
	}
	idle := s.idle
	s.mu.Unlock()
	<-idle
}

// calling counts the calls of Over.
func (s *Server) calling(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls += n; s.calls == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// Links returns the links that can be resumed now or after their session is
// lost.
func (s *Server) Links() []*Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Link, 0, len(s.links))
	for _, l := range s.links {
		all = append(all, l)
	}
	return all
}

// errEnabled: a client wanted stream management twice.
var errEnabled = errors.New("sm: enabled before")
