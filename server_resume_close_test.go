package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
)

// A server that goes away: all are told, and what was not acknowledged, by those who
// are there, are lost or do not read, is stored when Shutdown returns.
func TestShutdownStoresWhatIsNotAcknowledged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		offline := new(presence.MemoryOffline)
		d := newDiary()
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Offline = offline
			s.Modules = append(s.Modules, d)
			patient(s)
		})
		romeo := join(t, s, "romeo", "orchard")
		there, lost, blocked := roam(t, s, "juliet", "there"), roam(t, s, "nurse", "lost"), roam(t, s, "paris", "blocked")
		for _, c := range []*roamer{there, lost, blocked} {
			c.say(`<presence/>`)
		}
		lost.cut()
		blocked.deafen()
		for _, who := range []string{"juliet", "nurse", "paris"} {
			for i := range 5 {
				romeo.chat(who+"@xmpp.test", fmt.Sprint(i))
			}
		}
		require.Equal(t, []string{"0", "1", "2", "3", "4"}, texts(there.bodies()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.NoError(t, srv.Shutdown(ctx))
		for who, want := range map[string]int{"juliet": 0, "nurse": 5, "paris": 5} {
			n, err := offline.Count(t.Context(), address(who+"@xmpp.test"))
			require.NoError(t, err)
			require.Equal(t, want, n, who)
		}
		lines := d.read()
		for _, r := range []string{"there", "lost", "blocked", "orchard"} {
			require.Equal(t, 1, count(lines, "gone "+r), r)
		}
		for _, p := range []*peer{romeo, there.peer} {
			var e *stream.Error
			require.ErrorAs(t, p.ended(), &e)
			require.Equal(t, stream.SystemShutdown, e.Condition)
		}
		require.Empty(t, routerOf(t, srv).Connected(jid.JID{}))
		blocked.hearken()
	})
}

// Without the time for that, Shutdown returns when its context ends, and what is not
// acknowledged is stored all the same; so it is by Close.
func TestServersThatEndAtOnceStoreToo(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, s *xmpp.Server){
		"Shutdown": func(t *testing.T, s *xmpp.Server) {
			cause := errors.New("no time")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, cause)
			defer cancel()
			start := time.Now()
			require.ErrorIs(t, s.Shutdown(ctx), cause)
			require.Equal(t, 10*time.Millisecond, time.Since(start))
		},
		"Close": func(t *testing.T, s *xmpp.Server) {
			start := time.Now()
			require.NoError(t, s.Close())
			require.Zero(t, time.Since(start))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				offline := new(presence.MemoryOffline)
				s, srv := serverOf(t, func(s *xmpp.Server) { s.Offline = offline; patient(s) })
				romeo := join(t, s, "romeo", "orchard")
				lost, blocked := roam(t, s, "nurse", "lost"), roam(t, s, "paris", "blocked")
				lost.say(`<presence/>`)
				blocked.say(`<presence/>`)
				lost.cut()
				blocked.deafen()
				for _, who := range []string{"nurse", "paris"} {
					romeo.chat(who+"@xmpp.test", "hi")
				}
				synctest.Wait()
				end(t, srv)
				synctest.Wait()
				for _, who := range []string{"nurse", "paris"} {
					n, err := offline.Count(t.Context(), address(who+"@xmpp.test"))
					require.NoError(t, err)
					require.Equal(t, 1, n, who)
				}
				require.NoError(t, srv.Shutdown(t.Context()), "nothing is left")
				blocked.hearken()
			})
		})
	}
}

// A handler that shuts the server down has a managed session itself.
func TestShutdownByAHandlerOfAManagedSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var srv *xmpp.Server
		returned := make(chan error, 1)
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Handler = stanza.HandlerFunc(func(ctx context.Context, _ stanza.Sender, st stanza.Stanza) error {
				if st.Kind() == stanza.MessageKind {
					returned <- srv.Shutdown(context.WithoutCancel(ctx))
				}
				return nil
			})
		})
		c, lost := roam(t, s, "juliet", "balcony"), roam(t, s, "nurse", "lost")
		lost.cut()
		c.say(`<presence/>`)
		c.bodies()
		c.say(`<message to='xmpp.test'/>`)
		select {
		case err := <-returned:
			require.NoError(t, err)
		case <-time.After(time.Minute):
			require.FailNow(t, "it waits for itself")
		}
		require.Error(t, c.ended())
		synctest.Wait()
		require.Empty(t, routerOf(t, srv).Connected(jid.JID{}))
	})
}

// XEP-0198 §4 and RFC 6120 §4.6.4: a silent client that can resume its session has it
// kept, and any other one is told that it was silent for too long.
func TestSilentClients(t *testing.T) {
	bubble(t, func(t *testing.T) {
		d := newDiary()
		s, srv := serverOf(t, func(s *xmpp.Server) {
			s.Rosters = known(t, juliet, "romeo@xmpp.test")
			s.Modules = append(s.Modules, d)
			allowPlain(s)
			s.Liveness = stream.Liveness{Soft: 30 * time.Second, Hard: 60 * time.Second}
		})
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		mute := dialWire(t, s)
		mute.login("paris", "mute", "")
		require.NoError(t, mute.SetDeadline(time.Time{}))
		<-time.After(50 * time.Second)
		c.deafen()
		<-time.After(9 * time.Second)
		require.Equal(t, 0, count(d.read(), "detached balcony"), "an answer to <r/> is a sign of life")
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<presence/>`)
		romeo.bodies()
		for range 20 {
			<-time.After(5 * time.Second)
			romeo.say(`<presence to='tybalt@xmpp.test'/>`)
		}
		lines := d.read()
		require.Equal(t, 1, count(lines, "detached balcony"))
		require.Zero(t, count(lines, "gone balcony"))
		require.Equal(t, 1, count(lines, "gone mute"))
		for _, heard := range romeo.bodies() {
			require.NotContains(t, heard, "presence unavailable")
		}
		require.Len(t, routerOf(t, srv).Connected(address(juliet)), 1)
		require.Contains(t, mute.rest(), "<connection-timeout")
		c.hearken()
		<-c.Done()
		c.back(t)
		require.True(t, c.link.Link().Resumed())
	})
}

// XEP-0352 §5.2: a session that is resumed is active, whatever it was; what was held
// back comes then.
func TestClientStateAcrossConnections(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Modules = append(s.Modules, new(csi.Module))
			patient(s)
		})
		romeo := join(t, s, "romeo", "orchard")
		c := roam(t, s, "juliet", "balcony")
		c.say(`<presence/>`)
		c.say(`<inactive xmlns='urn:xmpp:csi:0'/>`)
		c.bodies()
		romeo.say(`<presence to='` + balcony + `'/>`)
		require.Empty(t, c.bodies())
		c.cut()
		<-time.After(time.Minute)
		romeo.say(`<presence to='` + balcony + `'><status>2</status></presence>`)
		romeo.chat(balcony, "hi")
		synctest.Wait()
		c.back(t)
		require.Equal(t, []string{"presence - " + orchard + "→" + balcony + " -", "hi"}, c.bodies())
		romeo.say(`<presence to='` + balcony + `'/>`)
		require.Len(t, c.bodies(), 1, "active")
	})
}

// A stream error that does not end the session for good (XEP-0198 §5) leaves it to be
// resumed, and one that does ends it at once.
func TestStreamErrorsAndSessions(t *testing.T) {
	for condition, stays := range map[stream.Condition]bool{
		stream.Conflict: false, stream.NotAuthorized: false, stream.HostUnknown: false, stream.PolicyViolation: false,
		stream.SystemShutdown: true, stream.Reset: true, stream.ConnectionTimeout: true,
	} {
		t.Run(string(condition), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				d := newDiary()
				s, srv := serverOf(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, d); patient(s) })
				c := roam(t, s, "juliet", "balcony")
				c.say(`<presence/>`)
				c.bodies()
				require.NoError(t, srv.Sessions(address(juliet))[0].End(t.Context(), &stream.Error{Condition: condition}))
				require.Error(t, c.ended())
				lines := d.read()
				require.Equal(t, stays, count(lines, "detached balcony") == 1)
				require.Equal(t, !stays, count(lines, "gone balcony") == 1)
				c.back(t)
				require.Equal(t, stays, c.link.Link().Resumed())
			})
		})
	}
}
