package presence

import "stanzakit.dev/xmpp/stanza"

// Question is what the fate of a stanza depends on (RFC 6120 §10, RFC 6121 §8),
// and nothing else: no address, no table of who is connected. The zero value of
// each field is the one that lets least happen.
type Question struct {
	// Kind and Type are those of the stanza. The type of a message is never
	// empty, that of available presence is.
	Kind stanza.Kind
	Type string

	// To is the kind of address, and Standing what is known of its account. The
	// latter does not matter for a service, another domain, or a full JID that is
	// connected.
	To       Target
	Standing Standing

	// Own: the addressee is the account of the sender.
	Own bool
	// Seen: the addressee shares its presence with the sender, by a subscription
	// or by directed presence. It matters only for requests to a full JID.
	Seen bool
}

// Target is the kind of address that a stanza has.
type Target uint8

// The kinds of addresses.
const (
	Elsewhere Target = iota // a domain that this server does not serve
	Service                 // the server, or a resource of it
	Account                 // the bare JID of an account
	Connected               // the full JID of a resource that is connected
	Absent                  // a full JID that nobody is connected with
)

// Standing is what is known of an account: one row of the table in RFC 6121
// §8.5.4.
type Standing uint8

// The standings.
const (
	Unknown     Standing = iota // there is no such account
	Unavailable                 // no resource is available
	Negative                    // those that are available have a negative priority
	Reachable                   // at least one is available with a priority of zero or more
)

// Action is what is done with a stanza.
type Action uint8

// The actions.
const (
	// Drop: nobody gets it, and nobody is told.
	Drop Action = iota
	// Refuse: the sender gets an error; see Answer.Condition.
	Refuse
	// Serve: the server itself handles it, or the sender's own account.
	Serve
	// ServePublic: the server answers on behalf of somebody else's account.
	ServePublic
	// DeliverOne: the resource that it is addressed to gets it.
	DeliverOne
	// DeliverBest: the reachable resources with the highest priority get it.
	DeliverBest
	// DeliverReachable: all reachable resources get it.
	DeliverReachable
	// DeliverAvailable: all available resources get it, whatever their priority.
	DeliverAvailable
	// Keep: it is stored until a resource is reachable; without a store it is
	// refused with service-unavailable.
	Keep
	// Subscription: it is about a subscription (RFC 6121 §3), for the bare JID.
	Subscription
	// Probe: it asks about presence (RFC 6121 §4.3).
	Probe
)

// Answer is a decision.
type Answer struct {
	Action    Action
	Condition stanza.Condition // with Refuse
}

// Decide says what becomes of a stanza. It is the whole of RFC 6121 §8 and of RFC
// 6120 §10.3 to §10.5 for stanzas with an address.
func Decide(q Question) Answer {
	switch q.To {
	case Elsewhere:
		// RFC 6120 §10.4: where this server does not reach.
		return q.refuse(stanza.RemoteServerNotFound)
	case Service:
		return Answer{Action: Serve} // RFC 6120 §10.5.1, §10.5.2
	}
	switch q.Kind {
	case stanza.MessageKind:
		return q.message()
	case stanza.PresenceKind:
		return q.presence()
	}
	return q.iq()
}

// message is the table of RFC 6121 §8.5.4.
func (q Question) message() Answer {
	if q.To == Connected {
		return Answer{Action: DeliverOne} // §8.5.3.1
	}
	typ := stanza.MessageType(q.Type)
	switch {
	case typ == stanza.ErrorMessage:
		return Answer{} // §8.5.2.1.1, §8.5.2.2.1, §8.5.3.2.1
	case q.To == Absent && typ != stanza.ChatMessage, typ == stanza.GroupChatMessage:
		// §8.5.3.2.1: nobody is there. §8.5.2.1.1: not for an account.
		return q.refuse(stanza.ServiceUnavailable)
	case q.Standing == Reachable && typ == stanza.HeadlineMessage:
		return Answer{Action: DeliverReachable}
	case q.Standing == Reachable:
		return Answer{Action: DeliverBest}
	case typ == stanza.HeadlineMessage:
		return Answer{} // old news soon enough
	case q.Standing == Unknown:
		return q.refuse(stanza.ServiceUnavailable) // §8.5.1
	}
	return Answer{Action: Keep} // §8.5.2.2.1, §8.5.3.2.1
}

// presence is RFC 6121 §8.5.1, §8.5.2.1.2, §8.5.2.2.2, §8.5.3.
func (q Question) presence() Answer {
	switch typ := stanza.PresenceType(q.Type); typ {
	case stanza.ProbePresence:
		return Answer{Action: Probe}
	case stanza.SubscribePresence:
		return Answer{Action: Subscription}
	case stanza.SubscribedPresence, stanza.UnsubscribePresence, stanza.UnsubscribedPresence:
		if q.To == Absent {
			return Answer{} // §8.5.3.2.2
		}
		return Answer{Action: Subscription}
	case stanza.AvailablePresence, stanza.UnavailablePresence, stanza.ErrorPresence:
		switch {
		case q.To == Connected:
			return Answer{Action: DeliverOne}
		case q.To == Account && typ != stanza.ErrorPresence && q.Standing >= Negative:
			return Answer{Action: DeliverAvailable}
		}
	}
	return Answer{} // §8.5.1, §8.5.2.2.2, §8.5.3.2.2
}

// iq is RFC 6121 §8.5.1, §8.5.2.1.3, §8.5.3.1, §8.5.3.2.3.
func (q Question) iq() Answer {
	request := q.Type == string(stanza.GetIQ) || q.Type == string(stanza.SetIQ)
	switch {
	case q.To == Connected && request && !q.Own && !q.Seen:
		// §8.5.3.1: an answer of the client would tell that it is there.
		return q.refuse(stanza.ServiceUnavailable)
	case q.To == Connected:
		return Answer{Action: DeliverOne}
	case q.To == Absent:
		return q.refuse(stanza.ServiceUnavailable)
	case q.Own:
		return Answer{Action: Serve}
	case q.Standing == Unknown || !request:
		return q.refuse(stanza.ServiceUnavailable)
	}
	return Answer{Action: ServePublic}
}

// refuse is an error for the sender, unless the stanza is one that must not be
// answered (RFC 6120 §8.3.1 rule 8, §8.2.3 rule 4).
func (q Question) refuse(c stanza.Condition) Answer {
	if q.Type == "error" || q.Kind == stanza.IQKind && q.Type == string(stanza.ResultIQ) {
		return Answer{}
	}
	return Answer{Action: Refuse, Condition: c}
}
