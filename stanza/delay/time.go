package delay

import (
	"errors"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
)

// ErrTime is wrapped by every error about a date or a time: one that was read
// and does not follow XEP-0082, or one that cannot be written.
var ErrTime = errors.New("delay: not a date or time of XEP-0082")

// maxTime is the longest representation that is read, in octets. XEP-0082 allows
// any number of digits after the decimal point, of which nine count.
const maxTime = 64

// Parse reads a moment in the DateTime profile (XEP-0082 §3.2):
// CCYY-MM-DDThh:mm:ss, a fraction of a second if any, and a time zone, which is
// required. The result is in UTC and exact to the nanosecond; further digits are
// dropped.
//
// Every moment whose year, also in UTC, is from 1 to 9999 is read. Other years,
// leap seconds (§2.1: seconds go to 59) and dates that the calendar does not
// have give an error that wraps [ErrTime]. As in XML Schema, which rules (§3.2),
// 24:00:00 is the start of the next day, and white space around the value means
// nothing.
func Parse(s string) (time.Time, error) {
	p := newReader(s)
	year, month, day := p.date()
	p.byte('T')
	clock := p.clock()
	zone := p.zone(true)
	return p.moment(year, month, day, clock, zone)
}

// ParseDate reads a day in the Date profile (XEP-0082 §3.1): CCYY-MM-DD. A time
// zone may follow, as XML Schema has it. The result is the moment at which the
// day begins there, in UTC without a time zone. Errors are those of [Parse].
func ParseDate(s string) (time.Time, error) {
	p := newReader(s)
	year, month, day := p.date()
	zone := p.zone(false)
	return p.moment(year, month, day, 0, zone)
}

// ParseTime reads a time of day in the Time profile (XEP-0082 §3.3): hh:mm:ss, a
// fraction of a second and a time zone if any. The result is the time since
// midnight UTC, from zero up to less than 24 hours; without a time zone the value
// counts as UTC. Errors are those of [Parse].
func ParseTime(s string) (time.Duration, error) {
	p := newReader(s)
	clock := p.clock()
	zone := p.zone(false)
	if err := p.end(); err != nil {
		return 0, err
	}
	const day = 24 * time.Hour
	return (clock - zone + 2*day) % day, nil
}

// Format returns t in the DateTime profile (XEP-0082 §3.2), always in UTC, as
// XEP-0203 §2 requires and XEP-0082 §6 advises: a time zone tells where somebody
// is. The fraction of a second is written exactly, and left out if it is zero;
// for whole seconds use t.Truncate(time.Second). The error wraps [ErrTime]: the
// year in UTC is not one from 1 to 9999.
func Format(t time.Time) (string, error) {
	b, err := Append(nil, t)
	return string(b), err
}

// Append appends what [Format] returns to dst.
func Append(dst []byte, t time.Time) ([]byte, error) {
	t = t.UTC()
	if !inRange(t) {
		return dst, fmt.Errorf("%w: the year %d", ErrTime, t.Year())
	}
	return t.AppendFormat(dst, "2006-01-02T15:04:05.999999999Z"), nil
}

// inRange reports whether t has a year of four digits that all versions of XML
// Schema know. The year 0000 came with version 1.1.
func inRange(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }

// reader takes a representation apart from left to right. After the first
// mistake all its methods return zero.
type reader struct {
	all, rest string
	err       error
}

func newReader(s string) *reader {
	r := &reader{all: s, rest: trim(s)}
	if len(r.rest) > maxTime {
		r.fail("too long")
	}
	return r
}

// trim removes XML white space at both ends: XML Schema collapses it.
func trim(s string) string {
	for s != "" && space(s[0]) {
		s = s[1:]
	}
	for s != "" && space(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	return s
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func (r *reader) fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s: %s", ErrTime, quote.ASCII(r.all, maxTime), why)
	}
	r.rest = ""
}

// byte takes one character that has to be c.
func (r *reader) byte(c byte) {
	if r.rest == "" || r.rest[0] != c {
		r.fail("'" + string(c) + "' is missing")
		return
	}
	r.rest = r.rest[1:]
}

// number takes exactly n digits and checks that the value is in bounds.
func (r *reader) number(n, low, high int, what string) int {
	if len(r.rest) < n {
		r.fail(what + " is missing")
		return 0
	}
	v := 0
	for _, c := range []byte(r.rest[:n]) {
		if c < '0' || c > '9' {
			r.fail(what + " is not a number")
			return 0
		}
		v = v*10 + int(c-'0')
	}
	if v < low || v > high {
		r.fail(what + " is out of range")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// date takes CCYY-MM-DD.
func (r *reader) date() (year, month, day int) {
	year = r.number(4, 1, 9999, "the year")
	r.byte('-')
	month = r.number(2, 1, 12, "the month")
	r.byte('-')
	day = r.number(2, 1, 31, "the day")
	// The day before the first of the next month is the last of this one.
	if r.err == nil && day > time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day() {
		r.fail("the month has no such day")
	}
	return year, month, day
}

// clock takes hh:mm:ss and a fraction.
func (r *reader) clock() time.Duration {
	hour := r.number(2, 0, 24, "the hour")
	r.byte(':')
	minute := r.number(2, 0, 59, "the minute")
	r.byte(':')
	second := r.number(2, 0, 59, "the second")
	d := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second
	if r.rest != "" && r.rest[0] == '.' {
		d += r.fraction()
	}
	// XML Schema 1.1 Part 2 §3.3.7.2: endOfDayFrag is 24:00:00 and nothing after.
	if d > 24*time.Hour {
		r.fail("the hour is out of range")
	}
	return d
}

// fraction takes the decimal point and at least one digit.
func (r *reader) fraction() (d time.Duration) {
	i, unit := 1, 100*time.Millisecond
	for ; i < len(r.rest) && r.rest[i] >= '0' && r.rest[i] <= '9'; i++ {
		d += time.Duration(r.rest[i]-'0') * unit
		unit /= 10
	}
	if i == 1 {
		r.fail("digits after the decimal point are missing")
		return 0
	}
	r.rest = r.rest[i:]
	return d
}

// zone takes "Z" or an offset, and returns how far it is ahead of UTC.
func (r *reader) zone(required bool) time.Duration {
	if r.rest == "" {
		if required { // XEP-0082 §3.2: mandatory
			r.fail("the time zone is missing")
		}
		return 0
	}
	sign := r.rest[0]
	r.rest = r.rest[1:]
	switch sign {
	case 'Z':
		return 0
	case '+', '-':
	default:
		r.fail("the time zone is not Z, +hh:mm or -hh:mm")
		return 0
	}
	// XML Schema: from -14:00 to +14:00.
	hours := r.number(2, 0, 14, "the time zone")
	r.byte(':')
	minutes := r.number(2, 0, 59, "the time zone")
	d := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if d > 14*time.Hour {
		r.fail("the time zone is out of range")
		return 0
	}
	if sign == '-' {
		return -d
	}
	return d
}

// end checks that nothing is left and returns the first mistake.
func (r *reader) end() error {
	if r.rest != "" {
		r.fail("something follows")
	}
	return r.err
}

// moment puts the parts together.
func (r *reader) moment(year, month, day int, clock, zone time.Duration) (time.Time, error) {
	if err := r.end(); err != nil {
		return time.Time{}, err
	}
	t := time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC).Add(clock - zone)
	if !inRange(t) {
		r.fail("the year is out of range in UTC")
		return time.Time{}, r.err
	}
	return t, nil
}
