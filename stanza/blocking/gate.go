package blocking

import (
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// refusal is what a client is told whose stanza is for somebody whom it blocks.
var refusal = &stanza.Error{Condition: stanza.NotAcceptable, Type: stanza.CancelError, Application: condition{}}

// Gate implements [stanza.Gate]. It takes no lock, waits for nothing and allocates
// nothing. What the server itself makes, such as the copies of a broadcast, is
// not passed on either when the verdict is to bounce it; whether there is anybody
// to tell is for the server to know.
func (m *Module) Gate(from, to jid.JID, kind stanza.Kind, typ string) stanza.Verdict {
	if m.lists == nil || m.lists.empty() {
		return stanza.Pass()
	}
	sender, recipient := from.Bare(), to.Bare()
	switch {
	case m.lists.of(sender).blocks(to) && !m.exempt(sender, to):
		return outbound(kind, typ)
	case m.lists.of(recipient).blocks(from) && !m.exempt(recipient, from):
		return inbound(kind, typ)
	}
	return stanza.Pass()
}

// exempt reports whether a contact cannot be blocked by an account: it is the
// account itself, or its server.
func (m *Module) exempt(account, contact jid.JID) bool {
	// XEP-0191 §5, note: "An implementation MUST NOT block communications from one
	// of a user's resources to another".
	if contact.Bare() == account {
		return true
	}
	return contact.Local() == "" && slices.Contains(m.host.Domains(), contact.DomainJID())
}

// outbound is the verdict on a stanza to somebody whom its sender blocks.
func outbound(kind stanza.Kind, typ string) stanza.Verdict {
	// XEP-0191 §3.3: "MUST NOT route the stanza to the JID but instead MUST return a
	// <not-acceptable/> error". RFC 6120 §8.3.1 rule 8, §8.2.3 rule 4: not to an
	// error or a result.
	if reply(kind, typ) {
		return stanza.Drop()
	}
	return stanza.Bounce(refusal)
}

// inbound is the verdict on a stanza from somebody whom its addressee blocks.
func inbound(kind stanza.Kind, typ string) stanza.Verdict {
	switch {
	case kind == stanza.PresenceKind:
		// XEP-0191 §3.3: "the server MUST NOT respond and MUST NOT return an error".
		return stanza.Drop()
	case reply(kind, typ):
		// "IQ stanzas of other types MUST be silently dropped"; of errors that holds
		// anyway.
		return stanza.Drop()
	case kind == stanza.MessageKind && typ == string(stanza.GroupChatMessage):
		// The error for messages is a SHOULD; a room would remove the user for it.
		return stanza.Drop()
	}
	// "the server SHOULD return an error, which SHOULD be <service-unavailable/>";
	// for a request it MUST.
	return stanza.Bounce(stanza.ServiceUnavailable)
}

// reply reports whether a stanza answers another one.
func reply(kind stanza.Kind, typ string) bool {
	return typ == string(stanza.ErrorMessage) || kind == stanza.IQKind && typ == string(stanza.ResultIQ)
}
