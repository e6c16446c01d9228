package private_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

const denmark = "hamlet@shakespeare.lit/denmark"

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
func ask(t testing.TB, m *private.Module, from, iq string) string {
	t.Helper()
	var mux stanza.Mux
	require.NoError(t, m.Register(&mux))
	el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client'"+strings.TrimPrefix(iq, "<iq")), &stream.Limits{ElementBytes: 1 << 20})
	require.NoError(t, err)
	st, err := stanza.Decode(el)
	require.NoError(t, err)
	h := st.Head()
	h.From = jid.MustParse(from)
	st.SetHead(h)
	out := &sender{}
	err = stanza.Dispatch(context.Background(), &mux, out, st)
	require.Len(t, out.sent, 1)
	if !strings.Contains(out.sent[0], "internal-server-error") { // of those the server learns more
		require.NoError(t, err)
	}
	return out.sent[0]
}

func newModule(t testing.TB, m *private.Module) *private.Module {
	require.NoError(t, m.Attach(nil))
	return m
}

func query(typ, inner string) string {
	return "<iq type='" + typ + "' id='1'><query xmlns='jabber:iq:private'>" + inner + "</query></iq>"
}

const done = "<iq id='1' to='" + denmark + "' type='result'/>"

func result(inner string) string {
	return "<iq id='1' to='" + denmark + "' type='result'><query xmlns='jabber:iq:private'>" + inner + "</query></iq>"
}

// XEP-0049 §2.3, examples 1 and 2.
func TestExamples(t *testing.T) {
	m := newModule(t, &private.Module{})
	require.Equal(t, "private", m.Name())
	require.Equal(t, []string{"jabber:iq:private"}, m.Features())
	exodus := `<exodus xmlns="exodus:prefs">
      <defaultnick>Hamlet</defaultnick>
    </exodus>`
	require.Equal(t, result("<exodus xmlns='exodus:prefs'/>"), ask(t, m, denmark, query("get", `<exodus xmlns="exodus:prefs"/>`)))
	require.Equal(t, done, ask(t, m, denmark, query("set", exodus)))
	require.Equal(t, result(exodus), ask(t, m, denmark, query("get", `<exodus xmlns="exodus:prefs"/>`)))
	// Other resources of the account, and nobody else.
	require.Contains(t, ask(t, m, "hamlet@shakespeare.lit/england", query("get", `<exodus xmlns="exodus:prefs"/>`)), exodus)
	require.NotContains(t, ask(t, m, "macbeth@shakespeare.lit/x", query("get", `<exodus xmlns="exodus:prefs"/>`)), "Hamlet")

	require.NoError(t, m.AccountRemoved(t.Context(), jid.MustParse("hamlet@shakespeare.lit")))
	require.Equal(t, result("<exodus xmlns='exodus:prefs'/>"), ask(t, m, denmark, query("get", `<exodus xmlns="exodus:prefs"/>`)))
}

func TestElements(t *testing.T) {
	m := newModule(t, &private.Module{})
	t.Run("several of one namespace", func(t *testing.T) {
		require.Equal(t, done, ask(t, m, denmark, query("set", "<a xmlns='x:y'>1</a><b xmlns='x:y'>2</b>")))
		require.Equal(t, done, ask(t, m, denmark, query("set", "<a xmlns='x:y'>3</a>")))
		require.Equal(t, result("<a xmlns='x:y'>3</a><b xmlns='x:y'>2</b><c xmlns='x:y'/>"),
			ask(t, m, denmark, query("get", "<a xmlns='x:y'/><b xmlns='x:y'/><c xmlns='x:y'/>")))
	})
	t.Run("an empty one removes", func(t *testing.T) {
		require.Equal(t, done, ask(t, m, denmark, query("set", "<a xmlns='x:y'></a>")))
		require.Equal(t, result("<a xmlns='x:y'/>"), ask(t, m, denmark, query("get", "<a xmlns='x:y'/>")))
		require.Equal(t, done, ask(t, m, denmark, query("set", "<a xmlns='x:y' k='v'/>")))
		require.Equal(t, result("<a xmlns='x:y' k='v'/>"), ask(t, m, denmark, query("get", "<a xmlns='x:y'/>")))
	})
	t.Run("namespaces from around it", func(t *testing.T) {
		iq := "<iq type='set' id='1' xmlns:p='p:q'><query xmlns='jabber:iq:private'><p:a p:k='&apos;'><b xmlns=''/></p:a></query></iq>"
		require.Equal(t, done, ask(t, m, denmark, iq))
		got := ask(t, m, denmark, query("get", "<a xmlns='p:q'/>"))
		require.Contains(t, got, "<b xmlns=''/></p:a>")
		el, err := stream.ParseElement([]byte(got), nil)
		require.NoError(t, err)
		for q := range el.Children() {
			a, ok := q.Child(stream.Name{Space: "p:q", Local: "a"})
			require.True(t, ok)
			k, ok := a.AttrNS(stream.Name{Space: "p:q", Local: "k"})
			require.True(t, ok)
			require.Equal(t, "'", string(k))
		}
	})
	t.Run("roster notes and bookmarks are data", func(t *testing.T) {
		for _, el := range []string{
			"<storage xmlns='storage:rosternotes'><note jid='a@b.lit'>x</note></storage>",
			"<storage xmlns='storage:bookmarks'><conference name='c' jid='r@c.lit'/></storage>",
		} {
			require.Equal(t, done, ask(t, m, denmark, query("set", el)))
			require.Equal(t, result(el), ask(t, m, denmark, query("get", el)))
		}
	})
}

// XEP-0049 §2.3, examples 3 to 5, and §3.
func TestRefused(t *testing.T) {
	m := newModule(t, &private.Module{Elements: 2, Bytes: 100})
	for _, tt := range []struct{ name, iq, want string }{
		{"nothing to get", query("get", ""), "not-acceptable"},
		{"example 4: nothing to set", query("set", " "), "not-acceptable"},
		{"two namespaces in a get", query("get", "<a xmlns='x'/><a xmlns='y'/>"), "not-acceptable"},
		{"twice the same", query("set", "<a xmlns='x'>1</a><a xmlns='x'>2</a>"), "not-acceptable"},
		{"example 5: vcard-temp", query("set", "<vCard xmlns='vcard-temp'><FN>Hamlet</FN></vCard>"), "not-acceptable"},
		{"get vcard-temp", query("get", "<vCard xmlns='vcard-temp'/>"), "not-acceptable"},
		{"jabber:", query("set", "<query xmlns='jabber:iq:roster'/>"), "not-acceptable"},
		{"no namespace of its own", query("set", "<a/>"), "not-acceptable"},
		{"none at all", query("set", "<a xmlns=''/>"), "not-acceptable"},
		{"jabber.org", query("set", "<a xmlns='http://jabber.org/protocol/disco#info'/>"), "not-acceptable"},
		{"too large", query("set", "<a xmlns='x'>"+strings.Repeat("x", 100)+"</a>"), "policy-violation"},
		{"too many", query("set", "<a xmlns='x'>1</a><b xmlns='x'>1</b><c xmlns='x'>1</c>"), "policy-violation"},
		{"very many", query("set", many(65)), "policy-violation"},
		{"§3 of the server", "<iq to='shakespeare.lit' type='get' id='1'><query xmlns='jabber:iq:private'><a xmlns='x'/></query></iq>", "forbidden"},
		{"§3 of somebody else", "<iq to='macbeth@shakespeare.lit' type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='x'/></query></iq>", "forbidden"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, ask(t, m, denmark, tt.iq), "<"+tt.want+" ")
			require.Equal(t, result("<a xmlns='x'/>"), ask(t, m, denmark, query("get", "<a xmlns='x'/>")))
		})
	}
	require.Equal(t, "<iq id='1' from='hamlet@shakespeare.lit' to='"+denmark+"' type='result'/>",
		ask(t, m, denmark, "<iq to='hamlet@shakespeare.lit' type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='x'>1</a></query></iq>"))
	for ns, want := range map[string]bool{
		"": true, "jabber:client": true, "jabber:x": true, "vcard-temp": true, "http://jabber.org/x": true,
		"jabber": false, "http://jabber.org": false, "vcard-temp:x": false, "storage:bookmarks": false,
	} {
		require.Equal(t, want, private.Reserved(ns), ns)
	}
	// §2.3: nothing is registered for requests of others.
	_, public := any(m).(stanza.PublicModule)
	require.False(t, public)
}

func many(n int) (s string) {
	for i := range n {
		s += fmt.Sprintf("<e%d xmlns='x'/>", i)
	}
	return s
}

// What a server permits to be stored it can read again, however large its streams.
func TestLarge(t *testing.T) {
	m := newModule(t, &private.Module{Bytes: 1 << 20})
	large := "<a xmlns='x'>" + strings.Repeat("<b/>", 7000) + strings.Repeat("x", 600<<10) + "</a>"
	require.Equal(t, done, ask(t, m, denmark, query("set", large)))
	require.Equal(t, result(large), ask(t, m, denmark, query("get", "<a xmlns='x'/>")))
}

// broken is a store that fails, or returns something strange.
type broken struct {
	xml string
	err error
}

func (b broken) Get(context.Context, jid.JID, stream.Name) ([]byte, error) {
	return []byte(b.xml), b.err
}
func (b broken) Put(context.Context, jid.JID, []private.Fragment, private.Quota) error {
	return b.err
}
func (b broken) Delete(context.Context, jid.JID) error { return b.err }

func TestStoreFails(t *testing.T) {
	disk := errors.New("disk")
	m := newModule(t, &private.Module{Store: broken{err: disk}})
	require.Contains(t, ask(t, m, denmark, query("get", "<a xmlns='x'/>")), "internal-server-error")
	require.Contains(t, ask(t, m, denmark, query("set", "<a xmlns='x'/>")), "internal-server-error")
	require.ErrorIs(t, m.AccountRemoved(t.Context(), jid.MustParse("a@b.lit")), disk)
	m = newModule(t, &private.Module{Store: broken{xml: "</query><evil/>"}})
	require.NotContains(t, ask(t, m, denmark, query("get", "<a xmlns='x'/>")), "evil")
}

func TestMemoryStore(t *testing.T) {
	storetest.Private(t, func(*testing.T) private.Store { return &private.MemoryStore{} })
	s := &private.MemoryStore{Accounts: 1}
	f := []private.Fragment{{Name: stream.Name{Space: "x", Local: "a"}, XML: []byte("<a xmlns='x'/>")}}
	q := private.Quota{Elements: 1, Bytes: 100}
	require.NoError(t, s.Put(t.Context(), jid.MustParse("a@x.lit"), f, q))
	require.ErrorIs(t, s.Put(t.Context(), jid.MustParse("b@x.lit"), f, q), private.ErrFull)
}

// server answers a client with the module.
type server struct {
	t testing.TB
	m *private.Module
}

func (s server) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	c := *iq
	c.ID = "1"
	b, err := c.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	el, err := stream.ParseElement([]byte(strings.Replace(ask(s.t, s.m, denmark, string(b)), "<iq", "<iq xmlns='jabber:client'", 1)), nil)
	if err != nil {
		return nil, err
	}
	reply := &stanza.IQ{}
	if err := reply.DecodeElement(el); err != nil {
		return nil, err
	}
	if reply.IsError() {
		return reply, reply.Error
	}
	return reply, nil
}

func TestClient(t *testing.T) {
	d := server{t, newModule(t, &private.Module{})}
	notes := stream.Name{Space: "storage:rosternotes", Local: "storage"}
	el, err := private.Get(t.Context(), d, notes)
	require.NoError(t, err)
	require.Equal(t, notes, el.Name())
	require.Empty(t, el.Inner())

	set, err := stream.ParseElement([]byte("<storage xmlns='storage:rosternotes'><note jid='a@b.lit'>x</note></storage>"), nil)
	require.NoError(t, err)
	require.NoError(t, private.Set(t.Context(), d, set))
	el, err = private.Get(t.Context(), d, notes)
	require.NoError(t, err)
	require.Equal(t, "<note jid='a@b.lit'>x</note>", string(el.Inner()))

	require.ErrorIs(t, private.Set(t.Context(), d), stanza.ErrInvalid)
	require.ErrorIs(t, private.Set(t.Context(), d, nil), stanza.ErrInvalid)
	_, err = private.Get(t.Context(), d, stream.Name{Space: "jabber:x", Local: "a"})
	require.ErrorIs(t, err, stanza.NotAcceptable)
	_, err = private.Get(t.Context(), d, stream.Name{Space: "x", Local: "<"})
	require.Error(t, err)
	for _, payload := range []string{"", "<query xmlns='jabber:iq:private'/>", "<query xmlns='x'><a xmlns='x'/></query>"} {
		_, err = private.Get(t.Context(), answer(payload), stream.Name{Space: "x", Local: "a"})
		require.ErrorIs(t, err, stanza.BadRequest)
	}
}

// answer is a server that says that whatever it is asked.
type answer string

func (a answer) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	reply := &stanza.IQ{Type: stanza.ResultIQ}
	if a != "" {
		el, err := stream.ParseElement([]byte(a), nil)
		if err != nil {
			return nil, err
		}
		reply.Payload = el
	}
	return reply, nil
}

// What was stored comes back as the same element, whatever it is.
func FuzzModule(f *testing.F) {
	f.Add([]byte("<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"))
	f.Add([]byte("<p:a xmlns:p='p' p:k='v'><b xmlns=''/>&lt;</p:a>"))
	f.Add([]byte("<vCard xmlns='vcard-temp'><FN>Hamlet</FN></vCard>"))
	f.Fuzz(func(t *testing.T, b []byte) {
		el, err := stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		raw, err := el.AppendXML(nil)
		require.NoError(t, err)
		if _, err := stream.ParseElement([]byte("<iq xmlns='jabber:client' type='set' id='1'><query xmlns='jabber:iq:private'>"+string(raw)+"</query></iq>"), nil); err != nil {
			return // larger than a stanza may be
		}
		m := newModule(t, &private.Module{})
		d := server{t, m}
		if err := private.Set(t.Context(), d, el); err != nil {
			var e *stanza.Error
			require.ErrorAs(t, err, &e)
			return
		}
		got, err := private.Get(t.Context(), d, el.Name())
		require.NoError(t, err)
		require.Equal(t, string(el.Inner()), string(got.Inner()))
	})
}
