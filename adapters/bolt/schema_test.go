package bolt

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/mam"
)

// schema1 makes a file of schema 1 from what one had in it, byte by byte: what
// fillSample stores.
func schema1(t *testing.T) (path string) {
	text, err := os.Open(filepath.Join("testdata", "schema1.txt"))
	require.NoError(t, err)
	defer text.Close()
	path = filepath.Join(t.TempDir(), "xmpp.db")
	raw(t, path, func(tx *bbolt.Tx) error {
		var bucket *bbolt.Bucket
		lines := bufio.NewScanner(text)
		for lines.Scan() {
			var name, key, value string
			var sequence uint64
			switch line := lines.Text(); {
			case strings.HasPrefix(line, "#"):
			case strings.HasPrefix(line, "bucket "):
				if _, err := fmt.Sscanf(line, "bucket %s %d", &name, &sequence); err != nil {
					return err
				}
				if bucket, err = tx.CreateBucket([]byte(name)); err != nil {
					return err
				}
				if err := bucket.SetSequence(sequence); err != nil {
					return err
				}
			default:
				key, value, _ = strings.Cut(line, " ")
				k, err := hex.DecodeString(key)
				if err != nil {
					return err
				}
				v, err := hex.DecodeString(value)
				if err != nil {
					return err
				}
				if err := bucket.Put(k, v); err != nil {
					return err
				}
			}
		}
		return lines.Err()
	})
	return path
}

// raw changes a file without this package.
func raw(t *testing.T, path string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	b, err := bbolt.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, b.Update(change))
	require.NoError(t, b.Close())
}

// setRaw sets a number about the file.
func setRaw(t *testing.T, path, name string, n byte) {
	t.Helper()
	raw(t, path, func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(name), []byte{0, 0, 0, 0, 0, 0, 0, n})
	})
}

// A file of schema 1 is brought up to date, and everything in it can be read.
func TestMigrate(t *testing.T) {
	path := schema1(t)
	for range 2 {
		db := openAt(t, path, nil)
		requireSample(t, db)
		require.NoError(t, verify(db))
		require.NoError(t, db.Close())
	}
	db := openAt(t, path, nil)
	require.NoError(t, db.Archive().Append(t.Context(), juliet, sampleEntry(100), mam.Keep{Messages: 3}))
	require.NoError(t, verify(db))
}

// A migration that was interrupted goes on where it was, and the file is one of the
// new schema in between.
func TestMigrateInterrupted(t *testing.T) {
	path := schema1(t)
	direct := func(f func(t *txn) error) {
		t.Helper()
		raw(t, path, func(tx *bbolt.Tx) error { return f(&txn{Tx: tx}) })
	}
	direct((*txn).claim)
	steps := 0
	for done := false; !done; steps++ {
		require.Less(t, steps, sampleEntries)
		direct(func(x *txn) (err error) {
			version, _, err := x.meta(metaSchema)
			require.NoError(t, err)
			require.EqualValues(t, schema, version)
			require.NoError(t, x.claim(), "opened again")
			done, err = x.migrate(3)
			return err
		})
	}
	require.Equal(t, 4, steps)
	db := openAt(t, path, nil)
	requireSample(t, db)
	require.NoError(t, verify(db))
}

// A file of schema 2 has no sessions yet. One whose migration from schema 1 was
// interrupted goes on with that.
func TestMigrateFrom2(t *testing.T) {
	for name, entries := range map[string]int{"complete": sampleEntries, "halfway": 7} {
		t.Run(name, func(t *testing.T) {
			path := schema1(t)
			raw(t, path, func(tx *bbolt.Tx) error {
				x := &txn{Tx: tx}
				require.NoError(t, x.claim())
				_, err := x.migrate(entries)
				if entries == sampleEntries {
					done, again := x.migrate(entries)
					require.True(t, done)
					err = errors.Join(err, again)
				}
				for _, name := range []string{bucketSessions, bucketSessionJournals, bucketSessionSums} {
					require.NoError(t, tx.DeleteBucket([]byte(name)))
				}
				return err
			})
			setRaw(t, path, metaSchema, 2)
			db := openAt(t, path, nil)
			requireSample(t, db)
			fillSession(t, db)
			requireSession(t, db)
			require.NoError(t, verify(db))
		})
	}
}

// Halfway through, Open does the rest.
func TestMigrateResumed(t *testing.T) {
	path := schema1(t)
	raw(t, path, func(tx *bbolt.Tx) error {
		x := &txn{Tx: tx}
		require.NoError(t, x.claim())
		done, err := x.migrate(7)
		require.False(t, done)
		return err
	})
	db := openAt(t, path, nil)
	requireSample(t, db)
	require.NoError(t, verify(db))
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a newer schema", func(t *testing.T) {
		path := schema1(t)
		setRaw(t, path, metaSchema, schema+1)
		_, err := Open(path, nil)
		var e *SchemaError
		require.ErrorAs(t, err, &e)
		require.Equal(t, SchemaError{Found: schema + 1, Known: schema}, *e)
		require.Contains(t, e.Error(), "schema 4")
		setRaw(t, path, metaSchema, 1) // nothing was changed
		requireSample(t, openAt(t, path, nil))
	})
	t.Run("no schema", func(t *testing.T) {
		path := schema1(t)
		setRaw(t, path, metaSchema, 0)
		requireCorrupt(t, bucketMeta, second(Open(path, nil)))
	})
	t.Run("a missing bucket", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "xmpp.db")
		require.NoError(t, openAt(t, path, nil).Close())
		raw(t, path, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte(bucketVCards)) })
		requireCorrupt(t, bucketVCards, second(Open(path, nil)))
	})
	t.Run("a bad entry in a migration", func(t *testing.T) {
		path := schema1(t)
		raw(t, path, func(tx *bbolt.Tx) error {
			b := tx.Bucket([]byte(bucketEntries))
			k, _ := b.Cursor().First()
			return b.Put(append([]byte(nil), k...), []byte("nonsense"))
		})
		requireCorrupt(t, bucketEntries, second(Open(path, nil)))
	})
	t.Run("a database of something else", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "other.db")
		raw(t, path, func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("other")); return err })
		require.ErrorIs(t, second(Open(path, nil)), ErrForeign)
	})
	t.Run("no database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "text")
		require.NoError(t, os.WriteFile(path, []byte(strings.Repeat("text", 1<<14)), 0o600))
		require.Error(t, second(Open(path, nil)))
	})
	t.Run("no directory", func(t *testing.T) {
		require.ErrorIs(t, second(Open(filepath.Join(t.TempDir(), "none", "xmpp.db"), nil)), os.ErrNotExist)
	})
	t.Run("in use", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "xmpp.db")
		db := openAt(t, path, nil)
		require.ErrorIs(t, second(Open(path, &Options{LockTimeout: 1})), ErrLocked)
		require.NoError(t, db.Close())
		openAt(t, path, nil)
	})
	t.Run("a file that others can read", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "xmpp.db")
		require.NoError(t, openAt(t, path, nil).Close())
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
		require.NoError(t, os.Chmod(path, 0o640))
		require.ErrorIs(t, second(Open(path, nil)), ErrMode)
		require.NoError(t, os.Chmod(path, 0o600))
		openAt(t, path, nil)
	})
}

func second[T any](_ T, err error) error { return err }

// The iteration count is that of the file, whatever becomes of the default.
func TestIterations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xmpp.db")
	for _, step := range []struct{ option, want int }{
		{0, sasl.DefaultIterations}, {sasl.MinIterations, sasl.MinIterations}, {0, sasl.MinIterations}, {sasl.MinIterations + 1, sasl.MinIterations + 1},
	} {
		db, err := Open(path, &Options{Iterations: step.option})
		require.NoError(t, err)
		require.Equal(t, step.want, db.Accounts().KeyIterations())
		require.NoError(t, db.Close())
	}
}

// Deleting an account store by store leaves nothing of it behind.
func TestNothingIsLeft(t *testing.T) {
	db := openNew(t, nil)
	fillSample(t, db)
	fillSession(t, db)
	leftovers := func() (found []string) {
		require.NoError(t, db.bolt.View(func(tx *bbolt.Tx) error {
			return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
				return b.ForEach(func(k, v []byte) error {
					if strings.Contains(string(k)+string(v), juliet.String()) {
						found = append(found, string(name))
					}
					return nil
				})
			})
		}))
		return found
	}
	for _, bucket := range buckets {
		if bucket != bucketMeta && bucket != bucketTotals {
			require.Contains(t, leftovers(), bucket, "the sample has something in every bucket")
		}
	}
	ctx := t.Context()
	require.NoError(t, db.Rosters().Delete(ctx, juliet))
	require.NoError(t, db.Offline().Delete(ctx, juliet))
	require.NoError(t, db.LastSeen().SetLastSeen(ctx, juliet, zeroSeen))
	require.NoError(t, db.Blocking().Put(ctx, juliet, nil))
	require.NoError(t, db.Private().Delete(ctx, juliet))
	require.NoError(t, db.VCards().Put(ctx, juliet, nil))
	require.NoError(t, db.Archive().Delete(ctx, juliet))
	require.NoError(t, db.Sessions().Delete(ctx, sampleSession().ID))
	require.NoError(t, db.Accounts().Delete(ctx, juliet))
	require.Empty(t, leftovers())
	require.NoError(t, verify(db))
	require.NoError(t, db.bolt.View(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(bucketTotals)).ForEach(func(k, v []byte) error {
			require.Equal(t, make([]byte, 8), v, "total %s", k)
			return nil
		})
	}))
	list, err := db.Accounts().List(ctx, jid.JID{}, 10)
	require.NoError(t, err)
	require.Empty(t, list)
}
