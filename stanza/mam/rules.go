package mam

import (
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/hint"
	"stanzakit.dev/xmpp/stream"
)

// Archivable is the rule about what goes into an archive, as far as it depends on
// the message. [Module].Archive takes another one; it may ask this one.
//
//	hint no-store or no-permanent-store   no
//	type error or groupchat               no
//	hint store                            yes
//	type normal or chat, with a body      yes
//	anything else                         no
//
// So chat states, receipts and markers stay out unless their sender asks for it,
// as do headlines, and the messages of rooms, which have archives of their own.
func Archivable(t *stanza.Transit) bool {
	if t.Kind != stanza.MessageKind {
		return false
	}
	typ := stanza.MessageType(t.Type)
	// XEP-0334 §5: hints in an error are ignored. XEP-0313 §6.1.1: whether a
	// user's archive has messages of rooms is left to the server.
	if typ == stanza.ErrorMessage || typ == stanza.GroupChatMessage {
		return false
	}
	may, must := hint.Of(t.Element).Archive() // XEP-0334 §4.1, §4.2, §4.4
	switch {
	case !may:
		return false
	case must:
		return true
	}
	// XEP-0313 §6.1.1: all messages of type normal or chat that contain a body.
	return (typ == stanza.NormalMessage || typ == stanza.ChatMessage) && hasBody(t.Element)
}

func hasBody(el *stream.Element) bool {
	body := stream.Name{Space: el.Name().Space, Local: "body"}
	for child := range el.Children() {
		if child.Name() == body {
			return true
		}
	}
	return false
}
