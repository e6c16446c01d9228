package delay

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

func parse(t testing.TB, s string) *stream.Element {
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

// The examples of XEP-0203.
func TestExamples(t *testing.T) {
	for _, tt := range []struct {
		name, wire, out string
		want            Delay
	}{
		{
			"1", `<message xmlns='jabber:client' from='romeo@montague.net/orchard' to='juliet@capulet.com' type='chat'><body>night</body>
  <delay xmlns='urn:xmpp:delay'
     from='capulet.com'
     stamp='2002-09-10T23:08:25Z'>
    Offline Storage
  </delay></message>`,
			`<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>Offline Storage</delay>`,
			Delay{jid.MustParse("capulet.com"), time.Date(2002, 9, 10, 23, 8, 25, 0, time.UTC), "Offline Storage"},
		}, {
			"2", `<presence xmlns='jabber:client' from='juliet@capulet.com/balcony'><delay xmlns='urn:xmpp:delay'
     from='juliet@capulet.com/balcony'
     stamp='2002-09-10T23:41:07Z'/></presence>`,
			`<delay xmlns='urn:xmpp:delay' from='juliet@capulet.com/balcony' stamp='2002-09-10T23:41:07Z'/>`,
			Delay{jid.MustParse("juliet@capulet.com/balcony"), time.Date(2002, 9, 10, 23, 41, 7, 0, time.UTC), ""},
		}, {
			"XEP-0297 2: without from", `<message xmlns='jabber:client'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/></message>`,
			`<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>`,
			Delay{Stamp: time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			st, err := stanza.Decode(parse(t, tt.wire))
			require.NoError(t, err)
			d, ok, err := Of(st.(Stamped))
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, tt.want, d)
			b, err := d.AppendXML(nil)
			require.NoError(t, err)
			require.Equal(t, tt.out, string(b))
		})
	}
}

func TestOf(t *testing.T) {
	st := &stanza.Message{}
	require.NoError(t, st.DecodeElement(parse(t, `<message xmlns='jabber:client'><delay xmlns='jabber:x:delay' stamp='2010-07-10T23:08:25Z'/></message>`)))
	_, ok, err := Of(st)
	require.NoError(t, err)
	require.False(t, ok)
	require.NoError(t, st.DecodeElement(parse(t, `<message xmlns='jabber:client'><delay xmlns='urn:xmpp:delay' stamp='soon'/></message>`)))
	_, ok, err = Of(st)
	require.ErrorIs(t, err, stanza.BadRequest)
	require.False(t, ok)
}

func TestDecodeBad(t *testing.T) {
	for wire, want := range map[string]stanza.Condition{
		`<delay xmlns='urn:other' stamp='2010-07-10T23:08:25Z'/>`:                 stanza.BadRequest,
		`<x xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>`:                stanza.BadRequest,
		`<delay xmlns='urn:xmpp:delay'/>`:                                         stanza.BadRequest,
		`<delay xmlns='urn:xmpp:delay' stamp=''/>`:                                stanza.BadRequest,
		`<delay xmlns='urn:xmpp:delay' from='' stamp='2010-07-10T23:08:25Z'/>`:    stanza.JIDMalformed,
		`<delay xmlns='urn:xmpp:delay' from='a@@' stamp='2010-07-10T23:08:25Z'/>`: stanza.JIDMalformed,
	} {
		d := Delay{Reason: "old"}
		err := d.DecodeElement(parse(t, wire))
		var e *stanza.Error
		require.True(t, errors.As(err, &e), wire)
		require.Equal(t, want, e.Condition, wire)
		require.Zero(t, d)
	}
}

// A reason is cut between characters.
func TestReason(t *testing.T) {
	var d Delay
	require.NoError(t, d.DecodeElement(parse(t, `<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'>x`+strings.Repeat("é", 1000)+`</delay>`)))
	require.Equal(t, "x"+strings.Repeat("é", 511), d.Reason)
}

func TestAppendBad(t *testing.T) {
	for _, d := range []Delay{{}, {Stamp: time.Unix(1<<60, 0)}} {
		b, err := d.AppendXML([]byte("x"))
		require.ErrorIs(t, err, ErrTime)
		require.Equal(t, "x", string(b))
	}
}

// slixmpp reads six digits behind the point at most, and drops the message otherwise.
func TestAppendMilliseconds(t *testing.T) {
	b, err := Delay{Stamp: time.Date(2026, 11, 23, 0, 45, 22, 28_997_621, time.UTC)}.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<delay xmlns='urn:xmpp:delay' stamp='2026-11-23T00:45:22.028Z'/>`, string(b))
}

// XEP-0203 §5: a notation in the name of this server.
func TestForged(t *testing.T) {
	self := jid.MustParse("capulet.com")
	for wire, want := range map[string]bool{
		``: false,
		`<delay xmlns='urn:xmpp:delay' stamp='x'/>`:                                                                            false,
		`<delay xmlns='urn:xmpp:delay' from='montague.net' stamp='x'/>`:                                                        false,
		`<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='x'/>`:                                                         true,
		`<delay xmlns='urn:xmpp:delay' from='CAPULET.com.' stamp='x'/>`:                                                        true,
		`<delay xmlns='urn:xmpp:delay' from='montague.net'/><delay xmlns='urn:xmpp:delay' from='capulet.com'/>`:                true,
		`<delay xmlns='urn:xmpp:delay' from='@'/>`:                                                                             true,
		`<delay xmlns='urn:other' from='capulet.com'/><x xmlns='urn:x'><delay xmlns='urn:xmpp:delay' from='capulet.com'/></x>`: false,
	} {
		el := parse(t, "<message xmlns='jabber:client'>"+wire+"</message>")
		require.Equal(t, want, Forged(el.Children(), self), wire)
		require.Equal(t, strings.Contains(wire, "'@'"), Forged(el.Children(), jid.JID{}), wire)
	}
}

// TestAdversarial/R22: stamps that are no time are an error value.
func TestAdversarial(t *testing.T) {
	t.Run("R22", func(t *testing.T) {
		for _, s := range bad {
			if len(s) > 1<<10 {
				continue
			}
			var esc strings.Builder
			require.NoError(t, xml.EscapeText(&esc, []byte(s)))
			el := parse(t, `<delay xmlns='urn:xmpp:delay' stamp='`+esc.String()+`'/>`)
			d := Delay{Reason: "old"}
			err := d.DecodeElement(el)
			require.ErrorIs(t, err, stanza.BadRequest, s)
			require.ErrorIs(t, err, ErrTime, s)
			require.Zero(t, d)
		}
	})
}

// FuzzDecode: no delay panics, and what is read can be written and read again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`<delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'> Offline Storage </delay>`))
	f.Add([]byte(`<d:delay xmlns:d='urn:xmpp:delay' stamp='9999-12-31T24:00:00Z'/>`))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var d, again Delay
		if err := d.DecodeElement(el); err != nil {
			require.Zero(t, d)
			return
		}
		if d.Stamp.IsZero() { // the first moment of the year 1 stands for no time
			return
		}
		b, err := d.AppendXML(nil)
		require.NoError(t, err)
		require.NoError(t, again.DecodeElement(parse(t, string(b))))
		d.Stamp = d.Stamp.Truncate(time.Millisecond)
		require.Equal(t, d, again)
	})
}
