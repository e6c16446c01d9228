package command

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
)

// Command is something that a [Responder] can be asked to do.
type Command struct {
	// Node is the name of the command in the protocol, and unique in a Responder.
	// It is required.
	Node string
	// Name is its label for a human. It should be there.
	Name string
	// Allowed decides who may execute the command, see it in the list and ask about it;
	// it is called for every stage. Nil means nobody: for a command that is for
	// everybody, use [Anybody].
	Allowed func(from jid.JID) bool
	// Langs are the languages that the command speaks, BCP 47 tags; a request in
	// another one is refused with [BadLocale] (XEP-0050 §3.7). Nil means that
	// language does not matter.
	Langs []string
	// Run does what is to be done in a stage: see [Session]. It is required. It runs in
	// the goroutine of the handler, and several at once for different sessions. An error
	// is the answer, in the way of [stanza.Handler]; it may be a [Condition]. The session
	// stays as it was before the request then.
	Run func(ctx context.Context, s *Session) error
}

// Anybody is for [Command.Allowed].
func Anybody(jid.JID) bool { return true }

// Session is what the function of a command gets for one stage. It is valid until the
// function returns, which before calls [Session.Ask] for another stage, or
// [Session.Finish], or nothing: then the command is completed without a result.
//
// Stages count from zero. The function is first called with Stage 0, and asks; what was
// filled out arrives with Stage 1, and so on. When the requester goes back, the function
// is called with the Stage before, with Action [Prev] and without a Form, and asks again
// what it asked there.
type Session struct {
	// From is who asks: the full JID that the session is bound to.
	From jid.JID
	// Node is the name of the command.
	Node string
	// Lang is the language of the session: one of Command.Langs, or if that is nil
	// what was asked for first, which may be empty.
	Lang string
	// Stage is what is to be done: see above.
	Stage int
	// Action is [Next], [Prev] or [Complete], one that was allowed; and [Go] in the
	// first request.
	Action Action
	// Form is the submission, which was found valid for the form that was asked for:
	// see [form.Data.Check]. It is nil after Prev, in the first request, where nothing
	// was asked for, and if no form was. If a form was asked for and none was
	// submitted, it has no fields.
	Form *form.Data
	// Value is for the program; it is kept from stage to stage. A session that expires
	// is dropped without notice: keep nothing in it that has to be closed.
	Value any

	notes    []Note
	payloads []stanza.Payload
	form     *form.Data
	actions  Actions
	asked    bool
	failed   error
}

// errStage is the error of a command that asks for what cannot be.
var errStage = errors.New("command: a stage with a default that is not allowed, or a way back from the first")

// Ask shows f to the requester, which may be nil, and allows what comes next. The zero
// [Actions] allow to complete the command. The form is kept for checking the submission:
// it is not to be changed any more.
func (s *Session) Ask(f *form.Data, allowed Actions) {
	if !allowed.allows(allowed.preset()) || allowed.Prev && s.Stage == 0 {
		s.failed = errStage
	}
	s.form, s.actions, s.asked = f, allowed, true
}

// Finish completes the command with a result, which may be nil.
func (s *Session) Finish(result *form.Data) { s.form, s.asked = result, false }

// Fail completes the command and says that it has failed, and why (XEP-0050 §3.6).
func (s *Session) Fail(reason string) {
	s.Note(Error, reason)
	s.Finish(nil)
}

// Note adds a note to the response.
func (s *Session) Note(severity Severity, text string) {
	s.notes = append(s.notes, Note{severity, text})
}

// Attach adds an element of another kind to the response.
func (s *Session) Attach(p stanza.Payload) { s.payloads = append(s.payloads, p) }
