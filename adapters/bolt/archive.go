package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/mam"
)

// archives implements mam.Store. An archive is kept as the documentation of
// mam.Store proposes: entries under numbers without gaps, and the index of a contact
// under numbers without gaps of its own, since entries are only ever removed from
// the beginning. Every bound of a query is a look-up or a binary search.
type archives struct{ db *DB }

// archive returns what is kept of an archive; the zero value is an empty one.
func (t *txn) archive(account jid.JID) (archive, error) {
	v := t.get(bucketArchives, plain(account))
	if v == nil {
		return archive{first: 1, next: 1}, nil
	}
	return decodeArchive(v)
}

// setArchive keeps it, if there is anything in it.
func (t *txn) setArchive(account jid.JID, a archive) error {
	if a.count() == 0 {
		return t.remove(bucketArchives, plain(account))
	}
	return t.put(bucketArchives, plain(account), encodeArchive(a))
}

// entry returns the entry with a number, which there has to be.
func (t *txn) entry(account jid.JID, n uint64) (entry, error) {
	v := t.get(bucketEntries, numbered(account, n))
	if v == nil {
		return entry{}, &CorruptError{bucketEntries, errors.New("an entry is missing")}
	}
	return decodeEntry(v)
}

// find returns the number of the entry with an id.
func (t *txn) find(account jid.JID, id string) (uint64, error) {
	v := t.get(bucketEntryIDs, named(account, id))
	if v == nil {
		return 0, fmt.Errorf("%w: %.64q", mam.ErrNotFound, id)
	}
	return decodeNumber(bucketEntryIDs, v)
}

// index adds an entry to the index of a contact.
func (t *txn) index(account, contact jid.JID, n uint64) error {
	p := with(account, contact)
	place := uint64(1)
	if k, _ := t.last(bucketContacts, p); k != nil {
		last, _ := number(k)
		place = last + 1
	}
	return t.put(bucketContacts, binary.BigEndian.AppendUint64(p, place), binary.BigEndian.AppendUint64(nil, n))
}

// unindex removes the first entry from the index of a contact.
func (t *txn) unindex(account, contact jid.JID, n uint64) error {
	p := with(account, contact)
	k, v := t.Bucket([]byte(bucketContacts)).Cursor().Seek(p)
	if !bytes.HasPrefix(k, p) || len(k) != len(p)+8 || !bytes.Equal(v, binary.BigEndian.AppendUint64(nil, n)) {
		return &CorruptError{bucketContacts, errors.New("it does not fit the archive")}
	}
	return t.remove(bucketContacts, bytes.Clone(k))
}

// Append implements mam.Store.
func (s archives) Append(ctx context.Context, account jid.JID, e *mam.Entry, keep mam.Keep) error {
	size := int64(e.Size())
	return s.db.update(ctx, func(t *txn) error {
		if t.get(bucketEntryIDs, named(account, e.ID)) != nil {
			return fmt.Errorf("%w: %.64q", mam.ErrExists, e.ID)
		}
		a, err := t.archive(account)
		if err != nil {
			return err
		}
		_, free, err := t.unwanted(account, a, keep, 1, size)
		if err != nil {
			return err
		}
		total, err := t.total(totalArchiveBytes)
		if err != nil {
			return err
		}
		if total-free+size > s.db.options.ArchiveBytes {
			return mam.ErrFull
		}
		at := e.Time
		if a.count() > 0 {
			last, err := t.entry(account, a.next-1)
			if err != nil {
				return err
			}
			if at.Before(last.at) {
				at = last.at
			}
		}
		err = errors.Join(
			t.put(bucketEntries, numbered(account, a.next), encodeEntry(e, at)),
			t.put(bucketEntryIDs, named(account, e.ID), binary.BigEndian.AppendUint64(nil, a.next)),
			t.index(account, e.Contact(account), a.next),
			t.add(totalArchiveBytes, size),
		)
		if err != nil {
			return err
		}
		a.next++
		a.bytes += size
		if _, err := t.trim(account, &a, keep); err != nil {
			return err
		}
		return t.setArchive(account, a)
	})
}

// unwanted returns how many entries at the beginning keep does not want, if there
// were extra more of that size at the end, and how large they are.
func (t *txn) unwanted(account jid.JID, a archive, keep mam.Keep, extra, size int64) (n, free int64, err error) {
	for n < a.count() {
		e, err := t.entry(account, a.first+uint64(n))
		if err != nil {
			return 0, 0, err
		}
		over := keep.Messages > 0 && a.count()+extra-n > int64(keep.Messages) ||
			keep.Bytes > 0 && a.bytes+size-free > keep.Bytes ||
			e.at.Before(keep.Since)
		if !over {
			break
		}
		free += e.size()
		n++
	}
	return n, free, nil
}

// trim removes what keep does not want.
func (t *txn) trim(account jid.JID, a *archive, keep mam.Keep) (removed int64, err error) {
	n, free, err := t.unwanted(account, *a, keep, 0, 0)
	for ; err == nil && removed < n; removed++ {
		err = t.removeFirst(account, a)
	}
	if err != nil || n == 0 {
		return 0, err
	}
	a.bytes -= free
	return n, t.add(totalArchiveBytes, -free)
}

// removeFirst removes the first entry.
func (t *txn) removeFirst(account jid.JID, a *archive) error {
	e, err := t.entry(account, a.first)
	if err != nil {
		return err
	}
	contact, err := e.contact(account)
	if err != nil {
		return err
	}
	err = errors.Join(
		t.remove(bucketEntryIDs, named(account, string(e.id))),
		t.unindex(account, contact, a.first),
		t.remove(bucketEntries, numbered(account, a.first)),
	)
	a.first++
	return err
}

// Trim implements mam.Store.
func (s archives) Trim(ctx context.Context, account jid.JID, keep mam.Keep) (removed int, err error) {
	var n int64
	err = s.db.view(ctx, func(t *txn) error {
		a, err := t.archive(account)
		if err == nil {
			n, _, err = t.unwanted(account, a, keep, 0, 0)
		}
		return err
	})
	if err != nil || n == 0 {
		return 0, err
	}
	err = s.db.update(ctx, func(t *txn) error {
		a, err := t.archive(account)
		if err != nil {
			return err
		}
		if n, err = t.trim(account, &a, keep); err != nil || n == 0 {
			return err
		}
		return t.setArchive(account, a)
	})
	if err != nil {
		return 0, err
	}
	return int(n), nil
}

// Redact implements mam.Store.
func (s archives) Redact(ctx context.Context, account jid.JID, id string) error {
	return s.db.update(ctx, func(t *txn) error {
		n, err := t.find(account, id)
		if err != nil {
			return err
		}
		e, err := t.entry(account, n)
		if err != nil || e.message == nil {
			return err
		}
		a, err := t.archive(account)
		if err != nil {
			return err
		}
		less := int64(len(e.message))
		e.message = nil
		bare, err := e.copy()
		if err != nil {
			return err
		}
		a.bytes -= less
		return errors.Join(
			t.put(bucketEntries, numbered(account, n), encodeEntry(&bare, bare.Time)),
			t.add(totalArchiveBytes, -less),
			t.setArchive(account, a),
		)
	})
}

// Metadata implements mam.Store.
func (s archives) Metadata(ctx context.Context, account jid.JID) (first, last *mam.Entry, err error) {
	err = s.db.view(ctx, func(t *txn) error {
		a, err := t.archive(account)
		if err != nil || a.count() == 0 {
			return err
		}
		f, err := t.entry(account, a.first)
		if err != nil {
			return err
		}
		l, err := t.entry(account, a.next-1)
		first = &mam.Entry{ID: string(f.id), Time: f.at}
		last = &mam.Entry{ID: string(l.id), Time: l.at}
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return first, last, nil
}

// Accounts implements mam.Store.
func (s archives) Accounts(ctx context.Context, after jid.JID, max int) ([]jid.JID, error) {
	return s.db.accounts(ctx, bucketArchives, after, max, nil)
}

// accounts returns accounts of a bucket in the order of their strings, those that
// want returns true for; nil wants all.
func (db *DB) accounts(ctx context.Context, bucket string, after jid.JID, limit int, want func(value []byte) (bool, error)) (out []jid.JID, err error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	err = db.view(ctx, func(t *txn) error {
		return t.after(bucket, nil, []byte(after.String()), func(k, v []byte) (bool, error) {
			if want != nil {
				if ok, err := want(v); err != nil || !ok {
					return err == nil, err
				}
			}
			account, err := jid.ParseBytes(k)
			if err != nil {
				return false, &CorruptError{bucket, errKey}
			}
			out = append(out, account)
			return len(out) < limit, nil
		})
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Prefs implements mam.Store.
func (s archives) Prefs(ctx context.Context, account jid.JID) (p *mam.Prefs, err error) {
	err = s.db.view(ctx, func(t *txn) (err error) {
		if v := t.get(bucketPrefs, plain(account)); v != nil {
			p, err = decodePrefs(v)
		}
		return err
	})
	return p, err
}

// prefsSize is what preferences count for.
func prefsSize(value []byte) int64 {
	if value == nil {
		return 0
	}
	return entryCost + int64(len(value))
}

// SetPrefs implements mam.Store.
func (s archives) SetPrefs(ctx context.Context, account jid.JID, p *mam.Prefs) error {
	var value []byte
	if p != nil {
		value = encodePrefs(p)
	}
	return s.db.update(ctx, func(t *txn) error {
		return t.setPrefs(account, value, s.db.options.ArchiveBytes)
	})
}

// setPrefs replaces preferences; nil removes them.
func (t *txn) setPrefs(account jid.JID, value []byte, limit int64) error {
	old := t.get(bucketPrefs, plain(account))
	more := prefsSize(value) - prefsSize(old)
	total, err := t.total(totalArchiveBytes)
	switch {
	case err != nil:
		return err
	case more > 0 && total+more > limit:
		return mam.ErrFull
	case value == nil && old == nil:
		return nil
	}
	if err := t.add(totalArchiveBytes, more); err != nil {
		return err
	}
	if value == nil {
		return t.remove(bucketPrefs, plain(account))
	}
	return t.put(bucketPrefs, plain(account), value)
}

// Delete implements mam.Store. It is one transaction, however large the archive is,
// so that a crash leaves all of it or nothing.
func (s archives) Delete(ctx context.Context, account jid.JID) error {
	return s.db.update(ctx, func(t *txn) error {
		if err := t.setPrefs(account, nil, math.MaxInt64); err != nil {
			return err
		}
		if t.get(bucketArchives, plain(account)) == nil {
			return nil
		}
		a, err := t.archive(account)
		if err == nil {
			err = t.add(totalArchiveBytes, -a.bytes)
		}
		for _, bucket := range []string{bucketEntries, bucketEntryIDs, bucketContacts} {
			if err == nil {
				err = t.removePrefix(bucket, prefix(account, 0))
			}
		}
		if err != nil {
			return err
		}
		return t.remove(bucketArchives, plain(account))
	})
}
