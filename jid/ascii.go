package jid

// Nearly every address on the wire is lower-case ASCII and therefore already in
// canonical form. This file recognises those without allocating; whatever it is
// not sure about goes through the complete rules in precis.go and domain.go,
// which by themselves would give the same result (FuzzParse compares the two).

// Classes of ASCII octets. A non-ASCII octet has none of them.
const (
	asciiLocal    = 1 << iota // stays as it is in a localpart
	asciiResource             // stays as it is in a resourcepart
	asciiLetDig               // a-z 0-9: stays as it is in a domain label
	asciiPunct                // '-' and '.': stays, depending on its neighbours
	asciiLetter               // a-z
)

// classes is computed by the compiler's initialiser, not in an init function.
var classes = [256]uint8{
	' ': asciiResource,
	'!': asciiLocal | asciiResource,
	// RFC 7622 §3.3.1: " & ' / : < > @ are never part of a localpart.
	'"': asciiResource,
	'#': asciiLocal | asciiResource, '$': asciiLocal | asciiResource, '%': asciiLocal | asciiResource,
	'&': asciiResource, '\'': asciiResource,
	'(': asciiLocal | asciiResource, ')': asciiLocal | asciiResource, '*': asciiLocal | asciiResource,
	'+': asciiLocal | asciiResource, ',': asciiLocal | asciiResource,
	'-': asciiLocal | asciiResource | asciiPunct, '.': asciiLocal | asciiResource | asciiPunct,
	'/': asciiResource,
	'0': digit, '1': digit, '2': digit, '3': digit, '4': digit,
	'5': digit, '6': digit, '7': digit, '8': digit, '9': digit,
	':': asciiResource, ';': asciiLocal | asciiResource,
	'<': asciiResource, '=': asciiLocal | asciiResource, '>': asciiResource,
	'?': asciiLocal | asciiResource, '@': asciiResource,
	// Upper case is canonical in resourceparts only.
	'A': asciiResource, 'B': asciiResource, 'C': asciiResource, 'D': asciiResource, 'E': asciiResource,
	'F': asciiResource, 'G': asciiResource, 'H': asciiResource, 'I': asciiResource, 'J': asciiResource,
	'K': asciiResource, 'L': asciiResource, 'M': asciiResource, 'N': asciiResource, 'O': asciiResource,
	'P': asciiResource, 'Q': asciiResource, 'R': asciiResource, 'S': asciiResource, 'T': asciiResource,
	'U': asciiResource, 'V': asciiResource, 'W': asciiResource, 'X': asciiResource, 'Y': asciiResource,
	'Z': asciiResource,
	'[': asciiLocal | asciiResource, '\\': asciiLocal | asciiResource, ']': asciiLocal | asciiResource,
	'^': asciiLocal | asciiResource, '_': asciiLocal | asciiResource, '`': asciiLocal | asciiResource,
	'a': lower, 'b': lower, 'c': lower, 'd': lower, 'e': lower, 'f': lower, 'g': lower,
	'h': lower, 'i': lower, 'j': lower, 'k': lower, 'l': lower, 'm': lower, 'n': lower,
	'o': lower, 'p': lower, 'q': lower, 'r': lower, 's': lower, 't': lower, 'u': lower,
	'v': lower, 'w': lower, 'x': lower, 'y': lower, 'z': lower,
	'{': asciiLocal | asciiResource, '|': asciiLocal | asciiResource,
	'}': asciiLocal | asciiResource, '~': asciiLocal | asciiResource,
}

const (
	digit = asciiLocal | asciiResource | asciiLetDig
	lower = asciiLocal | asciiResource | asciiLetDig | asciiLetter
)

// parseASCII parses a JID that is canonical ASCII. The second result is false
// when s is not, or is not a JID at all: the general path then finds out which.
func parseASCII(s string) (JID, bool) {
	// RFC 7622 §3.2: the first '/' ends the domainpart and the first '@' before it
	// begins it. Neither is asciiLocal, so the scan stops at whichever is first.
	i := 0
	for i < len(s) && classes[s[i]]&asciiLocal != 0 {
		i++
	}
	local, start := 0, 0
	if i < len(s) && s[i] == '@' {
		if i == 0 || i > maxPart {
			return JID{}, false
		}
		local, start = i, i+1
	}

	// Every label begins and ends with a letter or digit, and a hyphen has no
	// hyphen beside it, which leaves "xn--…" to the general path. A name without
	// any letter may be an IPv4 address: it goes there too.
	var seen, prev uint8 = 0, asciiPunct
	end := start
	for end < len(s) {
		c := s[end]
		if c == '/' {
			break
		}
		k := classes[c]
		if k&(asciiLetDig|asciiPunct) == 0 || k&prev&asciiPunct != 0 {
			return JID{}, false
		}
		seen |= k
		prev = k
		end++
	}
	if prev&asciiPunct != 0 || seen&asciiLetter == 0 || end-start > maxPart {
		return JID{}, false
	}

	if end < len(s) {
		resource := s[end+1:]
		if len(resource) == 0 || len(resource) > maxPart {
			return JID{}, false
		}
		for i := range len(resource) {
			if classes[resource[i]]&asciiResource == 0 {
				return JID{}, false
			}
		}
	}
	return JID{s: s, local: uint16(local), domain: uint16(end - start)}, true
}

// isASCII reports whether s holds ASCII only.
func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// only reports whether every octet of s is ASCII of the given class.
func only(s string, class uint8) bool {
	for i := range len(s) {
		if classes[s[i]]&class == 0 {
			return false
		}
	}
	return true
}
