package form

import (
	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// DecodeElement implements [stanza.Decoder]. What XEP-0004 requires has to be there:
// a known type, the names of fields, once each; at most one value where there may
// not be more; options, each with its own value, in lists only. Where the document
// asks to be flexible (§3.4), in the order of fields, header and items and in whether
// they occur together, it is. Unknown elements are ignored, and so are, in a form
// that is not of type [Form], fields without a name; they mean nothing there.
//
// The error is a [*stanza.Error] with the condition [stanza.BadRequest], or
// [stanza.PolicyViolation] for what is beyond the bounds (see [MaxFields]). On an
// error d is zero.
func (d *Data) DecodeElement(el *stream.Element) error {
	*d = Data{}
	if el.Name() != Name {
		return malformed("not a data form")
	}
	var out Data
	switch t := Type(el.Attr("type")); t {
	case Form, Submit, Cancel, Result:
		out.Type = t
	default: // XEP-0004 §10: use='required'
		return malformed("a form with a missing or unknown type")
	}
	cells, title := 0, false
	for child := range el.Children() {
		name := child.Name()
		if name.Space != NS {
			continue
		}
		var err error
		switch name.Local {
		case "title":
			if !title {
				out.Title, title = child.Text(), true
			}
		case "instructions":
			if len(out.Instructions) >= MaxValues {
				return tooMuch("instructions")
			}
			out.Instructions = append(out.Instructions, child.Text())
		case "field":
			out.Fields, err = appendField(out.Fields, child, out.Type)
		case "reported":
			if out.Reported != nil { // §3.4: one and only one
				return malformed("a form with two headers")
			}
			out.Reported, err = decodeFields(child)
		case "item":
			if len(out.Items) >= MaxItems {
				return tooMuch("items")
			}
			var item []Field
			item, err = decodeFields(child)
			out.Items = append(out.Items, item)
			if cells += len(item); cells > MaxCells {
				return tooMuch("fields")
			}
		}
		if err != nil {
			return err
		}
	}
	if err := out.check(); err != nil {
		return err
	}
	*d = out
	return nil
}

// decodeFields reads a header or an item.
func decodeFields(el *stream.Element) (fields []Field, err error) {
	for child := range el.Children() {
		if child.Name() != (stream.Name{Space: NS, Local: "field"}) {
			continue
		}
		if fields, err = appendField(fields, child, Result); err != nil {
			return nil, err
		}
	}
	if len(fields) == 0 { // XEP-0004 §3.4: MUST contain one or more
		return nil, malformed("a header or an item without fields")
	}
	return fields, nil
}

// appendField reads one more field, of a form of type t.
func appendField(fields []Field, el *stream.Element, t Type) ([]Field, error) {
	if len(fields) >= MaxFields {
		return nil, tooMuch("fields")
	}
	f := Field{Var: el.Attr("var"), Type: FieldType(el.Attr("type")), Label: el.Attr("label")}
	switch {
	case len(f.Var) > MaxVarSize:
		return nil, tooMuch("the name of a field")
	case !f.Type.known() && t == Form:
		// XEP-0004 §3.2: the default; §3.3: MUST be assumed for an unknown type.
		f.Type = TextSingle
	case !f.Type.known():
		f.Type = ""
	}
	if f.Var == "" && f.Type != Fixed {
		if t == Form {
			return nil, malformed("a field without a name") // §3.2: MUST
		}
		return fields, nil
	}
	for child := range el.Children() {
		switch name := child.Name(); name {
		case stream.Name{Space: NS, Local: "desc"}:
			f.Desc = child.Text()
		case stream.Name{Space: NS, Local: "required"}:
			f.Required = true
		case stream.Name{Space: NS, Local: "value"}:
			if len(f.Values) >= MaxValues {
				return nil, tooMuch("values")
			}
			f.Values = append(f.Values, child.Text())
		case stream.Name{Space: NS, Local: "option"}:
			if len(f.Options) >= MaxValues {
				return nil, tooMuch("options")
			}
			o, err := decodeOption(child)
			if err != nil {
				return nil, err
			}
			f.Options = append(f.Options, o)
		case validateName:
			if f.Validation != nil { // XEP-0122 §3.1: a <validate/> element
				return nil, malformed("a field with two validations")
			}
			f.Validation = new(Validation)
			if err := f.Validation.decode(child); err != nil {
				return nil, err
			}
		}
	}
	return append(fields, f), nil
}

func decodeOption(el *stream.Element) (o Option, err error) {
	o.Label = el.Attr("label")
	n := 0
	for child := range el.Children() {
		if child.Name() == (stream.Name{Space: NS, Local: "value"}) {
			o.Value = child.Text()
			n++
		}
	}
	if n != 1 { // XEP-0004 §3.2: MUST contain one and only one
		return Option{}, malformed("an option without exactly one value")
	}
	return o, nil
}

// check looks for what XEP-0004 forbids and a single element does not show. The
// error is a [*stanza.Error].
func (d *Data) check() error {
	if len(d.Reported)+len(d.Items) > 0 && d.Type != Result { // §3.4
		return malformed("a table in a form that is no result")
	}
	if err := checkFields(d.Fields, d.Type); err != nil {
		return err
	}
	if err := checkFields(d.Reported, Result); err != nil {
		return err
	}
	for _, item := range d.Items {
		if err := checkFields(item, Result); err != nil {
			return err
		}
	}
	return nil
}

func checkFields(fields []Field, t Type) error {
	vars := make(map[string]bool, len(fields))
	for i := range fields {
		f := &fields[i]
		if f.Var != "" {
			if vars[f.Var] { // §3.2: uniquely identifies
				return malformed("two fields called " + quote.ASCII(f.Var, quoted))
			}
			vars[f.Var] = true
		}
		if len(f.Values) > 1 && f.Type.single() { // §3.2: MUST NOT
			return malformed("several values in field " + quote.ASCII(f.Var, quoted))
		}
		if len(f.Options) == 0 {
			continue
		}
		if !f.Type.list() && (f.Type != "" || t == Form) { // §3.2: MUST NOT
			return malformed("options in field " + quote.ASCII(f.Var, quoted))
		}
		values := make(map[string]bool, len(f.Options))
		for _, o := range f.Options {
			if values[o.Value] { // §3.3 note 2
				return malformed("the same option twice in field " + quote.ASCII(f.Var, quoted))
			}
			values[o.Value] = true
		}
	}
	return nil
}

func malformed(text string) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: "data form: " + text}
}

func tooMuch(what string) error {
	return &stanza.Error{Condition: stanza.PolicyViolation, Text: "data form: too much: " + what}
}
