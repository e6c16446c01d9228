// Package private is Private XML Storage (XEP-0049): a client leaves small pieces
// of XML with its server, for itself and the other clients of the account. What
// they mean is between the clients: bookmarks (XEP-0048), annotations of contacts
// (XEP-0145), settings.
//
// A client calls [Set] and [Get]. A server adds a [Module], which keeps elements
// by account and name in a [Store], byte for byte.
//
// Decisions where the document leaves room:
//
//   - An element is kept by its namespace and local name, so that two that share a
//     namespace do not replace each other. One request may set several, all or
//     none; they have different names.
//   - An element without attributes and content is what an account reads that has
//     stored nothing. To store one removes what was there.
//   - Reserved namespaces, those that begin with "jabber:" or "http://jabber.org/"
//     and "vcard-temp", are refused with not-acceptable (§2.3, optional).
//   - "Bad Format", which §2.3 and §3 name for a request without a child, is none
//     of the conditions of RFC 6120. It is answered with not-acceptable, which §2.3
//     demands for the same case further up.
//   - The data of another account is refused by not answering for it: the server
//     says service-unavailable, one of the two conditions of §2.3, and the one that
//     does not tell whether there is such an account.
//
// Covered: XEP-0049 1.2, all sections. Left out: what particular elements mean.
package private
