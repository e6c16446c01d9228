package tls

import (
	"crypto/tls"
	"fmt"
	"slices"
)

// suites are those of TLS 1.2 that RFC 9325 §4.2 recommends, and ChaCha20 with
// them: ephemeral key exchange on elliptic curves and authenticated encryption.
// The suites of TLS 1.3 are all of this kind and not configurable.
var suites = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// isTLS13Suite reports whether s is a suite of TLS 1.3, which crypto/tls
// ignores in a list of suites.
func isTLS13Suite(s uint16) bool {
	switch s {
	case tls.TLS_AES_128_GCM_SHA256, tls.TLS_AES_256_GCM_SHA384, tls.TLS_CHACHA20_POLY1305_SHA256:
		return true
	}
	return false
}

// permitInsecure adds suites to those of c, which is a copy already. What is in
// the list of a tls.Config is spoken by crypto/tls although its own defaults
// have dropped it, whatever GODEBUG says (tlsrsakex, tls3des).
func permitInsecure(c *tls.Config, insecure []uint16) error {
	known := slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites())
	for _, id := range insecure {
		i := slices.IndexFunc(known, func(s *tls.CipherSuite) bool { return s.ID == id })
		switch {
		case i < 0:
			return fmt.Errorf("%w: InsecureSuites: crypto/tls does not have the cipher suite 0x%04X", ErrConfig, id)
		case !slices.Contains(known[i].SupportedVersions, uint16(tls.VersionTLS12)):
			return fmt.Errorf("%w: InsecureSuites: %s is not for TLS 1.2", ErrConfig, known[i].Name)
		}
	}
	c.CipherSuites = slices.Concat(c.CipherSuites, insecure)
	return nil
}
