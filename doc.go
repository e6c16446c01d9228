// Package xmpp is the front door of StanzaKit: a [Client] that connects an
// account to its server, and a [Server] that programs embed. Both only wire
// together the packages below, each of which can be used alone:
//
//   - jid: addresses (RFC 7622)
//   - sasl: authentication mechanisms, pure, for both sides (RFC 5802, RFC 7677,
//     RFC 4616 and others)
//   - stream: XML, streams, negotiation, sessions (RFC 6120 §4, §11)
//   - tls: STARTTLS and direct TLS for both sides, certificates and policies,
//     channel bindings (RFC 6120 §5, RFC 9525, RFC 7590, RFC 9266, XEP-0368)
//   - stream/auth, stream/bind: SASL, SASL 2 and resource binding in a stream
//     (RFC 6120 §6, §7, XEP-0388, XEP-0386, XEP-0484)
//   - stream/sm: acknowledgements, and sessions that outlive their connections
//     (XEP-0198)
//   - stream/dial: finding a server (RFC 6120 §3)
//   - stream/ws: streams over WebSocket (RFC 7395)
//   - stanza: messages, presence and iq, requests and replies, routing to
//     handlers (RFC 6120 §8, RFC 6121 §4.7, §5.2)
//   - stanza/<topic>: one package for each protocol extension, from ping to mam
//   - roster: contact lists and subscriptions (RFC 6121 §2, §3)
//   - presence: the router of a server, the presence tracker of a client (RFC 6121
//     §4, §8)
//   - stream/xmpptest, stream/streamtest: a server for tests, and a network that
//     fails
//
// A client:
//
//	client := &xmpp.Client{JID: jid.MustParse("bot@example.org"), Password: password}
//	conn, err := client.Connect(ctx)
//
// A server:
//
//	server := &xmpp.Server{
//		Domains:  []jid.JID{jid.MustParse("example.org")},
//		Accounts: accounts,
//		TLS:      &xtls.ServerOptions{Certificates: certificates},
//	}
//	err := server.Serve(ctx, listener)
//
// The defaults are the safe ones. A connection is made with TLS 1.2 or later and
// a certificate that names the domain; the password is proved, not sent, and the
// proof is bound to the connection whenever both sides can; what a peer can make
// this side hold is bounded. Options that weaken any of this begin with
// Insecure, but for AllowPlain of package auth, which hands the password to the
// server inside TLS. Both are off.
//
// With Client.Reconnect the connection comes back by itself: the session is resumed
// (XEP-0198), or a fresh one is made and set up as the old one was (RFC 6120 §3.3).
// Both sides notice when the other has fallen silent (§4.6).
//
// The Server keeps rosters, presence and messages for those who are away, in
// memory unless it is given other stores. What else clients expect are modules,
// the packages below stanza; examples/server has all of them.
//
// What the Server does not do yet: federation with other servers.
package xmpp
