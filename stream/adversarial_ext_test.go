package stream_test

import (
	"context"
	"errors"
	"io"
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

// The rows of the adversarial table that need a live stream. Those of the
// tokenizer and the scanner are in the tests inside the package.
func TestAdversarial(t *testing.T) {
	for _, row := range []struct {
		id   string
		test func(*testing.T)
	}{
		{"X25", adversarialX25}, {"X26", adversarialX26}, {"X27", adversarialX27}, {"X28", adversarialX28},
		{"X35", adversarialX35}, {"X36", adversarialX36}, {"X38", adversarialX38},
		{"L01", adversarialL01}, {"L08", adversarialL08}, {"L09", adversarialL09}, {"L11", adversarialL11},
		{"T05", adversarialT05}, {"T11", adversarialT11}, {"T12", adversarialT12}, {"T15", adversarialT15},
		{"T21", adversarialT21}, {"T22", adversarialT22},
		{"G01", adversarialG01}, {"G02", adversarialG02}, {"G03", adversarialG03},
	} {
		t.Run(row.id, row.test)
	}
	for id, tests := range wireTests() {
		t.Run(id, func(t *testing.T) {
			for _, test := range tests {
				test(t)
			}
		})
	}
}

// full reports whether rows that ask for huge counts run at full size.
func full() bool { return os.Getenv("STANZAKIT_ADVERSARIAL_FULL") != "" }

// wantError asserts that what a side wrote ends in a stream error with the
// given condition and the closing tag.
func wantError(t *testing.T, wire string, c stream.Condition) {
	t.Helper()
	require.Contains(t, wire, "<stream:error><"+string(c)+" xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>", wire)
	require.True(t, strings.HasSuffix(wire, "</stream:error></stream:stream>"), wire)
}

// overSession sends input to an established session of each role, whose handler
// must not be called, and hands the result to check.
func overSession(t *testing.T, input string, check func(t *testing.T, wire string, err error)) {
	t.Helper()
	called := func(t *testing.T) func(*stream.Element) error {
		return func(el *stream.Element) error {
			t.Errorf("the handler was called with %s", el.Raw())
			return nil
		}
	}
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := memconn.Pipe()
			p := newPeer(a)
			p.say(t, clientHeader)
			s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
			require.NoError(t, err)
			go p.say(t, input) // may be more than the connection takes at once
			err = s.Serve(called(t))
			a.Close()
			check(t, p.all(t), err)
		})
	})
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := memconn.Pipe()
			p := newPeer(a)
			p.say(t, serverHeader+"<stream:features/>")
			s, err := stream.Initiate(t.Context(), b, &stream.InitiateOptions{Profile: bare, To: domain})
			require.NoError(t, err)
			go p.say(t, input) // may be more than the connection takes at once
			err = s.Serve(called(t))
			a.Close()
			check(t, p.all(t), err)
		})
	})
}

func refused(c stream.Condition) func(*testing.T, string, error) {
	return func(t *testing.T, wire string, err error) {
		t.Helper()
		require.ErrorIs(t, err, c)
		require.ErrorIs(t, err, net.ErrClosed)
		wantError(t, wire, c)
	}
}

// RFC 6120 §4.8.5.
//
//conformance:proves 6120-4.8.5-4 6120-4.8.5-5 6120-4.8.5-6 6120-4.8.5-7
//conformance:proves 6120-4.9.3.1-1
func adversarialX25(t *testing.T) {
	overSession(t, `<c:message xmlns:c='jabber:client'/>`, refused(stream.BadNamespacePrefix))
}

// RFC 6120 §4.9.3.10, §4.9.3.24.
//
//conformance:proves 6120-4.8.3-2 6120-4.8.4-2 6120-4.8.4-3 6120-4.9-1 6120-4.9.1.1-1 6120-4.9.2-1 6120-4.9.2-3
//conformance:proves 6120-4.8.4-1
func adversarialX26(t *testing.T) {
	for input, want := range map[string]stream.Condition{
		`<message xmlns='urn:evil'/>`:           stream.UnsupportedStanzaType,
		`<message xmlns=''/>`:                   stream.InvalidNamespace,
		`<iqbogus/>`:                            stream.UnsupportedStanzaType,
		`<message xmlns='jabber:server'/>`:      stream.InvalidNamespace,
		`<x:presence xmlns:x='urn:evil'/>`:      stream.UnsupportedStanzaType,
		`<iq xmlns='jabber:component:accept'/>`: stream.UnsupportedStanzaType,
		`<stream:bogus/>`:                       stream.UnsupportedStanzaType,
	} {
		t.Run(strings.Trim(input, "</>"), func(t *testing.T) { overSession(t, input, refused(want)) })
	}
}

// RFC 6120 §4.8.1, §4.8.2, §4.8.5, §4.9.1.2, §4.9.3.1, §4.9.3.10.
//
//conformance:proves 6120-4.8.1-2 6120-4.8.1-3 6120-4.8.5-1 6120-4.8.5-2 6120-4.9.1.2-1 6120-4.9.2-3
func adversarialX27(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		want   stream.Condition
	}{
		"wrong stream namespace":  {`<stream:stream xmlns='jabber:client' xmlns:stream='http://wrong.example/' to='im.example' version='1.0'>`, stream.InvalidNamespace},
		"another root":            {`<stream:stream1 xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`, stream.BadFormat},
		"another prefix":          {`<foo:stream xmlns='jabber:client' xmlns:foo='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`, stream.BadNamespacePrefix},
		"no prefix":               {`<stream xmlns='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`, stream.BadNamespacePrefix},
		"wrong content namespace": {`<stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`, stream.InvalidNamespace},
		"no content namespace":    {`<stream:stream xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`, stream.InvalidNamespace},
		"not a start tag":         {`<message/>`, stream.BadFormat},
	} {
		t.Run(name, func(t *testing.T) {
			t.Run("server", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare})
					p.say(t, c.header)
					require.ErrorIs(t, <-errs, c.want)
					p.Close()
					wire := p.all(t)
					require.True(t, strings.HasPrefix(wire, "<?xml version='1.0'?><stream:stream "), "a header comes first: %s", wire)
					require.Contains(t, wire, " id='")
					require.Contains(t, wire, " from='im.example'")
					wantError(t, wire, c.want)
				})
			})
			t.Run("client", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
					p.say(t, c.header)
					require.ErrorIs(t, <-errs, c.want)
					p.Close()
					wire := p.all(t)
					require.Equal(t, 1, strings.Count(wire, "<stream:stream "), "one header only: %s", wire)
					wantError(t, wire, c.want)
				})
			})
		})
	}
}

// RFC 6120 §4.8.5: what the header of a stream declares is gone on the next.
//
//conformance:proves 6120-4.8.5-11
func adversarialX28(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, from := sessions(t, nil, nil)
		got, _ := serve(to)
		a, b := memconn.Pipe()
		p := newPeer(a)
		p.say(t, strings.Replace(clientHeader, " to=", " xmlns:x='urn:x' to=", 1))
		s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
		require.NoError(t, err)
		p.say(t, `<message to='a@b'><x:y x:z='1'/></message></stream:stream>`)
		require.NoError(t, s.Serve(func(el *stream.Element) error {
			out, err := el.AppendRewritten(nil, stream.NSClient, stream.AttrSet{Name: stream.Name{Local: "from"}, Value: "c@d"})
			require.NoError(t, err)
			return from.Send(t.Context(), raw(out))
		}))
		a.Close()
		el, err := stream.ParseElement([]byte(<-got), nil)
		require.NoError(t, err, "it parses on its own")
		_, ok := el.Child(stream.Name{Space: "urn:x", Local: "y"})
		require.True(t, ok, "%s", el.Raw())
	})
}

// eachSide runs a test with an established session in each role and the bare
// connection of its peer.
func eachSide(t *testing.T, test func(t *testing.T, s *stream.Session, peer net.Conn)) {
	t.Helper()
	for name, pick := range map[string]func(client, server *stream.Session) (*stream.Session, *stream.Session){
		"client": func(client, server *stream.Session) (*stream.Session, *stream.Session) { return client, server },
		"server": func(client, server *stream.Session) (*stream.Session, *stream.Session) { return server, client },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, other := pick(sessions(t, nil, nil))
				test(t, s, stream.RawConn(other))
			})
		})
	}
}

// RFC 6120 §8: half a stanza is nothing yet.
//
//conformance:proves 6120-8-2 6120-8-3
func adversarialX35(t *testing.T) {
	eachSide(t, func(t *testing.T, s *stream.Session, peer net.Conn) {
		got, _ := serve(s)
		for i, part := range []string{"<mess", "age><body>", "hi", "</bo", "dy></message"} {
			if i > 0 {
				<-time.After(30 * time.Second)
			}
			_, err := peer.Write([]byte(part))
			require.NoError(t, err)
			synctest.Wait()
			require.Empty(t, got)
		}
		_, err := peer.Write([]byte(">"))
		require.NoError(t, err)
		require.Equal(t, "<message><body>hi</body></message>", <-got)
		synctest.Wait()
		require.Empty(t, got)
	})
}

// RFC 6120 §4.6.1: white space between stanzas is a keepalive.
func adversarialX36(t *testing.T) {
	overSession(t, " \n\t\r\n </stream:stream>", func(t *testing.T, wire string, err error) {
		require.NoError(t, err)
		require.True(t, strings.HasSuffix(wire, "></stream:stream>"), wire)
	})
	// §5.3.3: during negotiation it is tolerated and never sent.
	goal := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated, InsecureGoal: true}
	t.Run("client/negotiation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: goal, Features: testFeatures()})
			p.say(t, serverHeader+" \n<stream:features>"+offerLogin+"</stream:features>\n")
			synctest.Wait()
			p.say(t, " \n"+loginOK)
			synctest.Wait()
			p.say(t, serverHeader+"<stream:features/> </stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			require.NotRegexp(t, `>\s`, p.all(t))
		})
	})
	t.Run("server/negotiation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures()})
			p.say(t, clientHeader+" \n"+login)
			synctest.Wait()
			p.say(t, clientHeader+"\t"+seat+" </stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			require.NotRegexp(t, `>\s`, p.all(t))
		})
	})
}

// faultyConn delivers what its reads say, in turn, and io.EOF after that.
type faultyConn struct {
	net.Conn
	reads []func(p []byte) (int, error)
}

func (c *faultyConn) Read(p []byte) (int, error) {
	if len(c.reads) == 0 {
		return 0, io.EOF
	}
	f := c.reads[0]
	c.reads = c.reads[1:]
	return f(p)
}

// CVE-2021-27918 is the shape: a reader that never gets anywhere.
func adversarialX38(t *testing.T) {
	text := func(s string, err error) func([]byte) (int, error) {
		return func(p []byte) (int, error) { return copy(p, s), err }
	}
	broken := errors.New("cable cut")
	nothing := make([]func([]byte) (int, error), 1000)
	for i := range nothing {
		nothing[i] = text("", nil)
	}
	type reads = []func([]byte) (int, error)
	for name, c := range map[string]struct {
		reads  reads
		want   error
		called int
	}{
		"data with EOF":         {reads{text(clientHeader, nil), text("<message/>", io.EOF)}, stream.ErrTruncated, 1},
		"last words with EOF":   {reads{text(clientHeader, nil), text("<message/></stream:stream>", io.EOF)}, nil, 1},
		"EOF inside an element": {reads{text(clientHeader, nil), text("<message><bo", nil)}, io.ErrUnexpectedEOF, 0},
		"nothing for ever":      {append(reads{text(clientHeader, nil), text("<message/>", nil)}, nothing...), io.ErrNoProgress, 1},
		"an error":              {reads{text(clientHeader, nil), text("<message/><mess", broken)}, broken, 1},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := memconn.Pipe()
				s, err := stream.Accept(t.Context(), &faultyConn{b, c.reads}, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
				require.NoError(t, err)
				called := 0
				err = s.Serve(func(*stream.Element) error { called++; return nil })
				if c.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.want)
				}
				require.Equal(t, c.called, called)
				a.Close()
			})
		})
		t.Run("client/"+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := memconn.Pipe()
				features := text(serverHeader+"<stream:features/>", nil)
				s, err := stream.Initiate(t.Context(), &faultyConn{b, append(reads{features}, c.reads[1:]...)},
					&stream.InitiateOptions{Profile: bare, To: domain})
				require.NoError(t, err)
				called := 0
				err = s.Serve(func(*stream.Element) error { called++; return nil })
				if c.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.want)
				}
				require.Equal(t, c.called, called)
				a.Close()
			})
		})
	}
	t.Run("during negotiation", func(t *testing.T) {
		for name, r := range map[string]reads{
			"nothing for ever": nothing,
			"EOF":              {text("<stream:str", nil)},
			"an error":         {text("<stream:str", broken)},
		} {
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := memconn.Pipe()
					_, err := stream.Accept(t.Context(), &faultyConn{b, r}, &stream.AcceptOptions{Profile: bare, Domains: []jid.JID{domain}})
					require.Error(t, err)
					a.Close()
					a, b = memconn.Pipe()
					_, err = stream.Initiate(t.Context(), &faultyConn{b, r}, &stream.InitiateOptions{Profile: bare, To: domain})
					require.Error(t, err)
					a.Close()
				})
			})
		}
	})
}

// RFC 6120 §13.12 rule 4.
func adversarialL01(t *testing.T) {
	limits := &stream.Limits{ElementBytes: 10_000}
	stanza := func(n int) string {
		const around = len("<message><body></body></message>")
		return "<message><body>" + strings.Repeat("x", n-around) + "</body></message>"
	}
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare, Limits: limits})
			p.say(t, clientHeader+stanza(10_000))
			synctest.Wait()
			require.NotContains(t, p.heard(), "error", "the limit itself is allowed")
			p.say(t, stanza(10_001))
			require.ErrorIs(t, <-errs, stream.PolicyViolation)
			p.Close()
			wantErrorWithText(t, p.all(t), stream.PolicyViolation)
		})
	})
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare, Limits: limits})
			p.say(t, serverHeader+"<stream:features/>"+stanza(10_000)+stanza(10_001))
			require.ErrorIs(t, <-errs, stream.PolicyViolation)
			p.Close()
			wantErrorWithText(t, p.all(t), stream.PolicyViolation)
		})
	})
}

func wantErrorWithText(t *testing.T, wire string, c stream.Condition) {
	t.Helper()
	require.Contains(t, wire, "<stream:error><"+string(c)+" xmlns=")
	require.True(t, strings.HasSuffix(wire, "</stream:error></stream:stream>"), wire)
}

// G01: Close returns soon from anywhere, and again.
func adversarialG01(t *testing.T) {
	for name, role := range map[string]stream.Role{"client": stream.Initiating, "server": stream.Receiving} {
		pair := func(t *testing.T) (ours, theirs *stream.Session) {
			ours, theirs = sessions(t, nil, nil)
			if role == stream.Receiving {
				ours, theirs = theirs, ours
			}
			return ours, theirs
		}
		t.Run(name+"/twice, from several goroutines", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := pair(t)
				go serve(theirs)
				go serve(ours)
				done := make(chan error, 10)
				start := time.Now()
				for range cap(done) {
					go func() { done <- ours.Close(context.Background()) }()
				}
				for range cap(done) {
					require.NoError(t, <-done)
				}
				require.NoError(t, ours.Close(context.Background()))
				require.Less(t, time.Since(start), time.Second)
			})
		})
		t.Run(name+"/inside a handler, with a silent peer", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := pair(t)
				took := make(chan time.Duration, 1)
				result := make(chan error, 1)
				go func() {
					result <- ours.Serve(func(*stream.Element) error {
						start := time.Now()
						ours.Close(context.Background())
						took <- time.Since(start)
						return nil
					})
				}()
				require.NoError(t, theirs.Send(t.Context(), raw("<message/>")))
				require.Less(t, <-took, time.Second)
				require.ErrorIs(t, <-result, stream.ErrCloseTimeout, "the peer never answers")
			})
		})
		t.Run(name+"/abort and close at once", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := pair(t)
				go serve(theirs)
				go ours.Abort(errors.New("no more"))
				ours.Close(context.Background())
				<-ours.Done()
			})
		})
	}
	// During the handshake there is no session to close yet: G02 ends its
	// context instead.
}

// G03: a panic costs its session and nothing else.
func adversarialG03(t *testing.T) {
	for name, c := range map[string]struct {
		role stream.Role
		wire stream.Condition
	}{
		"client": {stream.Initiating, stream.UndefinedCondition},
		"server": {stream.Receiving, stream.InternalServerError},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := sessions(t, nil, nil)
				if c.role == stream.Receiving {
					ours, theirs = theirs, ours
				}
				other, otherPeer := sessions(t, nil, nil)
				got, _ := serve(otherPeer)
				_, end := serve(theirs)
				result := make(chan error, 1)
				go func() { result <- ours.Serve(func(*stream.Element) error { panic("secret detail") }) }()
				require.NoError(t, theirs.Send(t.Context(), raw("<message/>")))
				var p *stream.PanicError
				require.ErrorAs(t, <-result, &p)
				require.Equal(t, "secret detail", p.Value)
				require.NotEmpty(t, p.Stack)
				err := <-end
				require.ErrorIs(t, err, c.wire)
				require.NotContains(t, err.Error(), "secret")
				require.NoError(t, other.Send(t.Context(), raw("<presence/>")))
				require.Equal(t, "<presence/>", <-got)
			})
		})
	}
}
