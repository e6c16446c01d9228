package stream

import (
	"fmt"
	"sync"
)

// tracer runs the hooks of a [Trace]. It is never nil, its Trace never either.
// Received items are traced by the reader, sent ones by whoever writes; each
// direction has one goroutine at a time.
type tracer struct {
	hooks Trace

	mu      sync.Mutex
	secrets map[Name]bool

	// sent cuts outgoing bytes into items again, so that secrets in them can
	// be found. It runs only when XMLSent is set.
	sent scanner
}

func newTracer(t *Trace, lim Limits) *tracer {
	tr := &tracer{secrets: make(map[Name]bool)}
	if t != nil {
		tr.hooks = *t
	}
	// Our own output is bounded elsewhere.
	lim.ElementBytes *= 4
	tr.sent.init(lim, false)
	return tr
}

// hide adds names of elements whose contents are secret.
func (t *tracer) hide(names ...Name) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range names {
		t.secrets[n] = true
	}
}

// restart prepares for a new outgoing stream header.
func (t *tracer) restart() {
	if t.hooks.XMLSent != nil {
		t.sent.restart()
	}
}

// received traces an incoming item.
func (t *tracer) received(kind itemKind, el *Element) {
	if t.hooks.XMLReceived == nil {
		return
	}
	if b := t.render(kind, el); b != nil {
		t.hooks.XMLReceived(b)
	}
}

// wrote traces outgoing bytes: whole items only.
func (t *tracer) wrote(b []byte) {
	if t.hooks.XMLSent == nil || len(b) == 0 {
		return
	}
	copy(t.sent.space(len(b)), b)
	t.sent.filled(len(b))
	for {
		kind, el, err := t.sent.next()
		if err == errNeedMore {
			return
		}
		if err != nil {
			t.hooks.XMLSent(fmt.Appendf(nil, "[%d bytes that do not parse]", len(b)))
			return
		}
		if out := t.render(kind, el); out != nil {
			t.hooks.XMLSent(out)
		}
	}
}

// render returns the raw XML of an item with secrets replaced, or nil for
// white space.
func (t *tracer) render(kind itemKind, el *Element) []byte {
	switch kind {
	case itemHeader:
		return el.Raw()
	case itemEnd:
		return []byte(closingTag)
	case itemElement:
		t.mu.Lock()
		defer t.mu.Unlock()
		return t.redact(el)
	}
	return nil
}

// redact returns the raw bytes of el without the contents of secret elements.
// When something inside el is secret, all of its contents go: a trace that
// shows too little does no harm.
func (t *tracer) redact(el *Element) []byte {
	inner := el.Inner()
	if len(inner) == 0 || !t.secret(el, 0) {
		return el.Raw()
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

// secret reports whether el or something in it is secret. An element without
// contents has nothing to hide.
func (t *tracer) secret(el *Element, depth int) bool {
	if t.secrets[el.Name()] && len(el.Inner()) > 0 {
		return true
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
