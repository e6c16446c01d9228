package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

var (
	scramPlus = sasl.ScramPlus(sasl.SHA256)
	scram     = sasl.Scram(sasl.SHA256)
	juliet    = jid.MustParse("juliet@im.example")
	exporter  = sasl.Binding{Type: sasl.TLSExporter, Data: []byte("one connection and no other 32 b")}
)

// newStore returns a store with the account of juliet, password "r0m30".
func newStore(tb testing.TB) *sasl.MemoryStore {
	tb.Helper()
	s := &sasl.MemoryStore{Derive: []sasl.Hash{sasl.SHA256}, Iterations: sasl.MinIterations}
	require.NoError(tb, s.Set(tb.Context(), "juliet", "r0m30"))
	return s
}

// newRules returns the rules of a connection with TLS.
func newRules(tb testing.TB) *serverRules {
	store := newStore(tb)
	r := &serverRules{offered: []sasl.Mechanism{scramPlus, scram, sasl.Plain()}, secured: true, retries: 2}
	r.begin = func(m sasl.Mechanism) (sasl.Server, error) {
		return m.NewServer(&sasl.ServerConfig{
			Store:          store,
			Bindings:       []sasl.Binding{exporter},
			Offered:        names(r.offered),
			Secure:         true,
			FakeIterations: sasl.MinIterations,
		})
	}
	r.authorize = func(_ context.Context, id sasl.Identity) (jid.JID, error) {
		if id.AuthzID != "" {
			return jid.JID{}, &sasl.Error{Condition: sasl.InvalidAuthzid}
		}
		return jid.New(id.AuthcID, "im.example", "")
	}
	return r
}

// newClient returns the client side of a mechanism.
func newClient(tb testing.TB, m sasl.Mechanism, password string) *clientExchange {
	tb.Helper()
	cfg := &sasl.ClientConfig{Username: "juliet", Password: password, Secure: true}
	if m.ChannelBinding {
		cfg.Binding = exporter
	}
	c, err := m.NewClient(cfg)
	require.NoError(tb, err)
	return &clientExchange{mechanism: m.Name, sasl: c}
}

// attempt runs one handshake between x and a client, and returns the server's last step.
func attempt(tb testing.TB, x *serverExchange, r *serverRules, c *clientExchange) serverStep {
	tb.Helper()
	f, err := c.start(tb.Context())
	require.NoError(tb, err)
	for {
		step := x.next(tb.Context(), r, f)
		if !step.waiting {
			return step
		}
		answer := c.next(tb.Context(), step.reply)
		require.NoError(tb, answer.err)
		f = answer.reply
	}
}

// requireFailure requires a step that ends the handshake and not the stream.
func requireFailure(tb testing.TB, want sasl.Condition, step serverStep) {
	tb.Helper()
	require.NoError(tb, step.err)
	require.False(tb, step.done)
	require.False(tb, step.waiting)
	require.Equal(tb, frameFailure, step.reply.kind)
	require.Equal(tb, want, step.reply.failure.Err.Condition)
}

// requireLast requires a failure with which the stream ends too, in good order.
func requireLast(tb testing.TB, want sasl.Condition, step serverStep) {
	tb.Helper()
	require.ErrorIs(tb, step.err, want)
	var fatal *stream.Error
	require.NotErrorAs(tb, step.err, &fatal)
	step.err = nil
	requireFailure(tb, want, step)
}

// requireTurnedAway requires what a limiter that has had enough brings about.
func requireTurnedAway(tb testing.TB, step serverStep) {
	tb.Helper()
	require.ErrorIs(tb, step.err, stream.PolicyViolation)
	step.err = nil
	requireFailure(tb, sasl.TemporaryAuthFailure, step)
}

// requireFatal requires a step that ends the stream and writes nothing else.
func requireFatal(tb testing.TB, want stream.Condition, step serverStep) {
	tb.Helper()
	require.ErrorIs(tb, step.err, want)
	require.Zero(tb, step.reply.kind)
	require.False(tb, step.done)
	require.False(tb, step.waiting)
}

func TestServerExchangeSucceeds(t *testing.T) {
	for _, m := range []sasl.Mechanism{scramPlus, scram, sasl.Plain()} {
		t.Run(m.Name, func(t *testing.T) {
			x, c := new(serverExchange), newClient(t, m, "r0m30")
			step := attempt(t, x, newRules(t), c)
			require.NoError(t, step.err)
			require.True(t, step.done)
			require.Equal(t, juliet, step.who)
			require.Equal(t, frameSuccess, step.reply.kind)
			require.True(t, c.next(t.Context(), step.reply).done)
		})
	}
}

// RFC 6120 §6.3.10, §6.4.3: a client that does not send an initial response is asked for it with an
// empty challenge.
func TestServerExchangeWithoutInitialResponse(t *testing.T) {
	for _, m := range []sasl.Mechanism{scram, sasl.Plain()} {
		t.Run(m.Name, func(t *testing.T) {
			x, r, c := new(serverExchange), newRules(t), newClient(t, m, "r0m30")
			first, err := c.start(t.Context())
			require.NoError(t, err)
			step := x.next(t.Context(), r, frame{kind: frameAuth, mechanism: m.Name})
			require.True(t, step.waiting)
			require.Equal(t, frame{kind: frameChallenge, data: []byte{}}, step.reply)
			step = x.next(t.Context(), r, frame{kind: frameResponse, data: first.data})
			for step.waiting {
				step = x.next(t.Context(), r, c.next(t.Context(), step.reply).reply)
			}
			require.True(t, step.done)
			require.Equal(t, juliet, step.who)
		})
	}
}

// RFC 6120 §6.5.10: a wrong password and a name without an account look the same, at each step.
func TestServerExchangeDoesNotTellWhoExists(t *testing.T) {
	for _, m := range []sasl.Mechanism{scramPlus, scram, sasl.Plain()} {
		t.Run(m.Name, func(t *testing.T) {
			r := newRules(t)
			var outcomes []serverStep
			for _, user := range []string{"juliet", "nobody"} {
				cfg := &sasl.ClientConfig{Username: user, Password: "wrong", Secure: true}
				if m.ChannelBinding {
					cfg.Binding = exporter
				}
				c, err := m.NewClient(cfg)
				require.NoError(t, err)
				outcomes = append(outcomes, attempt(t, new(serverExchange), r, &clientExchange{mechanism: m.Name, sasl: c}))
			}
			if m.ChannelBinding {
				requireLast(t, sasl.NotAuthorized, outcomes[0])
			} else {
				requireFailure(t, sasl.NotAuthorized, outcomes[0])
			}
			require.Equal(t, outcomes[0], outcomes[1])
		})
	}
}

// RFC 6120 §6.5: what is wrong with a single element.
func TestServerExchangeConditions(t *testing.T) {
	for name, c := range map[string]struct {
		rules func(*serverRules)
		in    frame
		want  sasl.Condition
	}{
		"§6.5.1 abort before a handshake":   {in: frame{kind: frameAbort}, want: sasl.Aborted},
		"§6.5.5 auth":                       {in: frame{kind: frameAuth, mechanism: scram.Name, err: errEncoding}, want: sasl.IncorrectEncoding},
		"§6.5.7 no mechanism":               {in: frame{kind: frameAuth}, want: sasl.InvalidMechanism},
		"§6.5.7 unknown mechanism":          {in: frame{kind: frameAuth, mechanism: "CRAM-MD5"}, want: sasl.InvalidMechanism},
		"§6.5.7 case matters":               {in: frame{kind: frameAuth, mechanism: "scram-sha-256"}, want: sasl.InvalidMechanism},
		"§6.5.7 before encoding":            {in: frame{kind: frameAuth, mechanism: "X", err: errEncoding}, want: sasl.InvalidMechanism},
		"§6.5.8 element in auth":            {in: frame{kind: frameAuth, mechanism: scram.Name, err: errContent}, want: sasl.MalformedRequest},
		"§6.5.8 grammar of the mechanism":   {in: frame{kind: frameAuth, mechanism: scram.Name, data: []byte("x")}, want: sasl.MalformedRequest},
		"§6.5.8 empty initial response":     {in: frame{kind: frameAuth, mechanism: scram.Name, data: []byte{}}, want: sasl.MalformedRequest},
		"§6.5.8 response before auth (S29)": {in: frame{kind: frameResponse, data: []byte("x")}, want: sasl.MalformedRequest},
		"§6.5.4 before TLS": {
			rules: func(r *serverRules) { r.secured = false; r.offered = nil },
			in:    frame{kind: frameAuth, mechanism: scram.Name, data: []byte("n,,n=juliet,r=abc")}, want: sasl.EncryptionRequired,
		},
		"§6.5.4 before TLS, whatever it says": {
			rules: func(r *serverRules) { r.secured = false; r.offered = nil },
			in:    frame{kind: frameAuth, err: errEncoding}, want: sasl.EncryptionRequired,
		},
		"§6.5.4 this mechanism": {
			rules: func(r *serverRules) { r.offered, r.needTLS = r.offered[:2], []string{"PLAIN"} },
			in:    frame{kind: frameAuth, mechanism: "PLAIN", data: []byte("\x00juliet\x00r0m30")}, want: sasl.EncryptionRequired,
		},
		"§6.5.6 authorization identity": {
			in: frame{kind: frameAuth, mechanism: "PLAIN", data: []byte("romeo@im.example\x00juliet\x00r0m30")}, want: sasl.InvalidAuthzid,
		},
		"§6.5.11 mechanism does not start": {
			rules: func(r *serverRules) {
				r.begin = func(sasl.Mechanism) (sasl.Server, error) { return nil, errors.New("out of luck") }
			},
			in: frame{kind: frameAuth, mechanism: scram.Name}, want: sasl.TemporaryAuthFailure,
		},
	} {
		t.Run(name, func(t *testing.T) {
			x, r := new(serverExchange), newRules(t)
			if c.rules != nil {
				c.rules(r)
			}
			requireFailure(t, c.want, x.next(t.Context(), r, c.in))
			require.Equal(t, 1, x.failed)
			require.Nil(t, x.current)
		})
	}
}

// RFC 6120 §4.9.3.12, §4.9.3.24: elements that no client sends end the stream, within a handshake
// and outside.
func TestServerExchangeForeignElements(t *testing.T) {
	for name, c := range map[string]struct {
		kind frameKind
		want stream.Condition
	}{
		"challenge (S29)":          {frameChallenge, stream.UnsupportedStanzaType},
		"success":                  {frameSuccess, stream.UnsupportedStanzaType},
		"failure":                  {frameFailure, stream.UnsupportedStanzaType},
		"unknown of the namespace": {frameUnknown, stream.UnsupportedStanzaType},
		"stanza":                   {frameForeign, stream.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRules(t)
			requireFatal(t, c.want, new(serverExchange).next(t.Context(), r, frame{kind: c.kind}))

			x := new(serverExchange)
			first, err := newClient(t, scram, "r0m30").start(t.Context())
			require.NoError(t, err)
			require.True(t, x.next(t.Context(), r, first).waiting)
			requireFatal(t, c.want, x.next(t.Context(), r, frame{kind: c.kind}))
			require.Nil(t, x.current)
		})
	}
}

func TestServerExchangeAuthorizeEndsStream(t *testing.T) {
	r := newRules(t)
	r.authorize = func(context.Context, sasl.Identity) (jid.JID, error) {
		return jid.JID{}, &stream.Error{Condition: stream.InvalidFrom}
	}
	requireFatal(t, stream.InvalidFrom, attempt(t, new(serverExchange), r, newClient(t, scram, "r0m30")))
}

// What happens in the middle of a handshake.
func TestServerExchangeMidHandshake(t *testing.T) {
	begin := func(t *testing.T) (*serverExchange, *serverRules, frame) {
		x, r, c := new(serverExchange), newRules(t), newClient(t, scram, "r0m30")
		first, err := c.start(t.Context())
		require.NoError(t, err)
		step := x.next(t.Context(), r, first)
		require.True(t, step.waiting)
		return x, r, c.next(t.Context(), step.reply).reply
	}
	t.Run("§6.4.4 abort", func(t *testing.T) {
		x, r, final := begin(t)
		requireFailure(t, sasl.Aborted, x.next(t.Context(), r, frame{kind: frameAbort}))
		// The response that would have been good comes too late.
		requireFailure(t, sasl.MalformedRequest, x.next(t.Context(), r, final))
		require.Equal(t, 2, x.failed)
	})
	t.Run("§6.4.2 another auth discards the handshake", func(t *testing.T) {
		x, r, final := begin(t)
		first, err := newClient(t, scram, "r0m30").start(t.Context())
		require.NoError(t, err)
		require.True(t, x.next(t.Context(), r, first).waiting)
		require.Equal(t, 1, x.failed)
		// The answer to the first handshake proves nothing in the second.
		requireFailure(t, sasl.NotAuthorized, x.next(t.Context(), r, final))
		// And a third, complete one still works.
		require.True(t, attempt(t, x, r, newClient(t, scram, "r0m30")).done)
	})
	t.Run("§6.5.5 incorrect encoding", func(t *testing.T) {
		x, r, final := begin(t)
		requireFailure(t, sasl.IncorrectEncoding, x.next(t.Context(), r, frame{kind: frameResponse, err: errEncoding}))
		requireFailure(t, sasl.MalformedRequest, x.next(t.Context(), r, final))
	})
	t.Run("after success", func(t *testing.T) {
		x, r, final := begin(t)
		require.True(t, x.next(t.Context(), r, final).done)
		for _, kind := range []frameKind{frameResponse, frameAuth, frameAbort} {
			requireFatal(t, stream.NotAuthorized, x.next(t.Context(), r, frame{kind: kind, mechanism: scram.Name, data: final.data}))
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		step := x.next(ctx, r, frame{kind: frameAuth, mechanism: "PLAIN", data: []byte("\x00juliet\x00r0m30")})
		requireFailure(t, sasl.TemporaryAuthFailure, step)
	})
}

// RFC 6120 §6.4.5: attempts are bounded, whatever makes them fail.
func TestServerExchangeRetries(t *testing.T) {
	wrong := func(t *testing.T, x *serverExchange, r *serverRules) {
		requireFailure(t, sasl.NotAuthorized, attempt(t, x, r, newClient(t, scram, "wrong")))
	}
	for name, fail := range map[string]func(*testing.T, *serverExchange, *serverRules){
		"wrong password": wrong,
		"abort": func(t *testing.T, x *serverExchange, r *serverRules) {
			requireFailure(t, sasl.Aborted, x.next(t.Context(), r, frame{kind: frameAbort}))
		},
		"response": func(t *testing.T, x *serverExchange, r *serverRules) {
			requireFailure(t, sasl.MalformedRequest, x.next(t.Context(), r, frame{kind: frameResponse}))
		},
		"switching mechanisms": func(t *testing.T, x *serverExchange, r *serverRules) {
			m := []sasl.Mechanism{sasl.Plain(), scram, sasl.Plain()}[x.failed]
			requireFailure(t, sasl.NotAuthorized, attempt(t, x, r, newClient(t, m, "wrong")))
		},
		"abandoned": func(t *testing.T, x *serverExchange, r *serverRules) {
			first, err := newClient(t, scram, "r0m30").start(t.Context())
			require.NoError(t, err)
			require.True(t, x.next(t.Context(), r, first).waiting)
			if x.failed < r.retries {
				return
			}
			x.current = nil // the next auth would do it; here it is the last that is let in
			x.failed++
		},
		"before TLS": func(t *testing.T, x *serverExchange, r *serverRules) {
			blocked := *r
			blocked.secured = false
			requireFailure(t, sasl.EncryptionRequired, x.next(t.Context(), &blocked, frame{kind: frameAuth, mechanism: "PLAIN"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			x, r := new(serverExchange), newRules(t)
			for range 1 + r.retries {
				fail(t, x, r)
			}
			// One more ends the stream, good or not, and unseen.
			r.begin = func(sasl.Mechanism) (sasl.Server, error) { panic("looked at") }
			first, err := newClient(t, scram, "r0m30").start(t.Context())
			require.NoError(t, err)
			requireFatal(t, stream.PolicyViolation, x.next(t.Context(), r, first))
		})
	}
	t.Run("last one counts", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		for range r.retries {
			wrong(t, x, r)
		}
		require.True(t, attempt(t, x, r, newClient(t, scram, "r0m30")).done)
	})
}

// RFC 9266 §4.1: the data of a channel binding serves one mechanism instance, and the connection with
// it.
func TestServerExchangeUsesBindingOnce(t *testing.T) {
	t.Run("failed", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		requireLast(t, sasl.NotAuthorized, attempt(t, x, r, newClient(t, scramPlus, "wrong")))
		// Nor would anything else get through, if the shell let it.
		for _, m := range []sasl.Mechanism{scramPlus, scram, sasl.Plain()} {
			requireFatal(t, stream.PolicyViolation, attempt(t, x, r, newClient(t, m, "r0m30")))
		}
	})
	t.Run("refused after the proof", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		r.authorize = func(context.Context, sasl.Identity) (jid.JID, error) {
			return jid.JID{}, &sasl.Error{Condition: sasl.AccountDisabled}
		}
		requireLast(t, sasl.AccountDisabled, attempt(t, x, r, newClient(t, scramPlus, "r0m30")))
	})
	t.Run("unreadable proof", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		first, err := newClient(t, scramPlus, "r0m30").start(t.Context())
		require.NoError(t, err)
		require.True(t, x.next(t.Context(), r, first).waiting)
		requireLast(t, sasl.IncorrectEncoding, x.next(t.Context(), r, frame{kind: frameResponse, err: errEncoding}))
	})
	t.Run("failed before", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		requireFailure(t, sasl.InvalidMechanism, x.next(t.Context(), r, frame{kind: frameAuth, mechanism: "DIGEST-MD5"}))
		require.True(t, attempt(t, x, r, newClient(t, scramPlus, "r0m30")).done)
	})
	t.Run("§6.4.2 not used yet", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		first, err := newClient(t, scramPlus, "r0m30").start(t.Context())
		require.NoError(t, err)
		require.True(t, x.next(t.Context(), r, first).waiting)
		require.True(t, attempt(t, x, r, newClient(t, scramPlus, "r0m30")).done)
	})
	t.Run("§6.4.4 not used yet", func(t *testing.T) {
		x, r := new(serverExchange), newRules(t)
		first, err := newClient(t, scramPlus, "r0m30").start(t.Context())
		require.NoError(t, err)
		require.True(t, x.next(t.Context(), r, first).waiting)
		requireFailure(t, sasl.Aborted, x.next(t.Context(), r, frame{kind: frameAbort}))
		require.True(t, attempt(t, x, r, newClient(t, scram, "r0m30")).done)
	})
	// A mechanism that needs one message has used the data with it; one with more may be given up for another
	// when it has.
	one := sasl.Mechanism{Name: "X-ONE-PLUS", ChannelBinding: true}
	rules := func(t *testing.T, server sasl.Server) *serverRules {
		r := newRules(t)
		begin := r.begin
		r.offered = append(r.offered, one)
		r.begin = func(m sasl.Mechanism) (sasl.Server, error) {
			if m.Name == one.Name {
				return server, nil
			}
			return begin(m)
		}
		return r
	}
	t.Run("one message", func(t *testing.T) {
		x, r := new(serverExchange), rules(t, refusing{})
		requireLast(t, sasl.NotAuthorized, x.next(t.Context(), r, frame{kind: frameAuth, mechanism: one.Name, data: []byte("proof")}))
	})
	t.Run("given up after the proof", func(t *testing.T) {
		x, r := new(serverExchange), rules(t, endless{})
		require.True(t, x.next(t.Context(), r, frame{kind: frameAuth, mechanism: one.Name}).waiting)
		require.True(t, x.next(t.Context(), r, frame{kind: frameResponse, data: []byte("proof")}).waiting)
		requireFatal(t, stream.PolicyViolation, attempt(t, x, r, newClient(t, scram, "r0m30")))
	})
}

// S32: two profiles of SASL in one stream, after a handshake has begun in one of them.
func TestServerExchangeKeepsToOneProfile(t *testing.T) {
	for name, p := range map[string]profile{"SASL 1 first": sasl1, "SASL 2 first": sasl2} {
		other := sasl1 + sasl2 - p
		as := func(p profile, f frame) frame { f.profile = p; return f }
		good := frame{kind: frameAuth, mechanism: "PLAIN", data: []byte("\x00juliet\x00r0m30")}
		wrong := frame{kind: frameAuth, mechanism: "PLAIN", data: []byte("\x00juliet\x00wrong")}
		t.Run(name+"/failed", func(t *testing.T) {
			x, r := new(serverExchange), newRules(t)
			requireFailure(t, sasl.NotAuthorized, x.next(t.Context(), r, as(p, wrong)))
			requireFailure(t, sasl.MalformedRequest, x.next(t.Context(), r, as(other, good)))
			require.Equal(t, 2, x.failed) // attempts of both count together
			require.True(t, x.next(t.Context(), r, as(p, good)).done)
		})
		t.Run(name+"/under way", func(t *testing.T) {
			for _, f := range []frame{good, {kind: frameResponse, data: []byte("x")}, {kind: frameAbort}} {
				x, r, c := new(serverExchange), newRules(t), newClient(t, scram, "r0m30")
				first, err := c.start(t.Context())
				require.NoError(t, err)
				step := x.next(t.Context(), r, as(p, first))
				require.True(t, step.waiting)
				requireFailure(t, sasl.MalformedRequest, x.next(t.Context(), r, as(other, f)))
				require.Nil(t, x.current)
				// What would have been right is too late in either.
				final := c.next(t.Context(), step.reply).reply
				requireFailure(t, sasl.MalformedRequest, x.next(t.Context(), r, as(p, final)))
			}
		})
		t.Run(name+"/nothing begun", func(t *testing.T) {
			x, r := new(serverExchange), newRules(t)
			requireFailure(t, sasl.InvalidMechanism, x.next(t.Context(), r, as(p, frame{kind: frameAuth, mechanism: "X"})))
			require.True(t, x.next(t.Context(), r, as(other, good)).done)
		})
		t.Run(name+"/bound", func(t *testing.T) {
			x, r := new(serverExchange), newRules(t)
			for range 1 + r.retries {
				requireFailure(t, sasl.NotAuthorized, x.next(t.Context(), r, as(p, wrong)))
			}
			requireFatal(t, stream.PolicyViolation, x.next(t.Context(), r, as(other, good)))
		})
	}
}

// endless is a mechanism that never comes to an end.
type endless struct{ sasl.Server }

func (endless) Next(context.Context, []byte) ([]byte, bool, error) {
	return []byte("go on"), false, nil
}

// refusing is a mechanism that lets nobody in.
type refusing struct{ sasl.Server }

func (refusing) Next(context.Context, []byte) ([]byte, bool, error) {
	return nil, false, &sasl.Error{Condition: sasl.NotAuthorized}
}
