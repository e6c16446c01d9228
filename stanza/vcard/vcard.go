package vcard

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0054 §4).
const NS = "vcard-temp"

var cardName = stream.Name{Space: NS, Local: "vCard"}

// maxValues is how many values one of the slices of a VCard may have that is
// decoded.
const maxValues = 256

// VCard is a profile (XEP-0054 §3.1). The zero value is an empty one, which is
// what there is when nothing was published.
//
// A VCard remembers the element that it was decoded from. What has no field is
// written again as it was received, and so is every value that was not changed;
// Extra is written after it. Of several elements of a kind that has a field for
// one value, the field is the first. A copy of a VCard shares that memory, which is never
// changed.
type VCard struct {
	// FullName is the name to display; Nickname is one or several with commas
	// between them.
	FullName, Nickname string
	// Name is the name in its parts.
	Name Name
	// Photo is the picture, or nil. One that was received with data that is not
	// base64 counts as none.
	Photo *Photo
	// Birthday is a date of ISO 8601. It is what somebody typed.
	Birthday string

	Addresses []Address
	Phones    []Phone
	Emails    []Email

	// JID is the address for chat, as text.
	JID string
	// Organization, Title and Role are about work.
	Organization Organization
	Title, Role  string
	// URL leads to a page; Description is free text, Note a comment.
	URL, Description, Note string

	// Extra are further properties to write: elements of this namespace. Decoding
	// leaves it nil.
	Extra []stanza.Payload

	source *stream.Element // what the value was decoded from, or nil
}

// Name is the name of a person in its parts (N); several in one part have commas
// between them.
type Name struct{ Family, Given, Middle, Prefix, Suffix string }

// Photo is a picture.
type Photo struct {
	// Type is its media type, such as "image/png". It is only a hint: go by the data
	// (XEP-0153 §5).
	Type string
	// Data is the picture. XEP-0153 §4.6 asks for less than 8 KiB, and PNG, JPEG or
	// GIF.
	Data []byte
	// URL is where the picture is, if there is no Data. XEP-0153 §4.5 advises
	// against it. Whoever is asked for it learns who looks.
	URL string
}

// Address is a postal address (ADR).
type Address struct {
	// Types are the indicators, such as "HOME", "WORK" or "PREF".
	Types []string
	// Extended is what does not fit on the line with the street.
	POBox, Extended, Street, Locality, Region, PostalCode, Country string
}

// Phone is a telephone number (TEL).
type Phone struct {
	// Types are the indicators, such as "WORK", "VOICE", "CELL" or "FAX".
	Types []string
	// Number is the number as text.
	Number string
}

// Email is an address for mail (EMAIL).
type Email struct {
	// Types are the indicators, such as "HOME", "WORK", "INTERNET" or "PREF".
	Types []string
	// Address is the address as text.
	Address string
}

// Organization is where a person works (ORG).
type Organization struct {
	// Name is that of the organization, Units are those within it, from the large
	// to the small.
	Name  string
	Units []string
}

// IsEmpty reports whether there is nothing to write: no value, no Extra, and no
// child in the element that v was decoded from.
func (v *VCard) IsEmpty() bool {
	if len(v.Extra) > 0 {
		return false
	}
	if v.source != nil {
		for range v.source.Children() {
			return false
		}
	}
	for i := range properties {
		if len(properties[i].values(v)) > 0 {
			return false
		}
	}
	return true
}

// DecodeElement implements [stanza.Decoder]. It replaces all of v. The error is a
// [*stanza.Error]: el is no vCard, or has more than 256 addresses, numbers or the
// like of one kind.
func (v *VCard) DecodeElement(el *stream.Element) error {
	if el.Name() != cardName {
		return &stanza.Error{Condition: stanza.BadRequest, Text: "not a vCard element"}
	}
	out := VCard{source: el.Clone()}
	seen := make([]int, len(properties))
	for child := range out.source.Children() {
		i := propertyOf(child)
		if i < 0 {
			continue
		}
		p := &properties[i]
		if seen[i] > 0 && !p.many {
			continue // of several, the first is what the field shows
		}
		if seen[i]++; seen[i] > maxValues {
			return &stanza.Error{Condition: stanza.PolicyViolation, Text: "too many " + p.local + " elements"}
		}
		if value, ok := p.read(child); ok {
			p.add(&out, value)
		}
	}
	*v = out
	return nil
}

// AppendXML implements [stanza.Payload].
func (v *VCard) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(cardName)
	left := make([][]any, len(properties)) // the values that are still to be written
	for i := range properties {
		left[i] = properties[i].values(v)
	}
	if v.source != nil {
		for a := range v.source.Attrs() { // a version, XEP-0054 §8
			w.AttrNS(a.Name, string(a.Value))
		}
		first := make([]bool, len(properties))
		for child := range v.source.Children() {
			if keep(child, left, first) {
				w.Element(child)
			} else if i := propertyOf(child); !properties[i].many && len(left[i]) > 0 {
				// In the same place: others may follow that have no field.
				properties[i].write(&w, left[i][0])
				left[i] = nil
			}
		}
	}
	for i := range properties {
		for _, value := range left[i] {
			properties[i].write(&w, value)
		}
	}
	for _, p := range v.Extra {
		if p == nil {
			return dst, fmt.Errorf("vcard: %w: a nil payload", stanza.ErrInvalid)
		}
		w.Append(p)
	}
	w.End()
	return w.Bytes()
}

// keep reports whether a child that was received is written again, because there
// is no field for it or the field still says the same. That value is then not left
// to be written. first notes for which properties the child that the field shows
// has come by.
func keep(child *stream.Element, left [][]any, first []bool) bool {
	i := propertyOf(child)
	if i < 0 {
		return true
	}
	p := &properties[i]
	value, ok := p.read(child)
	switch {
	case p.many:
		at := slices.IndexFunc(left[i], func(x any) bool { return p.same(x, value) })
		if at < 0 {
			return false
		}
		left[i] = slices.Delete(left[i], at, at+1)
		return true
	case first[i]:
		return true
	}
	first[i] = true
	if len(left[i]) == 0 {
		return !ok || p.zero(value) // <NICKNAME/> is still an empty one
	}
	if ok && p.same(left[i][0], value) {
		left[i] = nil
		return true
	}
	return false
}

// Hash returns the SHA-1 of the data in lower-case hexadecimal digits, as it is
// announced in presence (XEP-0153 §3.1), and "" if there is no data.
func (p *Photo) Hash() string {
	if p == nil || len(p.Data) == 0 {
		return ""
	}
	return hash(p.Data)
}

// equal reports whether two pictures are written the same way.
func (p *Photo) equal(q *Photo) bool {
	return p.Type == q.Type && p.URL == q.URL && bytes.Equal(p.Data, q.Data)
}

// decodeBase64 decodes the content of a BINVAL. XEP-0153 §4.6: "any whitespace
// characters MUST be ignored".
func decodeBase64(text []byte) ([]byte, bool) {
	text = slices.DeleteFunc(text, func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' })
	out := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(out, text)
	return out[:n], err == nil
}
