package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// program returns the bot as a program of its own.
func program(t *testing.T, env []string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), exe, args...)
	cmd.Env = append(append(os.Environ(), "ECHOBOT_TEST_RUNS_MAIN=1"), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	return cmd, &stderr
}

// doorman ends sessions of the server.
type doorman struct{ host stanza.Host }

func (*doorman) Name() string                 { return "doorman" }
func (*doorman) Register(*stanza.Mux) error   { return nil }
func (d *doorman) Attach(h stanza.Host) error { d.host = h; return nil }

func TestEchobot(t *testing.T) {
	for name, where := range map[string]func(account jid.JID) (env, args []string){
		"flags": func(a jid.JID) (env, args []string) { return nil, []string{"-jid", a.String(), "-password", "secret"} },
		"environment": func(a jid.JID) (env, args []string) {
			return []string{"XMPP_JID=" + a.String(), "XMPP_PASSWORD=secret"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			door := &doorman{}
			online := make(chan struct{}, 1)
			server := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) {
				s.Modules = append(s.Modules, door)
			}})
			account := server.AddAccount(t, "bot", "secret")
			account, err := account.WithResource("echo")
			require.NoError(t, err)
			ca := filepath.Join(t.TempDir(), "ca.pem")
			require.NoError(t, os.WriteFile(ca, server.CA.PEM(), 0o600))

			// Another resource of the account sees the bot come.
			watch := server.Client(account.Bare(), "secret")
			watcher, err := watch.Connect(t.Context())
			require.NoError(t, err)
			require.NoError(t, watcher.Send(t.Context(), &stanza.Presence{Priority: -1}))
			go func() {
				for st, err := range watcher.All(t.Context()) {
					if err == nil && st.Head().From == account {
						online <- struct{}{}
						return
					}
				}
			}()

			env, args := where(account)
			cmd, stderr := program(t, env, append(args, "-server", server.Addr, "-ca", ca)...)
			require.NoError(t, cmd.Start())
			<-online
			user := server.Connect(t, "user")
			require.NoError(t, user.Send(t.Context(), &stanza.Message{
				To: account.Bare(), Type: stanza.ChatMessage, Body: stanza.Plain("<hello> & goodbye"),
			}))
			for st, err := range user.All(t.Context()) {
				require.NoError(t, err)
				m := st.(*stanza.Message)
				require.Equal(t, account, m.From)
				require.Equal(t, "<hello> & goodbye", m.Body.String())
				break
			}
			// Somebody else has taken its place: the bot says so and ends.
			require.NoError(t, door.host.Resource(account).End(t.Context(), &stream.Error{Condition: stream.Conflict}))
			require.Error(t, cmd.Wait())
			require.Contains(t, stderr.String(), "conflict")
		})
	}
}

func TestEchobotFails(t *testing.T) {
	server := xmpptest.NewServer(t, nil)
	account := server.AddAccount(t, "bot", "secret").String()
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"no address":          {nil, "jid"},
		"no password":         {[]string{"-jid", account}, "password"},
		"no such file":        {[]string{"-jid", account, "-password", "x", "-ca", "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
		"unknown authority":   {[]string{"-jid", account, "-password", "secret", "-server", server.Addr}, "unknown authority"},
		"not an address":      {[]string{"-jid", "@", "-password", "x"}, "jid"},
		"nothing in the file": {[]string{"-jid", account, "-password", "x", "-server", server.Addr, "-ca", os.DevNull}, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, stderr := program(t, []string{"XMPP_JID=", "XMPP_PASSWORD="}, c.args...)
			require.Error(t, cmd.Run())
			require.Contains(t, stderr.String(), c.says)
			require.NotContains(t, stderr.String(), "goroutine", "no panic")
		})
	}
}

// It is to be read at one glance.
func TestEchobotIsShort(t *testing.T) {
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	require.LessOrEqual(t, strings.Count(string(source), "\n"), 40)
}
