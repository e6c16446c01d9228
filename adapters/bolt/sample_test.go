package bolt

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

var (
	juliet = jid.MustParse("juliet@capulet.lit")
	romeo  = jid.MustParse("romeo@montague.lit/orchard")
	nurse  = jid.MustParse("nurse@capulet.lit")

	sampleTime  = time.Date(2010, 7, 10, 23, 8, 25, 42_000_000, time.UTC)
	sampleCard  = []byte("<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>")
	sampleNotes = private.Fragment{Name: stream.Name{Space: "storage:notes", Local: "notes"}, XML: []byte("<notes xmlns='storage:notes'/>")}
	samplePrefs = &mam.Prefs{Default: mam.ArchiveRoster, Always: []jid.JID{romeo}, Never: []jid.JID{jid.MustParse("tybalt@capulet.lit")}}
	sampleSeen  = presence.LastSeen{At: sampleTime, Presence: []byte("<presence type='unavailable'/>")}
	sampleItem  = roster.Item{JID: romeo.Bare(), Name: "Romeo", Groups: []string{"Friends", "Lovers"}, State: roster.Both, Added: true}
	stranger    = roster.Item{JID: jid.MustParse("iago@shakespeare.lit"), State: roster.PendingIn, Request: []byte("<presence type='subscribe'/>")}
	sampleToken = auth.ClientTokens{New: auth.StoredToken{
		Mechanism: "HT-SHA-256-EXPR", Secret: "secret-token:x", Expires: sampleTime.Truncate(time.Second), Count: 3, Stamp: "stamp", Tasks: "a b",
	}}
	sampleClient = auth.TokenClient{Account: juliet, Agent: "d4565fa7-4d72-4749-b3d3-740edbf87770"}
)

// sampleKeys are keys that are the same each time, and no account's.
func sampleKeys() (keys []sasl.Keys) {
	for _, h := range hashes {
		keys = append(keys, sasl.Keys{
			Hash: h, Salt: []byte("sixteen bytes..."), Iterations: sasl.MinIterations,
			StoredKey: bytes.Repeat([]byte{1}, h.Size()), ServerKey: bytes.Repeat([]byte{2}, h.Size()),
		})
	}
	return keys
}

// sampleEntry is the message number n of an archive: of romeo, but each third of
// the nurse.
func sampleEntry(n int) *mam.Entry {
	e := &mam.Entry{
		ID: fmt.Sprintf("id-%d", n), Time: sampleTime.Add(time.Duration(n) * time.Minute), From: romeo, To: juliet,
		Message: fmt.Appendf(nil, "<message xmlns='jabber:client'><body>%d</body></message>", n),
	}
	if n%3 == 0 {
		e.From, e.To = juliet, nurse
	}
	return e
}

// sampleEntries is how many messages fillSample archives.
const sampleEntries = 10

// fillSample stores something of everything for juliet.
func fillSample(t testing.TB, db *DB) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, db.update(ctx, func(x *txn) error {
		if err := x.add(totalAccounts, 1); err != nil {
			return err
		}
		return x.setLogin(juliet, login{keys: sampleKeys()})
	}))
	require.NoError(t, db.Tokens().Update(ctx, sampleClient, func(c *auth.ClientTokens) error { *c = sampleToken; return nil }))
	for _, i := range []roster.Item{sampleItem, stranger, {JID: nurse, Added: true}} {
		_, err := db.Rosters().Put(ctx, juliet, i)
		require.NoError(t, err)
	}
	_, err := db.Rosters().Remove(ctx, juliet, nurse)
	require.NoError(t, err)
	for _, m := range []string{"first", "second", "third"} {
		require.NoError(t, db.Offline().Add(ctx, juliet, []byte(m)))
	}
	require.NoError(t, db.LastSeen().SetLastSeen(ctx, juliet, sampleSeen))
	require.NoError(t, db.Blocking().Put(ctx, juliet, []jid.JID{stranger.JID, romeo}))
	require.NoError(t, db.Private().Put(ctx, juliet, []private.Fragment{sampleNotes}, private.Quota{Elements: 5, Bytes: 500}))
	require.NoError(t, db.VCards().Put(ctx, juliet, sampleCard))
	for n := range sampleEntries {
		require.NoError(t, db.Archive().Append(ctx, juliet, sampleEntry(n), mam.Keep{}))
	}
	require.NoError(t, db.Archive().Redact(ctx, juliet, "id-4"))
	require.NoError(t, db.Archive().SetPrefs(ctx, juliet, samplePrefs))
}

// requireSample checks what fillSample has stored.
func requireSample(t testing.TB, db *DB) {
	t.Helper()
	ctx := t.Context()
	for _, want := range sampleKeys() {
		k, err := db.Accounts().Keys(ctx, juliet, want.Hash)
		require.NoError(t, err)
		require.Equal(t, want, k)
	}
	require.True(t, tokensOf(t, db, sampleClient) == sampleToken) // as package auth compares
	r, err := db.Rosters().Roster(ctx, juliet)
	require.NoError(t, err)
	require.Equal(t, []roster.Item{stranger, sampleItem}, r.Items)
	changes, known, err := db.Rosters().Changes(ctx, juliet, r.Version-1)
	require.NoError(t, err)
	require.True(t, known)
	require.Equal(t, []roster.Change{{Version: r.Version, Item: roster.Item{JID: nurse}, Removed: true}}, changes)
	messages, err := db.Offline().Messages(ctx, juliet, 10)
	require.NoError(t, err)
	require.Len(t, messages, 3)
	for n, want := range []string{"first", "second", "third"} {
		require.Equal(t, want, string(messages[n].Stanza))
	}
	seen, err := db.LastSeen().LastSeen(ctx, juliet)
	require.NoError(t, err)
	require.Equal(t, sampleSeen, seen)
	lists := make(map[jid.JID][]jid.JID)
	require.NoError(t, db.Blocking().All(ctx, func(account jid.JID, blocked []jid.JID) error { lists[account] = blocked; return nil }))
	require.Equal(t, map[jid.JID][]jid.JID{juliet: {stranger.JID, romeo}}, lists)
	xml, err := db.Private().Get(ctx, juliet, sampleNotes.Name)
	require.NoError(t, err)
	require.Equal(t, sampleNotes.XML, xml)
	card, err := db.VCards().Get(ctx, juliet)
	require.NoError(t, err)
	require.Equal(t, sampleCard, card)
	prefs, err := db.Archive().Prefs(ctx, juliet)
	require.NoError(t, err)
	require.Equal(t, samplePrefs, prefs)

	page, err := db.Archive().Query(ctx, juliet, &mam.Selection{Max: 100})
	require.NoError(t, err)
	var all, nurses []mam.Entry
	for n := range sampleEntries {
		e := sampleEntry(n)
		if n == 4 {
			e.Message = nil
		}
		all = append(all, *e)
		if n%3 == 0 {
			nurses = append(nurses, *e)
		}
	}
	require.Equal(t, &mam.Page{Entries: all, Complete: true, Count: sampleEntries}, page)
	page, err = db.Archive().Query(ctx, juliet, &mam.Selection{Max: 100, Filter: mam.Filter{With: nurse}})
	require.NoError(t, err)
	require.Equal(t, &mam.Page{Entries: nurses, Complete: true, Count: len(nurses)}, page)
}

// tokensOf returns the tokens of a client.
func tokensOf(t testing.TB, db *DB, client auth.TokenClient) (tokens auth.ClientTokens) {
	t.Helper()
	require.NoError(t, db.Tokens().Update(t.Context(), client, func(c *auth.ClientTokens) error { tokens = *c; return nil }))
	return tokens
}
