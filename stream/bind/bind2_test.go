package bind_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

const nsTrust = "urn:example:trust"

// inline is an authentication that takes everybody for juliet, with the frame of SASL 2: requests and
// answers of other features ride in it.
func inline(agent stream.UserAgent) stream.Feature {
	name := func(local string) stream.Name { return stream.Name{Space: nsTrust, Local: local} }
	return stream.Feature{
		Name:    name("trust"),
		Forbids: stream.Authenticated,
		Advertise: func(n *stream.Negotiation, w *stream.Writer) error {
			w.Start(name("trust"))
			defer w.End()
			return n.AdvertiseInline(stream.InAuthentication, name("inline"), w)
		},
		Accept: func(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			n.SetIdentity(account)
			n.SetUserAgent(agent)
			n.Establish(stream.Authenticated)
			answers := stream.NewWriter(nil)
			answers.Start(name("success"))
			out, err := n.AcceptInline(ctx, stream.InAuthentication, el, &answers)
			if err != nil {
				return out, err
			}
			answers.Start(name("id"))
			answers.Text(n.Identity().String())
			answers.End()
			answers.End()
			out.Reached |= stream.Authenticated
			out.Features = true
			b, err := answers.Bytes()
			if err != nil {
				return out, err
			}
			return out, n.Write(func(w *stream.Writer) { w.Append(xml(b)) })
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			offered, _ := offer.Child(name("inline"))
			var bad error
			if err := n.Write(func(w *stream.Writer) {
				w.Start(name("trust"))
				bad = n.RequestInline(stream.InAuthentication, offered, w)
				w.End()
			}); err != nil || bad != nil {
				return stream.Outcome{}, errors.Join(err, bad)
			}
			el, err := n.Read(ctx)
			if err != nil {
				return stream.Outcome{}, err
			}
			id, _ := el.Child(name("id"))
			who, err := jid.Parse(id.Text())
			if err != nil {
				return stream.Outcome{}, err
			}
			n.SetIdentity(who)
			out, err := n.ResultInline(stream.InAuthentication, el)
			out.Reached |= stream.Authenticated
			out.Features = true
			return out, err
		},
	}
}

// xml is an element that is XML already.
type xml string

func (x xml) AppendXML(dst []byte) ([]byte, error) { return append(dst, x...), nil }

// rider is a feature that rides in Bind 2.
func rider(got *[]string) stream.Feature {
	const space = "urn:example:rider"
	return stream.Feature{
		Name: stream.Name{Space: space, Local: "rider"},
		Inline: []stream.Inline{{
			In:    stream.InBinding,
			Space: space,
			Request: func(_ *stream.Negotiation, offer *stream.Element, w *stream.Writer) error {
				*got = append(*got, "offer "+offer.Attr("var"))
				w.Start(stream.Name{Space: space, Local: "enable"})
				w.End()
				return nil
			},
			Accept: func(_ context.Context, n *stream.Negotiation, request *stream.Element, w *stream.Writer) (stream.Outcome, error) {
				*got = append(*got, "request "+request.Name().Local, "bound: "+fmt.Sprint(n.State().Has(stream.Bound)), n.Identity().String())
				w.Start(stream.Name{Space: space, Local: "enabled"})
				w.End()
				return stream.Outcome{}, nil
			},
			Result: func(n *stream.Negotiation, answer *stream.Element) (stream.Outcome, error) {
				*got = append(*got, fmt.Sprintf("answer %s, bound: %t", answer.Name().Local, n.State().Has(stream.Bound)))
				return stream.Outcome{}, nil
			},
		}},
	}
}

// negotiate2 runs both sides with Bind 2.
func negotiate2(tb testing.TB, agent stream.UserAgent, co *bind.ClientOptions, server stream.Feature, more ...stream.Feature) (client, srv result) {
	tb.Helper()
	return negotiateTraced(tb, agent, co, server, nil, nil, more...)
}

func negotiateTraced(
	tb testing.TB, agent stream.UserAgent, co *bind.ClientOptions, server stream.Feature, ct, st *stream.Trace, more ...stream.Feature,
) (client, srv result) {
	tb.Helper()
	a, b := memconn.Pipe()
	cc, sc := make(chan result, 1), make(chan result, 1)
	go func() { // ends with the connection
		s, err := stream.Initiate(tb.Context(), a, &stream.InitiateOptions{
			Profile: profile, To: domain, From: account, Features: append([]stream.Feature{inline(agent), bind.Client(co)}, more...), Trace: ct,
		})
		cc <- result{s, err}
	}()
	go func() { // ends with the connection
		s, err := stream.Accept(tb.Context(), b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Features: append([]stream.Feature{inline(agent), server}, more...), Trace: st,
		})
		sc <- result{s, err}
	}()
	client, srv = within(tb, cc), within(tb, sc)
	for _, r := range []result{client, srv} {
		if r.session != nil {
			tb.Cleanup(func() { r.session.Abort(nil) })
		}
	}
	return client, srv
}

// XEP-0386 §3.2.1: the server makes up the resource and puts the tag in front.
func TestBind2(t *testing.T) {
	for name, c := range map[string]struct {
		tag, prefix string
	}{
		"no tag":                       {"", "juliet@im.example/"},
		"tag":                          {"AwesomeBot", "juliet@im.example/AwesomeBot/"},
		"long tag":                     {strings.Repeat("x", 300), "juliet@im.example/" + strings.Repeat("x", 256) + "/"},
		"cut where a character begins": {strings.Repeat("x", 255) + "é", "juliet@im.example/" + strings.Repeat("x", 255) + "/"},
		"just short enough":            {strings.Repeat("x", 254) + "é", "juliet@im.example/" + strings.Repeat("x", 254) + "é/"},
	} {
		t.Run(name, func(t *testing.T) {
			server := bind.Server(nil)
			var seen []string
			for range 2 {
				client, srv := negotiate2(t, stream.UserAgent{}, &bind.ClientOptions{Tag: c.tag}, server)
				require.NoError(t, client.err)
				require.NoError(t, srv.err)
				bound := client.session.LocalAddr()
				require.Equal(t, bound, srv.session.RemoteAddr())
				require.True(t, strings.HasPrefix(bound.String(), c.prefix), "%s", bound)
				require.GreaterOrEqual(t, len(bound.String())-len(c.prefix), 26, "not guessed")
				seen = append(seen, bound.String())
			}
			require.NotEqual(t, seen[0], seen[1])
		})
	}
}

// XEP-0386 §3.2.1: the same installation gets the same resource, which does not show its id; §3.2: its earlier
// session is met there.
func TestBind2StableResource(t *testing.T) {
	const id = "d4565fa7-4d72-4749-b3d3-740edbf87770"
	var asked []jid.JID
	server := bind.Server(&bind.ServerOptions{Bind: func(_ context.Context, _ *stream.Negotiation, j jid.JID) (jid.JID, error) {
		asked = append(asked, j)
		return j, nil
	}})
	run := func(id, tag string) jid.JID {
		client, srv := negotiate2(t, stream.UserAgent{ID: id}, &bind.ClientOptions{Tag: tag}, server)
		require.NoError(t, client.err)
		require.NoError(t, srv.err)
		require.Equal(t, id, srv.session.UserAgent().ID)
		return client.session.LocalAddr()
	}
	first := run(id, "bot")
	require.Equal(t, first, run(id, "bot"))
	require.Equal(t, first, asked[0])
	require.NotContains(t, first.String(), id[:8])
	require.NotEqual(t, first, run(id, "other"))
	require.NotEqual(t, first.Resource(), run("e4565fa7-4d72-4749-b3d3-740edbf87770", "bot").Resource())
	other := bind.Server(nil) // another server has another key
	client, _ := negotiate2(t, stream.UserAgent{ID: id}, &bind.ClientOptions{Tag: "bot"}, other)
	require.NotEqual(t, first, client.session.LocalAddr())
}

// XEP-0386 §3.1, §3.2: features that belong to the session ride along.
func TestBind2Inline(t *testing.T) {
	var got []string
	var bound []jid.JID
	trace := &stream.Trace{Bound: func(j jid.JID) { bound = append(bound, j) }}
	client, srv := negotiateTraced(t, stream.UserAgent{}, nil, bind.Server(nil), trace, trace, rider(&got))
	require.NoError(t, client.err)
	require.NoError(t, srv.err)
	addr := client.session.LocalAddr()
	require.Equal(t, []string{
		"offer urn:example:rider", "request enable", "bound: true", addr.String(), "answer enabled, bound: true",
	}, got)
	require.Equal(t, []jid.JID{addr, addr}, bound)
}

// What rides along can end the negotiation, wherever it is asked.
func TestBind2InlineErrors(t *testing.T) {
	bad := errors.New("bad")
	var log []string
	with := func(edit func(*stream.Inline)) stream.Feature {
		f := rider(&log)
		edit(&f.Inline[0])
		return f
	}
	for name, c := range map[string]struct {
		edit   func(*stream.Inline)
		server bool
	}{
		"advertise": {func(in *stream.Inline) {
			in.Advertise = func(*stream.Negotiation, *stream.Writer) error { return bad }
		}, true},
		"request": {func(in *stream.Inline) {
			in.Request = func(*stream.Negotiation, *stream.Element, *stream.Writer) error { return bad }
		}, false},
		"accept": {func(in *stream.Inline) {
			in.Accept = func(context.Context, *stream.Negotiation, *stream.Element, *stream.Writer) (stream.Outcome, error) {
				return stream.Outcome{}, bad
			}
		}, true},
		"result": {func(in *stream.Inline) {
			in.Result = func(*stream.Negotiation, *stream.Element) (stream.Outcome, error) { return stream.Outcome{}, bad }
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			client, srv := negotiate2(t, stream.UserAgent{}, nil, bind.Server(nil), with(c.edit))
			if c.server {
				require.ErrorIs(t, srv.err, bad)
			} else {
				require.ErrorIs(t, client.err, bad)
			}
		})
	}
	t.Run("options", func(t *testing.T) {
		server := bind.Server(&bind.ServerOptions{Retries: 99})
		server.Advertise = nil // which would complain first
		client, srv := negotiate2(t, stream.UserAgent{}, nil, server)
		require.ErrorIs(t, srv.err, bind.ErrOptions)
		require.ErrorIs(t, client.err, stream.InternalServerError)
	})
}

// Refusals of Bind 2 count as attempts to bind (RFC 6120 §7.7.3).
func TestBind2CountsAttempts(t *testing.T) {
	calls := 0
	server := bind.Server(&bind.ServerOptions{Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) {
		calls++
		return jid.JID{}, bind.Conflict
	}})
	a, b := memconn.Pipe()
	sc := make(chan error, 1)
	go func() { // ends with the connection
		_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Features: []stream.Feature{inline(stream.UserAgent{}), server},
		})
		sc <- err
	}()
	go io.Copy(io.Discard, a) // ends with the connection
	_, err := io.WriteString(a, `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0'>`+
		`<trust xmlns='urn:example:trust'><bind xmlns='urn:xmpp:bind:0'/></trust>`+
		strings.Repeat(`<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`, 6))
	require.NoError(t, err)
	require.ErrorIs(t, within(t, sc), stream.PolicyViolation)
	require.Equal(t, 6, calls, "one inline, and five more")
}

// A server that cannot bind inline leaves the client authenticated, and the binding of RFC 6120 says why.
func TestBind2Refused(t *testing.T) {
	calls := 0
	server := bind.Server(&bind.ServerOptions{Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) {
		calls++
		return jid.JID{}, bind.ResourceConstraint
	}})
	client, srv := negotiate2(t, stream.UserAgent{}, nil, server)
	require.ErrorIs(t, client.err, bind.ResourceConstraint)
	require.Error(t, srv.err)
	require.Equal(t, 2, calls)

	t.Run("fatal", func(t *testing.T) {
		server := bind.Server(&bind.ServerOptions{Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) {
			return jid.JID{}, &stream.Error{Condition: stream.ResourceConstraint}
		}})
		client, _ := negotiate2(t, stream.UserAgent{}, nil, server)
		require.ErrorIs(t, client.err, stream.ResourceConstraint)
	})
	t.Run("account of somebody else", func(t *testing.T) {
		server := bind.Server(&bind.ServerOptions{Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) {
			return jid.MustParse("romeo@im.example/x"), nil
		}})
		client, srv := negotiate2(t, stream.UserAgent{}, nil, server)
		require.ErrorIs(t, client.err, stream.InternalServerError)
		require.ErrorIs(t, srv.err, bind.ErrOptions)
	})
}

// Where the server has no Bind 2, or the client wants a certain resource, the binding of RFC 6120 follows.
func TestBind2NotUsed(t *testing.T) {
	t.Run("not offered", func(t *testing.T) {
		server := bind.Server(&bind.ServerOptions{Bind: granting})
		server.Inline = nil
		client, srv := negotiate2(t, stream.UserAgent{}, &bind.ClientOptions{Tag: "bot"}, server)
		require.NoError(t, client.err)
		require.NoError(t, srv.err)
		require.NotContains(t, client.session.LocalAddr().Resource(), "bot")
	})
	t.Run("a resource is wanted", func(t *testing.T) {
		client, srv := negotiate2(t, stream.UserAgent{}, &bind.ClientOptions{Tag: "bot", Resource: "balcony"}, bind.Server(&bind.ServerOptions{Bind: granting}))
		require.NoError(t, client.err)
		require.NoError(t, srv.err)
		require.Equal(t, "balcony", client.session.LocalAddr().Resource())
	})
}

// What a server answers is checked.
func TestBind2Answers(t *testing.T) {
	const header = `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' from='im.example' id='1' version='1.0'>`
	const offer = `<stream:features><trust xmlns='urn:example:trust'><inline><bind xmlns='urn:xmpp:bind:0'/></inline></trust></stream:features>`
	for name, c := range map[string]struct {
		answer string
		want   error
	}{
		"bare":         {`<id>juliet@im.example</id><bound xmlns='urn:xmpp:bind:0'/>`, bind.ErrProtocol},
		"domain":       {`<id>im.example/x</id><bound xmlns='urn:xmpp:bind:0'/>`, bind.ErrProtocol},
		"elsewhere":    {`<id>juliet@other.example/x</id><bound xmlns='urn:xmpp:bind:0'/>`, bind.ErrProtocol},
		"other name":   {`<id>juliet@im.example/x</id><bind xmlns='urn:xmpp:bind:0'/>`, bind.ErrProtocol},
		"twice":        {`<id>juliet@im.example/x</id><bound xmlns='urn:xmpp:bind:0'/><bound xmlns='urn:xmpp:bind:0'/>`, stream.BadFormat},
		"as it should": {`<id>juliet@im.example/x</id><bound xmlns='urn:xmpp:bind:0'/>`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := memconn.Pipe()
			cc := make(chan result, 1)
			go func() { // ends with the connection
				s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
					Profile: profile, To: domain, From: account, Features: []stream.Feature{inline(stream.UserAgent{}), bind.Client(nil)},
				})
				cc <- result{s, err}
			}()
			go io.Copy(io.Discard, b) // ends with the connection
			_, err := io.WriteString(b, header+offer+`<success xmlns='urn:example:trust'>`+c.answer+`</success><stream:features/>`)
			require.NoError(t, err)
			r := within(t, cc)
			if c.want == nil {
				require.NoError(t, r.err)
				require.Equal(t, "juliet@im.example/x", r.session.LocalAddr().String())
				r.session.Abort(nil)
				return
			}
			require.ErrorIs(t, r.err, c.want)
		})
	}
}

// A tag that is none is left out by the server, and never sent by this client.
func TestBind2BadTag(t *testing.T) {
	client, _ := negotiate2(t, stream.UserAgent{}, &bind.ClientOptions{Tag: "a\x00b"}, bind.Server(nil))
	require.ErrorContains(t, client.err, "tag")
}
