package stanza

import (
	"strconv"

	"stanzakit.dev/xmpp/stream"
)

// DecodeElement reads the presence el into p, whose slice of texts is used
// again. All that p held before is gone. The payloads of p are borrowed from el.
//
// Of children that may not be repeated the first counts. A show with a value
// that RFC 6121 §4.7.2.1 does not list, and a priority that is no integer
// between -128 and 127 (§4.7.2.3), are taken as absent: the presence is that of
// somebody who is available, with priority zero. Texts beyond the 64th language
// are dropped.
//
// The error is nil, or wraps [ErrNotStanza], or is a [*Error]: with the
// condition [BadRequest] for a type that does not exist (§4.7.1), with
// [JIDMalformed] for a bad address. With a [*Error], p holds what could be read;
// its type is meaningless then.
func (p *Presence) DecodeElement(el *stream.Element) error {
	p.reset()
	name := el.Name()
	if KindOf(name) != PresenceKind {
		return notStanza(el, "presence")
	}
	g := newGather()
	defer g.release()
	typ, hasType := g.head(el)
	p.source = el
	typeErr := p.setType(typ, hasType)
	show, priority := false, false // seen
	for child := range el.Children() {
		n := child.Name()
		if n.Space != name.Space {
			continue // a payload
		}
		switch n.Local {
		case "status":
			g.texts(fieldStatus, child)
		case "show":
			if !show {
				p.Show, show = parseShow(g.peek(child)), true
			}
		case "priority":
			if !priority {
				p.Priority, priority = parsePriority(g.peek(child)), true
			}
		case "error":
			// RFC 6120 §8.3.1 rule 7: not in a presence of another type, where
			// it means nothing.
			if p.Type == ErrorPresence && p.Error == nil {
				p.Error = decodeError(child)
			}
		}
	}
	if p.Type == ErrorPresence && p.Error == nil {
		p.Error = missingError()
	}
	if err := p.fill(g); err != nil {
		return err
	}
	return typeErr
}

// setType sets the type to what the attribute says, if there is one.
func (p *Presence) setType(b []byte, has bool) error {
	if !has {
		return nil
	}
	switch string(b) {
	case "error":
		p.Type = ErrorPresence
	case "probe":
		p.Type = ProbePresence
	case "subscribe":
		p.Type = SubscribePresence
	case "subscribed":
		p.Type = SubscribedPresence
	case "unavailable":
		p.Type = UnavailablePresence
	case "unsubscribe":
		p.Type = UnsubscribePresence
	case "unsubscribed":
		p.Type = UnsubscribedPresence
	default:
		// RFC 6121 §4.7.1: SHOULD return a bad-request.
		return badRequest("unknown presence type")
	}
	return nil
}

// fill gives p the strings of g.
func (p *Presence) fill(g *gather) (err error) {
	h := Head{}
	all, start := string(g.buf), 0
	lang := ""
	for _, c := range g.cuts {
		s := all[start:c.end]
		start = c.end
		switch c.field {
		case fieldTextLang:
			lang = s
			continue
		case fieldStatus:
			p.Status.addText(Text{lang, s}, h.Lang)
		default:
			if e := h.set(c.field, s); err == nil {
				err = e
			}
		}
		lang = ""
	}
	p.SetHead(h)
	return err
}

// reset empties p but keeps the memory of its texts, of which there are few.
func (p *Presence) reset() {
	clear(p.Status)
	*p = Presence{Status: p.Status[:0]}
}

// parseShow returns the sub-state that a show element names.
func parseShow(b []byte) Show {
	switch string(b) {
	case "away":
		return ShowAway
	case "chat":
		return ShowChat
	case "dnd":
		return ShowDND
	case "xa":
		return ShowXA
	}
	return ShowOnline
}

// parsePriority reads the schema type xs:byte (RFC 6121 §4.7.2.3), for which
// white space has been trimmed. It returns zero, the default, for anything else.
func parsePriority(b []byte) int8 {
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return 0
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0
		}
		if n = n*10 + int(c-'0'); n > 128 {
			return 0
		}
	}
	switch {
	case negative:
		return int8(-n)
	case n > 127:
		return 0
	}
	return int8(n)
}

// AppendXML appends the presence element to dst, in the way of
// [Message.AppendXML]. Show and Status are written whatever the type is;
// Priority unless it is zero, which it is by default.
func (p *Presence) AppendXML(dst []byte) ([]byte, error) { return p.appendXML(dst, "") }

func (p *Presence) appendXML(dst []byte, ns string) ([]byte, error) {
	if p == nil {
		return dst, errNil
	}
	switch p.Type {
	case AvailablePresence, ErrorPresence, ProbePresence, SubscribePresence, SubscribedPresence,
		UnavailablePresence, UnsubscribePresence, UnsubscribedPresence:
	default:
		return dst, invalid("unknown presence type")
	}
	switch p.Show {
	case ShowOnline, ShowAway, ShowChat, ShowDND, ShowXA:
	default:
		return dst, invalid("unknown show")
	}
	if err := checkError(p.Error, p.IsError()); err != nil {
		return dst, err
	}
	w := stream.NewWriter(dst)
	start(&w, ns, "presence", p.source)
	writeHead(&w, p.ID, p.To, p.From, string(p.Type), p.Lang)
	if p.Show != "" {
		w.Start(stream.Name{Local: "show"})
		w.Text(string(p.Show))
		w.End()
	}
	if err := writeTexts(&w, "status", p.Status, p.Lang); err != nil {
		return dst, err
	}
	if p.Priority != 0 {
		var digits [4]byte
		w.Start(stream.Name{Local: "priority"})
		w.TextBytes(strconv.AppendInt(digits[:0], int64(p.Priority), 10))
		w.End()
	}
	return finish(&w, dst, p.source, p.Extra, p.Error)
}
