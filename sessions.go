package xmpp

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stream"
)

// ClientSession is a session of a [Server] with a client, for those who look
// after the server: it tells about it and can end it. It may outlive the session.
// It is safe for concurrent use.
type ClientSession struct {
	conn     *serverConn
	resource *presence.Resource
	session  *stream.Session
}

// Sessions returns the sessions there are, in the order of their addresses: those
// of one account, or all of them if account is zero. Clients that are still
// negotiating are not among them.
func (s *Server) Sessions(account jid.JID) []*ClientSession {
	var out []*ClientSession
	for _, r := range s.router.Connected(account) {
		// One that has ended is still there until its reader has cleaned up.
		conn, ok := r.Context().Value(connKey{}).(*serverConn)
		if session := r.Session(); ok && session != nil && session.Err() == nil {
			out = append(out, &ClientSession{conn, r, session})
		}
	}
	slices.SortFunc(out, func(a, b *ClientSession) int {
		return cmp.Or(strings.Compare(a.Addr().String(), b.Addr().String()), a.Since().Compare(b.Since()))
	})
	return out
}

// Addr returns the full JID of the client.
func (c *ClientSession) Addr() jid.JID { return c.resource.Addr() }

// Since returns when the connection was made.
func (c *ClientSession) Since() time.Time { return c.conn.since }

// NetworkAddr returns where the client connects from, zero if that is no IP
// address. That is the client's private matter: nothing in this module tells it
// to other clients or writes it to a log.
func (c *ClientSession) NetworkAddr() netip.AddrPort { return networkAddr(c.conn.raw) }

// Security describes what protects the session.
func (c *ClientSession) Security() stream.Security { return c.session.Security() }

// UserAgent returns what the client said about itself, which is for its own
// account only (XEP-0388 §2.3).
func (c *ClientSession) UserAgent() stream.UserAgent { return c.session.UserAgent() }

// Traffic returns how many bytes of XML went over the session.
func (c *ClientSession) Traffic() stream.Traffic { return c.session.Traffic() }

// Stanzas returns how many stanzas the client has sent and how many were queued
// for it, both modulo 2³².
func (c *ClientSession) Stanzas() (in, out uint32) { return c.session.Counts() }

// Done is closed when the session has ended.
func (c *ClientSession) Done() <-chan struct{} { return c.session.Done() }

// End ends the session with a reason that the client is told: a stream error such
// as stream.PolicyViolation, or stream.SeeOtherHost with OtherHost set (RFC 6120
// §4.9.3). Nil ends it without. It returns when the stream is closed; ctx bounds
// the wait, and when it ends the connection is dropped. The errors are those of
// stream.Session.Close.
func (c *ClientSession) End(ctx context.Context, reason *stream.Error) error {
	return c.session.CloseError(ctx, reason)
}
