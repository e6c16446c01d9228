package stream_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// offered wraps children in <stream:features/>.
func offered(children string) string { return "<stream:features>" + children + "</stream:features>" }

// binds is a feature of the client that reaches Bound and says nothing.
func binds(local string, forbids stream.State, log *[]string) stream.Feature {
	return stream.Feature{
		Name: testName(local), Forbids: forbids,
		Initiate: func(_ context.Context, _ *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			if offer == nil {
				local += " unasked"
			}
			*log = append(*log, local)
			return stream.Outcome{Reached: stream.Bound}, nil
		},
	}
}

// RFC 6120 §4.3.2, §4.3.5: which features a client negotiates, and when it may
// go on without.
//
//conformance:proves 6120-4.3.2-3 6120-4.3.7-1
func TestClientChoosesFeatures(t *testing.T) {
	for name, c := range map[string]struct {
		features func(log *[]string) []stream.Feature
		offer    string
		log      []string
		want     error
	}{
		"one that it could only accept": {
			func(log *[]string) []stream.Feature {
				return []stream.Feature{{Name: testName("serves")}, binds("a", stream.Bound, log)}
			},
			"<serves xmlns='urn:test'/><a xmlns='urn:test'/>", []string{"a"}, nil,
		},
		"one that was not offered": {
			func(log *[]string) []stream.Feature {
				return []stream.Feature{binds("b", stream.Bound, log), binds("a", stream.Bound, log)}
			},
			"<a xmlns='urn:test'/>", []string{"a"}, nil,
		},
		"one that insists": {
			func(log *[]string) []stream.Feature {
				f := binds("b", stream.Bound, log)
				f.Unadvertised = true
				return []stream.Feature{f}
			},
			"<a xmlns='urn:test'/>", []string{"b unasked"}, nil,
		},
		"its own order, not that of the offers": {
			func(log *[]string) []stream.Feature {
				return []stream.Feature{binds("b", 0, log), binds("a", 0, log)}
			},
			"<a xmlns='urn:test'/><b xmlns='urn:test'/>", []string{"b", "a"}, nil,
		},
		"required, and negotiated": {
			func(log *[]string) []stream.Feature { return []stream.Feature{binds("a", 0, log)} },
			"<a xmlns='urn:test'><required/></a>", []string{"a"}, nil,
		},
		"required, and reached another way": {
			func(log *[]string) []stream.Feature {
				return []stream.Feature{binds("b", stream.Bound, log), binds("a", stream.Bound, log)}
			},
			"<a xmlns='urn:test'><required/></a><b xmlns='urn:test'/>", []string{"b"}, nil,
		},
		"required, and none of what was reached": {
			func(log *[]string) []stream.Feature { return []stream.Feature{binds("a", stream.Bound, log)} },
			"<a xmlns='urn:test'/><pay xmlns='urn:test'><required/></pay>", []string{"a"}, stream.UnsupportedFeature,
		},
		"required of something else": {
			func(log *[]string) []stream.Feature { return []stream.Feature{binds("a", 0, log)} },
			"<a xmlns='urn:test'/><pay xmlns='urn:test'><required xmlns='urn:x'/></pay>", []string{"a"}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log []string
				p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: boundGoal, Features: c.features(&log)})
				p.say(t, serverHeader+offered(c.offer)+"</stream:stream>")
				err := <-errs
				p.Close()
				p.all(t)
				if c.want == nil {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, c.want)
				}
				require.Equal(t, c.log, log)
			})
		})
	}
}

// How a server tells which feature an element is for, and what it makes of
// those that are for none.
//
//conformance:proves 6120-4.8.3-2 6120-4.8.5-4 6120-4.8.5-6 6120-4.8.5-7
func TestServerFindsTheFeature(t *testing.T) {
	claiming := stream.Feature{
		Name:   testName("claiming"),
		Claims: func(el *stream.Element) bool { return el.Name().Local == "please" },
		Accept: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
			return stream.Outcome{Reached: stream.Bound}, nil
		},
	}
	offering := stream.Feature{Name: testName("offering")}
	for name, c := range map[string]struct {
		say  string
		want error
	}{
		"by what it claims":                        {"<please xmlns='urn:x'/>", nil},
		"not by its name then":                     {"<claiming xmlns='urn:test'/>", stream.NotAuthorized},
		"one that it cannot accept":                {"<offering xmlns='urn:test'/>", stream.NotAuthorized},
		"RFC 6120 §4.9.3.10: no namespace of ours": {"<message xmlns='jabber:server'/>", stream.InvalidNamespace},
		"§4.8.5: a prefix":                         {"<c:message xmlns:c='jabber:client'/>", stream.BadNamespacePrefix},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Features: []stream.Feature{offering, claiming}})
				p.say(t, clientHeader+c.say)
				synctest.Wait()
				p.say(t, "</stream:stream>")
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

// What a feature cannot advertise ends the stream, at whatever time.
func TestAdvertiseWritesNoXML(t *testing.T) {
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		at        int // which features
		advertise func(w *stream.Writer) error
		is        error
	}{
		"at first":         {1, func(*stream.Writer) error { return failed }, failed},
		"anew":             {2, func(*stream.Writer) error { return failed }, failed},
		"no XML":           {1, func(w *stream.Writer) error { w.Start(testName("x")); w.Text("\x00"); w.End(); return nil }, stream.ErrCharacter},
		"no XML, and anew": {2, func(w *stream.Writer) error { w.Start(testName("x")); w.Text("\x00"); w.End(); return nil }, stream.ErrCharacter},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				round := 0
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: boundGoal, Features: []stream.Feature{{
					Name: testName("ask"),
					Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
						if round++; round == c.at {
							return c.advertise(w)
						}
						return nil
					},
					Accept: func(context.Context, *stream.Negotiation, *stream.Element) (stream.Outcome, error) {
						return stream.Outcome{Reached: stream.Bound, Features: true}, nil
					},
				}}})
				p.say(t, clientHeader+"<ask xmlns='urn:test'/>")
				synctest.Wait()
				p.say(t, "</stream:stream>")
				err := <-errs
				p.Close()
				p.all(t)
				require.ErrorIs(t, err, c.is)
			})
		})
	}
}

// RFC 6120 §4.9.1.2: a header goes before the error after a restart as well, and
// one is enough.
//
//conformance:proves 6120-4.3.3-7 6120-4.7.5-9 6120-4.9.1.2-1
func TestErrorAfterARestartHasItsHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures()})
		p.say(t, clientHeader+login)
		synctest.Wait()
		before := len(p.heard())
		p.say(t, with(`to='im.example'`))
		require.ErrorIs(t, <-errs, stream.UnsupportedVersion)
		p.Close()
		wire := p.all(t)[before:]
		require.True(t, strings.HasPrefix(wire, "<?xml version='1.0'?><stream:stream "), wire)
		require.Equal(t, 1, strings.Count(wire, "<stream:stream "))
		wantErrorWithText(t, wire, stream.UnsupportedVersion)
	})
}

// RFC 6120 §4.7.1: what a client makes of the header of its server.
//
//conformance:proves 6120-4.7.1-5 6120-4.7.5-8 6120-4.8.1-2 6120-4.8.1-3 6120-4.8.5-1 6120-4.8.5-2
func TestClientChecksTheHeader(t *testing.T) {
	evil := strings.Replace(serverHeader, "im.example", "evil.example", 1)
	for name, c := range map[string]struct {
		header, then string
		want         error
	}{
		"its server":                       {serverHeader, "<stream:features/></stream:stream>", nil},
		"nobody in particular":             {strings.Replace(serverHeader, " from='im.example'", "", 1), "<stream:features/></stream:stream>", nil},
		"another server":                   {evil, "<stream:features/></stream:stream>", stream.InvalidFrom},
		"another one, and no features":     {evil, "<message/>", stream.InvalidFrom},
		"another one, and no XML":          {evil, "<message</x>", stream.InvalidFrom},
		"another one, of another version":  {strings.Replace(evil, "1.0", "0.9", 1), "<stream:features/>", stream.UnsupportedVersion},
		"another one, with an error":       {evil, "<stream:error><reset xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>", stream.Reset},
		"a server that hangs up":           {serverHeader, "</stream:stream>", stream.ErrPeerClosed},
		"a server that sends no features":  {serverHeader, "<message/>", stream.BadFormat},
		"features of another namespace":    {serverHeader, "<features xmlns='urn:test'/>", stream.BadFormat},
		"no header at all":                 {"", "<stream:features/>", stream.NotWellFormed},
		"the header of something else":     {"<html>", "", stream.BadFormat},
		"the header of a server's server":  {strings.Replace(serverHeader, "jabber:client", "jabber:server", 1), "", stream.InvalidNamespace},
		"a header with another prefix":     {strings.ReplaceAll(strings.ReplaceAll(serverHeader, "stream:stream", "s:stream"), "xmlns:stream", "xmlns:s"), "", stream.BadNamespacePrefix},
		"a header of another protocol":     {strings.Replace(serverHeader, "etherx", "example", 1), "", stream.InvalidNamespace},
		"an address that is none":          {strings.Replace(serverHeader, "im.example", "@@", 1), "<stream:features/>", stream.InvalidFrom},
		"an address of ours that is none":  {strings.Replace(serverHeader, "from='im.example'", "to='@@'", 1), "<stream:features/>", stream.HostUnknown},
		"the domain of somebody's account": {strings.Replace(serverHeader, "im.example", "juliet@im.example", 1), "<stream:features/>", stream.InvalidFrom},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
				p.say(t, c.header+c.then)
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

// The first thing that is wrong with the options is what one is told.
func TestOptionsThatAreWrongTwice(t *testing.T) {
	_, b := memconn.Pipe()
	_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Limits: &stream.Limits{ElementBytes: 1}})
	require.ErrorIs(t, err, stream.ErrLimits)
	_, b = memconn.Pipe()
	_, err = stream.Initiate(t.Context(), b, &stream.InitiateOptions{Limits: &stream.Limits{ElementBytes: 1}})
	require.ErrorIs(t, err, stream.ErrLimits)
	_, b = memconn.Pipe()
	_, err = stream.Accept(t.Context(), b, &stream.AcceptOptions{Domains: []jid.JID{domain}, Profile: stream.Profile{Goal: stream.Bound}})
	require.ErrorIs(t, err, stream.ErrOptions)
}
