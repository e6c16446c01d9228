package jid

import "testing"

// BenchmarkParse shows what the recognition of canonical ASCII saves: "ascii" and
// "general" parse the same address. The factor between them is meant to stay
// above ten.
func BenchmarkParse(b *testing.B) {
	const ascii = "user@example.org/resource"
	for _, bb := range []struct {
		name  string
		input string
		parse func(string) (JID, error)
	}{
		{"ascii", ascii, Parse},
		{"general", ascii, parseGeneral},
		{"upper", "User@Example.ORG/Resource", Parse},
		{"unicode", "jürgen@bücher.example/Büro", Parse},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bb.parse(bb.input); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
