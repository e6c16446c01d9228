package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// A name that is bound while its session could be resumed: the session is over
// (RFC 6120 §7.7.2.2), and what it did not acknowledge waits for the newcomer, in
// order.
func TestBindingTheNameOfALostSession(t *testing.T) {
	for _, lost := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			d := newDiary()
			s, srv := serverOf(t, func(s *xmpp.Server) {
				s.Rosters = known(t, juliet, "romeo@xmpp.test")
				s.Modules = append(s.Modules, d)
				patient(s)
			})
			romeo := join(t, s, "romeo", "orchard")
			romeo.say(`<presence/>`)
			c := roam(t, s, "juliet", "balcony")
			c.say(`<presence/>`)
			romeo.bodies()
			if lost {
				c.cut()
			} else {
				c.deafen()
			}
			for i := range 20 {
				to := juliet
				if i%2 == 1 {
					to = balcony
				}
				romeo.chat(to, fmt.Sprint(i))
			}
			synctest.Wait()
			newcomer := join(t, s, "juliet", "balcony")
			require.Equal(t, address(balcony), newcomer.LocalAddr())
			<-time.After(time.Minute) // a client that does not read is not waited for longer
			require.Equal(t, []string{"presence unavailable " + balcony + "→romeo@xmpp.test -"}, romeo.bodies())
			newcomer.say(`<presence/>`)
			got := newcomer.bodies()
			var want []string
			for i := range 20 {
				want = append(want, fmt.Sprint(i))
			}
			require.Equal(t, want, texts(got))
			require.Equal(t, 1, count(d.read(), "gone balcony"))
			require.Len(t, srv.Sessions(address(juliet)), 1)
			c.hearken()
			// The old one is told that there is nothing to resume, and evicts in turn.
			old := c.link.Link().ID()
			if !lost {
				c.Abort(nil)
				<-c.Done()
			}
			c.back(t)
			require.False(t, c.link.Link().Resumed())
			require.NotEqual(t, old, c.link.Link().ID())
			require.Error(t, newcomer.ended())
		})
	}
}

// texts leaves out what is no body of a message.
func texts(heard []string) (out []string) {
	for _, h := range heard {
		if !strings.Contains(h, " ") {
			out = append(out, h)
		}
	}
	return out
}

func count(list []string, what string) (n int) {
	for _, s := range list {
		if s == what {
			n++
		}
	}
	return n
}

// RFC 6121 §8.5.2.1.1 with two resources. Who is there has got what the other one
// did not acknowledge, and does not get it again; unless it is doubtful.
func TestUnacknowledgedMessagesOfOneOfTwo(t *testing.T) {
	for name, c := range map[string]struct {
		phone, laptop string   // priorities
		change        string   // of the laptop's, after the message
		both          bool     // are lost
		want          []string // at the laptop, in the end
	}{
		"equal":              {"1", "1", "", false, []string{"hi"}},
		"the phone is first": {"2", "1", "", false, []string{"hi"}},
		"the laptop rises":   {"2", "1", "5", false, []string{"hi"}},
		"both are lost":      {"1", "1", "", true, []string{"hi"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, patient)
				romeo := join(t, s, "romeo", "orchard")
				phone, laptop := roam(t, s, "juliet", "phone"), roam(t, s, "juliet", "laptop")
				phone.say(`<presence><priority>` + c.phone + `</priority></presence>`)
				laptop.say(`<presence><priority>` + c.laptop + `</priority></presence>`)
				<-time.After(time.Second)
				phone.cut()
				if c.both {
					laptop.cut()
				}
				romeo.chat(juliet, "hi")
				<-time.After(time.Second)
				if c.change != "" {
					laptop.say(`<presence><priority>` + c.change + `</priority></presence>`)
				}
				<-time.After(10 * time.Minute)
				if c.both {
					laptop.back(t)
					require.False(t, laptop.link.Link().Resumed())
					laptop.say(`<presence/>`)
				}
				require.Equal(t, c.want, texts(laptop.bodies()))
			})
		})
	}
}

// A resumption that fails after the session was taken over leaves it as it was.
func TestResumptionThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDiary()
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Rosters = known(t, juliet, "romeo@xmpp.test")
			s.Modules = append(s.Modules, d)
			patient(s)
		})
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<presence/>`)
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		c.cut()
		romeo.bodies()
		for _, c.breakOn = range []string{"request", "answer", "request"} {
			<-time.After(time.Minute)
			require.Error(t, c.try(t))
			synctest.Wait()
			require.True(t, c.link.Resumable())
		}
		romeo.chat(balcony, "still there")
		require.Empty(t, romeo.bodies())
		c.breakOn = ""
		c.back(t)
		require.True(t, c.link.Link().Resumed())
		require.Equal(t, []string{"still there"}, c.bodies())
		c.cut()
		c.breakOn = "answer"
		require.Error(t, c.try(t))
		<-time.After(6 * time.Minute)
		require.Equal(t, []string{"presence unavailable " + balcony + "→romeo@xmpp.test -"}, romeo.bodies(), "the time runs all the same")
		lines := d.read()
		require.Equal(t, "gone balcony", lines[len(lines)-1])
		require.Equal(t, 1, count(lines, "gone balcony"))
	})
}

// Clients that come back on two connections at a time, on a server whose old session
// seems to be alive: one of them has the session in the end, and the resource is
// there all the time.
func TestResumptionsThatRace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDiary()
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Rosters = known(t, juliet, "romeo@xmpp.test")
			s.Modules = append(s.Modules, d)
			patient(s)
		})
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<presence/>`)
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		romeo.bodies()
		for round := range 20 {
			c.flow.Conn.Close() // which the server learns of at the same time as of the new ones
			<-c.Done()
			results := make(chan bool, 4)
			for range cap(results) {
				go func() { results <- c.usurp(t.Context()) }() // joined below
			}
			for range cap(results) {
				<-results
			}
			synctest.Wait()
			require.NoError(t, c.try(t))
			synctest.Wait()
			require.True(t, c.link.Link().Resumed(), "round %d", round)
			romeo.chat(balcony, fmt.Sprint(round))
			require.Equal(t, []string{fmt.Sprint(round)}, c.bodies())
			require.Empty(t, romeo.bodies())
			require.Len(t, srv.Sessions(address(juliet)), 1)
		}
		state := "up"
		for _, line := range d.read() {
			what, of, _ := strings.Cut(line, " ")
			if of != "balcony" {
				continue
			}
			require.Contains(t, map[string][]string{
				"up": {"up", "detached"}, "detached": {"resumed"}, "resumed": {"detached"},
			}[state], what)
			state = what
		}
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, 1, count(d.read(), "gone balcony"))
	})
}

// Forget ends what a lost session has left too: whoever gets the name next does not
// get the messages.
func TestForgetALostSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d, offline := newDiary(), new(presence.MemoryOffline)
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Rosters, s.Offline = known(t, juliet, "romeo@xmpp.test"), offline
			s.Modules = append(s.Modules, d)
			patient(s)
		})
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<presence/>`)
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		c.cut()
		romeo.chat(juliet, "secret")
		romeo.chat(balcony, "secret")
		romeo.bodies()
		// Somebody else has the name before the old one is forgotten.
		require.NoError(t, s.Accounts.Set(t.Context(), address(juliet), "another secret"))
		require.NoError(t, srv.Forget(t.Context(), address(juliet)))
		require.Contains(t, romeo.bodies(), "presence unavailable "+balcony+"→romeo@xmpp.test -")
		n, err := offline.Count(t.Context(), address(juliet))
		require.NoError(t, err)
		require.Zero(t, n)
		require.Equal(t, 1, count(d.read(), "gone balcony"))
		require.Empty(t, srv.Sessions(address(juliet)))
	})
}

// Lost sessions count as resources; but the one that was lost first makes room.
func TestLostSessionsMakeRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDiary()
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.MaxResources = 3
			s.Modules = append(s.Modules, d)
			patient(s)
		})
		var gone []*roamer
		for i := range 3 {
			c := roam(t, s, "juliet", fmt.Sprint("r", i))
			gone = append(gone, c)
		}
		_, err := tryJoin(t, s, "juliet", "r3")
		require.Error(t, err, "all are there")
		gone[1].cut()
		<-time.After(time.Second)
		gone[0].cut()
		join(t, s, "juliet", "r3")
		require.Equal(t, 1, count(d.read(), "gone r1"))
		join(t, s, "juliet", "r4")
		require.Equal(t, 1, count(d.read(), "gone r0"))
		_, err = tryJoin(t, s, "juliet", "r5")
		require.Error(t, err)
		require.Len(t, srv.Sessions(address(juliet)), 3)
	})
}

// A client that does not read: it is cut off when what it may be owed is more than
// the bound, by whom it may be, and nothing of that is lost.
func TestSlowConsumerLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		offline := &presence.MemoryOffline{Quota: 1000}
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Rosters, s.Offline = known(t, juliet, "romeo@xmpp.test"), offline
			s.Management = &sm.ServerOptions{Policy: sm.Policy{QueueBytes: 32 << 10}}
			patient(s)
		})
		for _, lost := range []bool{false, true} {
			romeo := join(t, s, "romeo", "orchard")
			c := roam(t, s, "juliet", "balcony")
			c.say(`<presence/>`)
			if synctest.Wait(); lost {
				c.cut()
			} else {
				c.deafen()
			}
			text := strings.Repeat("x", 1000)
			sent := 0
			for range 40 {
				romeo.chat(juliet, fmt.Sprint(sent, "-", text))
				synctest.Wait()
				if len(romeo.in) > 0 {
					romeo.hears("message error " + juliet + "→" + orchard + " - resource-constraint")
					break
				}
				sent++
			}
			require.InDelta(t, 24, sent, 4, "three quarters")
			require.Len(t, routerOf(t, srv).Connected(address(juliet)), 1, "nobody's messages end its session")
			// Presence is not for everybody to send.
			for range 40 {
				romeo.say(`<presence><status>` + text + `</status></presence>`)
			}
			synctest.Wait()
			require.Empty(t, routerOf(t, srv).Connected(address(juliet)))
			n, err := offline.Count(t.Context(), address(juliet))
			require.NoError(t, err)
			require.Equal(t, sent, n)
			c.hearken()
			require.NoError(t, romeo.Close(t.Context()))
			next := join(t, s, "juliet", "balcony")
			next.say(`<presence/>`)
			require.Len(t, texts(next.bodies()), sent)
			require.NoError(t, next.Close(t.Context()))
		}
	})
}

// A module that panics between a stanza and the session costs that session, which
// cannot be resumed: it would get nothing.
func TestPanicOfAnInterceptorIsTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, srv := serverOf(t, patient)
		romeo := join(t, s, "romeo", "orchard")
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		c.bodies()
		res := routerOf(t, srv).Connected(address(juliet))[0]
		res.Intercept(func(*stanza.Transit, stream.Appender, func(stream.Appender) error) error { panic("oops") })
		romeo.chat(balcony, "hi")
		<-c.Done()
		synctest.Wait()
		require.Empty(t, routerOf(t, srv).Connected(address(juliet)))
		c.back(t)
		require.False(t, c.link.Link().Resumed())
		c.say(`<presence/>`)
		require.Equal(t, []string{"hi"}, texts(c.bodies()))
	})
}

// Requests to a client that is away are answered when it is back, whoever asks.
func TestRequestsToALostSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, srv := serverOf(t, patient)
		romeo := join(t, s, "romeo", "orchard")
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence to='` + orchard + `'/>`)
		c.cut()
		romeo.bodies()
		romeo.say(`<iq type='get' id='r1' to='` + balcony + `'><ping xmlns='urn:xmpp:ping'/></iq>`)
		synctest.Wait()
		asked := make(chan error, 1)
		go func() {
			_, err := routerOf(t, srv).Do(t.Context(), &stanza.IQ{ID: "s1", To: address(balcony), Type: stanza.GetIQ, Payload: raw("<ping xmlns='urn:xmpp:ping'/>")})
			asked <- err
		}()
		synctest.Wait()
		require.Empty(t, romeo.bodies())
		c.back(t)
		for _, want := range []string{"r1", "s1"} {
			el := c.hear()
			require.Equal(t, want, el.Attr("id"))
			c.say(`<iq type='result' id='` + want + `' to='` + el.Attr("from") + `'/>`)
		}
		require.NoError(t, <-asked)
		require.Equal(t, []string{"iq result " + balcony + "→" + orchard + " r1"}, romeo.bodies())

		// Without an end, the one of the server ends by itself.
		c.cut()
		_, err := routerOf(t, srv).Do(t.Context(), &stanza.IQ{To: address(balcony), Type: stanza.GetIQ, Payload: raw("<ping xmlns='urn:xmpp:ping'/>")})
		require.Error(t, err)
		require.Len(t, routerOf(t, srv).Connected(address(juliet)), 1)
	})
}

// XEP-0160 with XEP-0198: what was stored stays there until it is acknowledged. A
// client that loses its connection in between gets it once, and so does another one
// in its place, which does not have to wait for it.
func TestOfflineMessagesAcrossConnections(t *testing.T) {
	for name, then := range map[string]func(t *testing.T, s *xmpptest.Server, c *roamer) []string{
		"resumed": func(t *testing.T, _ *xmpptest.Server, c *roamer) []string {
			c.back(t)
			require.True(t, c.link.Link().Resumed())
			return c.bodies()
		},
		"given up": func(t *testing.T, s *xmpptest.Server, c *roamer) []string {
			<-time.After(10 * time.Minute)
			c.back(t)
			require.False(t, c.link.Link().Resumed())
			c.say(`<presence/>`)
			return c.bodies()
		},
		"another one": func(t *testing.T, s *xmpptest.Server, c *roamer) []string {
			other := join(t, s, "juliet", "kitchen")
			other.say(`<presence/>`)
			return other.bodies()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				offline := &presence.MemoryOffline{Quota: 300}
				s := memoryServer(t, func(s *xmpp.Server) { s.Offline = offline; patient(s) })
				s.AddAccount(t, "juliet", "secret of juliet")
				romeo := join(t, s, "romeo", "orchard")
				var want []string
				for i := range 200 {
					romeo.chat(juliet, fmt.Sprint(i))
					want = append(want, fmt.Sprint(i))
				}
				require.Empty(t, romeo.bodies())
				c := roam(t, s, "juliet", "balcony")
				c.deafen()
				c.say(`<presence/>`)
				synctest.Wait()
				n, err := offline.Count(t.Context(), address(juliet))
				require.NoError(t, err)
				require.Equal(t, 200, n, "nothing was acknowledged")
				c.Abort(errors.New("no network"))
				c.hearken()
				synctest.Wait()
				romeo.chat(juliet, "last")
				before := texts(c.bodies()) // what it had read already, and did not acknowledge
				got := texts(then(t, s, c))
				if name == "resumed" {
					got = append(before, got...)
				}
				require.Equal(t, append(want, "last"), got)
				synctest.Wait()
				n, err = offline.Count(t.Context(), address(juliet))
				require.NoError(t, err)
				require.Zero(t, n)
			})
		})
	}
}

// held is a handler that takes its time.
func held(release <-chan struct{}, began *atomic.Int32) stanza.Handler {
	return stanza.HandlerFunc(func(ctx context.Context, _ stanza.Sender, st stanza.Stanza) error {
		if st.Kind() == stanza.MessageKind {
			began.Add(1)
			<-release
		}
		return nil
	})
}

// A handler that still has a stanza of the lost connection keeps the session from
// being resumed for as long as a negotiation may take, and never runs beside one of
// the new connection.
func TestResumptionWaitsForTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		var began atomic.Int32
		s := memoryServer(t, func(s *xmpp.Server) { s.Handler = held(release, &began); patient(s) })
		c := roam(t, s, "juliet", "balcony")
		c.say(`<message to='xmpp.test' id='slow'/>`)
		synctest.Wait()
		require.EqualValues(t, 1, began.Load())
		c.Abort(errors.New("no network"))
		back := make(chan error, 1)
		go func() { back <- c.try(t) }()
		<-time.After(10 * time.Second)
		require.Empty(t, back)
		close(release)
		require.NoError(t, <-back)
		require.True(t, c.link.Link().Resumed())
		synctest.Wait()
		require.EqualValues(t, 1, began.Load(), "it counts as received, and does not come again")
	})
}
