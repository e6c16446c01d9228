package tls

import (
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"

	"stanzakit.dev/xmpp/jid"
)

// The services of RFC 6120 §3.2.1, as they stand in SRV-IDs (RFC 4985 §2).
const (
	serviceClient = "_xmpp-client"
	serviceServer = "_xmpp-server"
)

// reference is whom a server's certificate has to name: the reference
// identifiers of RFC 9525 §6.1 for one source domain. That is the domain of the
// JID; where the connection leads, through SRV or otherwise, has no influence on
// it (RFC 6120 §13.7.2.1).
type reference struct {
	domain  jid.JID
	host    string     // as referenceHost has it
	addr    netip.Addr // valid if the domain is an IP address
	service string     // of the SRV-ID
}

// newReference returns the reference identifiers for a domain. The error wraps
// [ErrConfig]: no certificate can name what is not in the DNS.
func newReference(domain jid.JID, service string) (*reference, error) {
	host, err := referenceHost(domain)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	r := &reference{domain: domain.DomainJID(), host: host, service: service}
	r.addr, _ = domain.DomainAddr()
	return r, nil
}

// referenceHost returns the domain of a JID in A-labels (RFC 9525 §6.3), or the
// IP address without brackets.
func referenceHost(domain jid.JID) (string, error) {
	if addr, ok := domain.DomainAddr(); ok {
		return addr.String(), nil
	}
	return domain.ASCIIDomain()
}

// matches reports whether a certificate presents an identifier that matches one
// of r. A Common Name is never looked at (RFC 9525 §2). A subjectAltName that
// cannot be read names nobody.
func (r *reference) matches(cert *x509.Certificate) bool {
	san, ok := subjectAltName(cert)
	if !ok {
		return false
	}
	found := false
	var seen [xmppAddr + 1]int
	err := eachName(san, func(kind idKind, value []byte) bool {
		seen[kind]++
		switch {
		case r.addr.IsValid():
			// RFC 9525 §6.4: octet for octet, and nothing else for an address.
			found = found || kind == ipID && string(value) == string(r.addr.AsSlice())
		case found:
		case kind == dnsID:
			found = matchDNS(value, r.host)
		case seen[kind] > maxIdentities:
		case kind == srvID:
			found = matchSRV(value, r.service, r.host)
		case kind == xmppAddr:
			found = r.matchXMPPAddr(value)
		}
		return true // to the end, which could be malformed
	})
	return found && err == nil
}

// matchDNS compares a presented DNS-ID with a name in A-labels, which has no
// dot at its end (RFC 9525 §6.3).
func matchDNS(presented []byte, host string) bool {
	if len(presented) > 2 && presented[0] == '*' && presented[1] == '.' {
		// The wildcard is the whole left-most label, matches one whole label, and
		// is the only one: a '*' in what follows cannot be equal to anything,
		// because a domain has none.
		_, rest, _ := strings.Cut(host, ".")
		return equalFold(presented[2:], rest)
	}
	return equalFold(presented, host)
}

// matchSRV compares a presented SRV-ID. There are no wildcards in one (RFC 4985
// §2 has a host name in it), and the service is compared without regard to case
// (RFC 9525 §6.5).
func matchSRV(presented []byte, service, host string) bool {
	n := len(service)
	return len(presented) > n && presented[n] == '.' &&
		equalFold(presented[:n], service) && equalFold(presented[n+1:], host)
}

// matchXMPPAddr compares a presented XmppAddr, which for a server is a
// domainpart alone (RFC 6120 §13.7.1.2.1): an account of the server is not the
// server.
func (r *reference) matchXMPPAddr(presented []byte) bool {
	j, err := jid.ParseBytes(presented)
	return err == nil && j == r.domain
}

// equalFold compares in ASCII: other characters have equivalents that fold into
// it.
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// maxIdentities bounds the names taken from one certificate, and the otherNames
// of one kind that are looked at. Names beyond it are as good as absent, which is
// the safe direction.
const maxIdentities = 256

// identities returns up to limit names from the subjectAltName of cert, as they
// stand there and in that order, and how many there are. The subject itself is
// text for people and never a source of names.
func identities(cert *x509.Certificate, limit int) (names []string, count int, err error) {
	san, ok := subjectAltName(cert)
	if !ok {
		return nil, 0, nil
	}
	err = eachName(san, func(kind idKind, value []byte) bool {
		count++
		switch {
		case len(names) >= limit:
		case kind == ipID:
			addr, _ := netip.AddrFromSlice(value)
			names = append(names, addr.String())
		default:
			names = append(names, string(value))
		}
		return true
	})
	if err != nil {
		return nil, 0, err
	}
	return names, count, nil
}

// xmppAddrs returns the XMPP addresses in cert that can be read: up to
// maxIdentities are looked at.
func xmppAddrs(cert *x509.Certificate) (out []jid.JID) {
	san, ok := subjectAltName(cert)
	if !ok {
		return nil
	}
	seen := 0
	err := eachName(san, func(kind idKind, value []byte) bool {
		if kind == xmppAddr && seen < maxIdentities {
			seen++
			if j, err := jid.ParseBytes(value); err == nil {
				out = append(out, j)
			}
		}
		return true
	})
	if err != nil {
		return nil
	}
	return out
}
