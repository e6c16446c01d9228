package roster

import (
	"context"
	"slices"
	"strconv"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Limits is what a server accepts in a roster set. The zero value of each field
// is a default; nil limits are the defaults.
type Limits struct {
	// NameBytes and GroupBytes are how long the name of an item and of a group
	// may be. Zero means 1,023.
	NameBytes, GroupBytes int
	// Groups is how many groups an item may be in. Zero means 64.
	Groups int
	// ItemBytes is how long the name and the groups of an item may be together.
	// Zero means 4,096: a roster goes over a stream in one piece.
	ItemBytes int
}

// withDefaults returns a copy of l, which may be nil, without zero fields. What is
// never decoded cannot be accepted.
func (l *Limits) withDefaults() Limits {
	var out Limits
	if l != nil {
		out = *l
	}
	out.NameBytes = min(orDefault(out.NameBytes, 1023), maxText)
	out.GroupBytes = min(orDefault(out.GroupBytes, 1023), maxText)
	out.Groups = min(orDefault(out.Groups, 64), maxGroups)
	out.ItemBytes = orDefault(out.ItemBytes, 4096)
	return out
}

// ParseGet reads the roster get iq that has reached an account, which is a bare
// JID. iq has the address of its authenticated sender.
//
// The error is a [*stanza.Error] to answer with: [stanza.ServiceUnavailable] for
// the roster of somebody else, which tells a stranger nothing (RFC 6121 §2, security
// warning), and [stanza.BadRequest] for a get with items (§2.1.3).
func ParseGet(account jid.JID, iq *stanza.IQ) (*Query, error) {
	if iq.From.Bare() != account {
		return nil, refuse(stanza.ServiceUnavailable, "")
	}
	q, err := decodeQuery(iq.Element(), false)
	if err != nil {
		return nil, err
	}
	if len(q.Items) != 0 {
		return nil, refuse(stanza.BadRequest, "a roster get has no items")
	}
	return &q, nil
}

// ParseSet reads the roster set iq that has reached an account, which is a bare
// JID. iq has the address of its authenticated sender. lim may be nil.
//
// What comes out is valid. Of an item to be removed it is the JID, and else JID,
// Name and Groups: the rest is not the client's to set and is ignored (RFC 6121
// §2.1.2.1, §2.1.2.2, §2.1.5 rule 2). See [Entry.Apply] for what comes next.
//
// The error is a [*stanza.Error] to answer with (§2.3.3):
//
//   - [stanza.Forbidden]: the roster is somebody else's.
//   - [stanza.BadRequest]: not one item, an item without a JID, or with that of a
//     resource; the same group twice, compared in the way of resourceparts.
//   - [stanza.JIDMalformed]: an address that is none.
//   - [stanza.NotAllowed]: the account itself (§2.3.3, interoperability note): who is
//     his own contact would answer his own requests.
//   - [stanza.NotAcceptable]: the name is too long, or a group is empty or too long,
//     or there are too many, or all of it is too long together.
func ParseSet(account jid.JID, iq *stanza.IQ, lim *Limits) (Entry, error) {
	// First of all: who may not change the roster learns nothing about it.
	if iq.From.Bare() != account {
		return Entry{}, refuse(stanza.Forbidden, "this is the roster of somebody else")
	}
	q, err := decodeQuery(iq.Element(), false)
	if err != nil {
		return Entry{}, err
	}
	// RFC 6121 §2.1.5 rule 1, §2.3.3.
	if len(q.Items) != 1 {
		return Entry{}, refuse(stanza.BadRequest, "a roster set has one item, not %d", len(q.Items))
	}
	e := q.Items[0]
	e.State = None
	switch {
	case e.Remove: // of whatever there is
		return Entry{Item: Item{JID: e.JID}, Remove: true}, nil
	case e.JID.Bare() == account:
		return Entry{}, refuse(stanza.NotAllowed, "nobody is his own contact")
	case e.JID.IsFull():
		return Entry{}, refuse(stanza.BadRequest, "a contact is a bare JID, and %s is not", quote.ASCII(e.JID.String(), 128))
	}
	if err := lim.check(e.Item); err != nil {
		return Entry{}, err
	}
	return e, nil
}

// check checks the name and the groups of an item.
func (l *Limits) check(i Item) error {
	lim := l.withDefaults()
	if len(i.Name) > lim.NameBytes {
		return refuse(stanza.NotAcceptable, "the name is longer than %d bytes", lim.NameBytes)
	}
	if len(i.Groups) > lim.Groups {
		return refuse(stanza.NotAcceptable, "the contact is in more than %d groups", lim.Groups)
	}
	seen := make(map[string]bool, len(i.Groups))
	bytes := len(i.Name)
	for _, g := range i.Groups {
		bytes += len(g)
		switch {
		case bytes > lim.ItemBytes:
			return refuse(stanza.NotAcceptable, "the name and the groups are longer than %d bytes together", lim.ItemBytes)
		case g == "":
			return refuse(stanza.NotAcceptable, "a group without a name")
		case len(g) > lim.GroupBytes:
			return refuse(stanza.NotAcceptable, "the name of a group is longer than %d bytes", lim.GroupBytes)
		}
		g = comparisonForm(g)
		if seen[g] {
			return refuse(stanza.BadRequest, "the same group twice")
		}
		seen[g] = true
	}
	return nil
}

// comparisonForm brings the name of a group to the form of resourceparts, which RFC 6121
// §2.3.3 names as a way to compare; a name that cannot be a resourcepart stays.
func comparisonForm(group string) string {
	if j, err := jid.New("", "x", group); err == nil {
		return j.Resource()
	}
	return group
}

// Apply returns what becomes of the item of a contact by a roster set: old is what
// is kept of the contact, the zero Item if there is nothing. Put the result into the
// [Store] and push it to the interested resources; then answer with an empty result
// (RFC 6121 §2.3.2). The state stays, and so does a pending request (§A.1 state 3).
//
// For an Entry with Remove the result is the item with nothing but its JID, to be
// removed from the store. What is to be sent to the contact is old.State.Removal.
// The error is a [*stanza.Error] with [stanza.ItemNotFound] if the item is not in
// the roster (§2.5.3).
func (e Entry) Apply(old Item) (Item, error) {
	if !e.Remove {
		old.JID, old.Name, old.Groups, old.Added = e.JID, e.Name, e.Groups, true
		return old, nil
	}
	if old.JID != e.JID || !old.Listed() {
		// §2.5.3 has the type modify in its example, where RFC 6120 §8.3.3.7
		// recommends cancel.
		return Item{}, &stanza.Error{Condition: stanza.ItemNotFound, Type: stanza.ModifyError}
	}
	return Item{JID: e.JID}, nil
}

// Result returns the whole roster as the payload of a roster result: the listed
// items and the version (RFC 6121 §2.1.4).
func (r Roster) Result() *Query {
	q := &Query{Ver: FormatVersion(r.Version), Versioned: true, Items: make([]Entry, 0, len(r.Items))}
	for _, i := range r.Items {
		if i.Listed() {
			q.Items = append(q.Items, Entry{Item: i})
		}
	}
	return q
}

// Push returns the change as the payload of a roster push, which is the same for
// all resources. A push has the resource's full JID as its address and none in
// From (RFC 6121 §2.1.6); replies to it do not matter.
func (c Change) Push() *Query {
	return &Query{Ver: FormatVersion(c.Version), Versioned: true, Items: []Entry{{Item: c.Item, Remove: c.Removed}}}
}

// Answer answers a roster get from what is in the store, with versioning (RFC 6121
// §2.6.3). The result is the whole roster, or nil for an empty IQ-result, after which
// the changes are pushed to the resource that has asked, in their order, before
// anything newer. The error is that of the store.
func Answer(ctx context.Context, s Store, account jid.JID, get *Query) (result *Query, pushes []Change, err error) {
	if since, ok := get.since(); ok {
		changes, known, err := s.Changes(ctx, account, since)
		switch {
		case err != nil:
			return nil, nil, err
		case known && len(changes) <= fewChanges:
			return nil, changes, nil
		case known:
			r, err := s.Roster(ctx, account)
			if err != nil {
				return nil, nil, err
			}
			// A push costs about as much as two items of a result.
			if whole := r.Result(); len(whole.Items) <= 2*len(changes) {
				return whole, nil, nil
			}
			return nil, changes, nil
		}
	}
	r, err := s.Roster(ctx, account)
	if err != nil {
		return nil, nil, err
	}
	return r.Result(), nil, nil
}

// fewChanges are always pushed, without a look at how long the roster is.
const fewChanges = 8

// since returns the version that a get knows, if it knows any of ours.
func (q *Query) since() (uint64, bool) {
	if q == nil {
		return 0, false
	}
	return ParseVersion(q.Ver)
}

// FormatVersion returns a version as it stands in the attribute 'ver'.
func FormatVersion(v uint64) string { return strconv.FormatUint(v, 10) }

// ParseVersion reads what FormatVersion has written. It reports false for anything
// else, such as the version of another server or the empty one of a client that has
// no roster yet (RFC 6121 §2.6.2).
func ParseVersion(ver string) (uint64, bool) {
	v, _ := strconv.ParseUint(ver, 10, 64)
	return v, FormatVersion(v) == ver // which no string is that is no number
}

// maxRequest is how long a subscribe stanza may be to be kept as it is.
const maxRequest = 8 << 10

// KeepRequest returns a subscribe stanza in the form of [Item.Request], with all
// its contents, to be kept while it is pending (RFC 6121 §3.1.3 rule 4). The
// addresses are the bare JIDs of both sides (§3.1.2, §3.1.3). A stanza that is
// longer than 8 KiB, which is somebody else's to choose, is cut down to its
// addresses.
func KeepRequest(p *stanza.Presence) []byte {
	kept := *p
	kept.From, kept.To = p.From.Bare(), p.To.Bare()
	b, err := stanza.Qualified(&kept, stream.NSClient).AppendXML(nil)
	if err == nil && len(b) <= maxRequest {
		return slices.Clip(b)
	}
	bare := stanza.Presence{From: kept.From, To: kept.To, Type: stanza.SubscribePresence}
	b, err = stanza.Qualified(&bare, stream.NSClient).AppendXML(nil)
	if err != nil {
		return nil // [Item.Subscribe] makes one up
	}
	return slices.Clip(b)
}

// Subscribe returns the kept request as a stanza to deliver to the resources of
// account. It is as it came, or has nothing but its addresses if it was not kept or
// cannot be read any more. The result is the caller's own.
func (i Item) Subscribe(account jid.JID) *stanza.Presence {
	if el, err := stream.ParseElement(slices.Clone(i.Request), nil); err == nil {
		p := new(stanza.Presence)
		if p.DecodeElement(el) == nil && p.Type == stanza.SubscribePresence && p.From == i.JID.Bare() {
			p.To = account
			return p
		}
	}
	return &stanza.Presence{From: i.JID.Bare(), To: account, Type: stanza.SubscribePresence}
}
