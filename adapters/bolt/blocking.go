package bolt

import (
	"bytes"
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/blocking"
)

// blockLists implements blocking.Store.
type blockLists struct{ db *DB }

func encodeBlocked(blocked []jid.JID) []byte {
	v := newValue(8 + 32*len(blocked))
	v.jids(blocked)
	return v
}

func decodeBlocked(b []byte) ([]jid.JID, error) {
	r := newReader(b)
	blocked := r.jids()
	return blocked, r.end(bucketBlocking)
}

// blockedPage is how many lists are read at a time. Between them there is no
// transaction, so that each may do what it likes.
const blockedPage = 64

// All implements blocking.Store.
func (s blockLists) All(ctx context.Context, each func(account jid.JID, blocked []jid.JID) error) error {
	type list struct {
		account jid.JID
		blocked []jid.JID
	}
	var last []byte
	for {
		var page []list
		err := s.db.view(ctx, func(t *txn) error {
			return t.after(bucketBlocking, nil, last, func(k, v []byte) (bool, error) {
				account, err := jid.ParseBytes(k)
				if err != nil {
					return false, &CorruptError{bucketBlocking, errKey}
				}
				blocked, err := decodeBlocked(v)
				page, last = append(page, list{account, blocked}), bytes.Clone(k)
				return len(page) < blockedPage, err
			})
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, l := range page {
			if err := each(l.account, l.blocked); err != nil {
				return err
			}
		}
	}
}

// Put implements blocking.Store.
func (s blockLists) Put(ctx context.Context, account jid.JID, blocked []jid.JID) error {
	value, key := encodeBlocked(blocked), plain(account)
	return s.db.update(ctx, func(t *txn) error {
		known := t.get(bucketBlocking, key) != nil
		switch {
		case len(blocked) == 0 && !known:
			return nil
		case len(blocked) == 0:
			if err := t.remove(bucketBlocking, key); err != nil {
				return err
			}
			return t.add(totalBlocking, -1)
		case !known:
			n, err := t.total(totalBlocking)
			if err != nil {
				return err
			}
			if n >= int64(s.db.options.MaxAccounts) {
				return fmt.Errorf("%w: %d accounts have a list", blocking.ErrFull, n)
			}
			if err := t.add(totalBlocking, 1); err != nil {
				return err
			}
		}
		return t.put(bucketBlocking, key, value)
	})
}
