package main

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
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

// BeforeRoute implements stanza.BeforeRouter: whoever asks for a subscription, or wants
// to end one, is told that contacts do not come and go that way. The store would
// refuse most of that too, but the gate would drop the rest without a word.
func (t *teams) BeforeRoute(_ context.Context, s *stanza.Transit) stanza.Verdict {
	if s.Kind == stanza.PresenceKind {
		switch stanza.PresenceType(s.Type) {
		case stanza.SubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribePresence, stanza.UnsubscribedPresence:
			return stanza.Bounce(errReadOnly)
		}
	}
	return stanza.Pass()
}
