package jid

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// XEP-0106 §5, and the addresses in §3 and §4.
func TestEscapeExamples(t *testing.T) {
	for _, c := range []struct{ text, local string }{
		{`space cadet`, `space\20cadet`},
		{`call me "ishmael"`, `call\20me\20\22ishmael\22`},
		{`at&t guy`, `at\26t\20guy`},
		{`d'artagnan`, `d\27artagnan`},
		{`/.fanboy`, `\2f.fanboy`},
		{`::foo::`, `\3a\3afoo\3a\3a`},
		{`<foo>`, `\3cfoo\3e`},
		{`user@host`, `user\40host`},
		{`c:\net`, `c\3a\net`},
		{`c:\\net`, `c\3a\\net`},
		{`c:\cool stuff`, `c\3a\cool\20stuff`},
		{`c:\5commas`, `c\3a\5c5commas`},
		{`here's_a_wild_&_/cr%zy/_address`, `here\27s_a_wild_\26_\2fcr%zy\2f_address`},
		{`here's_a_wild_&_/cr%zy/_address_for:<wv>("IMPS")`, `here\27s_a_wild_\26_\2fcr%zy\2f_address_for\3a\3cwv\3e(\22IMPS\22)`},
		{"CN=D'Artagnan Saint-Andr\u00e9,O=Example & Company, Inc.,DC=example,DC=com",
			"CN=D\\27Artagnan\\20Saint-Andr\u00e9,O=Example\\20\\26\\20Company,\\20Inc.,DC=example,DC=com"},
		{`somenick!user"&'/:\3address`, `somenick!user\22\26\27\2f\3a\5c3address`},
		{`\3and\2is\5cool`, `\5c3and\2is\5c5cool`},
		{"tr\u00e9ville@musketeers.lit", "tr\u00e9ville\\40musketeers.lit"},
		// §4.3: these are no sequences.
		{`\2plus\2is\4`, `\2plus\2is\4`},
		{`foo\bar`, `foo\bar`},
		{`foob\41r`, `foob\41r`},
		{``, ``},
		{`\`, `\`},
		{`\2`, `\2`},
	} {
		got, err := Escape(c.text)
		require.NoError(t, err, c.text)
		require.Equal(t, c.local, got)
		require.Equal(t, c.text, Unescape(got))
		if got != "" {
			_, err = New(got, "example.com", "")
			require.NoError(t, err, got)
		}
	}
}

// The localpart rules run after escaping and must not make a sequence out of
// something that was none.
func TestEscapeBeforeMapping(t *testing.T) {
	for in, want := range map[string]string{
		`a\2Fb`:              `a\2fb`, // lower-cased, but still no slash
		`a\5C20b`:            `a\5c20b`,
		"a\uff3c\uff12fb":    `a\2fb`, // fullwidth backslash and digit
		"a\uff20b":           "a@b",
		"a\u3000b":           "a b",
		"a\uff07b\uff0f":     "a'b/",
		"\uff21\u00df b":     "a\u00df b",
		"\uff3c\uff15\uff23": `\5c`,
	} {
		out, err := Escape(in)
		require.NoError(t, err, in)
		j, err := New(out, "b", "")
		require.NoError(t, err, in)
		require.Equal(t, want, Unescape(j.Local()), in)
	}
	// "\3c" and a cedilla would become "\3ç".
	_, err := Escape("a<\u0327")
	requireError(t, err, Localpart, ErrNotAllowed)
	_, err = Escape("\u3000a")
	requireError(t, err, Localpart, ErrNotAllowed)
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`\22\26\27\2f\3a\3c\3e\40\5c`: `"&'/:<>@\`,
		`a\20b`:                       `a b`,
		`\5c20`:                       `\20`,
		`\5c5c`:                       `\5c`,
		`\2F`:                         `\2F`, // §3.1: case is significant
		`\41`:                         `\41`,
		`a\20`:                        `a\20`,
		`\20\20\20`:                   `\20 \20`,
		`\`:                           `\`,
		`\2`:                          `\2`,
		`\\20x`:                       `\ x`,
		"\\27\xff":                    "'\xff",
	} {
		require.Equal(t, want, Unescape(in), in)
	}
}
