package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
)

// TestDemonstration: the users of the comment in main.go have the passwords there.
func TestDemonstration(t *testing.T) {
	u, err := readTable("")
	require.NoError(t, err)
	source, err := os.ReadFile("main.go")
	require.NoError(t, err)
	text := strings.ReplaceAll(string(source), "\n// ", " ")
	for name, password := range map[string]string{
		"anna": "correct horse", "bert": "battery staple", "carla": "paper money", "dora": "double entry",
	} {
		require.NotNil(t, u.login(name, password), name)
		require.Contains(t, text, name+" ("+password+")")
	}
	require.Nil(t, u.login("nobody", ""))
}

// TestSameKeys: what the site has stored is what SCRAM calls the salted password, so
// the keys are those that the password itself gives (RFC 5802 §3).
func TestSameKeys(t *testing.T) {
	stored, err := password(oldPassword(t, "pencil"))
	require.NoError(t, err)
	derived, err := sasl.DeriveKeys(t.Context(), sasl.SHA256, "pencil", stored.Salt, stored.Iterations)
	require.NoError(t, err)
	require.Equal(t, derived, stored)
}

// TestConvert: the second form of the table is as good as the first for everybody but
// thieves.
func TestConvert(t *testing.T) {
	first := table(t)
	var out bytes.Buffer
	require.NoError(t, first.write(&out))
	require.NotContains(t, out.String(), "pbkdf2")
	second, err := readUsers(&out)
	require.NoError(t, err)
	require.Equal(t, first.rows, second.rows)
	require.NotNil(t, second.login("anna", "secret of anna"))
	require.Nil(t, second.login("anna", "secret of bert"))
}

// TestTableErrors: a table that cannot be used says in which line, and nothing of what
// is there.
func TestTableErrors(t *testing.T) {
	good := oldPassword(t, "secret")
	for name, c := range map[string]struct{ text, says string }{
		"empty":            {"# nobody\n\n", "nobody"},
		"too few cells":    {"anna:Anna:support", "line 1"},
		"no name":          {":Anna:support:" + good, "line 1"},
		"upper case":       {"Anna:Anna:support:" + good, "name"},
		"not a localpart":  {"a@b:Anna:support:" + good, "line 1"},
		"no team":          {"anna:Anna::" + good, "team"},
		"twice":            {"anna:Anna:support:" + good + "\nanna:Anna:support:" + good, "line 2"},
		"plain text":       {"anna:Anna:support:secret", "form"},
		"another function": {"anna:Anna:support:md5$1$c2FsdA==$c2VjcmV0", "form"},
		"no number":        {"anna:Anna:support:pbkdf2_sha256$x$c2FsdA==$c2VjcmV0", "line 1"},
		"not base64":       {"anna:Anna:support:pbkdf2_sha256$4096$c2FsdA==$secret!", "line 1"},
		"too short":        {"anna:Anna:support:pbkdf2_sha256$4096$c2FsdA==$c2VjcmV0", "line 1"},
		"too little work":  {strings.Replace("anna:Anna:support:"+good, "$4096$", "$1000$", 1), "1000"},
		"half a key":       {"anna:Anna:support:SCRAM-SHA-256$4096:c2FsdA==$c2VjcmV0", "line 1"},
		"too long":         {strings.Repeat("a", 1<<20), "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readUsers(strings.NewReader(c.text))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "c2VjcmV0")
			require.NotContains(t, err.Error(), "secret")
		})
	}
	other, err := sasl.DeriveKeys(t.Context(), sasl.SHA1, "secret", []byte("salt"), 4096)
	require.NoError(t, err)
	text, err := other.MarshalText()
	require.NoError(t, err)
	_, err = readUsers(strings.NewReader("anna:Anna:support:" + string(text)))
	require.ErrorContains(t, err, "SHA-256")
}

// TestTickets: what a ticket can be.
func TestTickets(t *testing.T) {
	u := table(t)
	var all tickets
	anna, bert, carla := u.find("anna"), u.find("bert"), u.find("carla")
	for _, title := range []string{"", "a\nb", "bell\a", "\xff", strings.Repeat("x", 201), "\u202e"} {
		_, err := all.open(anna, bert, title)
		require.ErrorIs(t, err, errTitle, "%q", title)
	}
	for _, who := range []*user{nil, carla} {
		_, err := all.open(anna, who, "x")
		require.ErrorIs(t, err, errNobody)
	}
	for i := range maxTickets + 1 {
		made, err := all.open(anna, bert, "x")
		require.NoError(t, err)
		require.Equal(t, i+1, made.ID)
	}
	require.Len(t, all.of("support"), maxTickets)
	require.Empty(t, all.of("billing"))
	_, err := all.done(bert, 1)
	require.ErrorIs(t, err, errNoTicket, "it had to go")
	_, err = all.done(carla, 2)
	require.ErrorIs(t, err, errNoTicket)
	_, err = all.done(bert, 2)
	require.NoError(t, err)
	_, err = all.done(anna, 2)
	require.ErrorIs(t, err, errNoTicket)
}

// TestProgram runs the program as its user does.
func TestProgram(t *testing.T) {
	program := func(args ...string) *exec.Cmd {
		exe, err := os.Executable()
		require.NoError(t, err)
		cmd := exec.CommandContext(t.Context(), exe, args...)
		cmd.Env = append(os.Environ(), "EMBED_TEST_RUNS_MAIN=1")
		return cmd
	}
	out, err := program("-convert").Output()
	require.NoError(t, err)
	require.Equal(t, 4, strings.Count(string(out), "SCRAM-SHA-256$"))

	file := filepath.Join(t.TempDir(), "users")
	require.NoError(t, os.WriteFile(file, out, 0o600))
	cmd := program("-users", file, "-web", "127.0.0.1:0", "-xmpp", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line := make([]byte, 256)
	n, err := stdout.Read(line)
	require.NoError(t, err)
	require.Regexp(t, `^site: https://127\.0\.0\.1:\d+, chat: 127\.0\.0\.1:\d+\n$`, string(line[:n]))
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), "it ends in good order")

	for name, args := range map[string][]string{
		"users":       {"-users", "/nowhere/users"},
		"cert":        {"-cert", "/nowhere/cert.pem"},
		"domain":      {"-domain", "@"},
		"ca":          {"-ca", "/nowhere/ca.pem"},
		"address":     {"-web", "127.0.0.1:x"},
		"and another": {"-web", "127.0.0.1:0", "-xmpp", "127.0.0.1:x"},
	} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			cmd := program(args...)
			cmd.Stderr = &stderr
			require.Error(t, cmd.Run())
			require.Contains(t, stderr.String(), "embed: ")
			require.NotContains(t, stderr.String(), "goroutine")
		})
	}
}

// TestAccounts: what the chat gets to see of the table.
func TestAccounts(t *testing.T) {
	a := accounts{table(t)}
	ctx := context.Background()
	there, err := a.Exists(ctx, address("anna"))
	require.NoError(t, err)
	require.True(t, there)
	there, err = a.Exists(ctx, address("nobody"))
	require.NoError(t, err)
	require.False(t, there)
	_, _, err = a.Keys(ctx, "nobody", sasl.SHA256)
	require.ErrorIs(t, err, sasl.ErrUnknownUser)
	_, _, err = a.Keys(ctx, "anna", sasl.SHA1)
	require.ErrorIs(t, err, sasl.ErrUnknownUser)
	require.Equal(t, 4096, a.KeyIterations())
}
