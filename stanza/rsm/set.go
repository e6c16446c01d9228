package rsm

import (
	"fmt"
	"math"
	"strconv"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0059 §4).
const NS = "http://jabber.org/protocol/rsm"

// Name is the name of the element, to look for it in the payload of another
// protocol.
var Name = stream.Name{Space: NS, Local: "set"}

// maxUID is the longest identifier of an item that is read, in octets: an address
// has at most 3,071.
const maxUID = 4 << 10

// maxInt is the largest number: the schema (XEP-0059 §8) has xs:int.
const maxInt = math.MaxInt32

// Request is the part of a list that somebody asks for. The zero value asks for
// the beginning and leaves the number of items to the other side. At most one of
// After, Before and Index is set.
type Request struct {
	// Max is how many items to return at most (XEP-0059 §2.1); zero asks for the
	// number of items in the whole list instead (§2.7), nil leaves it open.
	Max *int
	// After asks for what follows the item with that identifier (§2.2). Empty means
	// nothing, also when read: before the first item of the list.
	After string
	// Before asks for what comes just before the item with that identifier (§2.3);
	// the empty string asks for the end of the list (§2.5). Nil means nothing.
	Before *string
	// Index asks for what begins at that place in the list, from zero (§2.6). Nil
	// means nothing.
	Index *int
}

// Forward asks for up to max items after the one with the identifier after, or
// from the beginning if that is empty (XEP-0059 §2.2).
func Forward(max int, after string) Request { return Request{Max: &max, After: after} }

// Backward asks for up to max items before the one with the identifier before, or
// up to the end if that is empty (XEP-0059 §2.3, §2.5). Their order is that of the
// list.
func Backward(max int, before string) Request { return Request{Max: &max, Before: &before} }

// At asks for up to max items beginning at a place in the list, from zero
// (XEP-0059 §2.6). Identifiers are better where they are known: lists change.
func At(max, index int) Request { return Request{Max: &max, Index: &index} }

// Count asks for the number of items only (XEP-0059 §2.7).
func Count() Request { return Forward(0, "") }

// AppendXML implements [stanza.Payload]. The error wraps [stanza.ErrInvalid]: a
// number is negative or above 2,147,483,647, an identifier is too long, or more
// than one place is named.
func (r Request) AppendXML(dst []byte) ([]byte, error) {
	if why := r.check(); why != "" {
		return dst, fmt.Errorf("%w: rsm: %s", stanza.ErrInvalid, why)
	}
	w := stream.NewWriter(dst)
	w.Start(Name)
	writeInt(&w, "max", r.Max)
	writeInt(&w, "index", r.Index)
	if r.After != "" {
		writeText(&w, "after", r.After)
	}
	if r.Before != nil {
		writeText(&w, "before", *r.Before)
	}
	w.End()
	return w.Bytes()
}

// check says what is wrong with r, if anything.
func (r Request) check() string {
	places := 0
	for _, set := range []bool{r.After != "", r.Before != nil, r.Index != nil} {
		if set {
			places++
		}
	}
	switch {
	case places > 1:
		// XEP-0059 says what each of them means, and nothing about several.
		return "more than one of after, before and index"
	case !inRange(r.Max) || !inRange(r.Index):
		return "a number is out of range"
	case len(r.After) > maxUID || r.Before != nil && len(*r.Before) > maxUID:
		return "an identifier is too long"
	}
	return ""
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with
// the condition [stanza.BadRequest], for any value that Request cannot hold, for
// an element that occurs twice, and for more than one of After, Before and Index.
// On an error r is zero. Elements that are unknown, and those of responses, are
// ignored.
func (r *Request) DecodeElement(el *stream.Element) error {
	*r = Request{}
	s, err := decode(el)
	if err != nil {
		return err
	}
	out := Request{Max: s.max, Before: s.before, Index: s.index}
	if s.after != nil {
		out.After = *s.after
	}
	if why := out.check(); why != "" {
		return malformed(why)
	}
	*r = out
	return nil
}

// Result says which part of a list was returned (XEP-0059 §2.2). The zero value
// says nothing about it.
type Result struct {
	// First and Last are the identifiers of the first and the last item of the
	// page. Both are empty if there is none. They mean something to the other side
	// only.
	First, Last string
	// Index is the place of the first item in the whole list, from zero; it may be
	// approximate. Nil means that it is not known, or that the page is empty.
	Index *int
	// Count is how many items the whole list has; it may be approximate. Nil means
	// that it is not known.
	Count *int
}

// AppendXML implements [stanza.Payload]. The error wraps [stanza.ErrInvalid]: one
// of First and Last is there without the other, there is an Index without them, or
// a value is out of range. Of a list that is empty altogether the other protocol
// usually wants no set at all (XEP-0059 §2.2).
func (r Result) AppendXML(dst []byte) ([]byte, error) {
	if why := r.check(); why != "" {
		return dst, fmt.Errorf("%w: rsm: %s", stanza.ErrInvalid, why)
	}
	w := stream.NewWriter(dst)
	w.Start(Name)
	if r.First != "" {
		w.Start(stream.Name{Local: "first"})
		if r.Index != nil {
			w.Attr("index", strconv.Itoa(*r.Index))
		}
		w.Text(r.First)
		w.End()
		writeText(&w, "last", r.Last)
	}
	writeInt(&w, "count", r.Count)
	w.End()
	return w.Bytes()
}

// check says what is wrong with r, if anything.
func (r Result) check() string {
	switch {
	case (r.First == "") != (r.Last == ""): // §2.2: MUST include <first/> and <last/>
		return "first and last belong together"
	case r.First == "" && r.Index != nil:
		return "an index without first"
	case !inRange(r.Index) || !inRange(r.Count):
		return "a number is out of range"
	case len(r.First) > maxUID || len(r.Last) > maxUID:
		return "an identifier is too long"
	}
	return ""
}

// DecodeElement implements [stanza.Decoder], in the way of [Request.DecodeElement].
func (r *Result) DecodeElement(el *stream.Element) error {
	*r = Result{}
	s, err := decode(el)
	if err != nil {
		return err
	}
	out := Result{Index: s.firstIndex, Count: s.count}
	if s.first != nil {
		out.First = *s.first
	}
	if s.last != nil {
		out.Last = *s.last
	}
	if why := out.check(); why != "" {
		return malformed(why)
	}
	*r = out
	return nil
}

// set is everything that can be in the element.
type set struct {
	after, before, first, last    *string
	count, firstIndex, index, max *int
}

// decode reads the element: each child at most once (XEP-0059 §8).
func decode(el *stream.Element) (s set, err error) {
	if el.Name() != Name {
		return set{}, malformed("not a set of result set management")
	}
	for child := range el.Children() {
		name := child.Name()
		if name.Space != NS {
			continue
		}
		switch name.Local {
		case "after":
			err = readText(&s.after, child)
		case "before":
			err = readText(&s.before, child)
		case "first":
			if err = readText(&s.first, child); err != nil {
				break
			}
			if b, ok := child.AttrBytes("index"); ok {
				err = readInt(&s.firstIndex, "index", b)
			}
		case "last":
			err = readText(&s.last, child)
		case "count":
			err = readInt(&s.count, name.Local, child.AppendText(nil))
		case "index":
			err = readInt(&s.index, name.Local, child.AppendText(nil))
		case "max":
			err = readInt(&s.max, name.Local, child.AppendText(nil))
		}
		if err != nil {
			return set{}, err
		}
	}
	return s, nil
}

func readText(to **string, el *stream.Element) error {
	if *to != nil {
		return malformed(el.Name().Local + " twice")
	}
	if len(el.Inner()) > 6*maxUID { // each octet can be written as &#NNN;
		return malformed(el.Name().Local + " is too long")
	}
	*to = new(el.Text())
	return nil
}

// readInt reads an xs:int that is not negative.
func readInt(to **int, what string, b []byte) error {
	if *to != nil {
		return malformed(what + " twice")
	}
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	if len(b) == 0 || len(b) > 10 {
		return malformed(what + " is not a number")
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return malformed(what + " is not a number")
		}
		n = n*10 + int(c-'0')
		if n > maxInt {
			return malformed(what + " is out of range")
		}
	}
	*to = &n
	return nil
}

func space(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func inRange(n *int) bool { return n == nil || *n >= 0 && *n <= maxInt }

func writeText(w *stream.Writer, local, s string) {
	w.Start(stream.Name{Local: local})
	w.Text(s)
	w.End()
}

func writeInt(w *stream.Writer, local string, n *int) {
	if n != nil {
		writeText(w, local, strconv.Itoa(*n))
	}
}

func malformed(text string) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: "result set management: " + text}
}
