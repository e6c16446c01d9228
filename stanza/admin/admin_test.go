package admin_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/command"
	"stanzakit.dev/xmpp/stanza/disco"
)

var _ disco.NodeFinder = (*admin.Module)(nil)

// nodes are all commands.
var nodes = []string{
	"add-user", "delete-user", "disable-user", "reenable-user", "end-user-session", "change-user-password", "user-stats",
	"get-registered-users-num", "get-disabled-users-num", "get-online-users-num",
	"get-registered-users-list", "get-disabled-users-list", "get-online-users-list", "announce",
}

// XEP-0133 §6: nobody but administrators, at every step; and nobody by default.
func TestOnlyAdministrators(t *testing.T) {
	b := start(t, new(admin.Module))
	const forbidden = "<error type='auth'><forbidden "
	for _, node := range nodes {
		ask := `<iq id='1' ` + to + `><command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#` + node + `'/></iq>`
		require.Contains(t, b.ask("iago@shakespeare.lit/venice", ask), forbidden, node)
		require.Contains(t, b.ask("bard@globe.lit/globe", ask), forbidden, node)
		require.NotContains(t, b.ask("bard@shakespeare.lit/elsewhere", ask), "<error", node)
	}
	// A session of an administrator is nobody else's.
	begun := b.execute("add-user")
	id := sessionID.FindStringSubmatch(begun)[1]
	require.Contains(t, b.ask("iago@shakespeare.lit/venice", `<iq id='1' `+to+`><command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#add-user' sessionid='`+id+`'/></iq>`), forbidden)
	// What was retracted, and what is too much, is not there.
	for _, node := range []string{"get-user-password", "shutdown", "restart"} {
		require.Contains(t, b.execute(node), "<item-not-found", node)
	}

	b = start(t, &admin.Module{Admins: []jid.JID{}})
	require.Contains(t, b.execute("get-online-users-num"), forbidden)

	// Somebody who is no administrator any more, in the middle of a command.
	admins := map[jid.JID]bool{bard: true}
	b = start(t, &admin.Module{Admins: []jid.JID{}, IsAdmin: func(j jid.JID) bool { return admins[j] }})
	begun = b.execute("delete-user")
	clear(admins)
	require.Contains(t, b.submit("delete-user", begun, field("accountjids", "juliet@shakespeare.lit")), forbidden)
	require.Empty(t, b.noted())
}

// XEP-0133 §4.1, examples 1 to 4.
func TestAddUser(t *testing.T) {
	b := start(t, new(admin.Module))
	begun := b.execute("add-user")
	require.Contains(t, begun, `status='executing'><x xmlns='jabber:x:data' type='form'><title>Adding a User</title><instructions>Fill out this form to add a user.</instructions>`+
		`<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/admin</value></field>`+
		`<field var='accountjid' type='jid-single' label='The Jabber ID for the account to be added'><required/></field>`+
		`<field var='password' type='text-private' label='The password for this account'><required/></field>`+
		`<field var='password-verify' type='text-private' label='Retype password'><required/></field></x></command></iq>`)
	reply := b.submit("add-user", begun, field("accountjid", "Prospero@globe.lit"), field("password", "V3r0n4"), field("password-verify", "V3r0n4"),
		field("email", "juliet@capulet.com"), field("given_name", "Juliet"), field("surname", "Capulet"))
	require.True(t, completed(reply), reply)
	require.NotContains(t, reply, "V3r0n4")
	require.Equal(t, account{password: "V3r0n4"}, b.rows[jid.MustParse("prospero@globe.lit")])

	for name, tt := range map[string]struct {
		who, password, again string
		err                  error
		want                 string
	}{
		"§5: conflict":        {"juliet@shakespeare.lit", "x", "x", nil, "<conflict"},
		"a session":           {"will@shakespeare.lit/x", "x", "x", nil, "<not-acceptable"},
		"a domain":            {"shakespeare.lit", "x", "x", nil, "<not-acceptable"},
		"elsewhere":           {"will@verona.lit", "x", "x", nil, "<not-acceptable"},
		"no address":          {"", "x", "x", nil, "<bad-request"},
		"no password":         {"will@shakespeare.lit", "", "", nil, "<bad-request"},
		"two passwords":       {"will@shakespeare.lit", "x", "y", nil, "<not-acceptable"},
		"a long password":     {"will@shakespeare.lit", strings.Repeat("x", 4097), "y", nil, "<not-acceptable"},
		"an unfit password":   {"will@shakespeare.lit", "x", "x", admin.ErrPassword, "<not-acceptable"},
		"the table is closed": {"will@shakespeare.lit", "x", "x", errors.New("database is down"), "<internal-server-error"},
		"with a condition":    {"will@shakespeare.lit", "x", "x", stanza.NotAllowed, "<not-allowed"},
	} {
		b.err = tt.err
		reply := b.run("add-user", field("accountjid", tt.who), field("password", tt.password), field("password-verify", tt.again))
		require.Contains(t, reply, tt.want, name)
		require.NotContains(t, reply, "database", name)
		require.Len(t, b.rows, 4)
	}
}

// XEP-0133 §4.2, examples 5 to 8: nothing of an account is left.
func TestDeleteUser(t *testing.T) {
	b := start(t, new(admin.Module))
	b.connect("juliet@shakespeare.lit/balcony")
	require.True(t, completed(b.run("delete-user", field("accountjids", "juliet@shakespeare.lit", "iago@shakespeare.lit"))))
	require.Equal(t, []string{
		"disable juliet", "end juliet@shakespeare.lit/balcony not-authorized", "forget juliet", "delete juliet", "forget juliet",
		"disable iago", "forget iago", "delete iago", "forget iago",
	}, b.noted())

	b = start(t, new(admin.Module))
	b.forget = errors.New("database is down")
	reply := b.run("delete-user", field("accountjids", "juliet@shakespeare.lit"))
	require.Contains(t, reply, "<internal-server-error")
	require.Contains(t, reply, `failed at "juliet@shakespeare.lit", after 0 of 1`)
	require.NotContains(t, reply, "database")
	require.NotContains(t, b.noted(), "delete juliet")
}

// XEP-0133 §4.3 and §4.4, examples 9 to 16.
func TestDisableUser(t *testing.T) {
	b := start(t, new(admin.Module))
	b.connect("juliet@shakespeare.lit/balcony", "juliet@shakespeare.lit/chamber", "iago@shakespeare.lit/venice")
	require.True(t, completed(b.run("disable-user", field("accountjids", "juliet@shakespeare.lit"))))
	log := b.noted()
	require.Len(t, log, 3)
	require.Equal(t, "disable juliet", log[0])
	require.ElementsMatch(t, []string{"end juliet@shakespeare.lit/balcony not-authorized", "end juliet@shakespeare.lit/chamber not-authorized"}, log[1:])
	// Nothing else is lost.
	require.Equal(t, account{"R0m30", true}, b.rows[juliet])
	require.Contains(t, b.execute("get-disabled-users-num"), "<field var='disabledusersnum' type='text-single' label='The number of disabled users'><value>1</value></field>")
	require.Contains(t, b.run("get-disabled-users-list"), "<value>juliet@shakespeare.lit</value></field></x>")

	require.True(t, completed(b.run("reenable-user", field("accountjids", "juliet@shakespeare.lit"))))
	require.Equal(t, account{"R0m30", false}, b.rows[juliet])
	require.Contains(t, b.execute("get-disabled-users-num"), "<value>0</value>")
}

// A login that was under way when the account was disabled comes too late.
func TestDisabledMeanwhile(t *testing.T) {
	m := new(admin.Module)
	b := start(t, m)
	var _ stanza.SessionWatcher = m
	require.True(t, completed(b.run("disable-user", field("accountjids", "juliet@shakespeare.lit"))))
	b.noted()
	b.connect("juliet@shakespeare.lit/balcony", "iago@shakespeare.lit/venice", "juliet@shakespeare.lit/chamber")
	for _, r := range b.Resources(jid.JID{})[:2] {
		m.SessionUp(t.Context(), r)
		m.SessionGone(t.Context(), r)
	}
	require.Equal(t, []string{"end juliet@shakespeare.lit/balcony not-authorized"}, b.noted())
	b.err = errors.New("database is down")
	m.SessionUp(t.Context(), b.Resources(juliet)[0])
	require.Empty(t, b.noted())
}

// Commands about several accounts do nothing if one of them is not there.
func TestSeveralAccounts(t *testing.T) {
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf("user%d@shakespeare.lit", i)
	}
	for _, node := range []string{"delete-user", "disable-user", "reenable-user", "end-user-session"} {
		for name, tt := range map[string]struct {
			who  []string
			want string
		}{
			"one is not there":  {[]string{"juliet@shakespeare.lit", "nobody@shakespeare.lit"}, "<item-not-found"},
			"one is elsewhere":  {[]string{"juliet@shakespeare.lit", "juliet@verona.lit"}, "<not-acceptable"},
			"one is a server":   {[]string{"juliet@shakespeare.lit", "shakespeare.lit"}, "<not-acceptable"},
			"one is none":       {[]string{"juliet@shakespeare.lit", "@"}, "<bad-request"},
			"none":              {[]string{""}, "<bad-request"},
			"too many":          {many, "<not-acceptable"},
			"one is a resource": {[]string{"juliet@shakespeare.lit", "iago@shakespeare.lit/venice"}, "<not-acceptable"},
			"one is oneself":    {[]string{"juliet@shakespeare.lit", "bard@shakespeare.lit"}, "<not-allowed"},
		} {
			b := start(t, new(admin.Module))
			reply := b.run(node, field("accountjids", tt.who...))
			switch {
			case node == "end-user-session" && strings.HasPrefix(name, "one is a r"),
				strings.HasPrefix(name, "one is ones") && (node == "end-user-session" || node == "reenable-user"):
				require.True(t, completed(reply), reply)
				continue
			}
			require.Contains(t, reply, tt.want, "%s: %s", node, name)
			require.Empty(t, b.noted(), "%s: %s", node, name)
		}
		b := start(t, new(admin.Module))
		b.err = errors.New("database is down")
		require.Contains(t, b.run(node, field("accountjids", "juliet@shakespeare.lit")), "<internal-server-error", node)
	}
}

// What goes wrong in the middle says how far it came.
func TestInTheMiddle(t *testing.T) {
	b := start(t, &admin.Module{Accounts: &table{rows: map[jid.JID]account{juliet: {}}}})
	reply := b.run("disable-user", field("accountjids", "juliet@shakespeare.lit", "iago@shakespeare.lit"))
	require.Contains(t, reply, "<item-not-found")
	require.Contains(t, reply, `failed at "iago@shakespeare.lit", after 1 of 2`)
}

// XEP-0133 §4.5, examples 17 to 20.
func TestEndSession(t *testing.T) {
	b := start(t, new(admin.Module))
	b.connect("juliet@shakespeare.lit/balcony", "juliet@shakespeare.lit/chamber", "iago@shakespeare.lit/venice", "iago@shakespeare.lit/cyprus")
	require.True(t, completed(b.run("end-user-session", field("accountjids", "juliet@shakespeare.lit", "iago@shakespeare.lit/cyprus"))))
	require.ElementsMatch(t, []string{
		"end juliet@shakespeare.lit/balcony reset", "end juliet@shakespeare.lit/chamber reset", "end iago@shakespeare.lit/cyprus reset",
	}, b.noted())
	require.Len(t, b.resources, 1)
	require.True(t, completed(b.run("end-user-session", field("accountjids", "iago@shakespeare.lit/cyprus"))))
	require.Len(t, b.resources, 1)
}

// XEP-0133 §4.7, examples 21 to 24.
func TestChangePassword(t *testing.T) {
	for keep, want := range map[bool][]string{true: {"password juliet"}, false: {"password juliet", "end juliet@shakespeare.lit/balcony reset"}} {
		b := start(t, &admin.Module{KeepSessions: keep})
		b.connect("juliet@shakespeare.lit/balcony")
		reply := b.run("change-user-password", field("accountjid", "juliet@shakespeare.lit"), field("password", "V3r0n4"))
		require.True(t, completed(reply), reply)
		require.Equal(t, "V3r0n4", b.rows[juliet].password)
		require.Equal(t, want, b.noted())
	}
	b := start(t, new(admin.Module))
	b.connect("bard@shakespeare.lit/globe", "bard@shakespeare.lit/rose")
	require.True(t, completed(b.run("change-user-password", field("accountjid", "bard@shakespeare.lit"), field("password", "x"))))
	require.Equal(t, []string{"password bard", "end bard@shakespeare.lit/rose reset"}, b.noted())

	for who, want := range map[string]string{
		"nobody@shakespeare.lit": "<item-not-found", "juliet@verona.lit": "<not-acceptable", "juliet@shakespeare.lit/balcony": "<not-acceptable",
	} {
		require.Contains(t, b.run("change-user-password", field("accountjid", who), field("password", "x")), want)
	}
	require.Contains(t, b.run("change-user-password", field("accountjid", "juliet@shakespeare.lit"), field("password", strings.Repeat("x", 4097))), "<not-acceptable")
	b = start(t, &admin.Module{Accounts: &table{err: admin.ErrPassword}})
	require.Contains(t, b.run("change-user-password", field("accountjid", "juliet@shakespeare.lit"), field("password", "x")), "<not-acceptable")
}

// XEP-0133 §4.10, examples 33 to 36: no addresses of the network.
func TestStatistics(t *testing.T) {
	b := start(t, new(admin.Module))
	b.connect("iago@shakespeare.lit/work", "iago@shakespeare.lit/home")
	reply := b.run("user-stats", field("accountjid", "iago@shakespeare.lit"))
	require.Contains(t, reply, `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/admin</value></field>`+
		`<field var='onlineresources' type='text-multi' label='Online resources'><value>work</value><value>home</value></field></x>`)
	require.NotContains(t, reply, "ipaddresses")
	require.Contains(t, b.run("user-stats", field("accountjid", "nobody@shakespeare.lit")), "<item-not-found")
	require.Contains(t, b.run("user-stats", field("accountjid", "iago@verona.lit")), "<not-acceptable")

	var mux stanza.Mux
	m := &admin.Module{Accounts: b.table, Admins: []jid.JID{bard.Bare()}}
	sized := &rosters{b.host, nil}
	require.NoError(t, m.Attach(sized))
	require.NoError(t, stanza.Install(&mux, m))
	c := &bench{t: t, host: b.host}
	require.NoError(t, stanza.Install(&c.mux, m))
	require.Contains(t, c.run("user-stats", field("accountjid", "iago@shakespeare.lit")), "<field var='rostersize' type='text-single' label='Number of roster items'><value>123</value></field>")
	sized.err = errors.New("database is down")
	require.Contains(t, c.run("user-stats", field("accountjid", "iago@shakespeare.lit")), "<internal-server-error")
}

// XEP-0133 §4.13 and §4.15, examples 45, 46, 49 and 50.
func TestNumbers(t *testing.T) {
	b := start(t, new(admin.Module))
	b.connect("juliet@shakespeare.lit/balcony", "juliet@shakespeare.lit/chamber", "iago@shakespeare.lit/venice")
	b.resources[0].there = false
	reply := b.execute("get-registered-users-num")
	require.Contains(t, reply, "status='completed'")
	require.Contains(t, reply, `<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/admin</value></field>`+
		`<field var='registeredusersnum' type='text-single' label='The number of registered users'><value>3</value></field></x>`)
	require.Contains(t, b.execute("get-online-users-num"), "<field var='onlineusersnum' type='text-single' label='The number of online users'><value>2</value></field>")
	b.err = errors.New("database is down")
	require.Contains(t, b.execute("get-registered-users-num"), "<internal-server-error")
}

// XEP-0133 §4.18 to §4.20, examples 55 to 66: lists, and how to go on in them.
func TestLists(t *testing.T) {
	b := start(t, new(admin.Module))
	b.rows = make(map[jid.JID]account)
	for i := range 1100 {
		b.rows[jid.MustParse(fmt.Sprintf("user%04d@shakespeare.lit", i))] = account{disabled: true}
		b.connect(fmt.Sprintf("user%04d@shakespeare.lit/a", i), fmt.Sprintf("user%04d@shakespeare.lit/b", i))
	}
	require.Contains(t, b.execute("get-registered-users-list"), `<field var='max_items' type='list-single' label='Maximum number of items to show'>`+
		`<option label='25'><value>25</value></option><option label='50'><value>50</value></option><option label='75'><value>75</value></option>`+
		`<option label='100'><value>100</value></option><option label='150'><value>150</value></option><option label='200'><value>200</value></option>`+
		`<option label='None'><value>none</value></option></field>`)
	require.Contains(t, b.execute("get-disabled-users-num"), "<value>1100</value>")
	for node, list := range map[string]string{
		"get-registered-users-list": "registereduserjids", "get-disabled-users-list": "disableduserjids", "get-online-users-list": "onlineuserjids",
	} {
		for name, tt := range map[string]struct {
			fields      []string
			first, last int
		}{
			"as it comes":         {nil, 0, 199},
			"25":                  {[]string{field("max_items", "25")}, 0, 24},
			"as many as possible": {[]string{field("max_items", "none")}, 0, 999},
			"from there on":       {[]string{field("max_items", "50"), field("x-after", "user0024@shakespeare.lit")}, 25, 74},
			"to the end":          {[]string{field("max_items", "none"), field("x-after", "user0999@shakespeare.lit")}, 1000, 1099},
			"behind the end":      {[]string{field("x-after", "user1099@shakespeare.lit")}, 1100, 1099},
		} {
			reply := b.run(node, tt.fields...)
			require.Contains(t, reply, "<field var='"+list+"' type='jid-multi'", "%s: %s", node, name)
			want := ""
			for i := tt.first; i <= tt.last; i++ {
				want += fmt.Sprintf("<value>user%04d@shakespeare.lit</value>", i)
			}
			if want != "" {
				want += "</field></x>"
			}
			require.Contains(t, reply, want, "%s: %s", node, name)
			require.Equal(t, tt.last-tt.first+2, strings.Count(reply, "<value>"), "%s: %s", node, name)
		}
		// The value of max_items may be unacceptable.
		for _, n := range []string{"0", "-1", "10000000", "x"} {
			require.Contains(t, b.run(node, field("max_items", n)), "<bad-payload", n)
		}
		require.Contains(t, b.run(node, field("x-after", "@")), "<bad-payload")
	}
	b.err = errors.New("database is down")
	for _, node := range []string{"get-registered-users-list", "get-disabled-users-list"} {
		require.Contains(t, b.run(node), "<internal-server-error")
	}
	require.Contains(t, b.execute("get-disabled-users-num"), "<internal-server-error")
}

// XEP-0133 §4.23, examples 75 to 78: to those who are there, and nobody else.
func TestAnnounce(t *testing.T) {
	b := start(t, new(admin.Module))
	b.connect("juliet@shakespeare.lit/balcony", "iago@globe.lit/venice", "juliet@shakespeare.lit/chamber")
	b.resources[2].there = false
	require.True(t, completed(b.run("announce", field("announcement", "Attention! This service will be going down for",
		"maintenance in 2 minutes. Please log off now!", "We apologize for the inconvenience."))))
	const text = "<body>Attention! This service will be going down for\nmaintenance in 2 minutes. Please log off now!\nWe apologize for the inconvenience.</body></message>"
	require.Equal(t, []string{
		"<message from='shakespeare.lit' to='juliet@shakespeare.lit/balcony' type='headline'>" + text,
		"<message from='globe.lit' to='iago@globe.lit/venice' type='headline'>" + text,
	}, b.noted())
	require.Contains(t, b.run("announce", field("announcement", "")), "<bad-payload")
	require.Contains(t, b.run("announce", field("announcement", strings.Repeat("x", 16<<10+1))), "<not-acceptable")
	require.Empty(t, b.noted())
}

// XEP-0133 §3: commands are announced to those who may use them.
func TestDiscovery(t *testing.T) {
	m := &admin.Module{More: []command.Command{{Node: "weather", Name: "Weather", Allowed: command.Anybody, Run: nothing}}}
	b := start(t, m)
	require.Contains(t, b.ask("iago@shakespeare.lit/venice", `<iq id='1' `+to+`><command xmlns='http://jabber.org/protocol/commands' node='weather'/></iq>`), "status='completed'")
	items := func(from jid.JID) (out []string) {
		iq := &stanza.IQ{From: from, To: jid.MustParse("shakespeare.lit"), Type: stanza.GetIQ, ID: "1"}
		n, err := m.FindNode(t.Context(), iq, command.NS)
		require.NoError(t, err)
		list, err := n.Items(t.Context(), iq)
		require.NoError(t, err)
		for _, item := range list {
			out = append(out, strings.TrimPrefix(item.Node, "http://jabber.org/protocol/admin#"))
		}
		return out
	}
	require.Equal(t, append(append([]string(nil), nodes...), "weather"), items(bard))
	require.Equal(t, []string{"weather"}, items(iago))
	require.Equal(t, []string{command.NS}, m.Features())
	require.Equal(t, "admin", m.Name())
}

// The bounds, at the bound.
func TestBounds(t *testing.T) {
	b := start(t, new(admin.Module))
	long := strings.Repeat("x", 4096)
	require.True(t, completed(b.run("add-user", field("accountjid", "will@globe.lit"), field("password", long), field("password-verify", long))))
	require.True(t, completed(b.run("announce", field("announcement", strings.Repeat("x", 16<<10)))))
	many := make([]string, 100)
	for i := range many {
		j := jid.MustParse(fmt.Sprintf("user%d@shakespeare.lit", i))
		b.rows[j], many[i] = account{}, j.String()
	}
	require.True(t, completed(b.run("disable-user", field("accountjids", many...))))
	require.Len(t, b.noted(), 100)
	require.Contains(t, b.execute("get-disabled-users-num"), "<value>100</value>")
}

// What fails is not taken for done.
func TestFailures(t *testing.T) {
	b := start(t, &admin.Module{Accounts: deaf{&table{rows: map[jid.JID]account{juliet: {}}}}})
	require.Contains(t, b.run("reenable-user", field("accountjids", "juliet@shakespeare.lit")), "<internal-server-error")
	require.Contains(t, b.execute("get-disabled-users-num"), "<internal-server-error")
	require.Contains(t, b.run("get-disabled-users-list"), "<internal-server-error")
	require.Contains(t, b.run("delete-user", field("accountjids", "nobody@shakespeare.lit")), `there is no account "nobody@shakespeare.lit"`)
}

// What a Module cannot work with.
func TestOptions(t *testing.T) {
	h := &host{table: new(table)}
	require.ErrorIs(t, new(admin.Module).Attach(h), admin.ErrOptions)
	require.ErrorIs(t, (&admin.Module{Accounts: h.table}).Attach(onlyHost{}), admin.ErrOptions)
	require.ErrorIs(t, (&admin.Module{Accounts: h.table}).Register(new(stanza.Mux)), admin.ErrOptions)
	for _, bad := range []jid.JID{{}, bard, jid.MustParse("shakespeare.lit")} {
		require.ErrorIs(t, (&admin.Module{Accounts: h.table, Admins: []jid.JID{bad}}).Attach(h), admin.ErrOptions)
	}
	m := &admin.Module{Accounts: h.table, More: []command.Command{{Node: "nothing"}}}
	require.NoError(t, m.Attach(h))
	require.ErrorIs(t, m.Register(new(stanza.Mux)), command.ErrCommands)
}
