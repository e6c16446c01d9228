package presence

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// nobody is Accounts without any.
type nobody struct{}

func (nobody) Exists(context.Context, jid.JID) (bool, error) { return false, nil }

func testRouter(t *testing.T) *Router {
	r := &Router{Hosted: []jid.JID{jid.MustParse("xmpp.test")}, Accounts: nobody{}}
	require.NoError(t, r.Init())
	return r
}

// An account that somebody works with is the same for everybody: two of them would
// have two locks, and two opinions about the roster.
func TestAccountIsOneWhileUsed(t *testing.T) {
	r := testRouter(t)
	full := jid.MustParse("juliet@xmpp.test/balcony")
	bind := func() (*Connection, *Resource) {
		c := r.Connect(t.Context())
		_, err := r.Bind(c.Context(), nil, full)
		require.NoError(t, err)
		return c, c.Resource()
	}
	first, old := bind()
	second, now := bind()
	require.NotSame(t, old, now)
	require.Equal(t, []*Resource{now}, r.Connected(full))
	second.Leave()
	require.Empty(t, r.Connected(full))
	// The first one was replaced, and may still be handling a stanza.
	third, again := bind()
	require.Same(t, old.account, again.account)
	third.Leave()
	require.Same(t, old.account, r.table.find(full.Bare()))
	first.Leave()
	first.Leave()
	require.Empty(t, r.table.accounts)
	require.Zero(t, old.account.users)
}

// Whatever happens to connections, in whatever order, nothing is left of them in
// the end.
func TestConnectionsLeaveNothing(t *testing.T) {
	r := testRouter(t)
	var workers sync.WaitGroup
	for w := range 8 {
		random := rand.New(rand.NewPCG(7, uint64(w)))
		workers.Go(func() {
			for i := range 1250 {
				full := jid.MustParse(fmt.Sprintf("user%d@xmpp.test/%d", random.IntN(4), random.IntN(3)))
				c := r.Connect(t.Context())
				switch random.IntN(6) {
				case 0:
					c.Abort(errGone)
				case 1:
					c.End(t.Context(), &stream.Error{Condition: stream.SystemShutdown})
				}
				if _, err := r.Bind(c.Context(), nil, full); err != nil && !errors.Is(err, stream.NotAuthorized) {
					t.Errorf("%d: %v", i, err) // another worker may have had the account removed
				}
				switch random.IntN(4) {
				case 0:
					if err := r.Forget(t.Context(), full); err != nil {
						t.Error(err)
					}
				case 1:
					if _, err := r.Viewers(t.Context(), full); err != nil {
						t.Error(err)
					}
				}
				a := r.table.use(full.Bare())
				if a != c.Resource().account {
					t.Error("two accounts with one address")
				}
				c.Leave()
				if b := r.table.use(full.Bare()); a != b {
					t.Error("another account with the address")
				}
				r.table.done(a)
				r.table.done(a)
			}
		})
	}
	workers.Wait()
	require.Empty(t, r.table.accounts)
	require.Empty(t, r.requests.pending)
}

// RFC 6120 §4.9.3.12: who is forgotten before its stream is negotiated does not come
// back with it.
func TestForgetWhileBinding(t *testing.T) {
	r := testRouter(t)
	c := r.Connect(t.Context())
	defer c.Leave()
	full, err := r.Bind(c.Context(), nil, jid.MustParse("juliet@xmpp.test/balcony"))
	require.NoError(t, err)
	exists, err := r.Exists(t.Context(), full.Bare())
	require.NoError(t, err)
	require.True(t, exists)
	require.NoError(t, r.Forget(t.Context(), full))
	exists, err = r.Exists(t.Context(), full.Bare())
	require.NoError(t, err)
	require.False(t, exists, "a session that is over makes no account")
	reason := c.attach(new(stream.Session))
	require.NotNil(t, reason)
	require.Equal(t, stream.NotAuthorized, reason.Condition)
	require.False(t, c.Resource().connected())
}

// While one session that was replaced is being cleaned up, its address can belong to
// a third one already, which is available: nobody is told then that it is not.
func TestEvictionDoesNotHideSuccessor(t *testing.T) {
	r := testRouter(t)
	bind := func(s string) *Resource {
		c := r.Connect(t.Context())
		t.Cleanup(c.Leave)
		_, err := r.Bind(c.Context(), nil, jid.MustParse(s))
		require.NoError(t, err)
		return c.Resource()
	}
	show := func(res *Resource) {
		el, err := stream.ParseElement([]byte(`<presence xmlns='jabber:client'/>`), nil)
		require.NoError(t, err)
		r.appear(t.Context(), res, &stanza.Transit{Kind: stanza.PresenceKind, From: res.addr, Element: el, Sender: res})
	}
	watch := bind("juliet@xmpp.test/watch")
	show(watch)
	first := bind("juliet@xmpp.test/balcony")
	show(first)
	second := r.Connect(t.Context())
	t.Cleanup(second.Leave)
	res, holder, err := r.table.claim(first.addr, second, true, 64)
	require.NoError(t, err)
	require.Same(t, first, holder)
	second.resource = res // Bind has come this far
	third := bind("juliet@xmpp.test/balcony")
	show(third)
	r.evict(t.Context(), first, &stream.Error{Condition: stream.Conflict}) // and goes on
	heard := watch.early.Load().stanzas
	require.Equal(t, "<presence to='juliet@xmpp.test' from='juliet@xmpp.test/balcony'/>", string(heard[len(heard)-1]))
	third.connection().Leave()
	heard = watch.early.Load().stanzas
	require.Contains(t, string(heard[len(heard)-1]), "type='unavailable'")
}

// A connection has one resource, and none when it is over: a second one would never
// be given up.
func TestConnectionBindsOnce(t *testing.T) {
	r := testRouter(t)
	c := r.Connect(t.Context())
	_, err := r.Bind(c.Context(), nil, jid.MustParse("juliet@xmpp.test/balcony"))
	require.NoError(t, err)
	_, err = r.Bind(c.Context(), nil, jid.MustParse("juliet@xmpp.test/chamber"))
	require.Error(t, err)
	require.Len(t, r.Connected(jid.JID{}), 1)
	c.Leave()
	_, err = r.Bind(c.Context(), nil, jid.MustParse("juliet@xmpp.test/balcony"))
	require.Error(t, err)
	require.Empty(t, r.table.accounts)
}
