package bolt

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

// rosters implements roster.Store.
type rosters struct{ db *DB }

// maxVersion is the highest version of a roster that there may be.
const maxVersion = 1 << 53

// rosterState is what is kept of a roster beside its items.
type rosterState struct {
	version          uint64 // zero until something was listed
	listed, unlisted int64  // items
	changes          int64  // that are remembered
}

func encodeRosterState(s rosterState) []byte {
	v := newValue(24)
	v.uint(s.version)
	v.uint(uint64(s.listed))
	v.uint(uint64(s.unlisted))
	v.uint(uint64(s.changes))
	return v
}

func decodeRosterState(b []byte) (rosterState, error) {
	r := newReader(b)
	s := rosterState{version: r.uint(), listed: r.count(), unlisted: r.count(), changes: r.count()}
	return s, r.end(bucketRosters)
}

// Bits of a roster item beside its state.
const itemAdded = 1

func encodeItem(i roster.Item) []byte {
	v := newValue(64 + len(i.Name) + len(i.Request))
	v.uint(uint64(i.State))
	flags := uint64(0)
	if i.Added {
		flags |= itemAdded
	}
	v.uint(flags)
	v.string(i.Name)
	v.bytes(i.Request)
	v.uint(uint64(len(i.Groups)))
	for _, g := range i.Groups {
		v.string(g)
	}
	return v
}

func decodeItem(contact, b []byte) (roster.Item, error) {
	r := newReader(b)
	state, flags := r.uint(), r.uint()
	if state > 0xff || flags > itemAdded {
		r.fail(errRange)
	}
	i := roster.Item{State: roster.State(state), Added: flags&itemAdded != 0, Name: r.string()}
	if request := r.bytes(); len(request) > 0 {
		i.Request = bytes.Clone(request)
	}
	for range r.list() {
		if r.err != nil {
			break
		}
		i.Groups = append(i.Groups, r.string())
	}
	i.JID = parseKey(r, contact)
	return i, r.end(bucketRosterItems)
}

// parseKey reads an address that is the end of a key.
func parseKey(r *reader, key []byte) jid.JID {
	j, err := jid.ParseBytes(key)
	if err != nil {
		r.fail(errKey)
	}
	return j
}

// rosterState returns what is kept of a roster, and false if that is nothing.
func (t *txn) rosterState(account jid.JID) (s rosterState, ok bool, err error) {
	v := t.get(bucketRosters, plain(account))
	if v == nil {
		return s, false, nil
	}
	s, err = decodeRosterState(v)
	return s, true, err
}

// item returns the item of a contact.
func (t *txn) item(account, contact jid.JID) (i roster.Item, ok bool, err error) {
	v := t.get(bucketRosterItems, named(account, contact.String()))
	if v == nil {
		return i, false, nil
	}
	i, err = decodeItem([]byte(contact.String()), v)
	return i, true, err
}

// Item implements roster.ItemStore.
func (r rosters) Item(ctx context.Context, account, contact jid.JID) (item roster.Item, err error) {
	err = r.db.view(ctx, func(t *txn) error {
		item, _, err = t.item(account, contact)
		return err
	})
	return item, err
}

// Roster implements roster.Store.
func (s rosters) Roster(ctx context.Context, account jid.JID) (r roster.Roster, err error) {
	err = s.db.view(ctx, func(t *txn) error {
		state, ok, err := t.rosterState(account)
		if err != nil || !ok {
			return err
		}
		r.Version = state.version
		p := prefix(account, 0)
		return t.after(bucketRosterItems, p, p, func(k, v []byte) (bool, error) {
			i, err := decodeItem(k[len(p):], v)
			r.Items = append(r.Items, i)
			return true, err
		})
	})
	if err != nil {
		return roster.Roster{}, err
	}
	return r, nil
}

// Put implements roster.Store.
func (s rosters) Put(ctx context.Context, account jid.JID, item roster.Item) (version uint64, err error) {
	if !item.Noted() {
		return s.Remove(ctx, account, item.JID)
	}
	value := encodeItem(item)
	err = s.db.update(ctx, func(t *txn) error {
		state, known, err := t.rosterState(account)
		if err != nil {
			return err
		}
		version = state.version
		old, found, err := t.item(account, item.JID)
		if err != nil {
			return err
		}
		now, was := item.Listed(), found && old.Listed()
		if !found || now != was {
			if err := s.admit(t, state, known, now); err != nil {
				return err
			}
		}
		if !known {
			if err := t.add(totalRosters, 1); err != nil {
				return err
			}
		}
		if found {
			state.count(was, -1)
		}
		state.count(now, 1)
		if err := t.put(bucketRosterItems, named(account, item.JID.String()), value); err != nil {
			return err
		}
		if now || was {
			if err := s.changed(t, account, &state, item.JID); err != nil {
				return err
			}
		}
		version = state.version
		return t.put(bucketRosters, plain(account), encodeRosterState(state))
	})
	return version, err
}

// admit checks the bounds for one more item.
func (s rosters) admit(t *txn, state rosterState, known, listed bool) error {
	o := &s.db.options
	switch {
	case listed && state.listed >= int64(o.RosterItems):
		return fmt.Errorf("%w: there are %d contacts", roster.ErrFull, o.RosterItems)
	case !listed && state.unlisted >= int64(o.RosterPending):
		return fmt.Errorf("%w: %d requests are pending", roster.ErrFull, o.RosterPending)
	case known:
		return nil
	}
	n, err := t.total(totalRosters)
	if err == nil && n >= int64(o.MaxAccounts) {
		err = fmt.Errorf("%w: there are %d accounts with a roster", roster.ErrFull, n)
	}
	return err
}

func (s *rosterState) count(listed bool, by int64) {
	if listed {
		s.listed += by
	} else {
		s.unlisted += by
	}
}

// changed gives the roster a new version, of which a contact is the reason. All
// rosters take their versions from the same sequence, so that none comes again.
func (s rosters) changed(t *txn, account jid.JID, state *rosterState, contact jid.JID) error {
	version, err := t.next(bucketRosterChanges)
	if err != nil {
		return err
	}
	if version > maxVersion {
		return &CorruptError{bucketRosterChanges, errRange}
	}
	state.version = version
	state.changes++
	if err := t.put(bucketRosterChanges, numbered(account, version), encodeRaw([]byte(contact.String()))); err != nil {
		return err
	}
	for ; state.changes > int64(s.db.options.RosterChanges); state.changes-- {
		p := prefix(account, 0)
		var oldest []byte
		err := t.after(bucketRosterChanges, p, p, func(k, _ []byte) (bool, error) {
			oldest = bytes.Clone(k)
			return false, nil
		})
		if err == nil && oldest != nil {
			err = t.remove(bucketRosterChanges, oldest)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Remove implements roster.Store.
func (s rosters) Remove(ctx context.Context, account, contact jid.JID) (version uint64, err error) {
	err = s.db.update(ctx, func(t *txn) error {
		state, _, err := t.rosterState(account)
		if err != nil {
			return err
		}
		version = state.version
		old, found, err := t.item(account, contact)
		if err != nil || !found {
			return err
		}
		if err := t.remove(bucketRosterItems, named(account, contact.String())); err != nil {
			return err
		}
		was := old.Listed()
		state.count(was, -1)
		if was {
			if err := s.changed(t, account, &state, contact); err != nil {
				return err
			}
		}
		version = state.version
		if state.version == 0 && state.unlisted == 0 {
			return t.dropRoster(account) // only strangers have ever been here
		}
		return t.put(bucketRosters, plain(account), encodeRosterState(state))
	})
	return version, err
}

// dropRoster removes what is kept beside the items and changes.
func (t *txn) dropRoster(account jid.JID) error {
	if err := t.add(totalRosters, -1); err != nil {
		return err
	}
	return t.remove(bucketRosters, plain(account))
}

// Changes implements roster.Store.
func (s rosters) Changes(ctx context.Context, account jid.JID, since uint64) (out []roster.Change, known bool, err error) {
	err = s.db.view(ctx, func(t *txn) error {
		state, _, err := t.rosterState(account)
		if err != nil {
			return err
		}
		if known = since == state.version; known {
			return nil
		}
		// A version that is not there was never that of this roster, or is too
		// old.
		if known = t.get(bucketRosterChanges, numbered(account, since)) != nil; !known {
			return nil
		}
		out, err = t.changesSince(account, since)
		return err
	})
	if err != nil {
		return nil, false, err
	}
	return out, known, nil
}

// changesSince returns the last change of each contact behind a version.
func (t *txn) changesSince(account jid.JID, since uint64) (out []roster.Change, err error) {
	err = t.after(bucketRosterChanges, prefix(account, 0), numbered(account, since), func(k, v []byte) (bool, error) {
		raw, err := decodeRaw(bucketRosterChanges, v)
		if err != nil {
			return false, err
		}
		contact, err := jid.ParseBytes(raw)
		version, ok := number(k)
		if err != nil || !ok {
			return false, &CorruptError{bucketRosterChanges, errKey}
		}
		out = append(out, roster.Change{Version: version, Item: roster.Item{JID: contact}})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	seen := make(map[jid.JID]bool)
	for n := len(out) - 1; n >= 0; n-- {
		if contact := out[n].Item.JID; seen[contact] {
			out[n].Version = 0 // something happened to it later
		} else {
			seen[contact] = true
		}
	}
	out = slices.DeleteFunc(out, func(c roster.Change) bool { return c.Version == 0 })
	for n := range out {
		i, found, err := t.item(account, out[n].Item.JID)
		if err != nil {
			return nil, err
		}
		if found && i.Listed() {
			out[n].Item = i
		} else {
			out[n].Removed = true
		}
	}
	return out, nil
}

// Delete implements roster.Store.
func (s rosters) Delete(ctx context.Context, account jid.JID) error {
	return s.db.update(ctx, func(t *txn) error {
		if t.get(bucketRosters, plain(account)) == nil {
			return nil
		}
		for _, bucket := range []string{bucketRosterItems, bucketRosterChanges} {
			if err := t.removePrefix(bucket, prefix(account, 0)); err != nil {
				return err
			}
		}
		return t.dropRoster(account)
	})
}
