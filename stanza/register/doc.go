// Package register is In-Band Registration (XEP-0077): accounts that users make,
// keep and remove over XMPP itself.
//
// For a server there is [Module]. It is off unless a program switches it on, and
// then there are bounds on everything: by stream, by address of the network, and
// in all. [Module.Allow] is where a program says who may have which name. New
// accounts are made by a stream feature, before authentication and inside TLS
// (§3.1.1); an account that has logged in asks about itself, changes its password
// (§3.3), or cancels its registration (§3.2).
//
// For a client there is [Client], a stream feature that registers before it logs
// in, and [Get], [Submit], [ChangePassword] and [Cancel] for a stream that is up;
// these also register with services such as gateways.
//
// Covered: XEP-0077 2.4: §3 whole, §4 and §6 (plain fields, data forms, addresses
// elsewhere, and which of them counts), §5, §8 (stream feature), §10. Decisions
// where the document leaves room:
//
//   - §3.1 names not-acceptable for what is missing. A name that cannot be part of
//     an address is answered in the same way.
//   - §3.1.1 lets a server answer not-acceptable to those who try too often. That
//     is what a second account on one stream gets. Whoever is over a rate gets
//     resource-constraint, of type wait: later it may work. A stream with too many
//     requests is closed with policy-violation.
//   - §3.3 does not say what becomes of the other sessions of an account when its
//     password changes. They are ended: who came in with the old password is out.
//     See [Module.KeepSessions].
//   - §3.2: a name is free for others only after all that was kept for it is gone.
//
// Left out: the obsolete <key/> (§7) beyond reading and writing it; the numeric
// codes of XEP-0086 (§9), which is obsolete itself; the URI queries of §13.3;
// CAPTCHA forms (XEP-0158), for which Allow has no question to ask.
package register
