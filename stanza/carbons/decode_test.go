package carbons_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream"
)

var romeo = jid.MustParse(home)

// Examples 10 and 13.
const (
	example10 = `<message xmlns='jabber:client'
         from='romeo@montague.example'
         to='romeo@montague.example/home'
         type='chat'>
  <received xmlns='urn:xmpp:carbons:2'>
    <forwarded xmlns='urn:xmpp:forward:0'>
      <message xmlns='jabber:client'
               from='juliet@capulet.example/balcony'
               to='romeo@montague.example/garden'
               type='chat'>
        <body>What man art thou that, thus bescreen'd in night, so stumblest on my counsel?</body>
        <thread>0e3141cd80894871a68e6fe6b1ec56fa</thread>
      </message>
    </forwarded>
  </received>
</message>`
	example11 = `<message xmlns='jabber:client'
         from='tybalt@capulet.example/home'
         to='romeo@montague.example'
         type='chat'>
  <received xmlns='urn:xmpp:carbons:2'>
    <forwarded xmlns='urn:xmpp:forward:0'>
      <message xmlns='jabber:client'
               from='juliet@capulet.example/balcony'
               to='romeo@montague.example/garden'
               type='chat'>
        <body>Thou shall meet me tonite, at our house's hall!</body>
      </message>
    </forwarded>
  </received>
</message>`
	example13 = `<message xmlns='jabber:client'
        from='romeo@montague.example'
        to='romeo@montague.example/garden'
        type='chat'>
  <sent xmlns='urn:xmpp:carbons:2'>
    <forwarded xmlns='urn:xmpp:forward:0'>
      <message xmlns='jabber:client'
               to='juliet@capulet.example/balcony'
               from='romeo@montague.example/home'
               type='chat'>
        <body>Neither, fair saint, if either thee dislike.</body>
        <thread>0e3141cd80894871a68e6fe6b1ec56fa</thread>
      </message>
    </forwarded>
  </sent>
</message>`
)

func TestDecode(t *testing.T) {
	c, err := carbons.Decode(message(t, example10), romeo)
	require.NoError(t, err)
	require.Equal(t, carbons.Received, c.Direction)
	require.Equal(t, "juliet@capulet.example/balcony", c.Message.From.String())
	require.Equal(t, "What man art thou that, thus bescreen'd in night, so stumblest on my counsel?", c.Message.Body[0].Value)
	require.Nil(t, c.Delay)

	// The account may be given as a bare JID as well.
	c, err = carbons.Decode(message(t, example13), romeo.Bare())
	require.NoError(t, err)
	require.Equal(t, carbons.Sent, c.Direction)
	require.Equal(t, romeo, c.Message.From)
	require.Equal(t, "0e3141cd80894871a68e6fe6b1ec56fa", c.Message.Thread)
}

// carbon writes a copy in which parts can be wrong.
func carbon(wrapper, local, inner string) string {
	return "<message " + wrapper + "><" + local + " xmlns='urn:xmpp:carbons:2'>" + inner + "</" + local + "></message>"
}

const (
	ours      = "from='romeo@montague.example' to='romeo@montague.example/home' type='chat'"
	fromOther = "<message xmlns='jabber:client' from='juliet@capulet.example/balcony' to='romeo@montague.example/garden' type='chat'><body>x</body></message>"
	fromUs    = "<message xmlns='jabber:client' from='romeo@montague.example/garden' to='juliet@capulet.example/balcony' type='chat'><body>x</body></message>"
)

func fwd(s string) string { return "<forwarded xmlns='urn:xmpp:forward:0'>" + s + "</forwarded>" }

func TestDecodeAccepts(t *testing.T) {
	for name, xml := range map[string]string{
		"received":                              carbon(ours, "received", fwd(fromOther)),
		"sent":                                  carbon(ours, "sent", fwd(fromUs)),
		"without an address, RFC 6120 §8.1.2.1": carbon("type='chat'", "received", fwd(fromOther)),
		"no to in the message":                  carbon(ours, "received", fwd("<message xmlns='jabber:client' from='juliet@capulet.example'/>")),
		"sent to oneself":                       carbon(ours, "sent", fwd("<message xmlns='jabber:client' from='romeo@montague.example/garden' to='romeo@montague.example'/>")),
		"received from oneself":                 carbon(ours, "received", fwd("<message xmlns='jabber:client' from='romeo@montague.example/garden' to='romeo@montague.example'/>")),
		"with a delay":                          carbon(ours, "received", fwd("<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>"+fromOther)),
		"private beside it":                     "<message " + ours + "><private xmlns='urn:xmpp:carbons:2'/><sent xmlns='urn:xmpp:carbons:2'>" + fwd(fromUs) + "</sent></message>",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := carbons.Decode(message(t, xml), romeo)
			require.NoError(t, err)
			require.NotNil(t, c.Message)
			require.Equal(t, name == "with a delay", c.Delay != nil)
		})
	}
}

func TestDecodeNone(t *testing.T) {
	for name, xml := range map[string]string{
		"ordinary":               "<message from='juliet@capulet.example/balcony' type='chat'><body>x</body></message>",
		"from the account":       "<message " + ours + "><body>x</body></message>",
		"private":                "<message from='juliet@capulet.example/balcony'><private xmlns='urn:xmpp:carbons:2'/></message>",
		"a receipt":              "<message from='juliet@capulet.example/balcony'><received xmlns='urn:xmpp:receipts'/></message>",
		"forwarded by a human":   "<message from='juliet@capulet.example/balcony'>" + fwd(fromOther) + "</message>",
		"deep in something else": "<message from='juliet@capulet.example/balcony'><x xmlns='urn:example'><sent xmlns='urn:xmpp:carbons:2'/></x></message>",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := carbons.Decode(message(t, xml), romeo)
			require.ErrorIs(t, err, carbons.ErrNone)
			require.NotErrorIs(t, err, carbons.ErrForged)
			require.Nil(t, c)
		})
	}
	_, err := carbons.Decode(new(stanza.Message), romeo)
	require.ErrorIs(t, err, carbons.ErrNone, "a message that was not received")
}

func TestAdversarial(t *testing.T) {
	t.Run("R03", func(t *testing.T) {
		from := func(s string) string { return "from='" + s + "' to='romeo@montague.example/home' type='chat'" }
		for name, xml := range map[string]string{
			// From another JID (XEP-0280 §7, §11).
			"example 11":                  example11,
			"sent, from another JID":      carbon(from("tybalt@capulet.example/home"), "sent", fwd(fromUs)),
			"from the server":             carbon(from("montague.example"), "received", fwd(fromOther)),
			"from a neighbour":            carbon(from("romeo@capulet.example"), "received", fwd(fromOther)),
			"from what looks like romeo":  carbon(from("rоmeo@montague.example"), "received", fwd(fromOther)),
			"from a part of the address":  carbon(from("romeo@montague.example.evil.example"), "received", fwd(fromOther)),
			"from an address that is bad": carbon(from("@montague.example"), "received", fwd("<message xmlns='jabber:client'/>")),
			// From the own full JID: another client wrote it.
			"from the own full JID":         carbon(from("romeo@montague.example/home"), "received", fwd(fromOther)),
			"from another full JID of ours": carbon(from("romeo@montague.example/garden"), "sent", fwd(fromUs)),
			// A carbon in a carbon.
			"nested": carbon(ours, "received", fwd("<message xmlns='jabber:client' from='juliet@capulet.example/balcony' to='romeo@montague.example/garden'>"+
				"<received xmlns='urn:xmpp:carbons:2'>"+fwd(fromOther)+"</received></message>")),
			"nested sent": carbon(ours, "sent", fwd("<message xmlns='jabber:client' from='romeo@montague.example/garden' to='juliet@capulet.example/balcony'>"+
				"<sent xmlns='urn:xmpp:carbons:2'/></message>")),
			"a carbon directly in a carbon": carbon(ours, "received", "<received xmlns='urn:xmpp:carbons:2'>"+fwd(fromOther)+"</received>"),
			// Sent for a foreign from, and received for a foreign to.
			"sent by somebody else":         carbon(ours, "sent", fwd(fromOther)),
			"sent by nobody":                carbon(ours, "sent", fwd("<message xmlns='jabber:client' to='juliet@capulet.example'/>")),
			"received by somebody else":     carbon(ours, "received", fwd(fromUs)),
			"received from nobody":          carbon(ours, "received", fwd("<message xmlns='jabber:client' to='romeo@montague.example'/>")),
			"an address inside that is bad": carbon(ours, "received", fwd("<message xmlns='jabber:client' from='@' to='romeo@montague.example'/>")),
			// Without what is forwarded, or with too much of it.
			"empty":                     carbon(ours, "received", ""),
			"without forwarded":         carbon(ours, "received", fromOther),
			"forwarded of another kind": carbon(ours, "received", "<forwarded xmlns='urn:example'>"+fromOther+"</forwarded>"),
			"nothing forwarded":         carbon(ours, "received", fwd("")),
			"presence":                  carbon(ours, "received", fwd("<presence xmlns='jabber:client' from='juliet@capulet.example/balcony'/>")),
			"no stanza":                 carbon(ours, "received", fwd("<message xmlns='urn:example'/>")),
			"two messages":              carbon(ours, "received", fwd(fromOther+fromOther)),
			"two forwarded":             carbon(ours, "received", fwd(fromOther)+fwd(fromOther)),
			"two carbons":               "<message " + ours + "><received xmlns='urn:xmpp:carbons:2'>" + fwd(fromOther) + "</received><sent xmlns='urn:xmpp:carbons:2'>" + fwd(fromUs) + "</sent></message>",
			"a bad delay":               carbon(ours, "received", fwd("<delay xmlns='urn:xmpp:delay' stamp='now'/>"+fromOther)),
		} {
			t.Run(name, func(t *testing.T) {
				msg := message(t, xml)
				if name == "from an address that is bad" {
					msg.From = jid.JID{} // what is left of it
				}
				c, err := carbons.Decode(msg, romeo)
				require.ErrorIs(t, err, carbons.ErrForged)
				require.NotErrorIs(t, err, carbons.ErrNone)
				require.Nil(t, c)
			})
		}
		_, err := carbons.Decode(message(t, carbon("type='chat'", "received", fwd(fromOther))), jid.JID{})
		require.ErrorIs(t, err, carbons.ErrForged, "nobody's account")
	})
}

// The messages that a server of this package refuses to copy cannot be smuggled
// through the other way: what it copies, a client of this package believes.
func FuzzCopy(f *testing.F) {
	for _, s := range []string{
		fromUs, fromOther, example10, example11, example13,
		"<message xmlns='jabber:client' type='chat'/>",
		"<c:message xmlns:c='jabber:client' xmlns='urn:x' type='chat' from='a'><c:body>x</c:body><y/></c:message>",
		"<message xmlns='jabber:client' type='error' id='1'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		el, err := stream.ParseElement(data, nil)
		if err != nil || stanza.KindOf(el.Name()) != stanza.MessageKind || el.Name().Space != stream.NSClient {
			return
		}
		st, err := stanza.Decode(el)
		msg, ok := st.(*stanza.Message)
		if !ok {
			t.Fatal(err)
		}
		s := newServer(t)
		g, h := s.enabled(t, garden), s.enabled(t, home)
		tr := &stanza.Transit{Kind: stanza.MessageKind, Type: string(msg.Type), From: g.addr, To: jid.MustParse(juliet), Element: el, Sender: g}
		s.mod.AfterRoute(t.Context(), tr)
		for _, xml := range h.take() {
			c, err := carbons.Decode(message(t, xml), h.addr)
			require.NoError(t, err, xml)
			require.Equal(t, carbons.Sent, c.Direction)
			require.Equal(t, g.addr, c.Message.From)
			require.Equal(t, msg.Body, c.Message.Body)
			require.Equal(t, msg.ID, c.Message.ID)
		}
	})
}

// Whatever comes, what is decoded follows the rules.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		example10, example11, example13,
		"<message xmlns='jabber:client' from='romeo@montague.example'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent></message>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		el, err := stream.ParseElement(data, nil)
		if err != nil {
			return
		}
		msg := new(stanza.Message)
		if msg.DecodeElement(el) != nil {
			return
		}
		c, err := carbons.Decode(msg, romeo)
		if err != nil {
			require.Nil(t, c)
			return
		}
		require.True(t, msg.From.IsZero() || msg.From == romeo.Bare())
		if c.Direction == carbons.Sent {
			require.Equal(t, romeo.Bare(), c.Message.From.Bare())
		}
		_, err = carbons.Decode(c.Message, c.Message.From)
		require.ErrorIs(t, err, carbons.ErrNone)
	})
}

// doer records a request.
type doer struct {
	asked *stanza.IQ
	err   error
}

func (d *doer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	d.asked = iq
	return nil, d.err
}

// Examples 3 and 6.
func TestRequests(t *testing.T) {
	for _, tt := range []struct {
		do   func(context.Context, carbons.Doer) error
		want string
	}{
		{carbons.Enable, `<iq id='1' type='set'><enable xmlns='urn:xmpp:carbons:2'/></iq>`},
		{carbons.Disable, `<iq id='1' type='set'><disable xmlns='urn:xmpp:carbons:2'/></iq>`},
	} {
		d := new(doer)
		require.NoError(t, tt.do(t.Context(), d))
		d.asked.ID = "1"
		b, err := d.asked.AppendXML(nil)
		require.NoError(t, err)
		require.Equal(t, tt.want, string(b))
		require.ErrorIs(t, tt.do(t.Context(), &doer{err: stanza.Forbidden}), stanza.Forbidden)
	}
	b, err := carbons.Private{}.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, `<private xmlns='urn:xmpp:carbons:2'/>`, string(b))
}
