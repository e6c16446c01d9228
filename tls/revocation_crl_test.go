package tls

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// crl returns a list of an authority, as DER.
func (a *authority) crl(t testing.TB, edit func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	list := &x509.RevocationList{
		Number:     big.NewInt(1),
		ThisUpdate: pkiNow.Add(-time.Hour),
		NextUpdate: pkiNow.Add(24 * time.Hour),
	}
	for _, cert := range revoked {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: cert.SerialNumber, RevocationTime: pkiNow.Add(-2 * time.Hour), ReasonCode: 1,
		})
	}
	if edit != nil {
		edit(list)
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	require.NoError(t, err)
	return der
}

// fixed is a source that always has the same list, and counts.
type fixed struct {
	der   []byte
	err   error
	calls int
	urls  []string
}

func (f *fixed) CRL(_ context.Context, _ *x509.Certificate, urls []string) ([]byte, error) {
	f.calls++
	f.urls = urls
	return f.der, f.err
}

// idp is an extension of a list that limits what it is about.
func idp(t testing.TB, v issuingDistributionPoint) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(v)
	require.NoError(t, err)
	return pkix.Extension{Id: oidIssuingDistributionPoint, Critical: true, Value: der}
}

func uri(s string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 6, Bytes: []byte(s)}
}

func extra(ext ...pkix.Extension) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) { l.ExtraExtensions = ext }
}

const (
	listA = "http://crl.example/a"
	listB = "http://crl.example/b"
)

func TestCRLs(t *testing.T) {
	ca, other := newAuthority(t, "CA", nil), newAuthority(t, "CA", nil)
	bad, good := ca.leaf(t), ca.leaf(t)
	atA := ca.leaf(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{listA} })
	inner := newAuthority(t, "intermediate", ca)
	stale := func(l *x509.RevocationList) {
		l.ThisUpdate, l.NextUpdate = pkiNow.Add(-48*time.Hour), pkiNow.Add(-time.Second)
	}
	held := func(stale bool) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ReasonCode = reasonHold
			if stale {
				l.ThisUpdate, l.NextUpdate = pkiNow.Add(-48*time.Hour), pkiNow.Add(-time.Second)
			}
		}
	}
	critical := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}
	harmless := critical
	harmless.Critical = false
	delta := pkix.Extension{Id: oidDeltaCRL, Value: []byte{2, 1, 1}}
	pointA := distributionPointName{FullName: []asn1.RawValue{uri(listA)}}

	const fine, revoked, unknown = 0, 1, 2
	for name, tc := range map[string]struct {
		cert *x509.Certificate
		list []byte
		want int
	}{
		"not listed":            {good, ca.crl(t, nil, bad), fine},
		"empty list":            {good, ca.crl(t, nil), fine},
		"listed":                {bad, ca.crl(t, nil, good, bad), revoked},
		"an authority":          {inner.cert, ca.crl(t, nil, inner.cert), revoked},
		"an authority in order": {inner.cert, ca.crl(t, nil, bad), fine},
		"on hold":               {bad, ca.crl(t, held(false), bad), revoked},

		// RFC 5280 §6.3.3 (a), §5.1.2.4, §5.1.2.5
		"out of date":               {good, ca.crl(t, stale, bad), unknown},
		"out of date, listed":       {bad, ca.crl(t, stale, bad), revoked},
		"out of date, was on hold":  {bad, ca.crl(t, held(true), bad), unknown},
		"from the future":           {good, ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = pkiNow.Add(time.Second) }), unknown},
		"ends now":                  {good, ca.crl(t, func(l *x509.RevocationList) { l.NextUpdate = pkiNow }), unknown},
		"begins now":                {good, ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = pkiNow }), fine},
		"§6.3.3 (f) another's":      {good, newAuthority(t, "another", nil).crl(t, nil), unknown},
		"§6.3.3 (g) another's key":  {good, other.crl(t, nil), unknown},
		"another's key, listed":     {bad, other.crl(t, nil, bad), unknown},
		"§5.2 critical extension":   {good, ca.crl(t, extra(critical)), unknown},
		"critical, listed":          {bad, ca.crl(t, extra(critical), bad), unknown},
		"another extension":         {good, ca.crl(t, extra(harmless)), fine},
		"§5.2.4 delta":              {good, ca.crl(t, extra(delta)), unknown},
		"§5.2.5 at its place":       {atA, ca.crl(t, extra(idp(t, issuingDistributionPoint{Point: pointA}))), fine},
		"at its place, listed":      {atA, ca.crl(t, extra(idp(t, issuingDistributionPoint{Point: pointA})), atA), revoked},
		"at another place":          {good, ca.crl(t, extra(idp(t, issuingDistributionPoint{Point: pointA})), good), unknown},
		"users":                     {good, ca.crl(t, extra(idp(t, issuingDistributionPoint{UserCertsOnly: true}))), fine},
		"users, for an authority":   {inner.cert, ca.crl(t, extra(idp(t, issuingDistributionPoint{UserCertsOnly: true}))), unknown},
		"authorities":               {inner.cert, ca.crl(t, extra(idp(t, issuingDistributionPoint{CACertsOnly: true}))), fine},
		"authorities, for a user":   {good, ca.crl(t, extra(idp(t, issuingDistributionPoint{CACertsOnly: true}))), unknown},
		"indirect":                  {good, ca.crl(t, extra(idp(t, issuingDistributionPoint{Indirect: true}))), unknown},
		"attribute certificates":    {good, ca.crl(t, extra(idp(t, issuingDistributionPoint{AttributeCertsOnly: true}))), unknown},
		"some reasons":              {good, ca.crl(t, extra(idp(t, issuingDistributionPoint{SomeReasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}}))), unknown},
		"some reasons, listed":      {bad, ca.crl(t, extra(idp(t, issuingDistributionPoint{SomeReasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}})), bad), revoked},
		"place by a relative name":  {atA, ca.crl(t, extra(idp(t, issuingDistributionPoint{Point: distributionPointName{RelativeName: asn1.RawValue{Class: 2, Tag: 1, IsCompound: true}}}))), unknown},
		"place by a directory name": {atA, ca.crl(t, extra(idp(t, issuingDistributionPoint{Point: distributionPointName{FullName: []asn1.RawValue{{Class: 2, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}}}}))), unknown},
		"place that is no place":    {good, ca.crl(t, extra(pkix.Extension{Id: oidIssuingDistributionPoint, Critical: true, Value: []byte{1, 2, 3}})), unknown},
		"§5.3 critical in an entry": {good, ca.crl(t, func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{critical}
		}, bad), unknown},
		"nothing":            {good, nil, unknown},
		"rubbish":            {good, []byte("not a list"), unknown},
		"something behind":   {good, append(ca.crl(t, nil), 0), unknown},
		"altered":            {bad, alter(ca.crl(t, nil, bad), bad.SerialNumber.Bytes(), good.SerialNumber.Bytes()), unknown},
		"a certificate":      {good, ca.cert.Raw, unknown},
		"too long for us":    {good, ca.crl(t, nil, make6(bad)...), unknown},
		"by no authority":    {good, notAnAuthority(t, ca), unknown},
		"the root is not in": {ca.cert, nil, fine},
	} {
		t.Run(name, func(t *testing.T) {
			path := []*x509.Certificate{tc.cert, ca.cert}
			if tc.cert == ca.cert {
				path = path[:1]
			}
			err := CRLs(&fixed{der: tc.list}, &CRLOptions{MaxBytes: 900}).CheckRevocation(t.Context(), path, pkiNow)
			switch tc.want {
			case fine:
				require.NoError(t, err)
			case revoked:
				require.ErrorIs(t, err, ErrRevoked)
				require.NotErrorIs(t, err, ErrRevocationUnknown)
			case unknown:
				require.ErrorIs(t, err, ErrRevocationUnknown)
				require.NotErrorIs(t, err, ErrRevoked)
			}
		})
	}
	t.Run("so long", func(t *testing.T) {
		list := ca.crl(t, nil)
		for most, want := range map[int]bool{len(list) - 1: false, len(list): true} {
			err := CRLs(&fixed{der: list}, &CRLOptions{MaxBytes: most}).CheckRevocation(t.Context(), []*x509.Certificate{good, ca.cert}, pkiNow)
			require.Equal(t, want, err == nil)
		}
	})
	t.Run("§5.1.2.5: without an end", func(t *testing.T) {
		_, err := newCRL(&x509.RevocationList{ThisUpdate: pkiNow})
		require.ErrorIs(t, err, errCRL)
	})
	t.Run("RFC 9325 §4.5: SHA-1", func(t *testing.T) {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		require.NoError(t, err)
		template := pkiTemplate()
		template.Subject, template.IsCA, template.BasicConstraintsValid = pkix.Name{CommonName: "RSA"}, true, true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		require.NoError(t, err)
		issuer, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		for algorithm, want := range map[x509.SignatureAlgorithm]bool{x509.SHA256WithRSA: true, x509.SHA1WithRSA: false} {
			list, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
				Number: big.NewInt(1), ThisUpdate: pkiNow, NextUpdate: pkiNow.Add(time.Hour), SignatureAlgorithm: algorithm,
			}, issuer, key)
			require.NoError(t, err)
			err = CRLs(&fixed{der: list}, nil).CheckRevocation(t.Context(), []*x509.Certificate{good, issuer}, pkiNow)
			require.Equal(t, want, err == nil, "%s: %v", algorithm, err)
		}
	})
	t.Run("a path", func(t *testing.T) {
		// Something revoked counts for more than something unknown before it.
		leaf := inner.leaf(t)
		lists, err := StaticCRLs(ca.crl(t, nil, inner.cert))
		require.NoError(t, err)
		path := []*x509.Certificate{leaf, inner.cert, ca.cert}
		require.ErrorIs(t, CRLs(lists, nil).CheckRevocation(t.Context(), path, pkiNow), ErrRevoked)
		lists, err = StaticCRLs(ca.crl(t, nil))
		require.NoError(t, err)
		require.ErrorIs(t, CRLs(lists, nil).CheckRevocation(t.Context(), path, pkiNow), ErrRevocationUnknown)
		lists, err = StaticCRLs(ca.crl(t, nil), inner.crl(t, nil))
		require.NoError(t, err)
		require.NoError(t, CRLs(lists, nil).CheckRevocation(t.Context(), path, pkiNow))
		require.ErrorIs(t, CRLs(nil, nil).CheckRevocation(t.Context(), path, pkiNow), ErrRevocationUnknown)
	})
	t.Run("RFC 5280 §4.2.1.3: no right to sign lists", func(t *testing.T) {
		template := pkiTemplate()
		template.Subject = pkix.Name{CommonName: "no lists"}
		template.IsCA, template.BasicConstraintsValid = true, true
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		cert, key := sign(t, template, nil)
		a := &authority{cert, key}
		der, leaf := a.crl(t, nil), a.leaf(t)
		stripped := *cert
		stripped.KeyUsage = x509.KeyUsageCertSign
		err := CRLs(&fixed{der: der}, nil).CheckRevocation(t.Context(), []*x509.Certificate{leaf, &stripped}, pkiNow)
		require.ErrorIs(t, err, ErrRevocationUnknown)
	})
}

// alter replaces bytes in a list, of the same length.
func alter(der, old, new []byte) []byte {
	return bytes.Replace(der, old, append(make([]byte, max(0, len(old)-len(new))), new...), 1)
}

// make6 is a certificate often enough for a list that is too long.
func make6(cert *x509.Certificate) []*x509.Certificate {
	out := make([]*x509.Certificate, 60)
	for i := range out {
		out[i] = cert
	}
	return out
}

// notAnAuthority returns a list that has been signed with the key of a leaf of
// the same name.
func notAnAuthority(t testing.TB, ca *authority) []byte {
	template := pkiTemplate()
	template.Subject = ca.cert.Subject
	template.KeyUsage |= x509.KeyUsageCRLSign
	template.SubjectKeyId = ca.cert.SubjectKeyId
	cert, key := sign(t, template, ca)
	return (&authority{cert, key}).crl(t, nil)
}

func TestStaticCRLs(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	renewed := newAuthority(t, "CA", nil) // the same authority with a new key
	bad := ca.leaf(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{listA} })
	good := ca.leaf(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{listB} })
	place := func(u string) func(*x509.RevocationList) {
		return extra(idp(t, issuingDistributionPoint{Point: distributionPointName{FullName: []asn1.RawValue{uri(u)}}}))
	}
	newer := func(l *x509.RevocationList) { l.ThisUpdate = pkiNow.Add(-time.Minute) }
	check := func(lists [][]byte, cert, issuer *x509.Certificate) error {
		source, err := StaticCRLs(lists...)
		require.NoError(t, err)
		return CRLs(source, nil).CheckRevocation(t.Context(), []*x509.Certificate{cert, issuer}, pkiNow)
	}
	pemOf := func(ders ...[]byte) (out []byte) {
		for _, der := range ders {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})...)
		}
		return out
	}
	// The newest.
	require.ErrorIs(t, check([][]byte{ca.crl(t, nil), ca.crl(t, newer, bad)}, bad, ca.cert), ErrRevoked)
	require.ErrorIs(t, check([][]byte{ca.crl(t, newer, bad), ca.crl(t, nil)}, bad, ca.cert), ErrRevoked)
	// The one for the place.
	for _, lists := range [][][]byte{
		{ca.crl(t, place(listB), good), ca.crl(t, place(listA), bad)},
		{pemOf(ca.crl(t, place(listA), bad), ca.crl(t, place(listB), good))},
	} {
		require.ErrorIs(t, check(lists, bad, ca.cert), ErrRevoked)
		require.ErrorIs(t, check(lists, good, ca.cert), ErrRevoked)
	}
	require.ErrorIs(t, check([][]byte{ca.crl(t, place(listB))}, bad, ca.cert), ErrRevocationUnknown)
	// The one by the key.
	lists := [][]byte{renewed.crl(t, newer), ca.crl(t, nil, bad)}
	require.ErrorIs(t, check(lists, bad, ca.cert), ErrRevoked)
	require.NoError(t, check(lists, renewed.leaf(t), renewed.cert))
	require.ErrorIs(t, check(nil, bad, ca.cert), ErrRevocationUnknown)

	unclear := ca.crl(t, extra(pkix.Extension{Id: oidIssuingDistributionPoint, Critical: true, Value: []byte{1, 2, 3}}))
	for _, wrong := range [][]byte{nil, unclear, []byte("x"), ca.cert.Raw, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), pemOf([]byte("x"))} {
		_, err := StaticCRLs(wrong)
		require.Error(t, err)
	}
	// Keys decide only if both sides tell theirs.
	key := ca.cert.SubjectKeyId
	for _, tc := range []struct {
		list, issuer []byte
		want         bool
	}{{key, key, true}, {nil, key, true}, {key, nil, true}, {nil, nil, true}, {[]byte("x"), key, false}} {
		issuer := *ca.cert
		issuer.SubjectKeyId = tc.issuer
		der, err := staticCRLs{{der: []byte("list"), issuer: issuer.RawSubject, key: tc.list}}.CRL(t.Context(), &issuer, nil)
		require.Equal(t, tc.want, err == nil)
		require.Equal(t, tc.want, string(der) == "list")
	}
	// What the caller does with its bytes afterwards is of no concern.
	der := ca.crl(t, nil, bad)
	source, err := StaticCRLs(der)
	require.NoError(t, err)
	clear(der)
	require.ErrorIs(t, CRLs(source, nil).CheckRevocation(t.Context(), []*x509.Certificate{bad, ca.cert}, pkiNow), ErrRevoked)
}

func TestCRLsAreKept(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	cert := ca.leaf(t)
	path := []*x509.Certificate{cert, ca.cert}
	at := func(d time.Duration) time.Time { return pkiNow.Add(d) }
	t.Run("until it is time for a newer one", func(t *testing.T) {
		source := &fixed{der: ca.crl(t, nil)}
		checker := CRLs(source, &CRLOptions{Refresh: 30 * time.Minute})
		for _, step := range []struct {
			at    time.Duration
			calls int
		}{{0, 1}, {time.Minute, 1}, {29 * time.Minute, 1}, {30 * time.Minute, 2}, {59 * time.Minute, 2}, {29 * time.Minute, 3}} {
			require.NoError(t, checker.CheckRevocation(t.Context(), path, at(step.at)))
			require.Equal(t, step.calls, source.calls, step.at)
		}
	})
	t.Run("an hour at most, if nothing else is said", func(t *testing.T) {
		source := &fixed{der: ca.crl(t, nil)}
		checker := CRLs(source, nil)
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(0)))
		source.der = ca.crl(t, nil, cert)
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(59*time.Minute)))
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(time.Hour)), ErrRevoked)
	})
	t.Run("while the source fails", func(t *testing.T) {
		source := &fixed{der: ca.crl(t, nil)}
		checker := CRLs(source, nil)
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(0)))
		source.err = errors.New("no network")
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(2*time.Hour)))
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(2*time.Hour+59*time.Second)))
		require.Equal(t, 2, source.calls)
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(2*time.Hour+time.Minute)))
		require.Equal(t, 3, source.calls)
		source.calls = 2
		// Then it is out of date.
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(25*time.Hour)), ErrRevocationUnknown)
		require.Equal(t, 3, source.calls)
		// A source that has failed is left alone for a minute.
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(25*time.Hour+59*time.Second)), ErrRevocationUnknown)
		require.Equal(t, 3, source.calls)
		source.err = nil
		source.der = ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = at(25*time.Hour), at(50*time.Hour) })
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(25*time.Hour+time.Minute)))
		require.Equal(t, 4, source.calls)
	})
	t.Run("a source that fails from the start", func(t *testing.T) {
		source := &fixed{err: errors.New("no network")}
		checker := CRLs(source, nil)
		for range 2 { // the second time nobody is asked, and it is no better
			err := checker.CheckRevocation(t.Context(), path, at(0))
			require.ErrorIs(t, err, ErrRevocationUnknown)
			require.ErrorIs(t, err, source.err)
		}
		require.Equal(t, 1, source.calls)
		source.err, source.der = nil, ca.crl(t, nil)
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(time.Minute)))
	})
	t.Run("defaults, and addresses that only look alike", func(t *testing.T) {
		checker := CRLs(&fixed{}, nil).(*crlChecker)
		require.Equal(t, CRLOptions{MaxBytes: defaultCRLBytes, MaxLists: defaultCRLLists, Refresh: defaultCRLRefresh}, checker.opts)
		a, b := checker.slot(ca.cert, []string{"ab", "c"}), checker.slot(ca.cert, []string{"a", "bc"})
		require.NotSame(t, a, b)
		require.Same(t, a, checker.slot(ca.cert, []string{"ab", "c"}))
	})
	t.Run("a list that is out of date is not kept for an hour", func(t *testing.T) {
		source := &fixed{der: ca.crl(t, nil)}
		checker := CRLs(source, nil)
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(24*time.Hour)), ErrRevocationUnknown)
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(24*time.Hour+time.Second)), ErrRevocationUnknown)
		require.Equal(t, 1, source.calls)
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(24*time.Hour+time.Minute)), ErrRevocationUnknown)
		require.Equal(t, 2, source.calls)
	})
	t.Run("an older list does not replace it", func(t *testing.T) {
		source := &fixed{der: ca.crl(t, nil, cert)}
		checker := CRLs(source, nil)
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(0)), ErrRevoked)
		source.der = ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = at(-2 * time.Hour) })
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(2*time.Hour)), ErrRevoked)
		require.Equal(t, 2, source.calls)
	})
	t.Run("but one from the future", func(t *testing.T) {
		source := &fixed{der: ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = at(20 * time.Hour) })}
		checker := CRLs(source, nil)
		require.ErrorIs(t, checker.CheckRevocation(t.Context(), path, at(0)), ErrRevocationUnknown)
		source.der = ca.crl(t, nil)
		require.NoError(t, checker.CheckRevocation(t.Context(), path, at(time.Hour)))
	})
	t.Run("so many", func(t *testing.T) {
		places := make([][]*x509.Certificate, 3)
		for i := range places {
			leaf := ca.leaf(t, func(c *x509.Certificate) { c.CRLDistributionPoints = []string{listA[:len(listA)-i]} })
			places[i] = []*x509.Certificate{leaf, ca.cert}
		}
		for range 20 { // one victim or the other could be chance
			source := &fixed{der: ca.crl(t, nil)}
			checker := CRLs(source, &CRLOptions{MaxLists: 2})
			for _, step := range []struct{ place, calls int }{{0, 1}, {1, 2}, {0, 2}, {2, 3}, {0, 3}, {1, 4}} {
				require.NoError(t, checker.CheckRevocation(t.Context(), places[step.place], pkiNow))
				require.Equal(t, step.calls, source.calls)
				require.LessOrEqual(t, len(checker.(*crlChecker).kept), 2)
			}
		}
	})
	t.Run("so many addresses", func(t *testing.T) {
		source := &fixed{der: ca.crl(t, nil)}
		leaf := ca.leaf(t, func(c *x509.Certificate) {
			for range 1000 {
				c.CRLDistributionPoints = append(c.CRLDistributionPoints, listA)
			}
		})
		require.NoError(t, CRLs(source, nil).CheckRevocation(t.Context(), []*x509.Certificate{leaf, ca.cert}, pkiNow))
		require.Len(t, source.urls, maxCRLURLs)
	})
}

// slow is a source that waits for its context or for an hour.
type slow struct {
	der   []byte
	calls chan struct{}
}

func (s slow) CRL(ctx context.Context, _ *x509.Certificate, _ []string) ([]byte, error) {
	s.calls <- struct{}{}
	select {
	case <-time.After(time.Hour):
		return s.der, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestCRLsAreFetchedOnce(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	path := []*x509.Certificate{ca.leaf(t), ca.cert}
	der := ca.crl(t, nil)
	synctest.Test(t, func(t *testing.T) {
		source := slow{der, make(chan struct{}, 10)}
		checker := CRLs(source, nil)
		errs := make(chan error, 5)
		for range 5 {
			go func() { errs <- checker.CheckRevocation(t.Context(), path, pkiNow) }() // joined below
		}
		// Whoever waits for somebody else does not wait for longer than it wants.
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, checker.CheckRevocation(ctx, path, pkiNow), context.DeadlineExceeded)
		for range 5 {
			require.NoError(t, <-errs)
		}
		require.Len(t, source.calls, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		// A caller that gives up spoils nothing for the next one.
		source := slow{der, make(chan struct{}, 10)}
		checker := CRLs(source, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, checker.CheckRevocation(ctx, path, pkiNow), context.DeadlineExceeded)
		require.NoError(t, checker.CheckRevocation(t.Context(), path, pkiNow))
		require.Len(t, source.calls, 2)
		// Nor does it go without the list that there is.
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, checker.CheckRevocation(ctx, path, pkiNow.Add(2*time.Hour)))
		require.Error(t, ctx.Err())
		require.Len(t, source.calls, 3)
	})
}

func FuzzCRL(f *testing.F) {
	ca := newAuthority(f, "CA", nil)
	cert := ca.leaf(f)
	f.Add(ca.crl(f, nil))
	f.Add(ca.crl(f, nil, cert))
	f.Add(ca.crl(f, extra(idp(f, issuingDistributionPoint{
		Point:         distributionPointName{FullName: []asn1.RawValue{uri(listA)}},
		UserCertsOnly: true, SomeReasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2},
	})), cert))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, der []byte) {
		path := []*x509.Certificate{cert, ca.cert}
		source, sourceErr := StaticCRLs(der)
		if sourceErr == nil {
			_ = CRLs(source, nil).CheckRevocation(t.Context(), path, pkiNow)
		}
		// Without regard to the signature, which hardly anything gets past.
		list, err := x509.ParseRevocationList(der)
		if err != nil {
			return
		}
		c, err := newCRL(list)
		if err != nil {
			require.Nil(t, c)
			require.ErrorIs(t, err, errCRL)
			return
		}
		require.NoError(t, sourceErr)
		err = c.status(cert, pkiNow)
		_, listed := c.revoked[serialKey(cert.SerialNumber)]
		require.Equal(t, err != nil && !errors.Is(err, errCRL), errors.Is(err, ErrRevoked))
		require.False(t, listed && err == nil)
		require.LessOrEqual(t, len(c.revoked), len(der))
	})
}

func TestCRLScope(t *testing.T) {
	good := idp(t, issuingDistributionPoint{Point: distributionPointName{FullName: []asn1.RawValue{
		{Class: 2, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}, uri(listA),
	}}}).Value
	s, err := parseScope(good)
	require.NoError(t, err)
	require.Equal(t, crlScope{urls: []string{listA}}, s)
	for name, bad := range map[string][]byte{
		"empty": nil, "something behind": append(bytes.Clone(good), 5, 0),
		"no address":    idp(t, issuingDistributionPoint{Point: distributionPointName{FullName: []asn1.RawValue{{Class: 2, Tag: 4, IsCompound: true, Bytes: []byte{0x30, 0}}}}}).Value,
		"not of a name": idp(t, issuingDistributionPoint{Point: distributionPointName{FullName: []asn1.RawValue{{Class: 1, Tag: 6, Bytes: []byte(listA)}}}}).Value,
	} {
		_, err := parseScope(bad)
		require.Error(t, err, name)
	}
}

// FuzzCRLScope is about the one extension that is not left to crypto/x509.
func FuzzCRLScope(f *testing.F) {
	f.Add(idp(f, issuingDistributionPoint{}).Value)
	f.Add(idp(f, issuingDistributionPoint{Point: distributionPointName{FullName: []asn1.RawValue{uri(listA), uri(listB)}}}).Value)
	f.Add(idp(f, issuingDistributionPoint{UserCertsOnly: true, CACertsOnly: true, Indirect: true, AttributeCertsOnly: true}).Value)
	f.Add(idp(f, issuingDistributionPoint{SomeReasons: asn1.BitString{Bytes: []byte{0x40}, BitLength: 2}}).Value)
	f.Fuzz(func(t *testing.T, value []byte) {
		s, err := parseScope(value)
		if err != nil {
			require.Zero(t, s)
			return
		}
		user, authority := s.covers(&x509.Certificate{CRLDistributionPoints: s.urls}), s.covers(&x509.Certificate{IsCA: true, CRLDistributionPoints: s.urls})
		require.Equal(t, s.others || s.userOnly && s.caOnly, user != nil && authority != nil)
		if len(s.urls) > 0 {
			require.Error(t, s.covers(&x509.Certificate{}))
		}
	})
}
