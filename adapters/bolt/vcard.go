package bolt

import (
	"bytes"
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/vcard"
)

// vcards implements vcard.Store.
type vcards struct{ db *DB }

// Get implements vcard.Store.
func (s vcards) Get(ctx context.Context, account jid.JID) (card []byte, err error) {
	err = s.db.view(ctx, func(t *txn) error {
		v := t.get(bucketVCards, plain(account))
		if v == nil {
			return nil
		}
		raw, err := decodeRaw(bucketVCards, v)
		card = bytes.Clone(raw)
		return err
	})
	return card, err
}

// Put implements vcard.Store.
func (s vcards) Put(ctx context.Context, account jid.JID, card []byte) error {
	value, key := encodeRaw(card), plain(account)
	return s.db.update(ctx, func(t *txn) error {
		old := t.get(bucketVCards, key)
		more := int64(len(card) - max(len(old)-1, 0))
		total, err := t.total(totalVCardBytes)
		switch limit := s.db.options.VCardBytes; {
		case err != nil:
			return err
		case more > 0 && total+more > limit:
			return fmt.Errorf("%w: more than %d bytes", vcard.ErrFull, limit)
		case card == nil && old == nil:
			return nil
		}
		if err := t.add(totalVCardBytes, more); err != nil {
			return err
		}
		if card == nil {
			return t.remove(bucketVCards, key)
		}
		return t.put(bucketVCards, key, value)
	})
}
