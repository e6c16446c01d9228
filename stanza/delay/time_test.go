package delay

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// XEP-0082 §3.2, its examples and the edges of its terms (§2.1).
func TestParse(t *testing.T) {
	utc := func(y int, m time.Month, d, hh, mm, ss, ns int) time.Time {
		return time.Date(y, m, d, hh, mm, ss, ns, time.UTC)
	}
	for s, want := range map[string]time.Time{
		"1969-07-21T02:56:15Z":                utc(1969, 7, 21, 2, 56, 15, 0), // example 2
		"1969-07-20T21:56:15-05:00":           utc(1969, 7, 21, 2, 56, 15, 0), // example 3
		"2002-09-10T23:08:25Z":                utc(2002, 9, 10, 23, 8, 25, 0), // XEP-0203 example 1
		"2002-09-10T23:08:25.5Z":              utc(2002, 9, 10, 23, 8, 25, 5e8),
		"2002-09-10T23:08:25.0000000019999Z":  utc(2002, 9, 10, 23, 8, 25, 1), // any number of digits
		"\n 2002-09-10T23:08:25+14:00\t\r":    utc(2002, 9, 10, 9, 8, 25, 0),
		"2002-09-10T24:00:00Z":                utc(2002, 9, 11, 0, 0, 0, 0), // XML Schema: end of day
		"2002-12-31T24:00:00.000-14:00":       utc(2003, 1, 1, 14, 0, 0, 0),
		"2000-02-29T00:00:00Z":                utc(2000, 2, 29, 0, 0, 0, 0),
		"0001-01-01T00:00:00Z":                utc(1, 1, 1, 0, 0, 0, 0),
		"9999-12-31T23:59:59.999999999-00:00": utc(9999, 12, 31, 23, 59, 59, 999999999),
	} {
		got, err := Parse(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
}

// bad are strings that are no DateTime.
var bad = []string{
	"", " ", "T", "now", "1969-07-21", "02:56:15Z", "1969-07-21T02:56:15", // no zone
	"99999-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "+2002-01-01T00:00:00Z",
	"2016-12-31T23:59:60Z", "2016-12-31T23:60:00Z", "2016-12-31T25:00:00Z", "2016-12-31T24:00:01Z", "2016-12-31T24:00:00.1Z",
	"2016-13-01T00:00:00Z", "2016-00-01T00:00:00Z", "2016-01-00T00:00:00Z", "2016-04-31T00:00:00Z",
	"2015-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2016-01-32T00:00:00Z",
	"20020910T23:08:25", "2002-9-10T23:08:25Z", "2002-09-10t23:08:25Z", "2002-09-10 23:08:25Z", "2002-09-10T23:08:25z",
	"2002-09-10T23:08:25.Z", "2002-09-10T23:08:25,5Z", "2002-09-10T23:08Z", "2002-09-10T23:08:25ZZ", "2002-09-10T23:08:25 Z",
	"2002-09-10T23:08:25+1:00", "2002-09-10T23:08:25+0100", "2002-09-10T23:08:25+01", "2002-09-10T23:08:25+14:01",
	"2002-09-10T23:08:25+15:00", "2002-09-10T23:08:25+01:60", "2002-09-10T23:08:25UTC",
	"9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01", "9999-12-31T24:00:00Z",
	"2002-09-10T23:08:2\u0665Z", "２002-09-10T23:08:25Z", "2002-09-10T23:08:25.-1Z", "2002-09-1-T23:08:25Z",
	"2002-09-10T23:08:25." + strings.Repeat("0", 64) + "Z",
	strings.Repeat("9", 1<<20),
}

func TestParseBad(t *testing.T) {
	for _, s := range bad {
		got, err := Parse(s)
		require.ErrorIs(t, err, ErrTime, s)
		require.Zero(t, got)
		require.Less(t, len(err.Error()), 1<<10)
	}
}

// XEP-0082 §3.1, §3.3.
func TestParseDateTime(t *testing.T) {
	d, err := ParseDate("1776-07-04") // example 1
	require.NoError(t, err)
	require.Equal(t, time.Date(1776, 7, 4, 0, 0, 0, 0, time.UTC), d)
	d, err = ParseDate("2002-10-10+13:00")
	require.NoError(t, err)
	require.Equal(t, time.Date(2002, 10, 9, 11, 0, 0, 0, time.UTC), d)
	for _, s := range []string{"", "1776-7-04", "1776-07-04T", "1776-07-04T00:00:00Z", "17760704", "1775-02-29"} {
		_, err := ParseDate(s)
		require.ErrorIs(t, err, ErrTime, s)
	}
	for s, want := range map[string]time.Duration{
		"16:00:00":         16 * time.Hour, // example 4
		"16:00:00Z":        16 * time.Hour,
		"00:30:00+01:00":   23*time.Hour + 30*time.Minute,
		"23:30:00.5-1:00":  -1,
		"23:30:00.5-01:00": 30*time.Minute + 500*time.Millisecond,
		"24:00:00":         0,
		"16:00":            -1,
		"16:00:60":         -1,
		"":                 -1,
	} {
		got, err := ParseTime(s)
		if want < 0 {
			require.ErrorIs(t, err, ErrTime, s)
			continue
		}
		require.NoError(t, err, s)
		require.Equal(t, want, got, s)
	}
}

// Always in UTC (XEP-0203 §2), and exact.
func TestFormat(t *testing.T) {
	houston := time.FixedZone("CST", -5*3600)
	for want, in := range map[string]time.Time{
		"1969-07-21T02:56:15Z":           time.Date(1969, 7, 20, 21, 56, 15, 0, houston),
		"2002-09-10T23:08:25.5Z":         time.Date(2002, 9, 10, 23, 8, 25, 5e8, time.UTC),
		"9999-12-31T23:59:59.000000001Z": time.Date(9999, 12, 31, 23, 59, 59, 1, time.UTC),
		"0001-01-01T00:00:00Z":           {},
	} {
		got, err := Format(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	for _, in := range []time.Time{
		time.Date(9999, 12, 31, 23, 59, 59, 0, houston), time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0),
	} {
		got, err := Format(in)
		require.ErrorIs(t, err, ErrTime)
		require.Empty(t, got)
		b, err := Append([]byte("x"), in)
		require.ErrorIs(t, err, ErrTime)
		require.Equal(t, "x", string(b))
	}
}

// FuzzParse: no representation panics, and what is read is written so that it is read
// again.
func FuzzParse(f *testing.F) {
	for _, s := range append([]string{"1969-07-21T02:56:15Z", "1969-07-20T21:56:15.25-05:00", "2002-09-10T24:00:00Z"}, bad[:20]...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := ParseDate(s); err != nil {
			require.ErrorIs(t, err, ErrTime)
		}
		if d, err := ParseTime(s); err == nil {
			require.True(t, d >= 0 && d < 24*time.Hour)
		}
		got, err := Parse(s)
		if err != nil {
			require.ErrorIs(t, err, ErrTime)
			return
		}
		out, err := Format(got)
		require.NoError(t, err)
		again, err := Parse(out)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}
