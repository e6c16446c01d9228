package stanza

import (
	"fmt"
	"strings"
	"sync"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Decode reads the stanza el. The result is a new *[Message], *[Presence] or
// *[IQ]; use the method DecodeElement of one of them to use its memory again.
// The payloads in it are borrowed from el: see "Lifetime" in the package
// documentation.
//
// A stanza that breaks the rules of RFC 6120 §8 gives a [*Error], with the
// condition [BadRequest] or [JIDMalformed], beside a stanza that holds as much
// as could be read. Pass both to [ErrorReply] for the one answer to send, if
// any. The stream goes on. An element that is no stanza gives an error that
// wraps [ErrNotStanza], and no stanza.
func Decode(el *stream.Element) (Stanza, error) {
	var st Stanza
	switch KindOf(el.Name()) {
	case MessageKind:
		st = new(Message)
	case PresenceKind:
		st = new(Presence)
	case IQKind:
		st = new(IQ)
	default:
		return nil, notStanza(el, "stanza")
	}
	return st, st.DecodeElement(el)
}

func notStanza(el *stream.Element, want string) error {
	return fmt.Errorf("%w: %s is not a %s", ErrNotStanza, quote.ASCII(el.Name().String(), errorPartBytes), want)
}

// maxTexts is how many languages of one text are kept. The sender has no use
// for more, and looking for duplicates takes quadratic time.
const maxTexts = 64

// maxGather is the largest buffer that is kept for the next stanza.
const maxGather = 4 << 10

// field says what a string of a stanza is.
type field uint8

const (
	fieldID field = iota
	fieldTo
	fieldFrom
	fieldLang
	fieldTextLang // of the text that follows
	fieldBody
	fieldSubject
	fieldStatus
	fieldThread
	fieldThreadParent
)

// gather collects the strings of one stanza, so that a single allocation serves
// them all: their bytes first, then the cuts between them.
type gather struct {
	buf  []byte
	cuts []cut
}

// gathers saves an allocation of about a kilobyte per stanza, which is most of
// what BenchmarkDecodeMessage would allocate.
var gathers = sync.Pool{New: func() any {
	return &gather{buf: make([]byte, 0, 512), cuts: make([]cut, 0, 16)}
}}

func newGather() *gather { return gathers.Get().(*gather) }

// release gives g back, unless a large stanza has made it large.
func (g *gather) release() {
	if cap(g.buf) <= maxGather && cap(g.cuts) <= maxGather/8 {
		g.buf, g.cuts = g.buf[:0], g.cuts[:0]
		gathers.Put(g)
	}
}

// cut ends a string in gather.buf.
type cut struct {
	field field
	end   int
}

// add collects a string that is given as bytes.
func (g *gather) add(f field, b []byte) {
	g.buf = append(g.buf, b...)
	g.cuts = append(g.cuts, cut{f, len(g.buf)})
}

// text collects the character data directly inside el. Child elements, which
// must not be there (RFC 6121 §4.7.2, §5.2.3 to §5.2.5: no mixed content), are
// ignored together with what they hold.
func (g *gather) text(f field, el *stream.Element) {
	g.buf = el.AppendText(g.buf)
	g.cuts = append(g.cuts, cut{f, len(g.buf)})
}

// texts collects el as a text in some language.
func (g *gather) texts(f field, el *stream.Element) {
	if lang, ok := el.AttrNS(nameLang); ok {
		g.add(fieldTextLang, lang)
	}
	g.text(f, el)
}

// token collects the character data directly inside el without the white space
// around it, which does not belong to a value of the schema type NMTOKEN.
func (g *gather) token(f field, el *stream.Element) {
	start := len(g.buf)
	g.buf = el.AppendText(g.buf)
	g.buf = append(g.buf[:start], trimSpace(g.buf[start:])...)
	g.cuts = append(g.cuts, cut{f, len(g.buf)})
}

// peek returns the trimmed character data directly inside el, until g is used
// again. It is not collected.
func (g *gather) peek(el *stream.Element) []byte {
	start := len(g.buf)
	b := el.AppendText(g.buf)
	g.buf = b[:start]
	return trimSpace(b[start:])
}

var nameLang = stream.Name{Space: stream.NSXML, Local: "lang"}

// head collects the common attributes and returns the value of the type
// attribute, a view.
func (g *gather) head(el *stream.Element) (typ []byte, hasType bool) {
	for a := range el.Attrs() {
		if a.Name.Space != "" {
			if a.Name == nameLang {
				g.add(fieldLang, a.Value)
			}
			continue
		}
		switch a.Name.Local {
		case "id":
			g.add(fieldID, a.Value)
		case "to":
			g.add(fieldTo, a.Value)
		case "from":
			g.add(fieldFrom, a.Value)
		case "type":
			typ, hasType = a.Value, true
		}
	}
	return typ, hasType
}

// set stores a string in h if it belongs there.
func (h *Head) set(f field, s string) (err error) {
	switch f {
	case fieldID:
		h.ID = s
	case fieldTo:
		h.To, err = parseAddr("to", s)
	case fieldFrom:
		h.From, err = parseAddr("from", s)
	case fieldLang:
		h.Lang = s
	}
	return err
}

// parseAddr parses an address attribute. An empty one is not an address.
func parseAddr(attr, s string) (jid.JID, error) {
	j, err := jid.Parse(s)
	if err != nil {
		// RFC 6120 §8.3.3.8.
		return jid.JID{}, &Error{Condition: JIDMalformed, Text: "malformed '" + attr + "' address", Cause: err}
	}
	return j, nil
}

// badRequest is the error about a stanza that breaks a rule (RFC 6120 §8.3.3.1).
func badRequest(text string) *Error { return &Error{Condition: BadRequest, Text: text} }

// addText appends a text unless there is one in that language. RFC 6121 forbids
// several (§4.7.2.2, §5.2.3, §5.2.4) and does not say what to do about them: the
// first one counts, as it does for every child that may not be repeated. The
// language of the stanza is lang.
func (t *Texts) addText(x Text, lang string) {
	if len(*t) >= maxTexts || t.index(x.Lang, lang) >= 0 {
		return
	}
	*t = append(*t, x)
}

// index finds the text in language want, in a stanza in language lang.
func (t Texts) index(want, lang string) int {
	if want == "" {
		want = lang
	}
	for i, x := range t {
		have := x.Lang
		if have == "" {
			have = lang
		}
		if strings.EqualFold(have, want) {
			return i
		}
	}
	return -1
}

// trimSpace removes XML white space at both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
