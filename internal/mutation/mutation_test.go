package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const sample = `package sample

import "errors"

var errNegative = errors.New("negative")

func Root(n int) (int, error) {
	if n < 0 && n != -1 {
		return 0, errNegative
	}
	i := 0
	for i*i < n {
		i++
	}
	switch {
	case i > 9:
		i = 9
	}
	return i + n - n, nil
}

func name(s string) string { return s + s }

func Useless(n int) bool {
	note := 0
	note += n
	return n > 3
}
`

const sampleTest = `package sample

import "testing"

var crowded bool

func TestRoot(t *testing.T) {
	crowded = true
	for in, want := range map[int]int{0: 0, 1: 1, 4: 2, 9: 3, 400: 9, -1: 0} {
		if got, err := Root(in); got != want || err != nil {
			t.Error(in, got, err)
		}
	}
	if _, err := Root(-2); err == nil {
		t.Error("no error")
	}
}

func TestAlone(t *testing.T) {
	if crowded {
		t.Error("somebody is here")
	}
}

func TestUseless(t *testing.T) {
	if !Useless(5) || Useless(3) || Useless(1) {
		t.Error("wrong")
	}
}
`

// TestMutation tries the whole thing on a module of two functions: what the
// tests pin down is killed, what they cannot see survives, and what does not
// compile is left out.
func TestMutation(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/sample\n\ngo 1.26\n", "s.go": sample, "s_test.go": sampleTest} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	t.Chdir(dir)
	t.Setenv("GOWORK", "off")
	m, err := newModule(t.TempDir(), []string{"."}, nil)
	require.NoError(t, err)
	require.NoError(t, m.build(dir, []string{"."}))
	s, err := m.newSuite(".", t.Logf)
	require.NoError(t, err)
	require.Len(t, s.tests, 2, "one fails in the company of others")
	var survived, slow []string
	killed := 0
	for _, r := range m.try([]*suite{s}, 2) {
		if r.killed {
			killed++
			if r.slow {
				slow = append(slow, r.key())
			}
			continue
		}
		survived = append(survived, r.key())
	}
	require.Equal(t, []string{
		// 9 becomes 9.
		"s.go Root: boundary: i > 9",
		"s.go name: result becomes zero: s + s",
		"s.go Useless: left out: note += n",
	}, survived)
	require.GreaterOrEqual(t, killed, 10)
	require.Contains(t, slow, "s.go Root: left out: i++", "a loop without an end")
	require.NotContains(t, slow, "s.go Root: boundary: n < 0")
	for _, mu := range m.mutants {
		require.False(t, mu.within == "name" && mu.kind == "arithmetic" && !mu.dropped, "strings cannot be subtracted")
	}
}

func TestReport(t *testing.T) {
	results := []result{
		{mutant: &mutant{pkg: "a", file: "a/x.go", within: "f", kind: "k", text: "1"}, killed: true},
		{mutant: &mutant{pkg: "a", file: "a/x.go", within: "f", kind: "k", text: "2"}},
	}
	why := reasons("not a key\na/x.go f: k: 2 # it makes no difference\n")
	require.Equal(t, map[string]string{"a/x.go f: k: 2": "it makes no difference"}, why)
	require.NoError(t, report(results, why, 50, true))
	require.ErrorContains(t, report(results, nil, 51, false), "less than 51 % killed in a")
}

// TestSurvivors checks that the list of survivors has a reason in each line.
func TestSurvivors(t *testing.T) {
	key := regexp.MustCompile(`^\S+\.go \S+: [^:]+: .+ # .+$`)
	lines := strings.Split(strings.TrimSpace(survivorsText), "\n")
	for _, line := range lines[1:] {
		require.Regexp(t, key, line)
	}
}
