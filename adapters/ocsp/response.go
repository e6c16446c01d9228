package ocsp

import (
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	wire "golang.org/x/crypto/ocsp"

	xtls "stanzakit.dev/xmpp/tls"
)

// maxSkew is how far a responder's clock may be ahead: its responses can be made
// at the very moment.
const maxSkew = 5 * time.Minute

var errResponse = errors.New("ocsp: unusable response")

// parse parses a response about a certificate and checks that it comes from
// somebody who may make it. What it says, and when, is for status.
func parse(der []byte, cert, issuer *x509.Certificate) (*wire.Response, error) {
	resp, err := wire.ParseResponseForCert(der, cert, issuer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errResponse, err)
	}
	if weak(resp.SignatureAlgorithm) {
		return nil, fmt.Errorf("%w: signature by %s", errResponse, resp.SignatureAlgorithm)
	}
	// The package has checked that the issuer has signed the responder's
	// certificate, but not what for. RFC 6960 §4.2.2.2: only this use will do, or
	// whoever has any certificate of the issuer, a revoked one say, could say
	// what he likes about it.
	if r := resp.Certificate; r != nil && !r.Equal(issuer) {
		switch {
		case !slices.Contains(r.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning):
			return nil, fmt.Errorf("%w: not by an appointed responder", errResponse)
		case weak(r.SignatureAlgorithm):
			return nil, fmt.Errorf("%w: responder's certificate signed by %s", errResponse, r.SignatureAlgorithm)
		}
	}
	return resp, nil
}

// weak: RFC 9325 §4.5, which crypto/x509 does not heed here.
func weak(a x509.SignatureAlgorithm) bool {
	return a == x509.SHA1WithRSA || a == x509.ECDSAWithSHA1 || a == x509.DSAWithSHA1
}

// status is what a response says at a time: nil, an error that wraps ErrRevoked,
// or another one if it cannot tell.
func status(resp *wire.Response, now time.Time) error {
	err := current(resp, now)
	switch resp.Status {
	case wire.Revoked:
		// What was revoked once stays revoked, unless it was only on hold: for
		// that an old response is good enough.
		if err == nil || resp.RevocationReason != wire.CertificateHold && resp.ThisUpdate.Before(now.Add(maxSkew)) {
			return fmt.Errorf("%w: serial number %x, on %s, reason %d", xtls.ErrRevoked,
				resp.SerialNumber, resp.RevokedAt.UTC().Format(time.DateOnly), resp.RevocationReason)
		}
		return err
	case wire.Good:
		return err
	}
	return fmt.Errorf("%w: the responder does not know the certificate", errResponse)
}

// current reports whether a response may be gone by (RFC 6960 §3.2, RFC 5019
// §4).
func current(resp *wire.Response, now time.Time) error {
	switch r := resp.Certificate; {
	case resp.ThisUpdate.After(now.Add(maxSkew)):
		return fmt.Errorf("%w: from the future", errResponse)
	case resp.NextUpdate.IsZero():
		// RFC 5019 §2.2.4: without nonces it has to be there. It could be any
		// age.
		return fmt.Errorf("%w: it does not say until when it is valid", errResponse)
	case !now.Before(resp.NextUpdate):
		return fmt.Errorf("%w: valid until %s", errResponse, resp.NextUpdate.UTC().Format(time.RFC3339))
	case r != nil && (now.Before(r.NotBefore) || now.After(r.NotAfter)):
		return fmt.Errorf("%w: the responder's certificate is not valid at this time", errResponse)
	}
	return nil
}
