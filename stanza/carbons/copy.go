package carbons

import (
	"bytes"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/forward"
	"stanzakit.dev/xmpp/stanza/sid"
	"stanzakit.dev/xmpp/stream"
)

// shared is what the copies of a message have in common: all but the address.
type shared struct{ front, rest []byte }

// copyTo is the copy for one resource. It may be kept.
type copyTo struct {
	*shared
	to jid.JID
}

// AppendXML implements [stream.Appender].
func (c *copyTo) AppendXML(dst []byte) ([]byte, error) {
	// §7: to MUST be the full JID of the resource that gets the copy.
	out, err := stream.AppendEscapedAttr(append(dst, c.front...), c.to.String())
	if err != nil {
		return dst, err
	}
	return append(out, c.rest...), nil
}

// overhead is more than a copy is longer than its message, most of the time.
const overhead = 512

var errorName = stream.Name{Space: stream.NSClient, Local: "error"}

// encode makes the copies of t for an account (§7, §8).
func encode(t *stanza.Transit, d Direction, account jid.JID) (*shared, error) {
	b := make([]byte, 0, len(t.Element.Raw())+overhead)
	// The from MUST be the account's bare JID, the type SHOULD be the same.
	b = append(b, "<message from='"...)
	b, err := stream.AppendEscapedAttr(b, account.String())
	if err != nil {
		return nil, err
	}
	b = append(append(append(b, "' type='"...), typeOf(t)...), "' to='"...)
	front := len(b)
	b = append(append(append(b, "'><"...), d.name().Local...), " xmlns='"+NS+"'><forwarded xmlns='"+forward.NS+"'>"...)
	if b, err = appendOriginal(b, t, d); err != nil {
		return nil, err
	}
	b = append(append(append(b, "</forwarded></"...), d.name().Local...), '>')
	if t.Type == string(stanza.ErrorMessage) {
		// RFC 6120 §8.3.1 rule 4: a stanza of type error has an error element. So
		// has the copy, if it is to have the same type.
		if el, ok := t.Element.Child(errorName); ok {
			w := stream.NewWriter(b)
			w.Within(stream.NSClient)
			w.Element(el)
			if b, err = w.Bytes(); err != nil {
				return nil, err
			}
		}
	}
	b = append(b, "</message>"...)
	return &shared{front: b[:front:front], rest: b[front:]}, nil
}

// typeOf returns the type of the message, as one that may stand in an attribute.
func typeOf(t *stanza.Transit) stanza.MessageType {
	switch typ := stanza.MessageType(t.Type); typ {
	case stanza.ChatMessage, stanza.HeadlineMessage, stanza.ErrorMessage, stanza.GroupChatMessage:
		return typ
	}
	return stanza.NormalMessage
}

// appendOriginal appends the message with its true addresses, which are not
// always those that the client wrote.
func appendOriginal(b []byte, t *stanza.Transit, d Direction) ([]byte, error) {
	// XEP-0297 §3.2: in the namespace jabber:client, which is declared on it.
	set := [3]stream.AttrSet{
		{Name: stream.Name{Local: "from"}, Value: t.From.String()},
		{Name: stream.Name{Local: "to"}, Value: t.To.String(), Remove: t.To.IsZero()},
		{Name: langName, Value: t.Lang()},
	}
	n := len(set)
	if set[2].Value == "" {
		n--
	}
	original := t.Element
	if d == Sent && t.To.Bare() != t.From.Bare() {
		// XEP-0313 §3.5: the id in the archive of the recipient is not for the
		// sender.
		own, _, err := sid.Strip(original, t.To.Bare())
		if err != nil {
			return b, err
		}
		original = own
	}
	b, err := original.AppendFramed(b, stream.NSClient, set[:n]...)
	if err != nil || d != Sent || len(t.SenderExtra) == 0 {
		return b, err
	}
	// An element ends with its end tag, or is an empty one.
	var end []byte
	if bytes.HasSuffix(b, []byte("/>")) {
		b = append(b[:len(b)-len("/>")], '>')
		end = []byte("</message>")
	} else {
		at := bytes.LastIndex(b, []byte("</"))
		end = bytes.Clone(b[at:])
		b = b[:at]
	}
	for _, p := range t.SenderExtra {
		if b, err = p.AppendXML(b); err != nil {
			return b, err
		}
	}
	return append(b, end...), nil
}

var langName = stream.Name{Space: stream.NSXML, Local: "lang"}
