package stanza

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §8.4: an example of a request.
//
//conformance:proves 6120-8-1
func TestIQExample(t *testing.T) {
	q := decode[*IQ](t, `<iq from='juliet@capulet.com/balcony'
	       id='h83vxa4c'
	       type='get'>
	    <query xmlns='jabber:iq:roster'/>
	   </iq>`)
	require.Equal(t, jid.MustParse("juliet@capulet.com/balcony"), q.From)
	require.Equal(t, "h83vxa4c", q.ID)
	require.Equal(t, GetIQ, q.Type)
	require.True(t, q.IsRequest())
	require.Equal(t, stream.Name{Space: "jabber:iq:roster", Local: "query"}, q.Element().Name())
	require.Equal(t, `<iq id='h83vxa4c' from='juliet@capulet.com/balcony' type='get'><query xmlns='jabber:iq:roster'/></iq>`, encode(t, q))
}

// RFC 6120 §8.2.3 rules 1, 2, 5, 6, 7 and §8.4: what is fine. What is not is in
// TestAdversarial/R19.
func TestIQRules(t *testing.T) {
	for _, c := range []struct {
		xml     string
		payload string
		err     bool
	}{
		{"<iq id='1' type='get'><a xmlns='urn:a'/></iq>", "a", false},
		{"<iq id='1' type='set'> \n<a xmlns='urn:a'/> text </iq>", "a", false},
		{"<iq id='1' type='result'/>", "", false},
		{"<iq id='1' type='result'><a xmlns='urn:a'/></iq>", "a", false},
		{"<iq id='1' type='result'><a/></iq>", "a", false},
		{"<iq id='1' type='error'/>", "", true},
		{"<iq id='1' type='error'><error/></iq>", "", true},
		{"<iq id='1' type='error'><a xmlns='urn:a'/><error/></iq>", "a", true},
		{"<iq id='1' type='error'><error/><a xmlns='urn:a'/></iq>", "a", true},
		{"<iq id='1' type='error'><error xmlns='urn:a'/><error/></iq>", "error", true},
		{"<iq id='' type='error'><error/></iq>", "", true}, // §8.3.1 rule 3
	} {
		q := decode[*IQ](t, c.xml)
		if c.payload == "" {
			require.Nil(t, q.Payload, "%s", c.xml)
			require.Nil(t, q.Element(), "%s", c.xml)
		} else {
			require.Equal(t, c.payload, q.Element().Name().Local, "%s", c.xml)
		}
		require.Equal(t, c.err, q.Error != nil, "%s", c.xml)
		require.Equal(t, c.err, q.IsError(), "%s", c.xml)
		require.Equal(t, encode(t, q), encode(t, decode[*IQ](t, encode(t, q))))
	}
}

// RFC 6120 §8.2.3 rules 3 and 4: what answers what.
//
//conformance:proves 6120-8.1.3-3 6120-8.2.3-5 6120-8.2.3-6 6120-8.3.1-10
//conformance:proves 6120-8.2.3-8
func TestIQReplies(t *testing.T) {
	q := decode[*IQ](t, "<iq id='1' from='a@b/c' to='d@e' type='set'><x xmlns='urn:x'/></iq>")
	require.Equal(t, "<iq id='1' from='d@e' to='a@b/c' type='result'/>", encode(t, q.Result(nil)))
	require.Equal(t, "<iq id='1' from='d@e' to='a@b/c' type='result'><origin-id xmlns='urn:xmpp:sid:0' id='2'/></iq>",
		encode(t, q.Result(originID("2"))))
	require.Equal(t, "<iq id='1' from='d@e' to='a@b/c' type='error'><error type='cancel'>"+
		"<item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>", encode(t, q.ErrorReply(ItemNotFound)))
	require.Nil(t, q.ErrorReply(nil))

	for _, typ := range []string{"result", "error"} {
		q := decode[*IQ](t, "<iq id='1' from='a@b/c' to='d@e' type='"+typ+"'/>")
		require.False(t, q.IsRequest())
		require.Nil(t, q.Result(nil))
		require.Nil(t, q.ErrorReply(ItemNotFound))
		require.Nil(t, ErrorReply(q, ItemNotFound))
		requireRefused(t, q.Result(nil), ErrInvalid)
		requireRefused(t, q.ErrorReply(ItemNotFound), ErrInvalid)
	}
}
