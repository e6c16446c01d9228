package otel_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	xotel "stanzakit.dev/xmpp/adapters/otel"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// Logins as they are: TLS, SASL 2, binding, and a wrong password.
func TestLogins(t *testing.T) {
	for name, addresses := range map[string]bool{"without addresses": false, "with addresses": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const password, wrong = "correct horse battery", "wrong horse battery"
				served := jid.MustParse("xmpp.test")
				of := func() *collector {
					return collect(t, &xotel.Options{Domains: []jid.JID{served}, Addresses: addresses, Elements: true})
				}
				ours, theirs := of(), of()
				server := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
					s.Trace = func(net.Conn) *stream.Trace { return theirs.Trace(t.Context()) }
					s.Auth = &auth.ServerOptions{SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}}
				}})
				account := server.AddAccount(t, "juliet", password)
				remembered := new(auth.MemoryCredentials)
				connect := func(password string) error {
					client := server.Client(account, password)
					client.Trace = ours.Trace(t.Context())
					client.Auth = &auth.ClientOptions{
						Credentials: remembered,
						UserAgent:   stream.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770"},
					}
					conn, err := client.Connect(t.Context())
					if err != nil {
						return err
					}
					return conn.Close(t.Context())
				}
				require.ErrorIs(t, connect(wrong), sasl.NotAuthorized)
				require.NoError(t, connect(password))
				require.NoError(t, connect(password)) // with a token
				known, err := remembered.Load(t.Context(), account)
				require.NoError(t, err)
				require.NotEmpty(t, known.Token.Token)
				server.Close()
				synctest.Wait()

				for role, c := range map[string]*collector{"initiating": ours, "receiving": theirs} {
					value := func(name, attrs string) string {
						t.Helper()
						return c.value(t, name+"{"+strings.ReplaceAll(attrs, "@", "xmpp.domain=xmpp.test,xmpp.role="+role)+"}")
					}
					require.Equal(t, "0", value("xmpp.stream.active[{stream}]", "@"))
					require.Equal(t, "1", value("xmpp.stream.established[{stream}]",
						"tls.protocol.version=1.3,@,xmpp.sasl.mechanism=SCRAM-SHA-256-PLUS"))
					require.Equal(t, "1", value("xmpp.stream.established[{stream}]",
						"tls.protocol.version=1.3,@,xmpp.sasl.mechanism=HT-SHA-256-EXPR"))
					require.Equal(t, "1", value("xmpp.stream.failed[{stream}]",
						"error.type=authentication,xmpp.condition=not-authorized,@"))

					// On the server nothing but the domain, its own, is anybody's choice.
					story := strings.Join(c.story(), "\n")
					require.Contains(t, story, `Error "authentication: not-authorized" {`)
					for _, step := range []string{
						"feature started {xmpp.feature={urn:ietf:params:xml:ns:xmpp-tls}starttls}",
						"secured {tls.cipher=TLS_AES_128_GCM_SHA256,tls.protocol.version=1.3,tls.resumed=",
						"feature done {error.type=authentication,xmpp.condition=not-authorized,xmpp.feature={urn:xmpp:sasl:2}authentication}",
						"feature done {xmpp.feature={urn:xmpp:sasl:2}authentication}",
						"authenticated {xmpp.sasl.mechanism=SCRAM-SHA-256-PLUS}",
						"bound {}",
					} {
						require.Contains(t, story, "\n"+step)
					}
					require.Equal(t, addresses, strings.Contains(story, "xmpp.jid=juliet@xmpp.test/"), story)

					all := story + strings.Join(c.metrics(t), "\n")
					secrets := []string{password, wrong, known.Token.Token, "d4565fa7", "n,,", "c=biws"}
					if !addresses {
						secrets = append(secrets, "juliet")
					}
					for _, secret := range secrets {
						require.NotContains(t, all, secret)
					}
					require.NotContains(t, strings.Join(c.metrics(t), "\n"), "juliet")
				}
			})
		})
	}
}
