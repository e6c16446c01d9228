package stanza

import (
	"iter"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Message is a message stanza (RFC 6120 §8.2.1, RFC 6121 §5): something pushed
// to another entity. The zero value is an empty message of type normal.
//
// After decoding, all strings, Texts, addresses and Error are copies. Its
// payloads are borrowed: they are views into the received bytes.
type Message struct {
	// ID is the id attribute; empty means none. RFC 6120 §8.1.3 recommends one.
	ID string
	// To and From are the addresses; zero means no attribute.
	To, From jid.JID
	// Type is the kind of conversation. "" means [NormalMessage]; decoding
	// never yields "".
	Type MessageType
	// Lang is xml:lang; empty means that of the stream.
	Lang string

	// Subject and Body are the texts, by language (RFC 6121 §5.2.3, §5.2.4).
	Subject, Body Texts
	// Thread identifies the conversation, and ThreadParent the one it is an
	// offshoot of (§5.2.5). Empty Thread means none, whatever ThreadParent is.
	Thread, ThreadParent string

	// Extra are payloads to write: extensions in the sense of RFC 6120 §8.4.
	// Those that were received are not here but in the received bytes, where
	// the methods Payload and Payloads find them; they are written too.
	Extra []Payload
	// Error is what is wrong, in a message of type [ErrorMessage], where it is
	// never nil after decoding; in others it is nil.
	Error *Error

	source *stream.Element // what the value was decoded from, or nil
}

// MessageType is the type attribute of a message (RFC 6121 §5.2.2).
type MessageType string

// The types of a message.
const (
	// NormalMessage stands alone: it belongs to no chat and a reply is
	// expected. It is the default, also for types that are unknown.
	NormalMessage MessageType = "normal"
	// ChatMessage belongs to a one-to-one conversation.
	ChatMessage MessageType = "chat"
	// GroupChatMessage belongs to a multi-user chat.
	GroupChatMessage MessageType = "groupchat"
	// HeadlineMessage is an alert or the like, to which no reply is expected.
	HeadlineMessage MessageType = "headline"
	// ErrorMessage reports an error about an earlier message.
	ErrorMessage MessageType = "error"
)

// Kind returns [MessageKind].
func (m *Message) Kind() Kind { return MessageKind }

// Head returns the common attributes.
func (m *Message) Head() Head { return Head{m.ID, m.To, m.From, m.Lang} }

// SetHead replaces the common attributes.
func (m *Message) SetHead(h Head) { m.ID, m.To, m.From, m.Lang = h.ID, h.To, h.From, h.Lang }

// IsError reports whether m is of type [ErrorMessage].
func (m *Message) IsError() bool { return m.Type == ErrorMessage }

// Payload returns the first received payload called name. It is a view: see
// "Lifetime" in the package documentation. Extra is not looked at.
func (m *Message) Payload(name stream.Name) (*stream.Element, bool) {
	return findPayload(m.source, name)
}

// Payloads yields the received payloads in document order: all children but
// those that the other fields stand for. Each is borrowed until the loop takes
// its next step. Extra is not looked at.
func (m *Message) Payloads() iter.Seq[*stream.Element] { return payloads(m.source) }

// Clone returns a deep copy that does not depend on the memory of the stream.
// Values in Extra that are not elements are shared.
func (m *Message) Clone() *Message {
	c := *m
	c.Subject, c.Body = slices.Clone(m.Subject), slices.Clone(m.Body)
	c.Extra = clonePayloads(m.Extra)
	if m.source != nil {
		c.source = m.source.Clone()
	}
	c.Error = m.Error.Clone()
	return &c
}

func (m *Message) clone() Stanza { return m.Clone() }

// Reply returns an answer to m with one text: addressed to the sender of m, of
// the same type (RFC 6121 §5.2.2) and in the same thread (§5.2.5). In a group
// chat the whole room is answered, so the resource is left out of the address.
// From is the address that m was sent to. The reply has no ID yet.
//
// An error is not answered, or two programs would answer each other for ever:
// Reply returns nil then, and sending nil fails with [ErrInvalid].
func (m *Message) Reply(body string) *Message {
	if m.IsError() {
		return nil
	}
	to := m.From
	if m.Type == GroupChatMessage {
		to = to.Bare()
	}
	return &Message{
		To: to, From: m.To, Type: m.Type, Body: Plain(body),
		Thread: m.Thread, ThreadParent: m.ThreadParent,
	}
}
