package admin_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/command"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// Administration over real sessions (XEP-0133 §4).
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, &admin.Module{
				Accounts: s.Accounts.(*xmpp.MemoryAccounts), Admins: []jid.JID{jid.MustParse("bard@xmpp.test")},
			})
		}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		bard, iago := s.Connect(t, "bard"), s.Connect(t, "iago")
		_, err := command.Execute(ctx, iago, s.Domain, admin.NS+"#delete-user")
		require.ErrorIs(t, err, stanza.Forbidden)

		run := func(node string, fields map[string]string) *form.Data {
			t.Helper()
			x, err := command.Execute(ctx, bard, s.Domain, admin.NS+"#"+node)
			require.NoError(t, err)
			if !x.Done() {
				answer := x.Response.Form.Answer()
				for name, value := range fields {
					answer.Set(name, value)
				}
				require.NoError(t, x.Continue(ctx, answer))
			}
			require.Equal(t, command.Completed, x.Response.Status)
			return x.Response.Form
		}
		run("add-user", map[string]string{"accountjid": "juliet@xmpp.test", "password": "R0m30", "password-verify": "R0m30"})
		juliet, err := s.Client(jid.MustParse("juliet@xmpp.test"), "R0m30").Connect(ctx)
		require.NoError(t, err)
		defer juliet.Abort(nil)
		require.NoError(t, juliet.Send(ctx, &stanza.Presence{}))
		for st, err := range juliet.All(ctx) { // her own presence comes back
			require.NoError(t, err)
			require.Equal(t, stanza.PresenceKind, st.Kind())
			break
		}

		require.Equal(t, "3", run("get-registered-users-num", nil).Field("registeredusersnum").String())
		require.Equal(t, "3", run("get-online-users-num", nil).Field("onlineusersnum").String())
		require.Equal(t, []string{"bard@xmpp.test", "iago@xmpp.test", "juliet@xmpp.test"}, run("get-registered-users-list", nil).Field("registereduserjids").Values)
		require.Equal(t, []string{juliet.LocalAddr().Resource()}, run("user-stats", map[string]string{"accountjid": "juliet@xmpp.test"}).Field("onlineresources").Values)

		run("announce", map[string]string{"announcement": "Attention!"})
		for st, err := range juliet.All(ctx) {
			require.NoError(t, err)
			m := st.(*stanza.Message)
			require.Equal(t, s.Domain, m.From)
			require.Equal(t, "Attention!", m.Body.String())
			break
		}

		run("disable-user", map[string]string{"accountjids": "juliet@xmpp.test"})
		<-juliet.Done()
		require.ErrorIs(t, juliet.Err(), stream.NotAuthorized)
		require.Equal(t, "1", run("get-disabled-users-num", nil).Field("disabledusersnum").String())
		_, err = s.Client(jid.MustParse("juliet@xmpp.test"), "R0m30").Connect(ctx)
		require.Error(t, err)
		run("reenable-user", map[string]string{"accountjids": "juliet@xmpp.test"})
		juliet, err = s.Client(jid.MustParse("juliet@xmpp.test"), "R0m30").Connect(ctx)
		require.NoError(t, err)
		defer juliet.Abort(nil)

		run("end-user-session", map[string]string{"accountjids": juliet.LocalAddr().String()})
		<-juliet.Done()
		require.ErrorIs(t, juliet.Err(), stream.Reset)

		run("delete-user", map[string]string{"accountjids": "iago@xmpp.test"})
		<-iago.Done()
		require.ErrorIs(t, iago.Err(), stream.NotAuthorized)
		require.Equal(t, "2", run("get-registered-users-num", nil).Field("registeredusersnum").String())

		// The session that asks can be the one that ends.
		x, err := command.Execute(ctx, bard, s.Domain, admin.NS+"#end-user-session")
		require.NoError(t, err)
		answer := x.Response.Form.Answer()
		answer.Set("accountjids", "bard@xmpp.test")
		require.ErrorIs(t, x.Continue(ctx, answer), stream.Reset)
		<-bard.Done()
	})
}
