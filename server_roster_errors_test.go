package xmpp_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

// RFC 6121 §2.3.3, §2.5.3: what is wrong with a roster set is answered with the
// error that the section names; nothing has changed and nobody is told.
//
//conformance:proves 6121-2.1.2.3-1 6121-2.1.2.5-3 6121-2.1.5-2 6121-2.3.3-1 6121-2.3.3-3 6121-2.3.3-4 6121-2.5.3-1
func TestRosterSetErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		full, list := resource(t, s, "romeo", "full"), resource(t, s, "romeo", "list")
		full.drop()
		full.say(setItem("0", `<item jid='nurse@far.test' name='Nurse'><group>Servants</group></item>`))
		full.drop()
		list.drop()
		ver, before := list.versioned("")
		groups := ""
		for i := range 65 {
			groups += "<group>g" + string(rune('a'+i/26)) + string(rune('a'+i%26)) + "</group>"
		}
		item := func(inner string) string { return `<item jid='nurse@far.test'>` + inner + `</item>` }
		for _, tc := range []struct{ items, want string }{
			// bad-request: RFC 6121 §2.1.5 rule 1, §2.1.2.3, §2.3.3.
			{``, "modify bad-request"},
			{`<x xmlns='urn:x'/>`, "modify bad-request"},
			{`<item xmlns='urn:x' jid='nurse@far.test'/>`, "modify bad-request"},
			{`<item jid='nurse@far.test'/><item jid='mother@far.test'/>`, "modify bad-request"},
			{`<item jid='nurse@far.test'/><item jid='nurse@far.test'/>`, "modify bad-request"},
			{`<item jid='nurse@far.test' subscription='remove'/><item jid='mother@far.test'/>`, "modify bad-request"},
			{`<item name='Nurse'/>`, "modify bad-request"},
			{`<item subscription='remove'/>`, "modify bad-request"},
			{item(`<group>Servants</group><group>Servants</group>`), "modify bad-request"},
			{item(`<group>A</group><group>B</group><group>A</group>`), "modify bad-request"},
			{item("<group>caf\u00e9</group><group>cafe\u0301</group>"), "modify bad-request"}, // the same resourcepart
			{`<item jid='nurse@far.test/chamber'/>`, "modify bad-request"},
			// not-acceptable: §2.3.3.
			{`<item jid='nurse@far.test' name='` + strings.Repeat("n", 1024) + `'/>`, "modify not-acceptable"},
			{`<item jid='nurse@far.test' name='` + strings.Repeat("ü", 512) + `'/>`, "modify not-acceptable"},
			{`<item jid='nurse@far.test' name='` + strings.Repeat("n", 20_000) + `'/>`, "modify not-acceptable"},
			{item(`<group/>`), "modify not-acceptable"},
			{item(`<group></group>`), "modify not-acceptable"},
			{item(`<group>A</group><group><b xmlns='urn:b'>B</b></group>`), "modify not-acceptable"},
			{item(`<group>` + strings.Repeat("g", 1024) + `</group>`), "modify not-acceptable"},
			{item(`<group>` + strings.Repeat("g", 20_000) + `</group>`), "modify not-acceptable"},
			{item(groups), "modify not-acceptable"},
			// RFC 6120 §8.3.3.8.
			{`<item jid=''/>`, "modify jid-malformed"},
			{`<item jid='@far.test'/>`, "modify jid-malformed"},
			{`<item jid='nur se@far.test'/>`, "modify jid-malformed"},
			{`<item jid='nurse@far.test/'/>`, "modify jid-malformed"},
			{`<item jid='nurse@@far.test'/>`, "modify jid-malformed"},
			{`<item jid='` + strings.Repeat("n", 1024) + `@far.test'/>`, "modify jid-malformed"},
			{`<item jid='nurse@far..test' subscription='remove'/>`, "modify jid-malformed"},
			// §2.3.3, interoperability note.
			{`<item jid='romeo@xmpp.test'/>`, "cancel not-allowed"},
			{`<item jid='ROMEO@xmpp.test' name='me'/>`, "cancel not-allowed"},
			{`<item jid='romeo@xmpp.test/full'/>`, "cancel not-allowed"},
			// §2.5.3.
			{`<item jid='mother@far.test' subscription='remove'/>`, "modify item-not-found"},
			{`<item jid='nurse@far.test/chamber' subscription='remove'/>`, "modify item-not-found"},
			{`<item jid='far.test' subscription='remove'/>`, "modify item-not-found"},
			{`<item jid='romeo@xmpp.test' subscription='remove'/>`, "modify item-not-found"},
		} {
			full.say(setItem("e", tc.items))
			require.Equal(t, tc.want, full.refused("e"), "%.200s", tc.items)
			full.quiet()
			list.quiet()
			now, items := list.versioned("")
			require.Equal(t, before, items, "%.200s", tc.items)
			require.Equal(t, ver, now, "%.200s", tc.items)
		}
		// What was removed is not there any more.
		full.say(setItem("r", `<item jid='Nurse@far.test' subscription='remove' name='x'><group/></item>`))
		require.Equal(t, "nurse@far.test remove", full.nextPush().item)
		full.hears("iq result -→romeo@xmpp.test/full r")
		full.say(setItem("r2", `<item jid='nurse@far.test' subscription='remove'/>`))
		require.Equal(t, "modify item-not-found", full.refused("r2"))
		require.Equal(t, "nurse@far.test remove", list.nextPush().item)
		require.Empty(t, list.items())
	})
}

// refused is the next stanza, which is an error: its type and condition.
func (p *peer) refused(id string) string {
	p.t.Helper()
	el := p.hear()
	require.Equal(p.t, "iq error "+id, el.Name().Local+" "+el.Attr("type")+" "+el.Attr("id"), "%s", el.Raw())
	for e := range el.Children() {
		if e.Name().Local == "error" {
			for c := range e.Children() {
				return e.Attr("type") + " " + c.Name().Local
			}
		}
	}
	require.FailNow(p.t, "no condition", "%s", el.Raw())
	return ""
}

// RFC 6121 §2, §2.1.5: nobody reads or changes the roster of another account, nor
// of one that does not exist, and both look alike.
//
//conformance:proves 6121-2-3 6121-2.1.5-3 6121-2.3.3-2
func TestRosterOfOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		s.AddAccount(t, "paris", "secret of paris")
		romeo, juliet := resource(t, s, "romeo", "full"), resource(t, s, "juliet", "full")
		juliet.say(setItem("0", `<item jid='nurse@far.test'/>`))
		juliet.drop()
		// Those who may see each other's presence are no exception.
		befriend(romeo, juliet)
		before := juliet.items()
		for _, to := range []string{"juliet@xmpp.test", "paris@xmpp.test", "nobody@xmpp.test"} {
			for _, item := range []string{`<item jid='romeo@xmpp.test' name='R'/>`, `<item jid='nurse@far.test' subscription='remove'/>`, `<item jid='x@far.test'/>`, ``, `<item/>`} {
				romeo.say(`<iq type='set' id='s' to='` + to + `'><query xmlns='jabber:iq:roster'>` + item + `</query></iq>`)
				require.Equal(t, "auth forbidden", romeo.refused("s"), "%s %s", to, item)
			}
			romeo.say(`<iq type='get' id='g' to='` + to + `'><query xmlns='jabber:iq:roster'/></iq>`)
			require.Equal(t, "cancel service-unavailable", romeo.refused("g"), to)
		}
		romeo.say(`<iq type='set' id='s' to='juliet@far.test'><query xmlns='jabber:iq:roster'><item jid='x@far.test'/></query></iq>`)
		require.Equal(t, "cancel remote-server-not-found", romeo.refused("s"))
		// The server itself has no roster.
		for _, typ := range []string{"get", "set"} {
			romeo.say(`<iq type='` + typ + `' id='d' to='xmpp.test'><query xmlns='jabber:iq:roster'/></iq>`)
			require.Equal(t, "cancel service-unavailable", romeo.refused("d"))
		}
		juliet.quiet()
		require.Equal(t, before, juliet.items())
		// A push of somebody else reaches nobody's roster: it is a request to that
		// client, with the true sender on it (§2.1.6).
		romeo.say(`<iq type='set' id='push' to='juliet@xmpp.test/full'><query xmlns='jabber:iq:roster'><item jid='x@far.test'/></query></iq>`)
		juliet.hears("iq set romeo@xmpp.test/full→juliet@xmpp.test/full push")
		require.Equal(t, before, juliet.items())
	})
}

// befriend gives two accounts subscriptions to each other; all that is said of it is
// dropped.
func befriend(a, b *peer) {
	a.t.Helper()
	for _, typ := range []string{"subscribe", "subscribed"} {
		a.say(`<presence type='` + typ + `' to='` + b.LocalAddr().Bare().String() + `'/>`)
		a.drop()
		b.say(`<presence type='` + typ + `' to='` + a.LocalAddr().Bare().String() + `'/>`)
		b.drop()
	}
	a.drop()
	require.Contains(a.t, a.items(), b.LocalAddr().Bare().String()+" both")
}

// brokenStore is a store that fails when it is told to.
type brokenStore struct {
	roster.MemoryStore
	reads, writes atomic.Bool
}

var errBroken = errors.New("the disk is on fire")

func (b *brokenStore) Roster(ctx context.Context, account jid.JID) (roster.Roster, error) {
	if b.reads.Load() {
		return roster.Roster{}, errBroken
	}
	return b.MemoryStore.Roster(ctx, account)
}

func (b *brokenStore) Put(ctx context.Context, account jid.JID, item roster.Item) (uint64, error) {
	if b.writes.Load() {
		return 0, errBroken
	}
	return b.MemoryStore.Put(ctx, account, item)
}

// RFC 6121 §2.2, §2.3.3: trouble of the server is an error for the client that says
// nothing of what it is; nothing is lost by it, and nobody is told of what has not
// happened.
//
//conformance:proves 6121-2.2-4 6121-2.3.3-1
func TestRosterStoreFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &brokenStore{MemoryStore: roster.MemoryStore{MaxItems: 2}}
		s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = store })
		romeo, juliet := resource(t, s, "romeo", "full"), resource(t, s, "juliet", "full")
		befriend(romeo, juliet)
		romeo.say(setItem("0", `<item jid='juliet@xmpp.test' name='J'><group>G</group></item>`))
		romeo.drop()
		require.NoError(t, romeo.Close(t.Context()))
		synctest.Wait()

		store.reads.Store(true)
		romeo = join(t, s, "romeo", "full") // a new session reads the roster anew
		romeo.say(`<iq type='get' id='g'><query xmlns='jabber:iq:roster'/></iq>`)
		require.Equal(t, "cancel internal-server-error", romeo.refused("g"))
		romeo.say(setItem("s", `<item jid='juliet@xmpp.test'/>`))
		require.Equal(t, "cancel internal-server-error", romeo.refused("s"))
		romeo.say(setItem("r", `<item jid='juliet@xmpp.test' subscription='remove'/>`))
		require.Equal(t, "cancel internal-server-error", romeo.refused("r"))
		for _, typ := range stanzaTypes {
			romeo.say(`<presence type='` + typ + `' to='juliet@xmpp.test' id='p'/>`)
			romeo.hears("presence error juliet@xmpp.test→romeo@xmpp.test/full p internal-server-error")
		}
		store.reads.Store(false)
		require.Equal(t, []string{"juliet@xmpp.test both name=J [G]"}, romeo.items())
		romeo.say(`<presence/>`)
		romeo.drop()
		juliet.drop()

		store.writes.Store(true)
		romeo.say(setItem("s", `<item jid='juliet@xmpp.test'/>`))
		require.Equal(t, "cancel internal-server-error", romeo.refused("s"))
		romeo.say(setItem("r", `<item jid='juliet@xmpp.test' subscription='remove'/>`))
		require.Equal(t, "cancel internal-server-error", romeo.refused("r"))
		for _, typ := range []string{"unsubscribe", "unsubscribed"} {
			romeo.say(`<presence type='` + typ + `' to='juliet@xmpp.test' id='p'/>`)
			romeo.hears("presence error juliet@xmpp.test→romeo@xmpp.test/full p internal-server-error")
		}
		juliet.quiet() // she is subscribed, and not told anything else
		store.writes.Store(false)
		require.Equal(t, []string{"juliet@xmpp.test both name=J [G]"}, romeo.items())
		require.Equal(t, []string{"romeo@xmpp.test both"}, juliet.items())

		// A roster has its bound.
		romeo.say(setItem("2", `<item jid='nurse@far.test'/>`))
		require.Equal(t, "nurse@far.test none", romeo.nextPush().item)
		romeo.hears("iq result -→romeo@xmpp.test/full 2")
		romeo.say(setItem("3", `<item jid='mother@far.test'/>`))
		require.Equal(t, "wait resource-constraint", romeo.refused("3"))
		for _, typ := range []string{"subscribe", "subscribed"} {
			romeo.say(`<presence type='` + typ + `' to='paris@xmpp.test' id='p'/>`)
			romeo.hears("presence error paris@xmpp.test→romeo@xmpp.test/full p resource-constraint")
		}
		romeo.quiet()
	})
}
