package command

import (
	"errors"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Condition is one of the specific errors of XEP-0050 §4.4. It is an error itself: the
// function of a command may return it, and errors.Is finds it in the error of a request
// that was answered with it.
type Condition string

// The specific errors.
const (
	// MalformedAction: there is no such action.
	MalformedAction Condition = "malformed-action"
	// BadAction: the action is not allowed in this stage.
	BadAction Condition = "bad-action"
	// BadLocale: the command does not speak that language.
	BadLocale Condition = "bad-locale"
	// BadPayload: the form is not filled out as it should be.
	BadPayload Condition = "bad-payload"
	// BadSessionID: there is no such session of this requester.
	BadSessionID Condition = "bad-sessionid"
	// SessionExpired: the session has ended.
	SessionExpired Condition = "session-expired"
)

// Error returns the name of the condition.
func (c Condition) Error() string { return string(c) }

// general returns the stanza error condition that goes with c, and "" if c is not one
// of the constants.
func (c Condition) general() stanza.Condition {
	switch c {
	case MalformedAction, BadAction, BadLocale, BadPayload, BadSessionID:
		return stanza.BadRequest
	case SessionExpired:
		return stanza.NotAllowed
	}
	return ""
}

// AppendXML implements [stanza.Payload]: c is an application-specific condition of a
// [stanza.Error].
func (c Condition) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(stream.Name{Space: NS, Local: string(c)})
	w.End()
	return w.Bytes()
}

// because returns the answer that says c, with a text for a human and a cause that
// stays here. Both may be empty.
func (c Condition) because(text string, cause error) *stanza.Error {
	return &stanza.Error{Condition: c.general(), Application: c, Text: text, Cause: cause}
}

// answer turns what the function of a command has returned into what the peer is told.
func answer(err error) error {
	var e *stanza.Error
	if errors.As(err, &e) {
		return err
	}
	var c Condition
	if errors.As(err, &c) && c.general() != "" {
		return c.because("", err)
	}
	return err
}

// received is the error of a request that was answered with a specific condition.
type received struct {
	Condition
	answer error
}

func (r received) Error() string   { return string(r.Condition) + ": " + r.answer.Error() }
func (r received) Unwrap() []error { return []error{r.Condition, r.answer} }

// specific adds the specific condition to an error that was received.
func specific(err error) error {
	var e *stanza.Error
	if !errors.As(err, &e) || !e.Received {
		return err
	}
	el, ok := e.Application.(*stream.Element)
	if !ok || el == nil || el.Name().Space != NS {
		return err
	}
	c := Condition(el.Name().Local)
	if c.general() == "" {
		return err
	}
	return received{c, err}
}
