package bind

import (
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// request is what a client asks for.
type request struct {
	id string
	// asked is the account with the resource that the client wants, or bare if it wants none in
	// particular.
	asked jid.JID
}

// isRequest reports whether an element is an attempt to bind: an IQ, not an answer, that holds a
// <bind/>.
func isRequest(el *stream.Element) bool {
	// RFC 6120 §4.8.5: a stanza has no prefix; the stream knows what to say about one that has.
	if el.Name() != (stream.Name{Space: stream.NSClient, Local: "iq"}) || el.Prefix() != "" {
		return false
	}
	// RFC 6120 §8.2.3 rule 4: answers are never answered.
	if typ := el.Attr("type"); typ == "result" || typ == "error" {
		return false
	}
	_, ok := el.Child(bindName)
	return ok
}

// parseRequest reads an attempt to bind by account on a stream with domain. The error is an
// [*Error], to be answered, or a [*stream.Error], which ends the stream. The id is set even with an
// error.
func parseRequest(el *stream.Element, domain, account jid.JID) (request, error) {
	r := request{id: el.Attr("id"), asked: account}
	// RFC 6120 §8.1.2.1: a from that is not the client's own ends the stream. Nothing is ever taken from it.
	from, err := el.From()
	if err != nil || !from.IsZero() && from != account {
		return r, &stream.Error{Condition: stream.InvalidFrom, Text: "the from of the request is not who authenticated", Cause: err}
	}
	// RFC 6120 §7.1: nothing goes to anybody but the server and the account before binding.
	to, err := el.To()
	if err != nil || !to.IsZero() && to != domain && to != account {
		return r, &stream.Error{Condition: stream.NotAuthorized, Text: "the request is for somebody else", Cause: err}
	}
	// RFC 6120 §8.2.3 rules 1, 2 and 5.
	if r.id == "" || el.Attr("type") != "set" {
		return r, &Error{Condition: BadRequest}
	}
	children := 0
	for child := range el.Children() {
		children++
		if children > 1 || child.Name() != bindName {
			return r, &Error{Condition: BadRequest}
		}
		if err := r.parseBind(child); err != nil {
			return r, err
		}
	}
	if children == 0 {
		return r, &Error{Condition: BadRequest}
	}
	return r, nil
}

// parseBind reads the <bind/> element.
func (r *request) parseBind(el *stream.Element) error {
	seen := false
	for child := range el.Children() {
		name := child.Name()
		if name.Space != NS {
			// RFC 6120 §8.4: extensions that are not understood are ignored.
			continue
		}
		// A <jid/> is for the server to send. Taking a request that has one as if it had not would leave the client in a
		// belief that is wrong.
		if name.Local != "resource" || seen {
			return &Error{Condition: BadRequest}
		}
		seen = true
		// RFC 6120 §7.7.2.1: a resource that cannot be processed SHOULD be made to conform rather than refused. One that
		// no preparation makes conform, an empty one among them, is as good as none.
		if asked, err := r.asked.WithResource(child.Text()); err == nil && asked.IsFull() {
			r.asked = asked
		}
	}
	return nil
}
