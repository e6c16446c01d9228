package form

import "stanzakit.dev/xmpp/stream"

// NS is the namespace of data forms. Only who handles them directly inside messages
// announces it as a feature (XEP-0004 §6).
const NS = "jabber:x:data"

// Name is the name of the element, to look for it in the payload of another
// protocol.
var Name = stream.Name{Space: NS, Local: "x"}

// FormTypeVar is the name of the hidden field that says what the fields of a form
// mean (XEP-0068 §3.1); see [Data.FormType].
const FormTypeVar = "FORM_TYPE"

// The bounds of a form that is read or written. What goes beyond them is refused
// with [stanza.PolicyViolation].
const (
	MaxFields  = 256  // fields of a form, of an item and of a header
	MaxItems   = 1024 // items
	MaxCells   = 4096 // fields in all items together
	MaxValues  = 1024 // values of a field, its options, and instructions
	MaxVarSize = 1024 // octets of the name of a field
)

// Type is what a form is for (XEP-0004 §3.1).
type Type string

// The types of a form.
const (
	Form   Type = "form"   // a form to fill out
	Submit Type = "submit" // a form that was filled out
	Cancel Type = "cancel" // the form will not be filled out
	Result Type = "result" // data, or the outcome of a submission
)

// Data is a form, or data in the shape of one (XEP-0004 §3). It is a payload.
// Nothing in a decoded one depends on the memory of the stream.
type Data struct {
	// Type is required.
	Type Type
	// Title and Instructions are for a person; they may be empty.
	Title        string
	Instructions []string
	// Fields are in the order in which to show them.
	Fields []Field
	// Reported and Items are a table, in data of type [Result]: the columns, and
	// the rows with a field for each column (§3.4). They go together with no field
	// but a hidden FORM_TYPE.
	Reported []Field
	Items    [][]Field
}

// FieldType is what kind of value a field takes (XEP-0004 §3.3).
type FieldType string

// The types of a field.
const (
	Bool        FieldType = "boolean"      // yes or no
	Fixed       FieldType = "fixed"        // text between the fields, not a question
	Hidden      FieldType = "hidden"       // not shown, and sent back as it is
	JIDMulti    FieldType = "jid-multi"    // any number of addresses
	JIDSingle   FieldType = "jid-single"   // an address
	ListMulti   FieldType = "list-multi"   // any number of the options
	ListSingle  FieldType = "list-single"  // one of the options
	TextMulti   FieldType = "text-multi"   // lines of text, a value for each
	TextPrivate FieldType = "text-private" // a line that is not to be seen, such as a password
	TextSingle  FieldType = "text-single"  // a line of text
)

// known reports whether t is one of the types of XEP-0004.
func (t FieldType) known() bool {
	switch t {
	case Bool, Fixed, Hidden, JIDMulti, JIDSingle, ListMulti, ListSingle, TextMulti, TextPrivate, TextSingle:
		return true
	}
	return false
}

// list reports whether fields of that type have options.
func (t FieldType) list() bool { return t == ListMulti || t == ListSingle }

// single reports whether fields of that type have at most one value (§3.2).
func (t FieldType) single() bool {
	switch t {
	case Bool, Fixed, JIDSingle, ListSingle, TextPrivate, TextSingle:
		return true
	}
	return false
}

// Field is one question or answer (XEP-0004 §3.2). Its methods give typed values.
type Field struct {
	// Var is the name. Every field but those of type [Fixed] has one, that is
	// unique in the form.
	Var string
	// Type is the type of the field. In a form of type [Form] "" is written as it
	// is and means [TextSingle]; when such a form is read, a type that is missing or
	// unknown becomes TextSingle. Elsewhere "" means that the type is clear from the
	// context.
	Type FieldType
	// Label and Desc name and describe the field to a person.
	Label, Desc string
	// Required says that the form is not valid without a value.
	Required bool
	// Values are the answers: in a form of type [Form] what is chosen beforehand.
	Values []string
	// Options are what to choose from, in fields of type [ListSingle] and
	// [ListMulti].
	Options []Option
	// Validation says more about the values (XEP-0122); nil means nothing.
	Validation *Validation
}

// Option is something to choose in a list (XEP-0004 §3.2).
type Option struct {
	Label string // for a person; empty means that Value will do
	Value string // what is sent
}

// New returns a form of the given type with a hidden FORM_TYPE before the fields,
// unless formType is empty (XEP-0068 §3). The fields are not copied.
func New(t Type, formType string, fields ...Field) *Data {
	d := &Data{Type: t}
	if formType != "" {
		d.Fields = append(d.Fields, Field{Var: FormTypeVar, Type: Hidden, Values: []string{formType}})
	}
	d.Fields = append(d.Fields, fields...)
	return d
}

// FormType returns the value of the field FORM_TYPE, which says what the other
// fields mean, and "" if there is none. A field of that name that is not hidden
// means nothing in a form or result (XEP-0068 §4.3, §5); in a submission its type
// may be missing. One that has not exactly one value means nothing either.
func (d *Data) FormType() string {
	f := d.Field(FormTypeVar)
	switch {
	case f == nil || len(f.Values) != 1:
		return ""
	case f.Type == Hidden, d.Type == Submit && f.Type == "":
		return f.Values[0]
	}
	return ""
}

// Field returns the field called name, or nil. It may be changed. The methods of
// Field for reading can be called on nil.
func (d *Data) Field(name string) *Field { return find(d.Fields, name) }

// Cell returns the field called name of a row in [Data.Items], or nil.
func Cell(item []Field, name string) *Field { return find(item, name) }

func find(fields []Field, name string) *Field {
	for i := range fields {
		if f := &fields[i]; f.Var == name && name != "" {
			return f
		}
	}
	return nil
}

// Set gives the field called name these values, as part of an answer or to change
// what is chosen beforehand. If there is no such field, it is added without a type.
// No values at all mean that the field is to have none: whether that differs from
// leaving it out is up to the protocol around (XEP-0004 §3.6).
func (d *Data) Set(name string, values ...string) {
	f := d.Field(name)
	if f == nil {
		d.Fields = append(d.Fields, Field{Var: name})
		f = &d.Fields[len(d.Fields)-1]
	}
	f.Values = values
}

// SetBool is [Data.Set] for a field of type [Bool].
func (d *Data) SetBool(name string, value bool) { d.Set(name, FormatBool(value)) }

// FormatBool returns the value of a field of type [Bool]: "1" or "0", which every
// version of XEP-0004 knows.
func FormatBool(value bool) string {
	if value {
		return "1"
	}
	return "0"
}

// Answer begins the answer to a form of type [Form]: a [Data] of type [Submit] with
// the hidden fields, which are to be sent back as they are (XEP-0004 §3.3), and the
// others that have a value beforehand. What is not set has no value to be sent: the
// one who asked keeps what it has (§3.5). It shares no memory with d.
func (d *Data) Answer() *Data {
	out := &Data{Type: Submit}
	for i := range d.Fields {
		f := &d.Fields[i]
		if f.Type == Fixed || f.Var == "" || len(f.Values) == 0 {
			continue
		}
		out.Fields = append(out.Fields, Field{Var: f.Var, Type: f.Type, Values: append([]string(nil), f.Values...)})
	}
	return out
}
