package stream

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// NSLimits is the namespace of stream limits (XEP-0478).
const NSLimits = "urn:xmpp:stream-limits:0"

var (
	limitsName      = Name{NSLimits, "limits"}
	maxBytesName    = Name{NSLimits, "max-bytes"}
	idleSecondsName = Name{NSLimits, "idle-seconds"}
)

// AdvertiseLimits is the feature by which the receiving entity tells its peer
// what it enforces (XEP-0478): the ElementBytes of the [Limits] in force when
// the features are sent, which before authentication are the smaller
// PreAuthElementBytes (§4), and after how much silence the stream may be
// checked or ended. Idle is that silence, in whole seconds, the rest cut off,
// and at least one; zero or less leaves it out.
//
// The limits are in every <stream:features/> of the stream, so also in the one
// that follows the authentication of SASL 2 and the binding of Bind 2 without a
// restart. Where TLS is mandatory they are left out until there is TLS (RFC 6120
// §5.3.1). Whoever connects learns from them how large an element may be to cost
// the most (XEP-0478 §8), so a server has [Throttle] or the like as well.
//
// The initiating entity needs no feature for it: it obeys what is announced,
// see [Session.PeerLimits].
func AdvertiseLimits(idle time.Duration) Feature {
	return Feature{
		Name: limitsName,
		Advertise: func(n *Negotiation, w *Writer) error {
			// RFC 6120 §5.3.1: nothing but STARTTLS while that is mandatory.
			if n.prof.Goal.Has(Secure) && !n.state.Has(Secure) {
				return nil
			}
			l := n.limits
			if !n.state.Has(Authenticated) {
				l = l.preAuth()
			}
			w.Start(limitsName)
			writeLimit(w, maxBytesName, int64(l.ElementBytes))
			if idle > 0 {
				writeLimit(w, idleSecondsName, max(1, int64(idle/time.Second)))
			}
			w.End()
			return nil
		},
	}
}

// writeLimit writes an xs:unsignedInt (XEP-0478, schema). One that is too large
// for that becomes the largest: a peer that obeys it is within the limit.
func writeLimit(w *Writer, name Name, v int64) {
	w.Start(name)
	w.Text(strconv.FormatInt(min(v, math.MaxUint32), 10))
	w.End()
}

// peerLimits are what the peer has announced. Zero stands for what it has not.
type peerLimits struct {
	maxBytes int
	idle     time.Duration
	// early: announced before authentication, to a stranger.
	early bool
}

// SetPeerLimits records what is known of the peer's limits from elsewhere, zero
// for what is not, in place of what it has announced on this stream. It is for
// the feature that resumes an earlier session inside the authentication of SASL
// 2: no features follow then (XEP-0198 §9.2), and the limits of the earlier
// session still hold.
func (n *Negotiation) SetPeerLimits(maxBytes int, idle time.Duration) {
	n.peer = peerLimits{maxBytes: max(maxBytes, 0), idle: max(idle, 0)}
}

// PeerLimits returns what the peer has announced of its limits (XEP-0478): the
// size of the largest first-level element that it accepts, in octets, and after
// how much silence of this side it may check or end the stream. Zero means that
// it has announced nothing, or nothing that can be understood. What it has
// announced before authentication does not count for what is sent after. On the
// receiving side both are zero: a client has no way to announce limits (§11).
//
// Send, TrySend and SendReceipt return a [*TooLargeError] for an element that
// exceeds the size. Nothing in a Session acts on the time by itself.
func (s *Session) PeerLimits() (maxBytes int, idle time.Duration) {
	return s.peer.maxBytes, s.peer.idle
}

// TooLargeError is the error of sending an element that the peer has announced
// not to accept (XEP-0478). Nothing was sent, and the session goes on: to the
// peer, the element would have been a reason to end the stream.
type TooLargeError struct {
	// Size is the size of the element and Limit that of the largest which the
	// peer accepts, both in octets.
	Size, Limit int
}

// Error tells both sizes.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("stream: an element of %d bytes, and the peer accepts %d", e.Size, e.Limit)
}

// fits returns a *TooLargeError if there is an element in b that the peer does
// not accept. B holds first-level elements of this side.
func (s *Session) fits(b []byte) error {
	limit := s.peer.maxBytes
	if limit == 0 || len(b) <= limit {
		return nil
	}
	// XEP-0478 §3.1: the limit is on each first-level element, and an Appender
	// may have more than one.
	if size := largestElement(b, s.prof.ContentNS); size > limit {
		return &TooLargeError{Size: size, Limit: limit}
	}
	return nil
}

// largestElement returns the size of the largest of the first-level elements in
// b, and that of b as a whole if it holds anything else.
func largestElement(b []byte, contentNS string) int {
	// All that the headers of this side declare (RFC 6120 §4.8).
	in := append(make([]byte, 0, len(b)+256), `<stream:stream xmlns='`...)
	in = append(in, contentNS...)
	in = append(in, `' xmlns:stream='`+NSStream+`'>`...)
	in = append(append(in, b...), closingTag...)

	c := cutters.Get().(*cutter)
	defer func() { c.unread(); cutters.Put(c) }()
	c.t.buf, c.t.pos = in, 0
	c.restart(unlimited, 1)
	largest := 0
	for {
		el, kind, err := c.cut()
		switch {
		case err == nil && kind == EndElement && c.t.pos == len(in): // ours
			return largest
		case err != nil, kind == Text && len(bytes.Trim(c.t.tok.Text, " \t\r\n")) > 0:
			return len(b)
		case el != nil:
			largest = max(largest, len(el.raw))
		}
	}
}

// readPeerLimits takes the peer's limits from its features, in place of those
// that it has announced before (XEP-0478 §4). The announcement helps this side
// and protects nobody: one that makes no sense counts as none, and the peer goes
// on to enforce what it likes.
func (n *Negotiation) readPeerLimits() {
	n.peer = peerLimits{}
	found := false
	for c := range n.features.Children() {
		if c.Name() != limitsName {
			continue
		}
		if found { // whoever takes one of two takes the other one than somebody else
			n.peer = peerLimits{}
			return
		}
		found = true
		n.peer, _ = parseLimits(c)
	}
	n.peer.early = !n.state.Has(Authenticated)
}

// inForce returns what holds for a session whose negotiation has reached s.
func (l peerLimits) inForce(s State) peerLimits {
	if l.early && s.Has(Authenticated) {
		return peerLimits{}
	}
	return l
}

// parseLimits reads <limits/> (XEP-0478 §3.1). It is all or nothing: with a child
// twice or one that is no positive number nothing is known. Elements of other
// names are passed over.
func parseLimits(el *Element) (l peerLimits, ok bool) {
	for c := range el.Children() {
		switch c.Name() {
		case maxBytesName:
			v, ok := parseLimit(c)
			if !ok || l.maxBytes != 0 {
				return peerLimits{}, false
			}
			l.maxBytes = int(min(v, math.MaxInt))
		case idleSecondsName:
			v, ok := parseLimit(c)
			if !ok || l.idle != 0 {
				return peerLimits{}, false
			}
			l.idle = time.Duration(v) * time.Second
		}
	}
	return l, true
}

// limitText is more than the text of any limit needs, with white space around
// it or in the guise of character references.
const limitText = 128

// parseLimit reads an xs:unsignedInt of nothing but digits. White space around it
// is no part of it (XML Schema Part 2 §4.3.6). Zero is no limit that anybody could
// keep to.
func parseLimit(el *Element) (v uint64, ok bool) {
	if len(el.Inner()) > limitText {
		return 0, false
	}
	for range el.Children() {
		return 0, false
	}
	text := strings.Trim(el.Text(), " \t\r\n")
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
	}
	v, err := strconv.ParseUint(text, 10, 32)
	return v, err == nil && v > 0
}
