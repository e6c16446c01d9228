package stanza

import (
	"iter"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Presence is a presence stanza (RFC 6120 §8.2.2, RFC 6121 §4): the
// availability of an entity, or a step in managing a subscription to it. The
// zero value says "available".
//
// After decoding, all strings, Status, addresses and Error are copies. Its
// payloads are borrowed: they are views into the received bytes.
type Presence struct {
	// ID is the id attribute; empty means none. RFC 6120 §8.1.3 recommends one.
	ID string
	// To and From are the addresses; zero means no attribute.
	To, From jid.JID
	// Type is what the presence is about; "" is [AvailablePresence].
	Type PresenceType
	// Lang is xml:lang; empty means that of the stream.
	Lang string

	// Show is the sub-state of availability (RFC 6121 §4.7.2.1).
	Show Show
	// Status describes the availability in words, by language (§4.7.2.2).
	Status Texts
	// Priority is the priority of the resource (§4.7.2.3). Zero is the
	// default, and is not written.
	Priority int8

	// Extra are payloads to write: extensions in the sense of RFC 6120 §8.4.
	// Those that were received are not here but in the received bytes, where
	// the methods Payload and Payloads find them; they are written too.
	Extra []Payload
	// Error is what is wrong, in a presence of type [ErrorPresence], where it
	// is never nil after decoding; in others it is nil.
	Error *Error

	source *stream.Element // what the value was decoded from, or nil
}

// PresenceType is the type attribute of a presence stanza (RFC 6121 §4.7.1).
type PresenceType string

// The types of a presence stanza. On the wire, AvailablePresence is the
// absence of the attribute: there is no value "available".
const (
	AvailablePresence    PresenceType = ""
	ErrorPresence        PresenceType = "error"
	ProbePresence        PresenceType = "probe"
	SubscribePresence    PresenceType = "subscribe"
	SubscribedPresence   PresenceType = "subscribed"
	UnavailablePresence  PresenceType = "unavailable"
	UnsubscribePresence  PresenceType = "unsubscribe"
	UnsubscribedPresence PresenceType = "unsubscribed"
)

// Show is the content of the show element (RFC 6121 §4.7.2.1).
type Show string

// The sub-states of availability. ShowOnline is the absence of the element.
const (
	ShowOnline Show = ""
	ShowAway   Show = "away"
	ShowChat   Show = "chat"
	ShowDND    Show = "dnd"
	ShowXA     Show = "xa"
)

// Kind returns [PresenceKind].
func (p *Presence) Kind() Kind { return PresenceKind }

// Head returns the common attributes.
func (p *Presence) Head() Head { return Head{p.ID, p.To, p.From, p.Lang} }

// SetHead replaces the common attributes.
func (p *Presence) SetHead(h Head) { p.ID, p.To, p.From, p.Lang = h.ID, h.To, h.From, h.Lang }

// IsError reports whether p is of type [ErrorPresence].
func (p *Presence) IsError() bool { return p.Type == ErrorPresence }

// Payload returns the first received payload called name. It is a view: see
// "Lifetime" in the package documentation. Extra is not looked at.
func (p *Presence) Payload(name stream.Name) (*stream.Element, bool) {
	return findPayload(p.source, name)
}

// Payloads yields the received payloads in document order: all children but
// those that the other fields stand for. Each is borrowed until the loop takes
// its next step. Extra is not looked at.
func (p *Presence) Payloads() iter.Seq[*stream.Element] { return payloads(p.source) }

// Clone returns a deep copy that does not depend on the memory of the stream.
// Values in Extra that are not elements are shared.
func (p *Presence) Clone() *Presence {
	c := *p
	c.Status = slices.Clone(p.Status)
	c.Extra = clonePayloads(p.Extra)
	if p.source != nil {
		c.source = p.source.Clone()
	}
	c.Error = p.Error.Clone()
	return &c
}

func (p *Presence) clone() Stanza { return p.Clone() }
