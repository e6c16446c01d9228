package xmpp

import (
	"fmt"
	"time"

	"stanzakit.dev/xmpp/stanza"
)

// Event is what [Reconnect] tells of: a [Connected], [Suspended], [Failed],
// [Incomplete] or [Closed]. The first is a Connected and the last a Closed. String describes it
// in one line, without secrets.
type Event interface {
	String() string
	event()
}

// Connected: there is a session. Stanzas flow.
type Connected struct {
	// Resumed tells that it is the earlier one (XEP-0198 §5): nothing was lost,
	// and contacts have not noticed. Otherwise it is a fresh one.
	Resumed bool
	// Attempt is how many attempts it took, 0 for the very first connection.
	Attempt int
	// Down is how long there was no session.
	Down time.Duration
	// Resent and Unacked are, on a fresh session, what the earlier one has left
	// without an acknowledgement: the stanzas that are sent again, and those that are
	// not, which may be lost or not. They are the program's own. Without stream
	// management nobody knows of any.
	Resent, Unacked []stanza.Stanza
}

// Suspended: the connection was lost, and there will be an attempt to get another.
type Suspended struct {
	// Cause is what ended the session.
	Cause error
	// Resumable tells that the session can be resumed, if that is soon.
	Resumable bool
	// Delay is the time until the attempt.
	Delay time.Duration
}

// Failed: an attempt has failed, and there will be another one.
type Failed struct {
	// Err is the error of the attempt: what Connect would have returned.
	Err error
	// Attempt is which one it was, from 1.
	Attempt int
	// Delay is the time until the next one.
	Delay time.Duration
}

// Incomplete: on a fresh session, something could not be set up that had been set up
// on an earlier one (see [stanza.Conn.Restore]), or something could not be sent
// that had waited; the session goes on without it. Before Closed, it tells that
// stanzas still waited.
type Incomplete struct {
	// Err says what, and why.
	Err error
}

// Closed: that was all. There will be no other event.
type Closed struct {
	// Cause is nil if the program has ended it. Otherwise it is the error after
	// which there is no other attempt; it matches [ErrGaveUp] when MaxAttempts or
	// MaxElapsed is the reason.
	Cause error
	// Unacked is what the last session has left without an acknowledgement, as in
	// Connected.
	Unacked []stanza.Stanza
}

func (Connected) event()  {}
func (Suspended) event()  {}
func (Failed) event()     {}
func (Incomplete) event() {}
func (Closed) event()     {}

// String describes the event.
func (e Connected) String() string {
	how := "connected"
	if e.Resumed {
		how = "resumed"
	}
	if e.Attempt == 0 {
		return how
	}
	return fmt.Sprintf("%s after %s, attempt %d", how, e.Down, e.Attempt)
}

// String describes the event.
func (e Suspended) String() string {
	return fmt.Sprintf("connection lost, trying again in %s: %v", e.Delay, e.Cause)
}

// String describes the event.
func (e Failed) String() string {
	return fmt.Sprintf("attempt %d failed, trying again in %s: %v", e.Attempt, e.Delay, e.Err)
}

// String describes the event.
func (e Incomplete) String() string { return fmt.Sprintf("not everything is as it was: %v", e.Err) }

// String describes the event.
func (e Closed) String() string {
	if e.Cause == nil {
		return "closed"
	}
	return fmt.Sprintf("closed: %v", e.Cause)
}
