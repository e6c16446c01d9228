package register_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

const (
	asks = `<iq type='get' id='reg1' to='shakespeare.lit'><query xmlns='jabber:iq:register'/></iq>`
	made = `<iq id='reg2' type='result'/>`
)

// fills is the request of XEP-0077 example 4 with these names and passwords.
func fills(username, password string) string {
	return `<iq type='set' id='reg2'><query xmlns='jabber:iq:register'><username>` + username +
		`</username><password>` + password + `</password></query></iq>`
}

// refuses is a reply with an error.
func refuses(id, typ string, c stanza.Condition, text string) string {
	if text != "" {
		text = "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>" + text + "</text>"
	}
	return fmt.Sprintf("<iq id='%s' type='error'><error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>%s</error></iq>", id, typ, c, text)
}

// XEP-0077 §3.1, examples 1, 2, 4 and 5: the fields, and a form for those who
// understand it (§4, §6).
func TestNewAccount(t *testing.T) {
	m := new(register.Module)
	_, accounts := attached(t, m)
	c := stranger(t, m, protected(), nil)
	require.Equal(t, `<iq id='reg1' from='shakespeare.lit' type='result'><query xmlns='jabber:iq:register'>`+
		`<instructions>Choose a user name and a password.</instructions><username/><password/>`+
		`<x xmlns='jabber:x:data' type='form'><title>Registration</title><instructions>Choose a user name and a password.</instructions>`+
		`<field var='FORM_TYPE' type='hidden'><value>jabber:iq:register</value></field>`+
		`<field var='username' type='text-single' label='User name'><required/></field>`+
		`<field var='password' type='text-private' label='Password'><required/></field></x></query></iq>`, c.ask(asks))
	require.Equal(t, made, c.ask(fills("Bill", "Calliope")))
	require.Equal(t, "Calliope", accounts.password(bill))

	// Whoever the client says that it is, it is nobody yet.
	require.True(t, strings.HasPrefix(c.ask(strings.Replace(asks, " to=", " from='will@shakespeare.lit' to=", 1)), "<iq id='reg1' from='shakespeare.lit' type='result'>"))

	// §3.1.1: no second identity; and the stream goes on to authentication.
	require.Equal(t, refuses("reg2", "modify", stanza.NotAcceptable, "this stream has an account already"), c.ask(fills("will", "x")))
	c.send(`<trust xmlns='urn:example:trust'/>`)
	c.expect("<trust xmlns='urn:example:trust'/>")
	r := <-c.done
	require.NoError(t, r.err)
	require.Equal(t, bill, r.session.RemoteAddr())
}

// XEP-0077 §3.1, examples 6 and 7, and whatever else is refused.
func TestNewAccountRefused(t *testing.T) {
	submit := func(fields string) string {
		return `<iq type='set' id='reg2'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>` + fields + `</x></query></iq>`
	}
	unreachable := errors.New("database is down")
	for name, tt := range map[string]struct {
		m    *register.Module
		ask  string
		want string
	}{
		"example 6: conflict": {ask: fills("will", "m1cro$oft"), want: refuses("reg2", "cancel", stanza.Conflict, "the name is taken")},
		"the same name":       {ask: fills("WILL", "m1cro$oft"), want: refuses("reg2", "cancel", stanza.Conflict, "the name is taken")},
		"example 7: something is missing": {
			m: &register.Module{Fields: []register.Field{register.Email}}, ask: fills("bill", "Calliope"),
			want: refuses("reg2", "modify", stanza.NotAcceptable, "the email is missing"),
		},
		"§3.1 note: an empty password":  {ask: fills("bill", ""), want: refuses("reg2", "modify", stanza.NotAcceptable, "the password is missing")},
		"no name":                       {ask: fills("", "x"), want: refuses("reg2", "modify", stanza.NotAcceptable, "the username is missing")},
		"a name that is none":           {ask: fills("bill@globe", "x"), want: refuses("reg2", "modify", stanza.NotAcceptable, "the user name cannot be used")},
		"a name that is long":           {ask: fills(strings.Repeat("b", 1024), "x"), want: refuses("reg2", "modify", stanza.NotAcceptable, "the user name cannot be used")},
		"a password that is none":       {ask: fills("bill", "&#x7f;"), want: made},
		"a password too long":           {ask: fills("bill", strings.Repeat("x", 4097)), want: refuses("reg2", "modify", stanza.BadRequest, "register: &lt;password/&gt; is too long")},
		"§3.2: nothing to cancel":       {ask: `<iq type='set' id='reg2'><query xmlns='jabber:iq:register'><remove/></query></iq>`, want: refuses("reg2", "wait", stanza.UnexpectedRequest, "")},
		"somebody else's registration":  {ask: strings.Replace(fills("bill", "x"), "id=", "to='globe.lit' id=", 1), want: `<iq id='reg2' from='globe.lit'` + refuses("reg2", "cancel", stanza.ServiceUnavailable, "")[len("<iq id='reg2'"):]},
		"§5: elsewhere":                 {m: &register.Module{URL: "https://shakespeare.lit/"}, ask: fills("bill", "x"), want: refuses("reg2", "cancel", stanza.NotAllowed, "registration is elsewhere")},
		"a form for something else":     {ask: submit(`<field var='FORM_TYPE' type='hidden'><value>jabber:iq:register:cancel</value></field>`), want: refuses("reg2", "modify", stanza.BadRequest, "register: a form for something else")},
		"a field of a form is too long": {ask: submit(`<field var='username'><value>` + strings.Repeat("b", 4097) + `</value></field>`), want: refuses("reg2", "modify", stanza.BadRequest, "register: username is too long")},
		"a form that is not filled in":  {ask: strings.Replace(submit(""), "'submit'", "'cancel'", 1), want: refuses("reg2", "modify", stanza.BadRequest, "register: a form that is not filled in")},
		"§6: the form counts":           {ask: strings.Replace(fills("bill", "x"), "</query>", "<x xmlns='jabber:x:data' type='submit'/></query>", 1), want: refuses("reg2", "modify", stanza.NotAcceptable, "the username is missing")},
		"no id":                         {ask: strings.Replace(fills("bill", "x"), "id='reg2'", "", 1), want: refuses("", "modify", stanza.BadRequest, "iq without id")},
		"two payloads":                  {ask: strings.Replace(fills("bill", "x"), "</iq>", "<x xmlns='x'/></iq>", 1), want: refuses("reg2", "modify", stanza.BadRequest, "iq request without exactly one child")},
		"the policy, with a condition":  {m: &register.Module{Allow: func(context.Context, register.Applicant) error { return stanza.Forbidden }}, ask: fills("bill", "x"), want: refuses("reg2", "auth", stanza.Forbidden, "")},
		"the policy, without":           {m: &register.Module{Allow: func(context.Context, register.Applicant) error { return unreachable }}, ask: fills("bill", "x"), want: refuses("reg2", "cancel", stanza.InternalServerError, "")},
		"the accounts are out of order": {m: &register.Module{Accounts: &table{err: unreachable}}, ask: fills("bill", "x"), want: refuses("reg2", "cancel", stanza.InternalServerError, "")},
		"the accounts dislike it":       {m: &register.Module{Accounts: &table{err: register.ErrPassword}}, ask: fills("bill", "x"), want: refuses("reg2", "modify", stanza.NotAcceptable, "the password cannot be used")},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.m == nil {
				tt.m = new(register.Module)
			}
			_, accounts := attached(t, tt.m)
			accounts.passwords[jid.MustParse("will@shakespeare.lit")] = "quill"
			got := stranger(t, tt.m, protected(), nil).ask(tt.ask)
			require.Equal(t, tt.want, got)
			if tt.want != made {
				require.Empty(t, accounts.noted())
			}
		})
	}
}

// XEP-0077 §3.1, example 10: a form, and what the policy gets to see of it.
func TestNewAccountByForm(t *testing.T) {
	var seen register.Applicant
	m := &register.Module{
		Fields:  []register.Field{register.Email, register.First, register.Username},
		Address: func(context.Context) netip.Addr { return netip.MustParseAddr("::ffff:192.0.2.1") },
		Allow:   func(_ context.Context, who register.Applicant) error { seen = who; return nil },
	}
	_, accounts := attached(t, m)
	c := stranger(t, m, protected(), nil)
	asked := c.ask(asks)
	require.Contains(t, asked, "<username/><password/><first/><email/><x ")
	require.Contains(t, asked, "<field var='email' type='text-single' label='Email address'><required/></field>")
	require.Equal(t, made, c.ask(strings.ReplaceAll(`<iq type='set' id='reg2'><query xmlns='jabber:iq:register'>
    <x xmlns='jabber:x:data' type='submit'>
      <field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>
      <field type='text-single' var='username'><value>BILL</value></field>
      <field type='text-private' var='password'><value>Calliope</value></field>
      <field type='text-single' var='first'><value>William</value></field>
      <field type='text-single' var='email'><value>bard@shakespeare.lit</value></field>
      <field type='list-single' var='x-gender'><value>M</value></field>
    </x></query></iq>`, "\n", "")))
	require.Equal(t, "Calliope", accounts.password(bill))
	require.Equal(t, register.Applicant{
		Account: bill, Address: netip.MustParseAddr("192.0.2.1"),
		Fields: register.Values{"username": "bill", "password": "Calliope", "first": "William", "email": "bard@shakespeare.lit"},
	}, seen)
	// Nothing that is printed shows a password.
	require.Equal(t, "register.Applicant{bill@shakespeare.lit register.Values{username password first email}}", fmt.Sprintf("%+v", seen))
}

// XEP-0077 §5, example 25.
func TestElsewhere(t *testing.T) {
	m := &register.Module{URL: "http://www.shakespeare.lit/contests.php", NoChange: true, NoCancel: true}
	require.NoError(t, m.Attach(&host{accounts: new(table)}))
	require.Equal(t, `<iq id='reg1' from='shakespeare.lit' type='result'><query xmlns='jabber:iq:register'>`+
		`<instructions>To register, visit http://www.shakespeare.lit/contests.php</instructions>`+
		`<x xmlns='jabber:x:oob'><url>http://www.shakespeare.lit/contests.php</url></x></query></iq>`,
		stranger(t, m, protected(), nil).ask(asks))
}

// XEP-0077 §11: not without TLS, unless somebody insists; §8, example 26.
func TestWithoutTLS(t *testing.T) {
	synctest.Test(t, testWithoutTLS) // the end of a stream takes its time
}

func testWithoutTLS(t *testing.T) {
	open := func(m *register.Module, sec *stream.Security) (*script, bool) {
		var offered bool
		c := stranger(t, m, sec, &stream.Trace{FeaturesSent: func(names []stream.Name) {
			for _, n := range names {
				offered = offered || n == stream.Name{Space: register.NSFeature, Local: "register"}
			}
		}})
		return c, offered
	}
	m := new(register.Module)
	_, accounts := attached(t, m)
	c, offered := open(m, nil)
	require.False(t, offered)
	c.send(fills("bill", "Calliope"))
	require.Contains(t, c.expect("</stream:stream>"), "<not-authorized")
	require.Error(t, (<-c.done).err)
	require.Empty(t, accounts.noted())

	_, offered = open(m, protected())
	require.True(t, offered)

	m = &register.Module{InsecureWithoutTLS: true}
	attached(t, m)
	c, offered = open(m, nil)
	require.True(t, offered)
	require.Equal(t, made, c.ask(fills("bill", "Calliope")))

	_, offered = open(&register.Module{NoNew: true, InsecureWithoutTLS: true}, nil)
	require.False(t, offered)

	// §8: not to servers.
	f := new(register.Module).StreamFeatures()[1]
	el := parse(t, asks)
	require.True(t, f.Claims(el))
	for _, other := range []string{
		`<iq type='result' id='reg1'><query xmlns='jabber:iq:register'/></iq>`,
		`<iq id='reg1'><query xmlns='jabber:iq:register'/></iq>`,
		`<iq type='get' id='reg1'><query xmlns='jabber:iq:roster'/></iq>`,
		`<message><query xmlns='jabber:iq:register'/></message>`,
	} {
		require.False(t, f.Claims(parse(t, other)), other)
	}
	server, err := stream.ParseElement([]byte(strings.Replace(asks, "<iq", "<iq xmlns='jabber:server'", 1)), nil)
	require.NoError(t, err)
	require.False(t, f.Claims(server))
}

// Passwords do not get into traces.
func TestTraceHidesPasswords(t *testing.T) {
	m := new(register.Module)
	attached(t, m)
	var seen strings.Builder
	c := stranger(t, m, protected(), &stream.Trace{XMLReceived: func(b []byte) { seen.Write(b) }})
	require.Equal(t, made, c.ask(fills("bill", "Calliope")))
	require.Contains(t, seen.String(), "redacted")
	require.NotContains(t, seen.String(), "Calliope")
}

// A stream that asks too often is closed (XEP-0077 §3.1.1).
func TestPerStream(t *testing.T) {
	synctest.Test(t, testPerStream)
}

func testPerStream(t *testing.T) {
	for limit, want := range map[int]int{0: 10, 3: 3, 20: 20} {
		m := &register.Module{PerStream: limit}
		attached(t, m)
		c := stranger(t, m, protected(), nil)
		for i := range want {
			ask := asks
			if i%2 == 1 {
				ask = fills("", "x")
			}
			require.True(t, strings.HasPrefix(c.ask(ask), "<iq "), "request %d", i)
		}
		require.Contains(t, c.ask(fills("bill", "x")), "<policy-violation")
		require.ErrorIs(t, (<-c.done).err, stream.PolicyViolation)
	}
}

// The rates, by address and in all.
func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var from netip.Addr
		m := &register.Module{
			Address:    func(context.Context) netip.Addr { return from },
			PerAddress: stream.Rate{PerSecond: 1.0 / 60, Burst: 2},
			Total:      stream.Rate{PerSecond: 1, Burst: 5},
		}
		attached(t, m)
		n := 0
		try := func(addr string) string {
			from = netip.Addr{}
			if addr != "" {
				from = netip.MustParseAddr(addr)
			}
			n++
			c := stranger(t, m, protected(), nil)
			defer c.conn.Close()
			return c.ask(fills(fmt.Sprintf("user%d", n), "x"))
		}
		wait := refuses("reg2", "wait", stanza.ResourceConstraint, "too many registrations, try again later")
		// One customer's network, whatever the address.
		require.Equal(t, made, try("2001:db8:1:2::1"))
		require.Equal(t, made, try("2001:db8:1:2::2"))
		require.Equal(t, wait, try("2001:db8:1:2:ffff::3"))
		require.Equal(t, made, try("2001:db8:1:3::1"))
		require.Equal(t, made, try("64:ff9b::192.0.2.1"))
		// What is refused by address does not count in all.
		require.Equal(t, made, try("::ffff:192.0.2.1"))
		require.Equal(t, wait, try("192.0.2.1"))
		// All together.
		require.Equal(t, wait, try("198.51.100.7"))
		<-time.After(time.Minute)
		require.Equal(t, made, try("2001:db8:1:2::1"))
		require.Equal(t, wait, try("2001:db8:1:2::1"))
		// Loopback and unknown addresses count in all only.
		for range 4 {
			require.Equal(t, made, try("::1"))
		}
		require.Equal(t, wait, try(""))
		<-time.After(time.Minute)
		// An attempt that is not complete does not count, one for a name that is taken does.
		c := stranger(t, m, protected(), nil)
		for range 6 {
			c.ask(fills("", ""))
		}
		require.Equal(t, made, c.ask(fills("late", "x")))
		taken := refuses("reg2", "cancel", stanza.Conflict, "the name is taken")
		c = stranger(t, m, protected(), nil)
		for range 4 {
			require.Equal(t, taken, c.ask(fills("late", "x")))
		}
		require.Equal(t, wait, c.ask(fills("late", "x")))
	})
}

// The address is that of the host, if it knows, and by default the bound is ten.
func TestDefaultRate(t *testing.T) {
	m := new(register.Module)
	h, _ := attached(t, m)
	h.addr = netip.MustParseAddr("192.0.2.1")
	for i := range 11 {
		c := stranger(t, m, protected(), nil)
		got := c.ask(fills(fmt.Sprintf("user%d", i), "x"))
		require.Equal(t, i < 10, got == made, got)
	}
}

// What a Module cannot work with.
func TestOptions(t *testing.T) {
	accounts := new(table)
	for name, m := range map[string]*register.Module{
		"no accounts":   {},
		"half of it":    {NoNew: true, NoCancel: true},
		"unknown field": {Accounts: accounts, Fields: []register.Field{"shoe-size"}},
		"obsolete":      {Accounts: accounts, Fields: []register.Field{register.Key}},
		"too many":      {Accounts: accounts, PerStream: 21},
		"negative":      {Accounts: accounts, PerStream: -1},
		"rate":          {Accounts: accounts, Changes: stream.Rate{PerSecond: 1}},
		"negative rate": {Accounts: accounts, Total: stream.Rate{PerSecond: -1, Burst: 2}},
	} {
		require.ErrorIs(t, m.Attach(&host{accounts: accounts}), register.ErrOptions, name)
	}
	m := &register.Module{Accounts: accounts}
	require.ErrorIs(t, m.Register(new(stanza.Mux)), register.ErrOptions)
	require.ErrorIs(t, m.Attach(new(onlyHost)), register.ErrOptions)
	require.NoError(t, m.Attach(&host{accounts: accounts}))
	require.Equal(t, "register", m.Name())
	require.Equal(t, []string{"jabber:iq:register"}, m.Features())
}

// onlyHost cannot forget.
type onlyHost struct{ stanza.Host }

// XEP-0077 §8: servers are not offered to register.
func TestNotForServers(t *testing.T) {
	m := &register.Module{InsecureWithoutTLS: true}
	attached(t, m)
	a, b := memconn.Pipe()
	defer a.Close()
	done := make(chan error, 1)
	go func() { // ends with the connection
		_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: stream.Profile{ContentNS: stream.NSServer, Goal: stream.Authenticated, InsecureGoal: true},
			Domains: []jid.JID{domain}, Features: append(m.StreamFeatures(), trusted()),
		})
		done <- err
	}()
	c := &script{t: t, conn: a}
	c.send(strings.Replace(header, "jabber:client", "jabber:server", 1))
	require.NotContains(t, c.expect("</stream:features>"), "iq-register")
	c.send(asks)
	require.Contains(t, c.expect("</stream:stream>"), "<not-authorized")
	a.Close()
	require.Error(t, <-done)
}
