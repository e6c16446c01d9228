package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/sm"
	xtls "stanzakit.dev/xmpp/tls"
)

// xml is XML as it stands.
type xml string

func (x xml) AppendXML(dst []byte) ([]byte, error) { return append(dst, x...), nil }

// person is a client that writes numbered messages to another one, hears those of
// somebody, and comes back whenever its connection is lost.
type person struct {
	account jid.JID // bare
	roots   *x509.CertPool
	plain   bool          // no TLS
	inline  bool          // SASL 2, so that resumption rides in the authentication
	keys    sasl.KeyCache // of the account
	pause   time.Duration // bound of the time before it comes back
	random  *rand.Rand    // of the goroutine of stay
	dial    func(context.Context) (net.Conn, error)
	streams *sm.Client

	to jid.JID // full JID, set before write

	mu      sync.Mutex
	session *stream.Session
	heard   []int    // numbers of messages, in the order in which they came
	strange []string // what nobody should have sent
	changed chan struct{}

	// Of the goroutine of stay; read them after it has ended.
	fresh, resumed, failed int
	trouble                []string // why sessions were not resumed
}

// newPerson returns a client that has not connected.
func newPerson(account jid.JID, random *rand.Rand) (*person, error) {
	streams, err := sm.NewClient(nil)
	return &person{
		account: account, random: random, streams: streams, keys: new(sasl.MemoryKeyCache),
		plain: true, pause: 20 * time.Millisecond, changed: make(chan struct{}, 1),
	}, err
}

// connect makes one attempt.
func (p *person) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	nc, err := p.dial(ctx)
	if err != nil {
		return err
	}
	o := &stream.InitiateOptions{To: p.account.DomainJID(), From: p.account, Timeout: 20 * time.Second}
	login := &auth.ClientOptions{Password: "secret of " + p.account.Local(), Cache: p.keys}
	if p.plain {
		o.Profile, login.InsecureWithoutTLS = stream.InsecureC2S(), true
	} else {
		o.Features = append(o.Features, xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: p.roots}))
	}
	if p.inline {
		o.Features = append(o.Features, auth.SASL2Client(login))
	} else {
		o.Features = append(o.Features, auth.Client(login))
	}
	o.Features = append(o.Features, p.streams.Feature(), bind.Client(&bind.ClientOptions{Tag: "soak"}))
	before := p.streams.Link()
	s, err := stream.Initiate(ctx, nc, o)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.session = s
	p.mu.Unlock()
	if l := sm.Of(s); l != nil && l.Resumed() {
		p.resumed++
		return nil
	}
	p.fresh++
	if before != nil {
		p.trouble = append(p.trouble, fmt.Sprint(before.Err()))
	}
	return s.Send(ctx, xml("<presence/>"))
}

// now returns the session of now.
func (p *person) now() *stream.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session
}

// resumable waits until the session can be resumed when it is lost.
func (p *person) resumable(ctx context.Context) error {
	for ctx.Err() == nil {
		if l := p.streams.Link(); l != nil && l.ID() != "" {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Millisecond):
		}
	}
	return context.Cause(ctx)
}

// stay reads, and comes back, until the context ends.
func (p *person) stay(ctx context.Context) {
	for ctx.Err() == nil {
		s := p.now()
		if s == nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { s.Abort(errOver) })
		s.Serve(p.hear)
		stop()
		for ctx.Err() == nil {
			select {
			case <-ctx.Done():
				return
			case <-time.After(time.Duration(p.random.Int64N(int64(p.pause)))):
			}
			if p.now() == nil || p.connect(ctx) == nil {
				break
			}
			p.failed++
		}
	}
}

// errOver: the test is over.
var errOver = errors.New("the test is over")

func (p *person) hear(el *stream.Element) error {
	if el.Name().Local != "message" {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	n, err := strconv.Atoi(el.Attr("id"))
	if err != nil || el.Attr("type") == "error" {
		p.strange = append(p.strange, string(el.Raw()))
		return nil
	}
	p.heard = append(p.heard, n)
	select {
	case p.changed <- struct{}{}:
	default:
	}
	return nil
}

// leave closes the session, and lets stay end.
func (p *person) leave(ctx context.Context) error {
	p.mu.Lock()
	s := p.session
	p.session = nil
	p.mu.Unlock()
	return s.Close(ctx)
}

// message returns a message of p's.
func (p *person) message(n int) xml {
	return xml(fmt.Sprintf("<message to='%s' type='chat' id='%d'><body>number %d%s</body></message>", p.to, n, n, strings.Repeat(".", n%97)))
}

// write sends messages from number n on, at that pace, until quiet is closed. It
// returns the number of the next one.
func (p *person) write(ctx context.Context, n int, random *rand.Rand, pace time.Duration, quiet <-chan struct{}) (int, error) {
	for {
		select {
		case <-quiet:
			return n, nil
		case <-ctx.Done():
			return n, context.Cause(ctx)
		case <-time.After(pace/2 + time.Duration(random.Int64N(int64(pace)))):
		}
		if err := p.now().Send(ctx, p.message(n)); err != nil {
			return n, fmt.Errorf("message %d of %s: %w", n, p.account, err)
		}
		n++
	}
}

// hears waits until all messages up to number n have come.
func (p *person) hears(ctx context.Context, n int) error {
	for {
		p.mu.Lock()
		have := len(p.heard) > 0 && p.heard[len(p.heard)-1] >= n
		p.mu.Unlock()
		if have {
			return nil
		}
		select {
		case <-p.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// compare compares what was heard with what was sent, numbers 0 to n-1.
func compare(heard []int, n int) (lost, twice, disordered []int) {
	times := make([]int, n)
	last := -1
	for _, k := range heard {
		switch {
		case k >= n || times[k] > 0:
			twice = append(twice, k)
			continue
		case k < last:
			disordered = append(disordered, k)
		}
		times[k]++
		last = max(last, k)
	}
	for k, c := range times {
		if c == 0 {
			lost = append(lost, k)
		}
	}
	return lost, twice, disordered
}
