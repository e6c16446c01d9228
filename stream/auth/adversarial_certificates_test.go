package auth_test

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// withCertificate is a pretended TLS layer to which the client has presented a certificate.
func withCertificate(addrs ...string) *stream.Security {
	sec := tls13()
	sec.Verdict = stream.Anchored
	sec.PeerChain = []*x509.Certificate{{Subject: pkix.Name{CommonName: "juliet"}}}
	for _, a := range addrs {
		sec.XMPPAddrs = append(sec.XMPPAddrs, jid.MustParse(a))
	}
	return sec
}

// ownCertificate is the client's side of it.
func ownCertificate() *stream.Security {
	sec := tls13()
	sec.OwnCertificate = true
	return sec
}

// S24: whose a certificate is, on the wire. TestExternal has all the cases.
func certificates(t *testing.T) {
	accounts := store(t)
	for name, c := range map[string]struct {
		addrs   []string
		from    string
		authzid string
		want    string
	}{
		"one":                       {addrs: []string{"juliet@im.example"}, want: "<success"},
		"one, from":                 {addrs: []string{"juliet@im.example"}, from: "juliet@im.example", want: "<success"},
		"one, from another":         {addrs: []string{"juliet@im.example"}, from: "romeo@im.example", want: "<invalid-from"},
		"one, authzid":              {addrs: []string{"juliet@im.example"}, authzid: "juliet@im.example", want: "<success"},
		"one, authzid of another":   {addrs: []string{"juliet@im.example"}, authzid: "romeo@im.example", want: "<invalid-authzid"},
		"two":                       {addrs: []string{"juliet@im.example", "romeo@im.example"}, want: "<invalid-authzid"},
		"two, from":                 {addrs: []string{"romeo@im.example", "juliet@im.example"}, from: "juliet@im.example", want: "<success"},
		"two, authzid":              {addrs: []string{"romeo@im.example", "juliet@im.example"}, authzid: "juliet@im.example", want: "<success"},
		"two, authzid, from other":  {addrs: []string{"romeo@im.example", "juliet@im.example"}, authzid: "romeo@im.example", from: "juliet@im.example", want: "<invalid-from"},
		"two, one not ours":         {addrs: []string{"juliet@other.example", "juliet@im.example"}, want: "<success"},
		"none":                      {want: "<invalid-mechanism"},
		"not ours":                  {addrs: []string{"juliet@other.example"}, want: "<invalid-mechanism"},
		"not ours, and says it is":  {addrs: []string{"juliet@other.example"}, authzid: "juliet@im.example", want: "<invalid-mechanism"},
		"one, and another domain's": {addrs: []string{"juliet@im.example"}, authzid: "juliet@other.example", want: "<invalid-authzid"},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			ao := serverWith(&auth.ServerOptions{Store: accounts})
			ao.Security = withCertificate(c.addrs...)
			var who jid.JID
			ao.Trace = &stream.Trace{Authenticated: func(j jid.JID, _ string) { who = j }}
			p, done := scriptedClient(t, ao)
			header := clientHeader
			if c.from != "" {
				header = strings.Replace(header, " to=", " from='"+c.from+"' to=", 1)
			}
			p.send(header)
			offer := p.expect("</stream:features>")
			// RFC 6120 §6.3.4: first of all, or not at all.
			require.Equal(t, c.want != "<invalid-mechanism", strings.Contains(offer, "<mechanisms"+xmlns+"><mechanism>EXTERNAL<"))
			p.send(authElement("EXTERNAL", c.authzid))
			p.expect(c.want)
			p.conn.Close()
			within(t, done)
			if c.want == "<success" {
				require.Equal(t, juliet, who)
			} else {
				require.Zero(t, who)
			}
		})
	}
	// Authorize has the last word, also about certificates.
	t.Run("server/disabled", func(t *testing.T) {
		ao := serverWith(&auth.ServerOptions{Store: accounts, Authorize: func(_ context.Context, account, asked jid.JID) error {
			require.Equal(t, juliet, account)
			require.Equal(t, juliet, asked)
			return &sasl.Error{Condition: sasl.AccountDisabled}
		}})
		ao.Security = withCertificate("juliet@im.example")
		p, _ := scriptedClient(t, ao)
		p.send(clientHeader + authElement("EXTERNAL", ""))
		p.expect("<account-disabled/>")
	})
	// XEP-0178 §2: "=", unless there is a reason.
	for name, c := range map[string]struct{ authzid, want string }{
		"no authzid": {"", ">=</auth>"},
		"authzid":    {"juliet@im.example", ">" + b64("juliet@im.example") + "</auth>"},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			o := &auth.ClientOptions{}
			if c.authzid != "" {
				o.AuthzID = jid.MustParse(c.authzid)
			}
			io := clientWith(o)
			io.Security = ownCertificate()
			p, _ := scriptedServer(t, io)
			p.expect("'>")
			p.send(serverHeader + features("SCRAM-SHA-256-PLUS", "EXTERNAL"))
			got := p.expect("</auth>")
			require.Contains(t, got, "mechanism='EXTERNAL'")
			require.True(t, strings.HasSuffix(got, c.want), got)
		})
	}
}

// S25: EXTERNAL without a certificate that will do.
func externalWithoutCertificate(t *testing.T) {
	for name, edit := range map[string]func(*stream.Security){
		"none":           func(s *stream.Security) { s.PeerChain, s.XMPPAddrs = nil, nil },
		"not verified":   func(s *stream.Security) { s.Verified = false },
		"self-signed":    func(s *stream.Security) { s.Verdict = stream.SelfSigned },
		"expired":        func(s *stream.Security) { s.Verdict |= stream.WrongTime },
		"another domain": func(s *stream.Security) { s.XMPPAddrs = []jid.JID{jid.MustParse("juliet@other.example")} },
	} {
		t.Run("server/"+name, func(t *testing.T) {
			ao := serverWith(&auth.ServerOptions{Store: store(t)})
			ao.Security = withCertificate("juliet@im.example")
			edit(ao.Security)
			p, _ := scriptedClient(t, ao)
			p.send(clientHeader)
			require.NotContains(t, p.expect("</stream:features>"), "EXTERNAL")
			p.send(authElement("EXTERNAL", "juliet@im.example"))
			require.Contains(t, p.expect("</failure>"), "<invalid-mechanism/>")
		})
	}
	t.Run("server/no TLS", func(t *testing.T) {
		ao := serverWith(&auth.ServerOptions{Store: store(t), InsecureWithoutTLS: true})
		ao.Security = withCertificate("juliet@im.example")
		ao.Security.Version = 0
		p, _ := scriptedClient(t, ao)
		p.send(clientHeader)
		require.NotContains(t, p.expect("</stream:features>"), "EXTERNAL")
		p.send(authElement("EXTERNAL", ""))
		require.Contains(t, p.expect("</failure>"), "<invalid-mechanism/>")
	})
	for name, edit := range map[string]func(*stream.Security){
		"none":                    func(s *stream.Security) { s.OwnCertificate = false },
		"a server not verified":   func(s *stream.Security) { s.Verified = false },
		"no certificate, no TLS":  func(s *stream.Security) { *s = stream.Security{} },
		"a certificate of no TLS": func(s *stream.Security) { *s = stream.Security{OwnCertificate: true, Verified: true} },
	} {
		t.Run("client/"+name, func(t *testing.T) {
			io := clientWith(&auth.ClientOptions{Password: "r0m30", InsecureWithoutTLS: true})
			io.Profile = insecureProfile
			io.Security = ownCertificate()
			edit(io.Security)
			p, _ := scriptedServer(t, io)
			p.expect("'>")
			p.send(serverHeader + features("EXTERNAL", "SCRAM-SHA-256"))
			require.Contains(t, p.expect("</auth>"), "mechanism='SCRAM-SHA-256'")
		})
	}
}

// C13, on the wire.
func distinguishedNames(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		accounts := store(t)
		require.NoError(t, accounts.Set(t.Context(), "admin", "x"))
		for _, authzid := range []string{"", "admin@im.example"} {
			ao := serverWith(&auth.ServerOptions{Store: accounts})
			ao.Security = withCertificate("juliet@im.example")
			ao.Security.PeerChain[0].Subject = pkix.Name{OrganizationalUnit: []string{"CN=admin,"}, CommonName: "admin@im.example"}
			var who jid.JID
			ao.Trace = &stream.Trace{Authenticated: func(j jid.JID, _ string) { who = j }}
			p, done := scriptedClient(t, ao)
			p.send(clientHeader + authElement("EXTERNAL", authzid))
			if authzid == "" {
				p.expect("<success")
			} else {
				p.expect("<invalid-authzid/>")
			}
			p.conn.Close()
			within(t, done)
			require.Equal(t, authzid == "", who == juliet)
		}
	})
}
