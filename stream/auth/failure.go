package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// maxText is how much of the peer's explanation is kept, in bytes.
const maxText = 512

// Failure is a <failure/> that the server sent (RFC 6120 §6.5). It wraps a [*sasl.Error]:
// errors.Is(err, sasl.NotAuthorized) tells the condition. Failures that the client found itself are
// a bare *sasl.Error, so errors.As for a *Failure tells which side ended the exchange.
type Failure struct {
	// Err holds the condition and the text. A condition that RFC 6120 does not define counts as
	// NotAuthorized (§6.5). The text is the peer's, for a human, and cut to 512 bytes.
	Err *sasl.Error
	// Lang is the language of the text, if the server gave it.
	Lang string
	// Raw is the whole element as received, a copy. It is data from the wire.
	Raw []byte
}

// Error describes the failure; what came from the peer is quoted and capped.
func (f *Failure) Error() string { return "refused by the server: " + f.Err.Error() }

// Unwrap returns Err.
func (f *Failure) Unwrap() error { return f.Err }

// conditions are those that RFC 6120 §6.5 defines.
var conditions = map[sasl.Condition]bool{
	sasl.Aborted: true, sasl.AccountDisabled: true, sasl.CredentialsExpired: true, sasl.EncryptionRequired: true,
	sasl.IncorrectEncoding: true, sasl.InvalidAuthzid: true, sasl.InvalidMechanism: true, sasl.MalformedRequest: true,
	sasl.MechanismTooWeak: true, sasl.NotAuthorized: true, sasl.TemporaryAuthFailure: true,
}

func parseFailure(el *stream.Element) *Failure {
	// RFC 6120 §6.5: an unknown condition is treated as not-authorized; so is a missing one.
	f := &Failure{Err: &sasl.Error{Condition: sasl.NotAuthorized}, Raw: append([]byte(nil), el.Raw()...)}
	found := false
	for child := range el.Children() {
		name := child.Name()
		if name.Space != NS {
			continue
		}
		if name.Local == "text" {
			if f.Err.Text == "" {
				f.Err.Text, f.Lang = capText(child.Text()), child.Lang()
			}
			continue
		}
		if c := sasl.Condition(name.Local); conditions[c] && !found {
			f.Err.Condition, found = c, true
		}
	}
	return f
}

// write writes the failure as the server sends it, in the namespace of either profile. The condition
// is in that of RFC 6120 in both (XEP-0388 §2.6.2).
func (f *Failure) write(w *stream.Writer, space string) {
	condition := f.Err.Condition
	if !conditions[condition] {
		condition = sasl.NotAuthorized
	}
	w.Start(stream.Name{Space: space, Local: "failure"})
	w.Start(stream.Name{Space: NS, Local: string(condition)})
	w.End()
	if text := plainText(f.Err.Text); text != "" {
		w.Start(stream.Name{Space: space, Local: "text"})
		w.Lang("en")
		w.Text(text)
		w.End()
	}
	w.End()
}

// plainText makes an explanation fit to be sent: what XML cannot carry is dropped, since a callback
// that quotes its input must not end the stream.
func plainText(s string) string {
	s = strings.ToValidUTF8(s, "")
	return capText(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == 0xFFFE || r == 0xFFFF {
			return -1
		}
		return r
	}, s))
}

// capText shortens a text of valid UTF-8.
func capText(s string) string {
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}
