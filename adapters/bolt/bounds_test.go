package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

func account(n int) jid.JID { return jid.MustParse(fmt.Sprintf("a%d@capulet.lit", n)) }

// What a store has no room for, it refuses, and it has room again when something
// was removed.
func TestBounds(t *testing.T) {
	quota := private.Quota{Elements: 1, Bytes: 100}
	db := openNew(t, &Options{MaxAccounts: 2, VCardBytes: 100, ArchiveBytes: 2 * int64(sampleEntry(1).Size())})
	ctx := t.Context()
	for name, store := range map[string]struct {
		add    func(n int) error
		remove func(n int) error
		full   error
	}{
		"accounts": {
			func(n int) error { return db.Accounts().Set(ctx, account(n), "secret") },
			func(n int) error { return db.Accounts().Delete(ctx, account(n)) }, sasl.ErrFull,
		},
		"rosters": {
			func(n int) error { return second(db.Rosters().Put(ctx, account(n), sampleItem)) },
			func(n int) error { return db.Rosters().Delete(ctx, account(n)) }, roster.ErrFull,
		},
		"offline": {
			func(n int) error { return db.Offline().Add(ctx, account(n), []byte("m")) },
			func(n int) error { return db.Offline().Remove(ctx, account(n), 1<<62) }, presence.ErrQuota,
		},
		"blocking": {
			func(n int) error { return db.Blocking().Put(ctx, account(n), []jid.JID{romeo}) },
			func(n int) error { return db.Blocking().Put(ctx, account(n), nil) }, blocking.ErrFull,
		},
		"private": {
			func(n int) error { return db.Private().Put(ctx, account(n), []private.Fragment{sampleNotes}, quota) },
			func(n int) error { return db.Private().Delete(ctx, account(n)) }, private.ErrFull,
		},
		"vcards": {
			func(n int) error { return db.VCards().Put(ctx, account(n), make([]byte, 50)) },
			func(n int) error { return db.VCards().Put(ctx, account(n), nil) }, vcard.ErrFull,
		},
		"archive": {
			func(n int) error { return db.Archive().Append(ctx, account(n), sampleEntry(1), mam.Keep{Messages: 1}) },
			func(n int) error { return db.Archive().Delete(ctx, account(n)) }, mam.ErrFull,
		},
		"archive preferences": {
			func(n int) error {
				return db.Archive().SetPrefs(ctx, account(n), &mam.Prefs{Default: mam.ArchiveNever})
			},
			func(n int) error { return db.Archive().SetPrefs(ctx, account(n), nil) }, mam.ErrFull,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n := range 2 {
				require.NoError(t, store.add(n))
			}
			require.ErrorIs(t, store.add(2), store.full)
			if name != "offline" && name != "archive" {
				require.NoError(t, store.add(1), "what is there can be replaced")
			}
			require.NoError(t, store.remove(0))
			require.NoError(t, store.add(2))
			require.ErrorIs(t, store.add(0), store.full)
			require.NoError(t, store.remove(1))
			require.NoError(t, store.remove(2))
			require.NoError(t, verify(db))
		})
	}
	t.Run("last seen", func(t *testing.T) {
		for n := range 5 {
			require.NoError(t, db.LastSeen().SetLastSeen(ctx, account(n), sampleSeen))
			seen, err := db.LastSeen().LastSeen(ctx, account(n))
			require.NoError(t, err)
			require.Equal(t, sampleSeen, seen, "the new one is kept")
		}
		require.NoError(t, verify(db))
		n := 0
		for i := range 5 {
			seen, err := db.LastSeen().LastSeen(ctx, account(i))
			require.NoError(t, err)
			if !seen.At.IsZero() {
				n++
			}
		}
		require.Equal(t, 2, n)
		long := presence.LastSeen{At: sampleTime, Presence: make([]byte, maxFarewell+1)}
		require.NoError(t, db.LastSeen().SetLastSeen(ctx, account(1), long))
		seen, err := db.LastSeen().LastSeen(ctx, account(1))
		require.NoError(t, err)
		require.Equal(t, presence.LastSeen{At: sampleTime}, seen)
	})
}

// What makes room by itself, by package mam's bound for the account, has room in a
// full store.
func TestArchiveFullTurnsOver(t *testing.T) {
	db := openNew(t, &Options{ArchiveBytes: 3*int64(sampleEntry(1).Size()) + 10})
	ctx := t.Context()
	for n := range 9 {
		require.NoError(t, db.Archive().Append(ctx, juliet, sampleEntry(n), mam.Keep{Messages: 2}))
	}
	require.NoError(t, db.Archive().Append(ctx, juliet, sampleEntry(10), mam.Keep{}))
	require.ErrorIs(t, db.Archive().Append(ctx, juliet, sampleEntry(11), mam.Keep{}), mam.ErrFull)
	require.NoError(t, verify(db))
}

func TestOfflineBytes(t *testing.T) {
	db := openNew(t, &Options{OfflineMessages: 3, OfflineBytes: 10})
	ctx := t.Context()
	require.NoError(t, db.Offline().Add(ctx, juliet, make([]byte, 6)))
	require.ErrorIs(t, db.Offline().Add(ctx, juliet, make([]byte, 5)), presence.ErrQuota)
	require.NoError(t, db.Offline().Add(ctx, juliet, make([]byte, 4)))
	require.NoError(t, db.Offline().Add(ctx, juliet, nil))
	require.ErrorIs(t, db.Offline().Add(ctx, juliet, nil), presence.ErrQuota)
}

// Numbers of messages are not used again, not even when none was left, or the
// account is another one.
func TestOfflineNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xmpp.db")
	last := uint64(0)
	for round := range 4 {
		db := openAt(t, path, nil)
		require.NoError(t, db.Offline().Add(t.Context(), juliet, []byte("m")))
		messages, err := db.Offline().Messages(t.Context(), juliet, 1)
		require.NoError(t, err)
		require.Greater(t, messages[0].Seq, last)
		last = messages[0].Seq
		if round%2 == 0 {
			require.NoError(t, db.Offline().Remove(t.Context(), juliet, last))
		} else {
			require.NoError(t, db.Offline().Delete(t.Context(), juliet))
		}
		require.NoError(t, db.Close())
	}
}

func TestRosterBounds(t *testing.T) {
	db := openNew(t, &Options{RosterItems: 3, RosterPending: 2, RosterChanges: 4})
	put := func(i roster.Item) error { return second(db.Rosters().Put(t.Context(), juliet, i)) }
	asks := func(n int) roster.Item { return roster.Item{JID: account(n), State: roster.PendingIn} }
	listed := func(n int) roster.Item { return roster.Item{JID: account(n), Added: true} }

	require.NoError(t, put(asks(10)))
	require.NoError(t, put(asks(11)))
	require.ErrorIs(t, put(asks(12)), roster.ErrFull, "RFC 6121 §3.1.3")
	for n := range 3 {
		require.NoError(t, put(listed(n)))
	}
	require.ErrorIs(t, put(listed(3)), roster.ErrFull)
	require.ErrorIs(t, put(asks(10).With(roster.From)), roster.ErrFull, "an approval is another contact")
	require.NoError(t, put(asks(11)))
	require.NoError(t, put(listed(1)))
	require.NoError(t, second(db.Rosters().Remove(t.Context(), juliet, account(0))))
	require.NoError(t, put(asks(10).With(roster.From)))
	require.NoError(t, put(asks(12)), "the request that was approved is none any more")
	require.NoError(t, verify(db))

	// Six changes so far, of which four are remembered.
	now, err := db.Rosters().Roster(t.Context(), juliet)
	require.NoError(t, err)
	for back, want := range []int{0, 1, 2, 3} {
		changes, known, err := db.Rosters().Changes(t.Context(), juliet, now.Version-uint64(back))
		require.NoError(t, err)
		require.True(t, known)
		require.Len(t, changes, want)
	}
	_, known, err := db.Rosters().Changes(t.Context(), juliet, now.Version-4)
	require.NoError(t, err)
	require.False(t, known)
}

// A file that was put back from an old copy gives no version a second time, and
// does not take one from the time in between for its own (RFC 6121 §2.6).
func TestRosterVersionsAfterRestore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xmpp.db")
	db := openAt(t, path, nil)
	fillSample(t, db)
	require.NoError(t, db.Close())
	copied, err := os.ReadFile(path)
	require.NoError(t, err)

	lost := make(map[uint64]bool)
	db = openAt(t, path, nil)
	for n := range 50 {
		v, err := db.Rosters().Put(t.Context(), juliet, roster.Item{JID: account(n), Added: true})
		require.NoError(t, err)
		lost[v] = true
	}
	require.NoError(t, db.Close())
	require.NoError(t, os.WriteFile(path, copied, 0o600))

	db = openAt(t, path, nil)
	for n := range 50 {
		v, err := db.Rosters().Put(t.Context(), juliet, roster.Item{JID: account(100 + n), Added: true})
		require.NoError(t, err)
		require.False(t, lost[v], "version %d came again", v)
		require.LessOrEqual(t, v, uint64(maxVersion))
	}
	for v := range lost {
		_, known, err := db.Rosters().Changes(t.Context(), juliet, v)
		require.NoError(t, err)
		require.False(t, known)
	}
}

// Another file begins somewhere else.
func TestRosterVersionsOfNewFiles(t *testing.T) {
	seen := make(map[uint64]bool)
	for range 5 {
		v, err := openNew(t, nil).Rosters().Put(t.Context(), juliet, sampleItem)
		require.NoError(t, err)
		require.False(t, seen[v])
		require.LessOrEqual(t, v, uint64(1)<<49)
		seen[v] = true
	}
}

func TestRosterVersionsEnd(t *testing.T) {
	db := openNew(t, nil)
	fillSample(t, db)
	require.NoError(t, db.update(t.Context(), func(x *txn) error {
		x.changes++
		return x.Bucket([]byte(bucketRosterChanges)).SetSequence(maxVersion)
	}))
	before, err := db.Rosters().Roster(t.Context(), juliet)
	require.NoError(t, err)
	requireCorrupt(t, bucketRosterChanges, second(db.Rosters().Put(t.Context(), juliet, sampleItem)))
	after, err := db.Rosters().Roster(t.Context(), juliet)
	require.NoError(t, err)
	require.Equal(t, before, after)
}

func TestPrivateLongNames(t *testing.T) {
	db := openNew(t, nil)
	long := private.Fragment{Name: stream.Name{Space: strings.Repeat("x", maxName), Local: "a"}, XML: []byte("<a/>")}
	q := private.Quota{Elements: 10, Bytes: 1 << 20}
	require.ErrorIs(t, db.Private().Put(t.Context(), juliet, []private.Fragment{long}, q), private.ErrFull)
	xml, err := db.Private().Get(t.Context(), juliet, long.Name)
	require.NoError(t, err)
	require.Nil(t, xml)
	long.XML = nil
	require.NoError(t, db.Private().Put(t.Context(), juliet, []private.Fragment{long}, q))
	long.Name.Space, long.XML = long.Name.Space[1:], []byte("<a/>")
	require.NoError(t, db.Private().Put(t.Context(), juliet, []private.Fragment{long}, q))
	xml, err = db.Private().Get(t.Context(), juliet, long.Name)
	require.NoError(t, err)
	require.Equal(t, long.XML, xml)
}

func TestUnusablePassword(t *testing.T) {
	db := openNew(t, nil)
	err := db.Accounts().Create(t.Context(), juliet, "")
	require.ErrorIs(t, err, register.ErrPassword)
	require.ErrorIs(t, err, sasl.ErrPassword)
}

// How much of an archive is read does not depend on how long it is.
func TestArchiveIsNotLoaded(t *testing.T) {
	db := openNew(t, nil)
	ctx := t.Context()
	cost := func() float64 {
		return testing.AllocsPerRun(20, func() {
			for _, s := range []mam.Selection{
				{Max: 5}, {Max: 5, Backward: true}, {Max: 5, After: "id-700"}, {Max: 5, Index: 300},
				{Max: 5, Filter: mam.Filter{With: nurse}, Backward: true},
				{Max: 5, Filter: mam.Filter{Start: sampleEntry(400).Time}},
				{Filter: mam.Filter{With: romeo.Bare()}}, // how many?
			} {
				if _, err := db.Archive().Query(ctx, juliet, &s); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
	fill := func(from, to int) {
		for n := from; n < to; n++ {
			require.NoError(t, db.Archive().Append(ctx, juliet, sampleEntry(n), mam.Keep{}))
		}
	}
	fill(0, 800)
	small := cost()
	fill(800, 3200)
	require.Less(t, cost(), 1.5*small, "four times as many messages")
	page, err := db.Archive().Query(ctx, juliet, &mam.Selection{Filter: mam.Filter{With: romeo.Bare()}})
	require.NoError(t, err)
	require.Equal(t, 3200-1067, page.Count)
}

// Pages by index of what has to be looked through are refused, as mam.Store allows.
func TestArchiveIndexOfResource(t *testing.T) {
	db := openNew(t, nil)
	fillSample(t, db)
	s := mam.Selection{Filter: mam.Filter{With: romeo}, Max: 2, Index: 1}
	require.ErrorIs(t, second(db.Archive().Query(t.Context(), juliet, &s)), mam.ErrIndex)
	s.Index = 0
	page, err := db.Archive().Query(t.Context(), juliet, &s)
	require.NoError(t, err)
	require.Equal(t, []int{-1, -1, 2}, []int{page.Count, page.Index, len(page.Entries)})
	require.False(t, page.Complete)
}

// XEP-0484: the tokens of one client, of one account, of all.
func TestTokens(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xmpp.db")
	options := Options{TokenClients: 4, AccountTokenClients: 2}
	db := openAt(t, path, &options)
	ctx := t.Context()
	client := func(account jid.JID, agent string) auth.TokenClient {
		return auth.TokenClient{Account: account, Agent: agent}
	}
	set := func(c auth.TokenClient, secret string) {
		t.Helper()
		require.NoError(t, db.Tokens().Update(ctx, c, func(ct *auth.ClientTokens) error {
			ct.New = sampleToken.New
			ct.New.Secret = secret
			return nil
		}))
	}
	has := func(c auth.TokenClient) string { t.Helper(); return tokensOf(t, db, c).New.Secret }
	a, b, c := client(juliet, "a"), client(juliet, "b"), client(juliet, "c")
	set(a, "1")
	set(b, "2")
	refused := errors.New("refused")
	require.Equal(t, refused, db.Tokens().Update(ctx, a, func(ct *auth.ClientTokens) error { ct.New.Secret = "x"; return refused }))
	require.Equal(t, "1", has(a), "an error changes nothing, and is returned as it is")
	set(a, "3") // b is the one that was not changed for longest
	set(c, "4")
	require.Equal(t, []string{"3", "", "4"}, []string{has(a), has(b), has(c)})
	for n := range 3 {
		set(client(account(n), "x"), "5")
	}
	require.Equal(t, []string{"", "4"}, []string{has(a), has(c)})
	require.NoError(t, verify(db))
	require.NoError(t, db.Close())

	db = openAt(t, path, &options)
	require.Equal(t, "4", has(c), "they survive the program")
	require.NoError(t, db.Tokens().Update(ctx, c, func(ct *auth.ClientTokens) error { *ct = auth.ClientTokens{}; return nil }))
	require.Empty(t, has(c))
	set(a, "6")
	full, err := juliet.WithResource("balcony")
	require.NoError(t, err)
	require.NoError(t, db.Tokens().Revoke(ctx, full))
	require.Equal(t, []string{"", "5"}, []string{has(a), has(client(account(2), "x"))})
	// A new password, and the end of the account.
	for _, end := range []func() error{
		func() error { return db.Accounts().Set(ctx, juliet, "new") },
		func() error { return db.Accounts().Delete(ctx, juliet) },
	} {
		set(a, "7")
		require.NoError(t, end())
		require.Empty(t, has(a))
	}
	require.NoError(t, verify(db))
}
