// Package bolt keeps what a server has to keep in one file: a [DB] has an
// implementation of each store interface of this module, on top of
// go.etcd.io/bbolt. It is for a server that runs as one process, and needs nothing
// beside it. It is a module of its own because of that dependency.
//
// Covered:
//
//   - [DB.Accounts]: who may log in, as xmpp.Accounts, with the methods of
//     xmpp.MemoryAccounts (RFC 5802 §3: derived keys, never passwords)
//   - [DB.Tokens]: auth.TokenStore (XEP-0484)
//   - [DB.Rosters]: roster.Store (RFC 6121 §2, §2.6)
//   - [DB.Offline] and [DB.LastSeen]: presence.OfflineStore (XEP-0160) and
//     presence.LastSeenStore (RFC 6121 §4.3.2, XEP-0012)
//   - [DB.Blocking], [DB.Private], [DB.VCards] and [DB.Archive]: the stores of
//     packages blocking (XEP-0191), private (XEP-0049), vcard (XEP-0054) and
//     mam (XEP-0313, XEP-0441)
//   - [DB.Sessions]: sm.Store (XEP-0198 §5), so that clients resume their sessions
//     after the server was started again
//
// # Durability
//
// A method that returned nil has stored what it was given, and it is still there
// after the program was killed or the power failed, as far as the disk keeps what
// it said it had written; that goes for times of [DB.LastSeen] too. One that
// returned an error has changed nothing. What one call changes is there as a whole
// or not at all. Writers share transactions: all that come while one is being
// written to the disk are in the next one, so that a hundred of them at once take
// about as long as two.
//
// With [Options].NoSync that goes for the end of the program, but not for a power
// failure. It is for a file of its own with the sessions, which are changed for each
// batch of stanzas and worth nothing after some minutes.
//
// A context ends the wait for one's turn. A change that is being written is waited
// for, or nobody would know what has become of it.
//
// After the disk has failed to store a transaction nothing more is written, and
// writing methods say so, until the file is opened again: what is on the disk then
// decides.
//
// # What is in the file
//
// The file is for its owner only (mode 0600). It holds derived keys instead of
// passwords, but tokens as they are, as auth.TokenStore says, and messages in the
// clear. What was deleted is no longer found, but its bytes stay in the file until
// they are overwritten: put the file on an encrypted disk if that matters.
//
// A file that was put back from an old copy is safe for clients that know rosters
// of a later time: numbers of versions are not used again, for each opening leaves
// some out at random.
//
// Left out: more than one process at a time, and replication; see xmpp.Accounts and
// the other interfaces for a database of your own.
package bolt
