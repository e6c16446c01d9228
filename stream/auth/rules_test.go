package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// Who may come in, whatever the mechanism.
func TestAuthorize(t *testing.T) {
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	no := errors.New("no")
	returns := func(err error) func(context.Context, jid.JID, jid.JID) error {
		return func(context.Context, jid.JID, jid.JID) error { return err }
	}
	for name, c := range map[string]struct {
		ctx       context.Context // nil: the test's
		id        sasl.Identity
		authorize func(context.Context, jid.JID, jid.JID) error
		want      string // empty: err
		err       error
	}{
		"itself":                     {id: sasl.Identity{AuthcID: "juliet"}, want: "juliet@im.example"},
		"itself, by name":            {id: sasl.Identity{AuthcID: "juliet", AuthzID: "juliet@im.example"}, want: "juliet@im.example"},
		"another":                    {id: sasl.Identity{AuthcID: "juliet", AuthzID: "romeo@im.example"}, err: sasl.InvalidAuthzid},
		"another, allowed":           {id: sasl.Identity{AuthcID: "juliet", AuthzID: "romeo@im.example"}, authorize: returns(nil), want: "romeo@im.example"},
		"another, refused":           {id: sasl.Identity{AuthcID: "juliet", AuthzID: "romeo@im.example"}, authorize: returns(no), err: sasl.InvalidAuthzid},
		"itself, refused":            {id: sasl.Identity{AuthcID: "juliet"}, authorize: returns(no), err: sasl.NotAuthorized},
		"refused with a condition":   {id: sasl.Identity{AuthcID: "juliet"}, authorize: returns(fmt.Errorf("x: %w", &sasl.Error{Condition: sasl.AccountDisabled})), err: sasl.AccountDisabled},
		"nobody waits any more":      {ctx: ended, id: sasl.Identity{AuthcID: "juliet"}, authorize: returns(no), err: sasl.TemporaryAuthFailure},
		"another domain, allowed":    {id: sasl.Identity{AuthcID: "juliet", AuthzID: "romeo@other.example"}, authorize: returns(nil), err: sasl.InvalidAuthzid},
		"resourcepart, allowed":      {id: sasl.Identity{AuthcID: "juliet", AuthzID: "juliet@im.example/x"}, authorize: returns(nil), err: sasl.InvalidAuthzid},
		"no name":                    {id: sasl.Identity{}, authorize: returns(nil), err: sasl.TemporaryAuthFailure},
		"the store makes no account": {id: sasl.Identity{AuthcID: "juliet@im.example"}, authorize: returns(nil), err: sasl.TemporaryAuthFailure},
	} {
		t.Run(name, func(t *testing.T) {
			if c.ctx == nil {
				c.ctx = t.Context()
			}
			who, err := (&ServerOptions{Authorize: c.authorize}).authorize(c.ctx, c.id, domain)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want, who.String())
		})
	}
}

// What a callback of the program has heard on a stream of its own is not for the client.
func TestServerExchangeKeepsForeignStreamErrors(t *testing.T) {
	backend := &stream.Error{Condition: stream.Reset, Text: "db.internal is going down"}
	for _, m := range []sasl.Mechanism{scramPlus, scram, sasl.Plain()} {
		for name, c := range map[string]struct {
			err  error
			want sasl.Condition
		}{
			"refused":  {&sasl.Error{Condition: sasl.NotAuthorized, Cause: backend}, sasl.NotAuthorized},
			"deeper":   {&sasl.Error{Condition: sasl.InvalidAuthzid, Cause: fmt.Errorf("x: %w", backend)}, sasl.InvalidAuthzid},
			"anything": {fmt.Errorf("x: %w", backend), sasl.TemporaryAuthFailure},
		} {
			t.Run(m.Name+"/"+name, func(t *testing.T) {
				r := newRules(t)
				r.authorize = func(context.Context, sasl.Identity) (jid.JID, error) { return jid.JID{}, c.err }
				step := attempt(t, new(serverExchange), r, newClient(t, m, "r0m30"))
				if !m.ChannelBinding {
					requireFailure(t, c.want, step)
				} else {
					requireLast(t, c.want, step) // no stream error, above all
					require.ErrorContains(t, step.err, "db.internal")
				}
				require.Empty(t, step.reply.failure.Err.Text)
			})
		}
	}
}

// A handshake goes on after the message that used the channel binding, if the mechanism has more to say.
func TestServerExchangeBoundHandshakeGoesOn(t *testing.T) {
	one := sasl.Mechanism{Name: "X-ONE-PLUS", ChannelBinding: true}
	x, r := new(serverExchange), newRules(t)
	r.offered = append(r.offered, one)
	r.begin = func(sasl.Mechanism) (sasl.Server, error) { return endless{}, nil }
	require.True(t, x.next(t.Context(), r, frame{kind: frameAuth, mechanism: one.Name}).waiting)
	for range 3 {
		require.True(t, x.next(t.Context(), r, frame{kind: frameResponse, data: []byte("more")}).waiting)
	}
}

// What options are made of stays the caller's.
func TestServerOptionsAreCopied(t *testing.T) {
	mechs := []sasl.Mechanism{sasl.Plain(), scram, sasl.OAuthBearer()}
	secret := []byte("secret")
	o := &ServerOptions{
		Mechanisms: mechs, FakeSecret: secret,
		Bearer: func(context.Context, jid.JID, sasl.BearerToken) (jid.JID, error) { return jid.JID{}, nil },
	}
	prepared := o.prepare()
	require.Equal(t, []string{"PLAIN", "SCRAM-SHA-256", "OAUTHBEARER"}, names(mechs))
	require.Equal(t, []string{"SCRAM-SHA-256", "OAUTHBEARER"}, names(prepared.Mechanisms))
	secret[0] = 'X'
	require.Equal(t, "secret", string(prepared.FakeSecret))
}

// Names that are no accounts.
func TestNoAccounts(t *testing.T) {
	_, err := account("", domain)
	require.ErrorIs(t, err, sasl.ErrUsername)
	for _, who := range []string{"juliet@other.example", "juliet@im.example/x", "im.example"} {
		_, err := localpart(jid.MustParse(who), nil, domain)
		require.ErrorIs(t, err, errNoAccount)
		require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
	}
	no := errors.New("no")
	_, err = localpart(juliet, no, domain)
	require.Equal(t, no, err)
}

// A limiter forgets by itself, whatever it is asked first, and is then as small as it was.
func TestAttemptsForgetCompletely(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.1")
	for name, ask := range map[string]func(*Attempts) bool{
		"Allow":     func(a *Attempts) bool { return a.Allow(juliet, addr) },
		"Failed":    func(a *Attempts) bool { return a.Failed(juliet, addr) },
		"Succeeded": func(a *Attempts) bool { return a.Succeeded(juliet, addr) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := NewAttempts(nil)
				for range 5 {
					require.True(t, a.Failed(juliet, addr))
				}
				require.False(t, ask(a))
				<-time.After(15 * time.Minute)
				require.True(t, ask(a))
				if name != "Failed" {
					require.Nil(t, a.accounts.entries)
					require.Nil(t, a.addrs.entries)
					require.Zero(t, a.accounts.order.Len())
				}
			})
		})
	}
}
