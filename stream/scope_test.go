package stream

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Namespaces in XML §6.1, with few declarations in scope and with many, where
// they are found in another way: a random tree against a map per level.
func TestNamespaceScope(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 0))
		var in strings.Builder
		var want []string
		scope := map[string]string{"": ""}
		var write func(depth int)
		write = func(depth int) {
			outer := scope
			scope = make(map[string]string)
			for k, v := range outer {
				scope[k] = v
			}
			var decls strings.Builder
			for range r.IntN(6) {
				prefix := fmt.Sprintf("p%d", r.IntN(25))
				if r.IntN(8) == 0 {
					prefix = ""
				}
				space := fmt.Sprintf("u%d", r.IntN(1000))
				if strings.Contains(decls.String(), "xmlns:"+prefix+"=") || prefix == "" && strings.Contains(decls.String(), "xmlns=") {
					continue
				}
				scope[prefix] = space
				if prefix == "" {
					fmt.Fprintf(&decls, " xmlns='%s'", space)
				} else {
					fmt.Fprintf(&decls, " xmlns:%s='%s'", prefix, space)
				}
			}
			prefix := fmt.Sprintf("p%d", r.IntN(25))
			space, ok := scope[prefix]
			tag := prefix + ":a"
			if !ok {
				tag, space = "a", scope[""]
			}
			name := Name{space, "a"}.String()
			fmt.Fprintf(&in, "<%s%s>", tag, decls.String())
			want = append(want, "<"+name+">")
			if depth < 12 {
				for range 1 + r.IntN(2) {
					write(depth + 1)
				}
			}
			fmt.Fprintf(&in, "</%s>", tag)
			want = append(want, "</"+name+">")
			scope = outer
		}
		write(0)
		got, err := tokens(t, nil, []byte(in.String()))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}
