package xmpp_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// adversarialG07: the zero value and the default options are the safe ones.
func adversarialG07(t *testing.T) {
	t.Run("nothing weakens by default", func(t *testing.T) {
		insecure := 0
		for _, options := range []any{
			xmpp.Client{}, xmpp.Server{}, auth.ClientOptions{}, auth.ServerOptions{}, bind.ClientOptions{}, bind.ServerOptions{},
			dial.Options{}, stanza.Options{}, xtls.ClientOptions{}, xtls.ServerOptions{}, stream.InitiateOptions{}, stream.AcceptOptions{},
			sasl.ClientConfig{}, sasl.ServerConfig{}, sasl.Policy{}, xmpp.MemoryAccounts{},
		} {
			typ := reflect.TypeOf(options)
			require.True(t, reflect.ValueOf(options).IsZero())
			for f := range fields(typ) {
				if strings.Contains(f.Name, "Insecure") || strings.HasPrefix(f.Name, "AllowPlain") {
					insecure++
					switch f.Type.Kind() {
					case reflect.Bool, reflect.Func, reflect.Slice: // false, none, none
					default:
						require.Fail(t, "the zero value has to mean that nothing is weakened", "%s.%s", typ, f.Name)
					}
				}
				// What protects is not something to be switched off by name.
				for _, bad := range []string{"Skip", "Disable", "NoVerify", "NoTLS", "Unlimited"} {
					require.False(t, f.IsExported() && strings.Contains(f.Name, bad), "%s.%s weakens without being called Insecure", typ, f.Name)
				}
			}
		}
		require.GreaterOrEqual(t, insecure, 6, "the fields are still where this test looks for them")
	})

	t.Run("server/TLS is required", func(t *testing.T) {
		zero := &xmpp.Server{Domains: []jid.JID{address("xmpp.test")}, Accounts: &xmpp.MemoryAccounts{}}
		l := memconn.Listen()
		require.NoError(t, l.Close()) // a server that starts all the same ends by this
		require.ErrorIs(t, zero.Serve(t.Context(), l), xmpp.ErrServer, "no certificate, no server")
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, nil)
			w := dialWire(t, s)
			features := w.open("")
			require.Contains(t, features, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>")
			require.NotContains(t, features, "mechanism")
		})
	})

	t.Run("server/PLAIN is off", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, nil)
			w := dialWire(t, s)
			w.starttls()
			features := w.open("")
			require.Contains(t, features, "SCRAM-SHA-256-PLUS")
			require.NotContains(t, features, "PLAIN")
			w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>`)
			require.Contains(t, w.until("</failure>"), "invalid-mechanism")
		})
	})

	t.Run("client/PLAIN is off", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, func(s *xmpp.Server) {
				s.Auth = &auth.ServerOptions{AllowPlain: true, Mechanisms: []sasl.Mechanism{}}
			})
			_, err := s.Client(s.AddAccount(t, "juliet", "secret"), "secret").Connect(t.Context())
			require.ErrorIs(t, err, sasl.ErrNoMechanism)
		})
	})

	t.Run("limits are on", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, allowPlain)
			limits := s.Connect(t, "romeo").Session().Limits()
			for f := range fields(reflect.TypeOf(limits)) {
				require.Positive(t, reflect.ValueOf(limits).FieldByIndex(f.Index).Int(), f.Name)
			}
			// The server's own: one element that is too large.
			w := dialWire(t, s)
			w.login("juliet", "balcony", "")
			go w.Write([]byte(`<message><body>` + strings.Repeat("x", limits.ElementBytes) + `</body></message>`))
			require.Contains(t, w.until("</stream:stream>"), "policy-violation")
			// Before authentication the limit is a smaller one.
			w = dialWire(t, s)
			w.open("")
			go w.Write([]byte(`<iq><x>` + strings.Repeat("x", limits.PreAuthElementBytes) + `</x></iq>`))
			require.Contains(t, w.until("</stream:stream>"), "policy-violation")
		})
	})
}

func fields(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if !yield(t.Field(i)) {
				return
			}
		}
	}
}

// adversarialT14: who authenticates before TLS is told what is missing
// (RFC 6120 §6.5.4), and does not get in.
//
//conformance:proves 6120-4.3.5-3 6120-4.3.5-4 6120-4.9.3.12-1
func adversarialT14(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"} {
		t.Run("server/"+mechanism, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, allowPlain)
				s.AddAccount(t, "juliet", "secret")
				w := dialWire(t, s)
				w.open("")
				w.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='` + mechanism + `'>AGp1bGlldABzZWNyZXQ=</auth>`)
				require.Contains(t, w.until("</failure>"), "<encryption-required/>")
				w.bind("balcony")
				require.Contains(t, w.rest(), "<not-authorized")
			})
		})
	}
	t.Run("server/stanzas before anything", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, nil)
			juliet := join(t, s, "juliet", "balcony")
			for _, before := range []func(w *wire){
				func(w *wire) { w.open("") },
				func(w *wire) { w.starttls(); w.open("") },
			} {
				w := dialWire(t, s)
				before(w)
				w.say(`<message to='juliet@xmpp.test/balcony' from='romeo@xmpp.test/x'/>`)
				require.Contains(t, w.rest(), "<not-authorized")
			}
			juliet.quiet()
		})
	})
	t.Run("client", func(t *testing.T) {
		// A server that offers everything but TLS: TestConnectWithoutStartTLS.
		TestConnectWithoutStartTLS(t)
	})
}

// What is logged names neither secrets nor addresses of the network.
func TestLogHasNeitherAddressesNorSecrets(t *testing.T) {
	var log records
	var inner *xmpp.Server
	s := newLoopback(t, func(s *xmpp.Server) { inner = s; s.Logger = log.logger() })
	account := s.AddAccount(t, "juliet", "hunter2")
	_, err := s.Client(account, "hunter3").Connect(t.Context())
	require.Error(t, err)
	conn, err := s.Client(account, "hunter2").Connect(t.Context())
	require.NoError(t, err)
	conn.Abort(stream.ErrTruncated)
	nc, err := s.Dial(t.Context())
	require.NoError(t, err)
	reset(t, nc)
	require.NoError(t, inner.Shutdown(t.Context()))
	require.NotContains(t, log.String(), "127.0.0.1")
	require.NotContains(t, log.String(), "hunter")
}
