package interop_test

import (
	"context"
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/command"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/entitytime"
	"stanzakit.dev/xmpp/stanza/last"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stanza/private"
	ibr "stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stanza/version"
	"stanzakit.dev/xmpp/stream"
)

// messaging is a server that is not ours, with all of its modules that have to do with messaging.
type messaging struct {
	foreignServer
	software string // what it says it is (XEP-0092)
	number   string // and of which version
	// saysBlocked says that errors about somebody who is blocked have the condition of XEP-0191 §3.1.
	saysBlocked bool
	// commands are nodes of ad-hoc commands that the account carol, who is an administrator, can see.
	commands []string
}

// servers are those that our client is tried with.
var servers = map[string]func(*testing.T) *messaging{
	"Prosody": func(t *testing.T) *messaging {
		p := startProsodyWith(t, interop.ProsodyOptions{Messaging: true, Admins: []string{"carol@" + prosodyDomain}})
		return &messaging{foreignServer: p.foreignServer, software: "Prosody", number: p.Version, saysBlocked: true, commands: []string{
			"http://jabber.org/protocol/admin#add-user", "http://jabber.org/protocol/admin#get-online-users-list",
		}}
	},
	"ejabberd": func(t *testing.T) *messaging {
		e := startEjabberd(t, interop.EjabberdOptions{Messaging: true, Admins: []string{"carol"}})
		return &messaging{foreignServer: e.foreignServer, software: "ejabberd", number: e.Version, commands: []string{
			"http://jabber.org/protocol/admin#add-user", "http://jabber.org/protocol/admin#get-online-users-num",
		}}
	},
}

// messenger logs an account in.
func (s *messaging) messenger(ctx context.Context, t *testing.T, local string, cache roster.Cache) *messenger {
	t.Helper()
	client, _ := s.client(local, tls.VersionTLS12)
	if local == "carol" {
		client.Password = asciiPassword
	}
	return startMessenger(ctx, t, client, cache)
}

// TestServers: everything that our client has for people who talk, at servers that others wrote.
func TestServers(t *testing.T) {
	for name, start := range servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			t.Run("roster", s.testRoster)
			t.Run("subscriptions", s.testSubscriptions)
			t.Run("messages", s.testMessages)
			t.Run("blocking", s.testBlocking)
			t.Run("about the server", s.testServer)
			t.Run("about an account", s.testAccount)
			t.Run("registration", s.testRegistration)
			t.Run("commands", s.testCommands)
		})
	}
}

// snapshots is a roster.Cache that begins with first and passes on what is saved.
type snapshots struct {
	first roster.Snapshot
	saved chan roster.Snapshot
}

func newSnapshots(first roster.Snapshot) *snapshots {
	return &snapshots{first: first, saved: make(chan roster.Snapshot, heard)}
}

// Load implements roster.Cache.
func (c *snapshots) Load(context.Context, jid.JID) (roster.Snapshot, error) { return c.first, nil }

// Save implements roster.Cache.
func (c *snapshots) Save(ctx context.Context, _ jid.JID, s roster.Snapshot) error {
	hear(ctx, c.saved, s)
	return nil
}

// testRoster: get, set, pushes to every interested resource, removal, and versions (RFC 6121 §2).
func (s *messaging) testRoster(t *testing.T) {
	ctx := bounded(t)
	cache := newSnapshots(roster.Snapshot{})
	alice, other := s.messenger(ctx, t, "alice", cache), s.messenger(ctx, t, "alice", nil)
	require.NoError(t, alice.contacts.Sync(ctx, alice))
	require.NoError(t, other.contacts.Sync(ctx, other))

	nurse := roster.Item{JID: s.account("nurse"), Name: "Nurse & <Angelica>", Groups: []string{"Servants", "Capulet’s"}}
	require.NoError(t, roster.Set(ctx, alice, nurse))
	for _, m := range []*messenger{alice, other} {
		e := next(ctx, t, m.changes)
		require.True(t, e.Added())
		require.Equal(t, nurse.Name, e.After.Name)
		require.ElementsMatch(t, nurse.Groups, e.After.Groups)
		require.Equal(t, roster.None, e.After.State)
	}
	nurse.Name, nurse.Groups = "Angelica", []string{"Friends"}
	require.NoError(t, roster.Set(ctx, other, nurse))
	for _, m := range []*messenger{alice, other} {
		e := next(ctx, t, m.changes)
		require.Equal(t, "Angelica", e.After.Name)
		require.Equal(t, []string{"Friends"}, e.After.Groups)
	}
	// §2.6: the version is known, and the next session is told only what is new, here nothing.
	known := until(ctx, t, cache.saved, func(s roster.Snapshot) bool { return len(s.Items) == 1 && s.Items[0].Name == "Angelica" })
	require.NotEmpty(t, known.Version)
	later := s.messenger(ctx, t, "alice", newSnapshots(known))
	require.NoError(t, later.contacts.Sync(ctx, later))
	require.True(t, later.contacts.Current())
	require.Equal(t, 1, later.contacts.List().Len())

	require.NoError(t, roster.Remove(ctx, alice, nurse.JID))
	for _, m := range []*messenger{alice, other} {
		require.True(t, next(ctx, t, m.changes).Removed())
	}
	until(ctx, t, later.changes, roster.Event.Removed)
	left := until(ctx, t, cache.saved, func(s roster.Snapshot) bool { return len(s.Items) == 0 })
	require.NotEqual(t, known.Version, left.Version)
	// §2.5.3: nobody is left to be removed.
	err := roster.Remove(ctx, alice, nurse.JID)
	require.True(t, err == nil || errors.Is(err, stanza.ItemNotFound), "%v", err)
}

// testSubscriptions: both ways, presence, directed or not, and the end of it (RFC 6121 §3, §4).
func (s *messaging) testSubscriptions(t *testing.T) {
	ctx := bounded(t)
	alice, bob := s.messenger(ctx, t, "alice", nil), s.messenger(ctx, t, "bob", nil)
	alice.available(ctx, t)
	bob.available(ctx, t)
	befriend(ctx, t, alice, bob)
	a, b := s.account("alice"), s.account("bob")

	require.NoError(t, bob.people.Available(ctx, bob, stanza.ShowAway, "at the <orchard>", 7))
	e := until(ctx, t, alice.events, func(e presence.Event) bool { return e.JID == bob.LocalAddr() && e.After.Show == stanza.ShowAway })
	require.Equal(t, "at the <orchard>", e.After.Status.String())
	require.EqualValues(t, 7, e.After.Priority)

	// XEP-0115: what bob can do, verified by the hash in his presence.
	p := new(stanza.Presence)
	require.NoError(t, bob.announce.Annotate(p))
	require.NoError(t, bob.people.Available(ctx, bob, stanza.ShowOnline, "", 0, p.Extra...))
	until(ctx, t, alice.events, func(e presence.Event) bool { return e.JID == bob.LocalAddr() && e.After.Show == stanza.ShowOnline })
	info, err := alice.caps.Info(ctx, alice, bob.LocalAddr())
	require.NoError(t, err)
	require.True(t, info.Has(ping.NS))
	announced, ok := alice.caps.Announced(bob.LocalAddr())
	require.True(t, ok)
	_, err = announced.Verify(info)
	require.NoError(t, err)

	// A resource that asks another one, over the server.
	_, err = ping.Ping(ctx, alice, bob.LocalAddr())
	require.NoError(t, err)

	require.NoError(t, bob.people.Unavailable(ctx, bob, "gone"))
	e = until(ctx, t, alice.events, presenceOf(b, stanza.UnavailablePresence))
	require.True(t, e.Went())
	departure, ok := alice.people.Departed(b)
	require.True(t, ok)
	require.Equal(t, "gone", departure.Status.String())

	// §3.3, §3.2: what was approved is taken back.
	require.NoError(t, bob.people.Available(ctx, bob, stanza.ShowOnline, "", 0))
	until(ctx, t, alice.events, presenceOf(b, stanza.AvailablePresence))
	require.NoError(t, roster.Unsubscribe(ctx, alice, b))
	until(ctx, t, alice.changes, changed(b, roster.From))
	until(ctx, t, bob.changes, changed(a, roster.To))
	require.NoError(t, roster.Cancel(ctx, alice, b))
	until(ctx, t, alice.changes, changed(b, roster.None))
	until(ctx, t, bob.changes, changed(a, roster.None))
	require.NoError(t, roster.Remove(ctx, alice, b))
	require.NoError(t, roster.Remove(ctx, bob, a))
}

// testMessages: chat, offline messages, carbons, the archive.
func (s *messaging) testMessages(t *testing.T) {
	ctx := bounded(t)
	alice := s.messenger(ctx, t, "alice", nil)
	alice.available(ctx, t)
	const text = "But soft, what <light> & “window” \U0001F319 ]]> breaks?"
	begin := time.Now().Add(-time.Minute)

	// XEP-0160: bob is not there, and finds it when he comes.
	require.NoError(t, alice.Send(ctx, &stanza.Message{ID: "m0", To: s.account("bob"), Type: stanza.ChatMessage, Body: stanza.Plain("Art thou there?")}))
	_, err := ping.Ping(ctx, alice, jid.JID{}) // the server has dealt with it
	require.NoError(t, err)
	bob := s.messenger(ctx, t, "bob", nil)
	bob.available(ctx, t)
	got := until(ctx, t, bob.messages, func(m *stanza.Message) bool { return m.ID == "m0" })
	require.Equal(t, "Art thou there?", got.Body.String())
	d, ok, err := delay.Of(got)
	require.NoError(t, err)
	require.True(t, ok, "XEP-0203: a stamp")
	require.WithinDuration(t, time.Now(), d.Stamp, time.Minute)

	// XEP-0280: bob's other client sees both directions.
	other := s.messenger(ctx, t, "bob", nil)
	other.available(ctx, t) // ejabberd makes copies for those that are
	require.NoError(t, carbons.Enable(ctx, other))
	require.NoError(t, carbons.Enable(ctx, bob))
	require.NoError(t, alice.Send(ctx, &stanza.Message{ID: "m1", To: bob.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain(text), Thread: "t1"}))
	got = until(ctx, t, bob.messages, func(m *stanza.Message) bool { return m.ID == "m1" })
	require.Equal(t, text, got.Body.String())
	require.Equal(t, "t1", got.Thread)
	require.NoError(t, bob.Send(ctx, got.Reply("It is the east.")))
	require.Equal(t, "It is the east.", until(ctx, t, alice.messages, func(m *stanza.Message) bool { return len(m.Body) > 0 }).Body.String())
	for direction, want := range []string{carbons.Received: text, carbons.Sent: "It is the east."} {
		c := next(ctx, t, other.copies)
		require.Equal(t, carbons.Direction(direction), c.Direction)
		require.Equal(t, want, c.Message.Body.String())
	}
	// §6.1, §10.3: what is private is not copied, and after Disable nothing is.
	secret := &stanza.Message{To: bob.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("secret"), Extra: []stanza.Payload{carbons.Private{}}}
	require.NoError(t, alice.Send(ctx, secret))
	until(ctx, t, bob.messages, func(m *stanza.Message) bool { return m.Body.String() == "secret" })
	require.NoError(t, carbons.Disable(ctx, other))
	require.NoError(t, alice.Send(ctx, &stanza.Message{To: bob.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("late")}))
	until(ctx, t, bob.messages, func(m *stanza.Message) bool { return m.Body.String() == "late" })
	_, err = ping.Ping(ctx, other, jid.JID{})
	require.NoError(t, err)
	require.Empty(t, other.copies)

	// XEP-0313: both accounts have it all.
	for who, m := range map[string]*messenger{"alice": alice, "bob": bob} {
		with := map[string]string{"alice": "bob", "bob": "alice"}[who]
		var bodies, ids []string
		for r, err := range m.archive.Query(ctx, m, jid.JID{}, &mam.Search{Filter: mam.Filter{With: s.account(with), Start: begin}, Page: 2}) {
			require.NoError(t, err)
			require.NoError(t, r.Err)
			require.WithinDuration(t, time.Now(), r.Time, time.Minute)
			if len(r.Message.Body) > 0 {
				bodies, ids = append(bodies, r.Message.Body.String()), append(ids, r.ID)
			}
		}
		require.Equal(t, []string{"Art thou there?", text, "It is the east.", "secret", "late"}, bodies, who)
		// What has come since the second one.
		bodies = nil
		for r, err := range m.archive.SyncSince(ctx, m, jid.JID{}, ids[1]) {
			require.NoError(t, err)
			bodies = append(bodies, r.Message.Body.String())
		}
		require.Equal(t, []string{"It is the east.", "secret", "late"}, bodies, who)
	}
	prefs, err := mam.GetPrefs(ctx, alice)
	require.NoError(t, err)
	require.Equal(t, mam.ArchiveAlways, prefs.Default)
	prefs.Never = []jid.JID{s.account("tybalt")}
	prefs, err = mam.SetPrefs(ctx, alice, prefs)
	require.NoError(t, err)
	require.Equal(t, []jid.JID{s.account("tybalt")}, prefs.Never)
}

// testBlocking: XEP-0191.
func (s *messaging) testBlocking(t *testing.T) {
	ctx := bounded(t)
	alice, bob, other := s.messenger(ctx, t, "alice", nil), s.messenger(ctx, t, "bob", nil), s.messenger(ctx, t, "bob", nil)
	alice.available(ctx, t)
	bob.available(ctx, t)
	list, err := blocking.List(ctx, bob)
	require.NoError(t, err)
	require.Empty(t, list)
	_, err = blocking.List(ctx, other) // who has asked gets pushes (§3.5)
	require.NoError(t, err)

	a := s.account("alice")
	require.NoError(t, blocking.Block(ctx, bob, a))
	require.Equal(t, []jid.JID{a}, next(ctx, t, bob.blocked))
	require.Equal(t, []jid.JID{a}, next(ctx, t, other.blocked))
	list, err = blocking.List(ctx, bob)
	require.NoError(t, err)
	require.Equal(t, []jid.JID{a}, list)

	// §3.1: alice is told service-unavailable, and bob nothing. The other way gets an error that says why.
	require.NoError(t, alice.Send(ctx, &stanza.Message{ID: "b1", To: s.account("bob"), Type: stanza.ChatMessage, Body: stanza.Plain("hello")}))
	refused := until(ctx, t, alice.messages, (*stanza.Message).IsError)
	require.ErrorIs(t, refused.Error, stanza.ServiceUnavailable)
	_, err = disco.GetInfo(ctx, bob, alice.LocalAddr(), "")
	require.ErrorIs(t, err, stanza.NotAcceptable)
	require.Equal(t, s.saysBlocked, blocking.IsBlocked(err), "%v", err)

	require.NoError(t, blocking.Unblock(ctx, bob, a))
	require.Equal(t, []jid.JID{a}, next(ctx, t, other.freed))
	require.NoError(t, alice.Send(ctx, &stanza.Message{ID: "b2", To: bob.LocalAddr(), Type: stanza.ChatMessage, Body: stanza.Plain("again")}))
	require.Equal(t, "again", until(ctx, t, bob.messages, func(m *stanza.Message) bool { return len(m.Body) > 0 }).Body.String())

	require.NoError(t, blocking.Block(ctx, bob, a, jid.MustParse("example.net")))
	require.Len(t, next(ctx, t, other.blocked), 2)
	require.NoError(t, blocking.UnblockAll(ctx, bob))
	list, err = blocking.List(ctx, bob)
	require.NoError(t, err)
	require.Empty(t, list)
}

// testServer: what can be asked about the server.
func (s *messaging) testServer(t *testing.T) {
	ctx := bounded(t)
	alice := s.messenger(ctx, t, "alice", nil)
	server := jid.MustParse(s.domain)

	// XEP-0115 §6.3: the hash in the stream features stands for what disco says.
	announced, ok := alice.caps.Announced(server)
	require.True(t, ok)
	info, err := alice.caps.Info(ctx, alice, server)
	require.NoError(t, err)
	_, err = announced.Verify(info)
	require.NoError(t, err)
	require.True(t, info.Is("server", "im"))
	for _, ns := range []string{disco.NSInfo, disco.NSItems, ping.NS, version.NS, entitytime.NS, blocking.NS, carbons.NS} {
		require.True(t, info.Has(ns), ns)
	}
	direct, err := disco.GetInfo(ctx, alice, server, "")
	require.NoError(t, err)
	require.ElementsMatch(t, info.Features, direct.Features)
	_, err = disco.GetItems(ctx, alice, server, "")
	require.NoError(t, err)
	account, err := disco.GetInfo(ctx, alice, s.account("alice"), "")
	require.NoError(t, err)
	require.True(t, account.Is("account", "registered"))
	require.True(t, account.Has(mam.NS))

	took, err := ping.Ping(ctx, alice, server)
	require.NoError(t, err)
	require.Positive(t, took)
	v, err := version.Get(ctx, alice, server)
	require.NoError(t, err)
	require.Equal(t, s.software, v.Name)
	require.True(t, strings.HasPrefix(v.Number, s.number), "%s, not %s", v.Number, s.number)
	now, err := entitytime.Get(ctx, alice, server)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), now, 10*time.Second)
	up, err := last.Get(ctx, alice, server)
	require.NoError(t, err)
	require.Less(t, up.Ago(), 2*time.Minute)

	// XEP-0352 has no answers. The stream goes on, and what matters still comes.
	require.NoError(t, csi.Inactive(ctx, alice.Session()))
	require.NoError(t, csi.Active(ctx, alice.Session()))
	_, err = ping.Ping(ctx, alice, jid.JID{})
	require.NoError(t, err)
}

// testAccount: what is kept for an account.
func (s *messaging) testAccount(t *testing.T) {
	ctx := bounded(t)
	alice, bob := s.messenger(ctx, t, "alice", nil), s.messenger(ctx, t, "bob", nil)

	// XEP-0054.
	_, err := vcard.Get(ctx, bob, s.account("alice"))
	require.ErrorIs(t, err, vcard.ErrNone)
	card := &vcard.VCard{
		FullName: "Alice <of> Wonderland", Name: vcard.Name{Family: "Liddell", Given: "Alice"}, Nickname: "Ali", Birthday: "1852-05-04",
		Emails: []vcard.Email{{Types: []string{"INTERNET"}, Address: "alice@example.org"}}, JID: "alice@" + s.domain,
		Photo: &vcard.Photo{Type: "image/png", Data: []byte("\x89PNG\r\n\x1a\n")},
	}
	require.NoError(t, vcard.Set(ctx, alice, card))
	for _, m := range []*messenger{alice, bob} {
		got, err := vcard.Get(ctx, m, s.account("alice"))
		require.NoError(t, err)
		require.Equal(t, card.FullName, got.FullName)
		require.Equal(t, card.Name, got.Name)
		require.Equal(t, card.Birthday, got.Birthday)
		require.NotNil(t, got.Photo)
		require.Equal(t, card.Photo.Hash(), got.Photo.Hash())
		require.Equal(t, "alice@example.org", got.Emails[0].Address)
	}

	// XEP-0049.
	type note struct {
		JID  string `xml:"jid,attr"`
		Text string `xml:",chardata"`
	}
	type notes struct {
		XMLName struct{} `xml:"storage:rosternotes storage"`
		Notes   []note   `xml:"note"`
	}
	want := notes{Notes: []note{{"bob@" + s.domain, "likes <balconies> & such"}}}
	require.NoError(t, private.Set(ctx, alice, stanza.XML(want)))
	el, err := private.Get(ctx, alice, stream.Name{Space: "storage:rosternotes", Local: "storage"})
	require.NoError(t, err)
	var read notes
	require.NoError(t, stanza.Unmarshal(el, &read))
	require.Equal(t, want, read)
	el, err = private.Get(ctx, bob, stream.Name{Space: "storage:rosternotes", Local: "storage"})
	require.NoError(t, err)
	read = notes{}
	require.NoError(t, stanza.Unmarshal(el, &read))
	require.Empty(t, read.Notes, "of somebody else")

	// XEP-0012 §4: only those may know who may see presence.
	_, err = last.Get(ctx, bob, s.account("alice"))
	var refused *stanza.Error
	require.ErrorAs(t, err, &refused)
	alice.available(ctx, t)
	bob.available(ctx, t)
	befriend(ctx, t, alice, bob)
	require.NoError(t, alice.people.Unavailable(ctx, alice, "asleep"))
	until(ctx, t, bob.events, presenceOf(s.account("alice"), stanza.UnavailablePresence))
	gone, err := last.Get(ctx, bob, s.account("alice"))
	require.NoError(t, err)
	require.Less(t, gone.Ago(), time.Minute)
}

// testRegistration: an account is made, has its password changed, and is removed (XEP-0077).
func (s *messaging) testRegistration(t *testing.T) {
	ctx := bounded(t)
	const first, second = "a pa<ss & word", "another one"
	newcomer := s.account("newcomer")
	client, _ := s.client(newcomer.Local(), tls.VersionTLS12)
	client.Password, client.Features = first, []stream.Feature{ibr.Client(&ibr.ClientOptions{Password: first})}
	conn, err := client.Connect(ctx)
	require.NoError(t, err)
	asked, err := ibr.Get(ctx, conn, jid.MustParse(s.domain))
	require.NoError(t, err)
	require.True(t, asked.Registered)
	require.NoError(t, ibr.ChangePassword(ctx, conn, newcomer, second))
	closeInOrder(t, conn)

	// The name is taken, whoever asks.
	_, err = client.Connect(ctx)
	require.ErrorIs(t, err, stanza.Conflict)

	client, _ = s.client(newcomer.Local(), tls.VersionTLS12)
	client.Password = second
	conn, err = client.Connect(ctx)
	require.NoError(t, err)
	// XEP-0077 §3.2: the server may end the stream, and ejabberd does so before it has answered.
	if err := ibr.Cancel(ctx, conn, jid.JID{}); err != nil {
		require.ErrorIs(t, err, stream.Conflict)
	}
	conn.Abort(nil)
	_, err = client.Connect(ctx)
	require.ErrorIs(t, err, sasl.NotAuthorized)
}

// testCommands: what an administrator is offered, and others are not (XEP-0050, XEP-0133).
func (s *messaging) testCommands(t *testing.T) {
	ctx := bounded(t)
	server := jid.MustParse(s.domain)
	nodes := func(m *messenger) []string {
		items, err := command.List(ctx, m, server)
		require.NoError(t, err)
		var names []string
		for _, i := range items {
			names = append(names, i.Node)
		}
		return names
	}
	carol, alice := s.messenger(ctx, t, "carol", nil), s.messenger(ctx, t, "alice", nil)
	require.Subset(t, nodes(carol), s.commands)
	require.NotContains(t, nodes(alice), s.commands[0])

	e, err := command.Execute(ctx, carol, server, s.commands[0])
	require.NoError(t, err)
	require.False(t, e.Done())
	require.NotNil(t, e.Response.Form)
	f := e.Response.Form.Answer()
	f.Set("accountjid", "paris@"+s.domain)
	f.Set("password", asciiPassword)
	f.Set("password-verify", asciiPassword)
	require.NoError(t, e.Complete(ctx, f))
	require.True(t, e.Done())
	reason, failed := e.Response.Failed()
	require.False(t, failed, reason)

	paris, _ := s.client("paris", tls.VersionTLS12)
	paris.Password = asciiPassword
	conn, err := paris.Connect(ctx)
	require.NoError(t, err)
	closeInOrder(t, conn)

	_, err = command.Execute(ctx, alice, server, s.commands[0])
	var refused *stanza.Error
	require.ErrorAs(t, err, &refused)
}
