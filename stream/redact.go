package stream

import "fmt"

// redact returns the raw bytes of el without the contents of secret elements.
// When something inside el is secret, all of its contents go: a trace that
// shows too little does no harm.
func (t *tracer) redact(el *Element) []byte {
	inner := el.Inner()
	if len(inner) == 0 || !t.secret(el, 0) {
		return el.Raw() // the attributes of a first-level element are no secret
	}
	raw := el.Raw()
	// The end tag of an element is as long as its qualified name, which the
	// start tag begins with, plus "</" and ">"; white space may follow the
	// name. Counting from the end of the contents avoids all that.
	end := len(raw) - 1
	for raw[end] != '<' {
		end--
	}
	start := end - len(inner)
	out := append([]byte(nil), raw[:start]...)
	out = fmt.Appendf(out, "[redacted %d bytes]", len(inner))
	return append(out, raw[end:]...)
}

// secret reports whether el or something in it is secret. An element inside
// another one may carry its secret in an attribute, as a token does; without
// attributes and contents there is nothing to hide.
func (t *tracer) secret(el *Element, depth int) bool {
	if t.secrets[el.Name()] {
		if len(el.Inner()) > 0 {
			return true
		}
		for range el.Attrs() {
			return depth > 0
		}
	}
	if depth == 8 {
		return true
	}
	for c := range el.Children() {
		if t.secret(c, depth+1) {
			return true
		}
	}
	return false
}
