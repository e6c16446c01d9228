package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// A TaskFunc is one side of a task of SASL 2 (XEP-0388 §2.6.3): what there is to do between the
// mechanism and success, a second factor for example. It is for one exchange and is called with one
// message after the other. What is in these messages is for each task to define, as elements of a
// namespace of its own.
//
// On the server, in is the client's <next/> at first and then each of its <task-data/>. The function
// writes what the next <task-data/> holds; or it returns done, and what it has written is sent with
// the outcome.
//
// On the client, in is nil at first, and the function writes what <next/> holds; then it is each
// <task-data/> of the server, and the function writes the answer. It returns done when, as far as the
// client is concerned, the task is complete. If it is not when the server says so, the function gets
// that element, <success/> or <continue/>, to find what the server has to add: it must then be done,
// and write nothing.
//
// The element is borrowed for the call, the writer too. On the server, condition and text of a
// [*sasl.Error] go to the client, sasl.NotAuthorized for a wrong code, say; a [*stream.Error] itself
// ends the stream; of any other error, or of one that is wrapped, it learns nothing. An attempt that
// does not get beyond a task it has begun has failed. On the client an error ends the negotiation.
type TaskFunc func(ctx context.Context, in *stream.Element, w *stream.Writer) (done bool, err error)

// Task is something that a server may want a client to do before it is let in, after the mechanism.
// Nothing at all is granted until all tasks are done. They are for people, who take their time: see
// stream.AcceptOptions.Timeout.
//
// A login by token (XEP-0484) has no tasks: the token stands for those that were done for it. It is no
// longer good when others are required, of somebody who has switched a second factor on, say.
type Task struct {
	// Name is what the task is known by: 1 to 20 upper-case letters, digits, hyphens and
	// underscores.
	Name string

	// Text says to the user of the client what is wanted. Empty: nothing.
	Text string

	// Required decides whether the client has to do the task now. It is asked after the mechanism, and
	// again after each task: all that are required at a time are offered together, and the client picks
	// one. A task that will do instead of another one is no longer required when the other one is
	// done. It is asked about a login by token too, with the tasks that were done for the token. Nil
	// means always.
	Required func(context.Context, TaskAccount) (bool, error)

	// Begin returns the server's side of the task. It must be set.
	Begin func(context.Context, TaskAccount) (TaskFunc, error)
}

// TaskAccount is what a server knows of a client that is not let in yet.
type TaskAccount struct {
	Account   jid.JID // bare: whose credentials were verified
	Mechanism string
	Agent     stream.UserAgent
	Done      []string // the names of the tasks that are done
}

// ClientTask is a task that a client can do.
type ClientTask struct {
	// Name is that of the server's [Task].
	Name string

	// Begin returns the client's side of the task. The text is the server's, for the user: data from
	// the wire, and cut to 512 bytes. It must be set.
	Begin func(ctx context.Context, text string) (TaskFunc, error)
}

// required returns those of the tasks that are still to be done.
func required(ctx context.Context, tasks []Task, who TaskAccount) ([]Task, error) {
	var out []Task
	for _, t := range tasks {
		if slices.Contains(who.Done, t.Name) {
			continue
		}
		if t.Required != nil {
			now, err := t.Required(ctx, who)
			if err != nil {
				return nil, err
			}
			if !now {
				continue
			}
		}
		out = append(out, t)
	}
	return out, nil
}

// checkTask refuses a task that cannot be used.
func checkTask(name string, begin bool, earlier []string) error {
	switch {
	case !validMechanism(name):
		return fmt.Errorf("%w: %q cannot be the name of a task", ErrOptions, name)
	case !begin:
		return fmt.Errorf("%w: task %s without Begin", ErrOptions, name)
	case slices.Contains(earlier, name):
		return fmt.Errorf("%w: two tasks %s", ErrOptions, name)
	}
	return nil
}

// runTask calls f and returns what it has written.
func runTask(ctx context.Context, f TaskFunc, in *stream.Element) (out rawXML, done bool, err error) {
	if f == nil {
		return nil, false, fmt.Errorf("%w: Begin returned no TaskFunc", ErrOptions)
	}
	w := stream.NewWriter(nil)
	if done, err = f(ctx, in, &w); err != nil {
		return nil, false, err
	}
	b, err := w.Bytes()
	return rawXML(b), done, err
}

// taskError is the error of a task as a server sends it: a [*stream.Error] comes second, and ends the
// stream without an answer. One that is wrapped is about another stream: not for this client, which
// would be sent it if it were found.
func taskError(err error) (*sasl.Error, *stream.Error) {
	if fatal, ok := err.(*stream.Error); ok {
		return nil, fatal
	}
	var e *sasl.Error
	if !errors.As(err, &e) {
		e = &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	var other *stream.Error
	if errors.As(e.Cause, &other) {
		e = &sasl.Error{Condition: e.Condition, Text: e.Text, Cause: errors.New(e.Cause.Error())}
	}
	return e, nil
}

// withoutTasks wraps serverRules.authorize for the profile of RFC 6120, which has no tasks: who would have
// to do one is not let in, or that profile would be the way around a second factor.
func (o *ServerOptions) withoutTasks(authorize func(context.Context, sasl.Identity) (jid.JID, error), x *serverExchange, domain jid.JID) func(context.Context, sasl.Identity) (jid.JID, error) {
	return func(ctx context.Context, id sasl.Identity) (jid.JID, error) {
		who, err := authorize(ctx, id)
		if err != nil {
			return jid.JID{}, err
		}
		own, _ := account(id.AuthcID, domain) // which authorize has seen to
		tasks, err := required(ctx, o.SASL2.Tasks, TaskAccount{Account: own, Mechanism: x.mechanism.Name})
		if err != nil {
			return jid.JID{}, err
		}
		if len(tasks) > 0 {
			return jid.JID{}, &sasl.Error{Condition: sasl.MechanismTooWeak, Text: "this account needs SASL 2 (XEP-0388)"}
		}
		return who, nil
	}
}
