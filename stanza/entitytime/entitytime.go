package entitytime

import (
	"context"
	"fmt"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0202 §4, §8.1).
const NS = "urn:xmpp:time"

var (
	name    = stream.Name{Space: NS, Local: "time"}
	tzoName = stream.Name{Space: NS, Local: "tzo"}
	utcName = stream.Name{Space: NS, Local: "utc"}
)

// Time is a moment together with an offset from UTC, as somebody's clock has it
// (XEP-0202 §2). The location of the value is what is written as the offset, to
// the minute; one that was decoded has a location without a name.
type Time struct{ time.Time }

// AppendXML implements [stanza.Payload]. The zero Time is the query. The error
// wraps [delay.ErrTime] for a year that cannot be written, and
// [stanza.ErrInvalid] for an offset of more than 14 hours.
func (t Time) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(name)
	if !t.IsZero() {
		utc, err := delay.Format(t.Time)
		if err != nil {
			return dst, fmt.Errorf("entitytime: %w", err)
		}
		_, seconds := t.Zone()
		tzo, ok := formatOffset(seconds / 60)
		if !ok {
			return dst, fmt.Errorf("entitytime: %w: offset of more than 14 hours", stanza.ErrInvalid)
		}
		w.Start(tzoName)
		w.Text(tzo)
		w.End()
		w.Start(utcName)
		w.Text(utc)
		w.End()
	}
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with
// [stanza.BadRequest]: for an element that is something else, and one in which
// the time in UTC or the offset is missing or not in the format of XEP-0082
// (XEP-0202 §2).
func (t *Time) DecodeElement(el *stream.Element) error {
	*t = Time{}
	if el.Name() != name {
		return malformed("not a time", nil)
	}
	tzo, ok := el.Child(tzoName)
	if !ok {
		return malformed("no offset", nil)
	}
	minutes, ok := parseOffset(tzo.Text())
	if !ok {
		return malformed("bad offset", nil)
	}
	utc, ok := el.Child(utcName)
	if !ok {
		return malformed("no time", nil)
	}
	text := utc.Text()
	moment, err := delay.Parse(text)
	if err != nil {
		return malformed("bad time", err)
	}
	// §2: MUST be expressed in UTC; XEP-0082 §3.2 writes that as Z.
	if !strings.HasSuffix(strings.TrimRight(text, " \t\r\n"), "Z") {
		return malformed("time not in UTC", nil)
	}
	zone := time.UTC
	if minutes != 0 {
		zone = time.FixedZone("", minutes*60)
	}
	*t = Time{moment.In(zone)}
	return nil
}

// maxOffset is the largest offset of XML Schema, which XEP-0082 §3.2 refers to.
const maxOffset = 14 * 60

// formatOffset writes an offset in minutes as a time zone of XEP-0082 §3.2.
func formatOffset(minutes int) (string, bool) {
	sign := byte('+')
	if minutes < 0 {
		sign, minutes = '-', -minutes
	}
	if minutes > maxOffset {
		return "", false
	}
	return fmt.Sprintf("%c%02d:%02d", sign, minutes/60, minutes%60), true
}

// parseOffset reads "Z", or a sign, two digits, a colon and two digits.
func parseOffset(s string) (minutes int, ok bool) {
	if s = strings.Trim(s, " \t\r\n"); s == "Z" {
		return 0, true
	}
	if len(s) != len("+hh:mm") || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	digit := func(i int) int {
		if s[i] < '0' || s[i] > '9' {
			ok = false
		}
		return int(s[i] - '0')
	}
	ok = true
	hour, minute := digit(1)*10+digit(2), digit(4)*10+digit(5)
	if minutes = hour*60 + minute; !ok || minute > 59 || minutes > maxOffset {
		return 0, false
	}
	if s[0] == '-' {
		minutes = -minutes
	}
	return minutes, true
}

func malformed(text string, cause error) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: "entity time: " + text, Cause: cause}
}

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Get asks the entity at address to what time it is there (XEP-0202 §3). The
// location of the result is the offset that the entity tells. How long the answer
// took is not taken into account.
//
// The error wraps a [*stanza.Error] if the entity does not tell, most often with
// [stanza.ServiceUnavailable]; or if its answer is malformed, with
// [stanza.BadRequest] and without Received. ctx should have a deadline.
func Get(ctx context.Context, d Doer, to jid.JID) (time.Time, error) {
	reply, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: Time{}})
	if err != nil {
		return time.Time{}, fmt.Errorf("entitytime: %w", err)
	}
	el := reply.Element()
	if el == nil {
		return time.Time{}, malformed("reply without a time", nil)
	}
	var t Time
	if err := t.DecodeElement(el); err != nil {
		return time.Time{}, err
	}
	return t.Time, nil
}

// Responder returns the module that answers with the time, to the second, whoever
// asks: on a server, for its domain, and for the account of the client that asks.
// The location is the time zone that it tells; nil is UTC, which tells
// nothing (XEP-0202 §6). To answer only some, put a [stanza.Filter] before it
// that bounces the others with [stanza.ServiceUnavailable].
func Responder(zone *time.Location) stanza.Module {
	if zone == nil {
		zone = time.UTC
	}
	return responder{zone}
}

type responder struct{ zone *time.Location }

// Name implements [stanza.Module].
func (responder) Name() string { return "time" }

// Features implements [stanza.Featurer].
func (responder) Features() []string { return []string{NS} }

// Register implements [stanza.Module].
func (r responder) Register(m *stanza.Mux) error {
	return m.HandleIQ(stanza.GetIQ, name, func(context.Context, *stanza.IQ) (stanza.Payload, error) {
		return Time{time.Now().Truncate(time.Second).In(r.zone)}, nil
	})
}
