package csi_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// host is a server with resources and nothing else.
type host struct {
	mu   sync.Mutex
	list map[jid.JID]stanza.Resource
}

func (h *host) Send(context.Context, stanza.Stanza) error { return errors.New("nothing is routed") }
func (h *host) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("nobody is asked")
}
func (h *host) Domains() []jid.JID                                     { return []jid.JID{jid.MustParse("capulet.lit")} }
func (h *host) Exists(context.Context, jid.JID) (bool, error)          { return true, nil }
func (h *host) MaySee(context.Context, jid.JID, jid.JID) (bool, error) { return true, nil }
func (h *host) Resources(jid.JID) []stanza.Resource                    { return nil }
func (h *host) Resource(addr jid.JID) stanza.Resource {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.list[addr]
}

func (h *host) connect(r stanza.Resource) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.list == nil {
		h.list = make(map[jid.JID]stanza.Resource)
	}
	h.list[r.Addr()] = r
}

type interceptor = func(*stanza.Transit, stream.Appender, func(stream.Appender) error) error

// resource records what it is sent, or hands it to a session.
type resource struct {
	addr    jid.JID
	session atomic.Pointer[stream.Session]
	f       atomic.Pointer[interceptor]
	values  sync.Map

	mu   sync.Mutex
	got  []string
	gone bool
}

func newResource() *resource { return &resource{addr: jid.MustParse("juliet@capulet.lit/balcony")} }

func (r *resource) Addr() jid.JID                            { return r.addr }
func (r *resource) Presence() *stream.Element                { return nil }
func (r *resource) Value(key any) any                        { v, _ := r.values.Load(key); return v }
func (r *resource) SetValue(key, value any)                  { r.values.Store(key, value) }
func (r *resource) End(context.Context, *stream.Error) error { return nil }
func (r *resource) TrySend(st stream.Appender) error         { return r.deliver(nil, st) }
func (r *resource) Intercept(f interceptor) {
	if f == nil {
		r.f.Store(nil)
		return
	}
	r.f.Store(&f)
}

// deliver is what a router does with what is for the resource.
func (r *resource) deliver(t *stanza.Transit, st stream.Appender) error {
	if f := r.f.Load(); f != nil {
		return (*f)(t, st, r.write)
	}
	return r.write(st)
}

func (r *resource) write(st stream.Appender) error {
	if s := r.session.Load(); s != nil {
		return s.TrySend(st)
	}
	b, err := st.AppendXML(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone {
		return net.ErrClosed
	}
	r.got = append(r.got, string(b))
	return err
}

// take returns what was written since the last time.
func (r *resource) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got = nil
	return got
}

// xml is a stanza as a router writes it: in a stream of clients.
type xml string

func (x xml) AppendXML(dst []byte) ([]byte, error) { return append(dst, x...), nil }

// route delivers a stanza as the router does, with a Transit.
func (r *resource) route(tb testing.TB, s string) {
	tb.Helper()
	el := parse(tb, s)
	from, err := el.From()
	require.NoError(tb, err)
	t := &stanza.Transit{Kind: stanza.KindOf(el.Name()), Type: el.Attr("type"), From: from, To: r.addr, Element: el}
	require.NoError(tb, r.deliver(t, xml(s)))
}

// parse reads a stanza of a stream of clients.
func parse(tb testing.TB, s string) *stream.Element {
	tb.Helper()
	el, err := stream.ParseElement([]byte("<stream xmlns='jabber:client'>"+s+"</stream>"), nil)
	require.NoError(tb, err)
	for child := range el.Children() {
		return child.Clone()
	}
	tb.Fatal("no stanza")
	return nil
}
