package sasl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	exporter = Binding{TLSExporter, []byte("e")}
	unique   = Binding{TLSUnique, []byte("u")}
	endPoint = Binding{TLSServerEndPoint, []byte("s")}
)

func TestSelect(t *testing.T) {
	all := []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "X-OTHER"}
	withPlain := append(Default(), Plain())
	external := Mechanism{Name: "EXTERNAL", NewClient: func(*ClientConfig) (Client, error) { return nil, nil }}
	serverOnly := Mechanism{Name: "SCRAM-SHA-512"}
	for _, row := range []struct {
		name    string
		mechs   []Mechanism
		offered []string
		policy  Policy
		mech    string
		binding Binding
	}{
		{"all", Default(), all, Policy{Bindings: []Binding{exporter}, ServerTypes: []string{TLSExporter}}, "SCRAM-SHA-512-PLUS", exporter},
		{"binding before hash", Default(), []string{"SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"}, Policy{Bindings: []Binding{exporter}}, "SCRAM-SHA-1-PLUS", exporter},
		{"own order of types", Default(), all, Policy{Bindings: []Binding{exporter, endPoint}, ServerTypes: []string{TLSServerEndPoint, TLSExporter}}, "SCRAM-SHA-512-PLUS", exporter},
		{"weaker common type", Default(), all, Policy{Bindings: []Binding{exporter, endPoint}, ServerTypes: []string{TLSServerEndPoint, TLSUnique}}, "SCRAM-SHA-512-PLUS", endPoint},
		{"types not announced, TLS 1.2", Default(), all, Policy{Bindings: []Binding{exporter, unique, endPoint}}, "SCRAM-SHA-512-PLUS", unique},
		{"types not announced, TLS 1.3", Default(), all, Policy{Bindings: []Binding{endPoint, exporter}}, "SCRAM-SHA-512-PLUS", exporter},
		{"types not announced, end point only", Default(), all, Policy{Bindings: []Binding{endPoint}}, "SCRAM-SHA-512-PLUS", endPoint},
		{"no binding", Default(), all, Policy{}, "SCRAM-SHA-512", Binding{}},
		{"no binding, types announced", Default(), all, Policy{ServerTypes: []string{TLSExporter}, RequireServerTypes: true}, "SCRAM-SHA-512", Binding{}},
		{"no -PLUS offered", Default(), []string{"SCRAM-SHA-1", "SCRAM-SHA-256"}, Policy{Bindings: []Binding{exporter}}, "SCRAM-SHA-256", exporter},
		{"nil binding is none", Default(), all, Policy{Bindings: []Binding{{TLSExporter, nil}, endPoint}}, "SCRAM-SHA-512-PLUS", endPoint},
		{"a type with an impossible name", Default(), all, Policy{Bindings: []Binding{{"a,b", []byte("x")}, endPoint}}, "SCRAM-SHA-512-PLUS", endPoint},
		{"only a type with an impossible name", Default(), all, Policy{Bindings: []Binding{{"a,b", []byte("x")}}}, "SCRAM-SHA-512", Binding{}},
		{"unbound preferred, bound chosen", []Mechanism{Scram(SHA512), Plain(), ScramPlus(SHA1)}, all, Policy{Bindings: []Binding{exporter}, Secure: true}, "SCRAM-SHA-1-PLUS", exporter},
		{"EXTERNAL keeps its place", append([]Mechanism{external}, Default()...), append(all, "EXTERNAL"), Policy{Bindings: []Binding{exporter}}, "EXTERNAL", exporter},
		{"no client side", append([]Mechanism{serverOnly}, Scram(SHA1)), all, Policy{}, "SCRAM-SHA-1", Binding{}},
		{"PLAIN last", withPlain, all, Policy{Secure: true}, "SCRAM-SHA-512", Binding{}},
		{"PLAIN alone", withPlain, []string{"PLAIN"}, Policy{Secure: true}, "PLAIN", Binding{}},
	} {
		t.Run(row.name, func(t *testing.T) {
			m, b, err := Select(row.mechs, row.offered, row.policy)
			require.NoError(t, err)
			require.Equal(t, row.mech, m.Name)
			require.Equal(t, row.binding, b)
		})
	}
	for _, row := range []struct {
		name      string
		mechs     []Mechanism
		offered   []string
		policy    Policy
		condition error
		cause     error
	}{
		{"nothing offered", Default(), nil, Policy{}, InvalidMechanism, ErrNoMechanism},
		{"nothing common", Default(), []string{"X-A", "X-B"}, Policy{}, InvalidMechanism, ErrNoMechanism},
		{"PLAIN not wanted", Default(), []string{"PLAIN"}, Policy{Secure: true}, InvalidMechanism, ErrNoMechanism},
		{"PLAIN not secure", withPlain, []string{"PLAIN"}, Policy{}, EncryptionRequired, ErrNoMechanism},
		{"only -PLUS, no binding", Default(), []string{"SCRAM-SHA-1-PLUS"}, Policy{}, InvalidMechanism, ErrNoMechanism},
		{"-PLUS of the hash not wanted", []Mechanism{ScramPlus(SHA256), Scram(SHA1)}, []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"},
			Policy{Bindings: []Binding{exporter}}, InvalidMechanism, ErrNoMechanism},
		{"case matters", Default(), []string{"scram-sha-1"}, Policy{}, InvalidMechanism, ErrNoMechanism},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, _, err := Select(row.mechs, row.offered, row.policy)
			require.ErrorIs(t, err, row.condition)
			require.ErrorIs(t, err, row.cause)
		})
	}
	t.Run("error lists what was offered, within bounds", func(t *testing.T) {
		_, _, err := Select(nil, []string{"X-A", "X\nB"}, Policy{})
		require.ErrorContains(t, err, `"X-A", "X\nB"`)
		long := strings.Repeat("Ж", 1000)
		_, _, err = Select(nil, strings.Split(strings.Repeat(long+",", 1000), ","), Policy{})
		require.ErrorContains(t, err, "and 993 more")
		require.Less(t, len(err.Error()), 8*6*maxQuoted)
	})
	t.Run("arguments are left alone", func(t *testing.T) {
		p := Policy{Bindings: []Binding{{TLSUnique, nil}, exporter}}
		_, _, err := Select(Default(), all, p)
		require.NoError(t, err)
		require.Equal(t, []Binding{{TLSUnique, nil}, exporter}, p.Bindings)
	})
}

func TestDefault(t *testing.T) {
	var names []string
	for _, m := range Default() {
		names = append(names, m.Name)
		require.False(t, m.Plaintext)
		require.Equal(t, m.Name, m.String())
	}
	require.Equal(t, []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"}, names)
}
