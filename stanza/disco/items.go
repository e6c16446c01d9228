package disco

import (
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

var (
	itemsName = stream.Name{Space: NSItems, Local: "query"}
	itemName  = stream.Name{Space: NSItems, Local: "item"}
)

// Item is something that belongs to an entity (XEP-0030 §4): another entity, or
// a node of one.
type Item struct {
	// JID is its address, or that of the entity whose node it is; required.
	JID jid.JID
	// Node tells items with the same address apart; empty for what has an
	// address of its own.
	Node string
	// Name is for a human reader; it may be empty. It is the peer's word.
	Name string
}

// Items is the answer to a query for items, and without any the query itself.
// All of a decoded Items is its own memory.
type Items struct {
	// Node is whose items these are; empty means those of the entity itself.
	Node string
	// Items are in the order of the answer. None is a valid answer (XEP-0030
	// §4.1).
	Items []Item
}

// AppendXML implements [stanza.Payload]. It fails with [stanza.ErrInvalid] for an
// item without an address, and for more than [MaxItems].
func (i *Items) AppendXML(dst []byte) ([]byte, error) {
	if len(i.Items) > MaxItems {
		return dst, invalid("too many items")
	}
	w := stream.NewWriter(dst)
	w.Start(itemsName)
	if i.Node != "" {
		w.Attr("node", i.Node)
	}
	for _, it := range i.Items {
		if it.JID.IsZero() {
			return dst, invalid("item without jid")
		}
		w.Start(itemName)
		w.Attr("jid", it.JID.String())
		if it.Node != "" {
			w.Attr("node", it.Node)
		}
		if it.Name != "" {
			w.Attr("name", it.Name)
		}
		w.End()
	}
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error]: with
// [stanza.BadRequest] for an element that is something else, an item without an
// address (XEP-0030 §4.1), and more than the bounds of this package allow; with
// [stanza.JIDMalformed] for an item whose address is none. Other children are
// ignored, and so is what is inside of an item.
func (i *Items) DecodeElement(el *stream.Element) error {
	*i = Items{}
	if el.Name() != itemsName {
		return malformed("not a disco#items query")
	}
	d := decoder{}
	out := Items{Node: d.attr(el, "node")}
	for child := range el.Children() {
		if child.Name() != itemName {
			continue
		}
		if len(out.Items) == MaxItems {
			return malformed("too many items")
		}
		b, _ := child.AttrBytes("jid")
		if len(b) == 0 {
			return malformed("item without jid")
		}
		address, err := jid.ParseBytes(b)
		if err != nil {
			return &stanza.Error{Condition: stanza.JIDMalformed, Text: "item with a malformed jid", Cause: err}
		}
		out.Items = append(out.Items, Item{JID: address, Node: d.attr(child, "node"), Name: d.attr(child, "name")})
	}
	if d.err != nil {
		return d.err
	}
	*i = out
	return nil
}

func invalid(text string) error { return fmt.Errorf("disco: %w: %s", stanza.ErrInvalid, text) }
