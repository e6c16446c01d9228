package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// A mutant is one small change.
type mutant struct {
	id      int
	pkg     string // directory of the package, relative to the module
	file    string // relative to the module
	line    int
	within  string // the function
	kind    string
	text    string // what is changed
	dropped bool   // does not compile
}

// key identifies a mutant in survivors.txt, independent of line numbers.
func (m *mutant) key() string {
	return fmt.Sprintf("%s %s: %s: %s", m.file, m.within, m.kind, m.text)
}

// edit is a replacement of source text.
type edit struct {
	from, to int
	before   string // goes before the text
	after    string // goes behind it
	whole    string // replaces the text, if not empty
	m        *mutant
}

// instrumenter puts mutants into one file.
type instrumenter struct {
	fset    *token.FileSet
	src     []byte
	pkg     string
	file    string
	next    *int
	edits   []edit
	within  string
	results []string // types of the results of the function, as text
}

// instrument returns the mutants of a file and the edits that build them in.
func instrument(pkg, file string, src []byte, next *int) ([]edit, error) {
	in := &instrumenter{fset: token.NewFileSet(), src: src, pkg: pkg, file: file, next: next}
	f, err := parser.ParseFile(in.fset, file, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || printing(fn.Name.Name) {
			continue
		}
		in.within = fn.Name.Name
		if fn.Recv != nil && len(fn.Recv.List) > 0 {
			in.within = strings.TrimLeft(in.source(fn.Recv.List[0].Type), "*") + "." + fn.Name.Name
		}
		in.function(fn.Type, fn.Body)
	}
	// Outer ones first; of two with the same text the one that was added first is the outer one.
	slices.SortStableFunc(in.edits, func(a, b edit) int {
		if a.from != b.from {
			return a.from - b.from
		}
		return b.to - a.to
	})
	return in.edits, nil
}

// printing reports whether a function only makes text for people. Tests should
// not pin down every word.
func printing(name string) bool {
	switch name {
	case "Error", "String", "Format", "LogValue", "GoString":
		return true
	}
	return false
}

func (in *instrumenter) function(t *ast.FuncType, body *ast.BlockStmt) {
	saved := in.results
	in.results = nil
	if t.Results != nil {
		for _, field := range t.Results.List {
			for range max(1, len(field.Names)) {
				in.results = append(in.results, in.source(field.Type))
			}
		}
	}
	in.block(body.List)
	in.results = saved
}

func (in *instrumenter) source(n ast.Node) string {
	return string(in.src[in.offset(n.Pos()):in.offset(n.End())])
}

func (in *instrumenter) offset(p token.Pos) int { return in.fset.Position(p).Offset }

// add records a mutant. The %d in before stands for its number.
func (in *instrumenter) add(n ast.Node, kind, before, after, whole string) {
	*in.next++
	text := strings.Join(strings.Fields(in.source(n)), " ")
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	number := func(s string) string { return strings.ReplaceAll(s, "%d", fmt.Sprint(*in.next)) }
	in.edits = append(in.edits, edit{
		from: in.offset(n.Pos()), to: in.offset(n.End()), before: number(before), after: after, whole: number(whole),
		m: &mutant{
			id: *in.next, pkg: in.pkg, file: in.file, line: in.fset.Position(n.Pos()).Line, within: in.within, kind: kind, text: text,
		},
	})
}

func (in *instrumenter) block(list []ast.Stmt) {
	for _, s := range list {
		in.stmt(s, true)
	}
}

// stmt looks at a statement; whole says that it may be left out.
func (in *instrumenter) stmt(s ast.Stmt, whole bool) {
	switch s := s.(type) {
	case *ast.BlockStmt:
		in.block(s.List)
	case *ast.IfStmt:
		if s.Init != nil {
			in.stmt(s.Init, false)
		}
		in.add(s.Cond, "condition turned round", "mutant.Not(%d, ", ")", "")
		in.expr(s.Cond)
		in.block(s.Body.List)
		if s.Else != nil {
			in.stmt(s.Else, false)
		}
	case *ast.ForStmt:
		if s.Cond != nil {
			in.expr(s.Cond)
		}
		in.block(s.Body.List)
	case *ast.RangeStmt:
		in.expr(s.X)
		in.block(s.Body.List)
	case *ast.SwitchStmt:
		if s.Init != nil {
			in.stmt(s.Init, false)
		}
		if s.Tag != nil {
			in.expr(s.Tag)
		}
		for _, c := range s.Body.List {
			c := c.(*ast.CaseClause)
			if s.Tag == nil {
				for _, e := range c.List {
					in.add(e, "case turned round", "mutant.Not(%d, ", ")", "")
					in.expr(e)
				}
			}
			in.block(c.Body)
		}
	case *ast.TypeSwitchStmt:
		for _, c := range s.Body.List {
			in.block(c.(*ast.CaseClause).Body)
		}
	case *ast.SelectStmt:
		for _, c := range s.Body.List {
			in.block(c.(*ast.CommClause).Body)
		}
	case *ast.ReturnStmt:
		in.returns(s)
	case *ast.AssignStmt:
		if whole && s.Tok != token.DEFINE {
			in.add(s, "left out", "if !mutant.On(%d) { ", " }", "")
		}
		for _, e := range s.Rhs {
			in.expr(e)
		}
	case *ast.ExprStmt:
		if call, ok := s.X.(*ast.CallExpr); ok && whole && in.source(call.Fun) != "panic" {
			in.add(s, "left out", "if !mutant.On(%d) { ", " }", "")
		}
		in.expr(s.X)
	case *ast.IncDecStmt:
		if whole {
			in.add(s, "left out", "if !mutant.On(%d) { ", " }", "")
		}
	case *ast.DeferStmt:
		if whole {
			in.add(s, "left out", "if !mutant.On(%d) { ", " }", "")
		}
		in.expr(s.Call)
	case *ast.GoStmt:
		in.expr(s.Call)
	case *ast.DeclStmt:
		ast.Inspect(s, func(n ast.Node) bool {
			if e, ok := n.(*ast.ValueSpec); ok {
				for _, v := range e.Values {
					in.expr(v)
				}
			}
			return true
		})
	case *ast.LabeledStmt:
		in.stmt(s.Stmt, false)
	case *ast.SendStmt:
		in.expr(s.Value)
	}
}

func (in *instrumenter) returns(s *ast.ReturnStmt) {
	for i, e := range s.Results {
		typ := ""
		if len(s.Results) == len(in.results) {
			typ = in.results[i]
		}
		switch {
		case typ == "" || constant(e):
		case typ == "error":
			in.add(e, "error becomes nil", "mutant.Nil(%d, ", ")", "")
		case typ == "bool":
			in.add(e, "result turned round", "mutant.Not(%d, ", ")", "")
		case !strings.HasPrefix(typ, "func"):
			in.add(e, "result becomes zero", "mutant.Zero["+typ+"](%d, ", ")", "")
		}
		in.expr(e)
	}
}

// constant reports whether e is a literal: nothing to learn from replacing it.
func constant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.BasicLit:
		return true
	case *ast.Ident:
		return e.Name == "nil"
	case *ast.CompositeLit:
		return len(e.Elts) == 0
	}
	return false
}

// boundaries are the comparisons beside each comparison.
var boundaries = map[token.Token]string{token.LSS: "<=", token.LEQ: "<", token.GTR: ">=", token.GEQ: ">"}

// expr looks at the parts of an expression.
func (in *instrumenter) expr(e ast.Expr) {
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			in.function(n.Type, n.Body)
			return false
		case *ast.BinaryExpr:
			in.binary(n)
		}
		return true
	})
}

func (in *instrumenter) binary(n *ast.BinaryExpr) {
	left, right := in.source(n.X), in.source(n.Y)
	switch n.Op {
	case token.LAND:
		in.add(n.X, "operand of && left out", "mutant.Force(%d, ", ", true)", "")
		in.add(n.Y, "operand of && left out", "mutant.Force(%d, ", ", true)", "")
	case token.LOR:
		in.add(n.X, "operand of || left out", "mutant.Force(%d, ", ", false)", "")
		in.add(n.Y, "operand of || left out", "mutant.Force(%d, ", ", false)", "")
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		if pure(n.X) && pure(n.Y) {
			in.add(n, "boundary", "", "", fmt.Sprintf("mutant.Pick(%%d, %s %s %s, %s %s %s)", left, n.Op, right, left, boundaries[n.Op], right))
		}
	case token.ADD, token.SUB:
		if !pure(n.X) || !pure(n.Y) || strings.ContainsAny(left+right, "\"`'") {
			return
		}
		other := "-"
		if n.Op == token.SUB {
			other = "+"
		}
		in.add(n, "arithmetic", "", "", fmt.Sprintf("mutant.Pick(%%d, %s %s %s, %s %s %s)", left, n.Op, right, left, other, right))
	}
}

// pure reports whether e may be evaluated twice.
func pure(e ast.Expr) bool {
	ok := true
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			id, is := n.Fun.(*ast.Ident)
			ok = ok && is && (id.Name == "len" || id.Name == "cap" || id.Name == "int" || id.Name == "min" || id.Name == "max")
		case *ast.FuncLit, *ast.UnaryExpr:
			ok = false
		}
		return ok
	})
	return ok
}

// apply builds the edits into the source. Edits nest or are apart. One that
// repeats its operands has no others inside, which are dropped.
func apply(src []byte, edits []edit, importPath string) ([]byte, error) {
	var build func(from, to int, list []edit) string
	build = func(from, to int, list []edit) string {
		var b strings.Builder
		at := from
		for i := 0; i < len(list); {
			e := list[i]
			j := i + 1
			for j < len(list) && list[j].from < e.to {
				j++
			}
			b.Write(src[at:e.from])
			switch {
			case e.m.dropped:
				b.WriteString(build(e.from, e.to, list[i+1:j]))
			case e.whole != "":
				b.WriteString(e.whole)
				for _, inner := range list[i+1 : j] {
					inner.m.dropped = true
				}
			default:
				b.WriteString(e.before + build(e.from, e.to, list[i+1:j]) + e.after)
			}
			at = e.to
			i = j
		}
		b.Write(src[at:to])
		return b.String()
	}
	out := build(0, len(src), edits)
	// On the line of the package clause, so that lines stay where they are.
	at := strings.Index(out, "\npackage ") + 1
	if strings.HasPrefix(out, "package ") {
		at = 0
	}
	end := at + strings.IndexByte(out[at:], '\n')
	out = out[:end] + "; import " + strconv.Quote(importPath) + out[end:] + "\nvar _ = mutant.On\n"
	_, err := parser.ParseFile(token.NewFileSet(), "", out, parser.SkipObjectResolution)
	return []byte(out), err
}
