package main

import (
	"context"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// TestParts: the program is wired from the parts. It does not use the front door.
func TestParts(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	deps := strings.Fields(string(out))
	require.NotContains(t, deps, "stanzakit.dev/xmpp")
	require.Contains(t, deps, "stanzakit.dev/xmpp/presence")
	for _, d := range deps {
		require.True(t, !strings.Contains(strings.Split(d, "/")[0], ".") || strings.HasPrefix(d, "stanzakit.dev/") ||
			strings.HasPrefix(d, "golang.org/x/"), "%s: not one of the dependencies", d)
	}
}

// TestTeamChats: two members of a team, one at the site and in chat, one in chat.
func TestTeamChats(t *testing.T) {
	r := start(t, table(t))
	site := r.login("anna")
	require.Contains(t, site.page(), "Bert Sommer: offline")

	// Bert has the team as contacts, without having done anything for it.
	contacts, err := roster.NewClient(&roster.Options{Account: address("bert")})
	require.NoError(t, err)
	bert := r.connect("bert", contacts)
	require.NoError(t, contacts.Sync(t.Context(), bert))
	require.Equal(t, []roster.Item{{JID: address("anna"), Name: "Anna Berg", Groups: []string{"support"}, State: roster.Both}},
		slices.Collect(contacts.All()))
	require.Contains(t, site.page(), "Bert Sommer: offline", "connected is not available yet")
	bert.available(stanza.ShowAway)
	require.Contains(t, site.page(), "Bert Sommer: away")

	// Anna comes. Each sees the other.
	anna := r.connect("anna")
	anna.available(stanza.ShowOnline)
	hearsOf[*stanza.Presence](bert, anna.LocalAddr())
	require.Equal(t, stanza.ShowAway, hearsOf[*stanza.Presence](anna, bert.LocalAddr()).Show)
	require.Contains(t, site.page(), "Anna Berg: online")
	_, err = ping.Ping(t.Context(), anna, r.p.chat.domain)
	require.NoError(t, err)

	anna.say(&stanza.Message{To: address("bert"), Type: stanza.ChatMessage, Body: stanza.Plain("Coffee?")})
	require.Equal(t, "Coffee?", hearsOf[*stanza.Message](bert, anna.LocalAddr()).Body.String())

	// What happens at the site comes to chat: to the one whom it concerns.
	require.Contains(t, site.post("/tickets", "title", "Printer <3 & ink", "assignee", "bert"), "Printer &lt;3 &amp; ink")
	m := hearsOf[*stanza.Message](bert, r.p.chat.domain)
	require.Equal(t, "New ticket", m.Subject.String())
	require.Equal(t, "#1 Printer <3 & ink (Anna Berg)", m.Body.String())
	r.login("bert").post("/tickets/1/done")
	require.Equal(t, "#1 Printer <3 & ink (Bert Sommer)", hearsOf[*stanza.Message](anna, r.p.chat.domain).Body.String())
	require.Contains(t, site.page(), "done by bert")

	// Bert leaves, which the site knows as soon as his team does.
	require.NoError(t, bert.Close(t.Context()))
	gone := hearsOf[*stanza.Presence](anna, bert.LocalAddr())
	require.Equal(t, stanza.UnavailablePresence, gone.Type)
	require.Contains(t, site.page(), "Bert Sommer: offline")
}

// TestPriority: of several clients the site shows the one that messages go to.
func TestPriority(t *testing.T) {
	r := start(t, table(t))
	one, other := r.connect("bert"), r.connect("bert")
	one.say(&stanza.Presence{Show: stanza.ShowXA, Priority: -1})
	hearsOf[*stanza.Presence](one, one.LocalAddr())
	site := r.login("anna")
	require.Contains(t, site.page(), "Bert Sommer: xa")
	other.say(&stanza.Presence{Show: stanza.ShowDND, Priority: 3})
	hearsOf[*stanza.Presence](one, other.LocalAddr())
	require.Contains(t, site.page(), "Bert Sommer: dnd")
}

// TestNewsWait: who is away hears of a ticket when he comes.
func TestNewsWait(t *testing.T) {
	r := start(t, table(t))
	r.login("anna").post("/tickets", "title", "Printer", "assignee", "bert")
	bert := r.connect("bert")
	bert.available(stanza.ShowOnline)
	m := hearsOf[*stanza.Message](bert, r.p.chat.domain)
	require.Equal(t, "#1 Printer (Anna Berg)", m.Body.String())
	_, late := m.Payload(stream.Name{Space: delay.NS, Local: "delay"})
	require.True(t, late)
}

// TestTeamsApart: to other teams a user is nobody, in chat and at the site.
func TestTeamsApart(t *testing.T) {
	r := start(t, table(t))
	bert, carla := r.connect("bert"), r.connect("carla")
	bert.available(stanza.ShowOnline)
	carla.available(stanza.ShowOnline)
	for _, to := range []string{"bert@tickets.example", bert.LocalAddr().String(), "nobody@tickets.example", "nobody@tickets.example/home"} {
		to, err := jid.Parse(to)
		require.NoError(t, err)
		carla.say(&stanza.Presence{To: to})
		carla.say(&stanza.Presence{To: to, Type: stanza.ProbePresence})
		carla.say(&stanza.Message{To: to, Type: stanza.ChatMessage, Body: stanza.Plain("Pay!")})
		refused := hearsOf[*stanza.Message](carla, to)
		require.ErrorIs(t, refused.Error, stanza.ServiceUnavailable)
		require.Empty(t, refused.Error.Text)
		_, err = carla.Do(t.Context(), &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: new(roster.Query)})
		require.ErrorIs(t, err, stanza.ServiceUnavailable)
	}
	// Bert has heard nothing of all that: what comes first is from his own team.
	anna := r.connect("anna")
	anna.available(stanza.ShowOnline)
	hearsOf[*stanza.Presence](bert, anna.LocalAddr())

	r.login("anna").post("/tickets", "title", "Printer", "assignee", "anna")
	stranger := r.login("carla")
	require.NotContains(t, stranger.page(), "Printer")
	require.NotContains(t, stranger.page(), "Anna")
	for path, fields := range map[string][]string{
		"/tickets/1/done": nil,
		"/tickets/x/done": nil,
		"/tickets":        {"title", "Pay!", "assignee", "anna"},
	} {
		code, _ := stranger.do("POST", path, form(fields...))
		require.Equal(t, http.StatusBadRequest, code, path)
	}
}

// TestContactsAreTheTeam: no client changes that, and nobody notices who tries.
func TestContactsAreTheTeam(t *testing.T) {
	r := start(t, table(t))
	bert, anna := r.connect("bert"), r.connect("anna")
	bert.available(stanza.ShowOnline)
	anna.available(stanza.ShowOnline)
	hearsOf[*stanza.Presence](bert, anna.LocalAddr())
	hearsOf[*stanza.Presence](anna, bert.LocalAddr())

	require.ErrorIs(t, roster.Set(t.Context(), bert, roster.Item{JID: address("carla")}), stanza.NotAllowed)
	require.ErrorIs(t, roster.Set(t.Context(), bert, roster.Item{JID: address("anna"), Name: "Boss"}), stanza.NotAllowed)
	require.ErrorIs(t, roster.Remove(t.Context(), bert, address("anna")), stanza.NotAllowed)
	for _, typ := range []stanza.PresenceType{
		stanza.SubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribePresence, stanza.UnsubscribedPresence,
	} {
		for _, to := range []string{"anna", "carla", "nobody"} {
			bert.say(&stanza.Presence{To: address(to), Type: typ})
			require.ErrorIs(t, hearsOf[*stanza.Presence](bert, address(to)).Error, stanza.NotAllowed)
		}
	}
	anna.say(&stanza.Message{To: anna.LocalAddr(), Body: stanza.Plain("still here?")})
	hearsOf[*stanza.Message](anna, anna.LocalAddr()) // and nothing before it
}

// TestRosterVersions: RFC 6121 §2.6. A client that has the list need not get it
// again, also from a program that was started again.
func TestRosterVersions(t *testing.T) {
	ver := ""
	for i := range 2 {
		r := start(t, table(t))
		bert := r.connect("bert")
		q, err := roster.Get(t.Context(), bert, &roster.Query{Ver: ver, Versioned: true})
		require.NoError(t, err)
		if i == 0 {
			require.Len(t, q.Items, 1)
			ver = q.Ver
			q, err = roster.Get(t.Context(), bert, &roster.Query{Ver: ver, Versioned: true})
			require.NoError(t, err)
		}
		require.Nil(t, q, "nothing has changed")
		q, err = roster.Get(t.Context(), bert, &roster.Query{Ver: "4711", Versioned: true})
		require.NoError(t, err)
		require.Len(t, q.Items, 1, "a version that is none of this list")
	}
}

// TestLogins: the same passwords in both places, and only in the way of SCRAM, with
// which the server does not get to see them.
func TestLogins(t *testing.T) {
	r := start(t, table(t))
	for _, name := range []string{"anna", "carla"} { // one for each form in the table
		r.login(name)
		require.Equal(t, address(name), r.connect(name).LocalAddr().Bare())
		code, _ := r.browse().do("POST", "/login", form("name", name, "password", "secret"))
		require.Equal(t, http.StatusForbidden, code)
		wrong := r.client(name)
		wrong.Password = "secret"
		_, err := wrong.Connect(t.Context())
		require.ErrorIs(t, err, sasl.NotAuthorized)
	}
	plain := r.client("anna")
	plain.Auth = &auth.ClientOptions{Mechanisms: []sasl.Mechanism{sasl.Plain()}, AllowPlain: true}
	_, err := plain.Connect(t.Context())
	require.Error(t, err)

	nobody := r.browse()
	for _, name := range []string{"nobody", "", "a b", "@"} {
		code, _ := nobody.do("POST", "/login", form("name", name, "password", "secret of anna"))
		require.Equal(t, http.StatusForbidden, code, name)
	}
	code, _ := nobody.do("POST", "/tickets", form("title", "x", "assignee", "anna"))
	require.Equal(t, http.StatusForbidden, code)
	require.NotContains(t, nobody.page(), "Tickets of")

	// Nobody else's pages send forms here.
	anna := r.login("anna")
	code, _ = anna.do("POST", "/tickets", form("title", "x", "assignee", "anna"), "Sec-Fetch-Site", "cross-site")
	require.Equal(t, http.StatusForbidden, code)
	require.NotContains(t, anna.post("/logout"), "Tickets of")
	require.NotContains(t, anna.page(), "Tickets of")
}

// TestGuesses: attempts count in both places together.
func TestGuesses(t *testing.T) {
	r := start(t, table(t))
	guess := r.browse()
	for range 5 {
		code, _ := guess.do("POST", "/login", form("name", "anna", "password", "?"))
		require.Equal(t, http.StatusForbidden, code)
	}
	code, _ := guess.do("POST", "/login", form("name", "anna", "password", "secret of anna"))
	require.Equal(t, http.StatusTooManyRequests, code)
	_, err := r.client("anna").Connect(t.Context())
	require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
	r.connect("bert")
}

// TestShutdown: everybody is told, and nothing is left.
func TestShutdown(t *testing.T) {
	r := start(t, table(t))
	anna, bert := r.connect("anna"), r.connect("bert")
	anna.available(stanza.ShowOnline)
	require.NoError(t, r.stop())
	for _, p := range []*person{anna, bert} {
		<-p.Done()
		require.ErrorIs(t, p.Err(), stream.SystemShutdown)
	}
	_, err := r.client("anna").Connect(t.Context())
	require.Error(t, err)
}

// TestNeitherAlone: if one of the two ways in fails, the program ends and says why.
func TestNeitherAlone(t *testing.T) {
	for name, fail := range map[string]func(*running){
		"chat": func(r *running) { r.p.xmpp.Close() },
		"site": func(r *running) { r.p.web.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, table(t))
			anna := r.connect("anna")
			fail(r)
			select {
			case <-anna.Done():
			case <-time.After(20 * time.Second):
				require.Fail(t, "the session goes on")
			}
			require.Error(t, r.stop())
		})
	}
}

// TestStoreRefuses: the roster is what the table says, whoever asks.
func TestStoreRefuses(t *testing.T) {
	u := table(t)
	store := rosters{u, address("x").DomainJID()}
	ctx := context.Background()
	_, err := store.Put(ctx, address("anna"), roster.Item{JID: address("carla")})
	require.ErrorIs(t, err, stanza.NotAllowed)
	_, err = store.Remove(ctx, address("anna"), address("bert"))
	require.ErrorIs(t, err, stanza.NotAllowed)
	require.NoError(t, store.Delete(ctx, address("anna")))
	nobody, err := store.Roster(ctx, address("nobody"))
	require.NoError(t, err)
	require.Zero(t, nobody)
	one, err := store.Roster(ctx, address("anna"))
	require.NoError(t, err)
	other, err := store.Roster(ctx, address("bert"))
	require.NoError(t, err)
	require.NotEqual(t, one.Version, other.Version)
	require.LessOrEqual(t, one.Version, uint64(1)<<53)
}
