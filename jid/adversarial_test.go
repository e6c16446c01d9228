package jid

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// TestAdversarial holds the cases in which an address is an attack, or looks as
// if it were. There is one side only: clients and servers share this code.
func TestAdversarial(t *testing.T) {
	t.Run("J01", func(t *testing.T) {
		// RFC 7622 §3.5, tables 1 and 2. The numbers are those of the tables.
		for _, c := range []struct {
			n                       int
			in                      string
			local, domain, resource string
			part                    Part
			reason                  error
		}{
			{n: 1, in: "juliet@example.com", local: "juliet", domain: "example.com"},
			{n: 2, in: "juliet@example.com/foo", local: "juliet", domain: "example.com", resource: "foo"},
			{n: 3, in: "juliet@example.com/foo bar", local: "juliet", domain: "example.com", resource: "foo bar"},
			{n: 4, in: "juliet@example.com/foo@bar", local: "juliet", domain: "example.com", resource: "foo@bar"},
			{n: 5, in: `foo\20bar@example.com`, local: `foo\20bar`, domain: "example.com"},
			{n: 6, in: "fussball@example.com", local: "fussball", domain: "example.com"},
			{n: 7, in: "fu\u00DFball@example.com", local: "fu\u00DFball", domain: "example.com"},
			{n: 8, in: "\u03C0@example.com", local: "\u03C0", domain: "example.com"},
			{n: 9, in: "\u03A3@example.com/foo", local: "\u03C3", domain: "example.com", resource: "foo"},
			{n: 10, in: "\u03C3@example.com/foo", local: "\u03C3", domain: "example.com", resource: "foo"},
			{n: 11, in: "\u03C2@example.com/foo", local: "\u03C2", domain: "example.com", resource: "foo"},
			{n: 12, in: "king@example.com/\u265A", local: "king", domain: "example.com", resource: "\u265A"},
			{n: 13, in: "example.com", domain: "example.com"},
			{n: 14, in: "example.com/foobar", domain: "example.com", resource: "foobar"},
			{n: 15, in: "a.example.com/b@example.net", domain: "a.example.com", resource: "b@example.net"},
			{n: 16, in: `"juliet"@example.com`, part: Localpart, reason: ErrNotAllowed},
			{n: 17, in: "foo bar@example.com", part: Localpart, reason: ErrNotAllowed},
			// Deviation from table 2, see the package documentation: OpaqueString,
			// which RFC 7622 §3.4 makes the rule, permits the leading space.
			{n: 18, in: "juliet@example.com/ foo", local: "juliet", domain: "example.com", resource: " foo"},
			{n: 19, in: "@example.com/", part: Localpart, reason: ErrEmpty},
			{n: 20, in: "henry\u2163@example.com", part: Localpart, reason: ErrNotAllowed},
			{n: 21, in: "\u265A@example.com", part: Localpart, reason: ErrNotAllowed},
			{n: 22, in: "juliet@", part: Domainpart, reason: ErrEmpty},
			{n: 23, in: "/foobar", part: Domainpart, reason: ErrEmpty},
		} {
			j, err := Parse(c.in)
			if c.reason != nil {
				requireError(t, err, c.part, c.reason)
				continue
			}
			require.NoError(t, err, "example %d", c.n)
			require.Equal(t, []string{c.local, c.domain, c.resource},
				[]string{j.Local(), j.Domain(), j.Resource()}, "example %d", c.n)
		}
		require.NotEqual(t, MustParse("fussball@example.com"), MustParse("fu\u00DFball@example.com"))
		require.Equal(t, MustParse("\u03A3@example.com/foo"), MustParse("\u03C3@example.com/foo"))
		require.NotEqual(t, MustParse("\u03C3@example.com/foo"), MustParse("\u03C2@example.com/foo"))
	})

	t.Run("J03", func(t *testing.T) {
		// RFC 7622 §3.2–§3.4: the limit counts the octets of the mapped UTF-8.
		for _, c := range []struct {
			name, in string
			octets   int // after mapping
		}{
			{"ASCII", strings.Repeat("a", 1023), 1023},
			{"ASCII", strings.Repeat("a", 1024), 1024},
			{"upper case", strings.Repeat("A", 1023), 1023},
			{"sharp s", strings.Repeat("\u00df", 511) + "a", 1023},
			{"sharp s", strings.Repeat("\u00df", 512), 1024},
			{"fullwidth, 3 octets become 1", strings.Repeat("\uff41", 1023), 1023},
			{"fullwidth, 3 octets become 1", strings.Repeat("\uff41", 1024), 1024},
			{"combining, 7 octets become 2", strings.Repeat("\uff41\u0307\u0304", 511) + "a", 1023},
			{"combining, 7 octets become 2", strings.Repeat("\uff41\u0307\u0304", 512), 1024},
			{"jamo, 9 octets become 3", strings.Repeat("\u1112\u1161\u11ab", 341), 1023},
			{"jamo, 9 octets become 3", strings.Repeat("\u1112\u1161\u11ab", 341) + "a", 1024},
		} {
			for _, slot := range []struct {
				part   Part
				before string
				after  string
			}{{Localpart, "", "@b"}, {Domainpart, "", ""}, {Resourcepart, "b/", ""}} {
				in, octets := c.in, c.octets
				if slot.part == Resourcepart && strings.Contains(in, "\uff41") {
					// OpaqueString does not map width: put spaces in their place.
					in = strings.ReplaceAll(in, "\uff41", "\u3000")
					in = strings.ReplaceAll(in, "\u0307\u0304", "")
					octets = utf8.RuneCountInString(in)
				}
				j, err := Parse(slot.before + in + slot.after)
				if octets > 1023 {
					requireError(t, err, slot.part, ErrTooLong)
					continue
				}
				require.NoError(t, err, "%s in a %s", c.name, slot.part)
				if slot.part != Resourcepart || in == c.in {
					require.Len(t, j.String(), octets+len(slot.before)+len(slot.after), "%s in a %s", c.name, slot.part)
				}
			}
		}
		p := strings.Repeat("a", 1023)
		j, err := Parse(p + "@" + p + "/" + p)
		require.NoError(t, err)
		require.Len(t, j.String(), 3071)

		// What cannot become valid is refused without being looked at.
		_, err = Parse(strings.Repeat("\u00e9", 1<<20))
		requireError(t, err, Whole, ErrTooLong)
		_, err = ParseBytes(make([]byte, 1<<20))
		requireError(t, err, Whole, ErrTooLong)
		_, err = Parse("b/" + strings.Repeat("\u00e9", 4000))
		requireError(t, err, Resourcepart, ErrTooLong)
	})

	t.Run("J04", func(t *testing.T) {
		j, err := Parse("a@b/c@d/e") // RFC 7622 §3.2
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b", "c@d/e"}, []string{j.Local(), j.Domain(), j.Resource()})
		for _, c := range []struct {
			in     string
			part   Part
			reason error
		}{
			{"/r", Domainpart, ErrEmpty},
			{"a@", Domainpart, ErrEmpty},
			{"a@/r", Domainpart, ErrEmpty},
			{"@b", Localpart, ErrEmpty},
			{"@", Localpart, ErrEmpty},
			{"a@b/", Resourcepart, ErrEmpty},
			{"b/", Resourcepart, ErrEmpty},
			{"/", Domainpart, ErrEmpty},
			{"", Domainpart, ErrEmpty},
			{".", Domainpart, ErrEmpty},
			{"\u3002", Domainpart, ErrEmpty},
			{"a@@b", Domainpart, ErrNotAllowed},
			{"a@b@c", Domainpart, ErrNotAllowed},
			{"a@b@c/d", Domainpart, ErrNotAllowed},
			// Separators that appear by mapping do not split (RFC 7622 §3.1).
			{"a\uff20b", Domainpart, ErrNotAllowed},
			{"a\uff20b@c", Localpart, ErrNotAllowed},
			{"a\uff0fb@c", Localpart, ErrNotAllowed},
			{"a\uff1cb@c", Localpart, ErrNotAllowed},
			{"b\uff0fc", Domainpart, ErrNotAllowed},
		} {
			_, err := Parse(c.in)
			requireError(t, err, c.part, c.reason)
		}
	})

	t.Run("J06", func(t *testing.T) {
		want := MustParse("a@b\u00fccher.example")
		for _, in := range []string{
			"a@b\u00fccher.example.",
			"a@b\u00fccher\u3002example",
			"a@b\u00fccher\u3002example\u3002",
			"a@b\u00fccher\uff0eexample",
			"a@b\u00fccher\uff61example\uff61",
			"a@B\u00dcCHER.EXAMPLE",
			"a@bu\u0308cher.example",
			"a@xn--bcher-kva.example",
			"a@XN--BCHER-KVA.Example.",
			"a@\uff58\uff4e--bcher-kva.example", // an A-label in fullwidth
		} {
			j, err := Parse(in)
			require.NoError(t, err, in)
			require.Equal(t, want, j, in)
			require.Equal(t, "a@b\u00fccher.example", j.String())
		}
		for _, in := range []string{
			"b..example", ".example", "example..", "example.\u3002", "example\u3002\u3002", "a.\u3002b",
			// RFC 5890 §2.3.2.1: these are no A-labels, as they do not decode, decode to
			// ASCII, are too long, or do not encode the same way again.
			"xn--.example", "xn--a.example", "xn--a-.example", "xn--example-.com", "xn--99999999999.example",
			"xn--" + strings.Repeat("a", 60) + ".example", "xn--\u00fc.example",
			// They decode to what no U-label is: b\u00dccher, u\u0308, \uff41, \u2126x,
			// a\u00ad, b\u3002c and \u0301a.
			"xn--bcher-2pa.example", "xn--u-ccb.example", "xn--mi7c.example", "xn--x-vwn.example",
			"xn--a-vca.example", "xn--bc-r13a.example", "xn--a-wbb.example",
			// Hyphens (RFC 5891 §4.2.3.1) and combining marks (§4.2.3.2).
			"-a.example", "a-.example", "ab--c.example", "\u0301a.example",
		} {
			_, err := Parse(in)
			require.Error(t, err, in)
		}
		_, err := Parse("xn--n3h.example") // U+2603 SNOWMAN is not PVALID
		requireError(t, err, Domainpart, ErrNotAllowed)
	})

	t.Run("J07", func(t *testing.T) {
		// The same properties under random input: FuzzParse.
		for _, in := range seeds {
			checkProperties(t, in)
		}
	})

	t.Run("J08", func(t *testing.T) {
		// RFC 8265 §3.3; the differences from Nodeprep: TestStringprep.
		for in, want := range map[string]string{
			"\u00df": "\u00df", "ss": "ss", "\u03a3": "\u03c3", "\u03c3": "\u03c3", "\u03c2": "\u03c2",
			"\u0130": "i\u0307", "\u1e9e": "\u00df", "\u212a": "k", "\u00c5": "\u00e5", "A\u030a": "\u00e5",
		} {
			j, err := Parse(in + "@b")
			require.NoError(t, err, "%+q", in)
			require.Equal(t, want, j.Local(), "%+q", in)
		}
		_, err := Parse("\u017f@b")
		requireError(t, err, Localpart, ErrNotAllowed)
	})

	t.Run("J09", func(t *testing.T) {
		for _, in := range []string{
			"a\u200db", "a\u200cb", "a\u202eb", "a\u2066b", "a\U000E0061b", "\U000E0001", "\u0378", "\U0003FFFD",
			"\ufdd0", "\ufffe", "\uffff", "\U0010FFFF", "\ue000", "\ufeff", "a\u00adb", "\x00", "a\tb", "a\x7fb", "a\u0085b",
		} {
			_, err := Parse(in + "@b")
			requireError(t, err, Localpart, ErrNotAllowed)
			_, err = Parse(in)
			requireError(t, err, Domainpart, ErrNotAllowed)
			_, err = Parse("b/" + in)
			requireError(t, err, Resourcepart, ErrNotAllowed)
		}
		// Where the context asks for it, ZWJ is part of the name (RFC 5892 A.2).
		j, err := Parse("\u0915\u094d\u200d\u0937@b")
		require.NoError(t, err)
		require.Equal(t, "\u0915\u094d\u200d\u0937", j.Local())
		// RFC 5893 §2.
		_, err = Parse("1\u05d0@b")
		requireError(t, err, Localpart, ErrBidi)
		_, err = Parse("a\u05d0@b")
		requireError(t, err, Localpart, ErrBidi)
		_, err = Parse("a@1b.\u05d0")
		requireError(t, err, Domainpart, ErrBidi)
		require.Equal(t, "a@b1.\u05d0", MustParse("a@b1.\u05d0").String())
		// RFC 8265 §3.3.1, item 5: no special processing without right-to-left
		// code points.
		for _, in := range []string{"2\u00e9", "\u00e9_", "_\u00e9", "\u6f22-", "!\u00e9"} {
			require.Equal(t, in, MustParse(in+"@b").Local())
		}
	})

	t.Run("J10", func(t *testing.T) {
		for in, want := range map[string]string{
			"a\u00a0b": "a b", "\u3000": " ", " a": " a", "a ": "a ", " ": " ",
			"\U0001F600": "\U0001F600", `"`: `"`, "\ufffd": "\ufffd", "<&'>": "<&'>", "A": "A", "\uff21": "\uff21",
		} {
			j, err := Parse("a@b/" + in)
			require.NoError(t, err, "%+q", in)
			require.Equal(t, want, j.Resource(), "%+q", in)
			require.Equal(t, "a@b/"+want, string(j.AppendTo(nil)))
		}
		// 1024 octets with a two-octet space become 1023.
		j, err := Parse("b/" + strings.Repeat("a", 1022) + "\u00a0")
		require.NoError(t, err)
		require.Len(t, j.Resource(), 1023)
	})

	t.Run("J11", func(t *testing.T) {
		for class, bad := range invalidUTF8 {
			require.False(t, utf8.ValidString(bad), class)
			for _, c := range []struct {
				in   string
				part Part
			}{
				{bad + "@b/c", Localpart}, {"a" + bad + "z@b", Localpart}, {"\u00e9" + bad + "@b", Localpart},
				{bad, Domainpart}, {"a@" + bad + "/c", Domainpart}, {"a@b." + bad + "\u00e9", Domainpart}, {"b" + bad + ".", Domainpart},
				{"a@b/" + bad, Resourcepart}, {"b/" + bad + "c", Resourcepart}, {"b/\u00e9" + bad, Resourcepart},
			} {
				j, err := Parse(c.in)
				requireError(t, err, c.part, ErrUTF8)
				require.Zero(t, j, class)
				_, err = ParseBytes([]byte(c.in))
				requireError(t, err, c.part, ErrUTF8)
				require.NotContains(t, err.Error(), "\ufffd", class)
			}
			_, err := New(bad, "b", "")
			requireError(t, err, Localpart, ErrUTF8)
			_, err = New("", bad, "")
			requireError(t, err, Domainpart, ErrUTF8)
			_, err = MustParse("a@b").WithResource(bad)
			requireError(t, err, Resourcepart, ErrUTF8)
			_, err = Escape("x" + bad)
			requireError(t, err, Localpart, ErrUTF8)
			var j JID
			requireError(t, j.UnmarshalText([]byte("a@"+bad)), Domainpart, ErrUTF8)
			requireError(t, j.Scan("a@"+bad), Domainpart, ErrUTF8)
		}
	})

	t.Run("J12", func(t *testing.T) {
		latin, cyrillic := MustParse("admin@example.com"), MustParse("\u0430dmin@example.com/x")
		require.NotEqual(t, latin, cyrillic.Bare())
		require.True(t, Confusable(latin, cyrillic))
		require.True(t, Confusable(MustParse("ju1iet@example.com"), MustParse("juliet@example.com"))) // RFC 7622 §7.3.2
		require.True(t, Confusable(MustParse("a@\u0430pple.example"), MustParse("a@apple.example")))
		require.True(t, Confusable(MustParse("rnike@example.com"), MustParse("mike@example.com")))
		require.False(t, Confusable(latin, MustParse("admin@example.com/x")), "the same bare address")
		require.False(t, Confusable(latin, MustParse("admins@example.com")))
		require.False(t, Confusable(latin, MustParse("\u0430dmin@example.org")))
	})

	t.Run("J13", func(t *testing.T) {
		for in, want := range map[string]string{
			`\20`: `\5c20`, `\5c20`: `\5c5c20`, `\20foo`: `\5c20foo`, `foo\20`: `foo\5c20`, `a b`: `a\20b`, `\5c`: `\5c5c`,
		} {
			got, err := Escape(in)
			require.NoError(t, err, in)
			require.Equal(t, want, got)
			require.Equal(t, in, Unescape(MustParse(got+"@b").Local()))
		}
		for _, in := range []string{" foo", "foo ", " "} {
			_, err := Escape(in)
			requireError(t, err, Localpart, ErrNotAllowed)
		}
		// Such JIDs exist; their "\20" is not an escape (XEP-0106 §4.1).
		require.Equal(t, `\20foo`, Unescape(`\20foo`))
		require.Equal(t, `foo\20`, Unescape(`foo\20`))
	})
}

// invalidUTF8 has one string for each way of not being UTF-8 (RFC 3629 §3, §4).
var invalidUTF8 = map[string]string{
	"lone continuation":             "\x80",
	"last continuation":             "\xbf",
	"two-octet overlong":            "\xc0\xaf",
	"two-octet overlong @":          "\xc1\x80",
	"three-octet overlong":          "\xe0\x80\xaf",
	"four-octet overlong":           "\xf0\x80\x80\xaf",
	"overlong NUL":                  "\xc0\x80",
	"high surrogate":                "\xed\xa0\x80",
	"low surrogate":                 "\xed\xbf\xbf",
	"surrogate pair (CESU-8)":       "\xed\xa0\xbd\xed\xb8\x80",
	"above U+10FFFF":                "\xf4\x90\x80\x80",
	"five octets":                   "\xf8\x88\x80\x80\x80",
	"six octets":                    "\xfc\x84\x80\x80\x80\x80",
	"F5":                            "\xf5\x80\x80\x80",
	"FE":                            "\xfe",
	"FF":                            "\xff",
	"two octets, truncated":         "\xc3",
	"three octets, one missing":     "\xe2\x82",
	"four octets, two missing":      "\xf0\x9f",
	"four octets, one missing":      "\xf0\x9f\x98",
	"start octet after start octet": "\xc3\xc3\xa9",
	"ISO 8859-1":                    "J\xfcrgen",
}

func requireError(t *testing.T, err error, part Part, reason error) {
	t.Helper()
	require.ErrorIs(t, err, reason)
	var e *Error
	require.True(t, errors.As(err, &e))
	require.Equal(t, part, e.Part, err)
	require.LessOrEqual(t, len(e.Input), maxQuoted)
	require.True(t, isASCII(err.Error()))
}
