package command

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

var (
	responder = jid.MustParse("responder@domain")
	requester = jid.MustParse("requester@domain/home")
)

// loopback is a requester whose requests go over the wire format to a Mux.
type loopback struct {
	t    testing.TB
	mux  *stanza.Mux
	from jid.JID
	wire string // the latest reply

	reply *stanza.IQ
}

func newLoopback(t testing.TB, from jid.JID, modules ...stanza.Module) *loopback {
	l := &loopback{t: t, mux: new(stanza.Mux), from: from}
	require.NoError(t, stanza.Install(l.mux, modules...))
	return l
}

func (l *loopback) decode(st stanza.Stanza) *stanza.IQ {
	b, err := stanza.Qualified(st, stream.NSClient).AppendXML(nil)
	require.NoError(l.t, err)
	q := new(stanza.IQ)
	require.NoError(l.t, q.DecodeElement(parse(l.t, string(b))))
	l.wire = string(b)
	return q
}

// Send takes the reply of the handler.
func (l *loopback) Send(_ context.Context, st stanza.Stanza) error {
	l.reply = l.decode(st)
	return nil
}

func (l *loopback) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	iq.ID, iq.From = "exec1", l.from
	l.reply = nil
	stanza.Dispatch(ctx, l.mux, l, l.decode(iq)) // its error is for a report
	require.NotNil(l.t, l.reply)
	if l.reply.IsError() {
		return nil, l.reply.Error
	}
	return l.reply, nil
}

// raw sends a command element as it stands and returns the error condition that comes
// back, if any, and the specific one.
func (l *loopback) raw(wire string) (stanza.Condition, Condition) {
	_, err := l.Do(l.t.Context(), &stanza.IQ{To: responder, Type: stanza.SetIQ, Payload: parse(l.t, wire)})
	if err == nil {
		return "", ""
	}
	err = specific(err)
	var e *stanza.Error
	require.True(l.t, errors.As(err, &e))
	var c Condition
	errors.As(err, &c)
	return e.Condition, c
}

func parse(t testing.TB, s string) *stream.Element {
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

func command(attrs, inner string) string {
	return "<command xmlns='http://jabber.org/protocol/commands' " + attrs + ">" + inner + "</command>"
}

// config is the command of XEP-0050 §2.4.2.
func config(_ context.Context, s *Session) error {
	switch s.Stage {
	case 0:
		s.Value = nil
		s.Ask(form.New(form.Form, "", form.Field{
			Var: "service", Type: form.ListSingle, Label: "Service", Required: true,
			Options: []form.Option{{Value: "httpd"}, {Value: "jabberd"}, {Value: "postgresql"}},
		}), Actions{Next: true})
	case 1:
		if s.Action != Prev {
			s.Value = s.Form.Field("service").String()
		}
		s.Ask(form.New(form.Form, "",
			form.Field{Var: "runlevel", Type: form.ListMulti, Values: []string{"3", "5"}, Options: []form.Option{{Value: "1"}, {Value: "2"}, {Value: "3"}, {Value: "5"}}},
			form.Field{Var: "state", Type: form.ListSingle, Values: []string{"off"}, Options: []form.Option{{Value: "off"}, {Value: "on"}}},
		), Actions{Prev: true, Complete: true})
	default:
		if s.Form.Field("state").String() == "off" {
			return stanza.Conflict
		}
		s.Note(Info, "Service '"+s.Value.(string)+"' has been configured.")
		s.Finish(nil)
	}
	return nil
}

func newResponder() *Responder {
	return &Responder{Commands: []Command{
		{Node: "list", Name: "List Service Configurations", Allowed: Anybody, Run: func(_ context.Context, s *Session) error {
			d := &form.Data{Type: form.Result, Title: "Available Services", Reported: []form.Field{{Var: "service", Label: "Service"}}}
			d.Items = [][]form.Field{{{Var: "service", Values: []string{"httpd"}}}}
			s.Finish(d)
			return nil
		}},
		{Node: "config", Name: "Configure Service", Allowed: Anybody, Run: config},
		{Node: "fail", Allowed: Anybody, Run: func(_ context.Context, s *Session) error { s.Fail("no"); return nil }},
		{Node: "secret", Run: config},
		{Node: "english", Allowed: Anybody, Langs: []string{"en", "de"}, Run: config},
		{Node: "bad", Allowed: Anybody, Run: func(_ context.Context, s *Session) error { return BadPayload }},
		{Node: "broken", Allowed: Anybody, Run: func(_ context.Context, s *Session) error { s.Ask(nil, Actions{Prev: true}); return nil }},
		{Node: "unwritable", Allowed: Anybody, Run: func(_ context.Context, s *Session) error { s.Note("loud", "x"); return nil }},
		{Node: "nothing", Allowed: Anybody, Run: func(_ context.Context, s *Session) error { return nil }},
		{Node: "simple", Allowed: Anybody, Run: func(_ context.Context, s *Session) error {
			if s.Stage == 0 {
				s.Ask(nil, Actions{})
			}
			return nil
		}},
	}}
}

// XEP-0050 §2.4.1: a command that only has a result.
func TestSimple(t *testing.T) {
	l := newLoopback(t, requester, newResponder())
	e, err := Execute(t.Context(), l, responder, "list")
	require.NoError(t, err)
	require.True(t, e.Done())
	require.Equal(t, Completed, e.Response.Status)
	require.Equal(t, "Available Services", e.Response.Form.Title)
	require.NotEmpty(t, e.Response.SessionID)
	require.ErrorIs(t, e.Next(t.Context(), nil), ErrEnded)
	require.ErrorIs(t, e.Cancel(t.Context()), ErrEnded)

	e, err = Execute(t.Context(), l, responder, "fail")
	require.NoError(t, err)
	reason, failed := e.Response.Failed() // §3.6
	require.True(t, failed)
	require.Equal(t, "no", reason)

	e, err = Execute(t.Context(), l, responder, "nothing")
	require.NoError(t, err)
	_, failed = e.Response.Failed()
	require.False(t, failed)

	// §3.4: without actions, to go on is to complete.
	e, err = Execute(t.Context(), l, responder, "simple")
	require.NoError(t, err)
	require.NotContains(t, l.wire, "<actions")
	require.ErrorIs(t, e.Next(t.Context(), nil), ErrAction)
	require.NoError(t, e.Continue(t.Context(), nil))
	require.True(t, e.Done())
}

// XEP-0050 §2.4.2: stages, there and back.
func TestStages(t *testing.T) {
	l := newLoopback(t, requester, newResponder())
	ctx := t.Context()
	e, err := Execute(ctx, l, responder, "config")
	require.NoError(t, err)
	require.Contains(t, l.wire, "<actions execute='next'><next/></actions>")
	require.Equal(t, Actions{Next: true, Default: Next}, e.Response.Actions)
	require.ErrorIs(t, e.Prev(ctx), ErrAction)
	require.ErrorIs(t, e.Complete(ctx, nil), ErrAction)

	// What is wrong with the form can be made good.
	err = e.Next(ctx, nil)
	require.ErrorIs(t, err, BadPayload)
	require.ErrorIs(t, err, stanza.BadRequest)
	require.Contains(t, err.Error(), "field service is required")
	sub := e.Response.Form.Answer()
	sub.Set("service", "telnetd")
	require.ErrorIs(t, e.Next(ctx, sub), BadPayload)
	sub.Set("service", "httpd")
	require.NoError(t, e.Continue(ctx, sub))
	require.Contains(t, l.wire, "<actions execute='complete'><prev/><complete/></actions>")
	id := e.Response.SessionID

	require.NoError(t, e.Prev(ctx))
	require.NotNil(t, e.Response.Form.Field("service"))
	require.NoError(t, e.Next(ctx, sub))
	sub = e.Response.Form.Answer()
	require.ErrorIs(t, e.Complete(ctx, sub), stanza.Conflict) // of the command; the session goes on
	sub.Set("state", "on")
	require.NoError(t, e.Complete(ctx, sub))
	require.Equal(t, []Note{{Info, "Service 'httpd' has been configured."}}, e.Response.Notes)
	require.Equal(t, id, e.Response.SessionID)

	cond, c := l.raw(command("node='config' sessionid='"+id+"'", ""))
	require.Equal(t, stanza.NotAllowed, cond) // §4.4
	require.Equal(t, SessionExpired, c)
}

// XEP-0050 §2.4.3.
func TestCancel(t *testing.T) {
	l := newLoopback(t, requester, newResponder())
	e, err := Execute(t.Context(), l, responder, "config")
	require.NoError(t, err)
	require.NoError(t, e.Cancel(t.Context()))
	require.Equal(t, Canceled, e.Response.Status)
	require.Contains(t, l.wire, "status='canceled'/>")
	_, c := l.raw(command("node='config' action='cancel' sessionid='"+e.Response.SessionID+"'", ""))
	require.Equal(t, SessionExpired, c)
}

// XEP-0050 §4.4: the errors.
func TestErrors(t *testing.T) {
	r := newResponder()
	l := newLoopback(t, requester, r)
	e, err := Execute(t.Context(), l, responder, "config")
	require.NoError(t, err)
	id := "' sessionid='" + e.Response.SessionID
	for _, tt := range []struct {
		name, wire string
		cond       stanza.Condition
		specific   Condition
	}{
		{"malformed-action", command("node='config' action='dance'", ""), stanza.BadRequest, MalformedAction},
		{"malformed-action: empty", command("node='config' action=''", ""), stanza.BadRequest, MalformedAction},
		{"bad-action: nothing to cancel", command("node='config' action='cancel'", ""), stanza.BadRequest, BadAction},
		{"bad-action: nothing to go back to", command("node='config' action='prev'", ""), stanza.BadRequest, BadAction},
		{"bad-action: not offered", command("action='prev' node='config"+id+"'", ""), stanza.BadRequest, BadAction},
		{"bad-action: not offered", command("action='complete' node='config"+id+"'", ""), stanza.BadRequest, BadAction},
		{"bad-locale", command("node='english' xml:lang='fr-ca'", ""), stanza.BadRequest, BadLocale},
		{"bad-payload", command("node='config"+id+"'", ""), stanza.BadRequest, BadPayload},
		{"bad-payload: not a submission", command("node='config"+id+"'", "<x xmlns='jabber:x:data' type='result'/>"), stanza.BadRequest, BadPayload},
		{"bad-payload: malformed", command("node='config"+id+"'", "<x xmlns='jabber:x:data'/>"), stanza.BadRequest, BadPayload},
		{"bad-payload: by the command", command("node='bad'", ""), stanza.BadRequest, BadPayload},
		{"bad-sessionid: empty", command("node='config' sessionid=''", ""), stanza.BadRequest, BadSessionID},
		{"bad-sessionid: made up", command("node='config' sessionid='"+strings.Repeat("A", 43)+"'", ""), stanza.BadRequest, BadSessionID},
		{"bad-sessionid: another length", command("node='config' sessionid='x'", ""), stanza.BadRequest, BadSessionID},
		{"bad-sessionid: of another command", command("node='list"+id+"'", ""), stanza.BadRequest, BadSessionID},
		{"forbidden", command("node='secret'", ""), stanza.Forbidden, ""},
		{"item-not-found", command("node='no such'", ""), stanza.ItemNotFound, ""},
		{"no node", command("", ""), stanza.BadRequest, ""},
		{"an empty node", command("node=''", ""), stanza.BadRequest, ""},
		{"a long node", command("node='"+strings.Repeat("x", maxAttr+1)+"'", ""), stanza.BadRequest, ""},
		{"a mistake of the command", command("node='broken'", ""), stanza.InternalServerError, ""},
		{"a mistake of the command", command("node='unwritable'", ""), stanza.InternalServerError, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cond, c := l.raw(tt.wire)
			require.Equal(t, tt.cond, cond)
			require.Equal(t, tt.specific, c)
			require.Len(t, r.table.sessions, 1) // nothing is left of it, and the session is as it was
			require.False(t, r.table.sessions[e.Response.SessionID].busy)
		})
	}
	// §3.5.1: a cancelled form is a submission.
	cond, _ := l.raw(command("node='config"+id+"'", "<x xmlns='jabber:x:data' type='cancel'><field var='service'><value>httpd</value></field></x>"))
	require.Empty(t, cond)
}

// XEP-0050 §3.7.
func TestLang(t *testing.T) {
	l := newLoopback(t, requester, newResponder())
	for asked, want := range map[string]string{"": "en", "de-CH": "de", "EN-us": "en", "de": "de"} {
		e, err := ExecuteIn(t.Context(), l, responder, "english", asked)
		require.NoError(t, err)
		require.Equal(t, want, e.Response.Lang)
	}
	_, err := ExecuteIn(t.Context(), l, responder, "english", "fr-ca")
	require.ErrorIs(t, err, BadLocale)
	e, err := ExecuteIn(t.Context(), l, responder, "config", "fr-ca")
	require.NoError(t, err)
	require.Empty(t, e.Response.Lang)
}

// XEP-0050 §2.1, §2.2: what service discovery says.
func TestDisco(t *testing.T) {
	r := newResponder()
	entity := &disco.Entity{Identities: []disco.Identity{{Category: "server", Type: "im"}}, Modules: []stanza.Module{r}}
	require.Contains(t, entity.Info().Features, NS)
	iq := &stanza.IQ{From: requester, To: responder}
	node, err := r.FindNode(t.Context(), iq, NS)
	require.NoError(t, err)
	info, err := node.Info(t.Context(), iq)
	require.NoError(t, err)
	require.Equal(t, []disco.Identity{{Category: "automation", Type: "command-list"}}, info.Identities)
	items, err := node.Items(t.Context(), iq)
	require.NoError(t, err)
	require.Len(t, items, len(r.Commands)-1) // without the secret one
	require.Equal(t, disco.Item{JID: responder, Node: "list", Name: "List Service Configurations"}, items[0])
	items, err = node.Items(t.Context(), &stanza.IQ{From: requester})
	require.NoError(t, err)
	require.Equal(t, requester.Bare(), items[0].JID)
	items, err = node.Items(t.Context(), &stanza.IQ{})
	require.NoError(t, err)
	require.Empty(t, items)

	node, err = r.FindNode(t.Context(), iq, "config")
	require.NoError(t, err)
	info, err = node.Info(t.Context(), iq)
	require.NoError(t, err)
	require.Equal(t, []disco.Identity{{Category: "automation", Type: "command-node", Name: "Configure Service"}}, info.Identities)
	require.Equal(t, []string{NS, form.NS}, info.Features)
	_, err = r.FindNode(t.Context(), iq, "secret")
	require.ErrorIs(t, err, stanza.Forbidden)
	node, err = r.FindNode(t.Context(), iq, "no such")
	require.NoError(t, err)
	require.Nil(t, node)
	r.Address = jid.MustParse("domain")
	node, err = r.FindNode(t.Context(), iq, NS)
	require.NoError(t, err)
	require.Nil(t, node)
	cond, _ := newLoopback(t, requester, r).raw(command("node='list'", ""))
	require.Equal(t, stanza.ServiceUnavailable, cond)
}

func TestRegister(t *testing.T) {
	for _, commands := range [][]Command{
		{{Run: config}}, {{Node: "a"}}, {{Node: "a", Run: config}, {Node: "a", Run: config}}, {{Node: NS, Run: config}}, {{Node: strings.Repeat("x", maxAttr+1), Run: config}},
	} {
		require.ErrorIs(t, stanza.Install(new(stanza.Mux), &Responder{Commands: commands}), ErrCommands)
	}
}
