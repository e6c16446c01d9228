package blocking_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

// resource is a connected client. What the module does not use is not there.
type resource struct {
	stanza.Resource
	addr jid.JID
	h    *host

	mu     sync.Mutex
	values map[any]any
}

func (r *resource) Addr() jid.JID { return r.addr }

func (r *resource) Value(key any) any {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.values[key]
}

func (r *resource) SetValue(key, value any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.values == nil {
		r.values = map[any]any{}
	}
	r.values[key] = value
}

func (r *resource) TrySend(st stream.Appender) error {
	iq := *st.(*stanza.IQ)
	if iq.ID == "" {
		return errors.New("a push without an id")
	}
	iq.ID = "push"
	b, err := iq.AppendXML(nil)
	r.h.note(string(b))
	return err
}

// host is a server that writes down what it is asked to do.
type host struct {
	stanza.Host
	viewers []jid.JID
	err     error

	mu        sync.Mutex
	resources []*resource
	events    []string
}

func (h *host) note(event string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
}

func (h *host) take() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := h.events
	h.events = nil
	return out
}

func (h *host) login(addr string) *resource {
	r := &resource{addr: jid.MustParse(addr), h: h}
	h.resources = append(h.resources, r)
	return r
}

func (*host) Domains() []jid.JID { return []jid.JID{jid.MustParse("capulet.com")} }

func (h *host) Resource(addr jid.JID) stanza.Resource {
	for _, r := range h.resources {
		if r.addr == addr {
			return r
		}
	}
	return nil
}

func (h *host) Resources(account jid.JID) (out []stanza.Resource) {
	for _, r := range h.resources {
		if r.addr.Bare() == account {
			out = append(out, r)
		}
	}
	return out
}

func (h *host) Show(_ context.Context, account, contact jid.JID) {
	h.note(fmt.Sprintf("show %s to %s", account, contact))
}

func (h *host) Hide(_ context.Context, account, contact jid.JID) {
	h.note(fmt.Sprintf("hide %s from %s", account, contact))
}

func (h *host) Viewers(context.Context, jid.JID) ([]jid.JID, error) { return h.viewers, h.err }

// server is a module in its host.
type server struct {
	*blocking.Module
	t   *testing.T
	h   *host
	mux stanza.Mux
}

func newServer(t *testing.T, m *blocking.Module, viewers ...string) *server {
	s := &server{Module: m, t: t, h: &host{}}
	for _, v := range viewers {
		s.h.viewers = append(s.h.viewers, jid.MustParse(v))
	}
	require.NoError(t, m.Attach(s.h))
	require.NoError(t, m.Register(&s.mux))
	return s
}

// sender records replies.
type sender struct{ sent []string }

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	s.sent = append(s.sent, string(b))
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// ask handles an iq as from a client and returns the reply.
func (s *server) ask(from, iq string) string { return ask(s.t, &s.mux, from, iq) }

func ask(t *testing.T, mux *stanza.Mux, from, iq string) string {
	t.Helper()
	el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client'"+strings.TrimPrefix(iq, "<iq")), nil)
	require.NoError(t, err)
	st, err := stanza.Decode(el)
	require.NoError(t, err)
	if h := st.Head(); from != "" {
		h.From = jid.MustParse(from)
		st.SetHead(h)
	}
	out := &sender{}
	err = stanza.Dispatch(t.Context(), mux, out, st)
	require.Len(t, out.sent, 1)
	if !strings.Contains(out.sent[0], "internal-server-error") { // of those the server learns more
		require.NoError(t, err)
	}
	return out.sent[0]
}

func (s *server) block(addrs ...string) {
	s.t.Helper()
	require.Contains(s.t, s.ask(chamber, command("block", addrs...)), "type='result'")
	s.h.take()
}

func command(what string, addrs ...string) string {
	iq := "<iq type='set' id='x'><" + what + " xmlns='urn:xmpp:blocking'>"
	for _, a := range addrs {
		iq += "<item jid='" + a + "'/>"
	}
	return iq + "</" + what + "></iq>"
}

const (
	chamber = "juliet@capulet.com/chamber"
	balcony = "juliet@capulet.com/balcony"
	list    = "<iq type='get' id='blocklist1'><blocklist xmlns='urn:xmpp:blocking'/></iq>"
)

func failure(id, typ, condition, text string) string {
	e := "<error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
	if text != "" {
		e += "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>" + text + "</text>"
	}
	return "<iq id='" + id + "' to='" + chamber + "' type='error'>" + e + "</error></iq>"
}

// XEP-0191 §3, examples 3 to 15, in their order.
func TestExamples(t *testing.T) {
	s := newServer(t, &blocking.Module{}, "romeo@montague.net", "nurse@capulet.com")
	s.h.login(chamber)
	s.h.login(balcony)
	s.h.login("juliet@capulet.com/garden") // never asks for the list
	s.h.login("romeo@capulet.com/x")

	require.Equal(t, []string{"urn:xmpp:blocking"}, s.Features())
	// Examples 3 and 5.
	require.Equal(t, "<iq id='blocklist1' to='"+chamber+"' type='result'><blocklist xmlns='urn:xmpp:blocking'/></iq>", s.ask(chamber, list))
	s.ask(balcony, list)

	// Examples 6 to 8: unavailable presence, pushes to who asked for the list.
	require.Equal(t, "<iq id='x' to='"+chamber+"' type='result'/>", s.ask(chamber, command("block", "romeo@montague.net")))
	require.Equal(t, []string{
		"hide juliet@capulet.com from romeo@montague.net",
		"<iq id='push' to='" + chamber + "' type='set'><block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block></iq>",
		"<iq id='push' to='" + balcony + "' type='set'><block xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></block></iq>",
	}, s.h.take())

	// Example 4. Whoever was blocked before is not told again.
	s.ask(chamber, command("block", "iago@shakespeare.lit", "romeo@montague.net"))
	require.Equal(t, "hide juliet@capulet.com from iago@shakespeare.lit", s.h.take()[0])
	require.Equal(t, "<iq id='blocklist1' to='"+chamber+"' type='result'><blocklist xmlns='urn:xmpp:blocking'>"+
		"<item jid='iago@shakespeare.lit'/><item jid='romeo@montague.net'/></blocklist></iq>", s.ask(chamber, list))
	// Lists are those of one account.
	require.Contains(t, s.ask("romeo@capulet.com/x", list), "<blocklist xmlns='urn:xmpp:blocking'/>")

	// Examples 10 to 12.
	require.Equal(t, "<iq id='x' to='"+chamber+"' type='result'/>", s.ask(chamber, command("unblock", "romeo@montague.net")))
	require.Equal(t, []string{
		"show juliet@capulet.com to romeo@montague.net",
		"<iq id='push' to='" + chamber + "' type='set'><unblock xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></unblock></iq>",
		"<iq id='push' to='" + balcony + "' type='set'><unblock xmlns='urn:xmpp:blocking'><item jid='romeo@montague.net'/></unblock></iq>",
	}, s.h.take())

	// Examples 13 to 15.
	s.block("nurse@capulet.com", "romeo@montague.net")
	require.Equal(t, "<iq id='x' to='"+chamber+"' type='result'/>", s.ask(chamber, command("unblock")))
	require.Equal(t, []string{
		"show juliet@capulet.com to iago@shakespeare.lit",
		"show juliet@capulet.com to nurse@capulet.com",
		"show juliet@capulet.com to romeo@montague.net",
		"<iq id='push' to='" + chamber + "' type='set'><unblock xmlns='urn:xmpp:blocking'/></iq>",
		"<iq id='push' to='" + balcony + "' type='set'><unblock xmlns='urn:xmpp:blocking'/></iq>",
	}, s.h.take())
	require.Contains(t, s.ask(chamber, list), "<blocklist xmlns='urn:xmpp:blocking'/>")
	require.Equal(t, stanza.Pass(), s.Gate(jid.MustParse("romeo@montague.net"), jid.MustParse(chamber), stanza.MessageKind, "chat"))
}

func TestRefused(t *testing.T) {
	s := newServer(t, &blocking.Module{Items: 2})
	for _, tt := range []struct{ name, iq, want string }{
		{"§3.3 nothing to block", command("block"), failure("x", "modify", "bad-request", "nothing to block")},
		{"no jid", "<iq type='set' id='x'><block xmlns='urn:xmpp:blocking'><item/></block></iq>", failure("x", "modify", "bad-request", "an item has no jid")},
		{"not a jid", command("unblock", "@"), failure("x", "modify", "jid-malformed", `&quot;@&quot; is not an address`)},
		{"empty jid", command("block", ""), failure("x", "modify", "jid-malformed", `&quot;&quot; is not an address`)},
		{"too many", command("block", "a.lit", "b.lit", "c.lit"), failure("x", "modify", "policy-violation", "at most 2 addresses can be blocked")},
		{"§3.2 no set of the list", "<iq type='set' id='x'><blocklist xmlns='urn:xmpp:blocking'/></iq>", failure("x", "cancel", "service-unavailable", "")},
		{"§3.3 no get of a command", "<iq type='get' id='x'><block xmlns='urn:xmpp:blocking'/></iq>", failure("x", "cancel", "service-unavailable", "")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.ReplaceAll(s.ask(chamber, tt.iq), `"`, "&quot;")
			require.Equal(t, tt.want, got)
			require.Contains(t, s.ask(chamber, list), "<blocklist xmlns='urn:xmpp:blocking'/>")
			require.Empty(t, s.h.take())
		})
	}
	t.Run("to somebody else", func(t *testing.T) {
		for _, to := range []string{"capulet.com", "nurse@capulet.com", balcony} {
			got := s.ask(chamber, "<iq to='"+to+"' type='get' id='x'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
			require.Contains(t, got, "service-unavailable", to)
		}
		require.Contains(t, s.ask(chamber, "<iq to='juliet@capulet.com' type='get' id='x'><blocklist xmlns='urn:xmpp:blocking'/></iq>"), "type='result'")
	})
	t.Run("the same again counts once", func(t *testing.T) {
		s.block("a.lit", "b.lit", "a.lit")
		s.block("b.lit", "a.lit")
		require.Contains(t, s.ask(chamber, command("block", "c.lit")), "policy-violation")
		require.Contains(t, s.ask(chamber, command("unblock", "unknown.lit")), "type='result'")
	})
	t.Run("a lower bound than before", func(t *testing.T) {
		s.Items = 1
		require.Contains(t, s.ask(chamber, command("block", "a.lit")), "type='result'")
		require.Contains(t, s.ask(chamber, command("unblock", "a.lit")), "type='result'")
	})
}

// XEP-0191 §6: matching, and §3.3: what becomes of stanzas.
//
//conformance:proves 6120-8.3.2-8
func TestGate(t *testing.T) {
	s := newServer(t, &blocking.Module{})
	s.block("full@a.lit/x", "bare@a.lit", "service.lit/x", "domain.lit")
	juliet := jid.MustParse(chamber)
	for addr, blocked := range map[string]bool{
		"full@a.lit/x": true, "full@a.lit/y": false, "full@a.lit": false,
		"bare@a.lit": true, "bare@a.lit/any": true, "a.lit": false, "other@a.lit": false,
		"service.lit/x": true, "service.lit/y": false, "service.lit": false, "u@service.lit/x": false,
		"domain.lit": true, "domain.lit/any": true, "u@domain.lit": true, "u@domain.lit/any": true, "sub.domain.lit": false,
	} {
		contact := jid.MustParse(addr)
		require.Equal(t, blocked, s.Gate(contact, juliet, stanza.MessageKind, "chat") != stanza.Pass(), "from %s", addr)
		require.Equal(t, blocked, s.Gate(contact, juliet.Bare(), stanza.PresenceKind, "probe") != stanza.Pass(), "from %s", addr)
		require.Equal(t, blocked, s.Gate(juliet, contact, stanza.MessageKind, "chat") != stanza.Pass(), "to %s", addr)
		require.Equal(t, stanza.Pass(), s.Gate(contact, jid.MustParse("nurse@capulet.com"), stanza.MessageKind, "chat"))
	}

	iago := jid.MustParse("bare@a.lit/x")
	gone := stanza.Bounce(stanza.ServiceUnavailable)
	for _, tt := range []struct {
		kind stanza.Kind
		typ  string
		in   stanza.Verdict
		out  bool // told; else dropped
	}{
		{stanza.MessageKind, "normal", gone, true},
		{stanza.MessageKind, "chat", gone, true},
		{stanza.MessageKind, "headline", gone, true},
		{stanza.MessageKind, "groupchat", stanza.Drop(), true},
		{stanza.MessageKind, "error", stanza.Drop(), false},
		{stanza.PresenceKind, "", stanza.Drop(), true},
		{stanza.PresenceKind, "unavailable", stanza.Drop(), true},
		{stanza.PresenceKind, "subscribe", stanza.Drop(), true},
		{stanza.PresenceKind, "unsubscribed", stanza.Drop(), true},
		{stanza.PresenceKind, "probe", stanza.Drop(), true},
		{stanza.PresenceKind, "error", stanza.Drop(), false},
		{stanza.IQKind, "get", gone, true},
		{stanza.IQKind, "set", gone, true},
		{stanza.IQKind, "result", stanza.Drop(), false},
		{stanza.IQKind, "error", stanza.Drop(), false},
	} {
		require.Equal(t, tt.in, s.Gate(iago, juliet, tt.kind, tt.typ), "%v %s", tt.kind, tt.typ)
		out := s.Gate(juliet, iago, tt.kind, tt.typ)
		if !tt.out {
			require.Equal(t, stanza.Drop(), out, "%v %s", tt.kind, tt.typ)
			continue
		}
		require.Equal(t, stanza.ActionBounce, out.Action, "%v %s", tt.kind, tt.typ)
		require.True(t, blocking.IsBlocked(out.Err))
	}

	// Example 9.
	msg := &stanza.Message{ID: "m", From: juliet, To: iago, Type: stanza.ChatMessage}
	b, err := stanza.ErrorReply(msg, s.Gate(juliet, iago, stanza.MessageKind, "chat").Err).AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, "<message id='m' from='bare@a.lit/x' to='juliet@capulet.com/chamber' type='error'><error type='cancel'>"+
		"<not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><blocked xmlns='urn:xmpp:blocking:errors'/></error></message>", string(b))
}

// XEP-0191 §5, note, and nobody locks himself out.
func TestExempt(t *testing.T) {
	s := newServer(t, &blocking.Module{}, "nurse@capulet.com", "juliet@capulet.com")
	require.Contains(t, s.ask(chamber, command("block", "capulet.com", "juliet@capulet.com", balcony, "capulet.com/admin")), "type='result'")
	require.Equal(t, []string{"hide juliet@capulet.com from nurse@capulet.com"}, s.h.take())
	me := jid.MustParse(chamber)
	for _, addr := range []string{balcony, "juliet@capulet.com", "capulet.com", "capulet.com/admin"} {
		other := jid.MustParse(addr)
		require.Equal(t, stanza.Pass(), s.Gate(me, other, stanza.IQKind, "set"), addr)
		require.Equal(t, stanza.Pass(), s.Gate(other, me, stanza.IQKind, "result"), addr)
	}
	require.NotEqual(t, stanza.Pass(), s.Gate(jid.MustParse("nurse@capulet.com/x"), me, stanza.IQKind, "get"))
	require.Contains(t, s.ask(chamber, command("unblock")), "type='result'")
	require.Equal(t, []string{"show juliet@capulet.com to nurse@capulet.com"}, s.h.take())
	require.Equal(t, stanza.Pass(), s.Gate(jid.JID{}, me, stanza.IQKind, "get"))
}

// Contacts hear of what changes for them, and of nothing else.
func TestPresence(t *testing.T) {
	s := newServer(t, &blocking.Module{}, "a@x.lit", "b@x.lit", "c@y.lit", "muc.x.lit/nick", "x.lit/full", "d@z.lit/directed")
	steps := []struct {
		iq   string
		want []string
	}{
		{command("block", "a@x.lit"), []string{"hide juliet@capulet.com from a@x.lit"}},
		{command("block", "x.lit"), []string{
			"hide juliet@capulet.com from b@x.lit", "hide juliet@capulet.com from x.lit", "hide juliet@capulet.com from x.lit/full",
		}},
		{command("unblock", "a@x.lit"), nil}, // the domain still blocks it
		{command("block", "b@x.lit"), nil},
		{command("unblock", "x.lit"), []string{ // and here the bare JID
			"show juliet@capulet.com to a@x.lit", "show juliet@capulet.com to x.lit", "show juliet@capulet.com to x.lit/full",
		}},
		{command("unblock", "x.lit"), nil},
		{command("block", "d@z.lit"), []string{"hide juliet@capulet.com from d@z.lit", "hide juliet@capulet.com from d@z.lit/directed"}},
		{command("block", "c@y.lit/home"), []string{"hide juliet@capulet.com from c@y.lit/home"}},
		{command("block", "y.lit/z"), []string{"hide juliet@capulet.com from y.lit/z"}},
		{command("block", "c@y.lit"), []string{"hide juliet@capulet.com from c@y.lit"}},
		{command("unblock", "c@y.lit"), []string{"show juliet@capulet.com to c@y.lit"}},
		{command("unblock", "c@y.lit/home"), []string{"show juliet@capulet.com to c@y.lit/home"}},
	}
	for _, step := range steps {
		require.Contains(t, s.ask(chamber, step.iq), "type='result'")
		require.Equal(t, step.want, s.h.take(), step.iq)
	}
}

// poor is a host without Viewers.
type poor struct {
	stanza.Host
	presences
}

type presences interface {
	Show(ctx context.Context, account, contact jid.JID)
	Hide(ctx context.Context, account, contact jid.JID)
}

// Who blocks the account gets nothing from it, not even that it went away.
func TestMutual(t *testing.T) {
	s := newServer(t, &blocking.Module{})
	for _, step := range []struct {
		from, iq string
		want     []string
	}{
		{"romeo@capulet.com/x", command("block", "juliet@capulet.com"), []string{"hide romeo@capulet.com from juliet@capulet.com"}},
		{chamber, command("block", "romeo@capulet.com"), nil},
		{chamber, command("unblock", "romeo@capulet.com"), nil},
		{"romeo@capulet.com/x", command("unblock"), []string{"show romeo@capulet.com to juliet@capulet.com"}},
		{chamber, command("block", "romeo@capulet.com"), []string{"hide juliet@capulet.com from romeo@capulet.com"}},
	} {
		require.Contains(t, s.ask(step.from, step.iq), "type='result'")
		require.Equal(t, step.want, s.h.take())
	}
}

// broken is a store that fails.
type broken struct{ err error }

func (b broken) All(context.Context, func(jid.JID, []jid.JID) error) error { return nil }
func (b broken) Put(context.Context, jid.JID, []jid.JID) error             { return b.err }

type unreadable struct{ broken }

func (u unreadable) All(context.Context, func(jid.JID, []jid.JID) error) error { return u.err }

// All or nothing: what is not stored is not in force either.
func TestStoreFails(t *testing.T) {
	disk := errors.New("disk")
	s := newServer(t, &blocking.Module{Store: broken{disk}}, "a@x.lit")
	s.h.login(chamber)
	s.ask(chamber, list)
	require.Equal(t, failure("x", "cancel", "internal-server-error", ""), s.ask(chamber, command("block", "a@x.lit")))
	require.Empty(t, s.h.take())
	require.Equal(t, stanza.Pass(), s.Gate(jid.MustParse("a@x.lit"), jid.MustParse(chamber), stanza.MessageKind, "chat"))
	require.ErrorIs(t, s.AccountRemoved(t.Context(), jid.MustParse("juliet@capulet.com")), disk)

	s = newServer(t, &blocking.Module{Store: &blocking.MemoryStore{Accounts: 1}})
	s.block("a@x.lit")
	require.Contains(t, s.ask("nurse@capulet.com/x", command("block", "a@x.lit")), "resource-constraint")

	s = newServer(t, &blocking.Module{})
	s.h.err = disk
	require.Contains(t, s.ask(chamber, command("block", "a@x.lit")), "internal-server-error")
	require.Contains(t, s.ask(chamber, list), "<blocklist xmlns='urn:xmpp:blocking'/>")

	// A server that cannot read the lists must not let everybody through.
	require.ErrorIs(t, (&blocking.Module{Store: unreadable{broken{disk}}}).Attach(&host{}), disk)
	require.ErrorContains(t, (&blocking.Module{}).Attach(struct{ stanza.Host }{&host{}}), "lacks the methods")

	// A host that does not know who sees what.
	var mux stanza.Mux
	h := &host{viewers: []jid.JID{jid.MustParse("a@x.lit")}}
	m := &blocking.Module{}
	require.NoError(t, m.Attach(poor{h, h}))
	require.NoError(t, m.Register(&mux))
	require.Contains(t, ask(t, &mux, chamber, command("block", "x.lit", "b@y.lit")), "type='result'")
	require.Equal(t, []string{"hide juliet@capulet.com from b@y.lit", "hide juliet@capulet.com from x.lit"}, h.take())
}

// The lists of a store are in force for accounts that never log in, and go with
// the account.
func TestStored(t *testing.T) {
	store := &blocking.MemoryStore{}
	iago, juliet := jid.MustParse("iago@shakespeare.lit"), jid.MustParse("juliet@capulet.com")
	require.NoError(t, store.Put(t.Context(), juliet, []jid.JID{iago, jid.MustParse("a.lit"), iago}))
	s := newServer(t, &blocking.Module{Store: store})
	blocked := stanza.Bounce(stanza.ServiceUnavailable)
	require.Equal(t, blocked, s.Gate(iago, juliet, stanza.MessageKind, "chat"))
	require.Contains(t, s.ask(chamber, list), "<item jid='a.lit'/><item jid='iago@shakespeare.lit'/></blocklist>")
	require.NoError(t, s.AccountRemoved(t.Context(), juliet))
	require.Equal(t, stanza.Pass(), s.Gate(iago, juliet, stanza.MessageKind, "chat"))
	require.NoError(t, store.All(t.Context(), func(a jid.JID, _ []jid.JID) error { return errors.New(a.String()) }))
	require.NoError(t, s.AccountRemoved(t.Context(), juliet))

	s.block("iago@shakespeare.lit")
	again := newServer(t, &blocking.Module{Store: store})
	require.Equal(t, blocked, again.Gate(iago, juliet, stanza.MessageKind, "chat"))
}

// Changes and readers at the same time: what is in force at the end is what was
// stored last, for each account.
func TestConcurrent(t *testing.T) {
	store := &blocking.MemoryStore{}
	s := newServer(t, &blocking.Module{Store: store})
	var wg sync.WaitGroup
	for i := range 8 {
		account := jid.MustParse(fmt.Sprintf("u%d@capulet.com", i%4))
		contact := fmt.Sprintf("c%d@x.lit", i)
		wg.Go(func() { // ends after its changes; joined by wg
			for range 50 {
				for _, what := range []string{"block", "unblock", "block"} {
					el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client' from='"+account.String()+"/r'"+command(what, contact)[3:]), nil)
					if err != nil {
						t.Error(err)
						return
					}
					st, _ := stanza.Decode(el)
					if err := stanza.Dispatch(t.Context(), &s.mux, &sender{}, st); err != nil {
						t.Error(err)
					}
					s.Gate(account, jid.MustParse(contact), stanza.MessageKind, "chat")
				}
			}
		})
	}
	wg.Wait()
	n := 0
	require.NoError(t, store.All(t.Context(), func(a jid.JID, blocked []jid.JID) error {
		n++
		require.Len(t, blocked, 2)
		for _, b := range blocked {
			require.NotEqual(t, stanza.Pass(), s.Gate(b, a, stanza.MessageKind, "chat"))
		}
		return nil
	}))
	require.Equal(t, 4, n)
}

// The gate is on the way of every stanza.
func TestGateAllocs(t *testing.T) {
	a, b, c := jid.MustParse(chamber), jid.MustParse("romeo@montague.net/x"), jid.MustParse("iago@shakespeare.lit/y")
	for name, addrs := range map[string][]string{"nobody blocks": nil, "somebody does": {"iago@shakespeare.lit", "z.lit"}} {
		s := newServer(t, &blocking.Module{})
		if addrs != nil {
			s.block(addrs...)
		}
		require.Zero(t, testing.AllocsPerRun(100, func() {
			s.Gate(a, b, stanza.MessageKind, "chat")
			s.Gate(b, a, stanza.MessageKind, "chat")
			s.Gate(c, a, stanza.MessageKind, "chat")
			s.Gate(a, c, stanza.MessageKind, "chat")
		}), name)
	}
}

func BenchmarkGate(b *testing.B) {
	from, to := jid.MustParse(chamber), jid.MustParse("romeo@montague.net/x")
	for name, lists := range map[string]int{"none": 0, "lists": 1000} {
		b.Run(name, func(b *testing.B) {
			m := &blocking.Module{Store: &blocking.MemoryStore{}}
			for i := range lists {
				account := jid.MustParse(fmt.Sprintf("u%d@capulet.com", i))
				if i == 0 {
					account = from.Bare()
				}
				require.NoError(b, m.Store.Put(b.Context(), account, []jid.JID{jid.MustParse("iago@shakespeare.lit"), jid.MustParse("z.lit")}))
			}
			require.NoError(b, m.Attach(&host{}))
			b.ReportAllocs()
			for b.Loop() {
				m.Gate(from, to, stanza.MessageKind, "chat")
			}
		})
	}
}

func TestMemoryStore(t *testing.T) {
	storetest.Blocking(t, func(*testing.T) blocking.Store { return &blocking.MemoryStore{} })
	s := &blocking.MemoryStore{Accounts: 1}
	require.NoError(t, s.Put(t.Context(), jid.MustParse("a@x.lit"), []jid.JID{jid.MustParse("z.lit")}))
	require.ErrorIs(t, s.Put(t.Context(), jid.MustParse("b@x.lit"), []jid.JID{jid.MustParse("z.lit")}), blocking.ErrFull)
	require.NoError(t, s.Put(t.Context(), jid.MustParse("a@x.lit"), slices.Repeat([]jid.JID{jid.MustParse("z.lit")}, 2)))
}
