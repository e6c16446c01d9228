package interop_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// said is what somebody says to somebody else.
type said struct{ id, body string }

// voice is somebody who talks.
type voice interface {
	// who returns the full JID.
	who() jid.JID
	say(ctx context.Context, t *testing.T, to jid.JID, s said)
	// hear returns the next message.
	hear(ctx context.Context, t *testing.T) said
	// settled waits until the server has acknowledged everything.
	settled(ctx context.Context, t *testing.T)
}

// ourVoice talks with a client of ours.
type ourVoice struct {
	*stanza.Conn
	messages  chan *stanza.Message
	presences chan *stanza.Presence
	receipts  []*stream.Receipt
}

// startOurVoice takes what a connection receives until the test ends, and closes it then.
func startOurVoice(t *testing.T, conn *stanza.Conn) *ourVoice {
	t.Helper()
	v := &ourVoice{Conn: conn, messages: make(chan *stanza.Message, 256), presences: make(chan *stanza.Presence, 256)}
	ctx, stop := context.WithCancel(context.Background())
	var reading sync.WaitGroup
	// Owner: the test. Ends with ctx or the connection, below. Joined by reading.
	reading.Go(func() {
		for st, err := range conn.All(ctx) {
			if err != nil {
				return
			}
			switch st := st.(type) {
			case *stanza.Message:
				hear(ctx, v.messages, st.Clone())
			case *stanza.Presence:
				hear(ctx, v.presences, st.Clone())
			case *stanza.IQ:
				// Nothing was promised. The server's own requests are answered with an error.
				if st.IsRequest() {
					_ = conn.Send(ctx, st.ErrorReply(stanza.ServiceUnavailable))
				}
			}
		}
	})
	t.Cleanup(func() {
		closing, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = conn.Close(closing) // a test may have broken it for good
		stop()
		reading.Wait()
	})
	return v
}

func (v *ourVoice) who() jid.JID { return v.LocalAddr() }

func (v *ourVoice) say(ctx context.Context, t *testing.T, to jid.JID, s said) {
	t.Helper()
	r, err := v.SendReceipt(ctx, &stanza.Message{ID: s.id, To: to, Type: stanza.ChatMessage, Body: stanza.Plain(s.body)})
	require.NoError(t, err)
	v.receipts = append(v.receipts, r)
}

func (v *ourVoice) hear(ctx context.Context, t *testing.T) said {
	t.Helper()
	m := next(ctx, t, v.messages)
	return said{m.ID, m.Body.String()}
}

func (v *ourVoice) settled(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, r := range v.receipts {
		require.NoError(t, r.Wait(ctx, stream.Acked))
	}
	v.receipts = nil
}

// meets waits for presence of a type.
func (v *ourVoice) meets(ctx context.Context, t *testing.T, who jid.JID, typ stanza.PresenceType) {
	t.Helper()
	until(ctx, t, v.presences, func(p *stanza.Presence) bool { return p.From == who && p.Type == typ })
}

// appears tells somebody that one is there, who then gets to know when one is not any more (RFC 6121 §4.6).
func (v *ourVoice) appears(ctx context.Context, t *testing.T, to *ourVoice) {
	t.Helper()
	r, err := v.SendReceipt(ctx, &stanza.Presence{To: to.who()})
	require.NoError(t, err)
	require.NoError(t, r.Wait(ctx, stream.Acked))
	to.meets(ctx, t, v.who(), stanza.AvailablePresence)
}

// events keeps what Reconnect tells.
type events struct {
	mu   sync.Mutex
	all  []xmpp.Event
	more chan struct{} // closed and replaced with each event
}

func newEvents() *events { return &events{more: make(chan struct{})} }

func (e *events) add(event xmpp.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, event)
	close(e.more)
	e.more = make(chan struct{})
}

// nth waits for the nth event of a kind, from 0.
func nth[E xmpp.Event](ctx context.Context, t *testing.T, e *events, n int) E {
	t.Helper()
	for {
		e.mu.Lock()
		more, all := e.more, kinds[E](e.all)
		e.mu.Unlock()
		if len(all) > n {
			return all[n]
		}
		select {
		case <-more:
		case <-ctx.Done():
			require.FailNow(t, "no such event in time", "%T, number %d: %v", *new(E), n, e.all)
		}
	}
}

func kinds[E xmpp.Event](all []xmpp.Event) []E {
	var out []E
	for _, event := range all {
		if event, ok := event.(E); ok {
			out = append(out, event)
		}
	}
	return out
}

// soon has a client reconnect without delay.
func soon(e *events) *xmpp.Reconnect {
	return &xmpp.Reconnect{First: 20 * time.Millisecond, Resume: 20 * time.Millisecond, Base: 20 * time.Millisecond, Max: 200 * time.Millisecond, Events: e.add}
}

// long is longer than a record of TLS, and of characters with several bytes: most places in it are inside an element, and many inside a character.
var long = strings.Repeat("“Good night, good night! Parting is such sweet sorrow…” <&> \U0001F319 ", 400)

// text returns the body of a message: every third is long.
func text(n int) string {
	if n%3 == 1 {
		return fmt.Sprintf("%d: %s", n, long)
	}
	return fmt.Sprintf("%d: <short> & “sweet”", n)
}

// talk has two voices say n things each to the other, in turns, and says what they will hear. From is the number of the first.
func talk(ctx context.Context, t *testing.T, a, b voice, from, n int, between func(i int)) (toA, toB []said) {
	t.Helper()
	for i := range n {
		if between != nil {
			between(i)
		}
		toB = append(toB, said{fmt.Sprintf("a%d", from+i), text(from + i)})
		a.say(ctx, t, b.who(), toB[i])
		toA = append(toA, said{fmt.Sprintf("b%d", from+i), text(from + i)})
		b.say(ctx, t, a.who(), toA[i])
	}
	return toA, toB
}

// heardBy checks that somebody hears exactly what was said, in order.
func heardBy(ctx context.Context, t *testing.T, v voice, all []said) {
	t.Helper()
	for _, want := range all {
		got := v.hear(ctx, t)
		require.Equal(t, want.id, got.id)
		require.Equal(t, want.body, got.body, "%s is not what was said", want.id)
	}
}
