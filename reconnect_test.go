package xmpp

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

var (
	errCut      = errors.New("the cable was cut")
	errShutdown = &stream.Error{Condition: stream.SystemShutdown, Received: true}
	errConflict = &stream.Error{Condition: stream.Conflict, Received: true}
)

// machine drives the pure core.
type machine struct {
	t      *testing.T
	r      Reconnect
	s      reconnectState
	at     time.Duration
	random func() float64
	events []Event
}

func newMachine(t *testing.T, r Reconnect) *machine {
	t.Helper()
	r, err := r.complete()
	require.NoError(t, err)
	return &machine{t: t, r: r, random: func() float64 { return 0.5 }}
}

func (m *machine) step(in reconnectInput) reconnectAction {
	in.at = m.at
	var a reconnectAction
	m.s, a = m.r.next(m.s, in, m.random)
	if a.event != nil {
		m.events = append(m.events, a.event)
	}
	return a
}

func (m *machine) connected(resumed bool) {
	m.t.Helper()
	require.Equal(m.t, doNothing, m.step(reconnectInput{kind: inConnected, resumed: resumed}).do)
}

// lost ends a session after some time and returns what follows.
func (m *machine) lost(after time.Duration, err error, resumable time.Duration) reconnectAction {
	m.at += after
	return m.step(reconnectInput{kind: inLost, err: err, resumable: resumable})
}

// wait lets the delay of a pass.
func (m *machine) wait(a reconnectAction) {
	m.t.Helper()
	require.Equal(m.t, doWait, a.do)
	m.at += a.delay
	require.Equal(m.t, reconnectAction{do: doTry}, m.step(reconnectInput{kind: inDue}))
}

func (m *machine) failed(err error) reconnectAction {
	return m.step(reconnectInput{kind: inFailed, err: err})
}

// delays makes n attempts that fail and returns the delays before them.
func (m *machine) delays(a reconnectAction, n int) (out []time.Duration) {
	m.t.Helper()
	for range n {
		out = append(out, a.delay)
		m.wait(a)
		a = m.failed(errCut)
	}
	return out
}

// The whole of a life, with every event.
func TestReconnectEvents(t *testing.T) {
	m := newMachine(t, Reconnect{})
	m.connected(false)
	m.wait(m.lost(time.Hour, errCut, 10*time.Minute))
	m.at += 2 * time.Second
	m.wait(m.failed(errCut))
	m.at += time.Second
	m.connected(true)
	a := m.lost(time.Hour, errShutdown, 10*time.Minute)
	m.wait(a)
	m.connected(false)
	a = m.lost(time.Hour, errConflict, 0)
	require.Equal(t, doEnd, a.do)
	require.Equal(t, []Event{
		Connected{},
		Suspended{Cause: errCut, Resumable: true, Delay: 2500 * time.Millisecond},
		Failed{Err: errCut, Attempt: 1, Delay: 5 * time.Second},
		Connected{Resumed: true, Attempt: 2, Down: 10500 * time.Millisecond},
		Suspended{Cause: errShutdown, Resumable: true, Delay: 30 * time.Second},
		Connected{Attempt: 1, Down: 30 * time.Second},
		Closed{Cause: errConflict},
	}, m.events)

	var lines []string
	for _, e := range m.events {
		lines = append(lines, e.String())
	}
	require.Equal(t, []string{
		"connected",
		"connection lost, trying again in 2.5s: the cable was cut",
		"attempt 1 failed, trying again in 5s: the cable was cut",
		"resumed after 10.5s, attempt 2",
		"connection lost, trying again in 30s: stream error from peer system-shutdown",
		"connected after 30s, attempt 1",
		"closed: stream error from peer conflict",
	}, lines)
	require.Equal(t, "closed", Closed{}.String())
}

// RFC 6120 §3.3: from 0 to 60 seconds, and truncated binary exponential back-off
// from there (M19). XEP-0198 §5: quick where there is something to resume.
func TestReconnectBounds(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name      string
		r         Reconnect
		err       error
		resumable time.Duration
		want      []time.Duration
	}{
		{"fresh", Reconnect{}, errCut, 0, []time.Duration{60 * s, 120 * s, 240 * s, 300 * s, 300 * s}},
		{"resumable", Reconnect{}, errCut, time.Minute, []time.Duration{5 * s, 10 * s, 20 * s, 40 * s, 80 * s, 160 * s, 300 * s, 300 * s}},
		{"resumable for a moment", Reconnect{}, errCut, 4 * s, []time.Duration{2 * s, 4 * s, 8 * s}},
		{"resumable for no time at all", Reconnect{}, errCut, 1, []time.Duration{1, 2, 4}},
		// Everybody comes back from a shutdown, resumable or not.
		{"shutdown", Reconnect{}, errShutdown, 4 * s, []time.Duration{60 * s, 120 * s}},
		{"timeout of one", Reconnect{}, &stream.Error{Condition: stream.ConnectionTimeout, Received: true}, time.Minute, []time.Duration{5 * s, 10 * s}},
		{"base", Reconnect{Base: s}, errCut, 0, []time.Duration{60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 60 * s, 64 * s, 128 * s, 256 * s, 300 * s}},
		{"large base", Reconnect{First: s, Base: 3 * s}, errCut, 0, []time.Duration{s, 6 * s, 12 * s}},
		{"small max", Reconnect{Max: 7 * s}, errCut, time.Minute, []time.Duration{5 * s, 7 * s, 7 * s}},
		{"smaller than the first", Reconnect{Max: 2 * s}, errCut, 0, []time.Duration{2 * s, 2 * s}},
		{"set", Reconnect{First: 3 * s, Resume: 2 * s}, errCut, 0, []time.Duration{3 * s, 6 * s, 12 * s}},
		{"set, resumable", Reconnect{First: 3 * s, Resume: 2 * s}, errCut, time.Hour, []time.Duration{2 * s, 4 * s, 8 * s}},
		{"huge", Reconnect{First: math.MaxInt64, Max: math.MaxInt64}, errCut, 0, []time.Duration{math.MaxInt64, math.MaxInt64}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMachine(t, c.r)
			m.random = func() float64 { return 1 - 1.0/(1<<53) } // the most there is
			m.connected(false)
			a := m.lost(time.Hour, c.err, c.resumable)
			for i, bound := range c.want {
				require.Equal(t, bound, m.r.bound(m.s))
				require.Less(t, a.delay, bound, "delay %d", i)
				require.InEpsilon(t, float64(bound), float64(a.delay)+1, 1e-9)
				m.at = 0 // a clock that stands still, so that nothing overflows
				require.Equal(t, doTry, m.step(reconnectInput{kind: inDue}).do)
				a = m.failed(errCut)
			}
		})
	}
}

// M19: over many seeds, each delay is in its bounds, all of the range is used, and
// the first attempts of many clients are spread evenly over the minute.
func TestReconnectDistribution(t *testing.T) {
	const seeds, attempts, slots = 4000, 8, 10
	var counts [attempts][slots]int
	for seed := range uint64(seeds) {
		m := newMachine(t, Reconnect{})
		m.random = rand.New(rand.NewPCG(seed, 1)).Float64
		m.connected(false)
		a := m.lost(time.Hour, errCut, 0)
		last := time.Duration(0)
		for i := range attempts {
			bound := m.r.bound(m.s)
			require.GreaterOrEqual(t, bound, last, "seed %d", seed)
			require.LessOrEqual(t, bound, m.r.Max, "seed %d", seed)
			require.GreaterOrEqual(t, a.delay, time.Duration(0), "seed %d", seed)
			require.Less(t, a.delay, bound, "seed %d", seed)
			counts[i][int(slots*a.delay/bound)]++
			last = bound
			m.wait(a)
			a = m.failed(errCut)
		}
	}
	for i := range attempts {
		for slot, n := range counts[i] {
			// 400 expected, with a standard deviation of 19.
			require.InDelta(t, seeds/slots, n, 100, "attempt %d, slot %d", i+1, slot)
		}
	}
}

// The production source: in range, and not the same twice.
func TestUnpredictable(t *testing.T) {
	seen := map[float64]bool{}
	sum := 0.0
	for range 10_000 {
		x := unpredictable()
		require.GreaterOrEqual(t, x, 0.0)
		require.Less(t, x, 1.0)
		seen[x] = true
		sum += x
	}
	require.Greater(t, len(seen), 9_990)
	require.InDelta(t, 0.5, sum/10_000, 0.05) // 17 standard deviations
}

// Whatever the source of randomness does, delays are in their bounds.
func TestScale(t *testing.T) {
	for _, x := range []float64{0, 0.1, 0.999999999999999999, 1, 2, -1, math.Inf(1), math.Inf(-1), math.NaN()} {
		for _, bound := range []time.Duration{1, 2, time.Second, math.MaxInt64} {
			d := scale(x, bound)
			require.GreaterOrEqual(t, d, time.Duration(0), "%v of %d", x, bound)
			require.Less(t, d, bound, "%v of %d", x, bound)
		}
	}
}

// A million attempts later nothing has overflowed.
func TestReconnectNeverOverflows(t *testing.T) {
	m := newMachine(t, Reconnect{})
	m.connected(false)
	a := m.lost(time.Hour, errCut, time.Minute)
	for range 1_000_000 {
		if a.do != doWait || a.delay < 0 || a.delay >= 5*time.Minute {
			t.Fatalf("%+v", a)
		}
		m.s, _ = m.r.next(m.s, reconnectInput{kind: inDue}, m.random)
		m.s, a = m.r.next(m.s, reconnectInput{kind: inFailed, err: errCut}, m.random)
	}
	require.Equal(t, 1_000_001, m.s.attempt)
	m.s.attempt = math.MaxInt
	m.s, _ = m.r.next(m.s, reconnectInput{kind: inDue}, m.random)
	m.s, a = m.r.next(m.s, reconnectInput{kind: inFailed, err: errCut}, m.random)
	require.Equal(t, doWait, a.do)
	require.Equal(t, math.MaxInt, m.s.attempt)
}

// Delays start again after a stable session, and only then.
func TestReconnectStable(t *testing.T) {
	m := newMachine(t, Reconnect{})
	m.connected(false)
	// A server that lets everybody in and throws everybody out.
	a := m.lost(time.Second, errCut, time.Minute)
	for i, bound := range []time.Duration{5, 10, 20, 40, 80, 160, 300} {
		require.Equal(t, bound*time.Second/2, a.delay)
		m.wait(a)
		m.connected(i%2 == 0)
		a = m.lost(30*time.Second-1, errCut, time.Minute)
	}
	require.Equal(t, 150*time.Second, a.delay)
	m.wait(a)
	m.connected(true)
	a = m.lost(30*time.Second, errCut, time.Minute)
	require.Equal(t, 2500*time.Millisecond, a.delay)

	// One that could be resumed and no longer can: not quicker for having failed.
	m.wait(a)
	m.connected(false)
	a = m.lost(0, errShutdown, 0)
	require.Equal(t, 60*time.Second, a.delay) // half of 2·60 s

	// How long there was no session is that of the last one, stable or not.
	m.wait(a)
	m.at += time.Second
	m.connected(false)
	require.Equal(t, Connected{Attempt: 2, Down: 61 * time.Second}, m.events[len(m.events)-1])

	// A short session longer ago says nothing about the first loss.
	m = newMachine(t, Reconnect{Stable: time.Hour})
	m.connected(false)
	require.Equal(t, []time.Duration{30 * time.Second, time.Minute}, m.delays(m.lost(0, errCut, 0), 2))
}

func TestReconnectGivesUp(t *testing.T) {
	t.Run("attempts", func(t *testing.T) {
		m := newMachine(t, Reconnect{MaxAttempts: 2})
		m.connected(false)
		m.wait(m.lost(time.Hour, errShutdown, 0))
		m.wait(m.failed(errCut))
		a := m.failed(errCut)
		require.Equal(t, doEnd, a.do)
		cause := a.event.(Closed).Cause
		require.ErrorIs(t, cause, ErrGaveUp)
		require.ErrorIs(t, cause, errCut)
		require.EqualError(t, cause, "xmpp: no more attempts to connect (2 made): the cable was cut")
	})
	t.Run("attempts in a row, with sessions in between", func(t *testing.T) {
		m := newMachine(t, Reconnect{MaxAttempts: 2})
		m.connected(false)
		m.wait(m.lost(0, errCut, 0))
		m.connected(false)
		m.wait(m.lost(0, errCut, 0))
		m.connected(false)
		require.ErrorIs(t, m.lost(0, errCut, 0).event.(Closed).Cause, ErrGaveUp)

		m = newMachine(t, Reconnect{MaxAttempts: 1})
		m.connected(false)
		for range 10 {
			m.wait(m.lost(time.Minute, errCut, 0))
			m.connected(false)
		}
	})
	t.Run("elapsed", func(t *testing.T) {
		// Delays of 30 and 60 seconds, and one of 120 that would be too late.
		m := newMachine(t, Reconnect{MaxElapsed: 209 * time.Second})
		m.connected(false)
		m.wait(m.lost(time.Hour, errCut, 0))
		m.wait(m.failed(errCut))
		require.ErrorIs(t, m.failed(errCut).event.(Closed).Cause, ErrGaveUp)

		m = newMachine(t, Reconnect{MaxElapsed: 210 * time.Second})
		m.connected(false)
		m.wait(m.lost(time.Hour, errCut, 0))
		m.wait(m.failed(errCut))
		m.wait(m.failed(errCut))
		m.at += time.Hour // the attempt itself took long
		require.ErrorIs(t, m.failed(errCut).event.(Closed).Cause, ErrGaveUp)
	})
}

// The clock begins anywhere, also when the first session was not stable.
func TestReconnectElapsedSinceTheFirstLoss(t *testing.T) {
	m := newMachine(t, Reconnect{MaxElapsed: time.Minute})
	m.at = 1000 * time.Hour
	m.connected(false)
	m.wait(m.lost(time.Second, errCut, 0))
}

// RFC 6120 §4.9.3.3, §7.7.2.2: after a conflict the client asks for another
// resource, until a session was stable.
func TestReconnectAfterConflict(t *testing.T) {
	due := func(m *machine, a reconnectAction) bool {
		require.Equal(t, doWait, a.do)
		m.at += a.delay
		a = m.step(reconnectInput{kind: inDue})
		require.Equal(t, doTry, a.do)
		return a.otherResource
	}
	m := newMachine(t, Reconnect{Retry: func(error, bool) bool { return true }})
	m.connected(false)
	require.True(t, due(m, m.lost(time.Hour, &stream.ClosedError{Cause: errConflict}, 0)))
	require.True(t, due(m, m.failed(errCut)))
	m.connected(false)
	require.True(t, due(m, m.lost(time.Second, errCut, 0)))
	m.connected(false)
	require.False(t, due(m, m.lost(time.Hour, errCut, 0)))
	require.True(t, due(m, m.failed(fmt.Errorf("binding: %w", &bind.Error{Condition: bind.Conflict}))))
	m.connected(false)
	require.False(t, due(m, m.lost(time.Hour, errCut, 0)))
}

// M18: what each ending leads to, from a session and from an attempt.
func TestReconnectStops(t *testing.T) {
	for _, c := range []struct {
		err   error
		do    reconnectDo
		cause error
	}{
		{&stream.ClosedError{Cause: errConflict}, doEnd, &stream.ClosedError{Cause: errConflict}},
		{&stream.ClosedError{Cause: stream.ErrLocalClosed}, doEnd, nil},
		{&stream.ClosedError{Cause: errShutdown}, doWait, nil},
	} {
		m := newMachine(t, Reconnect{})
		m.connected(false)
		a := m.lost(time.Hour, c.err, 0)
		require.Equal(t, c.do, a.do)
		if a.do == doEnd {
			require.Equal(t, Closed{Cause: c.cause}, a.event)
		}
		m = newMachine(t, Reconnect{})
		m.connected(false)
		m.wait(m.lost(time.Hour, errCut, 0))
		a = m.failed(c.err)
		require.Equal(t, c.do, a.do)
		if a.do == doEnd {
			require.Equal(t, Closed{Cause: c.cause}, a.event)
		}
	}
}

// Inputs that come too late, twice or out of turn change nothing; the end comes
// from anywhere, once, and is the end.
func TestReconnectIsTotal(t *testing.T) {
	inputs := []reconnectInput{
		{kind: inConnected}, {kind: inLost, err: errCut}, {kind: inDue}, {kind: inFailed, err: errCut}, {kind: inClosed},
	}
	// Which kinds are meaningful in which phase.
	meant := map[reconnectPhase][]reconnectKind{
		phaseIdle:    {inConnected, inClosed},
		phaseUp:      {inLost, inClosed},
		phaseWaiting: {inDue, inClosed},
		phaseTrying:  {inConnected, inFailed, inClosed},
		phaseOver:    {},
	}
	r, err := (&Reconnect{}).complete()
	require.NoError(t, err)
	half := func() float64 { return 0.5 }
	for phase, kinds := range meant {
		for _, in := range inputs {
			s := reconnectState{phase: phase, attempt: 3, first: time.Second, fell: true}
			after, a := r.next(s, in, half)
			name := fmt.Sprintf("%d in %d", in.kind, phase)
			if !slices.Contains(kinds, in.kind) {
				require.Equal(t, s, after, name)
				require.Equal(t, reconnectAction{}, a, name)
				continue
			}
			require.NotEqual(t, phase, after.phase, name)
			if in.kind == inClosed {
				require.Equal(t, reconnectAction{do: doEnd, event: Closed{}}, a, name)
			}
		}
	}

	// Random walks: exactly one Closed, the last event; a Connected before each
	// Suspended; every delay in its bounds.
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		m := newMachine(t, Reconnect{MaxAttempts: 1 + rnd.IntN(5), MaxElapsed: time.Duration(1+rnd.IntN(60)) * time.Minute})
		m.random = rnd.Float64
		for range 300 {
			m.at += time.Duration(rnd.Int64N(int64(time.Minute)))
			in := inputs[rnd.IntN(len(inputs))]
			if in.kind == inClosed && rnd.IntN(50) > 0 {
				continue
			}
			if rnd.IntN(30) == 0 {
				in.err = errConflict
			}
			in.resumable = time.Duration(rnd.Int64N(3)) * time.Minute
			a := m.step(in)
			require.GreaterOrEqual(t, a.delay, time.Duration(0), "seed %d", seed)
			require.Less(t, a.delay, 5*time.Minute, "seed %d", seed)
		}
		up := false
		for i, e := range m.events {
			switch e := e.(type) {
			case Connected:
				require.False(t, up, "seed %d", seed)
				require.GreaterOrEqual(t, e.Down, time.Duration(0))
				up = true
			case Suspended:
				require.True(t, up, "seed %d", seed)
				up = false
			case Failed:
				require.False(t, up, "seed %d", seed)
				require.Positive(t, e.Attempt)
			case Closed:
				require.Equal(t, len(m.events)-1, i, "seed %d", seed)
			}
		}
	}
}

func TestReconnectOptions(t *testing.T) {
	r, err := (&Reconnect{}).complete()
	require.NoError(t, err)
	require.Equal(t, []any{
		time.Minute, 5 * time.Second, time.Duration(0), 5 * time.Minute, 30 * time.Second, 0, time.Duration(0), 1000, 1 << 20,
	}, []any{r.First, r.Resume, r.Base, r.Max, r.Stable, r.MaxAttempts, r.MaxElapsed, r.QueueStanzas, r.QueueBytes})

	set := Reconnect{First: 1, Resume: 2, Base: 3, Max: 4, Stable: 5, MaxAttempts: 6, MaxElapsed: 7, QueueStanzas: 8, QueueBytes: 9}
	r, err = set.complete()
	require.NoError(t, err)
	require.Equal(t, set, r)

	for want, bad := range map[string]Reconnect{
		"First": {First: -1}, "Resume": {Resume: -1}, "Base": {Base: -1}, "Max": {Max: -1}, "Stable": {Stable: -1},
		"MaxAttempts": {MaxAttempts: -1}, "MaxElapsed": {MaxElapsed: -1}, "QueueStanzas": {QueueStanzas: -1}, "QueueBytes": {QueueBytes: -1},
	} {
		_, err := bad.complete()
		require.ErrorIs(t, err, ErrClient)
		require.ErrorContains(t, err, "Reconnect."+want)
	}
}
