package bolt

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream/sm"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

var (
	_ xmpp.Accounts              = (*Accounts)(nil)
	_ presence.Accounts          = (*Accounts)(nil)
	_ register.Accounts          = (*Accounts)(nil)
	_ storetest.AccountStore     = (*Accounts)(nil)
	_ presence.LastSeenStore     = lastSeen{}
	_ interface{ Close() error } = (*DB)(nil)
)

// openNew opens a new file, which is closed and checked at the end of the test.
func openNew(t testing.TB, o *Options) *DB {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "xmpp.db"), o)
}

func openAt(t testing.TB, path string, o *Options) *DB {
	t.Helper()
	if o == nil {
		o = new(Options)
	}
	if o.Iterations == 0 {
		o.Iterations = sasl.MinIterations
	}
	db, err := Open(path, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// Every store passes the tests of its interface, and leaves a file behind in which
// everything fits together.
func TestStores(t *testing.T) {
	opened := func(t *testing.T) *DB {
		db := openNew(t, nil)
		t.Cleanup(func() { require.NoError(t, verify(db)) })
		return db
	}
	t.Run("accounts", func(t *testing.T) {
		storetest.Accounts(t, func(t *testing.T) storetest.AccountStore { return opened(t).Accounts() })
	})
	t.Run("rosters", func(t *testing.T) {
		storetest.Roster(t, func(t *testing.T) roster.Store { return opened(t).Rosters() })
	})
	t.Run("offline", func(t *testing.T) {
		storetest.Offline(t, func(t *testing.T) presence.OfflineStore { return opened(t).Offline() })
	})
	t.Run("last seen", func(t *testing.T) {
		storetest.LastSeen(t, func(t *testing.T) presence.LastSeenStore { return opened(t).LastSeen() })
	})
	t.Run("blocking", func(t *testing.T) {
		storetest.Blocking(t, func(t *testing.T) blocking.Store { return opened(t).Blocking() })
	})
	t.Run("private", func(t *testing.T) {
		storetest.Private(t, func(t *testing.T) private.Store { return opened(t).Private() })
	})
	t.Run("vcards", func(t *testing.T) {
		storetest.VCard(t, func(t *testing.T) vcard.Store { return opened(t).VCards() })
	})
	t.Run("archive", func(t *testing.T) {
		storetest.MAM(t, func(t *testing.T) mam.Store { return opened(t).Archive() })
	})
	t.Run("sessions", func(t *testing.T) {
		storetest.SM(t, func(t *testing.T) sm.Store { return opened(t).Sessions() })
	})
	t.Run("sessions without sync", func(t *testing.T) {
		storetest.SM(t, func(t *testing.T) sm.Store {
			db := openNew(t, &Options{NoSync: true})
			t.Cleanup(func() { require.NoError(t, verify(db)) })
			return db.Sessions()
		})
	})
}
