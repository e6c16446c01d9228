package carbons

import (
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/hint"
	"stanzakit.dev/xmpp/stream"
)

// traits are what the rules of XEP-0280 §6.1 look for among the children of a
// message.
type traits uint8

const (
	hasPrivate traits = 1 << iota // <private/> (§9)
	hasNoCopy                     // the hint of XEP-0334 §4.3
	hasCarbon                     // <sent/> or <received/>
	hasBody
	hasIM     // a payload typically used in instant messaging
	hasInvite // to a room, direct or mediated
	hasRoom   // the element that tells messages of rooms apart
)

// The namespaces that the rules of §6.1 name.
const (
	nsReceipts   = "urn:xmpp:receipts"                     // XEP-0184
	nsChatStates = "http://jabber.org/protocol/chatstates" // XEP-0085
	nsMarkers    = "urn:xmpp:chat-markers:0"               // XEP-0333
)

var (
	noCopyName       = stream.Name{Space: hint.NS, Local: "no-copy"}
	directInviteName = stream.Name{Space: "jabber:x:conference", Local: "x"}                 // XEP-0249 §2
	roomName         = stream.Name{Space: "http://jabber.org/protocol/muc#user", Local: "x"} // XEP-0045
	inviteName       = stream.Name{Space: roomName.Space, Local: "invite"}                   // XEP-0045 §7.8.2
)

// traitsOf looks once through the children of a message.
func traitsOf(msg *stream.Element) traits {
	var t traits
	content := msg.Name().Space
	for child := range msg.Children() {
		switch name := child.Name(); name.Space {
		case content:
			if name.Local == "body" {
				t |= hasBody
			}
		case NS:
			switch name {
			case privateName:
				t |= hasPrivate
			case sentName, receivedName:
				t |= hasCarbon
			}
		case nsReceipts, nsChatStates, nsMarkers:
			t |= hasIM
		default:
			switch name {
			case noCopyName:
				t |= hasNoCopy
			case directInviteName:
				t |= hasInvite
			case roomName:
				t |= hasRoom
				if _, ok := child.Child(inviteName); ok {
					t |= hasInvite
				}
			}
		}
	}
	return t
}

// excluded reports whether no rule makes a message of that type eligible.
func (t traits) excluded(typ stanza.MessageType) bool {
	switch {
	case t&(hasPrivate|hasCarbon) != 0:
		return true // §6.1, §9; and never the carbon of a carbon
	case typ == stanza.ErrorMessage:
		return false // XEP-0334 §5: hints in errors are those of the other side
	}
	// §6.1: messages of rooms go to every client that is in the room.
	return typ == stanza.GroupChatMessage || t&hasNoCopy != 0
}

// eligible applies the rules of §6.1 to a message that is no error. Occupant says
// that the other side's address is a full JID, which an occupant of a room has.
func (t traits) eligible(typ stanza.MessageType, d Direction, occupant bool) bool {
	switch {
	case t.excluded(typ):
		return false
	case t&hasInvite != 0:
		return true
	case t&hasRoom != 0 && occupant:
		// A private message. The room has sent it to every client that is in it.
		return d == Sent
	case typ == stanza.ChatMessage, t&hasIM != 0:
		return true
	case typ == stanza.HeadlineMessage:
		return false
	}
	return t&hasBody != 0 // of type normal, which unknown ones count as (RFC 6121 §5.2.2)
}
