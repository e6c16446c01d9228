package jid

import (
	"strings"
	"testing"

	"golang.org/x/text/secure/precis"
)

// BenchmarkParse shows what the recognition of canonical ASCII saves: "ascii" and
// "precis" deal with the same address, and the factor between them is meant to
// stay above ten. "general" is Parse without the recognition of the whole, but
// with that of each part.
func BenchmarkParse(b *testing.B) {
	const ascii = "user@example.org/resource"
	for _, c := range []struct {
		name  string
		input string
		parse func(string) (JID, error)
	}{
		{"ascii", ascii, Parse},
		{"general", ascii, parseGeneral},
		{"precis", ascii, parsePRECIS},
		{"upper", "User@Example.ORG/Resource", Parse},
		{"unicode", "jürgen@bücher.example/Büro", Parse},
		{"refused", "a b@example.org", Parse},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.parse(c.input)
			}
		})
	}
	b.Run("bytes", func(b *testing.B) {
		in := []byte(ascii)
		b.ReportAllocs()
		for b.Loop() {
			_, _ = ParseBytes(in)
		}
	})
}

// parsePRECIS applies the profiles without any shortcut for ASCII of our own.
func parsePRECIS(s string) (JID, error) {
	rest, resource, _ := strings.Cut(s, "/")
	local, domain, _ := strings.Cut(rest, "@")
	local, err := enforce(usernameCaseMapped, Localpart, local)
	if err != nil {
		return JID{}, err
	}
	if domain, err = enforceDomain(domain); err != nil {
		return JID{}, err
	}
	if resource, err = enforce(precis.OpaqueString, Resourcepart, resource); err != nil {
		return JID{}, err
	}
	return JID{local + "@" + domain + "/" + resource, uint16(len(local)), uint16(len(domain))}, nil
}

// BenchmarkHostile bounds what an address made to be expensive costs. The inputs
// are as long as they can be without being refused for that.
func BenchmarkHostile(b *testing.B) {
	for name, in := range map[string]string{
		"marks":    strings.Repeat("a\u0316\u0300", 818) + "@b",
		"jamo":     strings.Repeat("\u1112\u1161\u11ab", 454) + "@b",
		"labels":   strings.Repeat("\u00e9.", 1363) + "b",
		"A-labels": strings.Repeat("xn--9ca.", 511) + "b",
		"long":     strings.Repeat("\u00e9", 1<<20),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = Parse(in)
			}
		})
	}
}
