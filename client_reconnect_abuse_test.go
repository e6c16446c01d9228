package xmpp_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/sm"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// fragile is a connection that breaks after so many bytes in either direction.
type fragile struct {
	net.Conn
	left atomic.Int64
}

func (f *fragile) spend(n int) error {
	if f.left.Add(-int64(n)) < 0 {
		f.Conn.Close()
		return io.ErrUnexpectedEOF
	}
	return nil
}

func (f *fragile) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if e := f.spend(n); e != nil {
		return 0, e
	}
	return n, err
}

func (f *fragile) Write(b []byte) (int, error) {
	if err := f.spend(len(b)); err != nil {
		return 0, err
	}
	return f.Conn.Write(b)
}

// M19: connections that break anywhere, from the first byte to long after the
// session is up, over and over: nothing is left behind, and no message is lost or
// comes twice as long as sessions can be resumed.
func adversarialM19(t *testing.T) {
	t.Run("managed", func(t *testing.T) { brokenOverAndOver(t, true) })
	t.Run("unmanaged", func(t *testing.T) { brokenOverAndOver(t, false) })
}

func brokenOverAndOver(t *testing.T, managed bool) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, neverAlone)
		v := newTraveller(t, s, func(c *xmpp.Client) {
			c.Reconnect.Max = 10 * time.Second
			c.NoManagement = !managed
			c.Liveness = stream.Liveness{Soft: 10 * time.Second, Hard: 20 * time.Second} // or the certificate does not last
			c.Auth = &auth.ClientOptions{Cache: &derived}
		})
		var (
			mu    sync.Mutex
			seed  = rand.New(rand.NewPCG(1, 19))
			armed atomic.Bool
		)
		random := func(n int64) int64 {
			mu.Lock()
			defer mu.Unlock()
			return seed.Int64N(n)
		}
		// A session that is up has seen about 8,000 bytes.
		v.net.through = func(nc net.Conn) net.Conn {
			f := &fragile{Conn: nc}
			f.left.Store(1 << 40)
			if armed.Load() {
				f.left.Store(random(14_000))
			}
			return f
		}
		v.connect()
		armed.Store(true)
		runtime.GC()
		before := runtime.NumGoroutine()
		rounds, sent := scaled(150, 1000), 0
		v.net.cut()
		for v.net.attempts() < rounds {
			if managed || sent < 500 {
				v.text(v.LocalAddr(), "own "+strconv.Itoa(sent))
				sent++
			}
			passes(time.Duration(random(int64(3 * time.Second))))
			require.LessOrEqual(t, len(v.net.plugs()), 1)
			require.LessOrEqual(t, runtime.NumGoroutine(), before+25)
		}
		armed.Store(false)
		v.net.cut()
		passes(10 * time.Minute) // an attempt may have begun before it was disarmed
		require.NotEmpty(t, v.net.plugs(), "%v", v.news.last())
		require.LessOrEqual(t, runtime.NumGoroutine(), before+5)
		if !managed {
			return
		}
		counts := map[string]int{}
		for _, id := range v.received() {
			counts[id]++
		}
		fresh := 0
		for _, k := range v.news.kinds() {
			if k == "Connected" {
				fresh++
			}
		}
		require.Equal(t, 1, fresh, "every session was resumed")
		for i := range sent {
			require.Equal(t, 1, counts["own "+strconv.Itoa(i)], i)
		}
	})
}

// M21: the client asks a server that has fallen silent for a sign of life. An error
// is one; nothing at all is none. And it answers the server.
func adversarialM21(t *testing.T) {
	t.Run("answered by an error", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, func(s *xmpp.Server) { neverAlone(s); s.Handler = nil })
			v := travel(t, s, func(c *xmpp.Client) { c.NoManagement = true })
			passes(time.Hour)
			require.Equal(t, []string{"Connected"}, v.news.kinds())
			require.NotZero(t, v.Stats().Unsolicited)
		})
	})
	for name, managed := range map[string]bool{"never answered": false, "never acknowledged": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, neverAlone)
				v := travel(t, s, func(c *xmpp.Client) {
					c.NoManagement = !managed
					c.Liveness = stream.Liveness{Soft: time.Minute, Hard: 2 * time.Minute}
				})
				v.net.swallow()
				passes(115 * time.Second)
				require.Equal(t, []string{"Connected"}, v.news.kinds())
				passes(10 * time.Second)
				require.Equal(t, "Suspended", v.news.kinds()[1])
				passes(3 * time.Minute)
				kinds := v.news.kinds()
				require.Equal(t, map[bool]string{true: "Resumed", false: "Connected"}[managed], kinds[len(kinds)-1])
				v.text(v.LocalAddr(), "again")
				require.Equal(t, []string{"again"}, v.received())
			})
		})
	}
	t.Run("asked", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, func(s *xmpp.Server) { s.Liveness = stream.Liveness{Soft: 5 * time.Second, Hard: 10 * time.Second} })
			pongs := 0
			v := newTraveller(t, s, func(c *xmpp.Client) {
				c.NoManagement = true
				c.Liveness = stream.Liveness{Soft: -1, Hard: -1}
				c.Trace = &stream.Trace{XMLSent: func(b []byte) {
					if strings.Contains(string(b), "type='result'") {
						pongs++
					}
				}}
			})
			v.connect(ping.Responder())
			passes(time.Minute)
			require.Greater(t, pongs, 5)
			require.Nil(t, v.Err())
			require.Equal(t, []string{"Connected"}, v.news.kinds())
		})
	})
}

// Whatever the network and the server do, no call waits longer than its context.
func TestReconnectNothingBlocks(t *testing.T) {
	q := raw("<q xmlns='urn:q'/>")
	calls := map[string]func(ctx context.Context, c *stanza.Conn) error{
		"Send": func(ctx context.Context, c *stanza.Conn) error {
			for {
				if err := c.Send(ctx, &stanza.Message{}); err != nil {
					return err
				}
			}
		},
		"SendReceipt": func(ctx context.Context, c *stanza.Conn) error {
			for {
				r, err := c.SendReceipt(ctx, &stanza.Message{})
				if err == nil {
					err = r.Wait(ctx, stream.Acked)
				}
				if err != nil {
					return err
				}
			}
		},
		"Do": func(ctx context.Context, c *stanza.Conn) error {
			_, err := c.Do(ctx, &stanza.IQ{Type: stanza.GetIQ, Payload: q})
			return err
		},
		"All": func(ctx context.Context, c *stanza.Conn) error {
			for _, err := range c.All(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Serve": func(ctx context.Context, c *stanza.Conn) error {
			return c.Serve(ctx, stanza.HandlerFunc(func(context.Context, stanza.Sender, stanza.Stanza) error { return nil }))
		},
		"Close": func(ctx context.Context, c *stanza.Conn) error { c.Close(ctx); return ctx.Err() },
		"others": func(_ context.Context, c *stanza.Conn) error {
			c.LocalAddr()
			c.RemoteAddr()
			c.Session()
			c.Stats()
			c.Handled()
			c.Taken()
			c.Restore("k", func(context.Context, stanza.Sender) error { return nil })
			return c.Err()
		},
	}
	places := map[string]func(v *traveller){
		"swallowed": func(v *traveller) { v.net.swallow() },
		"down":      func(v *traveller) { v.net.pull(errCable); v.net.cut() },
		"dialing":   func(v *traveller) { v.net.block = make(chan struct{}); v.net.cut(); passes(10 * time.Second) },
		"mute":      func(v *traveller) { v.net.silent = true; v.net.cut(); passes(10 * time.Second) },
	}
	for place, happen := range places {
		for call, f := range calls {
			for kind, unmanaged := range map[string]bool{"managed": false, "unmanaged": true} {
				t.Run(place+"/"+call+"/"+kind, func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						s := memoryServer(t, neverAlone)
						v := newTraveller(t, s, func(c *xmpp.Client) {
							c.NoManagement = unmanaged
							c.Reconnect.QueueStanzas = 10
							c.Limits = &stream.Limits{OutboundBytes: 64 << 10}
							c.Auth = &auth.ClientOptions{Cache: &derived}
						})
						var err error
						v.Conn, err = v.client.Connect(t.Context())
						require.NoError(t, err)
						happen(v)
						if place == "swallowed" && call == "Send" && unmanaged {
							v.Abort(nil) // the network takes it all
						}
						synctest.Wait()
						ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
						defer cancel()
						began := time.Now()
						_ = f(ctx, v.Conn)
						require.LessOrEqual(t, time.Since(began), 3*time.Second)
						v.Abort(nil)
						<-v.Done()
					})
				})
			}
		}
	}
}

// twoTargets has a record for direct TLS that is preferred, and one for STARTTLS.
type twoTargets struct{}

func (twoTargets) LookupSRV(_ context.Context, service, _, name string) (string, []*net.SRV, error) {
	if service == "xmpps-client" {
		return name, []*net.SRV{{Target: "first.example.", Port: 443, Priority: 1}}, nil
	}
	return name, []*net.SRV{{Target: "second.example.", Port: 5222, Priority: 2}}, nil
}

func (twoTargets) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host == "first.example." || host == "first.example" {
		return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
	}
	return []netip.Addr{netip.MustParseAddr("192.0.2.2")}, nil
}

// dialerFunc is a function that dials.
type dialerFunc func(ctx context.Context, address string) (net.Conn, error)

func (f dialerFunc) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	return f(ctx, address)
}

// RFC 6120 §3.2.1 step 7 and XEP-0368 §3: both kinds of TLS are one set, and a target
// that dies before it has been told anything is not the last.
func TestConnectGoesOnWithTheNextTarget(t *testing.T) {
	for name, first := range map[string]func(p *directPort) (net.Conn, error){
		"refuses":  func(*directPort) (net.Conn, error) { return nil, errNoRoute },
		"hangs up": func(*directPort) (net.Conn, error) { a, b := xmpptest.Pipe(); b.Close(); return a, nil },
		"is mute":  func(*directPort) (net.Conn, error) { a, _ := xmpptest.Pipe(); return a, nil },
		"works":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := listenDirect(t, nil)
				c := p.Client(p.AddAccount(t, "juliet", "secret"), "secret")
				c.Addr = ""
				var dialed []string
				c.Dial = &dial.Options{Resolver: twoTargets{}, Dialer: dialerFunc(func(ctx context.Context, address string) (net.Conn, error) {
					dialed = append(dialed, address)
					switch {
					case address == "192.0.2.2:5222":
						return p.Dial(ctx)
					case first != nil:
						return first(p)
					}
					return p.l.Dial(ctx)
				})}
				conn, err := c.Connect(t.Context())
				require.NoError(t, err)
				if first == nil {
					require.Equal(t, []string{"192.0.2.1:443"}, dialed)
				} else {
					require.Equal(t, []string{"192.0.2.1:443", "192.0.2.2:5222"}, dialed)
				}
				require.NoError(t, conn.Close(t.Context()))

				// What the account hears is the same everywhere.
				c.Password = "wrong"
				dialed = nil
				_, err = c.Connect(t.Context())
				require.Error(t, err)
				if first == nil {
					require.Len(t, dialed, 1, "no other server is asked about a wrong password")
				}
				synctest.Wait()
			})
		})
	}
}

// RFC 6120 §4.9.3.19: a server sends its client elsewhere, by name or address, and it
// goes there without giving up the session that can be resumed.
//
//conformance:proves 6120-4.9.3.19-6 6120-4.9.3.19-7 6120-4.9.3.19-8
func TestReconnectSeeOtherHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := &ender{}
		s := memoryServer(t, func(s *xmpp.Server) { neverAlone(s); s.Modules = append(s.Modules, e) })
		v := travel(t, s, nil)
		require.NoError(t, e.host.Resource(v.LocalAddr()).End(t.Context(), &stream.Error{Condition: stream.SeeOtherHost, OtherHost: "127.0.0.1:5299"}))
		passes(5 * time.Minute)
		v.net.mu.Lock()
		defer v.net.mu.Unlock()
		require.Equal(t, []string{"127.0.0.1:5222", "127.0.0.1:5299"}, v.net.dialed)
	})
	bubble(t, func(t *testing.T) { // and if nobody is there, back to where it was
		e := &ender{}
		s := memoryServer(t, func(s *xmpp.Server) { neverAlone(s); s.Modules = append(s.Modules, e) })
		v := travel(t, s, nil)
		dialer := v.net.inner
		v.net.inner = dialerFunc(func(ctx context.Context, address string) (net.Conn, error) {
			if address != "127.0.0.1:5222" {
				return nil, errors.New("nobody there")
			}
			return dialer.DialContext(ctx, "tcp", address)
		})
		require.NoError(t, e.host.Resource(v.LocalAddr()).End(t.Context(), &stream.Error{Condition: stream.SeeOtherHost, OtherHost: "127.0.0.1:5299"}))
		passes(5 * time.Minute)
		kinds := v.news.kinds()
		require.Contains(t, []string{"Connected", "Resumed"}, kinds[len(kinds)-1])
		require.Len(t, kinds, 3)
	})
}

// Management of the program's own, without Reconnect: acknowledgements by default,
// and nothing at all when it wants none.
func TestClientManagement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		account := s.AddAccount(t, "juliet", "secret")
		for name, row := range map[string]struct {
			change          func(*xmpp.Client)
			managed, resume bool
		}{
			"default":   {func(*xmpp.Client) {}, true, false},
			"asked":     {func(c *xmpp.Client) { c.Management = &sm.ClientOptions{} }, true, true},
			"reconnect": {func(c *xmpp.Client) { c.Reconnect = &xmpp.Reconnect{} }, true, true},
			"none":      {func(c *xmpp.Client) { c.NoManagement = true }, false, false},
		} {
			c := s.Client(account, "secret")
			row.change(c)
			conn, err := c.Connect(t.Context())
			require.NoError(t, err, name)
			r, err := conn.SendReceipt(t.Context(), &stanza.Presence{})
			require.NoError(t, err)
			require.NoError(t, r.Wait(t.Context(), stream.Written))
			synctest.Wait()
			require.Equal(t, row.managed, r.State() == stream.Acked, name)
			l := sm.Of(conn.Session())
			require.Equal(t, row.managed, l != nil, name)
			require.Equal(t, row.resume, l != nil && l.ID() != "", name)
			require.NoError(t, conn.Close(t.Context()))
		}
	})
}
