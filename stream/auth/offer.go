package auth

import (
	"crypto/tls"
	"fmt"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// nsBinding is the namespace of announced channel-binding types (XEP-0440).
const nsBinding = "urn:xmpp:sasl-cb:0"

// Bounds on an offer: far beyond what any server has, and small enough to search.
const (
	maxMechanisms = 64
	maxTypes      = 32
)

// parseMechanisms reads the names from a <mechanisms/> offer (RFC 6120 §6.4.1). Names that cannot
// be names are passed over, and so are elements of other namespaces (§6.3.5 rule 3).
func parseMechanisms(offer *stream.Element) ([]string, error) {
	var names []string
	for child := range offer.Children() {
		if child.Name() != (stream.Name{Space: NS, Local: "mechanism"}) {
			continue
		}
		name := strings.Trim(child.Text(), " \t\r\n") // an NMTOKEN (Appendix A.4)
		if !validMechanism(name) || slices.Contains(names, name) {
			continue
		}
		if len(names) == maxMechanisms {
			return nil, &sasl.Error{Condition: sasl.Aborted, Cause: fmt.Errorf("%w: more than %d mechanisms offered", ErrProtocol, maxMechanisms)}
		}
		names = append(names, name)
	}
	return names, nil
}

// validMechanism checks the syntax of a mechanism name (RFC 4422 §3.1): 1 to 20 upper-case letters,
// digits, hyphens and underscores.
func validMechanism(name string) bool {
	if name == "" || len(name) > 20 {
		return false
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// parseTypes reads the channel-binding types that the server announced in its stream features
// (XEP-0440). Nil: none.
func parseTypes(features *stream.Element) []string {
	if features == nil {
		return nil
	}
	el, ok := features.Child(stream.Name{Space: nsBinding, Local: "sasl-channel-binding"})
	if !ok {
		return nil
	}
	var types []string
	for child := range el.Children() {
		if child.Name() != (stream.Name{Space: nsBinding, Local: "channel-binding"}) {
			continue
		}
		if t := child.Attr("type"); t != "" && len(types) < maxTypes && !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

// writeOffer writes the mechanisms that a server offers.
func writeOffer(w *stream.Writer, mechs []sasl.Mechanism) {
	if len(mechs) == 0 {
		return
	}
	w.Start(stream.Name{Space: NS, Local: "mechanisms"})
	for _, m := range mechs {
		w.Start(stream.Name{Space: NS, Local: "mechanism"})
		w.Text(m.Name)
		w.End()
	}
	w.End()
}

// announcedKey is where the ID of the stream is kept whose features announce channel-binding types.
type announcedKey struct{}

// announceTypes writes the channel-binding types (XEP-0440) beside what is offered, once for both
// profiles. Types without a mechanism that uses them make a client suspect an attack, so that there
// are none then.
func announceTypes(n *stream.Negotiation, w *stream.Writer, types []string) {
	id := n.LocalHeader().ID
	if len(types) == 0 || n.Value(announcedKey{}) == id {
		return
	}
	n.SetValue(announcedKey{}, id)
	writeTypes(w, types)
}

func writeTypes(w *stream.Writer, types []string) {
	w.Start(stream.Name{Space: nsBinding, Local: "sasl-channel-binding"})
	for _, t := range types {
		w.Start(stream.Name{Space: nsBinding, Local: "channel-binding"})
		w.Attr("type", t)
		w.End()
	}
	w.End()
}

// bindingsOf lists the channel bindings of a connection, strongest first (XEP-0440 §3: stronger
// ones than tls-server-end-point are preferred).
func bindingsOf(sec *stream.Security) []sasl.Binding {
	if !sec.Secure() {
		return nil
	}
	var out []sasl.Binding
	for _, typ := range []string{sasl.TLSExporter, sasl.TLSUnique, sasl.TLSServerEndPoint} {
		// RFC 9266 §3: there is no tls-unique from TLS 1.3 on.
		if typ == sasl.TLSUnique && sec.Version >= tls.VersionTLS13 {
			continue
		}
		if data := sec.Bindings[typ]; len(data) > 0 {
			out = append(out, sasl.Binding{Type: typ, Data: data})
		}
	}
	return out
}

// bindingTypes returns the types of bindings.
func bindingTypes(bindings []sasl.Binding) []string {
	out := make([]string, len(bindings))
	for i, b := range bindings {
		out[i] = b.Type
	}
	return out
}

// names returns the names of mechanisms.
func names(mechs []sasl.Mechanism) []string {
	out := make([]string, len(mechs))
	for i, m := range mechs {
		out[i] = m.Name
	}
	return out
}
