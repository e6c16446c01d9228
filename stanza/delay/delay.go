package delay

import (
	"iter"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol (XEP-0203 §7.1).
const NS = "urn:xmpp:delay"

var name = stream.Name{Space: NS, Local: "delay"}

// maxReason is the longest reason that is kept, in octets.
const maxReason = 1024

// Delay says that a stanza is delivered later than it was sent (XEP-0203 §2). It
// is a payload of a message or presence, and of what XEP-0297 forwards. The zero
// value cannot be written: a stamp is required.
//
// Whoever sent the stanza, or passed it on, may have written it (§5): a stamp is
// for showing, not for deciding.
type Delay struct {
	// From is who delayed the stanza, or who first sent it; zero means that the
	// attribute is absent. It is recommended.
	From jid.JID
	// Stamp is when the stanza was sent. It is written in UTC, see [Format], and to
	// the millisecond: there are clients that cannot read more than six digits
	// behind the point, and lose the stanza.
	Stamp time.Time
	// Reason describes the cause of the delay to a human; empty means none. When
	// reading, what is beyond 1,024 octets is dropped.
	Reason string
}

// AppendXML implements [stanza.Payload]. Without a Stamp, or with one outside the
// years 1 to 9999, the error wraps [ErrTime].
func (d Delay) AppendXML(dst []byte) ([]byte, error) {
	if d.Stamp.IsZero() { // XEP-0203 §2: REQUIRED
		return dst, ErrTime
	}
	var buf [maxTime]byte
	stamp, err := Append(buf[:0], d.Stamp.Truncate(time.Millisecond))
	if err != nil {
		return dst, err
	}
	w := stream.NewWriter(dst)
	w.Start(name)
	if !d.From.IsZero() {
		w.Attr("from", d.From.String())
	}
	w.Attr("stamp", string(stamp))
	w.Text(d.Reason)
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error]: with
// the condition [stanza.BadRequest] if el is not a delay or its stamp is missing
// or wrong, and [stanza.JIDMalformed] for an address that is none. On an error d
// is zero.
func (d *Delay) DecodeElement(el *stream.Element) error {
	*d = Delay{}
	if el.Name() != name {
		return &stanza.Error{Condition: stanza.BadRequest, Text: "not a delay"}
	}
	from, err := el.From()
	if err != nil {
		return &stanza.Error{Condition: stanza.JIDMalformed, Text: "malformed address in a delay", Cause: err}
	}
	stamp, err := Parse(el.Attr("stamp"))
	if err != nil {
		return &stanza.Error{Condition: stanza.BadRequest, Text: "malformed stamp in a delay", Cause: err}
	}
	*d = Delay{From: from, Stamp: stamp, Reason: reason(el)}
	return nil
}

// reason returns the text of el without the white space around it, which is there
// to make the XML readable (XEP-0203 example 1).
func reason(el *stream.Element) string {
	s := trim(el.Text())
	if len(s) > maxReason {
		s = trim(cut(s, maxReason))
	}
	return s
}

// cut shortens s to at most n octets, between two characters.
func cut(s string, n int) string {
	for n > 0 && s[n]&0xC0 == 0x80 {
		n--
	}
	return s[:n]
}

// Stamped is a stanza that may carry a delay: a [*stanza.Message] or a
// [*stanza.Presence].
type Stamped interface {
	Payload(name stream.Name) (*stream.Element, bool)
}

// Of returns the delay that came with a stanza. It reports false if there is
// none; an error, which is that of [Delay.DecodeElement], means that there is one
// that cannot be read. Of several, which XEP-0203 §2 does not permit, the first
// counts.
func Of(st Stamped) (d Delay, ok bool, err error) {
	el, ok := st.Payload(name)
	if !ok {
		return Delay{}, false, nil
	}
	err = d.DecodeElement(el)
	return d, err == nil, err
}

// Forged reports whether a stanza that came from somebody else has a delay in the
// name of self, the address of this server, or from an address that cannot be
// read. XEP-0203 §5: a server discards such a notation or answers
// [stanza.NotAcceptable]. The payloads are those of [stanza.Message.Payloads], or
// the children of the element that was received.
func Forged(payloads iter.Seq[*stream.Element], self jid.JID) bool {
	for el := range payloads {
		if el.Name() != name {
			continue
		}
		if from, err := el.From(); err != nil || !self.IsZero() && from == self {
			return true
		}
	}
	return false
}
