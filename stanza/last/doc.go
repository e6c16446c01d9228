// Package last is Last Activity (XEP-0012): for how long somebody has been idle
// or gone, or a server has been running.
//
// [Get] asks; [Client] is the [stanza.Module] by which a client answers, and
// [Server] that of a server. What the answer means depends on the address that
// was asked (§6): for an account, the time since it was last available, and its
// last words; for a resource, the time since its user did something; for a server,
// the time since it was started.
//
// Covered: XEP-0012 2.0, all sections.
package last
