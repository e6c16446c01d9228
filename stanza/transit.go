package stanza

import (
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Transit is a stanza on its way through a server, as modules see it. All of it
// is borrowed for the time of the call.
type Transit struct {
	// Kind is which of the stanzas it is, and Type its type: for a message never
	// empty, for available presence always.
	Kind Kind
	Type string

	// From is the full JID of the client that sent it, as the server knows it, or
	// the address of an account or the server itself. The attribute in Element
	// is what the client wrote.
	From jid.JID
	// To is the addressee; zero if there is none, as in a broadcast of presence.
	// For a message or request without one it is the bare JID of the sender.
	To jid.JID

	// Element is the stanza. Replace changes it.
	Element *stream.Element

	// Sender is the resource that sent it, or nil if that is no client of this
	// server.
	Sender Resource

	// Delivered are the resources that get it, and Stored says that it is kept
	// until its addressee is available. Both are empty before the decision.
	Delivered []Resource
	Stored    bool
	// Cause is which stanza of which session it is, if the session is stored, so that
	// what is sent because of it is not sent twice after a crash. Zero otherwise.
	Cause stream.Cause

	// Sent is when a message was sent to a client that has not acknowledged it
	// and is gone, and whose message goes elsewhere now (XEP-0198 §4). Modules
	// have seen it before and are not asked again. Zero most of the time.
	Sent time.Time
	// Refused is the error that the sender is told, or nil.
	Refused error

	// SenderExtra is for what the other resources of the sender are shown in
	// addition, in copies of what it sent: the id in its archive, for example.
	SenderExtra []Payload

	decoded Stanza
}

// Stanza decodes the stanza, once, with the addresses of the Transit. It is
// borrowed like the Transit, and changing it changes nothing: see Replace.
func (t *Transit) Stanza() (Stanza, error) {
	if t.decoded == nil {
		st, err := Decode(t.Element)
		if err != nil {
			return nil, err
		}
		h := st.Head()
		h.From, h.To = t.From, t.To
		st.SetHead(h)
		t.decoded = st
	}
	return t.decoded, nil
}

// Lang returns the language of the stream that the stanza came on, if it names none
// itself: that is lost with the stream, so whoever passes the stanza on says it
// (RFC 6120 §4.7.4). Otherwise it returns "".
func (t *Transit) Lang() string {
	if _, ok := t.Element.AttrNS(stream.Name{Space: stream.NSXML, Local: "lang"}); ok {
		return ""
	}
	if s, ok := t.Sender.(interface{ Session() *stream.Session }); ok {
		if session := s.Session(); session != nil {
			return session.Header().Lang
		}
	}
	return ""
}

// Replace puts another element in the place of the stanza: of the same kind, in
// jabber:client, and valid for as long as the Transit is. Its addresses are not
// looked at.
func (t *Transit) Replace(el *stream.Element) { t.Element, t.decoded = el, nil }

// Append adds a child at the end of the stanza.
func (t *Transit) Append(p Payload) error { return t.rebuild(nil, p) }

// Remove takes out the children for which match is true, if there are any. An
// element that is given to match is borrowed until it returns.
func (t *Transit) Remove(match func(child *stream.Element) bool) error {
	for child := range t.Element.Children() {
		if match(child) {
			return t.rebuild(match, nil)
		}
	}
	return nil
}

// rebuild makes the stanza anew without the children that drop matches, and with
// one more.
func (t *Transit) rebuild(drop func(*stream.Element) bool, extra Payload) error {
	w := stream.NewWriter(make([]byte, 0, len(t.Element.Raw())+256))
	w.Start(t.Element.Name())
	for a := range t.Element.Attrs() {
		w.AttrNS(a.Name, string(a.Value))
	}
	for child := range t.Element.Children() {
		if drop == nil || !drop(child) {
			w.Element(child)
		}
	}
	if extra != nil {
		w.Append(extra)
	}
	w.End()
	b, err := w.Bytes()
	if err != nil {
		return err
	}
	el, err := stream.ParseElement(b, &grown)
	if err != nil {
		return err
	}
	t.Replace(el)
	return nil
}

// grown are limits for what was read already, and is a little more by now: it must
// not be refused for that.
var grown = stream.Limits{ElementBytes: 1 << 28, Depth: 1 << 20, Attributes: 1 << 20, Namespaces: 1 << 20, Elements: 1 << 28}
