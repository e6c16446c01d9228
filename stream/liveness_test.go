package stream_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// watched is a server's session with a scripted client, and how it ended.
func watched(t *testing.T, l stream.Liveness, handle func(*stream.Element) error, features ...stream.Feature) (*peer, *stream.Session, <-chan error) {
	a, b := memconn.Pipe()
	accepted, result := make(chan *stream.Session, 1), make(chan error, 1)
	if handle == nil {
		handle = func(*stream.Element) error { return nil }
	}
	go func() { // ends with the session
		s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}, Domains: []jid.JID{domain}, Liveness: l, Features: features,
		})
		if err != nil {
			t.Error(err)
		}
		accepted <- s
		result <- s.Serve(handle)
	}()
	p := newPeer(a)
	p.say(t, clientHeader)
	s := <-accepted
	synctest.Wait()
	return p, s, result
}

// since returns what was heard behind what had been heard before.
func (p *peer) since(before string) string {
	synctest.Wait()
	return strings.TrimPrefix(p.heard(), before)
}

// A peer that says nothing is asked for a sign of life after Soft, each time that
// it falls silent, and once only.
func TestLivenessSoft(t *testing.T) {
	for name, probe := range map[string]func(*stream.Session){
		" ": nil, "<iq id='ping'/>": func(s *stream.Session) { s.TrySend(raw(`<iq id='ping'/>`)) },
	} {
		synctest.Test(t, func(t *testing.T) {
			p, s, result := watched(t, stream.Liveness{Soft: time.Minute, Probe: probe}, nil)
			begin := p.heard()
			<-time.After(59 * time.Second)
			require.Empty(t, p.since(begin))
			<-time.After(2 * time.Second)
			require.Equal(t, name, p.since(begin))
			<-time.After(10 * time.Minute)
			require.Equal(t, name, p.since(begin), "asked once")
			p.say(t, ` `) // any byte is an answer
			<-time.After(3 * time.Minute)
			require.Equal(t, name+name, p.since(begin), "the next silence")
			require.NoError(t, s.Err(), "without Hard nobody is given up")
			p.say(t, `</stream:stream>`)
			require.NoError(t, <-result)
		})
	}
}

// A managed session asks with <r/>, and is dropped without a word, so that it can
// be resumed.
func TestLivenessManaged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sm.NewServer(nil)
		f := server.Feature()
		established := f.Established
		f.Established = func(n *stream.Negotiation, s *stream.Session) { // the stream is bound without a feature for it
			n.SetIdentity(juliet)
			n.Establish(stream.Authenticated | stream.Bound)
			established(n, s)
		}
		p, s, result := watched(t, stream.Liveness{Soft: time.Minute, Hard: 3 * time.Minute}, nil, f)
		p.say(t, `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
		synctest.Wait()
		begin := p.heard()
		require.Contains(t, begin, "<enabled ")
		for range 3 {
			<-time.After(61 * time.Second)
			require.Equal(t, `<r xmlns='urn:xmpp:sm:3'/>`, p.since(begin))
			p.say(t, `<a xmlns='urn:xmpp:sm:3' h='0'/>`)
			synctest.Wait()
			begin = p.heard()
		}
		<-time.After(3*time.Minute + time.Second)
		require.Equal(t, `<r xmlns='urn:xmpp:sm:3'/>`, p.all(t)[len(begin):], "and nothing else")
		require.ErrorIs(t, <-result, stream.ErrSilent)
		l := sm.Of(s)
		require.True(t, l.Suspended())
		l.GiveUp(nil)
	})
}

// RFC 6120 §4.9.3.4: any other session ends with connection-timeout.
func TestLivenessHard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _, result := watched(t, stream.Liveness{Hard: time.Minute}, nil)
		begin := p.heard()
		<-time.After(50 * time.Second)
		p.say(t, "\n")
		<-time.After(50 * time.Second)
		require.Empty(t, p.since(begin))
		<-time.After(11 * time.Second)
		require.Equal(t, `<stream:error><connection-timeout xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`, p.all(t)[len(begin):])
		err := <-result
		require.ErrorIs(t, err, stream.ErrSilent)
		var e *stream.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, stream.ConnectionTimeout, e.Condition)
	})
	// The peer has time to answer, whatever Hard says.
	synctest.Test(t, func(t *testing.T) {
		p, s, result := watched(t, stream.Liveness{Soft: time.Minute, Hard: time.Second}, nil)
		<-time.After(69 * time.Second)
		require.NoError(t, s.Err())
		p.all(t)
		require.ErrorIs(t, <-result, stream.ErrSilent)
	})
}

// RFC 6120 §4.6.1: a space now and then, if nothing else is sent.
func TestLivenessKeepalive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, result := watched(t, stream.Liveness{Keepalive: time.Minute}, nil)
		begin := p.heard()
		<-time.After(50 * time.Second)
		require.NoError(t, s.Send(t.Context(), raw(`<presence/>`)))
		<-time.After(50 * time.Second)
		require.Equal(t, `<presence/>`, p.since(begin), "something was sent")
		<-time.After(3*time.Minute - time.Second)
		require.Equal(t, `<presence/>   `, p.since(begin))
		p.say(t, `</stream:stream>`)
		require.NoError(t, <-result)
	})
}

// A handler that takes its time keeps the reader from hearing the peer.
func TestLivenessBusyHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s, result := watched(t, stream.Liveness{Soft: time.Minute, Hard: 2 * time.Minute}, func(*stream.Element) error {
			<-time.After(time.Hour + 30*time.Second)
			return nil
		})
		begin := p.heard()
		p.say(t, `<message/>`)
		<-time.After(time.Hour)
		synctest.Wait()
		require.NoError(t, s.Err())
		require.Empty(t, p.since(begin))
		<-time.After(4 * time.Minute)
		require.ErrorIs(t, <-result, stream.ErrSilent, "now it is silent")
	})
	// Nor does a session hear anything that nobody reads.
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		go stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{Profile: bare, To: domain, From: juliet, Liveness: stream.Liveness{Hard: time.Minute}})
		require.NoError(t, err)
		<-time.After(time.Hour)
		require.NoError(t, s.Err())
		s.Abort(errors.New("over"))
	})
}

// The zero value watches nothing, and what watches stops with the session.
func TestLivenessStops(t *testing.T) {
	for _, l := range []stream.Liveness{{}, {Soft: time.Minute, Hard: 5 * time.Minute, Keepalive: time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			calls := 0
			l.Probe = func(*stream.Session) { calls++ }
			p, s, result := watched(t, l, nil)
			s.Abort(errors.New("over"))
			<-result
			before := p.all(t)
			<-time.After(24 * time.Hour)
			require.Equal(t, before, p.heard())
			require.Zero(t, calls)
		})
	}
	synctest.Test(t, func(t *testing.T) {
		p, s, result := watched(t, stream.Liveness{}, nil)
		begin := p.heard()
		<-time.After(24 * time.Hour)
		require.Empty(t, p.since(begin))
		require.NoError(t, s.Err())
		p.say(t, `</stream:stream>`)
		require.NoError(t, <-result)
	})
}

// What a session costs that does nothing, with and without a watch: one timer.
func TestLivenessMemory(t *testing.T) {
	if stream.RaceEnabled {
		t.Skip("the race detector allocates")
	}
	const n = 200
	measure := func(l stream.Liveness) (bytes uint64) {
		var all []*stream.Session
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for range n {
			a, b := memconn.Pipe()
			accepted := make(chan *stream.Session, 1)
			go func() { // ends with the negotiation
				s, _ := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}, Liveness: l})
				accepted <- s
			}()
			c, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{Profile: bare, To: domain, Liveness: l})
			require.NoError(t, err)
			all = append(all, c, <-accepted)
		}
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&after)
		for _, s := range all {
			s.Abort(errors.New("over"))
		}
		return (after.HeapAlloc - before.HeapAlloc) / uint64(len(all))
	}
	measure(stream.Liveness{})
	without := measure(stream.Liveness{})
	with := measure(stream.Liveness{Soft: time.Hour, Hard: 3 * time.Hour, Keepalive: time.Hour})
	t.Logf("an idle session takes %d bytes on the heap, and %d with liveness", without, with)
	require.Less(t, with, without+512)
}
