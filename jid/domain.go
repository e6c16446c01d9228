package jid

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"
	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

const (
	acePrefix = "xn--"
	maxLabel  = 63  // octets of a DNS label (RFC 1034 §3.1)
	maxName   = 253 // octets of a DNS name written with dots, without the root
)

// enforceDomain maps s to a canonical domainpart (RFC 7622 §3.2): an IP address
// in its shortest form, or a name whose labels are lower-case NR-LDH labels and
// U-labels.
func enforceDomain(s string) (string, error) {
	if err := checkInput(Domainpart, s); err != nil {
		return "", err
	}
	// RFC 7622 §3.2: a final dot is stripped before any other step.
	name, stripped := strings.CutSuffix(s, ".")
	if name == "" {
		return "", fail(Domainpart, ErrEmpty, s)
	}

	// RFC 7622 §3.1: IP-literal / IPv4address / ifqdn, the first match wins.
	if name[0] == '[' {
		return enforceIPv6(s, name)
	}
	name = mapDomain(name)
	if !stripped {
		// U+3002 and its width variants are dots as well (RFC 5895 §2, step 4), and
		// only the mapping could tell.
		if name = strings.TrimSuffix(name, "."); name == "" {
			return "", fail(Domainpart, ErrEmpty, s)
		}
	}
	if dottedDecimal(name) {
		// RFC 1123 §2.1: a host name never has the form #.#.#.#; "010.1.1.1" would
		// be one address to us and another one to a C library.
		if a, err := netip.ParseAddr(name); err != nil || !a.Is4() {
			return "", fail(Domainpart, ErrAddress, s)
		}
		return name, nil
	}

	out, reason := checkLabels(name)
	if reason != nil {
		return "", fail(Domainpart, reason, s)
	}
	return out, nil
}

// enforceIPv6 reads the IP-literal rule of RFC 3986 §3.2.2. Of its two forms
// IPvFuture is refused, as no version of it exists. So are the zone identifiers
// of RFC 6874: they mean something on one host only, and an address that means
// something else to the next host must not be routed on.
func enforceIPv6(in, s string) (string, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	a, err := netip.ParseAddr(inner)
	if !ok || err != nil || !a.Is6() || a.Zone() != "" {
		return "", fail(Domainpart, ErrAddress, in)
	}
	return "[" + a.String() + "]", nil
}

// dottedDecimal reports whether s has the form #.#.#.#.
func dottedDecimal(s string) bool {
	dots, prev := 0, byte('.')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && prev != '.':
			dots++
		case c < '0' || c > '9':
			return false
		}
		prev = s[i]
	}
	return dots == 3 && prev != '.'
}

// lowerCase is stateless (it ignores the position of a sigma) and therefore safe
// to share.
var lowerCase = cases.Lower(language.Und, cases.HandleFinalSigma(false))

// mapDomain applies the mapping of RFC 5895 §2, which is what RFC 7622 §3.2.2
// asks for. The wider mapping of UTS #46 is not applied: it drops soft hyphens
// and takes compatibility characters apart, and RFC 7622 has no room for either.
func mapDomain(s string) string {
	if only(s, asciiLetDig|asciiPunct) {
		return s
	}
	if isASCII(s) {
		return strings.ToLower(s)
	}
	s = lowerCase.String(s)
	s = width.Fold.String(s)
	s = strings.Map(func(r rune) rune {
		switch {
		case r == '\u3002':
			return '.'
		// Cherokee is the one script whose lower case is the unstable one
		// (RFC 5892 §2.2): its upper case is PVALID, so lowering would make every
		// Cherokee name invalid.
		case 0xAB70 <= r && r <= 0xABBF:
			return r - 0xAB70 + 0x13A0
		case 0x13F8 <= r && r <= 0x13FD:
			return r - 8
		}
		return r
	}, s)
	return norm.NFC.String(s)
}

// checkLabels turns the A-labels of a mapped name into U-labels and validates
// all labels. It returns one of the Err… values if there is something wrong.
func checkLabels(name string) (string, error) {
	ascii := true
	rtl := false
	size := -1
	labels := strings.Split(name, ".")
	for i, l := range labels {
		if isASCII(l) && strings.HasPrefix(l, acePrefix) {
			u, ok := decodeALabel(l)
			if !ok {
				return "", ErrLabel
			}
			l, labels[i] = u, u
		}
		// Stop before more work is done than a name of the legal length takes.
		if size += 1 + len(l); size > maxPart {
			return "", ErrTooLong
		}
		if err := checkLabel(l); err != nil {
			return "", err
		}
		if !isASCII(l) {
			ascii = false
			rtl = rtl || bidirule.DirectionString(l) != bidi.LeftToRight
		}
	}
	if ascii {
		return name, nil
	}
	if rtl {
		// RFC 5893 §1.4, §2: one right-to-left label makes the rule apply to every
		// label of the name.
		for _, l := range labels {
			if !bidirule.ValidString(l) {
				return "", ErrBidi
			}
		}
	}
	return strings.Join(labels, "."), nil
}

// decodeALabel converts an A-label to its U-label. Anything that does not convert
// back to the same octets is a fake A-label (RFC 5890 §2.3.2.1).
func decodeALabel(l string) (string, bool) {
	if len(l) > maxLabel {
		return "", false
	}
	u, err := idna.Punycode.ToUnicode(l)
	if err != nil || isASCII(u) || !utf8.ValidString(u) {
		return "", false
	}
	back, err := idna.Punycode.ToASCII(u)
	return u, err == nil && back == l
}

// identifier checks the code points that PRECIS and IDNA2008 have in common,
// along with the contextual rules of RFC 5892 Appendix A.
var identifier = precis.NewIdentifier()

// checkLabel decides whether l, which is not an A-label, is an NR-LDH label or a
// U-label (RFC 5890 §2.3.1, §2.3.2.1).
func checkLabel(l string) error {
	// RFC 5891 §4.2.3.1: hyphens neither first, nor last, nor third and fourth.
	if l == "" || l[0] == '-' || l[len(l)-1] == '-' {
		return ErrLabel
	}
	if len(l) >= 4 && l[2:4] == "--" {
		return ErrLabel
	}
	ascii := true
	for i, r := range l {
		if r < utf8.RuneSelf {
			if r != '-' && classes[r]&asciiLetDig == 0 {
				return ErrNotAllowed
			}
			continue
		}
		ascii = false
		// RFC 5891 §4.2.3.2: a combining mark has nothing to combine with there.
		if i == 0 && unicode.Is(unicode.M, r) {
			return ErrLabel
		}
		if unstable(r) {
			return ErrNotAllowed
		}
	}
	if ascii {
		return nil
	}
	out, err := identifier.String(l)
	if err != nil {
		return ErrNotAllowed
	}
	if out != l {
		// Not in NFC, which after mapDomain only an A-label can be.
		return ErrLabel
	}
	return nil
}

var foldCase = cases.Fold()

// unstable reports whether r, a member of the PRECIS IdentifierClass, is
// nevertheless disallowed by IDNA2008. The two differ in categories B (Unstable)
// and D (IgnorableBlocks) of RFC 5892, which PRECIS does not use.
func unstable(r rune) bool {
	switch {
	case r == 0x00DF, r == 0x03C2:
		return false // RFC 5892 §2.6: exceptions that come before category B
	case 0x13A0 <= r && r <= 0x13F5:
		// Cherokee case folding goes to upper case, these letters (Unicode
		// CaseFolding.txt). x/text folds them to lower case, which is a mistake.
		return false
	case 0x20D0 <= r && r <= 0x20FF, 0x1D100 <= r && r <= 0x1D24F:
		return true // RFC 5892 §2.4
	}
	s := string(r)
	return norm.NFKC.String(foldCase.String(norm.NFKC.String(s))) != s
}
