package ping

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NS is the namespace of the protocol, and its feature in service discovery
// (XEP-0199 §5, §9.1).
const NS = "urn:xmpp:ping"

var name = stream.Name{Space: NS, Local: "ping"}

// Doer sends a request and waits for the reply, as [*stanza.Conn] does.
type Doer interface {
	Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error)
}

// Ping asks the entity at address to for a sign of life and returns how long
// that took. The zero JID stands for the server of the stream (XEP-0199 §4.2).
//
// An error reply also counts: an entity that does not know the protocol has to
// say so (§3, §4), and thus is alive. The exceptions, for an address other than
// the zero JID, are errors by which somebody on the way says that nobody is
// there: [stanza.RemoteServerNotFound], [stanza.RemoteServerTimeout],
// [stanza.RecipientUnavailable], [stanza.ItemNotFound] and [stanza.Gone]. They
// are returned. A server answers [stanza.ServiceUnavailable] for a client that is
// gone, and a client that hides does so too (§7): for the full JID of somebody
// else that condition proves only that the server is alive.
//
// Any other error, such as that of ctx, means that there was no reply. ctx
// should have a deadline.
func Ping(ctx context.Context, d Doer, to jid.JID) (time.Duration, error) {
	start := time.Now()
	_, err := d.Do(ctx, &stanza.IQ{To: to, Type: stanza.GetIQ, Payload: request{}})
	rtt := time.Since(start)
	var reply *stanza.Error
	switch {
	case err == nil:
		return rtt, nil
	case errors.As(err, &reply) && reply.Received && (to.IsZero() || !unreachable(reply.Condition)):
		return rtt, nil
	}
	return 0, fmt.Errorf("ping: %w", err)
}

// unreachable reports whether a condition is the word of somebody on the way.
func unreachable(c stanza.Condition) bool {
	switch c {
	case stanza.RemoteServerNotFound, stanza.RemoteServerTimeout,
		stanza.RecipientUnavailable, stanza.ItemNotFound, stanza.Gone:
		return true
	}
	return false
}

// request is the payload of a ping.
type request struct{}

// AppendXML implements [stanza.Payload].
func (request) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(name)
	w.End()
	return w.Bytes()
}

// Responder returns the module that answers pings, whoever asks. To answer only
// some, put a [stanza.Filter] before it that bounces the others with
// [stanza.ServiceUnavailable], which is what somebody would be told who pings an
// entity that is not there (XEP-0199 §7).
func Responder() stanza.Module { return responder{} }

type responder struct{}

// Name implements [stanza.Module].
func (responder) Name() string { return "ping" }

// Features implements [stanza.Featurer].
func (responder) Features() []string { return []string{NS} }

// Register implements [stanza.Module].
func (responder) Register(m *stanza.Mux) error {
	// XEP-0199 §4: the pong is an empty result.
	return m.HandleIQ(stanza.GetIQ, name, func(context.Context, *stanza.IQ) (stanza.Payload, error) {
		return nil, nil
	})
}
