package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"

	"go.etcd.io/bbolt"

	"stanzakit.dev/xmpp/jid"
)

// txn is a transaction, which counts what it changes.
type txn struct {
	*bbolt.Tx
	changes int
}

// get returns a value, which is valid as long as the transaction, and nil if there
// is none.
func (t *txn) get(bucket string, key []byte) []byte { return t.Bucket([]byte(bucket)).Get(key) }

// put stores a value, which must not be changed before the transaction ends.
func (t *txn) put(bucket string, key, value []byte) error {
	t.changes++
	return t.Bucket([]byte(bucket)).Put(key, value)
}

func (t *txn) remove(bucket string, key []byte) error {
	t.changes++
	return t.Bucket([]byte(bucket)).Delete(key)
}

// next returns a number that was never returned before for this bucket.
func (t *txn) next(bucket string) (uint64, error) {
	t.changes++
	return t.Bucket([]byte(bucket)).NextSequence()
}

// after calls each for the keys that begin with prefix and are behind start, in
// order, until it returns false. Each must not change the bucket.
func (t *txn) after(bucket string, prefix, start []byte, each func(key, value []byte) (bool, error)) error {
	c := t.Bucket([]byte(bucket)).Cursor()
	k, v := c.Seek(start)
	if bytes.Equal(k, start) && k != nil {
		k, v = c.Next()
	}
	for ; k != nil && bytes.HasPrefix(k, prefix); k, v = c.Next() {
		if more, err := each(k, v); err != nil || !more {
			return err
		}
	}
	return nil
}

// last returns the last key that begins with prefix, and its value.
func (t *txn) last(bucket string, prefix []byte) (key, value []byte) {
	c := t.Bucket([]byte(bucket)).Cursor()
	// No key continues with a byte after the prefix that is larger than all
	// others: what follows is a number below 2⁶³, or the length of a name.
	if key, _ = c.Seek(append(bytes.Clone(prefix), 0xff)); key == nil {
		key, value = c.Last()
	} else {
		key, value = c.Prev()
	}
	if !bytes.HasPrefix(key, prefix) {
		return nil, nil
	}
	return key, value
}

// clearChunk is how many keys removePrefix collects at a time.
const clearChunk = 1024

// removePrefix removes all keys that begin with prefix.
func (t *txn) removePrefix(bucket string, prefix []byte) error {
	for {
		var keys [][]byte
		err := t.after(bucket, prefix, prefix, func(k, _ []byte) (bool, error) {
			keys = append(keys, bytes.Clone(k))
			return len(keys) < clearChunk, nil
		})
		if err != nil || len(keys) == 0 {
			return err
		}
		for _, k := range keys {
			if err := t.remove(bucket, k); err != nil {
				return err
			}
		}
	}
}

// total returns a number that is kept for the file as a whole.
func (t *txn) total(name string) (int64, error) {
	v := t.get(bucketTotals, []byte(name))
	switch {
	case v == nil:
		return 0, nil
	case len(v) != 8 || binary.BigEndian.Uint64(v) > math.MaxInt64:
		return 0, &CorruptError{bucketTotals, errors.New("not a number")}
	}
	return int64(binary.BigEndian.Uint64(v)), nil
}

// add changes a total.
func (t *txn) add(name string, by int64) error {
	n, err := t.total(name)
	if err != nil || by == 0 {
		return err
	}
	if n += by; n < 0 {
		return &CorruptError{bucketTotals, errors.New("less than nothing")}
	}
	return t.put(bucketTotals, []byte(name), binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// Keys: for what there is one of for each account, the account as a string, so that
// their order is that of the strings; for the rest, the account with its length in
// front of it, and what tells the entries of the account from each other.

// plain is the key of what an account has one of.
func plain(account jid.JID) []byte { return []byte(account.Bare().String()) }

// prefix begins the keys of an account.
func prefix(account jid.JID, extra int) []byte {
	s := account.Bare().String()
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(s)+extra), uint16(len(s))), s...)
}

// numbered is the key of an entry with a number.
func numbered(account jid.JID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(prefix(account, 8), n)
}

// named is the key of an entry with a name.
func named(account jid.JID, name string) []byte { return append(prefix(account, len(name)), name...) }

// number returns the number at the end of a key.
func number(key []byte) (uint64, bool) {
	if len(key) < 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(key[len(key)-8:]), true
}

// splitNumbered returns the account and the number of a key that numbered has made.
func splitNumbered(bucket string, key []byte) (account jid.JID, n uint64, err error) {
	if len(key) < 2+8 || int(binary.BigEndian.Uint16(key)) != len(key)-2-8 {
		return account, 0, &CorruptError{bucket, errKey}
	}
	if account, err = jid.ParseBytes(key[2 : len(key)-8]); err != nil {
		return account, 0, &CorruptError{bucket, errKey}
	}
	n, _ = number(key)
	return account, n, nil
}
