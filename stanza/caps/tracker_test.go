package caps_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stream"
)

var (
	romeo    = jid.MustParse("romeo@montague.lit/orchard")
	nurse    = jid.MustParse("nurse@capulet.lit/chamber")
	benvolio = jid.MustParse("benvolio@capulet.lit/230193")
)

const exodusC = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>"

// presence is a presence as it is received.
func presence(t testing.TB, from jid.JID, typ stanza.PresenceType, inner string) *stanza.Presence {
	t.Helper()
	p := &stanza.Presence{From: from, Type: typ}
	b, err := stanza.Qualified(p, "jabber:client").AppendXML(nil)
	require.NoError(t, err)
	xml := string(b)
	xml = xml[:len(xml)-len("/>")] + ">" + inner + "</presence>"
	got := new(stanza.Presence)
	require.NoError(t, got.DecodeElement(parse(t, xml)))
	return got
}

// network answers queries as scripted, and counts them.
type network struct {
	t      testing.TB
	mu     sync.Mutex
	after  map[jid.JID]time.Duration
	answer answers
	lim    *stream.Limits // of what is parsed; nil means the default ones
	asked  []string       // address and node
}

// answers are what is in the iq that somebody answers with.
type answers map[jid.JID]string

func (n *network) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	b, err := iq.Payload.AppendXML(nil)
	require.NoError(n.t, err)
	n.mu.Lock()
	n.asked = append(n.asked, iq.To.String()+" "+parse(n.t, string(b)).Attr("node"))
	after, answer := n.after[iq.To], n.answer[iq.To]
	n.mu.Unlock()
	if after > 0 {
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if answer == "" {
		return nil, &stanza.Error{Condition: stanza.ServiceUnavailable, Received: true}
	}
	el, err := stream.ParseElement([]byte(answer), n.lim)
	require.NoError(n.t, err)
	return &stanza.IQ{Type: stanza.ResultIQ, ID: "1", From: iq.To, Payload: el}, nil
}

// XEP-0115 §1.2: one is asked, and is the answer for all who announce the same.
func TestTracker(t *testing.T) {
	tr := new(caps.Tracker)
	n := &network{t: t, answer: answers{romeo: exodus}}
	_, err := tr.Info(t.Context(), n, romeo)
	require.ErrorIs(t, err, caps.ErrNone)

	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, tr))
	require.Equal(t, "caps", tr.Name())
	require.Equal(t, []string{"http://jabber.org/protocol/caps"}, tr.Features())
	seen := 0
	require.NoError(t, mux.HandlePresence(stanza.AvailablePresence, stream.Name{}, func(context.Context, stanza.Sender, *stanza.Presence) error {
		seen++
		return nil
	}))
	for _, who := range []jid.JID{romeo, nurse} {
		require.NoError(t, mux.HandleStanza(t.Context(), nil, presence(t, who, stanza.AvailablePresence, exodusC)))
	}
	require.Equal(t, 2, seen, "presence passes")
	require.NoError(t, mux.HandleStanza(t.Context(), nil, &stanza.Message{}))

	for _, who := range []jid.JID{romeo, nurse, romeo} {
		info, err := tr.Info(t.Context(), n, who)
		require.NoError(t, err)
		require.True(t, info.Has("http://jabber.org/protocol/muc"))
		require.Empty(t, info.Node)
	}
	// §6.2: the full JID and the node.
	require.Equal(t, []string{"romeo@montague.lit/orchard http://code.google.com/p/exodus#" + exodusVer}, n.asked)

	// §8.4: presence without an annotation changes nothing, nor does any other.
	tr.Note(presence(t, romeo, stanza.AvailablePresence, ""))
	tr.Note(presence(t, romeo, stanza.AvailablePresence, "<c xmlns='http://jabber.org/protocol/caps'/>"))
	tr.Note(presence(t, romeo, stanza.SubscribePresence, "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v'/>"))
	tr.Note(presence(t, jid.JID{}, stanza.AvailablePresence, exodusC))
	c, ok := tr.Announced(romeo)
	require.True(t, ok)
	require.Equal(t, exodusVer, c.Ver)
	_, ok = tr.Announced(jid.JID{})
	require.False(t, ok)
	tr.Note(presence(t, romeo, stanza.UnavailablePresence, ""))
	_, err = tr.Info(t.Context(), n, romeo)
	require.ErrorIs(t, err, caps.ErrNone)
}

// XEP-0115 §5.4 rules 1 and 2, §12: what cannot be verified holds for the one
// who was asked, for as long as they announce the same.
func TestUnverifiable(t *testing.T) {
	for _, tt := range []struct{ name, c, node string }{
		{"legacy", "<c xmlns='http://jabber.org/protocol/caps' node='http://exodus' ver='0.9.1' ext='a b'/>", ""},
		{"unknown hash", "<c xmlns='http://jabber.org/protocol/caps' hash='md5' node='http://exodus' ver='v'/>", "http://exodus#v"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mem := new(caps.MemoryCache)
			tr := &caps.Tracker{Cache: mem}
			answer := "<query xmlns='http://jabber.org/protocol/disco#info'><identity category='client' type='pc'/><feature var='urn:a'/></query>"
			n := &network{t: t, answer: answers{romeo: answer, nurse: answer}}
			for _, who := range []jid.JID{romeo, nurse, romeo, nurse} {
				tr.Note(presence(t, who, stanza.AvailablePresence, tt.c))
				info, err := tr.Info(t.Context(), n, who)
				require.NoError(t, err)
				require.True(t, info.Has("urn:a"))
				require.Empty(t, info.Node)
			}
			require.Equal(t, []string{romeo.String() + " " + tt.node, nurse.String() + " " + tt.node}, n.asked)
			c, _ := tr.Announced(romeo)
			_, ok := mem.Get(t.Context(), c.Key())
			require.False(t, ok, "nobody else is believed to mean the same")

			tr.Note(presence(t, romeo, stanza.AvailablePresence, "<c xmlns='http://jabber.org/protocol/caps' node='http://exodus' ver='0.9.2'/>"))
			_, err := tr.Info(t.Context(), n, romeo)
			require.NoError(t, err)
			require.Len(t, n.asked, 3)
		})
	}
}

// An answer that does not come, or is refused, is asked for again the next time.
func TestRefused(t *testing.T) {
	for _, c := range []string{exodusC, "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v'/>"} {
		tr := new(caps.Tracker)
		tr.Note(presence(t, romeo, stanza.AvailablePresence, c))
		n := &network{t: t}
		_, err := tr.Info(t.Context(), n, romeo)
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
		n.answer = answers{romeo: exodus}
		if c != exodusC {
			n.answer[romeo] = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
		}
		_, err = tr.Info(t.Context(), n, romeo)
		require.NoError(t, err)
		require.Len(t, n.asked, 2)
	}
}

// closing is a connection that is lost while it waits for a reply.
type closing struct{}

func (closing) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	<-time.After(time.Second)
	return nil, net.ErrClosed
}

// Who waits for an answer on somebody else's connection asks on their own when
// that is lost.
func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := new(caps.Tracker)
		tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
		var lost error
		var wg sync.WaitGroup
		wg.Go(func() { _, lost = tr.Info(t.Context(), closing{}, romeo) })
		synctest.Wait()
		_, err := tr.Info(t.Context(), &network{t: t, answer: answers{romeo: exodus}}, romeo)
		require.NoError(t, err)
		wg.Wait()
		require.ErrorIs(t, lost, net.ErrClosed)
	})
}

// Those who want to know the same at the same time ask once.
func TestSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := new(caps.Tracker)
		n := &network{t: t, answer: answers{romeo: exodus, nurse: exodus}, after: map[jid.JID]time.Duration{romeo: time.Second, nurse: time.Second}}
		tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
		tr.Note(presence(t, nurse, stanza.AvailablePresence, exodusC))
		var errs [20]error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { _, errs[i] = tr.Info(t.Context(), n, []jid.JID{romeo, nurse}[i%2]) })
		}
		wg.Wait()
		require.NoError(t, errors.Join(errs[:]...))
		require.Len(t, n.asked, 1)
	})
}

// XEP-0115 §5.4 rule 3.9: when one lies, another one is asked; and one that is
// slow holds up nobody else for long.
func TestSomebodyElse(t *testing.T) {
	lie := strings.Replace(psi, "http://psi-im.org#"+psiVer, "", 1)
	for _, tt := range []struct {
		name   string
		answer string
		after  time.Duration
		own    error // what who asked first is told
		took   time.Duration
	}{
		{"about another node", psi, time.Second, stanza.BadRequest, time.Second},
		{"another answer", lie, time.Second, caps.ErrMismatch, time.Second},
		{"an error", "", time.Second, stanza.ServiceUnavailable, time.Second},
		{"no answer", "", time.Hour, context.DeadlineExceeded, 5 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := new(caps.Tracker)
				n := &network{t: t, answer: answers{benvolio: tt.answer, romeo: exodus}, after: map[jid.JID]time.Duration{benvolio: tt.after}}
				tr.Note(presence(t, benvolio, stanza.AvailablePresence, exodusC))
				tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
				// The first two ask about the same entity, one after the other.
				var errs [2]error
				var wg sync.WaitGroup
				for i := range errs {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i+1)*time.Minute)
						defer cancel()
						_, errs[i] = tr.Info(ctx, n, benvolio)
					})
					synctest.Wait()
				}
				start := time.Now()
				info, err := tr.Info(t.Context(), n, romeo)
				require.NoError(t, err)
				require.Equal(t, tt.took, time.Since(start))
				require.True(t, info.Has("http://jabber.org/protocol/muc"))
				wg.Wait()
				require.ErrorIs(t, errs[0], tt.own)
				if tt.after == time.Hour {
					require.NoError(t, errs[1], "somebody else has proved it meanwhile")
				} else {
					require.ErrorIs(t, errs[1], tt.own)
				}
				require.Len(t, n.asked, 2)
				// Now everybody is answered from the cache.
				_, err = tr.Info(t.Context(), n, benvolio)
				require.NoError(t, err)
				require.Len(t, n.asked, 2)
			})
		})
	}
}

// Cancelling one call harms no other.
func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := new(caps.Tracker)
		n := &network{t: t, answer: answers{romeo: exodus}, after: map[jid.JID]time.Duration{romeo: 3 * time.Second}}
		tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
		first, cancel := context.WithCancel(t.Context())
		short, cancelShort := context.WithTimeout(t.Context(), time.Second)
		defer cancelShort()
		var errs [3]error
		var wg sync.WaitGroup
		for i, ctx := range []context.Context{first, t.Context(), short} {
			wg.Go(func() { _, errs[i] = tr.Info(ctx, n, romeo) })
			synctest.Wait()
		}
		<-time.After(2 * time.Second)
		cancel()
		wg.Wait()
		require.ErrorIs(t, errs[0], context.Canceled)
		require.NoError(t, errs[1])
		require.ErrorIs(t, errs[2], context.DeadlineExceeded)
		require.Len(t, n.asked, 2)
	})
}

// A Doer that panics does not leave others waiting.
func TestPanic(t *testing.T) {
	tr := new(caps.Tracker)
	tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
	require.Panics(t, func() { _, _ = tr.Info(t.Context(), panics{}, romeo) })
	n := &network{t: t, answer: answers{romeo: exodus}}
	_, err := tr.Info(t.Context(), n, romeo)
	require.NoError(t, err)
}

type panics struct{}

func (panics) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) { panic("oops") }

// Every table has a bound; the least recently used goes.
func TestBounds(t *testing.T) {
	tr := &caps.Tracker{Max: 3}
	who := func(i int) jid.JID { return jid.MustParse(fmt.Sprintf("a@b/%d", i)) }
	for i := range 3 {
		tr.Note(presence(t, who(i), stanza.AvailablePresence, exodusC))
	}
	_, ok := tr.Announced(who(0))
	require.True(t, ok)
	tr.Note(presence(t, who(3), stanza.AvailablePresence, exodusC))
	for i, want := range []bool{true, false, true, true} {
		_, ok := tr.Announced(who(i))
		require.Equal(t, want, ok, "%d", i)
	}

	mem := &caps.MemoryCache{Max: 2}
	key := func(i int) caps.Key { return caps.Key{Hash: "sha-1", Ver: fmt.Sprint(i)} }
	for i := range 3 {
		mem.Put(t.Context(), key(i), &disco.Info{})
		mem.Put(t.Context(), key(i), &disco.Info{Features: []string{"a"}})
	}
	for i, want := range []bool{false, true, true} {
		info, ok := mem.Get(t.Context(), key(i))
		require.Equal(t, want, ok, "%d", i)
		if ok {
			require.Len(t, info.Features, 1)
		}
	}

	// What is large and cannot be verified is given out, and not remembered.
	tr = new(caps.Tracker)
	large := "<query xmlns='http://jabber.org/protocol/disco#info'>"
	for i := range 1_000 {
		large += fmt.Sprintf("<feature var='urn:x:%060d'/>", i)
	}
	large += "</query>"
	n := &network{t: t, answer: answers{romeo: large}}
	tr.Note(presence(t, romeo, stanza.AvailablePresence, "<c xmlns='http://jabber.org/protocol/caps' node='n' ver='v'/>"))
	for range 2 {
		info, err := tr.Info(t.Context(), n, romeo)
		require.NoError(t, err)
		require.Len(t, info.Features, 1_000)
	}
	require.Len(t, n.asked, 2)
}
