package csi_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stream"
)

// carbon is the copy of a message (XEP-0280 §7).
func carbon(inside string) string {
	return "<message type='chat'><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" + inside + "</forwarded></received></message>"
}

const composing = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"

// What may wait, and what must not.
func TestCanWait(t *testing.T) {
	for _, tt := range []struct {
		name, xml string
		want      bool
	}{
		{"presence", "<presence/>", true},
		{"presence with everything", "<presence><show>away</show><status>x</status><priority>1</priority><c xmlns='http://jabber.org/protocol/caps' ver='x'/></presence>", true},
		{"unavailable", "<presence type='unavailable'/>", true},
		{"subscribe", "<presence type='subscribe'/>", false},
		{"subscribed", "<presence type='subscribed'/>", false},
		{"unsubscribe", "<presence type='unsubscribe'/>", false},
		{"unsubscribed", "<presence type='unsubscribed'/>", false},
		{"probe", "<presence type='probe'/>", false},
		{"presence of type error", "<presence type='error'/>", false},
		{"an occupant of a room", "<presence><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='participant'/></x></presence>", true},
		{"oneself in a room", "<presence><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='member' role='participant'/><status code='100'/><status code='110'/></x></presence>", false},

		{"get", "<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>", false},
		{"result", "<iq type='result' id='1'/>", false},

		{"a body", "<message type='chat'><body>x</body></message>", false},
		{"a body and a chat state", "<message type='chat'>" + composing + "<body>x</body></message>", false},
		{"an empty body", "<message type='chat'><body/>" + composing + "</message>", false},
		{"a headline with a body", "<message type='headline'><body>x</body></message>", false},
		{"a subject", "<message type='groupchat'><subject/></message>", false},
		{"a headline with a subject", "<message type='headline'><subject>x</subject></message>", false},
		{"a chat state", "<message type='chat'>" + composing + "</message>", true},
		{"a chat state of a room", "<message type='groupchat'>" + composing + "</message>", true},
		{"a chat state and what goes with it", "<message type='chat'>" + composing +
			"<thread>x</thread><no-store xmlns='urn:xmpp:hints'/><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@capulet.lit'/><private xmlns='urn:xmpp:carbons:2'/><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/></message>", true},
		{"a chat state to be kept", "<message type='chat'>" + composing + "<store xmlns='urn:xmpp:hints'/></message>", false},
		{"a chat state and something else", "<message type='chat'>" + composing + "<encrypted xmlns='urn:example'/></message>", false},
		{"a chat state of something else", "<message type='chat'><composing xmlns='urn:example'/></message>", false},
		{"a receipt", "<message type='chat'><received xmlns='urn:xmpp:receipts' id='1'/></message>", false},
		{"a marker", "<message type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='1'/></message>", false},
		{"nothing", "<message type='chat'/>", false},
		{"an error about a chat state", "<message type='error'>" + composing + "<error type='cancel'/></message>", false},
		{"an event", "<message type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", true},
		{"an event of no type", "<message><event xmlns='http://jabber.org/protocol/pubsub#event'/></message>", false},

		{"a copy of a chat state", carbon("<message xmlns='jabber:client' type='chat'>" + composing + "</message>"), true},
		{"a copy of a chat state with a delay", carbon("<delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/><message xmlns='jabber:client' type='chat'>" + composing + "</message>"), true},
		{"a copy of a body", carbon("<message xmlns='jabber:client' type='chat'>" + composing + "<body>x</body></message>"), false},
		{"a copy of a receipt", carbon("<message xmlns='jabber:client' type='chat'><received xmlns='urn:xmpp:receipts' id='1'/></message>"), false},
		{"a copy of a copy", carbon(carbon("")), false},
		{"a copy of something else", carbon("<presence xmlns='jabber:client'/>"), false},
		{"a headline that is a copy of a body", "<message type='headline'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>x</body></message></forwarded></sent></message>", false},
		{"a copy of nothing", "<message><sent xmlns='urn:xmpp:carbons:2'/></message>", false},
		{"another copy that is none", "<message><received xmlns='urn:xmpp:carbons:2'><x xmlns='urn:example'/></received></message>", false},

		{"no stanza", "<x xmlns='urn:example'/>", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, csi.CanWait(parse(t, tt.xml)))
		})
	}
}

// Whatever comes, a message with a body does not wait, nor does any stanza that is
// not light; and what has waited is still the stanza that it was.
func FuzzHold(f *testing.F) {
	for _, s := range []string{
		"<presence xmlns='jabber:client' from='a@b/c'/>",
		"<presence xmlns='jabber:client' from='a@b/c'><status>x</status></presence >",
		"<c:presence xmlns:c='jabber:client' from='a@b/c'/>",
		"<message xmlns='jabber:client' type='chat'>" + composing + "<![CDATA[</x>]]></message>",
		"<message xmlns='jabber:client' type='headline'><body>x</body></message>",
		"<iq xmlns='jabber:client' type='get' id='1'/>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		el, err := stream.ParseElement(data, nil)
		if err != nil || el.Name().Space != stream.NSClient {
			return
		}
		wait := csi.CanWait(el)
		st, err := stanza.Decode(el)
		switch st := st.(type) {
		case *stanza.Message:
			require.False(t, wait && (len(st.Body) > 0 || st.IsError()))
		case *stanza.Presence:
			require.False(t, wait && st.Type != stanza.AvailablePresence && st.Type != stanza.UnavailablePresence)
		default:
			require.False(t, wait, "%v", err)
			return
		}
		out, ok := csi.Stamped(el)
		if !ok {
			return
		}
		again, err := stream.ParseElement(out, nil)
		require.NoError(t, err, "%q", out)
		require.Equal(t, el.Name(), again.Name())
		want, got := 1, 0
		for range el.Children() {
			want++
		}
		for range again.Children() {
			got++
		}
		require.Equal(t, want, got, "%q", out)
	})
}
