package auth

import (
	"context"
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

// tally is a limiter that lets everybody in, and counts.
type tally struct{ failed, succeeded int }

func (*tally) Allow(jid.JID, netip.Addr) bool       { return true }
func (l *tally) Failed(jid.JID, netip.Addr) bool    { l.failed++; return true }
func (l *tally) Succeeded(jid.JID, netip.Addr) bool { l.succeeded++; return true }

const (
	plainAuth2 = `<authenticate` + ns2 + ` mechanism='PLAIN'><initial-response>AGp1bGlldAByMG0zMA==</initial-response></authenticate>`
	scramAuth2 = `<authenticate` + ns2 + ` mechanism='SCRAM-SHA-256'><initial-response>biwsbj1qdWxpZXQscj1hYmNkZWZnaGlqa2w=</initial-response></authenticate>`
	chooseTOTP = `<next` + ns2 + ` task='TOTP'/>`
	totpData   = `<task-data` + ns2 + `/>`
)

// tallied is newExchange2 with a limiter that counts, and a task that is done with its second message.
func tallied(t *testing.T) (*serverExchange2, *serverRules2, *tally) {
	s, r := newExchange2(*newRules(t), newStore(t), new(MemoryTokens))
	l := new(tally)
	r.limiter = l
	r.gate = &gate{limiter: heldLimiter{l}, domain: jid.MustParse("im.example")}
	r.tasks[0].Begin = func(context.Context, TaskAccount) (TaskFunc, error) {
		return func(_ context.Context, in *stream.Element, _ *stream.Writer) (bool, error) {
			if in.Name().Local == "next" {
				return false, nil
			}
			if _, ok := in.Child(stream.Name{Space: NS2, Local: "fatal"}); ok {
				return false, &stream.Error{Condition: stream.ResourceConstraint}
			}
			if _, ok := in.Child(stream.Name{Space: NS2, Local: "broken"}); ok {
				return false, context.DeadlineExceeded
			}
			return true, nil
		}, nil
	}
	return s, r, l
}

// S23: what counts as a failed attempt, and what as a success, and how the stream ends.
func TestServerExchange2Counts(t *testing.T) {
	const foreign = `<message xmlns='jabber:client'/>`
	for name, c := range map[string]struct {
		flow              []string
		failed, succeeded int
		condition         error
	}{
		"all well":                  {[]string{plainAuth2, chooseTOTP, totpData}, 0, 1, nil},
		"the password alone":        {[]string{plainAuth2}, 0, 0, nil},
		"again, in the mechanism":   {[]string{scramAuth2, scramAuth2}, 1, 0, stream.PolicyViolation},
		"again, before a task":      {[]string{plainAuth2, plainAuth2}, 1, 0, stream.NotAuthorized},
		"again, in a task":          {[]string{plainAuth2, chooseTOTP, plainAuth2}, 1, 0, stream.NotAuthorized},
		"a stanza before anything":  {[]string{foreign}, 0, 0, stream.NotAuthorized},
		"a stanza in the mechanism": {[]string{scramAuth2, foreign}, 0, 0, stream.NotAuthorized},
		"a stanza before a task":    {[]string{plainAuth2, foreign}, 1, 0, stream.NotAuthorized},
		"a stanza in a task":        {[]string{plainAuth2, chooseTOTP, foreign}, 1, 0, stream.NotAuthorized},
		"what a server sends":       {[]string{`<challenge` + ns2 + `/>`}, 0, 0, stream.UnsupportedStanzaType},
		"abort in a task":           {[]string{plainAuth2, chooseTOTP, `<abort` + ns2 + `/>`}, 1, 0, sasl.Aborted},
		"no such task":              {[]string{plainAuth2, `<next` + ns2 + ` task='HOTP'/>`}, 1, 0, sasl.MalformedRequest},
		"a task ends the stream":    {[]string{plainAuth2, chooseTOTP, `<task-data` + ns2 + `><fatal/></task-data>`}, 1, 0, stream.ResourceConstraint},
		"this side's fault":         {[]string{plainAuth2, chooseTOTP, `<task-data` + ns2 + `><broken/></task-data>`}, 0, 0, sasl.TemporaryAuthFailure},
	} {
		t.Run(name, func(t *testing.T) {
			s, r, l := tallied(t)
			var step serverStep2
			for _, xml := range c.flow {
				require.NoError(t, step.err)
				step = s.next(t.Context(), r, parse2(t, xml))
			}
			require.ErrorIs(t, step.err, c.condition)
			require.Equal(t, c.failed, l.failed)
			require.Equal(t, c.succeeded, l.succeeded)
			require.Equal(t, name == "all well", step.done)
			if c.condition == nil && !step.done {
				return
			}
			// It is over: no task goes on, or begins.
			require.Equal(t, phaseIdle, s.phase)
			for _, xml := range []string{chooseTOTP, totpData, `<response` + ns2 + `/>`} {
				again := s.next(t.Context(), r, parse2(t, xml))
				require.False(t, again.done)
				require.False(t, again.waiting)
				require.NotEqual(t, frame2TaskData, again.reply.kind)
			}
			require.Equal(t, c.succeeded, l.succeeded)
		})
	}
}

// A client that is gone has failed if a task was under way, once.
func TestServerExchange2Lost(t *testing.T) {
	for _, flow := range [][]string{nil, {scramAuth2}, {plainAuth2}, {plainAuth2, chooseTOTP}} {
		s, r, l := tallied(t)
		for _, xml := range flow {
			s.next(t.Context(), r, parse2(t, xml))
		}
		s.lost(r)
		s.lost(r)
		require.Equal(t, max(0, len(flow)-1), l.failed)
		require.Equal(t, phaseIdle, s.phase)
	}
}

// How many messages a client may send to tasks.
func TestServerExchange2Bound(t *testing.T) {
	s, r, l := tallied(t)
	r.tasks[0].Begin = func(context.Context, TaskAccount) (TaskFunc, error) {
		return func(context.Context, *stream.Element, *stream.Writer) (bool, error) { return false, nil }, nil
	}
	require.NoError(t, s.next(t.Context(), r, parse2(t, plainAuth2)).err)
	require.NoError(t, s.next(t.Context(), r, parse2(t, chooseTOTP)).err)
	for range maxTaskMessages - 1 {
		require.NoError(t, s.next(t.Context(), r, parse2(t, totpData)).err)
	}
	require.Zero(t, l.failed)
	require.ErrorIs(t, s.next(t.Context(), r, parse2(t, totpData)).err, stream.PolicyViolation)
	require.Equal(t, 1, l.failed)
}

// A limiter that has had enough when a task ends the stream: the client learns nothing of that.
func TestServerExchange2TurnsAway(t *testing.T) {
	s, r, _ := tallied(t)
	r.gate.limiter = refuser{}
	for _, xml := range []string{plainAuth2, chooseTOTP} {
		require.NoError(t, s.next(t.Context(), r, parse2(t, xml)).err)
	}
	step := s.next(t.Context(), r, parse2(t, `<task-data`+ns2+`><fatal/></task-data>`))
	require.ErrorIs(t, step.err, stream.PolicyViolation)
	require.Equal(t, sasl.TemporaryAuthFailure, step.reply.failure.Err.Condition)
	require.Equal(t, phaseIdle, s.phase)
}

// refuser is a limiter for which each failure is one too many.
type refuser struct{}

func (refuser) Allow(jid.JID, netip.Addr) bool     { return true }
func (refuser) Failed(jid.JID, netip.Addr) bool    { return false }
func (refuser) Succeeded(jid.JID, netip.Addr) bool { return true }

// Upgrades are for servers that have them: who asks another one gets none.
func TestNoUpgrades(t *testing.T) {
	s, r, _ := tallied(t)
	r.tasks, r.upgrades = nil, nil
	s.stamp = "SHA-256:x"
	f := parse2(t, plainAuth2)
	f.upgrades = []string{"UPGR-SCRAM-SHA-512"}
	require.True(t, s.next(t.Context(), r, f).done)
	// Where nothing tells which keys the password was checked with there are none either.
	s, r, _ = tallied(t)
	r.tasks, r.upgrades = nil, &upgrader{store: newStore(t), keys: nil, hashes: []sasl.Hash{sasl.SHA512}, iterations: 4096}
	require.True(t, s.next(t.Context(), r, f).done)
}

// between is a store in which something happens between two updates.
type between struct {
	MemoryTokens
	updates int
	then    func(*MemoryTokens)
	again   bool // each change is called twice, as if a transaction had to be repeated
}

func (b *between) Update(ctx context.Context, c TokenClient, change func(*ClientTokens) error) error {
	if b.updates++; b.updates == 2 && b.then != nil {
		b.then(&b.MemoryTokens)
	}
	if b.again {
		var lost ClientTokens
		_ = b.MemoryTokens.Update(ctx, c, func(t *ClientTokens) error { lost = *t; return nil })
		lost.Current.Expires = lost.Current.Expires.Add(-50 * time.Minute) // as somebody else will have changed it
		if err := change(&lost); err != nil {
			return err
		}
	}
	return b.MemoryTokens.Update(ctx, c, change)
}

// settling is an exchange in which juliet has shown her token, good for an hour.
func settling(t *testing.T, store TokenStore, memory *MemoryTokens) (*fastServer, *serverExchange2) {
	now := time.Now()
	token := StoredToken{Mechanism: "HT-SHA-256-NONE", Secret: "s3cret", Expires: now.Add(time.Hour), Stamp: "x", Tasks: "A B"}
	juliet := jid.MustParse("juliet@im.example")
	require.NoError(t, memory.Update(t.Context(), TokenClient{juliet, uuid}, func(c *ClientTokens) error { c.Current = token; return nil }))
	f := &fastServer{store: store, lifetime: time.Hour + 30*time.Minute, mechanisms: sasl.FastMechanisms()}
	s := &serverExchange2{x: &serverExchange{mechanism: sasl.HT(sasl.SHA256, "")}, own: juliet, who: juliet, token: token, stamp: token.Stamp}
	s.request.agent.ID = uuid
	return f, s
}

// XEP-0484 §3.3, §3.5: which token is issued, of which kind, and when none is.
func TestSettle(t *testing.T) {
	t.Run("taken away between the proof and success", func(t *testing.T) {
		b := &between{then: nil}
		f, s := settling(t, b, &b.MemoryTokens)
		require.NoError(t, b.Revoke(t.Context(), s.own))
		token, err := f.settle(t.Context(), s)
		require.ErrorIs(t, err, sasl.CredentialsExpired)
		require.Zero(t, token)
	})
	t.Run("a transaction that is repeated", func(t *testing.T) {
		b := &between{again: true}
		f, s := settling(t, b, &b.MemoryTokens)
		token, err := f.settle(t.Context(), s)
		require.NoError(t, err)
		require.Zero(t, token, "there was one in the transaction that was lost")
	})
	t.Run("close to its end, and another kind is asked for", func(t *testing.T) {
		m := new(MemoryTokens)
		f, s := settling(t, m, m)
		f.lifetime = 3 * time.Hour
		s.request.fast.request = "HT-SHA-256-EXPR"
		s.done = []string{"A", "B"}
		token, err := f.settle(t.Context(), s)
		require.NoError(t, err)
		require.Equal(t, "HT-SHA-256-EXPR", token.Mechanism)
		require.Equal(t, "x", token.Stamp)
		require.Equal(t, "A B", token.Tasks)
	})
	t.Run("by a password, and the store has an error of SASL", func(t *testing.T) {
		f, s := settling(t, failingTokens{}, new(MemoryTokens))
		_, err := f.settle(t.Context(), s)
		require.ErrorIs(t, err, sasl.AccountDisabled)
		s.x.mechanism = sasl.Plain()
		s.request.fast.request = "HT-SHA-256-NONE"
		token, err := f.settle(t.Context(), s)
		require.NoError(t, err)
		require.Zero(t, token)
	})
	t.Run("by a password, asking for nothing, or without a stamp", func(t *testing.T) {
		f, s := settling(t, untouched{t}, new(MemoryTokens))
		s.x.mechanism = sasl.Plain()
		token, err := f.settle(t.Context(), s)
		require.NoError(t, err)
		require.Zero(t, token)
		s.stamp, s.request.fast.request = "", "HT-SHA-256-NONE"
		token, err = f.settle(t.Context(), s)
		require.NoError(t, err)
		require.Zero(t, token)
	})
}

// failingTokens is a store with an error that a client could be told.
type failingTokens struct{ TokenStore }

func (failingTokens) Update(context.Context, TokenClient, func(*ClientTokens) error) error {
	return &sasl.Error{Condition: sasl.AccountDisabled}
}

// untouched is a store that nobody is to look into.
type untouched struct{ t *testing.T }

func (u untouched) Update(context.Context, TokenClient, func(*ClientTokens) error) error {
	u.t.Error("a token was looked for")
	return nil
}

func (untouched) Revoke(context.Context, jid.JID) error { return nil }

// Half of the lifetime is when a token is replaced, and not before.
func TestSettleBoundary(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for lifetime, issued := range map[time.Duration]bool{2 * time.Hour: false, 2*time.Hour + 2: true} {
			m := new(MemoryTokens)
			f, s := settling(t, m, m)
			f.lifetime = lifetime
			token, err := f.settle(t.Context(), s)
			require.NoError(t, err)
			require.Equal(t, issued, token.Secret != "")
		}
	})
}

// An error of a task about a stream of its own is kept away from this one, which would end with it.
func TestTaskError(t *testing.T) {
	other := &stream.Error{Condition: stream.HostUnknown}
	for _, err := range []error{
		fmt.Errorf("asking: %w", other), &sasl.Error{Condition: sasl.TemporaryAuthFailure, Text: "later", Cause: other},
	} {
		e, fatal := taskError(err)
		require.Nil(t, fatal)
		require.Equal(t, sasl.TemporaryAuthFailure, e.Condition)
		require.NotErrorAs(t, e, new(*stream.Error))
		require.ErrorContains(t, e.Cause, "host-unknown")
	}
	_, fatal := taskError(other)
	require.Equal(t, other, fatal)
}

// The keys of an account that is gone, or that cannot be read, are not those of a stamp.
func TestCheckStamp(t *testing.T) {
	store := newStore(t)
	var stamp string
	_, name, err := stampingStore{gatedStore{KeyStore: store}, &stamp}.Keys(t.Context(), "juliet", sasl.SHA256)
	require.NoError(t, err)
	require.Equal(t, "juliet", name)
	require.NoError(t, checkStamp(t.Context(), store, "juliet", stamp))
	require.ErrorIs(t, checkStamp(t.Context(), store, "juliet", stamp+"0"), sasl.CredentialsExpired)
	require.ErrorIs(t, checkStamp(t.Context(), store, "juliet", ""), sasl.CredentialsExpired)
	require.ErrorIs(t, checkStamp(t.Context(), store, "nobody", stamp), sasl.CredentialsExpired)
	err = checkStamp(t.Context(), brokenKeys{}, "juliet", stamp)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, sasl.CredentialsExpired)
	// What is not found leaves no stamp.
	stamp = ""
	_, _, err = stampingStore{gatedStore{KeyStore: store}, &stamp}.Keys(t.Context(), "nobody", sasl.SHA256)
	require.ErrorIs(t, err, sasl.ErrUnknownUser)
	require.Empty(t, stamp)
}

// brokenKeys is a store that does not answer.
type brokenKeys struct{}

func (brokenKeys) Keys(context.Context, string, sasl.Hash) (sasl.Keys, string, error) {
	return sasl.Keys{}, "", context.DeadlineExceeded
}
