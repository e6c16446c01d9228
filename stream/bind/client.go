package bind

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of resource binding (RFC 6120 §7.1).
const NS = "urn:ietf:params:xml:ns:xmpp-bind"

var bindName = stream.Name{Space: NS, Local: "bind"}

// ClientOptions says which resource a client binds.
type ClientOptions struct {
	// Resource is the resource to ask for. Empty means the one of stream.InitiateOptions.From, and
	// if that has none, one that the server makes up. The latter is best unless there is a reason:
	// others cannot guess it (RFC 6120 §7.5).
	Resource string

	// Tag is a short name for the client's software, "AwesomeBot", that becomes part of the resource
	// when the server binds by Bind 2 (XEP-0386), and can then be seen by others: nothing private, no
	// host names. The rest of the resource is the server's choice then; so Bind 2 is not used when there
	// is a resource to ask for. Empty means no tag.
	Tag string
}

// Client returns the feature with which an initiating entity binds a resource. The options are
// copied; nil means the zero value. The feature is safe for concurrent use by any number of
// streams. It takes part in SASL 2 by Bind 2 (XEP-0386), which saves the round trip.
//
// The server may bind another resource than the one asked for (RFC 6120 §7.7.1); Session.LocalAddr
// tells. A refusal fails the negotiation with an [*Error], an answer that makes no sense with an
// error that wraps [ErrProtocol].
func Client(opts *ClientOptions) stream.Feature {
	var o ClientOptions
	if opts != nil {
		o = *opts
	}
	return stream.Feature{
		Name:     bindName,
		Needs:    stream.Authenticated,
		Forbids:  stream.Bound,
		Initiate: o.initiate,
		Inline:   []stream.Inline{o.inline()},
	}
}

// initiate implements stream.Feature.Initiate.
func (o *ClientOptions) initiate(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
	resource := o.wanted(n)
	if resource != "" {
		// What cannot be a resource is the caller's mistake, and not one to bother the server with.
		if _, err := n.Domain().WithResource(resource); err != nil {
			return stream.Outcome{}, fmt.Errorf("bind: asking for resource: %w", err)
		}
	}
	id := rand.Text()
	if err := n.Write(func(w *stream.Writer) { writeRequest(w, id, resource) }); err != nil {
		return stream.Outcome{}, err
	}
	el, err := n.Read(ctx)
	for range maxPings {
		if err != nil || !isPing(el) {
			break
		}
		// RFC 6120 §7.1: it is too early for stanzas. But a server that asks for a sign
		// of life gets one.
		if err = n.Write(func(w *stream.Writer) { pong(el, w) }); err == nil {
			el, err = n.Read(ctx)
		}
	}
	if err != nil {
		return stream.Outcome{}, err
	}
	bound, err := parseResult(el, id, n.Domain(), n.Identity().Bare())
	if err != nil {
		return stream.Outcome{}, err
	}
	n.SetIdentity(bound)
	if t := n.Trace(); t.Bound != nil {
		t.Bound(bound)
	}
	// RFC 6120 §7.3.2: no restart.
	return stream.Outcome{Reached: stream.Bound}, nil
}

// maxPings is how many pings of the server are answered before it answers.
const maxPings = 16

// isPing reports whether an element is a ping of the server's (XEP-0199).
func isPing(el *stream.Element) bool {
	if el.Name() != (stream.Name{Space: stream.NSClient, Local: "iq"}) || el.Attr("type") != "get" {
		return false
	}
	_, ping := el.Child(stream.Name{Space: "urn:xmpp:ping", Local: "ping"})
	return ping
}

// pong writes the answer to a ping.
func pong(ping *stream.Element, w *stream.Writer) {
	w.Start(stream.Name{Space: stream.NSClient, Local: "iq"})
	w.Attr("id", ping.Attr("id"))
	if from := ping.Attr("from"); from != "" {
		w.Attr("to", from)
	}
	w.Attr("type", "result")
	w.End()
}

// wanted returns the resource to ask for, or "".
func (o *ClientOptions) wanted(n *stream.Negotiation) string {
	if o.Resource != "" {
		return o.Resource
	}
	return n.Wanted().Resource()
}

// writeRequest writes the request (RFC 6120 §7.6.1, §7.7.1).
func writeRequest(w *stream.Writer, id, resource string) {
	w.Start(stream.Name{Space: stream.NSClient, Local: "iq"})
	w.Attr("type", "set")
	w.Attr("id", id)
	w.Start(bindName)
	if resource != "" {
		w.Start(stream.Name{Space: NS, Local: "resource"})
		w.Text(resource)
		w.End()
	}
	w.End()
	w.End()
}

// parseResult reads the answer to the request with this id, on a stream with domain for account,
// which is zero if not known.
func parseResult(el *stream.Element, id string, domain, account jid.JID) (jid.JID, error) {
	if el.Name() != (stream.Name{Space: stream.NSClient, Local: "iq"}) {
		return jid.JID{}, violation("answered with %s", quote.ASCII(el.Name().String(), 128))
	}
	if got := el.Attr("id"); got != id {
		return jid.JID{}, violation("answer to another request, %s", quote.ASCII(got, 128))
	}
	from, err := el.From()
	if err != nil {
		return jid.JID{}, violation("sender of the answer: %w", err)
	}
	if typ := el.Attr("type"); typ == "error" {
		// RFC 6120 §8.1.2.1: without a from it is from the account; servers also say that it is from them.
		if !from.IsZero() && from != domain && from != account {
			return jid.JID{}, violation("answered by %s", quote.ASCII(from.String(), 128))
		}
		return jid.JID{}, parseError(el)
	} else if typ != "result" {
		return jid.JID{}, violation("answer of type %s", quote.ASCII(typ, 128))
	}
	bound, err := resultJID(el)
	if err != nil {
		return jid.JID{}, err
	}
	switch {
	case !bound.IsFull() || bound.Local() == "":
		return jid.JID{}, violation("bound %s, which is no full address", quote.ASCII(bound.String(), 128))
	// RFC 6120 §7.6.1: the address is as determined by the server; a server may know the account by another name than the one that
	// was used to log in. That it is in another domain is not for this server to say.
	case bound.Domain() != domain.Domain():
		return jid.JID{}, violation("bound %s, which is not in %s", quote.ASCII(bound.String(), 128), domain)
	case !from.IsZero() && from != domain && from != bound && from != bound.Bare() && from != account:
		return jid.JID{}, violation("answered by %s", quote.ASCII(from.String(), 128))
	}
	return bound, nil
}

// resultJID returns the address in a result.
func resultJID(iq *stream.Element) (jid.JID, error) {
	el, ok := iq.Child(bindName)
	if !ok {
		return jid.JID{}, violation("result without an address")
	}
	if el, ok = el.Child(stream.Name{Space: NS, Local: "jid"}); !ok {
		return jid.JID{}, violation("result without an address")
	}
	// The examples of RFC 6120 §7.6.1 have white space around the address; no address begins or ends with it.
	bound, err := jid.Parse(strings.Trim(el.Text(), " \t\r\n"))
	if err != nil {
		return jid.JID{}, violation("bound address: %w", err)
	}
	return bound, nil
}

func violation(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
}
