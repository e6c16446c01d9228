package xmpp_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
)

// neverAlone has a server wait for clients that say nothing.
func neverAlone(s *xmpp.Server) { s.Liveness = stream.Liveness{Soft: -1, Hard: -1} }

// XEP-0198 §5: a session that is resumed loses nothing, in either direction, and
// whoever uses the connection notices nothing but the time that it takes.
func TestReconnectResumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, neverAlone)
		romeo := join(t, s, "romeo", "orchard")
		v := travel(t, s, nil)
		me := v.LocalAddr()
		v.text(romeo.LocalAddr(), "before")
		romeo.hears("message chat " + me.String() + "→" + romeo.LocalAddr().String() + " before")

		v.net.pull(errCable)
		v.net.cut()
		require.Equal(t, []string{"Connected", "Suspended"}, v.news.kinds())
		suspended := v.news.last().(xmpp.Suspended)
		require.True(t, suspended.Resumable)
		require.Less(t, suspended.Delay, 5*time.Second)
		for i := range 20 {
			romeo.say(`<message type='chat' id='r` + strconv.Itoa(i) + `' to='` + me.String() + `'><body>x</body></message>`)
			v.text(romeo.LocalAddr(), "j"+strconv.Itoa(i))
		}
		asked := v.ask(s.Domain)
		romeo.quiet()
		open(t, asked)
		require.Empty(t, v.received())
		require.Nil(t, v.Err())

		v.net.pull(nil)
		passes(30 * time.Second)
		require.Equal(t, "Resumed", v.news.kinds()[len(v.news.kinds())-1])
		require.Equal(t, me, v.LocalAddr())
		var want []string
		for i := range 20 {
			romeo.hears("message chat " + me.String() + "→" + romeo.LocalAddr().String() + " j" + strconv.Itoa(i))
			want = append(want, "r"+strconv.Itoa(i))
		}
		romeo.quiet()
		require.Equal(t, want, v.received())
		require.ErrorIs(t, outcome(t, asked), stanza.ServiceUnavailable)

		require.NoError(t, v.Close(t.Context()))
		require.Equal(t, xmpp.Closed{}, v.news.last())
		require.NoError(t, <-v.served)
		v.served <- nil
	})
}

// set is the module of a session in which everything is set up that can be.
type set struct {
	contacts *roster.Client
	people   *presence.Tracker
	changes  int
}

func setUp(t *testing.T, v *traveller) *set {
	t.Helper()
	u := &set{}
	var err error
	u.contacts, err = roster.NewClient(&roster.Options{Account: v.client.JID, OnChange: func(context.Context, roster.Event) { u.changes++ }})
	require.NoError(t, err)
	u.people, err = presence.NewTracker(&presence.TrackerOptions{Account: v.client.JID})
	require.NoError(t, err)
	v.connect(u.contacts, u.people)
	require.NoError(t, u.contacts.Sync(t.Context(), v.Conn))
	require.NoError(t, carbons.Enable(t.Context(), v.Conn))
	require.NoError(t, u.people.Available(t.Context(), v.Conn, stanza.ShowAway, "out", 3))
	synctest.Wait()
	return u
}

// sniffer counts what a client says over the wire.
type sniffer struct{ xml []string }

func (s *sniffer) count(part string) (n int) {
	for _, x := range s.xml {
		if strings.Contains(x, part) {
			n++
		}
	}
	return n
}

// M11: a resumed session asks for nothing again; a fresh one for all that was set
// up, in the order in which that was.
func adversarialM11(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, &carbons.Module{}) })
		wire, bound := &sniffer{}, 0
		v := newTraveller(t, s, func(c *xmpp.Client) {
			c.Trace = &stream.Trace{XMLSent: func(b []byte) { wire.xml = append(wire.xml, string(b)) }, Bound: func(jid.JID) { bound++ }}
		})
		u := setUp(t, v)
		require.Len(t, u.people.Resources(v.client.JID), 1)
		counts := func() [4]int {
			synctest.Wait()
			return [4]int{wire.count("jabber:iq:roster"), wire.count("urn:xmpp:carbons:2"), wire.count("<show>away"), bound}
		}
		wire.xml, bound = nil, 0

		v.net.cut()
		passes(10 * time.Second)
		require.Equal(t, []string{"Connected", "Suspended", "Resumed"}, v.news.kinds())
		require.Equal(t, [4]int{}, counts())
		require.Len(t, u.people.Resources(v.client.JID), 1, "what is known stays known")

		// M10: nobody comes back in time.
		before := v.LocalAddr()
		v.net.pull(errCable)
		v.net.cut()
		passes(10 * time.Minute)
		require.Len(t, u.people.Resources(v.client.JID), 1)
		v.net.pull(nil)
		passes(10 * time.Minute)
		c, ok := v.news.last().(xmpp.Connected)
		require.True(t, ok)
		require.False(t, c.Resumed)
		require.Greater(t, c.Down, 10*time.Minute)
		require.Equal(t, [4]int{1, 1, 1, 1}, counts())
		first := func(part string) int {
			for i, x := range wire.xml {
				if strings.Contains(x, part) {
					return i
				}
			}
			return -1
		}
		require.Less(t, first("jabber:iq:roster"), first("urn:xmpp:carbons:2"))
		require.Less(t, first("urn:xmpp:carbons:2"), first("<show>away"))
		require.NotEqual(t, before, v.LocalAddr())
		seen := u.people.Resources(v.client.JID)
		require.Len(t, seen, 1, "whoever was not seen again is forgotten")
		require.Equal(t, v.LocalAddr(), seen[0].JID)

		// What was taken back is not restored.
		require.NoError(t, carbons.Disable(t.Context(), v.Conn))
		require.NoError(t, u.people.Unavailable(t.Context(), v.Conn, ""))
		synctest.Wait()
		wire.xml, bound = nil, 0
		v.net.pull(errCable)
		v.net.cut()
		passes(10 * time.Minute)
		v.net.pull(nil)
		passes(10 * time.Minute)
		require.Equal(t, [4]int{1, 0, 0, 1}, counts())
	})
}

// M07: what is sent over a connection that swallows it, and a session that cannot be
// resumed. Messages are sent again with the time of the first attempt, who asked is
// told, and everything else is named.
func adversarialM07(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, neverAlone)
		romeo := join(t, s, "romeo", "orchard")
		v := travel(t, s, nil)
		me := v.LocalAddr()
		acked, err := v.SendReceipt(t.Context(), &stanza.Message{ID: "acked", To: romeo.LocalAddr(), Type: stanza.ChatMessage})
		require.NoError(t, err)
		require.NoError(t, acked.Wait(t.Context(), stream.Acked))
		romeo.hears("message chat " + me.String() + "→" + romeo.LocalAddr().String() + " acked")

		sentAt := time.Now()
		v.net.swallow()
		v.text(romeo.LocalAddr(), "lost")
		unacked, err := v.SendReceipt(t.Context(), &stanza.Message{ID: "receipt", To: romeo.LocalAddr(), Type: stanza.ChatMessage})
		require.NoError(t, err)
		require.NoError(t, v.Send(t.Context(), &stanza.Presence{ID: "p", To: romeo.LocalAddr()}))
		asked := v.ask(romeo.LocalAddr())
		require.NoError(t, unacked.Wait(t.Context(), stream.Written))
		v.net.pull(errCable)
		v.net.cut()
		synctest.Wait()
		v.text(romeo.LocalAddr(), "queued")
		later := v.ask(s.Domain)
		open(t, asked)
		passes(6 * time.Minute)
		require.ErrorIs(t, outcome(t, asked), net.ErrClosed, "as soon as it is over with the session")
		require.Equal(t, stream.Unknown, unacked.State())
		require.Equal(t, stream.Acked, acked.State())
		open(t, later)
		v.net.pull(nil)
		passes(10 * time.Minute)

		c, ok := v.news.last().(xmpp.Connected)
		require.True(t, ok)
		require.False(t, c.Resumed)
		require.Len(t, c.Resent, 1)
		require.Equal(t, "lost", c.Resent[0].Head().ID)
		var ids []string
		for _, st := range c.Unacked {
			ids = append(ids, st.Kind().String())
		}
		require.Equal(t, []string{"message", "presence", "iq"}, ids)
		me = v.LocalAddr()
		again := romeo.hears("message chat " + me.String() + "→" + romeo.LocalAddr().String() + " lost")
		m, err := stanza.Decode(again)
		require.NoError(t, err)
		d, ok, err := delay.Of(m.(*stanza.Message))
		require.NoError(t, err)
		require.True(t, ok)
		require.WithinDuration(t, sentAt, d.Stamp, time.Second)
		romeo.hears("message chat " + me.String() + "→" + romeo.LocalAddr().String() + " queued")
		romeo.quiet()
		require.ErrorIs(t, outcome(t, later), stanza.ServiceUnavailable, "a request that was never sent goes out")
	})
}

// ender ends sessions on the server, and knows the resources.
type ender struct{ host stanza.Host }

func (*ender) Name() string               { return "ender" }
func (*ender) Register(*stanza.Mux) error { return nil }
func (e *ender) Attach(h stanza.Host) error {
	e.host = h
	return nil
}

// M18: which stream errors are followed by another attempt (RFC 6120 §4.9.3).
func adversarialM18(t *testing.T) {
	for condition, again := range map[stream.Condition]bool{
		stream.Conflict: false, stream.NotAuthorized: false, stream.HostUnknown: false, stream.PolicyViolation: false,
		stream.SystemShutdown: true, stream.Reset: true,
	} {
		t.Run(string(condition), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := &ender{}
				s := memoryServer(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, e) })
				v := travel(t, s, nil)
				require.NoError(t, e.host.Resource(v.LocalAddr()).End(t.Context(), &stream.Error{Condition: condition}))
				passes(time.Hour)
				if again {
					require.Equal(t, "Suspended", v.news.kinds()[1])
					require.Nil(t, v.Err())
					require.Greater(t, v.net.attempts(), 1)
					return
				}
				require.Equal(t, []string{"Connected", "Closed"}, v.news.kinds())
				require.ErrorIs(t, v.news.last().(xmpp.Closed).Cause, condition)
				<-v.Done()
				require.ErrorIs(t, v.Err(), condition)
				require.ErrorIs(t, v.Err(), net.ErrClosed)
				require.Equal(t, 1, v.net.attempts())
				require.ErrorIs(t, v.Send(t.Context(), &stanza.Message{}), net.ErrClosed)
				_, err := v.SendReceipt(t.Context(), &stanza.Message{})
				require.ErrorIs(t, err, net.ErrClosed)
				require.ErrorIs(t, outcome(t, v.ask(s.Domain)), net.ErrClosed)
			})
		})
	}
}

// Without stream management nothing can be resumed: requests fail at once, and what
// is sent meanwhile waits within its bounds.
func TestReconnectWithoutManagement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, neverAlone)
		romeo := join(t, s, "romeo", "orchard")
		v := travel(t, s, func(c *xmpp.Client) {
			c.NoManagement = true
			c.Reconnect.QueueStanzas = 2
		})
		romeo.say(`<presence to='` + v.LocalAddr().String() + `'/>`) // lets her ask him
		synctest.Wait()
		asked := v.ask(romeo.LocalAddr())
		open(t, asked)
		v.net.pull(errCable)
		v.net.cut()
		require.ErrorIs(t, outcome(t, asked), net.ErrClosed)
		require.False(t, v.news.last().(xmpp.Suspended).Resumable)

		v.text(romeo.LocalAddr(), "1")
		gone, leave := context.WithCancel(t.Context())
		given := make(chan error, 1)
		go func() {
			_, err := v.Do(gone, &stanza.IQ{To: s.Domain, Type: stanza.GetIQ, Payload: raw("<q xmlns='urn:q'/>")})
			given <- err
		}()
		synctest.Wait()
		full, cancel := context.WithTimeout(t.Context(), time.Second)
		require.ErrorIs(t, v.Send(full, &stanza.Message{}), context.DeadlineExceeded)
		_, err := v.SendReceipt(full, &stanza.Message{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = v.Do(full, &stanza.IQ{Type: stanza.GetIQ, Payload: raw("<q xmlns='urn:q'/>")})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		cancel()
		leave() // makes room
		require.ErrorIs(t, outcome(t, given), context.Canceled)
		v.text(romeo.LocalAddr(), "2")
		more, receipt := make(chan error, 1), make(chan error, 1)
		go func() {
			more <- v.Send(t.Context(), &stanza.Message{ID: "3", To: romeo.LocalAddr(), Type: stanza.ChatMessage})
		}()
		go func() {
			r, err := v.SendReceipt(t.Context(), &stanza.Message{To: romeo.LocalAddr(), Type: stanza.HeadlineMessage})
			if err == nil {
				err = r.Wait(t.Context(), stream.Written)
			}
			receipt <- err
		}()
		open(t, more)
		open(t, receipt)

		v.net.pull(nil)
		passes(10 * time.Minute)
		require.NoError(t, outcome(t, more))
		require.NoError(t, outcome(t, receipt))
		heard := map[string]int{}
		for i := range 5 {
			el := romeo.hear()
			heard[el.Name().Local+el.Attr("id")] = i
			if el.Name().Local == "iq" {
				require.Equal(t, 0, i, "it came before the loss")
			}
		}
		require.Less(t, heard["message1"], heard["message2"])
		require.Less(t, heard["message2"], heard["message3"])
		romeo.quiet()
	})
}

// The program ends the connection in each phase: at once, and for good.
func TestReconnectCloseInEachPhase(t *testing.T) {
	cause := errors.New("enough")
	phases := map[string]func(t *testing.T, v *traveller){
		"up":      func(*testing.T, *traveller) {},
		"waiting": func(_ *testing.T, v *traveller) { v.net.pull(errCable); v.net.cut() },
		"dialing": func(_ *testing.T, v *traveller) {
			v.net.block = make(chan struct{})
			v.net.cut()
			passes(7 * time.Second)
		},
		"negotiating": func(_ *testing.T, v *traveller) {
			v.net.silent = true
			v.net.cut()
			passes(7 * time.Second)
		},
		"restoring": func(_ *testing.T, v *traveller) {
			v.Restore("key", func(ctx context.Context, _ stanza.Sender) error { <-ctx.Done(); return ctx.Err() })
			v.net.pull(errCable)
			v.net.cut()
			passes(10 * time.Minute)
			v.net.pull(nil)
			for v.news.kinds()[len(v.news.kinds())-1] != "Connected" {
				passes(time.Second)
			}
		},
	}
	for name, phase := range phases {
		for how, end := range map[string]func(v *traveller) error{
			"Close": func(v *traveller) error { return v.Close(context.Background()) },
			"Abort": func(v *traveller) error { v.Abort(cause); return nil },
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := memoryServer(t, nil)
					v := travel(t, s, nil)
					phase(t, v)
					asked := make(<-chan error)
					if name != "up" {
						asked = v.ask(s.Domain)
						v.text(v.LocalAddr(), "queued")
					}
					began := time.Now()
					err := end(v)
					<-v.Done()
					require.Less(t, time.Since(began), time.Second)
					switch {
					case how == "Abort":
						require.ErrorIs(t, v.Err(), cause)
					case name == "up":
						require.NoError(t, err)
					default:
						require.ErrorContains(t, err, "1 stanzas were not sent")
					}
					require.NoError(t, v.news.last().(xmpp.Closed).Cause)
					if name != "up" {
						require.ErrorIs(t, outcome(t, asked), net.ErrClosed)
					}
					require.ErrorIs(t, v.Send(t.Context(), &stanza.Message{}), net.ErrClosed)
					attempts := v.net.attempts()
					passes(time.Hour)
					require.Equal(t, attempts, v.net.attempts(), "that was all")
					require.Empty(t, v.net.plugs())
				})
			})
		}
	}
}

// Credentials are asked for by each attempt, for that attempt alone.
func TestReconnectCredentials(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		var asked []int
		noToken := errors.New("no token yet")
		v := travel(t, s, func(c *xmpp.Client) {
			c.NoManagement = true
			c.Reconnect.Credentials = func(_ context.Context, attempt int, c *xmpp.Client) error {
				asked = append(asked, attempt)
				if attempt < 3 {
					return noToken
				}
				c.Password = "changed"
				return nil
			}
		})
		s.AddAccount(t, "juliet", "changed")
		v.net.cut()
		passes(time.Hour)
		require.Equal(t, []int{1, 2, 3}, asked)
		require.Equal(t, []string{"Connected", "Suspended", "Failed", "Failed", "Connected"}, v.news.kinds())
		require.Equal(t, "secret", v.client.Password)
	})
	bubble(t, func(t *testing.T) { // and if they are wrong, that is the end
		s := memoryServer(t, nil)
		v := travel(t, s, func(c *xmpp.Client) { c.NoManagement = true })
		s.AddAccount(t, "juliet", "changed")
		v.net.cut()
		passes(time.Hour)
		require.Equal(t, []string{"Connected", "Suspended", "Closed"}, v.news.kinds())
		<-v.Done()
	})
}

// A function of Restore that fails is told of, and hinders nothing else.
func TestReconnectIncomplete(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		v := travel(t, s, nil)
		var order []int
		for i := range 3 {
			v.Restore(i, func(ctx context.Context, s stanza.Sender) error {
				order = append(order, i)
				if i == 2 {
					panic("oh")
				}
				_, err := s.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, Payload: raw("<q xmlns='urn:q'/>")})
				return err
			})
		}
		v.Restore(0, nil)
		v.net.pull(errCable)
		v.net.cut()
		passes(10 * time.Minute)
		v.net.pull(nil)
		passes(10 * time.Minute)
		require.Equal(t, []int{1, 2}, order)
		kinds := v.news.kinds()
		require.Equal(t, []string{"Connected", "Incomplete", "Incomplete"}, kinds[len(kinds)-3:])
		require.ErrorContains(t, v.news.last().(xmpp.Incomplete).Err, "oh")
		v.text(v.LocalAddr(), "works")
		require.Equal(t, []string{"works"}, v.received())
	})
}

// Reconnect that cannot be used is found before anything is tried.
func TestReconnectConfiguration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		v := newTraveller(t, s, func(c *xmpp.Client) { c.Reconnect = &xmpp.Reconnect{Max: -1} })
		_, err := v.client.Connect(t.Context())
		require.ErrorIs(t, err, xmpp.ErrClient)
		require.Zero(t, v.net.attempts())
		a, b := net.Pipe()
		_, err = v.client.ConnectOn(t.Context(), a)
		require.ErrorIs(t, err, xmpp.ErrClient)
		_, err = b.Read(make([]byte, 1))
		require.Error(t, err, "it was closed")
	})
}
