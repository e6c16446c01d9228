package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

const requestExpr = `<user-agent id='` + agent1 + `'/><request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-EXPR'/>`

// S30: a login that began with the old password is over after it was changed. The token that it gets
// is no better than that password: it must not be one of the account with the new password.
func TestTokenOfAnOldPassword(t *testing.T) {
	for _, stage := range []string{"during the mechanism", "during a task"} {
		t.Run(stage, func(t *testing.T) {
			w := newWorld(t)
			change := func() { require.NoError(t, w.accounts.Set(t.Context(), "juliet", "a new one")) }
			if stage == "during a task" {
				w.so.SASL2.Tasks = []auth.Task{codeTask("TOTP", "1")}
				w.co.SASL2.Tasks = []auth.ClientTask{{Name: "TOTP", Begin: func(ctx context.Context, text string) (auth.TaskFunc, error) {
					change()
					return codeClient("TOTP", "1").Begin(ctx, text)
				}}}
			} else {
				w.co.Password = ""
				w.co.GetPassword = func(context.Context) (string, error) { return "r0m30", nil }
				w.so.Authorize = func(context.Context, jid.JID, jid.JID) error { change(); return nil }
			}
			w.login()
			require.NotEmpty(t, w.known().Token.Token)
			w.so.Authorize = nil
			_, err := w.failing()
			require.ErrorIs(t, err, auth.ErrTokenRefused)
			require.ErrorIs(t, err, sasl.CredentialsExpired)
		})
	}
}

// S33: a token stands for the tasks that were done for it, and for no others: who has switched on a
// second factor has locked out whoever had the password alone (XEP-0484 §4.2).
func TestTokenAndTasks(t *testing.T) {
	w := newWorld(t)
	needed := false
	boom := errors.New("boom")
	var failing error
	totp := codeTask("TOTP", "1")
	totp.Required = func(_ context.Context, a auth.TaskAccount) (bool, error) {
		require.Equal(t, juliet, a.Account)
		require.Equal(t, agent1, a.Agent.ID)
		return needed, nil
	}
	w.so.SASL2.Tasks, w.co.SASL2.Tasks = []auth.Task{totp}, []auth.ClientTask{codeClient("TOTP", "1")}
	w.login()
	require.Equal(t, "HT-SHA-256-EXPR", w.login().client)

	needed = true
	_, err := w.failing()
	require.ErrorIs(t, err, auth.ErrTokenRefused)
	require.ErrorIs(t, err, sasl.CredentialsExpired)
	r := w.login()
	require.Equal(t, "SCRAM-SHA-256-PLUS", r.client)
	require.Contains(t, r.wire, "task='TOTP'")
	require.Equal(t, "TOTP", w.slots().New.Tasks)

	// That one has the task done.
	require.Equal(t, "HT-SHA-256-EXPR", w.login().client)
	// So has what it is replaced by.
	p, _ := connect2(t, &w.so)
	token := w.known().Token.Token
	exporter := string(tls13().Bindings[sasl.TLSExporter])
	p.send(begin2("HT-SHA-256-EXPR", "juliet\x00"+ht(token, "Initiator", exporter), `<fast xmlns='urn:xmpp:fast:0'/>`+requestExpr))
	require.Contains(t, p.expect("</success>"), "<token")
	require.Equal(t, "TOTP", w.slots().New.Tasks)

	// Whether there is more to do is not known: nobody is let in, and the token is not held against it.
	w.so.SASL2.Tasks = append(w.so.SASL2.Tasks, auth.Task{Name: "HOTP", Begin: totp.Begin, Required: func(_ context.Context, a auth.TaskAccount) (bool, error) {
		require.Equal(t, []string{"TOTP"}, a.Done)
		require.Equal(t, "HT-SHA-256-EXPR", a.Mechanism)
		return false, failing
	}})
	failing = boom
	_, err = w.failing()
	require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
	require.Equal(t, token, w.known().Token.Token)
	failing = nil
	require.Equal(t, "HT-SHA-256-EXPR", w.login().client)
}

// A count is used once, even where the client cannot remember that: it does without one then, rather
// than be locked out by a store that is full.
func TestTokenWithoutAMemory(t *testing.T) {
	w := newWorld(t)
	w.login()
	full := &readOnly{CredentialStore: w.credentials}
	w.co.Credentials = full
	for range 2 {
		r := w.login()
		require.Equal(t, "HT-SHA-256-EXPR", r.client)
		require.NotContains(t, r.wire, "count=")
	}
	require.Zero(t, w.known().Token.Count)
	// What cannot be loaded once more is not counted either.
	full.loads, full.saves = 1, true
	r := w.login()
	require.Equal(t, "HT-SHA-256-EXPR", r.client)
	require.NotContains(t, r.wire, "count=")
}

// readOnly is a store that cannot save, and that can load a number of times if loads is not zero.
type readOnly struct {
	auth.CredentialStore
	loads, loaded int
	saves         bool
}

func (s *readOnly) Load(ctx context.Context, account jid.JID) (auth.Credentials, error) {
	if s.loads > 0 {
		if s.loaded++; s.loaded > s.loads {
			c, err := s.CredentialStore.Load(ctx, account)
			return c, errors.Join(err, errors.New("gone"))
		}
	}
	return s.CredentialStore.Load(ctx, account)
}

func (s *readOnly) Save(ctx context.Context, account jid.JID, c auth.Credentials) error {
	if s.saves {
		return s.CredentialStore.Save(ctx, account, c)
	}
	return errors.New("disk full")
}

// Another stream has got another token meanwhile: it is not counted up for the use of this one.
func TestCountOfAnotherToken(t *testing.T) {
	w := newWorld(t)
	w.login()
	w.co.Credentials = &replacing{CredentialStore: w.credentials}
	r := w.login()
	require.Equal(t, "HT-SHA-256-EXPR", r.client)
	require.NotContains(t, r.wire, "count=")
	require.Equal(t, auth.FastToken{Mechanism: "HT-SHA-256-EXPR", Token: "another"}, w.known().Token)
}

// replacing is a store in which the token is another one after the first look.
type replacing struct {
	auth.CredentialStore
	looked bool
}

func (s *replacing) Load(ctx context.Context, account jid.JID) (auth.Credentials, error) {
	c, err := s.CredentialStore.Load(ctx, account)
	if s.looked {
		c.Token = auth.FastToken{Mechanism: "HT-SHA-256-EXPR", Token: "another"}
		err = errors.Join(err, s.CredentialStore.Save(ctx, account, c))
	}
	s.looked = true
	return c, err
}

// The address of a session is a full JID: revoking the tokens of that means those of its account.
func TestRevokeOfASession(t *testing.T) {
	w := newWorld(t)
	w.login()
	require.NoError(t, w.tokens.Revoke(t.Context(), jid.MustParse("juliet@im.example/balcony")))
	require.Zero(t, w.tokens.Len())
}

// S22: what a client puts into an <authenticate/> the way of the other profile is its password too.
func TestMisplacedPasswordIsNotTraced(t *testing.T) {
	var seen []string
	ao := server2With(&auth.ServerOptions{Store: store(t), AllowPlain: true})
	ao.Trace = &stream.Trace{XMLReceived: func(b []byte) { seen = append(seen, string(b)) }}
	p, done := scriptedClient(t, ao)
	p.send(clientHeader)
	p.expect("</stream:features>")
	secret := b64("\x00juliet\x00r0m30")
	p.send(`<authenticate` + xmlns2 + ` mechanism='PLAIN'>` + secret + `</authenticate>`)
	p.expect("<challenge")
	p.send(closing)
	p.end(done)
	require.NotContains(t, strings.Join(seen, "\n"), secret)
	require.Contains(t, strings.Join(seen, "\n"), "<authenticate")
}
