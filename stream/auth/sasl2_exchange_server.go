package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// serverRules2 is what holds on a connection for SASL 2, beyond what holds for both profiles.
type serverRules2 struct {
	*serverRules
	tasks    []Task
	upgrades *upgrader   // nil: there are none
	fast     *fastServer // nil: there are no tokens

	// limiter is that of the gate, which itself is told of a success only when the tasks are done: each
	// login with a password would otherwise clear the slate for guesses at the second factor.
	limiter AttemptLimiter
}

// heldLimiter is a limiter that is told of success later.
type heldLimiter struct{ AttemptLimiter }

// Succeeded is called before tasks begin. Whoever has failed too often by then does not get to them.
func (l heldLimiter) Succeeded(account jid.JID, addr netip.Addr) bool { return l.Allow(account, addr) }

// phase2 is how far the exchange of one <authenticate/> has come.
type phase2 uint8

const (
	phaseIdle   phase2 = iota // nothing has begun, or it is over
	phaseSASL                 // the mechanism
	phaseChoice               // tasks are offered
	phaseTask                 // a task is under way
)

// maxTaskMessages bounds what a peer may send between the mechanism and success.
const maxTaskMessages = 64

// serverExchange2 is the server side of the exchange that one <authenticate/> begins (XEP-0388 §2), as
// a function of what the client sends: no I/O but that of the callbacks. The mechanism, and all
// counting, is the business of the serverExchange that both profiles share.
type serverExchange2 struct {
	x       *serverExchange
	phase   phase2
	request frame2 // the <authenticate/>

	token StoredToken // the one in use, once its possession is proved
	stamp string      // of the keys that the password was checked with, then or for the token; empty: none
	own   jid.JID     // whose credentials were verified
	who   jid.JID     // who is authenticated, if it comes to that
	data  []byte      // of the mechanism, to go with the next answer

	offered  []Task // of which the client picks one
	upgrades []Task // to come
	planned  bool   // upgrades is final
	task     string // under way
	run      TaskFunc
	done     []string
	messages int
}

// serverStep2 is what to do next.
type serverStep2 struct {
	reply   frame2 // to be written first, unless its kind is zero or done is set
	waiting bool   // the exchange goes on
	done    bool   // authenticated: reply is the <success/>, to be completed by the caller
	err     error  // ends the stream
}

// next takes an element from the client.
func (s *serverExchange2) next(ctx context.Context, r *serverRules2, f frame2) serverStep2 {
	switch {
	case s.phase == phaseIdle && f.kind == frame2Authenticate:
		return s.authenticate(ctx, r, f)
	case s.phase == phaseSASL && f.kind == frame2Authenticate:
		// XEP-0388 §2.4: only <response/> and <abort/>, unlike in the other profile.
		s.x.lost(r.serverRules)
		return s.refuse(stream.PolicyViolation, "a second attempt in the middle of the first one")
	case s.phase == phaseIdle || s.phase == phaseSASL:
		return s.mechanism(ctx, r, s.x.next(ctx, r.serverRules, f.plain()))
	}
	if s.messages++; s.messages > maxTaskMessages {
		r.gate.failed()
		return s.refuse(stream.PolicyViolation, "too many messages of tasks")
	}
	switch {
	case f.kind == frame2Abort:
		return s.fail(r, &sasl.Error{Condition: sasl.Aborted})
	case s.phase == phaseChoice && f.kind == frame2Next:
		return s.begin(ctx, r, f)
	case s.phase == phaseTask && f.kind == frame2TaskData:
		return s.step(ctx, r, f)
	}
	// XEP-0388 §2.4: any other traffic ends the stream; §4.8: a second <authenticate/> does so too.
	r.gate.failed()
	return s.refuse(stream.NotAuthorized, "authentication is not complete")
}

// plain is the frame as the exchange of both profiles knows it.
func (f frame2) plain() frame {
	// The rest is for a server to send, or for tasks, of which there are none now.
	kind := frameUnknown
	switch f.kind {
	case frame2Foreign:
		kind = frameForeign
	case frame2Authenticate:
		kind = frameAuth
	case frame2Response:
		kind = frameResponse
	case frame2Abort:
		kind = frameAbort
	}
	return frame{kind: kind, profile: sasl2, name: f.name, mechanism: f.mechanism, data: f.data, err: f.err}
}

// authenticate begins.
func (s *serverExchange2) authenticate(ctx context.Context, r *serverRules2, f frame2) serverStep2 {
	token := slices.ContainsFunc(r.unlisted, func(m sasl.Mechanism) bool { return m.Name == f.mechanism })
	switch {
	// XEP-0484 §3.4: whoever uses a token says so.
	case token != f.fast.present:
		f.fail(fmt.Errorf("%w: a token without <fast/>, or the reverse", errContent))
	// §4.1: MUST also provide the id.
	case token && f.agent.ID == "":
		f.fail(fmt.Errorf("%w: a token without the id of the user agent", errContent))
	}
	s.request = f
	return s.mechanism(ctx, r, s.x.next(ctx, r.serverRules, f.plain()))
}

// mechanism goes on with what has come of a message of the mechanism.
func (s *serverExchange2) mechanism(ctx context.Context, r *serverRules2, step serverStep) serverStep2 {
	switch {
	case step.done:
		s.who, s.data = step.who, step.reply.data
		return s.advance(ctx, r, nil)
	case step.waiting:
		s.phase = phaseSASL
	default:
		s.phase = phaseIdle
	}
	out := serverStep2{waiting: step.waiting, err: step.err}
	switch step.reply.kind {
	case frameChallenge:
		out.reply = frame2{kind: frame2Challenge, data: step.reply.data}
	case frameFailure:
		out.reply = frame2{kind: frame2Failure, failure: step.reply.failure}
	}
	return out
}

// account is what tasks get to know.
func (s *serverExchange2) account() TaskAccount {
	return TaskAccount{Account: s.own, Mechanism: s.x.mechanism.Name, Agent: s.request.agent, Done: slices.Clone(s.done)}
}

// advance decides what comes after the mechanism or a task, whose last words are content.
func (s *serverExchange2) advance(ctx context.Context, r *serverRules2, content rawXML) serverStep2 {
	tasks, err := s.pending(ctx, r)
	if err != nil {
		return s.failWith(r, err)
	}
	if len(tasks) == 0 {
		return s.finish(ctx, r, content)
	}
	f := frame2{kind: frame2Continue, data: s.data, content: content}
	for _, t := range tasks {
		f.tasks = append(f.tasks, t.Name)
		if f.text == "" {
			f.text = t.Text
		}
	}
	s.data, s.offered, s.phase = nil, tasks, phaseChoice
	return serverStep2{reply: f, waiting: true}
}

// pending returns the tasks of which the client has to do one now.
func (s *serverExchange2) pending(ctx context.Context, r *serverRules2) ([]Task, error) {
	if s.x.mechanism.Credential == sasl.FastTokenCredential {
		// XEP-0484 §4.2: MUST NOT require interactive steps. See authorized.
		return nil, nil
	}
	tasks, err := required(ctx, r.tasks, s.account())
	if err != nil || len(tasks) > 0 {
		return tasks, err
	}
	// XEP-0480 §2.2: after everything else, and one at a time.
	if !s.planned {
		s.planned = true
		// DIGEST-MD5 leaves no stamp.
		if r.upgrades != nil && s.x.mechanism.Credential == sasl.PasswordCredential && s.stamp != "" {
			s.upgrades = r.upgrades.missing(ctx, s.own, s.stamp, s.request.upgrades)
		}
	}
	if len(s.upgrades) == 0 {
		return nil, nil
	}
	tasks, s.upgrades = s.upgrades[:1], s.upgrades[1:]
	return tasks, nil
}

// begin begins the task that the client has picked.
func (s *serverExchange2) begin(ctx context.Context, r *serverRules2, f frame2) serverStep2 {
	i := slices.IndexFunc(s.offered, func(t Task) bool { return t.Name == f.task })
	if i < 0 {
		return s.fail(r, &sasl.Error{Condition: sasl.MalformedRequest, Text: "not one of the tasks offered"})
	}
	run, err := s.offered[i].Begin(ctx, s.account())
	if err != nil {
		return s.failWith(r, err)
	}
	s.task, s.run, s.phase = f.task, run, phaseTask
	return s.step(ctx, r, f)
}

// step gives the task a message of the client.
func (s *serverExchange2) step(ctx context.Context, r *serverRules2, f frame2) serverStep2 {
	out, done, err := runTask(ctx, s.run, f.el)
	if err != nil {
		return s.failWith(r, err)
	}
	if !done {
		return serverStep2{reply: frame2{kind: frame2TaskData, content: out}, waiting: true}
	}
	s.done = append(s.done, s.task)
	return s.advance(ctx, r, out)
}

// finish lets the client in, unless there is something about its token, or attempts have been too many
// meanwhile.
func (s *serverExchange2) finish(ctx context.Context, r *serverRules2, content rawXML) serverStep2 {
	var token StoredToken
	if r.fast != nil {
		var err error
		if token, err = r.fast.settle(ctx, s); err != nil {
			return s.failWith(r, err)
		}
	}
	if r.gate != nil && !r.limiter.Succeeded(r.gate.account, r.gate.addr) {
		return s.turnAway()
	}
	s.phase = phaseIdle
	return serverStep2{reply: frame2{kind: frame2Success, data: s.data, token: token, content: content}, done: true}
}

// failWith ends the exchange because of an error of a callback.
func (s *serverExchange2) failWith(r *serverRules2, err error) serverStep2 {
	e, fatal := taskError(err)
	if fatal != nil {
		if !r.gate.failed() {
			return s.turnAway()
		}
		s.phase = phaseIdle
		return serverStep2{err: fatal}
	}
	return s.fail(r, e)
}

// fail ends the exchange after the mechanism has succeeded, and the stream with it: once there was a
// <continue/>, another <authenticate/> is not allowed (XEP-0388 §4.8), and a mechanism that has
// succeeded may have bound the channel (RFC 9266 §4.1).
func (s *serverExchange2) fail(r *serverRules2, e *sasl.Error) serverStep2 {
	if e.Condition != sasl.TemporaryAuthFailure && !r.gate.failed() {
		return s.turnAway()
	}
	s.phase = phaseIdle
	out := serverStep2{reply: frame2{kind: frame2Failure, failure: &Failure{Err: &sasl.Error{Condition: e.Condition, Text: e.Text}}}}
	out.err = fmt.Errorf("auth: after the mechanism: %w", e)
	return out
}

// lost ends an exchange whose client is gone. One in the middle of a task has failed: what the task
// said to a guess may be all that the client wanted to know.
func (s *serverExchange2) lost(r *serverRules2) {
	if s.phase == phaseTask {
		r.gate.failed()
	}
	s.phase = phaseIdle
}

// turnAway is serverExchange.turnAway.
func (s *serverExchange2) turnAway() serverStep2 {
	s.phase = phaseIdle
	step := s.x.turnAway()
	return serverStep2{reply: frame2{kind: frame2Failure, failure: step.reply.failure}, err: step.err}
}

// refuse ends the stream.
func (s *serverExchange2) refuse(c stream.Condition, text string) serverStep2 {
	s.phase = phaseIdle
	return serverStep2{err: s.x.refuse(c, text).err}
}

// authorized wraps what both profiles do to authorize, for what is different in this one.
func (s *serverExchange2) authorized(authorize func(context.Context, sasl.Identity) (jid.JID, error), tasks []Task, domain jid.JID) func(context.Context, sasl.Identity) (jid.JID, error) {
	return func(ctx context.Context, id sasl.Identity) (jid.JID, error) {
		who, err := authorize(ctx, id)
		if errors.Is(err, stream.InvalidFrom) {
			// XEP-0388 §2.3, §4.4: the server MUST fail the authentication. Without the cause, which would end the stream.
			return jid.JID{}, &sasl.Error{Condition: sasl.InvalidAuthzid, Text: "the from of the stream header is somebody else"}
		}
		if err != nil {
			return jid.JID{}, err
		}
		s.own, _ = account(id.AuthcID, domain) // which authorize has seen to
		if s.x.mechanism.Credential == sasl.FastTokenCredential {
			s.done = strings.Fields(s.token.Tasks)
			more, err := required(ctx, tasks, s.account())
			if err != nil {
				return jid.JID{}, err
			}
			if len(more) > 0 {
				// XEP-0484 §4.2: a token that the server no longer trusts.
				return jid.JID{}, &sasl.Error{Condition: sasl.CredentialsExpired}
			}
		}
		return who, nil
	}
}
