package xmpp_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

//conformance:proves 6120-4.3.6-4 6120-4.3.6-6
func TestConnect(t *testing.T) {
	s := xmpptest.NewServer(t, nil) // over loopback
	account := s.AddAccount(t, "juliet", "secret")
	c := s.Client(account, "secret")
	c.JID, _ = account.WithResource("balcony")
	conn, err := c.Connect(t.Context())
	require.NoError(t, err)
	require.Equal(t, c.JID, conn.LocalAddr(), "the resource that was asked for")
	require.Equal(t, s.Domain, conn.RemoteAddr())
	sec := conn.Session().Security()
	require.True(t, sec.Secure() && sec.Verified)

	// Another one from the same Client, side by side.
	c2 := *c
	c2.JID = account
	conn2, err := c2.Connect(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, conn2.LocalAddr().Resource())
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, conn2.Close(t.Context()))
}

//conformance:proves 6120-4.7.1-4 6120-4.7.2-5
func TestConnectErrorsByType(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		account := s.AddAccount(t, "juliet", "secret")
		other, err := xtls.NewDevCA()
		require.NoError(t, err)

		connect := func(change func(c *xmpp.Client)) error {
			c := s.Client(account, "secret")
			change(c)
			conn, err := c.Connect(t.Context())
			require.Nil(t, conn)
			require.Error(t, err)
			return err
		}
		var certErr *xtls.CertificateError

		err = connect(func(c *xmpp.Client) { c.Password = "wrong" })
		require.ErrorIs(t, err, sasl.NotAuthorized)
		var saslErr *sasl.Error
		require.ErrorAs(t, err, &saslErr)

		err = connect(func(c *xmpp.Client) { c.JID = address("nobody@xmpp.test") })
		require.ErrorIs(t, err, sasl.NotAuthorized)

		err = connect(func(c *xmpp.Client) { c.RootCAs = other.Pool() })
		require.ErrorIs(t, err, xtls.ErrUntrusted)
		require.ErrorAs(t, err, &certErr)
		require.Equal(t, "xmpp.test", certErr.Domain)

		err = connect(func(c *xmpp.Client) { c.RootCAs = x509.NewCertPool() })
		require.ErrorIs(t, err, xtls.ErrUntrusted)

		// nil is the system's authorities, which do not know this one.
		err = connect(func(c *xmpp.Client) { c.RootCAs = nil })
		require.ErrorAs(t, err, &certErr)

		err = connect(func(c *xmpp.Client) { c.JID = address("juliet@other.test") })
		require.ErrorIs(t, err, stream.HostUnknown)

		var dialErr *dial.Error
		err = connect(func(c *xmpp.Client) { c.Dial = &dial.Options{Dialer: noDialer{}} })
		require.ErrorAs(t, err, &dialErr)
		require.ErrorIs(t, err, errNoRoute)
	})
}

// The name in the certificate is what counts, wherever the connection went.
//
//conformance:proves 6120-4.7.1-4 6120-4.7.2-5
func TestConnectNameMismatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Domains = append(s.Domains, address("other.test")) })
		account := address("juliet@other.test")
		require.NoError(t, s.Accounts.Set(t.Context(), account, "secret"))
		_, err := s.Client(account, "secret").Connect(t.Context())
		require.ErrorIs(t, err, xtls.ErrNameMismatch)
		var certErr *xtls.CertificateError
		require.ErrorAs(t, err, &certErr)
		require.Equal(t, "other.test", certErr.Domain)
	})
}

var errNoRoute = errors.New("no route to host")

type noDialer struct{}

func (noDialer) DialContext(context.Context, string, string) (net.Conn, error) {
	return nil, errNoRoute
}

func TestConnectUnreachableAddress(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	c := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "secret", Addr: l.Addr().String()}
	_, err = c.Connect(t.Context())
	var dialErr *dial.Error
	require.ErrorAs(t, err, &dialErr)
	require.Equal(t, "xmpp.test", dialErr.Domain)
}

// What is missing is said before anything is sent, or even looked up.
func TestConnectWithoutWhatItNeeds(t *testing.T) {
	for name, c := range map[string]*xmpp.Client{
		"zero":             {},
		"no password":      {JID: address("juliet@xmpp.test")},
		"empty auth":       {JID: address("juliet@xmpp.test"), Auth: &auth.ClientOptions{Username: "juliet"}},
		"no localpart":     {JID: address("xmpp.test"), Password: "secret"},
		"domain, resource": {JID: address("xmpp.test/x"), Password: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			c.Dial = &dial.Options{Dialer: noDialer{}, Resolver: noResolver{t: t}}
			_, err := c.Connect(t.Context())
			require.ErrorIs(t, err, xmpp.ErrClient)
			a, b := xmpptest.Pipe()
			_, err = c.ConnectOn(t.Context(), a)
			require.ErrorIs(t, err, xmpp.ErrClient)
			rest, _ := io.ReadAll(b)
			require.Empty(t, rest, "closed, with not a byte sent")
			require.ErrorIs(t, c.Answer(t.Context(), nil), xmpp.ErrClient)
		})
	}
}

type noResolver struct {
	dial.Resolver
	t *testing.T
}

// A server, or somebody in between, that offers no STARTTLS gets no credentials,
// whatever else it offers (RFC 7590 §3.1).
func TestConnectWithoutStartTLS(t *testing.T) {
	bubble(t, func(t *testing.T) {
		client, server := xmpptest.Pipe()
		got := make(chan string, 1)
		go func() {
			io.WriteString(server, `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='xmpp.test' id='1' version='1.0'>`+
				`<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-1</mechanism></mechanisms></stream:features>`)
			b, _ := io.ReadAll(server)
			got <- string(b)
		}()
		c := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "secret", Auth: &auth.ClientOptions{AllowPlain: true}}
		_, err := c.ConnectOn(t.Context(), client)
		require.ErrorIs(t, err, xtls.ErrNotOffered)
		sent := <-got
		require.NotContains(t, sent, "<auth")
		require.NotContains(t, sent, "juliet", "nor is it told who wants to log in (RFC 6120 §4.7.1)")
	})
}

func TestConnectContextAndTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := &xmpp.Client{JID: address("juliet@xmpp.test"), Password: "secret"}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		silent := func() net.Conn { a, _ := xmpptest.Pipe(); return a }
		start := time.Now()
		_, err := c.ConnectOn(ctx, silent())
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 3*time.Second, time.Since(start))

		start = time.Now()
		_, err = c.ConnectOn(t.Context(), silent())
		require.ErrorIs(t, err, stream.ErrNegotiationTimeout)
		require.Equal(t, 30*time.Second, time.Since(start), "the default")

		c.Timeout = time.Second
		start = time.Now()
		_, err = c.ConnectOn(t.Context(), silent())
		require.ErrorIs(t, err, stream.ErrNegotiationTimeout)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// A context that ends after Connect has returned harms nothing.
func TestConnectContextEndsLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		account := s.AddAccount(t, "juliet", "secret")
		ctx, cancel := context.WithCancel(t.Context())
		conn, err := s.Client(account, "secret").Connect(ctx)
		require.NoError(t, err)
		cancel()
		synctest.Wait()
		require.NoError(t, conn.Err())
		require.NoError(t, conn.Close(t.Context()))
	})
}

func TestClientDoesNotChangeWhatItIsGiven(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		account := s.AddAccount(t, "juliet", "secret")
		c := s.Client(account, "secret")
		c.TLS = &xtls.ClientOptions{}
		c.Auth = &auth.ClientOptions{Password: "of old"}
		c.Conn = &stanza.Options{}
		c.Dial.Server = "elsewhere:1"
		features := []stream.Feature{{Name: stream.Name{Space: "urn:f", Local: "f"}}}
		c.Features = features[:1:1]
		before := *c
		conn, err := c.Connect(t.Context())
		require.NoError(t, err, "Password and Addr of the Client come first")
		require.NoError(t, conn.Close(t.Context()))
		require.Nil(t, c.TLS.RootCAs)
		require.Equal(t, "of old", c.Auth.Password)
		require.Equal(t, "elsewhere:1", c.Dial.Server)
		require.Equal(t, stanza.Options{}, *c.Conn)
		require.Same(t, before.TLS, c.TLS)
		require.Len(t, c.Features, 1)
	})
}

func TestPasswordsFromElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		account := s.AddAccount(t, "juliet", "secret")
		for name, o := range map[string]*auth.ClientOptions{
			"asked":   {GetPassword: func(context.Context) (string, error) { return "secret", nil }},
			"options": {Password: "secret"},
		} {
			c := s.Client(account, "")
			c.Auth = o
			conn, err := c.Connect(t.Context())
			require.NoError(t, err, name)
			require.NoError(t, conn.Close(t.Context()))
		}
		cancelled := errors.New("the user pressed cancel")
		c := s.Client(account, "")
		c.Auth = &auth.ClientOptions{GetPassword: func(context.Context) (string, error) { return "", cancelled }}
		_, err := c.Connect(t.Context())
		require.ErrorIs(t, err, cancelled)
	})
}

// Both sides of a connection without TLS have to want it.
func TestInsecureAllowPlaintext(t *testing.T) {
	for _, withTLS := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, func(s *xmpp.Server) {
				s.InsecureAllowPlaintext = true
				if !withTLS {
					s.TLS = nil
				}
			})
			account := s.AddAccount(t, "juliet", "secret")
			c := s.Client(account, "secret")
			c.InsecureWithoutTLS = true
			conn, err := c.Connect(t.Context())
			require.NoError(t, err)
			sec := conn.Session().Security()
			require.False(t, sec.Secure())
			require.NoError(t, conn.Close(t.Context()))

			w := dialWire(t, s)
			features := w.open("")
			require.NotContains(t, features, "PLAIN</", "the password itself is not asked for in the clear")
			require.NotContains(t, features, "<required/>")

			c.InsecureWithoutTLS = false
			conn, err = c.Connect(t.Context())
			if !withTLS {
				require.ErrorIs(t, err, xtls.ErrNotOffered)
				return
			}
			require.NoError(t, err)
			sec = conn.Session().Security()
			require.True(t, sec.Secure(), "who wants TLS gets it")
			require.NoError(t, conn.Close(t.Context()))
		})
	}
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		c := s.Client(s.AddAccount(t, "juliet", "secret"), "secret")
		c.InsecureWithoutTLS = true
		_, err := c.Connect(t.Context())
		require.ErrorIs(t, err, stream.ErrNoProgress, "the server insists")
	})
}

func TestAnswer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		bot := s.Client(s.AddAccount(t, "bot", "secret"), "secret")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- bot.Answer(ctx, func(m *stanza.Message) *stanza.Message {
				if m.Body.String() == "hush" {
					return nil
				}
				return m.Reply("you said " + m.Body.String())
			})
		}()
		synctest.Wait()
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<message to='bot@xmpp.test' type='chat'><body>hi</body></message>`)
		reply := romeo.hear()
		require.Equal(t, "chat", reply.Attr("type"))
		body, ok := reply.Child(stream.Name{Space: stream.NSClient, Local: "body"})
		require.True(t, ok)
		require.Equal(t, "you said hi", body.Text())
		// None of these is a chat message with a body that wants an answer.
		from := reply.Attr("from")
		for _, xml := range []string{
			`<message to='` + from + `' type='chat'><body>hush</body></message>`,
			`<message to='` + from + `' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>`,
			`<message to='` + from + `' type='groupchat'><body>hi</body></message>`,
			`<message to='` + from + `' type='error'><body>hi</body></message>`,
			`<message to='` + from + `'><body>hi</body></message>`,
			`<presence to='` + from + `'/>`,
		} {
			romeo.say(xml)
		}
		romeo.quiet()
		romeo.say(`<iq type='get' id='1' to='` + from + `'><q xmlns='urn:q'/></iq>`)
		romeo.hears("iq error " + from + "→romeo@xmpp.test/orchard 1 service-unavailable")

		cause := errors.New("enough")
		cancel(cause)
		require.ErrorIs(t, <-ended, cause)
	})
}

func TestAnswerReturnsWhy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, inner := serverOf(t, nil)
		account := s.AddAccount(t, "bot", "secret")
		wrong := s.Client(account, "wrong")
		require.ErrorIs(t, wrong.Answer(t.Context(), nil), sasl.NotAuthorized)

		ended := make(chan error, 1)
		go func() { ended <- s.Client(account, "secret").Answer(t.Context(), nil) }()
		synctest.Wait()
		require.NoError(t, inner.Shutdown(t.Context()))
		require.ErrorIs(t, <-ended, stream.SystemShutdown)
	})
	require.Error(t, xmpp.Answer(t.Context(), "@", "secret", nil))
	require.ErrorIs(t, xmpp.Answer(t.Context(), "xmpp.test", "secret", nil), xmpp.ErrClient)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, xmpp.Answer(ctx, "bot@xmpp.test", "secret", nil), context.Canceled)
}

func TestClientFields(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var header stream.Header
		s := memoryServer(t, func(s *xmpp.Server) {
			s.Trace = func(net.Conn) *stream.Trace {
				return &stream.Trace{HeaderReceived: func(h stream.Header) { header = h }}
			}
		})
		c := s.Client(s.AddAccount(t, "juliet", "secret"), "secret")
		var bound jid.JID
		c.Trace = &stream.Trace{Bound: func(j jid.JID) { bound = j }}
		c.Lang = "de-CH"
		c.Limits = &stream.Limits{ElementBytes: 12_345}
		conn, err := c.Connect(t.Context())
		require.NoError(t, err)
		require.Equal(t, "de-CH", header.Lang)
		require.Equal(t, conn.LocalAddr(), bound)
		require.Equal(t, 12_345, conn.Session().Limits().ElementBytes)
		require.NoError(t, conn.Close(t.Context()))
		c.Limits = &stream.Limits{ElementBytes: 1}
		_, err = c.Connect(t.Context())
		require.ErrorIs(t, err, stream.ErrLimits)
	})
}

// No way of printing a client shows its password.
func TestClientDoesNotPrintItsPassword(t *testing.T) {
	c := xmpp.Client{JID: jid.MustParse("juliet@im.example"), Password: "hunter2", Auth: &auth.ClientOptions{Password: "hunter2"}}
	var logged strings.Builder
	slog.New(slog.NewTextHandler(&logged, nil)).Info("m", "client", c, "pointer", &c, "options", *c.Auth)
	slog.New(slog.NewJSONHandler(&logged, nil)).Info("m", "client", c, "pointer", &c, "options", *c.Auth)
	for _, s := range []string{
		fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c), fmt.Sprintf("%v %+v %#v", &c, &c, &c), logged.String(),
		fmt.Sprintf("%+v", struct{ C *xmpp.Client }{&c}), fmt.Sprintf("%#v", *c.Auth),
	} {
		require.NotContains(t, s, "hunter2")
	}
	require.Contains(t, fmt.Sprint(c), "juliet@im.example")
}

// A password is not the only thing to log in with.
func TestClientWithoutPassword(t *testing.T) {
	account := address("juliet@xmpp.test")
	for name, c := range map[string]*xmpp.Client{
		"token":            {JID: account, Auth: &auth.ClientOptions{Token: "t"}},
		"token on request": {JID: account, Auth: &auth.ClientOptions{GetToken: func(context.Context) (string, error) { return "t", nil }}},
		"certificate":      {JID: account, TLS: &xtls.ClientOptions{Certificates: []tls.Certificate{{}}}},
		"certificate on request": {JID: account, TLS: &xtls.ClientOptions{Config: &tls.Config{
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil },
		}}},
		"certificate of the configuration": {JID: account, TLS: &xtls.ClientOptions{Config: &tls.Config{Certificates: []tls.Certificate{{}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := xmpptest.Pipe()
			far.Close()
			_, err := c.ConnectOn(t.Context(), near)
			require.Error(t, err)
			require.NotErrorIs(t, err, xmpp.ErrClient, "it was tried")
		})
	}
	for name, c := range map[string]*xmpp.Client{
		"nothing":              {JID: account},
		"options with nothing": {JID: account, Auth: &auth.ClientOptions{}, TLS: &xtls.ClientOptions{Config: &tls.Config{}}},
	} {
		t.Run(name, func(t *testing.T) {
			near, far := xmpptest.Pipe()
			defer far.Close()
			_, err := c.ConnectOn(t.Context(), near)
			require.ErrorIs(t, err, xmpp.ErrClient)
		})
	}
}
