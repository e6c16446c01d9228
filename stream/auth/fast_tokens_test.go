package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
)

// codeless begins a task that is not run.
func codeless(context.Context, TaskAccount) (TaskFunc, error) { return nil, errors.New("not run") }

func manyTasks() (tasks []Task) {
	for i := range maxTasks + 1 {
		tasks = append(tasks, Task{Name: fmt.Sprintf("T%d", i), Begin: codeless})
	}
	return tasks
}

func make17() (hashes []sasl.Hash) {
	for range maxUpgrades + 1 {
		hashes = append(hashes, sasl.SHA256)
	}
	return hashes
}

// XEP-0484 §5.1: which of the two tokens fits, and the same work for whatever there is.
func TestFindToken(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	token := func(secret, mechanism string) StoredToken {
		return StoredToken{Mechanism: mechanism, Secret: secret, Expires: now.Add(time.Second), Count: 3}
	}
	both := ClientTokens{Current: token("current", "M"), New: token("new", "M")}
	for name, c := range map[string]struct {
		tokens ClientTokens
		knows  string
		count  uint64
		late   time.Duration
		want   string
		err    error
	}{
		"new":                  {both, "new", 0, 0, "new", nil},
		"current":              {both, "current", 4, 0, "current", nil},
		"neither":              {both, "old", 0, 0, "", sasl.ErrUnknownUser},
		"none":                 {ClientTokens{}, "", 0, 0, "", sasl.ErrUnknownUser},
		"made up":              {ClientTokens{}, string(noToken), 0, 0, "", sasl.ErrUnknownUser},
		"for other mechanisms": {ClientTokens{Current: token("x", "N"), New: token("x", "O")}, "x", 0, 0, "", sasl.ErrUnknownUser},
		"at its last moment":   {both, "current", 0, time.Second - 1, "current", nil},
		"expired":              {both, "current", 0, time.Second, "", sasl.CredentialsExpired},
		"count again":          {both, "current", 3, 0, "", errReplayed},
		"one that is empty":    {ClientTokens{New: token("", "M")}, "", 0, 0, "", sasl.ErrUnknownUser},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			got, err := c.tokens.find("M", c.count, now.Add(c.late), func(secret []byte) bool {
				calls++
				return len(secret) > 0 && bytes.Equal(secret, []byte(c.knows)) // as package sasl has it
			})
			require.Equal(t, 2, calls)
			require.Equal(t, c.want, got.Secret)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				return
			}
			require.NoError(t, err)
			if c.want == "current" {
				require.Equal(t, max(3, c.count), c.tokens.Current.Count)
			}
		})
	}
}

// XEP-0484 §5.1: the new one comes first.
func TestFindNewFirst(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	tokens := ClientTokens{
		Current: StoredToken{Mechanism: "M", Secret: "x", Expires: now.Add(1)},
		New:     StoredToken{Mechanism: "M", Secret: "x", Expires: now.Add(2)},
	}
	got, err := tokens.find("M", 7, now, func([]byte) bool { return true })
	require.NoError(t, err)
	require.Equal(t, now.Add(2), got.Expires)
	require.Equal(t, uint64(7), tokens.New.Count)
	require.Zero(t, tokens.Current.Count)
}

// XEP-0484 §3.5: what the use of a token does to the other one.
func TestUsedToken(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	token := func(secret string, after time.Duration) StoredToken {
		return StoredToken{Mechanism: "M", Secret: secret, Expires: now.Add(after)}
	}
	current, later, sooner := token("current", 20), token("new", 30), token("new", 10)
	for name, c := range map[string]struct {
		tokens ClientTokens
		secret string
		left   time.Duration
		ok     bool
		want   ClientTokens
	}{
		"the new one":                {ClientTokens{current, later}, "new", 30, true, ClientTokens{Current: later}},
		"the current one":            {ClientTokens{current, later}, "current", 20, true, ClientTokens{current, later}},
		"the other one ends earlier": {ClientTokens{current, sooner}, "current", 20, true, ClientTokens{Current: current}},
		"taken away":                 {ClientTokens{current, later}, "old", 0, false, ClientTokens{current, later}},
		"never there":                {ClientTokens{}, "", 0, false, ClientTokens{}},
	} {
		t.Run(name, func(t *testing.T) {
			left, ok := c.tokens.used(c.secret, now)
			require.Equal(t, c.ok, ok)
			require.Equal(t, c.left, left)
			require.Equal(t, c.want, c.tokens)
		})
	}
}

func TestMemoryTokens(t *testing.T) {
	client := func(local, agent string) TokenClient {
		return TokenClient{jid.MustParse(local + "@im.example"), agent}
	}
	put := func(t *testing.T, m *MemoryTokens, c TokenClient, lifetime time.Duration) {
		require.NoError(t, m.Update(t.Context(), c, func(tokens *ClientTokens) error {
			tokens.issue("M", lifetime, time.Now())
			return nil
		}))
	}
	has := func(t *testing.T, m *MemoryTokens, c TokenClient) (found bool) {
		boom := errors.New("only looking")
		require.ErrorIs(t, m.Update(t.Context(), c, func(tokens *ClientTokens) error {
			found = *tokens != ClientTokens{}
			*tokens = ClientTokens{}
			return boom // nothing changes
		}), boom)
		return found
	}
	t.Run("bound of an account", func(t *testing.T) {
		m := &MemoryTokens{MaxPerAccount: 2}
		put(t, m, client("romeo", "1"), time.Hour)
		for _, agent := range []string{"1", "2", "1", "3"} { // 1 is the later one of the first two
			put(t, m, client("juliet", agent), time.Hour)
		}
		require.Equal(t, 3, m.Len())
		require.True(t, has(t, m, client("juliet", "1")))
		require.False(t, has(t, m, client("juliet", "2")))
		require.True(t, has(t, m, client("juliet", "3")))
		require.True(t, has(t, m, client("romeo", "1")))
	})
	t.Run("bound of all", func(t *testing.T) {
		m := &MemoryTokens{MaxClients: 2}
		for _, local := range []string{"a", "b", "a", "c"} {
			put(t, m, client(local, "1"), time.Hour)
		}
		require.Equal(t, 2, m.Len())
		require.False(t, has(t, m, client("b", "1")))
		require.Len(t, m.accounts, 2)
	})
	t.Run("revoked", func(t *testing.T) {
		m := new(MemoryTokens)
		put(t, m, client("juliet", "1"), time.Hour)
		put(t, m, client("juliet", "2"), time.Hour)
		put(t, m, client("romeo", "1"), time.Hour)
		require.NoError(t, m.Revoke(t.Context(), jid.MustParse("juliet@im.example")))
		require.NoError(t, m.Revoke(t.Context(), jid.MustParse("nobody@im.example")))
		require.Equal(t, 1, m.Len())
		require.True(t, has(t, m, client("romeo", "1")))
	})
	t.Run("forgotten when zero", func(t *testing.T) {
		m := new(MemoryTokens)
		put(t, m, client("juliet", "1"), time.Hour)
		for range 2 {
			require.NoError(t, m.Update(t.Context(), client("juliet", "1"), func(tokens *ClientTokens) error {
				*tokens = ClientTokens{}
				return nil
			}))
			require.Zero(t, m.Len())
			require.Empty(t, m.accounts)
		}
	})
	t.Run("expired ones make room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := new(MemoryTokens)
			put(t, m, client("juliet", "1"), time.Hour)
			put(t, m, client("juliet", "2"), 3*time.Hour)
			<-time.After(2 * time.Hour)
			put(t, m, client("romeo", "1"), time.Hour)
			require.Equal(t, 2, m.Len())
			require.False(t, has(t, m, client("juliet", "1")))
		})
	})
	t.Run("the current one is still good", func(t *testing.T) {
		m := new(MemoryTokens)
		require.NoError(t, m.Update(t.Context(), client("juliet", "1"), func(tokens *ClientTokens) error {
			tokens.Current = StoredToken{Mechanism: "M", Secret: "x", Expires: time.Now().Add(time.Hour)}
			tokens.New = StoredToken{Mechanism: "M", Secret: "y", Expires: time.Now().Add(-time.Hour)}
			return nil
		}))
		put(t, m, client("romeo", "1"), time.Hour)
		require.Equal(t, 2, m.Len())
	})
	t.Run("context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, new(MemoryTokens).Update(ctx, client("juliet", "1"), nil), context.Canceled)
	})
	t.Run("together", func(t *testing.T) {
		m := &MemoryTokens{MaxClients: 3, MaxPerAccount: 2}
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 50 {
					put(t, m, client(fmt.Sprint("u", (i+j)%5), fmt.Sprint(j%3)), time.Hour)
					m.Len()
					_ = m.Revoke(t.Context(), client(fmt.Sprint("u", j%5), "").Account)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, m.Len(), 3)
	})
}

// Nothing prints a secret.
func TestTokensPrintNoSecret(t *testing.T) {
	tokens := ClientTokens{Current: StoredToken{Mechanism: "M", Secret: "s3cret"}, New: StoredToken{Secret: "s3cret"}}
	for _, v := range []any{tokens, &tokens, tokens.New, []StoredToken{tokens.New}, map[string]ClientTokens{"x": tokens}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			require.NotContains(t, fmt.Sprintf(verb, v), "s3cret")
		}
	}
	require.NotContains(t, tokens.LogValue().String()+tokens.New.LogValue().String(), "s3cret")
	m := new(MemoryTokens)
	require.Equal(t, "auth.MemoryTokens{0 clients}", fmt.Sprint(m))
	require.Equal(t, "auth.MemoryTokens{0 clients}", m.LogValue().String())
}
