package mam

import (
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stanza/rsm"
	"stanzakit.dev/xmpp/stream"
)

// Namespaces and features (XEP-0313 §7).
const (
	// NS is the namespace of the protocol, and the feature of an address that
	// has an archive.
	NS = "urn:xmpp:mam:2"
	// NSExtended is the feature of archives that know AfterID, BeforeID and IDs,
	// flipped pages and metadata.
	NSExtended = "urn:xmpp:mam:2#extended"
	// NSGroupchatField is the feature of archives that know Query.Groupchat.
	NSGroupchatField = "urn:xmpp:mam:2#groupchat-field"
)

var (
	nameQuery    = stream.Name{Space: NS, Local: "query"}
	nameFlip     = stream.Name{Space: NS, Local: "flip-page"}
	nameResult   = stream.Name{Space: NS, Local: "result"}
	nameFin      = stream.Name{Space: NS, Local: "fin"}
	nameMetadata = stream.Name{Space: NS, Local: "metadata"}
	namePrefs    = stream.Name{Space: NS, Local: "prefs"}
)

// maxID is the longest id of a query or an entry, in octets. That of a query is
// repeated in each result.
const maxID = 1024

// Query asks an archive for a page of results (XEP-0313 §4). It is a payload. The
// zero Query asks for the first page of all messages.
type Query struct {
	// ID is repeated in the results; empty means none. [Client] sets it.
	ID string
	// Filter says what belongs to the results.
	Filter
	// Groupchat says whether messages of rooms are wanted, of which the archive of
	// a user may have some (§4.1.4). Nil leaves it to the server, as one must
	// with servers that do not announce [NSGroupchatField].
	Groupchat *bool
	// Page says which page, and how large.
	Page rsm.Request
	// Flip asks for the results of the page in reverse order (§4.3.4), of servers
	// that announce [NSExtended].
	Flip bool
}

// AppendXML implements [stanza.Payload]. It fails with [stanza.ErrInvalid] for ids
// that are too long or too many, and with [delay.ErrTime] for a time that cannot
// be written.
func (q *Query) AppendXML(dst []byte) ([]byte, error) {
	if len(q.ID) > maxID || len(q.IDs) > MaxIDs {
		return dst, fmt.Errorf("%w: mam: query id too long or too many ids", stanza.ErrInvalid)
	}
	filter, err := q.form()
	if err != nil {
		return dst, err
	}
	w := stream.NewWriter(dst)
	w.Start(nameQuery)
	if q.ID != "" {
		w.Attr("queryid", q.ID)
	}
	if filter != nil {
		w.Append(filter)
	}
	if q.Page != (rsm.Request{}) {
		w.Append(q.Page)
	}
	if q.Flip {
		w.Start(nameFlip)
		w.End()
	}
	w.End()
	return w.Bytes()
}

// form returns the filter as a form (§4.1), or nil if everything is meant.
func (q *Query) form() (*form.Data, error) {
	d := form.New(form.Submit, NS)
	none := len(d.Fields)
	if !q.With.IsZero() {
		d.Set("with", q.With.String())
	}
	if !q.Start.IsZero() {
		s, err := delay.Format(q.Start)
		if err != nil {
			return nil, err
		}
		d.Set("start", s)
	}
	if !q.End.IsZero() {
		s, err := delay.Format(q.End)
		if err != nil {
			return nil, err
		}
		d.Set("end", s)
	}
	if q.AfterID != "" {
		d.Set("after-id", q.AfterID)
	}
	if q.BeforeID != "" {
		d.Set("before-id", q.BeforeID)
	}
	if len(q.IDs) > 0 {
		d.Set("ids", q.IDs...)
	}
	if q.Groupchat != nil {
		d.SetBool("include-groupchat", *q.Groupchat)
	}
	if len(d.Fields) == none {
		return nil, nil
	}
	return d, nil
}

// DecodeElement implements [stanza.Decoder]. The error is a *[stanza.Error], of
// which the condition is what a server answers: [stanza.FeatureNotImplemented] for
// a field that this package does not know (XEP-0313 §4.1.5) or a node (§6.1.3),
// [stanza.ResourceConstraint] for more than [MaxIDs] ids, else [stanza.BadRequest]
// or that of packages form and rsm. Then q is zero. A field without a value means
// nothing.
func (q *Query) DecodeElement(el *stream.Element) error {
	*q = Query{}
	if el.Name() != nameQuery {
		return badRequest("not a query for an archive")
	}
	if _, ok := el.AttrBytes("node"); ok {
		return &stanza.Error{Condition: stanza.FeatureNotImplemented, Text: "an archive of messages has no nodes"}
	}
	out := Query{ID: el.Attr("queryid")}
	if len(out.ID) > maxID {
		return badRequest("queryid is too long")
	}
	var filtered, paged bool
	for child := range el.Children() {
		switch child.Name() {
		case form.Name:
			var d form.Data
			if filtered {
				return badRequest("two filters")
			}
			filtered = true
			if err := d.DecodeElement(child); err != nil {
				return err
			}
			if err := out.filter(&d); err != nil {
				return err
			}
		case rsm.Name:
			if paged {
				return badRequest("two pages")
			}
			paged = true
			if err := out.Page.DecodeElement(child); err != nil {
				return err
			}
		case nameFlip:
			out.Flip = true
		}
	}
	*q = out
	return nil
}

// filter reads the form of a query (XEP-0313 §4.1).
func (q *Query) filter(d *form.Data) (err error) {
	if d.Type != form.Submit || d.FormType() != NS {
		// §4.1: FORM_TYPE MUST be the namespace of the protocol.
		return badRequest("the filter is not a submitted form of this protocol")
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		err = nil
		switch f.Var {
		case form.FormTypeVar, "":
		case "with":
			q.With, err = f.JID()
		case "start":
			q.Start, err = f.Time()
		case "end":
			q.End, err = f.Time()
		case "after-id":
			q.AfterID, err = shortID(f.String())
		case "before-id":
			q.BeforeID, err = shortID(f.String())
		case "ids":
			q.IDs, err = ids(f.Values)
		case "include-groupchat":
			var want bool
			if want, err = f.Bool(); err == nil {
				q.Groupchat = &want
			}
		default:
			// §4.1.5: the server MUST respond with feature-not-implemented.
			return &stanza.Error{Condition: stanza.FeatureNotImplemented, Text: "unknown field in the filter"}
		}
		var e *stanza.Error
		switch {
		case err == nil, errors.Is(err, form.ErrNoValue):
		case errors.As(err, &e):
			return err
		default:
			return &stanza.Error{Condition: stanza.BadRequest, Text: "unusable value of the field " + f.Var, Cause: err}
		}
	}
	return nil
}

// shortID refuses ids that no archive of ours has given: they are looked up in
// stores.
func shortID(id string) (string, error) {
	if len(id) > maxID {
		return "", &stanza.Error{Condition: stanza.ItemNotFound, Text: "no such message"}
	}
	return id, nil
}

// ids reads the ids of single messages, each once.
func ids(values []string) ([]string, error) {
	if len(values) > MaxIDs {
		return nil, &stanza.Error{Condition: stanza.ResourceConstraint, Text: "too many ids"}
	}
	var out []string
	for _, v := range values {
		if _, err := shortID(v); err != nil {
			return nil, err
		}
		if v != "" {
			out = append(out, v)
		}
	}
	return out, nil
}

// fields is the form that tells clients which fields there are (XEP-0313 §4.1.5).
func fields() *form.Data {
	return form.New(form.Form, NS,
		form.Field{Var: "with", Type: form.JIDSingle},
		form.Field{Var: "start", Type: form.TextSingle},
		form.Field{Var: "end", Type: form.TextSingle},
		form.Field{Var: "before-id", Type: form.TextSingle},
		form.Field{Var: "after-id", Type: form.TextSingle},
		// There is no list of all the ids; the field is open instead.
		form.Field{Var: "ids", Type: form.ListMulti, Validation: &form.Validation{Datatype: "xs:string", Method: form.Open}},
		form.Field{Var: "include-groupchat", Type: form.Bool},
	)
}

// supported is the answer to who asks for the fields.
type supported struct{}

// AppendXML implements [stanza.Payload].
func (supported) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(nameQuery)
	w.Append(fields())
	w.End()
	return w.Bytes()
}

func badRequest(text string) error { return &stanza.Error{Condition: stanza.BadRequest, Text: text} }

// parseJID reads the address that is the text of el.
func parseJID(el *stream.Element) (jid.JID, error) {
	j, err := jid.Parse(el.Text())
	if err != nil {
		return jid.JID{}, &stanza.Error{Condition: stanza.JIDMalformed, Text: "malformed address", Cause: err}
	}
	return j, nil
}
