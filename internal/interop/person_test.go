package interop_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/internal/interop"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/csi"
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

// forPeople gives a server the modules that examples/server has.
func forPeople(s *xmpp.Server) {
	accounts := s.Accounts.(*xmpp.MemoryAccounts)
	ofServer := &disco.Entity{Identities: []disco.Identity{{Category: "server", Type: "im", Name: "StanzaKit"}}}
	ofAccount := new(disco.Entity)
	s.Modules = []stanza.Module{
		new(blocking.Module), new(mam.Module), new(carbons.Module), new(csi.Module), new(vcard.Module), new(private.Module), new(last.Server),
		ping.Responder(), version.Responder(version.Version{Name: "StanzaKit", Number: "test"}), entitytime.Responder(nil),
		&caps.Announcer{Node: "https://stanzakit.dev/xmpp", Entity: ofServer}, &disco.Responder{Self: ofServer, Account: ofAccount},
		&ibr.Module{Accounts: accounts}, &admin.Module{Accounts: accounts, Admins: []jid.JID{foreign.Bare()}},
	}
	ofServer.Modules, ofAccount.Modules = s.Modules, s.Modules[:6]
}

// person is a foreign client of foreign, and what it has reported that no test has taken yet.
type person struct {
	*interop.Person
	who  jid.JID
	kept []interop.PersonEvent
}

// session waits until it has logged in.
func session(ctx context.Context, t *testing.T, p *interop.Person) *person {
	t.Helper()
	c := &person{Person: p}
	c.who = jid.MustParse(c.hears(ctx, t, func(e interop.PersonEvent) bool { return e.Event == "session" }).JID)
	return c
}

// hears returns the first event that matches, of those kept and those to come. The others are kept.
func (c *person) hears(ctx context.Context, t *testing.T, match func(interop.PersonEvent) bool) interop.PersonEvent {
	t.Helper()
	if i := slices.IndexFunc(c.kept, match); i >= 0 {
		e := c.kept[i]
		c.kept = slices.Delete(c.kept, i, i+1)
		return e
	}
	for {
		e, err := c.Next(ctx)
		require.NoError(t, err, "kept: %+v", c.kept)
		if match(*e) {
			return *e
		}
		c.kept = append(c.kept, *e)
	}
}

// does has it carry a command out.
func (c *person) does(ctx context.Context, t *testing.T, cmd interop.PersonCommand) interop.PersonEvent {
	t.Helper()
	require.NoError(t, c.Tell(cmd))
	e := c.hears(ctx, t, func(e interop.PersonEvent) bool { return (e.Event == "did" || e.Event == "refused") && e.Do == cmd.Do })
	require.Equal(t, "did", e.Event, "%+v", e)
	return e
}

// pushed waits for the push of a contact.
func (c *person) pushed(ctx context.Context, t *testing.T, who jid.JID, subscription string) interop.PersonContact {
	t.Helper()
	return c.hears(ctx, t, func(e interop.PersonEvent) bool {
		return e.Event == "roster" && e.Items[0].JID == who.String() && e.Items[0].Subscription == subscription
	}).Items[0]
}

// presence waits for presence of somebody.
func (c *person) presence(ctx context.Context, t *testing.T, who jid.JID, typ string) interop.PersonEvent {
	t.Helper()
	return c.hears(ctx, t, func(e interop.PersonEvent) bool {
		from, err := jid.Parse(e.From)
		return e.Event == "presence" && e.Type == typ && err == nil && from.Bare() == who.Bare() && from != c.who
	})
}

// said waits for a message, or a copy of one.
func (c *person) said(ctx context.Context, t *testing.T, event, body string) interop.PersonEvent {
	t.Helper()
	return c.hears(ctx, t, func(e interop.PersonEvent) bool { return e.Event == event && e.Body == body })
}

// messenger logs a client of ours in.
func (s *ourServer) messenger(ctx context.Context, t *testing.T, who jid.JID) *messenger {
	t.Helper()
	return startMessenger(ctx, t, &xmpp.Client{JID: who, Password: password, Addr: s.addr.String(), RootCAs: s.ca.Pool()}, nil)
}

// TestPeople: clients that others wrote, for people who talk, at a server of ours.
func TestPeople(t *testing.T) {
	t.Run("xmpp.js", func(t *testing.T) {
		t.Parallel()
		peer := interop.FindXMPPJS(t)
		s := startOurServer(t, forPeople)
		s.testPeople(t, func(ctx context.Context, t *testing.T, resource string) *person {
			return session(ctx, t, peer.StartPerson(t, interop.XMPPJSOptions{
				Domain: ourDomain, Username: foreign.Local(), Resource: resource, Password: password, Addr: s.addr, CA: s.file, TLS: "1.3",
				UserAgent: agents[resource],
			}))
		})
		require.Empty(t, s.errorsSent())
	})
	start := func(ctx context.Context, t *testing.T, s *ourServer, peer interop.Slixmpp, resource string) *person {
		return session(ctx, t, peer.StartPerson(t, interop.SlixmppOptions{
			JID: foreign.Bare().String() + "/" + resource, CA: s.file, Addr: s.addr, TLS: "1.2", Password: password,
		}))
	}
	for _, peer := range interop.FindSlixmpp(t) {
		t.Run("slixmpp "+peer.Version, func(t *testing.T) {
			t.Parallel()
			s := startOurServer(t, forPeople)
			connect := func(ctx context.Context, t *testing.T, resource string) *person {
				return start(ctx, t, s, peer, resource)
			}
			s.testPeople(t, connect)
			t.Run("about", func(t *testing.T) { s.testAbout(t, connect) })
			t.Run("accounts", func(t *testing.T) { s.testAccounts(t, peer, connect) })
			for _, sent := range s.errorsSent() {
				require.Equal(t, stream.NotWellFormed, sent, "the answer to TLS where STARTTLS was due")
			}
		})
	}
}

// agents are the ids of installations (XEP-0388 §2.3) with which @xmpp/client gets two resources.
var agents = map[string]string{"balcony": "d4565fa7-4d72-4749-b3d3-740edbf87770", "chamber": "aa5b9f5e-41a1-4b43-8b4e-5b1f0d9b0c11"}

// connector logs a client of foreign in.
type connector func(ctx context.Context, t *testing.T, resource string) *person

// testPeople: roster, subscriptions, messages, offline messages, carbons, the archive and blocking, between a foreign client and one of ours.
func (s *ourServer) testPeople(t *testing.T, connect connector) {
	t.Run("roster", func(t *testing.T) { s.testPersonRoster(t, connect) })
	t.Run("subscriptions", func(t *testing.T) { s.testPersonSubscriptions(t, connect) })
	t.Run("messages", func(t *testing.T) { s.testPersonMessages(t, connect) })
	t.Run("blocking", func(t *testing.T) { s.testPersonBlocking(t, connect) })
}

// leave has a client log out and waits until it has (RFC 6120 §4.4).
func (c *person) leave(ctx context.Context, t *testing.T) {
	t.Helper()
	require.NoError(t, c.Close())
	c.hears(ctx, t, func(e interop.PersonEvent) bool { return e.Event == "disconnected" })
}

func (s *ourServer) testPersonRoster(t *testing.T, connect connector) {
	ctx := bounded(t)
	juliet := connect(ctx, t, "balcony")
	require.Empty(t, juliet.does(ctx, t, interop.PersonCommand{Do: "roster"}).Items)
	// A client of ours for the same account sees what the foreign one changes, and the other way round (RFC 6121 §2.1.6).
	own := s.messenger(ctx, t, foreign.Bare())
	require.NoError(t, own.contacts.Sync(ctx, own))
	nurse := jid.MustParse("nurse@" + ourDomain)
	juliet.does(ctx, t, interop.PersonCommand{Do: "add", JID: nurse.String(), Name: "Nurse & <Angelica>", Groups: []string{"Capulet’s", "Servants"}})
	require.Equal(t, interop.PersonContact{
		JID: nurse.String(), Name: "Nurse & <Angelica>", Subscription: "none", Groups: []string{"Capulet’s", "Servants"},
	}, juliet.pushed(ctx, t, nurse, "none"))
	e := next(ctx, t, own.changes)
	require.Equal(t, "Nurse & <Angelica>", e.After.Name)
	require.ElementsMatch(t, []string{"Servants", "Capulet’s"}, e.After.Groups)

	juliet.does(ctx, t, interop.PersonCommand{Do: "add", JID: nurse.String(), Name: "Angelica", Groups: []string{"Friends"}})
	require.Equal(t, "Angelica", juliet.pushed(ctx, t, nurse, "none").Name)
	require.Equal(t, "Angelica", next(ctx, t, own.changes).After.Name)
	require.NoError(t, roster.Set(ctx, own, roster.Item{JID: nurse, Name: "Peter’s"}))
	require.Equal(t, "Peter’s", juliet.pushed(ctx, t, nurse, "none").Name)
	items := juliet.does(ctx, t, interop.PersonCommand{Do: "roster"}).Items
	require.Equal(t, []interop.PersonContact{{JID: nurse.String(), Name: "Peter’s", Subscription: "none", Groups: []string{}}}, items)
	juliet.does(ctx, t, interop.PersonCommand{Do: "remove", JID: nurse.String()})
	juliet.pushed(ctx, t, nurse, "remove")
	until(ctx, t, own.changes, roster.Event.Removed)
	juliet.leave(ctx, t)
}

func (s *ourServer) testPersonSubscriptions(t *testing.T, connect connector) {
	ctx := bounded(t)
	romeo := s.messenger(ctx, t, ours)
	romeo.available(ctx, t)
	juliet := connect(ctx, t, "balcony")
	juliet.does(ctx, t, interop.PersonCommand{Do: "roster"})
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence"})
	r, j := ours.Bare(), foreign.Bare()

	// RFC 6121 §3.1, one way and the other.
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence", JID: r.String(), Type: "subscribe"})
	until(ctx, t, romeo.events, presenceOf(j, stanza.SubscribePresence))
	require.NoError(t, romeo.people.Approve(ctx, romeo, j))
	juliet.presence(ctx, t, r, "subscribed")
	juliet.pushed(ctx, t, r, "to")
	juliet.presence(ctx, t, r, "available")
	require.NoError(t, roster.Subscribe(ctx, romeo, j))
	juliet.presence(ctx, t, r, "subscribe")
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence", JID: j.String(), Type: "probe"}) // which a client does not do, and gets no harm from
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence", JID: r.String(), Type: "subscribed"})
	until(ctx, t, romeo.events, presenceOf(j, stanza.SubscribedPresence))
	until(ctx, t, romeo.events, presenceOf(j, stanza.AvailablePresence))
	until(ctx, t, romeo.changes, changed(j, roster.Both))
	juliet.pushed(ctx, t, r, "both")

	// §4: presence, to and fro.
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence", Show: "dnd", Status: "at <mass>"})
	e := until(ctx, t, romeo.events, func(e presence.Event) bool { return e.Contact() == j && e.After.Show == stanza.ShowDND })
	require.Equal(t, "at <mass>", e.After.Status.String())
	require.NoError(t, romeo.people.Available(ctx, romeo, stanza.ShowXA, "banished", 3))
	juliet.hears(ctx, t, func(e interop.PersonEvent) bool {
		return e.Event == "presence" && e.Show == "xa" && e.Status == "banished"
	})
	juliet.leave(ctx, t)
	until(ctx, t, romeo.events, presenceOf(j, stanza.UnavailablePresence))

	// §4.3: who comes later finds what was there before.
	juliet = connect(ctx, t, "balcony")
	juliet.does(ctx, t, interop.PersonCommand{Do: "roster"})
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence"})
	juliet.hears(ctx, t, func(e interop.PersonEvent) bool {
		return e.Event == "presence" && e.Show == "xa" && e.Status == "banished"
	})
	until(ctx, t, romeo.events, presenceOf(j, stanza.AvailablePresence))

	// §3.3, §3.2.
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence", JID: r.String(), Type: "unsubscribe"})
	juliet.pushed(ctx, t, r, "from")
	until(ctx, t, romeo.changes, changed(j, roster.To))
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence", JID: r.String(), Type: "unsubscribed"})
	juliet.pushed(ctx, t, r, "none")
	until(ctx, t, romeo.changes, changed(j, roster.None))
	juliet.does(ctx, t, interop.PersonCommand{Do: "remove", JID: r.String()})
	juliet.pushed(ctx, t, r, "remove")
	require.NoError(t, roster.Remove(ctx, romeo, j))
	juliet.leave(ctx, t)
}

func (s *ourServer) testPersonMessages(t *testing.T, connect connector) {
	ctx := bounded(t)
	romeo := s.messenger(ctx, t, ours)
	romeo.available(ctx, t)
	const there, back = "Wherefore <art> thou & “Romeo”? \U0001F319", "Call me but \u2764 & I'll be new baptis'd ]]>"
	chat := func(to jid.JID, body string) {
		t.Helper()
		require.NoError(t, romeo.Send(ctx, &stanza.Message{To: to, Type: stanza.ChatMessage, Body: stanza.Plain(body)}))
	}

	// XEP-0160: one that waits.
	chat(foreign.Bare(), "Art thou there?")
	_, err := ping.Ping(ctx, romeo, jid.JID{})
	require.NoError(t, err)
	juliet := connect(ctx, t, "balcony")
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence"})
	waited := juliet.said(ctx, t, "message", "Art thou there?")
	stamp, err := time.Parse(time.RFC3339, waited.Stamp)
	require.NoError(t, err, "XEP-0203: a stamp")
	require.WithinDuration(t, time.Now(), stamp, time.Minute)

	// XEP-0280: her other client hears and sees it all.
	chamber := connect(ctx, t, "chamber")
	chamber.does(ctx, t, interop.PersonCommand{Do: "presence"})
	chamber.does(ctx, t, interop.PersonCommand{Do: "carbons"})
	chat(juliet.who, there)
	got := juliet.said(ctx, t, "message", there)
	require.Equal(t, romeo.LocalAddr().String(), got.From)
	require.Equal(t, "chat", got.Type)
	require.Empty(t, got.Stamp)
	juliet.does(ctx, t, interop.PersonCommand{Do: "say", JID: romeo.LocalAddr().String(), Body: back})
	answer := until(ctx, t, romeo.messages, func(m *stanza.Message) bool { return len(m.Body) > 0 })
	require.Equal(t, juliet.who, answer.From)
	require.Equal(t, back, answer.Body.String())
	copied := chamber.said(ctx, t, "carbon", there)
	require.Equal(t, "received", copied.Direction)
	require.Equal(t, romeo.LocalAddr().String(), copied.From)
	copied = chamber.said(ctx, t, "carbon", back)
	require.Equal(t, "sent", copied.Direction)
	require.Equal(t, romeo.LocalAddr().String(), copied.To)

	// XEP-0313: the archive of each of them.
	found := chamber.does(ctx, t, interop.PersonCommand{Do: "archive", JID: ours.Bare().String()}).Messages
	var bodies []string
	for _, m := range found {
		bodies = append(bodies, m.Body)
		at, err := time.Parse(time.RFC3339, m.Stamp)
		require.NoError(t, err)
		require.WithinDuration(t, time.Now(), at, time.Minute)
	}
	require.Equal(t, []string{"Art thou there?", there, back}, bodies)
	bodies = nil
	for r, err := range romeo.archive.Query(ctx, romeo, jid.JID{}, &mam.Search{Filter: mam.Filter{With: foreign.Bare()}}) {
		require.NoError(t, err)
		bodies = append(bodies, r.Message.Body.String())
	}
	require.Equal(t, []string{"Art thou there?", there, back}, bodies)
	juliet.leave(ctx, t)
	chamber.leave(ctx, t)
}

func (s *ourServer) testPersonBlocking(t *testing.T, connect connector) {
	ctx := bounded(t)
	romeo := s.messenger(ctx, t, ours)
	romeo.available(ctx, t)
	juliet, chamber := connect(ctx, t, "balcony"), connect(ctx, t, "chamber")
	for _, c := range []*person{juliet, chamber} {
		c.does(ctx, t, interop.PersonCommand{Do: "presence"})
		require.Empty(t, c.does(ctx, t, interop.PersonCommand{Do: "blocked"}).JIDs)
	}
	r := ours.Bare().String()
	juliet.does(ctx, t, interop.PersonCommand{Do: "block", JID: r})
	require.Equal(t, []string{r}, chamber.hears(ctx, t, func(e interop.PersonEvent) bool { return e.Event == "blocked" }).JIDs)
	require.Equal(t, []string{r}, juliet.does(ctx, t, interop.PersonCommand{Do: "blocked"}).JIDs)
	require.NoError(t, romeo.Send(ctx, &stanza.Message{To: juliet.who, Type: stanza.ChatMessage, Body: stanza.Plain("hello")}))
	refused := until(ctx, t, romeo.messages, (*stanza.Message).IsError)
	require.ErrorIs(t, refused.Error, stanza.ServiceUnavailable)
	juliet.does(ctx, t, interop.PersonCommand{Do: "unblock", JID: r})
	require.Equal(t, []string{r}, chamber.hears(ctx, t, func(e interop.PersonEvent) bool { return e.Event == "unblocked" }).JIDs)
	require.NoError(t, romeo.Send(ctx, &stanza.Message{To: juliet.who, Type: stanza.ChatMessage, Body: stanza.Plain("again")}))
	juliet.said(ctx, t, "message", "again")
	for _, c := range []*person{juliet, chamber} {
		require.False(t, slices.ContainsFunc(c.kept, func(e interop.PersonEvent) bool { return e.Body == "hello" }))
		c.leave(ctx, t)
	}
}

// testAbout: what slixmpp can ask a server about itself, an account and a contact.
func (s *ourServer) testAbout(t *testing.T, connect connector) {
	ctx := bounded(t)
	romeo := s.messenger(ctx, t, ours)
	romeo.available(ctx, t)
	juliet := connect(ctx, t, "balcony")
	juliet.does(ctx, t, interop.PersonCommand{Do: "roster"})
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence"})
	juliet.does(ctx, t, interop.PersonCommand{Do: "presence", JID: ours.Bare().String(), Type: "subscribe"})
	until(ctx, t, romeo.events, presenceOf(foreign, stanza.SubscribePresence))
	require.NoError(t, romeo.people.Approve(ctx, romeo, foreign.Bare()))
	juliet.presence(ctx, t, ours, "subscribed")
	require.NoError(t, romeo.people.Unavailable(ctx, romeo, "gone <away>"))
	juliet.presence(ctx, t, ours, "unavailable")
	closeInOrder(t, romeo.Conn) // XEP-0012 §3: who is connected is not gone

	facts := juliet.does(ctx, t, interop.PersonCommand{Do: "about", JID: ours.Bare().String()}).Facts
	require.Equal(t, "server/im", facts["identity"])
	features := strings.Fields(facts["features"])
	for _, ns := range []string{disco.NSInfo, disco.NSItems, ping.NS, version.NS, entitytime.NS, blocking.NS, carbons.NS, vcard.NS, ibr.NS} {
		require.Contains(t, features, ns)
	}
	require.Contains(t, facts["account"], "account/registered")
	require.NotEmpty(t, facts["caps"])
	require.Equal(t, facts["caps"], facts["verified"], "XEP-0115: it makes the same hash of what the server says")
	require.Equal(t, "True", facts["ping"])
	require.Equal(t, "StanzaKit test", facts["version"])
	now, err := time.Parse(time.RFC3339, facts["time"])
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), now, 10*time.Second)
	require.Regexp(t, `^\d{1,2}$`, facts["uptime"])
	require.Regexp(t, `^\d{1,2}$`, facts["gone"])
	require.Equal(t, "gone <away>", facts["farewell"])
	require.Equal(t, "Juliet <C> & \u2764", facts["vcard"])
	require.Equal(t, "True", facts["photo"])
	require.Equal(t, "a <note>", facts["private"])
	romeo = s.messenger(ctx, t, ours)
	card, err := vcard.Get(ctx, romeo, foreign.Bare())
	require.NoError(t, err)
	require.Equal(t, "Jule", card.Nickname)
	require.Len(t, card.Photo.Data, 8+256)
	juliet.leave(ctx, t)
}

// testAccounts: slixmpp makes an account in-band (XEP-0077), and one by a command of an administrator (XEP-0050, XEP-0133).
func (s *ourServer) testAccounts(t *testing.T, peer interop.Slixmpp, connect connector) {
	ctx := bounded(t)
	if !strings.HasPrefix(peer.Version, "1.8.") { // which holds its own request back, as there is no session yet
		o := interop.SlixmppOptions{JID: "mercutio@" + ourDomain + "/street", CA: s.file, Addr: s.addr, TLS: "1.2", Password: password, Register: true}
		mercutio := session(ctx, t, peer.StartPerson(t, o))
		registered := func(e interop.PersonEvent) bool { return e.Do == "register" }
		require.Equal(t, "did", mercutio.hears(ctx, t, registered).Event)
		require.Equal(t, o.JID, mercutio.who.String())
		mercutio.leave(ctx, t)
		again := &person{Person: peer.StartPerson(t, o)}
		e := again.hears(ctx, t, registered)
		require.Equal(t, "refused", e.Event)
		require.Equal(t, string(stanza.Conflict), e.Condition)
	}

	juliet := connect(ctx, t, "balcony")
	const paris, secret = "paris@" + ourDomain, "a <secret>"
	facts := juliet.does(ctx, t, interop.PersonCommand{Do: "adduser", JID: paris, Body: secret}).Facts
	require.Contains(t, strings.Fields(facts["commands"]), "http://jabber.org/protocol/admin#add-user")
	require.Equal(t, "completed", facts["status"])
	client := &xmpp.Client{JID: jid.MustParse(paris), Password: secret, Addr: s.addr.String(), RootCAs: s.ca.Pool()}
	conn, err := client.Connect(ctx)
	require.NoError(t, err)
	closeInOrder(t, conn)
	juliet.leave(ctx, t)
}
