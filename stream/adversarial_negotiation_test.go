package stream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

const (
	offerLogin = `<login xmlns='urn:test'/>`
	login      = `<login xmlns='urn:test'/>`
	loginOK    = `<ok xmlns='urn:test'/>`
	offerSeat  = `<seat xmlns='urn:test'/>`
	seat       = `<seat xmlns='urn:test'/>`
)

// loginGoal is what a stream with testFeatures is meant to reach.
var loginGoal = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated | stream.Bound, InsecureGoal: true}

// testFeatures are two features in the places of SASL and resource binding:
// <login/> authenticates as Juliet and restarts the stream, <seat/> binds.
func testFeatures() []stream.Feature {
	ask := func(n *stream.Negotiation, ctx context.Context, name string) error {
		if err := n.Write(func(w *stream.Writer) {
			w.Start(stream.Name{Space: "urn:test", Local: name})
			w.End()
		}); err != nil {
			return err
		}
		el, err := n.Read(ctx)
		if err == nil && el.Name().Local != "ok" {
			err = fmt.Errorf("unexpected %s", el.Name())
		}
		return err
	}
	answer := func(n *stream.Negotiation) error {
		return n.Write(func(w *stream.Writer) {
			w.Start(stream.Name{Space: "urn:test", Local: "ok"})
			w.End()
		})
	}
	make := func(name string, needs, reached stream.State, restart bool, who jid.JID) stream.Feature {
		full := stream.Name{Space: "urn:test", Local: name}
		return stream.Feature{
			Name: full, Needs: needs, Forbids: reached,
			Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
				w.Start(full)
				w.End()
				return nil
			},
			Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
				return stream.Outcome{Reached: reached, Restart: restart}, ask(n, ctx, name)
			},
			Accept: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
				n.SetIdentity(who)
				return stream.Outcome{Reached: reached, Restart: restart}, answer(n)
			},
		}
	}
	return []stream.Feature{
		make("login", 0, stream.Authenticated, true, juliet.Bare()),
		make("seat", stream.Authenticated, stream.Bound, false, juliet),
	}
}

// RFC 6120 §13.12: the smaller limit holds until authentication, and no longer.
func adversarialL08(t *testing.T) {
	limits := &stream.Limits{PreAuthElementBytes: 8 << 10, ElementBytes: 20_000}
	pad := strings.Repeat("x", 9<<10)
	t.Run("server", func(t *testing.T) {
		t.Run("before", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures(), Limits: limits})
				p.say(t, clientHeader+`<login xmlns='urn:test'>`+pad+`</login>`)
				require.ErrorIs(t, <-errs, stream.PolicyViolation)
				p.Close()
				wantErrorWithText(t, p.all(t), stream.PolicyViolation)
			})
		})
		t.Run("after", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures(), Limits: limits})
				p.say(t, clientHeader+login)
				synctest.Wait()
				// The limit of a restarted stream is the larger one, before
				// binding too.
				p.say(t, clientHeader+`<seat xmlns='urn:test'>`+pad+`</seat>`)
				synctest.Wait()
				p.say(t, "<message><body>"+pad+"</body></message>")
				synctest.Wait()
				require.NotContains(t, p.heard(), "error")
				p.say(t, "<message><body>"+pad+pad+pad+"</body></message>")
				require.ErrorIs(t, <-errs, stream.PolicyViolation)
				p.Close()
				p.all(t)
			})
		})
	})
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures(), Limits: limits})
			p.say(t, serverHeader+"<stream:features>"+pad+"</stream:features>")
			require.ErrorIs(t, <-errs, stream.PolicyViolation)
			p.Close()
			p.all(t)
		})
	})
}

// RFC 6120 §13.12 rule 4: no limit on stanzas below 10,000.
func adversarialL09(t *testing.T) {
	limits := &stream.Limits{ElementBytes: 9999}
	a, b := memconn.Pipe()
	_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Domains: []jid.JID{domain}, Limits: limits})
	require.ErrorIs(t, err, stream.ErrLimits)
	_, err = a.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF, "the connection is closed on error")
	a, b = memconn.Pipe()
	_, err = stream.Initiate(t.Context(), b, &stream.InitiateOptions{To: domain, Limits: limits})
	require.ErrorIs(t, err, stream.ErrLimits)
	_, err = a.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	// The smaller limit before authentication is no limit on stanzas.
	_, _ = sessions(t, &stream.InitiateOptions{Limits: &stream.Limits{PreAuthElementBytes: 2000}}, nil)
}

// One deadline for everything up to the bound resource.
func adversarialL11(t *testing.T) {
	const timeout = 7 * time.Second
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	cert, err := ca.Issue(domain.Domain())
	require.NoError(t, err)
	start := xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{cert}})
	features := append([]stream.Feature{start}, testFeatures()...)
	const startTLS = `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`
	for name, script := range map[string][]string{
		"connect and silence":            nil,
		"half a header":                  {"<stream:stream xml"},
		"silence after the header":       {clientHeader},
		"stall before the TLS handshake": {clientHeader, startTLS},
		"stall inside the TLS handshake": {clientHeader, startTLS, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc"},
		"no new header after success":    {clientHeader, login},
		"authenticate and never bind":    {clientHeader, login, clientHeader},
		"drip white space":               {clientHeader, login, clientHeader, " ", "\n", " "},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: features, Timeout: timeout})
				for _, s := range script {
					<-time.After(time.Second) // the deadline is absolute
					p.say(t, s)
				}
				err := <-errs
				require.ErrorIs(t, err, stream.ErrNegotiationTimeout)
				require.Equal(t, timeout, time.Since(begin))
				p.Close()
				p.all(t)
			})
		})
	}
	for name, script := range map[string][]string{
		"silence":                 nil,
		"header without features": {serverHeader},
		"half the features":       {serverHeader + "<stream:features><lo"},
		"no answer to the login":  {serverHeader + "<stream:features>" + offerLogin + "</stream:features>"},
		"no header after success": {serverHeader + "<stream:features>" + offerLogin + "</stream:features>", loginOK},
		"features but no seat":    {serverHeader + "<stream:features>" + offerLogin + "</stream:features>", loginOK, serverHeader + "<stream:features>" + offerSeat + "</stream:features>"},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures(), Timeout: timeout})
				for _, s := range script {
					<-time.After(time.Second)
					p.say(t, s)
				}
				require.ErrorIs(t, <-errs, stream.ErrNegotiationTimeout)
				require.Equal(t, timeout, time.Since(begin))
				p.Close()
				p.all(t)
			})
		})
	}
}

// RFC 6120 §5.4.3.3: what was said before TLS does not count.
//
//conformance:proves 6120-4.3.3-4 6120-4.7.1-1
func adversarialT05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, err := xtls.NewDevCA()
		require.NoError(t, err)
		cert, err := ca.Issue(domain.Domain())
		require.NoError(t, err)
		a, b := memconn.Pipe()
		type result struct {
			s   *stream.Session
			err error
		}
		results := make(chan result, 1)
		var seen [][]stream.Name
		go func() {
			s, err := stream.Initiate(t.Context(), b, &stream.InitiateOptions{
				Profile:  stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure, InsecureGoal: true},
				To:       domain,
				From:     juliet,
				Features: []stream.Feature{xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: ca.Pool()})},
				Trace:    &stream.Trace{FeaturesReceived: func(n []stream.Name) { seen = append(seen, n) }},
			})
			results <- result{s, err}
		}()
		say := func(w io.Writer, s string) {
			_, err := io.WriteString(w, s)
			require.NoError(t, err)
		}
		plain := readTo(t, a, "version='1.0' xml:lang='en'>")
		say(a, strings.Replace(serverHeader, "s1", "before", 1)+`<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><evil xmlns='urn:evil'/></stream:features>`)
		readTo(t, a, "xmpp-tls'/>")
		say(a, `<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
		secured := tls.Server(a, &tls.Config{Certificates: []tls.Certificate{cert}})
		require.NoError(t, secured.Handshake())
		require.NotContains(t, plain, "juliet")
		header := readTo(t, secured, "xml:lang='en'>")
		require.Contains(t, header, "from='juliet@im.example'", "who we are is told inside TLS only")
		say(secured, strings.Replace(serverHeader, "s1", "after", 1)+`<stream:features/>`)
		r := <-results
		require.NoError(t, r.err)
		require.Equal(t, "after", r.s.Header().ID)
		require.Len(t, seen, 2)
		require.Empty(t, seen[1])
		r.s.Abort(errors.New("test over"))
	})
}

// readTo reads from r until what was read ends in suffix.
func readTo(t *testing.T, r io.Reader, suffix string) string {
	t.Helper()
	var got []byte
	one := make([]byte, 1)
	for !strings.HasSuffix(string(got), suffix) {
		_, err := r.Read(one)
		require.NoError(t, err, "after %s", got)
		got = append(got, one...)
	}
	return string(got)
}

// RFC 6120 §4.9.3.12, §7.1.
//
//conformance:proves 6120-4.3.5-3 6120-4.3.5-4 6120-4.9.3.12-1
//conformance:proves 6120-4.3.6-2
func adversarialT15(t *testing.T) {
	for name, script := range map[string][]string{
		"message before authentication":   {clientHeader, "<message/>"},
		"iq before authentication":        {clientHeader, "<iq type='get' id='1'><query xmlns='jabber:iq:roster'/></iq>"},
		"unknown before authentication":   {clientHeader, "<x xmlns='urn:x'/>"},
		"binding before authentication":   {clientHeader, seat},
		"message before binding":          {clientHeader, login, clientHeader, "<message/>"},
		"to somebody else before binding": {clientHeader, login, clientHeader, "<message to='romeo@im.example'/>"},
		"authenticating twice":            {clientHeader, login, clientHeader, login},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures()})
				for _, s := range script {
					synctest.Wait()
					p.say(t, s)
				}
				require.ErrorIs(t, <-errs, stream.NotAuthorized)
				p.Close()
				wantErrorWithText(t, p.all(t), stream.NotAuthorized)
			})
		})
	}
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures()})
			p.say(t, serverHeader+"<message/>")
			require.ErrorIs(t, <-errs, stream.BadFormat)
			p.Close()
			wantErrorWithText(t, p.all(t), stream.BadFormat)
		})
	})
}

// RFC 6120 §4.3.2, §4.9.3.23.
//
//conformance:proves 6120-4.3.2-3 6120-4.3.7-1
func adversarialT21(t *testing.T) {
	t.Run("client/unknown and required", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
			p.say(t, serverHeader+"<stream:features><pay xmlns='urn:pay'><required/></pay></stream:features>")
			err := <-errs
			require.ErrorIs(t, err, stream.UnsupportedFeature)
			require.ErrorIs(t, err, stream.ErrNoProgress)
			p.Close()
			wantErrorWithText(t, p.all(t), stream.UnsupportedFeature)
		})
	})
	t.Run("client/nothing that leads anywhere", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures()})
			p.say(t, serverHeader+"<stream:features/><stream:features>"+offerLogin+"</stream:features>")
			require.ErrorIs(t, <-errs, stream.ErrNoProgress)
			p.Close()
			require.NotContains(t, p.all(t), "<login")
		})
	})
	// A feature that restarts the stream each time, for ever.
	var rounds int
	again := stream.Feature{
		Name: stream.Name{Space: "urn:test", Local: "again"},
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(stream.Name{Space: "urn:test", Local: "again"})
			w.End()
			return nil
		},
		Initiate: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
			rounds++
			return stream.Outcome{Restart: true}, nil
		},
		Accept: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
			rounds++
			return stream.Outcome{Restart: true}, nil
		},
	}
	t.Run("client/loop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rounds = 0
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: []stream.Feature{again}})
			go p.say(t, strings.Repeat(serverHeader+"<stream:features><again xmlns='urn:test'/></stream:features>", 100))
			require.ErrorIs(t, <-errs, stream.ErrNoProgress)
			require.LessOrEqual(t, rounds, 30)
			p.Close()
			p.all(t)
		})
	})
	t.Run("server/loop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rounds = 0
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: []stream.Feature{again}})
			go p.say(t, strings.Repeat(clientHeader+"<again xmlns='urn:test'/>", 100))
			require.ErrorIs(t, <-errs, stream.ErrNoProgress)
			require.LessOrEqual(t, rounds, 30)
			p.Close()
			p.all(t)
		})
	})
}

// RFC 6120 §6.4.6: after success comes a header, and nothing else.
func adversarialT22(t *testing.T) {
	for _, old := range []string{"<message/>", "<stream:features/>", login, "</stream:stream>", "x"} {
		t.Run("client/"+strings.Trim(old, "</>"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures()})
				p.say(t, serverHeader+"<stream:features>"+offerLogin+"</stream:features>")
				synctest.Wait()
				p.say(t, loginOK+old+serverHeader+"<stream:features>"+offerSeat+"</stream:features>")
				var e *stream.Error
				require.ErrorAs(t, <-errs, &e)
				require.False(t, e.Received)
				p.Close()
				wire := p.all(t)
				require.NotContains(t, wire, "<seat")
				wantErrorWithText(t, wire, e.Condition)
			})
		})
		t.Run("server/"+strings.Trim(old, "</>"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures()})
				p.say(t, clientHeader+login+old+clientHeader+seat)
				var e *stream.Error
				require.ErrorAs(t, <-errs, &e)
				require.False(t, e.Received)
				p.Close()
				wire := p.all(t)
				require.Equal(t, 1, strings.Count(wire, loginOK))
				wantErrorWithText(t, wire, e.Condition)
			})
		})
	}
}

// G02: a context that ends during negotiation ends the connection, at every
// step of it.
func adversarialG02(t *testing.T) {
	steps := []string{
		"", serverHeader, "<stream:features>" + offerLogin + "</stream:features>", loginOK,
		serverHeader, "<stream:features>" + offerSeat + "</stream:features>",
	}
	for n := range len(steps) + 1 {
		t.Run(fmt.Sprintf("client/%d", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				p, errs := initiateRaw(ctx, &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures()})
				for _, s := range steps[:n] {
					p.say(t, s)
					synctest.Wait()
				}
				why := errors.New("changed my mind")
				start := time.Now()
				cancel(why)
				err := <-errs
				require.ErrorIs(t, err, why)
				require.Zero(t, time.Since(start), "at once, not at the deadline")
				p.all(t) // the connection was closed
			})
		})
	}
	script := []string{"", clientHeader, login, clientHeader}
	for n := range len(script) + 1 {
		t.Run(fmt.Sprintf("server/%d", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				a, b := memconn.Pipe()
				p := newPeer(a)
				errs := make(chan error, 1)
				go func() {
					_, err := stream.Accept(ctx, b, &stream.AcceptOptions{Profile: loginGoal, Domains: []jid.JID{domain}, Features: testFeatures()})
					errs <- err
				}()
				for _, s := range script[:n] {
					p.say(t, s)
					synctest.Wait()
				}
				start := time.Now()
				cancel()
				require.ErrorIs(t, <-errs, context.Canceled)
				require.Zero(t, time.Since(start))
				p.all(t)
			})
		})
	}
	t.Run("afterwards it has no effect", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			a, b := memconn.Pipe()
			p := newPeer(a)
			p.say(t, clientHeader)
			s, err := stream.Accept(ctx, b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
			require.NoError(t, err)
			cancel()
			synctest.Wait()
			require.NoError(t, s.Err())
			require.ErrorIs(t, s.Send(ctx, raw("<presence/>")), nil, "there is room, so nothing waits")
			synctest.Wait()
			require.Contains(t, p.heard(), "<presence/>")
			s.Abort(errors.New("test over"))
			p.all(t)
		})
	})
}
