package form

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// AppendXML implements [stanza.Payload]. The error wraps [stanza.ErrInvalid] if the
// form breaks a rule of XEP-0004 or XEP-0122 that [Data.DecodeElement] enforces, or
// one of these: an item has every field of the header (§3.4), a table comes with no
// other field than a hidden FORM_TYPE (§3.4), a validation is possible with its
// datatype and its field (XEP-0122 §3.2, §4.7).
func (d *Data) AppendXML(dst []byte) ([]byte, error) {
	if err := d.valid(); err != nil {
		return dst, err
	}
	w := stream.NewWriter(dst)
	w.Start(Name)
	w.Attr("type", string(d.Type))
	if d.Title != "" {
		element(&w, "title", d.Title)
	}
	for _, s := range d.Instructions {
		element(&w, "instructions", s)
	}
	writeFields(&w, d.Fields)
	if len(d.Reported) > 0 { // §3.4: MUST appear before any item
		w.Start(stream.Name{Local: "reported"})
		writeFields(&w, d.Reported)
		w.End()
	}
	for _, item := range d.Items {
		w.Start(stream.Name{Local: "item"})
		writeFields(&w, item)
		w.End()
	}
	w.End()
	return w.Bytes()
}

func invalid(text string) error { return fmt.Errorf("%w: form: %s", stanza.ErrInvalid, text) }

// valid checks everything that AppendXML promises.
func (d *Data) valid() error {
	if d == nil {
		return invalid("nil")
	}
	switch d.Type {
	case Form, Submit, Cancel, Result:
	default:
		return invalid("missing or unknown type")
	}
	if err := d.check(); err != nil {
		return fmt.Errorf("%w: %w", stanza.ErrInvalid, err)
	}
	if len(d.Instructions) > MaxValues || len(d.Items) > MaxItems {
		return invalid("too many instructions or items")
	}
	cells := 0
	for _, item := range d.Items {
		cells += len(item)
		if err := d.validItem(item); err != nil {
			return err
		}
	}
	if cells > MaxCells {
		return invalid("too many fields in items")
	}
	if len(d.Reported)+len(d.Items) > 0 {
		for i := range d.Fields {
			if f := &d.Fields[i]; f.Var != FormTypeVar || f.Type != Hidden {
				return invalid("a table and fields")
			}
		}
	}
	for _, fields := range [][]Field{d.Fields, d.Reported} {
		if err := validFields(fields); err != nil {
			return err
		}
	}
	return nil
}

func (d *Data) validItem(item []Field) error {
	if len(item) == 0 {
		return invalid("an item without fields")
	}
	for i := range d.Reported {
		if Cell(item, d.Reported[i].Var) == nil { // §3.4: MUST contain each field
			return invalid("an item without a field of the header")
		}
	}
	return validFields(item)
}

func validFields(fields []Field) error {
	if len(fields) > MaxFields {
		return invalid("too many fields")
	}
	for i := range fields {
		f := &fields[i]
		switch {
		case f.Var == "" && f.Type != Fixed:
			return invalid("a field without a name")
		case f.Type != "" && !f.Type.known():
			return invalid("a field of an unknown type")
		case len(f.Var) > MaxVarSize || len(f.Values) > MaxValues || len(f.Options) > MaxValues:
			return invalid("a field that is too large")
		}
		if f.Validation != nil {
			if err := f.Validation.valid(f.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFields(w *stream.Writer, fields []Field) {
	for i := range fields {
		f := &fields[i]
		w.Start(stream.Name{Local: "field"})
		attr(w, "var", f.Var)
		attr(w, "type", string(f.Type))
		attr(w, "label", f.Label)
		if f.Desc != "" {
			element(w, "desc", f.Desc)
		}
		if f.Required {
			w.Start(stream.Name{Local: "required"})
			w.End()
		}
		if f.Validation != nil {
			f.Validation.write(w)
		}
		for _, v := range f.Values {
			element(w, "value", v)
		}
		for _, o := range f.Options {
			w.Start(stream.Name{Local: "option"})
			attr(w, "label", o.Label)
			element(w, "value", o.Value)
			w.End()
		}
		w.End()
	}
}

func attr(w *stream.Writer, local, value string) {
	if value != "" {
		w.Attr(local, value)
	}
}

func element(w *stream.Writer, local, text string) {
	w.Start(stream.Name{Local: local})
	w.Text(text)
	w.End()
}
