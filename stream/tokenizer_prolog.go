package stream

import "bytes"

const declOpen = "<?xml"

// longestDecl bounds the XML declaration.
const longestDecl = 256

// misc reads what may stand outside the document element: the XML declaration
// at the very beginning, then white space only (RFC 6120 §11.1 leaves nothing
// else of XML 1.0 §2.8).
func (t *Tokenizer) misc() (Kind, error) {
	i := t.pos
	if t.state == docEnd {
		// What follows belongs to nothing: it has no limit, and none that
		// depends on how it arrives.
		for i < len(t.buf) && class[t.buf[i]]&cSpace != 0 {
			i++
		}
		t.item = i
	}
	b := t.window(t.buf)
	if t.state == docStart {
		if i == len(b) {
			return t.more()
		}
		if b[i] == '<' {
			n := min(len(b)-i, len(declOpen))
			if string(b[i:i+n]) == declOpen[:n] {
				if i+len(declOpen) >= len(b) {
					return t.more()
				}
				if class[b[i+len(declOpen)]]&cSpace != 0 {
					return t.xmlDecl(b[i:])
				}
			} else if b[i+1] == 0 {
				return t.failUTF16()
			}
		} else if b[i] == 0 {
			return t.failUTF16()
		}
		t.state = docProlog
	}
	for i < len(b) && class[b[i]]&cSpace != 0 {
		i++
	}
	t.pos = i
	if !t.hold {
		t.start = i
	}
	if i == len(b) {
		return t.more()
	}
	c := b[i]
	switch {
	case c == '<':
		if i+1 == len(b) {
			return t.more()
		}
		switch b[i+1] {
		case '!':
			return t.failDeclaration(b[i:])
		case '?':
			// RFC 6120 §11.1. Also an XML declaration that is not at the very
			// beginning (XML 1.0 §2.8, RFC 6120 §11.5).
			return t.fail(RestrictedXML, "processing instruction")
		}
		if t.state == docEnd {
			return t.fail(NotWellFormed, "markup after the document element")
		}
		if b[i+1] == '/' {
			return t.fail(NotWellFormed, "end tag without a start tag")
		}
		return t.startTag(b)
	case c >= 0x80:
		// RFC 6120 §11.6: U+FEFF is a character like others, also in the first
		// place, where no character is allowed.
		n := sequence(b[i:])
		if n == seqShort {
			return t.more()
		}
		if n < 0 {
			return t.failSequence(n)
		}
	case class[c]&cText == 0 && c < 0x20:
		return t.failSequence(seqBadChar)
	}
	return t.fail(NotWellFormed, "text outside the document element")
}

// failUTF16 reports a document that begins like UTF-16 or UTF-32 without a
// byte order mark (XML 1.0 App. F; RFC 6120 §11.6). With one it is not UTF-8,
// which is found anyway.
func (t *Tokenizer) failUTF16() (Kind, error) {
	return t.fail(UnsupportedEncoding, "not UTF-8")
}

// xmlDecl reads the XML declaration (XML 1.0 §2.8), which begins b.
func (t *Tokenizer) xmlDecl(b []byte) (Kind, error) {
	end := bytes.IndexByte(b[:min(len(b), longestDecl)], '>')
	if end < 0 {
		if len(b) >= longestDecl {
			return t.fail(NotWellFormed, "malformed XML declaration")
		}
		return t.more()
	}
	d := b[len(declOpen):end]
	if len(d) == 0 || d[len(d)-1] != '?' {
		return t.fail(NotWellFormed, "malformed XML declaration")
	}
	d = d[:len(d)-1]
	version, d, ok := pseudoAttr(d, "version")
	if !ok || len(version) == 0 {
		return t.fail(NotWellFormed, "malformed XML declaration")
	}
	// RFC 6120 §11.8: XMPP is defined in terms of XML 1.0 only. The condition
	// unsupported-version is about the version of XMPP, not that of XML.
	if string(version) != "1.0" {
		return t.fail(NotWellFormed, "XML version other than 1.0")
	}
	encoding, d, ok := pseudoAttr(d, "encoding")
	if ok && !isEncName(encoding) {
		return t.fail(NotWellFormed, "malformed XML declaration")
	}
	if ok && !isUTF8Label(string(encoding)) {
		// RFC 6120 §11.6, §4.9.3.22
		return t.fail(UnsupportedEncoding, "an encoding other than UTF-8 is declared")
	}
	// RFC 6120 §11.5: a standalone declaration has no meaning and is ignored.
	standalone, d, ok := pseudoAttr(d, "standalone")
	if ok && string(standalone) != "yes" && string(standalone) != "no" {
		return t.fail(NotWellFormed, "malformed XML declaration")
	}
	if len(bytes.TrimLeft(d, " \t\r\n")) > 0 {
		return t.fail(NotWellFormed, "malformed XML declaration")
	}
	t.pos += end + 1
	t.state = docProlog
	return Declaration, nil
}

// pseudoAttr reads S name S? '=' S? quoted value from the beginning of d, and
// returns the rest. When d begins otherwise it is returned whole.
func pseudoAttr(d []byte, name string) (value, rest []byte, ok bool) {
	const space = " \t\r\n"
	s := bytes.TrimLeft(d, space)
	if len(s) == len(d) || !bytes.HasPrefix(s, []byte(name)) {
		return nil, d, false
	}
	s = bytes.TrimLeft(s[len(name):], space)
	if len(s) == 0 || s[0] != '=' {
		return nil, d, false
	}
	s = bytes.TrimLeft(s[1:], space)
	if len(s) == 0 || s[0] != '\'' && s[0] != '"' {
		return nil, d, false
	}
	end := bytes.IndexByte(s[1:], s[0])
	if end < 0 {
		return nil, d, false
	}
	return s[1 : end+1], s[end+2:], true
}

// isEncName reports whether b matches EncName (XML 1.0 §4.3.3).
func isEncName(b []byte) bool {
	for i, c := range b {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (i == 0 || class[c]&cName == 0) {
			return false
		}
	}
	return len(b) > 0
}
