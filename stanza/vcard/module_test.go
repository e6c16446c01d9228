package vcard_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest/storetest"
)

const (
	roundabout = "stpeter@jabber.org/roundabout"
	orchard    = "romeo@montague.net/orchard"
)

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

// server is a module with its two tables of routes.
type server struct {
	*vcard.Module
	t           testing.TB
	own, public stanza.Mux
}

func newServer(t testing.TB, m *vcard.Module) *server {
	s := &server{Module: m, t: t}
	require.NoError(t, m.Attach(nil))
	require.NoError(t, m.Register(&s.own))
	require.NoError(t, m.RegisterPublic(&s.public))
	return s
}

// ask handles an iq as from a client and returns the reply.
func (s *server) ask(from, iq string) string {
	s.t.Helper()
	el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client'"+strings.TrimPrefix(iq, "<iq")), &stream.Limits{ElementBytes: 1 << 20})
	require.NoError(s.t, err)
	st, err := stanza.Decode(el)
	require.NoError(s.t, err)
	h := st.Head()
	h.From = jid.MustParse(from)
	st.SetHead(h)
	mux := &s.own
	if h.To.Local() != "" && h.To != h.From.Bare() {
		mux = &s.public
	}
	out := &sender{}
	err = stanza.Dispatch(context.Background(), mux, out, st)
	require.Len(s.t, out.sent, 1)
	if !strings.Contains(out.sent[0], "internal-server-error") { // of those the server learns more
		require.NoError(s.t, err)
	}
	return out.sent[0]
}

func failure(from, to, id, typ, condition string) string {
	if from != "" {
		from = " from='" + from + "'"
	}
	return "<iq id='" + id + "'" + from + " to='" + to + "' type='error'><error type='" + typ + "'><" + condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
}

const empty = "<vCard xmlns='vcard-temp'/>"

// XEP-0054 §3, examples 1 to 11.
func TestExamples(t *testing.T) {
	s := newServer(t, &vcard.Module{})
	require.Equal(t, "vcard", s.Name())
	require.Equal(t, []string{"vcard-temp"}, s.Features())
	get := "<iq id='v1' type='get'>" + empty + "</iq>"
	getOther := "<iq id='v3' to='stpeter@jabber.org' type='get'>" + empty + "</iq>"
	setOther := "<iq id='v2' to='stpeter@jabber.org' type='set'>" + empty + "</iq>"
	// Example 3.
	require.Equal(t, failure("", roundabout, "v1", "cancel", "item-not-found"), s.ask(roundabout, get))
	// Example 11: none, and the same for a set, which says no more.
	require.Equal(t, failure("stpeter@jabber.org", orchard, "v3", "cancel", "service-unavailable"), s.ask(orchard, getOther))
	require.Equal(t, failure("stpeter@jabber.org", orchard, "v2", "cancel", "service-unavailable"), s.ask(orchard, setOther))
	// Examples 5 and 6.
	require.Equal(t, "<iq id='v2' to='"+roundabout+"' type='result'/>", s.ask(roundabout, "<iq id='v2' type='set'>"+stpeter+"</iq>"))
	// Examples 1 and 2: byte for byte.
	require.Equal(t, "<iq id='v1' to='"+roundabout+"' type='result'>"+stpeter+"</iq>", s.ask(roundabout, get))
	require.Contains(t, s.ask(roundabout, "<iq id='v1' to='stpeter@jabber.org' type='get'>"+empty+"</iq>"), stpeter)
	// Examples 8 and 9.
	require.Equal(t, "<iq id='v3' from='stpeter@jabber.org' to='"+orchard+"' type='result'>"+stpeter+"</iq>", s.ask(orchard, getOther))
	// Example 7.
	require.Equal(t, failure("stpeter@jabber.org", orchard, "v2", "auth", "forbidden"), s.ask(orchard, setOther))
	require.Contains(t, s.ask(roundabout, get), stpeter)
	// The server has no profile, and nobody gives it one.
	require.Contains(t, s.ask(roundabout, "<iq id='v1' to='jabber.org' type='get'>"+empty+"</iq>"), "service-unavailable")
	require.Contains(t, s.ask(roundabout, "<iq id='v1' to='jabber.org' type='set'>"+stpeter+"</iq>"), "forbidden")
	// An empty one takes it away.
	require.Contains(t, s.ask(roundabout, "<iq id='v2' type='set'>"+empty+"</iq>"), "type='result'")
	require.Contains(t, s.ask(roundabout, get), "item-not-found")

	s.ask(roundabout, "<iq id='v2' type='set'>"+stpeter+"</iq>")
	require.NoError(t, s.AccountRemoved(t.Context(), jid.MustParse("stpeter@jabber.org")))
	require.Contains(t, s.ask(roundabout, get), "item-not-found")
}

func TestBounds(t *testing.T) {
	card := "<vCard xmlns='vcard-temp'><FN>" + strings.Repeat("x", 100) + "</FN></vCard>"
	s := newServer(t, &vcard.Module{Bytes: len(card)})
	require.Contains(t, s.ask(roundabout, "<iq id='v2' type='set'>"+card+"</iq>"), "type='result'")
	require.Contains(t, s.ask(roundabout, "<iq id='v2' type='set'>"+strings.Replace(card, "xx", "xxx", 1)+"</iq>"), "policy-violation")
	require.Contains(t, s.ask(roundabout, "<iq id='v1' type='get'>"+empty+"</iq>"), card)

	s = newServer(t, &vcard.Module{Store: &vcard.MemoryStore{Bytes: len(card)}})
	require.Contains(t, s.ask(roundabout, "<iq id='v2' type='set'>"+card+"</iq>"), "type='result'")
	require.Contains(t, s.ask(orchard, "<iq id='v2' type='set'>"+card+"</iq>"), "resource-constraint")
	require.Contains(t, s.ask(roundabout, "<iq id='v2' type='set'>"+card+"</iq>"), "type='result'")

	// What a server permits to be stored it can read again.
	s = newServer(t, &vcard.Module{Bytes: 1 << 20})
	large := "<vCard xmlns='vcard-temp'><FN>" + strings.Repeat("x", 600<<10) + "</FN></vCard>"
	require.Contains(t, s.ask(roundabout, "<iq id='v2' type='set'>"+large+"</iq>"), "type='result'")
	require.Contains(t, s.ask(roundabout, "<iq id='v1' type='get'>"+empty+"</iq>"), large)
}

// faulty counts and fails.
type faulty struct {
	vcard.MemoryStore
	gets int
	err  error
	xml  string
}

func (f *faulty) Get(ctx context.Context, account jid.JID) ([]byte, error) {
	f.gets++
	if f.err != nil || f.xml != "" {
		return []byte(f.xml), f.err
	}
	return f.MemoryStore.Get(ctx, account)
}

func (f *faulty) Put(ctx context.Context, account jid.JID, card []byte) error {
	if f.err != nil {
		return f.err
	}
	return f.MemoryStore.Put(ctx, account, card)
}

func TestStoreFails(t *testing.T) {
	disk := errors.New("disk")
	var reported []error
	store := &faulty{err: disk}
	s := newServer(t, &vcard.Module{Store: store, Report: func(err error) { reported = append(reported, err) }})
	for _, iq := range []string{
		"<iq id='v' type='get'>" + empty + "</iq>", "<iq id='v' type='set'>" + stpeter + "</iq>",
		"<iq id='v' to='a@b.lit' type='get'>" + empty + "</iq>", "<iq id='v' to='a@b.lit' type='set'>" + empty + "</iq>",
	} {
		require.Contains(t, s.ask(roundabout, iq), "internal-server-error")
	}
	require.ErrorIs(t, s.AccountRemoved(t.Context(), jid.MustParse("a@b.lit")), disk)
	// Presence goes on.
	require.Equal(t, "<presence xmlns='jabber:client'/>", s.presence("<presence xmlns='jabber:client'/>"))
	require.Len(t, reported, 1)
	require.ErrorIs(t, reported[0], disk)

	store.err = nil
	for _, store.xml = range []string{"</vCard><evil/>", "<evil/>"} {
		require.NotContains(t, s.ask(roundabout, "<iq id='v' type='get'>"+empty+"</iq>"), "evil")
	}
}

// presence returns what becomes of the presence of a client.
func (s *server) presence(xml string) string {
	tr := &stanza.Transit{Kind: stanza.PresenceKind, From: jid.MustParse(roundabout), Element: parse(s.t, xml), Sender: struct{ stanza.Resource }{}}
	tr.Type = tr.Element.Attr("type")
	require.Equal(s.t, stanza.Pass(), s.BeforeRoute(context.Background(), tr))
	return string(tr.Element.Raw())
}

func withPhoto(data string) string {
	return "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>\n" + base64.StdEncoding.EncodeToString([]byte(data)) + "\n</BINVAL></PHOTO></vCard>"
}

func (s *server) publish(card string) {
	s.t.Helper()
	require.Contains(s.t, s.ask(roundabout, "<iq id='v2' type='set'>"+card+"</iq>"), "type='result'")
}

// XEP-0398 §4, examples 3 to 6.
func TestAnnounce(t *testing.T) {
	store := &faulty{}
	s := newServer(t, &vcard.Module{Store: store})
	const bare = "<presence xmlns='jabber:client'><show>away</show></presence>"
	require.Equal(t, bare, s.presence(bare), "no profile")
	s.publish(stpeter)
	require.Equal(t, bare, s.presence(bare), "no picture")
	s.publish(withPhoto("abc"))
	x := "<x xmlns='vcard-temp:x:update'><photo>a9993e364706816aba3e25717850c26c9cd0d89d</photo></x>"
	want := "<presence xmlns='jabber:client'><show>away</show>" + x + "</presence>"
	require.Equal(t, want, s.presence(bare))
	require.Equal(t, want, s.presence("<presence xmlns='jabber:client'><x xmlns='vcard-temp:x:update'/><show>away</show></presence>"))
	// Directed presence too.
	require.Contains(t, s.presence("<presence xmlns='jabber:client' to='room@muc.lit/nick'/>"), x)

	for _, untouched := range []string{
		"<presence xmlns='jabber:client'><x xmlns='vcard-temp:x:update'><photo/></x></presence>",
		"<presence xmlns='jabber:client'><x xmlns='vcard-temp:x:update'><photo>" + example + "</photo></x></presence>",
		"<presence xmlns='jabber:client' type='unavailable'/>",
		"<presence xmlns='jabber:client' type='subscribe' to='a@b.lit'/>",
	} {
		require.Equal(t, untouched, s.presence(untouched))
	}
	// Presence that no client has sent, and other stanzas.
	for _, tr := range []*stanza.Transit{
		{Kind: stanza.PresenceKind, From: jid.MustParse(roundabout), Element: parse(t, bare)},
		{Kind: stanza.MessageKind, From: jid.MustParse(roundabout), Element: parse(t, bare), Sender: struct{ stanza.Resource }{}},
	} {
		require.Equal(t, stanza.Pass(), s.BeforeRoute(t.Context(), tr))
		require.Equal(t, bare, string(tr.Element.Raw()))
	}

	// Remembered until it changes.
	gets := store.gets
	s.presence(bare)
	require.Equal(t, gets, store.gets)
	s.publish(withPhoto("abd"))
	require.Contains(t, s.presence(bare), vcard.Announce(&vcard.Photo{Data: []byte("abd")}).Hash)
	require.Equal(t, gets+1, store.gets)
	s.publish("<vCard xmlns='vcard-temp'><PHOTO><BINVAL>!</BINVAL></PHOTO></vCard>")
	require.Equal(t, bare, s.presence(bare))
	s.publish(withPhoto("abc"))
	require.Equal(t, want, s.presence(bare))
	require.NoError(t, s.AccountRemoved(t.Context(), jid.MustParse("stpeter@jabber.org")))
	require.Equal(t, bare, s.presence(bare))
}

// The hashes that are remembered are bounded; the one that was used last stays.
func TestHashes(t *testing.T) {
	store := &faulty{}
	s := newServer(t, &vcard.Module{Store: store, Hashes: 2})
	login := func(n int) int {
		before := store.gets
		tr := &stanza.Transit{Kind: stanza.PresenceKind, From: jid.MustParse(fmt.Sprintf("u%d@x.lit/r", n)), Element: parse(t, "<presence xmlns='jabber:client'/>"), Sender: struct{ stanza.Resource }{}}
		s.BeforeRoute(t.Context(), tr)
		return store.gets - before
	}
	require.Equal(t, 1, login(1))
	require.Equal(t, 1, login(2))
	require.Equal(t, 0, login(1))
	require.Equal(t, 1, login(3)) // 2 goes
	require.Equal(t, 0, login(1))
	require.Equal(t, 1, login(2))
	require.Equal(t, 1, login(3))
}

// slow lets a profile be stored while an older one is on its way out.
type slow struct {
	vcard.MemoryStore
	during func()
}

func (s *slow) Get(ctx context.Context, account jid.JID) ([]byte, error) {
	b, err := s.MemoryStore.Get(ctx, account)
	if f := s.during; f != nil {
		s.during = nil
		f()
	}
	return b, err
}

func TestHashOfOldProfileIsForgotten(t *testing.T) {
	store := &slow{}
	s := newServer(t, &vcard.Module{Store: store})
	s.publish(withPhoto("old"))
	store.during = func() { s.publish(withPhoto("new")) }
	s.presence("<presence xmlns='jabber:client'/>")
	require.Contains(t, s.presence("<presence xmlns='jabber:client'/>"), vcard.Announce(&vcard.Photo{Data: []byte("new")}).Hash)
}

func TestMemoryStore(t *testing.T) {
	storetest.VCard(t, func(*testing.T) vcard.Store { return &vcard.MemoryStore{} })
	s := &vcard.MemoryStore{Bytes: 10}
	a, b := jid.MustParse("a@x.lit"), jid.MustParse("b@x.lit")
	require.NoError(t, s.Put(t.Context(), a, make([]byte, 10)))
	require.ErrorIs(t, s.Put(t.Context(), b, make([]byte, 1)), vcard.ErrFull)
	require.NoError(t, s.Put(t.Context(), a, make([]byte, 9)))
	require.NoError(t, s.Put(t.Context(), b, make([]byte, 1)))
	require.NoError(t, s.Put(t.Context(), a, nil))
	require.NoError(t, s.Put(t.Context(), b, make([]byte, 10)))
}

// Do answers a client with the module.
func (s *server) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	c := *iq
	c.ID = "1"
	b, err := c.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	reply := &stanza.IQ{}
	if err := reply.DecodeElement(parse(s.t, strings.Replace(s.ask(roundabout, string(b)), "<iq", "<iq xmlns='jabber:client'", 1))); err != nil {
		return nil, err
	}
	if reply.IsError() {
		return reply, reply.Error
	}
	return reply, nil
}

func TestClient(t *testing.T) {
	s := newServer(t, &vcard.Module{})
	_, err := vcard.Get(t.Context(), s, jid.JID{})
	require.ErrorIs(t, err, vcard.ErrNone)
	require.ErrorIs(t, err, stanza.ItemNotFound)
	_, err = vcard.Get(t.Context(), s, jid.MustParse("romeo@montague.net"))
	require.ErrorIs(t, err, vcard.ErrNone)
	require.ErrorIs(t, err, stanza.ServiceUnavailable)

	require.NoError(t, vcard.Set(t.Context(), s, &vcard.VCard{FullName: "Peter"}))
	v, err := vcard.Get(t.Context(), s, jid.MustParse("stpeter@jabber.org"))
	require.NoError(t, err)
	require.Equal(t, "Peter", v.FullName)
	require.ErrorIs(t, vcard.Set(t.Context(), s, nil), stanza.ErrInvalid)

	s.Bytes = 10
	require.ErrorIs(t, vcard.Set(t.Context(), s, v), stanza.PolicyViolation)
	for payload, want := range map[string]error{"": vcard.ErrNone, empty: vcard.ErrNone, "<x xmlns='y'/>": stanza.BadRequest} {
		_, err = vcard.Get(t.Context(), answer{payload, nil}, jid.JID{})
		require.ErrorIs(t, err, want)
	}
	_, err = vcard.Get(t.Context(), answer{"", context.Canceled}, jid.JID{})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, vcard.ErrNone)
}

// answer is a server that says that whatever it is asked.
type answer struct {
	payload string
	err     error
}

func (a answer) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	reply := &stanza.IQ{Type: stanza.ResultIQ}
	if a.payload != "" {
		el, err := stream.ParseElement([]byte(a.payload), nil)
		if err != nil {
			return nil, err
		}
		reply.Payload = el
	}
	return reply, a.err
}
