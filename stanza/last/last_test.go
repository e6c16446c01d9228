package last_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/last"
	"stanzakit.dev/xmpp/stream"
)

// XEP-0012 examples 1 to 5.
func TestGet(t *testing.T) {
	p := &peer{T: t, Answer: "<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>"}
	got, err := last.Get(t.Context(), p, juliet.Bare())
	require.NoError(t, err)
	require.Equal(t, "<iq id='1' to='juliet@montague.net' type='get'><query xmlns='jabber:iq:last'/></iq>", p.Asked)
	require.Equal(t, last.Last{Seconds: 903, Status: "Heading Home"}, got)
	require.Equal(t, 15*time.Minute+3*time.Second, got.Ago())

	got, err = last.Get(t.Context(), &peer{T: t, Answer: "<query xmlns='jabber:iq:last' seconds='123'/>"}, juliet)
	require.NoError(t, err)
	require.Equal(t, last.Last{Seconds: 123}, got)

	// Example 4: who may not see the presence.
	_, err = last.Get(t.Context(), &peer{T: t, Err: &stanza.Error{Condition: stanza.Forbidden, Received: true}}, juliet)
	require.ErrorIs(t, err, stanza.Forbidden)
	_, err = last.Get(t.Context(), &peer{T: t, Err: refused}, juliet)
	require.ErrorIs(t, err, stanza.ServiceUnavailable)

	// XEP-0012 §2, §10: seconds are required, an unsignedLong.
	for name, answer := range map[string]string{
		"no payload":      "",
		"another payload": "<query xmlns='jabber:iq:version' seconds='1'/>",
		"no seconds":      "<query xmlns='jabber:iq:last'/>",
		"empty":           "<query xmlns='jabber:iq:last' seconds=''/>",
		"negative":        "<query xmlns='jabber:iq:last' seconds='-1'/>",
		"a fraction":      "<query xmlns='jabber:iq:last' seconds='1.5'/>",
		"hexadecimal":     "<query xmlns='jabber:iq:last' seconds='0x1'/>",
		"too much":        "<query xmlns='jabber:iq:last' seconds='18446744073709551616'/>",
		"many digits":     "<query xmlns='jabber:iq:last' seconds='000000000000000000001'/>",
		"long status":     "<query xmlns='jabber:iq:last' seconds='1'>" + strings.Repeat("x", last.MaxStatus+1) + "</query>",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := last.Get(t.Context(), &peer{T: t, Answer: answer}, juliet)
			require.ErrorIs(t, err, stanza.BadRequest)
			require.Zero(t, got)
		})
	}
}

// A time longer than a duration can be.
func TestAgo(t *testing.T) {
	var l last.Last
	require.NoError(t, l.DecodeElement(parse(t, "<query xmlns='jabber:iq:last' seconds='18446744073709551615'/>")))
	require.EqualValues(t, uint64(math.MaxUint64), l.Seconds)
	require.Equal(t, time.Duration(math.MaxInt64), l.Ago())
	largest := uint64(math.MaxInt64 / time.Second)
	require.Equal(t, time.Duration(largest)*time.Second, last.Last{Seconds: largest}.Ago())
	require.Equal(t, time.Duration(math.MaxInt64), last.Last{Seconds: largest + 1}.Ago())
	require.Zero(t, last.Last{}.Ago())

	_, err := last.Last{Status: strings.Repeat("x", last.MaxStatus+1)}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)
	b, err := last.Last{Seconds: 903, Status: "Heading Home"}.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, "<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>", string(b))
	b, err = last.Last{}.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, "<query xmlns='jabber:iq:last' seconds='0'/>", string(b))
}

// XEP-0012 examples 6, 8 and 9; §4 and §8: who is told.
func TestClient(t *testing.T) {
	example6 := func(from string) string {
		if from != "" {
			from = " from='" + from + "'"
		}
		return "<iq id='last2' to='juliet@capulet.com/balcony' type='get'" + from + "><query xmlns='jabber:iq:last'/></iq>"
	}
	idle := func() (time.Duration, bool) { return 123*time.Second + 999*time.Millisecond, true }
	romeo := func(_ context.Context, viewer jid.JID) bool { return viewer.String() == "romeo@montague.net/orchard" }
	const told = "<query xmlns='jabber:iq:last' seconds='123'/>"
	for _, tt := range []struct {
		name, from string
		c          last.Client
		want       string
	}{
		{"who may see the presence", "romeo@montague.net/orchard", last.Client{Idle: idle, MaySee: romeo}, told},
		{"who may not", "tybalt@capulet.com/x", last.Client{Idle: idle, MaySee: romeo}, unavailable},
		{"the server", "capulet.com", last.Client{Idle: idle, MaySee: romeo}, unavailable},
		{"nobody by default", "romeo@montague.net/orchard", last.Client{Idle: idle}, unavailable},
		{"another client of the user", "juliet@capulet.com/chamber", last.Client{Idle: idle}, told},
		{"the account", "juliet@capulet.com", last.Client{Idle: idle}, told},
		{"the account, without an address", "", last.Client{Idle: idle}, told},
		{"switched off", "romeo@montague.net/orchard", last.Client{MaySee: romeo, Idle: func() (time.Duration, bool) { return time.Hour, false }}, unavailable},
		{"never on", "juliet@capulet.com", last.Client{}, unavailable},
		{"a clock that went back", "", last.Client{Idle: func() (time.Duration, bool) { return -time.Hour, true }}, "<query xmlns='jabber:iq:last' seconds='0'/>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Contains(t, ask(t, &tt.c, example6(tt.from)), tt.want)
		})
	}
	c := &last.Client{Idle: idle}
	require.Equal(t, "last", c.Name())
	require.Equal(t, []string{"jabber:iq:last"}, c.Features())
	require.Contains(t, ask(t, c, "<iq type='set' id='1'><query xmlns='jabber:iq:last'/></iq>"), unavailable)
}

// FuzzDecode: decoding never panics, and what was decoded means the same after it
// was written and decoded again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("<query xmlns='jabber:iq:last' seconds='903'>Heading Home</query>"))
	f.Add([]byte("<query xmlns='jabber:iq:last' seconds='18446744073709551615'>&lt;<x/></query>"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var l, again last.Last
		if err := l.DecodeElement(el); err != nil {
			require.ErrorIs(t, err, stanza.BadRequest)
			return
		}
		b, err := l.AppendXML(nil)
		require.NoError(t, err)
		require.NoError(t, again.DecodeElement(parse(t, string(b))))
		require.Equal(t, l, again)
	})
}
