package sm

import (
	"fmt"
	"strconv"

	"stanzakit.dev/xmpp/stream"
)

// distance returns how many stanzas lie between two values of a counter that
// goes from 2³²-1 to zero (XEP-0198 §4).
func distance(from, to uint32) uint32 { return to - from }

// HandledCountError says that the peer has acknowledged stanzas that it was not
// sent, or taken an acknowledgement back: modulo 2³² the one cannot be told from
// the other. XEP-0198 §6 has the stream closed for it.
type HandledCountError struct {
	// H is what the peer says it has handled.
	H uint32
	// Sent is how many stanzas it was sent, modulo 2³².
	Sent uint32
}

// Error implements error.
func (e *HandledCountError) Error() string {
	return fmt.Sprintf("sm: %d stanzas were acknowledged and %d were sent", e.H, e.Sent)
}

// StreamError returns what XEP-0198 §6 (Example 17) has the peer told before the
// stream is closed.
func (e *HandledCountError) StreamError() *stream.Error {
	w := stream.NewWriter(nil)
	w.Start(nameTooHigh)
	w.Attr("h", formatCount(e.H))
	w.Attr("send-count", formatCount(e.Sent))
	w.End()
	application, _ := w.Bytes() // numbers are always well-formed
	return &stream.Error{
		Condition:   stream.UndefinedCondition,
		Text:        fmt.Sprintf("You acknowledged %d stanzas, but I only sent you %d so far.", e.H, e.Sent),
		Lang:        "en",
		Application: application,
		Cause:       e,
	}
}

// handledCount returns the numbers of a stream error with which the peer says
// that this side has acknowledged too much (XEP-0198 §6), if it is that.
func handledCount(e *stream.Error) (*HandledCountError, bool) {
	if e == nil || len(e.Application) == 0 {
		return nil, false
	}
	el, err := stream.ParseElement(e.Application, nil)
	if err != nil || el.Name() != nameTooHigh {
		return nil, false
	}
	h, err := countAttr(el, "h")
	if err != nil {
		return nil, false
	}
	sent, err := countAttr(el, "send-count")
	if err != nil {
		return nil, false
	}
	return &HandledCountError{H: h, Sent: sent}, true
}

func formatCount(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// maxCount is the largest xs:unsignedInt.
const maxCount = 1<<32 - 1

// parseCount reads an xs:unsignedInt: digits, and nothing else.
func parseCount(b []byte) (n uint32, reason string) {
	wide, ok := digits(b)
	switch {
	case !ok:
		return 0, "not a number"
	case wide > maxCount:
		return 0, "more than 2^32-1"
	}
	return uint32(wide), ""
}

// digits returns the value of a decimal number, or one above maxCount if it is
// larger than that, and whether b is one.
func digits(b []byte) (n uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = min(n*10+uint64(c-'0'), maxCount+1)
	}
	return n, true
}
