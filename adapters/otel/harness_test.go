package otel_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	xotel "stanzakit.dev/xmpp/adapters/otel"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// bare is a kind of stream without TLS, authentication and binding.
var bare = stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}

var (
	domain = jid.MustParse("im.example")
	juliet = jid.MustParse("juliet@im.example/balcony")
)

// collector is an SDK in memory.
type collector struct {
	reader *metric.ManualReader
	spans  *tracetest.SpanRecorder
	*xotel.Telemetry
}

// collect returns a Telemetry with providers of its own.
func collect(t testing.TB, opts *xotel.Options) *collector {
	t.Helper()
	if opts == nil {
		opts = new(xotel.Options)
	}
	c := &collector{reader: metric.NewManualReader(), spans: tracetest.NewSpanRecorder()}
	opts.MeterProvider = metric.NewMeterProvider(metric.WithReader(c.reader))
	opts.TracerProvider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(c.spans))
	var err error
	c.Telemetry, err = xotel.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// metrics returns all that there is to read, one line a data point: name,
// attributes, value. Of a histogram it is the count, and the sum.
func (c *collector) metrics(t testing.TB) []string {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, c.reader.Collect(context.Background(), &all))
	var lines []string
	add := func(m metricdata.Metrics, attrs attribute.Set, value string) {
		lines = append(lines, fmt.Sprintf("%s[%s]{%s} %s", m.Name, m.Unit, attrs.Encoded(attribute.DefaultEncoder()), value))
	}
	for _, scope := range all.ScopeMetrics {
		require.Equal(t, "stanzakit.dev/xmpp/adapters/otel", scope.Scope.Name)
		for _, m := range scope.Metrics {
			require.NotEmpty(t, m.Description)
			switch d := m.Data.(type) {
			case metricdata.Sum[int64]:
				require.Equal(t, m.Name != "xmpp.stream.active", d.IsMonotonic)
				for _, p := range d.DataPoints {
					add(m, p.Attributes, fmt.Sprint(p.Value))
				}
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					add(m, p.Attributes, fmt.Sprintf("%d in %gs", p.Count, p.Sum))
				}
			default:
				require.Failf(t, "unknown data", "%T", d)
			}
		}
	}
	slices.Sort(lines)
	return lines
}

// value returns the value of one data point.
func (c *collector) value(t testing.TB, name string) string {
	t.Helper()
	for _, line := range c.metrics(t) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return value
		}
	}
	require.Fail(t, "no such data point", "%s in\n%s", name, strings.Join(c.metrics(t), "\n"))
	return ""
}

// story returns the spans that have ended: each with its kind, status, attributes
// and events.
func (c *collector) story() (spans []string) {
	for _, s := range c.spans.Ended() {
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s %s %q {%s}", s.Name(), s.SpanKind(), s.Status().Code, s.Status().Description, encode(s.Attributes()))
		for _, e := range s.Events() {
			fmt.Fprintf(&b, "\n%s {%s}", e.Name, encode(e.Attributes))
		}
		spans = append(spans, b.String())
	}
	return spans
}

func encode(attrs []attribute.KeyValue) string {
	set := attribute.NewSet(attrs...)
	return set.Encoded(attribute.DefaultEncoder())
}

// pair negotiates a stream without TLS and authentication inside the program.
func pair(t testing.TB, client, server *stream.Trace) (c, s *stream.Session) {
	t.Helper()
	a, b := xmpptest.Pipe()
	accepted := make(chan *stream.Session, 1)
	go func() { // ends with the negotiation
		s, _ := stream.Accept(context.Background(), b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}, Trace: server})
		accepted <- s
	}()
	c, err := stream.Initiate(context.Background(), a, &stream.InitiateOptions{Profile: bare, To: domain, From: juliet, Trace: client})
	require.NoError(t, err)
	s = <-accepted
	require.NotNil(t, s)
	t.Cleanup(func() {
		c.Abort(errors.New("test over"))
		s.Abort(errors.New("test over"))
	})
	return c, s
}

// raw is an element that is XML already.
type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }
