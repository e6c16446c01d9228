package register_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

const (
	cancels = `<iq type='set' from='bill@shakespeare.lit/globe' id='unreg1'><query xmlns='jabber:iq:register'><remove/></query></iq>`
	gone    = `<iq id='unreg1' to='bill@shakespeare.lit/globe' type='result'/>`
	changed = `<iq id='change1' from='shakespeare.lit' to='bill@shakespeare.lit/globe' type='result'/>`
)

// changes is the request of XEP-0077 example 18.
func changes(username, password string) string {
	return `<iq type='set' to='shakespeare.lit' id='change1'><query xmlns='jabber:iq:register'><username>` + username +
		`</username><password>` + password + `</password></query></iq>`
}

// told is the error reply to bill.
func told(id, from, typ string, c stanza.Condition, text string) string {
	if from != "" {
		from = " from='" + from + "'"
	}
	return strings.Replace(refuses(id, typ, c, text), "' type=", "'"+from+" to='bill@shakespeare.lit/globe' type=", 1)
}

// XEP-0077 §3.1, example 3: what somebody who has an account is told.
func TestRegistered(t *testing.T) {
	_, _, ask := loggedIn(t, &register.Module{NoNew: true, NoChange: true, NoCancel: true})
	for _, to := range []string{"", " to='shakespeare.lit'", " to='bill@shakespeare.lit'"} {
		sent := ask(`<iq type='get' id='reg1'` + to + `><query xmlns='jabber:iq:register'/></iq>`)
		require.Len(t, sent, 1)
		require.Contains(t, sent[0], `<query xmlns='jabber:iq:register'><registered/><instructions>You have an account here.</instructions>`+
			`<username>bill</username><password/></query></iq>`)
	}
	for _, to := range []string{"globe.lit", "will@shakespeare.lit", "bill@shakespeare.lit/rose"} {
		require.Equal(t, []string{told("reg1", to, "cancel", stanza.ServiceUnavailable, "")},
			ask(`<iq type='get' id='reg1' to='`+to+`'><query xmlns='jabber:iq:register'/></iq>`))
	}
	require.Equal(t, []string{told("reg1", "", "modify", stanza.BadRequest, "register: &lt;remove/&gt; is not the only child")},
		ask(`<iq type='get' id='reg1'><query xmlns='jabber:iq:register'><remove/><username/></query></iq>`))
}

// XEP-0077 §3.3, examples 18 and 19, and what becomes of the other sessions.
func TestPassword(t *testing.T) {
	for name, tt := range map[string]struct {
		m    *register.Module
		ask  string
		want []string
	}{
		"example 18":                  {new(register.Module), changes("bill", "newpass"), []string{"password bill@shakespeare.lit", "reply", "end rose reset"}},
		"in another case":             {new(register.Module), changes("BILL", "newpass"), []string{"password bill@shakespeare.lit", "reply", "end rose reset"}},
		"by address":                  {new(register.Module), changes("bill@shakespeare.lit", "newpass"), []string{"password bill@shakespeare.lit", "reply", "end rose reset"}},
		"the other sessions may stay": {&register.Module{KeepSessions: true}, changes("bill", "newpass"), []string{"password bill@shakespeare.lit", "reply"}},
		"by a form": {new(register.Module), `<iq type='set' to='shakespeare.lit' id='change1'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>` +
			`<field type='hidden' var='FORM_TYPE'><value>jabber:iq:register</value></field>` +
			`<field var='username'><value>bill</value></field><field var='password'><value>newpass</value></field></x></query></iq>`,
			[]string{"password bill@shakespeare.lit", "reply", "end rose reset"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, a, ask := loggedIn(t, tt.m)
			require.Equal(t, []string{changed}, ask(tt.ask))
			require.Equal(t, "newpass", a.password(bill))
			require.Equal(t, tt.want, a.noted())
		})
	}
}

// XEP-0077 §3.3, the table of errors and examples 20 to 22.
func TestPasswordRefused(t *testing.T) {
	lost := errors.New("database is down")
	for name, tt := range map[string]struct {
		m      *register.Module
		before func(h *host)
		ask    string
		want   string
	}{
		"example 20: no name":          {ask: changes("", "newpass"), want: told("change1", "shakespeare.lit", "modify", stanza.BadRequest, "register: a change of the password needs the user name and the new password")},
		"an empty password":            {ask: changes("bill", ""), want: told("change1", "shakespeare.lit", "modify", stanza.BadRequest, "register: a change of the password needs the user name and the new password")},
		"neither":                      {ask: `<iq type='set' to='shakespeare.lit' id='change1'><query xmlns='jabber:iq:register'/></iq>`, want: told("change1", "shakespeare.lit", "modify", stanza.BadRequest, "register: a change of the password needs the user name and the new password")},
		"example 21: no TLS":           {before: func(h *host) { h.resources[0].secure = false }, ask: changes("bill", "newpass"), want: told("change1", "shakespeare.lit", "modify", stanza.NotAuthorized, "not without TLS")},
		"a session that is gone":       {before: func(h *host) { h.resources = nil }, ask: changes("bill", "newpass"), want: told("change1", "shakespeare.lit", "modify", stanza.NotAuthorized, "not without TLS")},
		"example 22: nobody may":       {m: &register.Module{NoChange: true}, ask: changes("bill", "newpass"), want: told("change1", "shakespeare.lit", "cancel", stanza.NotAllowed, "")},
		"no account":                   {before: func(h *host) { clear(h.accounts.passwords) }, ask: changes("bill", "newpass"), want: told("change1", "shakespeare.lit", "wait", stanza.UnexpectedRequest, "")},
		"§3.1.1: a second identity":    {ask: changes("will", "newpass"), want: told("change1", "shakespeare.lit", "modify", stanza.NotAcceptable, "that is not the name of this account")},
		"the same name elsewhere":      {ask: changes("bill@globe.lit", "newpass"), want: told("change1", "shakespeare.lit", "modify", stanza.NotAcceptable, "that is not the name of this account")},
		"a password that is none":      {m: &register.Module{Accounts: &table{err: register.ErrPassword}}, ask: changes("bill", "x"), want: told("change1", "shakespeare.lit", "modify", stanza.NotAcceptable, "the password cannot be used")},
		"the accounts are not there":   {m: &register.Module{Accounts: &table{err: lost}}, ask: changes("bill", "x"), want: told("change1", "shakespeare.lit", "cancel", stanza.InternalServerError, "")},
		"a form for something else":    {ask: strings.Replace(changes("bill", "x"), "</query>", "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>x</value></field></x></query>", 1), want: told("change1", "shakespeare.lit", "modify", stanza.BadRequest, "register: a form for something else")},
		"a form without a type at all": {ask: strings.Replace(changes("bill", "x"), "</query>", "<x xmlns='jabber:x:data'/></query>", 1), want: told("change1", "shakespeare.lit", "modify", stanza.BadRequest, "malformed form")},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.m == nil {
				tt.m = new(register.Module)
			}
			h, a, ask := loggedIn(t, tt.m)
			if tt.before != nil {
				tt.before(h)
			}
			require.Equal(t, []string{tt.want}, ask(tt.ask))
			// Not even the request comes back: there is a password in it.
			require.Equal(t, []string{"reply"}, a.noted())
		})
	}
}

// InsecureWithoutTLS is for whoever has no TLS.
func TestPasswordWithoutTLS(t *testing.T) {
	h, _, ask := loggedIn(t, &register.Module{InsecureWithoutTLS: true})
	h.resources[0].secure = false
	require.Equal(t, []string{changed}, ask(changes("bill", "newpass")))
}

// One account cannot keep a server busy with deriving keys.
func TestChangesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, _, ask := loggedIn(t, &register.Module{KeepSessions: true})
		for range 5 {
			require.Equal(t, []string{changed}, ask(changes("bill", "newpass")))
		}
		wait := told("change1", "shakespeare.lit", "wait", stanza.ResourceConstraint, "too many changes, try again later")
		require.Equal(t, []string{wait}, ask(changes("bill", "newpass")))
		require.Equal(t, []string{told("unreg1", "", "wait", stanza.ResourceConstraint, "too many changes, try again later")}, ask(cancels))
		<-time.After(time.Minute)
		require.Equal(t, []string{changed}, ask(changes("bill", "newpass")))
	})
}

// XEP-0077 §3.2, examples 11 and 12: nobody can log in to what is left, everything
// goes, and only then the name is free.
func TestCancel(t *testing.T) {
	_, a, ask := loggedIn(t, new(register.Module))
	require.Equal(t, []string{gone}, ask(cancels))
	log := a.noted()
	require.Equal(t, []string{
		"password bill@shakespeare.lit", "reply", "end rose not-authorized", "forget bill@shakespeare.lit", "delete bill@shakespeare.lit", "forget bill@shakespeare.lit",
	}, log)
}

// lockable is a user table that can lock accounts.
type lockable struct{ *table }

func (l lockable) Disable(_ context.Context, account jid.JID) error {
	l.note("disable " + account.String())
	return nil
}

// What an account can be locked with is used; whoever gets in all the same is put
// out; and what fails keeps the name from being free.
func TestCancelInParts(t *testing.T) {
	t.Run("disabled", func(t *testing.T) {
		a := &table{passwords: map[jid.JID]string{}}
		_, b, ask := loggedIn(t, &register.Module{Accounts: lockable{a}})
		require.Equal(t, []string{gone}, ask(cancels))
		require.Equal(t, []string{"disable bill@shakespeare.lit", "delete bill@shakespeare.lit"}, a.noted())
		require.NotContains(t, b.noted(), "password bill@shakespeare.lit")
	})
	t.Run("cannot be locked", func(t *testing.T) {
		h, a, ask := loggedIn(t, &register.Module{Accounts: &table{err: errors.New("database is down")}})
		require.Equal(t, []string{told("unreg1", "", "cancel", stanza.InternalServerError, "")}, ask(cancels))
		require.Equal(t, []string{"reply"}, a.noted())
		require.Len(t, h.Resources(bill), 2)
	})
	t.Run("cannot be forgotten", func(t *testing.T) {
		h, a, ask := loggedIn(t, new(register.Module))
		h.forget = errors.New("database is down")
		require.Equal(t, []string{gone}, ask(cancels))
		require.NotContains(t, a.noted(), "delete bill@shakespeare.lit")
		require.NotEqual(t, "theglobe", a.password(bill))
		require.NotEmpty(t, a.password(bill))
	})
	t.Run("the session is gone meanwhile", func(t *testing.T) {
		h, a := attached(t, new(register.Module))
		m := &register.Module{Accounts: a}
		require.NoError(t, m.Attach(h))
		a.passwords[bill] = "theglobe"
		var mux stanza.Mux
		require.NoError(t, stanza.Install(&mux, m))
		st, err := stanza.Decode(parse(t, cancels))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, stanza.Dispatch(ctx, &mux, &sender{accounts: a}, st))
		require.Contains(t, a.noted(), "forget bill@shakespeare.lit")
		require.Contains(t, a.noted(), "delete bill@shakespeare.lit")
	})
}

// XEP-0077 §3.2, the table of errors and examples 13 and 15.
func TestCancelRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		m      *register.Module
		before func(h *host)
		ask    string
		want   string
	}{
		"example 13: not alone":   {ask: strings.Replace(cancels, "<remove/>", "<remove/><username>bill</username>", 1), want: told("unreg1", "", "modify", stanza.BadRequest, "register: &lt;remove/&gt; is not the only child")},
		"not alone either":        {ask: strings.Replace(cancels, "<remove/>", "<x xmlns='x'/><remove/>", 1), want: told("unreg1", "", "modify", stanza.BadRequest, "register: &lt;remove/&gt; is not the only child")},
		"example 15: nobody may":  {m: &register.Module{NoCancel: true}, ask: cancels, want: told("unreg1", "", "cancel", stanza.NotAllowed, "")},
		"not registered":          {before: func(h *host) { clear(h.accounts.passwords) }, ask: cancels, want: told("unreg1", "", "auth", stanza.RegistrationRequired, "")},
		"somewhere else":          {ask: strings.Replace(cancels, "from=", "to='globe.lit' from=", 1), want: told("unreg1", "globe.lit", "cancel", stanza.ServiceUnavailable, "")},
		"somebody else's":         {ask: strings.Replace(cancels, "from=", "to='will@shakespeare.lit' from=", 1), want: told("unreg1", "will@shakespeare.lit", "cancel", stanza.ServiceUnavailable, "")},
		"a form nobody asked for": {ask: strings.Replace(cancels, "<remove/>", cancelAnswer("theglobe"), 1), want: told("unreg1", "", "modify", stanza.BadRequest, "register: a form that was not asked for")},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.m == nil {
				tt.m = new(register.Module)
			}
			h, a, ask := loggedIn(t, tt.m)
			if tt.before != nil {
				tt.before(h)
			}
			require.Equal(t, []string{tt.want}, ask(tt.ask))
			require.Equal(t, []string{"reply"}, a.noted())
		})
	}
}

// cancelAnswer is the form of XEP-0077 example 17.
func cancelAnswer(password string) string {
	return `<x xmlns='jabber:x:data' type='submit'><field type='hidden' var='FORM_TYPE'><value>jabber:iq:register:cancel</value></field>` +
		`<field type='text-single' var='username'><value>bill@shakespeare.lit</value></field>` +
		`<field type='text-private' var='password'><value>` + password + `</value></field></x>`
}

// changeAnswer is the form of XEP-0077 example 24.
func changeAnswer(old string) string {
	return `<iq type='set' to='shakespeare.lit' id='change1'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>` +
		`<field type='hidden' var='FORM_TYPE'><value>jabber:iq:register:changepassword</value></field>` +
		`<field type='text-single' var='username'><value>bill@shakespeare.lit</value></field>` +
		`<field type='text-private' var='old_password'><value>` + old + `</value></field>` +
		`<field type='text-private' var='password'><value>groundlings</value></field></x></query></iq>`
}

// XEP-0077 §3.2 and §3.3, examples 16, 17, 23 and 24: the old password is asked for.
func TestVerify(t *testing.T) {
	module := func() *register.Module {
		return &register.Module{Changes: stream.Rate{PerSecond: 1, Burst: 100}, Verify: func(_ context.Context, account jid.JID, password string) error {
			if account != bill || password != "theglobe" {
				return fmt.Errorf("wrong password")
			}
			return nil
		}}
	}
	_, a, ask := loggedIn(t, module())
	form := `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'><title>Password change</title>` +
		`<instructions>Use this form to change your password.</instructions>` +
		`<field var='FORM_TYPE' type='hidden'><value>jabber:iq:register:changepassword</value></field>` +
		`<field var='username' type='text-single' label='User name'><required/></field>` +
		`<field var='old_password' type='text-private' label='Old password'><required/></field>` +
		`<field var='password' type='text-private' label='New password'><required/></field></x></query>`
	want := strings.Replace(told("change1", "shakespeare.lit", "modify", stanza.NotAuthorized, "the present password is needed"), "<error", form+"<error", 1)
	require.Equal(t, []string{want}, ask(changes("bill", "groundlings")))
	require.Equal(t, []string{want}, ask(changeAnswer("wrong")))
	require.Equal(t, []string{want}, ask(changeAnswer("")))
	require.Equal(t, "theglobe", a.password(bill))
	require.Equal(t, []string{changed}, ask(changeAnswer("theglobe")))
	require.Equal(t, "groundlings", a.password(bill))

	_, a, ask = loggedIn(t, module())
	sent := ask(cancels)
	require.Len(t, sent, 1)
	require.Contains(t, sent[0], `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'><title>Cancel registration</title>`)
	require.Contains(t, sent[0], `<error type='cancel'><not-allowed `)
	again := func(password string) string { return strings.Replace(cancels, "<remove/>", cancelAnswer(password), 1) }
	require.Equal(t, sent, ask(again("wrong")))
	require.Equal(t, sent, ask(strings.Replace(again("theglobe"), "<value>bill@", "<value>will@", 1)))
	require.Equal(t, []string{"reply", "reply", "reply"}, a.noted())
	require.Equal(t, []string{gone}, ask(again("theglobe")))
	require.Contains(t, a.noted(), "delete bill@shakespeare.lit")
}

// Remove on behalf of somebody else.
func TestRemove(t *testing.T) {
	down := errors.New("database is down")
	a := &table{passwords: map[jid.JID]string{bill: "theglobe"}}
	h := &host{accounts: a}
	require.NoError(t, register.Remove(t.Context(), h, lockable{a}, bill))
	require.Equal(t, []string{
		"disable bill@shakespeare.lit", "forget bill@shakespeare.lit", "delete bill@shakespeare.lit", "forget bill@shakespeare.lit",
	}, a.noted())

	a = &table{passwords: map[jid.JID]string{bill: "theglobe"}, err: down}
	require.ErrorIs(t, register.Remove(t.Context(), &host{accounts: a}, a, bill), down)
	require.Empty(t, a.noted())

	// Locked, and not free.
	a = &table{passwords: map[jid.JID]string{bill: "theglobe"}}
	require.ErrorIs(t, register.Remove(t.Context(), &host{accounts: a, forget: down}, a, bill), down)
	require.GreaterOrEqual(t, len(a.password(bill)), 52)
	require.NotContains(t, a.noted(), "delete bill@shakespeare.lit")
}

// A host that does not know whether there is an account says so to nobody.
func TestHostOutOfOrder(t *testing.T) {
	h, a, ask := loggedIn(t, new(register.Module))
	h.exists = errors.New("database is down")
	want := told("unreg1", "", "cancel", stanza.InternalServerError, "")
	require.Equal(t, []string{want}, ask(cancels))
	require.Equal(t, []string{want}, ask(`<iq type='get' id='unreg1'><query xmlns='jabber:iq:register'/></iq>`))
	require.Equal(t, []string{"reply", "reply"}, a.noted())
	h.exists = nil
	clear(a.passwords)
	require.Equal(t, []string{told("unreg1", "", "cancel", stanza.ServiceUnavailable, "")},
		ask(`<iq type='get' id='unreg1'><query xmlns='jabber:iq:register'/></iq>`))
}

// NoChange and NoCancel are about one thing each.
func TestOneOfBoth(t *testing.T) {
	_, _, ask := loggedIn(t, &register.Module{NoCancel: true})
	require.Equal(t, []string{changed}, ask(changes("bill", "newpass")))
	_, _, ask = loggedIn(t, &register.Module{NoChange: true})
	require.Equal(t, []string{gone}, ask(cancels))
}

// failing is a user table in which something fails.
type failing struct {
	*table
	disable, remove error
}

func (f failing) Disable(context.Context, jid.JID) error { return f.disable }

func (f failing) Delete(context.Context, jid.JID) error { return f.remove }

// What fails after the reply is for the log of the server.
func TestFailuresAreReported(t *testing.T) {
	down := errors.New("database is down")
	a := &table{passwords: map[jid.JID]string{bill: "theglobe"}}
	require.ErrorIs(t, register.Remove(t.Context(), &host{accounts: a}, failing{a, down, nil}, bill), down)
	require.Empty(t, a.noted())
	require.ErrorIs(t, register.Remove(t.Context(), &host{accounts: a}, failing{a, nil, down}, bill), down)
	require.Equal(t, []string{"forget bill@shakespeare.lit"}, a.noted())
	require.ErrorIs(t, register.Remove(t.Context(), &host{accounts: a, late: down}, failing{a, nil, nil}, bill), down)

	m := &register.Module{Accounts: a}
	require.NoError(t, m.Attach(&host{accounts: a, forget: down}))
	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, m))
	st, err := stanza.Decode(parse(t, cancels))
	require.NoError(t, err)
	s := &sender{accounts: a}
	require.ErrorIs(t, stanza.Dispatch(t.Context(), &mux, s, st), down)
	require.Equal(t, []string{gone}, s.sent)
}
