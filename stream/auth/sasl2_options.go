package auth

import (
	"fmt"
	"slices"
	"time"

	"stanzakit.dev/xmpp/sasl"
)

// defaultTokenLifetime is how long a token is good for unless the options say otherwise.
const defaultTokenLifetime = 21 * 24 * time.Hour

// SASL2ServerOptions is what a server does with SASL 2 (XEP-0388) beyond what [ServerOptions] says for
// both profiles. The zero value has neither tasks nor tokens.
type SASL2ServerOptions struct {
	// Tasks are what clients may have to do after the mechanism, a second factor for example. By the
	// other profile, which has none, accounts that have to do one are refused with mechanism-too-weak:
	// give [Server] the same options. Nil: there are none.
	Tasks []Task

	// Upgrades are the hashes for which accounts should have keys of SCRAM, so that clients which know
	// the password are asked for those that are missing (XEP-0480). That happens inside TLS, after a
	// login with the password. The store must be a [KeyUpgrader]. Nil: clients are not asked.
	Upgrades []sasl.Hash

	// UpgradeIterations is the iteration count of such keys. Zero means what the store has (a method
	// KeyIterations() int), else sasl.DefaultIterations.
	UpgradeIterations int

	// Tokens keeps the tokens with which clients log in again in one round trip (FAST, XEP-0484);
	// [MemoryTokens] will do for a small server. Share it between all streams that share accounts. They
	// are issued after a login with a password or another token, and used inside TLS only; TLS early
	// data (0-RTT) is never offered. Nil: there are no tokens.
	Tokens TokenStore

	// TokenLifetime is how long a token is good for. A client that logs in with one which has less than
	// half of that left gets another one: clients that stay away for longer need the password again.
	// Zero means 21 days.
	TokenLifetime time.Duration
}

// Validate reports what is wrong with the options, in an error that wraps [ErrOptions]. Streams with
// such options end as they do with those that [ServerOptions.Validate] refuses.
func (o *SASL2ServerOptions) Validate() error {
	var names []string
	for _, t := range o.Tasks {
		if err := checkTask(t.Name, t.Begin != nil, names); err != nil {
			return err
		}
		names = append(names, t.Name)
	}
	if len(names) > maxTasks {
		return fmt.Errorf("%w: more than %d tasks", ErrOptions, maxTasks)
	}
	for _, h := range o.Upgrades {
		if !h.Available() {
			return fmt.Errorf("%w: no upgrades to hash %q", ErrOptions, h)
		}
	}
	switch {
	case len(o.Upgrades) > maxUpgrades:
		return fmt.Errorf("%w: more than %d upgrades", ErrOptions, maxUpgrades)
	case o.UpgradeIterations != 0 && o.UpgradeIterations < sasl.MinIterations:
		return fmt.Errorf("%w: UpgradeIterations is %d, the least is %d", ErrOptions, o.UpgradeIterations, sasl.MinIterations)
	case o.TokenLifetime < 0 || o.TokenLifetime > 0 && o.TokenLifetime < time.Second:
		return fmt.Errorf("%w: TokenLifetime is %s", ErrOptions, o.TokenLifetime)
	}
	return nil
}

// prepare copies what is in slices, and fills in defaults.
func (o *SASL2ServerOptions) prepare() {
	o.Tasks = slices.Clone(o.Tasks)
	o.Upgrades = slices.Clone(o.Upgrades)
	if o.TokenLifetime == 0 {
		o.TokenLifetime = defaultTokenLifetime
	}
}

// SASL2ClientOptions is what a client does with SASL 2 (XEP-0388) beyond what [ClientOptions] says for
// both profiles. In the zero value it uses tokens, if Credentials and UserAgent.ID are set, and can
// do no tasks but upgrades.
type SASL2ClientOptions struct {
	// Tasks are what the client can do when the server wants more than the mechanism, the preferred one
	// first. Nil: nothing, and such a server ends the negotiation with [ErrTasks].
	Tasks []ClientTask

	// Upgrades are the hashes for which the client computes keys if the server has none of the account
	// (XEP-0480). It does so only with the password, and after a login with channel binding: what it
	// sends lets the server's side, whoever that is, log in (XEP-0480 §5). It does not if there is a
	// Cache, whose keys need not be those of the password. Nil means SHA-256, SHA-512 and SHA3-512;
	// empty, none.
	Upgrades []sasl.Hash

	// NoTokens keeps the client from using tokens and from asking for any (XEP-0484). False: it uses
	// them where it can, see [Credentials].
	NoTokens bool

	// InvalidateToken has the server forget the token of this login, which is the last one with it:
	// for logging out for good. Without a token nothing happens. False: tokens stay valid.
	InvalidateToken bool
}

// Validate reports what is wrong with the options, in an error that wraps [ErrOptions]. With such
// options nothing is sent.
func (o *SASL2ClientOptions) Validate() error {
	var names []string
	for _, t := range o.Tasks {
		if err := checkTask(t.Name, t.Begin != nil, names); err != nil {
			return err
		}
		names = append(names, t.Name)
	}
	for _, h := range o.Upgrades {
		if !h.Available() {
			return fmt.Errorf("%w: no upgrades to hash %q", ErrOptions, h)
		}
	}
	return nil
}

// prepare copies what is in slices, and fills in defaults.
func (o *SASL2ClientOptions) prepare() {
	o.Tasks = slices.Clone(o.Tasks)
	if o.Upgrades == nil {
		o.Upgrades = []sasl.Hash{sasl.SHA256, sasl.SHA512, sasl.SHA3_512}
	}
	o.Upgrades = slices.Clone(o.Upgrades)
}
