package stanza

import (
	"sync/atomic"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// IQ is an info/query stanza: one half of a request and its response (RFC 6120
// §8.2.3). The zero value cannot be sent: an IQ has an ID and a Type.
//
// After decoding, all strings, addresses and Error are copies. The element in
// Payload is borrowed: it is a view into the received bytes.
type IQ struct {
	// ID ties the response to the request. It is required (§8.2.3 rule 1).
	ID string
	// To and From are the addresses; zero means no attribute.
	To, From jid.JID
	// Type says which half this is; it is required (§8.2.3 rule 2).
	Type IQType
	// Lang is xml:lang; empty means that of the stream.
	Lang string

	// Payload is the child element. A get or set has one (§8.2.3 rule 5); a
	// result may have one (rule 6); an error may have that of the request
	// (rule 7). Decoding yields a *[stream.Element]; nil means none.
	Payload Payload
	// Error is what is wrong, in an IQ of type [ErrorIQ], where it is never nil
	// after decoding; in others it is nil.
	Error *Error

	// kept, if not nil, is set by Clone: whoever keeps a request answers it.
	kept *atomic.Bool
}

// IQType is the type attribute of an IQ (RFC 6120 §8.2.3 rule 2).
type IQType string

// The types of an IQ. Get and set are requests, result and error are responses.
const (
	GetIQ    IQType = "get"
	SetIQ    IQType = "set"
	ResultIQ IQType = "result"
	ErrorIQ  IQType = "error"
)

// Kind returns [IQKind].
func (q *IQ) Kind() Kind { return IQKind }

// Head returns the common attributes.
func (q *IQ) Head() Head { return Head{q.ID, q.To, q.From, q.Lang} }

// SetHead replaces the common attributes.
func (q *IQ) SetHead(h Head) { q.ID, q.To, q.From, q.Lang = h.ID, h.To, h.From, h.Lang }

// IsError reports whether q is of type [ErrorIQ].
func (q *IQ) IsError() bool { return q.Type == ErrorIQ }

// IsRequest reports whether q is a get or a set, which must be answered (RFC
// 6120 §8.2.3 rule 3).
func (q *IQ) IsRequest() bool { return q.Type == GetIQ || q.Type == SetIQ }

// Element returns the decoded payload, and nil if there is none or if the
// program itself has put a payload of another type there.
func (q *IQ) Element() *stream.Element {
	el, _ := q.Payload.(*stream.Element)
	return el
}

// Clone returns a deep copy that does not depend on the memory of the stream. A
// payload that is not an element is shared.
func (q *IQ) Clone() *IQ {
	keep(q)
	return q.copy()
}

func (q *IQ) clone() Stanza { return q.copy() }

func (q *IQ) copy() *IQ {
	return &IQ{
		ID: q.ID, To: q.To, From: q.From, Type: q.Type, Lang: q.Lang,
		Payload: clonePayload(q.Payload),
		Error:   q.Error.Clone(),
	}
}

// Result returns the response to the request q with the given payload, which
// may be nil: same ID, addresses swapped.
//
// A response is not answered (RFC 6120 §8.2.3 rule 4): Result returns nil if q
// is not a get or a set, and sending nil fails with [ErrInvalid].
func (q *IQ) Result(payload Payload) *IQ {
	if !q.IsRequest() {
		return nil
	}
	return &IQ{ID: q.ID, To: q.From, From: q.To, Type: ResultIQ, Payload: payload}
}

// ErrorReply returns the response to q that says err, in the way of the
// function [ErrorReply]; nil if q is an error or a result, or if err is nil.
func (q *IQ) ErrorReply(err error) *IQ {
	st, _ := ErrorReply(q, err).(*IQ)
	return st
}
