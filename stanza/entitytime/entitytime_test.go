package entitytime_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/entitytime"
	"stanzakit.dev/xmpp/stream"
)

// XEP-0202 §3.
const (
	example1 = `<iq type='get'
    from='romeo@montague.net/orchard'
    to='juliet@capulet.com/balcony'
    id='time_1'>
  <time xmlns='urn:xmpp:time'/>
</iq>`
	example2 = `<time xmlns='urn:xmpp:time'>
    <tzo>-06:00</tzo>
    <utc>2006-12-19T17:58:35Z</utc>
  </time>`
)

// XEP-0202 examples 1 and 2, as who asks.
func TestGet(t *testing.T) {
	p := &peer{T: t, Answer: example2}
	got, err := entitytime.Get(t.Context(), p, juliet)
	require.NoError(t, err)
	require.Equal(t, "<iq id='1' to='juliet@montague.net/balcony' type='get'><time xmlns='urn:xmpp:time'/></iq>", p.Asked)
	require.Equal(t, "2006-12-19T11:58:35-06:00", got.Format(time.RFC3339))

	_, err = entitytime.Get(t.Context(), &peer{T: t, Err: refused}, juliet)
	require.ErrorIs(t, err, stanza.ServiceUnavailable)
	_, err = entitytime.Get(t.Context(), &peer{T: t}, juliet)
	require.ErrorIs(t, err, stanza.BadRequest)
}

// XEP-0202 §2: what is required, in the formats of XEP-0082.
func TestDecode(t *testing.T) {
	const utc = "<utc>2006-12-19T17:58:35Z</utc>"
	for _, tt := range []struct{ inner, want string }{
		{"<tzo>Z</tzo>" + utc, "2006-12-19T17:58:35Z"},
		{"<tzo>+00:00</tzo>" + utc, "2006-12-19T17:58:35Z"},
		{"<tzo> +05:30\n</tzo>" + utc, "2006-12-19T23:28:35+05:30"},
		{"<tzo>-14:00</tzo>" + utc, "2006-12-19T03:58:35-14:00"},
		{utc + "<x/><tzo>+01:00</tzo>", "2006-12-19T18:58:35+01:00"},
		{"<tzo>Z</tzo><utc> 2006-12-19T17:58:35.25Z </utc>", "2006-12-19T17:58:35.25Z"},
		{"<tzo>Z</tzo>", ""},
		{utc, ""},
		{"<tzo/>" + utc, ""},
		{"<tzo>-06</tzo>" + utc, ""},
		{"<tzo>06:00</tzo>" + utc, ""},
		{"<tzo>006:00</tzo>" + utc, ""},
		{"<tzo>-06.00</tzo>" + utc, ""},
		{"<tzo>-0a:00</tzo>" + utc, ""},
		{"<tzo>-06:0/</tzo>" + utc, ""},
		{"<tzo>+06:60</tzo>" + utc, ""},
		{"<tzo>+14:01</tzo>" + utc, ""},
		{"<tzo>-99:00</tzo>" + utc, ""},
		{"<tzo>CST</tzo>" + utc, ""},
		{"<tzo>Z</tzo><utc/>", ""},
		{"<tzo>Z</tzo><utc>20061219T17:58:35</utc>", ""},
		{"<tzo>Z</tzo><utc>2006-12-19T17:58:35</utc>", ""},
		{"<tzo>Z</tzo><utc>2006-12-19T17:58:35-06:00</utc>", ""},
		{"<tzo>Z</tzo><utc>2006-13-19T17:58:35Z</utc>", ""},
		{"<tzo xmlns='urn:x'>Z</tzo>" + utc, ""},
	} {
		t.Run(tt.inner, func(t *testing.T) {
			var got entitytime.Time
			err := got.DecodeElement(parse(t, "<time xmlns='urn:xmpp:time'>"+tt.inner+"</time>"))
			if tt.want == "" {
				require.ErrorIs(t, err, stanza.BadRequest)
				require.True(t, got.IsZero())
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, got.Format(time.RFC3339Nano))
		})
	}
	var got entitytime.Time
	require.ErrorIs(t, got.DecodeElement(parse(t, "<time xmlns='urn:x'/>")), stanza.BadRequest)
}

// XEP-0202 example 2, as who answers; §4, and §6: the zone is told on demand.
func TestResponder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock begins with the year 2000
		<-time.After(1500 * time.Millisecond)
		mod := entitytime.Responder(nil)
		require.Equal(t, "<iq id='time_1' from='juliet@capulet.com/balcony' to='romeo@montague.net/orchard' type='result'>"+
			"<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2000-01-01T00:00:01Z</utc></time></iq>", ask(t, mod, example1))
		require.Equal(t, "time", mod.Name())
		require.Equal(t, []string{"urn:xmpp:time"}, mod.(stanza.Featurer).Features())
		require.Contains(t, ask(t, mod, "<iq type='set' id='1'><time xmlns='urn:xmpp:time'/></iq>"), unavailable)

		for zone, want := range map[int]string{-6 * 3600: "-06:00", 5*3600 + 1800: "+05:30", -(3*3600 + 1800): "-03:30"} {
			mod = entitytime.Responder(time.FixedZone("", zone))
			require.Contains(t, ask(t, mod, example1), "<tzo>"+want+"</tzo><utc>2000-01-01T00:00:01Z</utc>")
		}
	})
}

// What is not written, since nobody could read it.
func TestInvalid(t *testing.T) {
	_, err := entitytime.Time{Time: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}.AppendXML(nil)
	require.ErrorIs(t, err, delay.ErrTime)
	_, err = entitytime.Time{Time: time.Date(2000, 1, 1, 0, 0, 0, 0, time.FixedZone("", 15*3600))}.AppendXML(nil)
	require.ErrorIs(t, err, stanza.ErrInvalid)
}

// FuzzDecode: decoding never panics, and what was decoded means the same after it
// was written and decoded again.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(example2))
	f.Add([]byte("<time xmlns='urn:xmpp:time'><tzo>+14:00</tzo><utc>0001-01-01T00:00:00.000000001Z</utc></time>"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var v, again entitytime.Time
		if err := v.DecodeElement(el); err != nil {
			require.ErrorIs(t, err, stanza.BadRequest)
			return
		}
		if v.IsZero() { // the beginning of the year 1 stands for the query
			return
		}
		b, err := v.AppendXML(nil)
		require.NoError(t, err)
		require.NoError(t, again.DecodeElement(parse(t, string(b))))
		require.Equal(t, v.Format(time.RFC3339Nano), again.Format(time.RFC3339Nano))
	})
}
