package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

var codeName = stream.Name{Space: "urn:example:code", Local: "code"}

// codeTask is a second factor: a code that comes with <next/>, or is asked for if it does not.
func codeTask(name, code string) auth.Task {
	return auth.Task{Name: name, Text: "A code, please", Begin: func(context.Context, auth.TaskAccount) (auth.TaskFunc, error) {
		return func(_ context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
			el, ok := in.Child(codeName)
			switch {
			case !ok || el.Text() == "":
				w.Start(codeName)
				w.Text("?")
				w.End()
				return false, nil
			case el.Text() != code:
				return false, &sasl.Error{Condition: sasl.NotAuthorized, Text: "wrong code"}
			}
			w.Start(codeName)
			w.Text("thanks")
			w.End()
			return true, nil
		}, nil
	}}
}

// codeClient is the client's side of it.
func codeClient(name, code string) auth.ClientTask {
	return auth.ClientTask{Name: name, Begin: func(context.Context, string) (auth.TaskFunc, error) {
		return func(_ context.Context, _ *stream.Element, w *stream.Writer) (bool, error) {
			w.Start(codeName)
			w.Text(code)
			w.End()
			return true, nil
		}, nil
	}}
}

// next2 chooses a task, and may bring the code.
func next2(task, code string) string {
	if code == "" {
		return `<next` + xmlns2 + ` task='` + task + `'/>`
	}
	return `<next` + xmlns2 + ` task='` + task + `'><code xmlns='urn:example:code'>` + code + `</code></next>`
}

// XEP-0388 §2.6.3: second factors, in one message and in two, with one that stands in for another, and
// none of it after a login with a token (XEP-0484 §4.2).
func TestTasks(t *testing.T) {
	for name, c := range map[string]struct {
		server []auth.Task
		client []auth.ClientTask
		writes int
	}{
		"one":         {[]auth.Task{codeTask("TOTP", "1")}, []auth.ClientTask{codeClient("TOTP", "1")}, 4},
		"two":         {[]auth.Task{codeTask("TOTP", "1"), codeTask("HOTP", "2")}, []auth.ClientTask{codeClient("HOTP", "2"), codeClient("TOTP", "1")}, 5},
		"one of two":  {[]auth.Task{codeTask("TOTP", "1"), {Name: "HOTP", Begin: codeTask("", "2").Begin, Required: notAfter("TOTP")}}, []auth.ClientTask{codeClient("TOTP", "1")}, 4},
		"in a dialog": {[]auth.Task{codeTask("TOTP", "1")}, []auth.ClientTask{dialog(t)}, 5},
		"not needed":  {[]auth.Task{{Name: "TOTP", Begin: codeTask("", "2").Begin, Required: func(context.Context, auth.TaskAccount) (bool, error) { return false, nil }}}, nil, 3},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.so.SASL2.Tasks, w.co.SASL2.Tasks = c.server, c.client
			r := w.login()
			require.Equal(t, c.writes, r.writes)
			require.NotContains(t, r.traced(), "urn:example:code")
			require.NotContains(t, r.traced(), "A code, please", "beside the data of the mechanism")
			require.NotEmpty(t, w.known().Token.Token)

			w.co.SASL2.Tasks = nil
			r = w.login()
			require.Equal(t, "HT-SHA-256-EXPR", r.client)
			require.Equal(t, 2, r.writes)
		})
	}
}

// dialog is a client that has to be asked, and waits for the thanks.
func dialog(t *testing.T) auth.ClientTask {
	return auth.ClientTask{Name: "TOTP", Begin: func(_ context.Context, text string) (auth.TaskFunc, error) {
		if text != "A code, please" {
			return nil, errors.New(text)
		}
		step := 0
		return func(_ context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
			step++
			if step == 1 {
				return false, nil
			}
			el, ok := in.Child(codeName)
			if !ok {
				return false, errors.New("no question")
			}
			if step == 2 {
				w.Start(codeName)
				w.Text("1")
				w.End()
				return false, nil
			}
			require.Equal(t, "thanks", el.Text())
			return true, nil
		}, nil
	}}
}

// Errors of tasks, on either side.
func TestTaskErrors(t *testing.T) {
	boom := errors.New("boom")
	failing := func(err error) auth.Task {
		return auth.Task{Name: "TOTP", Begin: func(context.Context, auth.TaskAccount) (auth.TaskFunc, error) {
			return func(context.Context, *stream.Element, *stream.Writer) (bool, error) { return false, err }, nil
		}}
	}
	for name, c := range map[string]struct {
		server auth.Task
		client auth.ClientTask
		want   error
	}{
		"wrong code":            {codeTask("TOTP", "1"), codeClient("TOTP", "2"), sasl.NotAuthorized},
		"disabled":              {failing(&sasl.Error{Condition: sasl.AccountDisabled}), codeClient("TOTP", "2"), sasl.AccountDisabled},
		"server's fault":        {failing(boom), codeClient("TOTP", "2"), sasl.TemporaryAuthFailure},
		"cannot begin":          {auth.Task{Name: "TOTP", Begin: func(context.Context, auth.TaskAccount) (auth.TaskFunc, error) { return nil, boom }}, codeClient("TOTP", "2"), sasl.TemporaryAuthFailure},
		"ends the stream":       {failing(&stream.Error{Condition: stream.ResourceConstraint}), codeClient("TOTP", "2"), stream.ResourceConstraint},
		"of another stream":     {failing(fmt.Errorf("asking: %w", &stream.Error{Condition: stream.ResourceConstraint})), codeClient("TOTP", "2"), sasl.TemporaryAuthFailure},
		"begins nothing":        {auth.Task{Name: "TOTP", Begin: func(context.Context, auth.TaskAccount) (auth.TaskFunc, error) { return nil, nil }}, codeClient("TOTP", "2"), sasl.TemporaryAuthFailure},
		"client begins nothing": {codeTask("TOTP", "1"), auth.ClientTask{Name: "TOTP", Begin: func(context.Context, string) (auth.TaskFunc, error) { return nil, nil }}, auth.ErrOptions},
		"cannot tell":           {auth.Task{Name: "TOTP", Begin: codeTask("", "1").Begin, Required: func(context.Context, auth.TaskAccount) (bool, error) { return false, boom }}, codeClient("TOTP", "1"), sasl.TemporaryAuthFailure},
		"client gives up":       {codeTask("TOTP", "1"), auth.ClientTask{Name: "TOTP", Begin: func(context.Context, string) (auth.TaskFunc, error) { return nil, boom }}, boom},
		"client cannot":         {codeTask("TOTP", "1"), codeClient("HOTP", "1"), auth.ErrTasks},
		"writes no XML":         {auth.Task{Name: "TOTP", Begin: func(context.Context, auth.TaskAccount) (auth.TaskFunc, error) { return unbalanced, nil }}, codeClient("TOTP", "1"), sasl.TemporaryAuthFailure},
		"client writes none":    {codeTask("TOTP", "1"), auth.ClientTask{Name: "TOTP", Begin: func(context.Context, string) (auth.TaskFunc, error) { return unbalanced, nil }}, stream.ErrUnbalanced},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.so.SASL2.Tasks, w.co.SASL2.Tasks = []auth.Task{c.server}, []auth.ClientTask{c.client}
			_, err := w.failing()
			require.ErrorIs(t, err, c.want)
			require.Zero(t, w.tokens.Len())
			require.Zero(t, w.known())
		})
	}
}

func unbalanced(_ context.Context, _ *stream.Element, w *stream.Writer) (bool, error) {
	w.Start(codeName)
	return false, nil
}

// upgradable is a store that takes keys for more hashes.
type upgradable struct {
	*sasl.MemoryStore
	mu    sync.Mutex
	added map[string]sasl.Keys
	err   error
}

func (u *upgradable) UpgradeKeys(_ context.Context, username string, keys sasl.Keys) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.added[username+" "+string(keys.Hash)] = keys
	return u.err
}

func (u *upgradable) Keys(ctx context.Context, username string, h sasl.Hash) (sasl.Keys, string, error) {
	u.mu.Lock()
	k, ok := u.added[username+" "+string(h)]
	u.mu.Unlock()
	if ok && u.err == nil {
		return k, username, nil
	}
	return u.MemoryStore.Keys(ctx, username, h)
}

// XEP-0480: keys that the account misses are computed by the client, and are those of its password.
func TestUpgrade(t *testing.T) {
	w := newWorld(t)
	accounts := &upgradable{MemoryStore: w.accounts, added: make(map[string]sasl.Keys)}
	w.so.Store = accounts
	w.so.SASL2.Upgrades = []sasl.Hash{sasl.SHA256, sasl.SHA512, sasl.SHA3_512}
	w.co.SASL2.NoTokens = true
	r := w.login()
	require.Contains(t, r.wire, ">UPGR-SCRAM-SHA-256</upgrade>")
	require.Equal(t, 7, r.writes, "header, authenticate, response, and two messages for each of two hashes")
	require.Len(t, accounts.added, 2, "SHA-256 it has")
	for _, h := range []sasl.Hash{sasl.SHA512, sasl.SHA3_512} {
		got := accounts.added["juliet "+string(h)]
		want, err := sasl.DeriveKeys(t.Context(), h, "r0m30", got.Salt, got.Iterations)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, sasl.MinIterations, got.Iterations, "that of the store")
		require.Len(t, got.Salt, 16)
	}
	require.NotContains(t, r.traced(), "scram-upgrade")
	require.Equal(t, 3, w.login().writes, "nothing is missing any more")

	t.Run("the store fails", func(t *testing.T) {
		accounts.err = errors.New("disk full")
		clear(accounts.added)
		w.login() // all the same
		require.Len(t, accounts.added, 2)
		accounts.err = nil
		clear(accounts.added)
	})
	for name, edit := range map[string]func(*world){
		"not without channel binding": func(w *world) {
			w.editClient = func(s *stream.Security) { s.Bindings = nil }
			w.editServer = w.editClient
		},
		"not if the client does not want": func(w *world) { w.co.SASL2.Upgrades = []sasl.Hash{} },
		"not if the server does not want": func(w *world) { w.so.SASL2.Upgrades = nil },
		"not into a store that cannot":    func(w *world) { w.so.Store = w.accounts },
	} {
		t.Run(name, func(t *testing.T) {
			w2 := *w
			w2.t, w2.credentials = t, new(auth.MemoryCredentials)
			w2.co.Credentials = w2.credentials
			edit(&w2)
			r := w2.login()
			require.Equal(t, 3, r.writes)
			require.Empty(t, accounts.added)
		})
	}
	t.Run("not after a token", func(t *testing.T) {
		w2 := *w
		w2.t = t
		w2.co.SASL2.NoTokens = false
		w2.co.SASL2.Upgrades = []sasl.Hash{}
		w2.login()
		w2.co.SASL2.Upgrades = nil
		r := w2.login()
		require.Equal(t, "HT-SHA-256-EXPR", r.client)
		require.Empty(t, accounts.added)
	})
	t.Run("after the other tasks", func(t *testing.T) {
		w2 := *w
		w2.t = t
		w2.so.SASL2.Tasks, w2.co.SASL2.Tasks = []auth.Task{codeTask("TOTP", "1")}, []auth.ClientTask{codeClient("TOTP", "1")}
		r := w2.login()
		require.Len(t, accounts.added, 2)
		require.Less(t, strings.Index(r.wire, "task='TOTP'"), strings.Index(r.wire, "task='UPGR-"))
	})
}

// What either side does not put up with in an upgrade.
func TestUpgradeIsChecked(t *testing.T) {
	accounts := &upgradable{MemoryStore: store(t), added: make(map[string]sasl.Keys)}
	o := &auth.ServerOptions{Store: accounts, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Upgrades: []sasl.Hash{sasl.SHA512}}}
	const ask = `<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-512</upgrade>`
	for name, el := range map[string]string{
		"nothing":        ``,
		"empty":          `<hash xmlns='urn:xmpp:scram-upgrade:0'/>`,
		"not base64":     `<hash xmlns='urn:xmpp:scram-upgrade:0'>!</hash>`,
		"another length": `<hash xmlns='urn:xmpp:scram-upgrade:0'>` + b64(strings.Repeat("x", 32)) + `</hash>`,
		"elsewhere":      `<hash xmlns='urn:example:other'>` + b64(strings.Repeat("x", 64)) + `</hash>`,
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, done := connect2(t, o)
			p.send(begin2("PLAIN", "\x00juliet\x00r0m30", ask))
			p.expect("</continue>")
			p.send(next2("UPGR-SCRAM-SHA-512", ""))
			require.Contains(t, p.expect("</task-data>"), "iterations='4096'")
			p.send(`<task-data` + xmlns2 + `>` + el + `</task-data>`)
			out, _ := p.end(done)
			require.Contains(t, out, "<malformed-request")
			require.Empty(t, accounts.added)
		})
	}
	// Keys go to the account whose password was used, not to one that it may act for.
	t.Run("server/acting for another", func(t *testing.T) {
		o := *o
		o.Authorize = func(context.Context, jid.JID, jid.JID) error { return nil }
		p, _ := connect2(t, &o)
		p.send(begin2("PLAIN", "juliet@im.example\x00romeo\x00jul13t", ask))
		p.expect("</continue>")
		p.send(next2("UPGR-SCRAM-SHA-512", ""))
		p.expect("</task-data>")
		p.send(`<task-data` + xmlns2 + `><hash xmlns='urn:xmpp:scram-upgrade:0'>` + b64(strings.Repeat("x", 64)) + `</hash></task-data>`)
		p.expect("</success>")
		require.Len(t, accounts.added, 1)
		require.Contains(t, accounts.added, "romeo SHA-512")
	})
	// The keys are of a password that is no longer the account's.
	t.Run("server/the password has changed", func(t *testing.T) {
		clear(accounts.added)
		p, done := connect2(t, o)
		p.send(begin2("PLAIN", "\x00juliet\x00r0m30", ask))
		p.expect("</continue>")
		p.send(next2("UPGR-SCRAM-SHA-512", ""))
		p.expect("</task-data>")
		require.NoError(t, accounts.Set(t.Context(), "juliet", "a new one"))
		p.send(`<task-data` + xmlns2 + `><hash xmlns='urn:xmpp:scram-upgrade:0'>` + b64(strings.Repeat("x", 64)) + `</hash></task-data>`)
		out, err := p.end(done)
		require.Contains(t, out, "<credentials-expired")
		require.Error(t, err)
		require.Empty(t, accounts.added)
	})
	for name, salt := range map[string]string{
		"no salt":        ``,
		"an empty salt":  `<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'/>`,
		"few iterations": `<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4095'>AAAA</salt>`,
		"many":           `<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='2147483647'>AAAA</salt>`,
		"beyond an int":  `<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='99999999999999999999'>AAAA</salt>`,
		"no number":      `<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='04096'>AAAA</salt>`,
		"a sign":         `<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='+4096'>AAAA</salt>`,
		"none":           `<salt xmlns='urn:xmpp:scram-upgrade:0'>AAAA</salt>`,
		"not base64":     `<salt xmlns='urn:xmpp:scram-upgrade:0' iterations='4096'>!</salt>`,
	} {
		t.Run("client/"+name, func(t *testing.T) {
			w := newWorld(t)
			w.co.SASL2.NoTokens = true
			w.so.SASL2.Tasks = []auth.Task{{Name: "UPGR-SCRAM-SHA-512", Begin: func(context.Context, auth.TaskAccount) (auth.TaskFunc, error) {
				return func(_ context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
					if in.Name().Local == "next" && salt != "" {
						el, err := stream.ParseElement([]byte(salt), nil)
						if err != nil {
							return false, err
						}
						w.Element(el)
					}
					return false, nil
				}, nil
			}}}
			// The server that asks for it all has the task under another guise; the offer is what makes the client ready.
			w.so.Store = &upgradable{MemoryStore: w.accounts, added: make(map[string]sasl.Keys)}
			w.so.SASL2.Upgrades = []sasl.Hash{sasl.SHA512}
			r, err := w.failing()
			require.True(t, errors.Is(err, auth.ErrProtocol) || errors.Is(err, sasl.ErrIterations), "%v", err)
			require.NotContains(t, r.wire, "<hash")
			require.Contains(t, r.wire, "<abort")
		})
	}
}
