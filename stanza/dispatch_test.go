package stanza

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// recorder is a Sender that is no Conn.
type recorder struct {
	sent []string
	err  error
}

func (r *recorder) Send(ctx context.Context, st Stanza) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b, err := st.AppendXML(nil)
	if err != nil {
		return err
	}
	if r.err == nil {
		r.sent = append(r.sent, string(b))
	}
	return r.err
}

func (r *recorder) Do(context.Context, *IQ) (*IQ, error) { return nil, errors.New("nobody there") }

const (
	someGet      = `<iq id='1' from='juliet@capulet.lit/balcony' to='montague.lit' type='get'><q xmlns='urn:q'/></iq>`
	someSet      = `<iq id='1' from='juliet@capulet.lit/balcony' to='montague.lit' type='set'><q xmlns='urn:q'/></iq>`
	someResult   = `<iq id='1' from='juliet@capulet.lit/balcony' to='montague.lit' type='result'/>`
	someIQError  = `<iq id='1' from='juliet@capulet.lit/balcony' to='montague.lit' type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
	someMessage  = `<message id='1' from='juliet@capulet.lit/balcony' to='montague.lit'><body>hi</body></message>`
	someBounce   = `<message id='1' from='juliet@capulet.lit/balcony' type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`
	somePresence = `<presence id='1' from='juliet@capulet.lit/balcony'/>`
)

// What one call of a handler leads to: RFC 6120 §8.2.3 rules 3 and 4, §8.3.1
// rules 1 and 8.
//
//conformance:proves 6120-8.2.3-4 6120-8.2.3-6 6120-8.3.1-2 6120-8.3.1-10
func TestDispatch(t *testing.T) {
	private := errors.New("the password of the database is wrong")
	received := &Error{Condition: ItemNotFound, Text: "from a third party", Received: true}
	unwritable := &Error{Condition: Forbidden, Application: badPayload{}}
	ret := func(err error) HandlerFunc {
		return func(context.Context, Sender, Stanza) error { return err }
	}
	answer := func(ctx context.Context, s Sender, st Stanza) error {
		return s.Send(ctx, st.(*IQ).Result(nil))
	}
	for _, tt := range []struct {
		name   string
		xml    string
		h      HandlerFunc
		want   string // part of the one reply; "" for none
		result error  // what Dispatch returns
	}{
		{"get, unanswered", someGet, ret(nil), "service-unavailable", nil},
		{"set, unanswered", someSet, ret(nil), "service-unavailable", nil},
		{"get, answered", someGet, answer, "type='result'", nil},
		{"get, answered and failed", someGet, func(ctx context.Context, s Sender, st Stanza) error {
			_ = answer(ctx, s, st)
			return private
		}, "type='result'", private},
		{"get, cloned", someGet, func(_ context.Context, _ Sender, st Stanza) error { Clone(st); return nil }, "", nil},
		{"get, stanza error", someGet, ret(&Error{Condition: Forbidden}), "forbidden", nil},
		{"get, wrapped stanza error", someGet, ret(fmt.Errorf("no: %w", &Error{Condition: Forbidden})), "forbidden", nil},
		{"get, condition", someGet, ret(NotAllowed), "not-allowed", nil},
		{"get, no condition", someGet, ret(Condition("lunch")), "internal-server-error", Condition("lunch")},
		{"get, other error", someGet, ret(private), "internal-server-error", private},
		{"get, error of a third party", someGet, ret(received), "item-not-found", nil},
		{"get, error that cannot be written", someGet, ret(unwritable), "internal-server-error", unwritable},
		{"result", someResult, ret(nil), "", nil},
		{"result, error", someResult, ret(Forbidden), "", Forbidden},
		{"iq error, error", someIQError, ret(Forbidden), "", Forbidden},
		{"message", someMessage, ret(nil), "", nil},
		{"message, stanza error", someMessage, ret(&Error{Condition: NotAcceptable}), "not-acceptable", nil},
		{"message, condition", someMessage, ret(NotAcceptable), "not-acceptable", nil},
		{"message, no condition", someMessage, ret(Condition("lunch")), "", Condition("lunch")},
		{"message, other error", someMessage, ret(private), "", private},
		{"message, error of a third party", someMessage, ret(received), "", received},
		{"message of type error, stanza error", someBounce, ret(NotAcceptable), "", NotAcceptable},
		{"presence, stanza error", somePresence, ret(NotAcceptable), "not-acceptable", nil},
		{"presence, other error", somePresence, ret(private), "", private},
	} {
		check := func(t *testing.T, sent []string, err error) {
			if tt.result == nil {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, tt.result)
			}
			if tt.want == "" {
				require.Empty(t, sent)
				return
			}
			require.Len(t, sent, 1)
			require.Contains(t, sent[0], tt.want)
			require.Contains(t, sent[0], "to='juliet@capulet.lit/balcony'")
			require.NotContains(t, sent[0], "password")
			require.NotContains(t, sent[0], "third party")
		}
		t.Run(tt.name, func(t *testing.T) {
			st, err := Decode(element(t, stream.NSClient, tt.xml))
			require.NoError(t, err)
			r := &recorder{}
			err = Dispatch(t.Context(), tt.h, r, st)
			check(t, r.sent, err)
		})
		t.Run(tt.name+", by Serve", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := client(t)
				var reported error
				c := newConn(f, &Options{Router: true, Report: func(_ context.Context, st Stanza, err error) {
					require.Equal(t, "1", st.Head().ID)
					reported = err
				}})
				defer c.Abort(nil)
				go c.Serve(t.Context(), tt.h)
				f.receive("%s", tt.xml)
				sent := f.take()
				if tt.name == "get, unanswered" || tt.name == "set, unanswered" {
					require.Empty(t, sent, "a router leaves requests open")
					return
				}
				check(t, sent, reported)
			})
		})
	}
}

// An answer that cannot be sent is not lost silently, unless everything is over.
func TestDispatchCannotAnswer(t *testing.T) {
	full := errors.New("full")
	h := HandlerFunc(func(context.Context, Sender, Stanza) error { return nil })
	st := func() Stanza {
		st, err := Decode(element(t, stream.NSClient, someGet))
		require.NoError(t, err)
		return st
	}
	require.ErrorIs(t, Dispatch(t.Context(), h, &recorder{err: full}, st()), full)
	require.NoError(t, Dispatch(t.Context(), h, &recorder{err: fmt.Errorf("x: %w", net.ErrClosed)}, st()))

	// The context of the consumer has ended, and there is somebody to answer.
	ctx, cancel := context.WithCancel(t.Context())
	r := &recorder{}
	require.NoError(t, Dispatch(ctx, HandlerFunc(func(context.Context, Sender, Stanza) error { cancel(); return nil }), r, st()))
	require.Len(t, r.sent, 1)

	// And nobody makes room: that ends too.
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		var reported error
		c := newConn(f, &Options{Report: func(_ context.Context, _ Stanza, err error) { reported = err }})
		defer c.Abort(nil)
		f.block(make(chan struct{}))
		ctx, cancel := context.WithCancel(t.Context())
		f.receive("%s", someGet)
		start := time.Now()
		require.ErrorIs(t, c.Serve(ctx, HandlerFunc(func(context.Context, Sender, Stanza) error { cancel(); return nil })), context.Canceled)
		require.Equal(t, replyGrace, time.Since(start))
		require.ErrorIs(t, reported, context.DeadlineExceeded)
	})
}

// Without a hook, errors go to the log, and the contents of stanzas do not.
func TestReportToLog(t *testing.T) {
	var buf bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&buf, nil)))
	defer slog.SetDefault(old)
	synctest.Test(t, func(t *testing.T) {
		f := client(t)
		c := newConn(f, nil)
		f.receive(`<message from='%s'><body>s3cret</body></message>`, juliet)
		f.receive(`<presence from='%s'/>`, juliet)
		close(f.ends)
		require.NoError(t, c.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
			if st.Kind() == MessageKind {
				return errors.New("disk full")
			}
			panic("boom")
		})))
	})
	require.Contains(t, buf.String(), "disk full")
	require.Contains(t, buf.String(), "boom")
	require.Contains(t, buf.String(), "from=juliet@capulet.lit ")
	require.Contains(t, buf.String(), "dispatch_test.go", "the stack of the panic is missing")
	require.NotContains(t, buf.String(), "s3cret")
}
