package tls

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// zone is a TLSAResolver with one domain and one server. It writes down what it
// is asked.
type zone struct {
	insecureSRV  bool
	insecureTLSA bool
	srvErr       error
	tlsaErr      error
	records      []TLSA
	asked        *[]string
}

func (z zone) AuthenticatesTarget(_ context.Context, domain, host string, port uint16) (bool, error) {
	z.ask("SRV", domain, host, port)
	return !z.insecureSRV, z.srvErr
}

func (z zone) LookupTLSA(_ context.Context, port uint16, host string) ([]TLSA, bool, error) {
	z.ask("TLSA", host, port)
	return z.records, !z.insecureTLSA, z.tlsaErr
}

func (z zone) ask(args ...any) {
	if z.asked != nil {
		*z.asked = append(*z.asked, strings.TrimSpace(fmt.Sprintln(args...)))
	}
}

// tlsa makes a record that matches a certificate.
func tlsa(usage, selector, matching uint8, cert *x509.Certificate) TLSA {
	data := cert.Raw
	if selector == selectorSPKI {
		data = cert.RawSubjectPublicKeyInfo
	}
	switch matching {
	case matchingSHA256:
		sum := sha256.Sum256(data)
		data = sum[:]
	case matchingSHA512:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return TLSA{usage, selector, matching, data}
}

func namesTarget(c *x509.Certificate) { c.DNSNames = []string{"xmpp.hosting.example"} }

// TestDANE has the branches of RFC 7673 §3 and §4.
func TestDANE(t *testing.T) {
	root := newAuthority(t, "root", nil)
	ca := newAuthority(t, "intermediate", root)
	stranger := newAuthority(t, "stranger", nil)
	cert, other, target := ca.leaf(t), ca.leaf(t), ca.leaf(t, namesTarget)
	expired := func(c *x509.Certificate) { c.NotAfter = pkiNow.AddDate(0, 0, -1) }
	old := ca.leaf(t, expired)
	lookup := errors.New("SERVFAIL\x1b[2J" + strings.Repeat("x", 10_000))
	ee := tlsa(usageDANEEE, selectorSPKI, matchingSHA256, cert)
	wrong := tlsa(usageDANEEE, selectorSPKI, matchingSHA256, other)
	ta := tlsa(usageDANETA, selectorSPKI, matchingSHA256, ca.cert)
	const anchored, unknown, name, when, revoked = stream.Anchored, stream.UnknownAuthority, stream.WrongName, stream.WrongTime, stream.Revoked

	for what, tc := range map[string]struct {
		zone  zone
		v     Verdict
		chain []*x509.Certificate
		want  error // nil: accepted
	}{
		"§3.1: SRV bogus":               {zone{srvErr: lookup, records: []TLSA{ee}}, anchored, []*x509.Certificate{cert}, lookup},
		"§3.1: SRV insecure, good":      {zone{insecureSRV: true, records: []TLSA{wrong}}, anchored, []*x509.Certificate{cert}, nil},
		"§3.1: SRV insecure, bad":       {zone{insecureSRV: true, records: []TLSA{ee}}, unknown, []*x509.Certificate{cert}, errOrdinary},
		"§3.4: TLSA bogus":              {zone{tlsaErr: lookup}, anchored, []*x509.Certificate{cert}, lookup},
		"§3.4: TLSA bogus with records": {zone{tlsaErr: lookup, records: []TLSA{ee}}, anchored, []*x509.Certificate{cert}, ErrDANE},
		"§3.4: TLSA insecure, good":     {zone{insecureTLSA: true, records: []TLSA{wrong}}, anchored, []*x509.Certificate{cert}, nil},
		"§3.4: TLSA insecure, bad":      {zone{insecureTLSA: true, records: []TLSA{ee}}, unknown, []*x509.Certificate{cert}, errOrdinary},
		"§4.1: no TLSA, good":           {zone{}, anchored, []*x509.Certificate{cert}, nil},
		"§4.1: no TLSA, unknown":        {zone{}, unknown, []*x509.Certificate{cert}, errOrdinary},
		"§4.1: secure SRV, target":      {zone{}, anchored | name, []*x509.Certificate{target}, nil},
		"§4.1: insecure SRV, target":    {zone{insecureSRV: true}, anchored | name, []*x509.Certificate{target}, errOrdinary},
		"§4.1: target, unknown":         {zone{}, unknown | name, []*x509.Certificate{target}, errOrdinary},
		"§4.1: target, expired":         {zone{}, anchored | name | when, []*x509.Certificate{target}, errOrdinary},
		"§4.1: another name":            {zone{}, anchored | name, []*x509.Certificate{cert}, errOrdinary},
		"RFC 6698 §4.1: too many":       {zone{records: make([]TLSA, maxTLSA+1)}, anchored, []*x509.Certificate{cert}, ErrDANE},

		"DANE-EE":                       {zone{records: []TLSA{ee}}, unknown, []*x509.Certificate{cert}, nil},
		"DANE-EE: self-signed":          {zone{records: []TLSA{ee}}, stream.SelfSigned, []*x509.Certificate{cert}, nil},
		"DANE-EE: name, time":           {zone{records: []TLSA{ee}}, unknown | name | when | stream.Unacceptable, []*x509.Certificate{cert}, nil},
		"DANE-EE: revoked":              {zone{records: []TLSA{ee}}, anchored | revoked, []*x509.Certificate{cert}, errOrdinary},
		"DANE-EE: one of two":           {zone{records: []TLSA{wrong, ee}}, unknown, []*x509.Certificate{cert}, nil},
		"DANE-EE: another certificate":  {zone{records: []TLSA{wrong}}, anchored, []*x509.Certificate{cert}, ErrDANE},
		"DANE-EE: of the chain":         {zone{records: []TLSA{tlsa(usageDANEEE, 0, 1, ca.cert)}}, anchored, []*x509.Certificate{cert, ca.cert}, ErrDANE},
		"§4.2: no match, good for PKIX": {zone{records: []TLSA{wrong, tlsa(usageDANETA, 0, 1, stranger.cert)}}, anchored, []*x509.Certificate{cert, ca.cert, root.cert}, ErrDANE},

		"PKIX-EE":                      {zone{records: []TLSA{tlsa(usagePKIXEE, 1, 1, cert)}}, anchored, []*x509.Certificate{cert}, nil},
		"PKIX-EE: unknown":             {zone{records: []TLSA{tlsa(usagePKIXEE, 1, 1, cert)}}, unknown, []*x509.Certificate{cert}, errOrdinary},
		"PKIX-EE: expired":             {zone{records: []TLSA{tlsa(usagePKIXEE, 1, 1, cert)}}, anchored | when, []*x509.Certificate{cert}, ErrDANE},
		"PKIX-EE: another certificate": {zone{records: []TLSA{tlsa(usagePKIXEE, 1, 1, other)}}, anchored, []*x509.Certificate{cert}, ErrDANE},
		"PKIX-EE: target":              {zone{records: []TLSA{tlsa(usagePKIXEE, 1, 1, target)}}, anchored | name, []*x509.Certificate{target}, nil},
		"PKIX-EE: another name":        {zone{records: []TLSA{tlsa(usagePKIXEE, 1, 1, cert)}}, anchored | name, []*x509.Certificate{cert}, errOrdinary},

		"PKIX-TA":                     {zone{records: []TLSA{tlsa(usagePKIXTA, 1, 1, ca.cert)}}, anchored, []*x509.Certificate{cert, ca.cert, root.cert}, nil},
		"PKIX-TA: the root":           {zone{records: []TLSA{tlsa(usagePKIXTA, 0, 2, root.cert)}}, anchored, []*x509.Certificate{cert, ca.cert, root.cert}, nil},
		"PKIX-TA: unknown":            {zone{records: []TLSA{tlsa(usagePKIXTA, 1, 1, ca.cert)}}, unknown, []*x509.Certificate{cert, ca.cert}, ErrDANE},
		"PKIX-TA: another":            {zone{records: []TLSA{tlsa(usagePKIXTA, 1, 1, stranger.cert)}}, anchored, []*x509.Certificate{cert, ca.cert, root.cert}, ErrDANE},
		"PKIX-TA: its own":            {zone{records: []TLSA{tlsa(usagePKIXTA, 1, 1, cert)}}, anchored, []*x509.Certificate{cert, ca.cert, root.cert}, ErrDANE},
		"PKIX-TA: another name, §9.2": {zone{records: []TLSA{tlsa(usagePKIXTA, 1, 1, ca.cert)}}, anchored | name, []*x509.Certificate{cert, ca.cert}, errOrdinary},
		"PKIX-TA: target":             {zone{records: []TLSA{tlsa(usagePKIXTA, 1, 1, ca.cert)}}, anchored | name, []*x509.Certificate{target, ca.cert}, nil},

		"DANE-TA":                      {zone{records: []TLSA{ta}}, unknown, []*x509.Certificate{cert, ca.cert}, nil},
		"DANE-TA: at the root":         {zone{records: []TLSA{tlsa(usageDANETA, 0, 1, root.cert)}}, unknown, []*x509.Certificate{cert, ca.cert, root.cert}, nil},
		"DANE-TA: trusted anyway":      {zone{records: []TLSA{ta}}, anchored, []*x509.Certificate{cert, ca.cert}, nil},
		"DANE-TA: not sent, in record": {zone{records: []TLSA{tlsa(usageDANETA, 0, 0, ca.cert)}}, unknown, []*x509.Certificate{cert}, nil},
		"DANE-TA: not sent":            {zone{records: []TLSA{ta}}, unknown, []*x509.Certificate{cert}, ErrDANE},
		"DANE-TA: target":              {zone{records: []TLSA{ta}}, unknown | name, []*x509.Certificate{target, ca.cert}, nil},
		"DANE-TA: another name, §9.2":  {zone{records: []TLSA{ta}}, unknown | name, []*x509.Certificate{cert, ca.cert}, errOrdinary},
		"DANE-TA: expired":             {zone{records: []TLSA{ta}}, unknown | when, []*x509.Certificate{old, ca.cert}, ErrDANE},
		"DANE-TA: expired, verdict":    {zone{records: []TLSA{ta}}, unknown | when, []*x509.Certificate{cert, ca.cert}, errOrdinary},
		"DANE-TA: revoked":             {zone{records: []TLSA{ta}}, anchored | revoked, []*x509.Certificate{cert, ca.cert}, errOrdinary},
		"DANE-TA: only sent along":     {zone{records: []TLSA{ta}}, unknown, []*x509.Certificate{stranger.leaf(t), ca.cert}, ErrDANE},
		"DANE-TA: for another use": {zone{records: []TLSA{ta}}, unknown, []*x509.Certificate{ca.leaf(t, func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
		}), ca.cert}, ErrDANE},
		"DANE-TA: itself, in the record":  {zone{records: []TLSA{tlsa(usageDANETA, 0, 0, cert)}}, unknown, []*x509.Certificate{cert}, ErrDANE},
		"RFC 6698 §4.1: many":             {zone{records: make([]TLSA, maxTLSA-1)}, anchored, []*x509.Certificate{cert}, nil},
		"as many as may be":               {zone{records: make([]TLSA, maxTLSA)}, anchored, []*x509.Certificate{cert}, nil},
		"DANE-TA: the certificate itself": {zone{records: []TLSA{tlsa(usageDANETA, 1, 1, cert)}}, unknown, []*x509.Certificate{cert}, ErrDANE},
	} {
		t.Run(what, func(t *testing.T) {
			err := DANE(tc.zone).VerifyCertificate(t.Context(), present(tc.v, tc.chain...))
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tc.want)
			require.Less(t, len(err.Error()), 800)
			require.NotContains(t, err.Error(), "\x1b")
			if len(tc.zone.records) > 0 && !tc.zone.insecureSRV && !tc.zone.insecureTLSA {
				require.ErrorIs(t, err, ErrDANE)
			}
		})
	}
}

// RFC 7673 §3.3: the port and host of the SRV record make the name.
func TestDANEQuestions(t *testing.T) {
	cert := loneLeaf(t)
	for _, tc := range []struct {
		domain, target string
		want           []string
	}{
		{"im.example", "xmpp.hosting.example:5222", []string{"SRV im.example xmpp.hosting.example 5222", "TLSA xmpp.hosting.example 5222"}},
		{"im.example", "IM.Example.:5223", []string{"TLSA im.example 5223"}}, // no SRV record led anywhere else
		{"münchen.example", "bücher.example:5222", []string{"SRV xn--mnchen-3ya.example xn--bcher-kva.example 5222", "TLSA xn--bcher-kva.example 5222"}},
		{"im.example", "_Odd.host.example.:5222", []string{"SRV im.example _odd.host.example 5222", "TLSA _odd.host.example 5222"}},
		{"im.example", "192.0.2.1:5222", nil},
		{"im.example", "[2001:db8::1]:5222", nil},
		{"192.0.2.1", "192.0.2.1:5222", nil},
	} {
		var asked []string
		p := present(stream.Anchored, cert)
		p.Domain, p.Target = jid.MustParse(tc.domain), tc.target
		require.NoError(t, DANE(zone{asked: &asked}).VerifyCertificate(t.Context(), p), tc.target)
		require.Equal(t, tc.want, asked)
		p.Verdict, p.Err = stream.UnknownAuthority, errOrdinary
		require.ErrorIs(t, DANE(zone{}).VerifyCertificate(t.Context(), p), errOrdinary, tc.target)
	}
	// RFC 7673 §4.1: no second name if no SRV record has led to it.
	p := present(stream.Anchored|stream.WrongName, loneLeaf(t))
	p.Target = "im.example:5222"
	require.ErrorIs(t, DANE(zone{}).VerifyCertificate(t.Context(), p), errOrdinary)
	// An address is in no zone, wherever the connection leads.
	var asked []string
	p = present(stream.Anchored, cert)
	p.Domain = jid.MustParse("192.0.2.1")
	require.NoError(t, DANE(zone{asked: &asked}).VerifyCertificate(t.Context(), p))
	require.Empty(t, asked)
	// Nor is a name that is too long for the DNS.
	p.Domain = jid.MustParse(strings.Repeat("é", 60) + ".example")
	require.Error(t, DANE(zone{asked: &asked}).VerifyCertificate(t.Context(), p))
	require.Empty(t, asked)
	p.Domain, p.Target = imExample, ""
	require.ErrorContains(t, DANE(zone{}).VerifyCertificate(t.Context(), p), "ClientOptions.Target")

	// With nothing to go by, DANE is not switched off in silence.
	for _, target := range []string{"", "im.example", ":5222", "im.example:", "im.example:0", "im.example:65536", "im.example:xmpp", "a b:1", "a/b:1",
		strings.Repeat("a", 300) + ":1", "\x1b[2J:1", "..:1"} {
		p := present(stream.Anchored, cert)
		p.Target = target
		err := DANE(zone{}).VerifyCertificate(t.Context(), p)
		require.ErrorIs(t, err, ErrDANE, target)
		require.NotContains(t, err.Error(), "\x1b")
	}
	require.ErrorIs(t, DANE(nil).VerifyCertificate(t.Context(), present(stream.Anchored, cert)), ErrDANE)
	require.Error(t, DANE(zone{}).VerifyCertificate(t.Context(), present(stream.Anchored)), "no chain")
	p = present(stream.SelfSigned, cert)
	p.Domain = jid.JID{} // a client
	require.ErrorIs(t, DANE(zone{records: []TLSA{tlsa(usageDANEEE, 0, 0, cert)}}).VerifyCertificate(t.Context(), p), errOrdinary)
}

func TestDANEErrorText(t *testing.T) {
	// Whether a record is wrong or only the rest is worth knowing, also if other
	// records follow.
	ca := newAuthority(t, "CA", nil)
	cert, other := ca.leaf(t), ca.leaf(t)
	for _, usage := range []uint8{usagePKIXTA, usagePKIXEE, usageDANETA, usageDANEEE} {
		about, wrong := cert, other
		if usage == usagePKIXTA || usage == usageDANETA {
			about, wrong = ca.cert, newAuthority(t, "another", nil).cert
		}
		good, bad := tlsa(usage, 1, 1, about), tlsa(usage, 1, 1, wrong)
		p := present(stream.Anchored|stream.Revoked, cert, ca.cert)
		for _, records := range [][]TLSA{{good}, {good, bad}, {bad, good}} {
			err := DANE(zone{records: records}).VerifyCertificate(t.Context(), p)
			require.ErrorContains(t, err, "matches, but", usage)
			require.ErrorIs(t, err, errOrdinary)
		}
		err := DANE(zone{records: []TLSA{bad, bad}}).VerifyCertificate(t.Context(), p)
		require.ErrorContains(t, err, "no TLSA record")
		require.ErrorContains(t, err, "2 records")
		require.NotErrorIs(t, err, errOrdinary)
	}
}

func TestParseTarget(t *testing.T) {
	long := strings.Repeat("a_bcdefg.", 28) // 252 octets
	for target, want := range map[string]string{
		"im.example:1": "im.example 1", "IM.EXAMPLE.:65535": "im.example 65535", "_a-z.09.example:80": "_a-z.09.example 80",
		"192.0.2.1:5222": "192.0.2.1 5222", "[2001:DB8::1]:5222": "2001:db8::1 5222",
		long + "a:1": long + "a 1", long + "ab:1": "", long + "abc:1": "",
		"_a..b:1": "", "._a:1": "", "_a{:1": "", "_a/:1": "", "_a@b:1": "", "_a\x00:1": "", "_é:1": "", "_:-1": "", "_a:1:1": "", "[_a]:1": "_a 1",
	} {
		host, port, err := parseTarget(target)
		if want == "" {
			require.ErrorIs(t, err, ErrDANE, target)
			continue
		}
		require.NoError(t, err, target)
		require.Equal(t, want, fmt.Sprint(host, " ", port))
	}
}

func TestTLSAMatching(t *testing.T) {
	// RFC 6698 §2.1.2, §2.1.3.
	cert, other := loneLeaf(t), loneLeaf(t)
	for selector := range uint8(2) {
		for matching := range uint8(3) {
			r := tlsa(usageDANEEE, selector, matching, cert)
			require.True(t, r.usable())
			require.True(t, r.matches(cert))
			require.False(t, r.matches(other))
		}
	}
	require.False(t, (&TLSA{Usage: usageDANEEE, Matching: 9, Data: cert.Raw}).matches(cert))
	// RFC 6698 §4.1: what is not understood or malformed is unusable.
	good := tlsa(usageDANEEE, selectorSPKI, matchingSHA256, cert)
	for name, edit := range map[string]func(r *TLSA){
		"usage":                  func(r *TLSA) { r.Usage = 4 },
		"private usage":          func(r *TLSA) { r.Usage = 255 },
		"selector":               func(r *TLSA) { r.Selector = 2 },
		"matching":               func(r *TLSA) { r.Matching = 3 },
		"empty":                  func(r *TLSA) { r.Data = nil },
		"short":                  func(r *TLSA) { r.Data = r.Data[1:] },
		"long":                   func(r *TLSA) { r.Data = append(r.Data[:32:32], 0) },
		"SHA-256 called SHA-512": func(r *TLSA) { r.Matching = matchingSHA512 },
		"no certificate":         func(r *TLSA) { r.Selector, r.Matching = selectorCert, matchingFull },
		"no key":                 func(r *TLSA) { r.Matching = matchingFull },
		"more than a certificate": func(r *TLSA) {
			r.Selector, r.Matching, r.Data = 0, 0, append(cert.Raw[:len(cert.Raw):len(cert.Raw)], 0)
		},
		"a certificate, not a key": func(r *TLSA) { r.Matching, r.Data = matchingFull, cert.Raw },
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			edit(&r)
			require.False(t, r.usable())
			require.Empty(t, usableTLSA([]TLSA{r}))
			require.Len(t, usableTLSA([]TLSA{r, good}), 1)
			// Nothing is usable, so it is as if there were no records.
			z := zone{records: []TLSA{r}}
			require.NoError(t, DANE(z).VerifyCertificate(t.Context(), present(stream.Anchored, cert)))
			require.ErrorIs(t, DANE(z).VerifyCertificate(t.Context(), present(stream.SelfSigned, cert)), errOrdinary)
		})
	}
	t.Run("RFC 7671 §9: the strongest hash", func(t *testing.T) {
		weak, strong := tlsa(usageDANEEE, 1, matchingSHA256, cert), tlsa(usageDANEEE, 1, matchingSHA512, other)
		z := zone{records: []TLSA{weak, strong}}
		require.ErrorIs(t, DANE(z).VerifyCertificate(t.Context(), present(stream.Anchored, cert)), ErrDANE)
		require.NoError(t, DANE(z).VerifyCertificate(t.Context(), present(stream.SelfSigned, other)))
		// Of another usage or selector, or in full, they count.
		for _, r := range []TLSA{tlsa(usageDANEEE, 0, 1, cert), tlsa(usagePKIXEE, 1, 1, cert), tlsa(usageDANEEE, 1, 0, cert)} {
			z := zone{records: []TLSA{strong, r}}
			require.NoError(t, DANE(z).VerifyCertificate(t.Context(), present(stream.Anchored, cert)))
		}
	})
}

func FuzzTLSA(f *testing.F) {
	ca := newAuthority(f, "CA", nil)
	cert := ca.leaf(f)
	for usage := range uint8(5) {
		for selector := range uint8(3) {
			for matching := range uint8(4) {
				f.Add(usage, selector, matching, usage, cert.Raw)
			}
		}
	}
	f.Fuzz(func(t *testing.T, usage, selector, matching, from uint8, data []byte) {
		switch from % 3 {
		case 1:
			data = tlsa(usage, selector, matching, cert).Data
		case 2:
			data = tlsa(usage, selector, matching, ca.cert).Data
		}
		r := TLSA{usage, selector, matching, data}
		policy := DANE(zone{records: []TLSA{r}})
		unknown := policy.VerifyCertificate(t.Context(), present(stream.UnknownAuthority, cert, ca.cert))
		anchored := policy.VerifyCertificate(t.Context(), present(stream.Anchored, cert, ca.cert))
		if !r.usable() {
			require.NoError(t, anchored)
			require.ErrorIs(t, unknown, errOrdinary)
			return
		}
		// No other record than one about this chain lets it in.
		about := cert
		if r.Usage == usagePKIXTA || r.Usage == usageDANETA {
			about = ca.cert
		}
		require.Equal(t, r.matches(about), anchored == nil)
		require.Equal(t, r.matches(about) && usage >= usageDANETA, unknown == nil)
	})
}
