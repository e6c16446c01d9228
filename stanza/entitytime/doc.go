// Package entitytime is Entity Time (XEP-0202): what the clock at the other end
// says, and in which time zone.
//
// [Get] asks, and [Responder] is the [stanza.Module] that answers. It answers in
// UTC unless it is told otherwise, because a time zone tells where somebody is
// (§6).
//
// Covered: XEP-0202 2.0, all sections but the older protocol of XEP-0090 (§5).
package entitytime
