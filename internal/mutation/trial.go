package main

import (
	"bytes"
	"context"
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
	for _, name := range strings.Fields(string(names)) {
		if !testName.MatchString(name) {
			continue
		}
		hits := s.binary + "." + name + ".hits"
		begin := time.Now()
		if out, err := s.run([]string{name}, time.Minute, "STANZAKIT_MUTANT_HITS="+hits); err != nil {
			log("%s %s fails in the copy and is left out: %v\n%s", pkg, name, err, tail(out))
			continue
		}
		t := &test{name: name, took: time.Since(begin), hits: make(map[int]bool)}
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
	return s, nil
}

func tail(out []byte) []byte { return out[max(0, len(out)-600):] }

// run runs some of the tests.
func (s *suite) run(names []string, limit time.Duration, env string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.binary, "-test.run", "^("+strings.Join(names, "|")+")$", "-test.failfast", "-test.count=1", "-test.short")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), env)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.Bytes(), err
}

// kills reports whether the tests notice a mutant. A test that hangs notices.
func (s *suite) kills(m *mutant) bool {
	var names []string
	var sum time.Duration
	flush := func() bool {
		if len(names) == 0 {
			return false
		}
		_, err := s.run(names, 5*sum+2*time.Second, "STANZAKIT_MUTANT="+strconv.Itoa(m.id))
		names, sum = nil, 0
		return err != nil
	}
	for _, t := range s.tests {
		if !t.hits[m.id] {
			continue
		}
		names = append(names, t.name)
		sum += t.took
		// In portions, each twice as long as the one before: most mutants die
		// in the first.
		if sum > 200*time.Millisecond && flush() {
			return true
		}
	}
	return flush()
}

// result is what became of a mutant.
type result struct {
	*mutant
	killed, reached bool
}

// try tries all mutants, several at a time.
func (m *module) try(suites []*suite, workers int) []result {
	var alive []*mutant
	for _, mu := range m.mutants {
		if !mu.dropped {
			alive = append(alive, mu)
		}
	}
	out := make([]result, len(alive))
	work := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() { // ends when work is closed
			for i := range work {
				r := result{mutant: alive[i]}
				for _, s := range own(suites, r.pkg) {
					for _, t := range s.tests {
						r.reached = r.reached || t.hits[r.id]
					}
					if s.kills(r.mutant) {
						r.killed = true
						break
					}
				}
				out[i] = r
			}
		})
	}
	for i := range alive {
		work <- i
	}
	close(work)
	wg.Wait()
	return out
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
