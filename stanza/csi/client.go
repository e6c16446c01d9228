package csi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol.
const NS = "urn:xmpp:csi:0"

var (
	csiName      = stream.Name{Space: NS, Local: "csi"}
	activeName   = stream.Name{Space: NS, Local: "active"}
	inactiveName = stream.Name{Space: NS, Local: "inactive"}
)

// Session is what a client says its state over: a [*stream.Session].
type Session interface {
	Send(ctx context.Context, el stream.Appender) error
}

// Active tells the server that the client is in use again (XEP-0352 §4.2). There is
// no reply, but what was held back comes before anything that is asked for
// afterwards (§5.1). The error is that of sending, which ctx bounds.
func Active(ctx context.Context, s Session) error { return indicate(ctx, s, activeName) }

// Inactive tells the server that nobody is looking at the client (§4.2). There is
// no reply. It is for servers that offer it: see [Client.Offered]. The error is
// that of sending, which ctx bounds.
func Inactive(ctx context.Context, s Session) error { return indicate(ctx, s, inactiveName) }

func indicate(ctx context.Context, s Session, name stream.Name) error {
	if err := s.Send(ctx, nonza(name)); err != nil {
		return fmt.Errorf("csi: %s: %w", name.Local, err)
	}
	return nil
}

// nonza is an element of the protocol.
type nonza stream.Name

// AppendXML implements [stream.Appender].
func (n nonza) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(stream.Name(n))
	w.End()
	return w.Bytes()
}

// Client is the client's part in the negotiation. The zero value is ready. It is
// safe for concurrent use, and for one stream after the other; what it says is
// about the latest.
type Client struct {
	// Inactive begins each session in the inactive state, until [Client.Set] says
	// otherwise: in the request that binds by Bind 2 (XEP-0386 §3.2), or else right
	// after binding or resumption. False begins it in the active state, as §4.2 has
	// it.
	Inactive bool

	offered atomic.Bool
	state   atomic.Int32 // what Set was told: 0 for nothing, stateActive, stateInactive
}

const (
	stateActive = iota + 1
	stateInactive
)

// inactive reports in which state sessions begin.
func (c *Client) inactive() bool {
	if s := c.state.Load(); s != 0 {
		return s == stateInactive
	}
	return c.Inactive
}

// Set tells the server of s whether the client is in use, as [Active] and [Inactive]
// do, and has every later session begin like that. That is what a client wants which
// reconnects: neither a fresh session nor one that is resumed knows the state of the
// one before (§5.2). A server that does not know the protocol is told nothing.
//
// A session that has ended, as between two of them, is no error. Other errors are
// those of sending; the next session begins in the new state all the same.
func (c *Client) Set(ctx context.Context, s Session, active bool) error {
	name, state := inactiveName, int32(stateInactive)
	if active {
		name, state = activeName, stateActive
	}
	c.state.Store(state)
	if !c.Offered() {
		return nil
	}
	if err := indicate(ctx, s, name); err != nil && !errors.Is(err, stream.ErrClosed) {
		return err
	}
	return nil
}

// Offered reports whether the server of the latest stream knows the protocol
// (§4.1).
func (c *Client) Offered() bool { return c.offered.Load() }

// begunKey finds what was negotiated inline in a [stream.Negotiation].
type begunKey struct{}

// Feature returns the feature for [stream.InitiateOptions]. It belongs to c.
func (c *Client) Feature() stream.Feature {
	return stream.Feature{
		Name:  csiName,
		Needs: stream.Bound,
		// A server that has ceased to offer it must not be taken for one that does.
		Unadvertised: true,
		Initiate: func(_ context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			n.SetValue(boundKey{}, true)
			begun, _ := n.Value(begunKey{}).(bool)
			c.offered.Store(offer != nil || begun)
			if !c.inactive() || begun || offer == nil {
				return stream.Outcome{}, stream.ErrSkip
			}
			return stream.Outcome{}, n.Write(func(w *stream.Writer) { w.Append(nonza(inactiveName)) })
		},
		Inline: []stream.Inline{{
			In:    stream.InBinding,
			Space: NS,
			Request: func(_ *stream.Negotiation, _ *stream.Element, w *stream.Writer) error {
				name := activeName
				if c.inactive() {
					name = inactiveName
				}
				w.Append(nonza(name))
				return nil
			},
			Result: func(n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
				n.SetValue(begunKey{}, true)
				n.SetValue(boundKey{}, true)
				return stream.Outcome{}, nil
			},
		}},
		Established: func(n *stream.Negotiation, s *stream.Session) {
			// §5.2: a session that was resumed is active, whatever it was before. What
			// follows binding has not run for it.
			if n.Value(boundKey{}) == nil && c.inactive() && c.Offered() {
				_ = s.TrySend(nonza(inactiveName)) // fails only with the session
			}
		},
	}
}

// boundKey is set in a [stream.Negotiation] that has bound a resource.
type boundKey struct{}
