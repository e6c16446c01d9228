package otel

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric/noop"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

// initiated returns the client of a stream without TLS and authentication.
func initiated(t *testing.T, trace *stream.Trace) *stream.Session {
	t.Helper()
	a, b := xmpptest.Pipe()
	bare := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	domain := jid.MustParse("im.example")
	accepted := make(chan error, 1)
	go func() { // ends with the negotiation
		_, err := stream.Accept(context.Background(), b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		accepted <- err
	}()
	s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{Profile: bare, To: domain, Trace: trace})
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	t.Cleanup(func() { s.Abort(nil) })
	return s
}

// Of a session that has ended nothing is kept, and of one that lives no span.
func TestNothingIsKept(t *testing.T) {
	telemetry, err := New(&Options{MeterProvider: noop.MeterProvider{}})
	require.NoError(t, err)
	o := &observed{telemetry: telemetry, parent: t.Context()}
	s := initiated(t, telemetry.hooks(o))
	require.Len(t, telemetry.metrics.live, 1)
	require.Nil(t, o.span)
	require.Nil(t, o.ctx)
	s.Abort(nil)
	require.Empty(t, telemetry.metrics.live)
	require.Len(t, telemetry.metrics.sums, 1)
	require.Equal(t, observed{telemetry: telemetry, parent: t.Context()}, observed{
		telemetry: o.telemetry, parent: o.parent, begun: o.begun, role: o.role, domain: o.domain, mechanism: o.mechanism,
		security: o.security, early: o.early, since: o.since, span: o.span, ctx: o.ctx, session: o.session,
	})
}

// Sessions count stanzas modulo 2³² (XEP-0198 §4), from a number of their own.
func TestCountsWrap(t *testing.T) {
	s := initiated(t, nil)
	var i instruments
	require.NoError(t, i.init(noop.Meter{}, false))
	require.NoError(t, s.Send(t.Context(), raw("<presence/>")))
	c := i.begin(s, attribute.NewSet())
	c.update()
	require.Zero(t, c.sum.out.stanzas, "what came before is not counted")
	c.out = 1<<32 - 2 // as if it were long ago
	c.update()
	c.update()
	require.Equal(t, uint64(3), c.sum.out.stanzas)
	i.end(c)
	require.Empty(t, i.live)
	require.Equal(t, uint64(3), c.sum.out.stanzas)
}
