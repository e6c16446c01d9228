package form

import (
	"regexp"
	"regexp/syntax"
	"strconv"

	"stanzakit.dev/xmpp/stream"
)

// NSValidate is the namespace of validation, and its feature in service discovery
// (XEP-0122 §4.5).
const NSValidate = "http://jabber.org/protocol/xdata-validate"

var validateName = stream.Name{Space: NSValidate, Local: "validate"}

// maxPattern is the longest regular expression that is used, in octets. A longer one
// is treated like a method that is unknown.
const maxPattern = 1024

// maxStates is how large a regular expression may be with its repetitions written out,
// of which "((x?){0,1000}){0,1000}" is short and has many. A larger one is treated like
// one that is too long.
const maxStates = 4096

// maxMatched is the longest value that is compared with one, in octets: the work is in
// proportion to the product of its length and the states.
const maxMatched = 16 << 10

// Method is how values are compared with what is expected (XEP-0122 §3.2).
type Method string

// The methods.
const (
	Basic Method = ""      // the datatype, and in a list the options
	Open  Method = "open"  // the datatype; in a list, other values than the options too
	Range Method = "range" // as Open, from Min to Max
	Regex Method = "regex" // as Open, and matching Pattern
)

// Validation says more about the values of a field than its type does (XEP-0122).
// The zero value says that they are strings.
type Validation struct {
	// Datatype is the name with its prefix, such as "xs:dateTime"; "" means
	// "xs:string", which is also what an unknown one counts as (§4.1).
	Datatype string
	// Method is how to validate. An unknown one is read as [Basic] (§4.1).
	Method Method
	// Min and Max are the bounds for [Range], in the datatype; "" means none.
	// Strings have no order: there is no range of them (§4.7).
	Min, Max string
	// Pattern is a POSIX extended regular expression, for [Regex], of at most 1,024
	// octets, and 4,096 states with its repetitions written out. The whole value
	// has to match; one beyond 16 KiB never does.
	Pattern string
	// ListMin and ListMax say how many values a field of type [ListMulti] has
	// (§3.3); zero means that there is no such bound.
	ListMin, ListMax int
}

// decode reads the element (XEP-0122 §3).
func (v *Validation) decode(el *stream.Element) error {
	v.Datatype = el.Attr("datatype")
	methods, ranges := 0, 0
	for child := range el.Children() {
		name := child.Name()
		if name.Space != NSValidate {
			continue
		}
		switch name.Local {
		case "basic":
			methods++
		case "open":
			v.Method = Open
			methods++
		case "range":
			v.Method, v.Min, v.Max = Range, child.Attr("min"), child.Attr("max")
			methods++
		case "regex":
			v.Method, v.Pattern = Regex, child.Text()
			methods++
		case "list-range":
			var err error
			if v.ListMin, err = positive(child.Attr("min")); err != nil {
				return err
			}
			if v.ListMax, err = positive(child.Attr("max")); err != nil {
				return err
			}
			ranges++
		}
	}
	if methods > 1 || ranges > 1 { // §3.2: MUST NOT include more than one
		return malformed("several methods in one validation")
	}
	return nil
}

// positive reads a bound of list-range. The text says positive integer, the schema
// unsignedInt: zero is read, and means what the absence of a bound does.
func positive(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, malformed("a malformed list-range")
	}
	return int(n), nil
}

// valid reports whether v can be put into a field of that type.
func (v *Validation) valid(t FieldType) error {
	switch {
	case v.Method != Basic && v.Method != Open && v.Method != Range && v.Method != Regex:
		return invalid("an unknown method of validation")
	case v.ListMin < 0 || v.ListMax < 0 || v.ListMax != 0 && v.ListMin > v.ListMax:
		return invalid("an impossible list-range")
	case v.ListMin+v.ListMax > 0 && t != ListMulti && t != "": // XEP-0122 §3.3
		return invalid("a list-range in a field that is no list-multi")
	}
	if _, err := v.compile(true); err != nil {
		return err
	}
	return nil
}

func (v *Validation) write(w *stream.Writer) {
	w.Start(validateName)
	attr(w, "datatype", v.Datatype)
	switch v.Method {
	case Basic:
		element(w, "basic", "") // §3.2: SHOULD include one of the methods
	case Open:
		element(w, "open", "")
	case Range:
		w.Start(stream.Name{Local: "range"})
		attr(w, "min", v.Min)
		attr(w, "max", v.Max)
		w.End()
	case Regex:
		element(w, "regex", v.Pattern)
	}
	if v.ListMin+v.ListMax > 0 {
		w.Start(stream.Name{Local: "list-range"})
		bound(w, "min", v.ListMin)
		bound(w, "max", v.ListMax)
		w.End()
	}
	w.End()
}

func bound(w *stream.Writer, local string, n int) {
	if n > 0 {
		w.Attr(local, strconv.Itoa(n))
	}
}

// test finds out whether a value is as a [Validation] wants it: nil, or an error that
// wraps [ErrValue].
type test func(value string) error

// compile turns v, which may be nil, into a test. What cannot be understood is an
// error if strict is set: the one who asks is told about a mistake. Otherwise it is
// treated as XEP-0122 §4.1 demands, as basic.
func (v *Validation) compile(strict bool) (test, error) {
	if v == nil {
		return func(string) error { return nil }, nil
	}
	dt := datatypes[v.Datatype]
	basic := func(s string) error {
		if dt == nil {
			return nil
		}
		_, err := dt(s)
		return err
	}
	switch v.Method {
	case Range:
		t, err := v.compileRange(dt)
		if err == nil {
			return t, nil
		}
		if strict {
			return nil, err
		}
	case Regex:
		t, err := v.compileRegex(basic)
		if err == nil {
			return t, nil
		}
		if strict {
			return nil, err
		}
	}
	return basic, nil
}

func (v *Validation) compileRange(dt datatype) (test, error) {
	if dt == nil { // XEP-0122 §4.7: MUST NOT be used with "xs:string"
		return nil, invalid("a range of a datatype without an order")
	}
	var low, high ordered
	var err error
	if v.Min != "" {
		if low, err = dt(v.Min); err != nil || low == nil {
			return nil, invalid("a range with an unusable min")
		}
	}
	if v.Max != "" {
		if high, err = dt(v.Max); err != nil || high == nil {
			return nil, invalid("a range with an unusable max")
		}
	}
	return func(s string) error {
		x, err := dt(s)
		switch {
		case err != nil:
			return err
		case x == nil, low != nil && x.compare(low) < 0, high != nil && x.compare(high) > 0:
			return bad("in the range", s)
		}
		return nil
	}, nil
}

func (v *Validation) compileRegex(basic test) (test, error) {
	if len(v.Pattern) > maxPattern {
		return nil, invalid("a regular expression that is too long")
	}
	tree, err := syntax.Parse(v.Pattern, syntax.POSIX)
	if err != nil {
		return nil, invalid("a regular expression that is none of POSIX")
	}
	if states(tree) > maxStates {
		return nil, invalid("a regular expression with too many repetitions")
	}
	re, err := regexp.CompilePOSIX(v.Pattern)
	if err != nil {
		return nil, invalid("a regular expression that is none of POSIX")
	}
	return func(s string) error {
		if err := basic(s); err != nil {
			return err
		}
		// Of the matches that begin first this is the longest: if any is the whole
		// value, it is.
		if len(s) <= maxMatched {
			if loc := re.FindStringIndex(s); loc != nil && loc[0] == 0 && loc[1] == len(s) {
				return nil
			}
		}
		return bad("of the required form", s)
	}, nil
}

// states is about how large the program for an expression is, or more than maxStates.
func states(re *syntax.Regexp) int {
	n := 1
	if re.Op == syntax.OpLiteral {
		n = len(re.Rune)
	}
	for _, sub := range re.Sub {
		if n += states(sub); n > maxStates {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Max, re.Min+1)
	}
	return n
}
