// Package command is Ad-Hoc Commands (XEP-0050): things that an entity can be asked to
// do, with a form to fill out where it needs to know more, in one stage or several.
//
// [List] asks an entity what commands it has, and [Execute] begins one; the
// [Execution] goes on with Next, Prev, Complete, Continue and Cancel. [Responder] is
// the [stanza.Module] that offers commands, each of them a [Command] with a function
// that is called once for each stage.
//
// # Sessions
//
// The identifiers of sessions are made and recognised by a key of the Responder: they
// cannot be guessed, and one that belongs to somebody else, to another command or to
// nobody is refused before anything is looked up. A session is bound to the full
// address that began it, the number of sessions is bounded for each account and in all,
// and a session that is not used for some time ends.
//
// # Covered
//
// XEP-0050 1.3.0: §2.1, §2.2 and §2.4, §3.3 to §3.7, §4 with all errors of §4.4 (but
// feature-not-implemented, which says that there is no such module), and §5. The
// Responder is a [disco.NodeFinder] too: put it among the modules of the entity that
// has the commands.
//
// # Left out
//
// Announcing commands in a message (§2.3), which is an obvious use of package disco,
// and more than one language within a session.
package command
