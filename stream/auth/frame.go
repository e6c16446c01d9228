package auth

import (
	"errors"

	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of SASL negotiation (RFC 6120 §6.1).
const NS = "urn:ietf:params:xml:ns:xmpp-sasl"

// profile is one of the two ways to carry SASL over XMPP. An exchange knows frames, not elements, so
// that both are carried by the same code.
type profile uint8

const (
	sasl1 profile = iota // RFC 6120 §6
	sasl2                // XEP-0388
)

// frameKind tells the elements of the exchange apart.
type frameKind uint8

const (
	frameForeign   frameKind = iota // not in the namespace of SASL
	frameUnknown                    // in the namespace, but nothing that is defined
	frameAuth                       // §6.4.2
	frameChallenge                  // §6.4.3
	frameResponse                   // §6.4.3
	frameAbort                      // §6.4.4
	frameFailure                    // §6.4.5
	frameSuccess                    // §6.4.6
)

// elementNames are the local names of the frames, by kind.
var elementNames = [...]string{
	frameAuth:      "auth",
	frameChallenge: "challenge",
	frameResponse:  "response",
	frameAbort:     "abort",
	frameFailure:   "failure",
	frameSuccess:   "success",
}

// secretNames are the elements whose contents stay out of traces: they hold passwords, proofs and
// what proofs can be guessed from.
func secretNames() []stream.Name {
	return []stream.Name{
		{Space: NS, Local: "auth"},
		{Space: NS, Local: "challenge"},
		{Space: NS, Local: "response"},
		{Space: NS, Local: "success"},
	}
}

// frame is one element of the exchange, detached from the bytes it came in.
type frame struct {
	kind    frameKind
	profile profile // of an element received
	name    stream.Name

	mechanism string   // of an auth
	data      []byte   // of an auth, challenge, response or success; nil: none
	failure   *Failure // of a failure

	// err is why data cannot be used: errEncoding or errContent.
	err error
}

// errContent is the reason to answer with malformed-request (RFC 6120 §6.5.8): an element holds
// what it must not.
var errContent = errors.New("auth: unexpected content")

// parseFrame reads an element of the exchange. It never fails: whether a frame makes sense is for
// the exchange to say.
func parseFrame(el *stream.Element) frame {
	f := parseKind(el)
	f.readContent(el)
	return f
}

// parseKind reads what an element is, and of an auth which mechanism it is for. Contents, which may
// be a password, are not touched.
func parseKind(el *stream.Element) frame {
	f := frame{name: el.Name()}
	if f.name.Space != NS {
		return f
	}
	f.kind = frameUnknown
	for kind, local := range elementNames { // the empty one is no element's
		if local == f.name.Local {
			f.kind = frameKind(kind)
		}
	}
	if f.kind == frameAuth {
		f.mechanism = el.Attr("mechanism")
	}
	return f
}

// readContent reads what is in the element.
func (f *frame) readContent(el *stream.Element) {
	switch f.kind {
	case frameFailure:
		f.failure = parseFailure(el)
		return
	case frameAuth, frameChallenge, frameResponse, frameSuccess:
	default:
		return
	}
	for range el.Children() {
		// RFC 6120 Appendix A.4: simple content.
		f.err = errContent
		return
	}
	f.data, f.err = decodeData(el.AppendText(nil))
	// §6.4.3: challenges and responses always carry data, if only data of length zero.
	if f.data == nil && f.err == nil && (f.kind == frameChallenge || f.kind == frameResponse) {
		f.data = []byte{}
	}
}

// write writes the frame as an element.
func (f frame) write(w *stream.Writer) {
	if f.kind == frameFailure {
		f.failure.write(w, NS)
		return
	}
	w.Start(stream.Name{Space: NS, Local: elementNames[f.kind]})
	switch f.kind {
	case frameAuth:
		w.Attr("mechanism", f.mechanism)
		w.Text(encodeData(f.data))
	case frameSuccess:
		w.Text(encodeData(f.data))
	case frameChallenge, frameResponse:
		// §6.4.3 defines no "=" here: an empty element is data of length zero.
		if len(f.data) > 0 {
			w.Text(encodeData(f.data))
		}
	}
	w.End()
}
