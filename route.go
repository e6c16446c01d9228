package xmpp

import (
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// verdict is what the router does with a stanza.
type verdict uint8

const (
	drop    verdict = iota // nobody gets it, and the rules want no answer
	serve                  // the server itself handles it
	deliver                // the chosen resources get it
	bounce                 // the sender gets an error
)

// routing is a decision of route.
type routing struct {
	verdict   verdict
	to        []*resource
	condition stanza.Condition // with bounce
}

// routed is what a decision depends on, apart from who is connected.
type routed struct {
	kind     stanza.Kind
	typ      string // the type attribute; unknown ones are the caller's matter
	from, to jid.JID
}

// route decides what becomes of a stanza from one of the server's own clients
// (RFC 6120 §10, RFC 6121 §8). There are no rosters and no offline storage at
// this level: presence goes where it is addressed, and a message that nobody
// can take comes back.
//
// The slice in the result may be built on buf.
func route(st routed, hosted func(jid.JID) bool, table *resources, buf []*resource) routing {
	to := st.to
	if to.IsZero() {
		switch st.kind {
		case stanza.MessageKind:
			// RFC 6120 §10.3.1: as if addressed to the sender's bare JID.
			to = st.from.Bare()
		case stanza.PresenceKind:
			// §10.3.2. Contacts would be told too if there were a roster.
			return broadcast(st, table, buf)
		default:
			// §10.3.3: the server answers on behalf of the account.
			return routing{verdict: serve}
		}
	}
	switch {
	case !hosted(to.DomainJID()):
		// RFC 6120 §10.4: somewhere else, where this server does not reach.
		return refuse(st, stanza.RemoteServerNotFound)
	case to.Local() == "":
		// §10.5.1, §10.5.2: the server, or a resource of it.
		return routing{verdict: serve}
	case to.IsFull():
		if r := table.find(to); r != nil && r.connected() {
			return matched(st, r, buf)
		}
		return unmatched(st, to, table, buf)
	}
	return toAccount(st, to, table, buf)
}

// broadcast sends undirected presence to all of the account's available
// resources, the sender included: everybody is subscribed to their own presence
// (RFC 6121 §4.2.2, §4.4.2, §4.5.2).
func broadcast(st routed, table *resources, buf []*resource) routing {
	switch st.typ {
	case "", "unavailable":
		return routing{verdict: deliver, to: table.of(buf, st.from, func(r *resource) bool {
			return r.available() || r.addr == st.from && r.connected()
		})}
	}
	return routing{verdict: drop}
}

// aboutSubscription reports whether presence belongs to a roster (RFC 6121 §3,
// §4.3). There is none, so nobody can grant a subscription or has one; and if
// these were answered, the answers would have to be the same for accounts and
// resources that do not exist, where §8.5.1 and §8.5.3.2.2 demand silence.
func aboutSubscription(typ string) bool {
	switch stanza.PresenceType(typ) {
	case stanza.SubscribePresence, stanza.SubscribedPresence, stanza.UnsubscribePresence,
		stanza.UnsubscribedPresence, stanza.ProbePresence:
		return true
	}
	return false
}

// matched handles a full JID that is connected (RFC 6121 §8.5.3.1).
func matched(st routed, r *resource, buf []*resource) routing {
	if st.kind == stanza.PresenceKind && aboutSubscription(st.typ) {
		return routing{verdict: drop}
	}
	return routing{verdict: deliver, to: append(buf, r)}
}

// unmatched handles a full JID that is not connected (RFC 6121 §8.5.3.2).
func unmatched(st routed, to jid.JID, table *resources, buf []*resource) routing {
	switch st.kind {
	case stanza.MessageKind:
		if st.typ == string(stanza.ChatMessage) {
			return toAccount(st, to, table, buf)
		}
		return refuse(st, stanza.ServiceUnavailable)
	case stanza.IQKind:
		return refuse(st, stanza.ServiceUnavailable)
	}
	return routing{verdict: drop}
}

// toAccount handles a bare JID (RFC 6121 §8.5.2), whether or not there is such
// an account: who asks cannot tell.
func toAccount(st routed, to jid.JID, table *resources, buf []*resource) routing {
	switch st.kind {
	case stanza.MessageKind:
		switch stanza.MessageType(st.typ) {
		case stanza.ErrorMessage:
			return routing{verdict: drop}
		case stanza.GroupChatMessage:
			return refuse(st, stanza.ServiceUnavailable)
		}
		rs := table.of(buf, to, (*resource).reachable)
		switch {
		case len(rs) > 0 && st.typ == string(stanza.HeadlineMessage):
			return routing{verdict: deliver, to: rs}
		case len(rs) > 0:
			return routing{verdict: deliver, to: mostAvailable(rs)}
		case st.typ == string(stanza.HeadlineMessage):
			return routing{verdict: drop}
		}
		return refuse(st, stanza.ServiceUnavailable)
	case stanza.PresenceKind:
		switch st.typ {
		case "", "unavailable":
			return routing{verdict: deliver, to: table.of(buf, to, (*resource).available)}
		}
		return routing{verdict: drop} // errors, and what aboutSubscription says
	}
	// §8.5.2.1.3: the server answers on behalf of the account, and for
	// somebody else's it has nothing to say.
	if to.Bare() == st.from.Bare() {
		return routing{verdict: serve}
	}
	return refuse(st, stanza.ServiceUnavailable)
}

// mostAvailable keeps the resources with the highest priority (§8.5.2.1.1).
func mostAvailable(rs []*resource) []*resource {
	best := int8(-1)
	n := 0
	for _, r := range rs {
		p := r.presence.Load()
		if p == nil || p.priority < best {
			continue
		}
		if p.priority > best {
			best, n = p.priority, 0
		}
		rs[n] = r
		n++
	}
	return rs[:n]
}

// refuse returns an error to the sender, unless the stanza is one that must not
// be answered (RFC 6120 §8.3.1 rule 8, §8.2.3).
func refuse(st routed, c stanza.Condition) routing {
	if st.typ == "error" || st.kind == stanza.IQKind && st.typ == "result" {
		return routing{verdict: drop}
	}
	return routing{verdict: bounce, condition: c}
}
