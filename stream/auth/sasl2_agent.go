package auth

import (
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/stream"
)

// parseAgent reads a <user-agent/> (XEP-0388 §2.3). The texts are for people, and cut to 512 bytes.
func parseAgent(el *stream.Element) (stream.UserAgent, error) {
	var a stream.UserAgent
	if id, ok := el.AttrBytes("id"); ok {
		// "The contents of the 'id' attribute MUST be a UUID v4."
		if !validUUID4(string(id)) {
			return a, fmt.Errorf("%w: the id of the user agent is no UUID of version 4", errContent)
		}
		a.ID = strings.ToLower(string(id))
	}
	for child := range el.Children() {
		switch child.Name() {
		case stream.Name{Space: NS2, Local: "software"}:
			a.Software = plainText(child.Text())
		case stream.Name{Space: NS2, Local: "device"}:
			a.Device = plainText(child.Text())
		}
	}
	return a, nil
}

// checkAgent refuses what a client must not say about itself.
func checkAgent(a stream.UserAgent) error {
	if a.ID != "" && !validUUID4(a.ID) {
		return fmt.Errorf("%w: UserAgent.ID is no UUID of version 4", ErrOptions)
	}
	return nil
}

// writeAgent writes a <user-agent/>, if there is anything to say.
func writeAgent(w *stream.Writer, a stream.UserAgent) {
	if a == (stream.UserAgent{}) {
		return
	}
	w.Start(stream.Name{Space: NS2, Local: "user-agent"})
	if a.ID != "" {
		w.Attr("id", strings.ToLower(a.ID))
	}
	writeText(w, "software", a.Software)
	writeText(w, "device", a.Device)
	w.End()
}

// writeText writes an element of SASL 2 that holds text, unless there is none.
func writeText(w *stream.Writer, local, text string) {
	if text = plainText(text); text == "" {
		return
	}
	w.Start(stream.Name{Space: NS2, Local: local})
	w.Text(text)
	w.End()
}

// validUUID4 checks the form, the version and the variant of a UUID (RFC 9562 §4, §5.4).
func validUUID4(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i] | 0x20; i { // lower case; a hyphen stays what it is
		case 8, 13, 18, 23:
			if s[i] != '-' {
				return false
			}
		case 14:
			if s[i] != '4' {
				return false
			}
		case 19:
			if s[i] != '8' && s[i] != '9' && c != 'a' && c != 'b' {
				return false
			}
		default:
			if (s[i] < '0' || s[i] > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
