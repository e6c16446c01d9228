package csi

import (
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/forward"
	"stanzakit.dev/xmpp/stanza/hint"
	"stanzakit.dev/xmpp/stanza/sid"
	"stanzakit.dev/xmpp/stream"
)

const (
	nsCarbons    = "urn:xmpp:carbons:2"
	nsChatStates = "http://jabber.org/protocol/chatstates"
)

var (
	roomName   = stream.Name{Space: "http://jabber.org/protocol/muc#user", Local: "x"}
	statusName = stream.Name{Space: roomName.Space, Local: "status"}
	storeName  = stream.Name{Space: hint.NS, Local: "store"}
	delayName  = stream.Name{Space: delay.NS, Local: "delay"}
)

// CanWait reports whether a stanza is one that may be held back at all: nothing is
// lost or spoilt if it comes later, or never because the session ends. These are
//
//   - presence that says whether somebody is available, but not the client's own
//     in a room, which completes joining it (XEP-0045 §7.2.2);
//   - messages that hold nothing but a chat state, whatever their type, and copies
//     of such messages; what goes with every message, such as an id in an archive,
//     makes no difference;
//   - headlines without a body or subject.
//
// The stanza is in a content namespace.
func CanWait(st *stream.Element) bool {
	switch stanza.KindOf(st.Name()) {
	case stanza.PresenceKind:
		// RFC 6121 §3: subscriptions are requests to the user; §8.3 of RFC 6120:
		// errors are answers.
		typ, ok := st.AttrBytes("type")
		return (!ok || string(typ) == "unavailable") && !ownInRoom(st)
	case stanza.MessageKind:
		return messageCanWait(st, true)
	}
	return false
}

// ownInRoom reports whether presence is the reflection of the client's own.
func ownInRoom(presence *stream.Element) bool {
	x, ok := presence.Child(roomName)
	if !ok {
		return false
	}
	for child := range x.Children() {
		if code, _ := child.AttrBytes("code"); child.Name() == statusName && string(code) == "110" {
			return true
		}
	}
	return false
}

// messageCanWait is CanWait for a message. With copies, what is looked at may be
// the copy of another message.
func messageCanWait(msg *stream.Element, copies bool) bool {
	typ, _ := msg.AttrBytes("type")
	if string(typ) == "error" {
		return false
	}
	headline, light := string(typ) == "headline", false
	content := msg.Name().Space
	for child := range msg.Children() {
		switch name := child.Name(); {
		case name.Space == content && (name.Local == "body" || name.Local == "subject"), name == storeName:
			return false
		case name.Space == content && name.Local == "thread",
			name.Space == hint.NS, name.Space == sid.NS, name.Space == delay.NS:
		case name.Space == nsChatStates:
			light = true
		case name.Space == nsCarbons && (name.Local == "sent" || name.Local == "received"):
			// XEP-0280 §7: it may be a message with a body that is inside.
			if !copies || !copyCanWait(child) {
				return false
			}
			light = true
		case name.Space == nsCarbons: // <private/>
		case !headline:
			return false // it could be anything
		}
	}
	// XEP-0160 §3: neither is kept for a client that is away.
	return headline || light
}

// copyCanWait is messageCanWait for what is in a <sent/> or <received/>.
func copyCanWait(el *stream.Element) bool {
	fwd, ok := el.Child(forward.Name)
	if !ok {
		return false
	}
	for child := range fwd.Children() {
		switch {
		case child.Name() == delayName:
		case stanza.KindOf(child.Name()) != stanza.MessageKind || !messageCanWait(child, false):
			return false
		}
	}
	return true
}

// replaceable reports whether presence is out of date when its sender sends more:
// not that of rooms, which tells why somebody left and what he is called now
// (XEP-0045 §7.6).
func replaceable(presence *stream.Element) bool {
	_, room := presence.Child(roomName)
	return !room
}
