package bind

import "stanzakit.dev/xmpp/stream"

// nsSession is the namespace of session establishment (RFC 3921 §3).
const nsSession = "urn:ietf:params:xml:ns:xmpp-session"

// writeSessionOffer advertises session establishment. Old clients look for the element; <optional/>
// tells newer ones that still know it that they need not bother.
func writeSessionOffer(w *stream.Writer) {
	w.Start(stream.Name{Space: nsSession, Local: "session"})
	w.Start(stream.Name{Space: nsSession, Local: "optional"})
	w.End()
	w.End()
}

// AnswerSession returns the answer to a request for a session (RFC 3921 §3), or false if el is
// none. For servers that set ServerOptions.OfferSession: call it on what a client sends, before
// anything else looks at it. There is nothing to establish, so the answer is always yes; it is
// independent of el.
func AnswerSession(el *stream.Element) ([]byte, bool) {
	if el.Name() != (stream.Name{Space: stream.NSClient, Local: "iq"}) || el.Attr("type") != "set" {
		return nil, false
	}
	id, ok := el.AttrBytes("id")
	if !ok {
		return nil, false
	}
	children, session := 0, false
	for child := range el.Children() {
		children++
		session = child.Name() == stream.Name{Space: nsSession, Local: "session"}
	}
	if children != 1 || !session {
		return nil, false
	}
	w := stream.NewWriter(nil)
	w.Start(stream.Name{Space: stream.NSClient, Local: "iq"})
	w.Attr("type", "result")
	w.Attr("id", string(id))
	w.End()
	b, err := w.Bytes()
	return b, err == nil
}
