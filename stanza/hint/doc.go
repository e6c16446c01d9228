// Package hint is Message Processing Hints (XEP-0334): what the sender of a
// message would like the servers on the way to do with it, such as not to store
// it.
//
// A [Hint] is a set. Put one into [stanza.Message.Extra], and read those of a
// message with [Of] or [OfMessage].
//
// Covered: XEP-0334 1.0.0 §4 and §5. Left out: XEP-0079, whose directives take
// precedence (§5). What a server does about the hints is up to its archive, its
// offline store and its carbons.
package hint
