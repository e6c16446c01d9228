package stanza

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
)

// Module is how a topic, such as a protocol extension, joins a client or a
// server: a value that registers its handlers. What else a module does it says
// by implementing further interfaces, which are found by assertion: [Featurer],
// [Filter], and those of whoever runs the module.
type Module interface {
	// Name identifies the module in errors, for example "ping".
	Name() string
	// Register adds the module's routes. It is called once for each Mux.
	Register(m *Mux) error
}

// Featurer is a [Module] with features to announce in service discovery
// (XEP-0030 §3.1).
type Featurer interface {
	// Features returns the names of the features, most often namespaces.
	Features() []string
}

// Filter is a [Module] that sees every stanza before it is routed. Filters run in
// the order of their modules; the first verdict other than [Pass] is the last.
type Filter interface {
	// Filter judges st, which is borrowed until it returns. It may change st for
	// those that come after it.
	Filter(ctx context.Context, s Sender, st Stanza) Verdict
}

// Verdict is what a [Filter] wants to happen to a stanza. The zero Verdict is
// that of [Pass].
type Verdict struct {
	// Action is what to do.
	Action Action
	// Err is what the sender is told, with [ActionBounce].
	Err error
	// To is the new addressee, with [ActionRedirect].
	To jid.JID
}

// Action is what a [Verdict] says to do with a stanza.
type Action uint8

// The actions.
const (
	ActionPass     Action = iota // go on
	ActionDrop                   // go no further
	ActionBounce                 // go no further, and tell the sender why
	ActionRedirect               // send it to somebody else instead
)

// Pass lets the stanza go on.
func Pass() Verdict { return Verdict{} }

// Drop stops the stanza. A get or set must be answered all the same: its sender
// is told [ServiceUnavailable], as if there were nobody (RFC 6120 §8.2.3 rule 3).
func Drop() Verdict { return Verdict{Action: ActionDrop} }

// Bounce stops the stanza for err, which goes where the error of a [Handler] goes:
// to the sender of a request, and to that of a message or presence if it is a
// condition or [*Error] of this side.
func Bounce(err error) Verdict { return Verdict{Action: ActionBounce, Err: err} }

// RedirectTo stops the stanza and sends it to another address, with its From as it
// is: for somebody who may speak for others, such as a server.
func RedirectTo(to jid.JID) Verdict { return Verdict{Action: ActionRedirect, To: to} }

// Install registers modules, in that order, and puts those that are a [Filter]
// before the routing. An error names the module; those before it stay installed.
func Install(m *Mux, modules ...Module) error {
	for _, mod := range modules {
		if err := mod.Register(m); err != nil {
			return fmt.Errorf("stanza: module %s: %w", mod.Name(), err)
		}
		if f, ok := mod.(Filter); ok {
			m.Use(filtered(f))
		}
	}
	return nil
}

// filtered is the middleware that carries out the verdicts of f.
func filtered(f Filter) func(Handler) Handler {
	return func(next Handler) Handler {
		return HandlerFunc(func(ctx context.Context, s Sender, st Stanza) error {
			switch v := f.Filter(ctx, s, st); v.Action {
			case ActionPass:
				return next.HandleStanza(ctx, s, st)
			case ActionBounce:
				return v.Err
			case ActionRedirect:
				to := st.clone()
				h := to.Head()
				h.To = v.To
				to.SetHead(h)
				if err := s.Send(ctx, to); err != nil {
					return err
				}
				keep(st) // now it is somebody else's to answer
				return nil
			}
			return nil
		})
	}
}
