package auth_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

// RFC 6120 §6: both sides, each mechanism that the two of them can agree on.
func TestAuthenticate(t *testing.T) {
	accounts := store(t)
	noBinding := func(s *stream.Security) { s.Bindings = nil }
	for name, c := range map[string]struct {
		client   auth.ClientOptions
		server   auth.ServerOptions
		security func(*stream.Security)
		want     string
	}{
		"channel binding by default": {want: "SCRAM-SHA-256-PLUS"},
		"no channel binding":         {security: noBinding, want: "SCRAM-SHA-256"},
		"tls-unique in TLS 1.2": {
			security: func(s *stream.Security) {
				s.Version, s.Bindings = tls.VersionTLS12, map[string][]byte{sasl.TLSUnique: []byte("unique")}
			},
			want: "SCRAM-SHA-256-PLUS",
		},
		"PLAIN": {
			client: auth.ClientOptions{Mechanisms: []sasl.Mechanism{}, AllowPlain: true},
			server: auth.ServerOptions{Mechanisms: []sasl.Mechanism{}, AllowPlain: true}, want: "PLAIN",
		},
		"PLAIN is last": {
			client: auth.ClientOptions{AllowPlain: true}, server: auth.ServerOptions{AllowPlain: true}, want: "SCRAM-SHA-256-PLUS",
		},
		// RFC 5802 §6: the server knows that it offered no -PLUS, so the client's "y" is true.
		"channel binding is off on the server": {
			server: auth.ServerOptions{Mechanisms: []sasl.Mechanism{sasl.Scram(sasl.SHA256)}}, want: "SCRAM-SHA-256",
		},
		// XEP-0440 §3 would have the client give up; the server proves its offer (XEP-0474).
		"no binding in common": {
			security: func(s *stream.Security) {
				for typ := range s.Bindings {
					delete(s.Bindings, typ)
				}
				if s.Version = tls.VersionTLS12; s.OwnCertificate {
					s.Bindings[sasl.TLSUnique] = []byte("unique")
				} else {
					s.Bindings[sasl.TLSExporter] = []byte("exporter")
				}
			},
			want: "SCRAM-SHA-256",
		},
		"name as typed": {client: auth.ClientOptions{Username: "Juliet"}, want: "SCRAM-SHA-256-PLUS"},
		"authorization identity of one's own": {
			client: auth.ClientOptions{AuthzID: juliet}, want: "SCRAM-SHA-256-PLUS",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var traced atomic.Value
			c.client.Password, c.server.Store = "r0m30", accounts
			io, ao := clientWith(&c.client), serverWith(&c.server)
			if c.security != nil {
				ao.Security.OwnCertificate = true // as a server always has
				c.security(io.Security)
				c.security(ao.Security)
			}
			var mechanism string
			io.Trace = &stream.Trace{Authenticated: func(who jid.JID, m string) { mechanism = m; require.Zero(t, who) }}
			ao.Trace = &stream.Trace{Authenticated: func(who jid.JID, m string) { traced.Store(who.String() + " " + m) }}
			client, server := negotiate(t, io, ao)
			require.NoError(t, client.err)
			require.NoError(t, server.err)
			require.Equal(t, c.want, mechanism)
			require.Equal(t, "juliet@im.example "+c.want, traced.Load())
			require.Equal(t, juliet, server.session.RemoteAddr())
		})
	}
}

func TestAuthenticateFails(t *testing.T) {
	accounts := store(t)
	for name, c := range map[string]struct {
		client auth.ClientOptions
		server auth.ServerOptions
		edit   func(*stream.InitiateOptions, *stream.AcceptOptions)
		want   error
		local  bool // found by the client
		text   string
	}{
		"wrong password": {client: auth.ClientOptions{Password: "wrong"}, want: sasl.NotAuthorized},
		"nobody":         {client: auth.ClientOptions{Username: "nobody", Password: "r0m30"}, want: sasl.NotAuthorized},
		"no localpart":   {client: auth.ClientOptions{Username: "a@b", Password: "r0m30"}, want: sasl.NotAuthorized},
		"§6.3.8 somebody else": {
			client: auth.ClientOptions{Password: "r0m30", AuthzID: romeo}, want: sasl.InvalidAuthzid,
		},
		"§6.3.8 a domain": {
			client: auth.ClientOptions{Password: "r0m30", AuthzID: domain}, want: sasl.InvalidAuthzid,
		},
		"§6.3.8 a domain, even if the callback would allow it": {
			client: auth.ClientOptions{Password: "r0m30", AuthzID: domain},
			server: auth.ServerOptions{Authorize: func(context.Context, jid.JID, jid.JID) error { return nil }},
			want:   sasl.InvalidAuthzid,
		},
		"§6.3.8 a full JID, even if the callback would allow it": {
			client: auth.ClientOptions{Password: "r0m30", AuthzID: jid.MustParse("juliet@im.example/balcony")},
			server: auth.ServerOptions{Authorize: func(context.Context, jid.JID, jid.JID) error { return nil }},
			want:   sasl.InvalidAuthzid,
		},
		"disabled": {
			client: auth.ClientOptions{Password: "r0m30"},
			server: auth.ServerOptions{Authorize: func(context.Context, jid.JID, jid.JID) error {
				return &sasl.Error{Condition: sasl.AccountDisabled, Text: "ask at the desk"}
			}},
			want: sasl.AccountDisabled, text: "ask at the desk",
		},
		"not welcome": {
			client: auth.ClientOptions{Password: "r0m30"},
			server: auth.ServerOptions{Authorize: func(context.Context, jid.JID, jid.JID) error { return errors.New("secret reason") }},
			want:   sasl.NotAuthorized,
		},
		"may not act for others": {
			client: auth.ClientOptions{Password: "r0m30", AuthzID: romeo},
			server: auth.ServerOptions{Authorize: func(context.Context, jid.JID, jid.JID) error { return errors.New("secret reason") }},
			want:   sasl.InvalidAuthzid,
		},
		"no password":      {want: sasl.ErrPassword, local: true},
		"callback's error": {client: auth.ClientOptions{GetPassword: func(context.Context) (string, error) { return "", context.Canceled }}, want: context.Canceled, local: true},
		"PLAIN is off on the client": {
			client: auth.ClientOptions{Password: "r0m30", Mechanisms: []sasl.Mechanism{sasl.Plain()}},
			server: auth.ServerOptions{AllowPlain: true}, want: sasl.ErrNoMechanism, local: true,
		},
		"PLAIN is off on the server": {
			client: auth.ClientOptions{Password: "r0m30", Mechanisms: []sasl.Mechanism{}, AllowPlain: true},
			server: auth.ServerOptions{Mechanisms: []sasl.Mechanism{sasl.Plain(), sasl.Scram(sasl.SHA256)}}, want: sasl.ErrNoMechanism, local: true,
		},
		"PLAIN needs a verified certificate": {
			client: auth.ClientOptions{Password: "r0m30", Mechanisms: []sasl.Mechanism{}, AllowPlain: true},
			server: auth.ServerOptions{AllowPlain: true},
			edit:   func(io *stream.InitiateOptions, _ *stream.AcceptOptions) { io.Security.Verified = false },
			want:   sasl.EncryptionRequired, local: true,
		},
		"channels differ": {
			client: auth.ClientOptions{Password: "r0m30"},
			edit: func(io *stream.InitiateOptions, _ *stream.AcceptOptions) {
				io.Security.Bindings[sasl.TLSExporter] = []byte("exporter of another connection..")
			},
			want: sasl.NotAuthorized,
		},
		// A server that proves its offer (XEP-0474) is believed; see TestAuthenticate.
		"no binding in common, and an older server": {
			client: auth.ClientOptions{Password: "r0m30"},
			server: auth.ServerOptions{Mechanisms: older(sasl.Default())},
			edit: func(io *stream.InitiateOptions, ao *stream.AcceptOptions) {
				delete(io.Security.Bindings, sasl.TLSServerEndPoint)
				delete(ao.Security.Bindings, sasl.TLSExporter)
				delete(ao.Security.Bindings, sasl.TLSServerEndPoint)
				ao.Security.Version = tls.VersionTLS12
				ao.Security.Bindings[sasl.TLSUnique] = []byte("unique")
			},
			want: sasl.ErrDowngrade, local: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.server.Store = accounts
			io, ao := clientWith(&c.client), serverWith(&c.server)
			if c.edit != nil {
				c.edit(&io, &ao)
			}
			client, server := negotiate(t, io, ao)
			require.ErrorIs(t, client.err, c.want)
			if c.local {
				require.ErrorIs(t, server.err, stream.ErrPeerClosed)
			} else {
				// RFC 9266 §4.1: an attempt with channel binding is the last one.
				require.ErrorIs(t, server.err, c.want)
			}
			var e *sasl.Error
			require.ErrorAs(t, client.err, &e)
			var failure *auth.Failure
			require.Equal(t, !c.local, errors.As(client.err, &failure))
			require.NotContains(t, client.err.Error(), "secret")
			if !c.local {
				require.Equal(t, c.text, e.Text)
				require.Contains(t, string(failure.Raw), "<failure")
			}
		})
	}
}

// RFC 6120 §6.3.8: an account that may act for another becomes it.
func TestActForAnother(t *testing.T) {
	var account, asked jid.JID
	io := clientWith(&auth.ClientOptions{Username: "juliet", Password: "r0m30", AuthzID: romeo})
	io.From = romeo
	client, server := negotiate(t, io, serverWith(&auth.ServerOptions{
		Store:     store(t),
		Authorize: func(_ context.Context, a, b jid.JID) error { account, asked = a, b; return nil },
	}))
	require.NoError(t, client.err)
	require.NoError(t, server.err)
	require.Equal(t, juliet, account)
	require.Equal(t, romeo, asked)
	require.Equal(t, romeo, server.session.RemoteAddr())
}

// RFC 6120 §6.3.8: whoever is acted for is somebody at this server. That an account may act for
// others does not make it anybody at a domain that the stream is not for.
func TestActForAnotherDomain(t *testing.T) {
	foreign := jid.MustParse("romeo@other.example")
	io := clientWith(&auth.ClientOptions{Username: "juliet", Password: "r0m30", AuthzID: foreign})
	io.From = foreign
	client, server := negotiate(t, io, serverWith(&auth.ServerOptions{
		Store:     store(t),
		Authorize: func(context.Context, jid.JID, jid.JID) error { return nil },
	}))
	require.ErrorIs(t, client.err, sasl.InvalidAuthzid)
	require.Error(t, server.err)
	require.Nil(t, server.session)
}

// RFC 6120 §6.3.4: what is offered can work on the connection as it is, and with the keys that
// there are.
func TestOffer(t *testing.T) {
	const plus, types = "<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "<sasl-channel-binding"
	for name, c := range map[string]struct {
		edit func(*auth.ServerOptions, *stream.AcceptOptions)
		has  []string
		not  []string
	}{
		"default":    {func(*auth.ServerOptions, *stream.AcceptOptions) {}, []string{plus, types, "'tls-exporter'", "'tls-server-end-point'"}, []string{"SHA-1", "SHA-512", "PLAIN"}},
		"no binding": {func(_ *auth.ServerOptions, o *stream.AcceptOptions) { o.Security.Bindings = nil }, []string{"<mechanism>SCRAM-SHA-256</mechanism>"}, []string{"PLUS", types}},
		"PLAIN":      {func(o *auth.ServerOptions, _ *stream.AcceptOptions) { o.AllowPlain = true }, []string{plus, "<mechanism>PLAIN</mechanism>"}, nil},
		"PLAIN without TLS": {func(o *auth.ServerOptions, a *stream.AcceptOptions) {
			o.AllowPlain, o.InsecureWithoutTLS, a.Security = true, true, nil
		}, []string{"<mechanism>SCRAM-SHA-256</mechanism>"}, []string{"PLAIN", "PLUS", types}},
		"PLAIN without TLS, asked for twice": {func(o *auth.ServerOptions, a *stream.AcceptOptions) {
			o.AllowPlain, o.InsecureWithoutTLS, o.InsecurePlainWithoutTLS, a.Security = true, true, true, nil
		}, []string{"<mechanism>SCRAM-SHA-256</mechanism>", "<mechanism>PLAIN</mechanism>"}, []string{"PLUS", types}},
		"PLAIN without TLS, not asked for enough": {func(o *auth.ServerOptions, a *stream.AcceptOptions) {
			o.AllowPlain, o.InsecurePlainWithoutTLS, a.Security = true, true, nil
		}, nil, []string{"mechanism", types}},
		// RFC 7628 §5, RFC 6331: whoever listens could go on as the user, or guess.
		"tokens and hashes without TLS": {func(o *auth.ServerOptions, a *stream.AcceptOptions) {
			everything(o)
			o.InsecureWithoutTLS, a.Security = true, nil
		}, []string{"<mechanism>SCRAM-SHA-256</mechanism>", "<mechanism>ANONYMOUS</mechanism>"}, []string{"OAUTHBEARER", "DIGEST", "EXTERNAL", "PLAIN"}},
		"tokens and hashes": {func(o *auth.ServerOptions, _ *stream.AcceptOptions) { everything(o) },
			[]string{"<mechanism>OAUTHBEARER</mechanism>", "<mechanism>DIGEST-MD5</mechanism>", "<mechanism>ANONYMOUS</mechanism>"}, []string{"EXTERNAL", "PLAIN"}},
		"no accounts": {func(o *auth.ServerOptions, _ *stream.AcceptOptions) { everything(o); o.Store = nil },
			[]string{"<mechanism>OAUTHBEARER</mechanism>", "<mechanism>ANONYMOUS</mechanism>"}, []string{"SCRAM", types, "PLAIN"}},
		"without TLS": {func(_ *auth.ServerOptions, a *stream.AcceptOptions) { a.Security = nil }, nil, []string{"mechanism", types}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &auth.ServerOptions{Store: store(t)}
			ao := serverWith(nil)
			c.edit(o, &ao)
			ao.Features = []stream.Feature{auth.Server(o)}
			p, _ := scriptedClient(t, ao)
			p.send(clientHeader)
			got := p.expect("</stream:features>")
			for _, s := range c.has {
				require.Contains(t, got, s)
			}
			for _, s := range c.not {
				require.NotContains(t, got, s)
			}
		})
	}
}

// everything sets all that adds mechanisms.
func everything(o *auth.ServerOptions) {
	o.Mechanisms = []sasl.Mechanism{sasl.External(), sasl.ScramPlus(sasl.SHA256), sasl.Scram(sasl.SHA256), sasl.InsecureDigestMD5()}
	o.Anonymous = auth.RandomAccount
	o.Bearer = func(context.Context, jid.JID, sasl.BearerToken) (jid.JID, error) {
		return jid.JID{}, sasl.ErrUnknownUser
	}
	o.InsecureDigest = func(context.Context, string, string) ([16]byte, string, error) {
		return [16]byte{}, "", sasl.ErrUnknownUser
	}
	o.MapCertificate = func(context.Context, *stream.Security, jid.JID) (jid.JID, error) {
		return jid.JID{}, sasl.ErrUnknownUser
	}
}

// A mechanism that waits for TLS says so when it is tried.
func TestMechanismsThatNeedTLS(t *testing.T) {
	o := &auth.ServerOptions{Store: forbiddenStore{t}, InsecureWithoutTLS: true, AllowPlain: true, Retries: 5}
	everything(o)
	ao := serverWith(o)
	ao.Security = nil
	p, _ := scriptedClient(t, ao)
	p.send(clientHeader)
	p.expect("</stream:features>")
	for mechanism, want := range map[string]string{
		"PLAIN": "encryption-required", "OAUTHBEARER": "encryption-required", "DIGEST-MD5": "encryption-required",
		"EXTERNAL": "invalid-mechanism", "SCRAM-SHA-256-PLUS": "invalid-mechanism",
	} {
		p.send(`<auth` + xmlns + ` mechanism='` + mechanism + `'>=</auth>`)
		require.Contains(t, p.expect("</failure>"), "<"+want+"/>", mechanism)
	}
}

func TestStoreFor(t *testing.T) {
	accounts := store(t)
	var asked jid.JID
	o := &auth.ServerOptions{Store: forbiddenStore{t}, StoreFor: func(d jid.JID) sasl.KeyStore { asked = d; return accounts }}
	client, server := negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30"}), serverWith(o))
	require.NoError(t, client.err)
	require.NoError(t, server.err)
	require.Equal(t, domain, asked)

	// Domains have accounts of their own, with salts of their own. Made-up ones that are the same in
	// two domains would tell that the name has no account in either.
	salt := func(o *auth.ServerOptions, at string) string {
		a, b := memconn.Pipe()
		t.Cleanup(func() { a.Close() })
		ao := serverWith(o)
		ao.Domains = []jid.JID{jid.MustParse(at)}
		p := &peer{tb: t, conn: a}
		done := acceptAt(t, b, ao)
		p.send(strings.Replace(clientHeader, "im.example", at, 1))
		p.expect("</stream:features>")
		p.send(`<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("n,,n=nobody,r=abc") + `</auth>`)
		challenge := strings.TrimSuffix(p.expect("</challenge>"), "</challenge>")
		raw, err := base64.StdEncoding.DecodeString(challenge[strings.LastIndexByte(challenge, '>')+1:])
		require.NoError(t, err)
		a.Close()
		within(t, done)
		return strings.Split(string(raw), ",")[1]
	}
	o = &auth.ServerOptions{StoreFor: func(jid.JID) sasl.KeyStore { return accounts }, FakeSecret: []byte("of all domains")}
	require.Equal(t, salt(o, "a.example"), salt(o, "a.example"))
	require.NotEqual(t, salt(o, "a.example"), salt(o, "b.example"))
	// One Store for every domain: the accounts are the same everywhere, and so are those that there are not.
	o = &auth.ServerOptions{Store: accounts}
	require.Equal(t, salt(o, "a.example"), salt(o, "b.example"))

	// A domain without accounts offers nothing.
	o = &auth.ServerOptions{StoreFor: func(jid.JID) sasl.KeyStore { return nil }}
	client, _ = negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30"}), serverWith(o))
	require.ErrorIs(t, client.err, stream.ErrNoProgress)
}

// Each option that says how to authenticate without TLS is needed, and even then PLAIN is not used.
func TestInsecureWithoutTLS(t *testing.T) {
	accounts := store(t)
	run := func(c, s bool, plain bool) (client, server result) {
		co := &auth.ClientOptions{Password: "r0m30", InsecureWithoutTLS: c, AllowPlain: plain}
		so := &auth.ServerOptions{Store: accounts, InsecureWithoutTLS: s, AllowPlain: plain}
		if plain {
			co.Mechanisms, so.Mechanisms = []sasl.Mechanism{}, []sasl.Mechanism{}
		}
		io, ao := clientWith(co), serverWith(so)
		io.Security, ao.Security = nil, nil
		io.Profile, ao.Profile = insecureProfile, insecureProfile
		return negotiate(t, io, ao)
	}
	client, server := run(true, true, false)
	require.NoError(t, client.err)
	require.NoError(t, server.err)
	require.Equal(t, juliet, server.session.RemoteAddr())
	for _, c := range [][3]bool{{true, false, false}, {false, true, false}, {false, false, false}, {true, true, true}} {
		client, server = run(c[0], c[1], c[2])
		require.ErrorIs(t, client.err, stream.ErrNoProgress, "%v", c)
		require.Error(t, server.err, "%v", c)
	}
}

func TestServerOptionsValidate(t *testing.T) {
	accounts := store(t)
	for name, o := range map[string]*auth.ServerOptions{
		"nil":             nil,
		"no store":        {},
		"§6.4.5 retries":  {Store: accounts, Retries: 1},
		"§6.4.5 too many": {Store: accounts, Retries: 6},
		"negative":        {Store: accounts, Retries: -1},
		"iterations":      {Store: accounts, FakeIterations: 1},
		"hash":            {Store: accounts, PlainHash: "MD5"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, o.Validate(), auth.ErrOptions)
			client, server := negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30"}), serverWith(o))
			require.ErrorIs(t, client.err, stream.InternalServerError)
			require.ErrorIs(t, server.err, auth.ErrOptions)
		})
	}
	require.NoError(t, (&auth.ServerOptions{Store: accounts, Retries: 5}).Validate())
	require.NoError(t, (&auth.ServerOptions{Store: accounts, FakeIterations: sasl.MinIterations, PlainHash: sasl.SHA256}).Validate())
	// Not everybody has passwords.
	require.NoError(t, (&auth.ServerOptions{Anonymous: auth.RandomAccount}).Validate())
	require.NoError(t, (&auth.ServerOptions{
		Bearer: func(context.Context, jid.JID, sasl.BearerToken) (jid.JID, error) { return juliet, nil },
	}).Validate())
	require.NoError(t, (&auth.ServerOptions{
		MapCertificate: func(context.Context, *stream.Security, jid.JID) (jid.JID, error) { return juliet, nil },
	}).Validate())
}

// Nothing that prints options, credentials or errors shows a secret.
func TestSecretsAreNotPrinted(t *testing.T) {
	const secret = "correct horse"
	c := auth.ClientOptions{
		Username: "juliet", Password: secret, Token: secret,
		UserAgent: stream.UserAgent{ID: secret},
	}
	s := auth.ServerOptions{FakeSecret: []byte(secret)}
	token := auth.FastToken{Mechanism: "HT-SHA-256-EXPR", Token: secret}
	creds := auth.Credentials{Token: token}
	memory := new(auth.MemoryCredentials)
	require.NoError(t, memory.Save(t.Context(), juliet, creds))
	c.Credentials = memory
	attempts := auth.NewAttempts(nil)
	// What somebody took the field of the user name for.
	attempts.Failed(jid.MustParse("correct\\20horse@im.example"), here)
	s.Attempts = attempts
	for _, v := range []any{c, &c, s, &s, token, &token, creds, &creds, []any{creds}, map[string]auth.Credentials{"x": creds}, memory, attempts} {
		outputs := []string{}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
		var log strings.Builder
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		for _, out := range append(outputs, log.String()) {
			require.NotContains(t, out, "correct")
			require.NotContains(t, out, "192.0.2")
			require.NotContains(t, out, fmt.Sprintf("%x", secret))
		}
	}
}

// An error of the exchange does not repeat what was said in it.
func TestErrorsShowNoSecrets(t *testing.T) {
	const secret = "c29ycmVjdCBob3JzZQ"
	o := &auth.ServerOptions{
		Store: store(t), AllowPlain: true,
		Bearer: func(context.Context, jid.JID, sasl.BearerToken) (jid.JID, error) { return jid.JID{}, errors.New("no") },
	}
	for _, c := range []auth.ClientOptions{
		{Token: secret}, {Password: secret}, {Password: secret, Mechanisms: []sasl.Mechanism{}, AllowPlain: true},
	} {
		client, server := negotiate(t, clientWith(&c), serverWith(o))
		for _, err := range []error{client.err, server.err} {
			require.Error(t, err)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), secret)
		}
	}
}

// The trace shows that there was an exchange, and nothing of what was said: on both sides, in both
// directions, even for what a client should not have sent (before TLS, in the first place).
func TestTraceIsRedacted(t *testing.T) {
	var log strings.Builder
	record := &stream.Trace{
		XMLSent:     func(b []byte) { log.Write(b) },
		XMLReceived: func(b []byte) { log.Write(b) },
	}
	check := func(t *testing.T, elements ...string) {
		out := log.String()
		log.Reset()
		for _, el := range elements {
			require.Contains(t, out, "<"+el)
		}
		require.Contains(t, out, "[redacted")
		for _, secret := range []string{"cj", "Yz", "dj", b64("\x00juliet\x00r0m30"), "r0m30"} { // r=, c=, v= in base64
			require.NotContains(t, out, ">"+secret)
			if len(secret) > 2 {
				require.NotContains(t, out, secret)
			}
		}
	}
	accounts := store(t)
	t.Run("client", func(t *testing.T) {
		io := clientWith(&auth.ClientOptions{Password: "r0m30"})
		io.Trace = record
		client, _ := negotiate(t, io, serverWith(&auth.ServerOptions{Store: accounts}))
		require.NoError(t, client.err)
		check(t, "auth", "challenge", "response", "success")
	})
	t.Run("server", func(t *testing.T) {
		ao := serverWith(&auth.ServerOptions{Store: accounts})
		ao.Trace = record
		_, server := negotiate(t, clientWith(&auth.ClientOptions{Password: "r0m30"}), ao)
		require.NoError(t, server.err)
		check(t, "auth", "challenge", "response", "success")
	})
	// A bearer token, on both sides, and the answer of a server that does not take it.
	t.Run("token", func(t *testing.T) {
		for _, token := range []string{"r0m30r0m30r0m30", "wrong0r0m30"} {
			io := clientWith(&auth.ClientOptions{Token: token})
			ao := serverWith(&auth.ServerOptions{Store: accounts, Bearer: func(_ context.Context, _ jid.JID, t sasl.BearerToken) (jid.JID, error) {
				if t.Token != "r0m30r0m30r0m30" {
					return jid.JID{}, sasl.ErrUnknownUser
				}
				return juliet, nil
			}})
			for _, trace := range []**stream.Trace{&io.Trace, &ao.Trace} {
				*trace = record
				negotiate(t, io, ao)
				*trace = nil
				require.NotContains(t, log.String(), b64("n,,\x01auth=Bearer ")[:16])
				check(t, "auth")
			}
		}
	})
	t.Run("server before TLS", func(t *testing.T) {
		ao := serverWith(&auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true})
		ao.Security, ao.Trace = nil, record
		p, done := scriptedClient(t, ao)
		p.send(clientHeader + `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>` + closing)
		p.expect("<encryption-required/>")
		_, err := p.end(done)
		require.ErrorIs(t, err, stream.ErrPeerClosed)
		check(t, "auth")
	})
}

// A second login needs no password and derives nothing.
func TestClientCache(t *testing.T) {
	cache, accounts := new(sasl.MemoryKeyCache), store(t)
	asked := 0
	o := &auth.ClientOptions{Cache: cache, GetPassword: func(context.Context) (string, error) { asked++; return "r0m30", nil }}
	for range 3 {
		client, _ := negotiate(t, clientWith(o), serverWith(&auth.ServerOptions{Store: accounts}))
		require.NoError(t, client.err)
	}
	require.Equal(t, 1, asked)
}

// One value serves many streams at once.
func TestFeaturesAreSharedByStreams(t *testing.T) {
	io, ao := clientWith(&auth.ClientOptions{Password: "r0m30"}), serverWith(&auth.ServerOptions{Store: store(t)})
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			client, server := negotiate(t, io, ao)
			require.NoError(t, client.err)
			require.NoError(t, server.err)
		})
	}
}
