package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream/auth"
)

// Options are what [Open] can be told. Nil and zero mean the defaults.
type Options struct {
	// LockTimeout is how long Open waits for another process to close the file.
	// Zero means one second.
	LockTimeout time.Duration

	// Iterations is the PBKDF2 iteration count of passwords that are set. Zero
	// means that of the file, which is sasl.DefaultIterations if none was ever
	// given. Accounts keep the count with which their password was set; until
	// that has happened to all of them, strangers can tell from the count that an
	// account with the former one exists.
	Iterations int

	// MaxAccounts is how many accounts there may be, and how many of them may
	// have something in each of the stores. Zero means 100,000. Beyond, the error
	// wraps that of the interface: sasl.ErrFull, roster.ErrFull,
	// presence.ErrQuota, blocking.ErrFull, private.ErrFull. A further account in
	// LastSeen takes the place of another one.
	MaxAccounts int

	// RosterItems, RosterPending and RosterChanges are how many contacts an
	// account may have, how many requests of strangers, and how many changes are
	// remembered for clients that have been away. Zero means 4,096, 256 and 512.
	// Beyond, the error wraps roster.ErrFull; the oldest change is forgotten, and
	// who has been away for longer gets the whole roster.
	RosterItems, RosterPending, RosterChanges int

	// OfflineMessages is how many messages wait for one account at most, and
	// OfflineBytes how long they may be together. Zero means 100 and 1 MiB.
	// Beyond, the error wraps presence.ErrQuota.
	OfflineMessages, OfflineBytes int

	// VCardBytes is how long all profiles may be together. Zero means 256 MiB.
	// Beyond, the error wraps vcard.ErrFull.
	VCardBytes int64

	// ArchiveBytes is how large all archives and preferences may be together, by
	// mam.Entry.Size. Zero means 16 GiB. Beyond, the error is mam.ErrFull. How
	// much one account keeps is up to package mam.
	ArchiveBytes int64

	// TokenClients is how many clients may have tokens, and AccountTokenClients
	// how many of one account. Zero means 100,000 and 32. One more takes the place
	// of the one whose tokens were not changed for longest.
	TokenClients, AccountTokenClients int

	// Sessions is how many sessions there may be that can be resumed, and
	// SessionBytes how large they may be together. Zero means 100,000 and 1 GiB.
	// Beyond, the error wraps sm.ErrStoreFull.
	Sessions int
	// SessionBytes is described with Sessions.
	SessionBytes int64

	// NoSync leaves it to the operating system when to write to the disk. What was
	// stored survives the end of the program, SIGKILL too, but not that of the
	// machine: after a power failure the whole file may be of no use, and has to be
	// removed before it is opened again. It is for a file of its own that has
	// nothing but [DB.Sessions], which are of use for minutes, and makes changes
	// several times cheaper.
	NoSync bool
}

// withDefaults returns a copy with a value for each field but Iterations.
func (o *Options) withDefaults() Options {
	var out Options
	if o != nil {
		out = *o
	}
	set := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	if out.LockTimeout <= 0 {
		out.LockTimeout = time.Second
	}
	set(&out.MaxAccounts, 100_000)
	set(&out.RosterItems, 4096)
	set(&out.RosterPending, 256)
	set(&out.RosterChanges, 512)
	set(&out.OfflineMessages, 100)
	set(&out.OfflineBytes, 1<<20)
	set(&out.TokenClients, 100_000)
	set(&out.AccountTokenClients, 32)
	set(&out.Sessions, 100_000)
	if out.SessionBytes <= 0 {
		out.SessionBytes = 1 << 30
	}
	if out.VCardBytes <= 0 {
		out.VCardBytes = 256 << 20
	}
	if out.ArchiveBytes <= 0 {
		out.ArchiveBytes = 16 << 30
	}
	return out
}

// DB is an open file with the stores of one server. Its methods and those of its
// stores are safe for concurrent use. Close it when the server is closed. It must
// not be copied.
type DB struct {
	options    Options
	iterations int
	bolt       *bbolt.DB

	requests chan *request // to the writer
	closing  chan struct{}
	written  chan struct{} // closed when the writer has ended
	close    sync.Once
}

// Open opens a file, or makes one that only its owner can read, and keeps others
// from opening it. A file of an older version of this package is brought up to date
// first, which can take a while and goes on where it was if it is interrupted. The
// caller closes the DB.
//
// The error is or wraps [ErrLocked], [ErrForeign], [ErrMode], *[SchemaError] or one
// of package os. A file that was just being made when the power failed may be one
// that cannot be opened; there is nothing in it.
func Open(path string, options *Options) (*DB, error) {
	db := &DB{
		options:  options.withDefaults(),
		requests: make(chan *request),
		closing:  make(chan struct{}),
		written:  make(chan struct{}),
	}
	made, err := checkMode(path)
	if err != nil {
		return nil, err
	}
	db.bolt, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      db.options.LockTimeout,
		FreelistType: bbolt.FreelistMapType, // large files have long lists of free pages
		NoSync:       db.options.NoSync,
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: %s", ErrLocked, path)
	case err != nil:
		return nil, fmt.Errorf("bolt: opening %s: %w", path, err)
	}
	err = db.prepare()
	if err == nil && made {
		err = syncDir(path)
	}
	if err != nil {
		return nil, errors.Join(err, db.bolt.Close())
	}
	// Owner: db. Stops at closing. Joined by Close through written.
	go db.write()
	return db, nil
}

// checkMode reports whether there is no file yet, and an error if others may use
// the one that there is.
func checkMode(path string) (made bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("bolt: %w", err)
	case runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0:
		return false, fmt.Errorf("%w: %s has mode %v", ErrMode, path, info.Mode().Perm())
	}
	return false, nil
}

// syncDir makes the name of a new file survive a crash.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be opened there
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("bolt: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Close waits for what is being written and closes the file. Methods that are called
// later return an error that wraps net.ErrClosed. To close it again does nothing.
func (db *DB) Close() error {
	var err error
	db.close.Do(func() {
		close(db.closing)
		<-db.written
		err = db.bolt.Close() // waits for readers
	})
	return err
}

// Accounts returns the accounts.
func (db *DB) Accounts() *Accounts { return &Accounts{db} }

// Tokens returns the tokens of clients that log in with FAST.
func (db *DB) Tokens() auth.TokenStore { return tokens{db} }

// Rosters returns the rosters.
func (db *DB) Rosters() roster.Store { return rosters{db} }

// Offline returns the messages that wait for accounts.
func (db *DB) Offline() presence.OfflineStore { return offline{db} }

// LastSeen returns when accounts were last available.
func (db *DB) LastSeen() presence.LastSeenStore { return lastSeen{db} }

// Blocking returns the block lists.
func (db *DB) Blocking() blocking.Store { return blockLists{db} }

// Private returns the elements of private XML storage.
func (db *DB) Private() private.Store { return fragments{db} }

// VCards returns the profiles.
func (db *DB) VCards() vcard.Store { return vcards{db} }

// Archive returns the message archives. Counts and positions of a query for one
// resource of a contact, or of the account, are not known; there are no pages by
// index then.
func (db *DB) Archive() mam.Store { return archives{db} }
