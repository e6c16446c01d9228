package tls

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// san puts GeneralNames together.
func san(names ...[]byte) []byte { return appendDER(nil, tagSequence, slices.Concat(names...)) }

func dnsName(s string) []byte { return appendDER(nil, 0x82, []byte(s)) }

func ipAddress(s string) []byte {
	addr := netip.MustParseAddr(s)
	return appendDER(nil, 0x87, addr.AsSlice())
}

func other(id string, tag byte, value string) []byte {
	return appendDER(nil, 0xa0, otherNameDER(id, tag, value))
}

func xmppName(s string) []byte { return other(derXMPPAddr, tagUTF8, s) }

func serviceName(s string) []byte { return other(derDNSSRV, tagIA5, s) }

// derUPN is another kind of otherName: 1.3.6.1.4.1.311.20.2.3.
const derUPN = "\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03"

// holding returns a certificate as far as names are concerned.
func holding(value []byte) *x509.Certificate {
	return &x509.Certificate{Extensions: []pkix.Extension{{Id: oidSubjectAltName, Value: value}}}
}

func TestEachName(t *testing.T) {
	type name struct {
		kind  idKind
		value string
	}
	read := func(in []byte) (out []name, err error) {
		err = eachName(in, func(k idKind, v []byte) bool {
			out = append(out, name{k, string(v)})
			return true
		})
		return out, err
	}
	t.Run("every kind", func(t *testing.T) {
		got, err := read(san(
			dnsName("im.example"), ipAddress("192.0.2.1"), ipAddress("2001:db8::1"),
			serviceName("_xmpp-client.im.example"), xmppName("juliet@münchen.example"),
		))
		require.NoError(t, err)
		require.Equal(t, []name{
			{dnsID, "im.example"}, {ipID, "\xc0\x00\x02\x01"},
			{ipID, "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"},
			{srvID, "_xmpp-client.im.example"}, {xmppAddr, "juliet@münchen.example"},
		}, got)
	})
	// Encoded well, and no name for us: RFC 5280 §4.2.1.6 has more kinds.
	for what, value := range map[string][]byte{
		"rfc822Name":               appendDER(nil, 0x81, []byte("a@b")),
		"x400Address":              appendDER(nil, 0xa3, nil),
		"directoryName":            appendDER(nil, 0xa4, []byte{0x30, 0}),
		"ediPartyName":             appendDER(nil, 0xa5, nil),
		"URI":                      appendDER(nil, 0x86, []byte("xmpp:im.example")),
		"registeredID":             appendDER(nil, 0x88, []byte(derUPN)),
		"another otherName":        other(derUPN, tagUTF8, "im.example"),
		"XmppAddr, wrong string":   other(derXMPPAddr, tagIA5, "im.example"),
		"XmppAddr, not UTF-8":      other(derXMPPAddr, tagUTF8, "im\xff.example"),
		"SRV-ID, wrong string":     other(derDNSSRV, tagUTF8, "_xmpp-client.im.example"),
		"SRV-ID, not ASCII":        other(derDNSSRV, tagIA5, "_xmpp-client.münchen.example"),
		"DNS-ID, just not ASCII":   dnsName("a\x80"),
		"DNS-ID, not ASCII":        dnsName("münchen.example"),
		"address of another size":  appendDER(nil, 0x87, make([]byte, 5)),
		"address with a mask":      appendDER(nil, 0x87, make([]byte, 8)),
		"otherName, odd contents":  appendDER(nil, 0xa0, append(appendDER(nil, tagOID, []byte(derUPN)), 0xa0, 2, 0x04, 0)),
		"otherName, empty identer": other("", tagUTF8, "im.example"),
	} {
		got, err := read(san(value))
		require.NoError(t, err, what)
		require.Empty(t, got, what)
	}
	good := dnsName("im.example")
	oid := appendDER(nil, tagOID, []byte(derXMPPAddr))
	text := appendDER(nil, tagUTF8, []byte("im.example"))
	long := strings.Repeat("x", 200)
	for what, value := range map[string][]byte{
		"nothing":               {},
		"no length":             {0x30},
		"empty":                 san(),
		"not a sequence":        appendDER(nil, 0x31, good),
		"primitive sequence":    appendDER(nil, 0x10, good),
		"something behind it":   append(san(good), 0),
		"cut off":               san(good)[:8],
		"indefinite length":     append([]byte{0x30, 0x80}, append(good, 0, 0)...),
		"length too long":       append([]byte{0x30, 0x81, byte(len(good))}, good...),
		"leading zero":          append([]byte{0x30, 0x82, 0, 202}, appendDER(nil, 0x82, []byte(long[:199]))...),
		"reserved length":       {0x30, 0xff},
		"32 bits of length":     {0x30, 0x84, 1, 0, 0, 0},
		"name cut off":          san([]byte{0x82, 5, 'a'}),
		"tag of two bytes":      san([]byte{0x9f, 0x22, 0}),
		"universal tag":         san(appendDER(nil, tagUTF8, []byte("im.example"))),
		"tag 9":                 san(appendDER(nil, 0x89, nil)),
		"constructed DNS name":  san(appendDER(nil, 0xa2, dnsName("im.example"))),
		"primitive otherName":   san(appendDER(nil, 0x80, slices.Concat(oid, appendDER(nil, tagExplicit0, text)))),
		"otherName, empty":      san(appendDER(nil, 0xa0, nil)),
		"otherName, no value":   san(appendDER(nil, 0xa0, oid)),
		"otherName, no type":    san(appendDER(nil, 0xa0, appendDER(nil, tagExplicit0, text))),
		"otherName, no wrapper": san(appendDER(nil, 0xa0, slices.Concat(oid, text))),
		"otherName, [1]":        san(appendDER(nil, 0xa0, slices.Concat(oid, appendDER(nil, tagExplicit1, text)))),
		"otherName, two values": san(appendDER(nil, 0xa0, slices.Concat(oid, appendDER(nil, tagExplicit0, slices.Concat(text, text))))),
		"otherName, more":       san(appendDER(nil, 0xa0, slices.Concat(oid, appendDER(nil, tagExplicit0, text), text))),
		"otherName, empty [0]":  san(appendDER(nil, 0xa0, slices.Concat(oid, appendDER(nil, tagExplicit0, nil)))),
	} {
		_, err := read(value)
		require.ErrorIs(t, err, errDER, what)
		// A name in front of what is malformed does not count.
		if len(value) > 2 && value[0] == tagSequence {
			mixed := san(append(slices.Clone(good), value[2:]...))
			if _, err := read(mixed); err != nil {
				r := &reference{host: "im.example", service: serviceClient}
				require.False(t, r.matches(holding(mixed)), what)
			}
		}
	}
	t.Run("stops when told", func(t *testing.T) {
		n := 0
		require.NoError(t, eachName(san(good, good, good), func(idKind, []byte) bool { n++; return n < 2 }))
		require.Equal(t, 2, n)
	})
	t.Run("allocates nothing", func(t *testing.T) {
		in := san(good, ipAddress("192.0.2.1"), xmppName("im.example"), serviceName("_xmpp-client.im.example"))
		n := 0
		require.Zero(t, testing.AllocsPerRun(100, func() {
			_ = eachName(in, func(idKind, []byte) bool { n++; return true })
		}))
	})
	t.Run("lengths", func(t *testing.T) {
		for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20} {
			got, err := read(san(dnsName(strings.Repeat("x", n))))
			require.NoError(t, err)
			require.Len(t, got[0].value, n)
		}
	})
}

func TestIdentities(t *testing.T) {
	cert := holding(san(dnsName("b.example"), xmppName("juliet@im.example"), other(derUPN, tagUTF8, "x"),
		serviceName("_xmpp-server.im.example"), ipAddress("2001:db8::1"), xmppName("not an address@"), dnsName("a.example")))
	names, count, err := identities(cert, maxIdentities)
	require.NoError(t, err)
	require.Equal(t, []string{"b.example", "juliet@im.example", "_xmpp-server.im.example", "2001:db8::1", "not an address@", "a.example"}, names)
	require.Equal(t, 6, count)
	names, count, err = identities(cert, 2)
	require.NoError(t, err)
	require.Equal(t, []string{"b.example", "juliet@im.example"}, names)
	require.Equal(t, 6, count)
	addrs := xmppAddrs(cert)
	require.Len(t, addrs, 1)
	require.Equal(t, "juliet@im.example", addrs[0].String())

	t.Run("bounded", func(t *testing.T) {
		many := holding(san(slices.Repeat(xmppName("juliet@im.example"), 5000)))
		names, count, err := identities(many, maxIdentities)
		require.NoError(t, err)
		require.Len(t, names, maxIdentities)
		require.Equal(t, 5000, count)
		require.Len(t, xmppAddrs(many), maxIdentities)
	})
	t.Run("malformed", func(t *testing.T) {
		bad := holding(append(san(xmppName("juliet@im.example")), 0))
		names, count, err := identities(bad, maxIdentities)
		require.ErrorIs(t, err, errDER)
		require.Empty(t, names)
		require.Zero(t, count)
		require.Empty(t, xmppAddrs(bad))
	})
	t.Run("the subject is text for people", func(t *testing.T) {
		cert := &x509.Certificate{Subject: pkix.Name{CommonName: "admin", OrganizationalUnit: []string{"CN=admin,"}}}
		names, count, err := identities(cert, maxIdentities)
		require.NoError(t, err)
		require.Empty(t, names)
		require.Zero(t, count)
		require.Empty(t, xmppAddrs(cert))
	})
}

// FuzzSAN compares with crypto/x509 what both understand, and reads on where it
// does not.
func FuzzSAN(f *testing.F) {
	for _, seed := range [][]byte{
		nil, san(), san(dnsName("im.example"), ipAddress("192.0.2.1")),
		san(xmppName("im.example"), xmppName("juliet@im.example/balcony"), serviceName("_xmpp-client.im.example")),
		san(other(derUPN, tagUTF8, "x")), san(dnsName("*.example"), appendDER(nil, 0x86, []byte("xmpp:a"))),
		{0x30, 0x80, 0, 0}, append(san(dnsName("a")), 0), san([]byte{0x9f, 0x22, 0}),
	} {
		f.Add(seed)
	}
	ca := newCA(f)
	template, err := devTemplate()
	require.NoError(f, err)
	now := time.Now()
	f.Fuzz(func(t *testing.T, in []byte) {
		cert := holding(in)
		var dns, addrs [][]byte
		err := eachName(in, func(kind idKind, value []byte) bool {
			switch kind {
			case dnsID:
				dns = append(dns, value)
			case ipID:
				addrs = append(addrs, value)
			case srvID, xmppAddr:
			default:
				t.Fatalf("kind %d", kind)
			}
			return true
		})
		names, count, err2 := identities(cert, 3)
		require.Equal(t, err == nil, err2 == nil)
		require.LessOrEqual(t, len(names), min(count, 3))
		require.LessOrEqual(t, len(xmppAddrs(cert)), maxIdentities)
		require.LessOrEqual(t, len(presentedText(cert)), 512)
		r := &reference{host: "im.example", service: serviceClient}
		matched := r.matches(cert)
		require.False(t, matched && err != nil)

		template.ExtraExtensions = []pkix.Extension{{Id: oidSubjectAltName, Critical: true, Value: in}}
		raw, createErr := x509.CreateCertificate(rand.Reader, template, ca.cert, ca.key.Public(), ca.key)
		require.NoError(t, createErr)
		parsed, parseErr := x509.ParseCertificate(raw)
		if parseErr != nil {
			return
		}
		finding := inspectPath([]*x509.Certificate{parsed}, ca.Pool(), now, serverUsages)
		require.Equal(t, err == nil || len(parsed.UnhandledCriticalExtensions) == 0, finding.verdict.OK(), "%v", finding.cause)
		if err != nil {
			return
		}
		require.Equal(t, len(parsed.DNSNames), len(dns))
		for i := range dns {
			require.Equal(t, parsed.DNSNames[i], string(dns[i]))
		}
		require.Equal(t, len(parsed.IPAddresses), len(addrs))
		for i := range addrs {
			require.Equal(t, []byte(parsed.IPAddresses[i]), addrs[i])
		}
		if parsed.VerifyHostname("im.example") == nil {
			require.True(t, matched)
		}
	})
}
