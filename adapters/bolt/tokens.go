package bolt

import (
	"bytes"
	"context"
	"encoding/binary"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/auth"
)

// tokens implements auth.TokenStore.
type tokens struct{ db *DB }

// tokenEntry is what is kept for a client.
type tokenEntry struct {
	tokens auth.ClientTokens
	order  uint64 // when they were changed last, as the key in bucketTokenOrder
}

func encodeTokens(e tokenEntry) []byte {
	v := newValue(256)
	v.uint(e.order)
	for _, t := range []auth.StoredToken{e.tokens.Current, e.tokens.New} {
		v.string(t.Mechanism)
		v.string(t.Secret)
		v.time(t.Expires)
		v.uint(t.Count)
		v.string(t.Stamp)
		v.string(t.Tasks)
	}
	return v
}

func decodeTokens(b []byte) (tokenEntry, error) {
	r := newReader(b)
	e := tokenEntry{order: r.uint()}
	for _, t := range []*auth.StoredToken{&e.tokens.Current, &e.tokens.New} {
		*t = auth.StoredToken{
			Mechanism: r.string(), Secret: r.string(), Expires: r.time(),
			Count: r.uint(), Stamp: r.string(), Tasks: r.string(),
		}
	}
	return e, r.end(bucketTokens)
}

// Update implements auth.TokenStore. The tokens are stored when it returns.
func (s tokens) Update(ctx context.Context, client auth.TokenClient, change func(*auth.ClientTokens) error) error {
	key := named(client.Account, client.Agent)
	return s.db.update(ctx, func(t *txn) error {
		var e tokenEntry
		old := t.get(bucketTokens, key)
		if old != nil {
			var err error
			if e, err = decodeTokens(old); err != nil {
				return err
			}
		}
		now := e.tokens
		if err := change(&now); err != nil || now == e.tokens {
			return err
		}
		if old != nil {
			if err := t.dropTokens(key, e); err != nil {
				return err
			}
		}
		if now == (auth.ClientTokens{}) {
			return nil
		}
		if old == nil {
			if err := s.makeRoom(t, client.Account); err != nil {
				return err
			}
		}
		return t.addTokens(key, now)
	})
}

// addTokens adds the tokens of a client as those that were changed last.
func (t *txn) addTokens(key []byte, tokens auth.ClientTokens) error {
	order, err := t.next(bucketTokenOrder)
	if err != nil {
		return err
	}
	if err := t.put(bucketTokenOrder, binary.BigEndian.AppendUint64(nil, order), key); err != nil {
		return err
	}
	if err := t.add(totalTokens, 1); err != nil {
		return err
	}
	return t.put(bucketTokens, key, encodeTokens(tokenEntry{tokens, order}))
}

// dropTokens removes the tokens of a client.
func (t *txn) dropTokens(key []byte, e tokenEntry) error {
	if err := t.remove(bucketTokenOrder, binary.BigEndian.AppendUint64(nil, e.order)); err != nil {
		return err
	}
	if err := t.add(totalTokens, -1); err != nil {
		return err
	}
	return t.remove(bucketTokens, key)
}

// keyed is an entry with its key.
type keyed struct {
	key   []byte
	entry tokenEntry
}

// tokensOf returns the tokens of all clients of an account.
func (t *txn) tokensOf(account jid.JID) (out []keyed, err error) {
	p := prefix(account, 0)
	err = t.after(bucketTokens, p, p, func(k, v []byte) (bool, error) {
		e, err := decodeTokens(v)
		out = append(out, keyed{bytes.Clone(k), e})
		return true, err
	})
	return out, err
}

// makeRoom removes the tokens of whom has not been heard of for longest: of the
// clients of the account, if it has as many as it may, and else of all clients.
func (s tokens) makeRoom(t *txn, account jid.JID) error {
	own, err := t.tokensOf(account)
	if err != nil {
		return err
	}
	if len(own) >= s.db.options.AccountTokenClients {
		oldest := own[0]
		for _, k := range own {
			if k.entry.order < oldest.entry.order {
				oldest = k
			}
		}
		return t.dropTokens(oldest.key, oldest.entry)
	}
	n, err := t.total(totalTokens)
	if err != nil || n < int64(s.db.options.TokenClients) {
		return err
	}
	_, key := t.Bucket([]byte(bucketTokenOrder)).Cursor().First()
	v := t.get(bucketTokens, key)
	if v == nil {
		return &CorruptError{bucketTokenOrder, errKey}
	}
	e, err := decodeTokens(v)
	if err != nil {
		return err
	}
	return t.dropTokens(bytes.Clone(key), e)
}

// Revoke implements auth.TokenStore.
func (s tokens) Revoke(ctx context.Context, account jid.JID) error {
	return s.db.update(ctx, func(t *txn) error { return t.revoke(account) })
}

// revoke removes all tokens of an account.
func (t *txn) revoke(account jid.JID) error {
	own, err := t.tokensOf(account)
	if err != nil {
		return err
	}
	for _, k := range own {
		if err := t.dropTokens(k.key, k.entry); err != nil {
			return err
		}
	}
	return nil
}
