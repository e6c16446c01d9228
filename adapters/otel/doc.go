// Package otel shows the life of streams in OpenTelemetry: a span for each
// negotiation, and metrics of streams, by way of the hooks of [stream.Trace]. It
// is a module of its own because it needs go.opentelemetry.io/otel, of which it
// uses the API only: which SDK and which exporters there are is up to the
// program. Import it as xotel, beside the package of that name.
//
// # Spans
//
// There is one span for each stream, "xmpp.stream.negotiation", of the kind
// client on the initiating side and server on the receiving one. It ends when
// stanzas may flow or the stream has failed, with the status Error then. Its
// events are the steps: "header sent", "header received", "features sent",
// "features received", "feature started", "feature done", "secured",
// "authenticated", "bound", "error sent", "error received". Its attributes, and
// those of the events, beside those of the metrics:
//
//   - xmpp.stream.id
//   - xmpp.feature, xmpp.features: names of features
//   - tls.cipher, tls.resumed: see [stream.Security]
//   - xmpp.jid: the address of the client, if [Options].Addresses says so
//
// # Metrics
//
//   - xmpp.stream.active, a gauge that goes up and down, in {stream}: sessions
//     that are established
//   - xmpp.stream.established, a counter, in {stream}, by xmpp.sasl.mechanism and
//     tls.protocol.version
//   - xmpp.stream.failed, a counter, in {stream}, by error.type and
//     xmpp.condition: negotiations that came to nothing
//   - xmpp.stream.negotiation.duration, a histogram, in s, by error.type. It
//     begins with the header on the initiating side, and when the hooks are made
//     on the receiving one
//   - xmpp.stream.duration, a histogram, in s, by error.type: how long sessions
//     lived, and why they ended. There is no error.type where a stream was closed
//     in good order
//   - xmpp.stream.errors, a counter, in {error}, by network.io.direction and
//     xmpp.condition: stream errors (RFC 6120 §4.9)
//   - xmpp.stream.io, a counter, in By, by network.io.direction: XML of sessions
//     that were established, negotiation included (see [stream.Traffic])
//   - xmpp.stream.stanzas, a counter, in {stanza}, by network.io.direction:
//     stanzas handed to the program, or queued for the peer (see
//     [stream.Session.Counts])
//   - xmpp.stream.elements, a counter, in {element}, by network.io.direction and
//     xmpp.element: first-level elements of sessions, if [Options].Elements says so
//
// All have the attribute xmpp.role, and xmpp.domain if [Options].Domains says so.
//
// # What is shown
//
// No attribute of a metric has more than a few dozen values, whatever a peer
// does: what is not in the list is "_OTHER".
//
//   - xmpp.role: "initiating", "receiving", "unknown" for a stream that failed
//     before anybody had said anything
//   - xmpp.domain: one of Options.Domains
//   - xmpp.condition: a condition of RFC 6120 §4.9.3, §6.5 or §8.3.3
//   - xmpp.sasl.mechanism: a mechanism of package sasl
//   - tls.protocol.version: "1.2", "1.3"; absent without TLS
//   - network.io.direction: "receive", "transmit"
//   - xmpp.element: "message", "presence", "iq"
//   - error.type: "authentication", "binding", "canceled", "certificate",
//     "connection", "panic", "stream_error", "timeout", "tls"
//
// Texts of errors are nowhere: they name addresses and quote peers. They belong
// into a log, see [stream.LogTrace], which [stream.JoinTraces] puts beside the
// hooks of this package. Secrets are nowhere either. What a peer names in a span
// is quoted and cut.
//
// # Names
//
// Names and units are in the style of the semantic conventions of OpenTelemetry,
// which say nothing of XMPP; error.type, network.io.direction and tls.* are
// theirs.
//
// Left out: spans of single stanzas, propagation of a trace in stanzas, and
// metrics of what outlives a stream, such as connecting again.
package otel
