package stanza

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §8.2.3 rule 3: one answer to each request, whatever a handler does to
// the stanza that it was lent, and whatever it returns.
func TestDispatchAnswersOnce(t *testing.T) {
	// into turns the request into its own answer, as a handler may that saves
	// allocations.
	into := func(iq *IQ, payload Payload) {
		iq.To, iq.From, iq.Type, iq.Payload = iq.From, iq.To, ResultIQ, payload
	}
	for name, tt := range map[string]struct {
		h      HandlerFunc
		want   string // part of the one reply
		failed bool   // there is something to report
	}{
		"changed and sent": {func(ctx context.Context, s Sender, st Stanza) error {
			into(st.(*IQ), nil)
			return s.Send(ctx, st)
		}, "type='result'", false},
		"changed and cannot be written": {func(ctx context.Context, s Sender, st Stanza) error {
			into(st.(*IQ), badPayload{})
			return s.Send(ctx, st)
		}, "internal-server-error", true},
		"changed and forgotten": {func(_ context.Context, _ Sender, st Stanza) error {
			into(st.(*IQ), nil)
			return nil
		}, "service-unavailable", false},
		"sender and id changed": {func(_ context.Context, _ Sender, st Stanza) error {
			st.SetHead(Head{})
			return Forbidden
		}, "forbidden", false},
		"no error, in an interface": {func(context.Context, Sender, Stanza) error {
			var none *Error
			return none
		}, "internal-server-error", true},
		"an error whose payload panics": {func(context.Context, Sender, Stanza) error {
			return &Error{Condition: Forbidden, Application: panicPayload{}}
		}, "internal-server-error", true},
		"dispatched again": {func(ctx context.Context, s Sender, st Stanza) error {
			return Dispatch(ctx, HandlerFunc(func(context.Context, Sender, Stanza) error { return Forbidden }), s, st)
		}, "forbidden", false},
		"dispatched again, cloned and answered later": {func(ctx context.Context, s Sender, st Stanza) error {
			var kept Stanza
			err := Dispatch(ctx, HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				kept = Clone(st)
				return nil
			}), s, st)
			return errors.Join(err, s.Send(context.WithoutCancel(ctx), kept.(*IQ).Result(nil)))
		}, "type='result'", false},
		"dispatched again, and cloned": {func(ctx context.Context, s Sender, st Stanza) error {
			return Dispatch(ctx, HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				Clone(st)
				return nil
			}), s, st)
		}, "", false},
	} {
		check := func(t *testing.T, sent []string, err error) {
			require.Equal(t, tt.failed, err != nil, "%v", err)
			if tt.want == "" {
				require.Empty(t, sent)
				return
			}
			require.Len(t, sent, 1)
			require.Contains(t, sent[0], tt.want)
			require.Contains(t, sent[0], "id='1'")
			require.Contains(t, sent[0], "to='juliet@capulet.lit/balcony'")
		}
		t.Run(name, func(t *testing.T) {
			st, err := Decode(element(t, stream.NSClient, someGet))
			require.NoError(t, err)
			r := &recorder{}
			err = Dispatch(t.Context(), tt.h, r, st)
			check(t, r.sent, err)
		})
		for _, parallel := range []int{1, 2} {
			t.Run(name+", by Serve", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := client(t)
					var reported error
					c := newConn(f, &Options{Parallel: parallel, Report: func(_ context.Context, _ Stanza, err error) { reported = err }})
					defer c.Abort(nil)
					go c.Serve(t.Context(), tt.h)
					f.receive("%s", someGet)
					check(t, f.take(), reported)
				})
			})
		}
	}
}

// panicPayload is a payload with a mistake in it.
type panicPayload struct{}

func (panicPayload) AppendXML([]byte) ([]byte, error) { panic("no payload") }

// An own loop may leave a step to Dispatch: a clone made there counts in the loop
// as well.
func TestAllWithDispatch(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		c := newConn(f, nil)
		f.receive(`<iq id='q1' from='%s' type='get'><q xmlns='urn:q'/></iq>`, romeo)
		for st, err := range c.All(t.Context()) {
			require.NoError(t, err)
			require.NoError(t, Dispatch(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error {
				Clone(st)
				return nil
			}), c, st))
			break
		}
		require.Empty(t, f.take())
	})
}

// RFC 6120 §8.1.2.1, §10.3.3: absent addresses stand for the account of the
// client, so an answer without 'to' is one to the account, and to whoever asked
// without 'from'.
func TestAnswerWithoutAddress(t *testing.T) {
	account := romeo.Bare()
	for _, tt := range []struct {
		name     string
		side     func(testing.TB) *fake
		from, to jid.JID // of the request, of the answer
		answers  bool
	}{
		{"client, from the account", client, account, jid.JID{}, true},
		{"client, from nobody", client, jid.JID{}, account, true},
		{"client, from the server", client, montague, jid.JID{}, false},
		{"client, from a contact", client, juliet, jid.JID{}, false},
		{"client, from itself", client, romeo, account, false},
		{"host", host, romeo, jid.JID{}, true},
		{"host, to the account", host, romeo, account, true},
		{"host, to somebody else", host, romeo, juliet, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := tt.side(t)
				c := newConn(f, nil)
				defer c.Abort(nil)
				from := ""
				if !tt.from.IsZero() {
					from = " from='" + tt.from.String() + "'"
				}
				f.receive(`<iq id='q1'%s type='set'><q xmlns='urn:q'/></iq>`, from)
				for st := range c.All(t.Context()) {
					require.NoError(t, c.Send(t.Context(), &IQ{ID: st.Head().ID, To: tt.to, Type: ResultIQ}))
					break
				}
				sent := f.take()
				require.Equal(t, tt.answers, len(sent) == 1, "%v", sent)
			})
		})
	}
}

// The context of the consumer ends while an answer waits for room: the answer
// gets its grace all the same.
func TestAnswerOutlivesContext(t *testing.T) {
	for name, xml := range map[string]string{
		"a request":           someGet,
		"a malformed request": `<iq id='1' from='juliet@capulet.lit/balcony' type='get'/>`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := client(t)
				c := newConn(f, &Options{Report: func(_ context.Context, _ Stanza, err error) { require.NoError(t, err) }})
				defer c.Abort(nil)
				room := make(chan struct{})
				f.block(room)
				ctx, cancel := context.WithCancel(t.Context())
				served := make(chan error, 1)
				go func() {
					served <- c.Serve(ctx, HandlerFunc(func(context.Context, Sender, Stanza) error { return nil }))
				}()
				f.receive("%s", xml)
				synctest.Wait() // the answer waits
				cancel()
				synctest.Wait()
				<-time.After(replyGrace / 2)
				close(room)
				require.ErrorIs(t, <-served, context.Canceled)
				sent := f.take()
				require.Len(t, sent, 1)
				require.Contains(t, sent[0], "type='error'")
			})
		})
	}
}
