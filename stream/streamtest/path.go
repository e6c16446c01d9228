package streamtest

import (
	"fmt"
	"time"
)

// Direction is one of the two directions of a connection.
type Direction uint8

const (
	// Up leads from the side that dialled to the listener: from client to server.
	Up Direction = iota
	// Down leads back.
	Down
)

// String returns "up" or "down".
func (d Direction) String() string {
	if d == Up {
		return "up"
	}
	return "down"
}

// Split is how a path breaks what is written into pieces. A Read never returns
// more than one piece. Whatever its value, pieces depend on the offset in the
// stream of bytes only, not on how often Write is called.
type Split uint8

const (
	// Whole: a Read returns what has arrived and fits.
	Whole Split = iota
	// Random: pieces of 1 to 1,460 bytes, small ones as likely as large ones.
	Random
	// Bytes: one byte at a time.
	Bytes
)

// Path is what one direction of a connection is like while nothing breaks. The
// zero Path delivers at once.
type Path struct {
	// Latency is how long a byte travels.
	Latency time.Duration

	// Jitter is how much longer, at most, a piece may take; how much it is
	// comes from the seed. Within a connection everything stays in order.
	// Between connections it does not: this is what permutes the order of
	// deliveries across them.
	Jitter time.Duration

	// BytesPerSecond is the bandwidth; zero means no bound.
	BytesPerSecond int64

	// Split breaks the bytes into pieces. With jitter or a bandwidth, pieces
	// of 1,460 bytes travel separately even if it is Whole.
	Split Split
}

// packetBytes is the payload of a packet of TCP over Ethernet.
const packetBytes = 1460

// plain reports whether all bytes that are written at a time arrive at a time.
func (p *Path) plain() bool { return p.Jitter <= 0 && p.BytesPerSecond <= 0 }

// splitter yields the lengths of pieces.
type splitter struct {
	split  Split
	random random
	left   int // bytes to go in this piece
}

func newSplitter(s Split, r random) splitter {
	sp := splitter{split: s, random: r}
	sp.begin()
	return sp
}

// begin begins a piece.
func (s *splitter) begin() {
	switch s.split {
	case Bytes:
		s.left = 1
	case Random:
		// A length of one, two, four … bytes is as likely as the next.
		s.left = min(1+int(s.random.below(2<<s.random.below(11))), packetBytes)
	default:
		s.left = packetBytes
	}
}

// take goes on by n bytes, at most left, and reports whether a piece ended.
func (s *splitter) take(n int) bool {
	if s.left -= n; s.left > 0 {
		return false
	}
	s.begin()
	return true
}

// FaultKind is how a connection breaks.
type FaultKind uint8

const (
	// Reset is a TCP reset: both sides get [syscall.ECONNRESET]. What has
	// arrived and was not read is lost. A side that waits in Read gets the
	// bytes ahead of the reset first: the reset is a nanosecond behind them.
	Reset FaultKind = iota + 1
	// End closes the direction: its reader gets [io.EOF] behind the bytes
	// ahead of the fault. Its writer is not told and what it still writes is
	// lost; once the reader has closed, that leads to a reset.
	End
	// Vanish is a black hole: nothing arrives any more, not even the end of
	// the connection, and neither side is told. The buffer of the writer fills
	// up.
	Vanish
	// Stall holds back what comes behind it for the time For; zero means for
	// ever. One of both directions ends a nanosecond later in Down.
	Stall
)

// String returns the name of the kind in lower case.
func (k FaultKind) String() string {
	switch k {
	case Reset:
		return "reset"
	case End:
		return "end"
	case Vanish:
		return "vanish"
	case Stall:
		return "stall"
	}
	return fmt.Sprintf("FaultKind(%d)", uint8(k))
}

// Fault is one fault in one direction of a connection. The zero Fault does
// nothing.
type Fault struct {
	Kind FaultKind

	// After is how many bytes of the direction come through before. The fault
	// happens as soon as that many were written, so with zero it happens when
	// the connection is made.
	After int64

	// For is the duration of a Stall; zero means for ever.
	For time.Duration

	// Both strikes the other direction at the same moment, with what was
	// written there by then still on its way. A Reset always does.
	Both bool
}

// DialFault is what becomes of an attempt to connect.
type DialFault uint8

const (
	// Connects: nothing is wrong.
	Connects DialFault = iota
	// Refused: the error is [syscall.ECONNREFUSED].
	Refused
	// Unanswered: there is no answer, and only the context ends the attempt.
	Unanswered
)

// Script is what happens to one connection.
type Script struct {
	// Dial is what becomes of the attempt to connect.
	Dial DialFault

	// Up and Down are the faults of the two directions, in any order.
	Up, Down []Fault

	// UpPath and DownPath take the place of those of [Options]; nil means that
	// they do not.
	UpPath, DownPath *Path
}

// ConnID names a connection, or an attempt to make one.
type ConnID struct {
	// From is the name of the host that dialled, To the address of the
	// listener as "name:port".
	From, To string
	// N counts the attempts from From to To, beginning with 1.
	N int
}

// String returns "from→to#n".
func (c ConnID) String() string { return fmt.Sprintf("%s→%s#%d", c.From, c.To, c.N) }

// OnConn returns a plan for [Options] by which attempt number n of each host
// at each listener meets one fault, and all others none. It is what a test
// that cuts at every byte needs.
func OnConn(n int, d Direction, f Fault) func(ConnID) *Script {
	return func(id ConnID) *Script {
		s := new(Script)
		switch {
		case id.N != n:
		case d == Up:
			s.Up = []Fault{f}
		default:
			s.Down = []Fault{f}
		}
		return s
	}
}

// Chaos is faults by chance, all of them from the seed. The zero Chaos does
// nothing.
type Chaos struct {
	// Refuse is the share, from 0 to 1, of attempts to connect that are
	// refused, Ignore that of those that are not answered.
	Refuse, Ignore float64

	// Cut is the share of connections that break. Within is the bound on how
	// many bytes of the direction that is struck come through before; zero
	// means 65,536. Kinds are the ways in which they may; empty means all
	// four, a Stall then being for ever.
	Cut    float64
	Within int64
	Kinds  []FaultKind

	// Pause is the longest time for which a connection may stall, once, in
	// one of its directions, within the same bound. Zero means that none does.
	Pause time.Duration
}

// script draws what happens to one connection.
func (c *Chaos) script(r random) *Script {
	s := new(Script)
	within := c.Within
	if within <= 0 {
		within = 65_536
	}
	kinds := c.Kinds
	if len(kinds) == 0 {
		kinds = []FaultKind{Reset, End, Vanish, Stall}
	}
	if r.chance(c.Refuse) {
		s.Dial = Refused
	} else if r.chance(c.Ignore) {
		s.Dial = Unanswered
	}
	add := func(f Fault) {
		f.After = r.below(within + 1)
		if Direction(r.below(2)) == Up {
			s.Up = append(s.Up, f)
		} else {
			s.Down = append(s.Down, f)
		}
	}
	if c.Pause > 0 {
		add(Fault{Kind: Stall, For: time.Duration(1 + r.below(int64(c.Pause))), Both: r.chance(0.5)})
	}
	if r.chance(c.Cut) {
		add(Fault{Kind: kinds[r.below(int64(len(kinds)))], Both: r.chance(0.5)})
	}
	return s
}
