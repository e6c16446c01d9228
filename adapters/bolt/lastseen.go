package bolt

import (
	"bytes"
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
)

// lastSeen implements presence.LastSeenStore.
type lastSeen struct{ db *DB }

// maxFarewell is how long the presence may be that is kept with the time: the time
// alone is what most ask for.
const maxFarewell = 4 << 10

func encodeLastSeen(seen presence.LastSeen) []byte {
	v := newValue(32 + len(seen.Presence))
	v.time(seen.At)
	v.bytes(seen.Presence)
	return v
}

func decodeLastSeen(b []byte) (presence.LastSeen, error) {
	r := newReader(b)
	seen := presence.LastSeen{At: r.time()}
	if p := r.bytes(); len(p) > 0 {
		seen.Presence = bytes.Clone(p)
	}
	return seen, r.end(bucketLastSeen)
}

// SetLastSeen implements presence.LastSeenStore.
func (s lastSeen) SetLastSeen(ctx context.Context, account jid.JID, seen presence.LastSeen) error {
	if len(seen.Presence) > maxFarewell {
		seen.Presence = nil
	}
	value, key := encodeLastSeen(seen), plain(account)
	return s.db.update(ctx, func(t *txn) error {
		known := t.get(bucketLastSeen, key) != nil
		switch {
		case seen.At.IsZero() && !known:
			return nil
		case seen.At.IsZero():
			if err := t.remove(bucketLastSeen, key); err != nil {
				return err
			}
			return t.add(totalLastSeen, -1)
		case !known:
			if err := s.admit(t, key); err != nil {
				return err
			}
		}
		return t.put(bucketLastSeen, key, value)
	})
}

// admit counts one account more, in place of another one if there is no room: the
// next one in the order of the addresses.
func (s lastSeen) admit(t *txn, key []byte) error {
	n, err := t.total(totalLastSeen)
	if err != nil || n < int64(s.db.options.MaxAccounts) {
		if err == nil {
			err = t.add(totalLastSeen, 1)
		}
		return err
	}
	c := t.Bucket([]byte(bucketLastSeen)).Cursor()
	other, _ := c.Seek(key)
	if other == nil {
		other, _ = c.First()
	}
	return t.remove(bucketLastSeen, bytes.Clone(other))
}

// LastSeen implements presence.LastSeenStore.
func (s lastSeen) LastSeen(ctx context.Context, account jid.JID) (seen presence.LastSeen, err error) {
	err = s.db.view(ctx, func(t *txn) (err error) {
		if v := t.get(bucketLastSeen, plain(account)); v != nil {
			seen, err = decodeLastSeen(v)
		}
		return err
	})
	if err != nil {
		return presence.LastSeen{}, err
	}
	return seen, nil
}
