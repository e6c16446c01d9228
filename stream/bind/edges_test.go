package bind

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// Texts are cut where a character begins, if there is such a place.
func TestCut(t *testing.T) {
	for name, cut := range map[string]func(string, int) string{"tag": cutText, "text": capped} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []struct {
				in    string
				limit int
				want  string
			}{
				{"", 0, ""}, {"abc", 3, "abc"}, {"abc", 4, "abc"}, {"abcd", 3, "abc"}, {"abcd", 0, ""},
				{"aé", 2, "a"}, {"aé", 3, "aé"}, {"aéb", 3, "aé"}, {"\U0001F339", 3, ""}, {"a\U0001F339", 4, "a"},
				{"\x80\x80\x80", 2, ""}, // no character at all
			} {
				require.Equal(t, c.want, cut(c.in, c.limit), "%q to %d", c.in, c.limit)
			}
		})
	}
}

// XEP-0386 §3.2.1: no two clients get the same resource because their ids and tags run together.
func TestStableKeepsItsInputsApart(t *testing.T) {
	o := &ServerOptions{key: make([]byte, 32)}
	require.NotEqual(t, o.stable(account, "a", "bc"), o.stable(account, "ab", "c"))
	require.NotEqual(t, o.stable(account, "a", "b"), o.stable(domain, "a", "b"))
	require.Equal(t, o.stable(account, "a", "b"), o.stable(account, "a", "b"))
}

// RFC 6120 §8.1.2.1, §7.6.1: who may have answered.
func TestParseResultSender(t *testing.T) {
	const refused = `><error type='cancel'><conflict xmlns='` + nsStanzas + `'/></error></iq>`
	const other = `><bind` + bindNS + `><jid>j.capulet@im.example/x</jid></bind></iq>`
	for _, c := range []struct {
		from, typ, rest string
		want            error
	}{
		{"im.example", "error", refused, Conflict},
		{"juliet@im.example", "error", refused, Conflict},
		{"juliet@im.example/x", "error", refused, ErrProtocol},
		{"evil.example", "error", refused, ErrProtocol},
		{"im.example", "result", other, nil},
		{"juliet@im.example", "result", other, nil}, // whom the client takes itself for
		{"j.capulet@im.example", "result", other, nil},
		{"j.capulet@im.example/x", "result", other, nil},
		{"j.capulet@im.example/y", "result", other, ErrProtocol},
		{"juliet@im.example/x", "result", other, ErrProtocol},
	} {
		bound, err := parseResult(parse(t, `<iq id='1' type='`+c.typ+`' from='`+c.from+`'`+c.rest), "1", domain, account)
		if c.want == nil {
			require.NoError(t, err, c.from)
			require.Equal(t, "j.capulet@im.example/x", bound.String())
			continue
		}
		require.ErrorIs(t, err, c.want, c.from)
	}
}

// The error says what was missing.
func TestParseResultSaysWhatIsMissing(t *testing.T) {
	for inside, want := range map[string]string{
		``:                      "result without an address",
		`<bind` + bindNS + `/>`: "result without an address",
		`<bind` + bindNS + `><jid>a@b@c/x</jid></bind>`: "bound address: ",
	} {
		_, err := parseResult(parse(t, `<iq id='1' type='result'>`+inside+`</iq>`), "1", domain, account)
		require.ErrorIs(t, err, ErrProtocol)
		require.ErrorContains(t, err, want)
	}
}

func TestErrorIsItsCondition(t *testing.T) {
	e := &Error{Condition: Conflict, Text: "a\nb"}
	require.ErrorIs(t, e, Conflict)
	require.NotErrorIs(t, e, NotAllowed)
	require.NotErrorIs(t, &Error{}, errors.New("no condition at all"))
	require.Equal(t, `bind: conflict: "a\nb"`, e.Error())
	require.Equal(t, `bind: "gone\n"`, (&Error{Condition: "gone\n"}).Error(), "that of a peer is quoted")
	for _, c := range []Condition{BadRequest, Conflict, NotAllowed, ResourceConstraint, InternalServerError, UndefinedCondition} {
		require.True(t, c.defined())
	}
	require.False(t, Condition("forbidden").defined())
}

// What is sent is a condition and text that XML can carry.
func TestSendable(t *testing.T) {
	for condition, want := range map[Condition]Condition{
		"": InternalServerError, Condition(strings.Repeat("a", 64)): Condition(strings.Repeat("a", 64)),
		Condition(strings.Repeat("a", 65)): InternalServerError, "a1": InternalServerError, "a-b": "a-b",
	} {
		require.Equal(t, want, (&Error{Condition: condition}).sendable().Condition, "%s", condition)
	}
	for text, want := range map[string]string{"a\ufffeb": "ab", "a\uffffb": "ab", "a\x00b\x7f": "ab", strings.Repeat("x", 600): strings.Repeat("x", 512)} {
		out := (&Error{Condition: Conflict, Text: text}).sendable()
		require.Equal(t, want, out.Text)
		w := stream.NewWriter(nil)
		out.write(&w, "1")
		_, err := w.Bytes()
		require.NoError(t, err)
	}
}

// The id is known with an error, too.
func TestParseRequestKeepsTheID(t *testing.T) {
	for _, in := range []string{`<iq id='7' type='set'/>`, `<iq id='7' type='get'/>`, `<iq id='7' type='set'><x xmlns='urn:x'/></iq>`, `<iq id='7' type='set'><bind` + bindNS + `><jid/></bind></iq>`} {
		r, err := parseRequest(parse(t, in), domain, account)
		require.Error(t, err)
		require.Equal(t, "7", r.id, in)
	}
}
