package sm

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// The rows of the list of attacks that need no stream.
func TestAdversarial(t *testing.T) {
	t.Run("M04", adversarialM04)
	t.Run("M06", adversarialM06)
	t.Run("M13", adversarialM13)
	t.Run("M20", adversarialM20)
}

// M04: an h that is no number, or no number that can be.
func adversarialM04(t *testing.T) {
	for _, attrs := range []string{
		"h=''", "h='-1'", "h='-0'", "h='+5'", "h='0x10'", "h='1e3'", "h='4294967296'", "h='18446744073709551616'",
		"h='18446744073709551617'", "h='99999999999999999999999999999999999999999'", "h=' 5'", "h='5 '", "h='5&#10;'", "h='1 2'",
		"h='5.0'", "h='1_000'", "h='٥'", "h='５'", "h='NaN'", "h='true'", "H='5'", "xmlns:x='urn:x' x:h='5'", "",
	} {
		for _, read := range []struct {
			name  string
			parse func(*stream.Element) (any, error)
		}{
			{"a", reads(parseAnswer)}, {"resume", reads(parseResume)}, {"resumed", reads(parseResumed)},
		} {
			el, err := stream.ParseElement([]byte("<"+read.name+" xmlns='"+NS+"' previd='x' "+attrs+"/>"), nil)
			require.NoError(t, err)
			_, err = read.parse(el)
			var e *MalformedError
			require.ErrorAs(t, err, &e, "%s %s", read.name, attrs)
			require.Equal(t, "h", e.Attr)
			require.Equal(t, read.name, e.Element)
			require.Less(t, len(e.Error()), 256)
		}
	}
	for text, want := range map[string]uint32{"0": 0, "00": 0, "5": 5, "0005": 5, "4294967295": 1<<32 - 1, "00000000000004294967295": 1<<32 - 1} {
		h, err := parseAnswer(parsed(t, "<a h='"+text+"'/>"))
		require.NoError(t, err, text)
		require.Equal(t, want, h)
	}

	// Too high, lower than the last one, equal; also around 2³².
	for _, start := range []uint32{0, 1<<32 - 4} {
		p := newPair(t, start)
		for range 8 {
			p.push(10)
		}
		p.ack(start + 5)
		require.Equal(t, 3, p.q.len())
		for _, h := range []uint32{start + 9, start + 4, start, start - 1, start + 1<<31, start + 8 + 1<<31} {
			_, err := acks(&p.q, h)
			var e *HandledCountError
			require.ErrorAs(t, err, &e, "%d", h)
			require.Equal(t, HandledCountError{H: h, Sent: start + 8}, *e)
			require.Contains(t, string(e.StreamError().Application), "<handled-count-too-high ")
			p.check() // nothing has changed
		}
		p.ack(start + 5)
		require.Equal(t, 3, p.q.len(), "equal: nothing new")
		p.ack(start + 8)
		p.ack(start + 8)
		require.Zero(t, p.q.len())
	}
}

// M06: a session that can be resumed has an id.
func adversarialM06(t *testing.T) {
	for _, xml := range []string{"<enabled resume='true'/>", "<enabled resume='1' id=''/>", "<enabled resume='true' ID='x' previd='y'/>"} {
		_, err := parseEnabled(parsed(t, xml))
		var e *MalformedError
		require.ErrorAs(t, err, &e)
		require.Equal(t, "id", e.Attr)
	}
}

// M13: ids that are long, and ids with characters that XML cares about.
func adversarialM13(t *testing.T) {
	for _, read := range []struct {
		attrs string
		name  string
		parse func(*stream.Element) (any, error)
	}{
		{"resume='true' id", "enabled", reads(parseEnabled)},
		{"id", "enabled", reads(parseEnabled)},
		{"h='1' previd", "resume", reads(parseResume)},
		{"h='1' previd", "resumed", reads(parseResumed)},
	} {
		long := strings.Repeat("x", maxID)
		_, err := read.parse(parsed(t, "<"+read.name+" "+read.attrs+"='"+long+"'/>"))
		require.NoError(t, err)
		for _, more := range []string{long + "x", long[1:] + "é", long + "&lt;"} {
			_, err = read.parse(parsed(t, "<"+read.name+" "+read.attrs+"='"+more+"'/>"))
			var e *MalformedError
			require.ErrorAs(t, err, &e)
			require.Equal(t, "longer than 4000 bytes", e.Reason)
			require.Less(t, len(e.Error()), 256)
		}
	}
	for _, id := range []string{`a'b"c<d>e&f`, "'/><message/>", "tab\tline\nreturn\rend", " x ", "\u202e\U0001F600", "]]>", strings.Repeat("<", maxID)} {
		b, err := enabled{id: id, resume: true}.AppendXML(nil)
		require.NoError(t, err)
		e, err := parseEnabled(parsed(t, string(b)))
		require.NoError(t, err)
		require.Equal(t, enabled{id: id, resume: true}, e)
		b, err = resume{previd: id}.AppendXML(nil)
		require.NoError(t, err)
		r, err := parseResume(parsed(t, string(b)))
		require.NoError(t, err)
		require.Equal(t, resume{previd: id}, r)
		require.Equal(t, 1, bytes.Count(b, []byte("<")))
	}
}

// M20: a state that is older than what was sent. The peer acknowledges what this
// side knows nothing of: an error with the numbers, and the state is as it was.
func adversarialM20(t *testing.T) {
	old := State{ID: "x", Owner: jid.MustParse("juliet@capulet.lit/balcony")}
	b, err := old.MarshalBinary()
	require.NoError(t, err)
	for _, h := range []uint32{5, 1, 1<<32 - 1} {
		var st State
		require.NoError(t, st.UnmarshalBinary(b))
		var q queue
		q.start(st.Acked)
		_, err = acks(&q, h)
		var e *HandledCountError
		require.ErrorAs(t, err, &e)
		require.Equal(t, HandledCountError{H: h, Sent: 0}, *e)
		require.Zero(t, q.acked())
		var j Journal
		j.Acked(h)
		require.ErrorAs(t, st.Replay(j), new(*StateError))
		require.Equal(t, old.Acked, st.Acked)
	}

	// The peer was told more than the state knows: In never goes back.
	st := State{In: 1<<32 - 1}
	var j Journal
	j.Handled(5)
	j.Handled(1<<32 - 2)
	require.NoError(t, st.Replay(j))
	require.EqualValues(t, 5, st.In)

	// Whatever is cut off or changed is an error or a state, and no panic.
	full, err := sampleState().MarshalBinary()
	require.NoError(t, err)
	for n := range full {
		var st State
		requireStateError(t, st.UnmarshalBinary(full[:n]))
		require.Equal(t, State{}, st, "as it was")
		for _, bit := range []byte{1, 0x80, 0xff} {
			bad := bytes.Clone(full)
			bad[n] ^= bit
			if err := st.UnmarshalBinary(bad); err != nil {
				requireStateError(t, err)
			}
			st = State{}
		}
	}
}

func requireStateError(t testing.TB, err error) {
	t.Helper()
	var bad *StateError
	var version *VersionError
	require.True(t, errors.As(err, &bad) || errors.As(err, &version), "%v", err)
}
