package mam_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/sid"
	"stanzakit.dev/xmpp/stream"
)

// XEP-0313 §6.1.1 and XEP-0334 §4.
func TestArchivable(t *testing.T) {
	for _, tt := range []struct {
		xml  string
		want bool
	}{
		{"<message type='chat'><body>x</body></message>", true},
		{"<message type='normal'><body>x</body></message>", true},
		{"<message><body>x</body></message>", true},
		{"<message type='chat'><body/></message>", true},
		{"<message type='chat'><subject>x</subject></message>", false},
		{"<message type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>", false},
		{"<message type='chat'><body xmlns='urn:other'>x</body></message>", false},
		{"<message type='chat'><x xmlns='urn:other'><body xmlns='jabber:client'>x</body></x></message>", false},
		{"<message type='headline'><body>x</body></message>", false},
		{"<message type='headline'><body>x</body><store xmlns='urn:xmpp:hints'/></message>", true},
		{"<message type='groupchat'><body>x</body></message>", false},
		{"<message type='groupchat'><body>x</body><store xmlns='urn:xmpp:hints'/></message>", false},
		{"<message type='error'><body>x</body><store xmlns='urn:xmpp:hints'/></message>", false},
		{"<message type='chat'><encrypted xmlns='urn:other'/><store xmlns='urn:xmpp:hints'/></message>", true},
		{"<message type='chat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>", false},
		{"<message type='chat'><body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>", false},
		{"<message type='chat'><body>x</body><no-copy xmlns='urn:xmpp:hints'/></message>", true},
		{"<message type='chat'><body>x</body><store xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/></message>", false},
		{"<message type='chat'><body>x</body><no-store xmlns='urn:other'/></message>", true},
	} {
		s := newServer(t, &mam.Module{})
		tr := s.send(balcony, nurse, tt.xml)
		require.Equal(t, tt.want, mam.Archivable(tr), tt.xml)
		require.Equal(t, tt.want, len(s.archive(juliet)) == 1, tt.xml)
		require.Equal(t, tt.want, len(s.archive(nurse)) == 1, tt.xml)
		require.Empty(t, s.errs)
	}
	require.False(t, mam.Archivable(&stanza.Transit{Kind: stanza.PresenceKind, Element: element(t, "<presence/>")}))
}

// XEP-0313 §3: both accounts have the message; §3.5: the recipient learns the id of
// its archive, and only of that.
func TestArchive(t *testing.T) {
	s := newServer(t, &mam.Module{})
	before := time.Now().UTC().Truncate(time.Millisecond)
	tr := s.send(balcony, nurse, "<message id='m1' type='chat' from='evil@x' xml:lang='en'><body>Hi</body><x xmlns='urn:other' y='1'><z/></x></message>")
	mine, hers := s.archive(juliet), s.archive(nurse)
	require.Len(t, mine, 1)
	require.Len(t, hers, 1)
	require.NotEqual(t, mine[0].ID, hers[0].ID)
	require.GreaterOrEqual(t, len(mine[0].ID), 16)
	for _, e := range []mam.Entry{mine[0], hers[0]} {
		require.Equal(t, balcony, e.From)
		require.Equal(t, nurse, e.To)
		require.Equal(t, time.UTC, e.Time.Location())
		require.False(t, e.Time.Before(before))
		require.Zero(t, e.Time.Nanosecond()%int(time.Millisecond))
		el, err := stream.ParseElement(e.Message, nil)
		require.NoError(t, err, "it stands for itself")
		require.Equal(t, stream.Name{Space: stream.NSClient, Local: "message"}, el.Name())
		// All of the stanza, with addresses that are true.
		require.Equal(t, "juliet@capulet.lit/balcony", el.Attr("from"))
		require.Equal(t, "nurse@capulet.lit", el.Attr("to"))
		require.Equal(t, "m1", el.Attr("id"))
		require.Equal(t, "en", el.Lang())
		require.Contains(t, string(e.Message), "<body>Hi</body><x xmlns='urn:other' y='1'><z/></x>")
	}
	id, ok := sid.Find(tr.Element, nurse)
	require.True(t, ok)
	require.Equal(t, hers[0].ID, id)
	_, ok = sid.Find(tr.Element, juliet)
	require.False(t, ok, "MUST NOT be told to others")
	require.Equal(t, xmlOf(t, sid.StanzaID{ID: mine[0].ID, By: juliet}), extra(t, tr))
	require.Empty(t, s.errs)
}

// extra is what the sender's other resources are shown in addition.
func extra(t *testing.T, tr *stanza.Transit) (xml string) {
	for _, p := range tr.SenderExtra {
		xml += xmlOf(t, p)
	}
	return xml
}

// XEP-0313 §6.1.1: once. A server that has found nobody to take the message stores
// it offline then.
func TestArchiveComesAgain(t *testing.T) {
	for _, tt := range []struct{ from, to jid.JID }{{balcony, nurse}, {orchard, juliet}, {balcony, juliet}, {balcony, romeo}} {
		s := newServer(t, &mam.Module{})
		tr := s.chat(tt.from, tt.to, "x")
		before := xmlOf(t, tr.Element)
		tr.Delivered, tr.Stored = nil, true
		s.m.BeforeDeliver(t.Context(), tr)
		require.Len(t, s.archive(juliet), 1)
		if tt.to == nurse {
			require.Len(t, s.archive(nurse), 1)
		}
		require.Equal(t, before, xmlOf(t, tr.Element))
	}
}

func TestArchiveWhose(t *testing.T) {
	none := func(t *stanza.Transit) { t.Delivered, t.Stored = nil, false }
	for _, tt := range []struct {
		name          string
		from, to      jid.JID
		change        func(*stanza.Transit)
		juliet, nurse int
	}{
		{"to an account", balcony, nurse, nil, 1, 1},
		{"to a resource", balcony, kitchen, nil, 1, 1},
		{"from elsewhere", orchard, juliet, nil, 1, 0},
		{"to elsewhere", balcony, romeo, nil, 1, 0},
		{"to elsewhere, by another module", balcony, romeo, none, 1, 0},
		{"from the server", capulet, juliet, nil, 1, 0},
		{"to the server", balcony, capulet, nil, 1, 0},
		{"stored offline", balcony, nurse, func(t *stanza.Transit) { t.Delivered, t.Stored = nil, true }, 1, 1},
		// XEP-0313 §6.1: what was rejected is not in the archive.
		{"delivered to nobody", balcony, nurse, none, 0, 0},
		{"refused", balcony, nurse, func(t *stanza.Transit) { t.Refused = stanza.ServiceUnavailable }, 0, 0},
		// §6.1.1: once, whatever the copies.
		{"to oneself", balcony, juliet, nil, 1, 0},
		{"to the own other resource", balcony, chamber, nil, 1, 0},
		{"no message", balcony, nurse, func(t *stanza.Transit) { t.Kind = stanza.IQKind }, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newServer(t, &mam.Module{})
			change := tt.change
			if change == nil {
				change = func(*stanza.Transit) {}
			}
			tr := s.send(tt.from, tt.to, "<message type='chat'><body>x</body></message>", change)
			require.Len(t, s.archive(juliet), tt.juliet)
			require.Len(t, s.archive(nurse), tt.nurse)
			for _, nobody := range []jid.JID{{}, capulet, romeo} {
				require.Empty(t, s.archive(nobody))
			}
			require.Empty(t, s.errs)
			if tt.from.Bare() == tt.to.Bare() {
				// XEP-0359 §3 rule 4: one id, also in copies of it.
				id, ok := sid.Find(tr.Element, juliet)
				require.True(t, ok)
				require.Equal(t, s.archive(juliet)[0].ID, id)
				require.Empty(t, extra(t, tr))
			}
		})
	}
}

// XEP-0359 §3: ids in the name of an account that it has not given are removed, from
// messages that are not archived too, and those of others stay.
func TestForgedIDs(t *testing.T) {
	const forged = "<stanza-id xmlns='urn:xmpp:sid:0' id='evil' by='nurse@capulet.lit'/>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' id='evil' by='NURSE@capulet.lit'/>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' id='evil' by='juliet@capulet.lit'/>"
	const others = "<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='room@muc.capulet.lit'/><origin-id xmlns='urn:xmpp:sid:0' id='2'/>"
	for _, body := range []string{"<body>x</body>", "<body>x</body><no-store xmlns='urn:xmpp:hints'/>", ""} {
		s := newServer(t, &mam.Module{})
		tr := s.send(balcony, nurse, "<message type='chat'>"+forged+body+others+"</message>")
		require.NotContains(t, xmlOf(t, tr.Element), "evil")
		require.Contains(t, xmlOf(t, tr.Element), others)
		for _, e := range append(s.archive(nurse), s.archive(juliet)...) {
			require.NotContains(t, string(e.Message), "evil")
			require.Contains(t, string(e.Message), others)
		}
		require.Equal(t, body == "<body>x</body>", len(s.archive(nurse)) == 1)
	}
}

// XEP-0441 §2.1.1 to §2.3.
func TestPreferences(t *testing.T) {
	always, never := []jid.JID{romeo}, []jid.JID{jid.MustParse("romeo@montague.lit/garden"), nurse}
	for _, tt := range []struct {
		policy mam.Policy
		with   string
		want   bool
	}{
		{mam.ArchiveAlways, "tybalt@capulet.lit/x", true},
		{mam.ArchiveNever, "tybalt@capulet.lit/x", false},
		{mam.ArchiveRoster, "tybalt@capulet.lit/x", false},
		{mam.ArchiveRoster, "paris@capulet.lit", true},
		{mam.ArchiveRoster, "paris@capulet.lit/x", true}, // the bare JID is compared
		{mam.ArchiveRoster, "juliet@capulet.lit", true},
		{mam.ArchiveNever, "romeo@montague.lit/orchard", true},
		{mam.ArchiveNever, "romeo@montague.lit", true},
		{mam.ArchiveAlways, "romeo@montague.lit/garden", false}, // in both
		{mam.ArchiveAlways, "nurse@capulet.lit/kitchen", false},
	} {
		s := newServer(t, &mam.Module{InRoster: func(_ context.Context, account, contact jid.JID) (bool, error) {
			require.Equal(t, juliet, account)
			return contact == jid.MustParse("paris@capulet.lit"), nil
		}})
		require.NoError(t, s.m.Store.SetPrefs(t.Context(), juliet, &mam.Prefs{Default: tt.policy, Always: always, Never: never}))
		with := jid.MustParse(tt.with)
		s.chat(balcony, with, "x")
		require.Equal(t, tt.want, len(s.archive(juliet)) == 1, "to %s, %s", tt.with, tt.policy)
		if with.Bare() != juliet {
			s.chat(with, juliet, "y")
			require.Equal(t, tt.want, len(s.archive(juliet)) == 2, "from %s, %s", tt.with, tt.policy)
		}
		require.Empty(t, s.errs)
	}
}

// The default of the module is for those who have not said anything.
func TestDefaultPolicy(t *testing.T) {
	s := newServer(t, &mam.Module{Default: mam.ArchiveNever})
	s.chat(balcony, nurse, "x")
	require.Empty(t, s.archive(juliet))
	require.NoError(t, s.m.Store.SetPrefs(t.Context(), juliet, &mam.Prefs{Default: mam.ArchiveAlways}))
	s.chat(balcony, nurse, "x")
	require.Len(t, s.archive(juliet), 1)
	require.Empty(t, s.archive(nurse))
}

func TestAttach(t *testing.T) {
	require.Error(t, (&mam.Module{Default: "sometimes"}).Attach(newHost()))
	require.Error(t, (&mam.Module{Default: mam.ArchiveRoster}).Attach(newHost()), "no roster")
	m := &mam.Module{Default: mam.ArchiveRoster}
	require.NoError(t, m.Attach(rosterHost{host: newHost(), contact: nurse}))
	m.BeforeDeliver(t.Context(), &stanza.Transit{
		Kind: stanza.MessageKind, Type: "chat", From: orchard, To: juliet, Stored: true,
		Element: element(t, "<message type='chat'><body>x</body></message>"),
	})
	m.BeforeDeliver(t.Context(), &stanza.Transit{
		Kind: stanza.MessageKind, Type: "chat", From: kitchen, To: juliet, Stored: true,
		Element: element(t, "<message type='chat'><body>y</body></message>"),
	})
	p, err := m.Store.Query(t.Context(), juliet, &mam.Selection{Max: 5})
	require.NoError(t, err)
	require.Len(t, p.Entries, 1)
	require.Equal(t, kitchen, p.Entries[0].From)
	require.Equal(t, []string{mam.NS, mam.NSExtended, mam.NSGroupchatField, sid.NS}, m.Features())
}

// The program's own rule.
func TestArchiveCallback(t *testing.T) {
	s := newServer(t, &mam.Module{Archive: func(t *stanza.Transit) bool {
		return mam.Archivable(t) || t.Type == "headline"
	}})
	s.send(orchard, juliet, "<message type='headline'/>")
	require.Len(t, s.archive(juliet), 1)
	s.send(orchard, juliet, "<message type='chat'/>")
	require.Len(t, s.archive(juliet), 1)
}

// A message too large to be sent as a result is delivered and not archived.
func TestMaxMessage(t *testing.T) {
	s := newServer(t, &mam.Module{MaxMessage: 300})
	tr := s.chat(balcony, nurse, strings.Repeat("x", 300))
	require.Empty(t, s.archive(juliet))
	require.Empty(t, s.archive(nurse))
	require.Len(t, s.errs, 2, "once for each account")
	require.Empty(t, tr.SenderExtra)
	_, ok := sid.Find(tr.Element, nurse)
	require.False(t, ok)
	s.chat(balcony, nurse, "x")
	require.Len(t, s.archive(nurse), 1)
	size := len(s.archive(nurse)[0].Message)
	for limit, want := range map[int]int{size: 1, size - 1: 0} {
		s := newServer(t, &mam.Module{MaxMessage: limit})
		s.chat(balcony, nurse, "x")
		require.Len(t, s.archive(nurse), want)
	}
}

var errStore = errors.New("disk on fire")

// broken is a store that fails.
type broken struct {
	mam.Store
	append, prefs, query error
}

func (b *broken) Append(ctx context.Context, a jid.JID, e *mam.Entry, k mam.Keep) error {
	if b.append != nil {
		return b.append
	}
	return b.Store.Append(ctx, a, e, k)
}

func (b *broken) Prefs(ctx context.Context, a jid.JID) (*mam.Prefs, error) {
	if b.prefs != nil {
		return nil, b.prefs
	}
	return b.Store.Prefs(ctx, a)
}

func (b *broken) Query(ctx context.Context, a jid.JID, s *mam.Selection) (*mam.Page, error) {
	if b.query != nil {
		return nil, b.query
	}
	return b.Store.Query(ctx, a, s)
}

// What cannot be archived is delivered without an id, and reported. Not to know the
// preferences counts as a wish not to be archived.
func TestArchiveFails(t *testing.T) {
	for _, b := range []*broken{{append: errStore}, {prefs: errStore}} {
		b.Store = new(mam.MemoryStore)
		s := newServer(t, &mam.Module{Store: b})
		for _, to := range []jid.JID{nurse, juliet} {
			s.errs = nil
			tr := s.chat(balcony, to, "x")
			require.Len(t, s.errs, map[jid.JID]int{nurse: 2, juliet: 1}[to])
			for _, err := range s.errs {
				require.ErrorIs(t, err, errStore)
			}
			require.Empty(t, tr.SenderExtra)
			require.NotContains(t, xmlOf(t, tr.Element), "stanza-id")
		}
		require.Empty(t, s.archive(juliet))
	}
	s := newServer(t, &mam.Module{InRoster: func(context.Context, jid.JID, jid.JID) (bool, error) { return true, errStore }, Default: mam.ArchiveRoster})
	s.chat(balcony, romeo, "x")
	require.Empty(t, s.archive(juliet))
	require.ErrorIs(t, s.errs[0], errStore)
}

// XEP-0313 §3.2: count, bytes and age, for one account or all.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &mam.Module{
			Retention: mam.Retention{Messages: 3, Age: time.Hour},
			RetentionFor: func(account jid.JID) mam.Retention {
				if account == nurse {
					return mam.Retention{Messages: -1, Bytes: -1}
				}
				return mam.Retention{Messages: 3, Age: time.Hour}
			},
		})
		for range 5 {
			s.chat(balcony, nurse, "x")
		}
		require.Len(t, s.archive(juliet), 3)
		require.Len(t, s.archive(nurse), 5)
		<-time.After(61 * time.Minute)
		require.Len(t, s.archive(juliet), 3)
		// A query does not show what is too old by now.
		reply, results := s.ask(balcony, jid.JID{}, stanza.SetIQ, "<query xmlns='urn:xmpp:mam:2'/>")
		require.Empty(t, results)
		require.True(t, finOf(t, reply).Complete)
		require.Empty(t, s.archive(juliet))
		s.chat(balcony, nurse, "y")
		<-time.After(61 * time.Minute)
		n, err := s.m.Expire(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, n)
		require.Len(t, s.archive(nurse), 6)
		// The age is looked at when a message is added, too.
		s.chat(balcony, nurse, "1")
		<-time.After(61 * time.Minute)
		s.chat(balcony, nurse, "2")
		require.Len(t, s.archive(juliet), 1)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err = s.m.Expire(ctx)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// The zero Retention has a bound.
func TestRetentionDefault(t *testing.T) {
	s := newServer(t, &mam.Module{})
	for range 10_003 {
		s.chat(orchard, juliet, "x")
	}
	require.Len(t, s.archive(juliet), 10_000)
}

// Where nobody is told, it is logged; and nothing stops.
func TestReportDefault(t *testing.T) {
	var log strings.Builder
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(old)
	m := &mam.Module{Store: &broken{Store: new(mam.MemoryStore), append: errStore}}
	carry(t, m, chatXML)()
	require.Contains(t, log.String(), errStore.Error())
	require.Contains(t, log.String(), "juliet@capulet.lit")
	require.NotContains(t, log.String(), "Hello")
	for range 100 { // each is missed by two accounts
		carry(t, m, chatXML)()
	}
	require.Equal(t, 1, strings.Count(log.String(), "\n"), "a store that fails for every message does not fill the log too")
}

// A module goes into a Mux once.
func TestRegisterTwice(t *testing.T) {
	for _, register := range []func(*stanza.Mux) error{
		new(mam.Module).Register, new(mam.Module).RegisterPublic, new(mam.Client).Register,
	} {
		var mux stanza.Mux
		require.NoError(t, register(&mux))
		require.ErrorIs(t, register(&mux), stanza.ErrRoute)
	}
	// The last route that a module adds counts, too.
	var mux stanza.Mux
	require.NoError(t, mux.HandleIQ(stanza.SetIQ, stream.Name{Space: mam.NS, Local: "query"},
		func(context.Context, *stanza.IQ) (stanza.Payload, error) { return nil, nil }))
	require.ErrorIs(t, new(mam.Module).Register(&mux), stanza.ErrRoute)
}

// The next owner of the name finds nothing.
func TestAccountRemoved(t *testing.T) {
	s := newServer(t, &mam.Module{})
	s.chat(balcony, nurse, "x")
	require.NoError(t, s.m.AccountRemoved(t.Context(), juliet))
	require.Empty(t, s.archive(juliet))
	require.Len(t, s.archive(nurse), 1)
}
