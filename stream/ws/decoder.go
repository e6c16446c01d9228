package ws

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// NSFraming is the namespace of <open/> and <close/> (RFC 7395 §3.3.2).
const NSFraming = "urn:ietf:params:xml:ns:xmpp-framing"

// SeeOtherError is the cause of a stream that the server has closed to send the
// client elsewhere (RFC 7395 §3.6.1). URI begins with wss: nothing else is as
// secure. It came over the stream, so it is as good as the server is; whoever
// connects there has to bound how often that happens.
type SeeOtherError struct {
	URI string
}

// Error quotes the URI.
func (e *SeeOtherError) Error() string {
	return "stream/ws: the server asks to connect to " + quote.ASCII(e.URI, 256)
}

// ErrSeeOtherInsecure is wrapped by the cause of a stream that the server has
// closed to send the client where it must not go: to anything but wss (RFC 7395
// §3.6.1, §6), or to something that is not a URI of a WebSocket at all.
var ErrSeeOtherInsecure = errors.New("stream/ws: the server asks to connect to a place that is not secure")

// maxSpace is how much white space may follow an element in its message, or an
// XML declaration.
const maxSpace = 256

// maxDeclaration is the largest XML declaration.
const maxDeclaration = 128

// decoder turns messages into the bytes of a stream (RFC 7395 §3.3). A message
// comes in any slicing, with begin before and end behind it, and what of it can
// be passed on already is appended to out. The last byte of an element waits for
// the end of its message, so that no element is complete that should not have
// come. Errors are of type *stream.Error, and final.
type decoder struct {
	client bool // this side is the client
	limit  int  // octets of what has to be there as a whole

	phase    decodePhase
	scan     scanner
	declared bool   // the message has an XML declaration
	head     []byte // what was not passed on yet
	space    int
	out      []byte
	closed   bool // <close/> has come
}

type decodePhase uint8

const (
	decodeHead        decodePhase = iota // until the name of the element is there
	decodeDeclaration                    // inside the XML declaration
	decodeProlog                         // behind it
	decodeWhole                          // inside what is looked at as a whole
	decodeBody                           // inside what is passed on
	decodeTail                           // behind the element
)

func fail(c stream.Condition, format string, args ...any) *stream.Error {
	return &stream.Error{Condition: c, Text: fmt.Sprintf(format, args...)}
}

// begin begins a message.
func (d *decoder) begin() {
	d.phase, d.declared, d.head, d.space = decodeHead, false, d.head[:0], 0
	d.scan = scanner{}
}

// write takes the next part of the message.
func (d *decoder) write(p []byte) error {
	for len(p) > 0 {
		var err error
		switch d.phase {
		case decodeBody:
			p, err = d.body(p)
		case decodeWhole:
			if len(d.head)+len(p) > d.limit {
				// RFC 6120 §4.9.3.14
				return fail(stream.PolicyViolation, "message larger than %d octets", d.limit)
			}
			d.head, p = append(d.head, p...), nil
		default:
			err = d.octet(p[0])
			p = p[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// octet takes one byte outside of elements, or of the name of one.
func (d *decoder) octet(c byte) error {
	switch d.phase {
	case decodeHead:
		d.head = append(d.head, c)
		return d.classify()
	case decodeDeclaration:
		d.head = append(d.head, c)
		return d.declaration()
	}
	if isSpace(c) && d.space < maxSpace {
		d.space++
		return nil
	}
	if d.phase == decodeTail || c != '<' {
		// RFC 7395 §3.3.3: one element, one message.
		return fail(stream.BadFormat, "something behind the element of a message")
	}
	d.phase = decodeHead
	return d.octet(c)
}

// classify looks at the beginning of the message, and decides what to do with it
// as soon as it can.
func (d *decoder) classify() error {
	b := d.head
	if b[0] != '<' {
		// RFC 7395 §3.3.3: "The first character of each frame MUST be a '<'."
		return fail(stream.BadFormat, "a message has to begin with <")
	}
	if len(b) == 1 {
		return nil
	}
	const xml = "<?xml"
	last := b[len(b)-1]
	switch {
	case b[1] == '/':
		// RFC 7395 §3.6: <close/> stands for the closing tag.
		return fail(stream.BadFormat, "an end tag without an element")
	case b[1] == '?' && !d.declared && len(b) <= len(xml) && string(b) == xml[:len(b)]:
		return nil
	case b[1] == '?' && !d.declared && len(b) == len(xml)+1 && isSpace(last):
		d.phase = decodeDeclaration
		return nil
	case b[1] == '?' || b[1] == '!':
		return d.pass() // the tokenizer says what is wrong with it
	case len(b) <= maxName && !isSpace(last) && last != '/' && last != '>':
		return nil
	}
	_, local := splitName(b[1 : len(b)-1])
	switch string(local) {
	case "open", "close":
		d.phase = decodeWhole
	case "stream":
		// RFC 7395 §3.3.1, §3.4: a framed stream begins with <open/>.
		return fail(stream.BadFormat, "a stream over WebSocket begins with <open/>")
	case "features":
		if !d.client {
			return d.pass()
		}
		d.phase = decodeWhole
	case "starttls":
		if !d.client {
			// RFC 7395 §3.9: nobody has offered it.
			return fail(stream.UnsupportedStanzaType, "there is no STARTTLS over WebSocket")
		}
		return d.pass()
	default:
		return d.pass()
	}
	return nil
}

// pass passes on what was held back, and all that follows.
func (d *decoder) pass() error {
	d.phase = decodeBody
	head := d.head
	for len(head) > 0 {
		var err error
		if d.phase != decodeBody { // a name like <a> can be all there is
			return fail(stream.BadFormat, "something behind the element of a message")
		}
		if head, err = d.body(head); err != nil {
			return err
		}
	}
	return nil
}

// declaration looks at an XML declaration, which is not recommended, and so
// permitted (RFC 7395 §3.3.3).
func (d *decoder) declaration() error {
	b := d.head
	if b[len(b)-1] != '>' {
		if len(b) > maxDeclaration {
			return fail(stream.BadFormat, "XML declaration larger than %d octets", maxDeclaration)
		}
		return nil
	}
	var t stream.Tokenizer
	t.Feed(b)
	if _, err := t.Next(); err != nil {
		if errors.Is(err, stream.ErrNeedMore) {
			return fail(stream.NotWellFormed, "malformed XML declaration")
		}
		return err
	}
	d.phase, d.declared, d.head = decodeProlog, true, d.head[:0]
	return nil
}

// body passes on what belongs to an element, and returns the rest of p.
func (d *decoder) body(p []byte) ([]byte, error) {
	n, ev := d.scan.next(p)
	switch ev {
	case evNone:
		d.out = append(d.out, p[:n]...)
	case evOpen, evEmpty:
		if err := d.standalone(); err != nil {
			return nil, err
		}
		d.out = append(d.out, p[:n-1]...)
		if ev == evEmpty {
			d.phase = decodeTail
			break
		}
		if !d.scan.declaresDefault {
			// What is inside is in no namespace unless it says otherwise.
			d.out = append(d.out, " xmlns=''"...)
		}
		d.out = append(d.out, '>')
	case evEnd:
		d.out = append(d.out, p[:n-1]...)
		d.phase = decodeTail
	case evOther:
		// The tokenizer says the same, if it gets that far.
		d.out = append(d.out, p[:n-1]...)
		return nil, fail(stream.RestrictedXML, "neither an element nor an XML declaration")
	default:
		return nil, fail(stream.BadFormat, "text outside of the element of a message")
	}
	return p[n:], nil
}

// standalone decides whether the start tag of an element declares what a document
// of its own has to declare (RFC 7395 §3.3.3). Beneath it the tokenizer does.
func (d *decoder) standalone() error {
	prefix, local := d.scan.root()
	switch {
	case prefix == nil && !d.scan.declaresDefault:
		// RFC 6120 §4.9.3.10
		return fail(stream.InvalidNamespace, "<%s/> in no namespace", quote.ASCII(string(local), 64))
	case string(prefix) == "stream" && !d.scan.declaresStream:
		// RFC 6120 §11.3
		return fail(stream.NotWellFormed, "the prefix stream is not declared in this message")
	}
	return nil
}

// end ends a message.
func (d *decoder) end() error {
	switch d.phase {
	case decodeTail:
		d.out = append(d.out, '>')
		return nil
	case decodeWhole:
		return d.whole()
	case decodeHead:
		if len(d.head) == 0 {
			return fail(stream.BadFormat, "an empty message")
		}
	}
	// RFC 7395 §3.3.3: "parsable as standalone XML documents".
	return fail(stream.NotWellFormed, "a message ends inside of its element")
}

// whole deals with a message that is looked at as a whole.
func (d *decoder) whole() error {
	el, err := stream.ParseElement(d.head, &stream.Limits{ElementBytes: max(d.limit, 10_000)})
	if err != nil {
		return err
	}
	switch name := el.Name(); {
	case name.Local == "features":
		d.head = bytes.TrimRight(withoutStartTLS(nil, d.head), " \t\r\n")
		if err := d.pass(); err != nil {
			return err
		}
		return d.end()
	case name.Space != NSFraming:
		// RFC 7395 §3.3.2
		return fail(stream.InvalidNamespace, "the namespace of <%s/> is %s", name.Local, quote.ASCII(name.Space, 128))
	case len(el.Inner()) > 0:
		return fail(stream.BadFormat, "<%s/> has to be empty", name.Local)
	case name.Local == "open":
		d.out = appendHeader(d.out, el)
		return nil
	}
	d.closed = true
	if uri, ok := el.AttrBytes("see-other-uri"); ok && d.client {
		return seeOther(string(uri))
	}
	d.out = append(d.out, closingTag...)
	return nil
}

// seeOther is what a client makes of see-other-uri: an error of the peer, which is
// answered by the end of the stream.
func seeOther(uri string) error {
	e := &stream.Error{Condition: stream.SeeOtherHost, Received: true, Cause: &SeeOtherError{uri}}
	// RFC 7395 §3.6.1, §6: "Clients MUST NOT accept suggested endpoints with a lower
	// security context." RFC 6455 §3: no fragment.
	u, err := url.Parse(uri)
	if err != nil || len(uri) > maxURI || u.Scheme != "wss" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		e.Cause = fmt.Errorf("%w: %s", ErrSeeOtherInsecure, quote.ASCII(uri, 256))
	}
	return e
}

// maxURI is the largest URI that is taken from a peer.
const maxURI = 2 << 10
