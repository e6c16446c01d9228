package streamtest

import (
	"errors"
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/stream"
)

// Mismatch is the error for an item that is not the expected one.
type Mismatch struct {
	// Item is the number of the item in the transcript, from 0.
	Item int
	// Want and Got are the lines of a transcript, empty where there is none.
	Want, Got string
	// Where is the place of the first difference and what it is, if both are
	// elements.
	Where string
}

// Error shows both items, and where they differ.
func (e *Mismatch) Error() string {
	show := func(s string) string {
		if s == "" {
			return "nothing"
		}
		if len(s) > 4096 {
			s = s[:4096] + "…"
		}
		return s
	}
	s := fmt.Sprintf("item %d is another one\n  want %s\n  got  %s", e.Item, show(e.Want), show(e.Got))
	if e.Where != "" {
		s += "\n  at   " + e.Where
	}
	return s
}

const secret = "{secret}"

// placeholder reports whether a value of a transcript is one, such as "{id:1}".
func placeholder(v string) bool {
	return len(v) > 2 && v[0] == '{' && v[len(v)-1] == '}' && !strings.ContainsAny(v[1:len(v)-1], "{}")
}

// protect writes a value so that it is no placeholder; literal undoes that.
func protect(v string) string {
	if strings.HasPrefix(v, "{") || strings.HasPrefix(v, `\`) {
		return `\` + v
	}
	return v
}

func literal(v string) string { return strings.TrimPrefix(v, `\`) }

// bindings is what the placeholders of a transcript stand for this time.
type bindings map[string]string

// match compares a value of a transcript with one of the wire. Nil bindings
// compare two transcripts.
func (b bindings) match(want, got string) bool {
	switch {
	case b == nil:
		return want == got
	case want == secret:
		return true
	case !placeholder(want):
		return literal(want) == got
	case got == "":
		return false
	}
	if bound, ok := b[want]; ok {
		return bound == got
	}
	b[want] = got
	return true
}

// difference describes the first difference between an item of a transcript and
// another one, or returns "".
func difference(want, got *node, b bindings) string {
	if want == nil || got == nil { // closing tags
		if want == got {
			return ""
		}
		return "one of them closes the stream"
	}
	if want.name != got.name {
		return fmt.Sprintf("/: %s, not %s", got.name, want.name)
	}
	if want.name == headerName && want.content != got.content {
		return fmt.Sprintf("/: content namespace %s, not %s", clip(got.content), clip(want.content))
	}
	return b.difference(want, got, "/"+want.name.Local)
}

func (b bindings) difference(want, got *node, path string) string {
	attrs := map[stream.Name]string{}
	for _, a := range got.attrs {
		attrs[a.name] = a.value
	}
	for _, a := range want.attrs {
		v, ok := attrs[a.name]
		switch {
		case !ok:
			return fmt.Sprintf("%s/@%s: missing", path, a.name)
		case !b.match(a.value, v):
			return fmt.Sprintf("%s/@%s: %s, not %s", path, a.name, clip(v), clip(a.value))
		}
		delete(attrs, a.name)
	}
	for _, a := range got.attrs {
		if _, extra := attrs[a.name]; extra {
			return fmt.Sprintf("%s/@%s: %s, not expected", path, a.name, clip(a.value))
		}
	}
	if b != nil && want.hidden() {
		return ""
	}
	for i := range max(len(want.kids), len(got.kids)) {
		var w, g *node
		if i < len(want.kids) {
			w = want.kids[i]
		}
		if i < len(got.kids) {
			g = got.kids[i]
		}
		switch {
		case w == nil:
			return fmt.Sprintf("%s: %s, not expected", path, g.describe())
		case g == nil:
			return fmt.Sprintf("%s: %s is missing", path, w.describe())
		case w.name != g.name:
			return fmt.Sprintf("%s: %s, not %s", path, g.describe(), w.describe())
		case w.name.Local == "":
			if !b.match(w.text, g.text) {
				return fmt.Sprintf("%s: %s, not %s", path, g.describe(), w.describe())
			}
		default:
			if d := b.difference(w, g, path+"/"+w.name.Local); d != "" {
				return d
			}
		}
	}
	return ""
}

// hidden reports whether the contents of an element were a secret.
func (n *node) hidden() bool { return len(n.kids) == 1 && n.kids[0].text == secret }

func (n *node) describe() string {
	if n.name.Local == "" {
		return "text " + clip(n.text)
	}
	return "<" + n.name.Local + "/> in " + clip(n.name.Space)
}

// errSecret is why an item with something hidden in it cannot be sent.
var errSecret = errors.New("there is a secret in it, and Replay.Secret is nil")

// fill replaces the placeholders of an item that is to be sent. The node is a
// copy.
func (b bindings) fill(n *node, invent func(string) string, reveal func(stream.Name) (string, error)) error {
	value := func(v string) string {
		if !placeholder(v) {
			return literal(v)
		}
		if _, ok := b[v]; !ok {
			b[v] = invent(v)
		}
		return b[v]
	}
	for i, a := range n.attrs {
		if a.value == secret {
			s, err := reveal(n.name)
			if err != nil {
				return err
			}
			n.attrs[i].value = s
			continue
		}
		n.attrs[i].value = value(a.value)
	}
	if n.hidden() {
		s, err := reveal(n.name)
		if err != nil {
			return err
		}
		n.kids, err = parseContents(n.name.Space, s)
		return err
	}
	for _, k := range n.kids {
		switch {
		case k.name.Local != "":
			if err := b.fill(k, invent, reveal); err != nil {
				return err
			}
		default:
			k.text = value(k.text)
		}
	}
	return nil
}
