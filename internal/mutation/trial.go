package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// suite is the compiled tests of one package.
type suite struct {
	pkg    string // relative to the module
	binary string
	dir    string
	tests  []*test
}

// test is one test function, and what it reaches.
type test struct {
	name string
	took time.Duration
	hits map[int]bool
}

var testName = regexp.MustCompile(`^(Test|Fuzz|Example)`)

// newSuite compiles the tests of a package and runs each once, to see which
// mutants it reaches. Tests that fail in the copy are left out: those that
// look at the source, say.
func (m *module) newSuite(pkg string, log func(string, ...any)) (*suite, error) {
	s := &suite{
		pkg:    pkg,
		binary: filepath.Join(filepath.Dir(m.dir), strings.ReplaceAll(pkg, "/", "_")+".test"),
		dir:    filepath.Join(m.dir, pkg),
	}
	build := exec.Command("go", "test", "-c", "-o", s.binary, "./"+pkg)
	build.Dir = m.dir
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go test -c %s: %w\n%s", pkg, err, out)
	}
	list := exec.Command(s.binary, "-test.list", ".")
	list.Dir = s.dir
	names, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: listing tests: %w", pkg, err)
	}
	seen := make(map[string]bool)
	for _, name := range strings.Fields(string(names)) {
		if !testName.MatchString(name) || seen[name] { // twice: inside of the package and outside
			continue
		}
		seen[name] = true
		hits := s.binary + "." + name + ".hits"
		out, err := s.run([]string{name}, time.Minute, "STANZAKIT_MUTANT_HITS="+hits)
		if err != nil {
			log("%s %s fails in the copy and is left out: %v\n%s", pkg, name, err, tail(out))
			continue
		}
		t := &test{name: name, took: elapsed(out), hits: make(map[int]bool)}
		b, _ := os.ReadFile(hits) // none: it reaches nothing
		for _, line := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", hits, err)
			}
			t.hits[n] = true
		}
		s.tests = append(s.tests, t)
	}
	// The quick ones first: they tell soonest.
	slices.SortFunc(s.tests, func(a, b *test) int { return int(a.took - b.took) })
	return s, s.steady(log)
}

var failed = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)

// steady runs all tests together, twice without a failure, and leaves out those
// that fail at times or in the company of others: what they notice need not be a
// mutant.
func (s *suite) steady(log func(string, ...any)) error {
	for good := 0; good < 2; {
		var names []string
		limit := time.Minute
		for _, t := range s.tests {
			names, limit = append(names, t.name), limit+5*t.took
		}
		out, err := s.run(names, limit, "STANZAKIT_MUTANT=0")
		if err == nil {
			good++
			continue
		}
		culprit := -1
		if f := failed.FindSubmatch(out); f != nil {
			culprit = slices.IndexFunc(s.tests, func(t *test) bool { return t.name == string(f[1]) })
		}
		if culprit < 0 {
			return fmt.Errorf("%s: all tests together: %w\n%s", s.pkg, err, tail(out))
		}
		log("%s %s fails at times and is left out:\n%s", s.pkg, s.tests[culprit].name, tail(out))
		s.tests = slices.Delete(s.tests, culprit, culprit+1)
		good = 0
	}
	return nil
}

var verdict = regexp.MustCompile(`(?m)^--- PASS: \S+ \(([\d.]+s)\)`)

// elapsed is how long the test itself took, by its own account: most tests take
// less time than a process needs to start.
func elapsed(out []byte) time.Duration {
	took := time.Millisecond // the account has hundredths of a second
	for _, v := range verdict.FindAllSubmatch(out, -1) {
		d, _ := time.ParseDuration(string(v[1])) // zero if it is none
		took += d
	}
	return took
}

func tail(out []byte) []byte { return out[max(0, len(out)-600):] }

// run runs some of the tests.
func (s *suite) run(names []string, limit time.Duration, env string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, "-test.run", "^("+strings.Join(names, "|")+")$", "-test.failfast", "-test.count=1", "-test.short", "-test.v")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), env)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = errSlow
	}
	return out.Bytes(), err
}

// errSlow is the error of tests that were not done in time.
var errSlow = errors.New("timed out")

// kills returns what the tests notice of a mutant: nothing, or the error of
// those that fail. A test that hangs notices, if it does so on a machine that
// has nothing else to do; patience multiplies the time that tests get.
func (s *suite) kills(m *mutant, patience time.Duration) error {
	var names []string
	var sum time.Duration
	portion := 50 * time.Millisecond
	flush := func() error {
		if len(names) == 0 {
			return nil
		}
		_, err := s.run(names, patience*(5*sum+2*time.Second), "STANZAKIT_MUTANT="+strconv.Itoa(m.id))
		names, sum, portion = nil, 0, 2*portion
		return err
	}
	for _, t := range s.tests {
		if !t.hits[m.id] {
			continue
		}
		names = append(names, t.name)
		sum += t.took
		// In portions, each twice as long as the one before: most mutants die
		// in the first.
		if sum > portion {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// result is what became of a mutant.
type result struct {
	*mutant
	killed, reached bool
	slow            bool // killed by tests that were not done in time
}

// try tries all mutants, several at a time, and then again, with more patience,
// those with which the tests were not done in time: it may have been for lack of
// a processor, and most of those that hang need none.
func (m *module) try(suites []*suite, workers int) []result {
	var alive []*mutant
	for _, mu := range m.mutants {
		if !mu.dropped {
			alive = append(alive, mu)
		}
	}
	out := make([]result, len(alive))
	each := func(patience time.Duration, todo func(result) bool) {
		work := make(chan int)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() { // ends when work is closed
				for i := range work {
					out[i] = trial(suites, alive[i], patience)
				}
			})
		}
		for i := range alive {
			if todo(out[i]) {
				work <- i
			}
		}
		close(work)
		wg.Wait()
	}
	each(1, func(result) bool { return true })
	each(2, func(r result) bool { return r.slow })
	return out
}

// trial tries one mutant.
func trial(suites []*suite, m *mutant, patience time.Duration) result {
	r := result{mutant: m}
	for _, s := range own(suites, m.pkg) {
		for _, t := range s.tests {
			r.reached = r.reached || t.hits[m.id]
		}
		if err := s.kills(m, patience); err != nil {
			r.killed, r.slow = true, errors.Is(err, errSlow)
			break
		}
	}
	return r
}

// own puts the suite of the package itself first.
func own(suites []*suite, pkg string) []*suite {
	sorted := slices.Clone(suites)
	slices.SortStableFunc(sorted, func(a, b *suite) int {
		switch {
		case a.pkg == pkg && b.pkg != pkg:
			return -1
		case b.pkg == pkg && a.pkg != pkg:
			return 1
		}
		return 0
	})
	return sorted
}
