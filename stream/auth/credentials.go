package auth

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// Credentials is what a client remembers of an account between streams. Printing or logging it shows
// no secret.
type Credentials struct {
	// Floor is the weakest mechanism to accept from now on: the strongest that a login has shown the
	// server to have (sasl.Mechanism.Pin). Who strips an offer of its better mechanisms gains nothing
	// then. It is never lowered: a server that has got weaker cannot be told from somebody in the
	// middle, so that a person has to decide, by storing a lower one. Zero: none.
	Floor sasl.Strength
	// Token is a token of the server's for the next login. Zero: none.
	Token FastToken
}

// FastToken is a token with which a client logs in without its password (XEP-0484). It is as secret as
// a password. Printing or logging it does not show it.
type FastToken struct {
	// Mechanism is the one mechanism that the token is for.
	Mechanism string
	// Token is the secret. Empty: there is none.
	Token string
	// Expires is when the server stops taking it.
	Expires time.Time
	// Count is how often it was used.
	Count uint64
}

// A CredentialStore keeps what a client remembers of its accounts. Implementations are safe for
// concurrent use. A client loads before it begins, and, when something has changed, loads once more
// and saves; of two streams of one account that do so at the same time either may come last.
type CredentialStore interface {
	// Load returns what is known of an account, a bare JID: zero Credentials for an unknown one. An
	// error ends the attempt before anything is sent, since what cannot be read may forbid it.
	Load(ctx context.Context, account jid.JID) (Credentials, error)

	// Save remembers. An error is for the store alone to report: the stream that has just
	// authenticated is not given up for it, and the next one knows what was known before.
	Save(ctx context.Context, account jid.JID, c Credentials) error
}

// maxCredentials is how many accounts a MemoryCredentials holds.
const maxCredentials = 1024

// MemoryCredentials is a [CredentialStore] in memory, for up to 1,024 accounts: one more makes that one
// forgotten, with its floor, which was saved the longest time ago. The zero value is empty and ready
// to use. It is safe for concurrent use and must not be copied.
type MemoryCredentials struct {
	mu       sync.Mutex
	accounts map[jid.JID]savedCredentials
	saves    uint64
}

type savedCredentials struct {
	Credentials
	at uint64 // MemoryCredentials.saves
}

// Load implements [CredentialStore].
func (m *MemoryCredentials) Load(_ context.Context, account jid.JID) (Credentials, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.accounts[account.Bare()].Credentials, nil
}

// Save implements [CredentialStore].
func (m *MemoryCredentials) Save(_ context.Context, account jid.JID, c Credentials) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	account = account.Bare()
	if m.accounts == nil {
		m.accounts = make(map[jid.JID]savedCredentials)
	}
	if _, ok := m.accounts[account]; !ok && len(m.accounts) >= maxCredentials {
		m.evict()
	}
	m.saves++
	m.accounts[account] = savedCredentials{c, m.saves}
	return nil
}

// evict forgets the account that was saved the longest time ago.
func (m *MemoryCredentials) evict() {
	var oldest jid.JID
	var at uint64
	for account, c := range m.accounts {
		if oldest.IsZero() || c.at < at {
			oldest, at = account, c.at
		}
	}
	delete(m.accounts, oldest)
}

// Format prints how many accounts there are, whatever the verb.
func (m *MemoryCredentials) Format(f fmt.State, _ rune) {
	m.mu.Lock()
	n := len(m.accounts)
	m.mu.Unlock()
	fmt.Fprintf(f, "auth.MemoryCredentials{%d accounts}", n)
}

// LogValue is what log/slog shows of the store.
func (m *MemoryCredentials) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(m)) }

// Format prints the credentials without the token, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.Credentials{Floor:%v Token:%v}", c.Floor, c.Token)
}

// LogValue is what log/slog shows of the credentials.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Format prints what the token is for and not the token, whatever the verb.
func (t FastToken) Format(f fmt.State, _ rune) {
	if t.Token == "" {
		fmt.Fprint(f, "auth.FastToken{none}")
		return
	}
	fmt.Fprintf(f, "auth.FastToken{%q until %s}", t.Mechanism, t.Expires.Format(time.RFC3339))
}

// LogValue is what log/slog shows of the token.
func (t FastToken) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(t)) }

// remembered returns whose credentials a stream uses: those of the user that authenticates, whoever it
// acts as. Zero: there is no account to remember anything of.
func (o *ClientOptions) remembered(n *stream.Negotiation) jid.JID {
	name := o.Username
	if name == "" {
		name = n.Identity().Local()
	}
	who, err := account(name, n.Domain())
	if err != nil {
		return jid.JID{}
	}
	return who
}

// kept returns whose credentials are loaded and saved: those remembered, or, with a user name that is no
// localpart (the address of a mailbox, say), those of the account that the stream is for.
func (o *ClientOptions) kept(n *stream.Negotiation) jid.JID {
	who := o.remembered(n)
	if who.IsZero() && o.AuthzID.IsZero() {
		who, _ = account(n.Identity().Local(), n.Domain())
	}
	return who
}

// recall returns what is known of the account.
func (o *ClientOptions) recall(ctx context.Context, n *stream.Negotiation) (Credentials, error) {
	who := o.kept(n)
	if o.Credentials == nil || who.IsZero() {
		return Credentials{}, nil
	}
	c, err := o.Credentials.Load(ctx, who)
	if err != nil {
		return Credentials{}, &sasl.Error{Condition: sasl.Aborted, Cause: fmt.Errorf("loading credentials: %w", err)}
	}
	return c, nil
}

// remember saves what a login has shown: the floor goes up to pin, and change, if it is not nil, does
// the rest.
func (o *ClientOptions) remember(ctx context.Context, n *stream.Negotiation, pin sasl.Strength, change func(*Credentials)) {
	who := o.kept(n)
	if o.Credentials == nil || who.IsZero() {
		return
	}
	// Anew: another stream may have saved something meanwhile.
	c, err := o.Credentials.Load(ctx, who)
	if err != nil {
		return // to save what is known now could lower the floor
	}
	before := c
	c.Floor = max(c.Floor, pin)
	if change != nil {
		change(&c)
	}
	if c != before {
		_ = o.Credentials.Save(ctx, who, c)
	}
}
