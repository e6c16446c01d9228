package jid

import (
	"database/sql/driver"
	"encoding/xml"
	"fmt"
)

// MarshalText implements [encoding.TextMarshaler]. The zero JID becomes empty
// text, as the zero [net/netip.Addr] does.
func (j JID) MarshalText() ([]byte, error) { return []byte(j.s), nil }

// AppendText implements [encoding.TextAppender].
func (j JID) AppendText(dst []byte) ([]byte, error) { return j.AppendTo(dst), nil }

// UnmarshalText implements [encoding.TextUnmarshaler] with the rules of
// [ParseBytes]. Empty text becomes the zero JID. On error j is unchanged.
func (j *JID) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*j = JID{}
		return nil
	}
	p, err := ParseBytes(text)
	if err == nil {
		*j = p
	}
	return err
}

// MarshalBinary implements [encoding.BinaryMarshaler]. The binary form is the
// text form.
func (j JID) MarshalBinary() ([]byte, error) { return j.MarshalText() }

// AppendBinary implements [encoding.BinaryAppender].
func (j JID) AppendBinary(dst []byte) ([]byte, error) { return j.AppendText(dst) }

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It parses: the rules
// depend on the version of Unicode, and that of the writer may have been another.
func (j *JID) UnmarshalBinary(data []byte) error { return j.UnmarshalText(data) }

// MarshalXMLAttr implements [xml.MarshalerAttr]. The zero JID has no attribute.
func (j JID) MarshalXMLAttr(name xml.Name) (xml.Attr, error) {
	if j.IsZero() {
		return xml.Attr{}, nil
	}
	return xml.Attr{Name: name, Value: j.s}, nil
}

// UnmarshalXMLAttr implements [xml.UnmarshalerAttr]. An attribute that is there
// and empty is an error: no address is zero octets long.
func (j *JID) UnmarshalXMLAttr(attr xml.Attr) error {
	p, err := Parse(attr.Value)
	if err == nil {
		*j = p
	}
	return err
}

// MarshalXML implements [xml.Marshaler]. The zero JID has no element.
func (j JID) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if j.IsZero() {
		return nil
	}
	return e.EncodeElement(j.s, start)
}

// UnmarshalXML implements [xml.Unmarshaler] for an element that holds an address
// as its text, with nothing added: white space is part of the text. An empty
// element is an error.
func (j *JID) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var s string
	if err := d.DecodeElement(&s, &start); err != nil {
		return err
	}
	p, err := Parse(s)
	if err == nil {
		*j = p
	}
	return err
}

// Value implements [driver.Valuer] for database/sql: the canonical string, or
// NULL for the zero JID.
func (j JID) Value() (driver.Value, error) {
	if j.IsZero() {
		return nil, nil
	}
	return j.s, nil
}

// Scan implements the Scanner interface of database/sql for text, octets and
// NULL, which becomes the zero JID. Stored text is parsed like any other.
func (j *JID) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*j = JID{}
		return nil
	case []byte:
		return j.UnmarshalText(v)
	case string:
		if v == "" {
			*j = JID{}
			return nil
		}
		p, err := Parse(v)
		if err == nil {
			*j = p
		}
		return err
	}
	return fmt.Errorf("jid: cannot scan %T into a JID", src)
}
