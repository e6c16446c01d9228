package sasl

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStrength(t *testing.T) {
	external, anonymous, bearer, digest := stub("EXTERNAL", CertificateCredential), stub("ANONYMOUS", NoCredential), stub("OAUTHBEARER", TokenCredential), stub("DIGEST-MD5", PasswordCredential)
	bearer.Plaintext, digest.Plaintext = true, true
	for _, row := range []struct {
		mech          Mechanism
		strength, pin Strength
	}{
		{anonymous, AnyStrength, AnyStrength},
		{Plain(), RevealsSecret, RevealsSecret},
		{bearer, RevealsSecret, AnyStrength},
		{digest, WeakHash, WeakHash},
		{Scram(SHA1), Hashed, Hashed},
		{Scram(SHA512), Hashed, Hashed},
		{HT(SHA256, ""), Hashed, AnyStrength},
		{HT(SHA256, TLSServerEndPoint), Bound, AnyStrength},
		{HT(SHA256, TLSExporter), Bound, AnyStrength},
		{ScramPlus(SHA1), Bound, Bound},
		{external, Bound, Hashed},
		{Mechanism{Name: "X", Plaintext: true, ChannelBinding: true}, RevealsSecret, RevealsSecret},
	} {
		require.Equal(t, row.strength, row.mech.Strength(), row.mech.Name)
		require.Equal(t, row.pin, row.mech.Pin(), row.mech.Name)
		require.LessOrEqual(t, row.pin, row.strength)
	}
	order := []Strength{AnyStrength, RevealsSecret, WeakHash, Hashed, Bound}
	for i, s := range order {
		require.EqualValues(t, i, s)
		text, err := s.MarshalText()
		require.NoError(t, err)
		require.Equal(t, s.String(), string(text))
		back := Strength(77)
		require.NoError(t, back.UnmarshalText(text))
		require.Equal(t, s, back)
	}
	require.Zero(t, Policy{}.Floor)
	require.Equal(t, "unknown", Strength(len(order)).String())
	_, err := Strength(len(order)).MarshalText()
	require.ErrorIs(t, err, ErrConfig)
	for _, text := range []string{"", "0", "Bound", "bound ", "unknown"} {
		s := Bound
		require.ErrorIs(t, s.UnmarshalText([]byte(text)), ErrConfig, "a floor that cannot be read is not taken for none")
		require.Equal(t, Bound, s)
	}
}

// TestFloor: XEP-0474 §7: a client that has used something stronger does not fall back, even if there is
// nothing else.
func TestFloor(t *testing.T) {
	mechs := append(append([]Mechanism{stub("EXTERNAL", CertificateCredential)}, Default()...), stub("DIGEST-MD5", PasswordCredential), Plain(), stub("ANONYMOUS", NoCredential))
	everything := []Credential{PasswordCredential, CertificateCredential, NoCredential}
	own := []Binding{exporter}
	for _, row := range []struct {
		name     string
		floor    Strength
		offered  []string
		bindings []Binding
		want     string // empty: ErrDowngrade
	}{
		{"no floor", AnyStrength, []string{"PLAIN"}, own, "PLAIN"},
		{"no floor, anonymous", AnyStrength, []string{"ANONYMOUS"}, own, "ANONYMOUS"},
		{"was PLAIN, anonymous", RevealsSecret, []string{"ANONYMOUS"}, own, ""},
		{"was PLAIN", RevealsSecret, []string{"PLAIN", "ANONYMOUS"}, own, "PLAIN"},
		{"was DIGEST-MD5, PLAIN", WeakHash, []string{"PLAIN"}, own, ""},
		{"was DIGEST-MD5", WeakHash, []string{"PLAIN", "DIGEST-MD5"}, own, "DIGEST-MD5"},
		{"was SCRAM, PLAIN alone", Hashed, []string{"PLAIN"}, own, ""},
		{"was SCRAM, weak ones alone", Hashed, []string{"PLAIN", "DIGEST-MD5", "ANONYMOUS", "X"}, own, ""},
		{"was SCRAM, another hash", Hashed, []string{"PLAIN", "SCRAM-SHA-1"}, own, "SCRAM-SHA-1"},
		{"was SCRAM, bound now", Hashed, []string{"PLAIN", "SCRAM-SHA-1-PLUS"}, own, "SCRAM-SHA-1-PLUS"},
		{"was bound, no -PLUS", Bound, []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512"}, own, ""},
		{"was bound, this connection cannot", Bound, []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, nil, ""},
		{"was bound", Bound, []string{"SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"}, own, "SCRAM-SHA-1-PLUS"},
		{"was bound, EXTERNAL", Bound, []string{"SCRAM-SHA-512", "EXTERNAL"}, own, "EXTERNAL"},
		{"a floor of the future", Bound + 1, []string{"SCRAM-SHA-1-PLUS", "EXTERNAL"}, own, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := Policy{Secure: true, Bindings: row.bindings, Floor: row.floor, Credentials: everything}
			m, b, err := Select(mechs, row.offered, p)
			if row.want != "" {
				require.NoError(t, err)
				require.Equal(t, row.want, m.Name)
				return
			}
			require.ErrorIs(t, err, Aborted)
			require.ErrorIs(t, err, ErrDowngrade)
			require.ErrorContains(t, err, "("+row.floor.String()+")")
			require.Nil(t, m.NewClient)
			require.Zero(t, b)
			// On a channel that is not secure the floor counts too: EncryptionRequired would be a way round it.
			p.Secure = false
			_, _, err = Select(mechs, row.offered, p)
			require.ErrorIs(t, err, ErrDowngrade)
		})
	}
	t.Run("was bound, no common type", func(t *testing.T) {
		_, _, err := Select(mechs, []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, Policy{Bindings: own, ServerTypes: []string{"x"}, Floor: Bound})
		require.ErrorIs(t, err, ErrDowngrade)
	})
	t.Run("nothing in common is no downgrade", func(t *testing.T) {
		_, _, err := Select(Default(), []string{"PLAIN"}, Policy{Secure: true, Floor: Hashed})
		require.ErrorIs(t, err, ErrNoMechanism)
	})
}
