package main

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// teams is the program's own module: what the chat does differently because it is
// that of this site.
type teams struct {
	*users
	domain jid.JID
}

// Name implements stanza.Module.
func (*teams) Name() string { return "teams" }

// Register implements stanza.Module. There is nothing to be asked.
func (*teams) Register(*stanza.Mux) error { return nil }

// Gate implements stanza.Gate: only members of one team reach each other. A stranger
// looks like nobody, whether there is such a user or not.
func (t *teams) Gate(from, to jid.JID, kind stanza.Kind, _ string) stanza.Verdict {
	a, b := from.Local(), to.Local()
	switch {
	case from.DomainJID() != t.domain, to.DomainJID() != t.domain:
		return stanza.Pass() // the router knows no way there
	case a == "", b == "", a == b, t.teammates(a, b):
		return stanza.Pass() // the server itself, the own account, the team
	case kind == stanza.PresenceKind:
		return stanza.Drop() // it asks for nothing (RFC 6121 §8.5.1)
	}
	return stanza.Bounce(stanza.ServiceUnavailable)
}

// rosterQuery is what a request about the roster holds.
var rosterQuery = stream.Name{Space: roster.NS, Local: "query"}

// BeforeRoute implements stanza.BeforeRouter: contacts are not added and removed
// here. The store would refuse that too, but only after the contact was told.
func (t *teams) BeforeRoute(_ context.Context, s *stanza.Transit) stanza.Verdict {
	switch s.Kind {
	case stanza.PresenceKind:
		switch stanza.PresenceType(s.Type) {
		case stanza.SubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribePresence, stanza.UnsubscribedPresence:
			return stanza.Bounce(errReadOnly)
		}
	case stanza.IQKind:
		if _, about := s.Element.Child(rosterQuery); about && s.Type == string(stanza.SetIQ) {
			return stanza.Bounce(errReadOnly)
		}
	}
	return stanza.Pass()
}
