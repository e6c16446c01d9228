package main

import (
	"context"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/adapters/bolt"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream/auth"
)

// accounts is who may log in, and how that is managed.
type accounts interface {
	xmpp.Accounts
	admin.Accounts
	Set(ctx context.Context, account jid.JID, password string) error
}

// stores is where everything is kept.
type stores struct {
	accounts accounts
	tokens   auth.TokenStore
	rosters  roster.Store
	offline  presence.OfflineStore
	lastSeen presence.LastSeenStore
	blocking blocking.Store
	private  private.Store
	vcards   vcard.Store
	archive  mam.Store
	close    func() error
}

// open opens the stores: in memory, or in a file.
func open(where string) (stores, error) {
	if where == "memory" {
		return stores{
			accounts: new(xmpp.MemoryAccounts), tokens: new(auth.MemoryTokens),
			rosters: new(roster.MemoryStore), offline: new(presence.MemoryOffline), lastSeen: new(presence.MemoryLastSeen),
			blocking: new(blocking.MemoryStore), private: new(private.MemoryStore), vcards: new(vcard.MemoryStore),
			archive: new(mam.MemoryStore), close: func() error { return nil },
		}, nil
	}
	db, err := bolt.Open(where, nil)
	if err != nil {
		return stores{}, err
	}
	return stores{
		accounts: db.Accounts(), tokens: db.Tokens(),
		rosters: db.Rosters(), offline: db.Offline(), lastSeen: db.LastSeen(),
		blocking: db.Blocking(), private: db.Private(), vcards: db.VCards(),
		archive: db.Archive(), close: db.Close,
	}, nil
}
