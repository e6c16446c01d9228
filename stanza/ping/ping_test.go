package ping_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
)

var (
	juliet  = jid.MustParse("juliet@capulet.lit/balcony")
	capulet = jid.MustParse("capulet.lit")
)

// peer answers a request after a while.
type peer struct {
	after time.Duration
	reply *stanza.IQ
	err   error
	asked *stanza.IQ
}

func (p *peer) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	p.asked = iq
	select {
	case <-time.After(p.after):
		return p.reply, p.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func received(c stanza.Condition) error { return &stanza.Error{Condition: c, Received: true} }

// XEP-0199 §3: the reply is a result or an error, and both are signs of life,
// unless the error says that there is none.
func TestPing(t *testing.T) {
	closed := &stream.ClosedError{Cause: errors.New("reset")}
	for _, tt := range []struct {
		name string
		err  error
		is   error // nil: alive
	}{
		{"result", nil, nil},
		{"not supported", received(stanza.ServiceUnavailable), nil},
		{"not supported either", received(stanza.FeatureNotImplemented), nil},
		{"forbidden", received(stanza.Forbidden), nil},
		{"no such server", received(stanza.RemoteServerNotFound), stanza.RemoteServerNotFound},
		{"server does not answer", received(stanza.RemoteServerTimeout), stanza.RemoteServerTimeout},
		{"recipient is away", received(stanza.RecipientUnavailable), stanza.RecipientUnavailable},
		{"no such address", received(stanza.ItemNotFound), stanza.ItemNotFound},
		{"moved", received(stanza.Gone), stanza.Gone},
		{"session ended", closed, net.ErrClosed},
		{"malformed reply", &stanza.Error{Condition: stanza.BadRequest}, stanza.BadRequest},
		{"overflow", stanza.ErrOverflow, stanza.ErrOverflow},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{after: 3 * time.Second, err: tt.err}
				rtt, err := ping.Ping(t.Context(), p, juliet)
				if tt.is != nil {
					require.ErrorIs(t, err, tt.is)
					require.Zero(t, rtt)
					return
				}
				require.NoError(t, err)
				require.Equal(t, 3*time.Second, rtt)
			})
		})
	}
	t.Run("any error of the own server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, err := ping.Ping(t.Context(), &peer{err: received(stanza.ItemNotFound)}, jid.JID{})
			require.NoError(t, err)
		})
	})
	t.Run("no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			_, err := ping.Ping(ctx, &peer{after: time.Hour}, juliet)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	})
}

// XEP-0199 examples 1 to 18: what is asked, by the address of who is asked.
func TestRequest(t *testing.T) {
	for _, tt := range []struct {
		name string
		to   jid.JID
		want string
	}{
		{"§4.1 to a client", juliet, `<iq id='s2c1' to='juliet@capulet.lit/balcony' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`},
		{"§4.2 to the server", capulet, `<iq id='s2c1' to='capulet.lit' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`},
		{"§4.2 to the account", juliet.Bare(), `<iq id='s2c1' to='juliet@capulet.lit' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`},
		{"§4.2 without an address", jid.JID{}, `<iq id='s2c1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &peer{}
				_, err := ping.Ping(t.Context(), p, tt.to)
				require.NoError(t, err)
				p.asked.ID = "s2c1"
				got, err := p.asked.AppendXML(nil)
				require.NoError(t, err)
				require.Equal(t, tt.want, string(got))
			})
		})
	}
}

// sender records what a handler sends.
type sender struct{ sent []string }

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	s.sent = append(s.sent, string(b))
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// The requests of XEP-0199 §4, as printed there, and their answers.
func TestResponder(t *testing.T) {
	var mux stanza.Mux
	mod := ping.Responder()
	require.NoError(t, stanza.Install(&mux, mod))
	require.ErrorIs(t, stanza.Install(&mux, mod), stanza.ErrRoute)
	require.Equal(t, "ping", mod.Name())
	// §5: the feature that must be announced.
	require.Equal(t, []string{"urn:xmpp:ping"}, mod.(stanza.Featurer).Features())

	for _, tt := range []struct{ name, request, reply string }{
		{
			"§4.1 server to client",
			`<iq from='capulet.lit' to='juliet@capulet.lit/balcony' id='s2c1' type='get'>
  <ping xmlns='urn:xmpp:ping'/>
</iq>`,
			`<iq id='s2c1' from='juliet@capulet.lit/balcony' to='capulet.lit' type='result'/>`,
		}, {
			"§4.2 client to server",
			`<iq from='juliet@capulet.lit/balcony' to='capulet.lit' id='c2s1' type='get'>
  <ping xmlns='urn:xmpp:ping'/>
</iq>`,
			`<iq id='c2s1' from='capulet.lit' to='juliet@capulet.lit/balcony' type='result'/>`,
		}, {
			"§4.3 server to server",
			`<iq from='capulet.lit' to='montague.lit' id='s2s1' type='get'>
  <ping xmlns='urn:xmpp:ping'/>
</iq>`,
			`<iq id='s2s1' from='montague.lit' to='capulet.lit' type='result'/>`,
		}, {
			"§4.4 client to client",
			`<iq from='romeo@montague.lit/home'
    to='juliet@capulet.lit/chamber'
    type='get'
    id='e2e1'>
  <ping xmlns='urn:xmpp:ping'/>
</iq>`,
			`<iq id='e2e1' from='juliet@capulet.lit/chamber' to='romeo@montague.lit/home' type='result'/>`,
		}, {
			"§4.5 component to client",
			`<iq from='chat.shakespeare.lit'
    to='juliet@capulet.lit/chamber'
    type='get'
    id='comp1'>
  <ping xmlns='urn:xmpp:ping'/>
</iq>`,
			`<iq id='comp1' from='juliet@capulet.lit/chamber' to='chat.shakespeare.lit' type='result'/>`,
		}, {
			"a set is no ping",
			`<iq from='capulet.lit' id='x' type='set'><ping xmlns='urn:xmpp:ping'/></iq>`,
			`<iq id='x' to='capulet.lit' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
		}, {
			"neither is another element",
			`<iq from='capulet.lit' id='x' type='get'><pong xmlns='urn:xmpp:ping'/></iq>`,
			`<iq id='x' to='capulet.lit' type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
		},
		{"an answer is not answered", `<iq from='capulet.lit' id='x' type='result'><ping xmlns='urn:xmpp:ping'/></iq>`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client'"+tt.request[len("<iq"):]), nil)
			require.NoError(t, err)
			st, err := stanza.Decode(el)
			require.NoError(t, err)
			s := &sender{}
			require.NoError(t, stanza.Dispatch(t.Context(), &mux, s, st))
			if tt.reply == "" {
				require.Empty(t, s.sent)
				return
			}
			require.Equal(t, []string{tt.reply}, s.sent)
		})
	}
}
