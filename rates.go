package xmpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Rates bounds what the clients of a [Server] may do over time (RFC 6120 §13.12,
// XEP-0205). The zero value has bounds that no client for people runs into; set a
// Rate to stream.Unlimited to lift it. Failed logins have bounds of their own,
// see auth.ServerOptions.Attempts.
type Rates struct {
	// Connections is how many connections one address of the network may make.
	// One more is closed before anything is read. An address of IPv6 stands for
	// its /64, which is what one customer is given, and one that translates IPv4
	// (64:ff9b::/96, RFC 6052) for that. Loopback addresses are not bounded: who
	// comes from there is a proxy, or this machine. Zero means 10 per second, 200
	// at once.
	Connections stream.Rate

	// Stanzas and Bytes are how much one session may send. A client that sends
	// more is not cut off: it is read from more slowly. Zero means 1,000 stanzas
	// per second and 10,000 at once, 1 MiB per second and 8 MiB at once.
	//
	// All three need a PerSecond above zero and a Burst of one at least.
	Stanzas, Bytes stream.Rate

	// Connect is asked about each connection that Connections lets pass, before
	// anything is read from it. An error turns it away without a word. The
	// address is the zero AddrPort where the connection has none, and one of IPv4
	// is never mapped into IPv6. NegotiationTimeout bounds the context. Nil turns
	// nobody away.
	Connect func(ctx context.Context, from netip.AddrPort) error

	// Stanza is asked about each stanza, before it is looked at. It returns how
	// long to wait with it: meanwhile nothing is read from that client. An error
	// ends the session, a *stream.Error (stream.PolicyViolation, say) with that
	// one, and so does a panic. The element is borrowed. Nil lets everything pass.
	Stanza func(from jid.JID, el *stream.Element) (time.Duration, error)
}

// The default rates.
var (
	defaultConnectionRate = stream.Rate{PerSecond: 10, Burst: 200}
	defaultStanzaRate     = stream.Rate{PerSecond: 1_000, Burst: 10_000}
	defaultByteRate       = stream.Rate{PerSecond: 1 << 20, Burst: 8 << 20}
)

// check finds rates by which nothing would ever pass, or that say nothing.
func (r *Rates) check() error {
	for name, rate := range map[string]stream.Rate{"Connections": r.Connections, "Stanzas": r.Stanzas, "Bytes": r.Bytes} {
		// Put so that it holds for what is no number, too.
		if rate != (stream.Rate{}) && !(rate.PerSecond > 0 && rate.Burst >= 1) {
			return fmt.Errorf("rates: %s: %g per second and %g at once let nothing pass", name, rate.PerSecond, rate.Burst)
		}
	}
	return nil
}

// errTooFast is why a connection is turned away.
var errTooFast = errors.New("xmpp: too many connections from one address")

// admitter applies Rates.Connections.
type admitter struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]*stream.Bucket
	// others is for addresses that there is no room for: when more than
	// maxBuckets are busy at the same time they share one bucket.
	others stream.Bucket
	tidied time.Time
}

// maxBuckets bounds the table of addresses.
const maxBuckets = 1 << 14

// allow reports whether a connection may come from an address now.
func (a *admitter) allow(from netip.Addr, rate stream.Rate, now time.Time) bool {
	if !from.IsValid() || from.IsLoopback() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.buckets == nil {
		a.buckets = make(map[netip.Prefix]*stream.Bucket)
		a.others = stream.NewBucket(rate, now)
	}
	key := customer(from)
	b := a.buckets[key]
	if b == nil {
		// To look through the table for each address that does not fit would be
		// work that an attacker gets for one connection.
		if since := now.Sub(a.tidied); len(a.buckets) >= maxBuckets && (since >= time.Second || since < 0) {
			a.tidy(now)
		}
		if len(a.buckets) >= maxBuckets {
			return a.others.Allow(now, 1)
		}
		fresh := stream.NewBucket(rate, now)
		b = &fresh
		a.buckets[key] = b
	}
	return b.Allow(now, 1)
}

// tidy forgets the addresses that have been quiet for long enough.
func (a *admitter) tidy(now time.Time) {
	a.tidied = now
	for key, b := range a.buckets {
		if b.Full(now) {
			delete(a.buckets, key)
		}
	}
}

// translated are addresses of IPv4, in their last 32 bits, that a translator has
// made for a server with IPv6 only (RFC 6052 §2.1).
var translated = netip.MustParsePrefix("64:ff9b::/96")

// customer returns the part of an address that one customer is given.
func customer(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	if translated.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	p, _ := addr.Prefix(bits) // fails for bits out of range only
	return p
}

// networkAddr returns the address at the other end of a connection, or zero if
// that is no IP address. On a listener for both versions of IP those of IPv4 come
// mapped into IPv6: as such they would be equal to no address, and in no network,
// of anybody's list.
func networkAddr(nc net.Conn) netip.AddrPort {
	addr := nc.RemoteAddr()
	if addr == nil {
		return netip.AddrPort{}
	}
	var p netip.AddrPort
	if t, ok := addr.(*net.TCPAddr); ok {
		p = t.AddrPort()
	} else {
		p, _ = netip.ParseAddrPort(addr.String())
	}
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}

// loginAddr returns the address by which failed logins are counted: none for
// those from loopback, where one proxy may be everybody.
func loginAddr(ctx context.Context) netip.Addr {
	c, ok := ctx.Value(connKey{}).(*serverConn)
	if !ok {
		return netip.Addr{}
	}
	if addr := networkAddr(c.raw).Addr(); !addr.IsLoopback() {
		return addr
	}
	return netip.Addr{}
}

// refusals are connections that were turned away, for the log: one record a
// second stands for all of them.
type refusals struct {
	mu    sync.Mutex
	at    time.Time // of the last record
	count int       // since then
}

// note counts one. It reports whether there should be a record now, and of how
// many.
func (r *refusals) note(now time.Time) (count int, tell bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count++
	if since := now.Sub(r.at); since >= 0 && since < time.Second {
		return 0, false
	}
	count, r.count, r.at = r.count, 0, now
	return count, true
}

// logRefusal logs that a connection was turned away.
func (s *Server) logRefusal(err error) {
	if count, tell := s.refusals.note(time.Now()); tell {
		s.logger().Warn("connection refused", "error", withoutAddresses(err), "count", count)
	}
}

// admit decides about a new connection.
func (s *Server) admit(ctx context.Context, nc net.Conn) error {
	from := networkAddr(nc)
	if !s.admitter.allow(from.Addr(), s.Rates.Connections.OrDefault(defaultConnectionRate), time.Now()) {
		return errTooFast
	}
	if s.Rates.Connect == nil {
		return nil
	}
	if err := s.Rates.Connect(ctx, from); err != nil {
		return fmt.Errorf("xmpp: connection turned away: %w", err)
	}
	return nil
}

// throttle returns the hook for one session.
func (c *serverConn) throttle() stream.Admit {
	r := &c.server.Rates
	rates := stream.Throttle(r.Stanzas.OrDefault(defaultStanzaRate), r.Bytes.OrDefault(defaultByteRate))
	if r.Stanza == nil {
		return rates
	}
	return func(el *stream.Element) (time.Duration, error) {
		wait, err := rates(el)
		if err != nil || stanza.KindOf(el.Name()) == 0 {
			return wait, err
		}
		more, err := r.Stanza(c.addr(), el)
		return max(wait, more), err
	}
}
