// Package caps is Entity Capabilities (XEP-0115): a hash in presence stands for
// what the sender's software can do, so that everybody who runs the same software
// is asked once for all.
//
// [Announcer] says what this side can do: in presence, in the stream features of
// a server, and in answer to those who have not seen its hash before. [Tracker]
// is the other half: it notes what others announce, and [Tracker.Info] finds out
// what it stands for, from its cache or by asking.
//
// # What is believed
//
// An answer is kept for all who announce the same hash only if it yields that
// hash (§5.4). What the hash does not cover, such as the labels of forms, is not
// kept. What cannot be verified, because the hash function is unknown or there is
// no hash (the legacy format of versions before 1.4), is kept for the one address
// that was asked. An answer that does not verify is kept for nobody.
//
// The string that is hashed has no escaping: it is ambiguous, and §8.3 says that
// this cannot be repaired. Answers with a '<' in any part, or a '/' where one
// separates the parts of an identity, are ill-formed here, although §5.4 does not
// say so; no real software sends them. What remains is that a feature can be
// passed off as the name of a form or field, or the other way round, by whoever
// is asked first. So do not base decisions about security, such as whether to
// encrypt, on what others have announced without asking again.
//
// # What is covered
//
// XEP-0115 1.6.0, all sections but those named here, with the hash functions of
// the standard library that resist finding a second preimage. Left out: taking
// unchanged annotations out of presence on the way (§8.4, for servers), and the
// bundles of features of the legacy format (§12): such an entity is asked for all
// at once.
package caps
