// Package roster is the contact list of an account and its subscriptions to
// presence, for clients and for servers (RFC 6121 §2, §3, §A).
//
// A client keeps its roster with a [Client]: [Client.Sync] asks for it, pushes
// change it, and OnChange tells what has changed. [Set] and [Remove] change the roster
// on the server; [Subscribe], [Approve], [Deny], [Cancel], [Unsubscribe] and
// [PreApprove] manage who sees whose presence. A client without a roster on a server
// keeps a [List] of its own.
//
// A server keeps rosters in a [Store], of which [MemoryStore] is one. What it does
// with requests is in functions without I/O: [ParseSet] and [Entry.Apply] for a
// roster set, [ParseGet] and [Answer] for a get, [Change.Push] for pushes. For
// presence that manages subscriptions there is the state machine: [State.Outbound]
// and [State.Inbound] return the new state and the [Effects], [State.Removal] what
// the removal of a contact takes. [Versioning] and [PreApproval] are the stream
// features.
//
// # What is covered
//
// RFC 6121 §2 (rosters, with versions, §2.6, which is XEP-0237), §3 (subscriptions,
// with pre-approval, §3.4), §A (states), the schema of §D.
//
// Left out, because it takes a server around it: which resources are interested
// (§2.2), routing, delivery, and probes (§3.1.3 to §3.3.3, §4), to which package
// presence puts these parts together; resending requests that nobody has answered
// (§3.1.2); keeping replies for a user who is offline (§3.1.6 and others: MAY). A
// roster that does not exist (§2.1.4) is an empty one.
//
// # Decisions where the documents leave room
//
//   - §A.2 and §A.3 decide where §3 says something else; the comment in front of the
//     tables in subscription.go names the places.
//   - Pre-approval is used up by the request that it approves (§3.4.2).
//   - To remove a contact also withdraws and denies requests that are pending
//     (§2.5.2 speaks of subscriptions only).
//   - A contact in a roster is a bare JID and not the account itself (§2.3.3).
//   - Groups are compared as resourceparts are (§2.3.3).
//   - Versions are numbers that grow with each change, and start at random, so that
//     no two rosters share one (§2.6.2).
package roster
