package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var quoted = regexp.MustCompile("`([^`]+)`")

// proof is a test that SECURITY.md names, with its package.
type proof struct{ test, pkg string }

// proofs reads the last column of the tables of SECURITY.md: lists of tests, "in"
// one package or more, separated by semicolons.
func proofs(text string) (found []proof, bad []string) {
	inside := false // a table of promises
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		switch {
		case !strings.HasPrefix(line, "|"):
			inside = false
			continue
		case strings.TrimSpace(cells[len(cells)-1]) == "proved by":
			inside = true
			continue
		case !inside || len(cells) != 3 || strings.HasPrefix(line, "|---"):
			continue
		}
		for group := range strings.SplitSeq(cells[2], ";") {
			tests, packages, ok := strings.Cut(group, " in `")
			names := quoted.FindAllStringSubmatch(tests, -1)
			if !ok || len(names) == 0 {
				bad = append(bad, group)
				continue
			}
			for _, pkg := range quoted.FindAllStringSubmatch("`"+packages, -1) {
				for _, name := range names {
					found = append(found, proof{name[1], pkg[1]})
				}
			}
		}
	}
	return found, bad
}

// exists reports whether the tests of a package have a test function of this
// name, or a row or subtest.
func (p proof) exists(sources string) bool {
	if strings.HasPrefix(p.test, "Test") {
		return strings.Contains(sources, "func "+p.test+"(t *testing.T)")
	}
	return strings.Contains(sources, `"`+p.test+`"`) || strings.Contains(sources, "adversarial"+p.test+"(")
}

// TestRulesSecurity: every test that SECURITY.md names as a proof exists where it
// says.
func TestRulesSecurity(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "SECURITY.md"))
	require.NoError(t, err)
	found, bad := proofs(string(text))
	require.Empty(t, bad)
	require.Greater(t, len(found), 50)
	sources := map[string]string{}
	for _, p := range found {
		if _, ok := sources[p.pkg]; !ok {
			sources[p.pkg] = testSources(t, strings.TrimPrefix(p.pkg, "xmpp"))
		}
		if !p.exists(sources[p.pkg]) {
			t.Errorf("SECURITY.md names %s in %s, which does not exist", p.test, p.pkg)
		}
	}
}

// testSources returns the text of all tests of a package.
func testSources(t *testing.T, dir string) string {
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files, dir)
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}

// The check itself finds what it is for.
func TestRulesSecurityItself(t *testing.T) {
	const row = "| a promise | how | `T01`, `X01` to `X03` in `tls` and `stream/auth`; `TestThat` in `xmpp` |\n"
	found, bad := proofs("| promise | how | proved by |\n|---|---|---|\n" + row)
	require.Empty(t, bad)
	require.Equal(t, "[{T01 tls} {X01 tls} {X03 tls} {T01 stream/auth} {X01 stream/auth} {X03 stream/auth} {TestThat xmpp}]", fmt.Sprint(found))
	_, bad = proofs("| promise | how | proved by |\n|---|---|---|\n| a promise | how | somewhere |\n\n| another | table | altogether |\n")
	require.Equal(t, []string{"somewhere "}, bad)
	require.True(t, proof{"T01", "tls"}.exists(`{"T01", f}`))
	require.False(t, proof{"T01", "tls"}.exists(`T01`))
	require.True(t, proof{"TestThat", "x"}.exists("func TestThat(t *testing.T) {"))
	require.False(t, proof{"TestThat", "x"}.exists("func TestThatToo(t *testing.T) {"))
}
