// Package version is Software Version (XEP-0092): which software is at the other
// end, and which version of it.
//
// [Get] asks, and [Responder] is the [stanza.Module] that answers. To learn what
// contacts can do use package caps instead (§1): versions say little about that,
// and asking everybody is a flood.
//
// Covered: XEP-0092 1.1, all sections.
package version
