package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
)

// errEncoding is the reason to answer with incorrect-encoding (RFC 6120 §6.5.5).
var errEncoding = errors.New("auth: incorrect base64")

// decodeData reads the character data of an element of the exchange. No text at all is nil: no
// data. A single "=" is data of length zero (RFC 6120 §6.4.2, §6.4.6), which is not nil.
func decodeData(text []byte) ([]byte, error) {
	switch {
	case len(text) == 0:
		return nil, nil
	case len(text) == 1 && text[0] == '=':
		return []byte{}, nil
	// RFC 6120 §13.9.1: reject, not ignore, whatever is not in the alphabet. The strict decoder sees to all of it but line
	// ends, which encoding/base64 always skips.
	case bytes.ContainsAny(text, "\r\n"):
		return nil, errEncoding
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	// §6.3.5 rule 2: padding bits are zero.
	n, err := base64.StdEncoding.Strict().Decode(data, text)
	if err != nil {
		return nil, errEncoding
	}
	return data[:n], nil
}

// encodeData is the reverse of decodeData.
func encodeData(data []byte) string {
	switch {
	case data == nil:
		return ""
	case len(data) == 0:
		return "="
	}
	return base64.StdEncoding.EncodeToString(data)
}
