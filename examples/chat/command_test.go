package main

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
)

func TestParse(t *testing.T) {
	for in, want := range map[string]command{
		"":                                  {},
		"hello":                             {args: [2]string{"hello"}},
		"  hello there ":                    {args: [2]string{"hello there"}},
		"romeo: hi":                         {args: [2]string{"romeo: hi"}},
		"//etc/motd":                        {args: [2]string{"/etc/motd"}},
		"/to Romeo Montague":                {"to", [2]string{"Romeo Montague"}},
		"/add romeo@example.net":            {"add", [2]string{"romeo@example.net"}},
		"/add  romeo@example.net  My Romeo": {"add", [2]string{"romeo@example.net", "My Romeo"}},
		"/rename romeo My Romeo":            {"rename", [2]string{"romeo", "My Romeo"}},
		"/away":                             {"away", [2]string{}},
		"/away gone for lunch":              {"away", [2]string{"gone for lunch"}},
		"/roster ":                          {"roster", [2]string{}},
		"/quit":                             {"quit", [2]string{}},
	} {
		got, err := parse(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for in, says := range map[string]string{
		"/":             "no such command",
		"/ away":        "no such command",
		"/AWAY":         "no such command",
		"/awayy":        "no such command",
		"/to":           "/to NAME",
		"/to  ":         "/to NAME",
		"/add":          "/add ADDRESS [NAME]",
		"/rename romeo": "/rename NAME NEW",
		"/roster all":   "/roster",
	} {
		_, err := parse(in)
		require.ErrorContains(t, err, says, in)
	}
}

func TestHarmless(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		" two words ":                      "two words",
		"Dvořím se Julii 💜":                "Dvořím se Julii 💜",
		"\x1b[2J\x07\x00\x7f":              "\uFFFD[2J\uFFFD\uFFFD\uFFFD",
		"\u009b31mred\u0085":               "\uFFFD31mred", // C1; NEL is white space at the end
		"\u202eevil\u2066\u200b\ufeff!":    "\uFFFDevil\uFFFD\uFFFD\uFFFD!",
		"a\r\n* romeo is online\u2028b\tc": "a\n      * romeo is online\uFFFDb c",
		"\xff":                             "\uFFFD",
		strings.Repeat("é", maxShown+1):    strings.Repeat("é", maxShown) + "…",
	} {
		require.Equal(t, want, harmless(in))
	}
	require.Equal(t, "a * romeo is online", line("a\n* romeo is online\n"))
	require.Equal(t, ": x", with(stanza.Plain("x")))
	require.Empty(t, with(stanza.Plain(" ")))
}

// FuzzHarmless: no text has anything for the terminal in it, or looks like a line of the
// program; nor does a line ever fail to be taken apart.
func FuzzHarmless(f *testing.F) {
	f.Add("/add romeo@example.net Romeo")
	f.Add("\u009b2J\n\n* you")
	f.Fuzz(func(t *testing.T, s string) {
		for i, l := range strings.Split(harmless(s), "\n") {
			for _, r := range l {
				require.True(t, unicode.IsPrint(r), "%q", r)
			}
			require.True(t, i == 0 || strings.HasPrefix(l, "      "), "%q", l)
		}
		require.NotContains(t, line(s), "\n")
		if c, err := parse(s); err == nil && c.verb != "" {
			require.NotContains(t, c.verb, " ")
		}
	})
}
