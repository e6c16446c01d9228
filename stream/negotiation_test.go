package stream_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

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
