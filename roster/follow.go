package roster

import (
	"errors"

	"stanzakit.dev/xmpp/stanza"
)

// ErrOverflow is returned by [Client.Sync] if more roster pushes than can be held
// came before the roster. Call it again.
var ErrOverflow = errors.New("roster: too many pushes while waiting for the roster")

// maxHeld is how many pushes wait for the result of a get.
const maxHeld = 1024

// follower follows the roster on a server: the pure core of a [Client].
//
// Pushes and the result of a get take different ways to it, since the result goes
// to who has asked. So that none is lost, pushes are held while a result is due, and
// applied to it in their order. Some may be in the result already: to apply them
// again does no harm, since the later ones follow.
//
// A list without a valid result behind it is not changed by pushes: it would get
// their version, and what has happened in between would never come. For the same
// reason it keeps its version once a push was refused: the next get then asks for
// what that push was about.
type follower struct {
	list  List
	phase phase
	held  []*Query
	asked bool // the get had a version
	gap   bool // a push was refused since the get
}

type phase uint8

const (
	stale    phase = iota // nobody has asked for the roster in this session
	waiting               // the result is due
	overflow              // the same, and not all pushes could be held
	current               // pushes are applied as they come
)

// begin returns the get to send. Versioned is whether the server has versions.
func (f *follower) begin(versioned bool) *Query {
	f.phase, f.held, f.asked, f.gap = waiting, nil, versioned, false
	if !versioned {
		return &Query{}
	}
	// RFC 6121 §2.6.2: the empty version, if there is none to name.
	return &Query{Ver: f.list.ver, Versioned: true}
}

// failed ends the wait without a result.
func (f *follower) failed() { f.phase, f.held = stale, nil }

// result ends the wait. A nil result is an empty one.
func (f *follower) result(result *Query) ([]Event, error) {
	lost, held := f.phase == overflow, f.held
	f.failed()
	var events []Event
	switch {
	case lost:
		return nil, ErrOverflow
	case result != nil:
		held = later(held, result)
		events = f.list.Replace(result)
	case !f.asked || !f.list.versioned:
		// RFC 6121 §2.6.3: nothing is cached that could be current.
		return nil, refuse(stanza.BadRequest, "an empty result instead of the roster")
	}
	f.phase = current
	for _, push := range held {
		more, err := f.apply(push)
		if err != nil {
			return events, err
		}
		events = append(events, more...)
	}
	return events, nil
}

// later drops the pushes that a result with the version of the last of them has in
// it already. The empty version is none: XEP-0237 §4.1 has servers that put it into
// every push.
func later(held []*Query, result *Query) []*Query {
	for i := len(held) - 1; i >= 0 && result.Ver != ""; i-- {
		if held[i].Ver == result.Ver {
			return held[i+1:]
		}
	}
	return held
}

// refused notes that a push could not be read.
func (f *follower) refused() { f.gap = true }

// push takes a push that the account has sent.
func (f *follower) push(push *Query) ([]Event, error) {
	if err := checkPush(push); err != nil {
		f.refused()
		return nil, err
	}
	switch f.phase {
	case current:
		return f.apply(push)
	case waiting:
		if len(f.held) == maxHeld {
			f.phase, f.held = overflow, nil
			return nil, nil
		}
		f.held = append(f.held, push)
	}
	return nil, nil
}

// apply applies a push. A list that cannot take it follows no more.
func (f *follower) apply(push *Query) ([]Event, error) {
	if f.gap {
		push = &Query{Items: push.Items}
	}
	e, changed, err := f.list.Push(push)
	switch {
	case err != nil:
		f.phase = stale
		return nil, err
	case changed:
		return []Event{e}, nil
	}
	return nil, nil
}

// restore takes a cached list in place of an empty one.
func (f *follower) restore(s Snapshot) []Event {
	q := &Query{Ver: s.Version, Versioned: true}
	for _, i := range s.Items {
		q.Items = append(q.Items, Entry{Item: i})
	}
	return f.list.Replace(q)
}
