package xmpp_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// tap is a module that hears what romeo's clients send.
type tap struct {
	gateway
	mu    sync.Mutex
	heard []*stream.Element
}

func (e *tap) Name() string { return "tap" }

func (e *tap) BeforeRoute(_ context.Context, t *stanza.Transit) stanza.Verdict {
	if t.From.Local() == "romeo" {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.heard = append(e.heard, t.Element.Clone())
	}
	return stanza.Verdict{}
}

// next returns what romeo has sent since, which is n stanzas.
func (e *tap) next(t *testing.T, n int) []*stream.Element {
	t.Helper()
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := e.heard
	e.heard = nil
	require.Len(t, heard, n)
	return heard
}

// rosterQuery returns the only child of an IQ, which is a roster query.
func rosterQuery(t *testing.T, iq *stream.Element, typ string) *stream.Element {
	t.Helper()
	require.Equal(t, typ, iq.Attr("type"))
	q, ok := iq.Child(stream.Name{Space: roster.NS, Local: "query"})
	require.True(t, ok, "%s", iq.Raw())
	return q
}

// follow connects romeo with a client of the roster.
func follow(t *testing.T, s *xmpptest.Server, contacts *roster.Client) *stanza.Conn {
	t.Helper()
	client := s.Client(address("romeo@xmpp.test/full"), "secret of romeo")
	client.Features = contacts.StreamFeatures()
	conn, err := client.Connect(t.Context())
	require.NoError(t, err)
	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, contacts))
	ended := make(chan struct{})
	// Owner: the test. Ends with the connection. Joined by the cleanup.
	go func() {
		defer close(ended)
		conn.Serve(t.Context(), &mux)
	}()
	t.Cleanup(func() {
		conn.Session().Abort(stream.ErrTruncated)
		<-ended
	})
	require.NoError(t, contacts.Sync(t.Context(), conn))
	return conn
}

// A client of package roster and a server keep one roster: what the client sends is
// what RFC 6121 §2 and §3 want of it, and what it believes is what it may believe.
//
//conformance:proves 6121-2.1.1-2 6121-2.1.2.1-2 6121-2.1.2.1-3 6121-2.1.2.2-2 6121-2.1.2.2-3 6121-2.1.2.3-1 6121-2.1.2.5-2 6121-2.1.3-1 6121-2.1.5-1
//conformance:proves 6121-2.1.6-2 6121-2.1.6-3 6121-2.1.6-4 6121-2.6.2-1 6121-2.6.2-3 6121-2.6.3-4 6121-2.6.3-5 6121-3.1.1-1 6121-3.1.1-2 6121-3.1.4-2 6121-3.1.4-3
func TestRosterClientAndServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ear := new(tap)
		s := memoryServer(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, ear) })
		s.AddAccount(t, "romeo", "secret of romeo")
		contacts, err := roster.NewClient(&roster.Options{Account: address("romeo@xmpp.test")})
		require.NoError(t, err)
		conn := follow(t, s, contacts)
		require.True(t, contacts.PreApproval())
		// §2.6.2: nothing is cached, and there are versions.
		get := rosterQuery(t, ear.next(t, 1)[0], "get")
		ver, ok := get.AttrBytes("ver")
		require.True(t, ok)
		require.Empty(t, ver)
		require.Empty(t, slices.Collect(get.Children()))

		// §2.1.2.1, §2.1.2.2, §2.1.5: not what is the server's to say.
		nurse := roster.Item{JID: address("nurse@far.test"), Name: "Nurse", Groups: []string{"Servants"}, State: roster.To | roster.Approved}
		require.NoError(t, roster.Set(t.Context(), conn, nurse))
		require.NoError(t, roster.Set(t.Context(), conn, roster.Item{JID: address("x@far.test"), State: roster.PendingOut}))
		require.NoError(t, roster.Remove(t.Context(), conn, address("x@far.test")))
		sent := ear.next(t, 6) // and the replies to three pushes
		var items []string
		for _, el := range sent {
			if el.Attr("type") == "set" {
				q := rosterQuery(t, el, "set")
				for item := range q.Children() {
					items = append(items, itemOf(item))
				}
			}
		}
		require.Equal(t, []string{"nurse@far.test  name=Nurse [Servants]", "x@far.test ", "x@far.test remove"}, items)
		got, ok := contacts.Item(nurse.JID)
		require.True(t, ok)
		require.Equal(t, roster.None, got.State, "the server's word")
		require.Equal(t, 1, contacts.List().Len())

		// §2.1.6: who may push.
		forged := `<iq type='set' id='t.x' to='romeo@xmpp.test/full' FROM><query xmlns='jabber:iq:roster' ver='forged'><item jid='nurse@far.test' subscription='remove'/></query></iq>`
		there := ear.Resource(address("romeo@xmpp.test/full"))
		for _, from := range []string{"from='nurse@far.test'", "from='xmpp.test'", "from='romeo@xmpp.test/full'", "from='romeo@xmpp.test/other'", "from='juliet@xmpp.test'", "from='far.test'", "from='romeo@xmpp.test.far.test'"} {
			require.NoError(t, there.TrySend(raw(strings.Replace(forged, "FROM", from, 1))))
			reply := ear.next(t, 1)[0]
			require.Equal(t, "error", reply.Attr("type"), "%s", reply.Raw())
			require.Contains(t, string(reply.Raw()), "service-unavailable")
			require.Equal(t, 1, contacts.List().Len(), from)
		}
		for i, from := range []string{"", "from='romeo@xmpp.test'", "from='Romeo@XMPP.test'"} {
			sub := []string{"both", "sideways", "from"}[i]
			require.NoError(t, there.TrySend(raw(`<iq type='set' id='p' to='romeo@xmpp.test/full' `+from+`><query xmlns='jabber:iq:roster' ver='v `+sub+`'><item jid='nurse@far.test' subscription='`+sub+`'/></query></iq>`)))
			require.Equal(t, "result", ear.next(t, 1)[0].Attr("type"))
			got, _ = contacts.Item(nurse.JID)
			require.Equal(t, []roster.State{roster.Both, roster.None, roster.From}[i], got.State)
		}

		// §2.6.3, §2.1.1: after that the version is that of the last push, as it was;
		// nobody knows it, so that everything comes.
		require.NoError(t, conn.Close(t.Context()))
		synctest.Wait()
		conn = follow(t, s, contacts)
		require.Equal(t, "v from", rosterQuery(t, ear.next(t, 1)[0], "get").Attr("ver"))
		got, _ = contacts.Item(nurse.JID)
		require.Equal(t, "Nurse", got.Name)
		require.Equal(t, roster.None, got.State)

		// What happens while the client is away comes in pushes.
		require.NoError(t, roster.Set(t.Context(), conn, roster.Item{JID: nurse.JID}))
		synctest.Wait() // for the push
		last, _ := contacts.List().Version()
		require.NoError(t, conn.Close(t.Context()))
		other := join(t, s, "romeo", "other")
		other.say(setItem("s", `<item jid='nurse@far.test' name='Angelica'/>`))
		other.say(setItem("s", `<item jid='y@far.test'/>`))
		synctest.Wait()
		ear.mu.Lock()
		ear.heard = nil
		ear.mu.Unlock()
		conn = follow(t, s, contacts)
		require.Equal(t, last, rosterQuery(t, ear.next(t, 3)[0], "get").Attr("ver"))
		got, _ = contacts.Item(nurse.JID)
		require.Equal(t, "Angelica", got.Name)
		require.Equal(t, 2, contacts.List().Len())

		// §3.1.1, §3.1.4: subscriptions are presence, to the bare JID, with an id.
		juliet := resource(t, s, "juliet", "full")
		ids := map[string]bool{}
		juliet.say(`<presence type='subscribe' to='romeo@xmpp.test' id='t.9'/>`)
		synctest.Wait()
		ids["t.9"] = true
		full := address("juliet@xmpp.test/full")
		for _, step := range []struct {
			do   func(context.Context, roster.Sender, jid.JID) error
			want string
		}{
			{func(ctx context.Context, s roster.Sender, c jid.JID) error { return roster.Subscribe(ctx, s, c) }, "subscribe"},
			{roster.Unsubscribe, "unsubscribe"}, {roster.Approve, "subscribed"}, {roster.Cancel, "unsubscribed"}, {roster.PreApprove, "subscribed"}, {roster.Deny, "unsubscribed"},
		} {
			require.NoError(t, step.do(t.Context(), conn, full))
			synctest.Wait()
			ear.mu.Lock()
			at := slices.IndexFunc(ear.heard, func(el *stream.Element) bool { return el.Name().Local == "presence" })
			require.GreaterOrEqual(t, at, 0)
			el := ear.heard[at]
			ear.heard = nil
			ear.mu.Unlock()
			require.Equal(t, step.want+" juliet@xmpp.test", el.Attr("type")+" "+el.Attr("to"))
			require.NotEmpty(t, el.Attr("id"))
			require.False(t, ids[el.Attr("id")])
			ids[el.Attr("id")] = true
		}
	})
}
