package roster

import "stanzakit.dev/xmpp/stanza"

// The eight tables below are RFC 6121 §A.2 and §A.3, Tables 2 to 9, row by row.
// Each is followed by the rows of §3.4 for a contact whose request is approved
// beforehand; the appendix has these in its footnotes.
//
// What the appendix says is the state and whether the stanza is routed (A.2) or
// delivered (A.3). The other effects are those of §3:
//
//   - A push goes out when something has changed that the user can see (§2.6.3,
//     "roster modification"). A request that comes in, or is withdrawn, is no part
//     of the roster. The exception is a request that is denied, because §3.2.2
//     rule 3 has a push for each "unsubscribed" that is routed.
//   - Presence follows an approval (§3.1.5). It also follows the reply to somebody
//     who asks again although subscribed. The RFC does not say so; it brings a
//     server that has lost the first approval what it missed, and tells nobody
//     anything who may not know it.
//   - Unavailable presence is for those who were subscribed (§3.2.2 "while the user
//     is still subscribed", §3.3.3 step 3), never for those who only asked: it
//     would tell them what they were denied.
//
// Where a row says S.N. (SHOULD NOT), nothing is routed or delivered. §3.3.3 and
// §A.3.2 differ about an unsubscribe from somebody who has asked and is not
// subscribed yet: it is delivered and replied to here, as the appendix has it.
//
// Pre-approval is used up by the request that it approves, which the second
// implementation note of §3.4.2 leaves open: approved once means subscribed once.

// row is one line of a table.
type row struct {
	existing State
	effects  Effects
	next     State
}

const (
	approvedTo  = To | Approved
	approvedOut = PendingOut | Approved
	pendingBoth = PendingOut | PendingIn
	toIn        = To | PendingIn
	fromOut     = From | PendingOut
)

// outbound is §A.2: the client of the account sends, and "routed" is the question.
var outbound = compile(map[stanza.PresenceType][]row{
	// §A.2.1, Table 2. [1]: the new state sets the 'ask' flag.
	stanza.SubscribePresence: {
		{None, Route | Push, PendingOut},
		{PendingOut, Route, PendingOut},
		{PendingIn, Route | Push, pendingBoth},
		{pendingBoth, Route, pendingBoth},
		{To, Route, To},
		{toIn, Route, toIn},
		{From, Route | Push, fromOut},
		{fromOut, Route, fromOut},
		{Both, Route, Both},
		// Pre-approval is about the other direction and stays.
		{Approved, Route | Push, approvedOut},
		{approvedOut, Route, approvedOut},
		{approvedTo, Route, approvedTo},
	},
	// §A.2.2, Table 3.
	stanza.UnsubscribePresence: {
		{None, Route, None},
		{PendingOut, Route | Push, None},
		{PendingIn, Route, PendingIn},
		{pendingBoth, Route | Push, PendingIn},
		{To, Route | Push, None},
		{toIn, Route | Push, PendingIn},
		{From, Route, From},
		{fromOut, Route | Push, From},
		{Both, Route | Push, From},
		// As above.
		{Approved, Route, Approved},
		{approvedOut, Route | Push, Approved},
		{approvedTo, Route | Push, Approved},
	},
	// §A.2.3, Table 4. [1]: what nobody has asked for yet is pre-approval.
	stanza.SubscribedPresence: {
		{None, Push, Approved},
		{PendingOut, Push, approvedOut},
		{PendingIn, Route | Push | SendPresence, From},
		{pendingBoth, Route | Push | SendPresence, fromOut},
		{To, Push, approvedTo},
		{toIn, Route | Push | SendPresence, Both},
		{From, 0, From},
		{fromOut, 0, fromOut},
		{Both, 0, Both},
		// §3.4.2 rule 3: the flag is set already.
		{Approved, 0, Approved},
		{approvedOut, 0, approvedOut},
		{approvedTo, 0, approvedTo},
	},
	// §A.2.4, Table 5. [1]: it may cancel pre-approval.
	stanza.UnsubscribedPresence: {
		{None, 0, None},
		{PendingOut, 0, PendingOut},
		{PendingIn, Route | Push, None},
		{pendingBoth, Route | Push, PendingOut},
		{To, 0, To},
		{toIn, Route | Push, To},
		{From, Route | Push | SendUnavailable, None},
		{fromOut, Route | Push | SendUnavailable, PendingOut},
		{Both, Route | Push | SendUnavailable, To},
		// §3.2.2 rule 2, §3.4.2 third note: the contact is not told.
		{Approved, Push, None},
		{approvedOut, Push, PendingOut},
		{approvedTo, Push, To},
	},
})

// inbound is §A.3: the stanza comes from the contact, and "delivered" is the
// question.
var inbound = compile(map[stanza.PresenceType][]row{
	// §A.3.1, Table 6. [2]: who is subscribed gets the answer from the server.
	stanza.SubscribePresence: {
		{None, Deliver | Keep, PendingIn},
		{PendingOut, Deliver | Keep, pendingBoth},
		{PendingIn, 0, PendingIn},
		{pendingBoth, 0, pendingBoth},
		{To, Deliver | Keep, toIn},
		{toIn, 0, toIn},
		{From, AutoReplySubscribed | SendPresence, From},
		{fromOut, AutoReplySubscribed | SendPresence, fromOut},
		{Both, AutoReplySubscribed | SendPresence, Both},
		// [1] and §3.4.2: approved beforehand, and not delivered.
		{Approved, Push | AutoReplySubscribed | SendPresence, From},
		{approvedOut, Push | AutoReplySubscribed | SendPresence, fromOut},
		{approvedTo, Push | AutoReplySubscribed | SendPresence, Both},
	},
	// §A.3.2, Table 7. [1]: each change is confirmed with "unsubscribed".
	stanza.UnsubscribePresence: {
		{None, 0, None},
		{PendingOut, 0, PendingOut},
		{PendingIn, Deliver | AutoReplyUnsubscribed, None},
		{pendingBoth, Deliver | AutoReplyUnsubscribed, PendingOut},
		{To, 0, To},
		{toIn, Deliver | AutoReplyUnsubscribed, To},
		{From, Deliver | Push | AutoReplyUnsubscribed | SendUnavailable, None},
		{fromOut, Deliver | Push | AutoReplyUnsubscribed | SendUnavailable, PendingOut},
		{Both, Deliver | Push | AutoReplyUnsubscribed | SendUnavailable, To},
		// There is nothing to end yet; only the user takes an approval back.
		{Approved, 0, Approved},
		{approvedOut, 0, approvedOut},
		{approvedTo, 0, approvedTo},
	},
	// §A.3.3, Table 8.
	stanza.SubscribedPresence: {
		{None, 0, None},
		{PendingOut, Deliver | Push, To},
		{PendingIn, 0, PendingIn},
		{pendingBoth, Deliver | Push, toIn},
		{To, 0, To},
		{toIn, 0, toIn},
		{From, 0, From},
		{fromOut, Deliver | Push, Both},
		{Both, 0, Both},
		// Pre-approval is about the other direction and stays.
		{Approved, 0, Approved},
		{approvedOut, Deliver | Push, approvedTo},
		{approvedTo, 0, approvedTo},
	},
	// §A.3.4, Table 9.
	stanza.UnsubscribedPresence: {
		{None, 0, None},
		{PendingOut, Deliver | Push, None},
		{PendingIn, 0, PendingIn},
		{pendingBoth, Deliver | Push, PendingIn},
		{To, Deliver | Push, None},
		{toIn, Deliver | Push, PendingIn},
		{From, 0, From},
		{fromOut, Deliver | Push, From},
		{Both, Deliver | Push, From},
		// As above.
		{Approved, 0, Approved},
		{approvedOut, Deliver | Push, Approved},
		{approvedTo, Deliver | Push, Approved},
	},
})

// machine is four tables, each indexed by the state.
type machine map[stanza.PresenceType]*[1 << 5]row

// compile puts each row in the place of its state.
func compile(tables map[stanza.PresenceType][]row) machine {
	m := make(machine, len(tables))
	for t, rows := range tables {
		m[t] = new([1 << 5]row)
		for _, r := range rows {
			m[t][r.existing] = r
		}
	}
	return m
}

// step looks a stanza of type t up in state s.
func (m machine) step(t stanza.PresenceType, s State) (State, Effects) {
	s = s.valid()
	table := m[t]
	if table == nil {
		return s, 0
	}
	return table[s].next, table[s].effects
}
