package stanza

import (
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// parties are the two ends of a stream, as far as they decide who may answer a
// request that was sent over it.
type parties struct {
	local, remote jid.JID
	role          stream.Role
	content       string // content namespace
}

// client reports whether this side is the client of a client-to-server stream,
// host whether it is the server of one.
func (p *parties) client() bool {
	return p.content == stream.NSClient && p.role == stream.Initiating
}

func (p *parties) host() bool {
	return p.content == stream.NSClient && p.role == stream.Receiving
}

// answers reports whether a reply with address from answers a request that
// was sent to the address to. Either is zero when the stanza has no such
// attribute. Whoever can write on the stream can guess an id; only the
// addressee may answer.
func (p *parties) answers(to, from jid.JID) bool {
	switch {
	case p.client():
		account, server := p.local.Bare(), p.remote.DomainJID()
		switch {
		case to.IsZero():
			// RFC 6120 §10.3.3: the server handles the request on behalf of
			// the account, and §8.1.2.1 rule 3: its reply has no 'from' or
			// the account's bare JID. A server may see itself as the one
			// that answers (rule 2; XEP-0199 §4.2 calls the two equivalent).
			// Nobody but the server can use either address towards us.
			return from.IsZero() || from == account || from == server
		case from.IsZero():
			// Rule 4: no 'from' means the account, for which the server
			// speaks as well as for itself.
			return to == account || to == server
		}
		return from == to
	case p.host():
		// §8.1.2.1 rule 1: the server decides what a client's 'from' is, so
		// absent, bare and full address are the same, and none else counts.
		return p.isClient(to) && p.isClient(from)
	case to.IsZero():
		return from.IsZero() || from == p.remote
	}
	return from == to
}

// reaches reports whether what is sent to the address to gets to whom from stands
// for on what was received. Either is zero when the stanza has no such attribute.
func (p *parties) reaches(to, from jid.JID) bool {
	switch {
	case p.client():
		// RFC 6120 §8.1.2.1 rule 4, §10.3.3: none is the account's.
		account := p.local.Bare()
		return to == from || to.IsZero() && from == account || to == account && from.IsZero()
	case p.host():
		return p.isClient(to) && p.isClient(from)
	}
	return to == from
}

// isClient reports whether j, found on a stanza of a stream that we host,
// stands for the client at the other end.
func (p *parties) isClient(j jid.JID) bool {
	return j.IsZero() || j == p.remote || j == p.remote.Bare()
}
