package tls

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"slices"
)

// TLSA is a TLSA resource record (RFC 6698 §2.1): what a domain says about the
// certificate of one of its servers.
type TLSA struct {
	// Usage is which certificate the record is about, by the acronyms of RFC
	// 7218: 0 PKIX-TA, an authority, and 1 PKIX-EE, the server's own, which the
	// ordinary rules have to accept too; 2 DANE-TA and 3 DANE-EE, the same
	// where the record alone is reason enough.
	Usage uint8
	// Selector is which part of it: 0 all of it, 1 the SubjectPublicKeyInfo.
	Selector uint8
	// Matching is in which form: 0 as it is, 1 its SHA-256, 2 its SHA-512 hash.
	Matching uint8
	// Data is the certificate association data.
	Data []byte
}

// The values of the fields of a TLSA (RFC 7218).
const (
	usagePKIXTA = 0
	usagePKIXEE = 1
	usageDANETA = 2
	usageDANEEE = 3

	selectorCert = 0
	selectorSPKI = 1

	matchingFull   = 0
	matchingSHA256 = 1
	matchingSHA512 = 2
)

// usable reports whether a record can be made sense of. RFC 6698 §4.1: one with
// a field that is not understood or with malformed data is as good as absent.
func (r *TLSA) usable() bool {
	if r.Usage > usageDANEEE || r.Selector > selectorSPKI {
		return false
	}
	switch r.Matching {
	case matchingSHA256:
		return len(r.Data) == sha256.Size
	case matchingSHA512:
		return len(r.Data) == sha512.Size
	case matchingFull:
		var err error
		if r.Selector == selectorCert {
			_, err = x509.ParseCertificate(r.Data)
		} else {
			_, err = x509.ParsePKIXPublicKey(r.Data)
		}
		return err == nil
	}
	return false
}

// usableTLSA returns the records to go by. RFC 7671 §9: of those with the same
// usage and selector, hashes by a weaker algorithm do not count beside hashes by
// a stronger one.
func usableTLSA(records []TLSA) []TLSA {
	var out []TLSA
	stronger := map[[2]uint8]bool{}
	for _, r := range records {
		if r.usable() {
			out = append(out, r)
			if r.Matching == matchingSHA512 {
				stronger[[2]uint8{r.Usage, r.Selector}] = true
			}
		}
	}
	return slices.DeleteFunc(out, func(r TLSA) bool {
		return r.Matching == matchingSHA256 && stronger[[2]uint8{r.Usage, r.Selector}]
	})
}

// matches reports whether a usable record is about this certificate, whatever
// its usage.
func (r *TLSA) matches(cert *x509.Certificate) bool {
	selected := cert.Raw
	if r.Selector == selectorSPKI {
		selected = cert.RawSubjectPublicKeyInfo
	}
	switch r.Matching {
	case matchingFull:
		return bytes.Equal(r.Data, selected)
	case matchingSHA256:
		sum := sha256.Sum256(selected)
		return bytes.Equal(r.Data, sum[:])
	case matchingSHA512:
		sum := sha512.Sum512(selected)
		return bytes.Equal(r.Data, sum[:])
	}
	return false
}
