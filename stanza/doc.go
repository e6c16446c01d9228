// Package stanza holds the three stanzas of XMPP as Go values, and what one does
// with them.
//
// [Message], [Presence] and [IQ] are plain structs with every attribute and
// child that RFC 6120 and RFC 6121 define. What extensions add to a stanza is a
// [Payload]: anything that writes one XML element. A payload that was received is
// a *[stream.Element], and is written byte for byte as it came whether it was
// understood or not. It is read into a value of one's own with [Unmarshal]; a
// struct with encoding/xml tags becomes a payload with [XML].
//
// # Decoding
//
// [Decode] makes a stanza of a [stream.Element]; the method DecodeElement of each
// type does so into memory that is there already. It costs one allocation for
// all the strings of the stanza, and one for each slice of texts that is new.
// Payloads are looked for by who asks for them.
//
// A stanza that breaks the rules gives a [*Error], and [ErrorReply] makes the one
// answer to it. Where the specifications leave open what to do with something
// that MUST NOT be there, the documentation of DecodeElement says what happens:
// the first counts, and the rest is ignored.
//
// # Lifetime
//
// A decoded stanza is borrowed until the handler or the iteration step that was
// given it returns. To keep one, [Clone] it. To keep parts of one it is enough
// to know what is what:
//
//   - Strings, texts and addresses are copies, and stay valid. All strings of a
//     stanza share one piece of memory, so that keeping a single one keeps all
//     alive: strings.Clone a part that is to be kept for long.
//   - Payload elements are views into the bytes of the stream. They are invalid
//     after the return, like the element that the stanza was decoded from.
//   - The slices of texts belong to the stanza: decoding into it again
//     overwrites them.
//   - An [*Error] is its own memory, with all that is in it.
//
// # Encoding
//
// AppendXML appends a stanza to a buffer of the caller and does not allocate. It
// escapes what needs escaping. When it fails it returns the buffer as it was, so
// that nothing half-written is ever sent. A stanza is written without a
// namespace, which is that of the stream; [Qualified] adds one for other places.
//
// # Errors
//
// [Error] is a stanza error and [Condition] what it says. Both are Go errors:
//
//	if errors.Is(err, stanza.ItemNotFound) { … }
//
// # Sessions
//
// A [Conn] is a session seen as stanzas. [Conn.Do] sends a request and waits for
// its reply; everything else that arrives goes to one consumer, which is either
// the caller's own loop over [Conn.All], or [Conn.Serve] with a [Handler], most
// often a [Mux]. A [Module] is how an extension joins a Mux. [Dispatch] does for
// one stanza what Serve does for all.
//
// # What is covered
//
// RFC 6120 §8 (stanzas, their attributes and errors; all 22 conditions), RFC
// 6121 §4.7 (syntax of presence) and §5.2 (syntax of messages), and the schemas
// of RFC 6120 appendices A.5, A.6 and A.8. In sessions: §8.1.2.1 (who a client
// is, and whose reply counts), §8.2.3 rules 3 and 4 and §10.3.3 (every request
// is answered, no reply is), §10.1 (order), and the counter of what is handled
// for XEP-0198 §4. With a [Supervisor] a Conn outlives its sessions.
//
// Left out: routing (§10.2 to §10.5) and the addresses on server-to-server
// streams (§8.1.1.2, §8.1.2.2), which are up to a server; extension attributes on
// stanzas (RFC 6120 §8.4 says that one SHOULD NOT generate them) are ignored in
// decoding, although a router that copies the element keeps them; the legacy
// code attribute of errors (XEP-0086); checking xml:lang against BCP 47.
package stanza
