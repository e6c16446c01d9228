package bolt

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/mam"
)

// codecs decode a value of each kind, and encode again what they got.
var codecs = []struct {
	bucket string
	again  func(b []byte) ([]byte, error)
}{
	{bucketAccounts, func(b []byte) ([]byte, error) {
		l, err := decodeLogin(b)
		if err != nil {
			return nil, err
		}
		return encodeLogin(l)
	}},
	{bucketTokens, func(b []byte) ([]byte, error) { e, err := decodeTokens(b); return encodeTokens(e), err }},
	{bucketRosters, func(b []byte) ([]byte, error) { s, err := decodeRosterState(b); return encodeRosterState(s), err }},
	{bucketRosterItems, func(b []byte) ([]byte, error) {
		i, err := decodeItem([]byte(juliet.String()), b)
		return encodeItem(i), err
	}},
	{bucketBoxes, func(b []byte) ([]byte, error) { s, err := decodeSums(bucketBoxes, b); return encodeSums(s), err }},
	{bucketLastSeen, func(b []byte) ([]byte, error) { s, err := decodeLastSeen(b); return encodeLastSeen(s), err }},
	{bucketBlocking, func(b []byte) ([]byte, error) { l, err := decodeBlocked(b); return encodeBlocked(l), err }},
	{bucketArchives, func(b []byte) ([]byte, error) { a, err := decodeArchive(b); return encodeArchive(a), err }},
	{bucketEntries, func(b []byte) ([]byte, error) {
		e, err := decodeEntry(b)
		if err != nil {
			return nil, err
		}
		whole, err := e.copy()
		return encodeEntry(&whole, whole.Time), err
	}},
	{bucketPrefs, func(b []byte) ([]byte, error) {
		p, err := decodePrefs(b)
		if err != nil {
			return nil, err
		}
		return encodePrefs(p), nil
	}},
	{bucketSessionSums, func(b []byte) ([]byte, error) { s, err := decodeSaved(b); return encodeSaved(s), err }},
	{bucketVCards, func(b []byte) ([]byte, error) { raw, err := decodeRaw(bucketVCards, b); return encodeRaw(raw), err }},
}

// FuzzValues: a value is decoded to something that is encoded and decoded to the
// same, or it is an error that names the bucket.
func FuzzValues(f *testing.F) {
	login, err := encodeLogin(login{disabled: true, keys: sampleKeys()})
	require.NoError(f, err)
	redacted := sampleEntry(2)
	redacted.Message = nil
	for kind, values := range map[string][][]byte{
		bucketAccounts:    {login},
		bucketTokens:      {encodeTokens(tokenEntry{sampleToken, 7})},
		bucketRosters:     {encodeRosterState(rosterState{1 << 50, 3, 2, 1})},
		bucketRosterItems: {encodeItem(sampleItem), encodeItem(stranger)},
		bucketBoxes:       {encodeSums(sums{3, 1000})},
		bucketLastSeen:    {encodeLastSeen(sampleSeen), encodeLastSeen(zeroSeen)},
		bucketBlocking:    {encodeBlocked([]jid.JID{juliet, romeo}), encodeBlocked(nil)},
		bucketArchives:    {encodeArchive(archive{1, 10, 5000})},
		bucketEntries:     {encodeEntry(sampleEntry(1), sampleTime), encodeEntry(redacted, time.Time{}), encodeEntry(new(mam.Entry), sampleTime)},
		bucketPrefs:       {encodePrefs(samplePrefs)},
		bucketVCards:      {encodeRaw(sampleCard)},
		bucketSessionSums: {encodeSaved(saved{9, 3, 1000, 500})},
	} {
		for n := range codecs {
			if codecs[n].bucket == kind {
				for _, v := range values {
					f.Add(byte(n), v)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		c := codecs[int(kind)%len(codecs)]
		whole := bytes.Clone(b)
		once, err := c.again(b)
		require.Equal(t, whole, b, "a value is read only")
		if err != nil {
			requireCorrupt(t, c.bucket, err)
			return
		}
		twice, err := c.again(once)
		require.NoError(t, err)
		require.Equal(t, once, twice)
	})
}

// FuzzKeys: a key of an entry is split into what it was made of.
func FuzzKeys(f *testing.F) {
	f.Add(numbered(juliet, 7))
	f.Add(named(juliet, "name"))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, key []byte) {
		account, n, err := splitNumbered(bucketEntries, key)
		if err != nil {
			requireCorrupt(t, bucketEntries, err)
			return
		}
		if account.IsBare() && bytes.Equal(prefix(account, 0), key[:len(key)-8]) {
			require.Equal(t, key, numbered(account, n))
		}
	})
}
