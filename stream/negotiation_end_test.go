package stream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// What a feature reads, and what it is spared.
//
//conformance:proves 6120-4.9.1.1-2
func TestNegotiationRead(t *testing.T) {
	const ask = "<ask xmlns='urn:test'/>"
	ended := errors.New("ended")
	for name, c := range map[string]struct {
		say    string
		read   func(*stream.Negotiation, context.Context) (*stream.Element, error)
		end    bool
		want   error
		suffix string // what the peer hears last
	}{
		"an element":                         {"<x/>", (*stream.Negotiation).Read, false, nil, ""},
		"white space is passed over":         {" \n<x/>", (*stream.Negotiation).Read, false, nil, ""},
		"a strict read":                      {"<x/>", (*stream.Negotiation).ReadStrict, false, nil, ""},
		"XEP-0388 §2.4: no white space":      {" <x/>", (*stream.Negotiation).ReadStrict, false, stream.BadFormat, "</stream:error></stream:stream>"},
		"a context that has ended":           {"<x/>", (*stream.Negotiation).Read, true, ended, ask + "</stream:features></stream:stream>"},
		"a strict read after the context":    {"<x/>", (*stream.Negotiation).ReadStrict, true, ended, ask + "</stream:features></stream:stream>"},
		"the closing tag":                    {"</stream:stream>", (*stream.Negotiation).Read, false, stream.ErrPeerClosed, ask + "</stream:features></stream:stream>"},
		"RFC 6120 §4.9: an error":            {"<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", (*stream.Negotiation).Read, false, stream.Reset, "</stream:features></stream:stream>"},
		"the end of the connection":          {"", (*stream.Negotiation).Read, false, stream.ErrTruncated, "</stream:features>"},
		"RFC 6120 §4.9.3.1: text":            {"x", (*stream.Negotiation).Read, false, stream.BadFormat, "</stream:error></stream:stream>"},
		"half an element and the end of all": {"<x", (*stream.Negotiation).Read, false, stream.ErrTruncated, "</stream:features>"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Features: []stream.Feature{
					asking(nil, func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) error {
						if c.end {
							var cancel context.CancelCauseFunc
							ctx, cancel = context.WithCancelCause(ctx)
							cancel(ended)
						}
						el, err := c.read(n, ctx)
						if err == nil && el.Name().Local != "x" {
							err = fmt.Errorf("unexpected %s", el.Name())
						}
						if c.end && errors.Is(err, context.Canceled) {
							err = context.Cause(ctx)
						}
						return err
					}),
				}})
				p.say(t, clientHeader+ask+c.say)
				synctest.Wait()
				if c.want == nil {
					p.say(t, "</stream:stream>")
				} else {
					// The writing half only: the rest is heard.
					require.NoError(t, p.Conn.(interface{ CloseWrite() error }).CloseWrite())
				}
				err := <-errs
				p.Close()
				wire := p.all(t)
				if c.want == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, c.want)
				require.True(t, strings.HasSuffix(wire, c.suffix), wire)
				require.Equal(t, c.want == stream.BadFormat, strings.Contains(wire, "<stream:error>"))
			})
		})
	}
}

// mute is a connection that fails to write from a certain time on.
type mute struct {
	net.Conn
	from   int // the first write that fails; zero for none
	writes int
}

var errMute = errors.New("cannot write")

func (m *mute) Write(b []byte) (int, error) {
	m.writes++
	if m.from > 0 && m.writes >= m.from {
		return 0, errMute
	}
	return m.Conn.Write(b)
}

// There is nobody to talk to once a write has failed, and an element that cannot
// be written is no such thing.
func TestNegotiationWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		p := newPeer(a)
		conn := &mute{Conn: b}
		var writes int
		p.say(t, clientHeader+"<ask xmlns='urn:test'/>")
		_, err := stream.Accept(t.Context(), conn, &stream.AcceptOptions{Profile: boundGoal, Domains: []jid.JID{domain}, Features: []stream.Feature{
			asking(nil, func(_ context.Context, n *stream.Negotiation, _ *stream.Element) error {
				writes = conn.writes
				err := n.Write(func(w *stream.Writer) { w.Start(testName("x")); w.Text("\x00"); w.End() })
				require.Error(t, err)
				require.Equal(t, writes, conn.writes)
				conn.from = writes + 1
				return n.Write(func(w *stream.Writer) { w.Start(testName("x")); w.End() })
			}),
		}})
		require.ErrorIs(t, err, errMute)
		require.Equal(t, writes+1, conn.writes, "no last words")
		p.all(t)
	})
}

// The connection is asked about its deadlines, and has to know them.
type clockless struct {
	net.Conn
	set   []time.Time
	fails int // which of the calls
}

var errClockless = errors.New("no deadlines here")

func (c *clockless) SetDeadline(at time.Time) error {
	c.set = append(c.set, at)
	if len(c.set) == c.fails {
		return errClockless
	}
	return c.Conn.SetDeadline(at)
}

func TestNegotiationDeadlines(t *testing.T) {
	accept := func(t *testing.T, fails int, timeout time.Duration) (*clockless, error) {
		conn := &clockless{fails: fails}
		var err error
		synctest.Test(t, func(t *testing.T) {
			a, b := memconn.Pipe()
			p := newPeer(a)
			conn.Conn = b
			begin := time.Now()
			p.say(t, clientHeader)
			var s *stream.Session
			s, err = stream.Accept(t.Context(), conn, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}, Timeout: timeout})
			for i, at := range conn.set {
				if !at.IsZero() {
					conn.set[i] = time.Time{}.Add(at.Sub(begin))
				}
			}
			if s != nil {
				s.Abort(errors.New("test over"))
			}
			p.all(t) // closed in any case
		})
		return conn, err
	}
	after := func(d time.Duration) time.Time { return time.Time{}.Add(d) }
	for timeout, want := range map[time.Duration]time.Duration{0: 30 * time.Second, -1: 30 * time.Second, 1: 1, time.Minute: time.Minute} {
		conn, err := accept(t, 0, timeout)
		if timeout != 1 {
			require.NoError(t, err)
			require.Equal(t, []time.Time{after(want), {}}, conn.set, "%s: and none for the session", timeout)
		} else {
			require.Equal(t, after(want), conn.set[0])
		}
	}
	for fails := range 2 {
		_, err := accept(t, fails+1, 0)
		require.ErrorIs(t, err, errClockless)
	}
}

// Who reads the error knows which of many streams it is about.
func TestNegotiationErrorsSayWhichStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
		p.say(t, "</x>")
		require.ErrorContains(t, <-errs, "negotiating with im.example: ")
		p.Close()
		p.all(t)
		p, errs = acceptRaw(&stream.AcceptOptions{Profile: bare})
		p.say(t, "</x>")
		require.ErrorContains(t, <-errs, "stream: negotiating: ")
		p.Close()
		p.all(t)
	})
}

// After its last words a side waits for the peer to have read them, and no
// longer than it has to.
func TestNegotiationLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare})
		p.say(t, "<x/>")
		require.ErrorIs(t, <-errs, stream.BadFormat)
		require.Equal(t, 500*time.Millisecond, time.Since(begin))
		p.Close()
		wire := p.all(t)
		require.Contains(t, wire, " version='1.0'")
		wantError(t, wire, stream.BadFormat)
	})
}

// A context that ends when all is negotiated but the session is not handed over
// yet is a negotiation that failed.
func TestContextEndsAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p, errs := initiateRaw(ctx, &stream.InitiateOptions{Profile: boundGoal, Features: []stream.Feature{
			asking(func(context.Context, *stream.Negotiation, *stream.Element) error {
				cancel()
				return nil
			}, nil),
		}})
		p.say(t, serverHeader+features)
		require.ErrorIs(t, <-errs, context.Canceled)
		p.all(t) // closed
	})
}

// A write that fails ends a negotiation, whichever it is.
func TestNegotiationCannotWrite(t *testing.T) {
	run := func(t *testing.T, at int, serve func(context.Context, net.Conn) (*stream.Session, error), say string) {
		synctest.Test(t, func(t *testing.T) {
			a, b := memconn.Pipe()
			p := newPeer(a)
			p.say(t, say)
			conn := &mute{Conn: b, from: at}
			_, err := serve(t.Context(), conn)
			require.ErrorIs(t, err, errMute)
			require.Equal(t, at, conn.writes)
			p.all(t)
		})
	}
	anew := stream.Feature{Name: testName("ask"), Accept: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
		return stream.Outcome{Reached: stream.Bound, Features: true}, nil
	}}
	accept := func(prof stream.Profile) func(context.Context, net.Conn) (*stream.Session, error) {
		return func(ctx context.Context, conn net.Conn) (*stream.Session, error) {
			return stream.Accept(ctx, conn, &stream.AcceptOptions{Profile: prof, Domains: []jid.JID{domain}, Features: []stream.Feature{anew}})
		}
	}
	t.Run("a server's header", func(t *testing.T) { run(t, 1, accept(bare), clientHeader) })
	t.Run("new features", func(t *testing.T) { run(t, 2, accept(boundGoal), clientHeader+"<ask xmlns='urn:test'/>") })
	t.Run("a client's header", func(t *testing.T) {
		run(t, 1, func(ctx context.Context, conn net.Conn) (*stream.Session, error) {
			return stream.Initiate(ctx, conn, &stream.InitiateOptions{Profile: bare, To: domain})
		}, serverHeader+"<stream:features/>")
	})
}

// What is a timeout of the negotiation, and what is somebody else's.
func TestNegotiationTimeoutIsNoOther(t *testing.T) {
	backend := &net.OpError{Op: "read", Net: "tcp", Err: os.ErrDeadlineExceeded}
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("refused")}
	wrong := errors.New("wrong password")
	for name, c := range map[string]struct {
		wait bool // for the deadline
		err  error
		want bool
	}{
		"ours":                                    {true, backend, true},
		"a backend's, in time":                    {false, backend, false},
		"another error, late":                     {true, wrong, false},
		"another error of the network, late":      {true, refused, false},
		"another error of the network, in time":   {false, refused, false},
		"another error, in time, about something": {false, wrong, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Timeout: time.Second, Features: []stream.Feature{
					asking(nil, func(ctx context.Context, _ *stream.Negotiation, _ *stream.Element) error {
						if c.wait {
							<-ctx.Done()
						}
						return c.err
					}),
				}})
				p.say(t, clientHeader+"<ask xmlns='urn:test'/>")
				err := <-errs
				p.Close()
				p.all(t)
				require.ErrorIs(t, err, c.err)
				require.Equal(t, c.want, errors.Is(err, stream.ErrNegotiationTimeout), "%v", err)
			})
		})
	}
}

// Nobody is told of an error when the connection is gone by the caller's wish.
func TestNoErrorIsSentWhenTheContextHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		ctx, cancel := context.WithCancel(t.Context())
		p, errs := initiateRaw(ctx, &stream.InitiateOptions{Profile: boundGoal, Trace: w.hooks(), Features: []stream.Feature{
			asking(func(context.Context, *stream.Negotiation, *stream.Element) error {
				cancel()
				return &stream.Error{Condition: stream.PolicyViolation}
			}, nil),
		}})
		p.say(t, serverHeader+features)
		err := <-errs
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, stream.PolicyViolation)
		require.NotContains(t, w.all(), "error sent")
		p.all(t)
	})
}

// counting counts how often a connection is closed.
type counting struct {
	net.Conn
	closed int
	quiet  bool // it is not closed in truth
}

func (c *counting) Close() error {
	c.closed++
	if c.quiet {
		return nil
	}
	return c.Conn.Close()
}

// A layer may hold something, and what is beneath it is dropped at once.
func TestFailedNegotiationClosesEachLayer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		p := newPeer(a)
		socket := &counting{Conn: b}
		layer := &counting{Conn: socket, quiet: true}
		p.say(t, clientHeader+"<ask xmlns='urn:test'/>")
		_, err := stream.Accept(t.Context(), socket, &stream.AcceptOptions{Profile: boundGoal, Domains: []jid.JID{domain}, Features: []stream.Feature{
			asking(nil, func(_ context.Context, n *stream.Negotiation, _ *stream.Element) error {
				err := n.Upgrade(func(net.Conn) (net.Conn, stream.Security, error) {
					return layer, stream.Security{Version: tls.VersionTLS13}, nil
				})
				require.NoError(t, err)
				return stream.Abort(errors.New("on second thoughts"))
			}),
		}})
		require.ErrorContains(t, err, "on second thoughts")
		require.Equal(t, 1, socket.closed)
		require.Equal(t, 1, layer.closed)
		p.all(t)
	})
}

// A context has nothing to do with a negotiation that is over, and what was
// derived from it for the features is over with it.
func TestNegotiationLetsGoOfItsContext(t *testing.T) {
	for _, panics := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			a, b := memconn.Pipe()
			p := newPeer(a)
			conn := &counting{Conn: b}
			p.say(t, clientHeader+"<ask xmlns='urn:test'/>")
			var inner context.Context
			accept := func() {
				_, err := stream.Accept(ctx, conn, &stream.AcceptOptions{Profile: boundGoal, Domains: []jid.JID{domain}, Features: []stream.Feature{
					asking(nil, func(ctx context.Context, _ *stream.Negotiation, _ *stream.Element) error {
						inner = ctx
						if panics {
							panic("oops")
						}
						return nil
					}),
				}})
				require.NoError(t, err)
			}
			if panics {
				require.PanicsWithValue(t, "oops", accept)
			} else {
				accept()
			}
			require.Error(t, inner.Err())
			before := conn.closed
			cancel()
			synctest.Wait()
			require.Equal(t, before, conn.closed)
			conn.Close()
			p.all(t)
		})
	}
}
