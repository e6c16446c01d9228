package sid

import (
	"bytes"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Find returns the id that the entity by gave to the message el, as it was
// received. Whose id may be believed is said in the package documentation: for a
// message to an account it is that of the account only, its bare JID.
//
// It reports false if there is no stanza-id by that entity, if one that names it
// breaks the rules of XEP-0359 §3, or if there are several: then somebody has
// forged one, and there is no telling which.
func Find(el *stream.Element, by jid.JID) (id string, ok bool) {
	if by.IsZero() {
		return "", false
	}
	for child := range el.Children() {
		if !names(child, by) {
			continue
		}
		var s StanzaID
		if ok || s.DecodeElement(child) != nil {
			return "", false
		}
		id, ok = s.ID, true
	}
	return id, ok
}

// names reports whether el is a stanza-id in the name of by, otherwise well-formed
// or not.
func names(el *stream.Element, by jid.JID) bool {
	if el.Name() != stanzaName {
		return false
	}
	b, ok := el.AttrBytes("by")
	if !ok {
		return false
	}
	j, err := jid.ParseBytes(b)
	return err == nil && j == by
}

// Origin returns the id that the sender gave to the message el. It reports false if
// there is none that follows XEP-0359 §3. Of several, the first counts.
func Origin(el *stream.Element) (id string, ok bool) {
	child, ok := el.Child(originName)
	if !ok {
		return "", false
	}
	var o OriginID
	if o.DecodeElement(child) != nil {
		return "", false
	}
	return o.ID, true
}

// Strip returns the message el without the stanza-ids in the name of one of by:
// whoever gives ids in that name MUST delete those that were there before, even if
// it does not add its own (XEP-0359 §3). It reports whether there were any. If not,
// which costs a search through the bytes, the result is el itself. Otherwise it is
// an element of its own with the same attributes and the other children; text
// directly inside a message, which has no meaning, is gone.
//
// The error is that of an element that cannot be written again; it happens to none
// that came from a stream.
func Strip(el *stream.Element, by ...jid.JID) (out *stream.Element, stripped bool, err error) {
	// The name of an element, unlike its namespace, can be written in one way only.
	if !bytes.Contains(el.Inner(), []byte(stanzaName.Local)) {
		return el, false, nil
	}
	forged := func(child *stream.Element) bool {
		for _, j := range by {
			if names(child, j) {
				return true
			}
		}
		return false
	}
	for child := range el.Children() {
		if forged(child) {
			stripped = true
			break
		}
	}
	if !stripped {
		return el, false, nil
	}
	w := stream.NewWriter(make([]byte, 0, len(el.Raw())))
	w.Start(el.Name())
	for a := range el.Attrs() {
		w.AttrNS(a.Name, string(a.Value))
	}
	for child := range el.Children() {
		if !forged(child) {
			w.Element(child)
		}
	}
	w.End()
	b, err := w.Bytes()
	if err != nil {
		return nil, true, err
	}
	// It came through the limits of a stream: here nothing but its size counts.
	n := max(len(b), 10_000)
	out, err = stream.ParseElement(b, &stream.Limits{
		ElementBytes: n, Depth: n, Attributes: n, Namespaces: n, Elements: n,
	})
	return out, true, err
}
