package sm

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// model is a queue as one would write it without a thought for cost: the number
// of each stanza, counted without end, next to it.
type model struct {
	entries []numbered
	last    uint64 // stanzas acknowledged
	total   uint64 // stanzas sent
}

type numbered struct {
	n uint64
	entry
}

func (m *model) push(xml []byte, r *stream.Receipt, at int64) {
	m.total++
	m.entries = append(m.entries, numbered{m.total, entry{bytes.Clone(xml), r, at}})
}

func (m *model) ack(h uint32) (acked []entry, err error) {
	// Of all the numbers that look like h, the one that was sent and not taken back.
	for n := m.last; n <= m.total; n++ {
		if uint32(n) != h {
			continue
		}
		for len(m.entries) > 0 && m.entries[0].n <= n {
			acked, m.entries = append(acked, m.entries[0].entry), m.entries[1:]
		}
		m.last = n
		return acked, nil
	}
	return nil, &HandledCountError{H: h, Sent: uint32(m.total)}
}

func (m *model) bytes() (n int) {
	for _, e := range m.entries {
		n += len(e.xml)
	}
	return n
}

// pair is a queue next to its model.
type pair struct {
	t testing.TB
	q queue
	m model
	n int // stanzas so far
}

func newPair(t testing.TB, start uint32) *pair {
	p := &pair{t: t}
	p.q.start(start)
	p.m.last, p.m.total = uint64(start), uint64(start)
	return p
}

func (p *pair) push(size int) {
	p.n++
	xml := bytes.Repeat([]byte{byte(p.n)}, size)
	r := new(stream.Receipt)
	p.q.push(xml, r, int64(p.n))
	p.m.push(xml, r, int64(p.n))
	clear(xml) // the queue has its own
}

func (p *pair) ack(h uint32) {
	p.t.Helper()
	want, wantErr := p.m.ack(h)
	got, err := acks(&p.q, h)
	require.Equal(p.t, wantErr, err)
	p.equal(want, got)
}

func (p *pair) drop() {
	p.q.drop()
	p.m.entries = nil
}

func (p *pair) pass() {
	p.q.pass()
	p.m.entries = nil
	p.m.total++
}

func (p *pair) equal(want, got []entry) {
	p.t.Helper()
	require.Len(p.t, got, len(want))
	for i := range want {
		require.True(p.t, bytes.Equal(want[i].xml, got[i].xml), "stanza %d", i)
		require.Same(p.t, want[i].receipt, got[i].receipt)
		require.Equal(p.t, want[i].at, got[i].at)
	}
}

// check compares all that can be seen.
func (p *pair) check() {
	p.t.Helper()
	require.Equal(p.t, uint32(p.m.total), p.q.sent())
	require.Equal(p.t, uint32(p.m.last), p.q.acked())
	require.Equal(p.t, len(p.m.entries), p.q.len())
	require.Equal(p.t, p.m.bytes(), p.q.size())
	var want, got []entry
	for _, e := range p.m.entries {
		want = append(want, e.entry)
	}
	for e := range p.q.all() {
		require.Equal(p.t, len(e.xml), cap(e.xml))
		got = append(got, e)
	}
	p.equal(want, got)
}

// acks acknowledges, and returns copies of what that yields.
func acks(q *queue, h uint32) (acked []entry, err error) {
	for e, problem := range q.ack(h) {
		e.xml = bytes.Clone(e.xml)
		if err = problem; err == nil {
			acked = append(acked, e)
		}
	}
	return acked, err
}

// Whatever is done to a queue, it does what the model does: also where the counter
// passes 2³² (XEP-0198 §4).
func TestQueueAgainstModel(t *testing.T) {
	for _, start := range []uint32{0, 1, 1<<31 - 50, 1<<32 - 1, 1<<32 - 40, 1<<32 - 500} {
		t.Run(fmt.Sprint(start), func(t *testing.T) {
			for seed := range uint64(20) {
				random := rand.New(rand.NewPCG(seed, uint64(start)))
				p := newPair(t, start)
				for range 300 {
					step(p, random.IntN(256), random.IntN(256))
				}
				p.check()
				p.ack(p.q.sent())
				p.check()
				require.Nil(t, p.q.head)
			}
		})
	}
}

// step does one thing to a queue.
func step(p *pair, what, how int) {
	outstanding := p.q.sent() - p.q.acked()
	switch {
	case what < 120:
		p.push(how)
	case what < 140:
		p.push(how * 20) // some of them are long
	case what < 210:
		p.ack(p.q.acked() + uint32(how)%(outstanding+1))
	case what < 225:
		p.ack(p.q.sent() + 1 + uint32(how)) // too high
	case what < 235:
		p.ack(p.q.acked() - 1 - uint32(how)) // lower than the last
	case what < 240:
		p.ack(uint32(how) << 24)
	case what < 245:
		p.ack(p.q.sent())
	case what < 248:
		p.drop()
	case what < 251:
		p.pass()
	default:
		p.check()
	}
}

func FuzzQueue(f *testing.F) {
	f.Add(uint32(0), []byte{0, 10, 0, 200, 130, 255, 150, 1, 215, 0, 242, 0})
	f.Add(uint32(1<<32-2), []byte{0, 10, 0, 200, 0, 0, 255, 0, 242, 0, 249, 0, 0, 3, 242, 0})
	f.Add(uint32(1<<32-1), []byte{246, 0, 250, 0, 0, 7, 230, 0, 150, 1, 255, 0})
	f.Fuzz(func(t *testing.T, start uint32, steps []byte) {
		p := newPair(t, start)
		for ; len(steps) >= 2 && p.n < 1000; steps = steps[2:] {
			step(p, int(steps[0]), int(steps[1]))
		}
		p.check()
	})
}

// A loop over what is acknowledged that ends early leaves the rest.
func TestQueueAckLeftEarly(t *testing.T) {
	p := newPair(t, 1<<32-3)
	for range 100 {
		p.push(100)
	}
	n := 0
	for range p.q.ack(p.q.sent()) {
		if n++; n == 40 {
			break
		}
	}
	_, err := p.m.ack(p.q.acked())
	require.NoError(t, err)
	require.Equal(t, 60, p.q.len())
	p.check()
	for range p.q.ack(p.q.sent()) { // the last one of a chunk, and the last one of all
		n++
		if n == 100 {
			break
		}
	}
	require.Zero(t, p.q.len())
	require.Nil(t, p.q.head)
}

// What was pushed does not change while others come and go.
func TestQueueMemoryStays(t *testing.T) {
	var q, other queue
	q.push([]byte("the first"), nil, 1)
	var first []byte
	for e := range q.all() {
		first = e.xml
	}
	for i := range 2000 {
		q.push(bytes.Repeat([]byte{'x'}, i%400), nil, 0)
		other.push(bytes.Repeat([]byte{'y'}, i%3000), nil, 0)
		if i%7 == 0 {
			_, err := acks(&other, other.sent())
			require.NoError(t, err)
		}
	}
	require.Equal(t, "the first", string(first))
	for e := range q.ack(1) {
		require.Equal(t, "the first", string(e.xml), "valid until the next step")
	}
}

// Pushing and acknowledging costs no allocation in the long run.
func TestQueueAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random what they are given when the race detector is on")
	}
	xml := bytes.Repeat([]byte("x"), 250)
	r := new(stream.Receipt)
	for name, batch := range map[string]int{"one at a time": 1, "three": 3, "a hundred": 100} {
		t.Run(name, func(t *testing.T) {
			var q queue
			round := func() {
				for range batch {
					q.push(xml, r, 1)
				}
				for _, err := range q.ack(q.sent()) {
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			require.Zero(t, testing.AllocsPerRun(1000, round))
			q.push(xml, r, 1) // never empty
			require.Zero(t, testing.AllocsPerRun(1000, func() {
				for range batch {
					q.push(xml, r, 1)
				}
				for _, err := range q.ack(q.sent() - 1) {
					if err != nil {
						t.Fatal(err)
					}
				}
			}))
		})
	}
}

// An empty queue holds nothing, one with a few stanzas little.
func TestQueueMemory(t *testing.T) {
	const queues = 2000
	memory := func(each func(q *queue)) float64 {
		all := make([]queue, queues)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.GC() // and the pools
		runtime.ReadMemStats(&before)
		for i := range all {
			each(&all[i])
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		runtime.KeepAlive(all)
		return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / queues
	}
	xml := bytes.Repeat([]byte("x"), 200)
	idle := memory(func(q *queue) {
		for range 100 {
			q.push(xml, nil, 0)
		}
		for _, err := range q.ack(100) {
			require.NoError(t, err)
		}
	})
	require.Less(t, idle, 256.0)
	three := memory(func(q *queue) {
		for range 3 {
			q.push(xml, nil, 0)
		}
	})
	require.Less(t, three, 1200.0)
	long := memory(func(q *queue) {
		for range 30 {
			q.push(xml, nil, 0)
		}
	})
	require.Less(t, long, 30*200*2.0)
}

func BenchmarkQueue(b *testing.B) {
	xml := bytes.Repeat([]byte("x"), 250)
	var q queue
	b.ReportAllocs()
	for b.Loop() {
		q.push(xml, nil, 1)
		if q.len() == 10 {
			for _, err := range q.ack(q.sent()) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
