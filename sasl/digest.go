package sasl

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strings"
)

// InsecureDigestMD5 returns the mechanism DIGEST-MD5 (RFC 2831), for peers that are too old for
// SCRAM. RFC 6331 made it historic for good reasons: a single MD5 stands between whoever sees an
// exchange, the server included, and guessing the password, and nothing binds it to the channel.
// Both sides refuse it on a channel that is not Secure. It is not part of [Default].
//
// The client needs Username, a password and [ClientConfig.Service], the domain, which goes into the
// digest-uri as xmpp/<service>. The server needs [ServerConfig.InsecureDigest] and
// [ServerConfig.Service], which is the one realm it offers, and the name that the digest-uri must have.
//
// Of the many modes of RFC 2831 this is the one that XMPP used: qop "auth", which has no security
// layer; UTF-8; no subsequent authentication (§2.2).
func InsecureDigestMD5() Mechanism {
	return Mechanism{
		Name:       digestMD5,
		Plaintext:  true,
		Credential: PasswordCredential,
		NewClient:  newDigestClient,
		NewServer:  newDigestServer,
	}
}

// InsecureDigestKey computes what [ServerConfig.InsecureDigest] returns: MD5(username:realm:password),
// which depends on all three and serves for a login as the password does. The realm is the
// [ServerConfig.Service] of the server. The password is prepared with OpaqueString. Errors wrap
// [ErrUsername], [ErrPassword], or [ErrConfig] for a realm that is not UTF-8 or holds control
// characters.
func InsecureDigestKey(username, realm, password string) ([md5.Size]byte, error) {
	if err := checkDigestName(username); err != nil {
		return [md5.Size]byte{}, fmt.Errorf("sasl: %w", err)
	}
	if err := checkRealm(realm); err != nil {
		return [md5.Size]byte{}, fmt.Errorf("sasl: %w", err)
	}
	password, err := preparePassword(password)
	if err != nil {
		return [md5.Size]byte{}, fmt.Errorf("sasl: %w", err)
	}
	return digestKey(username, realm, password), nil
}

// digestKey is H(username:realm:passwd) of RFC 2831 §2.1.2.1.
func digestKey(username, realm, password string) [md5.Size]byte {
	return md5.Sum([]byte(latin1(username) + ":" + realm + ":" + latin1(password)))
}

// latin1 converts a text to ISO 8859-1 if it can be. RFC 2831 §2.1.2.1 asks for that in user names and
// passwords, for the sake of databases shared with HTTP.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff {
			return s
		}
		b = append(b, byte(r))
	}
	return string(b)
}

// digestProof computes a response-value (RFC 2831 §2.1.2.1, §2.1.3) from the key and the messages.
// The method is "AUTHENTICATE" for the client's, and empty for the server's.
func digestProof(key [md5.Size]byte, m digestResponse, method string) []byte {
	a1 := string(key[:]) + ":" + m.nonce + ":" + m.cnonce
	if m.authzID != "" {
		a1 += ":" + m.authzID
	}
	a2 := method + ":" + m.uri
	return []byte(hexMD5(hexMD5(a1) + ":" + m.nonce + ":" + firstCount + ":" + m.cnonce + ":auth:" + hexMD5(a2)))
}

// hexMD5 is HEX(H(s)) of RFC 2831 §1.1.
func hexMD5(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// digestURI is the digest-uri of a service (RFC 2831 §2.1.2; the service name of XMPP is "xmpp", RFC
// 6120 §6.6).
func digestURI(service string) string { return "xmpp/" + service }

// isDigestURI reports whether a digest-uri is for the service: with its name as the host, or as the
// serv-name behind whatever host a client found it at (RFC 2831 §2.1.2).
func isDigestURI(uri, service string) bool {
	uri, service = strings.ToLower(uri), strings.ToLower(service)
	if uri == digestURI(service) {
		return true
	}
	host, ok := strings.CutPrefix(uri, "xmpp/")
	host, name, _ := strings.Cut(host, "/")
	return ok && name == service && isHost(host)
}

// checkDigestName refuses user names that DIGEST-MD5 cannot carry. With a colon in it, where the name
// ends in H(username:realm:passwd) would be a matter of opinion.
func checkDigestName(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	if strings.Contains(name, ":") || strings.ContainsFunc(name, isControl) {
		return fmt.Errorf("%w: a colon or a control character", ErrUsername)
	}
	return nil
}

// checkRealm refuses realms that are not usable as a name of a service.
func checkRealm(realm string) error {
	if checkName(realm) != nil || len(realm) > maxHost*4 || strings.ContainsFunc(realm, isControl) {
		return fmt.Errorf("%w: %s cannot be a realm", ErrConfig, quote(realm))
	}
	return nil
}

// isControl reports whether RFC 2831 §7.2 counts r among CTL.
func isControl(r rune) bool { return r < ' ' || r == 0x7f }
