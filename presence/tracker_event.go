package presence

import (
	"cmp"
	"strings"
	"time"
	"unicode/utf8"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
)

// Availability is what a client knows of one available resource.
type Availability struct {
	// JID is its full JID; a bare JID for something without resources, such as a
	// gateway.
	JID jid.JID
	// Show, Status and Priority are those of its last presence. Of the status, 8
	// languages and 1,024 octets of each are kept.
	Show     stanza.Show
	Status   stanza.Texts
	Priority int8
	// Since is when that presence was sent, as far as its stamp says so (XEP-0203),
	// and otherwise when it came.
	Since time.Time
}

// IsZero reports whether a is nobody's.
func (a Availability) IsZero() bool { return a.JID.IsZero() }

// Departure is the end of a contact's availability.
type Departure struct {
	// At is when it was, see [Availability.Since].
	At time.Time
	// Status is what was said by way of farewell; nil if nothing.
	Status stanza.Texts
}

// Event is one thing that a [Tracker] has learned.
type Event struct {
	// Type is what it is about:
	//
	//   - AvailablePresence: a resource is available, see Before and After;
	//   - UnavailablePresence: it is no longer, or what is new is when the contact
	//     was last available, see [Tracker.Departed];
	//   - SubscribePresence: somebody asks for a subscription, to be answered with
	//     [Tracker.Approve] or [Tracker.Deny] once the user has decided;
	//   - UnsubscribePresence: somebody has ended a subscription, or taken back the
	//     request for one;
	//   - SubscribedPresence, UnsubscribedPresence: the answer to the own request,
	//     or the end of a subscription;
	//   - ErrorPresence: what was sent did not arrive, see the Error of Presence.
	Type stanza.PresenceType
	// JID is who it is about: a resource, or the bare JID of the contact.
	JID jid.JID
	// Before and After are what was and is known of the resource. They are zero for
	// what is not available.
	Before, After Availability
	// Others is how many other resources of the contact are available.
	Others int
	// Presence is the stanza, with its payloads. It is borrowed like the stanza that
	// was applied: use Clone to keep it. It is nil if no stanza has made the event. One
	// that was held back, see [Tracker.Follow], is a copy, which has no payloads if it
	// was longer than 4,096 octets.
	Presence *stanza.Presence
}

// Contact returns the bare JID of who the event is about.
func (e Event) Contact() jid.JID { return e.JID.Bare() }

// Came reports whether the contact was not available at all before.
func (e Event) Came() bool { return e.Before.IsZero() && !e.After.IsZero() && e.Others == 0 }

// Went reports whether the contact is not available at all any more.
func (e Event) Went() bool { return !e.Before.IsZero() && e.After.IsZero() && e.Others == 0 }

// availabilityOf takes from presence what is kept of it. Presence with a show or a
// priority that is none has been read as if it had none (RFC 6121 §4.7.2.1,
// §4.7.2.3).
func availabilityOf(from jid.JID, p *stanza.Presence, now time.Time) Availability {
	at, _ := sentAt(p, now)
	return Availability{JID: from, Show: p.Show, Status: shortened(p.Status), Priority: p.Priority, Since: at}
}

// sentAt returns when presence was sent, and whether it says so itself. What is to
// be sent in the future was sent now.
func sentAt(p *stanza.Presence, now time.Time) (at time.Time, stamped bool) {
	if d, ok, _ := delay.Of(p); ok { // a stamp that cannot be read is none
		if d.Stamp.After(now) {
			return now, true
		}
		return d.Stamp, true
	}
	return now, false
}

// shortened returns a copy of a status within the bounds. It shares no memory with
// the stanza.
func shortened(status stanza.Texts) stanza.Texts {
	var out stanza.Texts
	for _, x := range status {
		if len(out) < maxStatuses && len(x.Lang) <= maxLang {
			out = append(out, stanza.Text{Lang: strings.Clone(x.Lang), Value: cutText(x.Value, maxStatus)})
		}
	}
	return out
}

// cutText returns a copy of as many characters of s as n octets have room for.
func cutText(s string, n int) string {
	if len(s) > n {
		for n > 0 && !utf8.RuneStart(s[n]) {
			n--
		}
		s = s[:n]
	}
	return strings.Clone(s)
}

// inclination orders the sub-states of availability by how welcome a message is (RFC
// 6121 §4.7.2.1): the higher the better.
func inclination(s stanza.Show) int {
	switch s {
	case stanza.ShowChat:
		return 4
	case stanza.ShowAway:
		return 2
	case stanza.ShowXA:
		return 1
	case stanza.ShowDND:
		return 0
	}
	return 3
}

// better orders resources, the best one first.
func better(a, b Availability) int {
	return cmp.Or(
		cmp.Compare(b.Priority, a.Priority),
		cmp.Compare(inclination(b.Show), inclination(a.Show)),
		b.Since.Compare(a.Since),
		strings.Compare(a.JID.String(), b.JID.String()), // so that it is one and the same
	)
}
