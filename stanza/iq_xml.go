package stanza

import (
	"slices"

	"stanzakit.dev/xmpp/stream"
)

// DecodeElement reads the IQ el into q. All that q held before is gone, and with
// it what was borrowed through q.
//
// The error is nil, or wraps [ErrNotStanza], or is a [*Error]: with the
// condition [BadRequest] for an IQ that breaks a rule of RFC 6120 §8.2.3 (no id,
// no type or an unknown one, not exactly one child in a get or set, more than
// one in a result) and for a request whose child has no namespace of its own
// (§8.4); with [JIDMalformed] for a bad address. With a [*Error], q holds what
// could be read, and never a payload; Type is "" if it was missing or unknown.
func (q *IQ) DecodeElement(el *stream.Element) error {
	*q = IQ{}
	name := el.Name()
	if KindOf(name) != IQKind {
		return notStanza(el, "iq")
	}
	g := newGather()
	defer g.release()
	typ, _ := g.head(el)
	switch string(typ) {
	case "get":
		q.Type = GetIQ
	case "set":
		q.Type = SetIQ
	case "result":
		q.Type = ResultIQ
	case "error":
		q.Type = ErrorIQ
	}
	children, payload := 0, stream.Name{}
	for child := range el.Children() {
		children++
		n := child.Name()
		if q.Type == ErrorIQ && n.Local == "error" && n.Space == name.Space {
			if q.Error == nil {
				q.Error = decodeError(child)
			}
			continue
		}
		if payload == (stream.Name{}) {
			payload = n
		}
	}
	if q.Type == ErrorIQ && q.Error == nil {
		q.Error = missingError()
	}
	err := q.fill(g)
	if err == nil {
		err = q.rules(g, name.Space, payload, children)
	}
	if err != nil {
		return err
	}
	if p, ok := el.Child(payload); ok {
		q.Payload = p
	}
	return nil
}

// rules checks what RFC 6120 §8.2.3 demands of an IQ with that many children,
// of which the first that is no error is called payload.
func (q *IQ) rules(g *gather, content string, payload stream.Name, children int) error {
	hasID := slices.ContainsFunc(g.cuts, func(c cut) bool { return c.field == fieldID })
	switch {
	case q.Type == "": // rule 2
		return badRequest("missing or unknown iq type")
	case q.ID == "" && (q.Type != ErrorIQ || !hasID):
		// Rule 1. Only the answer to an IQ without an id has an empty one (§8.3.1
		// rule 3).
		return badRequest("iq without id")
	case q.IsRequest() && children != 1: // rule 5
		return badRequest("iq request without exactly one child")
	case q.IsRequest() && payload.Space == content: // §8.4
		return badRequest("iq request without a payload namespace")
	case q.Type == ResultIQ && children > 1: // rule 6
		return badRequest("iq result with several children")
	}
	return nil
}

// fill gives q the strings of g.
func (q *IQ) fill(g *gather) (err error) {
	h := Head{}
	all, start := string(g.buf), 0
	for _, c := range g.cuts {
		if e := h.set(c.field, all[start:c.end]); err == nil {
			err = e
		}
		start = c.end
	}
	q.SetHead(h)
	return err
}

// AppendXML appends the iq element to dst, in the way of [Message.AppendXML].
// The ID must be set: sending without one fails with [ErrInvalid], except for
// the error about an IQ that had none.
func (q *IQ) AppendXML(dst []byte) ([]byte, error) { return q.appendXML(dst, "") }

func (q *IQ) appendXML(dst []byte, ns string) ([]byte, error) {
	if q == nil {
		return dst, errNil
	}
	switch q.Type {
	case GetIQ, SetIQ:
		if q.Payload == nil { // RFC 6120 §8.2.3 rule 5
			return dst, invalid("iq request without payload")
		}
	case ResultIQ, ErrorIQ:
	default: // rule 2
		return dst, invalid("missing or unknown iq type")
	}
	if q.ID == "" && q.Type != ErrorIQ { // rule 1
		return dst, invalid("iq without id")
	}
	if err := checkError(q.Error, q.IsError()); err != nil {
		return dst, err
	}
	w := stream.NewWriter(dst)
	start(&w, ns, "iq", nil)
	if q.ID == "" {
		w.Attr("id", "") // §8.3.1 rule 3
	}
	writeHead(&w, q.ID, q.To, q.From, string(q.Type), q.Lang)
	if q.Payload != nil {
		w.Append(q.Payload)
	}
	return finish(&w, dst, nil, nil, q.Error)
}
