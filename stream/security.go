package stream

import (
	"crypto/x509"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Verdict is what there is to say about a certificate that a peer presented,
// before anybody decides whether that will do. It is a set: exactly one of
// Anchored, UnknownAuthority and SelfSigned (the three cases of RFC 3920 §14.2)
// unless the certificate is unusable altogether, and what is wrong besides. The
// zero value says that nothing was presented, or checked.
type Verdict uint8

// The members of a Verdict.
const (
	// Anchored: a chain of certificates leads to a trusted root.
	Anchored Verdict = 1 << iota
	// UnknownAuthority: the chain ends at an authority that is not trusted, or
	// breaks off.
	UnknownAuthority
	// SelfSigned: the certificate is its own authority, and not a trusted one.
	SelfSigned
	// WrongName: it does not name the peer that was meant.
	WrongName
	// WrongTime: it, or what vouches for it, has expired or is not valid yet.
	WrongTime
	// Revoked: its authority has taken it back.
	Revoked
	// Unacceptable: anything else, such as a certificate for another use, a weak
	// signature or key, a name that the authority may not vouch for.
	Unacceptable
)

// OK reports whether nothing is wrong: the certificate is anchored, and that is
// all there is to say.
func (v Verdict) OK() bool { return v == Anchored }

// Has reports whether v has every member of w.
func (v Verdict) Has(w Verdict) bool { return v&w == w }

// String lists the members, for people.
func (v Verdict) String() string {
	if v == 0 {
		return "no certificate"
	}
	s := ""
	for i, name := range [...]string{
		"anchored", "unknown authority", "self-signed", "wrong name", "wrong time", "revoked", "unacceptable",
	} {
		if v&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += ", "
		}
		s += name
	}
	return s
}

// Security describes the layer below a stream: what TLS negotiated and what is
// known about the peer. STARTTLS, direct TLS or wss fill it in; the SASL
// feature, policies and callers read it. The zero value is a plaintext
// connection.
//
// A Security handed out by a session is a copy whose slices and maps are
// shared: read them only.
type Security struct {
	// Version and CipherSuite are the constants of crypto/tls; zero without
	// TLS.
	Version     uint16
	CipherSuite uint16
	// ServerName is the name sent in the Server Name Indication, an A-label.
	ServerName string
	// ALPN is the application protocol agreed on, if any.
	ALPN string
	// Resumed is true when the TLS session was resumed from a ticket.
	Resumed bool
	// Domains are those that the layer is good for if it was there before the
	// stream, as with direct TLS: the one that a client has verified the
	// certificate for, those that a server's certificate was chosen for. A
	// stream to another domain is refused, and one that names none is to the
	// first of them. Empty: the stream says what it likes.
	Domains []jid.JID

	// PeerChain is the certificate chain that the peer presented, its own
	// certificate first. Empty when it presented none.
	PeerChain []*x509.Certificate
	// OwnCertificate is true when this side presented a certificate of its own.
	// A server always does.
	OwnCertificate bool
	// Verdict is what there is to say about PeerChain; Verified tells whether
	// that was enough.
	Verdict Verdict
	// Verified is true when the peer's certificate passed the policy in force
	// and names the peer that this side meant to talk to.
	Verified bool
	// Identities are the names that the peer's certificate presents.
	Identities []string
	// XMPPAddrs are those of them that are XMPP addresses (XmppAddr, RFC 6120
	// §13.7.1.4).
	XMPPAddrs []jid.JID
	// Expires is when what the peer is known by stops being valid; the session
	// is reset then (RFC 6120 §13.7.2.3). Zero: never.
	Expires time.Time

	// Bindings holds channel-binding data by type: "tls-exporter" (RFC 9266),
	// "tls-server-end-point" and "tls-unique" (RFC 5929). Types that are not
	// safe on this connection are absent.
	Bindings map[string][]byte
}

// Secure reports whether there is a TLS layer.
func (s *Security) Secure() bool { return s != nil && s.Version != 0 }
