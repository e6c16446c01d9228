package dial

import (
	"net/netip"
	"slices"
	"time"
)

// The values of RFC 8305 §8, and two of our own.
const (
	defaultDelay = 250 * time.Millisecond
	minDelay     = 10 * time.Millisecond
	maxDelay     = 2 * time.Second
	settleDelay  = 50 * time.Millisecond

	// backupFactor times the delay is the pause before a target of another
	// priority. RFC 2782 wants the lowest number that can be reached, and a
	// server that is merely far away can be.
	backupFactor = 4
	// lookupPatience is how long the addresses of a target are waited for before
	// the next target has its turn.
	lookupPatience = time.Second

	maxFlights = 8 // attempts at a time
)

// The families of addresses, in order of preference (RFC 8305 §3).
const (
	ipv6 = iota
	ipv4
	families
)

// candidate is one address of one target.
type candidate struct {
	host int
	addr netip.Addr
}

// race is the schedule of RFC 8305 for all targets of a service: what to look up
// and what to try, and when. It is a value: next returns another one and leaves
// the old one as it was. It has no clock; times are those since the start.
type race struct {
	delay   time.Duration
	hosts   []racer
	flights []candidate // attempts under way
	again   []candidate // attempts that were cut off and are to be made again
	started int         // attempts so far
	current uint16      // the priority of the latest one
	latest  time.Duration
	free    bool          // the next attempt has to wait for none before it
	held    bool          // the caller examines a connection; nothing is to happen
	wake    time.Duration // when next wants to be called if nothing happens; 0 for never
}

// racer is one target.
type racer struct {
	priority uint16
	lookup   [families]lookup
	addrs    [families][]netip.Addr // not tried yet
	turn     int                    // the family that is next
	left     int                    // how many more addresses may be taken
	asked    time.Duration          // when the lookup began
	settled  time.Duration          // IPv4 waits for IPv6 until then
}

// lookup is how far that of one family has come.
type lookup uint8

const (
	unasked lookup = iota
	asking
	answered
)

type eventKind uint8

const (
	evTick      eventKind = iota // begin, or time has passed
	evAnswer                     // a lookup has ended
	evFailed                     // an attempt has failed
	evConnected                  // an attempt has succeeded
	evRejected                   // the caller has no use for the connection
)

type event struct {
	kind   eventKind
	host   int          // of evAnswer
	family int          // of evAnswer
	addrs  []netip.Addr // of evAnswer
	who    candidate    // of evFailed and evConnected
}

type actionKind uint8

const (
	acAsk     actionKind = iota // look up one family of a host
	acDial                      // begin an attempt
	acNothing                   // a host turned out to have no addresses
	acStop                      // cut off all attempts and lookups
	acDone                      // nothing is left to do
)

type action struct {
	kind   actionKind
	host   int       // of acAsk and acNothing
	family int       // of acAsk
	who    candidate // of acDial
}

// newRace returns the schedule for targets that are in the order in which to try
// them. Targets with an address need no lookup, and with named none does.
func newRace(targets []Target, delay time.Duration, named bool) race {
	r := race{delay: delay, free: true}
	for _, t := range targets {
		h := racer{priority: t.Priority, left: maxAddresses}
		if named || t.Addr.IsValid() {
			h.lookup = [families]lookup{answered, answered}
			h.addrs[ipv6] = []netip.Addr{t.Addr} // whichever it is
		}
		r.hosts = append(r.hosts, h)
	}
	return r
}

// next returns what to do after an event.
func (r race) next(now time.Duration, ev event) (race, []action) {
	r.hosts, r.flights, r.again = slices.Clone(r.hosts), slices.Clone(r.flights), slices.Clone(r.again)
	var do []action
	switch ev.kind {
	case evAnswer:
		if r.answer(now, ev) {
			do = append(do, action{kind: acNothing, host: ev.host})
		}
	case evFailed:
		// RFC 8305 §5: the delay is there to find out whether an attempt fails.
		r.drop(ev.who)
		r.free = true
	case evConnected:
		// RFC 8305 §5: the others are cancelled. They have not failed, so that they
		// are to be had again if the caller has no use for this one.
		r.drop(ev.who)
		r.again = append(r.flights, r.again...)
		r.flights = nil
		for i := range r.hosts {
			for f, l := range r.hosts[i].lookup {
				if l == asking {
					r.hosts[i].lookup[f] = unasked
				}
			}
		}
		r.held, r.wake = true, 0
		return r, []action{{kind: acStop}}
	case evRejected:
		r.held, r.free = false, true
	}
	if r.held {
		return r, do
	}
	do = r.advance(now, do)
	if r.over() {
		do = append(do, action{kind: acDone})
	}
	return r, do
}

// answer takes in the result of a lookup, and reports whether the host is known
// to have no addresses now.
func (r *race) answer(now time.Duration, ev event) (nothing bool) {
	h := &r.hosts[ev.host]
	if h.lookup[ev.family] != asking {
		return false // cut off
	}
	h.lookup[ev.family] = answered
	h.addrs[ev.family] = slices.Clip(ev.addrs[:min(len(ev.addrs), maxAddresses)])
	if ev.family == ipv4 && h.lookup[ipv6] == asking {
		h.settled = now + settleDelay // RFC 8305 §3: the Resolution Delay
	}
	return h.lookup == [families]lookup{answered, answered} && h.left == maxAddresses && h.empty()
}

func (r *race) drop(c candidate) {
	if i := slices.Index(r.flights, c); i >= 0 {
		r.flights = slices.Delete(r.flights, i, i+1)
	}
}

// advance begins whatever may begin now.
func (r *race) advance(now time.Duration, do []action) []action {
	r.wake = 0
	for len(r.flights) < maxFlights {
		c, ok := r.pick(now, &do)
		if !ok {
			break
		}
		r.flights = append(r.flights, c)
		r.started++
		r.current, r.latest, r.free = r.hosts[c.host].priority, now, false
		do = append(do, action{kind: acDial, who: c})
	}
	if r.started > 1 && r.dry() {
		// The first attempt was not enough and no address is left: the next
		// target is looked up while this attempt is under way.
		for i := range r.hosts {
			if r.hosts[i].missing() {
				return r.ask(now, i, do)
			}
		}
	}
	return do
}

// pick takes the next candidate if it may be tried now. Otherwise it sees to it
// that something is looked up, or sets the time to wake up.
func (r *race) pick(now time.Duration, do *[]action) (candidate, bool) {
	if len(r.again) > 0 {
		c := r.again[0]
		if !r.due(now, r.hosts[c.host].priority) {
			return candidate{}, false
		}
		r.again = slices.Delete(r.again, 0, 1)
		return c, true
	}
	for i := range r.hosts {
		h := &r.hosts[i]
		if h.empty() && !h.missing() && !h.waiting() {
			continue
		}
		if !r.due(now, h.priority) {
			return candidate{}, false
		}
		if h.missing() {
			*do = r.ask(now, i, *do)
		}
		family, ok := h.ready(now)
		if ok {
			addr := h.addrs[family][0]
			h.addrs[family] = h.addrs[family][1:]
			h.turn, h.left = 1-family, h.left-1
			return candidate{i, addr}, true
		}
		if !h.empty() {
			r.wakeAt(h.settled)
			return candidate{}, false
		}
		if patience := h.asked + lookupPatience; now < patience {
			r.wakeAt(patience)
			return candidate{}, false
		}
	}
	return candidate{}, false
}

// due reports whether the next attempt may begin, at a target of a priority.
func (r *race) due(now time.Duration, priority uint16) bool {
	pause := r.delay
	switch {
	case r.started == 0 || r.free && len(r.flights) == 0:
		return true
	case r.free:
		pause = minDelay // RFC 8305 §5: never two attempts within that
	case priority > r.current:
		pause = min(backupFactor*r.delay, maxDelay)
	}
	if now >= r.latest+pause {
		return true
	}
	r.wakeAt(r.latest + pause)
	return false
}

func (r *race) wakeAt(t time.Duration) {
	if r.wake == 0 || t < r.wake {
		r.wake = t
	}
}

// ask looks up what is not known of a host. RFC 8305 §3: AAAA first and A
// immediately after it.
func (r *race) ask(now time.Duration, host int, do []action) []action {
	h := &r.hosts[host]
	h.asked = now
	for f := range families {
		if h.lookup[f] == unasked {
			h.lookup[f] = asking
			do = append(do, action{kind: acAsk, host: host, family: f})
		}
	}
	return do
}

// dry reports whether all that was looked up has been tried, or is being tried.
func (r *race) dry() bool {
	for i := range r.hosts {
		if !r.hosts[i].empty() || r.hosts[i].waiting() {
			return false
		}
	}
	return len(r.again) == 0
}

// over reports whether there is nothing to do and nothing to wait for.
func (r *race) over() bool {
	if len(r.flights) > 0 || !r.dry() {
		return false
	}
	return !slices.ContainsFunc(r.hosts, func(h racer) bool { return h.missing() })
}

// empty reports whether there is no address to try now.
func (h *racer) empty() bool {
	return h.left <= 0 || len(h.addrs[ipv6]) == 0 && len(h.addrs[ipv4]) == 0
}

// missing reports whether there is something to look up.
func (h *racer) missing() bool {
	return h.left > 0 && (h.lookup[ipv6] == unasked || h.lookup[ipv4] == unasked)
}

// waiting reports whether there may be more addresses soon.
func (h *racer) waiting() bool {
	return h.left > 0 && (h.lookup[ipv6] == asking || h.lookup[ipv4] == asking)
}

// ready returns the family of the next address. RFC 8305 §4: the families take
// turns.
func (h *racer) ready(now time.Duration) (family int, ok bool) {
	if h.empty() {
		return 0, false
	}
	family = h.turn
	if len(h.addrs[family]) == 0 {
		family = 1 - family
	}
	if family == ipv4 && h.lookup[ipv6] == asking && now < h.settled {
		return 0, false
	}
	return family, true
}
