package sm

import (
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// FailedError says that the server did not resume a session, with <failed/>
// (XEP-0198 §6). It is the reason of the receipts of that session.
type FailedError struct {
	// Condition is the name of a stanza error condition (RFC 6120 §8.3.3).
	// "item-not-found" is what a session that has timed out gets.
	Condition string
	// Text is for people, and may be empty.
	Text string
}

// Error names the condition, and quotes the text.
func (e *FailedError) Error() string {
	s := "sm: the server did not resume the session: " + e.Condition
	if e.Text != "" {
		s += " (" + quote.ASCII(e.Text, 128) + ")"
	}
	return s
}

// errProtocol is the cause of stream errors about what a peer says of a session.
var errProtocol = errors.New("sm: the peer breaks the rules of stream management")

// breach returns the stream error for such a peer.
func breach(format string, args ...any) *stream.Error {
	return &stream.Error{Condition: stream.UndefinedCondition, Text: fmt.Sprintf(format, args...), Cause: errProtocol}
}

// streamError turns an error of the core into what the peer is told.
func streamError(err error) error {
	var count *HandledCountError
	var malformed *MalformedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &count):
		return count.StreamError()
	case errors.As(err, &malformed):
		return &stream.Error{Condition: stream.BadFormat, Text: malformed.Error(), Cause: malformed}
	}
	return err
}

// Unwrap returns [ErrNotResumed].
func (e *FailedError) Unwrap() error { return ErrNotResumed }
