package roster

import (
	"errors"
	"slices"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of rosters (RFC 6121 §2.1).
const NS = "jabber:iq:roster"

var (
	queryName = stream.Name{Space: NS, Local: "query"}
	itemName  = stream.Name{Space: NS, Local: "item"}
	groupName = stream.Name{Space: NS, Local: "group"}
)

// The bounds of what is decoded. They are wider than the defaults of [Limits],
// since another server may have others; what is beyond them is refused as a whole.
const (
	maxItems  = 16_384 // items of a roster; a stanza is bounded too, see [stream.Limits]
	maxGroups = 256    // groups of an item
	maxText   = 4_096  // bytes of a name, of a group, of a version
)

// Query is the element <query/> of rosters: what a get, a set, a result and a push
// carry (RFC 6121 §2.1). It is a [stanza.Payload] and a [stanza.Decoder].
type Query struct {
	// Ver is the version, opaque to clients (§2.1.1). Versioned says that there
	// is one: in a get the empty version means that nothing is cached yet
	// (§2.6.2), which is not the same as none.
	Ver       string
	Versioned bool
	// Items are the contacts: one in a set or push, none in a get.
	Items []Entry
	// Skipped is how many items of a result [Get] has left out, because their
	// addresses are none under the present rules (RFC 7622): nobody could write
	// to them, and they would cost the user all other contacts.
	Skipped int
}

// Entry is the element <item/>: a contact, or the word that it is removed.
type Entry struct {
	Item
	// Remove is subscription='remove'. Of the rest only the JID counts then.
	Remove bool
}

// AppendXML implements [stanza.Payload]. Of the state of an item it writes what
// rosters show: pending requests of contacts are not in it (RFC 6121 §A.1 state 3).
func (q *Query) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(queryName)
	if q.Versioned {
		w.Attr("ver", q.Ver)
	}
	for i := range q.Items {
		q.Items[i].write(&w, false)
	}
	w.End()
	return w.Bytes()
}

// write writes an item, for a set without what a client must not include.
func (e *Entry) write(w *stream.Writer, set bool) {
	w.Start(itemName)
	w.Attr("jid", e.JID.String())
	switch {
	case e.Remove:
		w.Attr("subscription", string(SubscriptionRemove))
	default:
		if e.Name != "" {
			w.Attr("name", e.Name)
		}
		if !set { // RFC 6121 §2.1.2.1, §2.1.2.2: a client MUST NOT include these
			w.Attr("subscription", string(e.State.Subscription()))
			if e.State.Ask() {
				w.Attr("ask", "subscribe")
			}
			if e.State.valid().Has(Approved) {
				w.Attr("approved", "true")
			}
		}
		for _, g := range e.Groups {
			w.Start(groupName)
			w.Text(g)
			w.End()
		}
	}
	w.End()
}

// DecodeElement implements [stanza.Decoder]. Everything is copied.
//
// An item without a JID, and the same contact twice, are refused with
// [stanza.BadRequest], an address that is none with [stanza.JIDMalformed], and with
// [stanza.NotAcceptable] what is too long or too many: 16,384 items, 256 groups of
// an item, 4,096 bytes in a name, a group or a version. Nothing is left of q then.
// Values of 'subscription' and 'ask' that do not exist are taken as absent (RFC
// 6121 §2.1.2.5), and so are groups without a name or named twice. Elements and
// attributes of others are ignored. The error is a [*stanza.Error].
func (q *Query) DecodeElement(el *stream.Element) error {
	return q.decode(el, false)
}

// decode is DecodeElement; with skip, items with an address that is none are left
// out.
func (q *Query) decode(el *stream.Element, skip bool) error {
	*q = Query{}
	out, err := decodeQuery(el, skip)
	if err != nil {
		return err
	}
	seen := make(map[jid.JID]bool, len(out.Items))
	for i := range out.Items {
		e := &out.Items[i]
		if seen[e.JID] {
			return refuse(stanza.BadRequest, "%s is there twice", quote.ASCII(e.JID.String(), 128))
		}
		seen[e.JID] = true
		e.Groups = tidy(e.Groups)
	}
	*q = out
	return nil
}

// tidy drops empty and repeated names.
func tidy(groups []string) []string {
	out := groups[:0]
	for _, g := range groups {
		if g != "" && !slices.Contains(out, g) {
			out = append(out, g)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// decodeQuery reads what is there, with groups as they stand.
func decodeQuery(el *stream.Element, skip bool) (Query, error) {
	if el == nil || el.Name() != queryName {
		return Query{}, refuse(stanza.BadRequest, "there is no query of %s", NS)
	}
	var q Query
	ver, ok := el.AttrBytes("ver")
	if len(ver) > maxText {
		return Query{}, refuse(stanza.NotAcceptable, "the version is too long")
	}
	q.Ver, q.Versioned = string(ver), ok
	for child := range el.Children() {
		if child.Name() != itemName {
			continue
		}
		if len(q.Items) == maxItems {
			return Query{}, refuse(stanza.NotAcceptable, "more than %d items", maxItems)
		}
		e, err := decodeEntry(child)
		if skip && errors.Is(err, stanza.JIDMalformed) {
			q.Skipped++
			continue
		}
		if err != nil {
			return Query{}, err
		}
		q.Items = append(q.Items, e)
	}
	return q, nil
}

// decodeEntry reads an item.
func decodeEntry(el *stream.Element) (Entry, error) {
	var e Entry
	addr, ok := el.AttrBytes("jid")
	if !ok {
		return e, refuse(stanza.BadRequest, "an item has no jid") // RFC 6121 §2.1.2.3
	}
	var err error
	if e.JID, err = jid.ParseBytes(addr); err != nil {
		return e, &stanza.Error{Condition: stanza.JIDMalformed, Cause: err}
	}
	switch sub := Subscription(el.Attr("subscription")); sub {
	case SubscriptionTo:
		e.State = To
	case SubscriptionFrom:
		e.State = From
	case SubscriptionBoth:
		e.State = Both
	case SubscriptionRemove:
		e.Remove = true
	}
	if el.Attr("ask") == "subscribe" {
		e.State |= PendingOut
	}
	if a := el.Attr("approved"); a == "true" || a == "1" { // xs:boolean
		e.State |= Approved
	}
	e.State = e.State.valid()
	name, _ := el.AttrBytes("name")
	if len(name) > maxText {
		return e, refuse(stanza.NotAcceptable, "the name of %s is too long", quote.ASCII(e.JID.String(), 128))
	}
	e.Name = string(name)
	for child := range el.Children() {
		if child.Name() != groupName {
			continue
		}
		if len(e.Groups) == maxGroups {
			return e, refuse(stanza.NotAcceptable, "%s is in more than %d groups", quote.ASCII(e.JID.String(), 128), maxGroups)
		}
		g := child.Text()
		if len(g) > maxText {
			return e, refuse(stanza.NotAcceptable, "the name of a group is too long")
		}
		e.Groups = append(e.Groups, g)
	}
	return e, nil
}
