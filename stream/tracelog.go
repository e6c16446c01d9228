package stream

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
)

// LevelXML is the level at which [LogTrace] logs what goes over the wire: below
// [slog.LevelDebug], so that a program that debugs does not log what its users
// write to each other.
const LevelXML = slog.LevelDebug - 4

// LogOptions adjusts [LogTrace]. Nil and the zero value log no XML.
type LogOptions struct {
	// XML logs what goes over the wire at [LevelXML], if the logger has that level
	// enabled as well. Secrets are redacted; what people write to each other is
	// not.
	XML bool

	// XMLBytes is how much of one item is logged. Zero means 4 KiB.
	XMLBytes int
}

const (
	defaultXMLBytes = 4 << 10
	maxLogText      = 1 << 10 // of an error
	maxLogName      = 256     // of an address, a name, an ID
	maxLogNames     = 32      // of features in one record
)

// LogTrace returns hooks that log the life of one stream; nil means
// [slog.Default]. Every stream needs hooks of its own: one value serves streams
// one after another, as those of a client that connects again, but not at the
// same time. What l carries goes into every record:
//
//	server.Trace = func(nc net.Conn) *stream.Trace {
//		return stream.LogTrace(logger.With("peer", nc.RemoteAddr()), nil)
//	}
//
// The records are, by level:
//
//   - Info: "stream established", and "stream closed" with its cause
//   - Warn: "stream failed", for a negotiation that came to nothing, with its
//     cause; "stream error sent" and "stream error received"
//   - Debug: the steps of the negotiation
//   - [LevelXML]: "xml sent" and "xml received", if LogOptions say so
//
// Their attributes, each left out where it is not known:
//
//   - role: "initiating" or "receiving"
//   - stream: the stream ID; domain: that of the server; jid: the address of the
//     client, as far as it is known
//   - tls, cipher: as crypto/tls calls them; resumed, verified, verdict: as in
//     [Security]
//   - mechanism: of SASL
//   - to, from, version, lang: of a stream header
//   - feature, features: names; reached, restart, skipped: the [Outcome] of one
//   - condition: of a stream error; error: the text of an error
//   - duration: of the negotiation, or of the session that was closed
//   - bytes_in, bytes_out, stanzas_in, stanzas_out: of the session that was closed
//   - xml, bytes: an item, and its size with secrets redacted
//
// What a peer wrote is printable ASCII, or quoted, and cut to a bounded length.
// Secrets are not logged, nor are addresses of the network: those are for the
// program to add. Beyond what [Trace] redacts, XML that looks like a password in
// a stanza is left out as a whole.
//
// Which levels are enabled is asked here, once: hooks for the others are nil and
// cost nothing, and a level that is changed later holds for the streams whose
// hooks are made after that. Nothing bounds how many records there are; whoever
// connects to a server can cause some.
func LogTrace(l *slog.Logger, opts *LogOptions) *Trace {
	var o LogOptions
	if opts != nil {
		o = *opts
	}
	if o.XMLBytes <= 0 {
		o.XMLBytes = defaultXMLBytes
	}
	if l == nil {
		l = slog.Default()
	}
	enabled := func(level slog.Level) bool { return l.Enabled(context.Background(), level) }
	g := &streamLog{l: l, debug: enabled(slog.LevelDebug), xmlBytes: o.XMLBytes, since: time.Now()}
	t := new(Trace)
	info, warn, xml := enabled(slog.LevelInfo), enabled(slog.LevelWarn), o.XML && enabled(LevelXML)
	if !info && !warn && !g.debug && !xml {
		return t
	}
	// These remember what later records say; those that have nothing to say
	// themselves stay silent.
	t.HeaderSent, t.HeaderReceived = g.headerSent, g.headerReceived
	t.Authenticated, t.Bound = g.authenticated, g.bound
	t.Established, t.Closed = g.established, g.closed
	if g.debug {
		t.FeaturesSent = func(names []Name) { g.features("features sent", names) }
		t.FeaturesReceived = func(names []Name) { g.features("features received", names) }
		t.FeatureStart, t.FeatureDone = g.featureStart, g.featureDone
		t.Secured = g.secured
	}
	if warn {
		t.ErrorSent = func(e *Error) { g.streamError("stream error sent", e) }
		t.ErrorReceived = func(e *Error) { g.streamError("stream error received", e) }
	}
	if xml {
		t.XMLSent = func(b []byte) { g.xml("xml sent", b) }
		t.XMLReceived = func(b []byte) { g.xml("xml received", b) }
	}
	return t
}

// streamLog is what LogTrace remembers of a stream.
type streamLog struct {
	l        *slog.Logger
	debug    bool
	xmlBytes int

	mu        sync.Mutex
	begun     bool // a header was seen, which tells the role
	role      Role
	id        string
	domain    jid.JID
	addr      jid.JID
	mechanism string
	since     time.Time // when negotiation began, and later the session
	session   *Session  // once established
}

// log writes a record with what is known of the stream.
func (g *streamLog) log(level slog.Level, msg string, attrs ...slog.Attr) {
	ctx := context.Background()
	if !g.l.Enabled(ctx, level) {
		return
	}
	all := make([]slog.Attr, 0, 4+len(attrs))
	g.mu.Lock()
	if g.begun {
		all = append(all, slog.String("role", g.role.String()))
	}
	all = withText(all, "stream", g.id, maxLogName)
	all = withText(all, "domain", g.domain.String(), maxLogName)
	all = withText(all, "jid", g.addr.String(), maxLogName)
	g.mu.Unlock()
	g.l.LogAttrs(ctx, level, msg, append(all, attrs...)...)
}

// withText adds an attribute that may come from a peer, unless it is empty.
func withText(attrs []slog.Attr, key, value string, limit int) []slog.Attr {
	if value == "" {
		return attrs
	}
	return append(attrs, slog.String(key, logText(value, limit)))
}

// logText makes text fit for a log: as it is if that is printable ASCII and not
// too long, otherwise quoted and cut.
func logText(s string, limit int) string {
	if len(s) > limit || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		return quote.ASCII(s[:min(len(s), limit+1)], limit)
	}
	return s
}

// errorText returns the text of an error. Errors of sockets name both ends, and
// who connects from where is up to the program to log.
func errorText(err error) string {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		text = strings.ReplaceAll(text, op.Error(), op.Op+": "+op.Err.Error())
	}
	return logText(text, maxLogText)
}

// causeAttrs says why a stream ended.
func causeAttrs(err error) []slog.Attr {
	if err == nil {
		return nil
	}
	var attrs []slog.Attr
	var e *Error
	if errors.As(err, &e) {
		attrs = withText(attrs, "condition", string(e.Condition), maxLogName)
	}
	return append(attrs, slog.String("error", errorText(err)))
}

// header remembers what a header says. The side that speaks first is the
// initiating one; only the receiving one gives the stream an ID (RFC 6120
// §4.7.3), also where it has to speak first, to refuse what is no header.
func (g *streamLog) header(h Header, sent bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.begun {
		g.begun, g.role = true, Receiving
		if sent && h.ID == "" {
			// Its hooks may have been made long before it connected.
			g.role, g.since = Initiating, time.Now()
		}
		if g.since.IsZero() {
			g.since = time.Now()
		}
	}
	if sent == (g.role == Receiving) {
		g.id = h.ID
	}
	switch {
	case sent && g.role == Initiating:
		g.domain = h.To
		if !h.From.IsZero() {
			g.addr = h.From
		}
	case sent:
		g.domain = h.From
	}
}

func (g *streamLog) headerSent(h Header) {
	g.header(h, true)
	if g.debug {
		g.logHeader("stream header sent", h)
	}
}

func (g *streamLog) headerReceived(h Header) {
	g.header(h, false)
	if g.debug {
		g.logHeader("stream header received", h)
	}
}

func (g *streamLog) logHeader(msg string, h Header) {
	attrs := withText(nil, "to", h.To.String(), maxLogName)
	attrs = withText(attrs, "from", h.From.String(), maxLogName)
	if h.Version != (Version{}) {
		attrs = append(attrs, slog.String("version", h.Version.String()))
	}
	g.log(slog.LevelDebug, msg, withText(attrs, "lang", h.Lang, maxLogName)...)
}

func (g *streamLog) features(msg string, names []Name) {
	list := make([]string, 0, min(len(names), maxLogNames)+1)
	for i, n := range names {
		if i == maxLogNames {
			list = append(list, "…")
			break
		}
		list = append(list, logText(n.String(), maxLogName))
	}
	g.log(slog.LevelDebug, msg, slog.Any("features", list))
}

func (g *streamLog) featureStart(n Name) {
	g.log(slog.LevelDebug, "feature started", slog.String("feature", logText(n.String(), maxLogName)))
}

func (g *streamLog) featureDone(n Name, out Outcome, err error) {
	attrs := []slog.Attr{slog.String("feature", logText(n.String(), maxLogName))}
	switch {
	case errors.Is(err, ErrSkip):
		attrs = append(attrs, slog.Bool("skipped", true))
	case err != nil:
		attrs = append(attrs, causeAttrs(err)...)
	default:
		attrs = append(attrs, slog.String("reached", out.Reached.String()), slog.Bool("restart", out.Restart))
	}
	g.log(slog.LevelDebug, "feature done", attrs...)
}

func (g *streamLog) secured(s Security) {
	g.log(slog.LevelDebug, "stream secured", securityAttrs(&s)...)
}

func securityAttrs(s *Security) []slog.Attr {
	if !s.Secure() {
		return nil
	}
	return []slog.Attr{
		slog.String("tls", tls.VersionName(s.Version)),
		slog.String("cipher", tls.CipherSuiteName(s.CipherSuite)),
		slog.Bool("resumed", s.Resumed),
		slog.Bool("verified", s.Verified),
		slog.String("verdict", s.Verdict.String()),
	}
}

func (g *streamLog) authenticated(who jid.JID, mechanism string) {
	g.mu.Lock()
	// In SASL 2 a resource may be bound already.
	if !who.IsZero() && g.addr.Resource() == "" {
		g.addr = who
	}
	g.mechanism = mechanism
	g.mu.Unlock()
	if g.debug {
		g.log(slog.LevelDebug, "stream authenticated", withText(nil, "mechanism", mechanism, maxLogName)...)
	}
}

func (g *streamLog) bound(full jid.JID) {
	g.mu.Lock()
	g.addr = full
	g.mu.Unlock()
	if g.debug {
		g.log(slog.LevelDebug, "resource bound")
	}
}

func (g *streamLog) established(s *Session) {
	now := time.Now()
	g.mu.Lock()
	took := now.Sub(g.since)
	g.since, g.session = now, s
	// A session that was resumed was not bound.
	addr := s.LocalAddr()
	if s.Role() == Receiving {
		addr = s.RemoteAddr()
	}
	if !addr.IsZero() {
		g.addr = addr
	}
	mechanism := g.mechanism
	g.mu.Unlock()
	attrs := withText(nil, "mechanism", mechanism, maxLogName)
	sec := s.Security()
	attrs = append(attrs, securityAttrs(&sec)...)
	g.log(slog.LevelInfo, "stream established", append(attrs, slog.Duration("duration", took))...)
}

func (g *streamLog) streamError(msg string, e *Error) {
	g.log(slog.LevelWarn, msg, causeAttrs(e)...)
}

// closed logs the end, and forgets the stream: another one may follow.
func (g *streamLog) closed(cause error) {
	g.mu.Lock()
	since, s := g.since, g.session
	g.mu.Unlock()
	attrs := causeAttrs(cause)
	if !since.IsZero() {
		attrs = append(attrs, slog.Duration("duration", time.Since(since)))
	}
	if s == nil {
		g.log(slog.LevelWarn, "stream failed", attrs...)
	} else {
		traffic := s.Traffic()
		in, out := s.Counts()
		g.log(slog.LevelInfo, "stream closed", append(attrs,
			slog.Uint64("bytes_in", traffic.BytesIn), slog.Uint64("bytes_out", traffic.BytesOut),
			slog.Uint64("stanzas_in", uint64(in)), slog.Uint64("stanzas_out", uint64(out)))...)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.begun, g.role, g.id, g.mechanism = false, Initiating, "", ""
	g.domain, g.addr = jid.JID{}, jid.JID{}
	g.since, g.session = time.Time{}, nil
}

// passwordMarks are found in stanzas that carry passwords: of accounts, by
// registration or by an administrator (XEP-0077, XEP-0133), and of rooms
// (XEP-0045). Features name what they know as secret, but a stanza can be sent
// over a stream whose features know nothing of it.
var passwordMarks = [][]byte{
	[]byte("password"), []byte("jabber:iq:auth"), []byte("text-private"), []byte("roomsecret"),
}

func (g *streamLog) xml(msg string, b []byte) {
	text := "[redacted]"
	if !slices.ContainsFunc(passwordMarks, func(mark []byte) bool { return bytes.Contains(b, mark) }) {
		text = logText(string(b[:min(len(b), g.xmlBytes+1)]), g.xmlBytes)
	}
	g.log(LevelXML, msg, slog.String("xml", text), slog.Int("bytes", len(b)))
}
