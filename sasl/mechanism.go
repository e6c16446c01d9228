package sasl

import (
	"context"
	"strings"
)

// A Mechanism is one SASL mechanism, for either side, as a value. Programs keep the mechanisms they
// are ready to use in a slice, most preferred first; adding a mechanism is adding a value. A value
// may be used by any number of goroutines at once.
type Mechanism struct {
	// Name is the registered name, for example "SCRAM-SHA-256-PLUS".
	Name string

	// Hash is the hash function whose [Keys] a server needs for this mechanism; empty when it needs
	// those of no particular hash.
	Hash Hash

	// ChannelBinding says that the exchange is bound to the channel below (a -PLUS variant).
	ChannelBinding bool

	// BindingType is the one type of channel binding that the mechanism is for, where its name fixes
	// it (HT-SHA-256-EXPR); empty means that the exchange names the type.
	BindingType string

	// Plaintext says that the peer learns the secret, or that whoever listens can guess it at leisure or
	// use the message again: such a mechanism is used only on a secure channel.
	Plaintext bool

	// Credential is what a client needs to use the mechanism; see [Policy.Credentials].
	Credential Credential

	// NewClient starts the initiating side of one exchange. The configuration is copied. Nil: no
	// client side.
	NewClient func(*ClientConfig) (Client, error)

	// NewServer starts the accepting side of one exchange. The configuration is copied. Nil: no
	// server side.
	NewServer func(*ServerConfig) (Server, error)
}

// Credential is a kind of thing that a client proves its identity with.
type Credential uint8

const (
	// PasswordCredential: a password, or keys derived from one.
	PasswordCredential Credential = iota
	// CertificateCredential: the certificate that the channel below was set up with (EXTERNAL).
	CertificateCredential
	// TokenCredential: a secret that somebody issued, an OAuth 2.0 bearer token (OAUTHBEARER).
	TokenCredential
	// FastTokenCredential: a token of the server's own, for one mechanism (XEP-0484).
	FastTokenCredential
	// NoCredential: nothing at all (ANONYMOUS).
	NoCredential
)

// String returns the name of the mechanism.
func (m Mechanism) String() string { return m.Name }

// Default returns the mechanisms to use unless there is a reason not to, strongest first: SCRAM
// with channel binding (SHA-512, SHA-256, SHA-1), then SCRAM without, in the same order. Binding
// comes before the hash because a missing binding can be used by an attacker today, and the HMAC of
// SHA-1 cannot. PLAIN is not among them. The slice is the caller's.
func Default() []Mechanism {
	return []Mechanism{
		ScramPlus(SHA512), ScramPlus(SHA256), ScramPlus(SHA1),
		Scram(SHA512), Scram(SHA256), Scram(SHA1),
	}
}

// A Client is the initiating side of one authentication exchange. It is for one use and one
// goroutine at a time.
type Client interface {
	// Next takes the server's last message and returns the answer to send.
	//
	// The first call takes nil (or the empty challenge of a protocol that has no initial response).
	// A nil out means that there is no data to send, a non-nil out of length zero that there is
	// data, and it is empty.
	//
	// done reports that the client is satisfied: for SCRAM, the server has proved that it knows the
	// keys. A server that announces success before done is true has not authenticated itself, and
	// the caller must treat that as a failure. The last message of the server may come as
	// additional data with success, or, in protocols without such a thing, as a challenge, which
	// then wants an empty answer.
	//
	// A challenge that comes after done ends the exchange with an error, [ErrFinished] unless the
	// mechanism has a use for it (OAUTHBEARER).
	//
	// ctx bounds the work of this call, not the exchange. Errors are *[Error]; after one, or after
	// done, each further call fails ([ErrFinished]). With an error out is nil, or the last message that
	// the mechanism has the client send before it gives up (OAUTHBEARER, RFC 7628 §3.2.3).
	Next(ctx context.Context, in []byte) (out []byte, done bool, err error)
}

// A Server is the accepting side of one authentication exchange. It is for one use and one
// goroutine at a time.
type Server interface {
	// Next takes the client's last message and returns the next challenge.
	//
	// A first call with nil says that the client sent no initial response; a mechanism where the
	// client speaks first then returns an empty challenge (RFC 4422 §3.3, §5).
	//
	// done reports that authentication succeeded; a non-nil out is then the additional data with
	// success, to be sent as a last challenge where the protocol has no place for it. ctx bounds
	// the work of this call, including calls into the store. Errors are *[Error]; of those only
	// Condition and Text are for the client. After an error, or after done, each further call fails
	// ([ErrFinished]).
	Next(ctx context.Context, in []byte) (out []byte, done bool, err error)

	// Identity returns who was authenticated. It is the zero Identity until Next has reported done.
	Identity() Identity
}

// Identity is the outcome of an exchange on the server (RFC 4422 §2).
type Identity struct {
	// AuthcID is the name whose credentials were verified, in the canonical form that the store
	// gave it.
	AuthcID string

	// AuthzID is the identity the client asked to act as, unchanged. Empty: it asked for the one
	// that follows from AuthcID.
	AuthzID string
}

// Types of channel binding, as registered by RFC 5929 and RFC 9266.
const (
	TLSExporter       = "tls-exporter"         // RFC 9266 §2
	TLSUnique         = "tls-unique"           // RFC 5929 §3; not defined for TLS 1.3 (RFC 9266 §3)
	TLSServerEndPoint = "tls-server-end-point" // RFC 5929 §4
)

// A Binding is one channel binding of a connection (RFC 5056): the registered name of its type, and
// the data. The zero Binding means that there is none.
type Binding struct {
	Type string
	Data []byte
}

// offersPlus reports whether one of the names is that of a mechanism with channel binding in the
// sense of RFC 5802 §6.
func offersPlus(names []string) bool {
	for _, n := range names {
		if strings.HasSuffix(n, plusSuffix) {
			return true
		}
	}
	return false
}
