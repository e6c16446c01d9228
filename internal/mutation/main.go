package main

import (
	_ "embed"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"
)

//go:embed survivors.txt
var survivorsText string

func main() {
	least := flag.Float64("min", 0, "fail if less than this share, in percent, of a package's mutants is killed")
	also := flag.String("also", "", "packages, separated by commas, whose tests are tried too")
	files := flag.String("files", "", "regular expression: only files whose path matches")
	verbose := flag.Bool("v", false, "list survivors that have a reason, too, and what was killed by a timeout")
	flag.Parse()
	if err := run(*least, *also, *files, *verbose, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

func run(least float64, also, files string, verbose bool, packages []string) error {
	begin := time.Now()
	var only *regexp.Regexp
	if files != "" {
		var err error
		if only, err = regexp.Compile(files); err != nil {
			return err
		}
	}
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	m, err := newModule(scratch, packages, only)
	if err != nil {
		return err
	}
	if err := m.build(root, packages); err != nil {
		return err
	}
	tested := slices.Clone(packages)
	if also != "" {
		tested = append(tested, strings.Split(also, ",")...)
	}
	var suites []*suite
	for _, p := range tested {
		s, err := m.newSuite(filepath.Clean(p), func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
		if err != nil {
			return err
		}
		suites = append(suites, s)
	}
	fmt.Printf("%d mutants, %.0f s to build and to see what the tests reach\n", len(m.mutants), time.Since(begin).Seconds())
	results := m.try(suites, 2*runtime.GOMAXPROCS(0))
	err = report(results, reasons(survivorsText), least, verbose)
	fmt.Printf("%.0f s in all\n", time.Since(begin).Seconds())
	return err
}

// reasons reads survivors.txt: lines of a mutant's key, " # " and why it may
// survive.
func reasons(text string) map[string]string {
	out := make(map[string]string)
	for line := range strings.Lines(text) {
		if key, why, ok := strings.Cut(strings.TrimSpace(line), " # "); ok {
			out[strings.TrimSpace(key)] = why
		}
	}
	return out
}

// report prints the shares and the survivors.
func report(results []result, reasons map[string]string, least float64, verbose bool) error {
	type count struct{ killed, slow, all, explained int }
	counts := make(map[string]*count)
	seen := make(map[string]bool)
	for _, r := range results {
		c := counts[r.pkg]
		if c == nil {
			c = new(count)
			counts[r.pkg] = c
		}
		c.all++
		if r.killed {
			c.killed++
			if r.slow {
				c.slow++
				if verbose {
					fmt.Printf("timed out: %s:%d %s\n", r.file, r.line, strings.TrimPrefix(r.key(), r.file+" "))
				}
			}
			continue
		}
		why, explained := reasons[r.key()]
		seen[r.key()] = true
		if explained {
			c.explained++
		}
		if !explained || verbose {
			state := "survived"
			if !r.reached {
				state = "not reached"
			}
			fmt.Printf("%s: %s:%d %s", state, r.file, r.line, strings.TrimPrefix(r.key(), r.file+" "))
			if explained {
				fmt.Printf(" # %s", why)
			}
			fmt.Println()
		}
	}
	for _, key := range slices.Sorted(maps.Keys(reasons)) {
		file, _, _ := strings.Cut(key, " ")
		if counts[filepath.Dir(file)] != nil && !seen[key] && verbose {
			fmt.Printf("explained, but no survivor: %s\n", key)
		}
	}
	var low []string
	for _, pkg := range slices.Sorted(maps.Keys(counts)) {
		c := counts[pkg]
		share := 100 * float64(c.killed) / float64(c.all)
		fmt.Printf("%s: %d of %d mutants killed, %.1f %%, %d of them by timeout; %d survivors have a reason\n", pkg, c.killed, c.all, share, c.slow, c.explained)
		if share < least {
			low = append(low, pkg)
		}
	}
	if len(low) > 0 {
		return fmt.Errorf("less than %g %% killed in %s", least, strings.Join(low, ", "))
	}
	return nil
}
