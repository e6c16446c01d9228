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
	maxEarly        = 256     // addresses
	maxEarlyContact = 16      // of them those of one contact
	maxEarlyStanza  = 4 << 10 // octets of a stanza that is held as it came; a longer one is cut down
)

// early is the last available presence of each full JID that is not believed yet, who
// came first in front.
//
// RFC 6121 §4.2.4 has a client ignore the presence of those who are not in the
// roster, and RFC 6120 §10.1 keeps the order between two entities only. So a new
// contact's presence may come, or be handled, before the roster push that tells of the
// contact (RFC 6121 §3.1.6). It does not come again, so that it has to be kept until it
// is known whether it is that of a stranger.
type early []earlyPresence

type earlyPresence struct {
	p  *stanza.Presence // a copy, with a From
	at time.Time        // when it was sent, see sentAt
}

// hold takes note of presence that is not believed.
func (v *view) hold(p *stanza.Presence, now time.Time) {
	switch p.Type {
	case stanza.UnavailablePresence:
		v.early.drop(p.From)
	case stanza.AvailablePresence:
		at, _ := sentAt(p, now)
		v.early.keep(earlyPresence{keptPresence(p, maxEarlyStanza, ownJID(p.From), v.account), at})
	}
	// An error says nothing about who is available.
}

// keep adds presence, in the place of what the same address has said before.
func (e *early) keep(x earlyPresence) {
	if i := slices.IndexFunc(*e, func(y earlyPresence) bool { return y.p.From == x.p.From }); i >= 0 {
		(*e)[i] = x
		return
	}
	e.makeRoom(x.p.From.Bare())
	*e = append(*e, x)
}

// makeRoom lets the oldest go if there is no room for one more of a contact.
func (e *early) makeRoom(contact jid.JID) {
	first, n := 0, 0
	for i, x := range *e {
		if x.p.From.Bare() == contact {
			if n == 0 {
				first = i
			}
			n++
		}
	}
	switch {
	case n >= maxEarlyContact:
		*e = slices.Delete(*e, first, first+1)
	case len(*e) >= maxEarly:
		*e = slices.Delete(*e, 0, 1)
	}
}

// drop forgets an address, and with a bare JID all of its resources (RFC 6121
// §4.5.4).
func (e *early) drop(from jid.JID) {
	*e = slices.DeleteFunc(*e, func(x earlyPresence) bool {
		return x.p.From == from || from.IsBare() && x.p.From.Bare() == from
	})
}

// has reports whether anything of a contact is held.
func (e early) has(contact jid.JID) bool {
	return slices.ContainsFunc(e, func(x earlyPresence) bool { return x.p.From.Bare() == contact })
}

// release makes known what is held of a contact, who is believed now, as if it came
// now but for its time.
func (v *view) release(contact jid.JID) []Event {
	if !v.early.has(contact) {
		return nil
	}
	var events []Event
	for _, x := range v.early {
		if x.p.From.Bare() == contact {
			events = append(events, v.appear(Event{Type: x.p.Type, JID: x.p.From, Presence: x.p}, x.at)...)
		}
	}
	v.early.drop(contact)
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
