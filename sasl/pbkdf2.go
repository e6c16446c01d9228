package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/subtle"
)

// ctxEvery is after how many iterations the context is asked: about every millisecond.
const ctxEvery = 4096

// saltedPassword is Hi(password, salt, iterations) of RFC 5802 §2.2: PBKDF2 with HMAC whose output
// is one block. The loop is written out here rather than taken from crypto/pbkdf2, because that one
// cannot be stopped and the count is often chosen by the peer.
//
// The password must have been prepared, and the hash be available.
func saltedPassword(ctx context.Context, h Hash, password string, salt []byte, iterations int) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m := hmac.New(h.constructor(), []byte(password))
	m.Write(salt)
	m.Write([]byte{0, 0, 0, 1}) // INT(1)
	u := m.Sum(nil)
	out := append([]byte(nil), u...)
	for i := 1; i < iterations; i++ {
		if i%ctxEvery == 0 {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
		m.Reset()
		m.Write(u)
		u = m.Sum(u[:0])
		subtle.XORBytes(out, out, u)
	}
	return out, nil
}
