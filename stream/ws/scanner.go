package ws

import "bytes"

// event is what a scanner has come across.
type event uint8

const (
	evNone    event = iota // the input ends inside an item
	evBetween              // text between items
	evOpen                 // the start tag of an item, which goes on
	evEmpty                // an item that is one empty-element tag
	evEnd                  // the end tag of an item
	evClose                // an end tag where no item is open: that of the stream
	evOther                // a declaration, a comment or the like, between items
)

// scanner finds where the elements at the top of some XML begin and end. It
// believes that the XML is well-formed: what the stream package writes is, and
// what a peer sends goes through the tokenizer of the stream. Each byte is looked
// at once, and nothing of the input is kept.
type scanner struct {
	state scanState
	depth int
	quote byte
	slash bool // a tag so far ends with a slash
	run   int  // how much of a delimiter was seen

	name    [maxName]byte // of the item
	nameLen int           // more than maxName if it does not fit
	attr    [maxAttr]byte // the attribute name that is being read
	attrLen int
	// declares: the start tag of the item declares the default namespace, or the
	// prefix stream.
	declaresDefault, declaresStream bool
}

// What of names is kept: enough for those that mean something here.
const (
	maxName = 64
	maxAttr = len("xmlns:stream")
)

type scanState uint8

const (
	inBetween scanState = iota
	inContent
	inMarkup // behind a <
	inName
	inTag
	inValue
	inEndTag
	inBang
	inCDATA
	inDeclaration
	inInstruction
)

const cdata = "[CDATA["

// next reads up to the next event, and returns how many bytes that took.
func (s *scanner) next(p []byte) (int, event) {
	if s.state == inBetween {
		if i := bytes.IndexByte(p, '<'); i != 0 {
			if i < 0 {
				i = len(p)
			}
			return i, evBetween
		}
		*s = scanner{}
	}
	for i := 0; i < len(p); {
		n, ev := s.step(p[i:])
		i += n
		if ev != evNone {
			return i, ev
		}
	}
	return len(p), evNone
}

// step reads at least one byte, or changes the state.
func (s *scanner) step(p []byte) (int, event) {
	c := p[0]
	switch s.state {
	case inBetween:
		s.state = inMarkup
	case inContent:
		return s.until(p, '<', inMarkup), evNone
	case inMarkup:
		s.run = 0
		switch c {
		case '/':
			s.state = inEndTag
		case '!':
			s.state = inBang
		case '?':
			s.state = inInstruction
		default:
			s.state = inName
			return 0, evNone
		}
	case inName:
		if isSpace(c) || c == '/' || c == '>' {
			s.state = inTag
			return 0, evNone
		}
		if s.depth == 0 {
			keep(s.name[:], &s.nameLen, c)
		}
	case inTag:
		return 1, s.tag(c)
	case inValue:
		return s.until(p, s.quote, inTag), evNone
	case inEndTag:
		n := s.until(p, '>', inContent)
		if s.state != inContent {
			return n, evNone
		}
		return n, s.ended()
	case inBang:
		switch {
		case c != cdata[s.run]:
			s.state = inDeclaration
			return 0, evNone
		case s.run == len(cdata)-1:
			s.state, s.run = inCDATA, 0
		default:
			s.run++
		}
	case inCDATA:
		return 1, s.after(c, ']', 2)
	case inInstruction:
		return 1, s.after(c, '?', 1)
	case inDeclaration:
		return 1, s.after(c, 0, 0)
	}
	return 1, evNone
}

// until reads up to and including c, and enters a state if c is there.
func (s *scanner) until(p []byte, c byte, then scanState) int {
	i := bytes.IndexByte(p, c)
	if i < 0 {
		return len(p)
	}
	s.state = then
	return i + 1
}

// after reads one byte of what ends with a > behind least times before.
func (s *scanner) after(c, before byte, least int) event {
	switch {
	case c == '>' && s.run >= least:
		s.state = inContent
		if s.depth == 0 {
			s.state = inBetween
			return evOther
		}
	case c == before && least > 0:
		s.run++
	default:
		s.run = 0
	}
	return evNone
}

// tag reads one byte of a start tag, outside of attribute values.
func (s *scanner) tag(c byte) event {
	slash := s.slash
	s.slash = c == '/'
	switch {
	case c == '>' && slash:
		s.state = inContent
		if s.depth == 0 {
			s.state = inBetween
			return evEmpty
		}
	case c == '>':
		s.state = inContent
		s.depth++
		if s.depth == 1 {
			return evOpen
		}
	case c == '\'' || c == '"':
		s.quote, s.state = c, inValue
	case s.depth > 0 || c == '/':
	case c == '=' || isSpace(c):
		switch string(s.attr[:min(s.attrLen, maxAttr)]) {
		case "xmlns":
			s.declaresDefault = true
		case "xmlns:stream":
			s.declaresStream = s.declaresStream || s.attrLen == maxAttr
		}
		s.attrLen = 0
	default:
		keep(s.attr[:], &s.attrLen, c)
	}
	return evNone
}

// ended is the event of an end tag.
func (s *scanner) ended() event {
	s.depth--
	if s.depth > 0 {
		return evNone
	}
	closing := s.depth < 0
	s.state, s.depth = inBetween, 0
	if closing {
		return evClose
	}
	return evEnd
}

// keep appends c to what is kept of a name, of which n counts one more than fits
// at most.
func keep(name []byte, n *int, c byte) {
	if *n < len(name) {
		name[*n] = c
	}
	*n = min(*n+1, len(name)+1)
}

// root returns the prefix and the local part of the item's name, which is empty
// if it is too long to mean anything here.
func (s *scanner) root() (prefix, local []byte) {
	prefix, local = splitName(s.name[:min(s.nameLen, maxName)])
	if s.nameLen > maxName {
		local = nil
	}
	return prefix, local
}

// splitName splits a qualified name.
func splitName(name []byte) (prefix, local []byte) {
	if i := bytes.IndexByte(name, ':'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return nil, name
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// withoutStartTLS appends a <stream:features/> without the <starttls/> that
// stands in it (RFC 7395 §3.9).
func withoutStartTLS(dst, features []byte) []byte {
	var outer, inner scanner
	at, ev := outer.next(features)
	if ev != evOpen {
		return append(dst, features...)
	}
	dst = append(dst, features[:at]...)
	for at < len(features) {
		from := at
		for ev = evNone; at < len(features) && (ev == evNone || ev == evOpen); {
			var n int
			n, ev = inner.next(features[at:])
			at += n
		}
		_, local := inner.root()
		if (ev == evEmpty || ev == evEnd) && string(local) == "starttls" {
			continue
		}
		dst = append(dst, features[from:at]...)
	}
	return dst
}
