package auth_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

// patientTask is a second factor that asks again after a wrong code.
func patientTask(code string) auth.Task {
	return auth.Task{Name: "TOTP", Begin: func(context.Context, auth.TaskAccount) (auth.TaskFunc, error) {
		return func(_ context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
			el, ok := in.Child(codeName)
			if ok && el.Text() == code {
				return true, nil
			}
			w.Start(codeName)
			w.Text("?")
			w.End()
			return false, nil
		}, nil
	}}
}

// S23: a task that lets people try again is no way to guess for ever: whoever leaves in the middle of it,
// or is sent away, has failed.
func TestGuessesAtATaskCount(t *testing.T) {
	const guess = `<task-data` + xmlns2 + `><code xmlns='urn:example:code'>0</code></task-data>`
	for name, leave := range map[string]func(*peer, <-chan result){
		"hangs up": func(p *peer, done <-chan result) {
			p.conn.Close()
			require.Error(p.tb, within(p.tb, done).err)
		},
		"ends the stream": func(p *peer, done <-chan result) {
			p.send(closing)
			p.end(done)
		},
		"goes on": func(p *peer, done <-chan result) {
			for range 70 {
				p.send(guess)
			}
			_, err := p.end(done)
			require.ErrorIs(p.tb, err, stream.PolicyViolation)
		},
		"white space": func(p *peer, done <-chan result) {
			p.send(" " + guess)
			_, err := p.end(done)
			require.Error(p.tb, err)
		},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			o := &auth.ServerOptions{
				Store: store(t), AllowPlain: true, Address: from(here), Attempts: auth.NewAttempts(&auth.AttemptsOptions{PerAccount: 3}),
				SASL2: auth.SASL2ServerOptions{Tasks: []auth.Task{patientTask("123456")}},
			}
			for range 3 {
				p, done := connect2(t, o)
				p.send(good2)
				p.expect("</continue>")
				p.send(next2("TOTP", "0"))
				p.expect("</task-data>")
				leave(p, done)
			}
			p, done := connect2(t, o)
			p.send(good2)
			out, err := p.end(done)
			require.Contains(t, out, "<temporary-auth-failure")
			require.NotContains(t, out, "<continue")
			require.ErrorIs(t, err, stream.PolicyViolation)
		})
	}
	// Who has not begun has not guessed.
	t.Run("server/before the task", func(t *testing.T) {
		o := &auth.ServerOptions{
			Store: store(t), AllowPlain: true, Address: from(here), Attempts: auth.NewAttempts(&auth.AttemptsOptions{PerAccount: 1}),
			SASL2: auth.SASL2ServerOptions{Tasks: []auth.Task{patientTask("123456")}},
		}
		for range 3 {
			p, done := connect2(t, o)
			p.send(good2)
			p.expect("</continue>")
			p.conn.Close()
			require.Error(t, within(t, done).err)
		}
		p, _ := connect2(t, o)
		p.send(good2)
		p.expect("</continue>")
		p.send(next2("TOTP", "123456"))
		p.expect("</success>")
	})
}
