package stanza

import (
	"crypto/rand"
	"encoding/base64"
)

// NewID returns a fresh value for the 'id' attribute of a stanza (RFC 6120
// §8.1.3): 16 characters that carry 96 bits from the system's source of
// randomness, so nobody can guess the id of a request and answer in place of
// its addressee. [Conn.Do] uses it for requests without an id.
func NewID() string {
	var b [12]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	var out [16]byte
	base64.RawURLEncoding.Encode(out[:], b[:])
	return string(out[:])
}
