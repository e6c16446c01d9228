package sasl

import (
	"crypto/subtle"
	"encoding/base64"
	"fmt"
)

// Parts of mechanism names (RFC 5802 §4).
const (
	scramPrefix = "SCRAM-"
	plusSuffix  = "-PLUS"
)

// Scram returns the mechanism SCRAM-<hash> (RFC 5802, RFC 7677), without channel binding. With a
// hash that is not available its exchanges do not start.
func Scram(hash Hash) Mechanism { return scram(hash, false) }

// ScramPlus returns the mechanism SCRAM-<hash>-PLUS: like [Scram], and bound to the channel below,
// so that somebody who holds another connection to each side cannot pass the exchange on (RFC 5802
// §6).
func ScramPlus(hash Hash) Mechanism { return scram(hash, true) }

func scram(h Hash, plus bool) Mechanism {
	name := scramPrefix + string(h)
	if plus {
		name += plusSuffix
	}
	return Mechanism{
		Name:           name,
		Hash:           h,
		ChannelBinding: plus,
		NewClient:      func(c *ClientConfig) (Client, error) { return newScramClient(name, h, plus, c) },
		NewServer:      func(c *ServerConfig) (Server, error) { return newScramServer(name, h, plus, c) },
	}
}

// step is how far an exchange has come.
type step int

const (
	stepFirst   step = iota // before the client's first message
	stepFinal               // between the first and the final messages
	stepOutcome             // the client waits for the server's signature
	stepDone
)

// bindingInput is the value of the "c" attribute (RFC 5802 §5.1, §7): the gs2-header, and after
// flag "p" the binding data.
func bindingInput(gs2 string, data []byte) string {
	return base64.StdEncoding.EncodeToString(append([]byte(gs2), data...))
}

// authMessage is AuthMessage of RFC 5802 §3: the messages as they went over the wire, unknown
// extensions included.
func authMessage(clientFirstBare, serverFirst, clientFinalWithoutProof string) string {
	return clientFirstBare + "," + serverFirst + "," + clientFinalWithoutProof
}

// clientProof is ClientKey XOR ClientSignature (RFC 5802 §3).
func clientProof(h Hash, clientKey []byte, auth string) []byte {
	proof := h.mac(h.sum(clientKey), auth)
	subtle.XORBytes(proof, proof, clientKey)
	return proof
}

// verifyProof recovers ClientKey from the proof and compares its hash with StoredKey (RFC 5802 §3),
// in a time that does not depend on where they differ. It returns 1 or 0, in the manner of
// crypto/subtle.
func verifyProof(h Hash, storedKey, proof []byte, auth string) int {
	clientKey := h.mac(storedKey, auth)
	if len(proof) != len(clientKey) { // the length is known to everybody
		return 0
	}
	subtle.XORBytes(clientKey, clientKey, proof)
	return subtle.ConstantTimeCompare(h.sum(clientKey), storedKey)
}

// unavailable is the error for a mechanism whose hash this package does not have.
func unavailable(name string) *Error {
	return &Error{Condition: InvalidMechanism, Cause: fmt.Errorf("%w: unknown hash in %s", ErrConfig, quote(name))}
}
