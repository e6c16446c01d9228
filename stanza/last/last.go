package last

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0012 §6).
const NS = "jabber:iq:last"

// MaxStatus is how long the status in an answer may be, in octets.
const MaxStatus = 4_096

var name = stream.Name{Space: NS, Local: "query"}

// Last is the answer to a query (XEP-0012 §2).
type Last struct {
	// Seconds is how long ago it was.
	Seconds uint64
	// Status is what an account has said when it became unavailable (§3); empty
	// in other answers. A decoded one is a copy, and the peer's word.
	Status string
}

// Ago returns Seconds as a duration: the longest possible one for what is beyond
// that, some 292 years.
func (l Last) Ago() time.Duration {
	if l.Seconds > uint64(math.MaxInt64/time.Second) {
		return math.MaxInt64
	}
	return time.Duration(l.Seconds) * time.Second
}

// AppendXML implements [stanza.Payload]. It fails with [stanza.ErrInvalid] for a
// Status of more than [MaxStatus] octets.
func (l Last) AppendXML(dst []byte) ([]byte, error) {
	if len(l.Status) > MaxStatus {
		return dst, fmt.Errorf("last: %w: status too long", stanza.ErrInvalid)
	}
	w := stream.NewWriter(dst)
	w.Start(name)
	w.Attr("seconds", strconv.FormatUint(l.Seconds, 10))
	if l.Status != "" {
		w.Text(l.Status)
	}
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with
// [stanza.BadRequest]: for an element that is something else, one without a
// number of seconds (XEP-0012 §2), and a status of more than [MaxStatus] octets.
func (l *Last) DecodeElement(el *stream.Element) error {
	*l = Last{}
	if el.Name() != name {
		return malformed("not a query")
	}
	b, _ := el.AttrBytes("seconds")
	if len(b) > len("18446744073709551615") { // XEP-0012 §10: an unsignedLong
		return malformed("bad number of seconds")
	}
	seconds, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return malformed("bad number of seconds")
	}
	status := el.Text()
	if len(status) > MaxStatus {
		return malformed("status too long")
	}
	*l = Last{Seconds: seconds, Status: status}
	return nil
}

// query is the question, which has nothing in it.
type query struct{}

// AppendXML implements [stanza.Payload].
func (query) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(name)
	w.End()
	return w.Bytes()
}

func malformed(text string) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: "last activity: " + text}
}
