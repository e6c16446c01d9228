package stream

import (
	"context"
	"errors"
	"net"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Role says which side of a stream this is (RFC 6120 §4.1).
type Role uint8

// The two sides of a stream.
const (
	// Initiating is the side that opened the connection: a client.
	Initiating Role = iota
	// Receiving is the side that accepted it: a server.
	Receiving
)

// String returns "initiating" or "receiving".
func (r Role) String() string {
	if r == Receiving {
		return "receiving"
	}
	return "initiating"
}

// Facts about a negotiation that did not succeed. The errors of Initiate and
// Accept wrap them.
var (
	// ErrSkip is returned by Feature.Initiate to pass the feature over.
	ErrSkip = errors.New("stream: feature skipped")

	// ErrNoProgress: the peer offers nothing that leads any further, or goes
	// round in circles.
	ErrNoProgress = errors.New("stream: negotiation makes no progress")

	// ErrPlaintextInjected: bytes had arrived in plaintext behind the element
	// that begins TLS (RFC 6120 §5.4.3.1 rule 1).
	ErrPlaintextInjected = errors.New("stream: plaintext received ahead of TLS")

	// ErrNegotiationTimeout: the absolute deadline of the negotiation passed.
	ErrNegotiationTimeout = errors.New("stream: negotiation timed out")

	// ErrOptions is wrapped by errors about options that cannot be used.
	ErrOptions = errors.New("stream: unusable options")
)

// maxRounds bounds how many features and restarts one negotiation may take.
const maxRounds = 24

// defaultTimeout bounds a whole negotiation.
const defaultTimeout = 30 * time.Second

type abortError struct{ err error }

func (e *abortError) Error() string { return e.err.Error() }
func (e *abortError) Unwrap() error { return e.err }

// Abort wraps an error of a feature after which the connection is dropped at
// once, with neither a stream error nor a closing tag (RFC 6120 §5.4.3.2).
func Abort(err error) error { return &abortError{err} }

// Negotiation is a stream that is being negotiated. Features get it; it is
// theirs for the duration of the call and not for concurrent use.
type Negotiation struct {
	*carrier
	role   Role
	prof   Profile
	limits Limits
	state  State
	sec    Security

	local, remote Header
	lang          string // our default
	headerSent    bool
	domain        jid.JID
	identity      jid.JID
	wanted        jid.JID // InitiateOptions.From

	offers    []Feature           // of this side
	requested map[requestKey]bool // inline requests without an answer yet
	agent     UserAgent
	admit     Admit

	features *Element      // received, initiating entity only
	peer     peerLimits    // announced in features
	done     map[Name]bool // features tried on this stream; false for skipped ones
	upgraded bool          // the transport was replaced; a restart must follow
	values   map[any]any   // what features remember
	nonzas   []nonzaHandler
	deadline time.Time
	acks     quickAcks
	liveness Liveness
	resumed  bool // an earlier session was resumed, so nothing else follows
}

type nonzaHandler struct {
	space  string
	handle func(*Session, *Element) error
}

// Role says which side of the stream this is.
func (n *Negotiation) Role() Role { return n.role }

// Profile returns the kind of stream.
func (n *Negotiation) Profile() Profile { return n.prof }

// State returns the facts established so far.
func (n *Negotiation) State() State { return n.state }

// Security describes the layer below. It is never nil; read it only.
func (n *Negotiation) Security() *Security { return &n.sec }

// Domain is the domain that the stream is addressed to, on either side: what
// certificates and addresses are about. On the receiving side it is one of the
// domains served.
func (n *Negotiation) Domain() jid.JID { return n.domain }

// Identity is, on the receiving side, who has authenticated: a bare JID, after
// binding a full one. On the initiating side it is who the caller wants to be,
// until binding has told who it is.
func (n *Negotiation) Identity() jid.JID { return n.identity }

// Wanted is, on the initiating side, who the caller wants to be, with the
// resource that it would like: InitiateOptions.From.
func (n *Negotiation) Wanted() jid.JID { return n.wanted }

// SetIdentity records who has authenticated or what was bound.
func (n *Negotiation) SetIdentity(j jid.JID) { n.identity = j }

// UserAgent returns what the client says about itself: on the receiving side
// what SetUserAgent recorded.
func (n *Negotiation) UserAgent() UserAgent { return n.agent }

// SetUserAgent records what the client says about itself, for
// [Session.UserAgent].
func (n *Negotiation) SetUserAgent(a UserAgent) { n.agent = a }

// LocalHeader returns the last stream header sent.
func (n *Negotiation) LocalHeader() Header { return n.local }

// RemoteHeader returns the last stream header received.
func (n *Negotiation) RemoteHeader() Header { return n.remote }

// Features returns the <stream:features/> element in force, so that a feature
// can look at its siblings, or nil on the receiving side. It is valid until the
// next restart.
func (n *Negotiation) Features() *Element { return n.features }

// Trace returns the hooks in force, never nil.
func (n *Negotiation) Trace() *Trace { return &n.trace.hooks }

// Secrets makes the trace redact the contents of elements with these names,
// for as long as the connection lives.
func (n *Negotiation) Secrets(names ...Name) { n.trace.hide(names...) }

// Value returns what SetValue stored under key, or nil.
func (n *Negotiation) Value(key any) any { return n.values[key] }

// SetValue lets a feature remember something for this stream, restarts
// included. The key should be of an unexported type, as with context.Context.
func (n *Negotiation) SetValue(key, value any) { n.values[key] = value }

// HandleNonza makes the session that results from this negotiation hand
// first-level elements in the given namespace to handle, on its reader, in
// order with the stanzas. Errors end the session as those of [Session.Serve]
// do.
func (n *Negotiation) HandleNonza(space string, handle func(*Session, *Element) error) {
	for i := range n.nonzas {
		if n.nonzas[i].space == space {
			n.nonzas[i].handle = handle
			return
		}
	}
	n.nonzas = append(n.nonzas, nonzaHandler{space, handle})
}

// Buffered returns how many bytes were received and not consumed yet.
func (n *Negotiation) Buffered() int { return n.sc.buffered() }

// Write sends first-level elements and returns when they are handed to the
// transport.
func (n *Negotiation) Write(build func(w *Writer)) error {
	w := NewWriter(nil)
	build(&w)
	b, err := w.Bytes()
	if err != nil {
		return err
	}
	return n.writeRaw(b)
}

func (n *Negotiation) writeRaw(b []byte) error {
	n.trace.wrote(b)
	written, err := n.conn.Write(b)
	n.bytesOut.Add(uint64(max(written, 0)))
	if err != nil {
		n.broken = true
		return err
	}
	n.acks.arm()
	return nil
}

// Read returns the next first-level element; white space between elements is
// passed over. A stream error comes back as an [*Error] with Received set, a
// closing tag as [ErrPeerClosed]. The element is borrowed until the next Read.
// The absolute deadline of the negotiation bounds it, as does its context.
func (n *Negotiation) Read(ctx context.Context) (*Element, error) { return n.read(ctx, false) }

// ReadStrict is Read for the middle of an exchange in which nothing may be sent
// but its elements: white space between them is an error, an [*Error] that ends
// the stream (XEP-0388 §2.4).
func (n *Negotiation) ReadStrict(ctx context.Context) (*Element, error) { return n.read(ctx, true) }

func (n *Negotiation) read(ctx context.Context, strict bool) (*Element, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		kind, el, err := n.next()
		if err != nil {
			return nil, err
		}
		switch kind {
		case itemElement:
			if isStreamError(el) {
				e := decodeError(el)
				if n.trace.hooks.ErrorReceived != nil {
					n.trace.hooks.ErrorReceived(e)
				}
				return nil, e
			}
			return el, nil
		case itemEnd:
			return nil, ErrPeerClosed
		case itemHeader:
			return nil, newError(BadFormat, "stream header inside a stream")
		case itemSpace:
			if strict {
				return nil, newError(BadFormat, "white space in the middle of an exchange")
			}
		}
	}
}

// Upgrade replaces the transport by what handshake makes of it: a TLS layer.
// It refuses, and the connection is dropped, if the peer has sent anything in
// plaintext that was not consumed yet: such bytes could come from anybody and
// must not be taken for protected ones (RFC 6120 §5.3.3, §5.4.3.1). Everything
// learnt from the peer in plaintext is forgotten, and the stream restarts when
// the feature returns, whatever its Outcome says. The deadline of the
// negotiation holds for the handshake too.
func (n *Negotiation) Upgrade(handshake func(net.Conn) (net.Conn, Security, error)) error {
	if n.sc.pending() {
		return Abort(ErrPlaintextInjected)
	}
	conn, sec, err := handshake(n.conn)
	if err != nil {
		return Abort(err)
	}
	n.conn, n.sec = conn, sec
	n.readErr, n.broken, n.upgraded = nil, false, true
	n.remote = Header{}
	n.features = nil
	if n.trace.hooks.Secured != nil {
		n.trace.hooks.Secured(sec)
	}
	return nil
}
