package sasl

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

// preparePassword applies the OpaqueString profile (RFC 8265 §4.2), which stands in for SASLprep.
// The error never quotes the password.
func preparePassword(password string) (string, error) {
	if len(password) > maxPassword {
		return "", fmt.Errorf("%w: longer than %d bytes", ErrPassword, maxPassword)
	}
	// A string of code points is the input of a profile. The package precis would take each byte that is not
	// UTF-8 for U+FFFD, which makes one password of many.
	if !utf8.ValidString(password) {
		return "", fmt.Errorf("%w: not UTF-8", ErrPassword)
	}
	// The profile refuses the empty string too, as RFC 4616 §2 asks. Its error may name the offending
	// character: it is dropped.
	p, err := precis.OpaqueString.String(password)
	if err != nil {
		return "", fmt.Errorf("%w to OpaqueString", ErrPassword)
	}
	return p, nil
}

// checkName refuses what neither SCRAM (RFC 5802 §7, saslname) nor PLAIN (RFC 4616 §2, SAFE) can
// carry as a name.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty", ErrUsername)
	case len(name) > maxName:
		return fmt.Errorf("%w: longer than %d bytes", ErrUsername, maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: not UTF-8", ErrUsername)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("%w: holds a NUL", ErrUsername)
	}
	return nil
}
