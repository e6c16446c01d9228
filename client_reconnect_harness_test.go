package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// cable is the network of a client, which can fail.
type cable struct {
	inner dial.ContextDialer

	mu      sync.Mutex
	open    map[*plug]struct{}
	dialed  []string
	refuse  error         // of dialing
	block   chan struct{} // dialing waits for it
	silent  bool          // connections lead nowhere
	through func(net.Conn) net.Conn
}

// plug is one connection over a cable.
type plug struct {
	net.Conn
	cable *cable
	dead  atomic.Bool // what is written is swallowed
}

func (p *plug) Write(b []byte) (int, error) {
	if p.dead.Load() {
		return len(b), nil
	}
	return p.Conn.Write(b)
}

func (p *plug) Close() error {
	p.cable.mu.Lock()
	delete(p.cable.open, p)
	p.cable.mu.Unlock()
	return p.Conn.Close()
}

var errCable = errors.New("the cable was cut")

func (c *cable) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c.mu.Lock()
	c.dialed = append(c.dialed, address)
	refuse, block, silent, through := c.refuse, c.block, c.silent, c.through
	c.mu.Unlock()
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if refuse != nil {
		return nil, refuse
	}
	nc, err := c.inner.DialContext(ctx, network, address)
	if silent && err == nil {
		nc.Close()
		nc, _ = xmpptest.Pipe()
	}
	if err != nil {
		return nil, err
	}
	if through != nil {
		nc = through(nc)
	}
	p := &plug{Conn: nc, cable: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[p] = struct{}{}
	return p, nil
}

func (c *cable) plugs() []*plug {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []*plug
	for p := range c.open {
		all = append(all, p)
	}
	return all
}

// cut drops all connections.
func (c *cable) cut() {
	for _, p := range c.plugs() {
		p.Conn.Close()
	}
}

// swallow makes the connections of now lose what is written.
func (c *cable) swallow() {
	for _, p := range c.plugs() {
		p.dead.Store(true)
	}
}

// pull makes further connections fail with err, or work again with nil.
func (c *cable) pull(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse = err
}

func (c *cable) attempts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.dialed)
}

// newsreel collects events, as text and as they are.
type newsreel struct {
	mu  sync.Mutex
	all []xmpp.Event
}

func (d *newsreel) add(e xmpp.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.all = append(d.all, e)
}

// kinds returns what has happened, in short.
func (d *newsreel) kinds() (out []string) {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.all {
		s := fmt.Sprintf("%T", e)[len("xmpp."):]
		if c, ok := e.(xmpp.Connected); ok && c.Resumed {
			s = "Resumed"
		}
		out = append(out, s)
	}
	return out
}

func (d *newsreel) last() xmpp.Event {
	synctest.Wait()
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[len(d.all)-1]
}

// traveller is a client that reconnects, with what it has got.
type traveller struct {
	*stanza.Conn
	t      *testing.T
	server *xmpptest.Server
	client *xmpp.Client
	net    *cable
	news   *newsreel
	served chan error

	mu  sync.Mutex
	got []string // ids of messages
}

// travel connects a client that reconnects, and serves it.
func travel(t *testing.T, s *xmpptest.Server, change func(*xmpp.Client)) *traveller {
	t.Helper()
	v := newTraveller(t, s, change)
	v.connect()
	return v
}

func newTraveller(t *testing.T, s *xmpptest.Server, change func(*xmpp.Client)) *traveller {
	t.Helper()
	v := &traveller{t: t, server: s, news: &newsreel{}, served: make(chan error, 1)}
	v.client = s.Client(s.AddAccount(t, "juliet", "secret"), "secret")
	v.net = &cable{inner: v.client.Dial.Dialer, open: map[*plug]struct{}{}}
	v.client.Dial = &dial.Options{Dialer: v.net}
	v.client.Reconnect = &xmpp.Reconnect{Events: v.news.add}
	if change != nil {
		change(v.client)
	}
	return v
}

func (v *traveller) connect(modules ...stanza.Module) {
	v.t.Helper()
	var err error
	v.Conn, err = v.client.Connect(v.t.Context())
	require.NoError(v.t, err)
	var mux stanza.Mux
	require.NoError(v.t, stanza.Install(&mux, modules...))
	require.NoError(v.t, mux.HandleMessage(stanza.Any, stream.Name{}, func(_ context.Context, _ stanza.Sender, m *stanza.Message) error {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.got = append(v.got, m.ID)
		return nil
	}))
	// Owner: the test. Ends with the Conn, in the cleanup.
	go func() { v.served <- v.Serve(context.Background(), &mux) }()
	v.t.Cleanup(func() {
		v.Abort(errors.New("the test is over"))
		<-v.Done()
		<-v.served
	})
}

func (v *traveller) received() []string {
	synctest.Wait()
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.got)
}

// text sends a message.
func (v *traveller) text(to jid.JID, id string) {
	v.t.Helper()
	require.NoError(v.t, v.Send(v.t.Context(), &stanza.Message{ID: id, To: to, Type: stanza.ChatMessage, Body: stanza.Plain(id)}))
}

// passes lets time go by.
func passes(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// ask calls Do in a goroutine.
func (v *traveller) ask(to jid.JID) <-chan error {
	out := make(chan error, 1)
	go func() {
		_, err := v.Do(v.t.Context(), &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: raw("<q xmlns='urn:q'/>")})
		out <- err
	}()
	synctest.Wait()
	return out
}

func open(t *testing.T, ch <-chan error) {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-ch:
		require.FailNow(t, "it has returned", "%v", err)
	default:
	}
}

func outcome(t *testing.T, ch <-chan error) error {
	t.Helper()
	synctest.Wait()
	select {
	case err := <-ch:
		return err
	default:
		require.FailNow(t, "it has not returned")
	}
	return nil
}
