package version

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0092 §4).
const NS = "jabber:iq:version"

// maxText is how long each part of a decoded Version may be, in octets.
const maxText = 1_024

var name = stream.Name{Space: NS, Local: "query"}

// Version says which software somebody runs (XEP-0092 §2). The parts of a
// decoded one are copies, and the peer's word.
type Version struct {
	// Name is the name of the software, and Number its version; both are
	// required in an answer.
	Name, Number string
	// OS is the operating system. Empty, which is what to answer by default,
	// does not tell (§5).
	OS string
}

// AppendXML implements [stanza.Payload]. The zero Version is the query. It fails
// with [stanza.ErrInvalid] for one that has something, but no name or no number.
func (v Version) AppendXML(dst []byte) ([]byte, error) {
	if v != (Version{}) && (v.Name == "" || v.Number == "") {
		return dst, fmt.Errorf("version: %w: no name or no number", stanza.ErrInvalid)
	}
	w := stream.NewWriter(dst)
	w.Start(name)
	for _, part := range []struct{ local, text string }{{"name", v.Name}, {"version", v.Number}, {"os", v.OS}} {
		if part.text != "" {
			w.Start(stream.Name{Local: part.local})
			w.Text(part.text)
			w.End()
		}
	}
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error] with
// [stanza.BadRequest]: for an element that is something else, one without name or
// version (XEP-0092 §2), and one in which a part occurs twice or has more than
// 1024 octets. Those two may be empty, as some software has it.
func (v *Version) DecodeElement(el *stream.Element) error {
	*v = Version{}
	if el.Name() != name {
		return malformed("not a query")
	}
	var out Version
	seen := map[string]bool{}
	for child := range el.Children() {
		n := child.Name()
		if n.Space != NS {
			continue
		}
		var part *string
		switch n.Local {
		case "name":
			part = &out.Name
		case "version":
			part = &out.Number
		case "os":
			part = &out.OS
		default:
			continue
		}
		if seen[n.Local] {
			return malformed(n.Local + " twice")
		}
		seen[n.Local] = true
		if *part = child.Text(); len(*part) > maxText {
			return malformed(n.Local + " too long")
		}
	}
	if !seen["name"] || !seen["version"] {
		return malformed("no name or no version")
	}
	*v = out
	return nil
}

func malformed(text string) error {
	return &stanza.Error{Condition: stanza.BadRequest, Text: "version: " + text}
}

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Get asks the entity at address to which software it is (XEP-0092 §3). The error
// wraps a [*stanza.Error] if it does not tell, most often with
// [stanza.ServiceUnavailable]; or if its answer is malformed, with
// [stanza.BadRequest] and without Received. ctx should have a deadline.
func Get(ctx context.Context, d Doer, to jid.JID) (Version, error) {
	reply, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: Version{}})
	if err != nil {
		return Version{}, fmt.Errorf("version: %w", err)
	}
	el := reply.Element()
	if el == nil {
		return Version{}, malformed("reply without a query")
	}
	var v Version
	if err := v.DecodeElement(el); err != nil {
		return Version{}, err
	}
	return v, nil
}

// Responder returns the module that answers with v, whoever asks: on a server, for
// its domain, and for the account of the client that asks. To answer only some, put a [stanza.Filter] before it
// that bounces the others with [stanza.ServiceUnavailable].
func Responder(v Version) stanza.Module { return responder{v} }

type responder struct{ v Version }

// Name implements [stanza.Module].
func (responder) Name() string { return "version" }

// Features implements [stanza.Featurer].
func (responder) Features() []string { return []string{NS} }

// Register implements [stanza.Module]. The error wraps [stanza.ErrInvalid] if
// there is no name or no number to answer with.
func (r responder) Register(m *stanza.Mux) error {
	if r.v.Name == "" || r.v.Number == "" {
		return fmt.Errorf("version: %w: no name or no number", stanza.ErrInvalid)
	}
	return m.HandleIQ(stanza.GetIQ, name, func(context.Context, *stanza.IQ) (stanza.Payload, error) {
		return r.v, nil
	})
}
