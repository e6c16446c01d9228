package dial

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const ms = time.Millisecond

// script drives a race without clock, resolver or network.
type script struct {
	t    *testing.T
	now  time.Duration
	race race
}

// do feeds an event and returns what is to be done, in short.
func (s *script) do(ev event) string {
	var do []action
	before := fmt.Sprintf("%+v", s.race)
	old := s.race
	s.race, do = s.race.next(s.now, ev)
	require.Equal(s.t, before, fmt.Sprintf("%+v", old), "next changes nothing that it was given")
	var out []string
	for _, a := range do {
		switch a.kind {
		case acAsk:
			out = append(out, fmt.Sprintf("ask%d %d", 6-2*a.family, a.host))
		case acDial:
			out = append(out, "dial "+a.who.addr.String())
		case acNothing:
			out = append(out, fmt.Sprintf("nothing %d", a.host))
		case acStop:
			out = append(out, "stop")
		case acDone:
			out = append(out, "done")
		}
	}
	return strings.Join(out, ", ")
}

func (s *script) answer(host, family int, addrs ...string) string {
	var out []netip.Addr
	for _, a := range addrs {
		out = append(out, netip.MustParseAddr(a))
	}
	return s.do(event{kind: evAnswer, host: host, family: family, addrs: out})
}

func (s *script) failed(host int, addr string) string {
	return s.do(event{kind: evFailed, who: candidate{host, netip.MustParseAddr(addr)}})
}

func (s *script) connected(host int, addr string) string {
	return s.do(event{kind: evConnected, who: candidate{host, netip.MustParseAddr(addr)}})
}

// wait lets the time pass until the race wants to be woken.
func (s *script) wait(want time.Duration) string {
	require.Equal(s.t, want, s.race.wake)
	s.now = want
	return s.do(event{})
}

func newScript(t *testing.T, priorities ...uint16) *script {
	var targets []Target
	for _, p := range priorities {
		targets = append(targets, Target{Host: "x", Priority: p})
	}
	return &script{t: t, race: newRace(targets, defaultDelay, false)}
}

// RFC 8305 §3: what is done about the order in which the answers come.
func TestRaceResolution(t *testing.T) {
	t.Run("AAAA first", func(t *testing.T) {
		s := newScript(t, 0)
		require.Equal(t, "ask6 0, ask4 0", s.do(event{}))
		require.Equal(t, "dial 2001:db8::1", s.answer(0, ipv6, "2001:db8::1"))
		require.Equal(t, "", s.answer(0, ipv4, "192.0.2.1"))
		require.Equal(t, "dial 192.0.2.1", s.wait(250*ms))
	})
	t.Run("AAAA within the Resolution Delay", func(t *testing.T) {
		s := newScript(t, 0)
		s.do(event{})
		s.now = 10 * ms
		require.Equal(t, "", s.answer(0, ipv4, "192.0.2.1"))
		require.Equal(t, 60*ms, s.race.wake)
		s.now = 30 * ms
		require.Equal(t, "dial 2001:db8::1", s.answer(0, ipv6, "2001:db8::1"))
		require.Equal(t, "dial 192.0.2.1", s.wait(280*ms))
	})
	t.Run("no AAAA within the Resolution Delay", func(t *testing.T) {
		s := newScript(t, 0)
		s.do(event{})
		require.Equal(t, "", s.answer(0, ipv4, "192.0.2.1", "192.0.2.2"))
		require.Equal(t, "dial 192.0.2.1", s.wait(50*ms))
		// It is taken in when it comes.
		s.now = 100 * ms
		require.Equal(t, "", s.answer(0, ipv6, "2001:db8::1"))
		require.Equal(t, "dial 2001:db8::1", s.wait(300*ms))
		require.Equal(t, "dial 192.0.2.2", s.wait(550*ms))
	})
	t.Run("a negative answer ends the wait", func(t *testing.T) {
		s := newScript(t, 0)
		s.do(event{})
		s.answer(0, ipv4, "192.0.2.1")
		require.Equal(t, "dial 192.0.2.1", s.answer(0, ipv6))
	})
	t.Run("nothing at all", func(t *testing.T) {
		s := newScript(t, 0, 0)
		s.do(event{})
		require.Equal(t, "", s.answer(0, ipv6))
		require.Equal(t, "nothing 0, ask6 1, ask4 1", s.answer(0, ipv4))
		require.Equal(t, "", s.answer(1, ipv4))
		require.Equal(t, "nothing 1, done", s.answer(1, ipv6))
	})
}

// RFC 8305 §4, §5: the families take turns; a failure starts the next attempt.
func TestRaceAttempts(t *testing.T) {
	t.Run("turns", func(t *testing.T) {
		s := newScript(t, 0)
		s.do(event{})
		s.answer(0, ipv6, "2001:db8::1", "2001:db8::2", "2001:db8::3")
		s.answer(0, ipv4, "192.0.2.1")
		require.Equal(t, "dial 192.0.2.1", s.failed(0, "2001:db8::1"))
		require.Equal(t, "dial 2001:db8::2", s.failed(0, "192.0.2.1"))
		require.Equal(t, "dial 2001:db8::3", s.failed(0, "2001:db8::2"))
		require.Equal(t, "done", s.failed(0, "2001:db8::3"))
	})
	t.Run("never two within ten milliseconds", func(t *testing.T) {
		s := newScript(t, 0)
		s.do(event{})
		s.answer(0, ipv6, "2001:db8::1", "2001:db8::2", "2001:db8::3")
		s.answer(0, ipv4)
		require.Equal(t, "dial 2001:db8::2", s.wait(250*ms))
		s.now = 251 * ms
		require.Equal(t, "", s.failed(0, "2001:db8::1"))
		require.Equal(t, "dial 2001:db8::3", s.wait(260*ms))
	})
	t.Run("the next target is looked up in time", func(t *testing.T) {
		s := newScript(t, 0, 0, 0)
		s.do(event{})
		s.answer(0, ipv4)
		require.Equal(t, "dial 2001:db8::1", s.answer(0, ipv6, "2001:db8::1"))
		require.Equal(t, "ask6 1, ask4 1", s.wait(250*ms), "not before it is needed")
		s.now = 280 * ms
		require.Equal(t, "dial 2001:db8::2", s.answer(1, ipv6, "2001:db8::2"))
		require.Equal(t, "ask6 2, ask4 2", s.answer(1, ipv4), "while the attempt is under way")
		s.answer(2, ipv6, "2001:db8::3")
		require.Equal(t, "dial 2001:db8::3", s.wait(530*ms))
	})
	t.Run("a target of lower priority has to wait longer", func(t *testing.T) {
		s := newScript(t, 1, 2)
		s.do(event{})
		s.answer(0, ipv4)
		s.answer(0, ipv6, "2001:db8::1")
		require.Equal(t, "ask6 1, ask4 1", s.wait(1000*ms))
	})
	t.Run("a lookup that does not end", func(t *testing.T) {
		s := newScript(t, 0, 0)
		s.do(event{})
		require.Equal(t, "ask6 1, ask4 1", s.wait(1000*ms))
		require.Equal(t, "dial 2001:db8::2", s.answer(1, ipv6, "2001:db8::2", "2001:db8::3"))
		// What comes late is still first.
		s.now = 1100 * ms
		require.Equal(t, "", s.answer(0, ipv6, "2001:db8::1"))
		require.Equal(t, "dial 2001:db8::1", s.wait(1250*ms))
	})
	t.Run("bounded", func(t *testing.T) {
		s := newScript(t, 0, 0, 0)
		s.do(event{})
		var many []string
		for i := range 100 {
			many = append(many, fmt.Sprintf("2001:db8::%x", i+1))
		}
		dialled := strings.Count(s.answer(0, ipv6, many...), "dial")
		s.answer(0, ipv4, "192.0.2.1")
		for s.race.wake != 0 {
			dialled += strings.Count(s.wait(s.race.wake), "dial")
		}
		require.Equal(t, maxFlights, dialled, "at a time")
		s.failed(0, "2001:db8::1")
		require.NotContains(t, s.wait(s.now+minDelay), "dial", "and of one target")
		require.Zero(t, s.race.hosts[0].left)
	})
}

// A connection that is good for nothing costs no more than itself.
func TestRaceRejected(t *testing.T) {
	s := newScript(t, 0, 0)
	s.do(event{})
	s.answer(0, ipv6, "2001:db8::1", "2001:db8::2")
	require.Equal(t, "dial 2001:db8::2", s.wait(250*ms))
	require.Equal(t, "stop", s.connected(0, "2001:db8::2"))
	require.Zero(t, s.race.wake)
	require.Equal(t, "", s.do(event{}), "the caller has it")
	// A lookup that was cut off has no answer.
	require.Equal(t, "", s.answer(0, ipv4, "192.0.2.9"))
	s.now = 9000 * ms
	// What was cut off begins anew, attempt and lookup.
	require.Equal(t, "dial 2001:db8::1, ask4 0", s.do(event{kind: evRejected}))
	require.Equal(t, "", s.failed(0, "2001:db8::1"))
	require.Equal(t, "dial 192.0.2.1, ask6 1, ask4 1", s.answer(0, ipv4, "192.0.2.1"))
	require.Equal(t, "", s.failed(0, "192.0.2.1"))
	require.Equal(t, "", s.answer(1, ipv6))
	require.Equal(t, "nothing 1, done", s.answer(1, ipv4))
}

// FuzzRace: whatever happens in whatever order, the race ends, every address is
// tried, none twice unless it was cut off, and the bounds hold.
func FuzzRace(f *testing.F) {
	f.Add([]byte{3, 2, 1, 0, 9, 8, 7, 200, 100, 50})
	f.Add([]byte{20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		at := 0
		next := func(n int) int { // a choice
			if at >= len(data) || n < 2 {
				return 0
			}
			at++
			return int(data[at-1]) % n
		}
		var targets []Target
		for range next(maxTargets) + 1 {
			targets = append(targets, Target{Host: "x", Priority: uint16(len(targets) / (1 + next(3)))})
		}
		slices.SortStableFunc(targets, func(a, b Target) int { return int(a.Priority) - int(b.Priority) })
		r := newRace(targets, defaultDelay, false)
		var now, latest time.Duration
		var lookups []event
		flights := map[candidate]bool{}
		settled := map[candidate]bool{} // failed or rejected
		var held bool
		ev := event{}
		for step := 0; ; step++ {
			require.Less(t, step, 20_000)
			var do []action
			r, do = r.next(now, ev)
			for _, a := range do {
				switch a.kind {
				case acAsk:
					lookups = append(lookups, event{kind: evAnswer, host: a.host, family: a.family})
				case acDial:
					require.False(t, settled[a.who] || flights[a.who], "again")
					require.True(t, len(flights) == 0 || now >= latest+minDelay)
					flights[a.who], latest = true, now
					require.LessOrEqual(t, len(flights), maxFlights)
				case acStop:
					clear(flights)
					lookups, held = nil, true
				case acDone:
					require.Empty(t, flights)
					for _, l := range lookups { // which would change nothing
						require.Zero(t, r.hosts[l.host].left)
					}
					for i := range r.hosts {
						require.True(t, r.hosts[i].empty())
					}
					require.LessOrEqual(t, len(settled), maxTargets*maxAddresses)
					return
				}
			}
			switch {
			case held:
				held, ev = false, event{kind: evRejected}
			case len(lookups) > 0 && (next(3) > 0 || len(flights) == 0 && r.wake == 0):
				i := next(len(lookups))
				ev = lookups[i]
				lookups = slices.Delete(lookups, i, i+1)
				for n := range next(12) {
					ev.addrs = append(ev.addrs, netip.AddrFrom4([4]byte{byte(ev.host), byte(ev.family), byte(n)}))
				}
			case r.wake != 0 && (len(flights) == 0 || next(2) > 0):
				require.Greater(t, r.wake, now)
				now, ev = r.wake, event{}
			default:
				require.NotEmpty(t, flights, "nothing would ever happen")
				all := []candidate{}
				for c := range flights {
					all = append(all, c)
				}
				slices.SortFunc(all, func(a, b candidate) int { return a.addr.Compare(b.addr) })
				c := all[next(len(all))]
				delete(flights, c)
				settled[c] = true
				ev = event{kind: evFailed, who: c}
				if next(4) == 1 {
					ev.kind = evConnected
				}
			}
		}
	})
}
