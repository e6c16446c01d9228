package streamtest

import (
	"flag"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedFlag   = flag.String("streamtest.seed", "", "run streamtest.Run with this seed, or these (\"7\", \"0-999\"), instead of those that the test asks for")
	updateFlag = flag.Bool("streamtest.update", false, "write golden transcripts instead of comparing with them")
)

// Lab is one run of an experiment: a network in a bubble of testing/synctest, and
// the seed that all its faults come from.
type Lab struct {
	*Network

	// Seed is the seed of this run.
	Seed uint64

	mu     sync.Mutex
	random random
}

// IntN returns a number from 0 to n-1 that comes from the seed, for what the
// experiment itself leaves to chance. Take them in one goroutine, or what each
// gets depends on the scheduler. It returns 0 if n is not positive.
func (l *Lab) IntN(n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int(l.random.below(int64(n)))
}

// graceTime is how long, in fake time, goroutines and connections may take to end
// when an experiment has returned. It is longer than the timeouts of this module.
const graceTime = 10 * time.Minute

// Run runs an experiment with the seeds 0 to seeds-1, each in a subtest and a
// bubble of its own, on a network with the options opts, but for their seed.
// The flag -streamtest.seed chooses others, to repeat one that failed, which the
// log of the test says how to, or to go through many: -streamtest.seed=0-99999.
//
// When experiment has returned and its cleanups have run, goroutines and
// connections get ten minutes of fake time to end. Connections that are open
// then, and goroutines that are left, fail the test. So does a deadlock, with its
// seed, and the other seeds go on. A panic ends the program, as always; the name of
// the subtest has the seed.
//
// What the program under test takes from crypto/rand is not the same each time.
// Where that matters call testing/cryptotest.SetGlobalRandom(t, lab.Seed) first.
func Run(t *testing.T, seeds int, opts *Options, experiment func(t *testing.T, lab *Lab)) {
	t.Helper()
	first, last, err := seedRange(*seedFlag, seeds)
	if err != nil {
		t.Fatalf("streamtest: %v", err)
	}
	t.Logf("streamtest: seeds %d to %d", first, last)
	for seed := first; ; seed++ {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble := ""
			defer func() {
				// A deadlock is a panic of synctest, which comes out here.
				if r := recover(); r != nil {
					t.Errorf("streamtest: %v\n%s", r, inBubble(bubble))
				}
			}()
			synctest.Test(t, func(t *testing.T) {
				bubble = ownBubble()
				run(t, seed, opts, experiment)
			})
		})
		if !ok {
			t.Log(again(t.Name(), seed))
		}
		if seed == last {
			break
		}
	}
}

// again says how to repeat a run of the test of this name.
func again(name string, seed uint64) string {
	return fmt.Sprintf("streamtest: seed %d failed; again with: go test -run '^%s$' -streamtest.seed=%d", seed, strings.ReplaceAll(name, "/", "$/^"), seed)
}

// seedRange returns the seeds to run: those of the flag, or else n of them.
func seedRange(text string, n int) (first, last uint64, err error) {
	if text == "" {
		if n < 1 {
			return 0, 0, fmt.Errorf("%d seeds", n)
		}
		return 0, uint64(n - 1), nil
	}
	a, b, isRange := strings.Cut(text, "-")
	if !isRange {
		b = a
	}
	first, err = strconv.ParseUint(a, 10, 64)
	if err == nil {
		last, err = strconv.ParseUint(b, 10, 64)
	}
	if err == nil && last < first {
		err = fmt.Errorf("the last one is below the first one")
	}
	if err != nil {
		return 0, 0, fmt.Errorf("-streamtest.seed=%s: %w", text, err)
	}
	return first, last, nil
}

// run runs an experiment in a bubble.
func run(t *testing.T, seed uint64, opts *Options, experiment func(t *testing.T, lab *Lab)) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Seed = seed
	lab := &Lab{Network: NewNetwork(&o), Seed: seed, random: derive(seed, "lab", ConnID{})}
	// The first cleanup to be registered is the last one to run.
	t.Cleanup(func() {
		lab.settle()
		for _, c := range lab.Open() {
			t.Errorf("streamtest: seed %d: left open: %s", seed, c)
		}
		lab.Close()
		lab.settle()
		if left := strays(); left != "" {
			t.Errorf("streamtest: seed %d: goroutines left behind:\n%s", seed, left)
		}
	})
	experiment(t, lab)
}

// settle gives what is left ten minutes of fake time to end, unless nothing is
// left.
func (l *Lab) settle() {
	synctest.Wait()
	if len(l.Open()) > 0 || strays() != "" {
		<-time.After(graceTime)
		synctest.Wait()
	}
}

// strays returns the stacks of the other goroutines of this bubble.
func strays() string {
	return inBubble(ownBubble())
}

// inBubble returns the stacks of the goroutines in a bubble, but for that of the
// caller and those that wait for the end of the test function.
func inBubble(bubble string) string {
	if bubble == "" {
		return ""
	}
	buf := make([]byte, 64<<10)
	for {
		n := runtime.Stack(buf, true) // that of the caller is the first one
		if n < len(buf) {
			buf = buf[:n]
			break
		}
		if len(buf) >= 16<<20 {
			return "" // too many to tell; a deadlock shows all the same
		}
		buf = make([]byte, 2*len(buf))
	}
	var left []string
	for _, s := range strings.Split(string(buf), "\n\n")[1:] {
		if bubbleOf(s) == bubble && !strings.Contains(s, "testing/synctest.testingSynctestTest(") &&
			!strings.Contains(s, "internal/synctest.Run(") {
			left = append(left, s)
		}
	}
	return strings.Join(left, "\n\n")
}

// ownBubble returns what the runtime calls the bubble of the caller, or "".
func ownBubble() string {
	buf := make([]byte, 256)
	return bubbleOf(string(buf[:runtime.Stack(buf, false)]))
}

// bubbleOf returns the bubble in the header of a stack, such as "goroutine 7
// [running, synctest bubble 3]:", or "".
func bubbleOf(stack string) string {
	header, _, _ := strings.Cut(stack, "\n")
	_, bubble, _ := strings.Cut(header, "synctest bubble ")
	return strings.TrimRight(bubble, "]:")
}
