package command

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/form"
)

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

var (
	// ErrEnded is what asking for another stage gives when a command was completed or
	// cancelled.
	ErrEnded = errors.New("command: the session has ended")
	// ErrAction is what an action gives that the responder does not allow in the
	// stage. Nothing was sent.
	ErrAction = errors.New("command: not allowed in this stage")
)

// List returns the commands that the entity at address to has for whoever asks
// (XEP-0050 §2.2): Node is what to execute, and Name a label. Items that belong to
// another address are left out, as §5 advises; so the address is required. The error is
// that of [disco.GetItems]. ctx should have a deadline.
func List(ctx context.Context, d Doer, to jid.JID) ([]disco.Item, error) {
	if to.IsZero() {
		return nil, fmt.Errorf("%w: command: a list of nobody", stanza.ErrInvalid)
	}
	items, err := disco.GetItems(ctx, d, to, NS)
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	var out []disco.Item
	for _, it := range items.Items {
		if it.JID == to && it.Node != "" {
			out = append(out, it)
		}
	}
	return out, nil
}

// Execution is a command that was begun with [Execute]. Its methods send the request
// for another stage and wait for the response, which becomes the new [Execution.Response].
// An error that the responder gives is one that errors.Is finds the [Condition] and
// the [stanza.Condition] in; it changes nothing, so that for example after [BadPayload]
// the form can be filled out again. It is used by one goroutine at a time.
type Execution struct {
	// Response is the latest one.
	Response *Response

	d    Doer
	to   jid.JID
	lang string
}

// Execute begins the command node of the entity at address to (XEP-0050 §2.4). The
// zero JID stands for the user's own account. A session that is neither completed nor
// cancelled should be cancelled: the responder keeps it otherwise until it expires.
//
// A response that breaks the rules, or belongs to something else, is a [*stanza.Error]
// with the condition [stanza.BadRequest] and without Received. ctx should have a
// deadline.
func Execute(ctx context.Context, d Doer, to jid.JID, node string) (*Execution, error) {
	return ExecuteIn(ctx, d, to, node, "")
}

// ExecuteIn is [Execute] with a language for the session, a BCP 47 tag (XEP-0050 §3.7).
func ExecuteIn(ctx context.Context, d Doer, to jid.JID, node, lang string) (*Execution, error) {
	e := &Execution{d: d, to: to, lang: lang}
	resp, err := e.do(ctx, &Request{Node: node, Action: Go})
	if err != nil {
		return nil, err
	}
	e.Response = resp
	return e, nil
}

// do sends a request and reads the response.
func (e *Execution) do(ctx context.Context, req *Request) (*Response, error) {
	// §3.7: on the iq element, as recommended.
	reply, err := e.d.Do(ctx, &stanza.IQ{To: e.to, Type: stanza.SetIQ, Lang: e.lang, Payload: req})
	if err != nil {
		return nil, fmt.Errorf("command: %w", specific(err))
	}
	resp := new(Response)
	el := reply.Element()
	if el == nil {
		return nil, fmt.Errorf("command: %w", malformed("a response without a command"))
	}
	if err := resp.DecodeElement(el); err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	switch {
	case resp.Node != req.Node:
		err = malformed("a response about another command")
	case req.SessionID != "" && resp.SessionID != req.SessionID && (resp.SessionID != "" || resp.Status == Executing):
		err = malformed("a response about another session")
	}
	if err != nil {
		return nil, fmt.Errorf("command: %w", err)
	}
	return resp, nil
}

// Done reports whether the session has ended.
func (e *Execution) Done() bool { return e.Response.Status != Executing }

// Next submits the form and goes to the next stage. The form may be nil.
func (e *Execution) Next(ctx context.Context, f *form.Data) error { return e.step(ctx, Next, f) }

// Complete submits the form and has the command done. The form may be nil.
func (e *Execution) Complete(ctx context.Context, f *form.Data) error {
	return e.step(ctx, Complete, f)
}

// Prev goes back to the stage before.
func (e *Execution) Prev(ctx context.Context) error { return e.step(ctx, Prev, nil) }

// Continue submits the form and goes on as the responder suggests: see
// [Actions.Default]. The action is sent by its own name, since "execute" is ambiguous
// (XEP-0050 §2.4.2), except for a command with a single stage.
func (e *Execution) Continue(ctx context.Context, f *form.Data) error { return e.step(ctx, Go, f) }

func (e *Execution) step(ctx context.Context, action Action, f *form.Data) error {
	if e.Done() {
		return ErrEnded
	}
	send, ok := e.Response.Actions.resolve(action)
	if !ok {
		return ErrAction
	}
	if action == Go && e.Response.Actions.none() {
		send = Go
	}
	return e.request(ctx, send, f)
}

// Cancel ends the session without doing anything (XEP-0050 §2.4.3). It is always
// allowed; of a session that has ended it is [ErrEnded].
func (e *Execution) Cancel(ctx context.Context) error {
	if e.Done() {
		return ErrEnded
	}
	return e.request(ctx, Cancel, nil)
}

func (e *Execution) request(ctx context.Context, action Action, f *form.Data) error {
	resp, err := e.do(ctx, &Request{Node: e.Response.Node, SessionID: e.Response.SessionID, Action: action, Form: f})
	if err != nil {
		return err
	}
	e.Response = resp
	return nil
}
