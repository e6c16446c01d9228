package presence_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// RFC 6121 §4.2, §4.4, §4.5.1, §4.6: what is sent.
//
//conformance:proves 6121-4.5.1-2
//conformance:proves 6120-8.1.1.1-1 6120-8.1.1.1-2
func TestTrackerSends(t *testing.T) {
	tr, out, ctx := tracker(t), &outbox{}, t.Context()
	peer := jid.MustParse("lobby@chat.example.com/juliet")
	chat := jid.MustParse("mercutio@example.com/x")
	require.NoError(t, tr.Direct(ctx, out, peer))
	require.NoError(t, tr.Available(ctx, out, stanza.ShowAway, "I shall return!", -1, rawXML("<x xmlns='urn:x'/>")))
	require.NoError(t, tr.Direct(ctx, out, chat, stanza.XML(struct {
		XMLName struct{} `xml:"http://jabber.org/protocol/muc x"`
	}{})))
	require.Equal(t, []jid.JID{peer, chat}, tr.Directed())
	require.NoError(t, tr.DirectUnavailable(ctx, out, chat, ""))
	require.Equal(t, []jid.JID{peer}, tr.Directed())
	require.NoError(t, tr.Unavailable(ctx, out, "going on vacation"))
	require.Empty(t, tr.Directed())
	require.NoError(t, tr.Direct(ctx, out, peer))
	require.NoError(t, tr.DirectUnavailable(ctx, out, peer, "night"))
	require.Equal(t, []string{
		"<presence to='lobby@chat.example.com/juliet'/>",
		"<presence><show>away</show><status>I shall return!</status><priority>-1</priority><x xmlns='urn:x'/></presence>",
		"<presence to='mercutio@example.com/x'><show>away</show><status>I shall return!</status><priority>-1</priority><x xmlns=\"http://jabber.org/protocol/muc\"></x></presence>",
		"<presence to='mercutio@example.com/x' type='unavailable'/>",
		"<presence type='unavailable'><status>going on vacation</status></presence>",
		"<presence to='lobby@chat.example.com/juliet'/>",
		"<presence to='lobby@chat.example.com/juliet' type='unavailable'><status>night</status></presence>",
	}, out.sent)

	require.ErrorIs(t, tr.Direct(ctx, out, jid.JID{}), stanza.ErrInvalid)
	require.ErrorIs(t, tr.DirectUnavailable(ctx, out, jid.JID{}, ""), stanza.ErrInvalid)
	require.Error(t, tr.Direct(ctx, out, chat, &stream.Element{}), "a payload that cannot be written")
	require.Error(t, tr.Available(ctx, out, "busy", "", 0))
	out.err = errors.New("no connection")
	require.ErrorIs(t, tr.Available(ctx, out, "", "", 0), out.err)
	require.ErrorIs(t, tr.Unavailable(ctx, out, ""), out.err)
	require.ErrorIs(t, tr.Direct(ctx, out, chat), out.err)
	require.ErrorIs(t, tr.DirectUnavailable(ctx, out, chat, ""), out.err)
	require.ErrorIs(t, tr.Deny(ctx, out, chat), out.err)
	require.ErrorIs(t, tr.Direct(ctx, out, peer), out.err)
	require.Empty(t, tr.Directed(), "as before")
	out.err = nil
	require.NoError(t, tr.Direct(ctx, out, peer))
	out.err = errors.New("no connection")
	require.ErrorIs(t, tr.Direct(ctx, out, peer), out.err)
	require.Equal(t, []jid.JID{peer}, tr.Directed(), "as before")
}

// RFC 6121 §4.6.5, XEP-0045: who was sent directed presence is believed, and a room
// is forgotten with all occupants when the client has left it.
func TestTrackerDirected(t *testing.T) {
	const occupant = "<presence from='lobby@chat.example.com/%s'%s><x xmlns='http://jabber.org/protocol/muc#user'/></presence>"
	for name, inRoster := range map[string]func(jid.JID) bool{
		"with a roster": func(j jid.JID) bool { return false }, "without": nil,
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker(t, func(o *presence.TrackerOptions) { o.InRoster, o.Resources, o.Occupants = inRoster, 1, 3 })
			out := &outbox{}
			room := func(who, typ string) []string { return told(tr.Apply(received(t, fmt.Sprintf(occupant, who, typ)))) }
			me := jid.MustParse("lobby@chat.example.com/juliet")
			require.NoError(t, tr.Direct(t.Context(), out, me))
			require.Equal(t, []string{"available lobby@chat.example.com/nurse came"}, room("nurse", ""))
			require.Equal(t, []string{"available lobby@chat.example.com/tybalt"}, room("tybalt", ""))
			require.Equal(t, []string{"available lobby@chat.example.com/juliet"}, room("juliet", ""))
			require.Empty(t, room("one too many", ""))
			require.Equal(t, uint64(1), tr.Ignored())
			// Another nickname: told about both, the room lets the first one go.
			require.NoError(t, tr.Direct(t.Context(), out, jid.MustParse("lobby@chat.example.com/jule")))
			require.Equal(t, []string{"unavailable lobby@chat.example.com/juliet"}, room("juliet", " type='unavailable'"))
			require.Equal(t, []string{"available lobby@chat.example.com/jule"}, room("jule", ""))
			require.Equal(t, []jid.JID{jid.MustParse("lobby@chat.example.com/jule")}, tr.Directed())
			// A nickname that is taken: no longer told about it.
			require.NoError(t, tr.Direct(t.Context(), out, jid.MustParse("lobby@chat.example.com/nurse")))
			require.Equal(t, []string{"error lobby@chat.example.com/nurse"}, room("nurse", " type='error'"))
			require.Len(t, tr.Directed(), 1)
			require.Len(t, tr.Resources(trackRoom), 3)
			// Out.
			require.NoError(t, tr.DirectUnavailable(t.Context(), out, jid.MustParse("lobby@chat.example.com/jule"), ""))
			require.Len(t, tr.Resources(trackRoom), 3)
			events := room("jule", " type='unavailable'")
			require.Equal(t, "unavailable lobby@chat.example.com/jule", events[0])
			require.Len(t, events, 3)
			require.Contains(t, events[2], "went")
			require.Empty(t, tr.Contacts())
			if inRoster != nil {
				require.Empty(t, room("nurse", ""))
			}
		})
	}
	t.Run("the room is destroyed", func(t *testing.T) {
		tr := tracker(t)
		require.NoError(t, tr.Direct(t.Context(), &outbox{}, jid.MustParse("lobby@chat.example.com/juliet")))
		tr.Apply(received(t, fmt.Sprintf(occupant, "nurse", "")))
		require.Equal(t, []string{"unavailable lobby@chat.example.com/nurse went"},
			told(tr.Apply(received(t, "<presence from='lobby@chat.example.com' type='unavailable'/>"))))
		require.Empty(t, tr.Directed())
	})
	t.Run("somebody to chat with", func(t *testing.T) {
		tr := tracker(t)
		x := jid.MustParse("mercutio@example.com/x")
		require.NoError(t, tr.Direct(t.Context(), &outbox{}, x))
		require.Len(t, tr.Apply(received(t, "<presence from='mercutio@example.com/x'/>")), 1)
		require.Empty(t, tr.Follow(roster.Event{Before: roster.Item{JID: x.Bare(), State: roster.To}}), "known by directed presence")
		require.Equal(t, []string{"unavailable mercutio@example.com/x went"}, told(tr.Apply(received(t, "<presence from='mercutio@example.com/x' type='unavailable'/>"))))
		_, ok := tr.Departed(x)
		require.True(t, ok)
		require.Empty(t, tr.Directed(), "RFC 6121 §4.6.1")
	})
	t.Run("a resource of a contact, and what is left of a stranger", func(t *testing.T) {
		tr, out := tracker(t), &outbox{}
		for _, who := range []string{"romeo@example.net", "mercutio@example.com"} {
			require.NoError(t, tr.Direct(t.Context(), out, jid.MustParse(who+"/x")))
			tr.Apply(received(t, "<presence from='"+who+"/x'/>"))
			tr.Apply(received(t, "<presence from='"+who+"/y'/>"))
		}
		require.Equal(t, []string{"unavailable romeo@example.net/x"}, told(tr.Apply(received(t, "<presence from='romeo@example.net/x' type='unavailable'/>"))))
		require.Equal(t, []string{"unavailable mercutio@example.com/x", "unavailable mercutio@example.com/y went"},
			told(tr.Apply(received(t, "<presence from='mercutio@example.com/x' type='unavailable'/>"))), "nobody will tell of the other one")
		require.Equal(t, []jid.JID{trackRomeo}, tr.Contacts())
	})
	t.Run("a room that was not entered with the Tracker", func(t *testing.T) {
		tr := tracker(t, func(o *presence.TrackerOptions) { o.InRoster = nil })
		tr.Apply(received(t, fmt.Sprintf(occupant, "nurse", "")))
		tr.Apply(received(t, fmt.Sprintf(occupant, "tybalt", "")))
		require.Len(t, tr.Apply(received(t, fmt.Sprintf(occupant, "tybalt", " type='unavailable'"))), 1)
	})
	t.Run("somebody who was not there", func(t *testing.T) {
		tr := tracker(t)
		require.NoError(t, tr.Direct(t.Context(), &outbox{}, jid.MustParse("mercutio@example.com/x")))
		require.Empty(t, tr.Apply(received(t, "<presence from='mercutio@example.com/x' type='unavailable'/>")))
		require.Empty(t, tr.Directed())
	})
	t.Run("a room that is being left, while somebody else is told", func(t *testing.T) {
		tr, out := tracker(t), &outbox{}
		me := jid.MustParse("lobby@chat.example.com/juliet")
		require.NoError(t, tr.Direct(t.Context(), out, me))
		require.NoError(t, tr.DirectUnavailable(t.Context(), out, me, ""))
		require.NoError(t, tr.Direct(t.Context(), out, jid.MustParse("mercutio@example.com")))
		require.Len(t, tr.Apply(received(t, fmt.Sprintf(occupant, "nurse", ""))), 1)
	})
	t.Run("bound", func(t *testing.T) {
		tr, out := tracker(t), &outbox{}
		for i := range 256 {
			require.NoError(t, tr.Direct(t.Context(), out, jid.MustParse(fmt.Sprintf("a%d@example.com", i))))
		}
		extra := jid.MustParse("b@example.com")
		require.ErrorIs(t, tr.Direct(t.Context(), out, extra), roster.ErrFull)
		require.NoError(t, tr.Direct(t.Context(), out, jid.MustParse("a7@example.com")), "known already")
		require.NoError(t, tr.DirectUnavailable(t.Context(), out, jid.MustParse("a7@example.com"), ""))
		require.NoError(t, tr.Direct(t.Context(), out, extra))
		require.Len(t, tr.Directed(), 256)
	})
}

// RFC 6121 §3.3.3: from the unsubscribe on, nothing is known.
//
//conformance:proves 6121-3.3.3-5
func TestTrackerUnsubscribe(t *testing.T) {
	tr, out := tracker(t), &outbox{}
	come := func() { tr.Apply(received(t, "<presence from='romeo@example.net/orchard'/>")) }
	come()
	out.err = errors.New("no connection")
	require.ErrorIs(t, tr.Unsubscribe(t.Context(), out, trackRomeo), out.err)
	require.NotEmpty(t, tr.Contacts())
	out.err = nil
	require.NoError(t, tr.Unsubscribe(t.Context(), out, jid.MustParse("romeo@example.net/orchard")))
	require.Contains(t, out.sent[0], "to='romeo@example.net' type='unsubscribe'")
	require.Empty(t, tr.Contacts())
	require.Empty(t, tr.Apply(received(t, "<presence from='romeo@example.net/orchard' type='unavailable'/>")))

	come()
	require.NoError(t, tr.Direct(t.Context(), out, trackRomeo))
	require.NoError(t, tr.Unsubscribe(t.Context(), out, trackRomeo))
	require.Equal(t, []jid.JID{trackRomeo}, tr.Contacts())
}
