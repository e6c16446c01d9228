package sm

import (
	"strconv"
	"unicode/utf8"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol (XEP-0198 §12).
const NS = "urn:xmpp:sm:3"

// nsStanzas is the namespace of stanza error conditions (RFC 6120 §8.3.2).
const nsStanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"

// The elements of the protocol.
var (
	nameFeature = stream.Name{Space: NS, Local: "sm"}
	nameEnable  = stream.Name{Space: NS, Local: "enable"}
	nameEnabled = stream.Name{Space: NS, Local: "enabled"}
	nameRequest = stream.Name{Space: NS, Local: "r"}
	nameAnswer  = stream.Name{Space: NS, Local: "a"}
	nameResume  = stream.Name{Space: NS, Local: "resume"}
	nameResumed = stream.Name{Space: NS, Local: "resumed"}
	nameFailed  = stream.Name{Space: NS, Local: "failed"}
	nameTooHigh = stream.Name{Space: NS, Local: "handled-count-too-high"}
)

const (
	// maxID bounds an SM-ID, in bytes (XEP-0198 §5).
	maxID = 4000
	// maxLocation bounds a location: a domainpart (RFC 7622 §3.2) and a port.
	maxLocation = 1023 + len(":65535")
	// maxText bounds the text of a failure.
	maxText = 1 << 10
	// maxValue bounds what an error keeps of a value that is wrong.
	maxValue = 64
)

// MalformedError says that an element of the peer's breaks the rules of
// XEP-0198.
type MalformedError struct {
	// Element is the local name that was expected, and Attr that of the attribute
	// that is wrong; empty if it is the element.
	Element, Attr string
	// Value is what the peer wrote, cut to 64 bytes.
	Value string
	// Reason says what is wrong.
	Reason string
}

// Error implements error. What the peer wrote is quoted.
func (e *MalformedError) Error() string {
	s := "sm: <" + e.Element + "/>: "
	if e.Attr != "" {
		s += e.Attr + " "
	}
	if e.Value != "" {
		s += quote.ASCII(e.Value, 64) + " "
	}
	return s + "is " + e.Reason
}

// malformed returns the error for an attribute.
func malformed(el *stream.Element, attr string, value []byte, reason string) *MalformedError {
	value = value[:min(len(value), maxValue+1)] // an id may be long
	return &MalformedError{Element: el.Name().Local, Attr: attr, Value: cutText(string(value), maxValue), Reason: reason}
}

// expect checks what an element is.
func expect(el *stream.Element, name stream.Name) error {
	if el.Name() == name {
		return nil
	}
	return &MalformedError{Element: name.Local, Value: cutText(el.Name().String(), maxValue), Reason: "another element"}
}

// cutText returns at most limit bytes of s, whole characters.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// countAttr reads an attribute that has to be there: xs:unsignedInt.
func countAttr(el *stream.Element, attr string) (uint32, error) {
	v, ok := el.AttrBytes(attr)
	if !ok {
		return 0, malformed(el, attr, nil, "missing")
	}
	n, reason := parseCount(v)
	if reason != "" {
		return 0, malformed(el, attr, v, reason)
	}
	return n, nil
}

// idAttr reads an SM-ID. There is none without any characters.
func idAttr(el *stream.Element, attr string) (string, error) {
	v, _ := el.AttrBytes(attr)
	switch {
	case len(v) == 0:
		return "", malformed(el, attr, nil, "missing")
	case len(v) > maxID:
		return "", malformed(el, attr, v, "longer than "+strconv.Itoa(maxID)+" bytes")
	}
	return string(v), nil
}

// boolAttr reads an xs:boolean, which is false by default.
func boolAttr(el *stream.Element, attr string) (bool, error) {
	v, ok := el.AttrBytes(attr)
	if !ok {
		return false, nil
	}
	switch string(v) {
	case "true", "1":
		return true, nil
	case "false", "0":
		return false, nil
	}
	return false, malformed(el, attr, v, "not a boolean")
}

// maxAttr reads seconds: xs:positiveInteger, which has no upper bound. 2³²-1
// stands for all that is more.
func maxAttr(el *stream.Element) (*uint32, error) {
	v, ok := el.AttrBytes("max")
	if !ok {
		return nil, nil
	}
	wide, ok := digits(v)
	if !ok || wide == 0 {
		return nil, malformed(el, "max", v, "not a positive number")
	}
	n := uint32(min(wide, maxCount))
	return &n, nil
}

// enable asks for stream management (XEP-0198 §3).
type enable struct {
	resume bool
	max    *uint32 // seconds; nil: no preference
}

func (e enable) append(w *stream.Writer) {
	w.Start(nameEnable)
	if e.resume {
		w.Attr("resume", "true")
	}
	if e.max != nil {
		w.Attr("max", formatCount(*e.max))
	}
	w.End()
}

// AppendXML implements [stream.Appender].
func (e enable) AppendXML(dst []byte) ([]byte, error) { return appendXML(dst, e) }

func parseEnable(el *stream.Element) (e enable, err error) {
	if err = expect(el, nameEnable); err != nil {
		return enable{}, err
	}
	if e.resume, err = boolAttr(el, "resume"); err != nil {
		return enable{}, err
	}
	if e.max, err = maxAttr(el); err != nil {
		return enable{}, err
	}
	return e, nil
}

// enabled grants it.
type enabled struct {
	id       string // SM-ID; may be there without resume (§5, Example 9)
	resume   bool
	max      *uint32 // seconds; nil: not said
	location string  // where to reconnect to; empty: not said
}

func (e enabled) append(w *stream.Writer) {
	w.Start(nameEnabled)
	if e.id != "" {
		w.Attr("id", e.id)
	}
	if e.resume {
		w.Attr("resume", "true")
	}
	if e.max != nil {
		w.Attr("max", formatCount(*e.max))
	}
	if e.location != "" {
		w.Attr("location", e.location)
	}
	w.End()
}

// AppendXML implements [stream.Appender].
func (e enabled) AppendXML(dst []byte) ([]byte, error) { return appendXML(dst, e) }

func parseEnabled(el *stream.Element) (e enabled, err error) {
	if err = expect(el, nameEnabled); err != nil {
		return enabled{}, err
	}
	if e.resume, err = boolAttr(el, "resume"); err != nil {
		return enabled{}, err
	}
	// XEP-0198 §5: a stream that can be resumed MUST have an id.
	if _, there := el.AttrBytes("id"); there || e.resume {
		if e.id, err = idAttr(el, "id"); err != nil {
			return enabled{}, err
		}
	}
	if e.max, err = maxAttr(el); err != nil {
		return enabled{}, err
	}
	// XEP-0198 §3: a location that does not work is no harm.
	if v, _ := el.AttrBytes("location"); len(v) <= maxLocation {
		e.location = string(v)
	}
	return e, nil
}

// appendRequest appends <r/> (XEP-0198 §4).
func appendRequest(dst []byte) []byte { return append(dst, `<r xmlns='`+NS+`'/>`...) }

// parseRequest checks that el is <r/>, which has no attributes.
func parseRequest(el *stream.Element) error { return expect(el, nameRequest) }

// appendAnswer appends <a/> (XEP-0198 §4).
func appendAnswer(dst []byte, h uint32) []byte {
	dst = append(dst, `<a xmlns='`+NS+`' h='`...)
	dst = strconv.AppendUint(dst, uint64(h), 10)
	return append(dst, `'/>`...)
}

// parseAnswer returns the h of <a/>, which MUST have one (XEP-0198 §4).
func parseAnswer(el *stream.Element) (h uint32, err error) {
	if err := expect(el, nameAnswer); err != nil {
		return 0, err
	}
	return countAttr(el, "h")
}

// resume asks for a former stream (XEP-0198 §5).
type resume struct {
	h      uint32 // stanzas of the server that were handled
	previd string // SM-ID of the former stream
}

func (r resume) append(w *stream.Writer) { appendResumption(w, nameResume, r) }

// AppendXML implements [stream.Appender].
func (r resume) AppendXML(dst []byte) ([]byte, error) { return appendXML(dst, r) }

func parseResume(el *stream.Element) (resume, error) { return parseResumption(el, nameResume) }

// resumed grants it.
type resumed struct {
	h      uint32 // stanzas of the client that were handled
	previd string // SM-ID of the former stream, and of this one
}

func (r resumed) append(w *stream.Writer) { appendResumption(w, nameResumed, resume(r)) }

// AppendXML implements [stream.Appender].
func (r resumed) AppendXML(dst []byte) ([]byte, error) { return appendXML(dst, r) }

func parseResumed(el *stream.Element) (resumed, error) {
	r, err := parseResumption(el, nameResumed)
	return resumed(r), err
}

// appendResumption and parseResumption are for both elements, which have the
// same attributes.
func appendResumption(w *stream.Writer, name stream.Name, r resume) {
	w.Start(name)
	w.Attr("h", formatCount(r.h))
	w.Attr("previd", r.previd)
	w.End()
}

func parseResumption(el *stream.Element, name stream.Name) (r resume, err error) {
	if err = expect(el, name); err != nil {
		return resume{}, err
	}
	if r.h, err = countAttr(el, "h"); err != nil {
		return resume{}, err
	}
	if r.previd, err = idAttr(el, "previd"); err != nil {
		return resume{}, err
	}
	return r, nil
}

// failed refuses <enable/> or <resume/> (XEP-0198 §6).
type failed struct {
	// h is how many stanzas were handled on a stream that has timed out (§5), if
	// that is known.
	h *uint32
	// condition is one of RFC 6120 §8.3.3.
	condition string
	text      string // for a human; may be empty
}

func (f failed) append(w *stream.Writer) {
	condition := f.condition
	if !definedCondition(condition) {
		condition = "undefined-condition"
	}
	w.Start(nameFailed)
	if f.h != nil {
		w.Attr("h", formatCount(*f.h))
	}
	w.Start(stream.Name{Space: nsStanzas, Local: condition})
	w.End()
	if f.text != "" {
		w.Start(stream.Name{Space: nsStanzas, Local: "text"})
		w.Lang("en")
		w.Text(cutText(f.text, maxText))
		w.End()
	}
	w.End()
}

// AppendXML implements [stream.Appender].
func (f failed) AppendXML(dst []byte) ([]byte, error) { return appendXML(dst, f) }

// parseFailed reads a refusal. Without a condition that is defined it is
// undefined-condition: "SHOULD contain" one (XEP-0198 §6).
func parseFailed(el *stream.Element) (f failed, err error) {
	f.condition = "undefined-condition"
	if err = expect(el, nameFailed); err != nil {
		return f, err
	}
	found := false
	for c := range el.Children() {
		name := c.Name()
		switch {
		case name.Space != nsStanzas:
		case name.Local == "text":
			if f.text == "" {
				f.text = cutText(c.Text(), maxText)
			}
		case !found && definedCondition(name.Local):
			found, f.condition = true, name.Local
		}
	}
	if _, there := el.AttrBytes("h"); there {
		h, err := countAttr(el, "h")
		if err != nil {
			return f, err
		}
		f.h = &h
	}
	return f, nil
}

// definedCondition reports whether RFC 6120 §8.3.3 defines a condition.
func definedCondition(name string) bool {
	switch name {
	case "bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error",
		"item-not-found", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized", "policy-violation",
		"recipient-unavailable", "redirect", "registration-required", "remote-server-not-found",
		"remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
		"undefined-condition", "unexpected-request":
		return true
	}
	return false
}

// appendXML appends an element that declares its namespace. The error is about
// characters that XML cannot carry.
func appendXML(dst []byte, el interface{ append(w *stream.Writer) }) ([]byte, error) {
	w := stream.NewWriter(dst)
	el.append(&w)
	return w.Bytes()
}
