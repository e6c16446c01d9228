package stanza

import "stanzakit.dev/xmpp/stream"

// DecodeElement reads the message el into m, whose slices of texts are used
// again. All that m held before is gone. The payloads of m are borrowed from el.
//
// Of children that may not be repeated the first counts: a body or subject in a
// language that there is one for already is dropped, as is a second thread. So
// are texts beyond the 64th language. Elements inside a body, subject or thread
// are ignored, the character data around them is kept. A child of that name in
// another namespace is a payload.
//
// The error is nil, or wraps [ErrNotStanza], or is a [*Error] with the condition
// [JIDMalformed]; in the last case m holds everything but the bad addresses.
func (m *Message) DecodeElement(el *stream.Element) error {
	m.reset()
	name := el.Name()
	if KindOf(name) != MessageKind {
		return notStanza(el, "message")
	}
	g := newGather()
	defer g.release()
	typ, _ := g.head(el)
	m.Type = messageType(typ)
	m.source = el
	for child := range el.Children() {
		n := child.Name()
		if n.Space != name.Space {
			continue // a payload
		}
		switch n.Local {
		case "body":
			g.texts(fieldBody, child)
		case "subject":
			g.texts(fieldSubject, child)
		case "thread":
			if parent, ok := child.AttrBytes("parent"); ok {
				g.add(fieldThreadParent, parent)
			}
			g.token(fieldThread, child)
		case "error":
			// RFC 6120 §8.3.1 rule 7: not in a message of another type, where
			// it means nothing.
			if m.Type == ErrorMessage && m.Error == nil {
				m.Error = decodeError(child)
			}
		}
	}
	if m.Type == ErrorMessage && m.Error == nil {
		m.Error = missingError()
	}
	return m.fill(g)
}

// fill gives m the strings of g.
func (m *Message) fill(g *gather) (err error) {
	h := Head{}
	all, start := string(g.buf), 0
	lang, parent := "", ""
	for _, c := range g.cuts {
		s := all[start:c.end]
		start = c.end
		switch c.field {
		case fieldTextLang:
			lang = s
			continue
		case fieldBody:
			m.Body.addText(Text{lang, s}, h.Lang)
		case fieldSubject:
			m.Subject.addText(Text{lang, s}, h.Lang)
		case fieldThreadParent:
			parent = s
			continue
		case fieldThread:
			if m.Thread == "" && s != "" {
				m.Thread = s
				if parent != s { // RFC 6121 §5.2.5: MUST be different
					m.ThreadParent = parent
				}
			}
		default:
			if e := h.set(c.field, s); err == nil {
				err = e
			}
		}
		lang, parent = "", ""
	}
	m.SetHead(h)
	return err
}

// reset empties m but keeps the memory of its texts, of which there are few.
func (m *Message) reset() {
	clear(m.Subject)
	clear(m.Body)
	*m = Message{Subject: m.Subject[:0], Body: m.Body[:0]}
}

// messageType returns the type that the value of a type attribute stands for.
func messageType(b []byte) MessageType {
	switch string(b) {
	case "chat":
		return ChatMessage
	case "groupchat":
		return GroupChatMessage
	case "headline":
		return HeadlineMessage
	case "error":
		return ErrorMessage
	}
	// RFC 6121 §5.2.2: without the attribute, or with an unknown value, MUST be
	// considered to be of type "normal".
	return NormalMessage
}

// AppendXML appends the message element to dst. It has no namespace
// declaration: it is for a stream whose content namespace is the default
// namespace. See [Qualified] for other places.
//
// If the message cannot be written, because it breaks a rule (the error wraps
// [ErrInvalid]), because a text holds what XML cannot express, or because a
// payload fails, then AppendXML returns dst as it was.
func (m *Message) AppendXML(dst []byte) ([]byte, error) { return m.appendXML(dst, "") }

func (m *Message) appendXML(dst []byte, ns string) ([]byte, error) {
	if m == nil {
		return dst, errNil
	}
	switch m.Type {
	case "", NormalMessage, ChatMessage, GroupChatMessage, HeadlineMessage, ErrorMessage:
	default:
		return dst, invalid("unknown message type")
	}
	if err := checkError(m.Error, m.IsError()); err != nil {
		return dst, err
	}
	// RFC 6121 §5.2.5: the parent MUST be different from the thread.
	if m.Thread != "" && m.Thread == m.ThreadParent {
		return dst, invalid("thread is its own parent")
	}
	w := stream.NewWriter(dst)
	start(&w, ns, "message", m.source)
	writeHead(&w, m.ID, m.To, m.From, string(m.Type), m.Lang)
	if err := writeTexts(&w, "subject", m.Subject, m.Lang); err != nil {
		return dst, err
	}
	if err := writeTexts(&w, "body", m.Body, m.Lang); err != nil {
		return dst, err
	}
	if m.Thread != "" {
		w.Start(stream.Name{Local: "thread"})
		if m.ThreadParent != "" {
			w.Attr("parent", m.ThreadParent)
		}
		w.Text(m.Thread)
		w.End()
	}
	return finish(&w, dst, m.source, m.Extra, m.Error)
}
