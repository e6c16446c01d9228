package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream"
)

// fragments implements private.Store.
type fragments struct{ db *DB }

// maxName is how long the name of an element may be together with its namespace: a
// key has to fit into a page of the file.
const maxName = 8 << 10

// fragmentKey is the key of an element. It returns nil if the name is too long.
func fragmentKey(account jid.JID, name stream.Name) []byte {
	n := len(name.Space) + len(name.Local)
	if n > maxName {
		return nil
	}
	key := binary.BigEndian.AppendUint16(prefix(account, 2+n), uint16(len(name.Space)))
	return append(append(key, name.Space...), name.Local...)
}

// Get implements private.Store.
func (s fragments) Get(ctx context.Context, account jid.JID, name stream.Name) (xml []byte, err error) {
	key := fragmentKey(account, name)
	err = s.db.view(ctx, func(t *txn) error {
		v := t.get(bucketPrivate, key)
		if v == nil {
			return nil
		}
		raw, err := decodeRaw(bucketPrivate, v)
		xml = bytes.Clone(raw)
		return err
	})
	return xml, err
}

// Put implements private.Store.
func (s fragments) Put(ctx context.Context, account jid.JID, set []private.Fragment, q private.Quota) error {
	keys := make([][]byte, len(set))
	for i, f := range set {
		if keys[i] = fragmentKey(account, f.Name); keys[i] == nil && f.XML != nil {
			return fmt.Errorf("%w: a name is longer than %d bytes", private.ErrFull, maxName)
		}
	}
	return s.db.update(ctx, func(t *txn) error {
		before, had, err := t.sums(bucketPrivateSums, account)
		if err != nil {
			return err
		}
		after := before
		for i, f := range set {
			if old := t.get(bucketPrivate, keys[i]); old != nil {
				after.count--
				after.bytes -= int64(len(old) - 1)
			}
			if f.XML != nil {
				after.count++
				after.bytes += int64(len(f.XML))
			}
		}
		if over(after.count, before.count, q.Elements) || over(after.bytes, before.bytes, q.Bytes) {
			return fmt.Errorf("%w: more than %d elements or %d bytes", private.ErrFull, q.Elements, q.Bytes)
		}
		if !had && after.count > 0 {
			n, err := t.total(totalPrivate)
			if err != nil {
				return err
			}
			if n >= int64(s.db.options.MaxAccounts) {
				return fmt.Errorf("%w: %d accounts keep something", private.ErrFull, n)
			}
		}
		for i, f := range set {
			switch {
			case f.XML != nil:
				err = t.put(bucketPrivate, keys[i], encodeRaw(f.XML))
			case t.get(bucketPrivate, keys[i]) != nil:
				err = t.remove(bucketPrivate, keys[i])
			}
			if err != nil {
				return err
			}
		}
		if after == before {
			return nil
		}
		return t.setSums(bucketPrivateSums, totalPrivate, account, after, had)
	})
}

// over reports whether there is too much, and more than before.
func over(after, before int64, quota int) bool { return after > int64(quota) && after > before }

// Delete implements private.Store.
func (s fragments) Delete(ctx context.Context, account jid.JID) error {
	return s.db.update(ctx, func(t *txn) error {
		if t.get(bucketPrivateSums, plain(account)) == nil {
			return nil
		}
		if err := t.removePrefix(bucketPrivate, prefix(account, 0)); err != nil {
			return err
		}
		return t.setSums(bucketPrivateSums, totalPrivate, account, sums{}, true)
	})
}
