package stream

// This file is how a session counts the stanzas that it hands out, and how it
// stops doing so when another session is about to take its place.

// The parts of Session.taken: in the low half, how many stanzas were handled,
// modulo 2³² (what it carries over is of no interest), and two flags.
const (
	frozen  uint64 = 1 << 63 // nothing is handed out any more
	running uint64 = 1 << 62 // a stanza is being handled
)

// claim is called before a stanza is handed out. It reports false if that must
// not be.
func (s *Session) claim() bool {
	for {
		v := s.taken.Load()
		if v&frozen != 0 {
			return false
		}
		if s.taken.CompareAndSwap(v, v|running) {
			return true
		}
	}
}

// release is called when it has been handled, or has not and never will.
func (s *Session) release(handled bool) {
	delta := ^running + 1
	if handled {
		delta++
	}
	if s.taken.Add(delta)&frozen != 0 {
		close(*s.quiet.Load())
	}
}

// stanza hands out a stanza, and counts it when that has gone well: RFC 6120 §8
// with XEP-0198 §4. Acknowledged are all stanzas up to some number, so behind one
// that was not taken nothing counts.
func (s *Session) stanza(el *Element, handle func(*Element) error) (err error) {
	if !s.claim() {
		return nil // it comes again, on another session
	}
	good := false
	defer func() {
		s.gap = s.gap || !good
		s.release(!s.gap)
		if n := s.promptEvery.Load(); n > 0 && uint32(s.taken.Load())%n == 0 {
			s.Prompt()
		}
	}()
	err = s.call(el, handle)
	if err == ErrNotTaken {
		return nil
	}
	good = err == nil
	return err
}

// Freeze has the reader of a session that was lost hand out no more stanzas.
// What it has read and not handed out does not count as received, so it comes
// again on the session that takes the place of this one. The channel is closed
// when the stanza that is being handled, if there is one, has been.
func (s *Session) Freeze() <-chan struct{} {
	quiet := make(chan struct{})
	if !s.quiet.CompareAndSwap(nil, &quiet) {
		quiet = *s.quiet.Load()
	}
	if s.taken.Or(frozen)&(frozen|running) == 0 {
		close(quiet)
	}
	return quiet
}

// PromptEvery is Prompt after every so many stanzas that were handled. Zero
// means never.
func (s *Session) PromptEvery(n uint32) { s.promptEvery.Store(n) }

// Taken implements [Counter] for a session that has none: a stanza is received
// when it is handed out, and handled when its handler has returned nil.
func (s *Session) Taken() (received, handled uint32) {
	v := s.taken.Load()
	received, handled = uint32(v), uint32(v)
	if v&running != 0 {
		received++
	}
	return received, handled
}
