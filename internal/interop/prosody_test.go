package interop_test

import (
	"context"
	"crypto/tls"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	xtls "stanzakit.dev/xmpp/tls"
)

const prosodyDomain = "prosody.example"

// prosody is a running Prosody with the accounts alice, bob and carol.
type prosody struct {
	*interop.Prosody
	foreignServer
}

func startProsody(t *testing.T, hash string) *prosody {
	t.Helper()
	return startProsodyWith(t, interop.ProsodyOptions{Hash: hash})
}

func startProsodyWith(t *testing.T, o interop.ProsodyOptions) *prosody {
	t.Helper()
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	o.Domain, o.Certificates = prosodyDomain, t.TempDir()
	require.NoError(t, ca.WriteFiles(o.Certificates, prosodyDomain))
	switch o.Authentication {
	case "", "internal_hashed", "internal_plain":
		o.Accounts = map[string]string{"alice": password, "bob": password, "carol": asciiPassword}
	}
	p := interop.StartProsody(t, o)
	return &prosody{Prosody: p, foreignServer: foreignServer{addr: p.Addr, direct: p.DirectAddr, domain: prosodyDomain, ca: ca, roots: ca.Pool()}}
}

// TestProsodyLogin: STARTTLS, SCRAM and binding with a stock server (RFC 6120 §5 to §7).
func TestProsodyLogin(t *testing.T) {
	for hash, cases := range map[string]map[string]struct {
		version   uint16
		mechanism string
	}{
		"SHA-256": {
			// Prosody 0.12 has no channel binding for TLS 1.3. Later versions may.
			"TLS 1.3": {tls.VersionTLS13, "SCRAM-SHA-256"},
			// tls-unique (RFC 5929 §3) is the one type that it knows, and it announces none (XEP-0440).
			"TLS 1.2": {tls.VersionTLS12, "SCRAM-SHA-256-PLUS"},
		},
		"SHA-1": {
			"TLS 1.3": {tls.VersionTLS13, "SCRAM-SHA-1"},
			"TLS 1.2": {tls.VersionTLS12, "SCRAM-SHA-1-PLUS"},
		},
	} {
		t.Run(hash, func(t *testing.T) {
			t.Parallel()
			p := startProsody(t, hash)
			for name, c := range cases {
				t.Run(name, func(t *testing.T) {
					conn, w := p.connect(t, "alice", c.version)
					security, mechanism, _ := w.seen()
					require.Equal(t, c.version, security.Version)
					require.True(t, security.Verified)
					if c.version == tls.VersionTLS13 && !strings.HasPrefix(p.Version, "0.12.") {
						mechanism = strings.TrimSuffix(mechanism, "-PLUS")
					}
					require.Equal(t, c.mechanism, mechanism)

					require.Equal(t, "alice@"+prosodyDomain, conn.LocalAddr().Bare().String())
					require.NotEmpty(t, conn.LocalAddr().Resource(), "the server made up a resource (RFC 6120 §7.6)")
					require.Equal(t, prosodyDomain, conn.RemoteAddr().String())
				})
			}
		})
	}
}

// TestProsodyResource: a resource of the client's own choice (RFC 6120 §7.7).
func TestProsodyResource(t *testing.T) {
	p := startProsody(t, "")
	client, _ := p.client("alice", tls.VersionTLS13)
	client.JID = jid.MustParse("alice@" + prosodyDomain + "/Balcony & Orchard")
	conn, err := client.Connect(bounded(t))
	require.NoError(t, err)
	require.Equal(t, client.JID, conn.LocalAddr())
	closeInOrder(t, conn)
}

// TestProsodyStanzas: requests, and a message between two clients of ours (RFC 6120 §8).
func TestProsodyStanzas(t *testing.T) {
	p := startProsody(t, "")
	ctx := bounded(t)
	alice, alicesTrace := p.connect(t, "alice", tls.VersionTLS13)
	bob, bobsTrace := p.connect(t, "bob", tls.VersionTLS12)

	t.Run("XEP-0199 ping", func(t *testing.T) {
		type ping struct {
			XMLName xml.Name `xml:"urn:xmpp:ping ping"`
		}
		reply, err := alice.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: alice.RemoteAddr(), Payload: stanza.XML(ping{})})
		require.NoError(t, err)
		require.Equal(t, stanza.ResultIQ, reply.Type)
		require.Nil(t, reply.Payload)
	})

	t.Run("XEP-0030 disco", func(t *testing.T) {
		type info struct {
			XMLName  xml.Name `xml:"http://jabber.org/protocol/disco#info query"`
			Features []struct {
				Var string `xml:"var,attr"`
			} `xml:"feature"`
		}
		reply, err := alice.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: alice.RemoteAddr(), Payload: stanza.XML(info{})})
		require.NoError(t, err)
		var got info
		require.NoError(t, stanza.Unmarshal(reply.Element(), &got))
		var names []string
		for _, f := range got.Features {
			names = append(names, f.Var)
		}
		require.Contains(t, names, "urn:xmpp:ping")
	})

	t.Run("RFC 6120 §8.3.3.19 service-unavailable", func(t *testing.T) {
		type unknown struct {
			XMLName xml.Name `xml:"urn:example:unknown query"`
		}
		_, err := alice.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: alice.RemoteAddr(), Payload: stanza.XML(unknown{})})
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
	})

	t.Run("RFC 6121 §5 message", func(t *testing.T) {
		for _, c := range []*stanza.Conn{alice, bob} {
			require.NoError(t, c.Send(ctx, &stanza.Presence{}))
		}
		const text = "But soft, what <light> & “window” \U0001F319 ]]> breaks?"
		require.NoError(t, alice.Send(ctx, &stanza.Message{
			ID: "m1", To: bob.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain(text), Thread: "t1",
		}))
		got := nextMessage(ctx, t, bob)
		require.Equal(t, "m1", got.ID)
		require.Equal(t, alice.LocalAddr(), got.From)
		require.Equal(t, stanza.ChatMessage, got.Type)
		require.Equal(t, text, got.Body.String())
		require.Equal(t, "t1", got.Thread)

		require.NoError(t, bob.Send(ctx, got.Reply("It is the east.")))
		answer := nextMessage(ctx, t, alice)
		require.Equal(t, bob.LocalAddr(), answer.From)
		require.Equal(t, "It is the east.", answer.Body.String())
	})

	for conn, w := range map[*stanza.Conn]*witness{alice: alicesTrace, bob: bobsTrace} {
		closeInOrder(t, conn)
		security, mechanism, recorded := w.seen()
		version := strings.ReplaceAll(tls.VersionName(security.Version), " ", "-")
		recordFlow(t, recorded, "prosody-"+p.Version+"-"+version+".flow",
			"A session of a client with Prosody "+p.Version+": "+version+", "+mechanism+", binding, stanzas.")
	}
}

// nextMessage returns the next message that conn receives and passes over what else arrives.
func nextMessage(ctx context.Context, t *testing.T, conn *stanza.Conn) *stanza.Message {
	t.Helper()
	for st, err := range conn.All(ctx) {
		require.NoError(t, err)
		if m, ok := st.(*stanza.Message); ok {
			return m.Clone()
		}
	}
	require.Fail(t, "the stream was closed before a message came")
	return nil
}

// TestProsodyBadPassword: the server's <failure/> arrives as a typed error (RFC 6120 §6.5.10).
func TestProsodyBadPassword(t *testing.T) {
	p := startProsody(t, "")
	for name, change := range map[string]func(*xmpp.Client){
		"password": func(c *xmpp.Client) { c.Password = "wrong" },
		"account":  func(c *xmpp.Client) { c.JID = jid.MustParse("mallory@" + prosodyDomain) },
	} {
		t.Run(name, func(t *testing.T) {
			client, w := p.client("alice", tls.VersionTLS12)
			change(client)
			_, err := client.Connect(bounded(t))
			require.ErrorIs(t, err, sasl.NotAuthorized)
			var failure *sasl.Error
			require.ErrorAs(t, err, &failure)
			require.NotContains(t, err.Error(), client.Password)
			_, mechanism, recorded := w.seen()
			require.Empty(t, mechanism)
			if name == "password" {
				recordFlow(t, recorded, "prosody-"+p.Version+"-bad-password.flow",
					"A client gives a wrong password to Prosody "+p.Version+"; TLS 1.2, SCRAM-SHA-256-PLUS.")
			}
		})
	}
}

// TestProsodyWrongAuthority: a certificate from somebody else's authority, or for another domain, ends the connection before anything
// else is said (RFC 6120 §5.4.3.2, §13.7.2).
func TestProsodyWrongAuthority(t *testing.T) {
	p := startProsody(t, "")
	other, err := xtls.NewDevCA()
	require.NoError(t, err)
	for name, c := range map[string]struct {
		change func(*xmpp.Client)
		reason error
	}{
		"authority": {func(c *xmpp.Client) { c.TLS.RootCAs = other.Pool() }, xtls.ErrUntrusted},
		"the system's authorities": {func(c *xmpp.Client) {
			c.TLS.RootCAs = nil // the DevCA is not among them
		}, xtls.ErrUntrusted},
		"time": {func(c *xmpp.Client) {
			c.TLS.Config.Time = func() time.Time { return time.Now().AddDate(1, 0, 0) }
		}, xtls.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := bounded(t)
			client, w := p.client("alice", tls.VersionTLS13)
			c.change(client)
			before := len(p.Log("Client disconnected"))
			_, err := client.Connect(ctx)
			require.ErrorIs(t, err, c.reason)
			var certificate *xtls.CertificateError
			require.ErrorAs(t, err, &certificate)
			require.Equal(t, prosodyDomain, certificate.Domain)
			require.NotEmpty(t, certificate.Chain)

			security, mechanism, recorded := w.seen()
			require.Zero(t, security.Version)
			require.Empty(t, mechanism)
			last := recorded[len(recorded)-1]
			require.Equal(t, received, last.direction, "the last thing on the wire is the server's <proceed/>")
			require.Contains(t, last.xml, "<proceed")

			// Prosody says the same: one element came, and then the connection was gone.
			require.NoError(t, p.WaitLogCount(ctx, before+1, "Client disconnected"))
			require.Empty(t, p.Log("Received[c2s_unauthed]", "<auth"))
			require.Empty(t, p.Log("</stream:stream>"))
		})
	}
}
