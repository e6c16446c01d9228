package auth_test

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

// Certificates of clients from TLS to the session, with nothing pretended: C13, S24 and S25 for real.
func TestExternalOverTLS(t *testing.T) {
	ca, cert := newAuthority(t)
	stranger, err := xtls.NewDevCA()
	require.NoError(t, err)
	issue := func(ca *xtls.DevCA, subject pkix.Name, addrs ...jid.JID) tls.Certificate {
		c, err := ca.IssueWith(xtls.IssueOptions{Client: true, XMPPAddrs: addrs, Edit: func(template *x509.Certificate) {
			template.Subject = subject
		}})
		require.NoError(t, err)
		return c
	}
	anybody := xtls.PolicyFunc(func(context.Context, *xtls.Presented) error { return nil })
	pinned := issue(stranger, pkix.Name{}, romeo)
	fingerprint := sha256.Sum256(pinned.Leaf.RawSubjectPublicKeyInfo)
	byKey := func(_ context.Context, sec *stream.Security, _ jid.JID) (jid.JID, error) {
		if sha256.Sum256(sec.PeerChain[0].RawSubjectPublicKeyInfo) != fingerprint {
			return jid.JID{}, sasl.ErrUnknownUser
		}
		return juliet, nil
	}
	admin := pkix.Name{OrganizationalUnit: []string{"CN=admin,"}, CommonName: "admin@im.example"}
	for name, c := range map[string]struct {
		cert    *tls.Certificate
		from    jid.JID
		policy  xtls.VerifyPolicy
		mapping func(context.Context, *stream.Security, jid.JID) (jid.JID, error)
		who     jid.JID // zero: err
		want    string
		err     error
	}{
		"one address":                     {cert: new(issue(ca, pkix.Name{}, juliet)), want: "EXTERNAL", who: juliet},
		"one address, from":               {cert: new(issue(ca, pkix.Name{}, juliet)), from: juliet, want: "EXTERNAL", who: juliet},
		"two addresses, from":             {cert: new(issue(ca, pkix.Name{}, romeo, juliet)), from: juliet, want: "EXTERNAL", who: juliet},
		"two addresses":                   {cert: new(issue(ca, pkix.Name{}, romeo, juliet)), err: sasl.InvalidAuthzid},
		"an account that is no more":      {cert: new(issue(ca, pkix.Name{}, jid.MustParse("tybalt@im.example"))), err: sasl.NotAuthorized},
		"C13 distinguished name":          {cert: new(issue(ca, admin, juliet)), want: "EXTERNAL", who: juliet},
		"C13 nothing but it":              {cert: new(issue(ca, admin)), from: juliet, want: "SCRAM-SHA-256-PLUS", who: juliet},
		"another domain":                  {cert: new(issue(ca, pkix.Name{}, jid.MustParse("juliet@other.example"))), from: juliet, want: "SCRAM-SHA-256-PLUS", who: juliet},
		"no certificate":                  {from: juliet, want: "SCRAM-SHA-256-PLUS", who: juliet},
		"unknown authority":               {cert: &pinned, from: juliet, policy: anybody, want: "SCRAM-SHA-256-PLUS", who: juliet},
		"unknown authority, known by key": {cert: &pinned, from: juliet, policy: anybody, mapping: byKey, want: "EXTERNAL", who: juliet},
		"unknown authority, unknown key":  {cert: new(issue(stranger, admin, juliet)), from: juliet, policy: anybody, mapping: byKey, err: sasl.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			co := &xtls.ClientOptions{RootCAs: ca.Pool()}
			if c.cert != nil {
				co.Certificates = []tls.Certificate{*c.cert}
			}
			io := clientWith(&auth.ClientOptions{Password: "r0m30"})
			io.Security, io.From = nil, c.from
			io.Features = append([]stream.Feature{xtls.StartTLSClient(co)}, io.Features...)
			ao := serverWith(&auth.ServerOptions{Store: store(t), MapCertificate: c.mapping})
			ao.Security = nil
			ao.Features = append([]stream.Feature{xtls.StartTLSServer(&xtls.ServerOptions{
				Certificates: []tls.Certificate{cert}, ClientCAs: ca.Pool(), ClientPolicy: c.policy,
			})}, ao.Features...)
			var mechanism string
			io.Trace = &stream.Trace{Authenticated: func(_ jid.JID, m string) { mechanism = m }}
			client, server := negotiate(t, io, ao)
			if c.who.IsZero() {
				require.ErrorIs(t, client.err, c.err)
				require.Error(t, server.err)
				return
			}
			require.NoError(t, client.err)
			require.NoError(t, server.err)
			require.Equal(t, c.want, mechanism)
			require.Equal(t, c.who, server.session.RemoteAddr())
		})
	}
}
