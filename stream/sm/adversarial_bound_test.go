package sm_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
)

// M09: the peer acknowledges nothing, and what is kept for it reaches its bound.
func adversarialM09(t *testing.T) {
	begin := func(t *testing.T, p sm.Policy, handle func(*stream.Element) error) (*sm.Client, *peer, *party) {
		c := newClient(t, &sm.ClientOptions{Policy: p})
		peer, party := rawServer(t, c, handle)
		peer.bound(peer.admit())
		peer.say(`<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>`)
		return c, peer, party
	}
	const bound = 1000
	fill := func(t *testing.T, s *stream.Session) (n int, err error) {
		for ; n < 100 && err == nil; n++ {
			err = s.TrySend(message(n))
		}
		return n - 1, err
	}
	bubble(t, "wait", func(t *testing.T) {
		// Nobody would be asked for a thousand stanzas.
		_, p, party := begin(t, sm.Policy{QueueBytes: bound, Every: 1000}, nil)
		n, err := fill(t, party.session)
		require.ErrorIs(t, err, sm.ErrUnacked)
		require.ErrorIs(t, err, stream.ErrFull)
		require.Less(t, n, 10)
		require.Contains(t, p.heard(), request, "what makes room is asked for")

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, party.session.Send(ctx, message(0)), context.DeadlineExceeded)
		sent := make(chan error, 1)
		go func() { sent <- party.session.Send(t.Context(), message(1)) }()
		p.heard()
		require.Empty(t, sent)
		p.say(answer(0))
		require.Empty(t, sent, "nothing new")
		p.heard()
		<-time.After(time.Second)
		require.Contains(t, p.heard(), request, "asked again")
		p.say(answer(2))
		require.NoError(t, <-sent)
		p.say(`</stream:stream>`)
		<-party.served
	})
	bubble(t, "refuse", func(t *testing.T) {
		_, p, party := begin(t, sm.Policy{QueueBytes: bound, Bound: sm.Refuse}, nil)
		n, err := fill(t, party.session)
		require.ErrorIs(t, err, sm.ErrUnacked)
		require.NotErrorIs(t, err, stream.ErrFull)
		require.ErrorIs(t, party.session.Send(t.Context(), message(1)), sm.ErrUnacked, "it does not wait")
		p.say(answer(n))
		require.NoError(t, party.session.Send(t.Context(), message(1)))
		p.say(`</stream:stream>`)
		<-party.served
	})
	bubble(t, "drop", func(t *testing.T) {
		c, p, party := begin(t, sm.Policy{QueueBytes: bound, Bound: sm.DropResumption}, nil)
		r, err := party.session.SendReceipt(t.Context(), message(0))
		require.NoError(t, err)
		_, err = fill(t, party.session)
		require.NoError(t, err)
		require.Empty(t, c.Link().ID())
		heard := p.heard()
		require.Contains(t, heard, `id='m99'`, "the session goes on")
		p.say(answer(101))
		p.conn.Close()
		<-party.served
		require.False(t, c.Resumable())
		require.Equal(t, stream.Unknown, r.State())
		require.Error(t, party.session.Send(t.Context(), message(1)))
		<-c.Link().Done()
	})
	// A handler that sends more than there is room for keeps the reader from what
	// makes room. It is not left waiting for ever.
	bubble(t, "handler", func(t *testing.T) {
		for _, try := range []bool{false, true} {
			result := make(chan error, 1)
			var party *party
			handle := func(*stream.Element) error {
				var err error
				for i := 0; i < 1000 && err == nil; i++ {
					if try {
						err = party.session.TrySend(message(i))
					} else {
						err = party.session.Send(t.Context(), message(i))
					}
				}
				result <- err
				return nil
			}
			_, p, party2 := begin(t, sm.Policy{QueueBytes: bound}, func(el *stream.Element) error { return handle(el) })
			party = party2
			p.say(message0("go"))
			require.ErrorIs(t, <-result, sm.ErrUnacked)
			require.Contains(t, p.say(request), answer(1), "the reader reads")
			p.say(`</stream:stream>`)
			require.NoError(t, <-party.served)
		}
	})
	// Both sides at once, each with a handler that answers everything it gets.
	bubble(t, "echo", func(t *testing.T) {
		var echoed atomic.Int64
		// While a handler runs others have its room too, so the client may be ahead by
		// that much, and the server needs room for all the answers.
		server := sm.NewServer(&sm.ServerOptions{Policy: sm.Policy{QueueBytes: 3 * bound}})
		c := newClient(t, &sm.ClientOptions{Policy: sm.Policy{QueueBytes: bound}})
		a, b := memconn.Pipe()
		cs, ss, err, _ := try(t, a, b, c, server)
		require.NoError(t, err)
		done := make(chan error, 2)
		go func() {
			done <- cs.Serve(func(*stream.Element) error { echoed.Add(1); return nil })
		}()
		go func() {
			done <- ss.Serve(func(el *stream.Element) error { return ss.Send(context.Background(), message0Text(el.Attr("id"))) })
		}()
		for i := range 500 {
			if err := cs.Send(t.Context(), message(i)); err != nil {
				require.NoError(t, errors.Join(err, <-done, <-done), "%d", i)
			}
		}
		synctest.Wait()
		require.EqualValues(t, 500, echoed.Load())
		require.NoError(t, cs.Close(t.Context()))
		require.NoError(t, <-done)
		require.NoError(t, <-done)
	})
}

func message0Text(id string) text { return text(message0(id)) }

// M17: what is not finished is not acknowledged, nor what is behind it.
func adversarialM17(t *testing.T) {
	bubble(t, "raw panic", func(t *testing.T) {
		p, party := rawClient(t, sm.NewServer(nil), func(el *stream.Element) error {
			if el.Attr("id") == "m2" {
				panic("m2")
			}
			return nil
		})
		p.login()
		p.say(bindRequest)
		p.say(enable)
		heard := p.say(message0("m1") + message0("m2") + message0("m3") + request)
		require.Contains(t, heard, answer(1)+"<stream:error>", "the last acknowledgement")
		require.NotContains(t, heard, answer(2))
		p.conn.Close()
		require.ErrorAs(t, <-party.served, new(*stream.PanicError))
	})
	bubble(t, "raw gap", func(t *testing.T) {
		p, party := rawClient(t, sm.NewServer(nil), func(el *stream.Element) error {
			if el.Attr("id") == "m2" {
				return stream.ErrNotTaken
			}
			return nil
		})
		p.login()
		p.say(bindRequest)
		p.say(enable)
		require.Contains(t, p.say(message0("m1")+message0("m2")+message0("m3")+request), answer(1))
		p.say(`</stream:stream>`)
		require.NoError(t, <-party.served)
	})
	for _, parallel := range []int{1, 4} {
		bubble(t, "conn", func(t *testing.T) {
			release := make(chan struct{})
			a, b := memconn.Pipe()
			accepted := make(chan *stream.Session, 1)
			go func() { // ends with the negotiation
				s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
					Profile: stream.InsecureC2S(), Domains: []jid.JID{domain},
					Features: []stream.Feature{trusted(), sm.NewServer(nil).Feature(), bind.Server(nil)},
				})
				if err != nil {
					t.Error(err)
				}
				accepted <- s
			}()
			p := newPeer(t, a)
			p.login()
			p.say(bindRequest)
			s := <-accepted
			conn := stanza.NewConn(s, &stanza.Options{Parallel: parallel, Report: func(context.Context, stanza.Stanza, error) {}})
			served := make(chan error, 1)
			go func() { // ends with the session
				served <- conn.Serve(t.Context(), stanza.HandlerFunc(func(_ context.Context, _ stanza.Sender, st stanza.Stanza) error {
					if st.Head().ID == "m2" {
						<-release
						panic("m2")
					}
					return nil
				}))
			}()
			p.say(message0("before") + enable)
			heard := p.say(message0("m1") + message0("m2") + message0("m3") + request)
			require.Equal(t, 1, strings.Count(heard, "<a "), "it is not withheld")
			require.Contains(t, p.say(request), answer(1))
			require.NotContains(t, p.all(), answer(2))
			close(release)
			<-time.After(time.Second)
			require.Equal(t, answer(3), p.heard(), "unasked; a panic costs one stanza, which is done with")
			p.say(`</stream:stream>`)
			require.NoError(t, <-served)
		})
	}
	// The connection is lost while a handler runs. It goes on, the stanza is not
	// handed out again, and none behind it is lost.
	for _, slow := range []time.Duration{100 * time.Millisecond, time.Minute} {
		bubble(t, slow.String(), func(t *testing.T) {
			server := sm.NewServer(nil)
			c := newClient(t, nil)
			var got log
			a, b := memconn.Pipe()
			cs, ss, err, _ := try(t, a, b, c, server)
			require.NoError(t, err)
			entered := make(chan struct{})
			handle := func(el *stream.Element) error {
				got.handle(el)
				if el.Attr("id") == "m2" {
					close(entered)
					<-time.After(slow)
				}
				return nil
			}
			done := make(chan error, 2)
			go func() { done <- cs.Serve(handle) }()
			go func() { done <- ss.Serve(got.handle) }()
			synctest.Wait() // the client has asked for stream management
			for i := 1; i <= 5; i++ {
				require.NoError(t, ss.Send(t.Context(), message(i)))
			}
			<-entered
			synctest.Wait()
			cs.Abort(errors.New("lost")) // what it has read is not handed out
			b.Close()
			var atServer log
			f := connect(t, c, server, &got, &atServer)
			require.NoError(t, f.server.Send(t.Context(), message(6)))
			synctest.Wait()
			require.Equal(t, ids(1, 6), got.all())
			_, _, handled := c.Link().Counts()
			require.EqualValues(t, 6, handled)
			<-done
			<-done
			require.NoError(t, f.client.Close(t.Context()))
			<-f.served
		})
	}
}

// M22 (XEP-0198 §9): stream management inside SASL 2 and Bind 2.
func adversarialM22(t *testing.T) {
	accounts := new(sasl.MemoryStore)
	require.NoError(t, accounts.Set(t.Context(), "juliet", "r0m30myr0m30"))
	login := func(t *testing.T, c *sm.Client, s *sm.Server) (client, server *stream.Session, toClient string, fromClient string) {
		a, b := memconn.Pipe()
		wire := &recorded{Conn: b}
		accepted := make(chan *stream.Session, 1)
		features := []stream.Feature{auth.SASL2Server(&auth.ServerOptions{Store: accounts, InsecureWithoutTLS: true})}
		if s != nil {
			features = append(features, s.Feature())
		}
		go func() { // ends with the negotiation
			s, err := stream.Accept(t.Context(), wire, &stream.AcceptOptions{
				Profile: stream.InsecureC2S(), Domains: []jid.JID{domain}, Features: append(features, bind.Server(nil)),
			})
			if err != nil {
				t.Error(err)
			}
			accepted <- s
		}()
		client, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
			Profile: stream.InsecureC2S(), To: domain, From: account,
			Features: []stream.Feature{
				auth.SASL2Client(&auth.ClientOptions{Password: "r0m30myr0m30", InsecureWithoutTLS: true}), c.Feature(), bind.Client(nil),
			},
		})
		require.NoError(t, err)
		server = <-accepted
		synctest.Wait()
		return client, server, wire.wrote(), wire.read()
	}
	serve := func(s *stream.Session, l *log) <-chan error {
		done := make(chan error, 1)
		go func() { done <- s.Serve(l.handle) }() // ends with the session
		return done
	}
	synctest.Test(t, func(t *testing.T) {
		server := sm.NewServer(&sm.ServerOptions{Max: time.Minute})
		c := newClient(t, nil)
		var atClient, atServer log
		cs, ss, to, from := login(t, c, server)
		require.Contains(t, to, "<feature var='urn:xmpp:sm:3'/>")
		require.Contains(t, from, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
		require.NotContains(t, from, "<resume ")
		require.Contains(t, to, "<enabled ")
		require.Equal(t, 2, strings.Count(to, "<stream:features>"))
		addr := cs.LocalAddr()
		require.Equal(t, addr, ss.RemoteAddr())
		d1, d2 := serve(cs, &atClient), serve(ss, &atServer)
		require.NoError(t, cs.Send(t.Context(), message(1)))
		require.NoError(t, ss.Send(t.Context(), message(1)))
		synctest.Wait()
		require.Equal(t, ids(1, 1), atServer.all())
		cs.Abort(errors.New("lost"))
		<-d1
		<-d2
		require.NoError(t, cs.Send(t.Context(), message(2)))
		require.NoError(t, ss.Send(t.Context(), message(2)))

		// Resumed: no binding, and no features behind the success.
		cs2, ss2, to, from := login(t, c, server)
		require.Contains(t, from, "<resume ")
		require.Contains(t, from, "<enable ", "in case that it fails")
		require.Contains(t, to, "<resumed ")
		require.NotContains(t, to, "<bound ")
		require.NotContains(t, to, "<enabled ")
		require.Equal(t, 1, strings.Count(to, "<stream:features>"))
		require.Equal(t, addr, cs2.LocalAddr())
		require.Equal(t, addr, ss2.RemoteAddr())
		d1, d2 = serve(cs2, &atClient), serve(ss2, &atServer)
		synctest.Wait()
		require.Equal(t, ids(1, 2), atServer.all())
		require.Equal(t, ids(1, 2), atClient.all())
		cs2.Abort(errors.New("lost"))
		<-d1
		<-d2

		// Too late: bound anew, with stream management.
		r, err := cs2.SendReceipt(t.Context(), message(3))
		require.NoError(t, err)
		<-time.After(time.Minute - time.Second)
		server.Links()[0].GiveUp(nil)
		synctest.Wait()
		cs3, ss3, to, from := login(t, c, server)
		require.Contains(t, from, "<resume ")
		require.Contains(t, to, "<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found ")
		require.Contains(t, to, "<bound ")
		require.Contains(t, to, "<enabled ")
		require.Equal(t, 2, strings.Count(to, "<stream:features>"))
		require.NotEqual(t, addr, cs3.LocalAddr())
		require.False(t, c.Link().Resumed())
		require.Equal(t, stream.Failed, r.State())
		d1, d2 = serve(cs3, &atClient), serve(ss3, &atServer)
		last, err := cs3.SendReceipt(t.Context(), message(4))
		require.NoError(t, err)
		require.NoError(t, last.Wait(t.Context(), stream.Acked))
		cs3.Abort(errors.New("lost"))
		<-d1
		<-d2

		// Both fail: a server that does not know of stream management any more.
		old := c.Link()
		cs4, ss4, to, from := login(t, c, nil)
		require.NotContains(t, from, "urn:xmpp:sm:3")
		require.NotContains(t, to, "urn:xmpp:sm:3")
		require.Contains(t, to, "<bound ")
		require.False(t, cs4.Managed())
		require.ErrorIs(t, old.Err(), sm.ErrNotResumed, "nothing waits for the old one any more")
		d1, d2 = serve(cs4, &atClient), serve(ss4, &atServer)
		require.NoError(t, cs4.Close(t.Context()))
		<-d1
		<-d2
		for _, l := range server.Links() {
			l.GiveUp(nil)
		}
	})
	// Both fail with elements that say so (Example "Client failed to resume stream
	// and to enable management").
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &sm.ClientOptions{State: &sm.State{ID: "x", Owner: account, Queue: []sm.Unacked{{XML: []byte("<message/>"), At: time.Now()}}}})
		a, b := memconn.Pipe()
		p := newPeer(t, a)
		result := make(chan *stream.Session, 1)
		go func() { // ends with the negotiation
			s, err := stream.Initiate(t.Context(), b, &stream.InitiateOptions{
				Profile: stream.InsecureC2S(), To: domain, From: account,
				Features: []stream.Feature{
					framed(), c.Feature(), bind.Client(nil),
				},
			})
			if err != nil {
				t.Error(err)
			}
			result <- s
		}()
		heard := p.say(serverHeader + `<stream:features><frame xmlns='urn:example:frame'>` +
			`<inline xmlns='urn:example:frame'><sm xmlns='urn:xmpp:sm:3'/><bind xmlns='urn:xmpp:bind:0'><inline><feature var='urn:xmpp:sm:3'/></inline></bind></inline>` +
			`</frame></stream:features>`)
		require.Contains(t, heard, `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`)
		require.Contains(t, heard, `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
		p.say(`<success xmlns='urn:example:frame' who='juliet@example.com/new'>` +
			`<failed xmlns='urn:xmpp:sm:3' h='1'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>` +
			`<bound xmlns='urn:xmpp:bind:0'><failed xmlns='urn:xmpp:sm:3'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed></bound></success>` +
			`<stream:features><sm xmlns='urn:xmpp:sm:3'/></stream:features>`)
		s := <-result
		require.Equal(t, "juliet@example.com/new", s.LocalAddr().String())
		require.False(t, s.Managed())
		require.NotContains(t, p.heard(), "enable", "it is not asked twice")
		require.Empty(t, c.TakeLeft(), "h has settled it")
		p.conn.Close()
		s.Abort(errors.New("over"))
	})
}
