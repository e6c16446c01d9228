package bolt

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream/auth"
)

var zeroSeen presence.LastSeen

func requireCorrupt(t *testing.T, bucket string, err error) {
	t.Helper()
	var c *CorruptError
	require.ErrorAs(t, err, &c)
	require.Equal(t, bucket, c.Bucket)
	require.Contains(t, c.Error(), bucket)
	require.Error(t, errors.Unwrap(c))
}

// Whatever stands in a value, who reads it gets an error that says where.
func TestCorruptValues(t *testing.T) {
	query := func(s mam.Selection) func(context.Context, *DB) error {
		return func(ctx context.Context, db *DB) error { return second(db.Archive().Query(ctx, juliet, &s)) }
	}
	for _, test := range []struct {
		name, bucket string
		read         func(ctx context.Context, db *DB) error
	}{
		{"keys", bucketAccounts, func(ctx context.Context, db *DB) error { return second(db.Accounts().Keys(ctx, juliet, sasl.SHA1)) }},
		{"disabled", bucketAccounts, func(ctx context.Context, db *DB) error { return second(db.Accounts().Disabled(ctx, juliet)) }},
		{"disable", bucketAccounts, func(ctx context.Context, db *DB) error { return db.Accounts().Disable(ctx, juliet) }},
		{"count", bucketTotals, func(ctx context.Context, db *DB) error { return second(db.Accounts().Count(ctx)) }},
		{"tokens", bucketTokens, func(ctx context.Context, db *DB) error {
			return db.Tokens().Update(ctx, sampleClient, func(*auth.ClientTokens) error { return nil })
		}},
		{"revoke", bucketTokens, func(ctx context.Context, db *DB) error { return db.Tokens().Revoke(ctx, juliet) }},
		{"roster", bucketRosters, func(ctx context.Context, db *DB) error { return second(db.Rosters().Roster(ctx, juliet)) }},
		{"item", bucketRosterItems, func(ctx context.Context, db *DB) error { return second(db.Rosters().Roster(ctx, juliet)) }},
		{"put item", bucketRosterItems, func(ctx context.Context, db *DB) error { return second(db.Rosters().Put(ctx, juliet, sampleItem)) }},
		{"changes", bucketRosterChanges, func(ctx context.Context, db *DB) error {
			r, err := db.Rosters().Roster(ctx, juliet)
			if err == nil {
				_, _, err = db.Rosters().Changes(ctx, juliet, r.Version-1)
			}
			return err
		}},
		{"messages", bucketOffline, func(ctx context.Context, db *DB) error { return second(db.Offline().Messages(ctx, juliet, 1)) }},
		{"box", bucketBoxes, func(ctx context.Context, db *DB) error { return second(db.Offline().Count(ctx, juliet)) }},
		{"add message", bucketBoxes, func(ctx context.Context, db *DB) error { return db.Offline().Add(ctx, juliet, nil) }},
		{"remove messages", bucketBoxes, func(ctx context.Context, db *DB) error { return db.Offline().Remove(ctx, juliet, 1) }},
		{"last seen", bucketLastSeen, func(ctx context.Context, db *DB) error { return second(db.LastSeen().LastSeen(ctx, juliet)) }},
		{"blocking", bucketBlocking, func(ctx context.Context, db *DB) error {
			return db.Blocking().All(ctx, func(jid.JID, []jid.JID) error { return nil })
		}},
		{"private", bucketPrivate, func(ctx context.Context, db *DB) error {
			return second(db.Private().Get(ctx, juliet, sampleNotes.Name))
		}},
		{"private sums", bucketPrivateSums, func(ctx context.Context, db *DB) error {
			return db.Private().Put(ctx, juliet, []private.Fragment{sampleNotes}, private.Quota{})
		}},
		{"vcard", bucketVCards, func(ctx context.Context, db *DB) error { return second(db.VCards().Get(ctx, juliet)) }},
		{"put vcard", bucketTotals, func(ctx context.Context, db *DB) error { return db.VCards().Put(ctx, juliet, sampleCard) }},
		{"prefs", bucketPrefs, func(ctx context.Context, db *DB) error { return second(db.Archive().Prefs(ctx, juliet)) }},
		{"archive", bucketArchives, query(mam.Selection{Max: 1})},
		{"append", bucketArchives, func(ctx context.Context, db *DB) error {
			return db.Archive().Append(ctx, juliet, sampleEntry(99), mam.Keep{})
		}},
		{"append behind", bucketEntries, func(ctx context.Context, db *DB) error {
			return db.Archive().Append(ctx, juliet, sampleEntry(99), mam.Keep{})
		}},
		{"entries", bucketEntries, query(mam.Selection{Max: 1})},
		{"entries by time", bucketEntries, query(mam.Selection{Filter: mam.Filter{Start: sampleTime}})},
		{"ids", bucketEntryIDs, query(mam.Selection{After: "id-1"})},
		{"contacts", bucketContacts, query(mam.Selection{Filter: mam.Filter{With: nurse}, Max: 1})},
		{"trim", bucketContacts, func(ctx context.Context, db *DB) error {
			return second(db.Archive().Trim(ctx, juliet, mam.Keep{Messages: 1}))
		}},
		{"metadata", bucketEntries, func(ctx context.Context, db *DB) error {
			_, _, err := db.Archive().Metadata(ctx, juliet)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, nonsense := range []string{"", "\x02", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "nonsense nonsense nonsense nonsense nonsense nonsense"} {
				db := openNew(t, nil)
				fillSample(t, db)
				require.NoError(t, db.update(t.Context(), func(x *txn) error {
					var keys [][]byte
					require.NoError(t, x.after(test.bucket, nil, nil, func(k, _ []byte) (bool, error) { keys = append(keys, append([]byte(nil), k...)); return true, nil }))
					for _, k := range keys {
						require.NoError(t, x.put(test.bucket, k, []byte(nonsense)))
					}
					return nil
				}))
				err := test.read(t.Context(), db)
				if nonsense != "" && nonsense[0] == 1 && err == nil && (test.bucket == bucketVCards || test.bucket == bucketPrivate || test.bucket == bucketOffline) {
					continue // bytes as they came can be anything
				}
				requireCorrupt(t, test.bucket, err)
			}
		})
	}
}

// A key that this package has not made is no account.
func TestCorruptKeys(t *testing.T) {
	db := openNew(t, nil)
	bad := []byte("@")
	require.NoError(t, db.update(t.Context(), func(x *txn) error {
		return errors.Join(x.put(bucketAccounts, bad, nil), x.put(bucketArchives, bad, nil), x.put(bucketBlocking, bad, encodeBlocked(nil)))
	}))
	requireCorrupt(t, bucketAccounts, second(db.Accounts().List(t.Context(), jid.JID{}, 10)))
	requireCorrupt(t, bucketArchives, second(db.Archive().Accounts(t.Context(), jid.JID{}, 10)))
	requireCorrupt(t, bucketBlocking, db.Blocking().All(t.Context(), func(jid.JID, []jid.JID) error { return nil }))
}
