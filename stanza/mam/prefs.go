package mam

import (
	"fmt"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Policy is what happens to messages with those whom the preferences do not name
// (XEP-0441 §2.1.1).
type Policy string

// The policies.
const (
	ArchiveAlways Policy = "always" // messages are archived
	ArchiveNever  Policy = "never"  // they are not
	ArchiveRoster Policy = "roster" // they are if the contact is in the roster
)

// Prefs are the preferences of an account about what goes into its archive
// (XEP-0441). It is a payload. A bare JID in a list stands for all resources, a
// full one for itself (§2.3.1). Who is in both lists is not archived.
type Prefs struct {
	// Default is for those who are in neither list; it is required.
	Default Policy
	// Always and Never are at most [MaxPrefs] addresses together.
	Always, Never []jid.JID
}

// MaxPrefs is how many addresses preferences may name.
const MaxPrefs = 1000

// Clone returns a deep copy; that of nil is nil.
func (p *Prefs) Clone() *Prefs {
	if p == nil {
		return nil
	}
	return &Prefs{p.Default, slices.Clone(p.Always), slices.Clone(p.Never)}
}

// size is what preferences count for in a MemoryStore.
func (p *Prefs) size() int64 {
	if p == nil {
		return 0
	}
	n := entryCost
	for _, list := range [][]jid.JID{p.Always, p.Never} {
		for _, j := range list {
			n += len(j.String()) + 16
		}
	}
	return int64(n)
}

// Wants says what becomes of a message to or from target, which is the address as
// it stands in the message (XEP-0441 §2.3): ArchiveAlways or ArchiveNever, or
// ArchiveRoster if it depends on whether the bare target is in the roster.
func (p *Prefs) Wants(target jid.JID) Policy {
	switch {
	case contains(p.Never, target):
		return ArchiveNever
	case contains(p.Always, target):
		return ArchiveAlways
	}
	return p.Default
}

// contains reports whether a list names target.
func contains(list []jid.JID, target jid.JID) bool {
	bare := target.Bare()
	for _, j := range list {
		// XEP-0441 §2.3.1: with a resource it is compared as it is, without
		// one to the bare target.
		if j == target || j == bare {
			return true
		}
	}
	return false
}

// AppendXML implements [stanza.Payload]. It fails with [stanza.ErrInvalid] without
// a known Default, and for more than [MaxPrefs] addresses.
func (p *Prefs) AppendXML(dst []byte) ([]byte, error) {
	switch {
	case !p.Default.known():
		return dst, fmt.Errorf("%w: mam: preferences without a default", stanza.ErrInvalid)
	case len(p.Always)+len(p.Never) > MaxPrefs:
		return dst, fmt.Errorf("%w: mam: too many addresses in preferences", stanza.ErrInvalid)
	}
	w := stream.NewWriter(dst)
	w.Start(namePrefs)
	w.Attr("default", string(p.Default))
	// XEP-0441 §2.1: a server writes both lists, also if they are empty.
	for _, list := range []struct {
		local string
		jids  []jid.JID
	}{{"always", p.Always}, {"never", p.Never}} {
		w.Start(stream.Name{Local: list.local})
		for _, j := range list.jids {
			w.Start(stream.Name{Local: "jid"})
			w.Text(j.String())
			w.End()
		}
		w.End()
	}
	w.End()
	return w.Bytes()
}

func (p Policy) known() bool {
	return p == ArchiveAlways || p == ArchiveNever || p == ArchiveRoster
}

// DecodeElement implements [stanza.Decoder]. The error is a *[stanza.Error]:
// [stanza.BadRequest] for an element that is something else or has no known
// default, [stanza.JIDMalformed] for an address that is none, and
// [stanza.ResourceConstraint] for more than [MaxPrefs] addresses. Then p is zero.
func (p *Prefs) DecodeElement(el *stream.Element) error {
	*p = Prefs{}
	if el.Name() != namePrefs {
		return badRequest("not preferences of an archive")
	}
	out := Prefs{Default: Policy(el.Attr("default"))}
	if !out.Default.known() {
		// XEP-0441 §2.1.1: MUST be one of the three.
		return badRequest("no known default in the preferences")
	}
	for child := range el.Children() {
		var list *[]jid.JID
		switch child.Name() {
		case stream.Name{Space: NS, Local: "always"}:
			list = &out.Always
		case stream.Name{Space: NS, Local: "never"}:
			list = &out.Never
		default:
			continue
		}
		for item := range child.Children() {
			if item.Name() != (stream.Name{Space: NS, Local: "jid"}) {
				continue
			}
			if len(out.Always)+len(out.Never) >= MaxPrefs {
				return &stanza.Error{Condition: stanza.ResourceConstraint, Text: "too many addresses in the preferences"}
			}
			j, err := parseJID(item)
			if err != nil {
				return err
			}
			if !slices.Contains(*list, j) {
				*list = append(*list, j)
			}
		}
	}
	*p = out
	return nil
}

// prefsRequest asks for the preferences.
type prefsRequest struct{}

// AppendXML implements [stanza.Payload].
func (prefsRequest) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(namePrefs)
	w.End()
	return w.Bytes()
}
