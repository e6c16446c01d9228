package otel

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"stanzakit.dev/xmpp/stream"
)

// instruments are the metrics of streams. Those of what outlives a stream, such
// as resumption and connecting again, are a set of their own beside this one:
// they come from other events, and have no role or domain of a stream.
type instruments struct {
	active      metric.Int64UpDownCounter
	established metric.Int64Counter
	failed      metric.Int64Counter
	negotiation metric.Float64Histogram
	duration    metric.Float64Histogram
	errors      metric.Int64Counter
	elements    metric.Int64Counter // nil unless asked for

	// What sessions count themselves is asked of them when somebody looks, so
	// that a stanza costs nothing.
	io, stanzas  metric.Int64ObservableCounter
	registration metric.Registration

	mu   sync.Mutex
	live map[*count]struct{}
	sums map[attribute.Set]*sum // of a few sets: a role and a domain
}

// sum is what the sessions with the same attributes have counted.
type sum struct {
	in, out traffic
	// The attributes with either direction, ready for use.
	received, transmitted metric.ObserveOption
}

// traffic is one direction of it.
type traffic struct{ bytes, stanzas uint64 }

// count is what was counted of a session that lives.
type count struct {
	stream  *stream.Session
	sum     *sum
	in, out uint32
	bytes   stream.Traffic
}

// Negotiation is bounded by half a minute unless a program says otherwise;
// sessions live from seconds to weeks.
var (
	negotiationBounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	durationBounds    = []float64{1, 10, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 7 * 24 * 3600}
)

// init makes the instruments.
func (i *instruments) init(m metric.Meter, elements bool) error {
	i.live, i.sums = make(map[*count]struct{}), make(map[attribute.Set]*sum)
	var errs [10]error
	i.active, errs[0] = m.Int64UpDownCounter("xmpp.stream.active",
		metric.WithUnit("{stream}"), metric.WithDescription("Streams that are established."))
	i.established, errs[1] = m.Int64Counter("xmpp.stream.established",
		metric.WithUnit("{stream}"), metric.WithDescription("Streams whose negotiation succeeded."))
	i.failed, errs[2] = m.Int64Counter("xmpp.stream.failed",
		metric.WithUnit("{stream}"), metric.WithDescription("Streams whose negotiation came to nothing."))
	i.negotiation, errs[3] = m.Float64Histogram("xmpp.stream.negotiation.duration",
		metric.WithUnit("s"), metric.WithDescription("How long the negotiation of streams took."),
		metric.WithExplicitBucketBoundaries(negotiationBounds...))
	i.duration, errs[4] = m.Float64Histogram("xmpp.stream.duration",
		metric.WithUnit("s"), metric.WithDescription("How long streams lived once they were established."),
		metric.WithExplicitBucketBoundaries(durationBounds...))
	i.errors, errs[5] = m.Int64Counter("xmpp.stream.errors",
		metric.WithUnit("{error}"), metric.WithDescription("Stream errors."))
	if elements {
		i.elements, errs[6] = m.Int64Counter("xmpp.stream.elements",
			metric.WithUnit("{element}"), metric.WithDescription("First-level elements of established streams."))
	}
	i.io, errs[7] = m.Int64ObservableCounter("xmpp.stream.io",
		metric.WithUnit("By"), metric.WithDescription("XML of established streams."))
	i.stanzas, errs[8] = m.Int64ObservableCounter("xmpp.stream.stanzas",
		metric.WithUnit("{stanza}"), metric.WithDescription("Stanzas of established streams."))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	i.registration, errs[9] = m.RegisterCallback(i.observe, i.io, i.stanzas)
	return errs[9]
}

func (i *instruments) close() error { return i.registration.Unregister() }

// begin counts what s does from now on, its negotiation included.
func (i *instruments) begin(s *stream.Session, attrs attribute.Set) *count {
	i.mu.Lock()
	defer i.mu.Unlock()
	total := i.sums[attrs]
	if total == nil {
		with := func(d direction) metric.ObserveOption {
			return metric.WithAttributes(append(attrs.ToSlice(), keyDirection.String(string(d)))...)
		}
		total = &sum{received: with(receive), transmitted: with(transmit)}
		i.sums[attrs] = total
	}
	c := &count{stream: s, sum: total}
	// A session need not begin to count at zero.
	c.in, c.out = s.Counts()
	i.live[c] = struct{}{}
	return c
}

// end counts the last of a session.
func (i *instruments) end(c *count) {
	i.mu.Lock()
	defer i.mu.Unlock()
	c.update()
	delete(i.live, c)
}

// update adds what was not counted yet. Stanzas are counted modulo 2³², so the
// difference is right as long as somebody looks before there were that many.
func (c *count) update() {
	in, out := c.stream.Counts()
	bytes := c.stream.Traffic()
	c.sum.in.stanzas += uint64(in - c.in)
	c.sum.out.stanzas += uint64(out - c.out)
	c.sum.in.bytes += bytes.BytesIn - c.bytes.BytesIn
	c.sum.out.bytes += bytes.BytesOut - c.bytes.BytesOut
	c.in, c.out, c.bytes = in, out, bytes
}

// observe is called when somebody looks.
func (i *instruments) observe(_ context.Context, o metric.Observer) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	for c := range i.live {
		c.update()
	}
	for _, s := range i.sums {
		o.ObserveInt64(i.io, int64(s.in.bytes), s.received)
		o.ObserveInt64(i.io, int64(s.out.bytes), s.transmitted)
		o.ObserveInt64(i.stanzas, int64(s.in.stanzas), s.received)
		o.ObserveInt64(i.stanzas, int64(s.out.stanzas), s.transmitted)
	}
	return nil
}
