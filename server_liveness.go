package xmpp

import (
	"time"

	"stanzakit.dev/xmpp/stream"
)

// The silence after which the peer is asked for a sign of life, and after which it
// is given up, on either side. RFC 6120 §4.6.4: not more often than every five
// minutes. A connection that is dead when there is something to send is found by the
// kernel.
const (
	defaultSoft        = 5 * time.Minute
	defaultHard        = 6 * time.Minute
	defaultUserTimeout = time.Minute
)

// watch returns how clients are watched.
func (s *Server) watch() stream.Liveness { return watchful(s.Liveness) }

// watchful returns l with the defaults, and a ping.
func watchful(l stream.Liveness) stream.Liveness {
	l.Soft, l.Hard = orDefaultTime(l.Soft, defaultSoft), orDefaultTime(l.Hard, defaultHard)
	l.UserTimeout = orDefaultTime(l.UserTimeout, defaultUserTimeout)
	l.Keepalive = max(l.Keepalive, 0)
	if l.Probe == nil {
		l.Probe = probe
	}
	return l
}

// orDefaultTime returns v, def if it is zero, and zero if it is negative.
func orDefaultTime(v, def time.Duration) time.Duration {
	if v == 0 {
		return def
	}
	return max(v, 0)
}

// probe sends a ping (XEP-0199 §4.1). Whatever comes back is a sign of life, so
// nobody waits for the answer, and it is dropped.
func probe(s *stream.Session) {
	s.TrySend(ping{s}) // without room something is on its way anyway
}

// ping is a ping of either side's.
type ping struct{ session *stream.Session }

// AppendXML implements [stream.Appender].
func (p ping) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(stream.Name{Local: "iq"})
	w.Attr("type", "get")
	w.Attr("id", "alive")
	if p.session.Role() == stream.Receiving { // RFC 6120 §8.1.2.1 rule 1
		w.Attr("from", p.session.LocalAddr().String())
	}
	w.Attr("to", p.session.RemoteAddr().String())
	w.Start(stream.Name{Space: "urn:xmpp:ping", Local: "ping"})
	w.End()
	w.End()
	return w.Bytes()
}
