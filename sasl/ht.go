package sasl

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// htPrefix begins the names of the HT mechanisms.
const htPrefix = "HT-"

// htBindings maps channel-binding types to the last part of mechanism names
// (draft-schmaus-kitten-sasl-ht-09 §2).
var htBindings = map[string]string{
	TLSExporter:       "EXPR",
	TLSUnique:         "UNIQ",
	TLSServerEndPoint: "ENDP",
	"":                "NONE",
}

// HT returns the mechanism HT-<hash>-<binding> (draft-schmaus-kitten-sasl-ht-09), which logs in
// with a token that the server issued in an earlier session: [ClientConfig.Token] and
// [ServerConfig.FastTokens]. It takes one message in each direction, and the server proves that it
// has the token too. It is for short-lived random tokens of at least 128 bits, since a token that
// can be guessed can be guessed quickly.
//
// The binding type is [TLSExporter], [TLSUnique], [TLSServerEndPoint], or empty for a mechanism
// without channel binding (HT-<hash>-NONE); with another type, or a hash that is not available, its
// exchanges do not start. A token is for one mechanism, so that nobody can make the client use it
// with a weaker one. Both sides refuse the mechanism on a channel that is not Secure: without a
// challenge from the server, whoever reads a message may send it again. It has no place for an
// authorization identity.
func HT(hash Hash, bindingType string) Mechanism {
	suffix, ok := htBindings[bindingType]
	if !ok {
		hash, suffix = "", bindingType
	}
	k := htKind{name: htPrefix + string(hash) + "-" + suffix, hash: hash, cbType: bindingType}
	return Mechanism{
		Name:           k.name,
		ChannelBinding: bindingType != "",
		BindingType:    bindingType,
		Plaintext:      bindingType == "",
		Credential:     FastTokenCredential,
		NewClient:      k.newClient,
		NewServer:      k.newServer,
	}
}

// FastMechanisms returns the mechanisms to use for fast logins (XEP-0484), most preferred first:
// HT-SHA-256 with tls-exporter, with tls-unique (which a TLS 1.3 connection does not have), with
// tls-server-end-point, and without binding. They are not among [Default], because they are offered
// in a list of their own; [Select] picks the one to request a token for. The slice is the caller's.
func FastMechanisms() []Mechanism {
	return []Mechanism{HT(SHA256, TLSExporter), HT(SHA256, TLSUnique), HT(SHA256, TLSServerEndPoint), HT(SHA256, "")}
}

// isBoundHT reports whether the name is that of an HT mechanism with channel binding.
func isBoundHT(name string) bool {
	if !strings.HasPrefix(name, htPrefix) {
		return false
	}
	last := name[strings.LastIndexByte(name, '-')+1:]
	for typ, suffix := range htBindings {
		if typ != "" && last == suffix {
			return true
		}
	}
	return false
}

// htKind is one mechanism of the family. Sections without a name, here and in both sides, are those of
// draft-schmaus-kitten-sasl-ht-09.
type htKind struct {
	name   string
	hash   Hash
	cbType string // type of channel binding
}

// What the two sides put under their hashed tokens besides the channel binding
// (draft-schmaus-kitten-sasl-ht-09 §3.1, §3.3).
const (
	htInitiator = "Initiator"
	htResponder = "Responder"
)

// hashed is HMAC(token, side || cb-data). The key is the UTF-8 text of the token.
func (k htKind) hashed(token []byte, side string, cb []byte) []byte {
	return k.hash.mac(token, side, string(cb))
}

// htMessage is a parsed initiator-msg.
type htMessage struct {
	username string
	hashed   []byte
}

// parseHT reads an initiator-msg (draft-schmaus-kitten-sasl-ht-09 §3.1): authcid NUL
// initiator-hashed-token. The hashed token may hold more NULs.
func parseHT(msg []byte) (htMessage, error) {
	if len(msg) > maxMessage {
		return htMessage{}, fmt.Errorf("HT message is longer than %d bytes", maxMessage)
	}
	name, hashed, _ := bytes.Cut(msg, []byte{0})
	if len(hashed) == 0 {
		return htMessage{}, errors.New("HT message is not authcid NUL initiator-hashed-token")
	}
	if err := checkName(string(name)); err != nil {
		return htMessage{}, err
	}
	return htMessage{string(name), hashed}, nil
}

// insecure is the error of both sides on a channel that is not Secure
// (draft-schmaus-kitten-sasl-ht-09 §1.2).
func (k htKind) insecure() *Error {
	return &Error{Condition: EncryptionRequired, Text: k.name + " needs a confidential channel"}
}
