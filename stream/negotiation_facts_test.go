package stream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

func testName(local string) stream.Name { return stream.Name{Space: "urn:test", Local: local} }

// asking is a feature that the client negotiates by calling initiate, and the
// server by calling accept. It reaches Bound.
func asking(initiate, accept func(context.Context, *stream.Negotiation, *stream.Element) error) stream.Feature {
	reached := stream.Outcome{Reached: stream.Bound}
	return stream.Feature{
		Name:    testName("ask"),
		Forbids: stream.Bound,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(testName("ask"))
			w.End()
			return nil
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			return reached, initiate(ctx, n, el)
		},
		Accept: func(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			return reached, accept(ctx, n, el)
		},
	}
}

var boundGoal = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Bound, InsecureGoal: true}

const features = "<stream:features><ask xmlns='urn:test'/></stream:features>"

// What a feature can learn about its stream, on either side.
//
//conformance:proves 6120-4.7.2-1 6120-4.7.2-2 6120-4.7.4-2 6120-4.7.5-5 6120-4.7.5-6
func TestNegotiationTellsFeaturesWhatIsKnown(t *testing.T) {
	sec := stream.Security{Version: tls.VersionTLS13, ServerName: "im.example", Domains: []jid.JID{domain}}
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			trace := &stream.Trace{Bound: func(jid.JID) {}}
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{
				Profile: boundGoal, Security: &sec, Trace: trace, Lang: "de", Features: []stream.Feature{
					asking(func(_ context.Context, n *stream.Negotiation, offer *stream.Element) error {
						require.Equal(t, stream.Initiating, n.Role())
						require.Equal(t, boundGoal, n.Profile())
						require.Equal(t, stream.Secure, n.State())
						require.Equal(t, sec, *n.Security())
						require.Equal(t, domain, n.Domain())
						require.Equal(t, juliet, n.Identity())
						require.Equal(t, juliet, n.Wanted())
						require.Equal(t, testName("ask"), offer.Name())
						require.Equal(t, stream.Header{To: domain, From: juliet.Bare(), Version: stream.Version10, Lang: "de"}, n.LocalHeader())
						require.Equal(t, stream.Header{From: domain, ID: "s1", Version: stream.Version10}, n.RemoteHeader())
						require.NotNil(t, n.Trace().Bound)
						require.Nil(t, n.Trace().Established)
						_, ok := n.Features().Child(testName("ask"))
						require.True(t, ok)
						require.Equal(t, len("<message"), n.Buffered())
						n.SetIdentity(jid.MustParse("juliet@im.example/other"))
						require.Equal(t, jid.MustParse("juliet@im.example/other"), n.Identity())
						require.Equal(t, juliet, n.Wanted())
						n.Establish(stream.Authenticated)
						require.Equal(t, stream.Secure|stream.Authenticated, n.State())
						require.Nil(t, n.Value("key"))
						n.SetValue("key", 5)
						require.Equal(t, 5, n.Value("key"))
						return nil
					}, nil),
				},
			})
			p.say(t, serverHeader+features+"<message")
			synctest.Wait()
			p.say(t, "/></stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			require.Contains(t, p.all(t), " from='juliet@im.example' to='im.example' version='1.0' xml:lang='de'>")
		})
	})
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{
				Profile: boundGoal, Security: &sec, Lang: "de", Features: []stream.Feature{
					asking(nil, func(_ context.Context, n *stream.Negotiation, el *stream.Element) error {
						require.Equal(t, stream.Receiving, n.Role())
						require.Equal(t, boundGoal, n.Profile())
						require.Equal(t, stream.Secure, n.State())
						require.Equal(t, sec, *n.Security())
						require.Equal(t, domain, n.Domain())
						require.Zero(t, n.Identity(), "nobody has authenticated")
						require.Zero(t, n.Wanted())
						require.Equal(t, testName("ask"), el.Name())
						local := n.LocalHeader()
						require.NotEmpty(t, local.ID)
						local.ID = ""
						require.Equal(t, stream.Header{To: juliet.Bare(), From: domain, Version: stream.Version10, Lang: "de"}, local)
						require.Equal(t, stream.Header{From: juliet, To: domain, Version: stream.Version{Major: 1, Minor: 3}, Lang: "en-GB"}, n.RemoteHeader())
						require.NotNil(t, n.Trace())
						require.Nil(t, n.Features())
						require.Zero(t, n.Buffered())
						require.Zero(t, n.UserAgent())
						n.SetUserAgent(stream.UserAgent{Software: "x"})
						require.Equal(t, stream.UserAgent{Software: "x"}, n.UserAgent())
						return nil
					}),
				},
			})
			p.say(t, with(`to='im.example' from='juliet@im.example/balcony' id='ignored' version='1.3' xml:lang='en-GB'`)+"<ask xmlns='urn:test'/>")
			synctest.Wait()
			p.say(t, "</stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			p.all(t)
		})
	})
}

// hooks returns a trace that notes all of a negotiation.
func (w *wire) hooks() *stream.Trace {
	return &stream.Trace{
		HeaderSent:       func(h stream.Header) { w.add("header sent to %s, id %t", h.To, h.ID != "") },
		HeaderReceived:   func(h stream.Header) { w.add("header received to %s, id %t", h.To, h.ID != "") },
		FeaturesSent:     func(n []stream.Name) { w.add("features sent: %v", n) },
		FeaturesReceived: func(n []stream.Name) { w.add("features received: %v", n) },
		FeatureStart:     func(n stream.Name) { w.add("start %s", n.Local) },
		FeatureDone: func(n stream.Name, out stream.Outcome, err error) {
			w.add("done %s: %s, restart %t, error %t", n.Local, out.Reached, out.Restart, err != nil)
		},
		Secured:       func(s stream.Security) { w.add("secured by %s", tls.VersionName(s.Version)) },
		Established:   func(*stream.Session) { w.add("established") },
		ErrorSent:     func(e *stream.Error) { w.add("error sent: %s", e.Condition) },
		ErrorReceived: func(e *stream.Error) { w.add("error received: %s", e.Condition) },
		Closed:        func(err error) { w.add("closed") },
	}
}

//conformance:proves 6120-4.3.2-1 6120-4.3.3-4 6120-4.3.4-1 6120-4.7.3-3 6120-4.7.3-5
func TestTraceOfANegotiation(t *testing.T) {
	run := func(t *testing.T, sec *stream.Security) (client, server *wire) {
		client, server = new(wire), new(wire)
		synctest.Test(t, func(t *testing.T) {
			a, b := memconn.Pipe()
			both := testFeatures()
			accepted := make(chan ends, 1)
			go func() { // ends with the connection
				s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
					Profile: loginGoal, Domains: []jid.JID{domain}, Features: both, Security: sec, Trace: server.hooks(),
				})
				accepted <- ends{s, err}
			}()
			s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
				Profile: loginGoal, To: domain, From: juliet, Features: both, Security: sec, Trace: client.hooks(),
			})
			require.NoError(t, err)
			e := <-accepted
			require.NoError(t, e.err)
			s.Abort(errors.New("test over"))
			e.session.Abort(errors.New("test over"))
		})
		return client, server
	}
	client, server := run(t, nil)
	require.Equal(t, []string{
		"header sent to im.example, id false",
		"header received to , id true",
		"features received: [{urn:test}login]",
		"start login", "done login: authenticated, restart true, error false",
		"header sent to im.example, id false",
		"header received to , id true",
		"features received: [{urn:test}seat]",
		"start seat", "done seat: bound, restart false, error false",
		"established", "closed",
	}, client.lines)
	require.Equal(t, []string{
		"header received to im.example, id false",
		"header sent to , id true",
		"features sent: [{urn:test}login]",
		"start login", "done login: authenticated, restart true, error false",
		"header received to im.example, id false",
		"header sent to , id true",
		"features sent: [{urn:test}seat]",
		"start seat", "done seat: bound, restart false, error false",
		"established", "closed",
	}, server.lines)

	client, server = run(t, &stream.Security{Version: tls.VersionTLS12})
	require.Equal(t, "secured by TLS 1.2", client.lines[0], "that of direct TLS is in place already")
	require.Equal(t, "secured by TLS 1.2", server.lines[0])
}

// The hooks of what goes wrong, and of what a feature sends in place of a
// restart.
func TestTraceOfFeaturesAndErrors(t *testing.T) {
	more := asking(nil, func(context.Context, *stream.Negotiation, *stream.Element) error { return nil })
	fails := asking(nil, func(context.Context, *stream.Negotiation, *stream.Element) error {
		return &stream.Error{Condition: stream.PolicyViolation}
	})
	again := func(f stream.Feature) stream.Feature {
		accept := f.Accept
		f.Forbids = 0
		f.Accept = func(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			out, err := accept(ctx, n, el)
			out.Reached, out.Features = 0, true
			return out, err
		}
		return f
	}
	for name, c := range map[string]struct {
		feature stream.Feature
		say     string
		want    []string
	}{
		"features anew": {again(more), "<ask xmlns='urn:test'/></stream:stream>", []string{
			"start ask", "done ask: none, restart false, error false", "features sent: [{urn:test}ask]", "closed",
		}},
		"an error of ours": {fails, "<ask xmlns='urn:test'/>", []string{
			"start ask", "done ask: bound, restart false, error true", "error sent: policy-violation", "closed",
		}},
		"an error of theirs": {more, "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", []string{
			"error received: reset", "closed",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var w wire
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Features: []stream.Feature{c.feature}, Trace: w.hooks()})
				p.say(t, clientHeader+c.say)
				require.Error(t, <-errs)
				p.Close()
				p.all(t)
				require.Equal(t, append([]string{
					"header received to im.example, id false", "header sent to , id true", "features sent: [{urn:test}ask]",
				}, c.want...), w.lines)
			})
		})
	}
}

// Nothing of a trace is mandatory, for any of the streams above.
func TestTraceWithoutHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, errs := acceptRaw(&stream.AcceptOptions{
			Profile: boundGoal, Trace: &stream.Trace{}, Security: &stream.Security{Version: tls.VersionTLS13},
			Features: []stream.Feature{asking(nil, func(_ context.Context, n *stream.Negotiation, _ *stream.Element) error {
				return errors.Join(n.Upgrade(func(c net.Conn) (net.Conn, stream.Security, error) { return c, stream.Security{Version: 1}, nil }))
			})},
		})
		p.say(t, clientHeader+"<ask xmlns='urn:test'/>")
		synctest.Wait()
		p.say(t, clientHeader+"</stream:stream>")
		require.NoError(t, <-errs)
		p.Close()
		p.all(t)
	})
}

// A feature names several elements as it likes.
func TestTraceOfAFeatureWithTwoElements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w wire
		two := stream.Feature{Name: testName("a"), Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			for _, local := range []string{"a", "b"} {
				w.Start(testName(local))
				w.Start(testName("inside"))
				w.End()
				w.End()
			}
			return nil
		}}
		silent := stream.Feature{Name: testName("silent")}
		later := two
		later.Needs = stream.Authenticated
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare, Features: []stream.Feature{silent, later, two}, Trace: w.hooks()})
		p.say(t, clientHeader+"</stream:stream>")
		require.NoError(t, <-errs)
		p.Close()
		p.all(t)
		require.Contains(t, w.lines, "features sent: [{urn:test}a {urn:test}b]")
	})
}
