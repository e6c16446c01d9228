package tls

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
)

// crl is a list of revoked certificates (RFC 5280 §5) whose signature has been
// checked, with no more than is needed to look something up.
type crl struct {
	thisUpdate, nextUpdate time.Time
	scope                  crlScope
	revoked                map[string]crlEntry // by serialKey
}

type crlEntry struct {
	at     time.Time
	reason int
}

// reasonHold is a revocation that may be taken back (RFC 5280 §5.3.1).
const reasonHold = 6

var errCRL = errors.New("list of revoked certificates")

// parseCRL parses a list of revoked certificates and checks that it is the
// issuer's. Lists that could mean something that is not understood here are
// errors: RFC 5280 §5.2, §5.3 forbid to use them.
func parseCRL(der []byte, issuer *x509.Certificate, most int) (*crl, error) {
	if len(der) > most {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", errCRL, len(der), most)
	}
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCRL, err)
	}
	if len(list.Raw) != len(der) {
		return nil, fmt.Errorf("%w: something behind its end", errCRL)
	}
	if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
		return nil, fmt.Errorf("%w: by another issuer", errCRL)
	}
	// CheckSignatureFrom still takes SHA-1, which RFC 9325 §4.5 does not.
	switch list.SignatureAlgorithm {
	case x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
		return nil, fmt.Errorf("%w: signature by %s", errCRL, list.SignatureAlgorithm)
	}
	if err := list.CheckSignatureFrom(issuer); err != nil {
		return nil, fmt.Errorf("%w: signature: %w", errCRL, err)
	}
	return newCRL(list)
}

// newCRL takes what is needed out of a list.
func newCRL(list *x509.RevocationList) (*crl, error) {
	// RFC 5280 §5.1.2.5: nextUpdate has to be there.
	if list.NextUpdate.IsZero() {
		return nil, fmt.Errorf("%w: it does not say until when it is valid", errCRL)
	}
	c := &crl{
		thisUpdate: list.ThisUpdate, nextUpdate: list.NextUpdate,
		revoked: make(map[string]crlEntry, len(list.RevokedCertificateEntries)),
	}
	for _, ext := range list.Extensions {
		var err error
		switch {
		case ext.Id.Equal(oidIssuingDistributionPoint):
			if c.scope, err = parseScope(ext.Value); err != nil {
				return nil, fmt.Errorf("%w: %w", errCRL, err)
			}
		case ext.Critical, ext.Id.Equal(oidDeltaCRL):
			// A delta list, among others: what it does not have may be in
			// another one.
			return nil, fmt.Errorf("%w: extension %s", errCRL, ext.Id)
		}
	}
	for _, e := range list.RevokedCertificateEntries {
		for _, ext := range e.Extensions {
			if ext.Critical { // RFC 5280 §5.3: the certificateIssuer, among others
				return nil, fmt.Errorf("%w: extension %s of an entry", errCRL, ext.Id)
			}
		}
		c.revoked[serialKey(e.SerialNumber)] = crlEntry{e.RevocationTime, e.ReasonCode}
	}
	return c, nil
}

func serialKey(serial *big.Int) string {
	// A sign, since a certificate can have a negative one.
	return string(append([]byte{byte(serial.Sign() + 1)}, serial.Bytes()...))
}

// status looks a certificate up that the issuer of the list has issued.
func (c *crl) status(cert *x509.Certificate, now time.Time) error {
	if err := c.scope.covers(cert); err != nil {
		return err
	}
	current := !now.Before(c.thisUpdate) && now.Before(c.nextUpdate)
	// What was revoked once stays revoked, unless it was only on hold: for that
	// an old list is good enough.
	if e, ok := c.revoked[serialKey(cert.SerialNumber)]; ok && (current || e.reason != reasonHold) {
		return fmt.Errorf("%w: serial number %s, by %s, on %s, reason %d", ErrRevoked,
			quote.ASCII(cert.SerialNumber.Text(16), 64), quote.ASCII(cert.Issuer.String(), 128), e.at.UTC().Format(time.DateOnly), e.reason)
	}
	if !current {
		return fmt.Errorf("%w: valid from %s to %s only", errCRL, c.thisUpdate.UTC().Format(time.RFC3339), c.nextUpdate.UTC().Format(time.RFC3339))
	}
	if c.scope.someReasons {
		return fmt.Errorf("%w: for some reasons of revocation only", errCRL)
	}
	return nil
}

// errNoCRL says that a source has no list.
var errNoCRL = errors.New("no list of this issuer")

// StaticCRLs returns a source of lists, each as DER or as one or more blocks of
// PEM, that are all there are: files that something else keeps up to date, read
// when the program starts. Their signatures are checked when they are used. It
// fails if one of them cannot be parsed.
func StaticCRLs(lists ...[]byte) (CRLSource, error) {
	var out staticCRLs
	for _, list := range lists {
		ders, err := pemOrDER(list, "X509 CRL")
		if err != nil {
			return nil, err
		}
		for _, der := range ders {
			parsed, err := x509.ParseRevocationList(der)
			if err != nil {
				return nil, fmt.Errorf("xmpp/tls: %w: %w", errCRL, err)
			}
			s := staticCRL{
				der: slices.Clone(der), issuer: slices.Clone(parsed.RawIssuer), key: slices.Clone(parsed.AuthorityKeyId),
				thisUpdate: parsed.ThisUpdate,
			}
			for _, ext := range parsed.Extensions {
				if ext.Id.Equal(oidIssuingDistributionPoint) {
					if s.scope, err = parseScope(ext.Value); err != nil {
						return nil, fmt.Errorf("xmpp/tls: %w: %w", errCRL, err)
					}
				}
			}
			out = append(out, s)
		}
	}
	// The newest one first.
	slices.SortStableFunc(out, func(a, b staticCRL) int { return b.thisUpdate.Compare(a.thisUpdate) })
	return out, nil
}

type staticCRL struct {
	der, issuer, key []byte
	scope            crlScope
	thisUpdate       time.Time
}

type staticCRLs []staticCRL

// CRL implements [CRLSource].
func (s staticCRLs) CRL(_ context.Context, issuer *x509.Certificate, urls []string) ([]byte, error) {
	for _, list := range s {
		if !bytes.Equal(list.issuer, issuer.RawSubject) {
			continue
		}
		// An issuer with a new key has the old name.
		if len(list.key) > 0 && len(issuer.SubjectKeyId) > 0 && !bytes.Equal(list.key, issuer.SubjectKeyId) {
			continue
		}
		if list.scope.at(urls) {
			return list.der, nil
		}
	}
	return nil, errNoCRL
}
