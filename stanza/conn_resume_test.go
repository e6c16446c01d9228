package stanza

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// backlog keeps to both of its bounds, takes one stanza of any size, and forgets the
// requests that nobody waits for.
func TestBacklog(t *testing.T) {
	b := backlog{maxStanzas: 3, maxBytes: 10}
	big := make([]byte, 100)
	require.True(t, b.offer(big, nil), "one whatever its size")
	require.False(t, b.offer([]byte("x"), nil))
	b.drop(b.all[0])
	require.Zero(t, b.bytes)

	k := &call{}
	require.True(t, b.offer([]byte("12345"), nil))
	require.True(t, b.offer([]byte("1234"), k))
	require.False(t, b.offer([]byte("12"), nil), "bytes")
	require.True(t, b.offer([]byte("1"), nil))
	require.False(t, b.offer(nil, nil), "stanzas")
	b.dropCall(k)
	b.dropCall(k)
	require.Equal(t, 6, b.bytes)
	b.putFirst([]stream.Appender{encoded("first")})
	require.Equal(t, encoded("first"), b.all[0].el)
	require.Equal(t, 3, b.dropAll())
	require.Zero(t, b.bytes)
}

// heir is a supervisor that says what there is to say.
type heir struct {
	next       func(ctx context.Context, lost error) (Successor, error)
	incomplete []error
	ended      []error
}

func (h *heir) Next(ctx context.Context, lost error) (Successor, error) { return h.next(ctx, lost) }
func (h *heir) Incomplete(err error)                                    { h.incomplete = append(h.incomplete, err) }
func (h *heir) Ended(err error)                                         { h.ended = append(h.ended, err) }

// uncomparable is an error that must not be compared.
type uncomparable []string

func (uncomparable) Error() string { return "cannot be compared" }

// How a Conn ends whose supervisor finds no other session: with its word, or that of
// the session if it has none, or that of the program.
func TestSupervisorGivesUp(t *testing.T) {
	cut, why, stop := errors.New("cut"), errors.New("why"), errors.New("stop")
	waits := func(ctx context.Context, _ error) (Successor, error) { <-ctx.Done(); return Successor{}, ctx.Err() }
	for name, row := range map[string]struct {
		lost  error
		next  func(context.Context, error) (Successor, error)
		end   func(*Conn)
		cause error
		text  string
		clean bool
	}{
		"a reason":     {lost: cut, next: func(context.Context, error) (Successor, error) { return Successor{}, why }, cause: why},
		"the loss":     {lost: cut, next: func(_ context.Context, lost error) (Successor, error) { return Successor{}, lost }, cause: cut},
		"no session":   {lost: cut, next: func(context.Context, error) (Successor, error) { return Successor{}, nil }, text: "no session"},
		"uncomparable": {lost: uncomparable{}, next: func(_ context.Context, lost error) (Successor, error) { return Successor{}, lost }, text: "compared"},
		"closed by the peer": {
			lost: stream.ErrPeerClosed, clean: true, cause: stream.ErrPeerClosed,
			next: func(_ context.Context, lost error) (Successor, error) { return Successor{}, lost },
		},
		"closed by the peer, with a reason": {
			lost: stream.ErrPeerClosed, cause: stream.ErrPeerClosed, text: "enough",
			next: func(_ context.Context, lost error) (Successor, error) {
				return Successor{}, errors.Join(errors.New("enough"), lost)
			},
		},
		"Close": {lost: cut, next: waits, end: func(c *Conn) { c.Close(context.Background()) }, cause: cut},
		"Abort": {lost: cut, next: waits, end: func(c *Conn) { c.Abort(stop) }, cause: stop},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, h := client(t), &heir{next: row.next}
				c := newConn(f, &Options{Supervisor: h})
				c.Restore("key", func(context.Context, Sender) error { return errors.New("never called") })
				c.Restore("key", nil)
				require.Empty(t, c.restorers)
				f.Abort(row.lost)
				synctest.Wait()
				if row.end != nil {
					require.NoError(t, c.Err())
					require.NoError(t, c.Send(t.Context(), &Message{}))
					row.end(c)
				}
				<-c.Done()
				require.ErrorIs(t, c.Err(), net.ErrClosed)
				if row.cause != nil {
					require.ErrorIs(t, c.Err(), row.cause)
				}
				require.ErrorContains(t, c.Err(), row.text)
				require.Equal(t, []error{c.Err()}, h.ended)
				if row.end != nil {
					require.Len(t, h.incomplete, 1)
					require.ErrorContains(t, h.incomplete[0], "1 stanzas were not sent")
				}
				err := c.Serve(t.Context(), HandlerFunc(func(context.Context, Sender, Stanza) error { return nil }))
				require.Equal(t, row.clean, err == nil)
				require.Error(t, c.Send(t.Context(), &Message{}))
			})
		})
	}
}
