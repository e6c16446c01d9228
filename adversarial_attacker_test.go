package xmpp_test

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

var (
	mechanism  = regexp.MustCompile(`<mechanism>([A-Z0-9-]+)</mechanism>`)
	bindings   = regexp.MustCompile(`<channel-binding type='[^']*'/>`)
	challenged = regexp.MustCompile(`(<challenge xmlns='[^']*'>)([^<]*)(</challenge>)`)
)

// only keeps the mechanisms for which keep is true.
func only(keep func(name string) bool) func(string) string {
	return func(features string) string {
		return mechanism.ReplaceAllStringFunc(features, func(m string) string {
			if keep(mechanism.FindStringSubmatch(m)[1]) {
				return m
			}
			return ""
		})
	}
}

// withoutBinding removes -PLUS, and the list of types that would give that away.
func withoutBinding(features string) string {
	features = only(func(name string) bool { return !strings.HasSuffix(name, "-PLUS") })(features)
	return remove(features, "<sasl-channel-binding", "</sasl-channel-binding>")
}

// TestAttackerInTheMiddle is an active attacker between a real client and a real
// server, over TCP. Every attack fails with an error that tells which one it was,
// and the password is not among what the attacker could read.
func TestAttackerInTheMiddle(t *testing.T) {
	s := xmpptest.NewServer(t, nil)
	// The attacker of 2023 (jabber.ru): somebody has issued a certificate for the
	// domain to somebody else.
	valid, err := s.CA.Issue("xmpp.test")
	require.NoError(t, err)
	other, err := s.CA.Issue("evil.example")
	require.NoError(t, err)
	elsewhere, err := xtls.NewDevCA()
	require.NoError(t, err)
	untrusted, err := elsewhere.Issue("xmpp.test")
	require.NoError(t, err)

	// behind plays an attack on what the client says inside of TLS.
	behind := func(features func(string) string, more func(a *attack)) func(a *attack) {
		return func(a *attack) {
			if err := a.startTLS(valid); err != nil {
				a.t.Error(err)
				return
			}
			a.opening(features)
			if more != nil {
				more(a)
			}
			a.pass()
		}
	}
	refused := func(t *testing.T, err error) {
		t.Helper()
		var f *auth.Failure
		require.ErrorAs(t, err, &f, "it is the server that refused")
		require.ErrorIs(t, err, sasl.NotAuthorized)
	}
	weak := func(name string) bool { return strings.HasPrefix(name, "SCRAM-SHA-1") }
	is := func(targets ...error) func(*testing.T, error) {
		return func(t *testing.T, err error) {
			t.Helper()
			for _, target := range targets {
				require.ErrorIs(t, err, target)
			}
		}
	}
	for name, c := range map[string]struct {
		play  func(a *attack)
		check func(t *testing.T, err error)
		plain bool // the client would use PLAIN if nothing else is offered
	}{
		"STARTTLS stripped": {
			play: func(a *attack) {
				a.opening(func(f string) string { return remove(f, "<starttls", "</starttls>") })
				a.pass()
			},
			check: is(xtls.ErrNotOffered),
		},
		"STARTTLS replaced by PLAIN": {
			play: func(a *attack) {
				a.opening(func(f string) string {
					return strings.Replace(remove(f, "<starttls", "</starttls>"), "</stream:features>",
						"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>", 1)
				})
				a.pass()
			},
			check: is(xtls.ErrNotOffered),
			plain: true,
		},
		"STARTTLS refused": {
			play: func(a *attack) {
				a.opening(same)
				a.client.until("/>")
				a.client.say("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>")
				a.pass()
			},
			check: is(xtls.ErrRefused),
		},
		"plaintext injected towards the client": {
			play: func(a *attack) {
				a.opening(same)
				a.server.say(a.client.until("/>"))
				a.client.say(a.server.until("/>") + "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms></stream:features>")
				a.pass()
			},
			check: is(stream.ErrPlaintextInjected),
			plain: true,
		},
		"plaintext injected towards the server": {
			play: func(a *attack) {
				a.opening(same)
				a.server.say(a.client.until("/>") + "<message to='romeo@xmpp.test'/>")
				a.pass()
			},
			check: func(t *testing.T, err error) { require.Error(t, err) }, // it hangs up without a word
		},
		"another domain's certificate": {
			play:  func(a *attack) { require.ErrorIs(a.t, a.startTLS(other), errGone) },
			check: is(xtls.ErrNameMismatch),
		},
		"a certificate from nowhere": {
			play:  func(a *attack) { require.ErrorIs(a.t, a.startTLS(untrusted), errGone) },
			check: is(xtls.ErrUntrusted),
		},
		"a valid certificate": {
			play:  behind(same, nil),
			check: refused,
		},
		"a valid certificate, and -PLUS stripped": {
			// RFC 5802 §6: the client says that it could have.
			play:  behind(withoutBinding, nil),
			check: refused,
		},
		"strong mechanisms stripped": {
			// XEP-0474: the server proves what it offered, before the client proves anything.
			play:  behind(only(weak), nil),
			check: is(sasl.ErrDowngrade),
		},
		"strong mechanisms and the server's word about them stripped": {
			play: behind(only(weak), func(a *attack) {
				a.server.say(a.client.until("</auth>", "</authenticate>"))
				a.client.say(challenged.ReplaceAllStringFunc(a.server.until("</challenge>", "</failure>"), func(c string) string {
					part := challenged.FindStringSubmatch(c)
					data, err := base64.StdEncoding.DecodeString(part[2])
					require.NoError(a.t, err)
					return part[1] + base64.StdEncoding.EncodeToString(regexp.MustCompile(`,h=[^,]*`).ReplaceAll(data, nil)) + part[3]
				}))
			}),
			check: refused,
		},
		"a valid certificate, and -PLUS stripped but for the types": {
			play:  behind(only(func(name string) bool { return !strings.HasSuffix(name, "-PLUS") }), nil),
			check: is(sasl.ErrDowngrade),
		},
		"a valid certificate, and all types stripped": {
			play: behind(func(f string) string {
				return strings.Replace(f, "<sasl-channel-binding", "<sasl-channel-binding-was-here", 1)
			}, nil),
			check: func(t *testing.T, err error) { require.Error(t, err) },
		},
		"a valid certificate, and types made up": {
			play: behind(func(f string) string {
				return bindings.ReplaceAllString(f, "<channel-binding type='tls-made-up'/>")
			}, nil),
			check: is(sasl.ErrDowngrade),
		},
		"everything stripped but PLAIN": {
			play: behind(func(f string) string {
				return withoutBinding(regexp.MustCompile(`(<mechanisms [^>]*>|<authentication [^>]*>)`).ReplaceAllString(
					only(func(string) bool { return false })(f), "$1<mechanism>PLAIN</mechanism>"))
			}, nil),
			check: is(sasl.ErrNoMechanism),
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttacker(t, s, c.play)
			client := victim(t, s, a.addr())
			if c.plain {
				client.Auth = &auth.ClientOptions{AllowPlain: true}
			}
			err := connectThrough(t, client)
			require.Error(t, err)
			c.check(t, err)
			requireNoSecrets(t, a.overheard())
		})
	}
	t.Run("nothing at all", func(t *testing.T) {
		a := newAttacker(t, s, func(a *attack) { a.pass() })
		require.NoError(t, connectThrough(t, victim(t, s, a.addr())))
		requireNoSecrets(t, a.overheard())
	})
}

// requireNoSecrets checks that the password is not in what was overheard.
func requireNoSecrets(t *testing.T, heard string) {
	t.Helper()
	for _, secret := range []string{"capulet", base64.StdEncoding.EncodeToString([]byte("\x00juliet\x00capulet"))} {
		require.NotContains(t, heard, secret)
	}
}

// TestAttackerReplays is an attacker who has got hold of a whole login, by
// sitting between a client and a server that do without channel binding, and says
// the same again.
func TestAttackerReplays(t *testing.T) {
	s := xmpptest.NewServer(t, nil)
	valid, err := s.CA.Issue("xmpp.test")
	require.NoError(t, err)
	var said []string
	record := newAttacker(t, s, func(a *attack) {
		if err := a.startTLS(valid); err != nil {
			a.t.Error(err)
			return
		}
		a.opening(same)
		for _, answer := range []string{"</challenge>", "</success>"} {
			out := a.client.until("</auth>", "</authenticate>", "</response>")
			said = append(said, out)
			a.server.say(out)
			a.client.say(a.server.until(answer))
		}
		a.pass()
	})
	client := victim(t, s, record.addr())
	// What the client does is what the record is good for: a client without
	// channel binding.
	client.Auth = &auth.ClientOptions{Mechanisms: []sasl.Mechanism{sasl.Scram(sasl.SHA256)}}
	client.TLS = &xtls.ClientOptions{RootCAs: s.CA.Pool()}
	require.NoError(t, connectThrough(t, client), "nothing protects a client that cannot bind the channel")
	record.over()
	require.Len(t, said, 2, "the attacker has the whole exchange")

	answer := ""
	replay := newAttacker(t, s, func(a *attack) {
		if err := a.startTLS(valid); err != nil {
			a.t.Error(err)
			return
		}
		a.opening(same)
		a.client.until("</auth>", "</authenticate>")
		a.server.say(said[0])
		a.server.until("</challenge>")
		a.server.say(said[1])
		answer = a.server.until("</failure>", "</success>")
	})
	require.Error(t, connectThrough(t, victim(t, s, replay.addr())))
	replay.over()
	require.Contains(t, answer, "<not-authorized", fmt.Sprintf("the server answered %q", answer))
}
