package ws

import (
	"bytes"
	"errors"

	"stanzakit.dev/xmpp/stream"
)

// encoder turns the bytes of a stream into messages (RFC 7395 §3.3). It gets what
// the stream package writes, in any slicing, and keeps what is not complete: less
// than the stream has queued.
type encoder struct {
	server bool // this side is the server
	scan   scanner
	part   []byte // the beginning of an item
}

// What is kept for the next item at most.
const keptPart = 4 << 10

// errNotStream is the error of writing something that is no stream.
var errNotStream = errors.New("stream/ws: what is written is not a stream")

// write takes bytes of the stream and calls send with each message that is
// complete; the message is borrowed. It returns how many bytes are done with, and
// whether there was white space between elements.
func (e *encoder) write(p []byte, send func(message []byte) error) (done int, space bool, err error) {
	buf := takeBuffer()
	defer dropBuffer(buf)
	for at := 0; at < len(p); {
		n, ev := e.scan.next(p[at:])
		at += n
		if ev == evNone || ev == evOpen && !e.isHeader() {
			continue
		}
		item := p[done:at]
		if len(e.part) > 0 {
			e.part = append(e.part, item...)
			item = e.part
		}
		message, err := (*buf)[:0], error(nil)
		switch ev {
		case evBetween:
			if space = true; len(bytes.Trim(item, " \t\r\n")) > 0 {
				err = errNotStream
			}
		case evOther: // the XML declaration, which is not recommended (RFC 7395 §3.3.3)
		case evOpen:
			message, err = appendOpen(message, item)
			e.scan = scanner{}
		case evClose:
			message = append(message, `<close xmlns="`+NSFraming+`"/>`...)
		default:
			message = e.element(message, item)
		}
		if err == nil && len(message) > 0 {
			err = send(message)
			clear(message) // there may be a password in it
			*buf = message
		}
		if err != nil {
			return done, space, err
		}
		clear(e.part)
		if done = at; cap(e.part) > keptPart {
			e.part = nil
		}
		e.part = e.part[:0]
	}
	e.part = append(e.part, p[done:]...)
	return len(p), space, nil
}

// isHeader reports whether the start tag that was read is that of the stream.
func (e *encoder) isHeader() bool {
	_, local := e.scan.root()
	return string(local) == "stream"
}

// element appends an element as a document of its own (RFC 7395 §3.3.3).
func (e *encoder) element(dst, item []byte) []byte {
	// The name ends with the first of these: an item begins with a start tag.
	name := bytes.IndexAny(item, " \t\r\n/>")
	dst = append(dst, item[:name]...)
	if !e.scan.declaresDefault {
		dst = append(dst, ` xmlns="`+stream.NSClient+`"`...)
	}
	// On a TCP connection the prefix is declared by the header, for everybody whose
	// element is passed on.
	if !e.scan.declaresStream && bytes.Contains(item, []byte("stream:")) {
		dst = append(dst, ` xmlns:stream="`+stream.NSStream+`"`...)
	}
	if _, local := e.scan.root(); e.server && string(local) == "features" {
		// RFC 7395 §3.9: a server does not advertise TLS here.
		whole := append(dst, item[name:]...)
		return withoutStartTLS(whole[len(whole):], whole)
	}
	return append(dst, item[name:]...)
}
