package sid

import (
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and the feature that says that the rules of
// XEP-0359 §3 are followed (§5).
const NS = "urn:xmpp:sid:0"

var (
	stanzaName    = stream.Name{Space: NS, Local: "stanza-id"}
	originName    = stream.Name{Space: NS, Local: "origin-id"}
	referenceName = stream.Name{Space: NS, Local: "referenced-stanza"}
)

// maxID is the longest identifier that is read or written, in octets.
const maxID = 1024

// StanzaID identifies a message within the scope of the entity that gave the id
// (XEP-0359 §2.1). It is a payload.
type StanzaID struct {
	// ID is unique and stable within the scope of By (§2.1), not a secret, and
	// should be unpredictable (§3); [stanza.NewID] makes one. It is required.
	ID string
	// By is who gave the id: an account, by its bare JID, or a room (§3). It is
	// required.
	By jid.JID
}

// AppendXML implements [stanza.Payload]. The error wraps [stanza.ErrInvalid] if a
// field is empty or ID is longer than 1,024 octets.
func (s StanzaID) AppendXML(dst []byte) ([]byte, error) {
	if s.By.IsZero() { // XEP-0359 §3: MUST have the 'id' attribute and the 'by' attribute set
		return dst, stanza.ErrInvalid
	}
	return appendID(dst, stanzaName, s.ID, s.By)
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with
// the condition [stanza.BadRequest] or [stanza.JIDMalformed]; then s is zero.
func (s *StanzaID) DecodeElement(el *stream.Element) error {
	id, by, err := decodeID(el, stanzaName)
	if err == nil && by.IsZero() { // §3
		err = malformed("stanza-id without 'by'")
	}
	if err != nil {
		*s = StanzaID{}
		return err
	}
	*s = StanzaID{ID: id, By: by}
	return nil
}

// OriginID is the id that the sender of a message gave it (XEP-0359 §2.2). It is a
// payload. Whoever passes the message on can have changed it.
type OriginID struct {
	// ID should be unpredictable (§3); [stanza.NewID] makes one. It is required.
	ID string
}

// AppendXML implements [stanza.Payload]; see [StanzaID.AppendXML].
func (o OriginID) AppendXML(dst []byte) ([]byte, error) {
	return appendID(dst, originName, o.ID, jid.JID{})
}

// DecodeElement implements [stanza.Decoder]; see [StanzaID.DecodeElement].
func (o *OriginID) DecodeElement(el *stream.Element) error {
	id, _, err := decodeID(el, originName)
	*o = OriginID{ID: id}
	return err
}

// Reference refers to another message by its stanza-id (XEP-0359 §4). It is a
// payload.
type Reference struct {
	// ID is that of the stanza-id. It is required.
	ID string
	// By is that of the stanza-id. It should be there; zero means that it is not.
	By jid.JID
}

// AppendXML implements [stanza.Payload]; see [StanzaID.AppendXML].
func (r Reference) AppendXML(dst []byte) ([]byte, error) {
	return appendID(dst, referenceName, r.ID, r.By)
}

// DecodeElement implements [stanza.Decoder]; see [StanzaID.DecodeElement].
func (r *Reference) DecodeElement(el *stream.Element) error {
	id, by, err := decodeID(el, referenceName)
	*r = Reference{ID: id, By: by}
	return err
}

func appendID(dst []byte, name stream.Name, id string, by jid.JID) ([]byte, error) {
	if id == "" || len(id) > maxID {
		return dst, stanza.ErrInvalid
	}
	w := stream.NewWriter(dst)
	w.Start(name)
	w.Attr("id", id)
	if !by.IsZero() {
		w.Attr("by", by.String())
	}
	w.End()
	return w.Bytes()
}

// decodeID reads what the three elements have in common. On an error the other
// results are zero.
func decodeID(el *stream.Element, name stream.Name) (string, jid.JID, error) {
	if el.Name() != name {
		return "", jid.JID{}, malformed("not a " + name.Local)
	}
	id, _ := el.AttrBytes("id")
	if len(id) == 0 || len(id) > maxID { // §3: MUST always possess an 'id' attribute
		return "", jid.JID{}, malformed(name.Local + " without a usable 'id'")
	}
	// §3: MUST NOT have any child elements or text content. White space is neither.
	for _, c := range el.Inner() {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return "", jid.JID{}, malformed(name.Local + " with content")
		}
	}
	b, ok := el.AttrBytes("by")
	if !ok || name == originName {
		return string(id), jid.JID{}, nil
	}
	by, err := jid.ParseBytes(b)
	if err != nil {
		return "", jid.JID{}, &stanza.Error{Condition: stanza.JIDMalformed, Text: "malformed address in a " + name.Local, Cause: err}
	}
	return string(id), by, nil
}

func malformed(text string) error { return &stanza.Error{Condition: stanza.BadRequest, Text: text} }
