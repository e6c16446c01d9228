package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// proof is a test that names a clause.
type proof struct {
	clause string
	test   string // stream.TestAdversarial/T11
	file   string // of the directive, from the top of the repository
	at     string // file:line
}

// meant matches comments that were to be a directive, spelled well or not.
var meant = regexp.MustCompile(`^//\s*conformance:`)

// scan finds the directives of all tests, sorted by clause and test, without
// repetitions. The error joins everything that is wrong with directives; what is
// right is returned beside it.
func scan(repository fs.FS) ([]proof, error) {
	dirs := map[string][]string{}
	err := fs.WalkDir(repository, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && skipped(d.Name()):
			return fs.SkipDir
		case !d.IsDir() && strings.HasSuffix(name, "_test.go"):
			dirs[path.Dir(name)] = append(dirs[path.Dir(name)], name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var proofs []proof
	var errs []error
	for _, files := range dirs {
		found, err := scanPackage(repository, files)
		proofs = append(proofs, found...)
		errs = append(errs, err)
	}
	slices.SortFunc(proofs, func(a, b proof) int {
		return cmp.Or(cmp.Compare(a.clause, b.clause), cmp.Compare(a.test, b.test), cmp.Compare(a.file, b.file), cmp.Compare(a.at, b.at))
	})
	proofs = slices.CompactFunc(proofs, func(a, b proof) bool { return a.clause == b.clause && a.test == b.test && a.file == b.file })
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return proofs, errors.Join(errs...)
}

// skipped reports directories that the go command does not look into.
func skipped(dir string) bool {
	return dir == "testdata" || strings.HasPrefix(dir, ".") || strings.HasPrefix(dir, "_")
}

// testPackage is the test files of one directory.
type testPackage struct {
	fset  *token.FileSet
	files []*ast.File
	name  string          // without _test; of a command, its directory
	tests []string        // names of test functions, sorted
	texts map[string]bool // string literals
}

func scanPackage(repository fs.FS, files []string) ([]proof, error) {
	p := &testPackage{fset: token.NewFileSet(), texts: map[string]bool{}}
	for _, name := range files {
		text, err := fs.ReadFile(repository, name)
		if err != nil {
			return nil, err
		}
		file, err := parser.ParseFile(p.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		p.add(file)
	}
	if p.name == "main" {
		p.name = path.Base(path.Dir(files[0]))
	}
	slices.Sort(p.tests)
	var proofs []proof
	var errs []error
	for i, file := range p.files {
		for _, group := range file.Comments {
			for _, c := range group.List {
				found, err := p.directive(files[i], file, group, c)
				proofs = append(proofs, found...)
				errs = append(errs, err)
			}
		}
	}
	return proofs, errors.Join(errs...)
}

// add takes in what directives have to be compared with.
func (p *testPackage) add(file *ast.File) {
	p.files = append(p.files, file)
	p.name = strings.TrimSuffix(file.Name.Name, "_test")
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			if isTest(n) {
				p.tests = append(p.tests, n.Name.Name)
			}
		case *ast.BasicLit:
			if text, err := strconv.Unquote(n.Value); err == nil && n.Kind == token.STRING {
				p.texts[text] = true
			}
		}
		return true
	})
}

// isTest reports whether the go command runs a function as a test.
func isTest(f *ast.FuncDecl) bool {
	rest, ok := strings.CutPrefix(f.Name.Name, "Test")
	if first, _ := utf8.DecodeRuneInString(rest); !ok || f.Recv != nil || unicode.IsLower(first) || f.Body == nil || len(f.Type.Params.List) != 1 {
		return false
	}
	pointer, ok := f.Type.Params.List[0].Type.(*ast.StarExpr)
	if !ok {
		return false
	}
	of, ok := pointer.X.(*ast.SelectorExpr)
	return ok && of.Sel.Name == "T"
}

// directive returns what a comment proves, if it is a directive of ours.
func (p *testPackage) directive(name string, file *ast.File, group *ast.CommentGroup, c *ast.Comment) ([]proof, error) {
	if !meant.MatchString(c.Text) {
		return nil, nil
	}
	at := fmt.Sprintf("%s:%d", name, p.fset.Position(c.Pos()).Line)
	d, ok := ast.ParseDirective(c.Pos(), c.Text)
	if !ok || d.Tool != "conformance" || d.Name != "proves" || d.Args == "" {
		return nil, fmt.Errorf("%s: write //conformance:proves and clauses: %q", at, c.Text)
	}
	test := p.attached(file, group, c)
	if test == "" {
		return nil, fmt.Errorf("%s: a directive that is neither right above a test nor inside of one", at)
	}
	var proofs []proof
	for id := range strings.FieldsSeq(d.Args) {
		proofs = append(proofs, proof{clause: id, test: p.name + "." + test, file: name, at: at})
	}
	return proofs, nil
}

// attached returns the test that a comment is about, or nothing.
func (p *testPackage) attached(file *ast.File, group *ast.CommentGroup, c *ast.Comment) string {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		inside := f.Body != nil && f.Body.Lbrace < c.Pos() && c.Pos() < f.Body.Rbrace
		if f.Doc != group && !inside {
			continue
		}
		test := p.testOf(f)
		if test == "" || !inside {
			return test
		}
		return strings.Join(append([]string{test}, p.subtests(f.Body, group)...), "/")
	}
	return ""
}

// testOf returns the test that a function is, or is a row of.
func (p *testPackage) testOf(f *ast.FuncDecl) string {
	if isTest(f) {
		return f.Name.Name
	}
	for _, test := range p.tests {
		name := strings.TrimPrefix(test, "Test")
		first, size := utf8.DecodeRuneInString(name)
		row, ok := strings.CutPrefix(f.Name.Name, string(unicode.ToLower(first))+name[size:])
		if ok && f.Recv == nil && row != "" && p.texts[row] {
			return test + "/" + row
		}
	}
	return ""
}

// subtests returns the names of the subtests that a comment is in, or is right
// above of. Below one whose name is no constant they cannot be told.
func (p *testPackage) subtests(body *ast.BlockStmt, group *ast.CommentGroup) []string {
	var names []string
	known := true
	below := p.fset.Position(group.End()).Line + 1
	ast.Inspect(body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || !known {
			return known
		}
		around := call.Pos() < group.Pos() && group.End() < call.End()
		above := group.End() < call.Pos() && p.fset.Position(call.Pos()).Line == below
		if sel, ok := call.Fun.(*ast.SelectorExpr); !ok || sel.Sel.Name != "Run" || len(call.Args) != 2 || !around && !above {
			return true
		}
		if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if text, err := strconv.Unquote(lit.Value); err == nil {
				names = append(names, strings.ReplaceAll(text, " ", "_"))
				return around
			}
		}
		known = false
		return false
	})
	return names
}
