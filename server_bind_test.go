package xmpp_test

import (
	"context"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

func conflict(p xmpp.ConflictPolicy) func(*xmpp.Server) {
	return func(s *xmpp.Server) {
		s.Conflict = func(context.Context, jid.JID) xmpp.ConflictPolicy { return p }
	}
}

// RFC 6120 §7.7.2.2: the three ways to settle a conflict.
func TestConflictReplaceOldRFC6120Section7_7_2_2(t *testing.T) {
	for name, configure := range map[string]func(*xmpp.Server){"default": nil, "policy": conflict(xmpp.ReplaceOld)} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, configure)
				witness := join(t, s, "juliet", "chamber")
				witness.say(`<presence/>`)
				witness.hear()
				old := join(t, s, "juliet", "balcony")
				old.say(`<presence/>`)
				old.hear()
				witness.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test -")

				fresh := join(t, s, "juliet", "balcony")
				require.Equal(t, old.LocalAddr(), fresh.LocalAddr())
				err := old.ended()
				require.ErrorIs(t, err, stream.Conflict)
				var e *stream.Error
				require.ErrorAs(t, err, &e)
				require.True(t, e.Received, "the old session is told why (§4.9.3.3)")
				witness.hears("presence unavailable juliet@xmpp.test/balcony→juliet@xmpp.test -")

				// The end of the old session must not take the new one along.
				synctest.Wait()
				witness.say(`<message to='juliet@xmpp.test/balcony' id='1'/>`)
				fresh.hears("message - juliet@xmpp.test/chamber→juliet@xmpp.test/balcony 1")
				fresh.say(`<presence/>`)
				fresh.hear()
				witness.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test -")
				witness.quiet()
			})
		})
	}
}

func TestConflictAssignNewRFC6120Section7_7_2_2(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, conflict(xmpp.AssignNew))
		old, fresh := join(t, s, "juliet", "balcony"), join(t, s, "juliet", "balcony")
		require.Equal(t, "balcony", old.LocalAddr().Resource())
		require.GreaterOrEqual(t, len(fresh.LocalAddr().Resource()), 26, "nobody guesses it (§7.5)")
		old.say(`<message to='` + fresh.LocalAddr().String() + `' id='1'/>`)
		require.Equal(t, "1", fresh.hear().Attr("id"))
	})
}

func TestConflictRefuseNewRFC6120Section7_7_2_2(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := 0
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Conflict = func(_ context.Context, addr jid.JID) xmpp.ConflictPolicy {
				asked++
				require.Equal(t, address("juliet@xmpp.test/balcony"), addr)
				return xmpp.RefuseNew
			}
		})
		old := join(t, s, "juliet", "balcony")
		require.Zero(t, asked, "there was no conflict")
		_, err := tryJoin(t, s, "juliet", "balcony")
		require.ErrorIs(t, err, bind.Conflict)
		require.Equal(t, 1, asked)
		old.say(`<message to='juliet@xmpp.test/balcony' id='1'/>`)
		old.hears("message - juliet@xmpp.test/balcony→juliet@xmpp.test/balcony 1")
		require.NoError(t, old.Close(t.Context()))
		synctest.Wait()
		join(t, s, "juliet", "balcony") // free again
		require.Equal(t, 1, asked)
	})
}

func TestResourceOfTheServersChoice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, conflict(xmpp.RefuseNew))
		seen := map[string]bool{}
		for range 10 {
			r := join(t, s, "juliet", "").LocalAddr().Resource()
			require.GreaterOrEqual(t, len(r), 26)
			require.False(t, seen[r])
			seen[r] = true
		}
	})
}

func TestMaxResources(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.MaxResources = 3 })
		var all []*peer
		for _, r := range []string{"1", "2", "3"} {
			all = append(all, join(t, s, "juliet", r))
		}
		for _, r := range []string{"4", ""} {
			_, err := tryJoin(t, s, "juliet", r)
			require.ErrorIs(t, err, bind.ResourceConstraint)
		}
		join(t, s, "romeo", "4") // another account
		// Replacing does not add.
		join(t, s, "juliet", "3")
		require.ErrorIs(t, all[2].ended(), stream.Conflict)
		require.NoError(t, all[0].Close(t.Context()))
		synctest.Wait()
		join(t, s, "juliet", "4")
	})
}

// hookBound stops the server between the moment a client is told its address
// and the end of negotiation, the first time only.
func hookBound(reached, goOn chan struct{}) func(*xmpp.Server) {
	var once sync.Once
	return func(s *xmpp.Server) {
		s.Trace = func(net.Conn) *stream.Trace {
			return &stream.Trace{Bound: func(who jid.JID) {
				if who.Local() == "juliet" {
					once.Do(func() {
						close(reached)
						<-goOn
					})
				}
			}}
		}
	}
}

// A client that has just learnt its address may tell others: what they send
// must not be lost because the server is not quite ready.
func TestStanzasForASessionThatIsAboutToBegin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reached, goOn := make(chan struct{}), make(chan struct{})
		s := memoryServer(t, hookBound(reached, goOn))
		romeo := join(t, s, "romeo", "orchard")
		juliet := join(t, s, "juliet", "balcony")
		<-reached
		for _, id := range []string{"1", "2", "3"} {
			romeo.say(`<message to='juliet@xmpp.test/balcony' id='` + id + `'/>`)
		}
		juliet.quiet()
		close(goOn)
		for _, id := range []string{"1", "2", "3"} {
			require.Equal(t, id, juliet.hear().Attr("id"))
		}
		romeo.say(`<message to='juliet@xmpp.test/balcony' id='4'/>`)
		require.Equal(t, "4", juliet.hear().Attr("id"))
		romeo.quiet()
	})
}

// There is a bound on that, and the sender is told.
func TestStanzasForASessionThatIsAboutToBeginAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reached, goOn := make(chan struct{}), make(chan struct{})
		s := memoryServer(t, hookBound(reached, goOn))
		romeo := join(t, s, "romeo", "orchard")
		juliet := join(t, s, "juliet", "balcony")
		<-reached
		for range 100 {
			romeo.say(`<message to='juliet@xmpp.test/balcony' id='1'><body>` + string(make512()) + `</body></message>`)
		}
		synctest.Wait()
		refused := len(romeo.in)
		require.Greater(t, refused, 60)
		romeo.hears("message error juliet@xmpp.test/balcony→romeo@xmpp.test/orchard 1 service-unavailable")
		close(goOn)
		synctest.Wait()
		require.Len(t, juliet.in, 100-refused)
	})
}

func make512() []byte {
	b := make([]byte, 512)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

// A session that lost its address while it was still being negotiated must not
// live on without one.
func TestEvictedBeforeItBegan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reached, goOn := make(chan struct{}), make(chan struct{})
		s := memoryServer(t, hookBound(reached, goOn))
		romeo := join(t, s, "romeo", "orchard")
		old := join(t, s, "juliet", "balcony")
		<-reached
		fresh := join(t, s, "juliet", "balcony")
		old.say(`<message to='romeo@xmpp.test/orchard' id='ghost'/>`)
		close(goOn)
		require.ErrorIs(t, old.ended(), stream.Conflict)
		romeo.say(`<message to='juliet@xmpp.test/balcony' id='1'/>`)
		fresh.hears("message - romeo@xmpp.test/orchard→juliet@xmpp.test/balcony 1")
		romeo.quiet()
		require.Empty(t, old.in)
		fresh.quiet()
	})
}

// RFC 6120 §4.9.1.1: the stream is over for whoever was told of an error. What
// a session says that has lost its address is not said in the name of the new
// one.
func TestEvictedSessionIsNotHeard(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, allowPlain)
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<presence/>`)
		romeo.hear()
		old := dialWire(t, s)
		old.login("romeo", "garden", "")
		old.say(`<presence/>`)
		romeo.hears("presence - romeo@xmpp.test/garden→romeo@xmpp.test -")
		join(t, s, "romeo", "garden")
		old.until("<conflict")
		romeo.hears("presence unavailable romeo@xmpp.test/garden→romeo@xmpp.test -")
		old.say(`<presence/><message to='romeo@xmpp.test/orchard' id='ghost'/><iq type='get' id='1'><q xmlns='urn:q'/></iq></stream:stream>`)
		require.NotContains(t, old.rest(), "<iq")
		romeo.quiet()
	})
}

// A shutdown between the moment a client is told its address and the end of
// negotiation is told to that client too.
func TestShutdownBeforeASessionBegan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reached, goOn := make(chan struct{}), make(chan struct{})
		s, inner := serverOf(t, hookBound(reached, goOn))
		juliet := join(t, s, "juliet", "balcony")
		<-reached
		ended := make(chan error, 1)
		go func() { ended <- inner.Shutdown(t.Context()) }()
		synctest.Wait()
		close(goOn)
		require.NoError(t, <-ended)
		require.ErrorIs(t, juliet.ended(), stream.SystemShutdown)
	})
}
