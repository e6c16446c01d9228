package sasl

import (
	"errors"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// subsets calls f with each subset of all.
func subsets(all []string, f func([]string)) {
	for bits := range 1 << len(all) {
		set := []string{}
		for i, s := range all {
			if bits>>i&1 == 1 {
				set = append(set, s)
			}
		}
		f(set)
	}
}

// fixedCache holds keys that are always good, so that no time goes into deriving them.
type fixedCache map[Hash]ClientKeys

func (c fixedCache) Take(k CacheKey) (ClientKeys, bool) { keys, ok := c[k.Hash]; return keys, ok }
func (c fixedCache) Put(CacheKey, ClientKeys)           {}

// relay passes SCRAM messages on, each edited on its way, and returns the error of whichever side fails
// first.
func relay(t *testing.T, c Client, s Server, edit func(challenge string) string) error {
	var in []byte
	for i := 0; ; i++ {
		out, done, err := c.Next(t.Context(), in)
		if err != nil || done {
			return err
		}
		if in, _, err = s.Next(t.Context(), out); err != nil {
			return err
		}
		if i == 0 {
			in = []byte(edit(string(in)))
		}
	}
}

// TestManInTheMiddle: somebody holds a connection to each side, so that their bindings differ, and
// shows the client whatever offer suits him. He gets a login through only where one of the two cannot bind
// the channel (RFC 5802 §6, XEP-0440 §3), and not even there if he has touched an offer that the server
// proves (XEP-0474).
func TestManInTheMiddle(t *testing.T) {
	names := []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-X-PLUS"}
	types := []string{TLSExporter, TLSServerEndPoint, "x"}
	mechs := append(Default(), Plain())
	cache := fixedCache{}
	for _, h := range []Hash{SHA1, SHA256} {
		salted, err := saltedPassword(t.Context(), h, testPassword, []byte(testSalt), MinIterations)
		require.NoError(t, err)
		cache[h] = clientKeys(h, salted)
	}
	proof, wrong := regexp.MustCompile(`,h=[^,]*`), errors.New("the password is out")
	for _, row := range []struct {
		name           string
		offered, types []string // of the server
		own            []Binding
		proves         bool
		binds          bool // both sides have a binding in common
	}{
		{"both bind", []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, types[:2], []Binding{exporter, endPoint}, false, true},
		{"both bind, proved", []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, types[:2], []Binding{exporter, endPoint}, true, true},
		{"one type in common", []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, types[1:2], []Binding{exporter, endPoint}, false, true},
		{"none in common, proved", []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, types[1:2], []Binding{exporter}, true, false},
		{"the server does not bind, proved", []string{"SCRAM-SHA-1", "SCRAM-SHA-256"}, nil, []Binding{exporter, endPoint}, true, false},
		{"the client does not bind, proved", []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256"}, types, nil, true, false},
	} {
		for _, sasl2 := range []bool{false, true} {
			through := 0
			try := func(seen, seenTypes []string, edit func(Hash, string) string) error {
				// An attacker whose certificate the client believes: Secure.
				m, b, err := Select(mechs, seen, Policy{Bindings: row.own, ServerTypes: seenTypes, RequireServerTypes: sasl2, Secure: true, Floor: Hashed})
				if err != nil {
					return err
				}
				switch {
				case m.Plaintext:
					return wrong
				case !slices.Contains(row.offered, m.Name):
					return InvalidMechanism // says the server
				}
				scfg := &ServerConfig{Store: testStore}
				for _, typ := range row.types {
					scfg.Bindings = append(scfg.Bindings, Binding{typ, []byte("of the server's connection")})
				}
				if row.proves {
					scfg.Offered, scfg.OfferedTypes = row.offered, row.types
				}
				c := newClient(t, m, &ClientConfig{Username: testUser, Binding: b, Offered: seen, OfferedTypes: seenTypes, Cache: cache, Service: "s", Secure: true})
				return relay(t, c, newServer(t, m, scfg), func(s string) string { return edit(m.Hash, s) })
			}
			subsets(names, func(seen []string) {
				subsets(types, func(seenTypes []string) {
					touched := !slices.Equal(seen, row.offered) || !slices.Equal(seenTypes, slices.Sorted(slices.Values(row.types)))
					for name, edit := range map[string]func(Hash, string) string{
						"passed on":        func(_ Hash, s string) string { return s },
						"proof taken away": func(_ Hash, s string) string { return proof.ReplaceAllString(s, "") },
						"proof of the view": func(h Hash, s string) string {
							seenHash, err := offerHash(h, seen, seenTypes)
							require.NoError(t, err)
							return proof.ReplaceAllString(s, "") + ",h=" + seenHash
						},
					} {
						err := try(seen, seenTypes, edit)
						require.NotErrorIs(t, err, wrong)
						if err == nil {
							through++
							require.False(t, row.binds, "%s: %s: %v %v", row.name, name, seen, seenTypes)
							require.False(t, row.proves && (touched || name == "proof taken away"), "%s: %s: %v %v", row.name, name, seen, seenTypes)
						}
					}
				})
			})
			if !row.binds {
				require.Positive(t, through, "%s: whoever touches nothing does get through", row.name)
			}
		}
	}
}
