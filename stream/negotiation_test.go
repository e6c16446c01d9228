package stream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// answer returns what a server without features answers to one header, and the
// error of Accept.
func answer(t *testing.T, header string, opts *stream.AcceptOptions) (wire string, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		opts.Profile = bare
		p, errs := acceptRaw(opts)
		p.say(t, header+"</stream:stream>")
		err = <-errs
		p.Close()
		wire = p.all(t)
	})
	return wire, err
}

// with returns the client's header with some attributes replaced or added.
func with(attrs string) string {
	return `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' ` + attrs + `>`
}

//conformance:proves 6120-4.1-1 6120-4.3.2-1 6120-4.7.1-3 6120-4.7.1-5 6120-4.7.2-2 6120-4.7.2-3 6120-4.7.2-6 6120-4.7.3-5 6120-4.7.4-3 6120-4.7.4-4
//conformance:proves 6120-4.7.4-6 6120-4.8.1-1 6120-4.8.2-2 6120-4.9.1.2-1 6120-4.9.1.3-1
//conformance:proves 6120-4.8.2-1
func TestResponseHeader(t *testing.T) {
	other := jid.MustParse("other.example")
	for name, c := range map[string]struct {
		attrs    string
		has, not []string
		want     error
	}{
		"§4.7.2: to is the bare from": {
			attrs: `to='im.example' from='juliet@im.example/balcony' version='1.0'`,
			has:   []string{` to='juliet@im.example'`, ` from='im.example'`},
		},
		"§4.7.2: no to without from": {
			attrs: `to='im.example' version='1.0'`, not: []string{" to='"},
		},
		"§4.7.2: liberal towards a header without to": {
			attrs: `version='1.0'`, has: []string{` from='im.example'`},
		},
		"one of several domains": {
			attrs: `to='other.example' version='1.0'`, has: []string{` from='other.example'`},
		},
		"§4.9.1.3: unknown host, answered with a domain of ours": {
			attrs: `to='nowhere.example' version='1.0'`, has: []string{` from='im.example'`, "<host-unknown "}, want: stream.HostUnknown,
		},
		"§4.9.3.6: a to that is no domain of ours but an account": {
			attrs: `to='juliet@im.example' version='1.0'`, want: stream.HostUnknown,
		},
		"to that is no address": {
			attrs: `to='@@' version='1.0'`, has: []string{"<host-unknown "}, want: stream.HostUnknown,
		},
		"§4.9.3.9: from that is no address": {
			attrs: `to='im.example' from='@@' version='1.0'`, has: []string{"<invalid-from "}, not: []string{"@@"}, want: stream.InvalidFrom,
		},
		"§4.9.1.2: what could be read of a header with a from that is no address": {
			attrs: `to='im.example' from='@@' version='1.0' xml:lang='EN'`, has: []string{` xml:lang='EN'`}, want: stream.InvalidFrom,
		},
		"§4.9.1.2: with a to that is no address": {
			attrs: `to='@@' from='juliet@im.example/balcony' version='1.0'`, has: []string{` to='juliet@im.example'`}, want: stream.HostUnknown,
		},
		"§4.9.1.2: with a version that is none": {
			attrs: `to='im.example' from='juliet@im.example' version='one'`, has: []string{` to='juliet@im.example'`}, want: stream.UnsupportedVersion,
		},
		"§4.9.1.2: with a version that is too old": {
			attrs: `to='im.example' from='juliet@im.example' version='0.9'`, has: []string{` to='juliet@im.example'`}, want: stream.UnsupportedVersion,
		},
		"§4.7.4: a language of ours": {
			attrs: `to='im.example' version='1.0' xml:lang='EN'`, has: []string{` xml:lang='EN'`},
		},
		"§4.7.4: another language": {
			attrs: `to='im.example' version='1.0' xml:lang='de-CH'`, has: []string{` xml:lang='en'`},
		},
		"§4.7.4: no language at all": {
			attrs: `to='im.example' version='1.0' xml:lang="'&lt;x"`, has: []string{` xml:lang='en'`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			wire, err := answer(t, with(c.attrs), &stream.AcceptOptions{Domains: []jid.JID{domain, other}})
			if c.want == nil {
				require.NoError(t, err)
				require.Contains(t, wire, "<stream:features></stream:features>")
			} else {
				require.ErrorIs(t, err, c.want)
			}
			require.True(t, strings.HasPrefix(wire, `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'`), wire)
			require.Contains(t, wire, ` id='`)
			for _, s := range c.has {
				require.Contains(t, wire, s)
			}
			for _, s := range c.not {
				require.NotContains(t, wire, s)
			}
		})
	}
}

//conformance:proves 6120-4.7.3-4 6120-4.7.4-7 6120-4.7.5-4
func TestPeersHeaderIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		p := newPeer(a)
		p.say(t, with(`to='im.example' from='juliet@im.example' id='mine' version='1.4' xml:lang='de-CH'`))
		s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		require.NoError(t, err)
		require.Equal(t, stream.Header{
			To: domain, From: juliet.Bare(), Version: stream.Version{Major: 1, Minor: 4}, Lang: "de-CH",
		}, s.Header(), "RFC 6120 §4.7.3: the id of an initial header is ignored")
		s.Abort(errors.New("test over"))
		p.all(t)
	})
}

// RFC 6120 §6.4.6, §13.5: who has authenticated in one domain, as one account,
// is that and nothing else after the restart.
func TestRestartMustNotChangeTheAddresses(t *testing.T) {
	for name, c := range map[string]struct {
		attrs string
		want  error
	}{
		"the same":       {`to='im.example' from='juliet@im.example' version='1.0'`, nil},
		"without from":   {`to='im.example' version='1.0'`, nil},
		"without to":     {`version='1.0'`, nil},
		"another domain": {`to='other.example' version='1.0'`, stream.HostUnknown},
		"somebody else":  {`to='im.example' from='eve@im.example' version='1.0'`, stream.InvalidFrom},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{
					Profile: loginGoal, Features: testFeatures(),
					Domains: []jid.JID{domain, jid.MustParse("other.example")},
				})
				p.say(t, clientHeader+login)
				synctest.Wait()
				p.say(t, with(c.attrs)+seat+"</stream:stream>")
				err := <-errs
				p.Close()
				p.all(t)
				if c.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.want)
				}
			})
		})
	}
}

// RFC 6120 §4.7.1: whoever answers for another domain is not whom we asked.
func TestServerOfAnotherDomain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
		p.say(t, strings.Replace(serverHeader, "im.example", "evil.example", 1)+"<stream:features/>")
		require.ErrorIs(t, <-errs, stream.InvalidFrom)
		p.Close()
		p.all(t)
	})
}

// RFC 6120 §4.9.1.3: a refusal says more than an odd header.
//
//conformance:proves 6120-4.9.1.1-2
func TestErrorOfTheServerPrevails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
		p.say(t, strings.Replace(serverHeader, "im.example", "evil.example", 1)+
			`<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>[2001:db8::1]:5222</see-other-host>`+
			`<text xmlns='urn:ietf:params:xml:ns:xmpp-streams' xml:lang='de'>dort</text>`+
			`<later xmlns='urn:x'/></stream:error>`)
		err := <-errs
		var e *stream.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, &stream.Error{
			Condition: stream.SeeOtherHost, OtherHost: "[2001:db8::1]:5222", Text: "dort", Lang: "de",
			Application: []byte(`<later xmlns='urn:x'/>`), Received: true,
		}, e)
		p.Close()
		require.True(t, strings.HasSuffix(p.all(t), "'></stream:stream>"), "no error in return")
	})
}

func TestFeatureIsNegotiatedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rounds := 0
		voluntary := stream.Feature{
			Name: stream.Name{Space: "urn:test", Local: "extra"},
			Initiate: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
				rounds++
				return stream.Outcome{}, nil
			},
		}
		skipped := stream.Feature{
			Name: stream.Name{Space: "urn:test", Local: "skipped"},
			Initiate: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
				rounds++
				return stream.Outcome{}, stream.ErrSkip
			},
		}
		p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare, Features: []stream.Feature{voluntary, skipped}})
		p.say(t, serverHeader+"<stream:features><extra xmlns='urn:test'/><skipped xmlns='urn:test'/></stream:features></stream:stream>")
		require.NoError(t, <-errs)
		require.Equal(t, 2, rounds)
		p.Close()
		p.all(t)
	})
}

// Nobody unauthenticated gets through with options that were forgotten.
//
//conformance:proves 6120-4.3.5-3 6120-4.3.5-4
func TestZeroOptionsNegotiateNothing(t *testing.T) {
	a, b := memconn.Pipe()
	_, err := stream.Accept(t.Context(), b, nil)
	require.ErrorIs(t, err, stream.ErrOptions)
	_, err = a.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	a, b = memconn.Pipe()
	_, err = stream.Initiate(t.Context(), b, nil)
	require.ErrorIs(t, err, stream.ErrOptions)
	_, err = a.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	synctest.Test(t, func(t *testing.T) {
		// The zero Profile is C2S, which wants TLS, an identity and a resource.
		p, errs := acceptRaw(&stream.AcceptOptions{})
		p.say(t, clientHeader+"<message/>")
		require.ErrorIs(t, <-errs, stream.NotAuthorized)
		p.Close()
		p.all(t)
	})
	synctest.Test(t, func(t *testing.T) {
		p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{})
		p.say(t, serverHeader+"<stream:features/>")
		require.ErrorIs(t, <-errs, stream.ErrNoProgress)
		p.Close()
		p.all(t)
	})
}

func TestTraceSeesEverythingButSecrets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []string
		note := func(format string) func([]byte) {
			return func(b []byte) { log = append(log, format+string(b)) }
		}
		features := testFeatures()
		advertise := features[0].Advertise
		features[0].Advertise = func(n *stream.Negotiation, w *stream.Writer) error {
			n.Secrets(stream.Name{Space: "urn:test", Local: "login"}, stream.Name{Space: "urn:test", Local: "password"})
			return advertise(n, w)
		}
		p, errs := acceptRaw(&stream.AcceptOptions{
			Profile: loginGoal, Features: features,
			Trace: &stream.Trace{
				XMLSent: note("S "), XMLReceived: note("C "),
				Established: func(*stream.Session) { log = append(log, "established") },
				Closed:      func(err error) { log = append(log, "closed: "+err.Error()) },
			},
		})
		p.say(t, clientHeader+`<login xmlns='urn:test' a='b'>hunter2<![CDATA[</login>]]></login>`)
		synctest.Wait()
		p.say(t, clientHeader+seat+`<iq type='set' id='1'><query xmlns='urn:test'><password>hunter2</password></query></iq></stream:stream>`)
		require.NoError(t, <-errs)
		p.Close()
		p.all(t)
		all := strings.Join(log, "\n")
		require.NotContains(t, all, "hunter2")
		require.Contains(t, all, `C <login xmlns='urn:test' a='b'>[redacted 27 bytes]</login>`)
		require.Contains(t, all, `C <iq type='set' id='1'>[redacted 60 bytes]</iq>`)
		require.Contains(t, all, "S <ok xmlns='urn:test'/>")
		require.Contains(t, all, "S <stream:features><login xmlns='urn:test'/></stream:features>")
		require.Equal(t, 2, strings.Count(all, "C <stream:stream "))
		require.Equal(t, 2, strings.Count(all, "S <stream:stream "))
		require.True(t, strings.HasSuffix(all, "S </stream:stream>\nclosed: "+stream.ErrPeerClosed.Error()), all)
		require.Contains(t, log, "established")
	})
}

// The text of a peer's error is data: capped and escaped.
func TestErrorsQuoteAndCapWhatThePeerSaid(t *testing.T) {
	overSession(t, `<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text xmlns='urn:ietf:params:xml:ns:xmpp-streams'>`+
		"\n&#x9;"+strings.Repeat("é", 20_000)+`</text></stream:error>`,
		func(t *testing.T, _ string, err error) {
			require.ErrorIs(t, err, stream.Reset)
			require.Less(t, len(err.Error()), 4<<10)
			require.NotContains(t, err.Error(), "\n")
			var e *stream.Error
			require.ErrorAs(t, err, &e)
			require.LessOrEqual(t, len(e.Text), 1<<10)
		})
}

//conformance:proves 6120-4.3.4-1
func TestFeatureValues(t *testing.T) {
	type key struct{}
	var seen []any
	count := stream.Feature{
		Name: stream.Name{Space: "urn:test", Local: "count"},
		Advertise: func(n *stream.Negotiation, _ *stream.Writer) error {
			seen = append(seen, n.Value(key{}))
			k, _ := n.Value(key{}).(int)
			n.SetValue(key{}, k+1)
			return nil
		},
	}
	synctest.Test(t, func(t *testing.T) {
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: append(testFeatures(), count)})
		p.say(t, clientHeader+login)
		synctest.Wait()
		p.say(t, clientHeader+seat+"</stream:stream>")
		require.NoError(t, <-errs)
		p.Close()
		p.all(t)
	})
	require.Equal(t, []any{nil, 1}, seen, "values outlive a restart")
}

// ctx bounds the last words of a negotiation, too.
func TestContextEndsWhileThePeerDoesNotReadOurLastWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		defer a.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		chatty := stream.Feature{
			Name: stream.Name{Space: "urn:test", Local: "chatty"},
			Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
				if err := n.Write(func(w *stream.Writer) {
					w.Start(stream.Name{Space: "urn:test", Local: "x"})
					w.Text(strings.Repeat("x", 64<<10-500)) // the pipe is all but full
					w.End()
				}); err != nil {
					return stream.Outcome{}, err
				}
				return stream.Outcome{}, &stream.Error{Condition: stream.PolicyViolation, Text: strings.Repeat("y", 1000)}
			},
		}
		_, err := io.WriteString(a, clientHeader+"<chatty xmlns='urn:test'/>")
		require.NoError(t, err)
		start := time.Now()
		_, err = stream.Accept(ctx, b, &stream.AcceptOptions{Profile: loginGoal, Domains: []jid.JID{domain}, Features: []stream.Feature{chatty}})
		require.ErrorIs(t, err, stream.PolicyViolation)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, time.Second, time.Since(start))
	})
}

// RFC 6120 §4.3.2: passing over a feature that the peer requires does not make
// it negotiated.
//
//conformance:proves 6120-4.3.2-3 6120-4.3.7-1
func TestSkippedFeatureThatIsRequired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		skip := stream.Feature{
			Name: stream.Name{Space: "urn:test", Local: "pay"},
			Initiate: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
				return stream.Outcome{}, stream.ErrSkip
			},
		}
		p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare, Features: []stream.Feature{skip}})
		p.say(t, serverHeader+"<stream:features><pay xmlns='urn:test'><required/></pay></stream:features></stream:stream>")
		require.ErrorIs(t, <-errs, stream.UnsupportedFeature)
		p.Close()
		p.all(t)
	})
}

// A new transport is a new stream, whether the feature remembers to say so or
// not.
//
//conformance:proves 6120-4.3.3-3 6120-4.3.3-4
func TestUpgradeRestartsTheStream(t *testing.T) {
	layer := func(conn net.Conn) (net.Conn, stream.Security, error) {
		return conn, stream.Security{Version: 0x304}, nil
	}
	goal := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Secure, InsecureGoal: true}
	feature := stream.Feature{
		Name:    stream.Name{Space: "urn:test", Local: "layer"},
		Forbids: stream.Secure,
		Initiate: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			return stream.Outcome{Reached: stream.Secure}, n.Upgrade(layer)
		},
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			return stream.Outcome{Reached: stream.Secure}, n.Upgrade(layer)
		},
	}
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: goal, Features: []stream.Feature{feature}})
			p.say(t, serverHeader+"<stream:features><layer xmlns='urn:test'/></stream:features>")
			synctest.Wait()
			require.Equal(t, 2, strings.Count(p.heard(), "<stream:stream "))
			p.say(t, serverHeader+"<stream:features/></stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			p.all(t)
		})
	})
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: goal, Features: []stream.Feature{feature}})
			p.say(t, clientHeader+"<layer xmlns='urn:test'/>")
			synctest.Wait()
			p.say(t, clientHeader+"</stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			require.Equal(t, 2, strings.Count(p.all(t), "<stream:stream "))
		})
	})
}

// An error of the network that is not about this connection is no reason to
// leave the peer without a closing tag.
func TestNetworkErrorOfABackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		backend := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("10.0.0.1: connection refused")}
		feature := stream.Feature{
			Name: stream.Name{Space: "urn:test", Local: "x"},
			Accept: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
				return stream.Outcome{}, backend
			},
		}
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: []stream.Feature{feature}})
		p.say(t, clientHeader+"<x xmlns='urn:test'/>")
		require.ErrorIs(t, <-errs, backend)
		p.Close()
		wire := p.all(t)
		require.True(t, strings.HasSuffix(wire, "</stream:features></stream:stream>"), wire)
		require.NotContains(t, wire, "10.0.0.1")
	})
}

// Whoever recovers from a panic of a feature finds the connection closed.
func TestPanicOfAFeatureClosesTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memconn.Pipe()
		p := newPeer(a)
		p.say(t, clientHeader+"<x xmlns='urn:test'/>")
		feature := stream.Feature{
			Name: stream.Name{Space: "urn:test", Local: "x"},
			Accept: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
				panic("oops")
			},
		}
		var closed error
		require.PanicsWithValue(t, "oops", func() {
			stream.Accept(t.Context(), b, &stream.AcceptOptions{
				Profile: loginGoal, Domains: []jid.JID{domain}, Features: []stream.Feature{feature},
				Trace: &stream.Trace{Closed: func(err error) { closed = err }},
			})
		})
		require.Error(t, closed)
		p.all(t)
	})
}

// RFC 6120 §4.9.1.2: an error about what a feature advertises comes behind a
// header of the same stream, too.
func TestAdvertiseFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feature := stream.Feature{
			Name: stream.Name{Space: "urn:test", Local: "x"},
			Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
				w.Start(stream.Name{Space: "urn:test", Local: "x"})
				return &stream.Error{Condition: stream.InternalServerError, Cause: errors.New("10.0.0.1 is down")}
			},
		}
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: []stream.Feature{feature}})
		p.say(t, clientHeader)
		require.ErrorIs(t, <-errs, stream.InternalServerError)
		p.Close()
		wire := p.all(t)
		require.True(t, strings.HasPrefix(wire, "<?xml version='1.0'?><stream:stream "), wire)
		require.Equal(t, 1, strings.Count(wire, "<stream:stream "))
		require.NotContains(t, wire, "features")
		wantError(t, wire, stream.InternalServerError)
	})
}

// RFC 6120 §4.9.4: an application's condition means the same out of its place.
func TestApplicationConditionKeepsItsNamespaces(t *testing.T) {
	overSession(t, `<stream:error xmlns:a='urn:app'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><a:why/></stream:error>`,
		func(t *testing.T, _ string, err error) {
			var e *stream.Error
			require.ErrorAs(t, err, &e)
			el, err := stream.ParseElement(e.Application, nil)
			require.NoError(t, err)
			require.Equal(t, stream.Name{Space: "urn:app", Local: "why"}, el.Name())
		})
}

func TestLangThatIsNone(t *testing.T) {
	_, b := memconn.Pipe()
	_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Domains: []jid.JID{domain}, Lang: "e'n"})
	require.ErrorIs(t, err, stream.ErrOptions)
	_, err = b.Write([]byte("x"))
	require.Error(t, err, "closed")
	_, b = memconn.Pipe()
	_, err = stream.Initiate(t.Context(), b, &stream.InitiateOptions{To: domain, Lang: "en-muchtoolong"})
	require.ErrorIs(t, err, stream.ErrOptions)
}

// What a feature waits for outside of the stream is bounded by the same deadline.
func TestDeadlineBoundsFeaturesToo(t *testing.T) {
	hang := stream.Feature{
		Name: stream.Name{Space: "urn:test", Local: "hang"},
		Initiate: func(ctx context.Context, _ *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			<-ctx.Done() // a prompt for a password, say
			return stream.Outcome{}, ctx.Err()
		},
		Accept: func(ctx context.Context, _ *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			<-ctx.Done() // a database, say
			return stream.Outcome{}, ctx.Err()
		},
	}
	const offer = "<hang xmlns='urn:test'/>"
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{
				Profile: loginGoal, Features: []stream.Feature{hang}, Timeout: 7 * time.Second,
			})
			p.say(t, serverHeader+"<stream:features>"+offer+"</stream:features>")
			require.ErrorIs(t, <-errs, stream.ErrNegotiationTimeout)
			require.Equal(t, 7*time.Second, time.Since(start))
			p.all(t)
		})
	})
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			p, errs := acceptRaw(&stream.AcceptOptions{
				Profile: loginGoal, Features: []stream.Feature{hang}, Timeout: 7 * time.Second,
			})
			p.say(t, clientHeader+offer)
			require.ErrorIs(t, <-errs, stream.ErrNegotiationTimeout)
			require.Equal(t, 7*time.Second, time.Since(start))
			p.all(t)
		})
	})
}
