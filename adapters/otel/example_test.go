package otel_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"stanzakit.dev/xmpp"
	xotel "stanzakit.dev/xmpp/adapters/otel"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// A server whose streams are measured and logged.
func Example() {
	ctx := context.Background()
	reader := metric.NewManualReader() // a program has an exporter here
	telemetry, err := xotel.New(&xotel.Options{
		MeterProvider: metric.NewMeterProvider(metric.WithReader(reader)),
		Domains:       []jid.JID{jid.MustParse("capulet.example")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer telemetry.Close() // after the server

	server := &xmpp.Server{
		Trace: func(nc net.Conn) *stream.Trace {
			return stream.JoinTraces(telemetry.Trace(ctx), stream.LogTrace(slog.With("peer", nc.RemoteAddr()), nil))
		},
	}
	_ = server // which still needs its domains, accounts and certificates

	// One stream that came to nothing.
	telemetry.Trace(ctx).Closed(stream.ErrNegotiationTimeout)
	var read metricdata.ResourceMetrics
	if err := reader.Collect(ctx, &read); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range read.ScopeMetrics[0].Metrics {
		fmt.Println(m.Name, m.Unit)
	}
	// Output:
	// xmpp.stream.failed {stream}
	// xmpp.stream.negotiation.duration s
}
