package otel

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// observed is what is known of the stream that one set of hooks is for. Hooks
// come from the goroutines of its reader, its writer and whoever ends it.
type observed struct {
	telemetry *Telemetry
	parent    context.Context

	mu        sync.Mutex
	begun     bool // a header was seen, which tells the role
	role      stream.Role
	domain    jid.JID
	mechanism string
	security  stream.Security
	early     bool       // there was TLS before the first header
	since     time.Time  // when negotiation began
	span      trace.Span // of the negotiation; nil before it and after it
	ctx       context.Context
	session   *session // once established
}

// session is a stream that is established.
type session struct {
	*count
	since  time.Time
	common []attribute.KeyValue
	kinds  map[kind]metric.AddOption // for elements
}

// forget makes room for a new negotiation.
func (o *observed) forget() {
	o.begun, o.role, o.domain, o.mechanism, o.security = false, stream.Initiating, jid.JID{}, "", stream.Security{}
	o.early, o.since, o.span, o.ctx = false, time.Time{}, nil, nil
}

// header learns what a header says. The side that speaks first is the initiating
// one; only the receiving one gives the stream an ID (RFC 6120 §4.7.3), also
// where it has to speak first, to refuse what is no header.
func (o *observed) header(h stream.Header, sent bool) {
	if o.session != nil && o.span == nil {
		// The next stream; the hook that tells of the end of this one may be late.
		o.forget()
	}
	if !o.begun {
		o.begun, o.role = true, stream.Receiving
		if sent && h.ID == "" {
			// Its hooks may have been made long before it connected.
			o.role, o.since = stream.Initiating, time.Now()
		}
	}
	switch {
	case sent && o.role == stream.Initiating:
		o.domain = h.To
	case sent:
		o.domain = h.From // ours, whatever the peer asked for
	}
	o.start()
	if sent == (o.role == stream.Receiving) && h.ID != "" {
		o.span.SetAttributes(keyStreamID.String(text(h.ID)))
	}
	if !o.domain.IsZero() {
		o.span.SetAttributes(keyDomain.String(text(o.domain.String())))
	}
	if o.early {
		o.early = false
		o.eventSecured()
	}
}

// start begins the span, as soon as there is something to say.
func (o *observed) start() {
	if o.span != nil {
		return
	}
	if o.since.IsZero() {
		o.since = time.Now()
	}
	kind := trace.SpanKindInternal
	switch {
	case o.begun && o.role == stream.Initiating:
		kind = trace.SpanKindClient
	case o.begun:
		kind = trace.SpanKindServer
	}
	o.ctx, o.span = o.telemetry.tracer.Start(o.parent, "xmpp.stream.negotiation",
		trace.WithTimestamp(o.since), trace.WithSpanKind(kind),
		trace.WithAttributes(o.telemetry.attributes...), trace.WithAttributes(keyRole.String(o.roleName())))
}

// event adds a step to the span.
func (o *observed) event(name string, attrs ...attribute.KeyValue) {
	if o.session != nil && o.span == nil {
		return // the negotiation is over
	}
	o.start()
	if o.span.IsRecording() {
		o.span.AddEvent(name, trace.WithAttributes(attrs...))
	}
}

func (o *observed) roleName() string {
	if !o.begun {
		return unknownRole
	}
	return o.role.String()
}

// attributes returns those that all metrics have, and more.
func (o *observed) attributes(more ...attribute.KeyValue) []attribute.KeyValue {
	t := o.telemetry
	attrs := append(slices.Clip(t.attributes), keyRole.String(o.roleName()))
	if len(t.domains) > 0 {
		domain := other
		if slices.Contains(t.domains, o.domain) {
			domain = o.domain.String()
		}
		attrs = append(attrs, keyDomain.String(domain))
	}
	return append(attrs, more...)
}

func (o *observed) headerSent(h stream.Header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.header(h, true)
	o.event("header sent")
}

func (o *observed) headerReceived(h stream.Header) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.header(h, false)
	o.event("header received")
}

// maxFeatures bounds a list of features that a peer sent.
const maxFeatures = 32

func (o *observed) features(event string, names []stream.Name) {
	var list []string
	for _, n := range names[:min(len(names), maxFeatures)] {
		list = append(list, text(n.String()))
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.event(event, keyFeatures.StringSlice(list))
}

func (o *observed) featureStart(n stream.Name) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.event("feature started", keyFeature.String(text(n.String())))
}

func (o *observed) featureDone(n stream.Name, _ stream.Outcome, err error) {
	attrs := []attribute.KeyValue{keyFeature.String(text(n.String()))}
	if !errors.Is(err, stream.ErrSkip) {
		attrs = append(attrs, classify(err)...)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.event("feature done", attrs...)
}

func (o *observed) secured(s stream.Security) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.security = s
	if o.early = !o.begun; !o.early {
		o.eventSecured()
	} // otherwise it is not known yet what kind of span there is to begin
}

func (o *observed) eventSecured() {
	s := &o.security
	o.event("secured",
		keyTLS.String(tlsVersion(s.Version)), keyCipher.String(tls.CipherSuiteName(s.CipherSuite)), keyResumed.Bool(s.Resumed))
}

func (o *observed) authenticated(who jid.JID, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.mechanism = mechanism(name)
	o.event("authenticated", keyMechanism.String(o.mechanism))
	o.address(who)
}

func (o *observed) bound(full jid.JID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.event("bound")
	o.address(full)
}

// address adds the address of the client, if it may be seen.
func (o *observed) address(a jid.JID) {
	if o.telemetry.addresses && !a.IsZero() && o.span != nil {
		o.span.SetAttributes(keyJID.String(text(a.String())))
	}
}

func (o *observed) established(s *stream.Session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session != nil {
		o.finish(o.session.stream.Err())
	}
	o.start()
	o.role, o.begun = s.Role(), true
	how := o.how()
	m, attrs, now := &o.telemetry.metrics, o.attributes(), time.Now()
	common := metric.WithAttributes(attrs...)
	m.active.Add(o.ctx, 1, common)
	m.established.Add(o.ctx, 1, metric.WithAttributes(o.attributes(how...)...))
	m.negotiation.Record(o.ctx, now.Sub(o.since).Seconds(), common)
	o.span.SetAttributes(how...)
	// Once more: in SASL 2 a resource is bound before authentication is through,
	// and a session that is resumed is not bound.
	if s.Role() == stream.Receiving {
		o.address(s.RemoteAddr())
	} else {
		o.address(s.LocalAddr())
	}
	o.span.SetStatus(codes.Ok, "")
	o.span.End(trace.WithTimestamp(now))
	o.span, o.ctx = nil, nil // not to be kept for as long as the session lives
	o.session = &session{count: m.begin(s, attribute.NewSet(attrs...)), since: now, common: attrs}
}

// finish counts the end of the session.
func (o *observed) finish(cause error) {
	m, s := &o.telemetry.metrics, o.session
	m.end(s.count)
	m.active.Add(o.parent, -1, metric.WithAttributes(s.common...))
	m.duration.Record(o.parent, time.Since(s.since).Seconds(), s.with(classify(cause)...))
	o.session = nil
}

// with returns the attributes of the session's measurements, and more.
func (s *session) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(slices.Clip(s.common), more...)...)
}

// how returns what was negotiated.
func (o *observed) how() []attribute.KeyValue {
	var attrs []attribute.KeyValue
	if o.mechanism != "" {
		attrs = append(attrs, keyMechanism.String(o.mechanism))
	}
	if o.security.Secure() {
		attrs = append(attrs, keyTLS.String(tlsVersion(o.security.Version)))
	}
	return attrs
}

func (o *observed) streamError(d direction, event string, e *stream.Error) {
	condition := keyCondition.String(streamCondition(e.Condition))
	o.mu.Lock()
	defer o.mu.Unlock()
	o.event(event, condition)
	attrs := o.attributes(keyDirection.String(string(d)), condition)
	o.telemetry.metrics.errors.Add(o.context(), 1, metric.WithAttributes(attrs...))
}

// context returns the one of the span, or its parent.
func (o *observed) context() context.Context {
	if o.ctx == nil {
		return o.parent
	}
	return o.ctx
}

// closed counts the end, and forgets the stream: another one may follow.
func (o *observed) closed(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.session == nil:
		o.fail(cause)
	case o.session.stream.Err() == nil:
		return // one before, which was finished when this one was established
	default:
		o.finish(cause)
		if o.span != nil {
			return // and the next one is being negotiated already
		}
	}
	o.forget()
}

// fail counts a negotiation that came to nothing.
func (o *observed) fail(cause error) {
	o.start()
	why := classify(cause)
	if why == nil {
		why = []attribute.KeyValue{keyErrorType.String(typeConnection)} // closed in good order, but too early
	}
	m, now := &o.telemetry.metrics, time.Now()
	m.failed.Add(o.ctx, 1, metric.WithAttributes(o.attributes(why...)...))
	m.negotiation.Record(o.ctx, now.Sub(o.since).Seconds(), metric.WithAttributes(o.attributes(why[0])...))
	o.span.SetAttributes(append(o.how(), why...)...)
	// Not the text of the error, which quotes peers and names addresses.
	o.span.SetStatus(codes.Error, describe(why))
	o.span.End(trace.WithTimestamp(now))
}

// describe joins the values of attributes for people.
func describe(attrs []attribute.KeyValue) string {
	var parts []string
	for _, a := range attrs {
		parts = append(parts, a.Value.AsString())
	}
	return strings.Join(parts, ": ")
}

// kind is what elements are counted by.
type kind struct {
	direction direction
	name      string
}

// element counts a first-level element of a session.
func (o *observed) element(d direction, xml []byte) {
	name := elementName(xml)
	if name == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session == nil {
		return
	}
	k, s := kind{d, name}, o.session
	option, ok := s.kinds[k]
	if !ok {
		option = s.with(keyDirection.String(string(d)), keyElement.String(name))
		if s.kinds == nil {
			s.kinds = make(map[kind]metric.AddOption)
		}
		s.kinds[k] = option
	}
	o.telemetry.metrics.elements.Add(o.parent, 1, option)
}

// elementName returns the name of a first-level element if it is a stanza's, and
// "_OTHER" if it is not. It is empty for what is no element.
func elementName(xml []byte) string {
	rest, ok := bytes.CutPrefix(xml, []byte("<"))
	if !ok || len(rest) == 0 || rest[0] == '/' || rest[0] == '?' || bytes.HasPrefix(rest, []byte("stream:stream")) {
		return ""
	}
	end := bytes.IndexAny(rest, " \t\r\n/>")
	if end < 0 {
		end = len(rest)
	}
	switch name := string(rest[:end]); name {
	case "message", "presence", "iq":
		return name
	}
	return other
}
