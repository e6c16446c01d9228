package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// plainUpgrader is a store with nothing but what is needed.
type plainUpgrader struct{ sasl.KeyStore }

func (plainUpgrader) UpgradeKeys(context.Context, string, sasl.Keys) error { return nil }

// countingUpgrader says which iteration count its accounts have.
type countingUpgrader struct{ plainUpgrader }

func (countingUpgrader) KeyIterations() int { return 5000 }

func TestIterationsOfUpgrades(t *testing.T) {
	for _, c := range []struct {
		store  sasl.KeyStore
		option int
		want   int
	}{
		{plainUpgrader{}, 0, sasl.DefaultIterations},
		{plainUpgrader{}, 6000, 6000},
		{countingUpgrader{}, 0, 5000},
		{countingUpgrader{}, 6000, 6000},
	} {
		o := &ServerOptions{SASL2: SASL2ServerOptions{Upgrades: []sasl.Hash{sasl.SHA512}, UpgradeIterations: c.option}}
		require.Equal(t, c.want, o.upgrader(c.store).iterations)
		o.SASL2.Upgrades = nil
		require.Nil(t, o.upgrader(c.store))
	}
}

// A client that cannot have the password sends nothing.
func TestUpgradeWithoutPassword(t *testing.T) {
	boom := errors.New("boom")
	u := upgradeOptions{minIterations: 4096, maxIterations: 4096, password: func(context.Context) (string, error) { return "pencil", boom }}
	run := u.task(sasl.SHA256)
	out, done, err := runTask(t.Context(), run, nil)
	require.NoError(t, err)
	require.False(t, done)
	require.Empty(t, out)
	in := parse2(t, `<task-data`+ns2+`><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'>AAAA</salt></task-data>`)
	_, _, err = runTask(t.Context(), run, in.el)
	require.ErrorIs(t, err, boom)
}

// What a client makes of the salt of an upgrade, and that it has sent nothing when it is not satisfied.
func TestSaltOfUpgrade(t *testing.T) {
	for salt, want := range map[string]error{
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'>AAAA</salt>`:  nil,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='5000'>AAAA</salt>`:  nil,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4095'>AAAA</salt>`:  sasl.ErrIterations,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='5001'>AAAA</salt>`:  sasl.ErrIterations,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='-4096'>AAAA</salt>`: sasl.ErrIterations,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='+4096'>AAAA</salt>`: ErrProtocol,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='04096'>AAAA</salt>`: ErrProtocol,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4e3'>AAAA</salt>`:   ErrProtocol,
		`<salt xmlns='urn:xmpp:scram-upgrade:0'>AAAA</salt>`:                    ErrProtocol,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'>!</salt>`:     errEncoding,
		`<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'/>`:            errContent,
		``: errContent,
	} {
		u := upgradeOptions{minIterations: 4096, maxIterations: 5000, password: func(context.Context) (string, error) { return "pencil", nil }}
		run := u.task(sasl.SHA256)
		_, _, err := runTask(t.Context(), run, nil)
		require.NoError(t, err)
		out, done, err := runTask(t.Context(), run, parse2(t, `<task-data`+ns2+`>`+salt+`</task-data>`).el)
		require.ErrorIs(t, err, want, salt)
		require.Equal(t, want == nil, done)
		require.Equal(t, want == nil, len(out) > 0)
	}
	// A password that cannot be one.
	u := upgradeOptions{minIterations: 4096, maxIterations: 5000, password: func(context.Context) (string, error) { return "\xff", nil }}
	run := u.task(sasl.SHA256)
	_, _, err := runTask(t.Context(), run, nil)
	require.NoError(t, err)
	in := parse2(t, `<task-data`+ns2+`><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'>AAAA</salt></task-data>`)
	out, done, err := runTask(t.Context(), run, in.el)
	require.ErrorIs(t, err, sasl.ErrPassword)
	require.False(t, done)
	require.Empty(t, out)
}

// Each account, and each upgrade, has a salt of its own.
func TestSaltIsRandom(t *testing.T) {
	seen := make(map[string]bool)
	u := &upgrader{iterations: 4096}
	for range 100 {
		run, err := u.task(jid.MustParse("juliet@im.example"), "", sasl.SHA256).Begin(t.Context(), TaskAccount{})
		require.NoError(t, err)
		out, done, err := runTask(t.Context(), run, nil)
		require.NoError(t, err)
		require.False(t, done)
		require.False(t, seen[string(out)])
		seen[string(out)] = true
	}
}

// A client does not go below its own least count for an upgrade either.
func TestUpgradeBounds(t *testing.T) {
	for digits, want := range map[string]error{
		"9999": sasl.ErrIterations, "10000": nil, "10001": nil, "20000": nil, "20001": sasl.ErrIterations, "010000": ErrProtocol, "+10000": ErrProtocol, "": ErrProtocol,
	} {
		u := upgradeOptions{
			password:      func(context.Context) (string, error) { return "pencil", nil },
			minIterations: 10_000, maxIterations: 20_000,
		}
		task := u.task(sasl.SHA1)
		w := stream.NewWriter(nil)
		_, err := task(t.Context(), nil, &w)
		require.NoError(t, err)
		el, err := stream.ParseElement([]byte(`<task-data xmlns='urn:xmpp:sasl:2'><salt xmlns='urn:xmpp:scram-upgrade:0' iterations='`+digits+`'>c2FsdA==</salt></task-data>`), nil)
		require.NoError(t, err)
		done, err := task(t.Context(), el, &w)
		if want != nil {
			require.ErrorIs(t, err, want, digits)
			continue
		}
		require.NoError(t, err, digits)
		require.True(t, done)
	}
}
