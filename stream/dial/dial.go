package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Client connects to a service of a domain, as [Connect] does, and returns the
// first connection that can be made. The caller closes it, or hands it to
// stream.Initiate, which does.
//
// The error is an [*Error], or wraps [ErrOptions] or is a [*jid.Error] if
// nothing could be tried. Client is safe for concurrent use.
func Client(ctx context.Context, domain jid.JID, opts *Options) (net.Conn, Target, error) {
	var conn net.Conn
	var target Target
	err := Connect(ctx, domain, opts, func(_ context.Context, c net.Conn, t Target) (bool, error) {
		conn, target = c, t
		return false, nil
	})
	return conn, target, err
}

// Connect makes connections to a service of a domain (RFC 6120 §3.2) until one
// is good for something, which try finds out.
//
// The SRV records of the domain say where to connect. If there are none, or the
// lookup fails, that is the usual port at the addresses of the domain itself; if
// there are some and none can be reached, it is nothing else (§3.2.1 steps 8 and
// 9). A domain that is an IP address, and a configured server, need no SRV
// records. Attempts begin in the order of priorities and weights, IPv6 and IPv4
// by turns, and a little time apart; the first one that succeeds ends the others
// (RFC 8305).
//
// The connection is then try's, to use or to close, with the ctx that Connect
// was given. A port that accepts connections does not make a service: if
// negotiation fails in a way that another server of the domain may not share,
// try closes the connection and returns true, and the error for the records, and
// Connect goes on with the other targets. If it returns false, Connect returns
// its error as it is. No more than one connection exists at a time when try is
// called, and nothing runs in the background then or after Connect has returned.
//
// Other errors are an [*Error], or wrap [ErrOptions] or are a [*jid.Error] if
// nothing could be tried. Connect is safe for concurrent use.
func Connect(
	ctx context.Context, domain jid.JID, opts *Options,
	try func(ctx context.Context, conn net.Conn, target Target) (next bool, err error),
) error {
	complete, err := opts.complete()
	if err != nil {
		return err
	}
	d := dialing{opts: complete, random: intN, left: complete.Timeout, failed: &Error{Domain: domain.Domain()}}
	return d.connect(ctx, domain, try)
}

// dialing is one call of Connect.
type dialing struct {
	opts   Options // complete
	random func(n int) int
	left   time.Duration // of the timeout
	failed *Error

	targets []Target
	race    race
	began   time.Time
	lookups [][families]error // why there are no addresses, by target

	// Of the present phase, which ends with a connection:
	cancel  context.CancelFunc
	running int // goroutines that will send to results
	results chan result
}

// result is the outcome of a lookup or an attempt.
type result struct {
	event
	conn net.Conn
	err  error
}

func (d *dialing) connect(
	ctx context.Context, domain jid.JID, try func(context.Context, net.Conn, Target) (bool, error),
) error {
	err := d.phase(ctx, func(ctx context.Context) (err error) {
		d.targets, d.failed.Lookup, err = d.find(ctx, domain)
		return err
	})
	switch {
	case err == nil:
	case errors.Is(err, ErrNotAvailable) || errors.Is(err, errEnded):
		return d.failed
	default:
		return fmt.Errorf("dial: %w", err)
	}
	d.race = newRace(d.targets, d.opts.Delay, d.opts.ResolveAtDialer)
	d.lookups = make([][families]error, len(d.targets))
	d.began = time.Now()
	for ev := (event{}); ; ev = (event{kind: evRejected}) {
		var conn net.Conn
		var used Target
		err := d.phase(ctx, func(ctx context.Context) (err error) {
			conn, used, err = d.run(ctx, ev)
			return err
		})
		if err != nil || conn == nil {
			return d.failed
		}
		next, err := try(ctx, conn, used)
		if !next {
			return err
		}
		d.failed.Attempts = append(d.failed.Attempts, Attempt{used, err})
	}
}

// errExited: a dialer or resolver has called runtime.Goexit, as tests do that
// fail. Nobody waits for it in vain.
var errExited = errors.New("dial: the goroutine of an attempt has ended")

// errEnded: the context is over; the cause is in the Error.
var errEnded = errors.New("dial: ended")

// phase calls f with what is left of the time.
func (d *dialing) phase(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d.left)
	defer cancel()
	start := time.Now()
	err := f(ctx)
	d.left -= time.Since(start)
	switch {
	case err == nil:
	case errors.Is(err, ErrNotAvailable):
		d.failed.Cause = err
	case ctx.Err() != nil:
		d.failed.Cause = context.Cause(ctx)
		return errEnded
	}
	return err
}

// run carries out what the race says, beginning with an event, until there is a
// connection or nothing is left to try. Then everything has ended that it began.
func (d *dialing) run(ctx context.Context, ev event) (net.Conn, Target, error) {
	work, cancel := context.WithCancel(ctx)
	d.cancel, d.results = cancel, make(chan result)
	defer cancel()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		var do []action
		d.race, do = d.race.next(time.Since(d.began), ev)
		for _, a := range do {
			switch a.kind {
			case acAsk:
				d.ask(work, a.host, a.family)
			case acDial:
				d.dial(work, a.who)
			case acNothing:
				d.failed.Attempts = append(d.failed.Attempts, Attempt{d.targets[a.host], noAddresses(d.lookups[a.host])})
			case acDone:
				d.join(false)
				return nil, Target{}, nil
			}
		}
		var wake <-chan time.Time
		if d.race.wake != 0 {
			timer.Reset(d.race.wake - time.Since(d.began))
			wake = timer.C
		}
		select {
		case <-ctx.Done():
			d.join(true)
			return nil, Target{}, ctx.Err()
		case <-wake:
			ev = event{}
		case r := <-d.results:
			d.running--
			switch {
			case r.conn != nil:
				d.race, _ = d.race.next(time.Since(d.began), r.event) // acStop
				d.join(false)
				return r.conn, d.target(r.who), nil
			case ctx.Err() != nil: // which is why it failed
				d.note(r)
				d.join(true)
				return nil, Target{}, ctx.Err()
			case r.kind == evAnswer:
				d.lookups[r.host][r.family] = r.err
			default:
				d.note(r)
			}
			ev = r.event
		}
	}
}

// note adds a failure to the error. Of the two lookups of a target one is enough.
func (d *dialing) note(r result) {
	switch {
	case r.kind != evAnswer:
		d.failed.Attempts = append(d.failed.Attempts, Attempt{d.target(r.who), r.err})
	case r.err != nil && d.lookups[r.host] == [families]error{}:
		d.lookups[r.host][r.family] = r.err
		d.failed.Attempts = append(d.failed.Attempts, Attempt{d.targets[r.host], r.err})
	}
}

// join ends all that is under way and waits for it. Connections that come too
// late are closed. What fails is noted if that is wanted.
func (d *dialing) join(noted bool) {
	d.cancel()
	for ; d.running > 0; d.running-- {
		r := <-d.results
		if r.conn != nil {
			r.conn.Close()
			r.conn, r.err = nil, context.Canceled
		}
		if noted {
			d.note(r)
		}
	}
}

// target returns the target of a candidate.
func (d *dialing) target(c candidate) Target {
	t := d.targets[c.host]
	t.Addr = c.addr
	return t
}

// dial begins an attempt. It ends with its context, and join waits for it.
func (d *dialing) dial(ctx context.Context, c candidate) {
	t := d.target(c)
	d.running++
	go func() {
		r := result{event: event{kind: evFailed, who: c}, err: errExited}
		defer func() { d.results <- r }()
		if r.conn, r.err = d.attempt(ctx, t); r.conn != nil {
			r.kind = evConnected
		}
	}()
}

func (d *dialing) attempt(ctx context.Context, t Target) (net.Conn, error) {
	address, err := t.address()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.AttemptTimeout)
	defer cancel()
	conn, err := d.opts.Dialer.DialContext(ctx, "tcp", address)
	if err == nil && conn == nil {
		err = errors.New("the dialer returned neither a connection nor an error")
	}
	if err != nil {
		return nil, err // never a conn that holds a nil pointer
	}
	return conn, nil
}

// ask begins a lookup. It ends with its context, and join waits for it.
func (d *dialing) ask(ctx context.Context, host, family int) {
	t := d.targets[host]
	d.running++
	go func() {
		r := result{event: event{kind: evAnswer, host: host, family: family}, err: errExited}
		defer func() { d.results <- r }()
		r.addrs, r.err = d.addresses(ctx, t, family)
	}()
}

// noAddresses returns the more telling of the errors of the two families.
func noAddresses(errs [families]error) error {
	for _, err := range errs {
		var dns *net.DNSError
		if err != nil && (!errors.As(err, &dns) || !dns.IsNotFound) {
			return err
		}
	}
	return errs[ipv4]
}
