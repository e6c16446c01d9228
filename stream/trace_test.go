package stream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// wire collects what a trace shows, one line an item.
type wire struct {
	mu    sync.Mutex
	lines []string
}

func (w *wire) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *wire) all() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

// trace returns the hooks that fill w.
func (w *wire) trace() *stream.Trace {
	return &stream.Trace{
		HeaderSent:     func(h stream.Header) { w.add("header sent: id %t", h.ID != "") },
		HeaderReceived: func(h stream.Header) { w.add("header received") },
		XMLSent:        func(b []byte) { w.add("S %s", b) },
		XMLReceived:    func(b []byte) { w.add("C %s", b) },
		ErrorSent:      func(e *stream.Error) { w.add("error sent: %s", e.Condition) },
		Closed:         func(err error) { w.add("closed: %v", err) },
	}
}

// hiding is a feature that makes <token/> and <password/> secrets.
func hiding() stream.Feature {
	return stream.Feature{
		Name: stream.Name{Space: "urn:test", Local: "hiding"},
		Advertise: func(n *stream.Negotiation, _ *stream.Writer) error {
			n.Secrets(stream.Name{Space: "urn:test", Local: "token"}, stream.Name{Space: "urn:test", Local: "password"})
			return nil
		},
	}
}

// Output that does not parse is counted, not shown, and does not spoil what
// follows, nor does it pile up.
func TestTraceOfOutputThatDoesNotParse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		s, _, p := held(t, &stream.AcceptOptions{Trace: w.trace(), Features: []stream.Feature{hiding()}})
		for range 10 {
			for _, out := range []string{
				`<message><password xmlns='urn:test'>hunter2</password>&nbsp;</message>`,
				`<message><password xmlns='urn:test'>hunter2</password>`,
				strings.Repeat(" ", 10) + `hunter2`,
			} {
				require.NoError(t, s.Send(t.Context(), raw(out)))
				synctest.Wait()
			}
		}
		require.NoError(t, s.Send(t.Context(), raw(`<message><password xmlns='urn:test'>hunter2</password><stream:x/></message>`)))
		synctest.Wait()
		require.NotContains(t, w.all(), "hunter2")
		require.Equal(t, 30, strings.Count(w.all(), "bytes that do not parse]"))
		require.True(t, strings.HasSuffix(w.all(), "S <message>[redacted 56 bytes]</message>"), w.all())
		require.Less(t, stream.HeldByTrace(s), 1)
		s.Abort(errors.New("test over"))
		p.all(t)
	})
}

// What this side sends has no limits for its own trace.
func TestTraceOfLargeOutput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		s, _, p := held(t, &stream.AcceptOptions{Trace: w.trace(), Limits: &stream.Limits{ElementBytes: 10_000, Elements: 256}})
		out := "<message><body>" + strings.Repeat("x", 100_000) + "</body>" + strings.Repeat("<x/>", 10_000) + "</message>"
		require.NoError(t, s.Send(t.Context(), raw(out)))
		synctest.Wait()
		require.Contains(t, w.all(), out)
		require.Zero(t, stream.HeldByTrace(s), "nothing is kept while nothing is sent")
		s.Abort(errors.New("test over"))
		p.all(t)
	})
}

// A token may be in an attribute.
func TestTraceHidesAttributesOfSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		s, _, p := held(t, &stream.AcceptOptions{Trace: w.trace(), Features: []stream.Feature{hiding()}})
		require.NoError(t, s.Send(t.Context(), raw(`<message id='1'><token xmlns='urn:test' token='hunter2'/></message>`)))
		require.NoError(t, s.Send(t.Context(), raw(`<message id='2'><token xmlns='urn:test'/></message>`)))
		synctest.Wait()
		require.NotContains(t, w.all(), "hunter2")
		require.Contains(t, w.all(), `<message id='1'>[redacted`)
		require.Contains(t, w.all(), `<message id='2'><token xmlns='urn:test'/></message>`, "there is nothing to hide")
		s.Abort(errors.New("test over"))
		p.all(t)
	})
}

// RFC 6120 §4.9.1.2: the header that goes before an error is one, too; and what
// could not be read shows as a number of bytes.
func TestTraceOfARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare, Trace: w.trace()})
		p.say(t, `<?xml version='1.0'?><hunter2 &`)
		err := <-errs
		require.ErrorIs(t, err, stream.NotWellFormed)
		p.Close()
		p.all(t)
		require.NotContains(t, strings.ReplaceAll(w.all(), err.Error(), ""), "hunter2")
		require.Contains(t, w.all(), "bytes that do not parse]\nheader sent: id true\nerror sent: not-well-formed\nS <stream:stream ")
		require.True(t, strings.HasSuffix(w.all(), "S </stream:stream>\nclosed: "+err.Error()), w.all())
	})
}

func TestTraceOfANegotiationThatItsContextEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		why := errors.New("changed my mind")
		ctx, cancel := context.WithCancelCause(t.Context())
		p, errs := initiateRaw(ctx, &stream.InitiateOptions{Trace: w.trace()})
		synctest.Wait()
		cancel(why)
		err := <-errs
		require.ErrorIs(t, err, why)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, strings.HasSuffix(w.all(), "closed: "+err.Error()), w.all())
		p.all(t)
	})
}
