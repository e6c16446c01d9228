package hostmeta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/stream"
)

const (
	// relWebSocket is the relation of the links that are wanted (XEP-0156).
	relWebSocket = "urn:xmpp:alt-connections:websocket"
	// nsXRD is the namespace of XRD 1.0.
	nsXRD = "http://docs.oasis-open.org/ns/xri/xrd-1.0"

	maxHref = 2048
)

// link is a link of a document.
type link struct{ rel, href string }

// isWebSocket: RFC 5988 §4.2: relation types that are URIs are compared without
// regard to case.
func (l link) isWebSocket() bool { return strings.EqualFold(l.rel, relWebSocket) }

// parseXRD returns the links of an XRD document (RFC 6415 §3). It is read by the
// rules of XMPP: without comments, processing instructions and document type.
func parseXRD(body []byte) ([]link, error) {
	fail := func(err error) ([]link, error) { return nil, fmt.Errorf("%w: %w", ErrDocument, err) }
	t, err := stream.NewTokenizer(&stream.Limits{Depth: 16})
	if err != nil {
		return fail(err)
	}
	t.Feed(bytes.TrimPrefix(body, []byte("\ufeff"))) // a file may begin so
	var links []link
	for depth := 0; ; {
		tok, err := t.Next()
		if errors.Is(err, stream.ErrNeedMore) {
			err = t.Finish()
			if err == nil {
				return links, nil
			}
		}
		if err != nil {
			return fail(err)
		}
		switch tok.Kind {
		case stream.StartElement:
			switch {
			case depth == 0 && tok.Name != (stream.Name{Space: nsXRD, Local: "XRD"}):
				return fail(errors.New("the document element is not XRD"))
			case depth == 1 && tok.Name == (stream.Name{Space: nsXRD, Local: "Link"}):
				links = append(links, link{attr(tok, "rel"), attr(tok, "href")})
			}
			depth++
		case stream.EndElement:
			depth--
		}
	}
}

// attr returns the value of an attribute without namespace.
func attr(tok *stream.Token, local string) string {
	for _, a := range tok.Attrs {
		if a.Name == (stream.Name{Local: local}) {
			return string(a.Value)
		}
	}
	return ""
}

// parseJRD returns the links of a JRD document (RFC 6415 Appendix A). What is in
// it besides does not matter, nor do links that are not as they should be.
func parseJRD(body []byte) ([]link, error) {
	// Maps, because a struct would take members whose names differ in case.
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil || members == nil {
		return nil, fmt.Errorf("%w: no JSON object", ErrDocument)
	}
	raw, ok := members["links"]
	if !ok {
		return nil, nil
	}
	var list []json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("%w: the links are no array", ErrDocument)
	}
	var links []link
	for _, item := range list {
		var m map[string]json.RawMessage
		var l link
		if json.Unmarshal(item, &m) == nil && json.Unmarshal(m["rel"], &l.rel) == nil && json.Unmarshal(m["href"], &l.href) == nil {
			links = append(links, l)
		}
	}
	return links, nil
}
