package jid

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

var seeds = []string{
	"", "@", "/", "a@b/c", "juliet@example.com/foo bar", "User@EXAMPLE.org./R", "a@b/c@d/e", "a@@b",
	"fu\u00dfball@b\u00fccher.example/\u265a", "\u03a3@xn--bcher-kva.example", "\u0130@\u1e9e.example", "\u212a@b",
	"[::1]", "a@[2001:DB8::0:1]/x", "[::ffff:1.2.3.4]", "[fe80::1%eth0]", "127.0.0.1", "1.2.3", "256.1.1.1", "010.1.1.1.",
	"\uff41\u0307\u0304@b", "\u1112\u1161\u11ab@b", "a\u3002b\uff61", "\u13a0@\u13a0.\uab70", "\u05d01@\u05d0.b",
	"\u0915\u094d\u200d\u0937@b", "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example", "a@b/\u00a0\u3000 ",
	"xn--n3h", "xn--a", "-a", "a-.b", "ab--c", "a\xffb@c", "\xed\xa0\x80", "b/\ufffd", "\u1fb3@b", "\u0345\u03b1@b/\u0344",
	"a" + strings.Repeat("\u0301", 40) + "@b", strings.Repeat("\uff41", 1024), `\20a\5c@b`, "\u2126@\u2126/\u2126",
}

// checkProperties states what holds for every input.
func checkProperties(t *testing.T, in string) {
	t.Helper()
	j, err := Parse(in)
	jb, errb := ParseBytes([]byte(in))
	require.Equal(t, err, errb)
	require.Equal(t, j, jb)

	fast, ok := parseASCII(in)
	if ok {
		// The shortcut decides as the complete rules do.
		require.NoError(t, err)
		require.Equal(t, in, j.String())
		slow, err := parseGeneral(in)
		require.NoError(t, err)
		require.Equal(t, slow, fast)
		if fast.Local() != "" {
			out, err := enforce(precis.UsernameCaseMapped, Localpart, fast.Local())
			require.NoError(t, err)
			require.Equal(t, fast.Local(), out)
		}
		if fast.Resource() != "" {
			out, err := enforce(precis.OpaqueString, Resourcepart, fast.Resource())
			require.NoError(t, err)
			require.Equal(t, fast.Resource(), out)
		}
	}

	if err != nil {
		require.Zero(t, j)
		var e *Error
		require.ErrorAs(t, err, &e)
		require.LessOrEqual(t, len(e.Input), maxQuoted)
		require.True(t, isASCII(err.Error()))
		require.Less(t, len(err.Error()), 1000)
		return
	}

	s := j.String()
	require.False(t, j.IsZero())
	require.True(t, utf8.ValidString(s))
	require.True(t, norm.NFC.IsNormalString(s))
	require.Equal(t, utf8.ValidString(in) && strings.Contains(in, "\ufffd"), strings.Contains(s, "\ufffd"))

	// Idempotence, equality, round trips.
	again, err := Parse(s)
	require.NoError(t, err, "%+q", s)
	require.Equal(t, j, again)
	require.True(t, j == again)
	parts, err := New(j.Local(), j.Domain(), j.Resource())
	require.NoError(t, err)
	require.True(t, j == parts)
	var u, b JID
	text, err := j.MarshalText()
	require.NoError(t, err)
	require.NoError(t, u.UnmarshalText(text))
	require.True(t, j == u)
	bin, err := j.MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, b.UnmarshalBinary(bin))
	require.True(t, j == b)

	// Parts add up, and each has a legal length.
	want := j.Domain()
	if j.Local() != "" {
		want = j.Local() + "@" + want
	}
	require.Equal(t, want, j.Bare().String())
	if j.Resource() != "" {
		require.Equal(t, j.IsFull(), !j.IsBare())
		want += "/" + j.Resource()
	}
	require.Equal(t, want, s)
	require.Equal(t, j.Resource() == "", j.IsBare())
	for _, p := range []string{j.Local(), j.Domain(), j.Resource()} {
		require.LessOrEqual(t, len(p), maxPart)
	}
	require.NotEmpty(t, j.Domain())
	require.False(t, strings.ContainsAny(j.Local(), excluded))
	require.False(t, strings.ContainsAny(j.Domain(), "@/"))
	require.False(t, strings.HasSuffix(j.Domain(), "."))
	require.Equal(t, j.Domain(), j.DomainJID().String())

	// The ASCII form of the domain is ASCII, fits the DNS, and leads back.
	if a, err := j.ASCIIDomain(); err == nil {
		require.True(t, isASCII(a))
		require.LessOrEqual(t, len(a), maxName)
		back, err := Parse(a)
		require.NoError(t, err)
		require.True(t, back == j.DomainJID())
	} else {
		require.ErrorIs(t, err, ErrTooLong)
	}
	require.False(t, Confusable(j, again))
	require.True(t, utf8.ValidString(Skeleton(s)))
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	for _, s := range invalidUTF8 {
		f.Add("a" + s + "@b")
	}
	f.Fuzz(func(t *testing.T, in string) { checkProperties(t, in) })
}

func FuzzEscape(f *testing.F) {
	for _, s := range []string{"", " ", "a b", `\20`, `\5c20`, `\2F`, "\uff3c\uff12\uff10", "<\u0338", "\\3c\u0327", `c:\5commas`, "\xff", `"&'/:<>@\`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		out, err := Escape(in)
		if err != nil {
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, Localpart, e.Part)
			return
		}
		require.False(t, strings.ContainsAny(out, excluded+" "))
		require.False(t, strings.HasPrefix(out, `\20`))
		require.False(t, strings.HasSuffix(out, `\20`))
		want := in
		if !isASCII(in) {
			want = norm.NFC.String(width.Fold.String(in))
		}
		require.Equal(t, want, Unescape(out))
		// What the localpart rules make of it still unescapes to the same text, up
		// to case.
		if local, err := enforceLocal(out); err == nil && isASCII(local) {
			require.Equal(t, strings.ToLower(want), Unescape(local))
		}
		Unescape(in) // must not panic on anything
	})
}
