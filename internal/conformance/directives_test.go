package main

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// tests has a directive in each place where one may be; the name of a clause
// says which test it has to be attributed to.
const tests = `package p

import "testing"

// TestPlain has a comment.
//
//conformance:proves plain1 plain2
//conformance:proves plain3
func TestPlain(t *testing.T) {
	helper(t)
}

// conformance is a word like others.
func helper(t *testing.T) {}

func TestInside(t *testing.T) {
	for _, c := range []string{
		//conformance:proves entry
		"one",
	} {
		//conformance:proves loop
		t.Run(c, func(t *testing.T) {
			//conformance:proves below-loop
			t.Run("known", func(t *testing.T) {})
		})
	}
	//conformance:proves sub1
	//conformance:proves sub2
	t.Run("a subtest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			//conformance:proves within
			use(t)
			//conformance:proves nested
			t.Run("more", func(t *testing.T) {})
		})
	})
	//conformance:proves not-above

	t.Run("other", func(t *testing.T) {})
}

func TestRows(t *testing.T) {
	rows := map[string]func(t *testing.T){"X1": rowsX1}
}

//conformance:proves row
func rowsX1(t *testing.T) {
	//conformance:proves row-sub
	t.Run("sub", func(t *testing.T) {})
}
`

func TestScan(t *testing.T) {
	have, err := scan(fstest.MapFS{
		"d/p_test.go":          {Data: []byte(tests)},
		"d/ext_test.go":        {Data: []byte("package p_test\n\n//conformance:proves ext\nfunc TestExt(t *testing.T) {}\n")},
		"cmd/main_test.go":     {Data: []byte("package main\n\n//conformance:proves cmd\nfunc TestMain(t *testing.T) {}\n")},
		"top_test.go":          {Data: []byte("package top\n\n//conformance:proves top\nfunc Test(t *testing.T) {}\n")},
		"d/testdata/x_test.go": {Data: []byte("no Go")},
		".git/x_test.go":       {Data: []byte("no Go")},
		"_x/x_test.go":         {Data: []byte("no Go")},
		"d/other.go":           {Data: []byte("no Go")},
	})
	require.NoError(t, err)
	got := map[string]string{}
	for _, p := range have {
		got[p.clause] = p.test
	}
	require.Equal(t, map[string]string{
		"plain1":     "p.TestPlain",
		"plain2":     "p.TestPlain",
		"plain3":     "p.TestPlain",
		"entry":      "p.TestInside",
		"loop":       "p.TestInside",
		"below-loop": "p.TestInside",
		"sub1":       "p.TestInside/a_subtest",
		"sub2":       "p.TestInside/a_subtest",
		"within":     "p.TestInside/a_subtest",
		"nested":     "p.TestInside/a_subtest/more",
		"not-above":  "p.TestInside",
		"row":        "p.TestRows/X1",
		"row-sub":    "p.TestRows/X1/sub",
		"ext":        "p.TestExt",
		"cmd":        "cmd.TestMain",
		"top":        "top.Test",
	}, got)
	require.Equal(t, proof{clause: "below-loop", test: "p.TestInside", file: "d/p_test.go", at: "d/p_test.go:23"}, have[0])
}

// TestScanRepetitions: what is named twice by one test is one proof.
func TestScanRepetitions(t *testing.T) {
	have, err := scan(fstest.MapFS{"p_test.go": {Data: []byte("package p\n\n//conformance:proves a b a\nfunc TestX(t *testing.T) {\n\t//conformance:proves a\n}\n")}})
	require.NoError(t, err)
	require.Len(t, have, 2)
}

func TestScanErrors(t *testing.T) {
	const unattached = "neither right above a test nor inside of one"
	for text, want := range map[string]string{
		"//conformance: proves a\nfunc TestX(t *testing.T) {}":    "write //conformance:proves",
		"// conformance:proves a\nfunc TestX(t *testing.T) {}":    "write //conformance:proves",
		"//conformance:proof a\nfunc TestX(t *testing.T) {}":      "write //conformance:proves",
		"//conformance:proves\nfunc TestX(t *testing.T) {}":       "write //conformance:proves",
		"//conformance:proves a\n\nfunc TestX(t *testing.T) {}":   unattached,
		"//conformance:proves a\nfunc helper(t *testing.T) {}":    unattached,
		"func helper() {\n//conformance:proves a\n}":              unattached,
		"//conformance:proves a\nfunc Testing(t *testing.T) {}":   unattached,
		"//conformance:proves a\nfunc TestX(b *testing.B) {}":     unattached,
		"//conformance:proves a\nfunc TestX(t T) {}":              unattached,
		"//conformance:proves a\nfunc TestX() {}":                 unattached,
		"//conformance:proves a\nfunc (T) TestX(t *testing.T) {}": unattached,
		"//conformance:proves a\nvar x int":                       unattached,
		// A function that begins like a test, but is none of its rows.
		"//conformance:proves a\nfunc xY(t *testing.T) {}\nfunc TestX(t *testing.T) {}": unattached,
		"//conformance:proves a\nfunc x(t *testing.T) {}\nfunc TestX(t *testing.T) {}":  unattached,
	} {
		_, err := scan(fstest.MapFS{"p_test.go": {Data: []byte("package p\n\n" + text + "\n")}})
		require.ErrorContains(t, err, want, "%s", text)
		require.ErrorContains(t, err, "p_test.go:")
	}
}
