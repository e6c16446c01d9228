package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// ErrTasks is wrapped by the error of a client from which the server wants something, after the
// mechanism, that it cannot do; see [SASL2ClientOptions].Tasks.
var ErrTasks = errors.New("auth: the server wants tasks done that this client does not know")

// clientExchange2 is the client side of what one <authenticate/> begins (XEP-0388 §2), as a function of
// what the server sends: no I/O but that of the callbacks. The mechanism is the business of the
// clientExchange that both profiles share.
type clientExchange2 struct {
	x     *clientExchange
	tasks []ClientTask // that this client can do, and has not done

	run       TaskFunc // nil while the mechanism is under way
	satisfied bool     // the task is complete for this side
	messages  int      // of tasks
	over      bool
}

// clientStep2 is what to do next.
type clientStep2 struct {
	reply frame2 // to be written, unless its kind is zero
	done  bool   // authenticated; the frame has what the server says of it
	err   error  // not authenticated; reply, if any, is to be written first
}

// next takes the server's answer.
func (s *clientExchange2) next(ctx context.Context, f frame2) clientStep2 {
	var step clientStep2
	switch {
	case s.over:
		step = violation2("%s after the exchange", quote.ASCII(f.name.String(), 128))
	case f.kind == frame2Failure:
		step.err = f.failure
	case s.run == nil:
		step = s.mechanism(ctx, f)
	case f.err != nil:
		step = violation2("%w", f.err)
	default:
		step = s.task(ctx, f)
	}
	s.over = step.done || step.err != nil
	return step
}

// mechanism takes an answer while the mechanism is under way.
func (s *clientExchange2) mechanism(ctx context.Context, f frame2) clientStep2 {
	kind := frameUnknown
	switch f.kind {
	case frame2Challenge:
		kind = frameChallenge
	case frame2Success, frame2Continue:
		// The mechanism is over after either (XEP-0388 §2.6.3).
		kind = frameSuccess
	}
	step := s.x.next(ctx, frame{kind: kind, profile: sasl2, name: f.name, data: f.data, err: f.err})
	switch {
	case step.done && f.kind == frame2Continue:
		return s.choose(ctx, f)
	case step.done:
		return clientStep2{done: true}
	}
	out := clientStep2{err: step.err}
	switch step.reply.kind {
	case frameResponse:
		out.reply = frame2{kind: frame2Response, data: step.reply.data}
	case frameAbort:
		out.reply = frame2{kind: frame2Abort}
	}
	return out
}

// task takes an answer while a task is under way.
func (s *clientExchange2) task(ctx context.Context, f frame2) clientStep2 {
	s.messages++
	switch f.kind {
	case frame2TaskData:
		switch {
		case s.satisfied:
			return abort2(violation2("a task goes on that is complete").err)
		case s.messages > maxTaskMessages:
			return abort2(violation2("too many messages of tasks").err)
		}
		return s.step(ctx, f.el, frame2{kind: frame2TaskData})
	case frame2Success, frame2Continue:
		if !s.satisfied {
			out, done, err := runTask(ctx, s.run, f.el)
			switch {
			case err != nil:
				return clientStep2{err: err}
			case !done || len(out) > 0:
				return violation2("%s before the task was complete", f.name.Local)
			}
		}
		if f.kind == frame2Continue {
			return s.choose(ctx, f)
		}
		return clientStep2{done: true}
	}
	return violation2("unexpected element %s", quote.ASCII(f.name.String(), 128))
}

// choose begins one of the tasks that the server offers.
func (s *clientExchange2) choose(ctx context.Context, f frame2) clientStep2 {
	i := slices.IndexFunc(s.tasks, func(t ClientTask) bool { return slices.Contains(f.tasks, t.Name) })
	if i < 0 {
		return abort2(&sasl.Error{Condition: sasl.Aborted, Cause: ErrTasks})
	}
	t := s.tasks[i]
	// Each once, or a server could go on forever.
	s.tasks = slices.Delete(slices.Clone(s.tasks), i, i+1)
	run, err := t.Begin(ctx, f.text)
	if err != nil {
		return abort2(fmt.Errorf("task %s: %w", t.Name, err))
	}
	s.run, s.satisfied = run, false
	return s.step(ctx, nil, frame2{kind: frame2Next, task: t.Name})
}

// step gives the task what the server says, and puts its answer into reply.
func (s *clientExchange2) step(ctx context.Context, in *stream.Element, reply frame2) clientStep2 {
	out, done, err := runTask(ctx, s.run, in)
	if err != nil {
		return abort2(err)
	}
	s.satisfied = done
	reply.content = out
	return clientStep2{reply: reply}
}

// abort2 is a step that fails where the server waits for something (XEP-0388 §4.5).
func abort2(err error) clientStep2 {
	return clientStep2{reply: frame2{kind: frame2Abort}, err: err}
}

// violation2 is violation.
func violation2(format string, args ...any) clientStep2 {
	return clientStep2{err: violation(format, args...).err}
}
