package admin

import (
	"context"
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/command"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

// Module is service administration on a server. Accounts is required. Set the
// fields before the server starts; a Module belongs to one server, and is not
// copied.
//
// It is the responder of all commands that the server has, since there is one for
// each address: other ones go into More.
type Module struct {
	// Accounts is what is managed. Required.
	Accounts Accounts

	// Admins are the administrators, by their bare JIDs. They may have accounts
	// elsewhere: as far as the server can tell who they are, they are trusted.
	Admins []jid.JID

	// IsAdmin decides about those who are not in Admins, by their full JIDs. It is
	// asked at every step of every command. Nil means that nobody else is.
	IsAdmin func(jid.JID) bool

	// More are further commands, each with its own rule about who may use it.
	More []command.Command

	// KeepSessions leaves the sessions of an account alone when an administrator
	// changes its password. False: they are ended (stream.Reset).
	KeepSessions bool

	host      register.Host
	responder command.Responder
}

// Name implements [stanza.Module].
func (m *Module) Name() string { return "admin" }

// Features implements [stanza.Featurer].
func (m *Module) Features() []string { return m.responder.Features() }

// Attach implements [stanza.HostModule]. The error wraps [ErrOptions].
func (m *Module) Attach(h stanza.Host) error {
	host, ok := h.(register.Host)
	if !ok {
		return fmt.Errorf("%w: the server has no method Forget", ErrOptions)
	}
	if m.Accounts == nil {
		return fmt.Errorf("%w: no Accounts", ErrOptions)
	}
	for _, a := range m.Admins {
		if !a.IsBare() || a.Local() == "" {
			return fmt.Errorf("%w: administrator %q is no bare JID", ErrOptions, a)
		}
	}
	m.host = host
	m.responder.Commands = append(m.commands(), m.More...)
	return nil
}

// Register implements [stanza.Module]. It comes after Attach.
func (m *Module) Register(mux *stanza.Mux) error {
	if m.host == nil {
		return fmt.Errorf("%w: Register before Attach", ErrOptions)
	}
	return m.responder.Register(mux)
}

// commandName is what carries the forms of commands (XEP-0050 §9).
var commandName = stream.Name{Space: command.NS, Local: "command"}

// StreamFeatures implements [stanza.StreamFeaturer]. There is none to offer: it keeps
// commands, in which administrators set passwords, out of traces.
func (m *Module) StreamFeatures() []stream.Feature {
	return []stream.Feature{{
		Name: commandName,
		Advertise: func(n *stream.Negotiation, _ *stream.Writer) error {
			n.Secrets(commandName)
			return nil
		},
	}}
}

// FindNode implements [disco.NodeFinder]: commands are announced to those who may
// use them (XEP-0133 §3).
func (m *Module) FindNode(ctx context.Context, iq *stanza.IQ, node string) (*disco.Node, error) {
	return m.responder.FindNode(ctx, iq, node)
}

// SessionUp implements [stanza.SessionWatcher]: who was about to log in when the
// account was disabled does not stay (XEP-0133 §4.3).
func (m *Module) SessionUp(ctx context.Context, r stanza.Resource) {
	disabled, err := m.Accounts.Disabled(ctx, r.Addr().Bare())
	if err == nil && disabled { // on an error the login, which was right, counts
		m.end(ctx, []stanza.Resource{r}, stream.NotAuthorized)
	}
}

// SessionGone implements [stanza.SessionWatcher].
func (m *Module) SessionGone(context.Context, stanza.Resource) {}

// admits reports whether somebody is an administrator.
func (m *Module) admits(from jid.JID) bool {
	return slices.Contains(m.Admins, from.Bare()) || m.IsAdmin != nil && m.IsAdmin(from)
}

// commands returns the actions as commands of one or two stages.
func (m *Module) commands() []command.Command {
	var out []command.Command
	for _, a := range m.actions() {
		out = append(out, command.Command{
			Node: NS + "#" + a.node, Name: a.name, Allowed: m.admits,
			Run: func(ctx context.Context, s *command.Session) error {
				if a.form != nil && s.Stage == 0 {
					s.Ask(a.form, command.Actions{})
					return nil
				}
				result, err := a.run(ctx, s.From, s.Form)
				if err != nil {
					return err
				}
				s.Finish(result)
				return nil
			},
		})
	}
	return out
}
