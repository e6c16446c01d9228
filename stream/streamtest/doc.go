// Package streamtest is a laboratory for faults: a virtual network that breaks as
// a test wants it to, a driver that runs an experiment with many seeds in fake
// time, and a recorder and replayer of what goes over a stream. It is for the tests
// of programs that use StanzaKit. Nothing in it opens a socket.
//
// # Network
//
// A [Network] has hosts, listeners, connections that behave as those of TCP do,
// and a DNS. A client of package xmpp needs no more world than that:
//
//	client.Dial = &dial.Options{Dialer: network.Host("bot"), Resolver: network.Resolver()}
//
// [Path] says how slow a direction is and into which pieces it breaks what is
// written. A [Fault] resets a connection, ends it, makes it vanish or stalls it,
// after so many bytes of one direction; [OnConn] is the plan that a test of every
// offset needs, [Chaos] leaves it to chance, and [Network.Break] does it now.
//
// # Determinism
//
// All that looks random comes from the seed, and depends on the name of the
// connection and the offset in its bytes only, not on how often Read and Write are
// called nor on which goroutine comes first. So the same seed and the same program
// give the same [Network.Log], if the program says the same at the same moments.
// Three things may keep it from that:
//
//   - What happens at one moment of fake time happens in an order that the
//     scheduler of Go chooses. Give paths a latency, and the two directions not
//     the same one, and little happens at one moment.
//   - Randomness of the program's own. Stream IDs, ids of stanzas and nonces of
//     this module have a fixed length, so that byte counts stay the same without
//     TLS: use stream.InsecureC2S, or InsecureWithoutTLS and
//     InsecureAllowPlaintext of package xmpp, where a cut has to be exact.
//   - TLS. It works in a bubble, with certificates of the year 2000 (see
//     xtls.DevCA). But an ECDSA signature in DER is a few bytes longer or shorter
//     each time, so offsets behind the server's certificate vary. After
//     testing/cryptotest.SetGlobalRandom they do not, as long as goroutines take
//     their random numbers in the same order, which latency sees to.
//
// # Laboratory
//
// [Run] runs an experiment with each of a number of seeds, in a bubble of
// testing/synctest with a network of its own, and looks for goroutines and
// connections that are left. A seed that failed is repeated with the flag
// -streamtest.seed, which takes a range as well.
//
// # Transcripts
//
// A [Recorder] turns what goes over a stream into a [Transcript], without secrets
// and without what is another value each time. [Transcript.Golden] compares it with
// a file; the flag -streamtest.update writes that. A [Replay] plays one side of a
// transcript against a real client or server.
//
// Covered: RFC 6120 §4 as far as telling the items of a stream apart; RFC 2525
// §2.17 for connections that are closed with bytes unread. Left out: UDP, IPv6,
// packet loss below TCP (which is latency and jitter here), urgent data, TCP
// keepalive; transcripts of framed streams (RFC 7395).
package streamtest
