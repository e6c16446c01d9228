// Package rsm is Result Set Management (XEP-0059): asking for a long list page by
// page.
//
// The element <set/> is part of other protocols. Of a request it is a [Request],
// for which there are [Forward], [Backward], [At] and [Count]; of a response it is
// a [Result]. [Page] answers a request out of a slice in memory.
//
// Covered: XEP-0059 1.0 §2. Left out: the protocols around it, discovery (§4), for
// which whoever uses the package names the feature [NS].
package rsm
