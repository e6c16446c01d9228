package carbons_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream"
)

// host is a server with resources and nothing else.
type host struct {
	mu   sync.Mutex
	list []*resource
}

func (h *host) Send(context.Context, stanza.Stanza) error { return errors.New("nothing is routed") }
func (h *host) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("nobody is asked")
}
func (h *host) Domains() []jid.JID                                     { return []jid.JID{jid.MustParse("montague.example")} }
func (h *host) Exists(context.Context, jid.JID) (bool, error)          { return true, nil }
func (h *host) MaySee(context.Context, jid.JID, jid.JID) (bool, error) { return true, nil }
func (h *host) Resources(jid.JID) []stanza.Resource                    { return nil }
func (h *host) Resource(addr jid.JID) stanza.Resource {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.list {
		if r.addr == addr {
			return r
		}
	}
	return nil
}

// connect adds a resource, in place of one with that address.
func (h *host) connect(addr string) *resource {
	r := &resource{addr: jid.MustParse(addr)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = slices.DeleteFunc(h.list, func(old *resource) bool { return old.addr == r.addr })
	h.list = append(h.list, r)
	return r
}

// forget removes a resource.
func (h *host) forget(r *resource) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.list = slices.DeleteFunc(h.list, func(old *resource) bool { return old == r })
}

// resource records what it is sent.
type resource struct {
	addr jid.JID
	mu   sync.Mutex
	got  []string
	st   []stream.Appender
	mute bool // records nothing
}

func (r *resource) Addr() jid.JID             { return r.addr }
func (r *resource) Presence() *stream.Element { return nil }
func (r *resource) TrySend(st stream.Appender) error {
	if r.mute {
		return net.ErrClosed
	}
	b, err := st.AppendXML(nil)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got, r.st = append(r.got, string(b)), append(r.st, st)
	return err
}
func (r *resource) Intercept(func(*stanza.Transit, stream.Appender, func(stream.Appender) error) error) {
}
func (r *resource) Value(any) any                            { return nil }
func (r *resource) SetValue(any, any)                        {}
func (r *resource) End(context.Context, *stream.Error) error { return nil }

// take returns what came since the last time.
func (r *resource) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got, r.st = nil, nil
	return got
}

// sender records what a handler answers.
type sender struct{ sent []string }

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	s.sent = append(s.sent, string(b))
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// server is a host with the module.
type server struct {
	*host
	mod *carbons.Module
	mux stanza.Mux
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{host: new(host), mod: new(carbons.Module)}
	require.NoError(tb, s.mod.Attach(s.host))
	require.NoError(tb, stanza.Install(&s.mux, s.mod))
	return s
}

// ask gives a request to the module and returns the answer.
func (s *server) ask(tb testing.TB, from, xml string) string {
	tb.Helper()
	st, err := stanza.Decode(parse(tb, xml))
	require.NoError(tb, err)
	h := st.Head()
	h.From = jid.MustParse(from)
	st.SetHead(h)
	out := new(sender)
	require.NoError(tb, stanza.Dispatch(tb.Context(), &s.mux, out, st))
	require.Len(tb, out.sent, 1)
	return out.sent[0]
}

// enabled adds a resource that wants copies.
func (s *server) enabled(tb testing.TB, addr string) *resource {
	tb.Helper()
	r := s.connect(addr)
	s.mod.SessionUp(tb.Context(), r)
	require.Contains(tb, s.ask(tb, addr, `<iq xmlns='jabber:client' id='enable1' type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`), "type='result'")
	return r
}

// transit makes what the router hands to modules of a message with true addresses.
func transit(tb testing.TB, xml string, sender *resource, delivered ...*resource) *stanza.Transit {
	tb.Helper()
	el := parse(tb, xml)
	from, err := el.From()
	require.NoError(tb, err)
	to, err := el.To()
	require.NoError(tb, err)
	t := &stanza.Transit{Kind: stanza.KindOf(el.Name()), Type: el.Attr("type"), From: from, To: to, Element: el}
	if t.Type == "" {
		t.Type = "normal"
	}
	if sender != nil {
		t.Sender = sender
	}
	for _, r := range delivered {
		t.Delivered = append(t.Delivered, r)
	}
	return t
}

func parse(tb testing.TB, xml string) *stream.Element {
	tb.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(tb, err)
	return el
}

// message decodes what a client gets: XML in the namespace of its stream.
func message(tb testing.TB, xml string) *stanza.Message {
	tb.Helper()
	around := parse(tb, "<stream xmlns='jabber:client'>"+xml+"</stream>")
	for el := range around.Children() {
		m := new(stanza.Message)
		_ = m.DecodeElement(el.Clone()) // a bad address is the test's business
		return m
	}
	tb.Fatal("no message")
	return nil
}
