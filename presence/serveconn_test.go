package presence_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
)

// plainRouter is a router whose clients need no TLS, and how one of them connects.
func plainRouter(t *testing.T, r *presence.Router, extra ...stream.Feature) (connect func() (*stream.Session, <-chan error, error)) {
	users := &userTable{names: []string{"romeo"}}
	require.NoError(t, users.Set(t.Context(), "romeo", "secret"))
	r.Hosted, r.Accounts = []jid.JID{jid.MustParse("example.com")}, users
	require.NoError(t, r.Init())
	opts := &stream.AcceptOptions{
		Domains: r.Hosted, Profile: stream.InsecureC2S(),
		Features: append(append(extra, auth.Server(&auth.ServerOptions{Store: users, InsecureWithoutTLS: true})), r.Features()...),
	}
	return func() (*stream.Session, <-chan error, error) {
		client, server := memconn.Pipe()
		served := make(chan error, 1)
		// Owner: the test. Ends with the connection. Joined through served.
		go func() { served <- r.ServeConn(t.Context(), server, opts) }()
		session, err := stream.Initiate(t.Context(), client, &stream.InitiateOptions{
			To: r.Hosted[0], From: jid.MustParse("romeo@example.com"), Profile: stream.InsecureC2S(),
			Features: []stream.Feature{auth.Client(&auth.ClientOptions{Password: "secret", InsecureWithoutTLS: true}), bind.Client(nil)},
		})
		return session, served, err
	}
}

// A handler that waits learns that its client is gone, also where the program serves
// connections without the root package.
func TestServeConnEndsHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inside, over := make(chan struct{}), make(chan error, 1)
		r := &presence.Router{Handler: stanza.HandlerFunc(func(ctx context.Context, _ stanza.Sender, _ stanza.Stanza) error {
			close(inside)
			<-ctx.Done()
			over <- context.Cause(ctx)
			return nil
		})}
		session, served, err := plainRouter(t, r)()
		require.NoError(t, err)
		require.NoError(t, session.Send(t.Context(), &stanza.IQ{ID: "1", Type: stanza.GetIQ, To: r.Hosted[0], Payload: stanza.XML(struct {
			XMLName struct{} `xml:"urn:x query"`
		}{})}))
		<-inside
		res := r.Connected(jid.JID{})[0]
		_ = res.End(t.Context(), nil)
		require.Error(t, <-over)
		session.Abort(errors.New("the test is over"))
		<-served
		require.Empty(t, r.Connected(jid.JID{}))
	})
}

// A callback that panics during negotiation costs that connection.
func TestServeConnPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		armed := true
		connect := plainRouter(t, new(presence.Router), stream.Feature{
			Name: stream.Name{Space: "urn:x", Local: "x"},
			Advertise: func(*stream.Negotiation, *stream.Writer) error {
				if armed {
					panic("a mistake of the program")
				}
				return nil
			},
		})
		_, served, err := connect()
		require.Error(t, err)
		var p *stream.PanicError
		require.ErrorAs(t, <-served, &p)
		armed = false
		session, served, err := connect()
		require.NoError(t, err)
		session.Abort(errors.New("the test is over"))
		require.Error(t, <-served)
	})
}
