package stream_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// forgetful is a connection that loses the option whenever something is
// written, as the kernel does at times of its own choosing.
type forgetful struct{ *net.TCPConn }

func (c forgetful) Write(b []byte) (int, error) {
	if err := setQuickAck(c.TCPConn, 0); err != nil {
		return 0, err
	}
	return c.TCPConn.Write(b)
}

func setQuickAck(c *net.TCPConn, v int) error {
	return option(c, func(fd int) error { return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, v) })
}

func quickAck(t *testing.T, c *net.TCPConn) bool {
	t.Helper()
	v := 0
	require.NoError(t, option(c, func(fd int) (err error) {
		v, err = syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_QUICKACK)
		return err
	}))
	return v != 0
}

func option(c *net.TCPConn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	return errors.Join(raw.Control(func(fd uintptr) { failed = f(int(fd)) }), failed)
}

// tcpPair returns the two ends of a connection over loopback.
func tcpPair(t *testing.T) (near, far *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { a.Close() })
	b, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { b.Close() })
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// What either side writes during negotiation is followed by the option, and what
// a session writes is not.
func TestQuickAcksDuringNegotiation(t *testing.T) {
	near, far := tcpPair(t)
	var client, server []bool // after each write of a feature
	name := stream.Name{Space: "urn:example", Local: "dialogue"}
	write := func(n *stream.Negotiation) error {
		return n.Write(func(w *stream.Writer) {
			w.Start(name)
			w.End()
		})
	}
	const rounds = 3
	profile := stream.Profile{Goal: stream.Bound, InsecureGoal: true}
	accepted := make(chan *stream.Session, 1)
	go func() { // ends with Accept, which the test's context bounds
		s, err := stream.Accept(t.Context(), forgetful{far}, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain},
			Features: []stream.Feature{{
				Name:      name,
				Advertise: func(_ *stream.Negotiation, w *stream.Writer) error { w.Start(name); w.End(); return nil },
				Accept: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
					for i := range rounds {
						if i > 0 {
							if _, err := n.Read(ctx); err != nil {
								return stream.Outcome{}, err
							}
						}
						if err := write(n); err != nil {
							return stream.Outcome{}, err
						}
						server = append(server, quickAck(t, far))
					}
					return stream.Outcome{Reached: stream.Bound}, nil
				},
			}},
		})
		if err != nil {
			t.Error(err)
		}
		accepted <- s
	}()
	session, err := stream.Initiate(t.Context(), forgetful{near}, &stream.InitiateOptions{
		Profile: profile, To: domain, From: juliet,
		Features: []stream.Feature{{
			Name: name,
			Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
				for range rounds {
					if err := write(n); err != nil {
						return stream.Outcome{}, err
					}
					client = append(client, quickAck(t, near))
					if _, err := n.Read(ctx); err != nil {
						return stream.Outcome{}, err
					}
				}
				return stream.Outcome{Reached: stream.Bound}, nil
			},
		}},
	})
	require.NoError(t, err)
	peer := <-accepted
	require.NotNil(t, peer)
	defer peer.Abort(context.Canceled)
	defer session.Abort(context.Canceled)
	require.Equal(t, []bool{true, true, true}, client)
	require.Equal(t, []bool{true, true, true}, server)

	r, err := session.SendReceipt(t.Context(), raw("<message/>"))
	require.NoError(t, err)
	require.NoError(t, r.Wait(t.Context(), stream.Written))
	require.False(t, quickAck(t, near), "a session writes without a further system call")
}

// plain has a socket beneath and does not show it; fileConn shows something that
// is no socket of TCP.
type plain struct{ net.Conn }

func TestQuickAcksOfOtherConnections(t *testing.T) {
	unixPair := func(t *testing.T) (net.Conn, net.Conn) {
		fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		var ends [2]net.Conn
		for i, fd := range fds {
			f := os.NewFile(uintptr(fd), "")
			ends[i], err = net.FileConn(f)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		return ends[0], ends[1]
	}
	for name, pair := range map[string]func(t *testing.T) (net.Conn, net.Conn){
		"unix":    unixPair,
		"wrapped": func(t *testing.T) (net.Conn, net.Conn) { a, b := tcpPair(t); return plain{a}, plain{b} },
		"refuses": func(t *testing.T) (net.Conn, net.Conn) { a, b := tcpPair(t); return socketless{a}, socketless{b} },
	} {
		t.Run(name, func(t *testing.T) {
			near, far := pair(t)
			accepted := make(chan outcome, 1)
			go func() { // ends with Accept, which the test's context bounds
				s, err := stream.Accept(t.Context(), far, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
				accepted <- outcome{s, err}
			}()
			s, err := stream.Initiate(t.Context(), near, &stream.InitiateOptions{Profile: bare, To: domain})
			require.NoError(t, err)
			s.Abort(context.Canceled)
			o := <-accepted
			require.NoError(t, o.err)
			o.session.Abort(context.Canceled)
		})
	}
}

// outcome is what one side of a stream came to.
type outcome struct {
	session *stream.Session
	err     error
}

// socketless says that it has a socket, and has none.
type socketless struct{ net.Conn }

func (socketless) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// control is a connection with a socket that is told nothing: it counts.
type control struct {
	net.Conn
	calls int
	fd    func(func(uintptr)) error
}

func (c *control) SyscallConn() (syscall.RawConn, error) { return socket{control: c}, nil }

// socket is what a control has beneath.
type socket struct {
	syscall.RawConn // nobody reads and writes this way
	control         *control
}

func (s socket) Control(f func(uintptr)) error {
	s.control.calls++
	return s.control.fd(f)
}

// A socket that refuses once is not asked again.
func TestQuickAcksAreNotTriedAgain(t *testing.T) {
	none, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer none.Close()
	for name, fd := range map[string]func(func(uintptr)) error{
		"no control": func(func(uintptr)) error { return errors.ErrUnsupported },
		"no socket":  func(f func(uintptr)) error { f(none.Fd()); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			a, b := memconn.Pipe()
			p := newPeer(a)
			p.say(t, clientHeader+"<ask xmlns='urn:test'/>")
			conn := &control{Conn: b, fd: fd}
			s, err := stream.Accept(t.Context(), conn, &stream.AcceptOptions{
				Profile: boundGoal, Domains: []jid.JID{domain},
				Features: []stream.Feature{asking(nil, func(_ context.Context, n *stream.Negotiation, _ *stream.Element) error {
					return n.Write(func(w *stream.Writer) {
						w.Start(testName("x"))
						w.End()
					})
				})},
			})
			require.NoError(t, err)
			require.Equal(t, 1, conn.calls)
			s.Abort(context.Canceled)
			p.all(t)
		})
	}
}
