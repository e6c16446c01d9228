package jid

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// JID is an XMPP address in canonical form (RFC 7622): what [Parse] returned for
// "ROMEO@Example.NET." and for "romeo@example.net" is the same value.
//
// A JID is a small comparable value. Two JIDs are equal under RFC 7622 if and
// only if they are == and if and only if their strings are equal, so a JID works
// as a map key and in a switch. The zero value is "no address": IsZero reports
// true, its string is empty, and no Parse returns it without an error.
//
// A JID is immutable and safe for concurrent use. Its parts are substrings of
// one string: reading them does not allocate.
type JID struct {
	s             string // canonical form of the whole address
	local, domain uint16 // octets of the localpart (0: none) and the domainpart
}

// Parse splits s as RFC 7622 §3.2 says, enforces the rules of each part, and
// returns the canonical result. The error is an [*Error].
//
// A canonical ASCII address, which is the common case, is not copied: the JID
// then refers to the memory of s. Clone a small s that was cut from a large
// string if the JID is to outlive it.
func Parse(s string) (JID, error) {
	if len(s) > maxTotal {
		return JID{}, fail(Whole, ErrTooLong, s)
	}
	if j, ok := parseASCII(s); ok {
		return j, nil
	}
	return parseGeneral(s)
}

// ParseBytes is [Parse] for octets from the wire. It keeps no reference to b and
// copies it once.
func ParseBytes(b []byte) (JID, error) {
	if len(b) > maxTotal {
		return JID{}, fail(Whole, ErrTooLong, string(b[:maxQuoted+1]))
	}
	return Parse(string(b))
}

// MustParse is [Parse] for addresses written in the program; it panics on error.
// Never use it on input.
func MustParse(s string) JID {
	j, err := Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// New builds a JID from its parts, which are mapped and checked as in [Parse].
// An empty local or resource means that the JID has no such part. Unlike Parse,
// New does not split: a '/' or '@' in local or domain is an error. The error is
// an [*Error].
func New(local, domain, resource string) (JID, error) {
	return build("", local, domain, resource, local != "", resource != "")
}

// parseGeneral is Parse without the shortcut for canonical ASCII.
func parseGeneral(s string) (JID, error) {
	// RFC 7622 §3.2: the first '/' before the first '@', and both before any
	// mapping, which can turn other characters into separators.
	rest, resource, hasResource := strings.Cut(s, "/")
	local, domain, hasLocal := strings.Cut(rest, "@")
	if !hasLocal {
		local, domain = "", rest
	}
	return build(s, local, domain, resource, hasLocal, hasResource)
}

// build enforces the parts and joins them. If the result is equal to s then s is
// used instead of a new string.
func build(s, local, domain, resource string, hasLocal, hasResource bool) (j JID, err error) {
	if hasLocal {
		if local, err = enforceLocal(local); err != nil {
			return JID{}, err
		}
	}
	if domain, err = enforceDomain(domain); err != nil {
		return JID{}, err
	}
	if hasResource {
		if resource, err = enforceResource(resource); err != nil {
			return JID{}, err
		}
	}
	var b [3*maxPart + 2]byte
	canonical := b[:0]
	if hasLocal {
		canonical = append(append(canonical, local...), '@')
	}
	canonical = append(canonical, domain...)
	if hasResource {
		canonical = append(append(canonical, '/'), resource...)
	}
	if string(canonical) != s {
		s = string(canonical)
	}
	return JID{s: s, local: uint16(len(local)), domain: uint16(len(domain))}, nil
}

// domainStart and domainEnd delimit the domainpart in j.s.
func (j JID) domainStart() int {
	if j.local == 0 {
		return 0
	}
	return int(j.local) + 1
}

func (j JID) domainEnd() int { return j.domainStart() + int(j.domain) }

// IsZero reports whether j is the zero JID, "no address".
func (j JID) IsZero() bool { return j.s == "" }

// IsBare reports whether j is an address without a resourcepart, such as
// <juliet@example.com> or <example.com>. The zero JID is not.
func (j JID) IsBare() bool { return j.s != "" && len(j.s) == j.domainEnd() }

// IsFull reports whether j has a resourcepart. RFC 6120 §1.4 speaks of a full JID
// also for <example.com/resource>, which has no localpart.
func (j JID) IsFull() bool { return len(j.s) > j.domainEnd() }

// Local returns the localpart, or "" if there is none.
func (j JID) Local() string { return j.s[:j.local] }

// Domain returns the domainpart: a name with U-labels, an IPv4 address, or an
// IPv6 address in brackets. It is empty only in the zero JID. Use
// [JID.ASCIIDomain] to look it up in the DNS or in a certificate.
func (j JID) Domain() string { return j.s[j.domainStart():j.domainEnd()] }

// Resource returns the resourcepart, or "" if there is none.
func (j JID) Resource() string {
	if end := j.domainEnd(); end < len(j.s) {
		return j.s[end+1:]
	}
	return ""
}

// Bare returns j without its resourcepart. It does not allocate.
func (j JID) Bare() JID {
	j.s = j.s[:j.domainEnd()]
	return j
}

// DomainJID returns the address that consists of the domainpart of j alone, which
// is that of its server or service. It does not allocate.
func (j JID) DomainJID() JID {
	return JID{s: j.Domain(), domain: j.domain}
}

// WithResource returns j with its resourcepart, if any, replaced by r, which is
// mapped and checked as in [Parse]. An empty r is an error; [JID.Bare] takes the
// resourcepart away. It is also an error if j is zero. The error is an [*Error].
func (j JID) WithResource(r string) (JID, error) {
	if j.IsZero() {
		return JID{}, fail(Domainpart, ErrEmpty, "")
	}
	r, err := enforceResource(r)
	if err != nil {
		return JID{}, err
	}
	j.s = j.s[:j.domainEnd()] + "/" + r
	return j, nil
}

// String returns the canonical form, "" for the zero JID. It does not allocate.
// [Parse] of the result gives j again.
func (j JID) String() string { return j.s }

// AppendTo appends the canonical form to dst. The characters of a JID are not
// escaped for XML: a resourcepart may well contain '<' or '&'.
func (j JID) AppendTo(dst []byte) []byte { return append(dst, j.s...) }

// DomainAddr returns the IP address that the domainpart is, and false if the
// domainpart is a name.
func (j JID) DomainAddr() (netip.Addr, bool) {
	d := j.Domain()
	if len(d) > 2 && d[0] == '[' {
		d = d[1 : len(d)-1]
	} else if !dottedDecimal(d) {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(d)
	return a, err == nil
}

// ASCIIDomain returns the domainpart in the form that the DNS, TLS (SNI) and
// certificates use: every U-label as an A-label (RFC 5890 §2.3.2.1). An IP
// address is returned as [JID.Domain] returns it.
//
// A JID may be longer than the DNS permits. ASCIIDomain returns an [*Error] with
// [ErrTooLong] for a label of more than 63 octets or a name of more than 253
// (RFC 1034 §3.1), and with [ErrEmpty] if j is zero.
func (j JID) ASCIIDomain() (string, error) {
	d := j.Domain()
	if d == "" {
		return "", fail(Domainpart, ErrEmpty, "")
	}
	if _, ok := j.DomainAddr(); ok {
		return d, nil
	}
	out := d
	if !isASCII(d) {
		var err error
		if out, err = idna.Punycode.ToASCII(d); err != nil {
			return "", fail(Domainpart, ErrLabel, d)
		}
	}
	if len(out) > maxName {
		return "", fail(Domainpart, ErrTooLong, d)
	}
	for l := range strings.SplitSeq(out, ".") {
		if len(l) > maxLabel {
			return "", fail(Domainpart, ErrTooLong, d)
		}
	}
	return out, nil
}
