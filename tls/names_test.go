package tls

import (
	"crypto/x509"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
)

func TestReferenceMatches(t *testing.T) {
	type names = [][]byte
	for _, tc := range []struct {
		clause, domain, service string
		san                     names
		want                    bool
	}{
		// DNS-ID
		{"RFC 9525 §6.3 equal", "im.example.com", serviceClient, names{dnsName("im.example.com")}, true},
		{"RFC 9525 §6.3 another case", "IM.example.com", serviceClient, names{dnsName("im.EXAMPLE.com")}, true},
		{"RFC 7622 §3.2 trailing dot in the JID", "im.example.com.", serviceClient, names{dnsName("im.example.com")}, true},
		{"trailing dot in the certificate", "im.example.com", serviceClient, names{dnsName("im.example.com.")}, false},
		{"RFC 9525 §6.3 A-label for a U-label", "münchen.example", serviceClient, names{dnsName("xn--mnchen-3ya.example")}, true},
		{"RFC 9525 §6.3 another case of an A-label", "münchen.example", serviceClient, names{dnsName("XN--MNCHEN-3YA.example")}, true},
		{"prefix", "im.example.com", serviceClient, names{dnsName("im.example.co")}, false},
		{"suffix", "im.example.com", serviceClient, names{dnsName("example.com")}, false},
		{"longer", "im.example.com", serviceClient, names{dnsName("a.im.example.com")}, false},
		{"empty", "im.example.com", serviceClient, names{dnsName("")}, false},
		{"NUL", "im.example.com", serviceClient, names{dnsName("im.example.com\x00.evil.example")}, false},
		{"last of many", "im.example.com", serviceClient, names{dnsName("a.example"), xmppName("b.example"), dnsName("im.example.com")}, true},
		{"another service's host", "im.example.com", serviceClient, names{dnsName("_xmpp-client.im.example.com")}, false},
		// Wildcards
		{"RFC 9525 §6.3 wildcard", "im.example.com", serviceClient, names{dnsName("*.example.com")}, true},
		{"RFC 9525 §6.3 wildcard, another case", "im.example.com", serviceClient, names{dnsName("*.EXAMPLE.com")}, true},
		{"RFC 9525 §6.3 wildcard for a whole A-label", "münchen.example", serviceClient, names{dnsName("*.example")}, true},
		{"RFC 9525 §6.3 two labels", "a.im.example.com", serviceClient, names{dnsName("*.example.com")}, false},
		{"RFC 9525 §6.3 no label", "example.com", serviceClient, names{dnsName("*.example.com")}, false},
		{"RFC 9525 §6.3 part of a label", "im.example.com", serviceClient, names{dnsName("i*.example.com"), dnsName("*m.example.com"), dnsName("**.example.com")}, false},
		{"RFC 9525 §6.3 fragment of an A-label", "münchen.example", serviceClient, names{dnsName("xn--*.example"), dnsName("xn--*"), dnsName("*ya.example")}, false},
		{"RFC 9525 §6.3 two wildcards", "a.b.example", serviceClient, names{dnsName("*.*.example"), dnsName("a.*.example")}, false},
		{"RFC 9525 §6.3 only a wildcard", "localhost", serviceClient, names{dnsName("*"), dnsName("*."), dnsName("*..")}, false},
		{"something else behind the wildcard", "im.example.com", serviceClient, names{dnsName("*xexample.com"), dnsName("x.example.com")}, false},
		{"no dot behind the wildcard", "im.example", serviceClient, names{dnsName("*example")}, false},
		// IP-ID
		{"RFC 9525 §6.4 IPv4", "192.0.2.1", serviceClient, names{ipAddress("192.0.2.1")}, true},
		{"RFC 9525 §6.4 IPv6", "[2001:db8::1]", serviceClient, names{ipAddress("2001:db8::1")}, true},
		{"RFC 9525 §6.4 octet for octet", "192.0.2.1", serviceClient, names{ipAddress("::ffff:192.0.2.1")}, false},
		{"RFC 9525 §6.4 the first of two", "192.0.2.1", serviceClient, names{ipAddress("192.0.2.1"), ipAddress("192.0.2.2")}, true},
		{"the octets as a name", "10.1.2.3", serviceClient, names{dnsName("\x0a\x01\x02\x03")}, false},
		{"RFC 9525 §6.4 another address", "192.0.2.1", serviceClient, names{ipAddress("192.0.2.2")}, false},
		{"an address in any other name", "192.0.2.1", serviceClient, names{
			dnsName("192.0.2.1"), xmppName("192.0.2.1"), serviceName("_xmpp-client.192.0.2.1"), dnsName("*.0.2.1"),
		}, false},
		{"an IPv6 address in any other name", "[2001:db8::1]", serviceClient, names{dnsName("2001:db8::1"), xmppName("[2001:db8::1]")}, false},
		{"a domain by an address", "im.example.com", serviceClient, names{ipAddress("192.0.2.1")}, false},
		// SRV-ID
		{"RFC 6120 §13.7.1.2.1 SRV-ID", "im.example.com", serviceClient, names{serviceName("_xmpp-client.im.example.com")}, true},
		{"RFC 9525 §6.5 another case", "im.example.com", serviceClient, names{serviceName("_XMPP-Client.IM.example.com")}, true},
		{"SRV-ID, A-label", "münchen.example", serviceClient, names{serviceName("_xmpp-client.xn--mnchen-3ya.example")}, true},
		{"RFC 6120 §13.7.1.2.1 the other service", "im.example.com", serviceClient, names{serviceName("_xmpp-server.im.example.com")}, false},
		{"RFC 6120 §13.7.1.2.1 the other profile", "im.example.com", serviceServer, names{serviceName("_xmpp-server.im.example.com")}, true},
		{"the other profile, client's service", "im.example.com", serviceServer, names{serviceName("_xmpp-client.im.example.com")}, false},
		{"SRV-ID, direct TLS has none of its own", "im.example.com", serviceClient, names{serviceName("_xmpps-client.im.example.com")}, false},
		{"SRV-ID, another domain", "im.example.com", serviceClient, names{serviceName("_xmpp-client.example.com")}, false},
		{"SRV-ID, name of the DNS record", "im.example.com", serviceClient, names{serviceName("_xmpp-client._tcp.im.example.com")}, false},
		{"SRV-ID, wildcard", "im.example.com", serviceClient, names{serviceName("_xmpp-client.*.example.com"), serviceName("*.im.example.com")}, false},
		{"SRV-ID, no domain", "im.example.com", serviceClient, names{serviceName("_xmpp-client"), serviceName("_xmpp-client."), serviceName("im.example.com"), serviceName("")}, false},
		{"SRV-ID, no dot", "im.example.com", serviceClient, names{serviceName("_xmpp-client-im.example.com")}, false},
		// XmppAddr
		{"RFC 6120 §13.7.2.1 XmppAddr", "im.example.com", serviceClient, names{xmppName("im.example.com")}, true},
		{"XmppAddr, another case", "im.example.com", serviceClient, names{xmppName("IM.Example.com")}, true},
		{"XmppAddr, U-label", "münchen.example", serviceClient, names{xmppName("münchen.example")}, true},
		{"XmppAddr, A-label", "münchen.example", serviceClient, names{xmppName("xn--mnchen-3ya.example")}, true},
		{"XmppAddr, account", "im.example.com", serviceClient, names{xmppName("user@im.example.com")}, false},
		{"XmppAddr, resource", "im.example.com", serviceClient, names{xmppName("im.example.com/x"), xmppName("user@im.example.com/x")}, false},
		{"XmppAddr, wildcard", "im.example.com", serviceClient, names{xmppName("*.example.com")}, false},
		{"XmppAddr, other domain", "im.example.com", serviceClient, names{xmppName("example.com")}, false},
		{"XmppAddr, malformed", "im.example.com", serviceClient, names{xmppName("@im.example.com"), xmppName(""), xmppName("im.example.com@"), xmppName(strings.Repeat("a", 5000))}, false},
		{"XmppAddr behind a malformed one", "im.example.com", serviceClient, names{xmppName("@"), xmppName("im.example.com")}, true},
		{"XmppAddr, beyond the bound", "im.example.com", serviceClient, append(slices.Repeat(names{xmppName("a.example")}, maxIdentities), xmppName("im.example.com")), false},
		{"XmppAddr, at the bound", "im.example.com", serviceClient, append(slices.Repeat(names{xmppName("a.example")}, maxIdentities-1), xmppName("im.example.com")), true},
		{"SRV-ID, beyond the bound", "im.example.com", serviceClient, append(slices.Repeat(names{serviceName("_x.a.example")}, maxIdentities), serviceName("_xmpp-client.im.example.com")), false},
		{"DNS-ID beyond the bound", "im.example.com", serviceClient, append(slices.Repeat(names{dnsName("a.example")}, 10*maxIdentities), dnsName("im.example.com")), true},
		// Everything else
		{"URI", "im.example.com", serviceClient, names{appendDER(nil, 0x86, []byte("xmpp:im.example.com"))}, false},
		{"e-mail", "im.example.com", serviceClient, names{appendDER(nil, 0x81, []byte("im.example.com"))}, false},
		{"another otherName", "im.example.com", serviceClient, names{other(derUPN, tagUTF8, "im.example.com")}, false},
	} {
		r, err := newReference(jid.MustParse(tc.domain), tc.service)
		require.NoError(t, err)
		require.Equal(t, tc.want, r.matches(holding(san(tc.san...))), tc.clause)
	}
	for domain, host := range map[string]string{
		"münchen.example": "xn--mnchen-3ya.example", "IM.Example.": "im.example", "192.0.2.1": "192.0.2.1", "[2001:DB8::0:1]": "2001:db8::1",
	} {
		got, err := referenceHost(jid.MustParse(domain))
		require.NoError(t, err)
		require.Equal(t, host, got)
	}
	// RFC 9525 §4.1: the source domain is that of the JID, whoever it is of.
	r, err := newReference(jid.MustParse("juliet@im.example.com/balcony"), serviceClient)
	require.NoError(t, err)
	require.True(t, r.matches(holding(san(xmppName("im.example.com")))))
	require.False(t, r.matches(new(x509.Certificate)))

	_, err = newReference(jid.MustParse(strings.Repeat("a.", 200)+"example"), serviceClient)
	require.ErrorIs(t, err, jid.ErrTooLong)
	require.ErrorIs(t, err, ErrConfig)
	_, err = newReference(jid.JID{}, serviceClient)
	require.ErrorIs(t, err, jid.ErrEmpty)
	require.ErrorIs(t, err, ErrConfig)
	require.False(t, new(reference).matchXMPPAddr([]byte("@")), "nobody, and what cannot be read")
}

// Kelvin's sign and the long s fold into ASCII, and must not.
func TestFoldIsASCII(t *testing.T) {
	require.True(t, equalFold([]byte("aZ09-"), "Az09-"))
	for _, s := range []string{"\u212a", "\u017f", "@", "`", "[", "{"} {
		for _, ref := range []string{"k", "s", "`", "@", "{", "["} {
			if s != ref {
				require.False(t, equalFold([]byte(s), ref), "%q %q", s, ref)
			}
		}
	}
}
