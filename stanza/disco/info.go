package disco

import (
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

// NSInfo and NSItems are the namespaces of the protocol, and its features
// (XEP-0030 §3.1, §11.1).
const (
	NSInfo  = "http://jabber.org/protocol/disco#info"
	NSItems = "http://jabber.org/protocol/disco#items"
)

// The bounds of what is decoded. An answer that exceeds them is refused as a
// whole, because half of it would be wrong.
const (
	MaxIdentities = 128   // identities of one Info
	MaxFeatures   = 1_024 // features of one Info
	MaxForms      = 16    // forms of one Info; those have bounds of their own
	MaxItems      = 4_096 // items of one Items
	maxString     = 4_096 // octets of one value
)

var (
	infoName     = stream.Name{Space: NSInfo, Local: "query"}
	identityName = stream.Name{Space: NSInfo, Local: "identity"}
	featureName  = stream.Name{Space: NSInfo, Local: "feature"}
)

// Identity says what kind of entity something is (XEP-0030 §3.1). Category and
// Type are required; the registry of the XSF has their values.
type Identity struct {
	// Category is the group, such as "client", "server" or "account".
	Category string
	// Type is the kind within the category, such as "pc", "im" or "registered".
	Type string
	// Lang is the language of Name; empty means that none was said.
	Lang string
	// Name is for a human reader; it may be empty. It is the peer's word.
	Name string
}

// Info is the answer to a query for information, and without identities and
// features the query itself. All of a decoded Info is its own memory. It is not
// safe to change one while others use it.
type Info struct {
	// Node is what of the entity is described; empty means the entity itself.
	Node string
	// Identities say what it is. An entity has one or more, and for each
	// category, type and language no more than one.
	Identities []Identity
	// Features are what it can do, mostly namespaces.
	Features []string
	// Forms say more (XEP-0128): each of type [form.Result], with a FORM_TYPE
	// that is unlike those of the others.
	Forms []*form.Data
}

// Has reports whether the feature is among those of i. That of disco#info is, in
// every answer (XEP-0030 §3.1).
func (i *Info) Has(feature string) bool {
	if i == nil {
		return false
	}
	if feature == NSInfo {
		return true
	}
	for _, f := range i.Features {
		if f == feature {
			return true
		}
	}
	return false
}

// Is reports whether i has an identity of that category and type. An empty type
// stands for all of the category.
func (i *Info) Is(category, typ string) bool {
	if i == nil {
		return false
	}
	for _, id := range i.Identities {
		if id.Category == category && (typ == "" || id.Type == typ) {
			return true
		}
	}
	return false
}

// Form returns the form whose FORM_TYPE is formType, or nil (XEP-0128 §2). Its
// methods for reading can be called on what Field returns in any case.
func (i *Info) Form(formType string) *form.Data {
	if i == nil {
		return nil
	}
	for _, f := range i.Forms {
		if f.FormType() == formType {
			return f
		}
	}
	return nil
}

// AppendXML implements [stanza.Payload]. It fails with [stanza.ErrInvalid] for an
// identity without category or type, two that differ in their names only
// (XEP-0030 §3.1), an empty feature, and a form that is none.
func (i *Info) AppendXML(dst []byte) ([]byte, error) {
	if err := i.check(); err != nil {
		return dst, err
	}
	w := stream.NewWriter(dst)
	w.Start(infoName)
	if i.Node != "" {
		w.Attr("node", i.Node)
	}
	for _, id := range i.Identities {
		w.Start(identityName)
		w.Lang(id.Lang)
		w.Attr("category", id.Category)
		w.Attr("type", id.Type)
		if id.Name != "" {
			w.Attr("name", id.Name)
		}
		w.End()
	}
	for _, f := range i.Features {
		w.Start(featureName)
		w.Attr("var", f)
		w.End()
	}
	for _, f := range i.Forms {
		w.Append(f)
	}
	w.End()
	return w.Bytes()
}

// check is what a writer of an Info has to keep to.
func (i *Info) check() error {
	if len(i.Identities) > MaxIdentities || len(i.Features) > MaxFeatures || len(i.Forms) > MaxForms {
		return invalid("info with too much in it")
	}
	for n, id := range i.Identities {
		if id.Category == "" || id.Type == "" {
			return invalid("identity without category or type")
		}
		for _, other := range i.Identities[:n] {
			if other.Category == id.Category && other.Type == id.Type && other.Lang == id.Lang {
				return invalid("two identities of one kind in one language")
			}
		}
	}
	for _, f := range i.Features {
		if f == "" {
			return invalid("empty feature")
		}
	}
	for _, f := range i.Forms {
		if f == nil {
			return invalid("nil form")
		}
	}
	return nil
}

// DecodeElement implements [stanza.Decoder]. It keeps the order and what occurs
// twice, which package caps judges. The error is a [*stanza.Error] with
// [stanza.BadRequest]: for an element that is something else, an identity
// without category or type, a feature without var (XEP-0030 §3.1), and more than
// the bounds of this package allow; or it is that of a form. Children that are none of the protocol are
// ignored.
func (i *Info) DecodeElement(el *stream.Element) error {
	*i = Info{}
	if el.Name() != infoName {
		return malformed("not a disco#info query")
	}
	d := decoder{}
	out := Info{Node: d.attr(el, "node")}
	for child := range el.Children() {
		switch child.Name() {
		case identityName:
			id := Identity{
				Category: d.required(child, "category"),
				Type:     d.required(child, "type"),
				Lang:     d.capped(child.Lang()),
				Name:     d.attr(child, "name"),
			}
			if len(out.Identities) == MaxIdentities {
				return malformed("too many identities")
			}
			out.Identities = append(out.Identities, id)
		case featureName:
			if len(out.Features) == MaxFeatures {
				return malformed("too many features")
			}
			out.Features = append(out.Features, d.required(child, "var"))
		case form.Name: // XEP-0128 §2
			if len(out.Forms) == MaxForms {
				return malformed("too many forms")
			}
			f := new(form.Data)
			if err := f.DecodeElement(child); err != nil {
				return err
			}
			out.Forms = append(out.Forms, f)
		}
		if d.err != nil {
			return d.err
		}
	}
	*i = out
	return d.err
}

// decoder reads attributes and keeps the first mistake.
type decoder struct{ err error }

func (d *decoder) fail(text string) {
	if d.err == nil {
		d.err = malformed(text)
	}
}

// capped returns s unless it is too long.
func (d *decoder) capped(s string) string {
	if len(s) > maxString {
		d.fail("value too long")
		return ""
	}
	return s
}

// attr returns an attribute that may be missing.
func (d *decoder) attr(el *stream.Element, local string) string {
	if b, _ := el.AttrBytes(local); len(b) > maxString {
		d.fail(local + " too long")
		return ""
	}
	return el.Attr(local)
}

// required returns an attribute that is there and not empty.
func (d *decoder) required(el *stream.Element, local string) string {
	s := d.attr(el, local)
	if s == "" {
		d.fail(el.Name().Local + " without " + local)
	}
	return s
}

// malformed is the error about something that breaks the rules of the protocol.
func malformed(text string) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: text}
}
