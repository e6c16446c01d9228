package main

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
)

// accounts shows the user table to the chat: as the accounts that there are
// (presence.Accounts), and as the keys to verify logins with (sasl.KeyStore).
type accounts struct{ *users }

// Exists implements presence.Accounts.
func (a accounts) Exists(_ context.Context, account jid.JID) (bool, error) {
	return a.find(account.Local()) != nil, nil
}

// Keys implements sasl.KeyStore.
func (a accounts) Keys(_ context.Context, name string, hash sasl.Hash) (sasl.Keys, string, error) {
	if u := a.find(name); u != nil && u.keys.Hash == hash {
		return u.keys, name, nil
	}
	return sasl.Keys{}, name, sasl.ErrUnknownUser
}

// Hashes says that there are keys for SHA-256 only, so that no mechanism is offered
// that nobody can log in with; see sasl.ForStore.
func (accounts) Hashes() []sasl.Hash { return []sasl.Hash{sasl.SHA256} }

// KeyIterations says how much work a login is, so that it is as much for a name that
// nobody has; see sasl.ServerConfig.
func (a accounts) KeyIterations() int { return a.iterations() }
