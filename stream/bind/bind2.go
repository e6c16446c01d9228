package bind

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// NSBind2 is the namespace of Bind 2 (XEP-0386 v1.1.0).
const NSBind2 = "urn:xmpp:bind:0"

var (
	bind2Name  = stream.Name{Space: NSBind2, Local: "bind"}
	boundName  = stream.Name{Space: NSBind2, Local: "bound"}
	tagName    = stream.Name{Space: NSBind2, Local: "tag"}
	inlineName = stream.Name{Space: NSBind2, Local: "inline"}
)

// maxTag is how much of a client's tag goes into a resource, in bytes.
const maxTag = 256

// inline returns how a client takes part in SASL 2.
func (o *ClientOptions) inline() stream.Inline {
	return stream.Inline{
		In:      stream.InAuthentication,
		Space:   NSBind2,
		Request: o.request2,
		Result:  result2,
	}
}

// request2 implements stream.Inline.Request (XEP-0386 §3.2).
func (o *ClientOptions) request2(n *stream.Negotiation, offer *stream.Element, w *stream.Writer) error {
	if offer.Name() != bind2Name || o.wanted(n) != "" {
		// With Bind 2 the server chooses. Whoever wants a certain resource gets it by RFC 6120 §7, or not at all.
		return nil
	}
	w.Start(bind2Name)
	defer w.End()
	if o.Tag != "" {
		// What cannot be part of a resource is the caller's mistake.
		if _, err := n.Domain().WithResource(o.Tag); err != nil {
			return fmt.Errorf("bind: tag: %w", err)
		}
		w.Start(tagName)
		w.Text(o.Tag)
		w.End()
	}
	features, _ := offer.Child(inlineName)
	return n.RequestInline(stream.InBinding, features, w)
}

// result2 implements stream.Inline.Result. By then the stream has the identity that the server named
// in its success.
func result2(n *stream.Negotiation, answer *stream.Element) (stream.Outcome, error) {
	if answer == nil {
		// The server did not bind, or it resumed an earlier session: binding is still to be done by RFC 6120, or done.
		return stream.Outcome{}, nil
	}
	bound := n.Identity()
	switch {
	case answer.Name() != boundName:
		return stream.Outcome{}, violation("answered with %s", quote.ASCII(answer.Name().String(), 128))
	// XEP-0386 §3.2: the full JID is the authorization identifier.
	case !bound.IsFull() || bound.Local() == "":
		return stream.Outcome{}, violation("bound %s, which is no full address", quote.ASCII(bound.String(), 128))
	case bound.Domain() != n.Domain().Domain():
		return stream.Outcome{}, violation("bound %s, which is not in %s", quote.ASCII(bound.String(), 128), n.Domain())
	}
	n.Establish(stream.Bound)
	out, err := n.ResultInline(stream.InBinding, answer)
	if err != nil {
		return stream.Outcome{}, err
	}
	if t := n.Trace(); t.Bound != nil {
		t.Bound(bound)
	}
	out.Reached |= stream.Bound
	return out, nil
}

// inline returns how a server takes part in SASL 2.
func (o *ServerOptions) inline() stream.Inline {
	return stream.Inline{
		In:        stream.InAuthentication,
		Space:     NSBind2,
		Advertise: advertise2,
		Accept:    o.accept2,
	}
}

// advertise2 implements stream.Inline.Advertise (XEP-0386 §3.1).
func advertise2(n *stream.Negotiation, w *stream.Writer) error {
	w.Start(bind2Name)
	defer w.End()
	return n.AdvertiseInline(stream.InBinding, inlineName, w)
}

// accept2 implements stream.Inline.Accept.
func (o *ServerOptions) accept2(ctx context.Context, n *stream.Negotiation, request *stream.Element, w *stream.Writer) (stream.Outcome, error) {
	if err := o.Validate(); err != nil {
		return stream.Outcome{}, &stream.Error{Condition: stream.InternalServerError, Cause: err}
	}
	if request.Name() != bind2Name {
		// XEP-0388 §2.3: what is not understood is ignored.
		return stream.Outcome{}, nil
	}
	asked, err := o.resource2(n, request)
	if err != nil {
		return stream.Outcome{}, &stream.Error{Condition: stream.InternalServerError, Cause: err}
	}
	bound := asked
	if o.Bind != nil {
		bound, err = o.decide(ctx, n, asked)
	}
	var fatal *stream.Error
	switch {
	case err == nil:
	case errors.As(err, &fatal), ctx.Err() != nil:
		return stream.Outcome{}, err
	default:
		// XEP-0386 knows no refusal. Without a <bound/> the client is authenticated and no more, and the binding of RFC 6120, which is
		// offered next, can tell it why.
		failed, _ := n.Value(failedKey{}).(int)
		n.SetValue(failedKey{}, failed+1)
		return stream.Outcome{}, nil
	}
	n.SetIdentity(bound)
	n.Establish(stream.Bound)
	w.Start(boundName)
	out, err := n.AcceptInline(ctx, stream.InBinding, request, w)
	w.End()
	if err != nil {
		return stream.Outcome{}, err
	}
	if t := n.Trace(); t.Bound != nil {
		t.Bound(bound)
	}
	out.Reached |= stream.Bound
	return out, nil
}

// resource2 makes up the resource (XEP-0386 §3.2.1): the client's tag, and behind it something that nobody
// can guess. It is the same every time for one installation of a client, so that the new session of a
// client whose connection broke unnoticed meets its old one under that address, as a conflict to be
// settled: XEP-0386 §3.2 wants the old one gone.
func (o *ServerOptions) resource2(n *stream.Negotiation, request *stream.Element) (jid.JID, error) {
	tag := ""
	if el, ok := request.Child(tagName); ok {
		if t := cutText(el.Text(), maxTag); t != "" {
			// "Subject to the necessary validation": a tag that cannot be in a resource is as good as none.
			if j, err := n.Domain().WithResource(t); err == nil {
				tag = j.Resource() + "/"
			}
		}
	}
	unique := rand.Text()
	if id := n.UserAgent().ID; id != "" {
		unique = o.stable(n.Identity(), id, tag)
	}
	return n.Identity().WithResource(tag + unique)
}

// stable derives a resource from the client's id, which must not show in it (XEP-0386 §3.2.1).
func (o *ServerOptions) stable(account jid.JID, id, tag string) string {
	mac := hmac.New(sha256.New, o.key)
	for _, s := range []string{account.String(), id, tag} {
		// Lengths before texts keep any two inputs apart.
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		io.WriteString(mac, s)
	}
	// 130 bits, as rand.Text has.
	return base32.StdEncoding.EncodeToString(mac.Sum(nil))[:26]
}

// cutText returns at most limit bytes of s, whole characters.
func cutText(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}
