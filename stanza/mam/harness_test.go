package mam_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream"
)

var (
	juliet  = jid.MustParse("juliet@capulet.lit")
	balcony = jid.MustParse("juliet@capulet.lit/balcony")
	chamber = jid.MustParse("juliet@capulet.lit/chamber")
	nurse   = jid.MustParse("nurse@capulet.lit")
	kitchen = jid.MustParse("nurse@capulet.lit/kitchen")
	romeo   = jid.MustParse("romeo@montague.lit")
	orchard = jid.MustParse("romeo@montague.lit/orchard")
	capulet = jid.MustParse("capulet.lit")
)

// element parses a stanza as it is on a stream of a client.
func element(t testing.TB, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte("<stream xmlns='jabber:client'>"+xml+"</stream>"), nil)
	require.NoError(t, err)
	for child := range el.Children() {
		return child.Clone()
	}
	require.Fail(t, "no element")
	return nil
}

// xmlOf writes what p appends.
func xmlOf(t testing.TB, p stanza.Payload) string {
	t.Helper()
	b, err := p.AppendXML(nil)
	require.NoError(t, err)
	return string(b)
}

// host is a server with the accounts juliet and nurse.
type host struct {
	stanza.Host // what is not needed
	resources   map[jid.JID]*resource
}

func newHost(addrs ...jid.JID) *host {
	h := &host{resources: make(map[jid.JID]*resource)}
	for _, a := range addrs {
		h.resources[a] = &resource{addr: a}
	}
	return h
}

func (h *host) Domains() []jid.JID { return []jid.JID{capulet} }

func (h *host) MaySee(_ context.Context, account, viewer jid.JID) (bool, error) {
	return account == juliet && viewer.Bare() == romeo, nil
}

// rosterHost is a host with a roster that holds one contact.
type rosterHost struct {
	*host
	contact jid.JID
	err     error
}

func (h rosterHost) InRoster(_ context.Context, _, contact jid.JID) (bool, error) {
	return contact == h.contact, h.err
}

// resource is an address.
type resource struct {
	stanza.Resource // what is not needed
	addr            jid.JID
}

func (r *resource) Addr() jid.JID { return r.addr }

// server is a module on its host.
type server struct {
	t      *testing.T
	m      *mam.Module
	host   *host
	mux    stanza.Mux
	public stanza.Mux
	errs   []error
	broken error // what sending results fails with
}

func newServer(t *testing.T, m *mam.Module) *server {
	t.Helper()
	s := &server{t: t, m: m, host: newHost(balcony, chamber, kitchen)}
	if m.Report == nil {
		m.Report = func(_ context.Context, _ jid.JID, err error) { s.errs = append(s.errs, err) }
	}
	require.NoError(t, m.Attach(s.host))
	require.NoError(t, stanza.Install(&s.mux, m))
	require.NoError(t, m.RegisterPublic(&s.public))
	return s
}

// send carries a message through the module, as the router does, and returns what
// became of it.
func (s *server) send(from, to jid.JID, xml string, change ...func(*stanza.Transit)) *stanza.Transit {
	s.t.Helper()
	el := element(s.t, xml)
	typ := el.Attr("type")
	if typ == "" {
		typ = "normal"
	}
	t := &stanza.Transit{Kind: stanza.MessageKind, Type: typ, From: from, To: to, Element: el}
	for _, r := range s.host.resources {
		if r.addr.Bare() == to.Bare() {
			t.Delivered = append(t.Delivered, r)
		}
	}
	t.Stored = len(t.Delivered) == 0
	for _, f := range change {
		f(t)
	}
	s.m.BeforeDeliver(s.t.Context(), t)
	return t
}

// chat sends a plain message.
func (s *server) chat(from, to jid.JID, body string) *stanza.Transit {
	s.t.Helper()
	return s.send(from, to, "<message type='chat'><body>"+body+"</body></message>")
}

// archive returns the entries of an account.
func (s *server) archive(account jid.JID) []mam.Entry {
	s.t.Helper()
	p, err := s.m.Store.Query(s.t.Context(), account, &mam.Selection{Max: 10_000})
	require.NoError(s.t, err)
	return p.Entries
}

// ask sends a request and returns the reply, and what the client got before.
func (s *server) ask(from, to jid.JID, typ stanza.IQType, payload string) (*stanza.IQ, []string) {
	s.t.Helper()
	return s.askOn(&s.mux, from, to, typ, payload)
}

func (s *server) askOn(mux *stanza.Mux, from, to jid.JID, typ stanza.IQType, payload string) (*stanza.IQ, []string) {
	s.t.Helper()
	replies := &replies{broken: s.broken}
	iq := &stanza.IQ{ID: "juliet1", From: from, To: to, Type: typ, Payload: element(s.t, payload)}
	if err := stanza.Dispatch(s.t.Context(), mux, replies, iq); err != nil {
		s.errs = append(s.errs, err)
	}
	require.Len(s.t, replies.got, 1)
	return replies.got[0], replies.before
}

// refused requires that a request is answered with a condition.
func (s *server) refused(want stanza.Condition, from, to jid.JID, typ stanza.IQType, payload string) {
	s.t.Helper()
	reply, results := s.ask(from, to, typ, payload)
	require.Equal(s.t, stanza.ErrorIQ, reply.Type, payload)
	require.Equal(s.t, want, reply.Error.Condition, payload)
	require.Empty(s.t, results)
}

// replies is the Sender that handlers answer through.
type replies struct {
	got    []*stanza.IQ
	before []string // the messages
	broken error    // what sending them fails with
}

func (r *replies) Send(_ context.Context, st stanza.Stanza) error {
	b, err := stanza.Qualified(st, stream.NSClient).AppendXML(nil)
	if err != nil {
		return err
	}
	if st.Kind() == stanza.MessageKind {
		if r.broken != nil {
			return r.broken
		}
		if len(r.got) > 0 {
			return errors.New("a result after the reply")
		}
		r.before = append(r.before, string(b))
		return nil
	}
	el, err := stream.ParseElement(b, nil)
	if err != nil {
		return err
	}
	iq := new(stanza.IQ)
	if err := iq.DecodeElement(el); err != nil {
		return err
	}
	r.got = append(r.got, iq)
	return nil
}

func (r *replies) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not asked")
}

// bodies decodes results and returns the texts of their messages.
func bodies(t testing.TB, results []string) (out []string) {
	t.Helper()
	for _, xml := range results {
		out = append(out, resultOf(t, xml).Message.Body.String())
	}
	return out
}

func resultOf(t testing.TB, xml string) *mam.Result {
	t.Helper()
	el, ok := element(t, xml).Child(stream.Name{Space: mam.NS, Local: "result"})
	require.True(t, ok, xml)
	r := new(mam.Result)
	require.NoError(t, r.DecodeElement(el))
	return r
}

// finOf reads the reply to a query.
func finOf(t testing.TB, reply *stanza.IQ) *mam.Fin {
	t.Helper()
	require.Equal(t, stanza.ResultIQ, reply.Type, "%v", reply.Error)
	f := new(mam.Fin)
	require.NoError(t, f.DecodeElement(reply.Element()))
	return f
}

func reversed(in []string) []string {
	out := slices.Clone(in)
	slices.Reverse(out)
	return out
}

// carry returns a function that carries one message of a client to another.
func carry(t testing.TB, m *mam.Module, xml string) func() {
	require.NoError(t, m.Attach(newHost()))
	el := element(t, xml)
	to := []stanza.Resource{&resource{addr: kitchen}}
	return func() {
		tr := stanza.Transit{Kind: stanza.MessageKind, Type: "chat", From: balcony, To: nurse, Element: el, Delivered: to}
		m.BeforeDeliver(context.Background(), &tr)
	}
}

const chatXML = "<message type='chat' to='nurse@capulet.lit' id='1'><body>Hello</body></message>"
