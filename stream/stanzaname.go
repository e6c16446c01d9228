package stream

import "stanzakit.dev/xmpp/internal/quote"

// Each element directly below the stream element is one of a few things. The
// rules that tell them apart are the same on both sides.

// isStanza reports whether el is a stanza of the profile's content namespace
// (RFC 6120 §8).
func isStanza(el *Element, prof Profile) bool {
	name := el.Name()
	if name.Space != prof.ContentNS {
		return false
	}
	switch name.Local {
	case "message", "presence", "iq":
		return true
	}
	return false
}

// checkContentNS refuses elements whose namespace can never be right on this
// stream.
func checkContentNS(el *Element, prof Profile) *Error {
	name := el.Name()
	switch {
	case name.Space == prof.ContentNS && el.Prefix() != "":
		// RFC 6120 §4.8.5.
		return newError(BadNamespacePrefix, "%s has a prefix", quote.ASCII(name.Local, 64))
	case name.Space == prof.ContentNS:
		return nil
	case name.Space == "", name.Space == NSClient, name.Space == NSServer:
		// §4.9.3.10: the content namespace of another kind of stream, or none.
		return newError(InvalidNamespace, "%s is in the namespace %s", quote.ASCII(name.Local, 64), quote.ASCII(name.Space, 64))
	}
	return nil
}

// hasStanzaName reports whether encoded XML of ours begins with the start tag
// of a stanza.
func hasStanzaName(b []byte) bool {
	if len(b) < 4 || b[0] != '<' {
		return false
	}
	end := 1
	for end < len(b) && end <= len("<presence") {
		switch b[end] {
		case ' ', '>', '/', '\t', '\n', '\r':
			switch string(b[1:end]) {
			case "message", "presence", "iq":
				return true
			}
			return false
		}
		end++
	}
	return false
}
