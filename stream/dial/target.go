package dial

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Source is how a target was found.
type Source uint8

// The sources.
const (
	// Configured: the caller named the host (RFC 6120 §3.2.3).
	Configured Source = iota
	// Literal: the domain is an IP address.
	Literal
	// SRV: an SRV record of the domain names it (§3.2.1).
	SRV
	// Fallback: there is no SRV record, so it is the domain itself (§3.2.2).
	Fallback
)

// String names the source.
func (s Source) String() string {
	switch s {
	case Configured:
		return "configured"
	case Literal:
		return "IP literal"
	case SRV:
		return "SRV"
	case Fallback:
		return "fallback"
	}
	return "Source(" + strconv.Itoa(int(s)) + ")"
}

// Target is a place where the service may be found. It says where a connection
// leads, and nothing about who is there: never check a certificate against
// Host.
type Target struct {
	// Host is a name in A-labels without a final dot, or an IP address without
	// brackets. It may come from the DNS.
	Host string
	// Port is the TCP port.
	Port uint16
	// DirectTLS is true if TLS begins with the first byte there (XEP-0368), and
	// false if a stream does, with STARTTLS in it.
	DirectTLS bool
	// Addr is the address that was tried, or the zero Addr if none was found or
	// the Dialer was to find it (Options.ResolveAtDialer).
	Addr netip.Addr
	// Source is how the target was found.
	Source Source
	// Priority and Weight are those of the SRV record, else zero.
	Priority, Weight uint16
}

// String returns "host:port", and the address in parentheses if there is one
// and Host is a name. Host is quoted if the DNS made it anything but a name.
func (t Target) String() string {
	s := joinHostPort(quoteHost(t.Host), t.Port)
	if t.Addr.IsValid() && t.Addr.String() != t.Host {
		s += " (" + t.Addr.String() + ")"
	}
	return s
}

// address returns what a dialer takes.
func (t Target) address() (string, error) {
	if t.Addr.IsValid() {
		return netip.AddrPortFrom(t.Addr, t.Port).String(), nil
	}
	// A proxy takes the name. What else the DNS may have put there is not for
	// its protocol, nor is a port that is none.
	if len(t.Host) > 253 || quoteHost(t.Host) != t.Host || strings.Contains(t.Host, ":") {
		return "", &net.DNSError{Err: "not a host name", Name: clip(t.Host), IsNotFound: true}
	}
	return joinHostPort(t.Host, t.Port), nil
}

func joinHostPort(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
