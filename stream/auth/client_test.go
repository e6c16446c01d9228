package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// What the user has decides what is used, where the server has everything.
func TestClientUsesWhatThereIs(t *testing.T) {
	all := []string{"EXTERNAL", "SCRAM-SHA-256-PLUS", "OAUTHBEARER"}
	get := func(context.Context) (string, error) { return "r0m30", nil }
	for name, c := range map[string]struct {
		o    auth.ClientOptions
		want string
	}{
		"token":                        {auth.ClientOptions{Token: "x"}, "OAUTHBEARER"},
		"token and password":           {auth.ClientOptions{Token: "x", Password: "x"}, "SCRAM-SHA-256-PLUS"},
		"token and password to ask":    {auth.ClientOptions{Token: "x", GetPassword: get}, "SCRAM-SHA-256-PLUS"},
		"token and keys":               {auth.ClientOptions{Token: "x", Cache: new(sasl.MemoryKeyCache)}, "SCRAM-SHA-256-PLUS"},
		"token to ask, password to do": {auth.ClientOptions{GetToken: get, GetPassword: get}, "SCRAM-SHA-256-PLUS"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := offered(t, &c.o, tls13(), all...)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

// Without TLS, nothing that a TLS layer is said to have done counts.
func TestClientWithoutTLSHasNoCertificates(t *testing.T) {
	for mechanism, o := range map[string]*auth.ClientOptions{
		"PLAIN":    {Password: "r0m30", AllowPlain: true, InsecureWithoutTLS: true},
		"EXTERNAL": {InsecureWithoutTLS: true},
	} {
		io := clientWith(o)
		io.Profile, io.Security = insecureProfile, &stream.Security{Verified: true, OwnCertificate: true}
		p, done := scriptedServer(t, io)
		p.expect("'>")
		p.send(serverHeader + features(mechanism))
		out, err := p.end(done)
		require.ErrorIs(t, err, sasl.ErrNoMechanism)
		require.NotContains(t, out, "<auth")
	}
}

// Nothing is sent when there is nothing to send, and why is told.
func TestClientSaysWhyItDidNotBegin(t *testing.T) {
	no := errors.New("the user went home")
	get := func(context.Context) (string, error) { return "", no }
	_, err := offered(t, &auth.ClientOptions{GetPassword: get, AllowPlain: true}, tls13(), "PLAIN")
	require.ErrorIs(t, err, no)
	_, err = offered(t, &auth.ClientOptions{GetToken: get}, tls13(), "OAUTHBEARER")
	require.ErrorIs(t, err, no)
	var many []string
	for i := range 65 {
		many = append(many, fmt.Sprintf("X-%d", i))
	}
	_, err = offered(t, &auth.ClientOptions{Password: "r0m30"}, tls13(), many...)
	require.ErrorIs(t, err, auth.ErrProtocol)
}

// Options belong to who made them.
func TestClientOptionsAreCopied(t *testing.T) {
	mechs := []sasl.Mechanism{sasl.Plain(), sasl.Scram(sasl.SHA256)}
	auth.Client(&auth.ClientOptions{Mechanisms: mechs})
	require.Equal(t, "PLAIN", mechs[0].Name)
	require.Equal(t, "SCRAM-SHA-256", mechs[1].Name)
}

// nobodysCredentials fails the test when it is asked about nobody.
type nobodysCredentials struct {
	auth.MemoryCredentials
	t *testing.T
}

func (c *nobodysCredentials) Load(ctx context.Context, account jid.JID) (auth.Credentials, error) {
	if account.Local() == "" {
		c.t.Error("asked about nobody") // not FailNow: this is the client's goroutine
	}
	return c.MemoryCredentials.Load(ctx, account)
}

// Whose credentials are remembered.
func TestCredentialsAreThoseOfTheAccount(t *testing.T) {
	t.Run("of nobody there are none", func(t *testing.T) {
		creds := &nobodysCredentials{t: t}
		io := clientWith(&auth.ClientOptions{Mechanisms: []sasl.Mechanism{sasl.Anonymous()}, Credentials: creds})
		io.From = jid.JID{}
		client, _ := negotiate(t, io, serverWith(&auth.ServerOptions{Anonymous: auth.RandomAccount}))
		require.NoError(t, client.err)
		require.Equal(t, "auth.MemoryCredentials{0 accounts}", fmt.Sprint(creds))
	})
	// Some servers take the address of a mailbox for a user name: that is no reason to forget the floor.
	mailbox := "juliet@mail.example"
	t.Run("a user name that is no localpart", func(t *testing.T) {
		creds := new(auth.MemoryCredentials)
		require.NoError(t, creds.Save(t.Context(), juliet, auth.Credentials{Floor: sasl.Bound}))
		_, err := offered(t, &auth.ClientOptions{Username: mailbox, Password: "r0m30", Credentials: creds}, tls13(), "SCRAM-SHA-256")
		require.ErrorIs(t, err, sasl.ErrDowngrade)
	})
	t.Run("a user name that is no localpart, of another", func(t *testing.T) {
		creds := &nobodysCredentials{t: t}
		require.NoError(t, creds.Save(t.Context(), juliet, auth.Credentials{Floor: sasl.Bound}))
		got, err := offered(t, &auth.ClientOptions{Username: mailbox, AuthzID: juliet, Password: "r0m30", Credentials: creds}, tls13(), "SCRAM-SHA-256")
		require.NoError(t, err)
		require.Equal(t, "SCRAM-SHA-256", got)
	})
}

// Mechanisms that cannot work are not offered, listed or not.
func TestServerOffersWhatWorks(t *testing.T) {
	mechs := []sasl.Mechanism{{Name: "X-CLIENT-ONLY"}, sasl.OAuthBearer(), sasl.Scram(sasl.SHA256)}
	mechs = append(mechs, sasl.FastMechanisms()...)
	p, _ := scriptedClient(t, serverWith(&auth.ServerOptions{
		Store: store(t), Mechanisms: mechs,
		Bearer: func(context.Context, jid.JID, sasl.BearerToken) (jid.JID, error) { return juliet, nil },
	}))
	p.send(clientHeader)
	out := p.expect("</stream:features>")
	require.Contains(t, out, "<mechanism>OAUTHBEARER</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>")
	require.Equal(t, 2, strings.Count(out, "<mechanism>"), out)
}
