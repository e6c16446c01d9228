package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// offered lets a client meet an offer, and returns the mechanism that it chose, or its error.
func offered(t *testing.T, o *auth.ClientOptions, sec *stream.Security, names ...string) (string, error) {
	t.Helper()
	io := clientWith(o)
	io.Security = sec
	p, done := scriptedServer(t, io)
	p.expect("'>")
	p.send(serverHeader + features(names...))
	// Whatever it does, it hears that this was not good enough.
	p.send(`<failure` + xmlns + `><not-authorized/></failure>`)
	out, err := p.end(done)
	require.Error(t, err)
	_, mechanism, sent := strings.Cut(out, "mechanism='")
	mechanism, _, _ = strings.Cut(mechanism, "'")
	if !sent {
		return "", err
	}
	return mechanism, nil
}

// What a login has shown of the server is expected of it ever after.
func TestFloorIsRemembered(t *testing.T) {
	accounts := store(t)
	login := func(t *testing.T, creds auth.CredentialStore, o auth.ServerOptions) {
		o.Store = accounts
		client, _ := negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30", AllowPlain: true, Credentials: creds}), serverWith(&o))
		require.NoError(t, client.err)
	}
	scramOnly := auth.ServerOptions{Mechanisms: []sasl.Mechanism{sasl.Scram(sasl.SHA256)}}
	plainOnly := auth.ServerOptions{Mechanisms: []sasl.Mechanism{}, AllowPlain: true}
	for name, c := range map[string]struct {
		logins []auth.ServerOptions
		floor  sasl.Strength
		offer  []string
		want   string // empty: sasl.ErrDowngrade
	}{
		"bound, then the same":        {logins: []auth.ServerOptions{{}}, floor: sasl.Bound, offer: []string{"SCRAM-SHA-256-PLUS", "PLAIN"}, want: "SCRAM-SHA-256-PLUS"},
		"bound, then another hash":    {logins: []auth.ServerOptions{{}}, floor: sasl.Bound, offer: []string{"SCRAM-SHA-1-PLUS"}, want: "SCRAM-SHA-1-PLUS"},
		"bound, then stripped":        {logins: []auth.ServerOptions{{}}, floor: sasl.Bound, offer: []string{"SCRAM-SHA-256"}},
		"bound, then PLAIN":           {logins: []auth.ServerOptions{{}}, floor: sasl.Bound, offer: []string{"PLAIN"}},
		"bound, then both":            {logins: []auth.ServerOptions{{}}, floor: sasl.Bound, offer: []string{"SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"}},
		"SCRAM, then SCRAM":           {logins: []auth.ServerOptions{scramOnly}, floor: sasl.Hashed, offer: []string{"SCRAM-SHA-1", "PLAIN"}, want: "SCRAM-SHA-1"},
		"SCRAM, then better":          {logins: []auth.ServerOptions{scramOnly}, floor: sasl.Hashed, offer: []string{"SCRAM-SHA-256-PLUS"}, want: "SCRAM-SHA-256-PLUS"},
		"SCRAM, then PLAIN":           {logins: []auth.ServerOptions{scramOnly}, floor: sasl.Hashed, offer: []string{"PLAIN"}},
		"PLAIN, then PLAIN":           {logins: []auth.ServerOptions{plainOnly}, floor: sasl.RevealsSecret, offer: []string{"PLAIN"}, want: "PLAIN"},
		"PLAIN, SCRAM, then PLAIN":    {logins: []auth.ServerOptions{plainOnly, scramOnly}, floor: sasl.Hashed, offer: []string{"PLAIN"}},
		"never: PLAIN will do":        {offer: []string{"PLAIN"}, want: "PLAIN"},
		"never: a binding is for now": {offer: []string{"SCRAM-SHA-256"}, want: "SCRAM-SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			creds := new(auth.MemoryCredentials)
			for _, o := range c.logins {
				login(t, creds, o)
			}
			known, err := creds.Load(t.Context(), juliet)
			require.NoError(t, err)
			require.Equal(t, auth.Credentials{Floor: c.floor}, known)
			got, err := offered(t, &auth.ClientOptions{Password: "r0m30", AllowPlain: true, Credentials: creds}, tls13(), c.offer...)
			require.Equal(t, c.want, got)
			if c.want == "" {
				require.ErrorIs(t, err, sasl.ErrDowngrade)
			}
		})
	}
	// Failing teaches nothing.
	t.Run("failed", func(t *testing.T) {
		creds := new(auth.MemoryCredentials)
		client, _ := negotiate(t, clientWith(&auth.ClientOptions{Password: "wrong", Credentials: creds}), serverWith(&auth.ServerOptions{Store: accounts}))
		require.ErrorIs(t, client.err, sasl.NotAuthorized)
		known, err := creds.Load(t.Context(), juliet)
		require.NoError(t, err)
		require.Zero(t, known)
	})
	// A channel that cannot be bound any more, here because somebody ends TLS with another version, is no excuse.
	t.Run("no binding", func(t *testing.T) {
		creds := new(auth.MemoryCredentials)
		login(t, creds, auth.ServerOptions{})
		sec := tls13()
		sec.Bindings = nil
		_, err := offered(t, &auth.ClientOptions{Password: "r0m30", Credentials: creds}, sec, "SCRAM-SHA-256-PLUS", "SCRAM-SHA-256")
		require.ErrorIs(t, err, sasl.ErrDowngrade)
	})
	// What is remembered of one account is nothing to another.
	t.Run("another account", func(t *testing.T) {
		creds := new(auth.MemoryCredentials)
		login(t, creds, auth.ServerOptions{})
		got, err := offered(t, &auth.ClientOptions{Username: "romeo", Password: "r0m30", Credentials: creds}, tls13(), "SCRAM-SHA-256")
		require.NoError(t, err)
		require.Equal(t, "SCRAM-SHA-256", got)
	})
}

// A floor of the program's own.
func TestFloor(t *testing.T) {
	for name, c := range map[string]struct {
		floor sasl.Strength
		offer []string
		want  string
	}{
		"bound":                {sasl.Bound, []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, "SCRAM-SHA-256-PLUS"},
		"bound, not offered":   {sasl.Bound, []string{"SCRAM-SHA-256", "PLAIN"}, ""},
		"hashed":               {sasl.Hashed, []string{"SCRAM-SHA-256", "PLAIN"}, "SCRAM-SHA-256"},
		"hashed, not offered":  {sasl.Hashed, []string{"PLAIN"}, ""},
		"nothing is above all": {sasl.Hashed, nil, "no mechanism"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := offered(t, &auth.ClientOptions{Password: "r0m30", AllowPlain: true, Floor: c.floor}, tls13(), c.offer...)
			switch c.want {
			case "":
				require.ErrorIs(t, err, sasl.ErrDowngrade)
			case "no mechanism":
				require.ErrorIs(t, err, sasl.ErrNoMechanism)
			default:
				require.NoError(t, err)
				require.Equal(t, c.want, got)
			}
		})
	}
	// The higher one of the two counts.
	for _, pair := range [][2]sasl.Strength{{sasl.Bound, sasl.Hashed}, {sasl.Hashed, sasl.Bound}} {
		creds := new(auth.MemoryCredentials)
		require.NoError(t, creds.Save(t.Context(), juliet, auth.Credentials{Floor: pair[0]}))
		_, err := offered(t, &auth.ClientOptions{Password: "r0m30", Credentials: creds, Floor: pair[1]}, tls13(), "SCRAM-SHA-256")
		require.ErrorIs(t, err, sasl.ErrDowngrade)
	}
}

// fakeCredentials is a store with errors of its own.
type fakeCredentials struct {
	auth.MemoryCredentials
	load, save error
	saved      int
}

func (f *fakeCredentials) Load(ctx context.Context, account jid.JID) (auth.Credentials, error) {
	if f.load != nil {
		return auth.Credentials{}, f.load
	}
	return f.MemoryCredentials.Load(ctx, account)
}

func (f *fakeCredentials) Save(ctx context.Context, account jid.JID, c auth.Credentials) error {
	f.saved++
	if f.save != nil {
		return f.save
	}
	return f.MemoryCredentials.Save(ctx, account, c)
}

func TestCredentialStoreErrors(t *testing.T) {
	t.Run("what cannot be read may forbid it", func(t *testing.T) {
		broken := errors.New("disk on fire")
		_, err := offered(t, &auth.ClientOptions{Password: "r0m30", Credentials: &fakeCredentials{load: broken}}, tls13(), "SCRAM-SHA-256-PLUS")
		require.ErrorIs(t, err, broken)
		require.ErrorIs(t, err, sasl.Aborted)
	})
	t.Run("a stream is not given up for what cannot be written", func(t *testing.T) {
		creds := &fakeCredentials{save: errors.New("disk full")}
		client, server := negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30", Credentials: creds}), serverWith(&auth.ServerOptions{Store: store(t)}))
		require.NoError(t, client.err)
		require.NoError(t, server.err)
		require.Equal(t, 1, creds.saved)
	})
	t.Run("a floor that cannot be read any more is not lowered", func(t *testing.T) {
		creds := &fakeCredentials{}
		o := &auth.ClientOptions{Credentials: creds, GetPassword: func(context.Context) (string, error) {
			creds.load = errors.New("disk on fire") // between the first look and the last
			return "r0m30", nil
		}}
		client, _ := negotiate(t, clientWith(o), serverWith(&auth.ServerOptions{Store: store(t)}))
		require.NoError(t, client.err)
		require.Zero(t, creds.saved)
	})
	t.Run("nothing new, nothing saved", func(t *testing.T) {
		creds := &fakeCredentials{}
		for range 3 {
			client, _ := negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30", Credentials: creds}), serverWith(&auth.ServerOptions{Store: store(t)}))
			require.NoError(t, client.err)
		}
		require.Equal(t, 1, creds.saved)
	})
}

func TestMemoryCredentials(t *testing.T) {
	m := new(auth.MemoryCredentials)
	c, err := m.Load(t.Context(), juliet)
	require.NoError(t, err)
	require.Zero(t, c)
	// Full and bare JIDs are one account; the last one saved counts.
	token := auth.Credentials{Floor: sasl.Bound, Token: auth.FastToken{Mechanism: "HT-SHA-256-EXPR", Token: "x"}}
	require.NoError(t, m.Save(t.Context(), jid.MustParse("juliet@im.example/balcony"), token))
	c, err = m.Load(t.Context(), juliet)
	require.NoError(t, err)
	require.Equal(t, token, c)
	require.NoError(t, m.Save(t.Context(), juliet, auth.Credentials{}))
	c, err = m.Load(t.Context(), juliet)
	require.NoError(t, err)
	require.Zero(t, c)

	// The one that was not saved for the longest time makes room.
	account := func(i int) jid.JID { return jid.MustParse(fmt.Sprintf("user%d@im.example", i)) }
	m = new(auth.MemoryCredentials)
	for i := range 1024 {
		require.NoError(t, m.Save(t.Context(), account(i), token))
	}
	require.NoError(t, m.Save(t.Context(), account(0), token))
	require.NoError(t, m.Save(t.Context(), account(5), token)) // nobody has to go for that
	require.Equal(t, "auth.MemoryCredentials{1024 accounts}", fmt.Sprint(m))
	require.NoError(t, m.Save(t.Context(), juliet, token))
	require.Equal(t, "auth.MemoryCredentials{1024 accounts}", fmt.Sprint(m))
	for who, want := range map[jid.JID]auth.Credentials{account(0): token, account(1): {}, account(2): token, account(5): token, juliet: token} {
		c, err = m.Load(t.Context(), who)
		require.NoError(t, err)
		require.Equal(t, want, c, who)
	}
}

func TestCredentialsArePrintedWithoutSecrets(t *testing.T) {
	c := auth.Credentials{Floor: sasl.Bound, Token: auth.FastToken{
		Mechanism: "HT-SHA-256-EXPR", Token: "s3cr3t", Expires: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
	}}
	require.Equal(t, `auth.Credentials{Floor:bound Token:auth.FastToken{"HT-SHA-256-EXPR" until 2030-01-02T03:04:05Z}}`, fmt.Sprint(c))
	require.Equal(t, "auth.FastToken{none}", fmt.Sprint(auth.FastToken{Mechanism: "X"}))
}
