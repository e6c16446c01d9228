package bolt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/adapters/bolt"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream/auth"
)

// A server that keeps everything in one file.
func Example() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	db, err := bolt.Open(filepath.Join(dir, "xmpp.db"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close() // after the server

	server := &xmpp.Server{
		Accounts: db.Accounts(),
		Auth:     &auth.ServerOptions{SASL2: auth.SASL2ServerOptions{Tokens: db.Tokens()}},
		Rosters:  db.Rosters(),
		Offline:  db.Offline(),
		LastSeen: db.LastSeen(),
		Modules: []stanza.Module{
			&blocking.Module{Store: db.Blocking()},
			&mam.Module{Store: db.Archive()},
			&private.Module{Store: db.Private()},
			&vcard.Module{Store: db.VCards()},
		},
	}
	_ = server // which still needs its domains and certificates

	ctx, account := context.Background(), jid.MustParse("juliet@capulet.example")
	fmt.Println(db.Accounts().Create(ctx, account, "a password"))
	fmt.Println(db.Accounts().Exists(ctx, account))
	// Output:
	// <nil>
	// true <nil>
}
