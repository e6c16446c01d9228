package stanza

import "strings"

// Text is character data for a human reader, in one language.
type Text struct {
	// Lang is the language, a BCP 47 tag. Empty means the language of the
	// stanza (RFC 6120 §8.1.5).
	Lang string
	// Value is the text.
	Value string
}

// Texts is one text in several languages, at most once in each (RFC 6121
// §4.7.2.2, §5.2.3, §5.2.4). Most stanzas have one, without a language of its
// own: see [Plain].
type Texts []Text

// Plain returns s in the language of the stanza.
func Plain(s string) Texts { return Texts{{Value: s}} }

// String returns the text that stands for all: the one in the language of the
// stanza, or else the first, or else "".
func (t Texts) String() string {
	for _, x := range t {
		if x.Lang == "" {
			return x.Value
		}
	}
	if len(t) > 0 {
		return t[0].Value
	}
	return ""
}

// In returns the text in the language that the tag names. If there is none then
// it looks for a less specific tag, "de" for "de-CH" (RFC 4647 §3.4), and
// reports false if that fails too. It does not know the language of the stanza:
// a text without a Lang is found by [Texts.String] only.
func (t Texts) In(tag string) (string, bool) {
	for tag != "" {
		for _, x := range t {
			if strings.EqualFold(x.Lang, tag) {
				return x.Value, true
			}
		}
		i := strings.LastIndexByte(tag, '-')
		if i < 0 {
			break
		}
		tag = tag[:i]
	}
	return "", false
}
