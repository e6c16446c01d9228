package command

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/form"
)

// Responder is the [stanza.Module] that offers commands; it is also a [stanza.Featurer]
// and a [disco.NodeFinder]. The zero value offers none. Fields are set before it is
// registered, and not changed after that. Its methods are safe for concurrent use.
type Responder struct {
	// Commands are offered, in that order.
	Commands []Command
	// Address is whose commands these are: requests to another address are answered as
	// if there were no Responder. The zero JID stands for every address that requests
	// arrive for.
	Address jid.JID
	// Lifetime is how long a session is kept without being used. Zero means ten minutes.
	Lifetime time.Duration
	// Sessions is how many sessions there are at a time. Zero means 1,024. One more is
	// refused with [stanza.ResourceConstraint]; commands with a single stage need none.
	Sessions int
	// PerAccount is how many of them one bare JID has. Zero means 8. One more ends the
	// one that it has not used for longest.
	PerAccount int
	// Now is the clock. Nil means time.Now.
	Now func() time.Time

	once  sync.Once
	key   key
	mu    sync.Mutex
	table table
}

// ErrCommands is wrapped by the error of registering a [Responder] with commands that
// cannot be offered.
var ErrCommands = errors.New("command: unusable commands")

// Name implements [stanza.Module].
func (r *Responder) Name() string { return "command" }

// Features implements [stanza.Featurer] (XEP-0050 §2.1).
func (r *Responder) Features() []string { return []string{NS} }

// Register implements [stanza.Module].
func (r *Responder) Register(m *stanza.Mux) error {
	seen := make(map[string]bool)
	for _, c := range r.Commands {
		switch {
		case c.Node == "" || len(c.Node) > maxAttr || c.Node == NS:
			return fmt.Errorf("%w: a node that is empty, too long or that of the list", ErrCommands)
		case seen[c.Node]: // §3.2: unique
			return fmt.Errorf("%w: two called %s", ErrCommands, c.Node)
		case c.Run == nil:
			return fmt.Errorf("%w: %s does nothing", ErrCommands, c.Node)
		}
		seen[c.Node] = true
	}
	return m.HandleIQ(stanza.SetIQ, name, r.handle)
}

// init sets the bounds on first use.
func (r *Responder) init() {
	r.once.Do(func() {
		r.key = newKey()
		r.table = table{max: r.Sessions, perSource: r.PerAccount, lifetime: r.Lifetime}
		if r.table.max <= 0 {
			r.table.max = 1024
		}
		if r.table.perSource <= 0 {
			r.table.perSource = 8
		}
		if r.table.lifetime <= 0 {
			r.table.lifetime = 10 * time.Minute
		}
	})
}

func (r *Responder) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// serves reports whether requests to that address are for r.
func (r *Responder) serves(to jid.JID) bool { return r.Address.IsZero() || to == r.Address }

// find returns the command node if from may execute it. XEP-0050 §4.4 tells those who
// may not that it exists.
func (r *Responder) find(node string, from jid.JID) (*Command, error) {
	for i := range r.Commands {
		if c := &r.Commands[i]; c.Node == node {
			if c.Allowed == nil || !c.Allowed(from) {
				return nil, stanza.Forbidden
			}
			return c, nil
		}
	}
	return nil, stanza.ItemNotFound
}

// handle answers a request.
func (r *Responder) handle(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	if !r.serves(iq.To) {
		return nil, stanza.ServiceUnavailable
	}
	r.init()
	var req Request
	if err := req.DecodeElement(iq.Element()); err != nil {
		return nil, err
	}
	if req.Lang == "" {
		req.Lang = iq.Lang
	}
	c, err := r.find(req.Node, iq.From)
	if err != nil {
		return nil, err
	}
	h, err := r.take(c, &req, iq)
	if err != nil {
		return nil, answer(err)
	}
	if req.Action == Cancel {
		// XEP-0050 §2.4.3: MUST reply with success.
		r.finish(h, false)
		return &Response{Node: c.Node, SessionID: h.id, Status: Canceled, Lang: r.lang(c, h)}, nil
	}
	fresh := h.stage < 0
	keep := true // on an error, or if Run panics
	if !fresh {
		defer func() { r.finish(h, keep) }()
	}
	resp, err := r.run(ctx, c, h, &req)
	if err != nil {
		return nil, answer(err)
	}
	keep = resp.Status == Executing
	if fresh && keep {
		if err := r.put(h); err != nil {
			return nil, err
		}
	}
	return resp, nil
}

// take finds the session of a request and marks it busy until finish, or makes one. Of
// the latter the stage is -1, and it is kept only if there is another stage: what has a
// single one needs no room.
func (r *Responder) take(c *Command, req *Request, iq *stanza.IQ) (*held, error) {
	o := owner{iq.From, iq.To, c.Node}
	if req.SessionID == "" {
		if req.Action != Go && req.Action != Complete && req.Action != Next {
			return nil, BadAction // there is nothing to go back to, or to cancel
		}
		lang, ok := c.lang(req.Lang)
		if !ok {
			return nil, BadLocale
		}
		return &held{owner: o, id: r.key.newID(o), lang: lang, stage: -1}, nil
	}
	if !r.key.made(req.SessionID, o) {
		return nil, BadSessionID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.table.get(req.SessionID, r.now())
	switch {
	case h == nil:
		return nil, SessionExpired
	case h.busy: // the answer to the request before is still to come
		return nil, stanza.UnexpectedRequest
	}
	h.busy = true
	return h, nil
}

// put keeps a session that has begun.
func (r *Responder) put(h *held) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.table.put(h, r.now())
}

// finish gives a session back, or ends it.
func (r *Responder) finish(h *held, keep bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h.busy, h.used = false, r.now(); !keep {
		r.table.remove(h.id)
	}
}

// run has the command do what is asked for, and makes the response. The session, which
// is this request's until finish, changes only if all went well.
func (r *Responder) run(ctx context.Context, c *Command, h *held, req *Request) (*Response, error) {
	s := &Session{From: h.from, Node: c.Node, Lang: h.lang, Action: Go, Value: h.value}
	if h.stage >= 0 {
		var ok bool
		if s.Action, ok = h.actions.resolve(req.Action); !ok {
			return nil, BadAction
		}
		if s.Action == Prev {
			s.Stage = h.stage - 1
		} else {
			s.Stage = h.stage + 1
			var err error
			if s.Form, err = submission(h.offer, req.Form); err != nil {
				return nil, err
			}
		}
	}
	if err := c.Run(ctx, s); err != nil {
		return nil, err
	}
	if s.failed != nil {
		return nil, s.failed
	}
	resp := &Response{
		Node: c.Node, SessionID: h.id, Status: Completed, Lang: r.lang(c, h),
		Notes: s.notes, Payloads: s.payloads, Form: s.form,
	}
	if s.asked {
		resp.Status, resp.Actions = Executing, s.actions
	}
	// What cannot be sent must not be taken for sent.
	if _, err := resp.AppendXML(nil); err != nil {
		return nil, fmt.Errorf("command %s: %w", c.Node, err)
	}
	if s.asked {
		h.stage, h.actions, h.value, h.offer = s.Stage, s.actions, s.Value, nil
		if s.form != nil && s.form.Type == form.Form {
			h.offer = s.form
		}
	}
	return resp, nil
}

// submission checks what was filled out against the form that was asked for.
func submission(offer, got *form.Data) (*form.Data, error) {
	if offer == nil {
		return nil, nil // nothing was asked for: nothing is looked at
	}
	switch {
	case got == nil:
		got = &form.Data{Type: form.Submit}
	case got.Type == form.Cancel:
		// XEP-0050 §3.5.1: SHOULD be considered to be a submission.
		got.Type = form.Submit
	}
	err := offer.Check(got)
	var e *stanza.Error
	if errors.As(err, &e) {
		return nil, BadPayload.because(e.Text, badPayload{err})
	}
	return got, err
}

// lang returns the language that a command speaks to somebody who asks for tag (RFC 4647
// §3.4), and false if there is none.
func (c *Command) lang(tag string) (string, bool) {
	if c.Langs == nil {
		return tag, true
	}
	if tag == "" && len(c.Langs) > 0 {
		return c.Langs[0], true
	}
	for tag != "" {
		if i := slices.IndexFunc(c.Langs, func(have string) bool { return strings.EqualFold(have, tag) }); i >= 0 {
			return c.Langs[i], true
		}
		tag = tag[:max(0, strings.LastIndexByte(tag, '-'))]
	}
	return "", false
}

// lang returns what a response says about its language (§3.7): nothing if it does not
// matter.
func (r *Responder) lang(c *Command, h *held) string {
	if c.Langs == nil {
		return ""
	}
	return h.lang
}

// FindNode implements [disco.NodeFinder]: the list of commands, which has those that who
// asks may execute (XEP-0050 §2.2), and each of them. Who asks about one that it may not
// execute is told [stanza.Forbidden].
func (r *Responder) FindNode(_ context.Context, iq *stanza.IQ, node string) (*disco.Node, error) {
	if !r.serves(iq.To) {
		return nil, nil
	}
	if node == NS {
		return &disco.Node{Name: NS, Info: listInfo, Items: r.items}, nil
	}
	c, err := r.find(node, iq.From)
	switch {
	case errors.Is(err, stanza.ItemNotFound):
		return nil, nil // it may be a node of another module
	case err != nil:
		return nil, err
	}
	return &disco.Node{Name: node, Info: func(context.Context, *stanza.IQ) (*disco.Info, error) {
		return &disco.Info{
			Identities: []disco.Identity{{Category: "automation", Type: "command-node", Name: c.Name}},
			Features:   []string{NS, form.NS},
		}, nil
	}}, nil
}

func listInfo(context.Context, *stanza.IQ) (*disco.Info, error) {
	return &disco.Info{
		Identities: []disco.Identity{{Category: "automation", Type: "command-list"}},
		Features:   []string{NS},
	}, nil
}

// items lists the commands for who asks, under the address that was asked (§5).
func (r *Responder) items(_ context.Context, iq *stanza.IQ) ([]disco.Item, error) {
	at := iq.To
	if at.IsZero() { // RFC 6120 §10.3.3: on behalf of the account of who asks
		at = iq.From.Bare()
	}
	if at.IsZero() {
		return nil, nil
	}
	var out []disco.Item
	for i := range r.Commands {
		if c := &r.Commands[i]; c.Allowed != nil && c.Allowed(iq.From) {
			out = append(out, disco.Item{JID: at, Node: c.Node, Name: c.Name})
		}
	}
	return out, nil
}
