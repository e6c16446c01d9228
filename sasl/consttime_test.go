package sasl

import (
	"crypto/rand"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var randReader = rand.Reader

// secretName matches what a value may be called that must be compared in constant time.
var secretName = regexp.MustCompile(`(?i)proof|signature|verifier|mac$|digest|token|secret|salted|password|storedkey|serverkey|clientkey|nonce|^binding$|\.binding$|^data$`)

// leakyCompares finds comparisons of secrets that take the shorter way out at the first difference:
// == and != between two values of which one has the name of a secret (nil, literals and lengths
// aside), and calls of the comparing functions of bytes, slices, strings and reflect.
func leakyCompares(fset *token.FileSet, file *ast.File) (found []string) {
	text := func(e ast.Expr) string {
		switch e := e.(type) {
		case *ast.Ident:
			return e.Name
		case *ast.SelectorExpr:
			if x, ok := e.X.(*ast.Ident); ok {
				return x.Name + "." + e.Sel.Name
			}
			return "." + e.Sel.Name
		}
		return ""
	}
	inner := func(e ast.Expr) string { // the name below conversions, slices and indexes
		for {
			switch x := e.(type) {
			case *ast.CallExpr:
				if len(x.Args) != 1 || text(x.Fun) == "len" {
					return ""
				}
				e = x.Args[0]
			case *ast.SliceExpr:
				e = x.X
			case *ast.IndexExpr:
				e = x.X
			case *ast.ParenExpr:
				e = x.X
			default:
				return text(e)
			}
		}
	}
	harmless := func(e ast.Expr) bool {
		if _, ok := e.(*ast.BasicLit); ok {
			return true
		}
		switch text(e) {
		case "nil", "PasswordCredential", "TokenCredential", "FastTokenCredential", "digestMD5": // kinds and a name, no secrets
			return true
		}
		return false
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if (n.Op == token.EQL || n.Op == token.NEQ) && !harmless(n.X) && !harmless(n.Y) &&
				(secretName.MatchString(inner(n.X)) || secretName.MatchString(inner(n.Y))) {
				found = append(found, fset.Position(n.Pos()).String())
			}
		case *ast.CallExpr:
			switch text(n.Fun) {
			case "bytes.Equal", "bytes.Compare", "bytes.EqualFold", "slices.Equal", "slices.Compare", "reflect.DeepEqual",
				"strings.EqualFold", "strings.Compare", "cmp.Compare":
				found = append(found, fset.Position(n.Pos()).String())
			}
		}
		return true
	})
	return found
}

// testS22: proofs, signatures, keys, nonces and bindings are compared with crypto/subtle or
// hmac.Equal only.
func testS22(t *testing.T) {
	t.Run("package", func(t *testing.T) {
		fset := token.NewFileSet()
		entries, err := os.ReadDir(".")
		require.NoError(t, err)
		files, constant := 0, 0
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
				continue
			}
			files++
			file, err := parser.ParseFile(fset, e.Name(), nil, 0)
			require.NoError(t, err)
			require.Empty(t, leakyCompares(fset, file))
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok && (s.Sel.Name == "ConstantTimeCompare" || s.Sel.Name == "Equal") {
					constant++
				}
				return true
			})
		}
		require.Greater(t, files, 10)
		// Proof, PLAIN's key, nonce, "c=", server signature, HT's two messages, three of DIGEST-MD5.
		require.GreaterOrEqual(t, constant, 10)
	})
	t.Run("the test itself", func(t *testing.T) {
		for src, want := range map[string]int{
			"string(proof) == string(want)":        1,
			"m.nonce != s.nonce":                   1,
			"a.keys.StoredKey[0] == b[0]":          1,
			"string(keys.ServerKey[:4]) == x":      1,
			"bytes.Equal(a, b)":                    1,
			"slices.Equal(a, b)":                   1,
			"len(proof) != len(x)":                 0,
			`password == ""`:                       0,
			"proof == nil":                         0,
			"hmac.Equal(proof, x)":                 0,
			"subtle.ConstantTimeCompare(a,b) == 1": 0,
			"name != other":                        0,
			"m.Credential == FastTokenCredential":  0,
			"fastToken == x":                       1,
			"m.Name == digestMD5":                  0,
		} {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "x.go", "package x\nvar _ = "+src, 0)
			require.NoError(t, err)
			require.Len(t, leakyCompares(fset, file), want, src)
		}
	})
	// All lengths of all compared values, one bit off at each end: covered by S07, S11 and S18 through the
	// exchange, here on the function.
	t.Run("lengths", func(t *testing.T) {
		for _, h := range hashes {
			k := refDerive(h, "p", []byte("s"), 1)
			p, _ := refProof(h, k, "auth")
			proof := unb64(t, p)
			require.Equal(t, 1, verifyProof(h, k.stored, proof, "auth"))
			for n := range len(proof) {
				require.Zero(t, verifyProof(h, k.stored, proof[:n], "auth"))
				bad := append([]byte(nil), proof...)
				bad[n] ^= 1
				require.Zero(t, verifyProof(h, k.stored, bad, "auth"))
			}
			require.Zero(t, verifyProof(h, k.stored, append(proof, 0), "auth"))
		}
	})
}
