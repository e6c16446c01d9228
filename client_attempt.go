package xmpp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/sm"
	xtls "stanzakit.dev/xmpp/tls"
)

// attempt is one attempt to get a session, however many connections that takes.
type attempt struct {
	client  *Client
	managed *sm.Client // nil without stream management
	// anyResource asks for no resource.
	anyResource bool

	redirects dial.Redirects
	target    dial.Target // where the last connection has led
	secured   bool        // it has TLS, and the certificate was accepted
	begun     bool        // authentication has begun on it
}

// dialOptions returns how the server is found.
func (c *Client) dialOptions() *dial.Options {
	var o dial.Options
	if c.Dial != nil {
		o = *c.Dial
	}
	if c.Addr != "" {
		o.Server = c.Addr
	}
	switch {
	case c.DirectTLS:
		o.TLS = dial.DirectTLS
	case c.InsecureWithoutTLS:
		o.TLS = dial.StartTLS
	}
	return &o
}

// session makes the attempt where the server is to be found.
func (a *attempt) session(ctx context.Context) (*stream.Session, error) {
	if a.client.Open != nil {
		return a.opened(ctx)
	}
	return a.at(ctx, a.client.dialOptions())
}

// opened makes the attempt on a connection that the program makes.
func (a *attempt) opened(ctx context.Context) (*stream.Session, error) {
	once := func() (*stream.Session, error) {
		nc, sec, err := a.client.Open(ctx)
		if err != nil {
			return nil, err
		}
		t := a.client.tlsOptions()
		return a.negotiate(ctx, nc, &t, sec.Secure(), sec)
	}
	session, err := once()
	if errors.Is(err, auth.ErrTokenRefused) && a.client.hasPassword() && ctx.Err() == nil {
		return once()
	}
	return session, err
}

// at makes the attempt at a place, and where the server there redirects it to.
func (a *attempt) at(ctx context.Context, o *dial.Options) (*stream.Session, error) {
	for {
		session, err := a.once(ctx, o)
		if errors.Is(err, auth.ErrTokenRefused) && a.client.hasPassword() && ctx.Err() == nil {
			// The token is forgotten, and what else there is to log in with takes a
			// connection of its own.
			session, err = a.once(ctx, o)
		}
		if err == nil {
			return session, nil
		}
		next, why := a.redirects.Follow(err, a.target, a.secured, o)
		switch {
		case errors.Is(why, dial.ErrNoRedirect):
			return nil, err
		case why != nil:
			return nil, fmt.Errorf("%w: %w", why, err)
		}
		o = next
	}
}

// elsewhere makes the attempt where the server has said, host and perhaps port, when
// it had been authenticated at from. The rules are those of a redirect. It does not
// take long, for there is another way.
func (a *attempt) elsewhere(ctx context.Context, where string, from dial.Target) (*stream.Session, error) {
	var r dial.Redirects
	o, err := r.Follow(&stream.Error{Condition: stream.SeeOtherHost, OtherHost: where, Received: true}, from, true, a.client.dialOptions())
	if err != nil {
		return nil, err
	}
	o.Timeout = min(orDefaultTime(o.Timeout, elsewhereTimeout), elsewhereTimeout)
	return a.at(ctx, o)
}

// elsewhereTimeout bounds connecting to where a server would like to be reconnected
// to.
const elsewhereTimeout = 10 * time.Second

// once makes connections until there is one whose server begins to authenticate.
func (a *attempt) once(ctx context.Context, o *dial.Options) (session *stream.Session, err error) {
	tried, last := 0, error(nil)
	err = dial.Connect(ctx, a.client.JID.DomainJID(), o, func(ctx context.Context, nc net.Conn, target dial.Target) (bool, error) {
		a.target = target
		t := a.client.tlsOptions()
		t.Target = net.JoinHostPort(target.Host, strconv.Itoa(int(target.Port)))
		session, last = a.negotiate(ctx, nc, &t, target.DirectTLS, nil)
		tried++
		// A target that is broken says nothing about the others; one that knows the
		// client, or sends it away, speaks for all of them.
		next := last != nil && !a.begun && ctx.Err() == nil && !redirecting(last) && retryable(last).again()
		return next, last
	})
	var none *dial.Error
	if tried == 1 && errors.As(err, &none) && none.Cause == nil && len(none.Attempts) == 1 {
		return nil, last // there was but one
	}
	if err != nil {
		return nil, err
	}
	return session, nil
}

// redirecting reports whether the server has named another one.
func redirecting(err error) bool {
	var e *stream.Error
	return errors.As(err, &e) && e.Received && e.Condition == stream.SeeOtherHost
}

// negotiate opens a stream on nc, with TLS beneath it or in it. Sec describes a
// layer that is there already, or is nil. It closes nc on error.
func (a *attempt) negotiate(ctx context.Context, nc net.Conn, t *xtls.ClientOptions, directTLS bool, sec *stream.Security) (*stream.Session, error) {
	c := a.client
	a.secured, a.begun = false, false
	o := a.options(t, directTLS)
	if sec != nil {
		o.Security = sec
		a.secured = sec.Secure()
	}
	if directTLS && sec == nil {
		timeout := c.Timeout
		if timeout <= 0 {
			timeout = defaultNegotiationTimeout
		}
		deadline := time.Now().Add(timeout)
		bounded, cancel := context.WithDeadlineCause(ctx, deadline, stream.ErrNegotiationTimeout)
		secured, sec, err := xtls.ClientHandshake(bounded, nc, o.To, t)
		cancel()
		if err != nil {
			if c.Trace != nil && c.Trace.Closed != nil {
				c.Trace.Closed(err)
			}
			return nil, err
		}
		nc, o.Security = secured, &sec
		o.Timeout = remaining(deadline)
		a.secured = true
	}
	return stream.Initiate(ctx, nc, o)
}

// options puts the parts together.
func (a *attempt) options(t *xtls.ClientOptions, directTLS bool) *stream.InitiateOptions {
	c := a.client
	var login auth.ClientOptions
	if c.Auth != nil {
		login = *c.Auth
	}
	if c.Password != "" {
		login.Password = c.Password
	}
	who := c.JID
	if a.anyResource {
		who = who.Bare()
	}
	o := &stream.InitiateOptions{
		To:       c.JID.DomainJID(),
		From:     who,
		Lang:     c.Lang,
		Limits:   c.Limits,
		Timeout:  c.Timeout,
		Liveness: watchful(c.Liveness),
		Trace:    c.Trace,
	}
	if o.Limits == nil {
		o.Limits = &stream.Limits{ElementBytes: 2 << 20, Elements: 65_536}
	}
	switch {
	case c.InsecureWithoutTLS:
		o.Profile = stream.InsecureC2S()
		login.InsecureWithoutTLS = true
	case !directTLS: // XEP-0368 §2: STARTTLS is not used over direct TLS
		o.Features = append(o.Features, noting(xtls.StartTLSClient(t), nil, &a.secured))
	}
	// Before authentication, for those that come before it, such as registration;
	// the others are not considered until they may be.
	o.Features = append(o.Features, c.Features...)
	o.Features = append(o.Features,
		noting(auth.SASL2Client(&login), &a.begun, nil), // where the server has it
		noting(auth.Client(&login), &a.begun, nil),
	)
	if a.managed != nil {
		// In front of binding: a session that was resumed is bound already.
		o.Features = append(o.Features, a.managed.Feature())
	}
	o.Features = append(o.Features, bind.Client(&bind.ClientOptions{Resource: who.Resource(), Tag: c.Tag}))
	return o
}

// noting returns a feature that notes when its negotiation has begun, and when it has
// succeeded.
func noting(f stream.Feature, begun, done *bool) stream.Feature {
	initiate := f.Initiate
	f.Initiate = func(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
		if begun != nil {
			*begun = true
		}
		out, err := initiate(ctx, n, offer)
		if done != nil && err == nil {
			*done = true
		}
		return out, err
	}
	return f
}
