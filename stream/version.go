package stream

import (
	"strconv"
	"strings"
)

// Version is the version of XMPP that a stream header announces (RFC 6120
// §4.7.5). The zero Version stands for a header without one, which means
// "0.9": no features, no SASL, no TLS.
type Version struct {
	Major, Minor int
}

// Version10 is the version that this package speaks.
var Version10 = Version{Major: 1, Minor: 0}

// String returns "<major>.<minor>", without leading zeros.
func (v Version) String() string {
	return strconv.Itoa(v.Major) + "." + strconv.Itoa(v.Minor)
}

// Less compares numerically and part by part, so that 1.9 is less than 1.10
// (RFC 6120 §4.7.5).
func (v Version) Less(w Version) bool {
	if v.Major != w.Major {
		return v.Major < w.Major
	}
	return v.Minor < w.Minor
}

// parseVersion reads the version attribute of a stream header. Leading zeros
// are ignored (RFC 6120 §4.7.5); anything that is not two groups of digits is
// refused.
func parseVersion(s string) (Version, bool) {
	major, minor, ok := strings.Cut(s, ".")
	if !ok {
		return Version{}, false
	}
	a, okA := parseVersionPart(major)
	b, okB := parseVersionPart(minor)
	return Version{a, b}, okA && okB
}

func parseVersionPart(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	s = strings.TrimLeft(s, "0")
	if s == "" {
		return 0, true
	}
	if len(s) > 9 { // larger than any version will be, and than an int32
		return 0, false
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
