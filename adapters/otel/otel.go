package otel

import (
	"context"
	"fmt"
	"slices"
	"time"

	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// scope names the instrumentation.
const scope = "stanzakit.dev/xmpp/adapters/otel"

// Options says where spans and metrics go, and what is in them. Nil and the zero
// value use the providers that are set globally.
type Options struct {
	// TracerProvider makes spans; nil means that of otel.GetTracerProvider.
	TracerProvider trace.TracerProvider

	// MeterProvider makes metrics; nil means that of otel.GetMeterProvider.
	MeterProvider metric.MeterProvider

	// Domains are those which metrics tell apart in xmpp.domain: the domains that
	// a server serves, say. The other ones are "_OTHER". Empty leaves the attribute
	// out. Spans have the domain of their stream in any case.
	Domains []jid.JID

	// Addresses puts the address of the client into spans. False leaves it out:
	// who is online when is private.
	Addresses bool

	// Elements counts first-level elements by kind. Each one that is sent is
	// parsed once more for that, as for any program that sets XMLSent of
	// stream.Trace. False counts stanzas without their kind, which costs nothing.
	Elements bool

	// Attributes are added to every span and every measurement.
	Attributes []attribute.KeyValue
}

// Telemetry makes hooks for streams. It is safe for concurrent use. Close it
// when no stream is left, or to stop the metrics.
type Telemetry struct {
	tracer     trace.Tracer
	addresses  bool
	elements   bool
	attributes []attribute.KeyValue
	domains    []jid.JID
	metrics    instruments
}

// New makes the instruments. An error is that of the MeterProvider.
func New(opts *Options) (*Telemetry, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.TracerProvider == nil {
		o.TracerProvider = otelapi.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otelapi.GetMeterProvider()
	}
	t := &Telemetry{
		tracer:    o.TracerProvider.Tracer(scope),
		addresses: o.Addresses, elements: o.Elements,
		attributes: slices.Clone(o.Attributes),
	}
	for _, d := range o.Domains {
		t.domains = append(t.domains, d.DomainJID())
	}
	if err := t.metrics.init(o.MeterProvider.Meter(scope), o.Elements); err != nil {
		return nil, fmt.Errorf("otel: %w", err)
	}
	return t, nil
}

// Close stops the observation of sessions: xmpp.stream.io and
// xmpp.stream.stanzas have no values any more. Hooks that were made can still be
// called. It is idempotent.
func (t *Telemetry) Close() error { return t.metrics.close() }

// Trace returns hooks for one stream; for those of a server:
//
//	server.Trace = func(net.Conn) *stream.Trace { return telemetry.Trace(ctx) }
//
// ctx holds the parent of the span, if there is one; that it ends has no effect.
// Every stream needs hooks of its own: one value serves streams one after
// another, as those of a client that connects again, but not at the same time.
func (t *Telemetry) Trace(ctx context.Context) *stream.Trace {
	// Spans and measurements with a context that has ended may be lost.
	return t.hooks(&observed{telemetry: t, parent: context.WithoutCancel(ctx), since: time.Now()})
}

// hooks returns those that fill s.
func (t *Telemetry) hooks(s *observed) *stream.Trace {
	hooks := &stream.Trace{
		HeaderSent:       s.headerSent,
		HeaderReceived:   s.headerReceived,
		FeaturesSent:     func(n []stream.Name) { s.features("features sent", n) },
		FeaturesReceived: func(n []stream.Name) { s.features("features received", n) },
		FeatureStart:     s.featureStart,
		FeatureDone:      s.featureDone,
		Secured:          s.secured,
		Authenticated:    s.authenticated,
		Bound:            s.bound,
		Established:      s.established,
		ErrorSent:        func(e *stream.Error) { s.streamError(transmit, "error sent", e) },
		ErrorReceived:    func(e *stream.Error) { s.streamError(receive, "error received", e) },
		Closed:           s.closed,
	}
	if t.elements {
		hooks.XMLSent = func(xml []byte) { s.element(transmit, xml) }
		hooks.XMLReceived = func(xml []byte) { s.element(receive, xml) }
	}
	return hooks
}
