package stanza

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

var (
	romeo     = jid.MustParse("romeo@montague.lit/orchard")
	montague  = jid.MustParse("montague.lit")
	juliet    = jid.MustParse("juliet@capulet.lit/balcony")
	capulet   = jid.MustParse("capulet.lit")
	pingName  = stream.Name{Space: "urn:xmpp:ping", Local: "ping"}
	pingQuery = rawPayload(`<ping xmlns='urn:xmpp:ping'/>`)
)

// rawPayload is a payload that is written as it stands.
type rawPayload string

func (p rawPayload) AppendXML(dst []byte) ([]byte, error) { return append(dst, p...), nil }

// badPayload is a payload that cannot be written.
type badPayload struct{}

func (badPayload) AppendXML(dst []byte) ([]byte, error) {
	return dst, errors.New("private: cannot encode")
}

// fake is a session whose peer is the test.
type fake struct {
	t             testing.TB
	local, remote jid.JID
	role          stream.Role
	content       string
	limits        stream.Limits

	in   chan *stream.Element
	ends chan struct{} // closed with the closing tag of the peer
	done chan struct{}

	mu     sync.Mutex
	sent   []string
	room   chan struct{} // not nil: there is no room to send until it is closed
	cause  error
	closed bool
	onFull func() // called when there is no room, before the sender knows
}

// client returns a session of romeo with his server, host one of the server with
// him.
func client(t testing.TB) *fake {
	return &fake{
		t: t, local: romeo, remote: montague, role: stream.Initiating, content: stream.NSClient,
		limits: stream.Limits{InboundBytes: 1 << 20},
		in:     make(chan *stream.Element), ends: make(chan struct{}), done: make(chan struct{}),
	}
}

func host(t testing.TB) *fake {
	f := client(t)
	f.local, f.remote, f.role = montague, romeo, stream.Receiving
	return f
}

// sides runs a test on both sides of a client-to-server stream.
func sides(t *testing.T, run func(t *testing.T, f *fake)) {
	for name, side := range map[string]func(testing.TB) *fake{"client": client, "server": host} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := side(t)
				run(t, f)
				f.Abort(errors.New("the test is over"))
				synctest.Wait() // nothing may be left: the bubble checks that
			})
		})
	}
}

func (f *fake) LocalAddr() jid.JID      { return f.local }
func (f *fake) RemoteAddr() jid.JID     { return f.remote }
func (f *fake) Role() stream.Role       { return f.role }
func (f *fake) Profile() stream.Profile { return stream.Profile{ContentNS: f.content} }
func (f *fake) Limits() stream.Limits   { return f.limits }
func (f *fake) Done() <-chan struct{}   { return f.done }

func (f *fake) Send(ctx context.Context, el stream.Appender) error {
	for {
		err := f.TrySend(el)
		if !errors.Is(err, stream.ErrFull) {
			return err
		}
		f.mu.Lock()
		room := f.room
		f.mu.Unlock()
		select {
		case <-room:
			f.block(nil)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-f.done:
		}
	}
}

func (f *fake) TrySend(el stream.Appender) error {
	b, err := el.AppendXML(nil)
	if err != nil {
		return err
	}
	if err := f.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.closed:
		return fmt.Errorf("%w: closing", stream.ErrClosed)
	case f.room != nil:
		if f.onFull != nil {
			f.onFull()
		}
		return stream.ErrFull
	}
	f.sent = append(f.sent, string(b))
	return nil
}

func (f *fake) SendReceipt(ctx context.Context, el stream.Appender) (*stream.Receipt, error) {
	return new(stream.Receipt), f.Send(ctx, el)
}

// block makes everything that is sent wait until room is closed.
func (f *fake) block(room chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = room
}

func (f *fake) Serve(handle func(*stream.Element) error) error {
	for {
		select {
		case el := <-f.in:
			if err := handle(el); err != nil && !errors.Is(err, stream.ErrNotTaken) {
				f.Abort(err)
			}
			clear(el.Raw()) // borrowed: it is gone now
			continue
		default:
		}
		select {
		case el := <-f.in:
			if err := handle(el); err != nil && !errors.Is(err, stream.ErrNotTaken) {
				f.Abort(err)
			}
			clear(el.Raw())
		case <-f.ends:
			f.end(stream.ErrPeerClosed)
			return nil
		case <-f.done:
			if errors.Is(f.cause, stream.ErrLocalClosed) {
				return nil
			}
			return f.Err()
		}
	}
}

func (f *fake) Err() error {
	select {
	case <-f.done:
		return &stream.ClosedError{Cause: f.cause}
	default:
		return nil
	}
}

// Close waits for the peer, who closes at once if the test has closed ends.
func (f *fake) Close(ctx context.Context) error {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	select {
	case <-f.ends:
	case <-f.done:
	case <-ctx.Done():
		f.end(ctx.Err())
		return f.Err()
	}
	<-f.done
	return nil
}

func (f *fake) CountWith(stream.Counter) {}

func (f *fake) Abort(cause error) { f.end(cause) }

func (f *fake) end(cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cause == nil {
		if f.cause = cause; cause == nil {
			f.cause = errors.New("aborted")
		}
		close(f.done)
	}
}

// receive lets a stanza arrive, and waits until the reader has taken it.
func (f *fake) receive(format string, args ...any) {
	f.t.Helper()
	el, err := stream.ParseElement([]byte(declare(f.content, fmt.Sprintf(format, args...))), nil)
	require.NoError(f.t, err)
	f.in <- el
}

// take returns what was sent since the last call.
func (f *fake) take() []string {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	sent := f.sent
	f.sent = nil
	return sent
}

// takeID returns the id of the one stanza that was sent.
func (f *fake) takeID() string {
	f.t.Helper()
	sent := f.take()
	require.Len(f.t, sent, 1)
	_, after, _ := strings.Cut(sent[0], " id='")
	id, _, ok := strings.Cut(after, "'")
	require.True(f.t, ok, sent[0])
	return id
}

// answer is what Do returned.
type answer struct {
	reply *IQ
	err   error
}

// do calls Do in a goroutine.
func do(ctx context.Context, c *Conn, to jid.JID) <-chan answer {
	ch := make(chan answer, 1)
	go func() {
		reply, err := c.Do(ctx, &IQ{To: to, Type: GetIQ, Payload: pingQuery})
		ch <- answer{reply, err}
	}()
	return ch
}

// pending fails the test if Do has returned.
func stillPending(t testing.TB, ch <-chan answer) {
	t.Helper()
	synctest.Wait()
	select {
	case a := <-ch:
		require.Fail(t, "Do has returned", "%v, %v", a.reply, a.err)
	default:
	}
}

// returned fails the test if Do has not returned.
func returned(t testing.TB, ch <-chan answer) (*IQ, error) {
	t.Helper()
	synctest.Wait()
	select {
	case a := <-ch:
		return a.reply, a.err
	default:
		require.Fail(t, "Do has not returned")
		return nil, nil
	}
}

// ids collects the ids of what a consumer was given.
type ids struct {
	mu  sync.Mutex
	all []string
}

func (l *ids) add(st Stanza) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, strings.Clone(st.Head().ID))
}

func (l *ids) get() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.all...)
}
