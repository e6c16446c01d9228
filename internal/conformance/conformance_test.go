package main

import (
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// top is the top directory of the repository, from that of this package.
var top = filepath.Join("..", "..")

// TestReport: CONFORMANCE.md says what the tests prove now.
func TestReport(t *testing.T) {
	want, err := generate(os.DirFS(top))
	require.NoError(t, err)
	have, err := os.ReadFile(filepath.Join(top, reportFile))
	require.NoError(t, err)
	require.True(t, string(want) == string(have), "%s is stale: go run ./internal/conformance", reportFile)
}

// TestCatalogueIsWhole: the counts in the file are those of the specifications,
// so that whoever drops a clause and all counts with it is noticed here.
func TestCatalogueIsWhole(t *testing.T) {
	text, err := os.ReadFile("clauses.txt")
	require.NoError(t, err)
	c, err := parseCatalogue(string(text))
	require.NoError(t, err)
	have := map[string]int{}
	for _, ch := range c.chapters {
		have[ch.id] = ch.occurrences
	}
	require.Equal(t, map[string]int{
		"6120-4": 132, "6120-8": 114, "6120-10": 39,
		"6121-2": 60, "6121-3": 79, "6121-4": 77, "6121-5": 33, "6121-8": 73,
	}, have)
}

const goodClauses = `# A comment.
chapter 6121-2 4
chapter 6121-10 1

section 6121-2 1 First
6121-2-1 1 MUST server Does this.
section 6121-2.10 3 Last
6121-2.10-1 2 SHOULD client Does that.
6121-2.10-2 1 NOTE both Is mentioned.
section 6121-10.1 1 Other
6121-10.1-1 1 MUST both Does something else.
`

func TestCatalogue(t *testing.T) {
	c, err := parseCatalogue(goodClauses)
	require.NoError(t, err)
	require.Len(t, c.chapters, 2)
	require.Len(t, c.chapters[0].sections, 2)
	require.Equal(t, &clause{id: "6121-2.10-1", occurrences: 2, level: levelShould, binds: "client", text: "Does that."}, c.clauses["6121-2.10-1"])
	require.Len(t, c.clauses, 4)
}

func TestCatalogueErrors(t *testing.T) {
	const head = "chapter 6121-2 1\nsection 6121-2.1 1 Title\n"
	for text, want := range map[string]string{
		"chapter 6121-2":                                                "chapter without a count",
		"chapter 6121-2 0":                                              "chapter without a count",
		"chapter 6121-2.1 1":                                            "is no chapter",
		"chapter x-2 1":                                                 "is no chapter",
		"chapter 6121-2 1\nchapter 6121-2 1":                            "twice",
		"section 6121-2.1 1 Title":                                      "is in no chapter",
		"chapter 6121-2 1\nsection 6121-2.1 1":                          "without count and title",
		"chapter 6121-2 1\nsection 6121-2.1 one Title":                  "without a count",
		"chapter 6121-2 1\nsection 6121-2.x 1 Title":                    "is no section",
		"chapter 6121-2 1\nsection 6121-2.10 1 A\nsection 6121-2.9 1 B": "6121-2.9 behind 6121-2.10",
		"chapter 6121-2 1\nsection 6121-2.1 1 A\nsection 6121-2.1 1 B":  "6121-2.1 behind 6121-2.1",
		"6121-2.1-1 1 MUST both Does.":                                  "outside of any section",
		head + "6121-2.1-1 1 MUST both":                                 "fewer than five fields",
		head + "6121-2.1-2 1 MUST both Does.":                           "where 6121-2.1-1 belongs",
		head + "6121-2.1-1 0 MUST both Does.":                           "stands for no occurrence",
		head + "6121-2.1-1 1 MAY both Does.":                            "level",
		head + "6121-2.1-1 1 MUST all Does.":                            "binds",
		head + "6121-2.1-1 1 MUST both  ":                               "0 words",
		head + "6121-2.1-1 1 MUST both a b c d e f g h i j k l m n o p q r s t u v w x y z": "26 words",
		head + "6121-2.1-1 1 MUST both Does | this.":                                        "means something in a table",
		head:                                  "stand for 0 keywords of 1",
		head + "6121-2.1-1 2 MUST both Does.": "stand for 2 keywords of 1",
		"chapter 6121-2 2\nsection 6121-2.1 1 T\n6121-2.1-1 1 MUST both Does.": "have 1 keywords of 2",
		"chapter 6121-2 1": "have 0 keywords of 1",
	} {
		_, err := parseCatalogue(text)
		require.ErrorContains(t, err, want, "%s", text)
	}
}

func TestExclusions(t *testing.T) {
	c, err := parseCatalogue(goodClauses)
	require.NoError(t, err)
	have, err := parseExclusions("# A comment.\n\n6121-2-1 n/a binds nobody here\n6121-2.10-1 absent no such thing\n", c)
	require.NoError(t, err)
	require.Equal(t, map[string]exclusion{"6121-2-1": {"n/a", "binds nobody here"}, "6121-2.10-1": {"absent", "no such thing"}}, have)

	for line, want := range map[string]string{
		"6121-2-1 n/a":                      "no clause, kind and reason",
		"6121-2-1 n/a  ":                    "no clause, kind and reason",
		"6121-2-9 n/a reason":               "no such clause",
		"6121-2.10-2 n/a reason":            "requires nothing",
		"6121-2-1 later reason":             "no such kind",
		"6121-2-1 n/a a <b> reason":         "means something in a table",
		"6121-2-1 n/a a\n6121-2-1 absent b": "twice",
	} {
		_, err := parseExclusions(line, c)
		require.ErrorContains(t, err, want, "%s", line)
		require.ErrorContains(t, err, exclusionsFile+":")
	}
}

// repository is one whose report can be written.
func repository() fstest.MapFS {
	return fstest.MapFS{
		clausesFile:    {Data: []byte(goodClauses)},
		exclusionsFile: {Data: []byte("6121-2.10-1 absent no such thing\n")},
		"a/a_test.go": {Data: []byte(`package a_test

//conformance:proves 6121-2-1
func TestB(t *testing.T) {}

//conformance:proves 6121-2-1
func TestA(t *testing.T) {}
`)},
	}
}

const goldenTail = `
| chapter | level | clauses | tested | not applicable | not implemented | untested |
|---|---|--:|--:|--:|--:|--:|
| RFC 6121 §2 | MUST | 1 | 1 | 0 | 0 | 0 |
| RFC 6121 §2 | SHOULD | 1 | 0 | 0 | 1 | 0 |
| RFC 6121 §10 | MUST | 1 | 0 | 0 | 0 | 1 |
| RFC 6121 §10 | SHOULD | 0 | 0 | 0 | 0 | 0 |
| **all** | MUST | 2 | 1 | 0 | 0 | 1 |
| **all** | SHOULD | 1 | 0 | 0 | 1 | 0 |

### RFC 6121 §2 First

| clause | level | binds | what is required | tests |
|---|---|---|---|---|
| 6121-2-1 | MUST | server | Does this. | [a.TestA](a/a_test.go)<br>[a.TestB](a/a_test.go) |

### RFC 6121 §2.10 Last

| clause | level | binds | what is required | tests |
|---|---|---|---|---|
| 6121-2.10-1 | SHOULD | client | Does that. | not implemented: no such thing |
| 6121-2.10-2 | NOTE | both | Is mentioned. | requires nothing |

### RFC 6121 §10.1 Other

| clause | level | binds | what is required | tests |
|---|---|---|---|---|
| 6121-10.1-1 | MUST | both | Does something else. | **untested** |
`

func TestGenerate(t *testing.T) {
	for range 10 { // the order of maps must not show
		have, err := generate(repository())
		require.NoError(t, err)
		require.Equal(t, introduction+goldenTail, string(have))
	}

	excluded := repository()
	excluded[exclusionsFile] = &fstest.MapFile{Data: []byte("6121-10.1-1 n/a binds nobody here\n")}
	have, err := generate(excluded)
	require.NoError(t, err)
	require.Contains(t, string(have), "| RFC 6121 §10 | MUST | 1 | 0 | 1 | 0 | 0 |")
	require.Contains(t, string(have), "| not applicable: binds nobody here |")
}

func TestGenerateErrors(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"a proof of what is excluded":      {exclusionsFile, "6121-2-1 n/a reason", "a/a_test.go:6: a.TestA proves 6121-2-1, which is excluded: reason"},
		"exclusions":                       {exclusionsFile, "6121-2-1", "no clause, kind and reason"},
		"counts":                           {clausesFile, "chapter 6121-2 1", "keywords"},
		"a clause that is gone":            {clausesFile, "chapter 6121-10 1\nsection 6121-10.1 1 T\n6121-10.1-1 1 MUST both Does.", "6121-2-1, which is no clause"},
		"a proof of what is mentioned":     {"b/b_test.go", "package b\n\n//conformance:proves 6121-2.10-2\nfunc TestX(t *testing.T) {}\n", "which requires nothing"},
		"a directive that is wrong":        {"b/b_test.go", "package b\n\n//conformance:prove 6121-2-1\nfunc TestX(t *testing.T) {}\n", "b/b_test.go:3: write //conformance:proves"},
		"a file that is no Go":             {"b/b_test.go", "pack age", "b/b_test.go:1"},
		"each failure, not only the first": {exclusionsFile, "6121-2-1 n/a reason\n6121-2-1 n/a again", "a.TestB proves"},
	} {
		t.Run(name, func(t *testing.T) {
			r := repository()
			r[c.file] = &fstest.MapFile{Data: []byte(c.text)}
			_, err := generate(r)
			require.ErrorContains(t, err, c.want)
		})
	}
	for _, file := range []string{clausesFile, exclusionsFile} {
		r := repository()
		delete(r, file)
		_, err := generate(r)
		require.ErrorContains(t, err, file)
	}
}
