package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"stanzakit.dev/xmpp/jid"
)

// verifier checks that what is kept more than once fits together.
type verifier struct {
	t      *txn
	errs   []error
	totals map[string]int64
}

// verify returns what does not fit together in a file, and what the pages of it have
// wrong.
func verify(db *DB) error {
	return db.bolt.View(func(tx *bbolt.Tx) error {
		v := &verifier{t: &txn{Tx: tx}, totals: make(map[string]int64)}
		v.accounts()
		v.tokens()
		v.rosters()
		v.sums(bucketBoxes, bucketOffline, totalBoxes)
		v.sums(bucketPrivateSums, bucketPrivate, totalPrivate)
		v.archives()
		v.sessions()
		v.each(bucketLastSeen, func(_, b []byte) error { v.totals[totalLastSeen]++; _, err := decodeLastSeen(b); return err })
		v.each(bucketBlocking, func(_, b []byte) error { v.totals[totalBlocking]++; _, err := decodeBlocked(b); return err })
		v.each(bucketVCards, func(_, b []byte) error {
			raw, err := decodeRaw(bucketVCards, b)
			v.totals[totalVCardBytes] += int64(len(raw))
			return err
		})
		v.each(bucketTotals, func(k, b []byte) error {
			if want, got := v.totals[string(k)], int64(binary.BigEndian.Uint64(b)); want != got {
				return fmt.Errorf("total %s is %d, not %d", k, got, want)
			}
			delete(v.totals, string(k))
			return nil
		})
		for name, n := range v.totals {
			v.check(n == 0, "total %s is missing", name)
		}
		for err := range tx.Check() {
			v.errs = append(v.errs, err)
		}
		if len(v.errs) > 0 {
			return fmt.Errorf("%d errors, the first one: %w", len(v.errs), v.errs[0])
		}
		return nil
	})
}

func (v *verifier) check(ok bool, format string, args ...any) {
	if !ok {
		v.errs = append(v.errs, fmt.Errorf(format, args...))
	}
}

func (v *verifier) each(bucket string, f func(k, value []byte) error) {
	err := v.t.Bucket([]byte(bucket)).ForEach(func(k, value []byte) error {
		if err := f(k, value); err != nil {
			v.errs = append(v.errs, fmt.Errorf("%s, %q: %w", bucket, k, err))
		}
		return nil
	})
	v.check(err == nil, "%v", err)
}

// owner splits a key into the account and the rest.
func owner(key []byte) (account string, rest []byte) {
	n := int(binary.BigEndian.Uint16(key))
	return string(key[2 : 2+n]), key[2+n:]
}

func (v *verifier) accounts() {
	v.each(bucketAccounts, func(_, b []byte) error {
		_, err := decodeLogin(b)
		v.totals[totalAccounts]++
		return err
	})
}

func (v *verifier) tokens() {
	v.each(bucketTokens, func(k, b []byte) error {
		e, err := decodeTokens(b)
		v.totals[totalTokens]++
		order := v.t.get(bucketTokenOrder, binary.BigEndian.AppendUint64(nil, e.order))
		v.check(bytes.Equal(order, k), "the order of %q is that of %q", k, order)
		return err
	})
	n := int64(0)
	v.each(bucketTokenOrder, func(_, _ []byte) error { n++; return nil })
	v.check(n == v.totals[totalTokens], "%d clients in the order, and %d in all", n, v.totals[totalTokens])
}

func (v *verifier) rosters() {
	states := make(map[string]rosterState)
	v.each(bucketRosters, func(k, b []byte) error {
		s, err := decodeRosterState(b)
		states[string(k)] = s
		v.totals[totalRosters]++
		return err
	})
	counted := make(map[string]rosterState)
	v.each(bucketRosterItems, func(k, b []byte) error {
		account, contact := owner(k)
		s := counted[account]
		i, err := decodeItem(contact, b)
		s.count(i.Listed(), 1)
		counted[account] = s
		return err
	})
	v.each(bucketRosterChanges, func(k, b []byte) error {
		account, _ := owner(k)
		s := counted[account]
		s.version, _ = number(k)
		s.changes++
		counted[account] = s
		_, err := decodeRaw(bucketRosterChanges, b)
		return err
	})
	for account, s := range states {
		v.check(s == counted[account], "roster of %s: %+v, and %+v is there", account, s, counted[account])
		delete(counted, account)
	}
	v.check(len(counted) == 0, "items or changes without a roster: %v", counted)
}

// sums checks the counts of accounts.
func (v *verifier) sums(bucket, of, total string) {
	counted := make(map[string]sums)
	v.each(of, func(k, b []byte) error {
		account, _ := owner(k)
		s := counted[account]
		s.count++
		s.bytes += int64(len(b) - 1)
		counted[account] = s
		return nil
	})
	v.each(bucket, func(k, b []byte) error {
		s, err := decodeSums(bucket, b)
		v.check(s == counted[string(k)] && s.count > 0, "%s of %s: %+v, and %+v is there", bucket, k, s, counted[string(k)])
		delete(counted, string(k))
		v.totals[total]++
		return err
	})
	v.check(len(counted) == 0, "%s without a sum: %v", of, counted)
}

func (v *verifier) archives() {
	entries := int64(0)
	v.each(bucketArchives, func(k, b []byte) error {
		account, err := jid.ParseBytes(k)
		if err != nil {
			return err
		}
		a, err := decodeArchive(b)
		v.check(a.count() > 0, "an archive without entries is kept")
		size, last := int64(0), entry{}
		places := make(map[string]uint64)
		for n := a.first; n < a.next && err == nil; n++ {
			entries++
			var e entry
			if e, err = v.t.entry(account, n); err != nil {
				break
			}
			size += e.size()
			v.check(!e.at.Before(last.at), "times go back at %d", n)
			last = e
			found, err := v.t.find(account, string(e.id))
			v.check(err == nil && found == n, "id of %d: %d, %v", n, found, err)
			contact, err := e.contact(account)
			v.check(err == nil, "contact of %d: %v", n, err)
			p := with(account, contact)
			if places[string(p)] == 0 {
				first, _ := v.t.Bucket([]byte(bucketContacts)).Cursor().Seek(p)
				places[string(p)], _ = number(first)
			}
			at := v.t.get(bucketContacts, binary.BigEndian.AppendUint64(bytes.Clone(p), places[string(p)]))
			v.check(bytes.Equal(at, binary.BigEndian.AppendUint64(nil, n)), "index of %s: %x is not %d", contact, at, n)
			places[string(p)]++
		}
		v.check(size == a.bytes, "archive of %s: %d bytes, and %d are there", account, a.bytes, size)
		v.totals[totalArchiveBytes] += size
		return err
	})
	for _, bucket := range []string{bucketEntries, bucketEntryIDs, bucketContacts} {
		n := int64(0)
		v.each(bucket, func(_, _ []byte) error { n++; return nil })
		v.check(n == entries, "%s: %d, and there are %d entries", bucket, n, entries)
	}
	v.each(bucketPrefs, func(_, b []byte) error {
		v.totals[totalArchiveBytes] += prefsSize(b)
		_, err := decodePrefs(b)
		return err
	})
}

func (v *verifier) sessions() {
	counted := make(map[string]saved)
	v.each(bucketSessionJournals, func(k, b []byte) error {
		n, _ := number(k)
		id := string(k[:len(k)-8])
		s := counted[id]
		v.check(s.rows == 0 || s.next == n, "a gap before row %d", n)
		s.next = n + 1
		s.rows++
		s.journal += int64(len(b) - 1)
		counted[id] = s
		return nil
	})
	v.each(bucketSessions, func(k, b []byte) error {
		s := counted[string(k)]
		s.state = int64(len(b) - 1)
		counted[string(k)] = s
		return nil
	})
	v.each(bucketSessionSums, func(k, b []byte) error {
		s, err := decodeSaved(b)
		want := counted[string(k)]
		if want.rows == 0 {
			want.next = s.next
		}
		v.check(s == want && s.state > 0, "session %q: %+v, and %+v is there", k, s, want)
		delete(counted, string(k))
		v.totals[totalSessions]++
		v.totals[totalSessionBytes] += s.bytes()
		return err
	})
	v.check(len(counted) == 0, "sessions without a sum: %v", counted)
}
