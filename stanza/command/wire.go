package command

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, its feature in service discovery, and the node
// under which an entity lists its commands (XEP-0050 §2.1, §2.2).
const NS = "http://jabber.org/protocol/commands"

var name = stream.Name{Space: NS, Local: "command"}

// The bounds of what is read.
const (
	maxAttr     = 1024    // octets of a node and of the identifier of a session
	maxNotes    = 64      // notes
	maxNote     = 4 << 10 // octets of a note; longer ones are refused
	maxPayloads = 16      // elements besides form and notes
)

// Action is what a requester wants to happen (XEP-0050 §4.1).
type Action string

// The actions.
const (
	Go       Action = "execute"  // begin, or go on in the way that the responder suggests
	Cancel   Action = "cancel"   // end the session without doing anything
	Prev     Action = "prev"     // back to the stage before
	Next     Action = "next"     // to the next stage
	Complete Action = "complete" // do it now
)

// Status is where a command has got to (XEP-0050 §4.1).
type Status string

// The statuses.
const (
	Executing Status = "executing" // there is another stage
	Completed Status = "completed" // the session has ended; notes say how
	Canceled  Status = "canceled"  // the session has ended, and nothing was done
)

// Severity is how important a note is (XEP-0050 §4.3).
type Severity string

// The severities.
const (
	Info  Severity = "info"  // for information
	Warn  Severity = "warn"  // a warning
	Error Severity = "error" // the reason why something failed
)

// Note is text for a human about the outcome of a stage (XEP-0050 §4.3).
type Note struct {
	Severity Severity // "" means Info, and decoding never yields ""
	Text     string
}

// Actions says what is allowed in a stage besides [Cancel], which always is (XEP-0050
// §3.4, §4.2). The zero value stands for a command with a single stage, that can only
// be completed.
type Actions struct {
	Prev, Next, Complete bool
	// Default is what [Go] stands for. "" means Next if that is allowed, or else
	// Complete, or else Prev; and when reading, Next.
	Default Action
}

// allows reports whether a may be done.
func (s Actions) allows(a Action) bool {
	switch a {
	case Prev:
		return s.Prev
	case Next:
		return s.Next
	case Complete:
		return s.Complete || s.none()
	}
	return false
}

// none reports whether there is no element: a single stage.
func (s Actions) none() bool { return !s.Prev && !s.Next && !s.Complete }

// resolve returns what a stands for, and false if it is not allowed (§3.4).
func (s Actions) resolve(a Action) (Action, bool) {
	if a == Go || a == "" {
		a = s.preset()
	}
	return a, s.allows(a)
}

// preset returns what [Go] stands for.
func (s Actions) preset() Action {
	switch {
	case s.none():
		return Complete
	case s.Default != "" && s.Default != Go:
		return s.Default
	case s.Next:
		return Next
	case s.Complete:
		return Complete
	}
	return Prev
}

// Request is the command element of a request (XEP-0050 §4.1).
type Request struct {
	// Node names the command. It is required.
	Node string
	// SessionID is that of the response before; empty begins a session.
	SessionID string
	// Action is what to do; "" means [Go], and decoding never yields "".
	Action Action
	// Lang is the language to use; empty means that of the stanza.
	Lang string
	// Form is what was filled out, usually of type [form.Submit]; nil means none.
	Form *form.Data
}

// AppendXML implements [stanza.Payload].
func (r *Request) AppendXML(dst []byte) ([]byte, error) {
	w, err := start(dst, r.Node, r.SessionID)
	if err != nil {
		return dst, err
	}
	if r.Action != "" {
		if !r.Action.known() {
			return dst, fmt.Errorf("%w: unknown action", stanza.ErrInvalid)
		}
		w.Attr("action", string(r.Action))
	}
	w.Lang(r.Lang)
	if r.Form != nil {
		w.Append(r.Form)
	}
	w.End()
	return w.Bytes()
}

func (a Action) known() bool {
	switch a {
	case Go, Cancel, Prev, Next, Complete:
		return true
	}
	return false
}

// start begins the element with the attributes that request and response share.
func start(dst []byte, node, session string) (w stream.Writer, err error) {
	if node == "" || len(node) > maxAttr || len(session) > maxAttr { // §4.1: MUST be present
		return w, fmt.Errorf("%w: a command with an unusable node or session", stanza.ErrInvalid)
	}
	w = stream.NewWriter(dst)
	w.Start(name)
	w.Attr("node", node)
	if session != "" {
		w.Attr("sessionid", session)
	}
	return w, nil
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with the
// condition [stanza.BadRequest]; for an unknown action it wraps [MalformedAction], for a
// session identifier that is empty or too long [BadSessionID], and for a form that
// cannot be read [BadPayload]. A status is ignored (XEP-0050 §4.1), and so is any other
// element. On an error r is zero.
func (r *Request) DecodeElement(el *stream.Element) error {
	*r = Request{}
	node, session, err := attrs(el)
	if err != nil {
		return err
	}
	out := Request{Node: node, SessionID: session, Action: Go, Lang: el.Lang()}
	if b, ok := el.AttrBytes("action"); ok {
		out.Action = Action(b)
		if !out.Action.known() {
			return MalformedAction.because("", MalformedAction)
		}
	}
	if child, ok := el.Child(form.Name); ok {
		out.Form = new(form.Data)
		if err := out.Form.DecodeElement(child); err != nil {
			return BadPayload.because("malformed form", badPayload{err})
		}
	}
	*r = out
	return nil
}

// badPayload is the cause of an error about a form: [BadPayload] and what is wrong.
type badPayload struct{ err error }

func (b badPayload) Error() string { return b.err.Error() }

// Is makes errors.Is find the condition without the error having to be of two minds
// about what the peer is told: what is inside is a [*stanza.Error] of its own.
func (b badPayload) Is(target error) bool { return target == BadPayload }

// attrs reads the attributes that request and response share.
func attrs(el *stream.Element) (node, session string, err error) {
	if el.Name() != name {
		return "", "", malformed("not a command")
	}
	node = el.Attr("node")
	if node == "" || len(node) > maxAttr {
		return "", "", malformed("a command without a usable node")
	}
	if b, ok := el.AttrBytes("sessionid"); ok {
		if len(b) == 0 || len(b) > maxAttr { // §4.1: MUST NOT be empty
			return "", "", BadSessionID.because("", BadSessionID)
		}
		session = string(b)
	}
	return node, session, nil
}

func malformed(text string) error { return &stanza.Error{Condition: stanza.BadRequest, Text: text} }
