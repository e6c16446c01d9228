package lint_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const modulePath = "stanzakit.dev/xmpp"

// root is the top directory of the repository, from that of this package.
var root = filepath.Join("..", "..")

// layers is the table of ARCHITECTURE.md: what a package may import of ours, besides everything that those may import in turn. "" is the root
// package; "/*" stands for any one package below. Packages under internal/ may be imported by all, and import only
// what their own row names.
var layers = map[string][]string{
	"jid":                       {},
	"sasl":                      {},
	"stream":                    {"jid"},
	"tls":                       {"stream"},
	"tls/posh":                  {"tls"},
	"stream/auth":               {"stream", "sasl"},
	"stream/bind":               {"stream"},
	"stream/sm":                 {"stream"},
	"stream/ws":                 {"stream"},
	"stream/component":          {"stream"},
	"stream/dial":               {"tls"},
	"stream/dial/hostmeta":      {"stream/dial"},
	"stream/dialback":           {"stream"},
	"stream/s2s":                {"stream/dial", "stream/auth", "stream/dialback", "tls"},
	"stanza":                    {"stream"},
	"stanza/*":                  {"stanza", "stanza/*"},
	"roster":                    {"stanza", "stanza/*"},
	"presence":                  {"roster", "stream/bind", "stream/sm"},
	"":                          {"presence", "roster", "stanza/*", "stream/*", "tls"},
	"stream/xmpptest":           {"", "presence", "stream/*"},
	"stream/xmpptest/storetest": {"", "presence", "roster", "stanza/*", "stream/*"},
	"stream/streamtest": {
		"", "presence", "stream/*",
	},
	"examples/*": {"", "presence", "stream/*"},

	"internal/conformance":     {}, // a command
	"internal/interop":         {}, // the tests of it are external
	"internal/lint":            {},
	"internal/memconn":         {},
	"internal/mutation":        {}, // a command
	"internal/quote":           {},
	"internal/topictest":       {"stanza"}, // for tests only
	"jid/internal/confusables": {},         // a generator
}

// terminal are the packages that only programs, users and external tests import.
var terminal = []string{"stream/xmpptest", "stream/xmpptest/storetest", "stream/streamtest", "examples/*", "internal/conformance", "internal/interop", "internal/lint", "internal/mutation"}

// thirdParty are the modules that may be imported, and whether outside of tests too.
var thirdParty = map[string]bool{
	"golang.org/x/net":            true,
	"golang.org/x/text":           true,
	"github.com/stretchr/testify": false,
}

// listed is what `go list -json` says about a package.
type listed struct {
	ImportPath  string
	Standard    bool
	Imports     []string
	TestImports []string // of the tests in the package itself; external tests are free
}

// row returns the row of the table for a package, itself a path relative to the module.
func row(pkg string) (string, bool) {
	if _, ok := layers[pkg]; ok {
		return pkg, true
	}
	if i := strings.LastIndexByte(pkg, '/'); i > 0 {
		if _, ok := layers[pkg[:i]+"/*"]; ok {
			return pkg[:i] + "/*", true
		}
	}
	return "", false
}

// reach returns the rows that a row may import, directly or through others.
func reach(from string) map[string]bool {
	reached := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		for _, next := range layers[name] {
			for _, r := range expand(next) {
				if !reached[r] {
					reached[r] = true
					visit(r)
				}
			}
		}
	}
	visit(from)
	return reached
}

// expand returns the rows that a name in the table stands for: "stream/*" is all of stream/… that is not terminal.
func expand(name string) []string {
	if _, ok := layers[name]; ok {
		return []string{name}
	}
	prefix := strings.TrimSuffix(name, "*")
	var out []string
	for r := range layers {
		if strings.HasPrefix(r, prefix) && !slices.Contains(terminal, r) {
			out = append(out, r)
		}
	}
	return out
}

// relative returns a path relative to the module, and whether it belongs to the module.
func relative(path string) (string, bool) {
	if path == modulePath {
		return "", true
	}
	return strings.CutPrefix(path, modulePath+"/")
}

// importViolations applies the table to one package.
func importViolations(p listed) []string {
	pkg, _ := relative(p.ImportPath)
	own, ok := row(pkg)
	if !ok {
		return []string{fmt.Sprintf("%s: no row in the table", p.ImportPath)}
	}
	allowed := reach(own)
	var out []string
	check := func(what, path string, test bool) {
		rel, ours := relative(path)
		if !ours {
			if bad := thirdPartyViolation(path, test); bad != "" {
				out = append(out, fmt.Sprintf("%s: %s %s: %s", p.ImportPath, what, path, bad))
			}
			return
		}
		r, known := row(rel)
		leaf := strings.HasPrefix(rel, "internal/") && !strings.HasPrefix(pkg, "examples/")
		switch {
		case !known:
			out = append(out, fmt.Sprintf("%s: %s %s: no row in the table", p.ImportPath, what, path))
		case allowed[r]:
		case leaf && !slices.Contains(terminal, r):
		default:
			out = append(out, fmt.Sprintf("%s: %s %s: the table forbids it", p.ImportPath, what, path))
		}
	}
	for _, path := range p.Imports {
		check("imports", path, own == "stream/xmpptest/storetest" || own == "internal/topictest") // which are tests
	}
	for _, path := range p.TestImports {
		check("its tests import", path, true)
	}
	return out
}

func thirdPartyViolation(path string, test bool) string {
	if first, _, _ := strings.Cut(path, "/"); !strings.Contains(first, ".") {
		if path == "C" {
			return "no cgo"
		}
		return "" // the standard library
	}
	for module, always := range thirdParty {
		if path == module || strings.HasPrefix(path, module+"/") {
			if always || test {
				return ""
			}
			return "for tests only"
		}
	}
	return "not one of our dependencies"
}

func goCommand(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		require.NoError(t, err, "%s", exit.Stderr)
	}
	require.NoError(t, err)
	return string(out)
}

func TestImports(t *testing.T) {
	dec := json.NewDecoder(strings.NewReader(goCommand(t, "list", "-json=ImportPath,Standard,Imports,TestImports", "./...")))
	n := 0
	for {
		var p listed
		err := dec.Decode(&p)
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		n++
		for _, v := range importViolations(p) {
			t.Error(v)
		}
	}
	require.Greater(t, n, 10, "the packages of the module")
}

// TestImportsTable: the table is a hierarchy, and the check notices what it forbids.
func TestImportsTable(t *testing.T) {
	for name := range layers {
		if name != "stanza/*" { // topics may know each other; the compiler forbids circles
			require.False(t, reach(name)[name], "%s above itself", name)
		}
	}
	require.ElementsMatch(t, []string{"jid", "stream"}, slices.Collect(maps.Keys(reach("tls"))))

	const p = modulePath + "/"
	for name, c := range map[string]struct {
		pkg  listed
		want string // a part of the violation, "" for none
	}{
		"down":                 {listed{ImportPath: p + "stream", Imports: []string{p + "jid", "net"}}, ""},
		"down, indirectly":     {listed{ImportPath: p + "stream/dial", Imports: []string{p + "jid"}}, ""},
		"topic":                {listed{ImportPath: p + "stanza/ping", Imports: []string{p + "stanza", p + "stanza/disco"}}, ""},
		"leaf":                 {listed{ImportPath: p + "jid", TestImports: []string{p + "internal/memconn"}}, ""},
		"root":                 {listed{ImportPath: modulePath, Imports: []string{p + "stream/bind", p + "stanza/ping"}}, ""},
		"dependency":           {listed{ImportPath: p + "jid", Imports: []string{"golang.org/x/text/secure/precis"}}, ""},
		"testify in tests":     {listed{ImportPath: p + "jid", TestImports: []string{"github.com/stretchr/testify/require"}}, ""},
		"up":                   {listed{ImportPath: p + "stream", Imports: []string{p + "tls"}}, "forbids"},
		"up, in tests":         {listed{ImportPath: p + "stream", TestImports: []string{p + "stanza"}}, "forbids"},
		"sideways":             {listed{ImportPath: p + "stream/bind", Imports: []string{p + "stream/auth"}}, "forbids"},
		"out of a leaf":        {listed{ImportPath: p + "sasl", Imports: []string{p + "jid"}}, "forbids"},
		"to the root":          {listed{ImportPath: p + "stanza", Imports: []string{modulePath}}, "forbids"},
		"out of internal":      {listed{ImportPath: p + "internal/memconn", Imports: []string{p + "jid"}}, "forbids"},
		"of test support":      {listed{ImportPath: modulePath, TestImports: []string{p + "stream/xmpptest"}}, "forbids"},
		"of an example":        {listed{ImportPath: modulePath, Imports: []string{p + "examples/echobot"}}, "forbids"},
		"internal to examples": {listed{ImportPath: p + "examples/echobot", Imports: []string{p + "internal/memconn"}}, "forbids"},
		"a new package":        {listed{ImportPath: p + "helpers"}, "no row"},
		"of a new package":     {listed{ImportPath: p + "jid", Imports: []string{p + "helpers"}}, "no row"},
		"testify":              {listed{ImportPath: p + "jid", Imports: []string{"github.com/stretchr/testify/require"}}, "tests only"},
		"a fourth dependency":  {listed{ImportPath: p + "jid", Imports: []string{"golang.org/x/networks"}}, "not one of our dependencies"},
		"cgo":                  {listed{ImportPath: p + "jid", Imports: []string{"C"}}, "cgo"},
	} {
		t.Run(name, func(t *testing.T) {
			got := importViolations(c.pkg)
			if c.want == "" {
				require.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			require.Contains(t, got[0], c.want)
		})
	}
}

// TestDependencies: the root module depends directly on three modules and no others.
func TestDependencies(t *testing.T) {
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
		Replace []any
	}
	require.NoError(t, json.Unmarshal([]byte(goCommand(t, "mod", "edit", "-json")), &mod))
	var direct []string
	for _, r := range mod.Require {
		if !r.Indirect {
			direct = append(direct, r.Path)
		}
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(thirdParty)), direct)
	require.Empty(t, mod.Replace, "a replacement does not reach those who depend on us")
}
