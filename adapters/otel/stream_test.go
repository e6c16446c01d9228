package otel_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"

	xotel "stanzakit.dev/xmpp/adapters/otel"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// Every hook that a Trace has is used, but those that cost something for each
// stanza: they have to be asked for.
func TestTraceHooks(t *testing.T) {
	for _, elements := range []bool{false, true} {
		v := reflect.ValueOf(collect(t, &xotel.Options{Elements: elements}).Trace(t.Context())).Elem()
		for i := range v.NumField() {
			name := v.Type().Field(i).Name
			require.Equal(t, !elements && strings.HasPrefix(name, "XML"), v.Field(i).IsNil(), name)
		}
	}
}

// The life of a stream, from both sides.
func TestStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		both := collect(t, &xotel.Options{Domains: []jid.JID{domain}, Elements: true, Attributes: []attribute.KeyValue{attribute.String("node", "a")}})
		ctx, cancel := context.WithCancel(t.Context())
		clientTrace, serverTrace := both.Trace(ctx), both.Trace(ctx)
		cancel() // no measurement is lost for that
		<-time.After(2 * time.Second)
		client, server := pair(t, clientTrace, serverTrace)
		go server.Serve(func(*stream.Element) error { return nil }) // ends with the session
		go client.Serve(func(*stream.Element) error { return nil }) // the same

		const ours, theirs = "node=a,xmpp.domain=im.example,xmpp.role=initiating}", "node=a,xmpp.domain=im.example,xmpp.role=receiving}"
		value := func(name, attrs string) string { t.Helper(); return both.value(t, name+attrs) }
		require.Equal(t, "1", value("xmpp.stream.active[{stream}]{", ours))
		require.Equal(t, "1", value("xmpp.stream.active[{stream}]{", theirs))
		require.Equal(t, "1", value("xmpp.stream.established[{stream}]{", ours))
		// A server's begins with the connection, a client's with its header.
		require.Equal(t, "1 in 0s", value("xmpp.stream.negotiation.duration[s]{", ours))
		require.Equal(t, "1 in 2s", value("xmpp.stream.negotiation.duration[s]{", theirs))

		for range 3 {
			require.NoError(t, client.Send(t.Context(), raw("<message><body>hi</body></message>")))
		}
		require.NoError(t, client.Send(t.Context(), raw("<presence/>")))
		require.NoError(t, server.Send(t.Context(), raw("<iq type='get' id='1'/>")))
		synctest.Wait()
		// Sums are right while sessions live, and after that, however often one looks.
		for _, end := range []func(){func() {}, func() {}, func() { client.Close(t.Context()) }, func() {}} {
			end()
			synctest.Wait()
			require.Equal(t, "4", value("xmpp.stream.stanzas[{stanza}]{network.io.direction=transmit,", ours))
			require.Equal(t, "1", value("xmpp.stream.stanzas[{stanza}]{network.io.direction=receive,", ours))
			require.Equal(t, "4", value("xmpp.stream.stanzas[{stanza}]{network.io.direction=receive,", theirs))
			require.Equal(t, "1", value("xmpp.stream.stanzas[{stanza}]{network.io.direction=transmit,", theirs))
			require.Equal(t, fmt.Sprint(client.Traffic().BytesIn), value("xmpp.stream.io[By]{network.io.direction=receive,", ours))
			require.Equal(t, fmt.Sprint(client.Traffic().BytesOut), value("xmpp.stream.io[By]{network.io.direction=transmit,", ours))
			require.Equal(t, fmt.Sprint(client.Traffic().BytesOut), value("xmpp.stream.io[By]{network.io.direction=receive,", theirs))
		}
		kinds := func(direction, kind string) string {
			return "xmpp.stream.elements[{element}]{network.io.direction=" + direction + ",node=a,xmpp.domain=im.example,xmpp.element=" + kind + ",xmpp.role="
		}
		require.Equal(t, "3", value(kinds("transmit", "message"), "initiating}"))
		require.Equal(t, "1", value(kinds("transmit", "presence"), "initiating}"))
		require.Equal(t, "1", value(kinds("receive", "iq"), "initiating}"))
		require.Equal(t, "3", value(kinds("receive", "message"), "receiving}"))
		for _, line := range both.metrics(t) {
			require.NotContains(t, line, "_OTHER", "headers and closing tags are no elements")
			require.Contains(t, line, "node=a")
		}
		require.Equal(t, "0", value("xmpp.stream.active[{stream}]{", ours))
		require.Equal(t, "0", value("xmpp.stream.active[{stream}]{", theirs))
		require.Equal(t, "1 in 0s", value("xmpp.stream.duration[s]{", ours))

		id := client.Header().ID
		require.ElementsMatch(t, []string{
			`xmpp.stream.negotiation client Ok "" {node=a,xmpp.domain=im.example,xmpp.role=initiating,xmpp.stream.id=` + id + `}
header sent {}
header received {}
features received {xmpp.features=[]}`,
			`xmpp.stream.negotiation server Ok "" {node=a,xmpp.domain=im.example,xmpp.role=receiving,xmpp.stream.id=` + id + `}
header received {}
header sent {}
features sent {xmpp.features=[]}`,
		}, both.story())
	})
}

// With direct TLS (XEP-0368) there is a layer before anybody has said anything.
func TestDirectTLS(t *testing.T) {
	c := collect(t, nil)
	a, b := xmpptest.Pipe()
	secure := &stream.Security{Version: tls.VersionTLS13, CipherSuite: tls.TLS_AES_128_GCM_SHA256}
	accepted := make(chan error, 1)
	go func() { // ends with the negotiation
		_, err := stream.Accept(context.Background(), b, &stream.AcceptOptions{
			Profile: bare, Domains: []jid.JID{domain}, Security: secure, Trace: c.Trace(t.Context()),
		})
		accepted <- err
	}()
	client, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
		Profile: bare, To: domain, Security: secure, Trace: c.Trace(t.Context()),
	})
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	client.Abort(io.EOF)
	const secured = "\nsecured {tls.cipher=TLS_AES_128_GCM_SHA256,tls.protocol.version=1.3,tls.resumed=false}"
	story := strings.Join(c.story(), "\n")
	require.Contains(t, story, `xmpp.stream.negotiation client Ok "" {tls.protocol.version=1.3,`)
	require.Contains(t, story, `xmpp.stream.negotiation server Ok "" {tls.protocol.version=1.3,`)
	require.Equal(t, 2, strings.Count(story, secured), story)
	for _, role := range []string{"initiating", "receiving"} {
		require.Equal(t, "1", c.value(t, "xmpp.stream.established[{stream}]{tls.protocol.version=1.3,xmpp.role="+role+"}"))
	}
}

// How sessions end.
func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := collect(t, nil)
		for _, end := range []func(client, server *stream.Session){
			func(client, _ *stream.Session) { client.Close(t.Context()) },
			func(client, _ *stream.Session) { client.Abort(io.ErrUnexpectedEOF) },
			func(client, _ *stream.Session) { client.Abort(errors.New("for a reason of its own")) },
			func(_, server *stream.Session) {
				server.CloseError(t.Context(), &stream.Error{Condition: stream.SystemShutdown})
			},
		} {
			client, server := pair(t, c.Trace(t.Context()), nil)
			go client.Serve(func(*stream.Element) error { return nil }) // ends with the session
			go server.Serve(func(*stream.Element) error { return nil }) // the same
			<-time.After(90 * time.Second)
			end(client, server)
			<-client.Done()
		}
		synctest.Wait()
		require.Equal(t, []string{
			"xmpp.stream.active[{stream}]{xmpp.role=initiating} 0",
			"xmpp.stream.duration[s]{error.type=_OTHER,xmpp.role=initiating} 1 in 90s",
			"xmpp.stream.duration[s]{error.type=connection,xmpp.role=initiating} 1 in 90s",
			"xmpp.stream.duration[s]{error.type=stream_error,xmpp.condition=system-shutdown,xmpp.role=initiating} 1 in 90s",
			"xmpp.stream.errors[{error}]{network.io.direction=receive,xmpp.condition=system-shutdown,xmpp.role=initiating} 1",
			"xmpp.stream.established[{stream}]{xmpp.role=initiating} 4",
		}, without(c.metrics(t), "xmpp.stream.io", "xmpp.stream.stanzas", "xmpp.stream.negotiation", "xmpp.stream.duration[s]{xmpp.role"))
	})
}

// without leaves out lines that begin with one of the prefixes.
func without(lines []string, prefixes ...string) (out []string) {
next:
	for _, line := range lines {
		for _, p := range prefixes {
			if strings.HasPrefix(line, p) {
				continue next
			}
		}
		out = append(out, line)
	}
	return out
}

// Streams that come to nothing: what a peer says makes no new values.
func TestNegotiationsThatFail(t *testing.T) {
	const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`
	for name, tt := range map[string]struct {
		say, failed, errors, span string
	}{
		"no XML": {
			"GET / HTTP/1.1\r\n\r\n",
			"{error.type=stream_error,xmpp.condition=not-well-formed,xmpp.domain=im.example,xmpp.role=receiving}",
			"{network.io.direction=transmit,xmpp.condition=not-well-formed,xmpp.domain=im.example,xmpp.role=receiving}",
			`xmpp.stream.negotiation server Error "stream_error: not-well-formed"`,
		},
		"a domain of somebody else": {
			strings.ReplaceAll(header, "im.example", "elsewhere.example"),
			"{error.type=stream_error,xmpp.condition=host-unknown,xmpp.domain=im.example,xmpp.role=receiving}",
			"{network.io.direction=transmit,xmpp.condition=host-unknown,xmpp.domain=im.example,xmpp.role=receiving}",
			`xmpp.stream.negotiation server Error "stream_error: host-unknown"`,
		},
		"an error with a condition of its own": {
			header + `<stream:error><hunter2 xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
			"{error.type=stream_error,xmpp.condition=undefined-condition,xmpp.domain=im.example,xmpp.role=receiving}",
			"",
			`xmpp.stream.negotiation server Error "stream_error: undefined-condition"`,
		},
		"the end": {
			header + "</stream:stream>",
			"{error.type=connection,xmpp.domain=im.example,xmpp.role=receiving}", "",
			`xmpp.stream.negotiation server Error "connection"`,
		},
		"silence": {
			"",
			"{error.type=timeout,xmpp.domain=_OTHER,xmpp.role=unknown}",
			"",
			`xmpp.stream.negotiation internal Error "timeout" {error.type=timeout,xmpp.role=unknown}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := collect(t, &xotel.Options{Domains: []jid.JID{domain}})
				a, b := xmpptest.Pipe()
				go io.Copy(io.Discard, a) // ends with the connection
				_, err := io.WriteString(a, tt.say)
				require.NoError(t, err)
				_, err = stream.Accept(t.Context(), b, &stream.AcceptOptions{Domains: []jid.JID{domain}, Trace: c.Trace(t.Context())})
				require.Error(t, err)
				a.Close()
				metrics := strings.Join(c.metrics(t), "\n")
				require.Contains(t, metrics, "xmpp.stream.failed[{stream}]"+tt.failed)
				require.Contains(t, metrics, "xmpp.stream.negotiation.duration[s]{error.type=")
				if tt.errors != "" {
					require.Contains(t, metrics, "xmpp.stream.errors[{error}]"+tt.errors+" 1")
				}
				require.NotContains(t, metrics, "active")
				require.Len(t, c.story(), 1)
				require.Contains(t, c.story()[0], tt.span)
				for _, shown := range []string{metrics, c.story()[0]} {
					require.NotContains(t, shown, "elsewhere")
					require.NotContains(t, shown, "hunter2")
				}
			})
		})
	}
}

// One value serves streams one after another, and what has to be zero in the end
// is zero, even if the hook that tells of an end is late.
func TestStreamsOneAfterAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := collect(t, nil)
		hooks := c.Trace(t.Context())
		hooks.Closed(errors.New("no TLS")) // of a client that did not get as far as a stream
		late := make(chan error, 10)
		hold := *hooks
		hold.Closed = func(cause error) { late <- cause }
		active := func() string { t.Helper(); return c.value(t, "xmpp.stream.active[{stream}]{xmpp.role=initiating}") }

		for range 2 { // in order
			client, _ := pair(t, hooks, nil)
			require.Equal(t, "1", active())
			client.Abort(io.EOF)
			require.Equal(t, "0", active())
		}
		first, _ := pair(t, &hold, nil)
		first.Abort(io.EOF)
		require.Equal(t, "1", active())
		// Late, between two streams' establishment.
		again := *hooks
		again.HeaderReceived = func(h stream.Header) {
			hooks.HeaderReceived(h)
			hooks.Closed(<-late)
		}
		second, _ := pair(t, &again, nil)
		require.Equal(t, "1", active())
		second.Abort(io.EOF)
		require.Equal(t, "0", active())
		// Late, after the next one was established.
		third, _ := pair(t, &hold, nil)
		third.Abort(io.EOF)
		fourth, _ := pair(t, hooks, nil)
		require.Equal(t, "1", active())
		hooks.Closed(<-late)
		require.Equal(t, "1", active())
		fourth.Abort(io.EOF)
		require.Equal(t, "0", active())
		require.Equal(t, "6", c.value(t, "xmpp.stream.established[{stream}]{xmpp.role=initiating}"))
		require.Equal(t, "1", c.value(t, "xmpp.stream.failed[{stream}]{error.type=_OTHER,xmpp.role=unknown}"))
		require.Len(t, c.story(), 7)
		require.Len(t, c.spans.Started(), 7)
	})
}

// Whoever looks while streams come and go finds sums that do not shrink.
func TestCollectMeanwhile(t *testing.T) {
	c := collect(t, &xotel.Options{Elements: true})
	var over atomic.Bool
	looked := make(chan []int)
	go func() { // ends when over, and is waited for
		var seen []int
		for !over.Load() {
			for _, line := range c.metrics(t) {
				if v, ok := strings.CutPrefix(line, "xmpp.stream.stanzas[{stanza}]{network.io.direction=transmit,xmpp.role=initiating} "); ok {
					n, _ := strconv.Atoi(v)
					seen = append(seen, n)
				}
			}
		}
		looked <- seen
	}()
	const streams = 100
	for range streams {
		client, server := pair(t, c.Trace(t.Context()), c.Trace(t.Context()))
		served := make(chan error, 1)
		go func() { served <- server.Serve(func(*stream.Element) error { return nil }) }()
		require.NoError(t, client.Send(t.Context(), raw("<message/>")))
		require.NoError(t, client.Close(t.Context()))
		require.NoError(t, <-served)
	}
	over.Store(true)
	require.IsNonDecreasing(t, append(<-looked, streams))
	require.Equal(t, "100", c.value(t, "xmpp.stream.stanzas[{stanza}]{network.io.direction=receive,xmpp.role=receiving}"))
	require.Equal(t, "100", c.value(t, "xmpp.stream.elements[{element}]{network.io.direction=receive,xmpp.element=message,xmpp.role=receiving}"))
	require.Equal(t, "0", c.value(t, "xmpp.stream.active[{stream}]{xmpp.role=receiving}"))
}

// The span belongs to what the program was doing.
func TestParent(t *testing.T) {
	c := collect(t, nil)
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	pair(t, c.Trace(trace.ContextWithSpanContext(t.Context(), parent)), nil)
	require.Equal(t, parent.SpanID(), c.spans.Ended()[0].Parent().SpanID())
	require.Equal(t, parent.TraceID(), c.spans.Ended()[0].SpanContext().TraceID())
}

// After Close nothing is observed any more, and hooks that are still there do no
// harm.
func TestClose(t *testing.T) {
	c := collect(t, nil)
	client, _ := pair(t, c.Trace(t.Context()), nil)
	require.Contains(t, strings.Join(c.metrics(t), "\n"), "xmpp.stream.io")
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	client.Abort(io.EOF)
	require.NotContains(t, strings.Join(c.metrics(t), "\n"), "xmpp.stream.io")
	require.Equal(t, "0", c.value(t, "xmpp.stream.active[{stream}]{xmpp.role=initiating}"))
}

// Without options everything goes to the global providers, which do nothing
// unless the program has set some.
func TestGlobalProviders(t *testing.T) {
	telemetry, err := xotel.New(nil)
	require.NoError(t, err)
	client, _ := pair(t, telemetry.Trace(t.Context()), nil)
	client.Abort(io.EOF)
	require.NoError(t, telemetry.Close())
}

// An SDK that refuses an instrument is heard.
func TestNewFails(t *testing.T) {
	for _, name := range []string{"xmpp.stream.active", "xmpp.stream.io"} {
		_, err := xotel.New(&xotel.Options{MeterProvider: refusing{name: name}})
		require.ErrorIs(t, err, errRefused)
		require.ErrorContains(t, err, "otel: ")
	}
}

var errRefused = errors.New("no such instrument")

// refusing is a MeterProvider, and its meter, without one instrument.
type refusing struct {
	noop.MeterProvider
	name string
}

func (r refusing) Meter(string, ...metric.MeterOption) metric.Meter {
	return refusingMeter{name: r.name}
}

type refusingMeter struct {
	noop.Meter
	name string
}

func (r refusingMeter) Int64UpDownCounter(name string, o ...metric.Int64UpDownCounterOption) (metric.Int64UpDownCounter, error) {
	if name == r.name {
		return nil, errRefused
	}
	return r.Meter.Int64UpDownCounter(name, o...)
}

func (r refusingMeter) Int64ObservableCounter(name string, o ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	if name == r.name {
		return nil, errRefused
	}
	return r.Meter.Int64ObservableCounter(name, o...)
}
