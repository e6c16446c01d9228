package presence

import (
	"slices"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// The bounds of presence that is held. An address that is too many takes the place
// of the one that has been there for the longest time.
const (
	maxHeld        = 256     // addresses
	maxHeldContact = 16      // of them those of one contact
	maxHeldStanza  = 4 << 10 // octets of a stanza that is held as it came; a longer one is cut down
)

// heldBack is the last available presence of each full JID that is not believed yet, who
// came first in front.
//
// RFC 6121 §4.2.4 has a client ignore the presence of those who are not in the
// roster, and RFC 6120 §10.1 keeps the order between two entities only. So a new
// contact's presence may come, or be handled, before the roster push that tells of the
// contact (RFC 6121 §3.1.6). It does not come again, so that it has to be kept until it
// is known whether it is that of a stranger.
type heldBack []heldPresence

type heldPresence struct {
	p  *stanza.Presence // a copy, with a From
	at time.Time        // when it was sent, see sentAt
}

// hold takes note of presence that is not believed.
func (v *view) hold(p *stanza.Presence, now time.Time) {
	switch p.Type {
	case stanza.UnavailablePresence:
		v.waiting.drop(p.From)
	case stanza.AvailablePresence:
		at, _ := sentAt(p, now)
		v.waiting.keep(heldPresence{keptPresence(p, maxHeldStanza, ownJID(p.From), v.account), at})
	}
	// An error says nothing about who is available.
}

// keep adds presence, in the place of what the same address has said before.
func (h *heldBack) keep(x heldPresence) {
	if i := slices.IndexFunc(*h, func(y heldPresence) bool { return y.p.From == x.p.From }); i >= 0 {
		(*h)[i] = x
		return
	}
	h.makeRoom(x.p.From.Bare())
	*h = append(*h, x)
}

// makeRoom lets the oldest go if there is no room for one more of a contact.
func (h *heldBack) makeRoom(contact jid.JID) {
	first, n := 0, 0
	for i, x := range *h {
		if x.p.From.Bare() == contact {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	switch {
	case n >= maxHeldContact:
		*h = slices.Delete(*h, first, first+1)
	case len(*h) >= maxHeld:
		*h = slices.Delete(*h, 0, 1)
	}
}

// drop forgets an address, and with a bare JID all of its resources (RFC 6121
// §4.5.4).
func (h *heldBack) drop(from jid.JID) {
	*h = slices.DeleteFunc(*h, func(x heldPresence) bool {
		return x.p.From == from || from.IsBare() && x.p.From.Bare() == from
	})
}

// has reports whether anything of a contact is held.
func (h heldBack) has(contact jid.JID) bool {
	return slices.ContainsFunc(h, func(x heldPresence) bool { return x.p.From.Bare() == contact })
}

// release makes known what is held of a contact, who is believed now, as if it came
// now but for its time.
func (v *view) release(contact jid.JID) []Event {
	if !v.waiting.has(contact) {
		return nil
	}
	var events []Event
	for _, x := range v.waiting {
		if x.p.From.Bare() == contact {
			events = append(events, v.appear(Event{Type: x.p.Type, JID: x.p.From, Presence: x.p}, x.at)...)
		}
	}
	v.waiting.drop(contact)
	return events
}

// keptPresence returns a copy of presence to be kept for a while. As on the server,
// one that is longer than limit, in octets of XML, is cut down to what it says. From
// and to are addresses that share no memory with p.
func keptPresence(p *stanza.Presence, limit int, from, to jid.JID) *stanza.Presence {
	kept := &stanza.Presence{To: to, Type: p.Type, Show: p.Show, Status: shortened(p.Status), Priority: p.Priority}
	if b, err := p.AppendXML(nil); err == nil && len(b) <= limit {
		kept = p.Clone()
	}
	kept.From = from
	return kept
}
