package csi

import (
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Stamped returns el as it is written after it has waited for an hour, unless it
// has a delay already.
func Stamped(el *stream.Element) ([]byte, bool) {
	if _, ok := el.Child(delayName); ok {
		return nil, false
	}
	since := time.Date(2010, 7, 10, 23, 8, 25, 0, time.UTC)
	w := &waiting{b: el.Raw(), since: since, now: since.Add(time.Hour), by: jid.MustParse("capulet.lit")}
	out, err := w.AppendXML(nil)
	return out, err == nil
}

// Set changes the state of a client, as what it says does.
func Set(m *Module, r stanza.Resource, inactive bool) { m.set(r, inactive) }

// ModuleOf returns the module whose gate stands before r, or nil.
func ModuleOf(r stanza.Resource) *Module {
	if g, _ := r.Value(gateKey{}).(*gate); g != nil {
		return g.mod
	}
	return nil
}

// HostOf returns the server of a module.
func HostOf(m *Module) stanza.Host { return m.host }
