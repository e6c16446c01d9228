package tls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// answers is a checker that says something about each certificate of a path, by
// the subject, and writes down the stapled responses that it gets.
type answers struct {
	name  string
	about map[string]error
	other error
	asked *[]string
}

func (a answers) CheckRevocation(ctx context.Context, path []*x509.Certificate, _ time.Time) error {
	return eachIssued(path, func(i int) error {
		if a.asked != nil {
			*a.asked = append(*a.asked, fmt.Sprintf("%s %s %s", a.name, path[i].Subject.CommonName, StapledOCSP(ctx)))
		}
		if err, ok := a.about[path[i].Subject.CommonName]; ok {
			return err
		}
		return a.other
	})
}

func testPath(t testing.TB) []*x509.Certificate {
	t.Helper()
	root := newAuthority(t, "root", nil)
	ca := newAuthority(t, "intermediate", root)
	leaf := ca.leaf(t, func(c *x509.Certificate) { c.Subject.CommonName = "leaf" })
	return []*x509.Certificate{leaf, ca.cert, root.cert}
}

func TestFirstToTell(t *testing.T) {
	path := testPath(t)
	unknown, silent := fmt.Errorf("%w: a", ErrRevocationUnknown), fmt.Errorf("%w: b", ErrRevocationUnknown)
	revoked := fmt.Errorf("%w: for a test", ErrRevoked)
	var asked []string
	for name, tc := range map[string]struct {
		checkers []RevocationChecker
		want     []error // none: not revoked
		asked    []string
	}{
		"the first knows": {[]RevocationChecker{answers{name: "a"}, answers{name: "b", other: revoked}}, nil,
			[]string{"a leaf staple", "a intermediate "}},
		"each knows one": {[]RevocationChecker{
			answers{name: "a", about: map[string]error{"intermediate": unknown}},
			answers{name: "b", about: map[string]error{"leaf": unknown}},
		}, nil, []string{"a leaf staple", "a intermediate ", "b intermediate "}},
		"the second knows better": {[]RevocationChecker{answers{name: "a", other: unknown}, answers{name: "b", other: revoked}}, []error{ErrRevoked},
			[]string{"a leaf staple", "b leaf staple"}},
		"the first says no": {[]RevocationChecker{answers{name: "a", other: revoked}, answers{name: "b"}}, []error{ErrRevoked},
			[]string{"a leaf staple"}},
		"an authority is revoked": {[]RevocationChecker{answers{name: "a", about: map[string]error{"leaf": unknown, "intermediate": revoked}}}, []error{ErrRevoked},
			[]string{"a leaf staple", "a intermediate "}},
		"nobody knows": {[]RevocationChecker{answers{name: "a", other: unknown}, nil, answers{name: "b", other: silent}}, []error{unknown, silent},
			[]string{"a leaf staple", "b leaf staple", "a intermediate ", "b intermediate "}},
		"nobody to ask": {nil, []error{ErrRevocationUnknown}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			asked = nil
			for i, c := range tc.checkers {
				if a, ok := c.(answers); ok {
					a.asked = &asked
					tc.checkers[i] = a
				}
			}
			err := FirstToTell(tc.checkers...).CheckRevocation(WithStapledOCSP(t.Context(), []byte("staple")), path, pkiNow)
			require.Equal(t, tc.asked, asked)
			if tc.want == nil {
				require.NoError(t, err)
			}
			for _, want := range tc.want {
				require.ErrorIs(t, err, want)
			}
		})
	}
	require.NoError(t, FirstToTell().CheckRevocation(t.Context(), path[2:], pkiNow), "a root alone")
	require.NoError(t, FirstToTell().CheckRevocation(t.Context(), nil, pkiNow))
	require.Nil(t, StapledOCSP(t.Context()))
}

func TestRevocationKnown(t *testing.T) {
	policy := AllOf(Default(), RevocationKnown())
	p := present(stream.Anchored, loneLeaf(t))
	require.NoError(t, policy.VerifyCertificate(t.Context(), p))
	p.RevocationErr = ErrRevocationUnknown
	require.NoError(t, Default().VerifyCertificate(t.Context(), p))
	require.ErrorIs(t, policy.VerifyCertificate(t.Context(), p), ErrRevocationUnknown)
	require.False(t, errors.Is(policy.VerifyCertificate(t.Context(), p), ErrRevoked))
}
