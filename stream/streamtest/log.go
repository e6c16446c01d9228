package streamtest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// EventKind is what an [Event] is about.
type EventKind uint8

// The kinds, in the order in which events of one moment are logged.
const (
	// Dialled: a connection was made.
	Dialled EventKind = iota + 1
	// NotConnected: an attempt to connect was refused.
	NotConnected
	// Ignored: an attempt to connect gets no answer.
	Ignored
	// Write: bytes were written.
	Write
	// Struck: a fault happened.
	Struck
	// Read: bytes were read.
	Read
	// Ended: a side said that it writes no more (CloseWrite).
	Ended
	// Closed: a side closed its end.
	Closed
)

// String returns the name of the kind in lower case.
func (k EventKind) String() string {
	names := [...]string{"", "dialled", "refused", "ignored", "write", "fault", "read", "ended", "closed"}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is something that happened on a network.
type Event struct {
	// At is when, since the network began.
	At time.Duration
	// Conn is where.
	Conn ConnID
	// Dir is the direction of bytes and faults, and that in which the side
	// writes that ended or closed.
	Dir  Direction
	Kind EventKind
	// Offset is where in the bytes of the direction, N how many of them.
	Offset int64
	N      int
	// Fault is what happened, for Struck.
	Fault FaultKind
}

// String returns the event as a line of text.
func (e Event) String() string {
	s := fmt.Sprintf("%-12v %v %v %v", e.At, e.Conn, e.Dir, e.Kind)
	switch e.Kind {
	case Dialled, NotConnected, Ignored:
		return fmt.Sprintf("%-12v %v %v", e.At, e.Conn, e.Kind)
	case Write, Read:
		return fmt.Sprintf("%s %d+%d", s, e.Offset, e.N)
	case Struck:
		return fmt.Sprintf("%s %v at %d", s, e.Fault, e.Offset)
	}
	return fmt.Sprintf("%s at %d", s, e.Offset)
}

// journal is the log of one connection, which outlives it. The logMu of the
// network guards all of them.
type journal struct{ events []Event }

func (n *Network) newJournal() *journal {
	j := new(journal)
	n.logMu.Lock()
	defer n.logMu.Unlock()
	if n.kept < n.opts.LogEvents {
		n.journals = append(n.journals, j)
	}
	return j
}

// note logs an event of the link. Reads, and writes, of one moment are one
// event: how many calls they take depends on the scheduler of Go, which is not
// ours to control.
func (l *link) note(e Event) {
	e.Conn = l.id
	n, j := l.network, l.journal
	n.logMu.Lock()
	defer n.logMu.Unlock()
	if e.Kind == Read || e.Kind == Write {
		for i := len(j.events) - 1; i >= 0 && j.events[i].At == e.At; i-- {
			if o := &j.events[i]; o.Kind == e.Kind && o.Dir == e.Dir {
				o.N += e.N
				return
			}
		}
	}
	if n.kept == n.opts.LogEvents {
		n.lost++
		return
	}
	n.kept++
	j.events = append(j.events, e)
}

// Events returns what has happened so far, and how many events more the log had
// no room for. The order is that of time; within a moment it is that of
// connections and kinds, so that it does not depend on which of two goroutines
// came first.
func (n *Network) Events() (events []Event, lost int) {
	n.logMu.Lock()
	for _, j := range n.journals {
		events = append(events, j.events...)
	}
	lost = n.lost
	n.logMu.Unlock()
	slices.SortStableFunc(events, func(a, b Event) int {
		return cmp.Or(cmp.Compare(a.At, b.At), a.Conn.compare(b.Conn), cmp.Compare(a.Kind, b.Kind),
			cmp.Compare(a.Dir, b.Dir), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Fault, b.Fault))
	})
	return events, lost
}

// Log returns the events as text, one a line. The same seed and the same
// program give the same text, if the program says the same at the same moments
// of fake time.
func (n *Network) Log() string {
	events, lost := n.Events()
	var b strings.Builder
	for _, e := range events {
		b.WriteString(e.String())
		b.WriteByte('\n')
	}
	if lost > 0 {
		fmt.Fprintf(&b, "and %d events more\n", lost)
	}
	return b.String()
}
