package vcard

import (
	"encoding/base64"
	"slices"

	"stanzakit.dev/xmpp/stream"
)

// property is how a kind of child of a vCard and a field of [VCard] correspond.
// Values are of the type of the field, or of its elements.
type property struct {
	local string
	many  bool                                 // the field is a slice
	read  func(el *stream.Element) (any, bool) // false: the element cannot be shown in the field
	add   func(v *VCard, value any)            // sets the field, or appends to it
	vals  func(v *VCard) []any                 // what the field holds; a zero one holds nothing
	same  func(a, b any) bool                  // whether two values are written the same way
	put   func(w *stream.Writer, value any)    // writes what is inside of the element
	zero  func(value any) bool                 // whether it is what an empty field means
}

func (p *property) values(v *VCard) []any { return p.vals(v) }

func (p *property) write(w *stream.Writer, value any) {
	w.Start(stream.Name{Space: NS, Local: p.local})
	p.put(w, value)
	w.End()
}

// propertyOf returns the index of the property that a child is, or -1.
func propertyOf(el *stream.Element) int {
	name := el.Name()
	if name.Space != NS {
		return -1
	}
	return slices.IndexFunc(properties, func(p property) bool { return p.local == name.Local })
}

// properties are in the order in which those that are new are written: that of the
// DTD (XEP-0054 §9).
var properties = []property{
	text("FN", func(v *VCard) *string { return &v.FullName }),
	one("N", func(v *VCard) *Name { return &v.Name }, readName, equal[Name], writeName),
	text("NICKNAME", func(v *VCard) *string { return &v.Nickname }),
	photo(),
	text("BDAY", func(v *VCard) *string { return &v.Birthday }),
	many("ADR", func(v *VCard) *[]Address { return &v.Addresses }, readAddress, equalAddress, writeAddress),
	many("TEL", func(v *VCard) *[]Phone { return &v.Phones }, readPhone, equalPhone, writePhone),
	many("EMAIL", func(v *VCard) *[]Email { return &v.Emails }, readEmail, equalEmail, writeEmail),
	text("JABBERID", func(v *VCard) *string { return &v.JID }),
	text("TITLE", func(v *VCard) *string { return &v.Title }),
	text("ROLE", func(v *VCard) *string { return &v.Role }),
	one("ORG", func(v *VCard) *Organization { return &v.Organization }, readOrganization, equalOrganization, writeOrganization),
	text("NOTE", func(v *VCard) *string { return &v.Note }),
	text("URL", func(v *VCard) *string { return &v.URL }),
	text("DESC", func(v *VCard) *string { return &v.Description }),
}

func equal[T comparable](a, b T) bool { return a == b }

// text is a property whose element contains nothing but text.
func text(local string, field func(*VCard) *string) property {
	return one(local, field, (*stream.Element).Text, equal[string], (*stream.Writer).Text)
}

// one is a property of which the field holds one value.
func one[T any](local string, field func(*VCard) *T, read func(*stream.Element) T, same func(a, b T) bool, put func(*stream.Writer, T)) property {
	p := common(local, read, same, put)
	p.add = func(v *VCard, value any) { *field(v) = value.(T) }
	p.vals = func(v *VCard) []any {
		if value := *field(v); !p.zero(value) {
			return []any{value}
		}
		return nil
	}
	return p
}

// many is a property of which the field holds a slice.
func many[T any](local string, field func(*VCard) *[]T, read func(*stream.Element) T, same func(a, b T) bool, put func(*stream.Writer, T)) property {
	p := common(local, read, same, put)
	p.many = true
	p.add = func(v *VCard, value any) { *field(v) = append(*field(v), value.(T)) }
	p.vals = func(v *VCard) []any {
		var out []any
		for _, value := range *field(v) {
			out = append(out, value)
		}
		return out
	}
	return p
}

func common[T any](local string, read func(*stream.Element) T, same func(a, b T) bool, put func(*stream.Writer, T)) property {
	var zero T
	return property{
		local: local,
		read:  func(el *stream.Element) (any, bool) { return read(el), true },
		same:  func(a, b any) bool { return same(a.(T), b.(T)) },
		put:   func(w *stream.Writer, value any) { put(w, value.(T)) },
		zero:  func(value any) bool { return same(value.(T), zero) },
	}
}

// photo is the property of the picture, which is a pointer.
func photo() property {
	return property{
		local: "PHOTO",
		read: func(el *stream.Element) (any, bool) {
			p, ok := readPhoto(el)
			return p, ok
		},
		add: func(v *VCard, value any) {
			if p := value.(*Photo); !p.equal(&Photo{}) {
				v.Photo = p
			}
		},
		vals: func(v *VCard) []any {
			if v.Photo == nil {
				return nil
			}
			return []any{v.Photo}
		},
		same: func(a, b any) bool { return a.(*Photo).equal(b.(*Photo)) },
		zero: func(value any) bool { return value.(*Photo).equal(&Photo{}) },
		put: func(w *stream.Writer, value any) {
			p := value.(*Photo)
			// DTD: (TYPE, BINVAL) | EXTVAL.
			if len(p.Data) == 0 && p.URL != "" {
				writeText(w, "EXTVAL", p.URL)
				return
			}
			writeText(w, "TYPE", p.Type)
			writeText(w, "BINVAL", base64.StdEncoding.EncodeToString(p.Data))
		},
	}
}

// readPhoto reports false for data that is not base64.
func readPhoto(el *stream.Element) (*Photo, bool) {
	p := &Photo{}
	for child := range el.Children() {
		if child.Name().Space != NS {
			continue
		}
		switch child.Name().Local {
		case "TYPE":
			p.Type = child.Text()
		case "EXTVAL":
			p.URL = child.Text()
		case "BINVAL":
			data, ok := decodeBase64(child.AppendText(nil))
			if !ok {
				return p, false
			}
			if len(data) > 0 {
				p.Data = data
			}
		}
	}
	return p, true
}

// parts stores the text of children in the fields that they are named after, and
// returns the names of the others that are empty: the indicators of a type.
func parts(el *stream.Element, fields map[string]*string) (types []string) {
	for child := range el.Children() {
		if child.Name().Space != NS {
			continue
		}
		local := child.Name().Local
		if field := fields[local]; field != nil {
			*field = child.Text()
		} else if len(child.Inner()) == 0 {
			types = append(types, local)
		}
	}
	return types
}

// writeText writes a child with text, unless the text is empty.
func writeText(w *stream.Writer, local, text string) {
	if text != "" {
		w.Start(stream.Name{Space: NS, Local: local})
		w.Text(text)
		w.End()
	}
}

// writeTypes writes the indicators.
func writeTypes(w *stream.Writer, types []string) {
	for _, t := range types {
		w.Start(stream.Name{Space: NS, Local: t})
		w.End()
	}
}

func readName(el *stream.Element) (n Name) {
	parts(el, map[string]*string{"FAMILY": &n.Family, "GIVEN": &n.Given, "MIDDLE": &n.Middle, "PREFIX": &n.Prefix, "SUFFIX": &n.Suffix})
	return n
}

func writeName(w *stream.Writer, n Name) {
	writeText(w, "FAMILY", n.Family)
	writeText(w, "GIVEN", n.Given)
	writeText(w, "MIDDLE", n.Middle)
	writeText(w, "PREFIX", n.Prefix)
	writeText(w, "SUFFIX", n.Suffix)
}

func readAddress(el *stream.Element) (a Address) {
	a.Types = parts(el, map[string]*string{
		"POBOX": &a.POBox, "EXTADD": &a.Extended, "STREET": &a.Street, "LOCALITY": &a.Locality,
		"REGION": &a.Region, "PCODE": &a.PostalCode, "CTRY": &a.Country,
	})
	return a
}

func equalAddress(a, b Address) bool {
	return slices.Equal(a.Types, b.Types) && a.POBox == b.POBox && a.Extended == b.Extended && a.Street == b.Street &&
		a.Locality == b.Locality && a.Region == b.Region && a.PostalCode == b.PostalCode && a.Country == b.Country
}

func writeAddress(w *stream.Writer, a Address) {
	writeTypes(w, a.Types)
	writeText(w, "POBOX", a.POBox)
	writeText(w, "EXTADD", a.Extended)
	writeText(w, "STREET", a.Street)
	writeText(w, "LOCALITY", a.Locality)
	writeText(w, "REGION", a.Region)
	writeText(w, "PCODE", a.PostalCode)
	writeText(w, "CTRY", a.Country) // XEP-0054 §8: not COUNTRY
}

func readPhone(el *stream.Element) (p Phone) {
	p.Types = parts(el, map[string]*string{"NUMBER": &p.Number})
	return p
}

func equalPhone(a, b Phone) bool { return slices.Equal(a.Types, b.Types) && a.Number == b.Number }

func writePhone(w *stream.Writer, p Phone) {
	writeTypes(w, p.Types)
	// XEP-0054 §8: without a number "an empty <NUMBER/> child MUST be included".
	w.Start(stream.Name{Space: NS, Local: "NUMBER"})
	w.Text(p.Number)
	w.End()
}

func readEmail(el *stream.Element) (e Email) {
	e.Types = parts(el, map[string]*string{"USERID": &e.Address})
	return e
}

func equalEmail(a, b Email) bool { return slices.Equal(a.Types, b.Types) && a.Address == b.Address }

func writeEmail(w *stream.Writer, e Email) {
	writeTypes(w, e.Types)
	w.Start(stream.Name{Space: NS, Local: "USERID"})
	w.Text(e.Address)
	w.End()
}

func readOrganization(el *stream.Element) (o Organization) {
	for child := range el.Children() {
		switch child.Name() {
		case stream.Name{Space: NS, Local: "ORGNAME"}:
			o.Name = child.Text()
		case stream.Name{Space: NS, Local: "ORGUNIT"}:
			if unit := child.Text(); unit != "" {
				o.Units = append(o.Units, unit)
			}
		}
	}
	return o
}

func equalOrganization(a, b Organization) bool {
	return a.Name == b.Name && slices.Equal(a.Units, b.Units)
}

func writeOrganization(w *stream.Writer, o Organization) {
	writeText(w, "ORGNAME", o.Name)
	for _, unit := range o.Units {
		writeText(w, "ORGUNIT", unit)
	}
}
