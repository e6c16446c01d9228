package sasl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testS19: XEP-0440 §3 with XEP-0474 §7: announcements, and what a client makes of them, under both
// profiles.
func testS19(t *testing.T) {
	t.Run("client/rules", testBindingRules)
	t.Run("client/proved", testRule6Proved)
}

// testBindingRules goes through the rules of XEP-0440 §3, one by one.
func testBindingRules(t *testing.T) {
	plus, plain := []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, []string{"PLAIN", "SCRAM-SHA-1"}
	both, all := []string{TLSServerEndPoint, TLSExporter}, []Binding{endPoint, exporter}
	const sasl1, sasl2 = 1, 2
	for _, row := range []struct {
		name     string
		profiles []int
		offered  []string
		bindings []Binding
		types    []string
		mech     string // empty: ErrDowngrade
		first    string // how the client begins
	}{
		{"rule 1: tls-server-end-point if no stronger type is common", []int{sasl1, sasl2}, plus, all, []string{TLSServerEndPoint, TLSUnique},
			"SCRAM-SHA-1-PLUS", "p=tls-server-end-point,"},
		{"rule 2: no channel binding: n", []int{sasl1, sasl2}, plus, nil, both, "SCRAM-SHA-1", "n,"},
		{"rule 2: no channel binding, nothing announced: n", []int{sasl1, sasl2}, plain, nil, nil, "SCRAM-SHA-1", "n,"},
		{"rule 2: no channel binding, types only: n", []int{sasl1, sasl2}, plain, nil, both, "SCRAM-SHA-1", "n,"},
		{"rule 3: neither announced: y", []int{sasl1, sasl2}, plain, all, nil, "SCRAM-SHA-1", "y,"},
		{"rule 4: mechanisms without types", []int{sasl2}, plus, all, nil, "", ""},
		{"rule 4: mechanisms without types, empty", []int{sasl2}, plus, all, []string{}, "", ""},
		{"rule 4: mechanisms without types, undefined", []int{sasl1}, plus, all, nil, "SCRAM-SHA-1-PLUS", "p=tls-exporter,"},
		{"rule 4: mechanisms without types, the client has one", []int{sasl1}, plus, []Binding{endPoint}, nil, "SCRAM-SHA-1-PLUS", "p=tls-server-end-point,"},
		{"rule 4: mechanisms without types, TLS 1.2", []int{sasl1}, plus, []Binding{exporter, unique, endPoint}, nil, "SCRAM-SHA-1-PLUS", "p=tls-unique,"},
		{"rule 5: types without mechanisms", []int{sasl1, sasl2}, plain, all, both, "", ""},
		{"rule 5: types unknown here without mechanisms", []int{sasl1, sasl2}, plain, all, []string{"x"}, "", ""},
		{"rule 6: no common type, no tls-server-end-point", []int{sasl1, sasl2}, plus, []Binding{exporter}, []string{TLSUnique}, "SCRAM-SHA-1", "n,"},
		{"rule 6: unknown types only", []int{sasl1, sasl2}, plus, all, []string{"x", "y"}, "SCRAM-SHA-1", "n,"},
		{"rule 6: tls-server-end-point, which this connection has not", []int{sasl1, sasl2}, plus, []Binding{exporter}, []string{TLSServerEndPoint}, "SCRAM-SHA-1", "n,"},
		{"rule 6: nothing to prove it with", []int{sasl1, sasl2}, []string{"PLAIN", "SCRAM-SHA-1-PLUS"}, all, []string{"x"}, "", ""},
		{"rule 7: stronger than tls-server-end-point", []int{sasl1, sasl2}, plus, all, both, "SCRAM-SHA-1-PLUS", "p=tls-exporter,"},
		{"rule 7: stronger than tls-server-end-point, TLS 1.2", []int{sasl1, sasl2}, plus, []Binding{endPoint, unique}, []string{TLSUnique, TLSServerEndPoint},
			"SCRAM-SHA-1-PLUS", "p=tls-unique,"},
		{"rule 7: the caller's order among the others", []int{sasl1, sasl2}, plus, []Binding{unique, exporter}, []string{TLSExporter, TLSUnique},
			"SCRAM-SHA-1-PLUS", "p=tls-unique,"},
	} {
		for _, profile := range row.profiles {
			t.Run(row.name+map[int]string{sasl1: "/SASL1", sasl2: "/SASL2"}[profile], func(t *testing.T) {
				p := Policy{Bindings: row.bindings, ServerTypes: row.types, Secure: true, RequireServerTypes: profile == sasl2}
				m, b, err := Select(append(Default(), Plain()), row.offered, p)
				if row.mech == "" {
					require.ErrorIs(t, err, Aborted)
					require.ErrorIs(t, err, ErrDowngrade)
					require.Nil(t, m.NewClient)
					require.Zero(t, b)
					return
				}
				require.NoError(t, err)
				require.Equal(t, row.mech, m.Name)
				c := newClient(t, m, &ClientConfig{Username: "u", Password: "p", Binding: b, Offered: row.offered, OfferedTypes: row.types})
				require.True(t, strings.HasPrefix(string(send(t, c, nil)), row.first))
			})
		}
	}
	// RFC 5802 §6: types alone do not make -PLUS, so this is "y" (Select does not get here, by rule 5).
	c := newClient(t, Scram(SHA1), &ClientConfig{Username: "u", Password: "p", Binding: exporter, Offered: plain, OfferedTypes: []string{"x"}})
	require.True(t, strings.HasPrefix(string(send(t, c, nil)), "y,"))
	// RFC 5802 §6: who does not tell the client what was announced does not get it to go on with "n".
	m, b, err := Select(Default(), plus, Policy{Bindings: all, ServerTypes: []string{"x"}})
	require.NoError(t, err)
	_, err = m.NewClient(&ClientConfig{Username: "u", Password: "p", Binding: b, Offered: plus})
	require.ErrorIs(t, err, ErrDowngrade)
}

// testRule6Proved: XEP-0474 §7, rule 6: without a common type the client goes on with "n", and ends the
// exchange unless the server proves what it announced.
func testRule6Proved(t *testing.T) {
	offered, types := []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, []string{TLSUnique, TLSServerEndPoint}
	begin := func(seen, seenTypes []string, prove bool) (Client, Server) {
		m, b, err := Select(Default(), seen, Policy{Bindings: []Binding{exporter}, ServerTypes: seenTypes, RequireServerTypes: true})
		require.NoError(t, err)
		require.Equal(t, "SCRAM-SHA-256", m.Name)
		scfg := serverConfig()
		scfg.Bindings = []Binding{unique, endPoint}
		if prove {
			scfg.Offered, scfg.OfferedTypes = offered, types
		}
		ccfg := &ClientConfig{Username: testUser, Password: testPassword, Binding: b, Offered: seen, OfferedTypes: seenTypes}
		return newClient(t, m, ccfg), newServer(t, m, scfg)
	}
	c, s := begin(offered, types, true)
	require.NoError(t, run(t, c, s))
	require.Equal(t, testUser, s.Identity().AuthcID)

	c, s = begin(offered, types, false)
	fail(t, c, string(send(t, s, send(t, c, nil))), Aborted, ErrDowngrade)

	for name, seen := range map[string][]string{"types replaced": {"x", "y"}, "type taken away": {TLSUnique}} {
		c, s = begin(offered, seen, true)
		require.ErrorIs(t, run(t, c, s), ErrDowngrade, name)
	}
	// A -PLUS of another hash and a type are put into the offer of a server that has neither.
	c, s = begin([]string{"SCRAM-SHA-256", "SCRAM-SHA-1-PLUS"}, []string{"x"}, true)
	require.ErrorIs(t, run(t, c, s), ErrDowngrade)
}

// stub is a mechanism of which only the description matters.
func stub(name string, c Credential) Mechanism {
	return Mechanism{Name: name, Credential: c, NewClient: func(*ClientConfig) (Client, error) { return nil, nil }}
}

// TestSelectCredentials: a mechanism is chosen only by who has what it needs.
func TestSelectCredentials(t *testing.T) {
	external, anonymous, bearer := stub("EXTERNAL", CertificateCredential), stub("ANONYMOUS", NoCredential), stub("OAUTHBEARER", TokenCredential)
	bearer.Plaintext = true
	mechs := append(append([]Mechanism{external}, Default()...), bearer, Plain(), anonymous)
	all := []string{"ANONYMOUS", "PLAIN", "OAUTHBEARER", "EXTERNAL", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}
	without := func(names ...string) (rest []string) {
		for _, n := range all {
			if !strings.Contains(strings.Join(names, " "), n) {
				rest = append(rest, n)
			}
		}
		return rest
	}
	for _, row := range []struct {
		name        string
		offered     []string
		credentials []Credential
		bindings    []Binding
		want        string // empty: ErrNoMechanism
	}{
		{"nil: a password", all, nil, nil, "SCRAM-SHA-1"},
		{"nil, no mechanism for passwords", []string{"EXTERNAL", "ANONYMOUS", "OAUTHBEARER"}, nil, nil, ""},
		{"none", all, []Credential{}, nil, ""},
		{"certificate", all, []Credential{CertificateCredential}, nil, "EXTERNAL"},
		{"certificate before -PLUS", all, []Credential{PasswordCredential, CertificateCredential}, []Binding{exporter}, "EXTERNAL"},
		{"certificate, EXTERNAL not offered", without("EXTERNAL"), []Credential{CertificateCredential}, nil, ""},
		{"certificate and password, EXTERNAL not offered", without("EXTERNAL"), []Credential{CertificateCredential, PasswordCredential}, []Binding{exporter}, "SCRAM-SHA-1-PLUS"},
		{"token", all, []Credential{TokenCredential}, nil, "OAUTHBEARER"},
		{"token and password", all, []Credential{TokenCredential, PasswordCredential}, nil, "SCRAM-SHA-1"},
		{"token before PLAIN", []string{"PLAIN", "OAUTHBEARER"}, []Credential{TokenCredential, PasswordCredential}, nil, "OAUTHBEARER"},
		{"a token of the server's own is no bearer token", all, []Credential{FastTokenCredential}, nil, ""},
		{"password does not make anonymous", []string{"ANONYMOUS"}, []Credential{PasswordCredential, TokenCredential, CertificateCredential}, nil, ""},
		{"anonymous", all, []Credential{NoCredential}, nil, "ANONYMOUS"},
		{"anonymous if there is nothing else", []string{"ANONYMOUS"}, []Credential{PasswordCredential, NoCredential}, nil, "ANONYMOUS"},
		// XEP-0440 §3: the rules are for who uses -PLUS.
		{"certificate alone, types without -PLUS", []string{"EXTERNAL"}, []Credential{CertificateCredential}, []Binding{exporter}, "EXTERNAL"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, _, err := Select(mechs, row.offered, Policy{Secure: true, Credentials: row.credentials, Bindings: row.bindings, ServerTypes: []string{TLSExporter}})
			if row.want == "" {
				require.ErrorIs(t, err, ErrNoMechanism)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, m.Name)
		})
	}
	t.Run("a bearer token needs a secure channel", func(t *testing.T) {
		_, _, err := Select(mechs, all, Policy{Credentials: []Credential{TokenCredential}})
		require.ErrorIs(t, err, EncryptionRequired)
	})
	t.Run("a bearer token keeps its place before -PLUS", func(t *testing.T) {
		p := Policy{Secure: true, Credentials: []Credential{TokenCredential, PasswordCredential}, Bindings: []Binding{exporter}}
		m, _, err := Select(append([]Mechanism{bearer}, Default()...), all, p)
		require.NoError(t, err)
		require.Equal(t, "OAUTHBEARER", m.Name)
	})
	t.Run("an offer in doubt gets no bearer token and no password", func(t *testing.T) {
		p := Policy{Secure: true, Credentials: []Credential{TokenCredential, PasswordCredential}, Bindings: []Binding{exporter}, ServerTypes: []string{"x"}}
		m, _, err := Select(append([]Mechanism{bearer, Plain()}, Default()...), all, p)
		require.NoError(t, err)
		require.Equal(t, "SCRAM-SHA-1", m.Name)
		digest := stub("DIGEST-MD5", PasswordCredential)
		digest.Plaintext = true
		hashed := stub("X-HASHED", PasswordCredential) // of another family, which proves no offer
		hashed.Hash = SHA1
		_, _, err = Select([]Mechanism{bearer, Plain(), digest, hashed, ScramPlus(SHA1)}, append(all, "DIGEST-MD5", "X-HASHED"), p)
		require.ErrorIs(t, err, ErrDowngrade)
	})
}

// TestSelectFast: the list of FAST (XEP-0484 §3.1).
func TestSelectFast(t *testing.T) {
	all := []string{"HT-SHA-256-NONE", "HT-SHA-256-ENDP", "HT-SHA-256-UNIQ", "HT-SHA-256-EXPR"}
	for _, row := range []struct {
		name     string
		offered  []string
		bindings []Binding
		want     string
		binding  Binding
		err      error
	}{
		{"TLS 1.3", all, []Binding{endPoint, exporter}, "HT-SHA-256-EXPR", exporter, nil},
		{"TLS 1.2", all, []Binding{unique, endPoint}, "HT-SHA-256-UNIQ", unique, nil},
		{"tls-server-end-point", all, []Binding{endPoint}, "HT-SHA-256-ENDP", endPoint, nil},
		{"no binding here", all, nil, "HT-SHA-256-NONE", Binding{}, nil},
		{"the one of the mechanism, not the strongest", []string{"HT-SHA-256-NONE", "HT-SHA-256-ENDP"}, []Binding{exporter, endPoint}, "HT-SHA-256-ENDP", endPoint, nil},
		{"no type that fits", []string{"HT-SHA-256-NONE", "HT-SHA-256-UNIQ"}, []Binding{exporter}, "HT-SHA-256-NONE", exporter, nil},
		// XEP-0440 §3, rule 5.
		{"bindings taken away", []string{"HT-SHA-256-NONE"}, []Binding{exporter}, "", Binding{}, ErrDowngrade},
		{"nothing offered that fits", []string{"HT-SHA-256-UNIQ"}, []Binding{exporter}, "", Binding{}, ErrNoMechanism},
		{"names that look like it", []string{"HT-SHA-256-EXPRX", "HTX-EXPR", "HT"}, []Binding{exporter}, "", Binding{}, ErrDowngrade},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Policy{Secure: true, Bindings: row.bindings, ServerTypes: []string{TLSExporter, TLSServerEndPoint}, RequireServerTypes: true,
				Credentials: []Credential{FastTokenCredential}}
			m, b, err := Select(FastMechanisms(), row.offered, p)
			if row.err != nil {
				require.ErrorIs(t, err, row.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, row.want, m.Name)
			require.Equal(t, row.binding, b)
			newClient(t, m, &ClientConfig{Username: "u", Token: "t", Secure: true, Binding: b})
			p.Secure = false
			_, _, err = Select(FastMechanisms(), row.offered, p)
			require.ErrorIs(t, err, EncryptionRequired)
		})
	}
	t.Run("not for who has a password only", func(t *testing.T) {
		_, _, err := Select(FastMechanisms(), all, Policy{Secure: true})
		require.ErrorIs(t, err, ErrNoMechanism)
	})
	t.Run("does not count as -PLUS", func(t *testing.T) {
		p := Policy{Secure: true, Bindings: []Binding{exporter}, Credentials: []Credential{FastTokenCredential, PasswordCredential}}
		m, _, err := Select(append([]Mechanism{Scram(SHA256)}, FastMechanisms()...), append(all, "SCRAM-SHA-256"), p)
		require.NoError(t, err)
		require.Equal(t, "SCRAM-SHA-256", m.Name)
	})
}

// TestSelectInDoubt: XEP-0474 §7, rule 6 and RFC 5802 §6, where the rules meet.
func TestSelectInDoubt(t *testing.T) {
	t.Run("a certificate reveals nothing", func(t *testing.T) {
		p := Policy{Secure: true, Bindings: []Binding{exporter}, ServerTypes: []string{"x"}, Credentials: []Credential{PasswordCredential, CertificateCredential}}
		m, _, err := Select(append(Default(), External()), []string{"EXTERNAL", "SCRAM-SHA-1-PLUS"}, p)
		require.NoError(t, err)
		require.Equal(t, "EXTERNAL", m.Name)
	})
	t.Run("guess", func(t *testing.T) {
		// RFC 5802 §6.1: the default, wherever it stands.
		for _, own := range [][]Binding{{unique, exporter}, {exporter, unique}, {unique}} {
			_, b, err := Select(Default(), []string{"SCRAM-SHA-1-PLUS"}, Policy{Bindings: own})
			require.NoError(t, err)
			require.Equal(t, unique, b)
		}
	})
	t.Run("-PLUS of another hash, with a type in common", func(t *testing.T) {
		cfg := &ClientConfig{Username: "u", Password: "p", Binding: exporter, Offered: []string{"SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"}, OfferedTypes: []string{TLSExporter}}
		require.True(t, strings.HasPrefix(string(send(t, newClient(t, Scram(SHA1), cfg), nil)), "y,"))
	})
}
