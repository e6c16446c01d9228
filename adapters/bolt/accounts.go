package bolt

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
)

// Accounts are the accounts of a [DB]: derived keys for SHA-1 and SHA-256, never
// passwords. They are what xmpp.Server wants (xmpp.Accounts), and can be managed as
// xmpp.MemoryAccounts can, by packages register and admin. All methods are safe for concurrent use; accounts are
// bare JIDs, and a resource is ignored.
//
// Whatever takes a password away, a new one or the end of the account, takes the
// tokens along that its clients had; see [DB.Tokens].
type Accounts struct{ db *DB }

// hashes are those that keys are kept for: SHA-1 is what every client has (RFC 6120
// §13.8.1), SHA-256 what most use (RFC 7677).
var hashes = []sasl.Hash{sasl.SHA1, sasl.SHA256}

// saltSize is the length of salts: XEP-0438 §6.2 asks for at least 16 bytes.
const saltSize = 16

// login is what is kept of an account.
type login struct {
	disabled bool
	keys     []sasl.Keys
}

func encodeLogin(l login) ([]byte, error) {
	v := newValue(512)
	flags := uint64(0)
	if l.disabled {
		flags = 1
	}
	v.uint(flags)
	v.uint(uint64(len(l.keys)))
	for _, k := range l.keys {
		text, err := k.MarshalText()
		if err != nil {
			return nil, err
		}
		v.bytes(text)
	}
	return v, nil
}

func decodeLogin(b []byte) (login, error) {
	r := newReader(b)
	flags := r.uint()
	if flags > 1 {
		r.fail(errRange)
	}
	l := login{disabled: flags == 1}
	for range r.list() {
		if r.err != nil {
			break
		}
		var k sasl.Keys
		if err := k.UnmarshalText(r.bytes()); err != nil {
			r.fail(errors.New("keys are malformed")) // and not shown
		}
		l.keys = append(l.keys, k)
	}
	return l, r.end(bucketAccounts)
}

// login returns what is kept of an account, and whether there is one.
func (t *txn) login(account jid.JID) (l login, ok bool, err error) {
	v := t.get(bucketAccounts, plain(account))
	if v == nil {
		return l, false, nil
	}
	l, err = decodeLogin(v)
	return l, true, err
}

func (t *txn) setLogin(account jid.JID, l login) error {
	v, err := encodeLogin(l)
	if err != nil {
		return err
	}
	return t.put(bucketAccounts, plain(account), v)
}

// Keys implements xmpp.Accounts. An account that is disabled has none.
func (a *Accounts) Keys(ctx context.Context, account jid.JID, hash sasl.Hash) (k sasl.Keys, err error) {
	err = a.db.view(ctx, func(t *txn) error {
		l, ok, err := t.login(account)
		if err != nil {
			return err
		}
		if ok && l.disabled {
			return fmt.Errorf("%w: %s is disabled", sasl.ErrUnknownUser, account.Bare())
		}
		for _, k = range l.keys {
			if k.Hash == hash {
				return nil
			}
		}
		return sasl.ErrUnknownUser
	})
	if err != nil {
		return sasl.Keys{}, err
	}
	return k, nil
}

// Hashes implements xmpp.Accounts.
func (a *Accounts) Hashes() []sasl.Hash { return append([]sasl.Hash(nil), hashes...) }

// KeyIterations returns the iteration count of passwords that are set; see
// [Options].
func (a *Accounts) KeyIterations() int { return a.db.iterations }

// Exists implements presence.Accounts.
func (a *Accounts) Exists(ctx context.Context, account jid.JID) (ok bool, err error) {
	err = a.db.view(ctx, func(t *txn) error {
		ok = t.get(bucketAccounts, plain(account)) != nil
		return nil
	})
	return ok, err
}

// Set creates an account or changes its password. Deriving the keys takes some
// milliseconds. Errors wrap sasl.ErrPassword and register.ErrPassword for one that
// cannot be used, or sasl.ErrFull if there are as many accounts as there may be.
func (a *Accounts) Set(ctx context.Context, account jid.JID, password string) error {
	return a.set(ctx, account, password, nil)
}

// Create makes an account. If there is one, the error wraps stanza.Conflict; other
// errors are those of Set.
func (a *Accounts) Create(ctx context.Context, account jid.JID, password string) error {
	return a.set(ctx, account, password, func(exists bool) error {
		if exists {
			return fmt.Errorf("bolt: %s exists already: %w", account.Bare(), stanza.Conflict)
		}
		return nil
	})
}

// SetPassword changes the password of an account. If there is none, the error wraps
// stanza.ItemNotFound. Sessions that it has are not affected.
func (a *Accounts) SetPassword(ctx context.Context, account jid.JID, password string) error {
	return a.set(ctx, account, password, func(exists bool) error {
		if !exists {
			return unknown(account)
		}
		return nil
	})
}

func unknown(account jid.JID) error {
	return fmt.Errorf("bolt: there is no account %s: %w", account.Bare(), stanza.ItemNotFound)
}

// set sets a password if allowed, which may be nil, agrees.
func (a *Accounts) set(ctx context.Context, account jid.JID, password string, allowed func(exists bool) error) error {
	if account.Local() == "" {
		return fmt.Errorf("bolt: account %q has no localpart", account)
	}
	if allowed != nil { // before the work, and again after it
		exists, err := a.Exists(ctx, account)
		if err == nil {
			err = allowed(exists)
		}
		if err != nil {
			return err
		}
	}
	var keys []sasl.Keys
	for _, h := range hashes {
		salt := make([]byte, saltSize)
		rand.Read(salt) // never fails
		k, err := sasl.DeriveKeys(ctx, h, password, salt, a.db.iterations)
		if errors.Is(err, sasl.ErrPassword) {
			return fmt.Errorf("%w: %w", register.ErrPassword, err)
		}
		if err != nil {
			return err
		}
		keys = append(keys, k)
	}
	return a.db.update(ctx, func(t *txn) error {
		l, exists, err := t.login(account)
		if err != nil {
			return err
		}
		if allowed != nil {
			if err := allowed(exists); err != nil {
				return err
			}
		}
		if !exists {
			n, err := t.total(totalAccounts)
			if err != nil {
				return err
			}
			if n >= int64(a.db.options.MaxAccounts) {
				return fmt.Errorf("bolt: %w: there are %d accounts", sasl.ErrFull, n)
			}
			if err := t.add(totalAccounts, 1); err != nil {
				return err
			}
		}
		if err := t.revoke(account); err != nil {
			return err
		}
		l.keys = keys
		return t.setLogin(account, l)
	})
}
