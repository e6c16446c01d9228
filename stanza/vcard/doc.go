// Package vcard is vcard-temp (XEP-0054), the profile that every account may
// publish, and vCard-Based Avatars (XEP-0153), which announce a change of the
// picture in it by presence.
//
// A client reads a profile with [Get] and publishes its own with [Set]. A [VCard]
// has fields for what is common; everything else, and whatever is not changed, is
// written as it was received. To change a profile, Get it, change fields, and Set
// it: there are no partial updates (§3.2).
//
// An [Update] in presence carries the hash of the picture. A client puts its own
// into what it broadcasts, finds those of others with [UpdateOf], and asks
// [Update.Fetch] whether it has to get the profile, which is at the bare address
// of the contact (or at that of the occupant in a room). What to do when another
// client of the same account announces something else tells [Update.Other].
//
// A server adds a [Module]. It keeps profiles in a [Store], byte for byte, answers
// for accounts that are offline, and completes the presence of clients that do not
// announce the picture that they have: as the rules for that are made for servers,
// it follows XEP-0398 §4 there.
//
// Profiles are for everybody to read (§5). Who asks for one that does not exist is
// told what is said about accounts that do not exist (§3.3), and so is who tries
// to change it.
//
// Covered: XEP-0054 1.3.0, all sections; XEP-0153 1.1.1, all sections; XEP-0398 §4.
// Left out: the profile of the server itself; looking into pictures, so that their
// size in pixels and their type (XEP-0153 §4.6, §5) are for who shows them; avatars
// in PEP (XEP-0084) and their conversion.
package vcard
