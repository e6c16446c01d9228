package stream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §4.9.2: what counts of an error that the peer sends.
func TestReceivedErrorClauses(t *testing.T) {
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
	received := func(t *testing.T, inside string, want stream.Condition) {
		overSession(t, "<stream:error>"+inside+"</stream:error>", func(t *testing.T, _ string, err error) {
			var e *stream.Error
			require.ErrorAs(t, err, &e)
			require.True(t, e.Received)
			require.Equal(t, want, e.Condition)
		})
	}
	//conformance:proves 6120-4.9.2-2
	t.Run("unknown condition", func(t *testing.T) {
		received(t, "<too-tired"+ns+"/>", stream.UndefinedCondition)
	})
	//conformance:proves 6120-4.9.2-8
	t.Run("text that looks like a condition", func(t *testing.T) {
		received(t, "<text"+ns+">host-gone</text><reset"+ns+"/><text"+ns+">see-other-host</text>", stream.Reset)
	})
}

// RFC 6120 §4.9.2, §4.9.4: what is written of an error. There is no text and no
// condition of an application without a defined condition.
//
//conformance:proves 6120-4.9.2-1 6120-4.9.2-4 6120-4.9.2-5 6120-4.9.2-7 6120-4.9.4-1
func TestWrittenErrorClauses(t *testing.T) {
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-streams'"
	app := []byte("<why xmlns='urn:app'/>")
	for name, c := range map[string]struct {
		e    stream.Error
		want string
	}{
		"alone":                         {stream.Error{Condition: stream.Reset}, "<reset" + ns + "/>"},
		"text":                          {stream.Error{Condition: stream.Reset, Text: "a<b"}, "<reset" + ns + "/><text" + ns + " xml:lang='en'>a&lt;b</text>"},
		"text in another language":      {stream.Error{Condition: stream.Reset, Text: "x", Lang: "de-CH"}, "<reset" + ns + "/><text" + ns + " xml:lang='de-CH'>x</text>"},
		"text in no language":           {stream.Error{Condition: stream.Reset, Text: "x", Lang: "'"}, "<reset" + ns + "/><text" + ns + " xml:lang='en'>x</text>"},
		"text without condition":        {stream.Error{Text: "x"}, "<undefined-condition" + ns + "/><text" + ns + " xml:lang='en'>x</text>"},
		"condition of an application":   {stream.Error{Condition: stream.Reset, Application: app}, "<reset" + ns + "/><why xmlns='urn:app'/>"},
		"application's without other":   {stream.Error{Application: app}, "<undefined-condition" + ns + "/><why xmlns='urn:app'/>"},
		"condition that does not exist": {stream.Error{Condition: "too-tired"}, "<undefined-condition" + ns + "/>"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := c.e.AppendXML(nil)
			require.NoError(t, err)
			require.Equal(t, "<stream:error>"+c.want+"</stream:error>", string(b))
		})
	}
}
