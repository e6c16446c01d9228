package tls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
)

// ErrConfig is wrapped by every error about options that cannot be used. When
// such an error appears, nothing has been sent on account of TLS.
var ErrConfig = errors.New("xmpp/tls: unusable options")

// ErrInsecureConfig is wrapped, beside [ErrConfig], when a base tls.Config asks
// for less security than this package provides: no verification, a version
// below TLS 1.2, a weak cipher suite, renegotiation.
var ErrInsecureConfig = errors.New("xmpp/tls: the tls.Config weakens security")

// harden returns a copy of base, which may be nil, that both roles can build
// on: everything weaker than the policy is refused, everything left open is
// filled in. What one role decides by itself is refused in that role's file.
func harden(base *tls.Config, insecure []uint16) (*tls.Config, error) {
	if base == nil {
		base = new(tls.Config)
	}
	if err := refuseInsecure(base); err != nil {
		return nil, err
	}
	for _, f := range []struct {
		name string
		set  bool
	}{
		// The stream's domain decides, not the configuration.
		{"ServerName", base.ServerName != ""},
		// ALPN belongs to direct TLS; STARTTLS has named the protocol already.
		{"NextProtos", len(base.NextProtos) > 0},
		// Two callers with different domains or roots must not resume each
		// other's sessions: no resumption at all.
		{"ClientSessionCache", base.ClientSessionCache != nil},
		{"WrapSession", base.WrapSession != nil},
		{"UnwrapSession", base.UnwrapSession != nil},
		// It could answer with a configuration that nobody has checked.
		{"GetConfigForClient", base.GetConfigForClient != nil},
	} {
		if f.set {
			return nil, fmt.Errorf("%w: tls.Config.%s cannot be set", ErrConfig, f.name)
		}
	}
	c := base.Clone()
	// RFC 9325 §3.1.1: no version before TLS 1.2.
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	if c.CipherSuites == nil {
		c.CipherSuites = slices.Clone(suites)
	}
	if err := permitInsecure(c, insecure); err != nil {
		return nil, err
	}
	// RFC 9325 §3.4 asks for ticket keys that rotate. Without tickets there
	// are none to lose, and every connection shows its certificate.
	c.SessionTicketsDisabled = true
	return c, nil
}

func refuseInsecure(base *tls.Config) error {
	what := ""
	switch {
	case skipsVerification(base):
		what = "certificates would not be verified"
	case base.MinVersion != 0 && base.MinVersion < tls.VersionTLS12:
		what = "MinVersion below TLS 1.2"
	case base.MaxVersion != 0 && base.MaxVersion < tls.VersionTLS12:
		what = "MaxVersion below TLS 1.2"
	// RFC 6120 §5.3.5, RFC 9266 §4.2: with renegotiation there is no safe
	// channel binding.
	case base.Renegotiation != tls.RenegotiateNever:
		what = "Renegotiation"
	}
	for _, s := range base.CipherSuites {
		if !slices.Contains(suites, s) && !isTLS13Suite(s) {
			what = "cipher suite " + tls.CipherSuiteName(s)
		}
	}
	if what == "" {
		return nil
	}
	return fmt.Errorf("%w: %w: %s", ErrConfig, ErrInsecureConfig, what)
}
