package auth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream/auth"
)

// S33: the profile without tasks is no way around them, and still serves who has none to do.
func TestTasksAndTheOtherProfile(t *testing.T) {
	const right = `<auth` + xmlns + ` mechanism='PLAIN'>`
	task := codeTask("TOTP-EXAMPLE", "1")
	for name, c := range map[string]struct {
		required func(context.Context, auth.TaskAccount) (bool, error)
		want     string
	}{
		"always": {nil, "<mechanism-too-weak"},
		"for juliet": {func(_ context.Context, a auth.TaskAccount) (bool, error) {
			return a.Account == juliet && a.Mechanism == "PLAIN", nil
		}, "<mechanism-too-weak"},
		"for romeo":    {func(_ context.Context, a auth.TaskAccount) (bool, error) { return a.Account == romeo, nil }, "<success"},
		"nobody knows": {func(context.Context, auth.TaskAccount) (bool, error) { return false, errors.New("boom") }, "<temporary-auth-failure"},
	} {
		t.Run("server/"+name, func(t *testing.T) {
			task := task
			task.Required = c.required
			p, _ := connect2(t, &auth.ServerOptions{Store: store(t), AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tasks: []auth.Task{task}}})
			p.send(right + b64("\x00juliet\x00r0m30") + `</auth>`)
			got := p.expect(c.want)
			if c.want != "<success" {
				require.NotContains(t, got, "<success")
			}
		})
	}
}
