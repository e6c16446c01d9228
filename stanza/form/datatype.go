package form

import (
	"math"
	"math/big"
	"net/url"
	"strconv"
	"strings"
	"time"

	"stanzakit.dev/xmpp/stanza/delay"
)

// maxDigits is the longest number that is read, in octets.
const maxDigits = 256

// datatype reads a value: an error that wraps [ErrValue] means that it is not of the
// datatype. The result is nil for a datatype without an order, and for the one value
// of a datatype with an order that has no place in it.
type datatype func(s string) (ordered, error)

// ordered is a value that can be compared with others of its datatype.
type ordered interface{ compare(other ordered) int }

// datatypes are those that are known, but for xs:string, which every value is of
// (XEP-0122 §7.2.2.2; XML Schema 1.0 Part 2 §3).
var datatypes = map[string]datatype{
	"xs:anyURI":             anyURI,
	"xs:boolean":            boolean,
	"xs:byte":               integer("-128", "127"),
	"xs:date":               date,
	"xs:dateTime":           dateTime,
	"xs:decimal":            decimal,
	"xs:double":             float(64),
	"xs:float":              float(32),
	"xs:int":                integer("-2147483648", "2147483647"),
	"xs:integer":            integer("", ""),
	"xs:language":           language,
	"xs:long":               integer("-9223372036854775808", "9223372036854775807"),
	"xs:negativeInteger":    integer("", "-1"),
	"xs:nonNegativeInteger": integer("0", ""),
	"xs:nonPositiveInteger": integer("", "0"),
	"xs:positiveInteger":    integer("1", ""),
	"xs:short":              integer("-32768", "32767"),
	"xs:time":               timeOfDay,
	"xs:unsignedByte":       integer("0", "255"),
	"xs:unsignedInt":        integer("0", "4294967295"),
	"xs:unsignedLong":       integer("0", "18446744073709551615"),
	"xs:unsignedShort":      integer("0", "65535"),
}

// ratio is a number of any size.
type ratio struct{ *big.Rat }

func (x ratio) compare(y ordered) int { return x.Cmp(y.(ratio).Rat) }

// real is a number of a limited precision.
type real float64

func (x real) compare(y ordered) int {
	switch z := y.(real); {
	case x < z:
		return -1
	case x > z:
		return 1
	}
	return 0
}

// moment is a point in time.
type moment struct{ time.Time }

func (x moment) compare(y ordered) int { return x.Compare(y.(moment).Time) }

// span is a time since midnight.
type span time.Duration

func (x span) compare(y ordered) int { return int(max(-1, min(1, x-y.(span)))) }

// integer returns the datatype of the integers from low to high; "" means no bound.
func integer(low, high string) datatype {
	var from, to *big.Rat
	if low != "" {
		from, _ = new(big.Rat).SetString(low)
	}
	if high != "" {
		to, _ = new(big.Rat).SetString(high)
	}
	return func(s string) (ordered, error) {
		n, ok := number(s, false)
		if !ok || from != nil && n.Cmp(from) < 0 || to != nil && n.Cmp(to) > 0 {
			return nil, bad("an integer that is small enough", s)
		}
		return ratio{n}, nil
	}
}

func decimal(s string) (ordered, error) {
	n, ok := number(s, true)
	if !ok {
		return nil, bad("a decimal number", s)
	}
	return ratio{n}, nil
}

// number reads digits with a sign, and a decimal point if that is allowed. There is
// no exponent, which could stand for a number without any limit.
func number(s string, point bool) (*big.Rat, bool) {
	s = strings.Trim(s, xmlSpace)
	if len(s) > maxDigits {
		return nil, false
	}
	digits := strings.TrimPrefix(s, "-")
	if digits == s {
		digits = strings.TrimPrefix(s, "+")
	}
	if point {
		digits = strings.Replace(digits, ".", "", 1)
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}

// float returns the datatype of the binary fractions of that many bits.
func float(bits int) datatype {
	return func(s string) (ordered, error) {
		s = strings.Trim(s, xmlSpace)
		switch s { // XML Schema 1.0 Part 2 §3.2.5.1
		case "INF":
			return real(math.Inf(1)), nil
		case "-INF":
			return real(math.Inf(-1)), nil
		case "NaN":
			return nil, nil
		}
		// ParseFloat knows more notations than the schema.
		if len(s) > maxDigits || strings.Trim(s, "0123456789+-.eE") != "" {
			return nil, bad("a number", s)
		}
		x, err := strconv.ParseFloat(s, bits)
		if err != nil && !math.IsInf(x, 0) { // too large is infinite
			return nil, bad("a number", s)
		}
		return real(x), nil
	}
}

func boolean(s string) (ordered, error) {
	if _, ok := parseBool(s); !ok {
		return nil, bad("a boolean", s)
	}
	return nil, nil
}

func dateTime(s string) (ordered, error) {
	t, err := delay.Parse(s)
	if err != nil {
		return nil, bad("a date and time with a time zone", s)
	}
	return moment{t}, nil
}

func date(s string) (ordered, error) {
	t, err := delay.ParseDate(s)
	if err != nil {
		return nil, bad("a date", s)
	}
	return moment{t}, nil
}

func timeOfDay(s string) (ordered, error) {
	d, err := delay.ParseTime(s)
	if err != nil {
		return nil, bad("a time of day", s)
	}
	return span(d), nil
}

func anyURI(s string) (ordered, error) {
	if _, err := url.Parse(strings.Trim(s, xmlSpace)); err != nil {
		return nil, bad("a URI", s)
	}
	return nil, nil
}

// language reads one or more parts of up to eight letters or, after the first, digits
// (XML Schema 1.0 Part 2 §3.3.3).
func language(s string) (ordered, error) {
	for i, part := range strings.Split(strings.Trim(s, xmlSpace), "-") {
		ok := part != "" && len(part) <= 8
		for _, c := range []byte(part) {
			letter := c|0x20 >= 'a' && c|0x20 <= 'z'
			ok = ok && (letter || i > 0 && c >= '0' && c <= '9')
		}
		if !ok {
			return nil, bad("a language", s)
		}
	}
	return nil, nil
}
