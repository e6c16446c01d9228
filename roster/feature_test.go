package roster_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// whole is a server with a long roster.
type whole struct {
	q      *roster.Query
	before func()
}

func (w *whole) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	if w.before != nil {
		w.before()
	}
	b, err := w.q.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	el, err := stream.ParseElement(b, &stream.Limits{ElementBytes: 4 << 20, Elements: 50_000})
	if err != nil {
		return nil, err
	}
	return &stanza.IQ{ID: iq.ID, Type: stanza.ResultIQ, Payload: el}, nil
}

// login is a feature that stands for authentication.
func login() stream.Feature {
	name := stream.Name{Space: "urn:example:login", Local: "login"}
	return stream.Feature{
		Name: name, Forbids: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error { w.Start(name); w.End(); return nil },
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			n.SetIdentity(juliet)
			return stream.Outcome{Reached: stream.Authenticated, Restart: true}, nil
		},
		Initiate: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			n.SetIdentity(juliet)
			err := n.Write(func(w *stream.Writer) { w.Start(name); w.End() })
			return stream.Outcome{Reached: stream.Authenticated, Restart: true}, err
		},
	}
}

// A server that is known to have versions need not say so.
func TestFeaturesKnown(t *testing.T) {
	r := newRig(t, roster.Options{Versioned: true})
	for _, f := range r.StreamFeatures() {
		_, err := f.Initiate(t.Context(), nil, nil)
		require.ErrorIs(t, err, stream.ErrSkip)
	}
	d := answering(t, pushed("v1", ""))
	require.NoError(t, r.Sync(t.Context(), d))
	require.Equal(t, []string{"get <query xmlns='jabber:iq:roster' ver=''/>"}, d.asked)
}

// RFC 6121 §2.6.1, §3.4: advertised to who is logged in, and noticed by the client,
// on each stream anew.
//
//conformance:proves 6121-2.6.2-2
func TestFeatures(t *testing.T) {
	r := newRig(t, roster.Options{})
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true, Goal: stream.Authenticated}
	domain := jid.MustParse("example.com")
	for _, tt := range []struct {
		server []stream.Feature
		want   []stream.Name
		ver    string
		pre    bool
	}{
		{[]stream.Feature{roster.Versioning(), roster.PreApproval()}, []stream.Name{
			{Space: "urn:xmpp:features:rosterver", Local: "ver"}, {Space: "urn:xmpp:features:pre-approval", Local: "sub"},
		}, " ver=''", true},
		{[]stream.Feature{roster.PreApproval()}, []stream.Name{{Space: "urn:xmpp:features:pre-approval", Local: "sub"}}, "", true},
		{nil, nil, "", false},
		{[]stream.Feature{roster.Versioning()}, []stream.Name{{Space: "urn:xmpp:features:rosterver", Local: "ver"}}, " ver=''", false},
	} {
		a, b := memconn.Pipe()
		accepted := make(chan error, 1)
		go func() { // ends when the stream has been negotiated
			s, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: profile, Domains: []jid.JID{domain}, Features: append([]stream.Feature{login()}, tt.server...)})
			if s != nil {
				t.Cleanup(func() { s.Abort(nil) })
			}
			accepted <- err
		}()
		var offers [][]stream.Name
		s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
			Profile: profile, To: domain, Features: append([]stream.Feature{login()}, r.StreamFeatures()...),
			Trace: &stream.Trace{FeaturesReceived: func(names []stream.Name) { offers = append(offers, names) }},
		})
		require.NoError(t, err)
		t.Cleanup(func() { s.Abort(nil) })
		require.NoError(t, <-accepted)
		require.Len(t, offers, 2)
		require.Equal(t, "login", offers[0][0].Local)
		require.Len(t, offers[0], 1, "nobody is logged in yet")
		require.Equal(t, tt.want, offers[1])

		require.Equal(t, tt.pre, r.PreApproval())
		d := answering(t, pushed("", ""))
		require.NoError(t, r.Sync(t.Context(), d))
		require.Equal(t, []string{"get <query xmlns='jabber:iq:roster'" + tt.ver + "/>"}, d.asked)
	}
}
