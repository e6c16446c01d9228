// Package disco is Service Discovery (XEP-0030): what an entity is, what it can
// do, and which other entities belong to it.
//
// [GetInfo] and [GetItems] ask. [Responder] is the [stanza.Module] that answers,
// for a client and for a server alike: an [Entity] is what there is to say about
// one address, and the features of other modules are part of it.
//
// # Who may ask about an account
//
// A server answers for the accounts that it hosts. Whether an account exists, and
// which of its resources are available, is told to those who may see its presence
// and to nobody else (XEP-0030 §8). Everybody else gets the same answer as for an
// account that does not exist. See [Responder.MaySee].
//
// # What is covered
//
// XEP-0030 2.5.0, all of §3, §4, §7 and §8. XEP-0128 1.0.1, all sections, as
// [Info.Forms].
//
// # Decisions where the documents leave room
//
//   - An answer without an identity is accepted, though §3.1 asks for one: some
//     services answer for their nodes with features alone.
//   - An empty node is as good as none.
//   - For the items of an account that the requester may not see, §8 rule 2 asks
//     for an empty list. RFC 6121 §8.5.1 has service-unavailable for every request
//     about an account that does not exist. The two answers must not differ, and
//     so it is always the second one.
//
// Left out: the cache of answers, which is package caps (§6.1), publishing of
// items (§5, withdrawn), and long lists of items in pages (XEP-0059 §2.5).
package disco
