package lint_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// source is one file of the repository.
type source struct {
	path string // relative to the root, with slashes
	text []byte
	// For Go files:
	fset      *token.FileSet
	file      *ast.File
	test      bool
	generated bool
}

func parse(path string, text []byte) (*source, error) {
	s := &source{path: path, text: text, fset: token.NewFileSet(), test: strings.HasSuffix(path, "_test.go")}
	if !strings.HasSuffix(path, ".go") {
		return s, nil
	}
	var err error
	s.file, err = parser.ParseFile(s.fset, path, text, parser.ParseComments)
	if err == nil {
		s.generated = ast.IsGenerated(s.file)
	}
	return s, err
}

// in reports whether the file is one of the given ones, or below one that ends in a slash.
func (s *source) in(paths ...string) bool {
	for _, p := range paths {
		if s.path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(s.path, p) {
			return true
		}
	}
	return false
}

// violation describes something that must not be, for editors to jump to.
func (s *source) violation(pos token.Pos, format string, args ...any) string {
	return fmt.Sprintf("%s:%d: ", s.path, s.fset.Position(pos).Line) + fmt.Sprintf(format, args...)
}

// imports returns the import that provides a path, and the name by which the file calls it.
func (s *source) imports(path string) (*ast.ImportSpec, string) {
	for _, spec := range s.file.Imports {
		if p, _ := strconv.Unquote(spec.Path.Value); p == path {
			if spec.Name != nil {
				return spec, spec.Name.Name
			}
			path = strings.TrimSuffix(path, "/v2")
			return spec, path[strings.LastIndexByte(path, '/')+1:]
		}
	}
	return nil, ""
}

// uses calls visit for each mention of one of the names of an imported package.
func (s *source) uses(path string, names []string, visit func(sel *ast.SelectorExpr)) {
	_, local := s.imports(path)
	if local == "" {
		return
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Name == local {
				for _, name := range names {
					if sel.Sel.Name == name {
						visit(sel)
					}
				}
			}
		}
		return true
	})
}

const (
	// policyFile is the certificate policy, which replaces the verification of crypto/tls.
	policyFile = "tls/verify.go"
	// bridgeFile hands elements that the tokenizer has checked to encoding/xml.
	bridgeFile = "stream/element_xml.go"
	// maxFileLines is when a file is too long to hold in one's head.
	maxFileLines = 600
)

// goRules are about Go files, by name.
var goRules = map[string]func(s *source) []string{
	"math/rand": func(s *source) (out []string) {
		if s.test || s.in("examples/") {
			return nil
		}
		for _, path := range []string{"math/rand", "math/rand/v2"} {
			if spec, _ := s.imports(path); spec != nil {
				out = append(out, s.violation(spec.Pos(), "imports %s; use crypto/rand, or take the source as an argument", path))
			}
		}
		return out
	},

	"unsafe": func(s *source) (out []string) {
		for _, path := range []string{"unsafe", "C"} {
			if spec, _ := s.imports(path); spec != nil {
				out = append(out, s.violation(spec.Pos(), "imports %s", path))
			}
		}
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if strings.HasPrefix(c.Text, "//go:linkname ") {
					out = append(out, s.violation(c.Pos(), "go:linkname"))
				}
			}
		}
		return out
	},

	"InsecureSkipVerify": func(s *source) (out []string) {
		// Tests of package tls switch it on to see it refused, and to look at certificates. Those
		// who take a configuration for HTTPS refuse it, and so do their tests.
		if s.in(policyFile) || s.test && s.in("tls/") || s.in("stream/dial/hostmeta/") {
			return nil
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == "InsecureSkipVerify" {
				out = append(out, s.violation(id.Pos(), "InsecureSkipVerify outside of %s", policyFile))
			}
			return true
		})
		return out
	},

	"XML by format": func(s *source) (out []string) {
		if s.test {
			return nil
		}
		s.calls("fmt", []string{"Sprintf", "Fprintf", "Printf", "Appendf"}, func(call *ast.CallExpr) {
			for _, arg := range call.Args {
				if text, ok := constant(arg); ok && formatsXML(text) {
					out = append(out, s.violation(arg.Pos(), "XML from a format string; use stream.Writer, which escapes"))
				}
			}
		})
		return out
	},

	"encoding/xml": func(s *source) (out []string) {
		if s.test || s.in(bridgeFile) {
			return nil
		}
		s.uses("encoding/xml", []string{"Unmarshal", "NewDecoder", "NewTokenDecoder"}, func(sel *ast.SelectorExpr) {
			out = append(out, s.violation(sel.Pos(), "xml.%s; use Element.Unmarshal, which reads by our own tokenizer", sel.Sel.Name))
		})
		return out
	},

	"xtls": func(s *source) (out []string) {
		if spec, name := s.imports(modulePath + "/tls"); spec != nil && name != "xtls" {
			out = append(out, s.violation(spec.Pos(), "package tls of ours is imported as xtls, since crypto/tls is beside it"))
		}
		return out
	},

	"time.Sleep": func(s *source) (out []string) {
		if !s.test {
			return nil
		}
		s.uses("time", []string{"Sleep"}, func(sel *ast.SelectorExpr) {
			out = append(out, s.violation(sel.Pos(), "time.Sleep in a test; wait for what happens, in a synctest bubble by <-time.After"))
		})
		return out
	},

	"left open": func(s *source) (out []string) {
		for _, group := range s.file.Comments {
			for _, c := range group.List {
				if openEnd.MatchString(c.Text) {
					out = append(out, s.violation(c.Pos(), "a comment that leaves something open"))
				}
			}
		}
		return out
	},

	"length": func(s *source) (out []string) {
		if lines := bytes.Count(s.text, []byte("\n")); lines > maxFileLines && !s.generated {
			out = append(out, fmt.Sprintf("%s: %d lines, more than %d: split it by concept", s.path, lines, maxFileLines))
		}
		return out
	},
}

var (
	openEnd = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME|XX` + `X)\b`)
	verb    = regexp.MustCompile(`%[-+# 0-9.*\[\]]*[a-zA-Z]`)
	tag     = regexp.MustCompile(`<[/?!]?(%|[a-zA-Z])`)
)

// formatsXML reports whether a format string has a tag, and a verb that may be part of it or stand behind it.
func formatsXML(format string) bool {
	format = strings.ReplaceAll(format, "%%", "")
	start := tag.FindStringIndex(format)
	return start != nil && verb.MatchString(format[start[0]:])
}

// calls calls visit for each call of one of the functions of an imported package.
func (s *source) calls(path string, names []string, visit func(call *ast.CallExpr)) {
	wanted := map[*ast.SelectorExpr]bool{}
	s.uses(path, names, func(sel *ast.SelectorExpr) { wanted[sel] = true })
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok && wanted[sel] {
				visit(call)
			}
		}
		return true
	})
}

// constant returns the value of a string literal, or of several that are added.
func constant(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return constant(e.X)
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, err := strconv.Unquote(e.Value)
			return text, err == nil
		}
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			x, okX := constant(e.X)
			y, okY := constant(e.Y)
			return x + y, okX || okY
		}
	}
	return "", false
}

// workplaces are absolute paths of somebody's machine, which mean nothing on another one.
var workplaces = regexp.MustCompile(`(^|[\s"'(=:` + "`" + `])(/(work|home|root|Users)/|[A-Z]:\\Users\\)[^\s"']`)

// pathViolations finds workplaces in any text.
func pathViolations(s *source) (out []string) {
	for i, line := range bytes.Split(s.text, []byte("\n")) {
		if m := workplaces.Find(line); m != nil {
			out = append(out, fmt.Sprintf("%s:%d: a path of somebody's machine: %q", s.path, i+1, m))
		}
	}
	return out
}

// eachSource calls visit for every text file of the repository.
func eachSource(t *testing.T, visit func(s *source)) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == ".git" {
				return filepath.SkipDir
			}
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		s, err := parse(filepath.ToSlash(rel), text)
		if err != nil {
			return err
		}
		visit(s)
		return nil
	}))
}

// TestSource: what must not occur does not (adversarial case G06 and the rules of CONTRIBUTING.md).
func TestSource(t *testing.T) {
	seen := map[string]bool{}
	eachSource(t, func(s *source) {
		seen[s.path] = true
		for _, v := range pathViolations(s) {
			t.Error(v)
		}
		if s.file == nil {
			return
		}
		for name, rule := range goRules {
			for _, v := range rule(s) {
				t.Errorf("%s [%s]", v, name)
			}
		}
	})
	for _, file := range []string{policyFile, bridgeFile, "go.mod", "internal/lint/source_test.go"} {
		require.True(t, seen[file], "%s has moved, and rules are about it", file)
	}
}
