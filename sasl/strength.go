package sasl

import "fmt"

// Strength is how much a mechanism leaves to somebody who has got between the two sides, or who
// plays the server. Values are ordered, so that they compare with < and max; the zero Strength
// demands nothing. Their numbers may change: store the text of [Strength.MarshalText].
//
// A client remembers one for each account, and hands it to [Select] as [Policy.Floor]: whoever
// removes the better mechanisms from an offer then gains nothing (XEP-0474 §7). [Mechanism.Pin] is
// what to remember.
type Strength uint8

const (
	// AnyStrength: anybody may be the peer. It is the strength of ANONYMOUS, and demands nothing.
	AnyStrength Strength = iota

	// RevealsSecret: the peer learns the secret, and can use it elsewhere (PLAIN, OAUTHBEARER).
	RevealsSecret

	// WeakHash: the peer learns a hash that is cheap to guess passwords with (DIGEST-MD5).
	WeakHash

	// Hashed: the peer learns a proof that is good for one exchange, and costly to guess passwords
	// with (SCRAM), or of no use for guessing since the secret is random (HT without a binding).
	Hashed

	// Bound: the proof is good on this channel only (-PLUS, HT with a binding), or is the channel's
	// own (EXTERNAL).
	Bound
)

// digestMD5 is the one mechanism that hashes the password too cheaply (RFC 6331).
const digestMD5 = "DIGEST-MD5"

var errStrength = fmt.Errorf("sasl: %w: no such strength", ErrConfig)

// strengthNames are the texts of strengths.
var strengthNames = [...]string{AnyStrength: "any", RevealsSecret: "reveals-secret", WeakHash: "weak-hash", Hashed: "hashed", Bound: "bound"}

// String returns the text of the strength, and "unknown" for values that have no name.
func (s Strength) String() string {
	if int(s) < len(strengthNames) {
		return strengthNames[s]
	}
	return "unknown"
}

// MarshalText returns the text of the strength, for storage. Values without a name are refused with
// [ErrConfig].
func (s Strength) MarshalText() ([]byte, error) {
	if int(s) >= len(strengthNames) {
		return nil, errStrength
	}
	return []byte(strengthNames[s]), nil
}

// UnmarshalText reads what MarshalText wrote. Anything else is refused with [ErrConfig] rather than
// taken for a floor that demands nothing.
func (s *Strength) UnmarshalText(text []byte) error {
	for i, name := range strengthNames {
		if string(text) == name {
			*s = Strength(i)
			return nil
		}
	}
	return errStrength
}

// Strength returns how strong the mechanism is.
func (m Mechanism) Strength() Strength {
	switch {
	case m.Credential == NoCredential:
		return AnyStrength
	case m.Name == digestMD5:
		return WeakHash
	case m.Credential == FastTokenCredential && !m.ChannelBinding:
		// Whoever sees the message can send it again, which is why it wants a secure channel; the token
		// itself stays secret.
		return Hashed
	case m.Plaintext:
		return RevealsSecret
	case m.ChannelBinding || m.Credential == CertificateCredential:
		return Bound
	}
	return Hashed
}

// Pin returns what to expect at least of the server from now on, after a login with the mechanism
// has succeeded, server signature included. The floor to remember is the higher of it and the one
// remembered before:
//
//	floor = max(floor, m.Pin())
//
// A password raises the floor to the strength of the mechanism: SCRAM rules out PLAIN and DIGEST-MD5
// (XEP-0474 §7 demands that), -PLUS rules out SCRAM without as well. EXTERNAL rules out what SCRAM
// does, but not SCRAM without binding: that the client had a certificate says nothing about what the
// server does with passwords. Logins with a token (HT, OAUTHBEARER) or with nothing (ANONYMOUS)
// raise nothing, for the same reason. Nothing lowers the floor: a server that gave up its channel
// binding for good cannot be told from an attacker who took it away, and a person has to say so.
func (m Mechanism) Pin() Strength {
	switch m.Credential {
	case PasswordCredential:
		return m.Strength()
	case CertificateCredential:
		return min(m.Strength(), Hashed)
	}
	return AnyStrength
}
