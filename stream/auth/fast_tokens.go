package auth

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
)

// A TokenStore keeps the tokens that a server has issued to clients (XEP-0484). [MemoryTokens] is
// one that forgets them when the program ends. What happens to tokens, and when, is decided here;
// the store only keeps them. Implementations are safe for concurrent use.
//
// Tokens are random and at least 128 bits long, and serve one account, one installation of a client
// and one mechanism only. They have to be kept as they are: the mechanisms use them as keys of an
// HMAC, so that a hash in the store would itself be the secret. Whoever reads the store can log in
// with what is in it: keep it where keys are kept.
type TokenStore interface {
	// Update calls change with the tokens of a client, zero if it has none, and keeps what change
	// makes of them; zero means to forget the client. If change returns an error, nothing changes
	// and Update returns that error as it is. No two changes of one client overlap. Change does not
	// wait for anything, and it may be called again if a transaction has to be repeated.
	Update(ctx context.Context, client TokenClient, change func(*ClientTokens) error) error

	// Revoke forgets all tokens of an account, by its bare JID, which is looked at alone if the JID is a
	// full one: for a program that wants all its clients to log in with the password again. Tokens end
	// by themselves when the account is deleted, when its password changes, or when there are more
	// tasks to do; see [StoredToken].
	Revoke(ctx context.Context, account jid.JID) error
}

// TokenClient is whom tokens are issued to: one installation of a client with one account.
type TokenClient struct {
	Account jid.JID // bare
	Agent   string  // the id of its user agent, a UUID in lower case
}

// ClientTokens are the tokens of one client (XEP-0484 §5.1).
type ClientTokens struct {
	// Current has been used. New was issued and not used yet, so that it is not certain that the
	// client got it.
	Current, New StoredToken
}

// StoredToken is a token as the server keeps it; the zero value is none. Printing or logging one
// does not show the secret.
type StoredToken struct {
	Mechanism string    // the one mechanism that it is for
	Secret    string    // what the client was given
	Expires   time.Time // in whole seconds
	Count     uint64    // the highest count that the client has given; zero if none

	// Stamp is a fingerprint of the keys of the account with which the password was last checked. A
	// token whose stamp does not fit the keys any more is no longer good: the password has changed, or
	// the account is another one under the same name.
	Stamp string

	// Tasks are the names of the tasks that were done then, separated by spaces. If there are others
	// to do by now the token is no longer good.
	Tasks string
}

// Format prints the token without its secret, whatever the verb.
func (t StoredToken) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.StoredToken{%q expires %s}", t.Mechanism, t.Expires.Format(time.RFC3339))
}

// LogValue is what log/slog shows of the token.
func (t StoredToken) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// Format prints the tokens without their secrets, whatever the verb.
func (t ClientTokens) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ClientTokens{Current:%v New:%v}", t.Current, t.New)
}

// LogValue is what log/slog shows of the tokens.
func (t ClientTokens) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// errReplayed is why a token is refused whose count is not new.
var errReplayed = fmt.Errorf("%w: the count of the token was used before", sasl.ErrUnknownUser)

// noToken is what is compared where there is no token, so that it takes the same time.
var noToken = []byte(rand.Text())

// find returns the token that a client proves to know, and records its count. The mechanism is the one
// in use. It calls match twice, whatever there is.
func (t *ClientTokens) find(mechanism string, count uint64, now time.Time, match func([]byte) bool) (StoredToken, error) {
	var found *StoredToken
	// XEP-0484 §5.1: first the new one, then the current one.
	for _, slot := range []*StoredToken{&t.New, &t.Current} {
		secret := noToken
		// §3.4: MUST bind tokens to the mechanism.
		usable := slot.Mechanism == mechanism // of no token it is empty
		if usable {
			secret = []byte(slot.Secret)
		}
		if match(secret) && usable && found == nil {
			found = slot
		}
	}
	switch {
	case found == nil:
		return StoredToken{}, sasl.ErrUnknownUser
	case !now.Before(found.Expires):
		// §4.2. Only to who has the token: to others there is none.
		return StoredToken{}, &sasl.Error{Condition: sasl.CredentialsExpired}
	case count > 0 && count <= found.Count:
		// §3.4 demands it for early data, which there is none of here.
		return StoredToken{}, errReplayed
	}
	found.Count = max(found.Count, count)
	return *found, nil
}

// used records that a login with a token has succeeded. It reports how long the token is still good
// for, and false if it was taken away meanwhile.
func (t *ClientTokens) used(secret string, now time.Time) (left time.Duration, ok bool) {
	switch secret {
	case "":
		return 0, false
	case t.New.Secret:
		// XEP-0484 §3.5: the older ones are invalid from now on.
		t.Current, t.New = t.New, StoredToken{}
	case t.Current.Secret:
		if t.New.Expires.Before(t.Current.Expires) {
			t.New = StoredToken{}
		}
	default:
		return 0, false
	}
	return t.Current.Expires.Sub(now), true
}

// issue makes a token. One that was issued before and not used is invalid from now on (XEP-0484
// §3.5).
func (t *ClientTokens) issue(mechanism string, lifetime time.Duration, now time.Time) *StoredToken {
	t.New = StoredToken{
		Mechanism: mechanism,
		Secret:    rand.Text(), // 130 bits
		Expires:   now.Add(lifetime).UTC().Truncate(time.Second),
	}
	return &t.New
}
