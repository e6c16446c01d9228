package auth_test

import (
	"context"
	"crypto/md5"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// Each mechanism, from one side to the other.
func TestMechanisms(t *testing.T) {
	accounts := store(t)
	bearer := func(_ context.Context, d jid.JID, token sasl.BearerToken) (jid.JID, error) {
		require.Equal(t, domain, d)
		if token.Token != "dG9rZW4" {
			return jid.JID{}, sasl.ErrUnknownUser
		}
		return juliet, nil
	}
	digest := func(_ context.Context, username, realm string) ([16]byte, string, error) {
		if username != "juliet" || realm != "im.example" {
			return [16]byte{}, "", sasl.ErrUnknownUser
		}
		return md5.Sum([]byte("juliet:im.example:r0m30")), username, nil
	}
	mapping := func(_ context.Context, sec *stream.Security, asked jid.JID) (jid.JID, error) {
		require.Len(t, sec.PeerChain, 1)
		require.Equal(t, juliet, asked) // the from of the stream header
		return juliet, nil
	}
	getToken := func(context.Context) (string, error) { return "dG9rZW4", nil }
	insecureDigest := []sasl.Mechanism{sasl.InsecureDigestMD5()}
	anonymous := []sasl.Mechanism{sasl.Anonymous()}
	for name, c := range map[string]struct {
		client      auth.ClientOptions
		server      auth.ServerOptions
		certificate []string // the client has one
		stranger    bool     // the client does not say who it is
		want        string   // empty: err
		err         error
	}{
		"EXTERNAL first":                 {certificate: []string{"juliet@im.example"}, client: auth.ClientOptions{Password: "r0m30"}, want: "EXTERNAL"},
		"EXTERNAL alone":                 {certificate: []string{"juliet@im.example"}, want: "EXTERNAL"},
		"EXTERNAL without from":          {certificate: []string{"juliet@im.example"}, stranger: true, want: "EXTERNAL"},
		"EXTERNAL mapped":                {certificate: []string{}, server: auth.ServerOptions{MapCertificate: mapping}, want: "EXTERNAL"},
		"EXTERNAL mapped, no store":      {certificate: []string{}, server: auth.ServerOptions{MapCertificate: mapping, StoreFor: func(jid.JID) sasl.KeyStore { return nil }}, want: "EXTERNAL"},
		"certificate of no use":          {certificate: []string{"juliet@other.example"}, client: auth.ClientOptions{Password: "r0m30"}, want: "SCRAM-SHA-256-PLUS"},
		"certificate and nothing else":   {certificate: []string{"juliet@other.example"}, err: sasl.ErrNoMechanism},
		"EXTERNAL is not listed":         {certificate: []string{"juliet@im.example"}, client: auth.ClientOptions{Password: "r0m30", Mechanisms: sasl.Default()}, want: "SCRAM-SHA-256-PLUS"},
		"OAUTHBEARER":                    {client: auth.ClientOptions{Token: "dG9rZW4"}, server: auth.ServerOptions{Bearer: bearer}, want: "OAUTHBEARER"},
		"OAUTHBEARER, asked for":         {client: auth.ClientOptions{GetToken: getToken}, server: auth.ServerOptions{Bearer: bearer}, want: "OAUTHBEARER"},
		"OAUTHBEARER behind a password":  {client: auth.ClientOptions{Token: "dG9rZW4", Password: "r0m30"}, server: auth.ServerOptions{Bearer: bearer}, want: "SCRAM-SHA-256-PLUS"},
		"OAUTHBEARER, wrong":             {client: auth.ClientOptions{Token: "d3Jvbmc"}, server: auth.ServerOptions{Bearer: bearer}, err: sasl.NotAuthorized},
		"OAUTHBEARER is not offered":     {client: auth.ClientOptions{Token: "dG9rZW4"}, server: auth.ServerOptions{Mechanisms: []sasl.Mechanism{sasl.OAuthBearer(), sasl.Scram(sasl.SHA256)}}, err: sasl.ErrNoMechanism},
		"ANONYMOUS":                      {client: auth.ClientOptions{Mechanisms: anonymous}, server: auth.ServerOptions{Anonymous: auth.RandomAccount}, stranger: true, want: "ANONYMOUS"},
		"ANONYMOUS is not listed":        {client: auth.ClientOptions{Token: "x"}, server: auth.ServerOptions{Anonymous: auth.RandomAccount}, stranger: true, err: sasl.ErrNoMechanism},
		"ANONYMOUS is not offered":       {client: auth.ClientOptions{Mechanisms: anonymous}, server: auth.ServerOptions{Mechanisms: append(sasl.Default(), sasl.Anonymous())}, stranger: true, err: sasl.ErrNoMechanism},
		"DIGEST-MD5":                     {client: auth.ClientOptions{Password: "r0m30", Mechanisms: insecureDigest}, server: auth.ServerOptions{Mechanisms: insecureDigest, InsecureDigest: digest}, want: "DIGEST-MD5"},
		"DIGEST-MD5, wrong":              {client: auth.ClientOptions{Password: "wrong", Mechanisms: insecureDigest}, server: auth.ServerOptions{Mechanisms: insecureDigest, InsecureDigest: digest}, err: sasl.NotAuthorized},
		"DIGEST-MD5 is not listed there": {client: auth.ClientOptions{Password: "r0m30", Mechanisms: insecureDigest}, server: auth.ServerOptions{InsecureDigest: digest}, err: sasl.ErrNoMechanism},
		"DIGEST-MD5 without its option":  {client: auth.ClientOptions{Password: "r0m30", Mechanisms: insecureDigest}, server: auth.ServerOptions{Mechanisms: append(insecureDigest, sasl.Default()...)}, err: sasl.ErrNoMechanism},
		"DIGEST-MD5 is not a default":    {client: auth.ClientOptions{Password: "r0m30"}, server: auth.ServerOptions{Mechanisms: insecureDigest, InsecureDigest: digest}, err: sasl.ErrNoMechanism},
	} {
		t.Run(name, func(t *testing.T) {
			if c.server.StoreFor == nil {
				c.server.Store = accounts
			}
			c.server.Address, c.server.Attempts = from(here), auth.NewAttempts(nil)
			io, ao := clientWith(&c.client), serverWith(&c.server)
			if c.certificate != nil {
				io.Security, ao.Security = ownCertificate(), withCertificate(c.certificate...)
			}
			if c.stranger {
				io.From = jid.JID{}
			}
			var mechanism string
			io.Trace = &stream.Trace{Authenticated: func(_ jid.JID, m string) { mechanism = m }}
			client, server := negotiate(t, io, ao)
			if c.want == "" {
				require.ErrorIs(t, client.err, c.err)
				require.Error(t, server.err)
				return
			}
			require.NoError(t, client.err)
			require.NoError(t, server.err)
			require.Equal(t, c.want, mechanism)
			if c.want == "ANONYMOUS" {
				require.Len(t, server.session.RemoteAddr().Local(), 26)
				return
			}
			require.Equal(t, juliet, server.session.RemoteAddr())
		})
	}
}

// RFC 7628 §3.2.3: the client answers the server's reasons, and reports them.
func TestBearerIsRefused(t *testing.T) {
	p, done := scriptedServer(t, clientWith(&auth.ClientOptions{Token: "dG9rZW4"}))
	p.expect("'>")
	p.send(serverHeader + features("OAUTHBEARER"))
	p.expect("</auth>")
	p.send(`<challenge` + xmlns + `>` + b64(`{"status":"invalid_token","scope":"xmpp"}`) + `</challenge>`)
	out, err := p.end(done)
	require.Contains(t, out, "<response"+xmlns+">AQ==</response>")
	require.ErrorIs(t, err, sasl.NotAuthorized)
	var reasons *sasl.OAuthError
	require.ErrorAs(t, err, &reasons)
	require.NotContains(t, err.Error(), "dG9rZW4")
}

// XEP-0515: two versions of TLS below one exchange are two connections.
func TestTLSVersion(t *testing.T) {
	for name, c := range map[string]struct {
		tell, check, differ bool
		want                error
	}{
		"the same":              {tell: true, check: true},
		"different":             {tell: true, check: true, differ: true, want: sasl.ErrDowngrade},
		"different, not told":   {check: true, differ: true},
		"different, not looked": {tell: true, differ: true},
	} {
		t.Run(name, func(t *testing.T) {
			io := clientWith(&auth.ClientOptions{Password: "r0m30", CheckTLSVersion: c.check})
			ao := serverWith(&auth.ServerOptions{Store: store(t), TellTLSVersion: c.tell})
			if c.differ {
				ao.Security.Version-- // both have the same bindings all the same
			}
			client, _ := negotiate(t, io, ao)
			if c.want == nil {
				require.NoError(t, client.err)
				return
			}
			require.ErrorIs(t, client.err, c.want)
		})
	}
}

// Functions of the program that return what is nobody's address at this domain let nobody in.
func TestAccountsOfOtherDomains(t *testing.T) {
	for _, who := range []jid.JID{{}, domain, jid.MustParse("juliet@other.example"), jid.MustParse("juliet@im.example/x")} {
		t.Run(fmt.Sprint(who), func(t *testing.T) {
			o := &auth.ServerOptions{
				Store:     store(t),
				Anonymous: func(context.Context, jid.JID, string) (jid.JID, error) { return who, nil },
				Bearer:    func(context.Context, jid.JID, sasl.BearerToken) (jid.JID, error) { return who, nil },
			}
			p, _ := scriptedClient(t, serverWith(o))
			p.send(clientHeader + authElement("ANONYMOUS", ""))
			p.expect("<temporary-auth-failure/>")
			p.send(authElement("OAUTHBEARER", "n,,\x01auth=Bearer x\x01\x01"))
			p.expect("<temporary-auth-failure/>")
		})
	}
}
