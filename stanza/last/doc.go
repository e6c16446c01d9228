// Package last is Last Activity (XEP-0012): for how long somebody has been idle
// or gone, or a server has been running.
//
// [Get] asks; [Client] is the [stanza.Module] by which a client answers, and
// [Server] that of a server. What the answer means depends on the address that
// was asked (§6): for an account, the time since it was last available, and its
// last words; for a resource, the time since its user did something; for a server,
// the time since it was started.
//
// Who may not see the presence of an account is told service-unavailable, and not
// forbidden as §3 and §4 have it: that is the answer for an account that does not
// exist (RFC 6121 §8.5.1), and a different one would tell everybody who has an account
// (RFC 6120 §13.11).
//
// Covered: XEP-0012 2.0, all sections, with that one exception.
package last
