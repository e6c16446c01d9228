package stream

import "unicode/utf8"

// AppendXML appends e as a <stream:error/> element for a stream on which the
// prefix "stream" stands for the stream namespace (RFC 6120 §4.9.2). Text that
// XML cannot carry is left out. It never fails.
func (e *Error) AppendXML(dst []byte) ([]byte, error) {
	cond := e.Condition
	if !cond.Known() {
		cond = UndefinedCondition
	}
	dst = append(dst, `<stream:error><`...)
	dst = append(dst, cond...)
	dst = append(dst, ` xmlns='`+NSStreamErrors+`'`...)
	if host, err := AppendEscaped(nil, e.OtherHost); cond == SeeOtherHost && err == nil {
		dst = append(dst, '>')
		dst = append(dst, host...)
		dst = append(dst, `</`...)
		dst = append(dst, cond...)
		dst = append(dst, '>')
	} else {
		dst = append(dst, `/>`...)
	}
	if text, err := AppendEscaped(nil, cutText(e.Text)); err == nil && len(text) > 0 {
		lang := e.Lang
		if !validLang(lang) {
			lang = "en"
		}
		dst = append(dst, `<text xmlns='`+NSStreamErrors+`' xml:lang='`...)
		dst = append(dst, lang...)
		dst = append(dst, `'>`...)
		dst = append(dst, text...)
		dst = append(dst, `</text>`...)
	}
	dst = append(dst, e.Application...)
	return append(dst, `</stream:error>`...), nil
}

// maxErrorText bounds the human-readable text of an error, sent or received.
const maxErrorText = 1 << 10

func cutText(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	cut := maxErrorText
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// isStreamError reports whether el is a <stream:error/>.
func isStreamError(el *Element) bool {
	return el.Name() == Name{NSStream, "error"}
}

// decodeError reads a received <stream:error/>. The first defined condition
// counts; unknown ones are UndefinedCondition (RFC 6120 §4.9.2).
func decodeError(el *Element) *Error {
	e := &Error{Condition: UndefinedCondition, Received: true}
	found := false
	for c := range el.Children() {
		name := c.Name()
		switch {
		case name.Space != NSStreamErrors:
			if e.Application == nil && len(c.Raw()) <= maxErrorText {
				// With the namespaces that it takes from around it. There is no
				// error for an element that was read.
				e.Application, _ = c.AppendXML(nil)
			}
		case name.Local == "text":
			if e.Text == "" {
				e.Text, e.Lang = cutText(c.Text()), c.Lang()
			}
		case !found && Condition(name.Local).Known():
			found = true
			e.Condition = Condition(name.Local)
			if e.Condition == SeeOtherHost {
				e.OtherHost = cutText(c.Text())
			}
		}
	}
	return e
}
