package jid

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/bidirule"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/bidi"
	"golang.org/x/text/unicode/norm"
)

const (
	// maxPart is the limit on each mapped part, in octets (RFC 7622 §3.1).
	maxPart = 1023
	// maxShrink bounds how much shorter mapping can make a part. The strongest
	// known cases are fullwidth a + dot above + macron (7 octets) to U+01E1 (2) and
	// a one-letter A-label (8) to its U-label (2). A part longer than
	// maxPart*maxShrink cannot become valid and is refused before any Unicode work
	// is done.
	maxShrink = 4
	maxInput  = maxPart * maxShrink
	// maxTotal is the same bound for a whole address with its two separators.
	maxTotal = 3*maxInput + 2
)

// excluded are the characters that XMPP takes out of the IdentifierClass
// (RFC 7622 §3.3.1).
const excluded = `"&'/:<>@`

// usernameCaseMapped is the profile of RFC 8265 §3.3.1 short of its directionality
// rule. [precis.UsernameCaseMapped] applies that rule to text without any
// right-to-left character as well, and so refuses "é_" and "2é", which the RFC
// exempts ("there is no special processing for directionality").
var usernameCaseMapped = precis.NewIdentifier(precis.FoldWidth, precis.LowerCase(), precis.Norm(norm.NFC))

// checkInput does the checks that cost nothing and come before any mapping.
func checkInput(p Part, s string) error {
	switch {
	case len(s) == 0:
		return fail(p, ErrEmpty, s)
	case len(s) > maxInput:
		return fail(p, ErrTooLong, s)
	case !utf8.ValidString(s):
		// x/text would carry on with U+FFFD, which is another address.
		return fail(p, ErrUTF8, s)
	}
	return nil
}

// enforceLocal maps s to a canonical localpart (RFC 7622 §3.3).
func enforceLocal(s string) (string, error) {
	if err := checkInput(Localpart, s); err != nil {
		return "", err
	}
	var out string
	if isASCII(s) {
		// All that the profile does to ASCII is lower case and the class check.
		if out = strings.ToLower(s); !only(out, asciiLocal) {
			return "", fail(Localpart, ErrNotAllowed, s)
		}
	} else {
		var err error
		if out, err = enforce(usernameCaseMapped, Localpart, s); err != nil {
			return "", err
		}
		// RFC 8265 §3.3.1, item 5.
		if bidirule.DirectionString(out) != bidi.LeftToRight && !bidirule.ValidString(out) {
			return "", fail(Localpart, ErrBidi, s)
		}
		// RFC 7622 §3.3.1, after mapping: fullwidth '＠', '／' and '＜' have
		// become ASCII by now, and a string that begins as two parts must not end
		// as three.
		if strings.ContainsAny(out, excluded) {
			return "", fail(Localpart, ErrNotAllowed, s)
		}
	}
	return checkLength(Localpart, s, out)
}

// enforceResource maps s to a canonical resourcepart (RFC 7622 §3.4).
func enforceResource(s string) (string, error) {
	if err := checkInput(Resourcepart, s); err != nil {
		return "", err
	}
	out := s
	if !only(s, asciiResource) {
		if isASCII(s) {
			return "", fail(Resourcepart, ErrNotAllowed, s) // a control character
		}
		var err error
		if out, err = enforce(precis.OpaqueString, Resourcepart, s); err != nil {
			return "", err
		}
	}
	return checkLength(Resourcepart, s, out)
}

// checkLength applies the limits, which count the octets of the mapped UTF-8.
func checkLength(p Part, in, out string) (string, error) {
	switch {
	case len(out) == 0:
		// RFC 8265 §3.3.3: what is not empty may become empty.
		return "", fail(p, ErrEmpty, in)
	case len(out) > maxPart:
		return "", fail(p, ErrTooLong, in)
	}
	return out, nil
}

// enforce applies a PRECIS profile until its output is stable.
//
// RFC 8264 §7: enforcement need not be idempotent; the rules are reapplied up to
// three additional times, then the string is rejected.
func enforce(profile *precis.Profile, p Part, s string) (string, error) {
	prev := s
	for range 4 {
		out, err := profile.String(prev)
		if err != nil {
			return "", fail(p, ErrNotAllowed, s)
		}
		if out == prev {
			return out, nil
		}
		prev = out
	}
	return "", fail(p, ErrUnstable, s)
}
