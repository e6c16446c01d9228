package tls

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// says is a policy that always says the same.
func says(err error) VerifyPolicy {
	return PolicyFunc(func(context.Context, *Presented) error { return err })
}

func TestDefaultPolicy(t *testing.T) {
	cert := loneLeaf(t)
	require.NoError(t, Default().VerifyCertificate(t.Context(), present(stream.Anchored, cert)))
	forgives(t, Default(), 0, cert)
	require.ErrorIs(t, Default().VerifyCertificate(t.Context(), present(stream.SelfSigned, cert)), errOrdinary)
	// Neither of the two that say so is overlooked.
	p := present(stream.SelfSigned, cert)
	p.Err = nil
	require.ErrorContains(t, Default().VerifyCertificate(t.Context(), p), "self-signed")
	p = present(stream.Anchored, cert)
	p.Err = errOrdinary
	require.ErrorIs(t, Default().VerifyCertificate(t.Context(), p), errOrdinary)
}

func TestCombinedPolicies(t *testing.T) {
	good, bad := present(stream.Anchored, loneLeaf(t)), present(stream.SelfSigned, loneLeaf(t))
	one, two := errors.New("one"), errors.New("two")
	yes, no, neither := says(nil), says(one), says(two)
	for name, tc := range map[string]struct {
		policy VerifyPolicy
		p      *Presented
		want   []error // none: accepted
	}{
		"any: first":              {AnyOf(yes, no), bad, nil},
		"any: last":               {AnyOf(no, neither, yes), bad, nil},
		"any: nobody":             {AnyOf(no, neither), good, []error{one, two}},
		"any: nil is the default": {AnyOf(no, nil), good, nil},
		"any: and refuses":        {AnyOf(nil, no), bad, []error{errOrdinary, one}},
		"any: of nothing":         {AnyOf(), good, []error{errNoPolicy}},
		"all":                     {AllOf(yes, nil, yes), good, nil},
		"all but one":             {AllOf(yes, no, yes), good, []error{one}},
		"all: first that refuses": {AllOf(no, neither), good, []error{one}},
		"all: nil is the default": {AllOf(nil, yes), bad, []error{errOrdinary}},
		"all of nothing":          {AllOf(), good, []error{errNoPolicy}},
		"any of all":              {AnyOf(AllOf(yes, no), AllOf(yes, yes)), bad, nil},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.policy.VerifyCertificate(t.Context(), tc.p)
			if tc.want == nil {
				require.NoError(t, err)
			}
			for _, want := range tc.want {
				require.ErrorIs(t, err, want)
			}
		})
	}
	t.Run("stops", func(t *testing.T) {
		never := PolicyFunc(func(context.Context, *Presented) error { panic("asked") })
		require.NoError(t, AnyOf(yes, never).VerifyCertificate(t.Context(), bad))
		require.ErrorIs(t, AllOf(no, never).VerifyCertificate(t.Context(), bad), one)
	})
	t.Run("text", func(t *testing.T) {
		err := AnyOf(no, neither, no).VerifyCertificate(t.Context(), bad)
		require.EqualError(t, err, "one; two")
		require.False(t, strings.Contains(err.Error(), "\n"))
	})
	t.Run("copied", func(t *testing.T) {
		policies := []VerifyPolicy{no}
		any, all := AnyOf(policies...), AllOf(policies...)
		policies[0] = yes
		require.ErrorIs(t, any.VerifyCertificate(t.Context(), bad), one)
		require.ErrorIs(t, all.VerifyCertificate(t.Context(), bad), one)
	})
}
