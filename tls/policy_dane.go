package tls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// A TLSAResolver asks the DNS for [DANE]. "Authenticated" is what DNSSEC calls
// secure (RFC 4035 §4.3), found out on this machine or by a resolver to which
// there is a protected connection: the AD bit of an answer that came over an open
// network is worth nothing (RFC 6698 §8.3).
//
// Host names are given as A-labels without a trailing dot. An answer that is
// bogus or indeterminate, and a lookup that fails for another reason than that
// there are no such records, has to be an error: nobody is let in then, or
// whoever can suppress an answer could switch DANE off. That there are no
// records is not an error. Implementations are safe for concurrent use, and
// keep an answer only as long as its time to live (RFC 6698 §8.2).
type TLSAResolver interface {
	// AuthenticatesTarget reports whether the SRV records of a domain lead to a
	// host and port, and whether they are authenticated with all aliases on the
	// way. It is false if they are insecure or there are none. It is not called
	// when host is the domain itself.
	AuthenticatesTarget(ctx context.Context, domain, host string, port uint16) (bool, error)
	// LookupTLSA returns the TLSA records of _port._tcp.host, and whether they
	// are authenticated. RFC 7673 §3.2: if the addresses of host are not, there
	// is no point in asking: the answer is none and false.
	LookupTLSA(ctx context.Context, port uint16, host string) (records []TLSA, authenticated bool, err error)
}

// ErrDANE is wrapped when [DANE] refuses a certificate: no record allows it, or
// the DNS could not be asked.
var ErrDANE = errors.New("xmpp/tls: DANE does not allow the certificate")

// maxTLSA is how many records of a server are looked at. With more, something
// is wrong with the zone.
const maxTLSA = 128

// DANE returns a policy that goes by what servers say about their certificates
// in the DNS: RFC 7673 and RFC 6698, as RFC 7671 has since made them more
// precise. It needs to know where the connection leads, [ClientOptions].Target.
//
// If the way to the server, from the SRV records of the domain on, and its TLSA
// records are authenticated, and at least one of these is usable, then one has
// to match the certificate:
//
//   - PKIX-TA and PKIX-EE on top of the ordinary rules,
//   - DANE-TA by way of an authority that the record names,
//   - DANE-EE without regard to who has signed the certificate, what it names,
//     what it is for and when it is valid (RFC 7671 §5.1).
//
// A certificate that none allows is refused with an error that wraps [ErrDANE],
// also if a trusted authority vouches for it; so is every certificate if the
// resolver fails. The certificate may name the domain or, if SRV records that
// are authenticated led there, the server (RFC 7673 §4). One that is known to be
// revoked is never accepted. The [RevocationChecker], if there is one, is asked
// about the way to an authority that a record names; with DANE-EE it is known
// only of a certificate that leads to a trusted authority too.
//
// Without such records the ordinary rules apply, as in [Default]; and for an IP
// address, and for the certificate of a client.
func DANE(resolver TLSAResolver) VerifyPolicy { return &danePolicy{resolver} }

type danePolicy struct{ resolver TLSAResolver }

// VerifyCertificate implements [VerifyPolicy].
func (o *danePolicy) VerifyCertificate(ctx context.Context, p *Presented) error {
	if len(p.Chain) == 0 {
		return errNoCertificate
	}
	if _, ok := p.Domain.DomainAddr(); ok || p.Domain.IsZero() {
		return verdictError(p)
	}
	domain, err := p.Domain.ASCIIDomain()
	if err != nil {
		return err
	}
	host, port, err := parseTarget(p.Target)
	switch {
	case err != nil:
		return err
	case o.resolver == nil:
		return fmt.Errorf("%w: there is no TLSAResolver", ErrDANE)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return verdictError(p)
	}
	delegated := host != domain
	if delegated {
		ok, err := o.resolver.AuthenticatesTarget(ctx, domain, host, port)
		if err != nil {
			// RFC 7673 §3.1: bogus, or failed for reasons other than no records.
			return &dnsError{"SRV", domain, err}
		}
		if !ok {
			// RFC 7673 §3.1: insecure, so this protocol does not apply.
			return verdictError(p)
		}
	}
	records, authenticated, err := o.resolver.LookupTLSA(ctx, port, host)
	switch {
	case err != nil:
		return &dnsError{"TLSA", host, err}
	case !authenticated:
		records = nil // RFC 7673 §3.4: as if there were none
	case len(records) > maxTLSA:
		return fmt.Errorf("%w: %d TLSA records for %s", ErrDANE, len(records), quote.ASCII(host, 256))
	}
	var named Verdict
	if delegated && p.Chain[0].VerifyHostname(host) == nil {
		// RFC 7673 §4.1, §6: either name will do once the SRV records are secure.
		named = stream.WrongName
	}
	return daneVerdict(ctx, p, usableTLSA(records), named, host)
}

// dnsError says that the DNS could not be asked. What a resolver says may come
// from anybody.
type dnsError struct {
	kind, name string
	err        error
}

func (e *dnsError) Error() string {
	return ErrDANE.Error() + ": " + e.kind + " records of " + quote.ASCII(e.name, 256) + ": " + quote.ASCII(e.err.Error(), 256)
}

func (e *dnsError) Unwrap() []error { return []error{ErrDANE, e.err} }

// daneVerdict applies usable records to a certificate. Named is what to forgive
// because the certificate names the server, if it does.
func daneVerdict(ctx context.Context, p *Presented, records []TLSA, named Verdict, host string) error {
	ordinary := nothingBut(p.Verdict, named)
	if len(records) == 0 { // RFC 7673 §4.1
		if ordinary {
			return nil
		}
		return verdictError(p)
	}
	matched := false
	var anchors []*x509.Certificate
	for i := range records {
		r := &records[i]
		switch r.Usage {
		case usagePKIXTA:
			ok := slices.ContainsFunc(p.Chains, func(path []*x509.Certificate) bool {
				return slices.ContainsFunc(path[min(1, len(path)):], r.matches)
			})
			if ok && ordinary {
				return nil
			}
			matched = matched || ok
		case usagePKIXEE:
			ok := r.matches(p.Chain[0])
			if ok && ordinary {
				return nil
			}
			matched = matched || ok
		case usageDANETA:
			// A record can hold an authority that the server does not send.
			if r.Selector == selectorCert && r.Matching == matchingFull {
				if cert, err := x509.ParseCertificate(r.Data); err == nil && !cert.Equal(p.Chain[0]) {
					anchors = append(anchors, cert)
				}
			}
			for _, cert := range p.Chain[1:] {
				if r.matches(cert) {
					anchors = append(anchors, cert)
				}
			}
		case usageDANEEE:
			ok := r.matches(p.Chain[0])
			// RFC 7671 §5.1, RFC 7673 §4.2: nothing in the certificate counts but the
			// key, which RFC 6698 §8 permits to be found too weak.
			if ok && !p.Verdict.Has(stream.Revoked) && weakKey(p.Chain[0]) == nil {
				return nil
			}
			matched = matched || ok
		}
	}
	switch chains, err := leadsTo(ctx, p, anchors); {
	case errors.Is(err, ErrRevoked):
		return fmt.Errorf("%w: %w", ErrDANE, err)
	case err == nil && nothingBut(p.Verdict, stream.UnknownAuthority|named):
		p.restOn(chains)
		return nil
	case err == nil:
		matched = true
	}
	name := quote.ASCII(host, 256)
	if err := verdictError(p); matched && err != nil {
		return fmt.Errorf("%w: a TLSA record of %s matches, but: %w", ErrDANE, name, err)
	}
	return fmt.Errorf("%w: no TLSA record of %s matches (%d records)", ErrDANE, name, len(records))
}

// parseTarget takes the host and port of [Presented].Target apart. The host
// comes out in lower case, as A-labels, without a trailing dot.
func parseTarget(target string) (host string, port uint16, err error) {
	fail := func() (string, uint16, error) {
		if target == "" {
			// Otherwise to forget the option would switch DANE off in silence.
			return "", 0, fmt.Errorf("%w: it is not known where the connection leads (ClientOptions.Target)", ErrDANE)
		}
		return "", 0, fmt.Errorf("%w: %s is not a host and port", ErrDANE, quote.ASCII(target, 256))
	}
	host, number, err := net.SplitHostPort(target)
	if err != nil {
		return fail()
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n == 0 {
		return fail()
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String(), uint16(n), nil
	}
	host = strings.TrimSuffix(host, ".")
	if d, err := jid.New("", host, ""); err == nil {
		// RFC 7673 §8: A-labels.
		if host, err = d.ASCIIDomain(); err != nil {
			return fail()
		}
	} else if host = strings.ToLower(host); host == "" || !isHostName(host) {
		return fail()
	}
	return host, uint16(n), nil
}

// isHostName is for the targets of SRV records that are no domains of a JID, for
// an underscore say.
func isHostName(host string) bool {
	return !strings.HasPrefix(host, ".") && !strings.Contains(host, "..") && len(host) <= 253 && !strings.ContainsFunc(host, func(r rune) bool {
		return !('a' <= r && r <= 'z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	})
}
