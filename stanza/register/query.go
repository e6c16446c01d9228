package register

import (
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

// The namespaces of the protocol.
const (
	// NS is that of the requests, and the feature in service discovery (XEP-0077
	// §10). It is also the FORM_TYPE of a form to register with (§13.4.1).
	NS = "jabber:iq:register"
	// NSFeature is that of the stream feature (§8).
	NSFeature = "http://jabber.org/features/iq-register"

	// The FORM_TYPE of the other forms (§13.4.2, §13.4.3).
	formCancel   = "jabber:iq:register:cancel"
	formPassword = "jabber:iq:register:changepassword"

	nsOOB = "jabber:x:oob"
)

var (
	queryName   = stream.Name{Space: NS, Local: "query"}
	featureName = stream.Name{Space: NSFeature, Local: "register"}
	oobName     = stream.Name{Space: nsOOB, Local: "x"}
	urlName     = stream.Name{Space: nsOOB, Local: "url"}
	formName    = form.Name
)

// Field is the name of a field of the protocol: an element of the schema, and the
// name of the same field in a form (XEP-0077 §13.4.1).
type Field string

// The fields, in the order of the schema (XEP-0077 §14.1).
const (
	Username Field = "username" // the localpart of the account
	Nick     Field = "nick"
	Password Field = "password"
	FullName Field = "name"
	First    Field = "first"
	Last     Field = "last"
	Email    Field = "email"
	Address  Field = "address"
	City     Field = "city"
	State    Field = "state"
	Zip      Field = "zip"
	Phone    Field = "phone"
	URL      Field = "url"
	Date     Field = "date"
	Misc     Field = "misc" // obsolete
	Text     Field = "text" // obsolete
	Key      Field = "key"  // obsolete: XEP-0077 §7
)

var schema = [...]Field{
	Username, Nick, Password, FullName, First, Last, Email, Address, City, State, Zip, Phone, URL, Date, Misc, Text, Key,
}

// Known reports whether the schema has such a field. There are no others: a host
// that wants to know more uses a form (XEP-0077 §4).
func (f Field) Known() bool { return slices.Contains(schema[:], f) }

// Bounds of what is read, in bytes. No password is longer for package sasl either.
const (
	maxField        = 4 << 10
	maxInstructions = 16 << 10
	maxURL          = 2 << 10
)

// Values are fields with what is in them. Printed they show which there are, and
// not what is in them: that may be a password.
type Values map[Field]string

// Format prints the names of the fields, whatever the verb.
func (v Values) Format(f fmt.State, _ rune) {
	fmt.Fprint(f, "register.Values{")
	sep := ""
	for _, name := range schema {
		if _, ok := v[name]; ok {
			fmt.Fprint(f, sep, string(name))
			sep = " "
		}
	}
	fmt.Fprint(f, "}")
}

// Query is the payload of a request or a reply: <query
// xmlns='jabber:iq:register'/>. The zero value asks what there is to fill in.
// Printed it does not show what is in Fields or Form.
type Query struct {
	// Registered says, in a reply, that whoever asks has an account (§3.1).
	Registered bool
	// Remove asks for the registration to be cancelled; everything else is empty
	// then (§3.2).
	Remove bool
	// Instructions are for a human to read, in a reply.
	Instructions string
	// Fields are what is asked for, with or without what is known, or what is
	// told. Each is in the map if its element is there.
	Fields Values
	// Form is a form beside or instead of the fields; where there is one, and it
	// is understood, it counts and the fields do not (§6). Nil: there is none.
	Form *form.Data
	// URL is where to register instead, with a browser (§5). It is the host's
	// word: ask a human before going there.
	URL string
}

// Format prints what kind of query it is, whatever the verb.
func (q Query) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "register.Query{%v registered:%t remove:%t form:%t url:%t}",
		q.Fields, q.Registered, q.Remove, q.Form != nil, q.URL != "")
}

// AppendXML implements [stanza.Payload]. A field that the schema does not have is
// an error.
func (q *Query) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(queryName)
	empty := func(local string) {
		w.Start(stream.Name{Space: NS, Local: local})
		w.End()
	}
	text := func(local, s string) {
		w.Start(stream.Name{Space: NS, Local: local})
		if s != "" {
			w.Text(s)
		}
		w.End()
	}
	if q.Registered {
		empty("registered")
	}
	if q.Instructions != "" {
		text("instructions", q.Instructions)
	}
	written := 0
	for _, name := range schema {
		if s, ok := q.Fields[name]; ok {
			text(string(name), s)
			written++
		}
	}
	if written < len(q.Fields) {
		return dst, fmt.Errorf("register: a field that is not in the schema: %w", ErrFields)
	}
	if q.Remove {
		empty("remove")
	}
	if q.Form != nil {
		w.Append(q.Form)
	}
	if q.URL != "" {
		w.Start(oobName)
		w.Start(urlName)
		w.Text(q.URL)
		w.End()
		w.End()
	}
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. Whatever q held before is gone. The
// error is a [*stanza.Error] with [stanza.BadRequest]: el is something else, a
// field or form is there twice or is too long, the form is malformed, or <remove/>
// is not alone (§3.2). Elements that the schema does not have are passed over (§6).
func (q *Query) DecodeElement(el *stream.Element) error {
	*q = Query{}
	if el.Name() != queryName {
		return bad("%s is no registration", quote.ASCII(el.Name().String(), 128))
	}
	children := 0
	for child := range el.Children() {
		children++
		if err := q.child(child); err != nil {
			*q = Query{}
			return err
		}
	}
	if q.Remove && children != 1 {
		*q = Query{}
		// XEP-0077 §3.2, table of errors.
		return bad("<remove/> is not the only child")
	}
	return nil
}

// child reads one child of the query.
func (q *Query) child(el *stream.Element) error {
	name := el.Name()
	switch {
	case name == formName:
		if q.Form != nil {
			return bad("two forms")
		}
		q.Form = new(form.Data)
		if err := q.Form.DecodeElement(el); err != nil {
			return &stanza.Error{Condition: stanza.BadRequest, Text: "malformed form", Cause: err}
		}
	case name == oobName:
		if u, ok := el.Child(urlName); ok && q.URL == "" {
			if q.URL = u.Text(); len(q.URL) > maxURL {
				return bad("an address that is too long")
			}
		}
	case name.Space != NS: // §6: what is not understood is ignored
	case name.Local == "registered":
		q.Registered = true
	case name.Local == "remove":
		q.Remove = true
	case name.Local == "instructions":
		if q.Instructions = el.Text(); len(q.Instructions) > maxInstructions {
			return bad("instructions that are too long")
		}
	case Field(name.Local).Known():
		return q.field(Field(name.Local), el)
	}
	return nil
}

// field reads a field of the schema.
func (q *Query) field(f Field, el *stream.Element) error {
	if _, twice := q.Fields[f]; twice {
		return bad("two elements <%s/>", f)
	}
	s := el.Text()
	if len(s) > maxField {
		return bad("<%s/> is too long", f)
	}
	if q.Fields == nil {
		q.Fields = make(Values)
	}
	q.Fields[f] = s
	return nil
}

// bad is the error about a request that is malformed.
func bad(format string, args ...any) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: fmt.Sprintf("register: "+format, args...)}
}
