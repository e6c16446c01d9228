package stream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

var (
	domain = jid.MustParse("im.example")
	juliet = jid.MustParse("juliet@im.example/balcony")
)

// bare is a profile without goals: a stream is negotiated as soon as headers
// and features have crossed.
var bare = stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}

// raw is an element that is XML already.
type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

const clientHeader = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`

const serverHeader = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='im.example' id='s1' version='1.0'>`

// sessions returns the two ends of a negotiated stream without TLS and SASL.
func sessions(t testing.TB, co *stream.InitiateOptions, so *stream.AcceptOptions) (client, server *stream.Session) {
	t.Helper()
	a, b := memconn.Pipe()
	if co == nil {
		co = &stream.InitiateOptions{}
	}
	if so == nil {
		so = &stream.AcceptOptions{}
	}
	co.Profile, co.To, co.From = bare, domain, juliet
	so.Profile, so.Domains = bare, []jid.JID{domain}
	type result struct {
		s   *stream.Session
		err error
	}
	accepted := make(chan result, 1)
	go func() {
		s, err := stream.Accept(context.Background(), b, so)
		accepted <- result{s, err}
	}()
	client, err := stream.Initiate(context.Background(), a, co)
	require.NoError(t, err)
	r := <-accepted
	require.NoError(t, r.err)
	t.Cleanup(func() {
		client.Abort(errors.New("test over"))
		r.s.Abort(errors.New("test over"))
	})
	return client, r.s
}

// peer is a scripted peer: it writes what it is told and keeps all it reads.
type peer struct {
	net.Conn
	mu   sync.Mutex
	got  strings.Builder
	done chan struct{}
}

// newPeer begins to read from conn. The goroutine ends when conn does.
func newPeer(conn net.Conn) *peer {
	p := &peer{Conn: conn, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			p.mu.Lock()
			p.got.Write(buf[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *peer) say(t testing.TB, s string) {
	t.Helper()
	_, err := io.WriteString(p.Conn, s)
	if err != nil && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) {
		require.NoError(t, err)
	}
}

// heard returns everything that was read so far.
func (p *peer) heard() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.got.String()
}

// all waits for the end of the connection and returns everything that was read.
func (p *peer) all(t testing.TB) string {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Fatal("the connection was not closed")
	}
	return p.heard()
}

// acceptRaw runs Accept against a scripted client.
func acceptRaw(opts *stream.AcceptOptions) (*peer, <-chan error) {
	a, b := memconn.Pipe()
	if opts.Domains == nil {
		opts.Domains = []jid.JID{domain}
	}
	errs := make(chan error, 1)
	go func() {
		s, err := stream.Accept(context.Background(), b, opts)
		if err == nil {
			err = s.Serve(func(*stream.Element) error { return nil })
		}
		errs <- err
	}()
	return newPeer(a), errs
}

// initiateRaw runs Initiate against a scripted server.
func initiateRaw(ctx context.Context, opts *stream.InitiateOptions) (*peer, <-chan error) {
	a, b := memconn.Pipe()
	opts.To, opts.From = domain, juliet
	errs := make(chan error, 1)
	go func() {
		s, err := stream.Initiate(ctx, b, opts)
		if err == nil {
			err = s.Serve(func(*stream.Element) error { return nil })
		}
		errs <- err
	}()
	return newPeer(a), errs
}
