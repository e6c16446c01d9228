package register_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/xmpptest"
	xtls "stanzakit.dev/xmpp/tls"
)

// open connects to a server, with a feature before the login if there is one.
func open(t *testing.T, s *xmpptest.Server, localpart, password string, before ...stream.Feature) (*stanza.Conn, error) {
	t.Helper()
	who, err := jid.New(localpart, s.Domain.Domain(), "")
	require.NoError(t, err)
	nc, err := s.Dial(t.Context())
	require.NoError(t, err)
	features := append([]stream.Feature{xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: s.CA.Pool()})}, before...)
	session, err := stream.Initiate(t.Context(), nc, &stream.InitiateOptions{
		To: s.Domain, From: who,
		Features: append(features, auth.Client(&auth.ClientOptions{Password: password}), bind.Client(nil)),
	})
	if err != nil {
		return nil, err
	}
	conn := stanza.NewConn(session, nil)
	t.Cleanup(func() { conn.Abort(nil) })
	return conn, nil
}

// The life of an account, over real sessions (XEP-0077 §3).
func TestLifeOfAnAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, &register.Module{Accounts: s.Accounts.(*xmpp.MemoryAccounts)})
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		signUp := func(password string) stream.Feature {
			return register.Client(&register.ClientOptions{Password: password})
		}

		bill, err := open(t, s, "bill", "Calliope", signUp("Calliope"))
		require.NoError(t, err)
		_, err = open(t, s, "bill", "Clio", signUp("Clio"))
		require.ErrorIs(t, err, stanza.Conflict)

		q, err := register.Get(ctx, bill, jid.JID{})
		require.NoError(t, err)
		require.True(t, q.Registered)
		require.Equal(t, "bill", q.Fields[register.Username])

		other, err := open(t, s, "bill", "Calliope")
		require.NoError(t, err)
		require.NoError(t, register.ChangePassword(ctx, bill, bill.LocalAddr(), "Thalia"))
		<-other.Done()
		require.ErrorIs(t, other.Err(), stream.Reset)
		_, err = open(t, s, "bill", "Calliope")
		require.Error(t, err)
		other, err = open(t, s, "bill", "Thalia")
		require.NoError(t, err)

		require.NoError(t, register.Cancel(ctx, bill, jid.JID{}))
		for _, c := range []*stanza.Conn{bill, other} {
			<-c.Done()
			require.ErrorIs(t, c.Err(), stream.NotAuthorized)
		}
		synctest.Wait()
		_, err = open(t, s, "bill", "Thalia")
		require.Error(t, err)
		// The name is free.
		_, err = open(t, s, "bill", "Clio", signUp("Clio"))
		require.NoError(t, err)
	})
}
