package tls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// Extensions of a list of revoked certificates (RFC 5280 §5.2.4, §5.2.5).
var (
	oidDeltaCRL                 = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidIssuingDistributionPoint = asn1.ObjectIdentifier{2, 5, 29, 28}
)

// crlScope is which certificates of its issuer a list is about. The zero value
// is all of them.
type crlScope struct {
	urls                []string // certificates that name one of these; none: any
	userOnly, caOnly    bool
	someReasons, others bool // others: about something else than the issuer's own certificates
}

// issuingDistributionPoint is the ASN.1 of the extension.
type issuingDistributionPoint struct {
	Point              distributionPointName `asn1:"optional,tag:0"`
	UserCertsOnly      bool                  `asn1:"optional,tag:1"`
	CACertsOnly        bool                  `asn1:"optional,tag:2"`
	SomeReasons        asn1.BitString        `asn1:"optional,tag:3"`
	Indirect           bool                  `asn1:"optional,tag:4"`
	AttributeCertsOnly bool                  `asn1:"optional,tag:5"`
}

type distributionPointName struct {
	FullName     []asn1.RawValue `asn1:"optional,tag:0"`
	RelativeName asn1.RawValue   `asn1:"optional,tag:1"`
}

// parseScope parses the value of an issuingDistributionPoint.
func parseScope(value []byte) (crlScope, error) {
	var none crlScope
	var idp issuingDistributionPoint
	rest, err := asn1.Unmarshal(value, &idp)
	if err != nil || len(rest) > 0 {
		return none, errors.New("issuing distribution point cannot be parsed")
	}
	s := crlScope{
		userOnly: idp.UserCertsOnly, caOnly: idp.CACertsOnly,
		someReasons: idp.SomeReasons.BitLength > 0,
		others:      idp.Indirect || idp.AttributeCertsOnly,
	}
	const tagURI = 6 // GeneralName, RFC 5280 §4.2.1.6
	for _, name := range idp.Point.FullName {
		if name.Class == asn1.ClassContextSpecific && name.Tag == tagURI {
			s.urls = append(s.urls, string(name.Bytes))
		}
	}
	if len(s.urls) == 0 && (len(idp.Point.FullName) > 0 || len(idp.Point.RelativeName.FullBytes) > 0) {
		return none, errors.New("issuing distribution point without an address")
	}
	return s, nil
}

// at reports whether a list with this scope may be the one that is found at one
// of the addresses that a certificate names.
func (s *crlScope) at(urls []string) bool {
	return len(s.urls) == 0 || slices.ContainsFunc(urls, func(u string) bool { return slices.Contains(s.urls, u) })
}

// covers returns an error if a list with this scope says nothing about a
// certificate (RFC 5280 §6.3.3 (b)).
func (s *crlScope) covers(cert *x509.Certificate) error {
	switch {
	case s.others, s.userOnly && cert.IsCA, s.caOnly && !cert.IsCA, !s.at(cert.CRLDistributionPoints):
		return fmt.Errorf("%w: about other certificates", errCRL)
	}
	return nil
}
