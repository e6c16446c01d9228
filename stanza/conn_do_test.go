package stanza

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §8.2.3: a request gets its reply, with or without a consumer.
//
//conformance:proves 6120-8.1.1.1-5 6120-8.3.1-7
func TestDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		defer c.Abort(nil)

		iq := &IQ{To: juliet, Type: GetIQ, Payload: pingQuery}
		ch := make(chan answer, 1)
		go func() {
			reply, err := c.Do(t.Context(), iq)
			ch <- answer{reply, err}
		}()
		id := f.takeID()
		require.Empty(t, iq.ID, "the request of the caller was changed")
		f.receive(`<iq id='%s' from='%s' to='%s' type='result'><q xmlns='urn:q' a='1'>text</q></iq>`, id, juliet, romeo)
		f.receive(`<iq id='other' from='%s' type='result'/>`, juliet) // overwrites what was borrowed
		reply, err := returned(t, ch)
		require.NoError(t, err)
		require.Equal(t, juliet, reply.From)
		require.Equal(t, "text", reply.Element().Text())
		require.Equal(t, "1", reply.Element().Attr("a"))

		// §8.3: an error comes back as an error, and the reply with it.
		ch2 := do(t.Context(), c, juliet)
		f.receive(`<iq id='%s' from='%s' type='error'><error type='cancel'><item-not-found xmlns='%s'/></error></iq>`,
			f.takeID(), juliet, NSErrors)
		reply, err = returned(t, ch2)
		require.ErrorIs(t, err, ItemNotFound)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.True(t, e.Received)
		require.Equal(t, juliet, reply.From)

		// A reply that breaks §8.2.3 rule 6 ends the call all the same.
		ch3 := do(t.Context(), c, juliet)
		f.receive(`<iq id='%s' from='%s' type='result'><a xmlns='urn:a'/><b xmlns='urn:b'/></iq>`, f.takeID(), juliet)
		_, err = returned(t, ch3)
		require.ErrorIs(t, err, BadRequest)
		require.ErrorAs(t, err, &e)
		require.False(t, e.Received)

		require.Equal(t, Stats{Unsolicited: 1}, c.Stats())
		require.EqualValues(t, 4, c.Handled())
	})
}

func TestDoRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		for name, iq := range map[string]*IQ{
			"nil":        nil,
			"result":     {ID: "1", Type: ResultIQ},
			"no type":    {Payload: pingQuery},
			"no payload": {Type: GetIQ},
		} {
			_, err := c.Do(t.Context(), iq)
			require.ErrorIs(t, err, ErrInvalid, name)
		}
		require.Empty(t, f.take())
		require.Zero(t, c.calls.n, "a call is left behind")
		c.Abort(nil)
	})
}

// A call ends with its context, and what comes later is nobody's.
func TestDoCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		defer c.Abort(nil)

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		ch := do(ctx, c, juliet)
		id := f.takeID()
		<-time.After(time.Minute)
		_, err := returned(t, ch)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, net.ErrClosed)

		cause := errors.New("changed my mind")
		ctx2, cancel2 := context.WithCancelCause(t.Context())
		cancel2(cause)
		_, err = c.Do(ctx2, &IQ{Type: GetIQ, Payload: pingQuery})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, cause)
		require.Empty(t, f.take(), "a cancelled request was sent")

		f.receive(`<iq id='%s' from='%s' type='result'/>`, id, juliet)
		ch = do(t.Context(), c, juliet)
		stillPending(t, ch)
		f.receive(`<iq id='%s' from='%s' type='result'/>`, f.takeID(), juliet)
		_, err = returned(t, ch)
		require.NoError(t, err)
		require.EqualValues(t, 1, c.Stats().Unsolicited)
	})
}

// Every way in which a session ends ends its calls, with the one cause.
func TestDoSessionEnds(t *testing.T) {
	lost := errors.New("connection lost")
	for name, tt := range map[string]struct {
		end   func(f *fake, c *Conn)
		cause error
	}{
		"lost":            {func(f *fake, c *Conn) { f.Abort(lost) }, lost},
		"aborted":         {func(f *fake, c *Conn) { c.Abort(lost) }, lost},
		"closed by peer":  {func(f *fake, c *Conn) { close(f.ends) }, stream.ErrPeerClosed},
		"closed by us":    {func(f *fake, c *Conn) { close(f.ends); c.Close(f.t.Context()) }, stream.ErrPeerClosed},
		"twice, lost 1st": {func(f *fake, c *Conn) { f.Abort(lost); c.Abort(errors.New("second")) }, lost},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := client(t)
				c := newConn(f, nil)
				ch := do(t.Context(), c, juliet)
				stillPending(t, ch)
				require.NoError(t, c.Err())
				tt.end(f, c)
				_, err := returned(t, ch)
				for _, err := range []error{err, c.Err(), c.Send(t.Context(), &Message{To: juliet})} {
					require.ErrorIs(t, err, tt.cause)
					require.ErrorIs(t, err, net.ErrClosed)
				}
				<-c.Done()
				_, err = c.Do(t.Context(), &IQ{Type: GetIQ, Payload: pingQuery})
				require.ErrorIs(t, err, tt.cause)
				require.ErrorIs(t, err, net.ErrClosed)
			})
		})
	}
}

func TestDoTableIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, &Options{Requests: 3})
		defer c.Abort(nil)
		ctx, cancel := context.WithCancel(t.Context())
		var calls []<-chan answer
		for range 3 {
			calls = append(calls, do(ctx, c, juliet))
		}
		synctest.Wait()
		_, err := c.Do(t.Context(), &IQ{Type: GetIQ, Payload: pingQuery})
		require.ErrorIs(t, err, ErrTooManyRequests)
		require.Len(t, f.take(), 3)
		cancel()
		for _, ch := range calls {
			_, err := returned(t, ch)
			require.ErrorIs(t, err, context.Canceled)
		}
		ch := do(t.Context(), c, juliet)
		stillPending(t, ch)
	})
}

// While a request waits for room to be sent its call can end.
func TestDoWaitsToSend(t *testing.T) {
	for name, tt := range map[string]struct {
		end func(f *fake, c *Conn, room chan struct{}, cancel func())
		is  error
	}{
		"context ends": {func(_ *fake, _ *Conn, _ chan struct{}, cancel func()) { cancel() }, context.Canceled},
		"session ends": {func(f *fake, _ *Conn, _ chan struct{}, _ func()) { f.Abort(nil) }, net.ErrClosed},
		"overflow": {func(f *fake, c *Conn, _ chan struct{}, _ func()) {
			c.mu.Lock()
			c.calls.fail(ErrOverflow)
			c.mu.Unlock()
		}, ErrOverflow},
		"room": {func(f *fake, c *Conn, room chan struct{}, _ func()) {
			close(room)
			f.receive(`<iq id='%s' type='result'/>`, f.takeID())
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := client(t)
				c := newConn(f, nil)
				defer c.Abort(nil)
				room := make(chan struct{})
				f.block(room)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				ch := do(ctx, c, jid.JID{})
				stillPending(t, ch)
				tt.end(f, c, room, cancel)
				_, err := returned(t, ch)
				require.ErrorIs(t, err, tt.is)
				require.Zero(t, c.calls.n)
				if tt.is == nil {
					require.NoError(t, err)
				}
			})
		})
	}
}

// The call can end between finding no room and waiting for it.
func TestDoEndsBeforeItWaitsToSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		defer c.Abort(nil)
		f.block(make(chan struct{}))
		f.onFull = func() {
			c.mu.Lock()
			c.calls.fail(ErrOverflow)
			c.mu.Unlock()
		}
		_, err := returned(t, do(t.Context(), c, juliet))
		require.ErrorIs(t, err, ErrOverflow)
	})
}

// Many calls at the same time, answered in another order.
func TestDoConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		defer c.Abort(nil)
		var calls []<-chan answer
		for i := range 100 {
			calls = append(calls, do(t.Context(), c, jid.MustParse(fmt.Sprintf("user%d@capulet.lit/x", i))))
		}
		sent := f.take()
		for i := len(sent) - 1; i >= 0; i-- {
			iq := decode[*IQ](t, sent[i])
			f.receive(`<iq id='%s' from='%s' type='result'><to xmlns='urn:x'>%s</to></iq>`, iq.ID, iq.To, iq.To)
		}
		for i, ch := range calls {
			reply, err := returned(t, ch)
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(reply.Element().Text(), fmt.Sprintf("user%d@", i)))
		}
	})
}

// RFC 6120 §8.1.2.1 with §10.3.3: who may answer what. An empty cell of the
// request or of the reply is an absent attribute.
//
//conformance:proves 6120-8.1.2.1-6
func TestParties(t *testing.T) {
	const own, account, server, contact, room = "romeo@montague.lit/orchard", "romeo@montague.lit", "montague.lit",
		"juliet@capulet.lit/balcony", "juliet@capulet.lit"
	all := []string{"", own, account, server, contact, room, "romeo@montague.lit/other", "capulet.lit", "evil.montague.lit"}
	clientSide := parties{romeo, montague, stream.Initiating, stream.NSClient}
	hostSide := parties{montague, romeo, stream.Receiving, stream.NSClient}
	s2s := parties{montague, capulet, stream.Initiating, stream.NSServer}
	component := parties{montague, capulet, stream.Initiating, "jabber:component:accept"}
	for _, tt := range []struct {
		name string
		who  parties
		to   string
		from []string // those that may answer; all others may not
	}{
		{"client, no to", clientSide, "", []string{"", account, server}},
		{"client, to the account", clientSide, account, []string{"", account}},
		{"client, to the server", clientSide, server, []string{"", server}},
		{"client, to itself", clientSide, own, []string{own}},
		{"client, to a contact", clientSide, contact, []string{contact}},
		{"client, to the account of a contact", clientSide, room, []string{room}},
		{"client, to another server", clientSide, "capulet.lit", []string{"capulet.lit"}},
		{"host, no to", hostSide, "", []string{"", account, own}},
		{"host, to the client", hostSide, own, []string{"", account, own}},
		{"host, to the account", hostSide, account, []string{"", account, own}},
		{"host, to somebody else", hostSide, contact, nil},
		{"host, to a client that has bound nothing", parties{montague, romeo.Bare(), stream.Receiving, stream.NSClient}, account, []string{"", account}},
		{"host, to nobody", parties{montague, jid.JID{}, stream.Receiving, stream.NSClient}, "", []string{""}},
		{"server to server", s2s, contact, []string{contact}},
		{"server to server, no to", s2s, "", []string{"", "capulet.lit"}},
		{"component", component, contact, []string{contact}},
		{"component, no to", component, "", []string{"", "capulet.lit"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, from := range all {
				want := false
				for _, ok := range tt.from {
					want = want || ok == from
				}
				require.Equal(t, want, tt.who.answers(address(tt.to), address(from)), "a reply from %q", from)
			}
		})
	}
}

func address(s string) jid.JID {
	if s == "" {
		return jid.JID{}
	}
	return jid.MustParse(s)
}

// RFC 6120 §8.1.2.1 rule 1: on the server's side a reply, too, is from the client
// that sent it, whatever it says.
func TestDoStampsReply(t *testing.T) {
	for _, from := range []string{"", " from='romeo@montague.lit'", " from='romeo@montague.lit/orchard'"} {
		for _, typ := range []string{"result", "error"} {
			synctest.Test(t, func(t *testing.T) {
				f := host(t)
				c := newConn(f, nil)
				defer c.Abort(nil)
				ch := do(t.Context(), c, romeo)
				f.receive(`<iq%s id='%s' type='%s'/>`, from, f.takeID(), typ)
				reply, _ := returned(t, ch)
				require.Equal(t, romeo, reply.From)
			})
		}
	}
}
