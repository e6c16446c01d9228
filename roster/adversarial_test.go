package roster_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
)

var (
	juliet   = jid.MustParse("juliet@example.com")
	balcony  = jid.MustParse("juliet@example.com/balcony")
	romeo    = jid.MustParse("romeo@example.net")
	nurse    = jid.MustParse("nurse@example.com")
	benvolio = jid.MustParse("benvolio@example.net")
)

// TestAdversarial: the rows of the catalogue of hostile cases.
func TestAdversarial(t *testing.T) {
	t.Run("R01", testR01)
	t.Run("R02", testR02)
	t.Run("R20", testR20)
}

// testR01: RFC 6121 §2.1.6 rule 2.
func testR01(t *testing.T) {
	for name, tt := range map[string]struct {
		from string
		ok   bool
	}{
		"none":                           {"", true},
		"own bare JID":                   {"juliet@example.com", true},
		"own bare JID, other case":       {"JULIET@Example.COM", true},
		"own full JID":                   {"juliet@example.com/balcony", false},
		"another resource of one's own":  {"juliet@example.com/chamber", false},
		"the domain of the server":       {"example.com", false},
		"a contact":                      {"romeo@example.net", false},
		"a contact's client":             {"romeo@example.net/orchard", false},
		"a look-alike":                   {"juliet@example.com.evil.lit", false},
		"one who is the account in part": {"juliet@example.co", false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, roster.Options{})
			require.NoError(t, r.Sync(t.Context(), answering(t, nobody)))
			reply := r.receive(tt.from, pushed("v2", `<item jid='romeo@example.net' subscription='both'/>`))
			_, there := r.Item(romeo)
			require.Equal(t, tt.ok, there)
			require.Equal(t, tt.ok, len(r.told) == 1)
			ver, _ := r.List().Version()
			if tt.ok {
				require.Contains(t, reply, "type='result'/>")
				require.Equal(t, "v2", ver)
				return
			}
			require.Equal(t, "v1", ver)
			require.Contains(t, reply, unknown)
			// Nothing tells that there is a roster at all: the same as without one.
			var none rig
			none.t = t
			require.Equal(t, none.receive(tt.from, pushed("v2", `<item jid='romeo@example.net'/>`)), reply)
			// And nothing of a bad one is looked at.
			require.Equal(t, reply, r.receive(tt.from, pushed("", "")))
		})
	}
}

// testR02: no partial update, everything in order.
func testR02(t *testing.T) {
	start := pushed("v1", `<item jid='nurse@example.com' name='Nurse' subscription='both'><group>Servants</group></item>`)
	for name, tt := range map[string]struct {
		push  string
		reply string // a part of it
		told  []string
		ver   string
	}{
		"no item":   {pushed("v2", ""), "<bad-request", nil, "v1"},
		"two items": {pushed("v2", `<item jid='romeo@example.net'/><item jid='benvolio@example.net'/>`), "<bad-request", nil, "v1"},
		"one of two removed": {
			pushed("v2", `<item jid='nurse@example.com' subscription='remove'/><item jid='romeo@example.net'/>`), "<bad-request", nil, "v1",
		},
		"no jid":        {pushed("v2", `<item name='x'/>`), "<bad-request", nil, "v1"},
		"malformed jid": {pushed("v2", `<item jid='@' name='x'/>`), "<jid-malformed", nil, "v1"},
		"too long":      {pushed("v2", `<item jid='nurse@example.com' name='`+strings.Repeat("x", 5000)+`'/>`), "<not-acceptable", nil, "v1"},
		"§2.1.2.5: a subscription that does not exist is ignored, the item is taken as a whole": {
			pushed("v2", `<item jid='nurse@example.com' name='Nanny' subscription='garbage'/>`), "type='result'/>",
			[]string{`nurse@example.com "Nurse"→"Nanny" Both→None [Servants]→[]`}, "v2",
		},
		"remove of somebody unknown": {pushed("v2", `<item jid='romeo@example.net' subscription='remove'/>`), "type='result'/>", nil, "v2"},
		"the same again": {
			pushed("v2", `<item jid='nurse@example.com' name='Nurse' subscription='both'><group>Servants</group></item>`), "type='result'/>", nil, "v2",
		},
		"a version that was before": {
			pushed("v0", `<item jid='romeo@example.net'/>`), "type='result'/>", []string{`+romeo@example.net "" None []`}, "v0",
		},
		"no version": {pushed("", `<item jid='romeo@example.net'/>`), "type='result'/>", []string{`+romeo@example.net "" None []`}, "v1"},
		"ourselves": {
			pushed("v2", `<item jid='juliet@example.com' subscription='both'/>`), "type='result'/>", []string{`+juliet@example.com "" Both []`}, "v2",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, roster.Options{})
			require.NoError(t, r.Sync(t.Context(), answering(t, start)))
			require.Equal(t, []string{`+nurse@example.com "Nurse" Both [Servants]`}, r.flush())
			before := slices.Collect(r.All())
			require.Contains(t, r.receive("", tt.push), tt.reply)
			require.Equal(t, tt.told, r.flush())
			ver, _ := r.List().Version()
			require.Equal(t, tt.ver, ver)
			if tt.told == nil {
				require.Equal(t, before, slices.Collect(r.All()))
			}
			require.True(t, r.Current())
		})
	}
	t.Run("push before the roster result", func(t *testing.T) {
		r := newRig(t, roster.Options{})
		// Nobody has asked: what the list was before is not known.
		require.Equal(t, noted, r.push(`<item jid='romeo@example.net'/>`))
		require.Empty(t, r.told)
		require.Zero(t, r.List().Len())

		d := &doer{t: t, answer: func(string) (string, error) {
			require.Equal(t, noted, r.push(`<item jid='romeo@example.net' name='1'/>`))
			require.Equal(t, noted, r.push(`<item jid='nurse@example.com' subscription='remove'/>`))
			require.Equal(t, noted, r.push(`<item jid='romeo@example.net' name='2'/>`))
			require.Contains(t, r.push(``), "<bad-request")
			require.Empty(t, r.told, "they wait")
			return start, nil
		}}
		require.NoError(t, r.Sync(t.Context(), d))
		require.Equal(t, []string{
			`+nurse@example.com "Nurse" Both [Servants]`, `+romeo@example.net "1" None []`, `-nurse@example.com`, `romeo@example.net "1"→"2" None→None []→[]`,
		}, r.flush())
	})
}
