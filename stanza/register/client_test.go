package register_test

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

// connect runs a client with opts against a server with m.
func connect(t *testing.T, opts *register.ClientOptions, m *register.Module, sec *stream.Security) (client, server result) {
	t.Helper()
	a, b := memconn.Pipe()
	cc, sc := make(chan result, 1), make(chan result, 1)
	go func() { // ends with the connection
		s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
			Profile: profile, To: domain, From: bill, Security: sec, Features: []stream.Feature{register.Client(opts), trusted()},
		})
		cc <- result{s, err}
	}()
	go func() { // ends with the connection
		var features []stream.Feature
		if m != nil {
			features = m.StreamFeatures()
		}
		s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Security: sec, Features: append(features, trusted()),
		})
		sc <- result{s, err}
	}()
	client, server = <-cc, <-sc
	for _, r := range []result{client, server} {
		if r.session != nil {
			t.Cleanup(func() { r.session.Abort(nil) })
		}
	}
	return client, server
}

// Both sides of XEP-0077 §3.1.1: registering, then authenticating.
func TestClient(t *testing.T) {
	for name, tt := range map[string]struct {
		opts *register.ClientOptions
		m    *register.Module
		sec  *stream.Security
		want error
		name string // of the account that is made, if any
	}{
		"the name is that of the stream": {opts: &register.ClientOptions{Password: "Calliope"}, sec: protected(), name: "bill"},
		"another name":                   {opts: &register.ClientOptions{Username: "will", Password: "Calliope"}, sec: protected(), name: "will"},
		"more fields": {
			opts: &register.ClientOptions{Password: "Calliope", Fields: register.Values{register.Email: "bard@shakespeare.lit"}},
			m:    &register.Module{Fields: []register.Field{register.Email}}, sec: protected(), name: "bill",
		},
		"a field that is missing": {
			opts: &register.ClientOptions{Password: "Calliope"}, m: &register.Module{Fields: []register.Field{register.Email}},
			sec: protected(), want: register.ErrFields,
		},
		"no password":        {opts: nil, sec: protected(), want: register.ErrOptions},
		"no such field":      {opts: &register.ClientOptions{Password: "x", Fields: register.Values{"shoe-size": "44"}}, sec: protected(), want: register.ErrFields},
		"elsewhere":          {opts: &register.ClientOptions{Password: "x"}, m: &register.Module{URL: "https://shakespeare.lit/"}, sec: protected(), want: register.ErrElsewhere},
		"taken":              {opts: &register.ClientOptions{Username: "yorick", Password: "x"}, sec: protected(), want: stanza.Conflict},
		"not without TLS":    {opts: &register.ClientOptions{Password: "x"}, m: &register.Module{InsecureWithoutTLS: true}},
		"without, on demand": {opts: &register.ClientOptions{Password: "Calliope", InsecureWithoutTLS: true}, m: &register.Module{InsecureWithoutTLS: true}, name: "bill"},
		"a human answers": {opts: &register.ClientOptions{Fill: func(_ context.Context, asked *register.Query) (*register.Query, error) {
			return &register.Query{Fields: register.Values{register.Username: "human", register.Password: "Calliope"}}, nil
		}}, sec: protected(), name: "human"},
		"a human goes away": {opts: &register.ClientOptions{Fill: func(context.Context, *register.Query) (*register.Query, error) {
			return nil, context.Canceled
		}}, sec: protected(), want: context.Canceled},
		"a human says nothing": {opts: &register.ClientOptions{Fill: func(context.Context, *register.Query) (*register.Query, error) {
			return nil, nil
		}}, sec: protected(), want: register.ErrOptions},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.m == nil {
				tt.m = new(register.Module)
			}
			_, accounts := attached(t, tt.m)
			accounts.passwords[jid.MustParse("yorick@shakespeare.lit")] = "alas"
			client, server := connect(t, tt.opts, tt.m, tt.sec)
			if tt.want != nil {
				require.ErrorIs(t, client.err, tt.want)
				require.Error(t, server.err)
				require.Empty(t, accounts.noted())
				return
			}
			require.NoError(t, client.err)
			require.NoError(t, server.err)
			if tt.name == "" {
				require.Empty(t, accounts.noted())
				return
			}
			require.Equal(t, "Calliope", accounts.password(jid.MustParse(tt.name+"@shakespeare.lit")))
		})
	}
	t.Run("a server that has none", func(t *testing.T) {
		client, _ := connect(t, &register.ClientOptions{Password: "x"}, nil, protected())
		require.NoError(t, client.err)
		client, server := connect(t, &register.ClientOptions{Password: "x", Unadvertised: true}, nil, protected())
		require.ErrorIs(t, client.err, stream.NotAuthorized)
		require.Error(t, server.err)
	})
}

// What a server may not answer.
func TestClientIsLiedTo(t *testing.T) {
	answer := func(reply string) error {
		a, b := memconn.Pipe()
		done := make(chan error, 1)
		go func() { // ends with the connection
			s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
				Profile: profile, To: domain, From: bill, Security: protected(),
				Features: []stream.Feature{register.Client(&register.ClientOptions{Password: "x"}), trusted()},
			})
			if s != nil {
				s.Abort(nil)
			}
			done <- err
		}()
		defer b.Close()
		c := &script{t: t, conn: net.Conn(b)}
		c.expect("version='1.0'")
		c.send(`<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='shakespeare.lit' id='s' version='1.0'>` +
			`<stream:features><register xmlns='http://jabber.org/features/iq-register'/></stream:features>`)
		request := c.expect("</iq>")
		_, id, _ := cut(request, "id='", "'")
		c.send(replaceAll(reply, "ID", id))
		go func() { // ends with the connection
			buf := make([]byte, 4096)
			for {
				if _, err := b.Read(buf); err != nil {
					return
				}
			}
		}()
		b.(interface{ CloseWrite() error }).CloseWrite()
		return <-done
	}
	for reply, want := range map[string]error{
		`<message/>`:                     register.ErrProtocol,
		`<iq id='other' type='result'/>`: register.ErrProtocol,
		`<iq id='ID' from='globe.lit' type='result'><query xmlns='jabber:iq:register'/></iq>`:                                           register.ErrProtocol,
		`<iq id='ID' type='get'><query xmlns='jabber:iq:register'/></iq>`:                                                               register.ErrProtocol,
		`<iq id='ID' type='strange'/>`:                                                                                                  register.ErrProtocol,
		`<iq id='ID' type='result'/>`:                                                                                                   register.ErrProtocol,
		`<iq id='ID' type='result'><query xmlns='jabber:iq:roster'/></iq>`:                                                              register.ErrProtocol,
		`<iq id='ID' type='result'><query xmlns='jabber:iq:register'><username/><username/></query></iq>`:                               register.ErrProtocol,
		`<iq id='ID' type='result'><query xmlns='jabber:iq:register'><registered/><username>bill</username></query></iq>`:               register.ErrRegistered,
		`<iq id='ID' type='result'><query xmlns='jabber:iq:register'><instructions>Go away</instructions></query></iq>`:                 register.ErrElsewhere,
		`<iq id='ID' type='result'><query xmlns='jabber:iq:register'><username/><password/><email/></query></iq>`:                       register.ErrFields,
		`<iq id='ID' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`: stanza.ServiceUnavailable,
	} {
		require.ErrorIs(t, answer(reply), want, reply)
	}
}

// XEP-0077 §6: which of the things that a host asks for is answered.
func TestFill(t *testing.T) {
	v := register.Values{register.Username: "bill", register.Password: "Calliope", register.Email: "bard@shakespeare.lit"}
	t.Run("fields", func(t *testing.T) {
		q, err := register.Fill(&register.Query{Fields: register.Values{"username": "", "password": "", "key": "106c0a7b"}}, v)
		require.NoError(t, err)
		// §7: the key is sent back; what was not asked for is not told.
		require.Equal(t, register.Values{"username": "bill", "password": "Calliope", "key": "106c0a7b"}, q.Fields)
		require.Nil(t, q.Form)
	})
	t.Run("form before fields", func(t *testing.T) {
		asked := form.New(form.Form, register.NS,
			form.Field{Var: "username", Type: form.TextSingle, Required: true},
			form.Field{Var: "nick", Type: form.TextSingle},
			form.Field{Var: "x-gender", Type: form.ListSingle, Required: true, Values: []string{"F"}, Options: []form.Option{{Value: "M"}, {Value: "F"}}})
		q, err := register.Fill(&register.Query{Fields: register.Values{"username": "", "password": ""}, Form: asked}, v)
		require.NoError(t, err)
		require.Empty(t, q.Fields) // MUST NOT submit both
		require.Equal(t, form.Submit, q.Form.Type)
		require.Equal(t, "bill", q.Form.Field("username").String())
		require.Equal(t, "F", q.Form.Field("x-gender").String())
		require.Equal(t, register.NS, q.Form.FormType())
		require.Nil(t, q.Form.Field("nick"))
		require.Nil(t, q.Form.Field("email"))
	})
	t.Run("a form that asks for too much", func(t *testing.T) {
		_, err := register.Fill(&register.Query{Form: form.New(form.Form, "", form.Field{Var: "x-mmn", Required: true})}, v)
		require.ErrorIs(t, err, register.ErrFields)
		_, err = register.Fill(&register.Query{Form: form.New(form.Result, "")}, v)
		require.ErrorIs(t, err, register.ErrProtocol)
	})
}

// doer records what is asked, and answers.
type doer struct {
	asked string
	reply *stanza.IQ
	err   error
}

func (d *doer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	iq.ID = "id1"
	b, err := iq.AppendXML(nil)
	d.asked = string(b)
	return d.reply, errors.Join(d.err, err)
}

// XEP-0077 examples 8, 10, 11 and 18: the requests on a stream that is up.
func TestRequests(t *testing.T) {
	ctx := t.Context()
	contests := jid.MustParse("contests.shakespeare.lit")
	d := new(doer)
	d.reply = new(stanza.IQ)
	require.NoError(t, d.reply.DecodeElement(parse(t, `<iq type='result' id='reg3'><query xmlns='jabber:iq:register'><registered/><username>juliet</username></query></iq>`)))
	q, err := register.Get(ctx, d, contests)
	require.NoError(t, err)
	require.True(t, q.Registered)
	require.Equal(t, "juliet", q.Fields[register.Username])
	require.Equal(t, `<iq id='id1' to='contests.shakespeare.lit' type='get'><query xmlns='jabber:iq:register'/></iq>`, d.asked)

	require.NoError(t, register.Submit(ctx, d, contests, &register.Query{Form: form.New(form.Submit, register.NS)}))
	require.Equal(t, `<iq id='id1' to='contests.shakespeare.lit' type='set'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>`+
		`<field var='FORM_TYPE' type='hidden'><value>jabber:iq:register</value></field></x></query></iq>`, d.asked)

	require.NoError(t, register.ChangePassword(ctx, d, globe, "newpass"))
	require.Equal(t, `<iq id='id1' to='shakespeare.lit' type='set'><query xmlns='jabber:iq:register'>`+
		`<username>bill</username><password>newpass</password></query></iq>`, d.asked)
	d.asked = ""
	require.ErrorIs(t, register.ChangePassword(ctx, d, globe, ""), register.ErrPassword)
	require.Empty(t, d.asked)

	// §3.2: neither from nor to.
	require.NoError(t, register.Cancel(ctx, d, jid.JID{}))
	require.Equal(t, `<iq id='id1' type='set'><query xmlns='jabber:iq:register'><remove/></query></iq>`, d.asked)
}

// What comes back instead of a result.
func TestRequestsRefused(t *testing.T) {
	ctx := t.Context()
	down := &stream.ClosedError{Cause: &stream.Error{Condition: stream.NotAuthorized, Received: true}}
	require.NoError(t, register.Cancel(ctx, &doer{err: down}, jid.JID{}))
	require.ErrorIs(t, register.Cancel(ctx, &doer{err: down}, domain), net.ErrClosed)
	own := &stream.ClosedError{Cause: &stream.Error{Condition: stream.NotAuthorized}}
	require.ErrorIs(t, register.Cancel(ctx, &doer{err: own}, jid.JID{}), net.ErrClosed)
	other := &stream.ClosedError{Cause: &stream.Error{Condition: stream.SystemShutdown, Received: true}}
	require.ErrorIs(t, register.Cancel(ctx, &doer{err: other}, jid.JID{}), net.ErrClosed)
	require.ErrorIs(t, register.Submit(ctx, &doer{err: stanza.Conflict}, domain, new(register.Query)), stanza.Conflict)
	_, err := register.Get(ctx, &doer{reply: &stanza.IQ{Type: stanza.ResultIQ}}, domain)
	require.ErrorIs(t, err, register.ErrProtocol)
	_, err = register.Get(ctx, &doer{err: stanza.ServiceUnavailable}, domain)
	require.ErrorIs(t, err, stanza.ServiceUnavailable)

	// XEP-0077 examples 16 and 23.
	refusedWith := func(payload string) *doer {
		d := &doer{reply: new(stanza.IQ)}
		require.NoError(t, d.reply.DecodeElement(parse(t, `<iq type='error' id='x'>`+payload+`<error type='modify'><not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`)))
		d.err = d.reply.Error
		return d
	}
	const asks = `<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='form'><field type='text-single' var='x-mmn'><required/></field></x></query>`
	var fe *register.FormError
	for _, do := range []func(d register.Doer) error{
		func(d register.Doer) error { return register.Cancel(ctx, d, jid.JID{}) },
		func(d register.Doer) error { return register.ChangePassword(ctx, d, bill, "x") },
	} {
		err := do(refusedWith(asks))
		require.ErrorIs(t, err, stanza.NotAuthorized)
		require.ErrorAs(t, err, &fe)
		require.NotNil(t, fe.Form.Field("x-mmn"))
		require.Contains(t, err.Error(), "there is a form")
		for _, none := range []string{"", "<query xmlns='jabber:iq:register'/>", "<x xmlns='x'/>"} {
			err := do(refusedWith(none))
			require.ErrorIs(t, err, stanza.NotAuthorized)
			fe = nil
			require.False(t, errors.As(err, &fe), none)
		}
	}
}
