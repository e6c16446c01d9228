package interop_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
)

// messenger is a client of ours with what a client for people has. What it hears is in channels; a test takes from those it is about.
type messenger struct {
	*stanza.Conn
	contacts *roster.Client
	people   *presence.Tracker
	archive  *mam.Client
	caps     *caps.Tracker
	announce *caps.Announcer

	changes  chan roster.Event    // of the roster
	events   chan presence.Event  // without the stanzas
	messages chan *stanza.Message // but not the copies
	copies   chan *carbons.Carbon
	blocked  chan []jid.JID // pushes; those of unblocked addresses are in freed
	freed    chan []jid.JID
}

// heard is how much a messenger holds that no test has taken yet. A test that makes more of it hangs until its context ends.
const heard = 64

// startMessenger logs client in, and out when the test ends. It does not ask for the roster and is not available yet.
func startMessenger(ctx context.Context, t *testing.T, client *xmpp.Client, cache roster.Cache) *messenger {
	t.Helper()
	m := &messenger{
		archive: new(mam.Client), caps: new(caps.Tracker),
		changes: make(chan roster.Event, heard), events: make(chan presence.Event, heard), messages: make(chan *stanza.Message, heard),
		copies: make(chan *carbons.Carbon, heard), blocked: make(chan []jid.JID, heard), freed: make(chan []jid.JID, heard),
	}
	account := client.JID.Bare()
	var err error
	m.contacts, err = roster.NewClient(&roster.Options{
		Account: account, Cache: cache, OnChange: func(ctx context.Context, e roster.Event) {
			hear(ctx, m.changes, e)
			for _, e := range m.people.Follow(e) {
				e.Presence = nil
				hear(ctx, m.events, e)
			}
		},
	})
	require.NoError(t, err)
	m.people, err = presence.NewTracker(&presence.TrackerOptions{
		Account:  account,
		InRoster: func(who jid.JID) bool { _, there := m.contacts.Item(who); return there },
		OnEvent: func(ctx context.Context, _ stanza.Sender, e presence.Event) {
			e.Presence = nil
			hear(ctx, m.events, e)
		},
	})
	require.NoError(t, err)

	self := &disco.Entity{Identities: []disco.Identity{{Category: "client", Type: "pc", Name: "StanzaKit"}}}
	m.announce = &caps.Announcer{Node: "https://stanzakit.dev/xmpp/internal/interop", Entity: self}
	pushes := &blocking.Pushes{
		Account:   account,
		Blocked:   func(ctx context.Context, addrs []jid.JID) { hear(ctx, m.blocked, addrs) },
		Unblocked: func(ctx context.Context, addrs []jid.JID) { hear(ctx, m.freed, addrs) },
	}
	self.Modules = []stanza.Module{m.contacts, m.people, m.archive, m.caps, m.announce, pushes, ping.Responder(), &disco.Responder{Self: self}, m}
	mux := new(stanza.Mux)
	require.NoError(t, stanza.Install(mux, self.Modules...))

	client.Features = append(client.Features, m.contacts.StreamFeatures()...)
	client.Features = append(client.Features, m.caps.Feature())
	client.Conn = &stanza.Options{
		// The server may ask something while the connection is being closed.
		Report: func(_ context.Context, _ stanza.Stanza, err error) { t.Logf("handler: %v", err) },
	}
	m.Conn, err = client.Connect(ctx)
	require.NoError(t, err)
	served := make(chan error, 1)
	serving, stop := context.WithCancel(context.Background())
	// Owner: the test. Stops when the connection is closed, below. Joined through served.
	go func() { served <- m.Serve(serving, mux) }()
	t.Cleanup(func() {
		closeInOrder(t, m.Conn)
		stop() // a handler may wait for room in a channel
		<-served
	})
	return m
}

// hear puts v where the test finds it.
func hear[T any](ctx context.Context, c chan T, v T) {
	select {
	case c <- v:
	case <-ctx.Done():
	}
}

// Name implements stanza.Module.
func (m *messenger) Name() string { return "messenger" }

// Register implements stanza.Module: it takes the messages.
func (m *messenger) Register(mux *stanza.Mux) error {
	return mux.HandleMessage(stanza.Any, stream.Name{}, func(ctx context.Context, _ stanza.Sender, msg *stanza.Message) error {
		msg = msg.Clone()
		copied, err := carbons.Decode(msg, m.LocalAddr().Bare())
		switch {
		case err == nil:
			hear(ctx, m.copies, copied)
		case errors.Is(err, carbons.ErrNone):
			hear(ctx, m.messages, msg)
		default:
			return err
		}
		return nil
	})
}

// available asks for the roster and tells the world that it is here, as RFC 6121 §2.2 has it.
func (m *messenger) available(ctx context.Context, t *testing.T) {
	t.Helper()
	require.NoError(t, m.contacts.Sync(ctx, m))
	p := new(stanza.Presence)
	require.NoError(t, m.announce.Annotate(p))
	require.NoError(t, m.people.Available(ctx, m, stanza.ShowOnline, "", 0, p.Extra...))
}

// until takes from c until something matches, and returns it.
func until[T any](ctx context.Context, t *testing.T, c <-chan T, match func(T) bool) T {
	t.Helper()
	for {
		select {
		case v := <-c:
			if match(v) {
				return v
			}
			t.Logf("passed over: %+v", v)
		case <-ctx.Done():
			require.FailNow(t, "not heard in time")
		}
	}
}

// next takes one thing from c.
func next[T any](ctx context.Context, t *testing.T, c <-chan T) T {
	t.Helper()
	return until(ctx, t, c, func(T) bool { return true })
}

// presenceOf matches an event of a type about an account.
func presenceOf(who jid.JID, typ stanza.PresenceType) func(presence.Event) bool {
	return func(e presence.Event) bool { return e.Contact() == who.Bare() && e.Type == typ }
}

// changed matches a change after which the state of a contact is as given.
func changed(who jid.JID, state roster.State) func(roster.Event) bool {
	return func(e roster.Event) bool { return e.Contact() == who.Bare() && !e.Removed() && e.After.State == state }
}

// befriend subscribes two clients to each other's presence (RFC 6121 §3.1), and waits until each sees the other.
func befriend(ctx context.Context, t *testing.T, a, b *messenger) {
	t.Helper()
	who := func(m *messenger) jid.JID { return m.LocalAddr().Bare() }
	for _, pair := range [][2]*messenger{{a, b}, {b, a}} {
		asks, answers := pair[0], pair[1]
		require.NoError(t, roster.Subscribe(ctx, asks, who(answers)))
		until(ctx, t, answers.events, presenceOf(who(asks), stanza.SubscribePresence))
		require.NoError(t, answers.people.Approve(ctx, answers, who(asks)))
		until(ctx, t, asks.events, presenceOf(who(answers), stanza.SubscribedPresence))
		until(ctx, t, asks.events, presenceOf(who(answers), stanza.AvailablePresence))
	}
	until(ctx, t, a.changes, changed(who(b), roster.Both))
	until(ctx, t, b.changes, changed(who(a), roster.Both))
}
