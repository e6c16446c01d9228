package auth

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// NSFast is the namespace of FAST (XEP-0484).
const NSFast = "urn:xmpp:fast:0"

var fastName = stream.Name{Space: NSFast, Local: "fast"}

// maxToken is the longest token that a client keeps, in bytes.
const maxToken = 1024

// fastRequest is what an <authenticate/> says about tokens (XEP-0484 §3.2, §3.4, §3.6).
type fastRequest struct {
	// present: there is a <fast/>, so that the mechanism uses a token.
	present bool
	// count is what the client counts up with every attempt; zero if it does not say.
	count uint64
	// invalidate asks for the token to be forgotten.
	invalidate bool
	// request is the mechanism to issue a token for; empty: none is wanted.
	request string
}

// read reads a child of <authenticate/>.
func (r *fastRequest) read(el *stream.Element) error {
	if el.Name().Local == "request-token" {
		r.request = el.Attr("mechanism")
		return nil
	}
	r.present = true
	if v, ok := el.AttrBytes("count"); ok {
		// §3.4: a positive integer.
		n, err := strconv.ParseUint(string(v), 10, 63)
		if err != nil || n == 0 {
			return fmt.Errorf("%w: count of a token", errContent)
		}
		r.count = n
	}
	if v, ok := el.AttrBytes("invalidate"); ok {
		switch string(v) { // xs:boolean
		case "1", "true":
			r.invalidate = true
		case "0", "false":
		default:
			return fmt.Errorf("%w: invalidate of a token", errContent)
		}
	}
	return nil
}

// write writes what there is to say.
func (r fastRequest) write(w *stream.Writer) {
	if r.present {
		w.Start(fastName)
		if r.count > 0 {
			w.Attr("count", strconv.FormatUint(r.count, 10))
		}
		if r.invalidate {
			w.Attr("invalidate", "true")
		}
		w.End()
	}
	if r.request != "" {
		w.Start(stream.Name{Space: NSFast, Local: "request-token"})
		w.Attr("mechanism", r.request)
		w.End()
	}
}

// writeFastOffer writes the mechanisms for tokens (XEP-0484 §3.1). There is no tls-0rtt: early data
// is neither sent nor accepted.
func writeFastOffer(w *stream.Writer, mechs []sasl.Mechanism) {
	if len(mechs) == 0 {
		return
	}
	w.Start(fastName)
	for _, m := range mechs {
		w.Start(stream.Name{Space: NSFast, Local: "mechanism"})
		w.Text(m.Name)
		w.End()
	}
	w.End()
}

// parseFastOffer returns the mechanisms in a <fast/> of an <inline/>.
func parseFastOffer(inline *stream.Element) []string {
	if inline == nil {
		return nil
	}
	el, ok := inline.Child(fastName)
	if !ok {
		return nil
	}
	var names []string
	for child := range el.Children() {
		name := child.Text()
		if child.Name() == (stream.Name{Space: NSFast, Local: "mechanism"}) && validMechanism(name) && len(names) < maxMechanisms && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// writeToken writes a token that the client is given (XEP-0484 §3.3), if there is one.
func writeToken(w *stream.Writer, t StoredToken) {
	if t.Secret == "" {
		return
	}
	w.Start(stream.Name{Space: NSFast, Local: "token"})
	w.Attr("token", t.Secret)
	w.Attr("expiry", t.Expires.UTC().Format(time.RFC3339)) // the profile DateTime of XEP-0082
	w.End()
}

// parseToken returns the token in a <success/>. A token that cannot be read is none: the client is
// authenticated, and can ask for another one next time.
func parseToken(success *stream.Element) (secret string, expires time.Time, ok bool) {
	el, ok := success.Child(stream.Name{Space: NSFast, Local: "token"})
	if !ok {
		return "", time.Time{}, false
	}
	secret = el.Attr("token")
	expires, err := time.Parse(time.RFC3339, el.Attr("expiry"))
	if err != nil || secret == "" || len(secret) > maxToken {
		return "", time.Time{}, false
	}
	return secret, expires, true
}

// fastMechanisms returns the mechanisms for tokens that a connection can use, strongest first. The
// one without a binding comes last.
func fastMechanisms(bindings []sasl.Binding) []sasl.Mechanism {
	return slices.DeleteFunc(sasl.FastMechanisms(), func(m sasl.Mechanism) bool {
		return m.ChannelBinding && !slices.ContainsFunc(bindings, func(b sasl.Binding) bool { return b.Type == m.BindingType })
	})
}
