package command

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// The session of somebody else, or of another responder, is no session.
func TestForeignSession(t *testing.T) {
	r := newResponder()
	l := newLoopback(t, requester, r)
	e, err := Execute(t.Context(), l, responder, "config")
	require.NoError(t, err)
	wire := command("node='config' action='cancel' sessionid='"+e.Response.SessionID+"'", "")
	for _, from := range []string{"requester@domain", "requester@domain/other", "romeo@montague.net/home", "domain"} {
		l.from = jid.MustParse(from)
		_, c := l.raw(wire)
		require.Equal(t, BadSessionID, c, from)
	}
	other := newLoopback(t, requester, newResponder())
	other.mux.Fallback(nil)
	_, c := other.raw(command("node='list'", ""))
	require.Empty(t, c)
	_, c = other.raw(wire)
	require.Equal(t, BadSessionID, c)
	l.from = requester
	_, c = l.raw(wire)
	require.Empty(t, c)
}

// Sessions end when nobody uses them, by the clock that is given.
func TestExpiry(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := newResponder()
	r.Now = func() time.Time { return now }
	r.Lifetime = time.Minute
	l := newLoopback(t, requester, r)
	e, err := Execute(t.Context(), l, responder, "config")
	require.NoError(t, err)
	now = now.Add(59 * time.Second)
	require.ErrorIs(t, e.Next(t.Context(), nil), BadPayload) // using it counts
	now = now.Add(59 * time.Second)
	require.ErrorIs(t, e.Next(t.Context(), nil), BadPayload)
	now = now.Add(time.Minute)
	require.ErrorIs(t, e.Next(t.Context(), nil), SessionExpired)
	require.Len(t, r.table.sessions, 1)
	_, err = Execute(t.Context(), l, responder, "config") // removes what has expired
	require.NoError(t, err)
	require.Len(t, r.table.sessions, 1)
}

// The bounds: of an account, and of all.
func TestBounds(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := newResponder()
	r.Now = func() time.Time { now = now.Add(time.Second); return now }
	r.PerAccount, r.Sessions = 2, 5
	l := newLoopback(t, requester, r)
	var first *Execution
	for i := range 4 { // from several resources
		l.from, _ = requester.WithResource(strings.Repeat("x", i+1))
		e, err := Execute(t.Context(), l, responder, "config")
		require.NoError(t, err)
		if i == 0 {
			first = e
		}
	}
	require.Len(t, r.table.sessions, 2)
	l.from, _ = requester.WithResource("x")
	require.ErrorIs(t, first.Cancel(t.Context()), SessionExpired)
	for _, account := range []string{"a@domain/1", "b@domain/1", "c@domain/1"} {
		l.from = jid.MustParse(account)
		_, err := Execute(t.Context(), l, responder, "config")
		require.NoError(t, err)
	}
	l.from = jid.MustParse("d@domain/1")
	_, err := Execute(t.Context(), l, responder, "config")
	require.ErrorIs(t, err, stanza.ResourceConstraint)
	l.from = jid.MustParse("a@domain/1") // also for who could make room: that is not counted twice
	_, err = Execute(t.Context(), l, responder, "config")
	require.ErrorIs(t, err, stanza.ResourceConstraint)
	_, err = Execute(t.Context(), l, responder, "list") // needs no room
	require.NoError(t, err)
	require.Len(t, r.table.sessions, 5)
}

// A session does one thing at a time, and a request of its own does not hang it.
func TestBusy(t *testing.T) {
	var l *loopback
	var inner Condition
	var cond stanza.Condition
	r := &Responder{PerAccount: 1, Commands: []Command{{Node: "c", Allowed: Anybody, Run: func(_ context.Context, s *Session) error {
		if s.Stage == 0 {
			s.Ask(nil, Actions{Next: true})
			return nil
		}
		id := ""
		for id = range s.Value.(*Responder).table.sessions {
		}
		cond, inner = l.raw(command("node='c' action='cancel' sessionid='"+id+"'", ""))
		require.Equal(l.t, stanza.UnexpectedRequest, cond)
		cond, inner = l.raw(command("node='c'", ""))
		return nil
	}}}}
	run := r.Commands[0].Run
	r.Commands[0].Run = func(ctx context.Context, s *Session) error {
		if s.Stage == 0 {
			s.Value = r
		}
		return run(ctx, s)
	}
	l = newLoopback(t, requester, r)
	e, err := Execute(t.Context(), l, responder, "c")
	require.NoError(t, err)
	other := *l // whose reply is not that of the request inside
	e.d = &other
	require.NoError(t, e.Next(t.Context(), nil))
	require.Equal(t, stanza.ResourceConstraint, cond) // the only session is busy
	require.Empty(t, inner)
	require.Empty(t, r.table.sessions)
}

// Identifiers are long, never the same, and bound to what they were made for.
func TestID(t *testing.T) {
	k, k2 := newKey(), newKey()
	o := owner{requester, responder, "config"}
	seen := make(map[string]bool)
	for range 1000 {
		id := k.newID(o)
		require.Len(t, id, 43)
		require.False(t, seen[id])
		seen[id] = true
		require.True(t, k.made(id, o))
		require.False(t, k2.made(id, o))
		require.False(t, k.made(id, owner{responder, requester, "config"}))
		require.False(t, k.made(id+"A", o))
		require.False(t, k.made(id[:42]+"!", o))
	}
}
