package sasl

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"hash"
)

// A Hash names the hash function of a SCRAM mechanism, as the mechanism's name spells it after
// "SCRAM-". It is comparable and serves as a key. The zero Hash names none.
type Hash string

// The hash functions that this package has.
const (
	SHA1   Hash = "SHA-1"   // RFC 5802
	SHA256 Hash = "SHA-256" // RFC 7677
	SHA512 Hash = "SHA-512" // SCRAM-SHA-512, draft-melnikov-scram-sha-512

	// SHA3_512 makes SCRAM-SHA3-512 (draft-melnikov-scram-sha3-512). It is there for who may not use
	// SHA-2; hardly any peer has it, and it is not part of Default.
	SHA3_512 Hash = "SHA3-512"
)

// Available reports whether the package has this hash function.
func (h Hash) Available() bool { return h.constructor() != nil }

// Size returns the length of a digest in bytes, and 0 if the function is not available.
func (h Hash) Size() int {
	switch h {
	case SHA1:
		return sha1.Size
	case SHA256:
		return sha256.Size
	case SHA512:
		return sha512.Size
	case SHA3_512:
		return sha3.New512().Size()
	}
	return 0
}

// constructor returns the function that makes a new hash state, or nil.
func (h Hash) constructor() func() hash.Hash {
	switch h {
	case SHA1:
		return sha1.New
	case SHA256:
		return sha256.New
	case SHA512:
		return sha512.New
	case SHA3_512:
		return func() hash.Hash { return sha3.New512() }
	}
	return nil
}

// sum is H(data) of RFC 5802 §2.2.
func (h Hash) sum(data []byte) []byte {
	d := h.constructor()()
	d.Write(data)
	return d.Sum(nil)
}

// mac is HMAC(key, data) of RFC 5802 §2.2.
func (h Hash) mac(key []byte, data ...string) []byte {
	m := hmac.New(h.constructor(), key)
	for _, s := range data {
		m.Write([]byte(s))
	}
	return m.Sum(nil)
}
