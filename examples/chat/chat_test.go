package main_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// terminal is the program with somebody who types and reads.
type terminal struct {
	t      *testing.T
	cmd    *exec.Cmd
	keys   io.WriteCloser
	screen *bufio.Scanner
	stderr bytes.Buffer
	seen   []string
}

// program returns the program as a process of its own.
func program(t *testing.T, password string, args ...string) *terminal {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	// Without what is expected the program would wait for ever, and the test with it.
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(stop)
	term := &terminal{t: t, cmd: exec.CommandContext(ctx, exe, args...)}
	term.cmd.Env = append(os.Environ(), "CHAT_TEST_RUNS_MAIN=1", "XMPP_JID=", "XMPP_PASSWORD="+password, "TZ=UTC")
	term.cmd.Stderr = &term.stderr
	term.keys, err = term.cmd.StdinPipe()
	require.NoError(t, err)
	screen, err := term.cmd.StdoutPipe()
	require.NoError(t, err)
	term.screen = bufio.NewScanner(screen)
	return term
}

// open starts the program for an account, which is made if there is none.
func open(t *testing.T, server *xmpptest.Server, localpart string) *terminal {
	t.Helper()
	account := server.AddAccount(t, localpart, "secret")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, server.CA.PEM(), 0o600))
	term := program(t, "secret", "-jid", account.String(), "-server", server.Addr, "-ca", ca)
	require.NoError(t, term.cmd.Start())
	term.reads("* you are " + account.String() + "/")
	return term
}

func (term *terminal) types(lines ...string) {
	term.t.Helper()
	for _, l := range lines {
		_, err := io.WriteString(term.keys, l+"\n")
		require.NoError(term.t, err)
	}
}

// reads waits for lines that contain these texts, in that order.
func (term *terminal) reads(texts ...string) string {
	term.t.Helper()
	for _, want := range texts {
		for {
			if !term.screen.Scan() {
				term.cmd.Wait()
				term.t.Fatalf("%q did not come, but\n%s\n%s", want, strings.Join(term.seen, "\n"), term.stderr.String())
			}
			term.seen = append(term.seen, term.screen.Text())
			if strings.Contains(term.screen.Text(), want) {
				break
			}
		}
	}
	return term.screen.Text()
}

// ends waits for the end of the program and returns what else it has said.
func (term *terminal) ends() (rest string, err error) {
	for term.screen.Scan() {
		rest += term.screen.Text() + "\n"
	}
	return rest, term.cmd.Wait()
}

// Two people, one with two terminals, over a real server.
//
//conformance:proves 6121-3.1.4-1 6121-4.5.1-1 6121-5.2.2-3
//conformance:proves 6121-3.4.1-1
func TestChat(t *testing.T) {
	server := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) {
		s.Modules = append(s.Modules, &carbons.Module{})
	}})
	juliet, romeo := open(t, server, "juliet"), open(t, server, "romeo")

	// Contacts and subscriptions (RFC 6121 §2, §3).
	romeo.types("/add juliet@xmpp.test Jule")
	romeo.reads("* Jule is a contact now")
	juliet.reads("* romeo@xmpp.test asks to see when you are online", "/approve romeo@xmpp.test or /deny")
	juliet.types("/approve nurse@xmpp.test", "/approve romeo@xmpp.test")
	juliet.reads("! they have not asked")
	romeo.reads("* Jule lets you see when they are online", "* Jule is online")
	juliet.types("/add romeo@xmpp.test")
	romeo.reads("* juliet@xmpp.test asks to see when you are online")
	romeo.types("/deny juliet@xmpp.test")
	juliet.reads("* romeo@xmpp.test does not let you see when they are online")

	// Presence (§4).
	for _, change := range [][2]string{
		{"/away gone for lunch", "* Jule is away: gone for lunch"},
		{"/dnd", "* Jule is busy"},
		{"/xa", "* Jule is away for long"},
		{"/chat", "* Jule is glad to talk"},
		{"/online", "* Jule is online"},
		{"/away for a moment", "* Jule is away: for a moment"},
	} {
		juliet.types(change[0])
		romeo.reads(change[1])
	}
	romeo.types("/rename jule Juliet Capulet")
	romeo.reads("* Jule is called Juliet Capulet now")
	romeo.types("/roster")
	romeo.reads("             + Juliet Capulet <juliet@xmpp.test> is away: for a moment")

	// Messages (§5), to a name, an address, the first part of one, and the partner.
	second := open(t, server, "juliet")
	romeo.types("to nobody")
	romeo.reads("! to whom?")
	romeo.types("Juliet Capulet: hello & <b>", "juliet@xmpp.test: two", "juliet: three", "/to Juliet Capulet", "four", "//five", "note: six")
	romeo.reads("* to Juliet Capulet")
	for _, want := range []string{"hello & <b>", "two", "three", "four", "/five", "note: six"} {
		said := juliet.reads("] romeo@xmpp.test: " + want)
		require.Regexp(t, `^\[\d\d:\d\d\] romeo@xmpp\.test: `+regexp.QuoteMeta(want)+"$", said)
		second.reads("] romeo@xmpp.test: " + want)
	}
	// What one terminal of hers says, the other one shows (XEP-0280).
	juliet.types("romeo: seven")
	romeo.reads("] Juliet Capulet: seven")
	second.reads("] you to romeo@xmpp.test: seven")
	second.types("/quit")
	_, err := second.ends()
	require.NoError(t, err)

	// Mistakes.
	romeo.types("/nonsense", "/to nobody", "/rename stranger@xmpp.test x", "/add @", "nobody@xmpp.test: hello")
	romeo.reads("! there is no such command", "! there is no such contact", "! they have not asked, or are not a contact", "! jid",
		"* your message to nobody@xmpp.test did not arrive")
	romeo.types("/help")
	romeo.reads("/to NAME", "/quit [STATUS]")

	// Leaving, and what came meanwhile, with its time (§8.5.2.2).
	juliet.types("/quit good night")
	_, err = juliet.ends()
	require.NoError(t, err)
	romeo.reads("* Juliet Capulet has left: good night")
	romeo.types("/roster")
	require.Regexp(t, `^             - Juliet Capulet <juliet@xmpp\.test> left \d{4}-\d\d-\d\d \d\d:\d\d:\d\d: good night$`, romeo.reads("- Juliet Capulet"))
	romeo.types("are you there?", "/rename juliet Jule")
	romeo.reads("* Juliet Capulet is called Jule now") // by now the message is where it waits
	again := open(t, server, "juliet")
	require.Regexp(t, `^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] romeo@xmpp\.test: are you there\?$`, again.reads("are you there?"))
	romeo.reads("* Jule is online")
	require.NoError(t, romeo.cmd.Process.Signal(syscall.SIGINT))
	_, err = romeo.ends()
	require.NoError(t, err, "%s", romeo.stderr.String())
	again.types("/remove romeo")
	again.reads("* romeo@xmpp.test is no longer a contact")
	require.NoError(t, again.keys.Close(), "EOF")
	_, err = again.ends()
	require.NoError(t, err, "%s", again.stderr.String())
}

// Messages are shown in the order in which they come, copies of what another client
// of the account gets among them: those are from another address.
func TestChatOrder(t *testing.T) {
	server := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) {
		s.Modules = append(s.Modules, &carbons.Module{})
	}})
	other, romeo := server.Connect(t, "juliet"), server.Connect(t, "romeo")
	require.NoError(t, other.Send(t.Context(), &stanza.Presence{}))
	juliet := open(t, server, "juliet")
	_, rest, _ := strings.Cut(juliet.seen[len(juliet.seen)-1], "* you are ")
	address, _, _ := strings.Cut(rest, ";")
	const pairs = 200
	for i := range pairs {
		for _, to := range []jid.JID{other.LocalAddr(), jid.MustParse(address)} {
			require.NoError(t, romeo.Send(t.Context(), &stanza.Message{To: to, Type: stanza.ChatMessage, Body: stanza.Plain(fmt.Sprintf("%d to %s", i, to))}))
		}
	}
	for i := range pairs {
		for _, to := range []string{other.LocalAddr().String(), address} {
			require.Contains(t, juliet.reads("] romeo@xmpp.test: "), fmt.Sprintf("%d to %s", i, to))
		}
	}
	require.NoError(t, juliet.keys.Close())
	_, err := juliet.ends()
	require.NoError(t, err)
}

// What others say does nothing to the terminal and does not look like a line of the
// program; and when somebody else takes its place, the program says so and fails.
//
//conformance:proves 6121-5.1-1 6121-5.2.2-1
func TestChatHostile(t *testing.T) {
	door := &doorman{}
	server := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) { s.Modules = append(s.Modules, door) }})
	juliet := open(t, server, "juliet")
	mallory := server.Connect(t, "mallory")
	account := server.AddAccount(t, "juliet", "secret")
	require.NoError(t, mallory.Send(t.Context(), &stanza.Presence{})) // messages come to who is available
	require.NoError(t, mallory.Send(t.Context(), &stanza.Presence{To: account, Type: stanza.SubscribePresence, Status: stanza.Plain("\u009b2J\n* nurse@xmpp.test is online")}))
	juliet.reads("asks to see when you are online: \uFFFD2J", "      * nurse@xmpp.test is online")
	require.NoError(t, mallory.Send(t.Context(), &stanza.Presence{To: account, Status: stanza.Plain("a stranger")}))
	// A carbon copy is believed from nobody but the account.
	require.NoError(t, mallory.Send(t.Context(), &stanza.Message{To: account, Type: stanza.ChatMessage, Body: stanza.Plain("forged"), Extra: []stanza.Payload{raw(
		`<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' type='chat' from='nurse@xmpp.test/x' to='juliet@xmpp.test/y'><body>forged</body></message></forwarded></received>`)}}))
	require.NoError(t, mallory.Send(t.Context(), &stanza.Message{To: account, Type: stanza.ChatMessage, Body: stanza.Plain("\u202ehi\u009b31m\n[12:00] nurse@xmpp.test: trust me")}))
	juliet.reads("] mallory@xmpp.test: \uFFFDhi\uFFFD31m", "      [12:00] nurse@xmpp.test: trust me")
	// RFC 6121 §5.1: an answer to whoever it is, of type chat.
	juliet.types("mallory@xmpp.test: who are you?")
	for st, err := range mallory.All(t.Context()) {
		require.NoError(t, err)
		if m, ok := st.(*stanza.Message); ok {
			require.Equal(t, "who are you?", m.Body.String())
			require.Equal(t, stanza.ChatMessage, m.Type)
			require.Equal(t, account, m.From.Bare())
			break
		}
	}
	for _, l := range juliet.seen {
		require.NotContains(t, l, "stranger")
		require.NotContains(t, l, "forged")
		require.NotRegexp(t, `^(\[..:..\]|\*) nurse`, l)
	}
	for _, r := range door.host.Resources(account) {
		require.NoError(t, r.End(t.Context(), &stream.Error{Condition: stream.Conflict}))
	}
	_, err := juliet.ends()
	require.Error(t, err)
	require.Contains(t, juliet.stderr.String(), "conflict")
}

// doorman ends sessions of the server.
type doorman struct{ host stanza.Host }

func (*doorman) Name() string                 { return "doorman" }
func (*doorman) Register(*stanza.Mux) error   { return nil }
func (d *doorman) Attach(h stanza.Host) error { d.host = h; return nil }

// raw is written into a stanza as it stands.
type raw string

func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

func TestChatFails(t *testing.T) {
	server := xmpptest.NewServer(t, nil)
	account := server.AddAccount(t, "juliet", "secret").String()
	for name, c := range map[string]struct {
		password string
		args     []string
		says     string
	}{
		"no address":        {"x", nil, "jid"},
		"not an address":    {"x", []string{"-jid", "@"}, "jid"},
		"no password":       {"", []string{"-jid", account}, "password"},
		"wrong password":    {"wrong", []string{"-jid", account, "-server", server.Addr, "-ca", "CA"}, "not-authorized"},
		"no such file":      {"x", []string{"-jid", account, "-ca", "/nowhere/ca.pem"}, "/nowhere/ca.pem"},
		"unknown authority": {"secret", []string{"-jid", account, "-server", server.Addr}, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			ca := filepath.Join(t.TempDir(), "ca.pem")
			require.NoError(t, os.WriteFile(ca, server.CA.PEM(), 0o600))
			for i := range c.args {
				c.args[i] = strings.Replace(c.args[i], "CA", ca, 1)
			}
			term := program(t, c.password, c.args...)
			require.NoError(t, term.cmd.Start())
			_, err := term.ends()
			require.Error(t, err)
			require.Contains(t, term.stderr.String(), c.says)
			require.NotContains(t, term.stderr.String(), "goroutine", "no panic")
		})
	}
}
