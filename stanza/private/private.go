package private

import (
	"context"
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery.
const NS = "jabber:iq:private"

var queryName = stream.Name{Space: NS, Local: "query"}

// maxElements is how many elements one request may be about.
const maxElements = 64

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Set stores elements, which replace those of the same name: all or none (XEP-0049
// §2.3). An element without attributes and content removes.
//
// A server may refuse what is too large, too much, or in a reserved namespace
// (see [Reserved]); that is a [*stanza.Error]. Other errors are those of Do.
func Set(ctx context.Context, d Doer, elements ...stanza.Payload) error {
	if len(elements) == 0 {
		return fmt.Errorf("private: set: %w: nothing to store", stanza.ErrInvalid)
	}
	if _, err := d.Do(ctx, &stanza.IQ{Type: stanza.SetIQ, Payload: query(elements)}); err != nil {
		return fmt.Errorf("private: set: %w", err)
	}
	return nil
}

// Get returns the element called name (XEP-0049 §2.3). One that was never stored
// comes back without attributes and content. The element is the caller's;
// [stanza.Unmarshal] reads it into a value.
//
// The error is that of Do, or says that the reply has no such element.
func Get(ctx context.Context, d Doer, name stream.Name) (*stream.Element, error) {
	reply, err := d.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, Payload: query{empty(name)}})
	if err != nil {
		return nil, fmt.Errorf("private: get: %w", err)
	}
	el := reply.Element()
	if el == nil || el.Name() != queryName {
		return nil, fmt.Errorf("private: get: %w", invalid(stanza.BadRequest, "the reply has no query element"))
	}
	found, ok := el.Child(name)
	if !ok {
		return nil, fmt.Errorf("private: get: %w", invalid(stanza.BadRequest, "the reply lacks the element"))
	}
	return found.Clone(), nil
}

// Reserved reports whether nothing can be stored in a namespace: it is empty, or
// one of those that XEP-0049 §2.3 reserves.
func Reserved(namespace string) bool {
	return namespace == "" || namespace == "vcard-temp" ||
		strings.HasPrefix(namespace, "jabber:") || strings.HasPrefix(namespace, "http://jabber.org/")
}

// query is the payload: some elements inside of <query/>.
type query []stanza.Payload

// AppendXML implements [stanza.Payload].
func (q query) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(queryName)
	for _, p := range q {
		if p == nil {
			return dst, fmt.Errorf("private: %w: a nil element", stanza.ErrInvalid)
		}
		w.Append(p)
	}
	w.End()
	return w.Bytes()
}

// empty is an element of that name with nothing in it.
type empty stream.Name

// AppendXML implements [stanza.Payload].
func (e empty) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(stream.Name(e))
	w.End()
	return w.Bytes()
}

func invalid(c stanza.Condition, text string) *stanza.Error {
	return &stanza.Error{Condition: c, Text: text}
}
