// Package memconn provides in-memory network connections for tests, examples
// and programs that host both ends of a stream.
//
// Unlike [net.Pipe] a connection buffers, as a socket does: a write returns
// once its bytes are in the buffer, and blocks only while that is full. That
// is what a protocol needs in which both sides may speak at once, such as XMPP
// or a TLS close.
//
// There are no background goroutines. Blocking is done with [sync.Cond] and
// channels, and deadlines with [time.AfterFunc], so connections made inside a
// testing/synctest bubble follow its clock and count as durably blocked there.
//
// Left out: urgent data, a reset that discards what was sent before it, and
// addresses that tell connections apart.
package memconn
