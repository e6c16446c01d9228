package sasl

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// testS12: RFC 5802 §6: a client that saw no -PLUS where there was one MUST be refused.
func testS12(t *testing.T) {
	const first = "y,,n=user,r=abc"
	for _, row := range []struct {
		name     string
		bindings []Binding
		offered  []string
		refused  bool
	}{
		{"offered", []Binding{testBinding}, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}, true},
		{"another -PLUS offered", []Binding{testBinding}, []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256"}, true},
		{"offer not told", []Binding{testBinding}, nil, true},
		{"offered without a binding", nil, []string{"SCRAM-SHA-256-PLUS"}, true},
		{"switched off", []Binding{testBinding}, []string{"SCRAM-SHA-256"}, false},
		{"no binding", nil, nil, false},
	} {
		t.Run("server/"+row.name, func(t *testing.T) {
			scfg := serverConfig()
			scfg.Bindings, scfg.Offered = row.bindings, row.offered
			s := newServer(t, Scram(SHA256), scfg)
			if row.refused {
				fail(t, s, first, NotAuthorized, ErrDowngrade)
				return
			}
			challenge := string(send(t, s, []byte(first)))
			r, _, _ := strings.Cut(challenge, ",")
			_, done, err := s.Next(t.Context(), []byte(sign(SHA256, first, challenge, "c=eSws,"+r)))
			require.NoError(t, err)
			require.True(t, done)
		})
	}
	t.Run("client/-PLUS offered, not used", func(t *testing.T) {
		_, err := Scram(SHA256).NewClient(clientConfig())
		require.ErrorIs(t, err, Aborted)
		require.ErrorIs(t, err, ErrDowngrade)
	})
	// An attacker between the two who removes the -PLUS names.
	t.Run("stripped", func(t *testing.T) {
		offered := []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}
		for _, seen := range [][]string{{"SCRAM-SHA-256"}, {"SCRAM-SHA-256", "BOGUS-PLUS"}} {
			m, b, err := Select(Default(), seen, Policy{Bindings: []Binding{testBinding}})
			require.NoError(t, err)
			ccfg, scfg := clientConfig(), serverConfig()
			ccfg.Binding, ccfg.Offered, scfg.Offered = b, seen, offered
			require.ErrorIs(t, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)), ErrDowngrade)
		}
	})
}

// testS13: RFC 5802 §6, XEP-0440 §3: which flag a client sends.
func testS13(t *testing.T) {
	plus := []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}
	for _, row := range []struct {
		name     string
		mechs    []Mechanism
		offered  []string
		bindings []Binding
		flag     string
	}{
		{"client can, server cannot", Default(), plus[:1], []Binding{testBinding}, "y,"},
		{"client can, server offers another -PLUS", Default(), []string{"SCRAM-SHA-1", "X-PLUS"}, []Binding{testBinding}, "y,"},
		{"client cannot, server cannot", Default(), plus[:1], nil, "n,"},
		{"client cannot, server can", Default(), plus, nil, "n,"},
		{"client has no -PLUS mechanism", []Mechanism{Scram(SHA1)}, plus, []Binding{testBinding}, "n,"},
		{"client has an empty binding", Default(), plus, []Binding{{TLSExporter, nil}}, "n,"},
		{"both can", Default(), plus, []Binding{testBinding}, "p=tls-exporter,"},
	} {
		t.Run("client/"+row.name, func(t *testing.T) {
			m, b, err := Select(row.mechs, row.offered, Policy{Bindings: row.bindings})
			require.NoError(t, err)
			c := newClient(t, m, &ClientConfig{Username: "u", Password: "p", Binding: b, Offered: row.offered})
			require.True(t, strings.HasPrefix(string(send(t, c, nil)), row.flag))
		})
	}
}

// testS14: RFC 5802 §6: flags that contradict the mechanism, and types that the connection does not
// have.
func testS14(t *testing.T) {
	tls13 := func() *ServerConfig { // TLS 1.3 has no tls-unique
		cfg := serverConfig()
		cfg.Offered = []string{"SCRAM-SHA-1-PLUS"}
		return cfg
	}
	for _, row := range []struct {
		mech  Mechanism
		first string
		want  error
	}{
		{ScramPlus(SHA1), "n,,n=user,r=abc", MalformedRequest},
		{ScramPlus(SHA1), "y,,n=user,r=abc", MalformedRequest},
		{Scram(SHA1), "p=tls-exporter,,n=user,r=abc", MalformedRequest},
		{ScramPlus(SHA1), "p=tls-unique,,n=user,r=abc", NotAuthorized},
		{ScramPlus(SHA1), "p=unknown,,n=user,r=abc", NotAuthorized},
		{ScramPlus(SHA1), "p=TLS-EXPORTER,,n=user,r=abc", NotAuthorized},
		{ScramPlus(SHA1), "p=tls-exporter.,,n=user,r=abc", NotAuthorized},
	} {
		t.Run("server/"+row.mech.Name+" "+row.first, func(t *testing.T) {
			err := fail(t, newServer(t, row.mech, tls13()), row.first, row.want, ErrChannelBinding)
			// Not an oracle: a name without an account gets the same answer.
			other := fail(t, newServer(t, row.mech, tls13()), strings.Replace(row.first, "n=user", "n=nobody", 1), row.want, ErrChannelBinding)
			require.Equal(t, err, other)
		})
	}
	t.Run("server/no binding", func(t *testing.T) {
		_, err := ScramPlus(SHA1).NewServer(serverConfigNoBinding())
		require.ErrorIs(t, err, InvalidMechanism)
		cfg := serverConfig()
		cfg.Bindings = []Binding{{TLSExporter, nil}}
		fail(t, newServer(t, ScramPlus(SHA1), cfg), "p=tls-exporter,,n=user,r=abc", NotAuthorized, ErrChannelBinding)
	})
	t.Run("client", func(t *testing.T) {
		for _, b := range []Binding{{}, {TLSExporter, nil}, {"", []byte("x")}, {"a,b", []byte("x")}, {"a=b", []byte("x")}} {
			cfg := clientConfig()
			cfg.Binding = b
			_, err := ScramPlus(SHA1).NewClient(cfg)
			require.ErrorIs(t, err, ErrChannelBinding)
		}
	})
}

// testS18: the value of "c" is compared whole, as text (RFC 5802 §6).
func testS18(t *testing.T) {
	data := string(testBinding.Data)
	for _, row := range []struct {
		name, gs2 string
		c         []string
	}{
		{"y", "y,,", []string{b64("n,,"), b64("y,,x"), b64("y,"), b64("y,a=user,"), b64("p=tls-exporter,," + data), "eSws====", "eSwsAA==", "x"}},
		{"n", "n,,", []string{b64("y,,"), b64("n,,\x00"), b64("n,"), b64("n,,n=user"), "biw", "biws,biws"[:5], "!!!!"}},
		{"p", "p=tls-exporter,,", []string{
			b64("n,,"), b64("y,,"), b64("p=tls-exporter,,"), b64("p=tls-exporter,," + data[:len(data)-1]), b64("p=tls-exporter,," + data + "x"),
			b64("p=tls-exporter,," + data + data), b64("p=tls-exporter,,x" + data[1:]), b64("p=tls-server-end-point,," + data),
			b64("p=tls-server-end-point,,certificate hash"), b64("p=tls-exporter,a=user," + data),
			b64("p=tls-exporter,,"+data) + "AAAA", b64("p=tls-exporter,,"+data) + "=",
		}},
	} {
		m, scfg := Scram(SHA256), serverConfigNoBinding()
		want := b64(row.gs2)
		if row.name == "p" {
			m, scfg, want = ScramPlus(SHA256), serverConfig(), b64(row.gs2+data)
		}
		first := row.gs2 + "n=user,r=abc"
		for _, c := range append([]string{want}, row.c...) {
			t.Run("server/"+row.name+"/"+c, func(t *testing.T) {
				s := newServer(t, m, scfg)
				challenge := string(send(t, s, []byte(first)))
				r, _, _ := strings.Cut(challenge, ",")
				msg := sign(SHA256, first, challenge, "c="+c+","+r)
				if c == want && !slices.Contains(row.c, c) {
					_, done, err := s.Next(t.Context(), []byte(msg))
					require.NoError(t, err)
					require.True(t, done)
					return
				}
				out, done, err := s.Next(t.Context(), []byte(msg))
				require.Error(t, err)
				require.False(t, done)
				require.Nil(t, out)
				require.Zero(t, s.Identity())
			})
		}
	}
	// The same attack from the other end: two connections whose bindings differ.
	t.Run("relayed", func(t *testing.T) {
		for _, h := range hashes {
			ccfg := clientConfig()
			ccfg.Binding.Data = []byte("another connection..")
			require.ErrorIs(t, run(t, newClient(t, ScramPlus(h), ccfg), newServer(t, ScramPlus(h), serverConfig())), ErrChannelBinding)
		}
	})
}
