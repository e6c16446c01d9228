package bolt

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream/auth"
)

// hold keeps the writer busy until the returned function is called, which returns
// when it is not any more.
func hold(t *testing.T, db *DB) (release func()) {
	t.Helper()
	busy, done := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { // ends at release; joined there
		if err := db.update(t.Context(), func(*txn) error { close(busy); <-done; return nil }); err != nil {
			t.Error(err)
		}
	})
	<-busy
	return func() { close(done); wg.Wait() }
}

// Changes that come at the same time share a transaction; one that fails halfway,
// or panics, is as if it had never been, and costs the others nothing.
func TestGroup(t *testing.T) {
	db := openNew(t, nil)
	before := writes(db)
	broken := errors.New("broken")
	group := make([]*request, 9)
	for i := range group {
		group[i] = &request{change: func(x *txn) error {
			err := x.put(bucketVCards, fmt.Append(nil, i), nil)
			switch i {
			case 2, 5:
				return broken
			case 7:
				panic(i)
			}
			return err
		}}
	}
	require.NoError(t, db.commit(group, nil))
	var kept []string
	require.NoError(t, db.view(t.Context(), func(x *txn) error {
		return x.after(bucketVCards, nil, nil, func(k, _ []byte) (bool, error) { kept = append(kept, string(k)); return true, nil })
	}))
	require.Equal(t, []string{"0", "1", "3", "4", "6", "8"}, kept)
	for i, r := range group {
		switch i {
		case 2, 5:
			require.ErrorIs(t, r.err, broken)
		case 7:
			require.Error(t, r.err)
			require.Equal(t, 7, r.panics)
		default:
			require.NoError(t, r.err)
		}
	}
	one := writes(db) - before
	require.NoError(t, db.VCards().Put(t.Context(), juliet, sampleCard))
	require.LessOrEqual(t, one, 3*(writes(db)-before-one), "six changes are written about as one is")
}

// What changes nothing is not written.
func TestNothingToWrite(t *testing.T) {
	db := openNew(t, nil)
	fillSample(t, db)
	ctx := t.Context()
	before := writes(db)
	require.NoError(t, db.Offline().Remove(ctx, juliet, 0))
	require.NoError(t, db.Offline().Delete(ctx, nurse))
	require.NoError(t, db.Rosters().Delete(ctx, nurse))
	require.NoError(t, db.VCards().Put(ctx, nurse, nil))
	require.NoError(t, db.Tokens().Update(ctx, sampleClient, func(*auth.ClientTokens) error { return nil }))
	require.NoError(t, db.Archive().Redact(ctx, juliet, "id-4"))
	require.ErrorIs(t, db.Archive().Append(ctx, juliet, sampleEntry(1), mam.Keep{}), mam.ErrExists)
	require.NoError(t, second(db.Archive().Trim(ctx, juliet, mam.Keep{Messages: sampleEntries})))
	require.NoError(t, second(db.Rosters().Remove(ctx, juliet, jid.MustParse("nobody@capulet.lit"))))
	require.Equal(t, before, writes(db))
}

// A panic of a change belongs to whoever wanted it, and the store goes on.
func TestChangePanics(t *testing.T) {
	db := openNew(t, nil)
	require.PanicsWithValue(t, "of the caller", func() {
		_ = db.Tokens().Update(t.Context(), sampleClient, func(*auth.ClientTokens) error { panic("of the caller") })
	})
	require.NoError(t, db.VCards().Put(t.Context(), juliet, sampleCard))
}

// A context ends the wait for one's turn, and nothing has happened then.
func TestCancelWaiting(t *testing.T) {
	db := openNew(t, nil)
	release := hold(t, db)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var err error
	wg.Go(func() { err = db.VCards().Put(ctx, juliet, sampleCard) }) // ends with ctx; joined by wg
	cancel()
	wg.Wait()
	require.ErrorIs(t, err, context.Canceled)
	release()
	card, err := db.VCards().Get(t.Context(), juliet)
	require.NoError(t, err)
	require.Nil(t, card)
	require.ErrorIs(t, second(db.VCards().Get(ctx, juliet)), context.Canceled)
}

func TestClose(t *testing.T) {
	db := openNew(t, nil)
	release := hold(t, db)
	waiting := make(chan error)
	go func() { waiting <- db.VCards().Put(t.Context(), juliet, sampleCard) }() // ends at Close; joined by waiting
	closed := make(chan error)
	go func() { closed <- db.Close() }() // ends after release; joined by closed
	require.ErrorIs(t, <-waiting, net.ErrClosed, "who waits is told")
	release()
	require.NoError(t, <-closed)
	require.NoError(t, db.Close(), "again")
	for name, err := range map[string]error{
		"write": db.VCards().Put(t.Context(), juliet, nil),
		"read":  second(db.VCards().Get(t.Context(), juliet)),
		"list":  second(db.Accounts().List(t.Context(), jid.JID{}, 1)),
		"trim":  second(db.Archive().Trim(t.Context(), juliet, mam.Keep{Messages: 1})),
	} {
		require.ErrorIs(t, err, net.ErrClosed, name)
	}
}

// After the disk has failed nothing more is written; what was stored before is there.
func TestDiskFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xmpp.db")
	db := openAt(t, path, nil)
	fillSample(t, db)
	db.bolt.MaxSize = 1 // the file may not grow: as good as a full disk
	large := make([]byte, 4<<20)
	require.Error(t, db.VCards().Put(t.Context(), nurse, large))
	db.bolt.MaxSize = 0
	require.Error(t, db.VCards().Put(t.Context(), nurse, sampleCard), "until it is opened again")
	require.Error(t, db.Offline().Add(t.Context(), nurse, nil))
	requireSampleReadable := func(db *DB) {
		card, err := db.VCards().Get(t.Context(), juliet)
		require.NoError(t, err)
		require.Equal(t, sampleCard, card)
	}
	requireSampleReadable(db)
	require.NoError(t, db.Close())
	db = openAt(t, path, nil)
	requireSample(t, db)
	require.NoError(t, verify(db))
	require.NoError(t, db.VCards().Put(t.Context(), nurse, sampleCard))
}

// Writers at the same time, readers between them, all stores at once.
func TestConcurrent(t *testing.T) {
	db := openNew(t, nil)
	var wg sync.WaitGroup
	for w := range 8 {
		// Owner: this test. Stops after its rounds. Joined through wg.
		wg.Go(func() {
			ctx := t.Context()
			account := jid.MustParse(fmt.Sprintf("a%d@capulet.lit", w%4))
			for n := range 10 {
				err := db.Offline().Add(ctx, account, []byte("message"))
				if err == nil {
					e := sampleEntry(n)
					e.ID = fmt.Sprintf("%d-%d", w, n)
					err = db.Archive().Append(ctx, account, e, mam.Keep{Messages: 7})
				}
				if err == nil {
					_, err = db.Rosters().Put(ctx, account, sampleItem)
				}
				if err == nil {
					_, err = db.Archive().Query(ctx, account, &mam.Selection{Filter: mam.Filter{With: romeo}, Max: 3})
				}
				if err == nil {
					_, err = db.Accounts().Keys(ctx, account, sasl.SHA256)
					if errors.Is(err, sasl.ErrUnknownUser) {
						err = nil
					}
				}
				if err == nil && n == 5 {
					err = db.Archive().Delete(ctx, account)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, verify(db))
}

// writes returns how many writes to the disk there have been.
func writes(db *DB) int64 {
	s := db.bolt.Stats()
	return s.TxStats.GetWrite()
}
