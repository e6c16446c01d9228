package bolt

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"stanzakit.dev/xmpp/sasl"
)

// The buckets. Next to each: its keys, and what the values are. "N" is a number in
// eight bytes, "A" an account as plain, "a" an account as prefix.
const (
	bucketMeta   = "stanzakit" // names below: numbers about the file
	bucketTotals = "totals"    // names: numbers, see txn.total

	bucketAccounts = "accounts" // A: keys, and whether it is disabled

	bucketTokens     = "tokens"      // a, agent: tokens, and their key in the next one
	bucketTokenOrder = "token-order" // N: the key of the tokens that were changed then

	bucketRosters       = "rosters"        // A: version and counts
	bucketRosterItems   = "roster-items"   // a, contact: item
	bucketRosterChanges = "roster-changes" // a, version: contact; its sequence is the last version of all rosters

	bucketOffline  = "offline"       // a, N: message; its sequence is the last number of all
	bucketBoxes    = "offline-boxes" // A: count and bytes
	bucketLastSeen = "last-seen"     // A: time and presence

	bucketBlocking    = "blocking"      // A: addresses
	bucketPrivate     = "private"       // a, length of the namespace, namespace, name: element
	bucketPrivateSums = "private-sums"  // A: count and bytes
	bucketVCards      = "vcards"        // A: profile
	bucketArchives    = "archives"      // A: first and next number, bytes
	bucketEntries     = "archive"       // a, N: entry; the numbers of an account have no gaps
	bucketEntryIDs    = "archive-ids"   // a, id: N
	bucketContacts    = "archive-with"  // a, contact as prefix, N without gaps: N of the entry; since schema 2
	bucketPrefs       = "archive-prefs" // A: preferences

	// Since schema 3. "S" is the id of a session with its length in front.
	bucketSessions        = "sessions"         // S: state
	bucketSessionJournals = "session-journals" // S, N: records; the numbers of a session have no gaps
	bucketSessionSums     = "session-sums"     // S: the next number, rows, bytes of state and journal
)

var buckets = []string{
	bucketMeta, bucketTotals, bucketAccounts, bucketTokens, bucketTokenOrder, bucketRosters, bucketRosterItems,
	bucketRosterChanges, bucketOffline, bucketBoxes, bucketLastSeen, bucketBlocking, bucketPrivate, bucketPrivateSums,
	bucketVCards, bucketArchives, bucketEntries, bucketEntryIDs, bucketContacts, bucketPrefs,
	bucketSessions, bucketSessionJournals, bucketSessionSums,
}

// schema is the version of the file. 1 had no bucketContacts, and 2 no sessions.
const schema = 3

// Keys of bucketMeta.
const (
	metaSchema     = "schema"
	metaIterations = "iterations"
	// metaMigrated is there while a file of schema 1 is brought up to date: the key
	// of the last entry that is done. The schema is the new one already, so that no
	// program that knows 1 only goes on in between.
	metaMigrated = "migrated"
)

// Names of totals.
const (
	totalAccounts     = "accounts"
	totalTokens       = "token-clients"
	totalRosters      = "rosters"
	totalBoxes        = "offline-accounts"
	totalLastSeen     = "last-seen"
	totalBlocking     = "blocking-accounts"
	totalPrivate      = "private-accounts"
	totalVCardBytes   = "vcard-bytes"
	totalArchiveBytes = "archive-bytes"
	totalSessions     = "sessions"
	totalSessionBytes = "session-bytes"
)

func (t *txn) meta(name string) (uint64, bool, error) {
	v := t.get(bucketMeta, []byte(name))
	if v == nil {
		return 0, false, nil
	}
	n, err := decodeNumber(bucketMeta, v)
	return n, true, err
}

func (t *txn) setMeta(name string, n uint64) error {
	return t.put(bucketMeta, []byte(name), binary.BigEndian.AppendUint64(nil, n))
}

// prepare makes a file that has just been opened ready for use.
func (db *DB) prepare() error {
	err := db.direct(func(t *txn) error {
		err := t.claim()
		if err == nil {
			err = t.skipVersions()
		}
		if err == nil {
			db.iterations, err = t.settleIterations(db.options.Iterations)
		}
		return err
	})
	for done := false; err == nil && !done; {
		err = db.direct(func(t *txn) (err error) {
			done, err = t.migrate(migrateChunk)
			return err
		})
	}
	return err
}

// direct is a transaction while there is no writer yet.
func (db *DB) direct(change func(*txn) error) error {
	return db.bolt.Update(func(tx *bbolt.Tx) error { return change(&txn{Tx: tx}) })
}

// claim checks that the file is one of this package, and makes the buckets that are
// missing.
func (t *txn) claim() error {
	if t.Bucket([]byte(bucketMeta)) == nil {
		if k, _ := t.Cursor().First(); k != nil {
			return ErrForeign
		}
		return t.create(schema)
	}
	found, ok, err := t.meta(metaSchema)
	switch {
	case err != nil:
		return err
	case !ok || found == 0:
		return &CorruptError{bucketMeta, errors.New("no schema")}
	case found > schema:
		return &SchemaError{Found: found, Known: schema}
	case found == schema:
		for _, name := range buckets {
			if t.Bucket([]byte(name)) == nil {
				return &CorruptError{name, errors.New("it is missing")}
			}
		}
		return nil
	}
	if found < 2 {
		if err := t.put(bucketMeta, []byte(metaMigrated), []byte{}); err != nil {
			return err
		}
	}
	// A file of schema 2 may be one whose migration was interrupted. That goes on.
	return t.create(schema)
}

// create makes the buckets that are missing.
func (t *txn) create(version uint64) error {
	for _, name := range buckets {
		if _, err := t.CreateBucketIfNotExists([]byte(name)); err != nil {
			return fmt.Errorf("bolt: %w", err)
		}
	}
	return t.setMeta(metaSchema, version)
}

// skipVersions leaves out some versions of rosters at random. If the file is an old
// copy then clients know versions that were used after it was made, for other
// rosters. One in two thousand million, of each such version, comes again; and the
// versions last for eight million times to open a file (see roster.Store).
func (t *txn) skipVersions() error {
	b := t.Bucket([]byte(bucketRosterChanges))
	var skip [8]byte
	rand.Read(skip[:]) // never fails
	next := b.Sequence()
	if next == 0 {
		next = binary.BigEndian.Uint64(skip[:]) >> 16 // another file may have been here before
	} else {
		next += binary.BigEndian.Uint64(skip[:]) >> 33
	}
	t.changes++
	return b.SetSequence(next)
}

// settleIterations returns the iteration count of passwords and keeps it, so that
// it does not change with the default of package sasl.
func (t *txn) settleIterations(wanted int) (int, error) {
	had, ok, err := t.meta(metaIterations)
	switch {
	case err != nil:
		return 0, err
	case ok && had > 1<<31-1:
		return 0, &CorruptError{bucketMeta, errRange}
	case ok && (wanted <= 0 || uint64(wanted) == had):
		return int(had), nil
	case wanted <= 0:
		wanted = sasl.DefaultIterations
	}
	return wanted, t.setMeta(metaIterations, uint64(wanted))
}

// migrateChunk is how many entries are migrated in one transaction.
const migrateChunk = 2000

// migrate does the next part of what leads from schema 1 to later ones, the index of archives
// by contact, and reports whether nothing is left to do.
func (t *txn) migrate(chunk int) (done bool, err error) {
	mark := t.get(bucketMeta, []byte(metaMigrated))
	if mark == nil {
		return true, nil
	}
	var last []byte
	n := 0
	err = t.after(bucketEntries, nil, mark, func(k, v []byte) (bool, error) {
		e, err := decodeEntry(v)
		if err != nil {
			return false, err
		}
		account, num, err := splitNumbered(bucketEntries, k)
		if err != nil {
			return false, err
		}
		contact, err := e.contact(account)
		if err != nil {
			return false, err
		}
		n, last = n+1, append(last[:0], k...)
		return n < chunk, t.index(account, contact, num)
	})
	switch {
	case err != nil:
		return false, err
	case n < chunk:
		return true, t.remove(bucketMeta, []byte(metaMigrated))
	}
	return false, t.put(bucketMeta, []byte(metaMigrated), last)
}
