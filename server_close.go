package xmpp

import (
	"context"
	"maps"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/stream"
)

// Shutdown stops accepting connections, ends every stream with system-shutdown
// (RFC 6120 §4.9.3.20) and waits until all sessions are over. What clients have
// not acknowledged is stored as if they had gone. When ctx ends first the
// remaining connections are dropped and its cause is returned.
//
// It is idempotent and may be called from anywhere; after Close it waits for
// what is left. A handler that calls it passes the context that it was given, or
// one made from that: its own session is not waited for then, and ends when the
// handler returns.
func (s *Server) Shutdown(ctx context.Context) error {
	open := s.close()
	var ending sync.WaitGroup
	for _, c := range open {
		// Owner: this call. Stops when the session has ended or ctx has.
		// Joined below.
		ending.Go(func() { c.end(ctx, &stream.Error{Condition: stream.SystemShutdown}) })
	}
	defer ending.Wait()
	own, _ := ctx.Value(connKey{}).(*serverConn)
	for _, c := range open {
		if c == own {
			continue
		}
		select {
		case <-c.done:
		case <-ctx.Done():
		}
		// Some ended because ctx did.
		if ctx.Err() != nil {
			for _, c := range open {
				c.abort(context.Cause(ctx))
			}
			if s.init() == nil {
				s.router.Abandon(context.Cause(ctx))
			}
			return context.Cause(ctx)
		}
	}
	if err := s.init(); err != nil {
		return nil // so there was nothing to end
	}
	return s.router.Shutdown(ctx)
}

// Close stops accepting connections and drops those that are open. It waits for
// nobody. It is idempotent and may be called from anywhere. It returns nil.
func (s *Server) Close() error {
	for _, c := range s.close() {
		c.abort(ErrServerClosed)
	}
	if s.init() == nil {
		s.router.Abandon(ErrServerClosed)
	}
	return nil
}

// close closes the listeners, lets nobody in any more, and returns the
// connections that are open.
func (s *Server) close() []*serverConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for l := range s.listeners {
		l.Close()
	}
	return slices.Collect(maps.Keys(s.conns))
}
