package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

func handler(f func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error) func(*xmpp.Server) {
	return func(s *xmpp.Server) { s.Handler = stanza.HandlerFunc(f) }
}

const ask = `<iq type='get' id='1' to='xmpp.test'><q xmlns='urn:q'/></iq>`

var query = raw("<q xmlns='urn:q'/>")

//conformance:proves 6120-8.1.2.1-2 6120-8.1.2.1-4 6120-10.5.1-1 6120-10.5.2-1
func TestHandlerGetsWhatIsForTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := make(chan stanza.Head, 10)
		s := memoryServer(t, handler(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
			got <- st.Head()
			return stanza.NotAllowed
		}))
		romeo := join(t, s, "romeo", "orchard")
		for _, to := range []string{"xmpp.test", "xmpp.test/admin", "romeo@xmpp.test", ""} {
			attr, from := "", "-"
			if to != "" {
				attr, from = ` to='`+to+`'`, to
			}
			romeo.say(`<iq type='set' id='1' from='romeo@xmpp.test'` + attr + `><q xmlns='urn:q'/></iq>`)
			romeo.hears("iq error " + from + "→romeo@xmpp.test/orchard 1 not-allowed")
			require.Equal(t, romeo.LocalAddr(), (<-got).From, "the full JID, whatever the client wrote")
		}
		romeo.say(`<message to='xmpp.test' id='2'/>`)
		romeo.hears("message error xmpp.test→romeo@xmpp.test/orchard 2 not-allowed")
		romeo.say(`<presence to='xmpp.test' type='error'/>`)
		romeo.quiet()
	})
}

//conformance:proves 6120-8.2.3-6 6120-8.4-12 6120-10.3.3-5 6120-10.5.1-1
func TestServerWithoutHandlerRFC6120Section10_5_1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Handler = nil })
		romeo := join(t, s, "romeo", "orchard")
		for _, xml := range []string{
			ask, `<iq type='set' id='1' to='xmpp.test'><q xmlns='urn:q'/></iq>`,
			`<message id='1' to='xmpp.test'/>`, `<message id='1' to='xmpp.test' type='headline'/>`,
		} {
			romeo.say(xml)
			require.Contains(t, look(romeo.hear()), " error xmpp.test→romeo@xmpp.test/orchard 1 service-unavailable", xml)
		}
		for _, xml := range []string{
			`<presence to='xmpp.test'/>`, `<message to='xmpp.test' type='error'/>`, `<iq type='result' id='1' to='xmpp.test'/>`,
			`<iq type='result' id='1'/>`, `<iq type='error' id='1'/>`,
		} {
			romeo.say(xml)
		}
		romeo.quiet()
	})
}

//conformance:proves 6120-8.1.2.1-3 6120-8.2.3-4 6120-8.4-12 6120-10.3.3-2
func TestPingAndUnroutedRequests(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil) // a Mux with ping.Responder
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<iq type='get' id='1' to='xmpp.test'><ping xmlns='urn:xmpp:ping'/></iq>`)
		romeo.hears("iq result xmpp.test→romeo@xmpp.test/orchard 1")
		romeo.say(`<iq type='get' id='2'><ping xmlns='urn:xmpp:ping'/></iq>`)
		require.Equal(t, "2", romeo.hear().Attr("id"))
		romeo.say(ask)
		romeo.hears("iq error xmpp.test→romeo@xmpp.test/orchard 1 service-unavailable")
	})
}

func TestHandlerPanicCostsTheRequestOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var log records
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Logger = log.logger()
			s.Handler = stanza.HandlerFunc(func(context.Context, stanza.Sender, stanza.Stanza) error { panic("oops") })
		})
		romeo := join(t, s, "romeo", "orchard")
		for range 2 {
			romeo.say(ask)
			romeo.hears("iq error xmpp.test→romeo@xmpp.test/orchard 1 internal-server-error")
		}
		require.Contains(t, log.String(), "oops")
	})
}

// What the program supplies runs during negotiation too. A panic there ends that
// connection, and neither the server nor the program.
func TestPanicsDuringNegotiation(t *testing.T) {
	for name, configure := range map[string]func(*xmpp.Server){
		"Accounts": func(s *xmpp.Server) { s.Accounts = panickingAccounts{s.Accounts} },
		"Conflict": func(s *xmpp.Server) {
			s.Conflict = func(context.Context, jid.JID) xmpp.ConflictPolicy { panic("oops") }
		},
		"Trace": func(s *xmpp.Server) { s.Trace = func(net.Conn) *stream.Trace { panic("oops") } },
		"hook": func(s *xmpp.Server) {
			s.Trace = func(net.Conn) *stream.Trace {
				return &stream.Trace{Bound: func(jid.JID) { panic("oops") }}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var log records
				s := memoryServer(t, func(s *xmpp.Server) {
					s.Logger = log.logger()
					configure(s)
				})
				account := s.AddAccount(t, "juliet", "secret")
				if name == "Conflict" {
					c := s.Client(account, "secret")
					c.JID, _ = account.WithResource("balcony")
					_, err := c.Connect(t.Context())
					require.NoError(t, err)
				}
				for range 2 {
					w := dialWire(t, s)
					c := s.Client(account, "secret")
					c.JID, _ = account.WithResource("balcony")
					conn, err := c.ConnectOn(t.Context(), w)
					if err == nil {
						// Bound is reported when the client knows already.
						<-conn.Done()
					}
				}
				synctest.Wait()
				require.Contains(t, log.String(), "oops")
				require.Contains(t, log.String(), "goroutine", "with a stack")
			})
		})
	}
}

type panickingAccounts struct{ xmpp.Accounts }

func (panickingAccounts) Keys(context.Context, jid.JID, sasl.Hash) (sasl.Keys, error) { panic("oops") }

func TestHandlerSendsToOthers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		notice := &stanza.Message{To: address("juliet@xmpp.test/balcony"), Body: stanza.Plain("news")}
		s := memoryServer(t, handler(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
			if st.Kind() != stanza.MessageKind {
				return nil
			}
			if err := s.Send(ctx, notice); err != nil {
				return err
			}
			if err := s.Send(ctx, &stanza.Presence{To: notice.To, From: address("room@xmpp.test/x")}); err != nil {
				return err
			}
			if err := s.Send(ctx, &stanza.IQ{ID: "q", Type: stanza.GetIQ, To: notice.To, Payload: query}); err != nil {
				return err
			}
			if err := s.Send(ctx, nil); !errors.Is(err, stanza.ErrInvalid) {
				return fmt.Errorf("nil: %w", err)
			}
			return s.Send(ctx, &stanza.Message{Body: stanza.Plain("done")})
		}))
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		romeo.say(`<message to='xmpp.test'/>`)
		romeo.hears("message - -→- -")
		juliet.hears("message - xmpp.test→juliet@xmpp.test/balcony -")
		juliet.hears("presence - room@xmpp.test/x→juliet@xmpp.test/balcony -")
		juliet.hears("iq get xmpp.test→juliet@xmpp.test/balcony q")
		require.True(t, notice.From.IsZero(), "the stanza is the handler's own and stays as it is")

		require.NoError(t, juliet.Close(t.Context()))
		synctest.Wait()
		romeo.say(`<message to='xmpp.test' id='1'/>`)
		romeo.hears("message error xmpp.test→romeo@xmpp.test/orchard 1 service-unavailable")
	})
}

func TestDoFromAHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got *stanza.IQ
		s := memoryServer(t, handler(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
			reply, err := s.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: address("juliet@xmpp.test/balcony"), Payload: query})
			got = reply
			return err
		}))
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		nurse := join(t, s, "nurse", "kitchen")

		romeo.say(ask)
		q := juliet.hear()
		require.Equal(t, "xmpp.test", q.Attr("from"))
		id := q.Attr("id")
		require.GreaterOrEqual(t, len(id), 16, "hard to guess")
		// Somebody else's answer, one to another question, and one of a wrong kind
		// of stanza settle nothing.
		nurse.say(`<iq type='result' id='` + id + `' to='xmpp.test'/>`)
		juliet.say(`<iq type='result' id='x` + id + `' to='xmpp.test'/>`)
		juliet.say(`<message id='` + id + `' to='romeo@xmpp.test/orchard'/>`)
		require.Equal(t, "message", romeo.hear().Name().Local)
		romeo.quiet()
		juliet.say(`<iq type='result' id='` + id + `' to='xmpp.test'><a xmlns='urn:a'/></iq>`)
		romeo.hears("iq error xmpp.test→romeo@xmpp.test/orchard 1 service-unavailable") // the handler said nothing
		require.Equal(t, juliet.LocalAddr(), got.From)
		require.Equal(t, "a", got.Element().Name().Local)
		// Once more, with an error and without a to.
		romeo.say(ask)
		id = juliet.hear().Attr("id")
		juliet.say(`<iq type='error' id='` + id + `'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`)
		romeo.hears("iq error xmpp.test→romeo@xmpp.test/orchard 1 gone")
		juliet.say(`<iq type='result' id='` + id + `'/>`) // late
		juliet.quiet()
		romeo.quiet()
	})
}

func TestDoFailsAtOnceWhenTheAskedGoesAway(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, s *xmpptest.Server, p *peer){
		"closes":   func(t *testing.T, _ *xmpptest.Server, p *peer) { require.NoError(t, p.Close(t.Context())) },
		"vanishes": func(_ *testing.T, _ *xmpptest.Server, p *peer) { p.Abort(errors.New("gone")) },
		"evicted":  func(t *testing.T, s *xmpptest.Server, _ *peer) { join(t, s, "juliet", "balcony") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				errs := make(chan error, 1)
				s := memoryServer(t, handler(func(ctx context.Context, s stanza.Sender, _ stanza.Stanza) error {
					_, err := s.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: address("juliet@xmpp.test/balcony"), Payload: query})
					errs <- err
					return err
				}))
				romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
				start := time.Now()
				romeo.say(ask)
				juliet.hear()
				leave(t, s, juliet)
				require.ErrorIs(t, <-errs, stanza.RecipientUnavailable)
				require.Less(t, time.Since(start), time.Second)
				romeo.hears("iq error xmpp.test→romeo@xmpp.test/orchard 1 recipient-unavailable")
			})
		})
	}
}

func TestDoRefusals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var errs []error
		s := memoryServer(t, handler(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
			for _, iq := range []*stanza.IQ{
				nil,
				{Type: stanza.ResultIQ, ID: "1", To: address("juliet@xmpp.test/balcony")},
				{Type: stanza.GetIQ, To: st.Head().From, Payload: query},
				{Type: stanza.GetIQ, Payload: query},
				{Type: stanza.GetIQ, To: address("juliet@xmpp.test/nowhere"), Payload: query},
				{Type: stanza.GetIQ, To: address("juliet@xmpp.test"), Payload: query},
				{Type: stanza.GetIQ, To: address("juliet@xmpp.test/balcony")},
			} {
				_, err := s.Do(ctx, iq)
				errs = append(errs, err)
			}
			return nil
		}))
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		start := time.Now()
		romeo.say(ask)
		romeo.hear()
		require.Zero(t, time.Since(start))
		require.ErrorIs(t, errs[0], stanza.ErrInvalid)
		require.ErrorIs(t, errs[1], stanza.ErrInvalid)
		require.ErrorContains(t, errs[2], "cannot wait")
		require.ErrorContains(t, errs[3], "cannot wait")
		require.ErrorIs(t, errs[4], stanza.RecipientUnavailable)
		require.ErrorIs(t, errs[5], stanza.RecipientUnavailable)
		require.ErrorIs(t, errs[6], stanza.ErrInvalid)
		juliet.quiet()
	})
}

// Two clients whose handlers ask each other wait for each other. It must not be
// for ever, and nobody else may notice.
func TestDoOfTwoHandlersAskingEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, handler(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
			to := address("juliet@xmpp.test/balcony")
			if st.Head().From == to {
				to = address("romeo@xmpp.test/orchard")
			}
			_, err := s.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: to, Payload: query})
			return err
		}))
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		start := time.Now()
		romeo.say(ask)
		juliet.say(ask)
		for _, p := range []*peer{romeo, juliet} {
			id := p.hear().Attr("id")
			p.say(`<iq type='result' id='` + id + `'/>`)
		}
		nurse := join(t, s, "nurse", "kitchen")
		nurse.say(`<message to='nurse@xmpp.test/kitchen' id='1'/>`)
		require.Equal(t, "1", nurse.hear().Attr("id"))
		require.Zero(t, time.Since(start))
		// The first to give up hears its client again, whose answer may help the
		// other.
		for _, p := range []*peer{romeo, juliet} {
			require.Contains(t, look(p.hear()), "iq error xmpp.test→"+p.LocalAddr().String()+" 1 ")
		}
		require.Equal(t, 30*time.Second, time.Since(start))
	})
}

func TestDoIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var errs []error
		s := memoryServer(t, handler(func(ctx context.Context, s stanza.Sender, _ stanza.Stanza) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			results := make(chan error, 2000)
			for range 1024 {
				go func() {
					_, err := s.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: address("juliet@xmpp.test/balcony"), Payload: query})
					results <- err
				}()
			}
			synctest.Wait()
			_, err := s.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, To: address("juliet@xmpp.test/balcony"), Payload: query})
			errs = append(errs, err)
			cancel()
			for range 1024 {
				errs = append(errs, <-results)
			}
			return nil
		}))
		romeo, _ := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		synctest.Wait() // what can be held for a session that is about to begin is less
		romeo.say(ask)
		romeo.hear()
		require.ErrorIs(t, errs[0], stanza.ErrTooManyRequests)
		require.ErrorIs(t, errs[1024], context.Canceled)
	})
}

// A handler's context ends with the session whose stanza it handles.
func TestHandlerContextEndsWithTheSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inside, over := make(chan struct{}), make(chan error, 1)
		s := memoryServer(t, handler(func(ctx context.Context, _ stanza.Sender, _ stanza.Stanza) error {
			close(inside)
			<-ctx.Done()
			over <- context.Cause(ctx)
			return nil
		}))
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(ask)
		<-inside
		join(t, s, "romeo", "orchard") // replaces it
		require.ErrorIs(t, <-over, stream.ErrCloseTimeout)
		require.Error(t, romeo.ended())
	})
}

// adversarialL07: one client floods another that does not read. The queue is
// bounded, what does not fit stays out, a reader that takes nothing for a minute is
// cut, and nobody else notices. A flood alone is the end of nobody's session.
func adversarialL07(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const limit = 512 << 10
		var log records
		s := memoryServer(t, func(s *xmpp.Server) {
			allowPlain(s)
			s.Logger = log.logger()
			s.Limits = &stream.Limits{OutboundBytes: limit}
			// The queue is to be seen at work, not what slows the attacker down.
			s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
			s.Liveness = stream.Liveness{Soft: -1, Hard: -1} // these peers answer no pings
		})
		attacker, nurse, friar := join(t, s, "romeo", "orchard"), join(t, s, "nurse", "kitchen"), join(t, s, "friar", "cell")
		victim := dialWire(t, s)
		victim.login("juliet", "balcony", "") // and never reads again
		synctest.Wait()
		base := runtime.NumGoroutine()
		var before runtime.MemStats
		runtime.ReadMemStats(&before)

		n := scaled(10_000, 1_000_000)
		status := strings.Repeat("x", 100)
		for i := range n {
			attacker.say(`<message type='error' to='juliet@xmpp.test/balcony'><body>` + status + `</body></message>`)
			if i%(n/10) != 0 {
				continue
			}
			nurse.say(`<message to='friar@xmpp.test/cell' id='1'/>`)
			require.Equal(t, "1", friar.hear().Attr("id"), "others go on")
			synctest.Wait()
			require.LessOrEqual(t, runtime.NumGoroutine(), base+3)
		}
		var after runtime.MemStats
		runtime.ReadMemStats(&after)
		require.Less(t, int64(after.HeapAlloc)-int64(before.HeapAlloc), int64(32<<20), "what was queued is bounded")
		synctest.Wait()
		attacker.say(`<message to='juliet@xmpp.test/balcony' id='more'/>`)
		attacker.hears("message error juliet@xmpp.test/balcony→romeo@xmpp.test/orchard more resource-constraint")
		require.NotContains(t, log.String(), "session ended")
		<-time.After(2 * time.Minute)
		require.Contains(t, log.String(), "session ended")
		// The victim's connection is gone, after what was on its way.
		require.Less(t, len(victim.rest()), 2*limit)
		// Its address is free again.
		join(t, s, "juliet", "balcony")
		attacker.say(`<message to='friar@xmpp.test/cell' id='2'/>`)
		require.Equal(t, "2", friar.hear().Attr("id"), "nobody but the one that does not read is cut")
	})
}

// A client that does not read what it asks for waits for itself: reading from it
// stops, and nothing piles up.
func TestFloodOfOwnAnswersIsBackPressure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) {
			allowPlain(s)
			s.Limits = &stream.Limits{ElementBytes: 10_000, OutboundBytes: 20_000}
		})
		w := dialWire(t, s)
		w.login("romeo", "orchard", "")
		require.NoError(t, w.SetDeadline(time.Time{}))
		written := make(chan int, 1)
		go func() {
			n := 0
			for {
				b, err := w.Write([]byte(`<message to='other.example' id='1'/>`))
				n += b
				if err != nil {
					written <- n
					return
				}
			}
		}()
		// The server gives up on the write after a minute without progress.
		select {
		case n := <-written:
			require.Less(t, n, 1<<20)
		case <-time.After(3 * time.Minute):
			require.Fail(t, "the server still reads")
		}
	})
}
