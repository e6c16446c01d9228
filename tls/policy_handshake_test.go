package tls

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

func edits(edit ...func(*x509.Certificate)) []func(*x509.Certificate) { return edit }

func anotherName(c *x509.Certificate) { c.DNSNames = []string{"other.example"} }

func expiredThen(c *x509.Certificate) { c.NotAfter = pkiNow.Add(-time.Second) }

func otherUse(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
}

// TestPoliciesInHandshakes has the ready-made policies where they belong, with
// the verdicts that real certificates get.
func TestPoliciesInHandshakes(t *testing.T) {
	root := newAuthority(t, "root", nil)
	inner := newAuthority(t, "intermediate", root)
	private := newAuthority(t, "private root", nil)
	privateInner := newAuthority(t, "private intermediate", private)
	clock := &tls.Config{Time: func() time.Time { return pkiNow }}
	try := func(policy VerifyPolicy, cert tls.Certificate) side {
		t.Helper()
		c, _ := shake(t, "im.example", &ClientOptions{
			RootCAs: root.pool(), Config: clock, Policy: policy, Target: "xmpp.hosting.example:5222",
		}, certs(cert))
		return c
	}
	good := inner.pair(t, nil, inner)
	unknown := privateInner.pair(t, nil, privateInner, private)
	lone := (*authority)(nil).pair(t, nil)
	loneOther := (*authority)(nil).pair(t, edits(anotherName))
	loneOld := (*authority)(nil).pair(t, edits(expiredThen))
	loneUse := (*authority)(nil).pair(t, edits(otherUse))
	target := privateInner.pair(t, edits(namesTarget), privateInner)
	goodTarget := inner.pair(t, edits(namesTarget), inner)
	pin := func(c tls.Certificate) VerifyPolicy { return Pin(imExample, PinOf(c.Leaf)) }
	dane := func(records ...TLSA) VerifyPolicy { return DANE(zone{records: records}) }
	memory := new(MemoryPins)
	require.NoError(t, memory.Set(imExample, PinOf(lone.Leaf)))
	tofu := TrustOnFirstUse(memory)

	for name, tc := range map[string]struct {
		policy  VerifyPolicy
		cert    tls.Certificate
		want    []error // none: accepted
		verdict Verdict // if accepted
	}{
		"default":                  {Default(), good, nil, stream.Anchored},
		"default: unknown":         {Default(), unknown, []error{ErrUntrusted}, 0},
		"pin":                      {pin(lone), lone, nil, stream.SelfSigned},
		"pin: any name":            {pin(loneOther), loneOther, nil, stream.SelfSigned | stream.WrongName},
		"pin: expired":             {pin(loneOld), loneOld, []error{ErrUntrusted, ErrExpired}, 0},
		"pin: another use":         {pin(loneUse), loneUse, []error{ErrUnacceptable}, 0},
		"pin: another key":         {pin(lone), good, []error{new(PinError)}, 0},
		"pin: an authority":        {Pin(imExample, PinOf(private.cert)), unknown, nil, stream.UnknownAuthority},
		"pin: the one between":     {Pin(imExample, PinOf(privateInner.cert)), unknown, nil, stream.UnknownAuthority},
		"pin: an authority, name":  {Pin(imExample, PinOf(privateInner.cert)), target, []error{ErrNameMismatch}, 0},
		"pin and authority":        {AllOf(Default(), Pin(imExample, PinOf(inner.cert))), good, nil, stream.Anchored},
		"pin and no authority":     {AllOf(Default(), pin(lone)), lone, []error{ErrUntrusted}, 0},
		"first use, then it":       {tofu, lone, nil, stream.SelfSigned},
		"first use, then another":  {tofu, unknown, []error{new(PinError), ErrUntrusted}, 0},
		"first use, then good":     {tofu, good, []error{new(PinError)}, 0},
		"first use, name":          {TrustOnFirstUse(new(MemoryPins)), loneOther, []error{ErrNameMismatch}, 0},
		"first use, expired":       {TrustOnFirstUse(new(MemoryPins)), loneOld, []error{ErrExpired}, 0},
		"first use, unknown":       {TrustOnFirstUse(new(MemoryPins)), unknown, nil, stream.UnknownAuthority},
		"DANE-EE":                  {dane(tlsa(3, 1, 1, loneOther.Leaf)), loneOther, nil, stream.SelfSigned | stream.WrongName},
		"DANE-EE: expired":         {dane(tlsa(3, 1, 1, loneOld.Leaf)), loneOld, nil, stream.SelfSigned | stream.WrongTime},
		"DANE-EE: another":         {dane(tlsa(3, 1, 1, lone.Leaf)), good, []error{ErrDANE}, 0},
		"DANE-TA":                  {dane(tlsa(2, 1, 1, privateInner.cert)), unknown, nil, stream.UnknownAuthority},
		"DANE-TA: target":          {dane(tlsa(2, 1, 1, privateInner.cert)), target, nil, stream.UnknownAuthority | stream.WrongName},
		"DANE-TA: another":         {dane(tlsa(2, 1, 1, inner.cert)), unknown, []error{ErrDANE}, 0},
		"PKIX-TA":                  {dane(tlsa(0, 1, 1, root.cert)), good, nil, stream.Anchored},
		"PKIX-EE: unknown":         {dane(tlsa(1, 1, 1, unknown.Leaf)), unknown, []error{ErrDANE, ErrUntrusted}, 0},
		"no TLSA, target":          {dane(), goodTarget, nil, stream.Anchored | stream.WrongName},
		"no TLSA, insecure target": {DANE(zone{insecureSRV: true}), goodTarget, []error{ErrNameMismatch}, 0},
		"any: roots":               {AnyOf(dane(), pin(lone)), good, nil, stream.Anchored},
		"any: pin":                 {AnyOf(dane(), pin(lone)), lone, nil, stream.SelfSigned},
		"any: nobody":              {AnyOf(dane(), pin(lone)), unknown, []error{ErrUntrusted, new(PinError)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := try(tc.policy, tc.cert)
			if tc.want == nil {
				require.NoError(t, c.err)
				require.True(t, c.sec.Verified)
				require.Equal(t, tc.verdict, c.sec.Verdict)
				// Whoever is accepted although the time is wrong is not thrown out
				// for it at once.
				require.Equal(t, tc.verdict.Has(stream.WrongTime), c.sec.Expires.IsZero())
				return
			}
			var cerr *CertificateError
			require.ErrorAs(t, c.err, &cerr)
			require.Equal(t, tc.cert.Leaf.Raw, cerr.Chain[0].Raw)
			for _, want := range tc.want {
				if _, ok := want.(*PinError); ok {
					require.ErrorAs(t, c.err, new(*PinError))
					continue
				}
				require.ErrorIs(t, c.err, want)
			}
			require.Less(t, len(c.err.Error()), 3000)
		})
	}
	t.Run("first use", func(t *testing.T) {
		store := new(MemoryPins)
		require.NoError(t, try(TrustOnFirstUse(store), lone).err)
		require.NoError(t, try(TrustOnFirstUse(store), lone).err)
		require.ErrorAs(t, try(TrustOnFirstUse(store), unknown).err, new(*PinError))
	})
	t.Run("weak keys", func(t *testing.T) {
		// RFC 6698 §8: not even by the word of the domain.
		weak := weakPair(t)
		require.ErrorIs(t, try(dane(tlsa(3, 1, 1, weak.Leaf)), weak).err, ErrDANE)
		require.ErrorIs(t, try(pin(weak), weak).err, ErrUnacceptable)
		require.ErrorIs(t, try(TrustOnFirstUse(new(MemoryPins)), weak).err, ErrUnacceptable)
	})
	t.Run("clients", func(t *testing.T) {
		mine := private.pair(t, edits(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }))
		for _, tc := range []struct {
			policy VerifyPolicy
			want   bool
		}{
			{Pin(jid.JID{}, PinOf(mine.Leaf)), true},
			{Pin(jid.JID{}, PinOf(lone.Leaf)), false},
			{Pin(imExample, PinOf(mine.Leaf)), false},
			{TrustOnFirstUse(new(MemoryPins)), false},
			{dane(tlsa(3, 1, 1, mine.Leaf)), false},
		} {
			server := certs(good)
			server.ClientPolicy, server.Config = tc.policy, clock
			c, s := shake(t, "im.example", &ClientOptions{RootCAs: root.pool(), Config: clock, Certificates: []tls.Certificate{mine}}, server)
			require.NoError(t, c.err)
			require.NoError(t, s.err)
			require.Equal(t, tc.want, s.sec.Verified)
		}
	})
}

// TestRevokedIsNeverAccepted: by none of the ready-made policies, whatever else
// speaks for the certificate.
func TestRevokedIsNeverAccepted(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	cert := ca.pair(t, nil)
	list := ca.crl(t, nil, cert.Leaf)
	lists, err := StaticCRLs(list)
	require.NoError(t, err)
	store := new(MemoryPins)
	require.NoError(t, store.Set(imExample, PinOf(cert.Leaf)))
	clock := &tls.Config{Time: func() time.Time { return pkiNow }}
	for name, policy := range map[string]VerifyPolicy{
		"none":              nil,
		"Default":           Default(),
		"Pin":               Pin(imExample, PinOf(cert.Leaf)),
		"Pin, an authority": Pin(imExample, PinOf(ca.cert)),
		"TrustOnFirstUse":   TrustOnFirstUse(store),
		"DANE-EE":           DANE(zone{records: []TLSA{tlsa(3, 1, 1, cert.Leaf)}}),
		"DANE-TA":           DANE(zone{records: []TLSA{tlsa(2, 0, 0, ca.cert)}}),
		"PKIX-EE":           DANE(zone{records: []TLSA{tlsa(1, 1, 1, cert.Leaf)}}),
		"no TLSA":           DANE(zone{}),
		"AnyOf":             AnyOf(Default(), Pin(imExample, PinOf(cert.Leaf))),
	} {
		t.Run(name, func(t *testing.T) {
			opts := &ClientOptions{RootCAs: ca.pool(), Config: clock, Policy: policy, Target: "xmpp.hosting.example:5222"}
			c, _ := shake(t, "im.example", opts, certs(cert))
			require.NoError(t, c.err, "as long as nobody looks")
			opts.Revocation = CRLs(lists, nil)
			c, _ = shake(t, "im.example", opts, certs(cert))
			require.ErrorIs(t, c.err, ErrRevoked)
			var cerr *CertificateError
			require.ErrorAs(t, c.err, &cerr)
			require.Equal(t, stream.Anchored|stream.Revoked, cerr.Verdict)
		})
	}
}

// An authority that only the policy trusts is asked about too, and what leads to
// it counts for when the certificate stops being good.
func TestRevokedByAnAuthorityOfThePolicy(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	inner := newAuthority(t, "intermediate", ca)
	// Good for longer than what vouches for it.
	cert := inner.pair(t, []func(*x509.Certificate){func(c *x509.Certificate) { c.NotAfter = inner.cert.NotAfter.AddDate(1, 0, 0) }})
	cert.Certificate = [][]byte{cert.Certificate[0], inner.cert.Raw, ca.cert.Raw}
	other := newAuthority(t, "another", nil)
	clock := &tls.Config{Time: func() time.Time { return pkiNow }}
	for name, policy := range map[string]VerifyPolicy{
		"Pin":     Pin(imExample, PinOf(ca.cert)),
		"DANE-TA": DANE(zone{records: []TLSA{tlsa(2, 0, 0, ca.cert)}}),
	} {
		t.Run(name, func(t *testing.T) {
			opts := &ClientOptions{RootCAs: other.pool(), Config: clock, Policy: policy, Target: "xmpp.hosting.example:5222"}
			lists := func(der ...[]byte) RevocationChecker {
				source, err := StaticCRLs(der...)
				require.NoError(t, err)
				return CRLs(source, nil)
			}
			opts.Revocation = lists(ca.crl(t, nil), inner.crl(t, nil))
			c, _ := shake(t, "im.example", opts, certs(cert))
			require.NoError(t, c.err)
			require.Equal(t, earliest(cert.Leaf, inner.cert, ca.cert), c.sec.Expires)
			for _, revoked := range []RevocationChecker{
				lists(ca.crl(t, nil), inner.crl(t, nil, cert.Leaf)), lists(ca.crl(t, nil, inner.cert), inner.crl(t, nil)),
			} {
				opts.Revocation = revoked
				c, _ = shake(t, "im.example", opts, certs(cert))
				require.ErrorIs(t, c.err, ErrRevoked)
				var cerr *CertificateError
				require.ErrorAs(t, c.err, &cerr)
				require.Equal(t, stream.UnknownAuthority|stream.Revoked, cerr.Verdict)
			}
		})
	}
}

// earliest returns when the first of some certificates stops being valid.
func earliest(certs ...*x509.Certificate) time.Time {
	first := certs[0].NotAfter
	for _, c := range certs {
		if c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	return first
}

// TestRevocationInHandshakes: what cannot be found out, and what follows from
// that by choice.
func TestRevocationInHandshakes(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	cert := ca.pair(t, nil)
	clock := &tls.Config{Time: func() time.Time { return pkiNow }}
	strict := AllOf(Default(), RevocationKnown())
	for name, tc := range map[string]struct {
		list    []byte
		policy  VerifyPolicy
		refused error
	}{
		"known":           {ca.crl(t, nil), strict, nil},
		"unknown":         {newAuthority(t, "another", nil).crl(t, nil), nil, nil},
		"unknown, strict": {newAuthority(t, "another", nil).crl(t, nil), strict, ErrRevocationUnknown},
		"too old, strict": {ca.crl(t, func(l *x509.RevocationList) {
			l.ThisUpdate, l.NextUpdate = pkiNow.AddDate(0, 0, -2), pkiNow.AddDate(0, 0, -1)
		}), strict, ErrRevocationUnknown},
		"critical extension": {ca.crl(t, extra(pkix.Extension{Id: oidDeltaCRL, Critical: true, Value: []byte{2, 1, 1}})), strict, ErrRevocationUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			lists, err := StaticCRLs(tc.list)
			require.NoError(t, err)
			c, _ := shake(t, "im.example", &ClientOptions{
				RootCAs: ca.pool(), Config: clock, Policy: tc.policy, Revocation: CRLs(lists, nil),
			}, certs(cert))
			if tc.refused == nil {
				require.NoError(t, c.err)
				return
			}
			require.ErrorIs(t, c.err, tc.refused)
			require.NotErrorIs(t, c.err, ErrRevoked)
		})
	}
}
