package stream

import (
	"bytes"
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
	// be found. It runs only when XMLSent is set. Header is the stream header
	// that it has read.
	sent   *scanner
	header []byte
}

func newTracer(t *Trace) *tracer {
	tr := new(tracer)
	if t != nil {
		tr.hooks = *t
		tr.hide(withPasswords...)
	}
	return tr
}

// withPasswords are payloads of requests in which passwords go over the wire
// whether or not the side that traces them knows the protocol.
var withPasswords = []Name{
	{"jabber:iq:register", "query"},                    // XEP-0077
	{"jabber:iq:auth", "query"},                        // XEP-0078
	{"http://jabber.org/protocol/commands", "command"}, // XEP-0133
}

// hide adds names of elements whose contents are secret.
func (t *tracer) hide(names ...Name) {
	if t.hooks.XMLSent == nil && t.hooks.XMLReceived == nil {
		return // nobody looks
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.secrets == nil {
		t.secrets = make(map[Name]bool)
	}
	for _, n := range names {
		t.secrets[n] = true
	}
}

// restart prepares for a new outgoing stream header. There are no limits: what
// this side sends is bounded elsewhere.
func (t *tracer) restart() {
	if t.hooks.XMLSent == nil {
		return
	}
	t.sent = new(scanner)
	t.sent.init(unlimited, false)
	t.header = nil
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

// unreadable traces n incoming bytes that are no item. There may be secrets in
// them.
func (t *tracer) unreadable(n int) {
	if t.hooks.XMLReceived != nil {
		t.hooks.XMLReceived(unparsed(n))
	}
}

func unparsed(n int) []byte { return fmt.Appendf(nil, "[%d bytes that do not parse]", n) }

// wrote traces outgoing bytes: whole items only.
func (t *tracer) wrote(b []byte) {
	if t.hooks.XMLSent == nil || len(b) == 0 {
		return
	}
	t.feed(b)
	for {
		kind, el, err := t.sent.next()
		if err == errNeedMore && t.sent.buffered() == 0 {
			t.sent.release()
			return
		}
		if err != nil {
			// Malformed, or not whole. What comes next stands on its own again.
			t.hooks.XMLSent(unparsed(t.sent.buffered()))
			t.sent = new(scanner)
			t.sent.init(unlimited, false)
			t.feed(t.header)
			t.sent.next()
			return
		}
		if kind == itemHeader {
			t.header = bytes.Clone(el.Raw())
		}
		if out := t.render(kind, el); out != nil {
			t.hooks.XMLSent(out)
		}
	}
}

func (t *tracer) feed(b []byte) {
	copy(t.sent.space(len(b)), b)
	t.sent.filled(len(b))
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
