package sasl

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// The attributes of XEP-0474 and XEP-0515 stand in the server-first-message, which both sides put
// under their proofs. What an attacker changes there, the client or the server notices.

// Delimiters of XEP-0474 §6.1. No name holds them: XML cannot carry them (§8).
const (
	nameDelimiter = "\x1e" // between names
	listDelimiter = "\x1f" // between mechanisms and channel-binding types
)

// offerHash is the value of the attribute "h" (XEP-0474 §6.1): the hash of what the server offered,
// in base64. It fails for names that hold a delimiter, as two offers could then have one hash.
func offerHash(h Hash, mechanisms, types []string) (string, error) {
	// Go compares strings byte by byte, which is the collation "i;octet".
	s := strings.Join(slices.Sorted(slices.Values(mechanisms)), nameDelimiter)
	if len(types) > 0 {
		s += listDelimiter + strings.Join(slices.Sorted(slices.Values(types)), nameDelimiter)
	}
	for _, name := range slices.Concat(mechanisms, types) {
		if strings.ContainsAny(name, nameDelimiter+listDelimiter) {
			return "", fmt.Errorf("%w: %s cannot be the name of a mechanism or channel-binding type", ErrConfig, quote(name))
		}
	}
	return base64.StdEncoding.EncodeToString(h.sum([]byte(s))), nil
}

// tlsVersion is the value of the attribute "t" (XEP-0515 §4.1).
func tlsVersion(v uint16) string { return fmt.Sprintf("%04x", v) }

// protections returns the attributes that a server appends to its first message; those that it has
// no reason to send are left out.
func (c *ServerConfig) protections(h Hash) (string, error) {
	s := ""
	if c.Offered != nil {
		hash, err := offerHash(h, c.Offered, c.OfferedTypes)
		if err != nil {
			return "", temporary(err)
		}
		s += ",h=" + hash
	}
	if c.TLSVersion != 0 {
		s += ",t=" + tlsVersion(c.TLSVersion)
	}
	return s, nil
}

// checkProtections compares what the server says that it offered, and of TLS, with what this side saw.
// An attribute that is not there is not missed, since most servers do not know it, unless must is
// set: then the exchange is going on only because "h" will clear things up.
func (c *ClientConfig) checkProtections(h Hash, m serverFirst, must bool) error {
	downgrade := func(what string) error {
		return aborted("server-first-message", fmt.Errorf("%w: %s", ErrDowngrade, what))
	}
	switch {
	case m.offerHash != "" && c.Offered != nil:
		// XEP-0474 §6.2: if the hashes do not match, the client MUST fail the authentication. Comparing the text
		// refuses base64 that is malformed, or spelled in another way.
		want, err := offerHash(h, c.Offered, c.OfferedTypes)
		if err != nil || m.offerHash != want {
			return downgrade("the server offered other mechanisms or channel-binding types than those that arrived: " +
				quoteList(c.Offered) + "; " + quoteList(c.OfferedTypes))
		}
	case must:
		// XEP-0474 §7, rule 6: only if the hash matches is the list of types legitimate.
		return downgrade("no channel-binding type of this connection was announced, and the server does not prove that it is so: " +
			quoteList(c.OfferedTypes))
	}
	// XEP-0515 §4.2: if the version numbers do not match, the client MUST fail the authentication.
	if c.TLSVersion != 0 && m.tlsVersion != "" && m.tlsVersion != tlsVersion(c.TLSVersion) {
		return downgrade("TLS version is " + tlsVersion(c.TLSVersion) + " here, and for the server " + quote(m.tlsVersion))
	}
	return nil
}

// noCommonType reports that the server announced channel-binding types, and mechanisms for them, but not
// the type that this client would use. XEP-0474 §7, rule 6 lets SCRAM go on without binding then, if the
// server proves what it announced.
func noCommonType(own string, offered, types []string) bool {
	return offersPlus(offered) && len(types) > 0 && !slices.Contains(types, own)
}
