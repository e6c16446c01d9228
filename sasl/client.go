package sasl

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// Bounds on the iteration count that a client accepts from a server.
const (
	// MinIterations is the least iteration count this package computes with, on either side (RFC
	// 5802 §5.1, RFC 7677 §3). It cannot be lowered.
	MinIterations = 4096

	// DefaultMaxIterations is what a client computes at most unless told otherwise: about a second
	// of work. A hostile server could otherwise keep the client busy (RFC 5802 §9).
	DefaultMaxIterations = 1_000_000
)

// ClientConfig is what the client side of an exchange needs. It is copied when an exchange starts.
// Printing or logging one shows no secret, as long as fmt can reach its methods: keep it out of
// unexported fields of structs that you print.
type ClientConfig struct {
	// Username is the name whose credentials are used (the authentication identity), in the form to
	// send. Required for SCRAM, PLAIN, HT and DIGEST-MD5; the other mechanisms do not look at it.
	Username string

	// AuthzID is the identity to act as, in the form the carrying protocol defines (XMPP: a bare
	// JID). Empty: the one that follows from Username, which is almost always right (RFC 6120
	// §6.3.8).
	AuthzID string

	// Password is the password as the user typed it, for SCRAM, PLAIN and DIGEST-MD5. Empty: GetPassword
	// is asked.
	Password string

	// GetPassword is called when Password is empty and the password is needed, which it is not
	// while Cache has the keys. Nil: there is no password. Its error ends the exchange.
	GetPassword func(ctx context.Context) (string, error)

	// Binding is the channel binding to use with a -PLUS mechanism. For a mechanism without, a
	// Binding says that this client could bind the channel but saw no -PLUS offered, which a server
	// that did offer one takes as the downgrade it is (RFC 5802 §6, flag "y"). Zero: this client
	// cannot bind (flag "n"). [Select] returns the right one. HT mechanisms need the one of their type.
	Binding Binding

	// Offered holds the names of the mechanisms that the server offered, in the list that the mechanism
	// was chosen from. A client that has a Binding refuses to use SCRAM without it when the -PLUS
	// variant is among them; but if its type is not among OfferedTypes, it goes on without binding,
	// provided that the server proves what it offered (XEP-0474 §7). Nil: the mechanism was not chosen
	// from an offer, and nothing is compared with what the server says of it.
	Offered []string

	// OfferedTypes holds the types of channel binding that the server announced (XEP-0440). Nil or empty:
	// it announced none. A SCRAM server that knows XEP-0474 proves what it sent; if that is not what
	// Offered and OfferedTypes hold, the exchange ends with ErrDowngrade before there is a proof. Servers
	// that do not know it prove nothing, and that is no error.
	OfferedTypes []string

	// TLSVersion is the version of TLS below as the protocol numbers it (0x0304), to be compared with
	// what a SCRAM server says, if it says something (XEP-0515); a difference is ErrDowngrade. Zero: not
	// compared.
	TLSVersion uint16

	// Token is the secret of mechanisms that use one: an OAuth 2.0 bearer token for OAUTHBEARER, a
	// token of the server's own for HT. Empty: GetToken is asked.
	Token string

	// GetToken is called when Token is empty and the token is needed. Nil: there is none. Its error
	// ends the exchange.
	GetToken func(ctx context.Context) (string, error)

	// Host and Port are what the client connected to, which OAUTHBEARER repeats to the server (RFC
	// 7628 §3.1). Empty and zero: not said.
	Host string
	Port int

	// Secure says that the channel is confidential and the server's identity verified. Mechanisms
	// that are Plaintext, and HT, refuse to start without it. Zero: it is neither.
	Secure bool

	// MinIterations is the least iteration count to accept. Zero, or anything below
	// [MinIterations]: MinIterations.
	MinIterations int

	// MaxIterations is the highest iteration count to accept. Zero: [DefaultMaxIterations].
	MaxIterations int

	// Cache keeps derived keys, so that logging in again skips the key derivation, and with it the
	// password: share it only among those who may use each other's accounts (see [KeyCache]). Nil:
	// nothing is kept. It needs Service.
	Cache KeyCache

	// Service names what the account belongs to: the domain of the server. Cache needs it, since keys
	// kept for one service are never used towards another, and so does DIGEST-MD5. Empty: not said.
	Service string

	// Rand is the source of nonces. Nil: crypto/rand.
	Rand io.Reader

	nonce string // the nonce of a published example; tests only
}

// A need is something that a mechanism cannot do without in its configuration.
type need uint8

const (
	needUsername need = 1 << iota // ClientConfig.Username
	needPassword                  // ClientConfig.Password, GetPassword or Cache
	needToken                     // ClientConfig.Token or GetToken
	needStore                     // ServerConfig.Store
)

// clone checks what is wanted of the configuration, and what makes no sense in any, and copies it.
func (c *ClientConfig) clone(needs need) (*ClientConfig, error) {
	if c == nil {
		return nil, aborted("", fmt.Errorf("%w: no ClientConfig", ErrConfig))
	}
	cfg := *c
	cfg.Binding.Data = slices.Clone(c.Binding.Data)
	cfg.Offered = slices.Clone(c.Offered)
	cfg.OfferedTypes = slices.Clone(c.OfferedTypes)
	cfg.MinIterations = max(cfg.MinIterations, MinIterations)
	if cfg.MaxIterations == 0 {
		cfg.MaxIterations = DefaultMaxIterations
	}
	if needs&needUsername != 0 {
		if err := checkName(cfg.Username); err != nil {
			return nil, aborted("", err)
		}
	}
	if cfg.AuthzID != "" {
		if err := checkName(cfg.AuthzID); err != nil {
			return nil, aborted("authorization identity", err)
		}
	}
	switch {
	case cfg.MaxIterations < cfg.MinIterations:
		return nil, aborted("", fmt.Errorf("%w: MaxIterations is below MinIterations", ErrConfig))
	case cfg.Cache != nil && cfg.Service == "":
		return nil, aborted("", fmt.Errorf("%w: Cache needs Service", ErrConfig))
	case needs&needPassword != 0 && cfg.Password == "" && cfg.GetPassword == nil && cfg.Cache == nil:
		return nil, aborted("", fmt.Errorf("%w: no password", ErrPassword))
	case needs&needToken != 0 && cfg.Token == "" && cfg.GetToken == nil:
		return nil, aborted("", fmt.Errorf("%w: none given", ErrToken))
	}
	return &cfg, nil
}

// password returns the prepared password.
func (c *ClientConfig) password(ctx context.Context) (string, error) {
	p := c.Password
	if p == "" {
		if c.GetPassword == nil {
			return "", aborted("", fmt.Errorf("%w: none given", ErrPassword))
		}
		var err error
		if p, err = c.GetPassword(ctx); err != nil {
			return "", aborted("asking for the password", err)
		}
	}
	p, err := preparePassword(p)
	if err != nil {
		return "", aborted("", err)
	}
	return p, nil
}

// token returns the token. Mechanisms put bounds of their own on what it may hold.
func (c *ClientConfig) token(ctx context.Context) (string, error) {
	if c.Token != "" {
		return c.Token, nil
	}
	if c.GetToken == nil {
		return "", aborted("", fmt.Errorf("%w: none given", ErrToken))
	}
	t, err := c.GetToken(ctx)
	switch {
	case err != nil:
		return "", aborted("asking for the token", err)
	case t == "":
		return "", aborted("", fmt.Errorf("%w: empty", ErrToken))
	}
	return t, nil
}

// Format prints the configuration without its secrets, whatever the verb.
func (c ClientConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sasl.ClientConfig{Username:%q AuthzID:%q Binding:%v Secure:%t}", c.Username, c.AuthzID, c.Binding, c.Secure)
}

// LogValue is what log/slog shows of the configuration.
func (c ClientConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format prints the type of the binding, whatever the verb; the data, which identifies the
// connection, is left out.
func (b Binding) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sasl.Binding{%q %d bytes}", b.Type, len(b.Data))
}

// LogValue is what log/slog shows of the binding.
func (b Binding) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(b)) }
