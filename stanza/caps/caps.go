package caps

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0115 §7, §11.1).
const NS = "http://jabber.org/protocol/caps"

var name = stream.Name{Space: NS, Local: "c"}

// The bounds of what is decoded, in octets.
const (
	maxNode = 1_024 // of node and ext
	maxVer  = 256
	maxHash = 64
)

// Caps is what an entity announces about its capabilities (XEP-0115 §4): a value
// that can be compared. It is a payload of presence, and a stream feature.
type Caps struct {
	// Hash names the function that made Ver, such as "sha-1". Empty is the
	// legacy format, in which Ver is a version of the software.
	Hash string
	// Node identifies the software, most often by the address of its web site;
	// required. It is the peer's word.
	Node string
	// Ver is the verification string; required.
	Ver string
	// Ext names bundles of features in the legacy format, separated by white
	// space; otherwise it is empty.
	Ext string
}

// Verifiable reports whether Ver can be checked here: whether [Ver] knows Hash.
func (c Caps) Verifiable() bool { return hashes[c.Hash] != nil }

// Query is the node of service discovery that stands for c (XEP-0115 §6.2).
func (c Caps) Query() string { return c.Node + "#" + c.Ver }

// Key is under what the meaning of c is kept.
func (c Caps) Key() Key { return Key{c.Hash, c.Ver} }

// Key identifies what a verification string stands for, whoever announces it.
type Key struct{ Hash, Ver string }

// Of returns what a presence that was received announces. It reports false if it
// has no such element, or one that is malformed.
func Of(p *stanza.Presence) (Caps, bool) {
	el, ok := p.Payload(name)
	if !ok {
		return Caps{}, false
	}
	var c Caps
	return c, c.DecodeElement(el) == nil
}

// AppendXML implements [stanza.Payload]. It fails with [stanza.ErrInvalid] if Node
// or Ver is empty.
func (c Caps) AppendXML(dst []byte) ([]byte, error) {
	if c.Node == "" || c.Ver == "" {
		return dst, fmt.Errorf("caps: %w: no node or no ver", stanza.ErrInvalid)
	}
	w := stream.NewWriter(dst)
	c.write(&w)
	return w.Bytes()
}

func (c Caps) write(w *stream.Writer) {
	w.Start(name)
	if c.Hash != "" {
		w.Attr("hash", c.Hash)
	}
	w.Attr("node", c.Node)
	w.Attr("ver", c.Ver)
	if c.Ext != "" {
		w.Attr("ext", c.Ext)
	}
	w.End()
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with
// [stanza.BadRequest], for an element that is something else, one without node or
// ver (XEP-0115 §4), and one with values too long to be kept for everybody who
// might send them: node and ext of 1024 octets, ver of 256, hash of 64.
func (c *Caps) DecodeElement(el *stream.Element) error {
	*c = Caps{}
	if el.Name() != name {
		return malformed("not an element of entity capabilities")
	}
	for _, a := range []struct {
		local    string
		max      int
		required bool
	}{
		{"hash", maxHash, false}, // §12: not in the legacy format
		{"node", maxNode, true},
		{"ver", maxVer, true},
		{"ext", maxNode, false},
	} {
		switch b, _ := el.AttrBytes(a.local); {
		case a.required && len(b) == 0:
			return malformed("no " + a.local)
		case len(b) > a.max:
			return malformed(a.local + " too long")
		}
	}
	*c = Caps{Hash: el.Attr("hash"), Node: el.Attr("node"), Ver: el.Attr("ver"), Ext: el.Attr("ext")}
	return nil
}

func malformed(text string) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: "caps: " + text}
}
