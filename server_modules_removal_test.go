package xmpp_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream"
)

// stores are all that the server and its modules keep.
type stores struct {
	rosters  roster.MemoryStore
	offline  presence.MemoryOffline
	seen     presence.MemoryLastSeen
	blocked  blocking.MemoryStore
	archive  mam.MemoryStore
	cards    vcard.MemoryStore
	elements private.MemoryStore
}

func (k *stores) configure(s *xmpp.Server) {
	everything(s)
	s.Rosters, s.Offline, s.LastSeen = &k.rosters, &k.offline, &k.seen
	for _, m := range s.Modules {
		switch m := m.(type) {
		case *blocking.Module:
			m.Store = &k.blocked
		case *mam.Module:
			m.Store = &k.archive
		case *vcard.Module:
			m.Store = &k.cards
		case *private.Module:
			m.Store = &k.elements
		}
	}
}

// left lists what is kept of an account.
func (k *stores) left(t *testing.T, account jid.JID) (out []string) {
	ctx := t.Context()
	note := func(is bool, what string) {
		if is {
			out = append(out, what)
		}
	}
	r, err := k.rosters.Roster(ctx, account)
	require.NoError(t, err)
	note(len(r.Items) > 0, "roster")
	n, err := k.offline.Count(ctx, account)
	require.NoError(t, err)
	note(n > 0, "offline messages")
	seen, err := k.seen.LastSeen(ctx, account)
	require.NoError(t, err)
	note(!seen.At.IsZero(), "last seen")
	require.NoError(t, k.blocked.All(ctx, func(a jid.JID, _ []jid.JID) error {
		note(a == account, "blocked")
		return nil
	}))
	first, _, err := k.archive.Metadata(ctx, account)
	require.NoError(t, err)
	note(first != nil, "archive")
	prefs, err := k.archive.Prefs(ctx, account)
	require.NoError(t, err)
	note(prefs != nil, "preferences")
	card, err := k.cards.Get(ctx, account)
	require.NoError(t, err)
	note(card != nil, "vCard")
	el, err := k.elements.Get(ctx, account, stream.Name{Space: "storage:bookmarks", Local: "storage"})
	require.NoError(t, err)
	note(el != nil, "private")
	return out
}

// busy are the stanzas with which a client makes the server keep something.
var busy = []string{
	`<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='x%d@xmpp.test'/></query></iq>`,
	`<iq type='set' id='2'><block xmlns='urn:xmpp:blocking'><item jid='y%d@xmpp.test'/></block></iq>`,
	`<iq type='set' id='3'><prefs xmlns='urn:xmpp:mam:2' default='always'><always/><never><jid>z%d@xmpp.test</jid></never></prefs></iq>`,
	`<iq type='set' id='4'><vCard xmlns='vcard-temp'><FN>%d</FN></vCard></iq>`,
	`<iq type='set' id='5'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><x>%d</x></storage></query></iq>`,
	`<iq type='set' id='6'><enable xmlns='urn:xmpp:carbons:2'/></iq><presence><status>%d</status></presence>`,
	`<message to='friend@xmpp.test' type='chat'><body>%d</body></message>`,
	`<message to='victim@xmpp.test' type='chat'><body>%d</body></message>`,
	`<iq type='set' id='7'><query xmlns='urn:xmpp:mam:2' queryid='%d'><set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set></query></iq>`,
	`<presence type='unavailable'><status>%d</status></presence><presence/>`,
}

// An account that is removed while its clients and contacts are busy leaves nothing
// behind, its sessions end and its contacts learn of it: cancelled (XEP-0077 §3.2)
// and deleted by an administrator (XEP-0133 §4.2).
func TestModulesRemoveAll(t *testing.T) {
	for _, how := range []string{"cancelled", "deleted"} {
		t.Run(how, func(t *testing.T) {
			var kept stores
			s := memoryServer(t, func(s *xmpp.Server) {
				kept.configure(s)
				s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
			})
			victim := address("victim@xmpp.test")
			friend := join(t, s, "friend", "x")
			sessions := []*peer{join(t, s, "victim", "a"), join(t, s, "victim", "b"), join(t, s, "victim", "c")}
			sessions[0].say(`<presence/><presence type='subscribed' to='friend@xmpp.test'/>`) // beforehand (RFC 6121 §3.4)
			sessions[0].hear()
			// Who has asked for the roster is told of subscriptions.
			friend.say(`<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq><presence/><presence type='subscribe' to='victim@xmpp.test'/>`)
			for friend.hear().Attr("type") != "subscribed" {
			}
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			defer s.Close()
			var wg sync.WaitGroup
			bother := func(p *peer, what []string) {
				// Both end with the session of p, and are waited for below.
				wg.Go(func() {
					for i := 0; ctx.Err() == nil; i++ {
						if p.Send(ctx, raw(fmt.Sprintf(what[i%len(what)], i))) != nil {
							return
						}
					}
				})
				wg.Go(func() {
					for {
						select {
						case <-p.in:
						case <-p.Done():
							return
						}
					}
				})
			}
			for _, p := range sessions {
				bother(p, busy)
			}
			told := make(chan struct{})
			// Ends with the session, and is waited for below.
			wg.Go(func() {
				for {
					select {
					case el := <-friend.in:
						if el.Attr("type") == "unsubscribed" && el.Attr("from") == "victim@xmpp.test" {
							close(told)
						}
					case <-friend.Done():
						return
					}
				}
			})
			for len(kept.left(t, victim)) < 6 {
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
					require.Fail(t, "not busy", "%v", kept.left(t, victim))
				}
			}
			if how == "cancelled" {
				sessions[1].say(`<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>`)
			} else {
				bard := join(t, s, "bard", "x")
				bard.say(`<iq type='set' to='xmpp.test' id='1'><command xmlns='` + nsCommands + `' node='` + admin.NS + `#delete-user'/></iq>`)
				command, ok := bard.hear().Child(stream.Name{Space: nsCommands, Local: "command"})
				require.True(t, ok)
				bard.say(`<iq type='set' to='xmpp.test' id='2'><command xmlns='` + nsCommands + `' node='` + admin.NS + `#delete-user' sessionid='` +
					command.Attr("sessionid") + `'><x xmlns='jabber:x:data' type='submit'><field var='accountjids'><value>victim@xmpp.test</value></field></x></command></iq>`)
				require.Equal(t, "result", bard.hear().Attr("type"))
			}
			for _, p := range sessions {
				require.ErrorIs(t, p.ended(), stream.NotAuthorized)
			}
			select {
			case <-told:
			case <-ctx.Done():
				require.Fail(t, "the friend was not told")
			}
			// Until the name is free, and what was going on is over.
			for {
				ok, err := s.Accounts.Exists(t.Context(), victim)
				require.NoError(t, err)
				if !ok {
					break
				}
				select {
				case <-time.After(time.Millisecond):
				case <-ctx.Done():
					require.Fail(t, "the account is still there")
				}
			}
			friend.Abort(nil)
			s.Close()
			wg.Wait()
			require.Empty(t, kept.left(t, victim))
		})
	}
}
