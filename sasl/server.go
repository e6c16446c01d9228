package sasl

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
)

// ServerConfig is what the server side of an exchange needs. It is copied when an exchange starts.
// Printing or logging one shows no secret.
type ServerConfig struct {
	// Store holds the accounts. Required for SCRAM and PLAIN; the other mechanisms ask the function
	// that is here for them.
	Store KeyStore

	// Bindings holds the channel bindings of this connection, of all types that it has. Nil: -PLUS
	// mechanisms cannot be used.
	Bindings []Binding

	// Offered holds the names of the mechanisms that this server offered on this connection. A
	// client that says it saw no -PLUS mechanism while there was one has been deceived, and fails
	// (RFC 5802 §6). SCRAM proves the list to the client (XEP-0474): it must hold all names that were
	// sent, and those only, of the profile that the client uses where there are two. Nil: -PLUS counts
	// as offered when Bindings is not empty, and nothing is proved.
	Offered []string

	// OfferedTypes holds the types of channel binding that this server announced on this connection
	// (XEP-0440). Nil or empty: it announced none. SCRAM proves them together with Offered.
	OfferedTypes []string

	// TLSVersion is the version of TLS below as the protocol numbers it (0x0304), for SCRAM to tell the
	// client (XEP-0515). Zero: not told.
	TLSVersion uint16

	// External decides for EXTERNAL who is at the other end of the channel, from what that has proved
	// below (a certificate), and from what the client asks to act as, empty if it asks for nothing. It
	// returns the name that becomes Identity.AuthcID. An [*Error] is returned to the caller as it is,
	// any other error makes NotAuthorized. Nil: EXTERNAL cannot be used.
	External func(ctx context.Context, authzID string) (authcID string, err error)

	// Anonymous makes up a name for a client of ANONYMOUS. The trace is what the client said about
	// itself, at most 255 characters, for logs only. Nil: ANONYMOUS cannot be used.
	Anonymous func(ctx context.Context, trace string) (authcID string, err error)

	// Bearer verifies an OAuth 2.0 token for OAUTHBEARER and returns whose it is. An [*Error] is
	// returned to the caller as it is; any other error, ErrUnknownUser say, makes NotAuthorized. Nil:
	// OAUTHBEARER cannot be used.
	Bearer func(context.Context, BearerToken) (authcID string, err error)

	// FastTokens finds the tokens that an HT mechanism may be used with (XEP-0484): it calls match with
	// each token of the user for this mechanism, at most a few, until one fits, and returns the
	// canonical name of the user. match takes the same time for each. If none fits, or there is no
	// such user, the error is or wraps ErrUnknownUser, which makes NotAuthorized; an [*Error] is
	// returned to the caller as it is: CredentialsExpired for a token that fits and is not trusted any
	// more, say (XEP-0484 §4.2). No error where no token fitted makes NotAuthorized too. match is for
	// the time of the call only. Nil: HT mechanisms cannot be used.
	FastTokens func(ctx context.Context, username string, match func(token []byte) bool) (canonical string, err error)

	// InsecureDigest returns what DIGEST-MD5 stores for a user in a realm, MD5(user:realm:password),
	// and the canonical name of the user. For a name without it the error is or wraps ErrUnknownUser.
	// Who has this can log in as the user. Nil: DIGEST-MD5 cannot be used.
	InsecureDigest func(ctx context.Context, username, realm string) (digest [16]byte, canonical string, err error)

	// Normalize brings a user name to the form in which names are compared. Its error fails the
	// exchange as a wrong password does. Nil: names are taken as they are. Set it, rather than have
	// Store do the work, so that different spellings of a name without an account look like one
	// account.
	Normalize func(name string) (string, error)

	// Authorize decides, once the credentials have been verified, whether they permit acting as
	// Identity.AuthzID (which may be empty), and is the place to refuse accounts that are disabled.
	// An [*Error] is returned to the caller as it is, any other error makes InvalidAuthzid. Nil:
	// the AuthzID must be empty or equal to the AuthcID.
	Authorize func(context.Context, Identity) error

	// Secure says that the channel is confidential. Mechanisms that are Plaintext, and HT, refuse to
	// start without it. Zero: it is not.
	Secure bool

	// Service names what the accounts in Store belong to, such as a domain, where one FakeSecret
	// (or this process without one) serves several stores. Accounts of one name have a salt of
	// their own in each store, and with Service so have names without an account: the same salt in
	// two would tell that neither has one. Empty: there is one store.
	Service string

	// FakeSecret makes the salts of names without an account: the same name gets the same salt as
	// long as the secret and Service are the same, so use one for all servers of a domain and keep
	// it over restarts; 32 random bytes do. Empty: a random one made by this process. These salts
	// have 16 bytes, like those of MemoryStore: accounts with longer or shorter ones, from another
	// server perhaps, can be told from names without an account.
	FakeSecret []byte

	// FakeIterations is the iteration count for names without an account: that of the accounts in
	// Store, or it tells the two apart. Zero: what a Store with a method KeyIterations() int says
	// (as [MemoryStore] does), else [DefaultIterations].
	FakeIterations int

	// PlainHash is the hash whose keys verify PLAIN logins. Empty: [SHA256], or the first hash of a
	// Store whose method Hashes (see [ForStore]) does not list that.
	PlainHash Hash

	// Rand is the source of nonces. Nil: crypto/rand.
	Rand io.Reader

	nonce string // the server's part of the nonce of a published example; tests only
}

// BearerToken is what a client of OAUTHBEARER presents (RFC 7628 §3.1). Printing or logging one shows
// no secret.
type BearerToken struct {
	// Token is the bearer token: verify it, and that it was issued for this service.
	Token string
	// AuthzID is who the client asks to act as; empty if it asks for nobody.
	AuthzID string
	// Host and Port are what the client says that it connected to; empty and zero if it does not.
	Host string
	Port int
}

// Format prints the token without its secret, whatever the verb.
func (t BearerToken) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sasl.BearerToken{AuthzID:%q Host:%q Port:%d}", t.AuthzID, t.Host, t.Port)
}

// LogValue is what log/slog shows of the token.
func (t BearerToken) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// clone checks what is wanted of the configuration, and what makes no sense in any, and copies it.
func (c *ServerConfig) clone(needs need) (*ServerConfig, error) {
	switch {
	case c == nil:
		return nil, temporary(fmt.Errorf("%w: no ServerConfig", ErrConfig))
	case needs&needStore != 0 && c.Store == nil:
		return nil, temporary(fmt.Errorf("%w: no Store", ErrConfig))
	}
	cfg := *c
	cfg.Bindings = slices.Clone(c.Bindings)
	for i := range cfg.Bindings {
		cfg.Bindings[i].Data = slices.Clone(c.Bindings[i].Data)
	}
	cfg.Offered = slices.Clone(c.Offered)
	cfg.OfferedTypes = slices.Clone(c.OfferedTypes)
	cfg.FakeSecret = slices.Clone(c.FakeSecret)
	if cfg.FakeIterations == 0 {
		cfg.FakeIterations = DefaultIterations
		if s, ok := cfg.Store.(interface{ KeyIterations() int }); ok {
			cfg.FakeIterations = s.KeyIterations()
		}
	}
	if cfg.PlainHash == "" {
		cfg.PlainHash = plainHash(cfg.Store)
	}
	if cfg.Rand == nil {
		cfg.Rand = rand.Reader
	}
	if len(cfg.FakeSecret) == 0 {
		cfg.FakeSecret = processSecret()
	}
	if cfg.FakeIterations < MinIterations {
		return nil, temporary(fmt.Errorf("%w: FakeIterations is %d, least is %d", ErrIterations, cfg.FakeIterations, MinIterations))
	}
	if !cfg.PlainHash.Available() {
		return nil, temporary(fmt.Errorf("%w: unknown PlainHash %s", ErrConfig, quote(string(cfg.PlainHash))))
	}
	return &cfg, nil
}

// binding returns the data of the binding of a type, if the connection has it.
func (c *ServerConfig) binding(typ string) ([]byte, bool) {
	for _, b := range c.Bindings {
		if b.Type == typ && len(b.Data) > 0 {
			return b.Data, true
		}
	}
	return nil, false
}

// plusOffered reports whether a client could have seen a -PLUS mechanism.
func (c *ServerConfig) plusOffered() bool {
	if c.Offered == nil {
		return len(c.Bindings) > 0
	}
	return offersPlus(c.Offered)
}

// An account is what an exchange knows of a name: the keys to check against, and whether they are
// of a real account.
type account struct {
	name  string // canonical
	keys  Keys
	known int // 1 or 0, to be combined with the outcome of comparisons as crypto/subtle does
}

// lookup fetches the keys of a name. A name without an account gets made-up keys that no password
// fits, and takes the same way from there on.
func (c *ServerConfig) lookup(ctx context.Context, username string, h Hash) (account, error) {
	name := username
	if c.Normalize != nil {
		n, err := c.Normalize(username)
		if err != nil || checkName(n) != nil {
			// RFC 5802 §5.1: if the preparation fails or results in an empty string, the server SHOULD abort.
			return account{}, &Error{Condition: NotAuthorized}
		}
		name = n
	}
	keys, canonical, err := c.Store.Keys(ctx, name, h)
	if canonical != "" {
		name = canonical
	}
	// Made for known names too, so that both cost the same.
	fake := fakeKeys(c.FakeSecret, c.Service, h, name, c.FakeIterations)
	var e *Error
	switch {
	case err == nil:
		if keys.Hash != h {
			return account{}, temporary(fmt.Errorf("%w: the store returned keys for %s instead of %s", ErrConfig, quote(string(keys.Hash)), h))
		}
		if err := keys.check(); err != nil {
			return account{}, temporary(err)
		}
		return account{name, keys, 1}, nil
	case errors.Is(err, ErrUnknownUser):
		return account{name, fake, 0}, nil
	case errors.As(err, &e):
		return account{}, e
	default:
		return account{}, temporary(err)
	}
}

// authorize decides about the identity of a client whose credentials are good.
func (c *ServerConfig) authorize(ctx context.Context, id Identity) error {
	if c.Authorize == nil {
		if id.AuthzID == "" || id.AuthzID == id.AuthcID {
			return nil
		}
		// RFC 5802 §5, RFC 4616 §2, RFC 6120 §6.3.8.
		return &Error{Condition: InvalidAuthzid}
	}
	err := c.Authorize(ctx, id)
	var e *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &e):
		return e
	case ctx.Err() != nil:
		return temporary(err)
	default:
		return &Error{Condition: InvalidAuthzid, Cause: err}
	}
}

// Format prints the configuration without its secrets, whatever the verb.
func (c ServerConfig) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sasl.ServerConfig{Bindings:%v Offered:%q Secure:%t}", c.Bindings, c.Offered, c.Secure)
}

// LogValue is what log/slog shows of the configuration.
func (c ServerConfig) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }
