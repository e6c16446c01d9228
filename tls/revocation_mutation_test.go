package tls

import (
	"context"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"
)

// hasty is a source whose caller is gone by the time that it has an answer.
type hasty struct {
	fixed
	leave context.CancelFunc
}

func (h *hasty) CRL(ctx context.Context, issuer *x509.Certificate, urls []string) ([]byte, error) {
	h.leave()
	return h.fixed.CRL(ctx, issuer, urls)
}

// A list that has come counts, even if the time is up: it could say that the
// certificate is revoked, and saying nothing would be taken for the contrary.
func TestCRLAtTheLastMoment(t *testing.T) {
	ca := newAuthority(t, "CA", nil)
	cert, other := ca.leaf(t), ca.leaf(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	checker := CRLs(&hasty{fixed{der: ca.crl(t, nil, cert)}, cancel}, nil)
	require.ErrorIs(t, checker.CheckRevocation(ctx, []*x509.Certificate{cert, ca.cert}, pkiNow), ErrRevoked)
	require.NoError(t, checker.CheckRevocation(t.Context(), []*x509.Certificate{other, ca.cert}, pkiNow))
}
