package sasl

import (
	"context"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// goodTraces and badTraces are decided by RFC 4505 §2 and §3.
var (
	goodTraces = []string{
		"", "sirhc", "sirhc@example.org", "a b", "\u65e5\u672c", "\u00ad", "\u05d0", "\u05d0 1 \u05d0", "\u0627\u0628",
		"\U0001f600", strings.Repeat("a", maxTrace), strings.Repeat("\U0001f600", maxTrace),
	}
	badTraces = []string{
		"\x00", "a\tb", "a\nb", "a\x1b[31m", "\x7f", "\u0085", "\u0340", "\u06dd", "\u070f", "\u180e", "\u200d", "\u200e", "\u202e", "\u2028",
		"\u2060", "\u206a", "\ue000", "\ufdd0", "\ufeff", "\ufffd", "\uffff", "\U0001d173", "\U0001ffff", "\U000e0001", "\U000e0041",
		"\U000f0000", "\U0010ffff",
		"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80",
		"@", "@example.org", "sirhc@",
		"\u05d0a", "a\u05d0", "1\u05d0", "\u05d01", "\u0627 a \u0627",
		strings.Repeat("a", maxTrace+1), strings.Repeat("\U0001f600", maxTrace+1), strings.Repeat("a", 1<<20),
	}
)

func TestAnonymousTrace(t *testing.T) {
	for _, trace := range goodTraces {
		var got string
		scfg := othersServer()
		scfg.Anonymous = func(_ context.Context, trace string) (string, error) {
			got = trace
			return "anonymous-2", nil
		}
		s := newServer(t, Anonymous(), scfg)
		out, done, err := s.Next(t.Context(), []byte(trace))
		require.NoError(t, err, "%q", trace)
		require.True(t, done)
		require.Nil(t, out)
		require.Equal(t, trace, got)
		// XEP-0175 §3: the trace is for tracing only.
		require.Equal(t, Identity{AuthcID: "anonymous-2"}, s.Identity())
	}
	for _, trace := range badTraces {
		require.Error(t, checkTrace(trace), "%q", trace)
	}
}

// XEP-0175 §3: a client says nothing about itself, whatever it is configured with.
func TestAnonymousSaysNothing(t *testing.T) {
	out, done, err := newClient(t, Anonymous(), othersClient()).Next(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, []byte{}, out)
}

// FuzzAnonymousTrace: what passes fits into a line of a log.
func FuzzAnonymousTrace(f *testing.F) {
	for _, s := range append(goodTraces, badTraces...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, trace string) {
		if checkTrace(trace) != nil {
			return
		}
		require.True(t, utf8.ValidString(trace))
		require.LessOrEqual(t, utf8.RuneCountInString(trace), maxTrace)
		for _, r := range trace {
			require.NotContains(t, "\x00\t\r\n\x1b\x7f\u0085\u2028\u2029\u202e", string(r))
		}
	})
}
