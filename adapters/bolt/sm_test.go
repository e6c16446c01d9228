package bolt

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/sm"
)

// sampleSession is a session before and after what is in sampleJournal.
func sampleSession() *sm.State {
	return &sm.State{
		ID: "of " + juliet.String(), Owner: jid.MustParse("juliet@capulet.lit/balcony"), Since: sampleTime, Until: sampleTime.Add(time.Hour),
		In: 7, Acked: 3, Queue: []sm.Unacked{{XML: []byte("<a/>"), At: sampleTime}},
	}
}

func sampleJournal() (j sm.Journal) {
	j.Sent([]byte("<m to='"+juliet.String()+"'/>"), sampleTime)
	j.Handled(8)
	return j
}

func fillSession(t testing.TB, db *DB) {
	t.Helper()
	require.NoError(t, db.Sessions().Put(t.Context(), sampleSession()))
	require.NoError(t, db.Sessions().Append(t.Context(), sampleSession().ID, sampleJournal()))
}

func requireSession(t testing.TB, db *DB) {
	t.Helper()
	want := sampleSession()
	require.NoError(t, want.Replay(sampleJournal()))
	got, err := db.Sessions().Load(t.Context(), want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// Sessions are there when the file is opened again, and bounded in number and size.
func TestSessions(t *testing.T) {
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "xmpp.db")
	for _, noSync := range []bool{false, true} {
		db := openAt(t, path, &Options{NoSync: noSync})
		fillSession(t, db)
		require.NoError(t, db.Close())
		db = openAt(t, path, &Options{NoSync: noSync})
		requireSession(t, db)
		require.NoError(t, db.Sessions().Delete(ctx, sampleSession().ID))
		require.NoError(t, db.Close())
	}

	state := func(n int) *sm.State {
		return &sm.State{ID: strconv.Itoa(n), Owner: juliet, Extra: map[string][]byte{"x": make([]byte, 1000)}}
	}
	db := openNew(t, &Options{Sessions: 2})
	require.NoError(t, db.Sessions().Put(ctx, state(0)))
	require.NoError(t, db.Sessions().Put(ctx, state(1)))
	require.ErrorIs(t, db.Sessions().Put(ctx, state(2)), sm.ErrStoreFull)
	require.NoError(t, db.Sessions().Put(ctx, state(1)), "what is there can be replaced")
	require.NoError(t, db.Sessions().Delete(ctx, "0"))
	require.NoError(t, db.Sessions().Put(ctx, state(2)))
	require.NoError(t, verify(db))

	db = openNew(t, &Options{SessionBytes: 2500})
	require.NoError(t, db.Sessions().Put(ctx, state(0)))
	require.NoError(t, db.Sessions().Put(ctx, state(1)))
	require.ErrorIs(t, db.Sessions().Put(ctx, state(2)), sm.ErrStoreFull)
	var j sm.Journal
	j.Sent(make([]byte, 300), sampleTime)
	require.NoError(t, db.Sessions().Append(ctx, "0", j))
	require.ErrorIs(t, db.Sessions().Append(ctx, "1", j), sm.ErrStoreFull)
	require.NoError(t, db.Sessions().Put(ctx, state(1)))
	require.NoError(t, db.Sessions().Delete(ctx, "0"))
	require.NoError(t, db.Sessions().Append(ctx, "1", j))
	require.NoError(t, verify(db))
}

// The journal of a session is replayed when it has become long, also when there is
// hardly room for it.
func TestSessionJournalIsBounded(t *testing.T) {
	ctx := t.Context()
	db := openNew(t, &Options{NoSync: true, SessionBytes: 2 * minJournal})
	st := sampleSession()
	require.NoError(t, db.Sessions().Put(ctx, st))
	for n := range 300 {
		var j sm.Journal
		j.Sent(make([]byte, 500), sampleTime)
		j.Acked(st.Sent() + 1)
		require.NoError(t, st.Replay(j))
		require.NoError(t, db.Sessions().Append(ctx, st.ID, j), "%d", n)
		require.NoError(t, db.view(ctx, func(x *txn) error {
			s, _, err := x.session(st.ID)
			require.LessOrEqual(t, s.journal, int64(minJournal))
			return err
		}))
	}
	got, err := db.Sessions().Load(ctx, st.ID)
	require.NoError(t, err)
	require.Equal(t, st, got)
	require.NoError(t, verify(db))
}

// What cannot be read is an error that says where, and is in nobody's way.
func TestCorruptSessions(t *testing.T) {
	for _, test := range []struct {
		bucket string
		key    []byte
	}{
		{bucketSessions, sessionKey(sampleSession().ID, 0)},
		{bucketSessionJournals, sessionRow(sampleSession().ID, 0)},
		{bucketSessionSums, sessionKey(sampleSession().ID, 0)},
	} {
		for _, nonsense := range []string{"", "\x02", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\x02\x03\x01\x01", "nonsense"} {
			db := openNew(t, &Options{NoSync: true})
			ctx := t.Context()
			fillSession(t, db)
			other := sampleSession()
			other.ID = "other"
			require.NoError(t, db.Sessions().Put(ctx, other))
			require.NoError(t, db.update(ctx, func(x *txn) error { return x.put(test.bucket, test.key, []byte(nonsense)) }))
			requireCorrupt(t, test.bucket, second(db.Sessions().Load(ctx, sampleSession().ID)))
			found := make(map[string]*sm.State)
			require.NoError(t, db.Sessions().All(ctx, func(id string, st *sm.State) error { found[id] = st; return nil }))
			require.Equal(t, map[string]*sm.State{"other": other, sampleSession().ID: nil}, found)
			if test.bucket == bucketSessionSums {
				requireCorrupt(t, test.bucket, db.Sessions().Append(ctx, sampleSession().ID, sampleJournal()))
				continue
			}
			require.NoError(t, db.Sessions().Append(ctx, sampleSession().ID, sampleJournal()))
			require.NoError(t, db.Sessions().Delete(ctx, sampleSession().ID))
			if test.bucket == bucketSessionJournals {
				require.NoError(t, verify(db))
			}
		}
	}
	db := openNew(t, nil)
	require.NoError(t, db.update(t.Context(), func(x *txn) error { return x.put(bucketSessionSums, []byte("@"), encodeSaved(saved{})) }))
	requireCorrupt(t, bucketSessionSums, db.Sessions().All(t.Context(), func(string, *sm.State) error { return nil }))
}

// A batch of ten stanzas of 300 bytes, and their acknowledgement.
func BenchmarkSessionAppend(b *testing.B) {
	for _, noSync := range []bool{false, true} {
		for _, writers := range []int{1, 64} {
			b.Run(fmt.Sprintf("nosync=%t/writers=%d", noSync, writers), func(b *testing.B) {
				db := openNew(b, &Options{NoSync: noSync})
				jobs := make(chan int)
				var wg sync.WaitGroup
				for w := range writers {
					st := &sm.State{ID: strconv.Itoa(w), Owner: juliet}
					require.NoError(b, db.Sessions().Put(b.Context(), st))
					// Owner: this benchmark. Stops when jobs is closed. Joined through wg.
					wg.Go(func() {
						h, xml := uint32(0), make([]byte, 300)
						var j sm.Journal
						for range jobs {
							j = j[:0]
							for range 10 {
								j.Sent(xml, sampleTime)
							}
							h += 10
							j.Acked(h)
							if err := db.Sessions().Append(context.Background(), st.ID, j); err != nil {
								b.Error(err)
							}
						}
					})
				}
				b.ReportAllocs()
				for b.Loop() {
					jobs <- 0
				}
				close(jobs)
				wg.Wait()
			})
		}
	}
}
