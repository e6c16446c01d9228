package roster_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

// memoryCache is a Cache.
type memoryCache struct {
	s              roster.Snapshot
	err            error
	loads, saves   int
	account        jid.JID
	savedVersions  []string
	savedItemCount []int
}

func (c *memoryCache) Load(_ context.Context, account jid.JID) (roster.Snapshot, error) {
	c.loads++
	c.account = account
	return c.s, c.err
}

func (c *memoryCache) Save(_ context.Context, account jid.JID, s roster.Snapshot) error {
	c.saves++
	c.savedVersions = append(c.savedVersions, s.Version)
	c.savedItemCount = append(c.savedItemCount, len(s.Items))
	if c.err == nil && account == c.account {
		c.s = s
	}
	return c.err
}

// RFC 6121 §2.6: a cache outlives the client.
func TestCache(t *testing.T) {
	cache := &memoryCache{}
	r := newRig(t, roster.Options{Versioned: true, Cache: cache})
	require.NoError(t, r.Sync(t.Context(), answering(t, pushed("v1", `<item jid='nurse@example.com' name='Nurse'><group>Servants</group></item>`))))
	r.receive("", pushed("v2", `<item jid='romeo@example.net' subscription='to'/>`))
	require.Equal(t, []string{"v1", "v2"}, cache.savedVersions)
	require.Equal(t, []int{1, 2}, cache.savedItemCount)
	require.Equal(t, juliet, cache.account)

	again := newRig(t, roster.Options{Versioned: true, Cache: cache})
	var seen []string
	d := &doer{t: t, answer: func(string) (string, error) {
		seen = slices.Clone(again.told) // known before the server has said anything
		return "", nil
	}}
	require.NoError(t, again.Sync(t.Context(), d))
	require.Equal(t, []string{`+nurse@example.com "Nurse" None [Servants]`, `+romeo@example.net "" To []`}, seen)
	require.Equal(t, []string{"get <query xmlns='jabber:iq:roster' ver='v2'/>"}, d.asked)
	require.Equal(t, slices.Collect(r.All()), slices.Collect(again.All()))
	require.NoError(t, again.Sync(t.Context(), d))
	require.Equal(t, 2, cache.loads, "once for each Client")
	require.Empty(t, append(r.errs, again.errs...))
}

// RFC 6121 §2.6.2: a cache that is lost or corrupted is as good as none.
func TestCacheFails(t *testing.T) {
	failed := errors.New("disk")
	for name, cache := range map[string]*memoryCache{
		"cannot be read":   {err: failed},
		"twice":            {s: roster.Snapshot{Version: "v1", Items: []roster.Item{{JID: romeo}, {JID: romeo}}}},
		"without a JID":    {s: roster.Snapshot{Version: "v1", Items: []roster.Item{{}}}},
		"without end":      {s: roster.Snapshot{Version: "v1", Items: make([]roster.Item, 16_385)}},
		"empty":            {},
		"without versions": {s: roster.Snapshot{Items: []roster.Item{{JID: romeo}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, roster.Options{Versioned: true, Cache: cache})
			d := answering(t, pushed("v7", `<item jid='nurse@example.com'/>`))
			require.NoError(t, r.Sync(t.Context(), d))
			require.Equal(t, []string{"get <query xmlns='jabber:iq:roster' ver=''/>"}, d.asked)
			require.Equal(t, []string{`+nurse@example.com "" None []`}, r.flush())
			bad := name != "empty" && name != "without versions"
			require.Equal(t, bad, len(r.errs) > 0)
			if cache.err != nil { // reported for reading and for writing
				require.Len(t, r.errs, 2)
				require.ErrorIs(t, r.errs[1], failed)
			}
		})
	}
	// With nobody to report to, it is logged.
	var log bytes.Buffer
	old := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(old)
	c, err := roster.NewClient(&roster.Options{Account: juliet, Cache: &memoryCache{err: failed}})
	require.NoError(t, err)
	require.NoError(t, c.Sync(t.Context(), answering(t, nobody)))
	require.Contains(t, log.String(), "disk")

	// A server without versions: there is nothing that could be saved.
	cache := &memoryCache{}
	r := newRig(t, roster.Options{Cache: cache})
	require.NoError(t, r.Sync(t.Context(), answering(t, pushed("", ""))))
	require.Zero(t, cache.saves)
}
