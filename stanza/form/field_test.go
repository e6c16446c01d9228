package form

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/delay"
)

func of(values ...string) *Field { return &Field{Var: "a", Values: values} }

// A field that is not there has no value, and asking it is no crash.
func TestNoField(t *testing.T) {
	for _, f := range []*Field{nil, of(), of("")} {
		_, err := f.Bool()
		require.ErrorIs(t, err, ErrNoValue)
		_, err = f.Int()
		require.ErrorIs(t, err, ErrNoValue)
		_, err = f.JID()
		require.ErrorIs(t, err, ErrNoValue)
		_, err = f.Time()
		require.ErrorIs(t, err, ErrNoValue)
		js, err := f.JIDs()
		require.NoError(t, err)
		require.Empty(t, js)
		require.Empty(t, f.String())
		require.Empty(t, f.Text())
		require.False(t, f.Has("x"))
	}
}

// XEP-0004 §3.3: the values of booleans.
func TestBool(t *testing.T) {
	for s, want := range map[string]bool{"1": true, "true": true, "0": false, "false": false, " true\n": true} {
		got, err := of(s).Bool()
		require.NoError(t, err)
		require.Equal(t, want, got, s)
	}
	for _, s := range []string{"yes", "TRUE", "2", "-1", " "} {
		_, err := of(s).Bool()
		require.ErrorIs(t, err, ErrValue, s)
	}
	require.Equal(t, "1", FormatBool(true))
	require.Equal(t, "0", FormatBool(false))
}

func TestInt(t *testing.T) {
	n, err := of(" -42 ").Int()
	require.NoError(t, err)
	require.EqualValues(t, -42, n)
	for _, s := range []string{"x", "1.0", "0x1", "9223372036854775808", strings.Repeat("9", 1000)} {
		_, err := of(s).Int()
		require.ErrorIs(t, err, ErrValue)
		require.Less(t, len(err.Error()), 200)
	}
}

func TestTime(t *testing.T) {
	got, err := of("1969-07-20T21:56:15-05:00").Time()
	require.NoError(t, err)
	require.Equal(t, time.Date(1969, 7, 21, 2, 56, 15, 0, time.UTC), got)
	_, err = of("99999-01-01T00:00:00Z").Time()
	require.ErrorIs(t, err, ErrValue)
	require.ErrorIs(t, err, delay.ErrTime)
}

// XEP-0004 §3.3: addresses; duplicates after normalisation are ignored.
func TestJIDs(t *testing.T) {
	j, err := of("Juliet@Capulet.com").JID()
	require.NoError(t, err)
	require.Equal(t, jid.MustParse("juliet@capulet.com"), j)
	_, err = of("@").JID()
	require.ErrorIs(t, err, ErrValue)
	js, err := of("juliet@capulet.com", "", "JULIET@capulet.com", "romeo@montague.net").JIDs()
	require.NoError(t, err)
	require.Equal(t, []jid.JID{jid.MustParse("juliet@capulet.com"), jid.MustParse("romeo@montague.net")}, js)
	_, err = of("juliet@capulet.com", "@").JIDs()
	require.ErrorIs(t, err, ErrValue)
}

// XEP-0004 §3.3 note 3.
func TestText(t *testing.T) {
	require.Equal(t, "a\n\nb", of("a", "", "b").Text())
	f := of()
	f.SetText("a\r\nb\rc\n\nd")
	require.Equal(t, []string{"a", "b", "c", "", "d"}, f.Values)
	f.SetText("")
	require.Empty(t, f.Values)
}
