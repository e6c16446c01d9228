// Package sid is Unique and Stable Stanza IDs (XEP-0359): identifiers of messages
// that, unlike the id attribute, an archive or a room vouches for.
//
// A [StanzaID] is given by the entity that its By names, an [OriginID] by whoever
// sent the message. [Find] and [Origin] read them from a stanza.
//
// # Whom to believe
//
// Anybody can write a stanza-id with any address in it. What makes one credible is
// that the named entity takes foreign ones in its name away before it adds its own
// (§3), which it promises by announcing [NS] in service discovery (§6): so for a
// message to an account, believe the stanza-id by your own account (its bare JID)
// if your server announces the feature; for a message in a room, that by the room
// if the room does. [Find] wants to be told by whom, and there is no function
// that returns any stanza-id there is. An origin-id is never proof of anything
// (§6); it is for recognising one's own messages.
//
// A server calls [Strip] on every message that arrives, with the addresses in
// whose name it gives ids itself, before anything else sees the message.
//
// Covered: XEP-0359 0.7.0 §2 to §5. Left out: discovery itself.
package sid
