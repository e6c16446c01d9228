package tls

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/jid"
)

// addOtherNames gives a template XmppAddrs and SRV-IDs, which crypto/x509 does
// not write: the whole extension has to be made here then.
func addOtherNames(template *x509.Certificate, addrs []jid.JID, services []string) error {
	if len(addrs)+len(services) == 0 {
		return nil
	}
	var san []byte
	add := func(tag byte, value []byte) { san = appendDER(san, tag, value) }
	for _, name := range template.DNSNames {
		add(0x82, []byte(name))
	}
	for _, address := range template.EmailAddresses {
		add(0x81, []byte(address))
	}
	for _, uri := range template.URIs {
		add(0x86, []byte(uri.String()))
	}
	for _, ip := range template.IPAddresses {
		if v4 := ip.To4(); v4 != nil {
			ip = v4
		}
		add(0x87, ip)
	}
	for _, name := range services {
		value, err := srvName(name)
		if err != nil {
			return err
		}
		add(0xa0, otherNameDER(derDNSSRV, tagIA5, value))
	}
	for _, j := range addrs {
		add(0xa0, otherNameDER(derXMPPAddr, tagUTF8, j.String()))
	}
	template.ExtraExtensions = append(slices.Clone(template.ExtraExtensions), pkix.Extension{
		Id: oidSubjectAltName,
		// RFC 5280 §4.2.1.6: it is critical if the subject is empty.
		Critical: len(template.Subject.ToRDNSequence()) == 0,
		Value:    appendDER(nil, tagSequence, san),
	})
	return nil
}

// srvName returns the form of a service name that goes into a certificate.
func srvName(name string) (string, error) {
	service, domain, _ := strings.Cut(name, ".")
	j, err := jid.New("", domain, "")
	if len(service) < 2 || service[0] != '_' || !ascii([]byte(service)) || err != nil {
		return "", fmt.Errorf("%q is no service at a domain", name)
	}
	host, err := j.ASCIIDomain()
	return service + "." + host, err
}

// otherNameDER returns the contents of an OtherName with a string for a value.
func otherNameDER(id string, tag byte, value string) []byte {
	out := appendDER(nil, tagOID, []byte(id))
	return appendDER(out, tagExplicit0, appendDER(nil, tag, []byte(value)))
}

// appendDER appends an element.
func appendDER(dst []byte, tag byte, contents []byte) []byte {
	dst = append(dst, tag)
	switch n := len(contents); {
	case n < 0x80:
		dst = append(dst, byte(n))
	case n < 0x100:
		dst = append(dst, 0x81, byte(n))
	case n < 0x10000:
		dst = append(dst, 0x82, byte(n>>8), byte(n))
	default:
		dst = append(dst, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(dst, contents...)
}
