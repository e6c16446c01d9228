package hint

import (
	"iter"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol (XEP-0334 §9).
const NS = "urn:xmpp:hints"

// Hint is a set of hints: combine them with |. The zero value is the empty set.
// A set is a payload that writes one element for each hint in it.
type Hint uint8

// The hints of XEP-0334 §4.
const (
	// NoPermanentStore asks that no archive and no log keeps the message; the
	// offline store may (§4.1).
	NoPermanentStore Hint = 1 << iota
	// NoStore asks that nobody keeps the message, not even for a client that is
	// offline (§4.2).
	NoStore
	// NoCopy asks that the message goes to its addressee only, without carbons.
	// It belongs into messages to full JIDs only (§4.3).
	NoCopy
	// Store asks to keep the message although it looks as if it were not worth
	// it, for having no body (§4.4).
	Store
)

// names are the elements, in the order of the bits.
var names = [...]string{"no-permanent-store", "no-store", "no-copy", "store"}

// Has reports whether all hints of want are in h.
func (h Hint) Has(want Hint) bool { return h&want == want }

// Archive reports whether a message with these hints may go into an archive, and
// if so, whether it has to even if the rules of the archive would leave it out
// (§4.1, §4.2, §4.4). Hints that contradict each other count as a wish not to be
// stored, which is the one that cannot be made good later.
func (h Hint) Archive() (may, must bool) {
	may = h&(NoStore|NoPermanentStore) == 0
	return may, may && h&Store != 0
}

// Offline is like [Hint.Archive] for the store that keeps a message until a
// client of its addressee is there (§4.1, §4.2, §4.4).
func (h Hint) Offline() (may, must bool) {
	may = h&NoStore == 0
	return may, may && h&Store != 0
}

// AppendXML implements [stanza.Payload]. The empty set writes nothing.
func (h Hint) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	for i, local := range names {
		if h&(1<<i) != 0 {
			w.Start(stream.Name{Space: NS, Local: local})
			w.End()
		}
	}
	return w.Bytes()
}

// Of returns the hints of the stanza el, as it was received. XEP-0334 §5: those of
// a stanza of type error are ignored, since they are those of the message that
// the error is about; the result is the empty set then, as it is for anything but
// a message.
func Of(el *stream.Element) Hint {
	if stanza.KindOf(el.Name()) != stanza.MessageKind {
		return 0
	}
	if typ, _ := el.AttrBytes("type"); string(typ) == string(stanza.ErrorMessage) {
		return 0
	}
	return among(el.Children())
}

// Has reports whether the stanza el has all hints of want, in the way of [Of].
func Has(el *stream.Element, want Hint) bool { return Of(el).Has(want) }

// OfMessage is [Of] for a message that was decoded. Hints in Extra, which this
// side has put there, are not looked at.
func OfMessage(m *stanza.Message) Hint {
	if m.IsError() {
		return 0
	}
	return among(m.Payloads())
}

// among collects the hints among payloads.
func among(payloads iter.Seq[*stream.Element]) (h Hint) {
	for el := range payloads {
		name := el.Name()
		if name.Space != NS {
			continue
		}
		for i, local := range names {
			if name.Local == local {
				h |= 1 << i
			}
		}
	}
	return h
}
