package stream

import (
	"crypto/rand"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
)

// Header holds the attributes of a stream header (RFC 6120 §4.7). Addresses
// that the peer did not give are zero.
type Header struct {
	// To and From are the addresses of the header (§4.7.1, §4.7.2).
	To, From jid.JID
	// ID is the stream ID, which only the receiving entity sets (§4.7.3).
	ID string
	// Version is zero when the header carried none, which means 0.9 (§4.7.5).
	Version Version
	// Lang is the default language of the sender's stream (§4.7.4).
	Lang string
}

// newStreamID returns a fresh stream ID: unpredictable, and unique for all
// that matters (RFC 6120 §4.7.3). rand.Text holds at least 128 bits from the
// system's generator.
func newStreamID() string { return rand.Text() }

// appendHeader appends an XML declaration and the start tag of a stream whose
// default namespace is content.
func appendHeader(dst []byte, content string, h Header) []byte {
	dst = append(dst, `<?xml version='1.0'?><stream:stream xmlns='`...)
	dst = append(dst, content...)
	dst = append(dst, `' xmlns:stream='`+NSStream+`'`...)
	attr := func(name, value string) {
		if value == "" {
			return
		}
		dst = append(dst, ' ')
		dst = append(dst, name...)
		dst = append(dst, `='`...)
		// The values are JIDs, a stream ID and a checked language tag: none
		// can hold a character that XML forbids, so there is no error.
		dst, _ = AppendEscapedAttr(dst, value)
		dst = append(dst, '\'')
	}
	attr("from", h.From.String())
	attr("to", h.To.String())
	attr("id", h.ID)
	if h.Version != (Version{}) {
		attr("version", h.Version.String())
	}
	attr("xml:lang", h.Lang)
	return append(dst, '>')
}

const closingTag = `</stream:stream>`

// checkRoot decides whether el can be the root of a stream (RFC 6120 §4.8.1,
// §4.8.5, §4.9.3.10). The scanner has seen to it that it is a start tag.
func checkRoot(el *Element, content, defaultNS string) *Error {
	name := el.Name()
	switch {
	case name.Local != "stream":
		// §4.9.3.1: not a stream at all.
		return newError(BadFormat, "the root element is %s", quote.ASCII(name.Local, 64))
	case name.Space != NSStream:
		// §4.9.3.10.
		return newError(InvalidNamespace, "the stream namespace is %s", quote.ASCII(name.Space, 128))
	case el.Prefix() != "stream":
		// §4.8.5 permits to accept this one prefix only, and older peers do.
		return newError(BadNamespacePrefix, "the stream namespace has the prefix %s", quote.ASCII(el.Prefix(), 64))
	case defaultNS != content:
		// §4.8.2, §4.9.3.10.
		return newError(InvalidNamespace, "the content namespace is %s", quote.ASCII(defaultNS, 128))
	}
	return nil
}

// parseHeader reads the attributes of a stream header that checkRoot has
// passed. It returns what could be read even with an error, so that a response
// header can be written (RFC 6120 §4.9.1.2).
func parseHeader(el *Element) (Header, *Error) {
	h := Header{ID: el.Attr("id")}
	if lang := el.Lang(); validLang(lang) {
		h.Lang = lang
	}
	var err error
	if h.From, err = el.From(); err != nil {
		// §4.9.3.9.
		return h, &Error{Condition: InvalidFrom, Text: "the from of the stream header is not an address", Cause: err}
	}
	if h.To, err = el.To(); err != nil {
		// §4.9.3.6: a host that we cannot serve, since it is no host.
		return h, &Error{Condition: HostUnknown, Text: "the to of the stream header is not an address", Cause: err}
	}
	if v, ok := el.AttrBytes("version"); ok {
		if h.Version, ok = parseVersion(string(v)); !ok {
			return h, newError(UnsupportedVersion, "version %s", quote.ASCII(string(v), 32))
		}
	}
	// §4.7.5 rule 4: no version means 0.9, and before 1.0 there is neither TLS
	// nor SASL to speak of.
	if h.Version.Less(Version10) {
		return h, newError(UnsupportedVersion, "version %s is too old", h.Version)
	}
	return h, nil
}

// validLang reports whether s has the shape of a language tag (RFC 5646 §2.1):
// groups of one to eight letters and digits. Its meaning is not looked at.
func validLang(s string) bool {
	if len(s) > 64 {
		return false
	}
	for part := range strings.SplitSeq(s, "-") {
		if part == "" || len(part) > 8 {
			return false
		}
		for i := range len(part) {
			c := part[i] | 0x20
			if (c < 'a' || c > 'z') && (part[i] < '0' || part[i] > '9') {
				return false
			}
		}
	}
	return true
}

// responseLang picks the language of a response header (RFC 6120 §4.7.4). This
// side has one language: if that is what was asked for, the answer is the tag
// as the peer wrote it. A match by the lookup scheme of RFC 4647 §3.4 ("de" for
// "de-CH") is our tag, and so is the default when nothing matches.
func responseLang(asked, own string) string {
	if strings.EqualFold(asked, own) {
		return asked
	}
	return own
}
