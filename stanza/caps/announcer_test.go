package caps_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stream"
)

// announcer announces the software of XEP-0115 §5.2.
func announcer() *caps.Announcer {
	a := &caps.Announcer{Node: "http://code.google.com/p/exodus"}
	a.Entity = &disco.Entity{
		Identities: []disco.Identity{{Category: "client", Type: "pc", Name: "Exodus 0.9.1"}},
		Features:   []string{"http://jabber.org/protocol/muc"},
		Modules:    []stanza.Module{a},
	}
	return a
}

// XEP-0115 §6.1 and §6.2, as the two sides of one exchange.
func TestAnnouncer(t *testing.T) {
	a := announcer()
	p := &stanza.Presence{}
	require.NoError(t, a.Annotate(p))
	b, err := p.AppendXML(nil)
	require.NoError(t, err)
	require.Equal(t, "<presence>"+exodusC+"</presence>", string(b))
	// §7: the feature that must be announced.
	require.Equal(t, []string{"http://jabber.org/protocol/caps"}, a.Features())
	require.Equal(t, "caps", a.Name())

	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, a, &disco.Responder{Self: a.Entity}))
	d := loop{t: t, mux: &mux}
	tr := new(caps.Tracker)
	tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
	info, err := tr.Info(t.Context(), d, romeo)
	require.NoError(t, err)
	require.True(t, info.Has("http://jabber.org/protocol/muc"))

	// §6.1: what is announced changes with the features, and only what is
	// announced now is answered for.
	a.Entity.Features = append(a.Entity.Features, "urn:new")
	_, err = disco.GetInfo(t.Context(), d, romeo, a.Node+"#"+exodusVer)
	require.ErrorIs(t, err, stanza.ItemNotFound)
	c, err := a.Caps()
	require.NoError(t, err)
	require.NotEqual(t, exodusVer, c.Ver)
	info, err = disco.GetInfo(t.Context(), d, romeo, c.Query())
	require.NoError(t, err)
	_, err = c.Verify(info)
	require.NoError(t, err)
	// §6.2: the node is not an item.
	items, err := disco.GetItems(t.Context(), d, romeo, "")
	require.NoError(t, err)
	require.Empty(t, items.Items)
}

// loop asks a Mux.
type loop struct {
	t   *testing.T
	mux *stanza.Mux
}

func (l loop) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	iq.ID = "1"
	b, err := stanza.Qualified(iq, stream.NSClient).AppendXML(nil)
	require.NoError(l.t, err)
	st, err := stanza.Decode(parse(l.t, string(b)))
	require.NoError(l.t, err)
	s := &answered{t: l.t}
	require.NoError(l.t, stanza.Dispatch(ctx, l.mux, s, st))
	if s.reply.Error != nil {
		return s.reply, s.reply.Error
	}
	return s.reply, nil
}

// answered is the Sender of a handler, and keeps what it has answered.
type answered struct {
	t     *testing.T
	reply *stanza.IQ
}

func (a *answered) Send(_ context.Context, st stanza.Stanza) error {
	b, err := stanza.Qualified(st, stream.NSClient).AppendXML(nil)
	require.NoError(a.t, err)
	a.reply = new(stanza.IQ)
	return a.reply.DecodeElement(parse(a.t, string(b)))
}

func (*answered) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) { panic("not here") }

// An announcer that cannot announce is found at registration.
func TestAnnouncerErrors(t *testing.T) {
	ill := &disco.Entity{Identities: []disco.Identity{{Category: "client", Type: "pc", Name: "a<b"}}}
	for _, tt := range []struct {
		name string
		a    caps.Announcer
		is   error
	}{
		{"no node", caps.Announcer{Entity: ill}, caps.ErrAnnouncer},
		{"no entity", caps.Announcer{Node: "n"}, caps.ErrAnnouncer},
		{"unknown hash", caps.Announcer{Node: "n", Entity: ill, Hash: "md5"}, caps.ErrHash},
		{"ill-formed", caps.Announcer{Node: "n", Entity: ill}, caps.ErrIllFormed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.ErrorIs(t, stanza.Install(new(stanza.Mux), &tt.a), tt.is)
			require.ErrorIs(t, tt.a.Annotate(new(stanza.Presence)), tt.is)
			_, err := tt.a.FindNode(t.Context(), nil, "n#v")
			require.ErrorIs(t, err, tt.is)
		})
	}
	a := announcer()
	a.Hash = "sha-256"
	c, err := a.Caps()
	require.NoError(t, err)
	require.Equal(t, "sha-256", c.Hash)
}

// XEP-0115 §6.3: a server announces itself in its stream features, once the
// client has authenticated, and the client asks the address in the header.
func TestStreamFeature(t *testing.T) {
	domain := jid.MustParse("capulet.lit")
	// What stands for authentication here, and what ends the negotiation.
	authenticate := stream.Feature{
		Name:    stream.Name{Space: "urn:test", Local: "auth"},
		Forbids: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(stream.Name{Space: "urn:test", Local: "auth"})
			w.End()
			return nil
		},
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			return stream.Outcome{Reached: stream.Authenticated, Restart: true}, n.Write(func(w *stream.Writer) {
				w.Start(stream.Name{Space: "urn:test", Local: "ok"})
				w.End()
			})
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			if err := n.Write(func(w *stream.Writer) {
				w.Start(stream.Name{Space: "urn:test", Local: "auth"})
				w.End()
			}); err != nil {
				return stream.Outcome{}, err
			}
			_, err := n.Read(ctx)
			return stream.Outcome{Reached: stream.Authenticated, Restart: true}, err
		},
	}
	var offered [][]stream.Name
	trace := &stream.Trace{FeaturesReceived: func(names []stream.Name) { offered = append(offered, names) }}
	a := announcer()
	tr := new(caps.Tracker)

	near, far := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated, InsecureGoal: true}
	accepted := make(chan error, 1)
	go func() { // ends with the negotiation, which is awaited below
		s, err := stream.Accept(t.Context(), far, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Features: []stream.Feature{a.Feature(), authenticate},
		})
		if err == nil {
			s.Abort(nil)
		}
		accepted <- err
	}()
	s, err := stream.Initiate(t.Context(), near, &stream.InitiateOptions{
		Profile: profile, To: domain, Features: []stream.Feature{tr.Feature(), authenticate}, Trace: trace,
	})
	require.NoError(t, err)
	s.Abort(nil)
	require.NoError(t, <-accepted)
	// Not before authentication: who asks then could not be answered.
	require.Equal(t, [][]stream.Name{{{Space: "urn:test", Local: "auth"}}, {{Space: caps.NS, Local: "c"}}}, offered)
	c, ok := tr.Announced(domain)
	require.True(t, ok)
	require.Equal(t, exodusVer, c.Ver)
}
