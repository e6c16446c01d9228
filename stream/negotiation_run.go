package stream

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// run negotiates by calling step, under ctx and the absolute deadline, which
// bound the connection and, by the context that step gets, whatever else
// features wait for. On error the connection is closed.
func (n *Negotiation) run(ctx context.Context, timeout time.Duration, step func(context.Context) error) error {
	finished := false
	defer func() {
		if !finished { // a feature panicked: whoever recovers has no connection to close
			n.closeConn(errFeatureGone)
		}
	}()
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	n.deadline = time.Now().Add(timeout)
	err := n.raw.SetDeadline(n.deadline)
	if n.state.Has(Secure) && n.trace.hooks.Secured != nil {
		n.trace.hooks.Secured(n.sec)
	}
	if err == nil {
		// A context that ends makes every read and write of the connection
		// fail, those of the last words of the stream included.
		stop := context.AfterFunc(ctx, func() { n.raw.Close() })
		defer stop()
		bounded, cancel := context.WithDeadline(ctx, n.deadline)
		defer cancel()
		if err = step(bounded); err != nil {
			n.sayLast(ctx, err)
		}
		if !stop() && err == nil {
			err = contextError(ctx)
		}
	}
	if err == nil {
		err = n.raw.SetDeadline(time.Time{})
	}
	finished = true
	if err != nil {
		err = n.describe(ctx, err)
		n.closeConn(err)
	}
	return err
}

// errFeatureGone is what the trace hears when a feature panicked or called
// runtime.Goexit.
var errFeatureGone = errors.New("stream: a feature did not return")

// describe turns an error of the negotiation into what Initiate and Accept
// return: the context's own error first when it ended, and the timeout by its
// name.
func (n *Negotiation) describe(ctx context.Context, err error) error {
	var ne net.Error
	switch {
	case ctx.Err() != nil:
		if cause := contextError(ctx); !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
	case errors.As(err, &ne) && ne.Timeout() && !time.Now().Before(n.deadline):
		err = fmt.Errorf("%w: %w", ErrNegotiationTimeout, err)
	}
	if n.role == Initiating {
		return fmt.Errorf("stream: negotiating with %s: %w", n.domain, err)
	}
	return fmt.Errorf("stream: negotiating: %w", err)
}

// sayLast ends an unsuccessful negotiation on the wire (RFC 6120 §4.9.1.1,
// §4.9.1.2), unless there is nobody to hear it.
func (n *Negotiation) sayLast(ctx context.Context, err error) {
	var abort *abortError
	if ctx.Err() != nil || n.broken || errors.As(err, &abort) {
		return
	}
	var out []byte
	if !n.headerSent {
		out = n.appendHeader(out)
	}
	var e *Error
	if errors.As(err, &e) && !e.Received {
		if n.trace.hooks.ErrorSent != nil {
			n.trace.hooks.ErrorSent(e)
		}
		out, _ = e.AppendXML(out)
	}
	if n.writeRaw(append(out, closingTag...)) == nil {
		linger(n.conn, n.raw)
	}
}

func (n *Negotiation) closeConn(err error) {
	n.raw.Close()
	n.conn.Close()
	n.sc.release()
	if n.trace.hooks.Closed != nil {
		n.trace.hooks.Closed(err)
	}
}

// appendHeader appends the stream header of this side.
func (n *Negotiation) appendHeader(dst []byte) []byte {
	n.trace.restart()
	n.headerSent = true
	if n.trace.hooks.HeaderSent != nil {
		n.trace.hooks.HeaderSent(n.local)
	}
	return appendHeader(dst, n.prof.ContentNS, n.local)
}

// enter records what a feature achieved, and reports whether the stream has to
// be restarted.
func (n *Negotiation) enter(out Outcome) (restart bool) {
	n.state |= out.Reached
	n.resumed = n.resumed || out.Resumed
	if n.state.Has(Authenticated) {
		// RFC 6120 §13.12: the smaller limits are for strangers.
		n.sc.setLimits(n.limits)
	}
	restart = out.Restart || n.upgraded
	n.upgraded = false
	return restart
}

// errRounds ends a negotiation that does not.
func errRounds() error {
	return &Error{Condition: PolicyViolation, Text: "too many rounds of negotiation", Cause: ErrNoProgress}
}

// featureStart and featureDone run the hooks around a feature.
func (n *Negotiation) featureStart(f *Feature) {
	if n.trace.hooks.FeatureStart != nil {
		n.trace.hooks.FeatureStart(f.Name)
	}
}

func (n *Negotiation) featureDone(f *Feature, out Outcome, err error) {
	if n.trace.hooks.FeatureDone != nil {
		n.trace.hooks.FeatureDone(f.Name, out, err)
	}
}
