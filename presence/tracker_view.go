package presence

import (
	"container/list"
	"maps"
	"slices"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// view is what a [Tracker] knows, and how stanzas change that: its pure core.
type view struct {
	account      jid.JID // bare
	maxContacts  int
	maxResources int
	maxOccupants int

	contacts map[jid.JID]*seen // by bare JID
	gone     list.List         // bare JIDs of those not available, who left first in front
	count    int               // available resources of all
	asking   []*stanza.Presence
	own      stanza.Presence // what was last broadcast, without payloads
	// told are the addresses that were sent directed presence (RFC 6121 §4.6); false
	// for those told since that it does not hold any more.
	told    map[jid.JID]bool
	waiting heldBack // presence that is not believed yet
	ignored uint64
}

// seen is what is known of one contact.
type seen struct {
	resources map[jid.JID]Availability // by full JID
	// gone is the place in view.gone, and nil while there are resources.
	gone *list.Element
	left Departure
}

// sender returns who presence is from. RFC 6120 §8.1.2.1: what the server sends
// without an address comes from the account.
func (v *view) sender(p *stanza.Presence) jid.JID {
	if p.From.IsZero() {
		return v.account
	}
	return p.From
}

// apply takes note of p. Listed is whether the sender is in the roster, or the
// account itself.
func (v *view) apply(p *stanza.Presence, now time.Time, listed bool) []Event {
	if listed {
		// What came before p is told before.
		if events := v.release(v.sender(p).Bare()); events != nil {
			return append(events, v.take(p, now, listed)...)
		}
	}
	return v.take(p, now, listed)
}

// take is apply for p alone.
func (v *view) take(p *stanza.Presence, now time.Time, listed bool) []Event {
	from := v.sender(p)
	switch p.Type {
	case stanza.AvailablePresence, stanza.UnavailablePresence, stanza.ErrorPresence:
		// RFC 6121 §4.2.4: the roster, or who there is an exchange with (§4.6); and
		// nobody else, unless it turns out that the roster was late.
		if !listed {
			if !v.toldTo(from.Bare()) {
				v.hold(p, now)
				return nil
			}
			if p.Type != stanza.ErrorPresence {
				v.waiting.drop(from) // p is newer
			}
		}
	case stanza.SubscribePresence, stanza.UnsubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribedPresence:
		from = from.Bare() // §3: subscriptions are between accounts
		if from == v.account {
			return nil
		}
	default: // §4.7.1: probes are for servers
		return nil
	}
	e := Event{Type: p.Type, JID: from, Presence: p}
	switch p.Type {
	case stanza.AvailablePresence:
		return v.appear(e, now)
	case stanza.UnavailablePresence:
		wasTold := v.toldTo(from.Bare())
		v.untell(from)
		events := v.disappear(e, now)
		if wasTold && !v.toldTo(from.Bare()) && (!listed || inRoom(p)) {
			// It was this client that has gone: nobody will tell who else does.
			events = append(events, v.forgetAvailable(from.Bare())...)
		}
		return events
	case stanza.ErrorPresence:
		// The directed presence was not taken; that says nothing about others of
		// that account, nor about an earlier nickname in the same room.
		delete(v.told, from)
	case stanza.SubscribePresence:
		if !v.ask(p, from) {
			return nil
		}
	case stanza.UnsubscribePresence:
		v.settle(from)
	}
	return []Event{e}
}

// appear is presence without a type.
func (v *view) appear(e Event, now time.Time) []Event {
	contact := e.JID.Bare()
	c := v.contacts[contact]
	limit := v.maxResources
	if v.toldTo(contact) {
		limit = v.maxOccupants
	}
	known := false
	if c != nil {
		e.Before, known = c.resources[e.JID]
	}
	if known {
		e.JID = e.Before.JID // a copy
	} else {
		if c != nil && len(c.resources) >= limit || v.count >= maxSeen {
			v.ignored++
			return nil
		}
		e.JID = ownJID(e.JID)
		if c == nil {
			if c = v.enter(e.JID.Bare()); c == nil {
				v.ignored++
				return nil
			}
		}
		if c.resources == nil {
			c.resources = make(map[jid.JID]Availability, 1)
		}
		if c.gone != nil {
			v.gone.Remove(c.gone)
			c.gone, c.left = nil, Departure{}
		}
		v.count++
	}
	e.After = availabilityOf(e.JID, e.Presence, now)
	c.resources[e.JID] = e.After
	e.Others = len(c.resources) - 1
	return []Event{e}
}

// ownJID returns a copy: an address from a stanza shares its memory with all other
// strings of the stanza, which are not to be kept with it.
func ownJID(j jid.JID) jid.JID {
	if c, err := jid.Parse(strings.Clone(j.String())); err == nil {
		return c
	}
	return j
}

// inRoom reports whether presence is that of an occupant of a room (XEP-0045 §7.2.3,
// §7.14).
func inRoom(p *stanza.Presence) bool {
	_, ok := p.Payload(stream.Name{Space: "http://jabber.org/protocol/muc#user", Local: "x"})
	return ok
}

// enter makes a contact known, or returns nil if there is no room. The address is
// kept.
func (v *view) enter(contact jid.JID) *seen {
	if len(v.contacts) >= v.maxContacts {
		oldest := v.gone.Front()
		if oldest == nil {
			return nil
		}
		delete(v.contacts, v.gone.Remove(oldest).(jid.JID))
	}
	if v.contacts == nil {
		v.contacts = make(map[jid.JID]*seen)
	}
	c := new(seen)
	v.contacts[contact] = c
	return c
}

// disappear is unavailable presence.
func (v *view) disappear(e Event, now time.Time) []Event {
	contact := e.JID.Bare()
	at, stamped := sentAt(e.Presence, now)
	left := Departure{At: at, Status: shortened(e.Presence.Status)}
	c := v.contacts[contact]
	if c != nil {
		if events := v.remove(c, e, left); events != nil {
			return events
		}
	}
	// Nobody was known to be there. That the contact is not available now does not
	// tell when it went, and may be no more than the receipt for a request (RFC 6121
	// §3.1.3 rule 3). A stamp tells (§4.3.2 rule 3).
	switch {
	case !stamped, c != nil && c.gone == nil, c != nil && !at.After(c.left.At):
		return nil
	case c == nil:
		contact = ownJID(contact)
		if c = v.enter(contact); c == nil {
			v.ignored++
			return nil
		}
	}
	v.leave(c, contact, left)
	return []Event{e}
}

// remove takes the resource that e is about, or all of a bare JID, and returns
// what comes of it.
func (v *view) remove(c *seen, e Event, left Departure) []Event {
	var gone []Availability
	if e.JID.IsBare() {
		// RFC 6121 §4.5.4: the bare JID stands for all resources.
		gone = slices.SortedFunc(maps.Values(c.resources), better)
	} else if a, ok := c.resources[e.JID]; ok {
		gone = append(gone, a)
	}
	if len(gone) == 0 {
		return nil
	}
	events := make([]Event, 0, len(gone))
	for _, a := range gone {
		delete(c.resources, a.JID)
		v.count--
		e.JID, e.Before, e.Others = a.JID, a, len(c.resources)
		events = append(events, e)
	}
	if len(c.resources) == 0 {
		v.leave(c, gone[0].JID.Bare(), left)
	}
	return events
}

// leave notes the departure of a contact, who is the last to have left. The address
// is kept.
func (v *view) leave(c *seen, contact jid.JID, left Departure) {
	if c.gone != nil {
		contact = v.gone.Remove(c.gone).(jid.JID)
	}
	c.resources, c.left = nil, left
	c.gone = v.gone.PushBack(contact)
}

// forget removes all that is known of a contact but its request.
func (v *view) forget(contact jid.JID) []Event {
	c := v.contacts[contact]
	if c == nil {
		return nil
	}
	events := v.remove(c, Event{Type: stanza.UnavailablePresence, JID: contact}, Departure{})
	if c.gone != nil {
		v.gone.Remove(c.gone)
	}
	delete(v.contacts, contact)
	return events
}

// forgetAvailable is forget for somebody whose departure, if that is known, is
// kept.
func (v *view) forgetAvailable(contact jid.JID) []Event {
	v.waiting.drop(contact)
	if c := v.contacts[contact]; c != nil && c.gone != nil {
		return nil
	}
	return v.forget(contact)
}

// lapse is the end of the client's own presence: what others do is not heard any
// more.
func (v *view) lapse() {
	maps.DeleteFunc(v.contacts, func(_ jid.JID, c *seen) bool { return c.gone == nil })
	v.count, v.told, v.waiting, v.own = 0, nil, nil, stanza.Presence{}
}

// ask notes a request for a subscription. It reports false if nothing is new: the
// request is pending, or there is no room (RFC 6121 §3.1.3, second security warning).
func (v *view) ask(p *stanza.Presence, from jid.JID) bool {
	switch {
	case slices.ContainsFunc(v.asking, func(q *stanza.Presence) bool { return q.From == from }):
		return false
	case len(v.asking) >= maxAsking:
		v.ignored++
		return false
	}
	v.asking = append(v.asking, keptPresence(p, maxRequest, ownJID(from), v.account))
	return true
}

// maxRequest is how long a request may be that is kept as it came, in octets.
const maxRequest = 8 << 10

// settle ends a request.
func (v *view) settle(contact jid.JID) {
	v.asking = slices.DeleteFunc(v.asking, func(q *stanza.Presence) bool { return q.From == contact })
}

func (v *view) requests() []*stanza.Presence {
	out := make([]*stanza.Presence, len(v.asking))
	for i, p := range v.asking {
		out[i] = p.Clone()
	}
	return out
}

// tell notes directed presence. The error wraps [roster.ErrFull].
func (v *view) tell(to jid.JID) error {
	if _, ok := v.told[to]; !ok && len(v.told) >= maxTold {
		// Those who are only believed make room.
		maps.DeleteFunc(v.told, func(_ jid.JID, holds bool) bool { return !holds })
		if len(v.told) >= maxTold {
			return roster.ErrFull
		}
	}
	if v.told == nil {
		v.told = make(map[jid.JID]bool)
	}
	v.told[ownJID(to)] = true
	return nil
}

// untell notes that an address has gone, and with a bare one all of its resources.
// The server forgets it too (RFC 6121 §4.6.1).
func (v *view) untell(from jid.JID) {
	delete(v.told, from)
	if from.IsBare() {
		maps.DeleteFunc(v.told, func(to jid.JID, _ bool) bool { return to.Bare() == from })
	}
}

// toldTo reports whether any address of a contact was sent directed presence.
func (v *view) toldTo(contact jid.JID) bool {
	for to := range v.told {
		if to.Bare() == contact {
			return true
		}
	}
	return false
}

// resources returns what is known of a contact, best first.
func (v *view) resources(contact jid.JID) []Availability {
	c := v.contacts[contact]
	if c == nil {
		return nil
	}
	out := slices.SortedFunc(maps.Values(c.resources), better)
	for i := range out {
		out[i].Status = slices.Clone(out[i].Status)
	}
	return out
}

// available returns who is available.
func (v *view) available() []jid.JID {
	var out []jid.JID
	for contact, c := range v.contacts {
		if len(c.resources) > 0 {
			out = append(out, contact)
		}
	}
	slices.SortFunc(out, func(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) })
	return out
}
