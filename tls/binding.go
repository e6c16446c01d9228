package tls

import (
	"bytes"
	"crypto"
	_ "crypto/sha256" // for the hash of tls-server-end-point
	_ "crypto/sha512"
	"crypto/tls"
	"crypto/x509"
)

// The names of the channel-binding types, as in the IANA registry and in the
// keys of [stream.Security].Bindings.
const (
	bindingExporter = "tls-exporter"
	bindingEndPoint = "tls-server-end-point"
	bindingUnique   = "tls-unique"
	exporterLabel   = "EXPORTER-Channel-Binding"
	exporterSize    = 32
)

// bindings returns the channel-binding data of a connection by type. Types that
// are not defined or not safe on it are absent. The server is the certificate
// in the server's Certificate message, or nil if that is not known.
func bindings(cs *tls.ConnectionState, server *x509.Certificate) map[string][]byte {
	out := make(map[string][]byte)
	// RFC 9266 §2: the context is a zero-length string, which before TLS 1.3 is
	// not the same as none. It asks for unique master secrets as well: TLS 1.3,
	// or the extended master secret before it. ExportKeyingMaterial fails
	// without (unless GODEBUG=tlsunsafeekm=1 tells it not to), and with
	// renegotiation, which §4.2 excludes.
	ekm, err := cs.ExportKeyingMaterial(exporterLabel, []byte{}, exporterSize)
	unique := err == nil
	if unique {
		out[bindingExporter] = ekm
	}
	// RFC 5929 §3 is not defined for TLS 1.3 (RFC 8446 §C.5), where TLSUnique is
	// empty; before it, without
	// the extended master secret somebody in the middle can make two connections
	// share the value (RFC 7627 §1).
	if unique && len(cs.TLSUnique) > 0 {
		out[bindingUnique] = bytes.Clone(cs.TLSUnique)
	}
	if server != nil {
		if h := endPointHash(server.SignatureAlgorithm); h != 0 {
			sum := h.New()
			sum.Write(server.Raw)
			out[bindingEndPoint] = sum.Sum(nil)
		}
	}
	return out
}

// endPointHash returns the hash function that RFC 5929 §4.1 selects for a
// certificate signed with alg, or zero if it leaves the binding undefined.
func endPointHash(alg x509.SignatureAlgorithm) crypto.Hash {
	switch alg {
	case x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1:
		return crypto.SHA256 // MD5 and SHA-1 are replaced
	case x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256, x509.DSAWithSHA256:
		return crypto.SHA256
	case x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384:
		return crypto.SHA384
	case x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512:
		return crypto.SHA512
	}
	return 0 // Ed25519 uses no hash function of its own; the rest is unknown
}
