package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// module is an instrumented copy of the module that the command runs in.
type module struct {
	dir     string // the copy
	path    string // import path of the module
	mutants []*mutant
	files   map[string][]edit
}

// listed is what go list says of a package.
type listed struct {
	Dir        string
	ImportPath string
	GoFiles    []string
	Module     struct{ Path, Dir string }
}

// newModule copies the module and puts mutants into the packages.
func newModule(scratch string, packages []string, only *regexp.Regexp) (*module, error) {
	out, err := exec.Command("go", append([]string{"list", "-json"}, packages...)...).Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	m := &module{dir: filepath.Join(scratch, "module"), files: make(map[string][]edit)}
	next := 0
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		if m.path == "" {
			m.path = p.Module.Path
			if err := copyModule(p.Module.Dir, m.dir); err != nil {
				return nil, err
			}
		}
		rel, err := filepath.Rel(p.Module.Dir, p.Dir)
		if err != nil {
			return nil, err
		}
		for _, name := range p.GoFiles {
			file := filepath.Join(rel, name)
			if only != nil && !only.MatchString(file) {
				continue
			}
			src, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				return nil, err
			}
			edits, err := instrument(rel, file, src, &next)
			if err != nil {
				return nil, err
			}
			if len(edits) > 0 {
				m.files[file] = edits
			}
			for _, e := range edits {
				m.mutants = append(m.mutants, e.m)
			}
		}
	}
	dir := filepath.Join(m.dir, "internal", "mutant")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return m, os.WriteFile(filepath.Join(dir, "mutant.go"), []byte(switchPackage), 0o644)
}

// copyModule copies what the go command looks at, and the data of tests.
func copyModule(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir() && (d.Name() == ".git" || rel == "adapters" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular() || d.Name() == "go.work" || d.Name() == "go.work.sum":
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o644)
	})
}

// write writes the instrumented files.
func (m *module) write(root string) error {
	for file, edits := range m.files {
		src, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			return err
		}
		out, err := apply(src, edits, m.path+"/internal/mutant")
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if err := os.WriteFile(filepath.Join(m.dir, file), out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

var errorLine = regexp.MustCompile(`^([^\s:]+\.go):(\d+):\d+: `)

// build writes the copy and drops what does not compile until it does.
func (m *module) build(root string, packages []string) error {
	for range 12 {
		if err := m.write(root); err != nil {
			return err
		}
		cmd := exec.Command("go", append([]string{"build", "-gcflags=-e"}, packages...)...)
		cmd.Dir = m.dir
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		dropped := 0
		for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
			if f := errorLine.FindStringSubmatch(s.Text()); f != nil {
				line, _ := strconv.Atoi(f[2])
				dropped += m.drop(strings.TrimPrefix(f[1], "./"), line)
			}
		}
		if dropped == 0 {
			return fmt.Errorf("the copy does not compile:\n%s", out)
		}
	}
	return errors.New("the copy does not compile, whatever is left out")
}

// drop leaves out what was put into a line: arithmetic first, which does not
// suit all types.
func (m *module) drop(file string, line int) (n int) {
	for _, kind := range []string{"arithmetic", ""} {
		for _, e := range m.files[file] {
			if e.m.line == line && !e.m.dropped && (kind == "" || e.m.kind == kind) {
				e.m.dropped = true
				n++
			}
		}
		if n > 0 {
			return n
		}
	}
	return 0
}
