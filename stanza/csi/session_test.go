package csi_test

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
)

// connection is a client and its server, negotiated with real authentication and
// binding.
type connection struct {
	client, server *stream.Session
	resource       *resource
	got            chan string // what the client gets
}

// connect negotiates, with SASL 2 and Bind 2 or without; m may be nil.
func connect(t *testing.T, m *csi.Module, c *csi.Client, bind2 bool) *connection {
	t.Helper()
	var (
		domain = jid.MustParse("capulet.lit")
		users  = new(sasl.MemoryStore)
		h      = new(host)
		conn   = &connection{got: make(chan string, 100)}
	)
	require.NoError(t, users.Set(t.Context(), "juliet", "r0m30myr0m30"))
	so := auth.ServerOptions{Store: users, InsecureWithoutTLS: true}
	co := auth.ClientOptions{Password: "r0m30myr0m30", InsecureWithoutTLS: true}
	server := []stream.Feature{auth.Server(&so), bind.Server(&bind.ServerOptions{
		Bind: func(_ context.Context, n *stream.Negotiation, asked jid.JID) (jid.JID, error) {
			if !asked.IsFull() {
				asked, _ = bind.Generate(n.Identity())
			}
			conn.resource = &resource{addr: asked}
			h.connect(conn.resource)
			return asked, nil
		},
	})}
	client := []stream.Feature{auth.Client(&co), bind.Client(nil), c.Feature()}
	if bind2 {
		server = append(server, auth.SASL2Server(&so))
		client = append([]stream.Feature{auth.SASL2Client(&co)}, client...)
	}
	if m != nil {
		require.NoError(t, m.Attach(h))
		server = append(server, m.StreamFeatures()...)
	}
	a, b := memconn.Pipe()
	accepted := make(chan error, 1)
	go func() { // ends with the negotiation, joined by accepted
		var err error
		conn.server, err = stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: stream.InsecureC2S(), Domains: []jid.JID{domain}, Features: server,
		})
		accepted <- err
	}()
	var err error
	conn.client, err = stream.Initiate(t.Context(), a, &stream.InitiateOptions{
		Profile: stream.InsecureC2S(), To: domain, From: jid.MustParse("juliet@capulet.lit"), Features: client,
	})
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	conn.resource.session.Store(conn.server)
	if m != nil {
		m.SessionUp(t.Context(), conn.resource)
	}
	// Both end with the sessions, in the cleanup.
	served, read := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		_ = conn.server.Serve(func(el *stream.Element) error { // a pong to whatever comes
			return conn.resource.TrySend(&stanza.IQ{ID: el.Attr("id"), Type: stanza.ResultIQ})
		})
	}()
	go func() {
		defer close(read)
		defer close(conn.got)
		_ = conn.client.Serve(func(el *stream.Element) error {
			conn.got <- string(el.Raw())
			return nil
		})
	}()
	t.Cleanup(func() {
		conn.client.Abort(nil)
		conn.server.Abort(nil)
		<-served
		<-read
	})
	return conn
}

// now returns what the client has got by now.
func (c *connection) now() (got []string) {
	synctest.Wait()
	for {
		select {
		case s, ok := <-c.got:
			if !ok {
				return append(got, "the end")
			}
			got = append(got, s)
		default:
			return got
		}
	}
}

// Both ways to negotiate, from both states.
func TestSession(t *testing.T) {
	for name, tt := range map[string]struct {
		bind2, inactive bool
	}{
		"RFC 6120":                  {false, false},
		"RFC 6120, begins inactive": {false, true},
		"XEP-0386":                  {true, false},
		"XEP-0386, begins inactive": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client := &csi.Client{Inactive: tt.inactive}
				c := connect(t, new(csi.Module), client, tt.bind2)
				require.True(t, client.Offered())
				away := presence("romeo@montague.lit/home", "")
				synctest.Wait()
				c.resource.route(t, away)
				if !tt.inactive {
					require.Equal(t, []string{away}, c.now())
					require.NoError(t, csi.Inactive(t.Context(), c.client))
					synctest.Wait()
					c.resource.route(t, away)
				}
				require.Empty(t, c.now())
				// XEP-0352 §5.1: what waited comes before the answer to what follows.
				require.NoError(t, csi.Active(t.Context(), c.client))
				require.NoError(t, c.client.Send(t.Context(), &stanza.IQ{ID: "ping1", Type: stanza.GetIQ, Payload: xml("<ping xmlns='urn:xmpp:ping'/>")}))
				require.Equal(t, []string{away, "<iq id='ping1' type='result'/>"}, c.now())
				require.Nil(t, c.resource.f.Load())
			})
		})
	}
}

// A server without the protocol: the client finds out, and says nothing.
func TestNotOffered(t *testing.T) {
	for _, bind2 := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			client := &csi.Client{Inactive: true}
			c := connect(t, new(csi.Module), client, bind2)
			require.True(t, client.Offered())
			c.client.Abort(nil)
			c = connect(t, nil, client, bind2)
			require.False(t, client.Offered(), "it is about the latest stream")
			require.Empty(t, c.now(), "the session lives")
		})
	}
}

// RFC 6120 §4.9.3.24: there are two states. And the state of another session is
// nobody else's.
func TestNonzas(t *testing.T) {
	t.Run("unknown", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := connect(t, new(csi.Module), new(csi.Client), false)
			require.NoError(t, c.client.Send(t.Context(), xml("<asleep xmlns='urn:xmpp:csi:0'/>")))
			require.Equal(t, []string{"the end"}, c.now())
			require.ErrorIs(t, c.client.Err(), stream.UnsupportedStanzaType)
		})
	})
	t.Run("replaced", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := new(csi.Module)
			c := connect(t, m, new(csi.Client), false)
			h := csi.HostOf(m).(*host)
			// Somebody else has the address now, and tells which session is his.
			other := &replaced{resource: &resource{addr: c.resource.addr}}
			h.connect(other)
			require.NoError(t, csi.Inactive(t.Context(), c.client))
			require.Empty(t, c.now())
			require.Nil(t, other.f.Load())
			// Nobody has it.
			h.mu.Lock()
			h.list = nil
			h.mu.Unlock()
			require.NoError(t, csi.Inactive(t.Context(), c.client))
			require.Empty(t, c.now(), "the session lives")
		})
	})
}

// replaced is a resource that tells which session is beneath it.
type replaced struct{ *resource }

func (r *replaced) Session() *stream.Session { return r.session.Load() }

func TestIndicate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect(t, new(csi.Module), new(csi.Client), false)
		c.client.Abort(nil)
		require.ErrorIs(t, csi.Active(t.Context(), c.client), stream.ErrClosed)
		require.ErrorIs(t, csi.Inactive(t.Context(), c.client), stream.ErrClosed)
	})
}
