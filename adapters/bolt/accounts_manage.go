package bolt

import (
	"context"

	"stanzakit.dev/xmpp/jid"
)

// Delete removes an account. Sessions that it has are not affected, and what the
// other stores keep of it stays: see xmpp.Server.Forget. That there is no such
// account is no error.
func (a *Accounts) Delete(ctx context.Context, account jid.JID) error {
	return a.db.update(ctx, func(t *txn) error {
		if t.get(bucketAccounts, plain(account)) == nil {
			return t.revoke(account)
		}
		if err := t.add(totalAccounts, -1); err != nil {
			return err
		}
		if err := t.revoke(account); err != nil {
			return err
		}
		return t.remove(bucketAccounts, plain(account))
	})
}

// Disable keeps an account from logging in, and leaves everything else of it as it
// is. Sessions that it has are not affected. If there is no such account, the error
// wraps stanza.ItemNotFound.
func (a *Accounts) Disable(ctx context.Context, account jid.JID) error {
	return a.able(ctx, account, true)
}

// Enable is the opposite of Disable.
func (a *Accounts) Enable(ctx context.Context, account jid.JID) error {
	return a.able(ctx, account, false)
}

func (a *Accounts) able(ctx context.Context, account jid.JID, disabled bool) error {
	return a.db.update(ctx, func(t *txn) error {
		l, ok, err := t.login(account)
		switch {
		case !ok:
			return unknown(account)
		case err != nil || l.disabled == disabled:
			return err
		}
		l.disabled = disabled
		return t.setLogin(account, l)
	})
}

// Disabled reports whether an account is disabled.
func (a *Accounts) Disabled(ctx context.Context, account jid.JID) (disabled bool, err error) {
	err = a.db.view(ctx, func(t *txn) error {
		l, _, err := t.login(account)
		disabled = l.disabled
		return err
	})
	return disabled, err
}

// Count returns how many accounts there are.
func (a *Accounts) Count(ctx context.Context) (n int, err error) {
	err = a.db.view(ctx, func(t *txn) error {
		total, err := t.total(totalAccounts)
		n = int(total)
		return err
	})
	return n, err
}

// List returns accounts in the order of their addresses: at most max of those
// behind after, which may be zero.
func (a *Accounts) List(ctx context.Context, after jid.JID, max int) ([]jid.JID, error) {
	return a.db.accounts(ctx, bucketAccounts, after, max, nil)
}
