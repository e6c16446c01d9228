// Package mam is Message Archive Management (XEP-0313): the archive that a server
// keeps of the messages of each account, and asking it.
//
// [Module] is the server's side: it archives, and answers queries. What it keeps
// is in a [Store]. [Client] is the other side: [Client.Query] searches,
// [Client.SyncSince] catches up, [Client.Ask] gets a single page; [GetMetadata],
// [GetPrefs] and [SetPrefs] ask for the rest.
//
// # Whom to believe
//
// Results of an archive are messages, and anybody can send such a message. Client
// believes those that answer a query of its own and come from the archive that was
// asked; it ignores all others (§8.2). What a result holds was not received now: it
// is never handed to handlers of messages.
//
// On the server, an archive is for the account that it belongs to and nobody else
// (§8.1). Others are told forbidden if they may see the presence of the account, and
// otherwise service-unavailable, as if there were no account. Ids come from the system's source of randomness and tell nothing about the
// archive; the order is that of the store.
//
// # Covered
//
//   - XEP-0313 1.1.3, what concerns archives of users: §3 to §5, §6.1.1, §6.2, §7
//     to §9.
//   - XEP-0441 0.2.0, §2.1 and §2.3: preferences.
//   - XEP-0334 1.0.0, §4, as far as it is about archives.
//   - XEP-0359 0.7.0, §3: ids in messages, and taking forged ones away.
//
// # Decisions where the documents leave room
//
//   - What is archived is said by [Archivable]. Messages of rooms are not: several
//     resources in a room get a copy each, and the room has an archive. The field
//     include-groupchat is understood all the same (§7).
//   - The muc#user element is left in messages (§8.4): in an archive of a user it
//     belongs to private messages of a room, and nobody takes it for more than the
//     word of its sender there.
//   - Preferences that name somebody in both lists mean never. The policy "roster"
//     includes messages to oneself.
//   - A query that names a node, of which XEP-0442 is in charge, is refused.
//   - Entries older than the retention allows are not shown, even if they have not
//     been removed yet.
//   - Client takes a reply without a page for an error (§4: MUST).
//
// # What is left out
//
// Archives of rooms (§6.1.2) and of nodes (§6.1.3); XEP-0441 §2.2, configuration by
// commands; leaving out offline messages for who has read the archive (§6.1.1, MAY);
// discovery, for which Module names its features.
package mam
