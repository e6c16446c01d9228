package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

var (
	rosterJuliet   = jid.MustParse("juliet@capulet.lit")
	rosterNurse    = jid.MustParse("nurse@capulet.lit")
	rosterRomeo    = jid.MustParse("romeo@montague.lit")
	rosterBenvolio = jid.MustParse("benvolio@montague.lit")
	rosterMercutio = jid.MustParse("mercutio@verona.lit")
)

// Roster tests an implementation of [roster.Store]: open returns an empty one. It
// is called once for each test, which ends before the store is used again, so that
// open can register the closing of the store with t.Cleanup. The bounds of the
// store are its own and not tested; 50 items of an account must fit, 20 of them
// not listed.
func Roster(t *testing.T, open func(t *testing.T) roster.Store) {
	for name, test := range map[string]func(*testing.T, rosters){
		"empty":       testRosterEmpty,
		"round trip":  testRosterRoundTrip,
		"order":       testRosterOrder,
		"copies":      testRosterCopies,
		"versions":    testRosterVersions,
		"not listed":  testRosterNotListed,
		"not noted":   testRosterNotNoted,
		"remove":      testRosterRemove,
		"changes":     testRosterChanges,
		"delete":      testRosterDelete,
		"accounts":    testRosterAccounts,
		"random":      testRosterRandom,
		"concurrency": testRosterConcurrency,
	} {
		t.Run(name, func(t *testing.T) { test(t, rosters{t, open(t)}) })
	}
}

// rosters is a store whose errors end the test.
type rosters struct {
	t *testing.T
	roster.Store
}

func (s rosters) get(account jid.JID) roster.Roster {
	s.t.Helper()
	r, err := s.Roster(context.Background(), account)
	s.noError(err)
	if one, ok := s.Store.(roster.ItemStore); ok { // and then it says the same
		for _, want := range r.Items {
			i, err := one.Item(context.Background(), account, want.JID)
			s.noError(err)
			s.must(i.JID == want.JID && i.Equal(want), "Item returns %v, and Roster %v", i, want)
		}
		i, err := one.Item(context.Background(), account, jid.MustParse("nobody.example"))
		s.noError(err)
		s.must(i.JID.IsZero() && !i.Noted(), "Item returns %v for nobody", i)
	}
	return r
}

func (s rosters) put(account jid.JID, i roster.Item) uint64 {
	s.t.Helper()
	v, err := s.Put(context.Background(), account, i)
	s.noError(err)
	s.must(s.get(account).Version == v, "Put returns version %d, which is not that of the roster", v)
	return v
}

func (s rosters) remove(account, contact jid.JID) uint64 {
	s.t.Helper()
	v, err := s.Remove(context.Background(), account, contact)
	s.noError(err)
	s.must(s.get(account).Version == v, "Remove returns version %d, which is not that of the roster", v)
	return v
}

func (s rosters) changes(account jid.JID, since uint64) ([]roster.Change, bool) {
	s.t.Helper()
	c, ok, err := s.Changes(context.Background(), account, since)
	s.noError(err)
	s.must(ok || len(c) == 0, "changes that are not known: %v", c)
	return c, ok
}

// known is changes, which have to be known.
func (s rosters) known(account jid.JID, since uint64) []roster.Change {
	s.t.Helper()
	c, ok := s.changes(account, since)
	s.must(ok, "the changes since %d are not known", since)
	return c
}

func addedItem(contact jid.JID) roster.Item { return roster.Item{JID: contact, Added: true} }

// must ends the test unless ok.
func (s rosters) must(ok bool, format string, args ...any) {
	s.t.Helper()
	if !ok {
		s.t.Fatalf(format, args...)
	}
}

func (s rosters) noError(err error) {
	s.t.Helper()
	s.must(err == nil, "unexpected error: %v", err)
}

// holds checks all items of a roster, in order.
func (s rosters) holds(account jid.JID, want ...roster.Item) {
	s.t.Helper()
	got := s.get(account).Items
	s.must(slices.EqualFunc(want, got, roster.Item.Equal), "the roster of %s:\nwant %+v\ngot  %+v", account, want, got)
}

// changed checks the changes since a version, which have to be known.
func (s rosters) changed(account jid.JID, since uint64, want ...roster.Change) {
	s.t.Helper()
	got := s.known(account, since)
	s.must(slices.EqualFunc(want, got, func(a, b roster.Change) bool {
		return a.Version == b.Version && a.Removed == b.Removed && a.Item.Equal(b.Item)
	}), "changes since %d:\nwant %+v\ngot  %+v", since, want, got)
}

// removedItem is the change that a contact was removed.
func removedItem(version uint64, contact jid.JID) roster.Change {
	return roster.Change{Version: version, Item: roster.Item{JID: contact}, Removed: true}
}

// An account without a roster has an empty one: RFC 6121 §2.1.4 has no error for it.
func testRosterEmpty(t *testing.T, s rosters) {
	r := s.get(rosterJuliet)
	s.must(len(r.Items) == 0 && r.Version == 0, "an account without a roster has %+v", r)
	s.changed(rosterJuliet, 0)
	_, ok := s.changes(rosterJuliet, 7)
	s.must(!ok, "changes since a version that never was")
	s.must(s.remove(rosterJuliet, rosterRomeo) == 0, "a version of a roster in which nothing was listed")
	s.noError(s.Delete(t.Context(), rosterJuliet))
}

// RFC 6121 §2: the server SHOULD store the data unmodified.
func testRosterRoundTrip(t *testing.T, s rosters) {
	var want []roster.Item
	for i, state := range []roster.State{
		roster.None, roster.PendingOut, roster.PendingIn, roster.PendingOut | roster.PendingIn,
		roster.To, roster.To | roster.PendingIn, roster.From, roster.From | roster.PendingOut, roster.Both,
		roster.Approved, roster.PendingOut | roster.Approved, roster.To | roster.Approved,
	} {
		item := roster.Item{JID: jid.MustParse(fmt.Sprintf("contact%02d@example.net", i)), State: state, Added: true}
		if state.Has(roster.PendingIn) {
			item.Request = fmt.Appendf(nil, "request %d <&>\x00\xff", i)
		}
		want = append(want, item)
	}
	want = append(want,
		roster.Item{JID: jid.MustParse("gadget@example.net/full"), Added: true}, // of old
		roster.Item{JID: jid.MustParse("icq.example.net"), Name: "Transport", Added: true},
		roster.Item{JID: jid.MustParse("ñurse@example.net"), Name: " Nurse 🦉 <&'\"> ", Groups: []string{"Сlаss", " a ", strings.Repeat("g", 1023)}, Added: true},
		roster.Item{JID: jid.MustParse("stranger@example.net"), State: roster.PendingIn, Request: []byte(strings.Repeat("x", 8<<10))},
	)
	for _, i := range want {
		s.put(rosterJuliet, i)
	}
	slices.SortFunc(want, func(a, b roster.Item) int { return strings.Compare(a.JID.String(), b.JID.String()) })
	s.holds(rosterJuliet, want...)

	replaced := roster.Item{JID: rosterRomeo, Name: "Romeo", Groups: []string{"Friends"}, State: roster.PendingIn, Request: []byte("<presence/>"), Added: true}
	s.put(rosterNurse, replaced)
	replaced = roster.Item{JID: rosterRomeo, State: roster.From, Added: true}
	s.put(rosterNurse, replaced)
	s.holds(rosterNurse, replaced)
}

func testRosterOrder(t *testing.T, s rosters) {
	for _, j := range []jid.JID{rosterRomeo, rosterMercutio, rosterNurse, rosterBenvolio} {
		s.put(rosterJuliet, addedItem(j))
	}
	s.put(rosterJuliet, addedItem(rosterMercutio))
	s.holds(rosterJuliet, addedItem(rosterBenvolio), addedItem(rosterMercutio), addedItem(rosterNurse), addedItem(rosterRomeo))
}

// What goes in is copied, and the slice that comes out belongs to the caller.
func testRosterCopies(t *testing.T, s rosters) {
	item := roster.Item{JID: rosterRomeo, Groups: []string{"Friends"}, State: roster.PendingIn, Request: []byte("<presence/>"), Added: true}
	want := item.Clone()
	s.put(rosterJuliet, item)
	item.Groups[0], item.Request[0] = "Enemies", '!'
	got := s.get(rosterJuliet).Items
	s.must(len(got) == 1 && got[0].Equal(want), "want %+v, got %+v", want, got)
	got[0] = addedItem(rosterNurse)
	s.holds(rosterJuliet, want)
}

// RFC 6121 §2.6.3: the version of each push is unique, in the order of the changes.
func testRosterVersions(t *testing.T, s rosters) {
	last := uint64(0)
	for i, version := range []func() uint64{
		func() uint64 { return s.put(rosterJuliet, addedItem(rosterRomeo)) },
		func() uint64 { return s.put(rosterJuliet, addedItem(rosterNurse)) },
		func() uint64 { return s.put(rosterJuliet, roster.Item{JID: rosterRomeo, Name: "Romeo", Added: true}) },
		func() uint64 { return s.put(rosterJuliet, roster.Item{JID: rosterRomeo, Name: "Romeo", Added: true}) }, // the same again
		func() uint64 { return s.remove(rosterJuliet, rosterRomeo) },
		func() uint64 { return s.put(rosterJuliet, addedItem(rosterRomeo)) },
		func() uint64 { return s.remove(rosterJuliet, rosterRomeo) },
		func() uint64 { return s.remove(rosterJuliet, rosterNurse) },
	} {
		v := version()
		s.must(v > last, "step %d: version %d after %d", i, v, last)
		s.must(v <= 1<<53, "version %d", v)
		last = v
	}
	s.must(s.remove(rosterJuliet, rosterNurse) == last, "a new version, and nothing was removed")
	s.holds(rosterJuliet)
}

// RFC 6121 §3.1.3, §2.6.3: a request of a stranger is kept and is no part of the
// roster, so that its version stays.
func testRosterNotListed(t *testing.T, s rosters) {
	stranger := roster.Item{JID: rosterMercutio, State: roster.PendingIn, Request: []byte("<presence/>")}
	s.must(s.put(rosterJuliet, stranger) == 0, "a version of a roster in which nothing was listed")
	s.put(rosterJuliet, roster.Item{JID: rosterBenvolio, State: roster.PendingIn})
	s.must(s.remove(rosterJuliet, rosterBenvolio) == 0, "a version of a roster in which nothing was listed")
	s.holds(rosterJuliet, stranger)
	before := s.put(rosterJuliet, addedItem(rosterRomeo))
	s.must(s.put(rosterJuliet, roster.Item{JID: rosterBenvolio, State: roster.PendingIn}) == before, "a new version for what is not listed")
	s.must(s.remove(rosterJuliet, rosterBenvolio) == before, "a new version for what is not listed")
	s.changed(rosterJuliet, before)
	s.holds(rosterJuliet, stranger, addedItem(rosterRomeo))

	// It comes into the roster when it is approved (§A.1 state 3), …
	approved := stranger.With(roster.From)
	after := s.put(rosterJuliet, approved)
	s.must(after > before, "version %d after %d", after, before)
	s.changed(rosterJuliet, before, roster.Change{Version: after, Item: approved})
	// … and an item that is put back among the strangers is gone from it.
	gone := s.put(rosterJuliet, stranger)
	s.must(gone > after, "version %d after %d", gone, after)
	s.changed(rosterJuliet, after, removedItem(gone, rosterMercutio))
	s.holds(rosterJuliet, stranger, addedItem(rosterRomeo))
}

// What is neither listed nor pending is not kept.
func testRosterNotNoted(t *testing.T, s rosters) {
	s.must(s.put(rosterJuliet, roster.Item{JID: rosterRomeo}) == 0, "a version of a roster in which nothing was listed")
	s.holds(rosterJuliet)
	s.put(rosterJuliet, roster.Item{JID: rosterRomeo, State: roster.PendingIn})
	s.must(s.put(rosterJuliet, roster.Item{JID: rosterRomeo}) == 0, "a version of a roster in which nothing was listed")
	s.holds(rosterJuliet)
	was := s.put(rosterJuliet, addedItem(rosterRomeo))
	now := s.put(rosterJuliet, roster.Item{JID: rosterRomeo})
	s.must(now > was, "version %d after %d", now, was)
	s.holds(rosterJuliet)
	s.changed(rosterJuliet, was, removedItem(now, rosterRomeo))
}

func testRosterRemove(t *testing.T, s rosters) {
	s.put(rosterJuliet, addedItem(rosterRomeo))
	was := s.put(rosterJuliet, addedItem(rosterNurse))
	now := s.remove(rosterJuliet, rosterRomeo)
	s.holds(rosterJuliet, addedItem(rosterNurse))
	s.changed(rosterJuliet, was, removedItem(now, rosterRomeo))
	// A contact that comes back is no longer removed.
	back := s.put(rosterJuliet, addedItem(rosterRomeo))
	s.changed(rosterJuliet, was, roster.Change{Version: back, Item: addedItem(rosterRomeo)})
}

// RFC 6121 §2.6.3: the final result of all modifications of each item, in order.
func testRosterChanges(t *testing.T, s rosters) {
	first := s.put(rosterJuliet, addedItem(rosterRomeo))
	s.put(rosterJuliet, addedItem(rosterNurse))
	third := s.put(rosterJuliet, addedItem(rosterBenvolio))
	s.put(rosterJuliet, roster.Item{JID: rosterRomeo, Name: "R", Added: true})
	gone := s.remove(rosterJuliet, rosterNurse)
	final := roster.Item{JID: rosterRomeo, Name: "Romeo", Added: true}
	last := s.put(rosterJuliet, final)

	s.changed(rosterJuliet, first,
		roster.Change{Version: third, Item: addedItem(rosterBenvolio)}, removedItem(gone, rosterNurse), roster.Change{Version: last, Item: final})

	s.changed(rosterJuliet, last)
	_, ok := s.changes(rosterJuliet, last+1)
	s.must(!ok, "changes since a version to come")
	// Since the empty roster: all of it, or the word that it is not known.
	if c, ok := s.changes(rosterJuliet, 0); ok {
		s.must(sameItems(applyChanges(nil, c), s.get(rosterJuliet).Items), "the changes since the empty roster: %+v", c)
	}
}

// A new account is not mistaken for the one that had its name.
func testRosterDelete(t *testing.T, s rosters) {
	s.put(rosterJuliet, addedItem(rosterRomeo))
	old := s.put(rosterJuliet, roster.Item{JID: rosterMercutio, State: roster.PendingIn})
	s.put(rosterNurse, addedItem(rosterJuliet))
	s.noError(s.Delete(t.Context(), rosterJuliet))
	s.holds(rosterJuliet)
	s.holds(rosterNurse, addedItem(rosterJuliet))
	_, ok := s.changes(rosterJuliet, old)
	s.must(!ok, "changes since a version of the account that was deleted")

	versions := map[uint64]bool{old: true}
	for i := range 3 {
		v := s.put(rosterJuliet, addedItem([]jid.JID{rosterBenvolio, rosterMercutio, rosterNurse}[i]))
		s.must(!versions[v], "%d was the version of something else", v)
		versions[v] = true
	}
	if c, ok := s.changes(rosterJuliet, old); ok { // then they lead from there to here
		s.must(sameItems(applyChanges([]roster.Item{addedItem(rosterRomeo)}, c), s.get(rosterJuliet).Items), "the changes across a deletion: %+v", c)
	}
}

func testRosterAccounts(t *testing.T, s rosters) {
	s.put(rosterJuliet, addedItem(rosterRomeo))
	before := s.get(rosterJuliet)
	s.put(rosterRomeo, roster.Item{JID: rosterJuliet, State: roster.Both, Added: true})
	s.put(rosterNurse, roster.Item{JID: rosterRomeo, Name: "R", Added: true})
	s.remove(rosterNurse, rosterRomeo)
	s.noError(s.Delete(t.Context(), rosterRomeo))
	s.must(s.get(rosterJuliet).Version == before.Version, "the version changes with the roster of another account")
	s.holds(rosterJuliet, before.Items...)
}

// Whatever happens, the changes since a version lead from its roster to the present
// one, unless the store says that it does not know.
func testRosterRandom(t *testing.T, s rosters) {
	rnd := rosterDice(6121)
	type snapshot struct {
		version uint64
		items   []roster.Item
	}
	history := []snapshot{{}}
	for step := range 200 {
		contact := jid.MustParse(fmt.Sprintf("contact%d@example.net", rnd.below(12)))
		switch n := rnd.below(10); {
		case n < 3:
			s.remove(rosterJuliet, contact)
		case n < 5:
			s.put(rosterJuliet, roster.Item{JID: contact, State: roster.PendingIn, Request: fmt.Append(nil, step)})
		case n < 6:
			s.put(rosterJuliet, roster.Item{JID: contact})
		default:
			s.put(rosterJuliet, roster.Item{JID: contact, Name: fmt.Sprint(step), State: roster.To, Added: true})
		}
		now := s.get(rosterJuliet)
		listed := listedItems(now.Items)
		if last := history[len(history)-1]; last.version != now.Version {
			s.must(now.Version > last.version, "version %d after %d", now.Version, last.version)
			history = append(history, snapshot{now.Version, listed})
		} else {
			s.must(sameItems(last.items, listed), "step %d changed the list and not the version", step)
		}
		from := history[rnd.below(len(history))]
		c, ok := s.changes(rosterJuliet, from.version)
		if !ok {
			continue
		}
		s.must(sameItems(applyChanges(from.items, c), listed), "step %d: the changes since %d", step, from.version)
		seen, at := map[jid.JID]bool{}, from.version
		for _, ch := range c {
			s.must(!seen[ch.Item.JID], "step %d: %s twice", step, ch.Item.JID)
			s.must(ch.Version > at, "step %d: version %d after %d", step, ch.Version, at)
			seen[ch.Item.JID], at = true, ch.Version
		}
	}
	// The last few versions are always known.
	for _, h := range history[len(history)-5:] {
		s.known(rosterJuliet, h.version)
	}
}

// Accounts are changed at the same time, and read while they are.
func testRosterConcurrency(t *testing.T, s rosters) {
	var wg sync.WaitGroup
	errs := make(chan error, 64)
	for a := range 4 {
		account := jid.MustParse(fmt.Sprintf("account%d@example.net", a))
		wg.Go(func() {
			for i := range 25 {
				if _, err := s.Put(t.Context(), account, addedItem(jid.MustParse(fmt.Sprintf("contact%d@example.net", i)))); err != nil {
					errs <- err
					return
				}
			}
		})
		wg.Go(func() {
			var last uint64
			for range 25 {
				r, err := s.Roster(t.Context(), account)
				if err == nil {
					_, _, err = s.Changes(t.Context(), account, last)
				}
				if err == nil && r.Version < last {
					err = fmt.Errorf("version %d after %d", r.Version, last)
				}
				if err != nil {
					errs <- err
					return
				}
				last = r.Version
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		s.noError(err)
	}
	for a := range 4 {
		n := len(s.get(jid.MustParse(fmt.Sprintf("account%d@example.net", a))).Items)
		s.must(n == 25, "%d of 25 items were kept", n)
	}
}

// rosterDice is random enough for a test, and the same each time.
type rosterDice uint64

func (d *rosterDice) below(n int) int {
	*d = *d*6364136223846793005 + 1442695040888963407
	return int(*d>>33) % n
}

// listedItems returns the items that are listed.
func listedItems(items []roster.Item) []roster.Item {
	return slices.DeleteFunc(slices.Clone(items), func(i roster.Item) bool { return !i.Listed() })
}

// applyChanges carries out changes as a client does.
func applyChanges(items []roster.Item, changes []roster.Change) []roster.Item {
	items = slices.Clone(items)
	for _, c := range changes {
		items = slices.DeleteFunc(items, func(i roster.Item) bool { return i.JID == c.Item.JID })
		if !c.Removed {
			items = append(items, c.Item)
		}
	}
	return items
}

// sameItems compares two lists without regard to the order.
func sameItems(a, b []roster.Item) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(i roster.Item) bool { return !slices.ContainsFunc(b, i.Equal) })
}
