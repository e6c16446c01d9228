package tls

import (
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"unicode/utf8"
)

// This file reads subjectAltName extensions, because crypto/x509 knows no
// otherName.

var (
	oidSubjectAltName  = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints = asn1.ObjectIdentifier{2, 5, 29, 30}
	oidXMPPAddr        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5} // RFC 6120 §13.7.1.4
	oidDNSSRV          = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 7} // RFC 4985 §2
)

// The contents of the two OBJECT IDENTIFIERs.
const (
	derXMPPAddr = "\x2b\x06\x01\x05\x05\x07\x08\x05"
	derDNSSRV   = "\x2b\x06\x01\x05\x05\x07\x08\x07"
)

// idKind is a type of presented identifier (RFC 9525 §2, RFC 6120 §13.7.1).
type idKind uint8

const (
	dnsID    idKind = iota + 1
	ipID            // the value is 4 or 16 bytes
	srvID           // "_service.domain"
	xmppAddr        // a JID, not yet parsed
)

// subjectAltName returns the extension of cert, if it has one.
func subjectAltName(cert *x509.Certificate) (value []byte, ok bool) {
	for i := range cert.Extensions {
		if cert.Extensions[i].Id.Equal(oidSubjectAltName) {
			return cert.Extensions[i].Value, true
		}
	}
	return nil, false
}

// eachName calls yield for each identifier in a subjectAltName extension
// (RFC 5280 §4.2.1.6), until yield returns false. It allocates nothing, and
// value is valid only as long as san is.
//
// An encoding that is not DER is an error: what one reader takes for a name,
// another may not see. Names that are encoded well and are none of the kinds
// that XMPP knows, or do not have the syntax of their kind, are left out; they
// name nobody.
func eachName(san []byte, yield func(kind idKind, value []byte) bool) error {
	names, err := der(san).whole(tagSequence)
	if err != nil {
		return err
	}
	if len(names) == 0 { // SIZE (1..MAX)
		return errDER
	}
	for len(names) > 0 {
		tag, value, err := names.next()
		if err != nil {
			return err
		}
		var kind idKind
		switch tag {
		case 0xa0: // otherName
			if kind, value, err = otherName(value); err != nil {
				return err
			}
		case 0x82: // dNSName
			if ascii(value) {
				kind = dnsID
			}
		case 0x87: // iPAddress
			if len(value) == 4 || len(value) == 16 {
				kind = ipID
			}
		case 0x81, 0xa3, 0xa4, 0xa5, 0x86, 0x88: // the other choices of GeneralName
		default:
			return errDER
		}
		if kind != 0 && !yield(kind, value) {
			return nil
		}
	}
	return nil
}

// otherName reads the contents of an OtherName. The kind is zero for one that
// XMPP does not use, whose value can be anything.
func otherName(in der) (kind idKind, value der, err error) {
	id, err := in.take(tagOID)
	if err != nil {
		return 0, nil, err
	}
	wrapped, err := in.whole(tagExplicit0)
	if err != nil {
		return 0, nil, err
	}
	tag, value, err := wrapped.next()
	if err != nil || len(wrapped) > 0 {
		return 0, nil, errDER
	}
	switch {
	// RFC 6120 §13.7.1.4: XmppAddr ::= UTF8String
	case string(id) == derXMPPAddr && tag == tagUTF8 && utf8.Valid(value):
		return xmppAddr, value, nil
	// RFC 4985 §2: SRVName ::= IA5String
	case string(id) == derDNSSRV && tag == tagIA5 && ascii(value):
		return srvID, value, nil
	}
	return 0, nil, nil
}

func ascii(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c >= utf8.RuneSelf })
}

// constrainsOtherNames reports whether a certificate's name constraints
// (RFC 5280 §4.2.1.10) speak of otherNames, or cannot be read.
func constrainsOtherNames(cert *x509.Certificate) bool {
	for i := range cert.Extensions {
		if cert.Extensions[i].Id.Equal(oidNameConstraints) {
			return subtreesHold(cert.Extensions[i].Value, 0xa0)
		}
	}
	return false
}

// subtreesHold reports whether a NameConstraints value has a subtree whose base
// has the tag given, or is malformed.
func subtreesHold(value []byte, base byte) bool {
	outer, err := der(value).whole(tagSequence)
	if err != nil {
		return true
	}
	for len(outer) > 0 {
		tag, subtrees, _ := outer.next()
		if tag != tagExplicit0 && tag != tagExplicit1 {
			return true
		}
		for len(subtrees) > 0 {
			subtree, err := subtrees.take(tagSequence)
			if err != nil {
				return true
			}
			if got, _, err := subtree.next(); err != nil || got == base {
				return true
			}
		}
	}
	return false
}
