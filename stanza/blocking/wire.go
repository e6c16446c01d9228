package blocking

import (
	"fmt"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0191 §3.1). NSErrors is that of its error condition (§3.3).
const (
	NS       = "urn:xmpp:blocking"
	NSErrors = "urn:xmpp:blocking:errors"
)

// maxDecoded is how many items an element may have that is decoded. There is room
// for about as many in the largest element that a stream accepts by default.
const maxDecoded = 8192

var (
	listName    = stream.Name{Space: NS, Local: "blocklist"}
	blockName   = stream.Name{Space: NS, Local: "block"}
	unblockName = stream.Name{Space: NS, Local: "unblock"}
	itemName    = stream.Name{Space: NS, Local: "item"}
	blockedName = stream.Name{Space: NSErrors, Local: "blocked"}
)

// Blocklist is the payload that asks for a list, when it is empty, and that
// answers (XEP-0191 §3.2).
type Blocklist struct {
	// Items are the blocked addresses: full, bare, or of a domain (§6).
	Items []jid.JID
}

// AppendXML implements [stanza.Payload].
func (b Blocklist) AppendXML(dst []byte) ([]byte, error) { return appendItems(dst, listName, b.Items) }

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error]: there
// is an item without an address, with one that is malformed, or there are more
// than 8,192.
func (b *Blocklist) DecodeElement(el *stream.Element) (err error) {
	b.Items, err = decodeItems(el, listName)
	return err
}

// Blocked is the payload that adds to a list, as a command and as a push
// (XEP-0191 §3.3).
type Blocked struct {
	// Items are the addresses to block, at least one.
	Items []jid.JID
}

// AppendXML implements [stanza.Payload]. It fails without items.
func (b Blocked) AppendXML(dst []byte) ([]byte, error) {
	if len(b.Items) == 0 {
		return dst, fmt.Errorf("blocking: %w: nothing to block", stanza.ErrInvalid)
	}
	return appendItems(dst, blockName, b.Items)
}

// DecodeElement implements [stanza.Decoder]. The error is that of
// [Blocklist.DecodeElement], or [stanza.BadRequest] if there is no item.
func (b *Blocked) DecodeElement(el *stream.Element) (err error) {
	if b.Items, err = decodeItems(el, blockName); err == nil && len(b.Items) == 0 {
		// XEP-0191 §3.3: "the server MUST return a <bad-request/> error".
		return invalid(stanza.BadRequest, "nothing to block")
	}
	return err
}

// Unblocked is the payload that takes away from a list, as a command and as a
// push (XEP-0191 §3.4, §3.5).
type Unblocked struct {
	// Items are the addresses to unblock. None stands for all that are blocked.
	Items []jid.JID
}

// AppendXML implements [stanza.Payload].
func (u Unblocked) AppendXML(dst []byte) ([]byte, error) {
	return appendItems(dst, unblockName, u.Items)
}

// DecodeElement implements [stanza.Decoder]. The error is that of
// [Blocklist.DecodeElement].
func (u *Unblocked) DecodeElement(el *stream.Element) (err error) {
	u.Items, err = decodeItems(el, unblockName)
	return err
}

func appendItems(dst []byte, name stream.Name, items []jid.JID) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(name)
	for _, item := range items {
		if item.IsZero() {
			return dst, fmt.Errorf("blocking: %w: an item without an address", stanza.ErrInvalid)
		}
		w.Start(itemName)
		w.Attr("jid", item.String())
		w.End()
	}
	w.End()
	return w.Bytes()
}

// decodeItems reads the addresses of an element called name. What is not an item
// is ignored: it may be an extension (RFC 6120 §8.4).
func decodeItems(el *stream.Element, name stream.Name) ([]jid.JID, error) {
	if el.Name() != name {
		return nil, invalid(stanza.BadRequest, "not a "+name.Local+" element")
	}
	var items []jid.JID
	for child := range el.Children() {
		if child.Name() != itemName {
			continue
		}
		value, ok := child.AttrBytes("jid")
		switch {
		case !ok:
			return nil, invalid(stanza.BadRequest, "an item has no jid")
		case len(items) == maxDecoded:
			return nil, invalid(stanza.PolicyViolation, "too many items")
		}
		addr, err := jid.ParseBytes(value)
		if err != nil {
			return nil, invalid(stanza.JIDMalformed, quote.ASCII(string(value), 64)+" is not an address")
		}
		items = append(items, addr)
	}
	return items, nil
}

func invalid(c stanza.Condition, text string) *stanza.Error {
	return &stanza.Error{Condition: c, Text: text}
}

// condition is the application-specific condition of the error for a stanza to
// somebody whom its sender blocks (XEP-0191 §3.3).
type condition struct{}

// AppendXML implements [stanza.Payload].
func (condition) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(blockedName)
	w.End()
	return w.Bytes()
}
