// Package stream is XML streams: from bytes to elements and back, from a plain
// connection to a negotiated session, for both sides.
//
// # XML
//
// [Tokenizer] turns bytes, in any slicing, into tokens and does no I/O.
// [Element] is a complete element as it was received: name and attributes at
// hand, contents as validated bytes for whoever wants to look inside, and
// copied as they are by who does not. [ParseElement] makes one from memory.
// [Writer] builds XML that is well-formed by construction. Structs with
// encoding/xml tags are read with [Element.Unmarshal] and written with
// [Marshal], through this package's tokenizer.
//
// # Streams
//
// [Initiate] and [Accept] take a connection and negotiate a stream on it: they
// exchange headers, offer or choose features, restart where a feature asks for
// it, and return a [Session] once the goal of the [Profile] is reached. STARTTLS,
// SASL and resource binding are values of type [Feature]; the packages tls,
// stream/auth and stream/bind make them, and a program may add its own. A feature
// says which facts about the stream it needs and which rule it out, and that is
// what makes the order.
//
// A [Session] carries stanzas both ways: [Session.Serve] reads, [Session.Send]
// writes, from any number of goroutines. The package stanza is the usual way to
// use one.
//
// # Errors
//
// [Error] is a stream error, sent or received, and matches its [Condition] with
// errors.Is. A session ends once; everything asked of it later fails with a
// [ClosedError] that wraps [net.ErrClosed] and the one cause.
//
// # Limits
//
// [Limits] bounds what a peer can make this side hold, with a smaller set before
// authentication. One absolute deadline bounds a negotiation.
//
// # What is covered
//
// RFC 6120 §4 (streams: headers, features, restarts, closing, all stream
// errors), §8 as far as telling stanzas from other elements, §11 (XML), §13.12
// (limits). XML 1.0, fifth edition, and Namespaces in XML 1.0, both as RFC 6120
// §11 restricts them. RFC 7395 §3.3.3 as far as a single element is concerned.
// §4.6 (silent peers, see [Liveness]) and RFC 5482. XEP-0478 (limits of streams)
// §3.1 and §4.
//
// Left out: finding a server and following see-other-host (stream/dial), stream
// management (stream/sm; what it needs of a session is [Ledger]), WebSocket
// (stream/ws) and server-to-server streams.
package stream
