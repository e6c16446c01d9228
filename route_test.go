package xmpp

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

var (
	home  = jid.MustParse("im.example")
	romeo = jid.MustParse("romeo@im.example/orchard")
)

// crowd builds a table of resources from descriptions such as
// "juliet@im.example/balcony 5": a full JID and a priority, "-" for one that has
// not sent presence, "gone" for one that is available and has lost its session.
func crowd(t *testing.T, descriptions ...string) *resources {
	t.Helper()
	table := &resources{perAccount: 64}
	for _, d := range append([]string{"romeo@im.example/orchard 0"}, descriptions...) {
		addr, state, _ := strings.Cut(d, " ")
		r, _, err := table.claim(jid.MustParse(addr), nil, false)
		require.NoError(t, err)
		r.settle(new(stream.Session))
		switch state {
		case "-":
		case "gone":
			r.presence.Store(&availability{})
			r.settle(nil)
		default:
			var p int8
			for _, digit := range strings.TrimPrefix(state, "-") {
				p = p*10 + int8(digit-'0')
			}
			if state[0] == '-' {
				p = -p
			}
			r.presence.Store(&availability{priority: p})
		}
	}
	return table
}

// decide returns a decision in words: "drop", "serve", the condition of a
// bounce, or the resourceparts of those it is delivered to.
func decide(table *resources, kind stanza.Kind, typ, to string) string {
	st := routed{kind: kind, typ: typ, from: romeo}
	if to != "" {
		st.to = jid.MustParse(to)
	}
	r := route(st, func(d jid.JID) bool { return d == home }, table, nil)
	switch r.verdict {
	case drop:
		return "drop"
	case serve:
		return "serve"
	case bounce:
		return string(r.condition)
	}
	var names []string
	for _, r := range r.to {
		names = append(names, r.addr.Resource())
	}
	slices.Sort(names)
	return "to " + strings.Join(names, ",")
}

// RFC 6121 §8.5.4, Table 1, without offline storage: O/E and S/E are E, and M is
// the resources with the highest priority. Errors are added as a column of
// their own (§8.5.2.1.1, §8.5.3.2.1).
//
//conformance:proves 6121-8.5.2.1.1-1 6121-8.5.2.1.1-2 6121-8.5.2.1.1-3 6121-8.5.2.1.1-4 6121-8.5.2.1.1-5 6121-8.5.2.1.1-6 6121-8.5.2.1.1-7
//conformance:proves 6121-8.5.2.1.1-8 6121-8.5.2.1.1-9 6121-8.5.2.1.1-10 6121-8.5.2.1.1-11 6121-8.5.2.1.1-12 6121-8.5.2.1.1-13 6121-8.5.2.1.1-14
//conformance:proves 6121-8.5.2.1.1-15 6121-8.5.2.1.1-16 6121-8.5.2.2.1-1 6121-8.5.2.2.1-2 6121-8.5.2.2.1-3 6121-8.5.2.2.1-4 6121-8.5.2.2.1-5
//conformance:proves 6121-8.5.3.1-4 6121-8.5.3.2.1-1 6121-8.5.3.2.1-2 6121-8.5.3.2.1-3 6121-8.5.3.2.1-4 6121-8.5.3.2.1-5 6121-8.5.3.2.1-6
//conformance:proves 6121-8.5.3.2.1-7 6121-8.5.3.2.1-8 6121-8.5.3.2.1-9 6121-8.5.1-2 6121-8.5.4-2 6121-5.2.2-4 6121-5.2.2-5 6121-5.2.2-6 6121-5.2.2-7
//conformance:proves 6120-10.5.3.1-1 6120-10.5.3.2-2 6120-10.5.4-2
func TestRouteMessagesRFC6121Table1(t *testing.T) {
	const (
		e = "service-unavailable"
		s = "drop"
		d = "to balcony"
	)
	types := []string{"normal", "chat", "groupchat", "headline", "error"}
	for _, row := range []struct {
		situation string
		crowd     []string
		bare      []string // by type
		match     []string // nil if there is none
		noMatch   []string
	}{
		{
			situation: "account does not exist, or exists without active resources",
			bare:      []string{e, e, e, s, s},
			noMatch:   []string{e, e, e, e, s},
		}, {
			situation: "connected, but not available",
			crowd:     []string{"juliet@im.example/balcony -"},
			bare:      []string{e, e, e, s, s},
			match:     []string{d, d, d, d, d},
			noMatch:   []string{e, e, e, e, s},
		}, {
			situation: "one negative resource",
			crowd:     []string{"juliet@im.example/balcony -1"},
			bare:      []string{e, e, e, s, s},
			match:     []string{d, d, d, d, d},
			noMatch:   []string{e, e, e, e, s},
		}, {
			situation: "one non-negative resource",
			crowd:     []string{"juliet@im.example/balcony 0"},
			bare:      []string{d, d, e, d, s},
			match:     []string{d, d, d, d, d},
			noMatch:   []string{e, d, e, e, s},
		}, {
			situation: "one non-negative and one negative resource",
			crowd:     []string{"juliet@im.example/balcony 0", "juliet@im.example/tomb -128"},
			bare:      []string{d, d, e, d, s},
			match:     []string{d, d, d, d, d},
			noMatch:   []string{e, d, e, e, s},
		}, {
			situation: "several non-negative resources, one of them most available",
			crowd:     []string{"juliet@im.example/balcony 5", "juliet@im.example/chamber 1", "juliet@im.example/tomb -1"},
			bare:      []string{d, d, e, "to balcony,chamber", s},
			match:     []string{d, d, d, d, d},
			noMatch:   []string{e, d, e, e, s},
		}, {
			situation: "several non-negative resources, two of them most available",
			crowd:     []string{"juliet@im.example/balcony 5", "juliet@im.example/chamber 5", "juliet@im.example/garden 4"},
			bare:      []string{"to balcony,chamber", "to balcony,chamber", e, "to balcony,chamber,garden", s},
			match:     []string{d, d, d, d, d},
			noMatch:   []string{e, "to balcony,chamber", e, e, s},
		}, {
			situation: "a resource that has lost its session, and a lesser one",
			crowd:     []string{"juliet@im.example/old gone", "juliet@im.example/balcony 0"},
			bare:      []string{d, d, e, d, s},
			match:     []string{d, d, d, d, d},
			noMatch:   []string{e, d, e, e, s},
		},
	} {
		t.Run(row.situation, func(t *testing.T) {
			table := crowd(t, row.crowd...)
			for i, typ := range types {
				require.Equal(t, row.bare[i], decide(table, stanza.MessageKind, typ, "juliet@im.example"), "bare, %s", typ)
				require.Equal(t, row.noMatch[i], decide(table, stanza.MessageKind, typ, "juliet@im.example/nowhere"), "no match, %s", typ)
				if row.match != nil {
					require.Equal(t, row.match[i], decide(table, stanza.MessageKind, typ, "juliet@im.example/balcony"), "match, %s", typ)
				}
			}
		})
	}
}

//conformance:proves 6121-8.5.2.1.2-1 6121-8.5.3.1-5 6121-8.5.3.2.2-1 6121-8.5.3.2.2-3 6121-8.5.1-3 6121-8.5.1-4 6121-8.5.1-5 6120-10.5.3.1-2
//conformance:proves 6120-8.3.1-10
func TestRoutePresence(t *testing.T) {
	table := crowd(t, "juliet@im.example/balcony 5", "juliet@im.example/tomb -1", "juliet@im.example/mute -")
	const (
		bare  = "juliet@im.example"
		match = "juliet@im.example/mute"
	)
	for _, c := range []struct{ clause, typ, to, want string }{
		// A resource with a negative priority is available all the same.
		{"RFC 6121 §8.5.2.1.2", "", bare, "to balcony,tomb"},
		{"RFC 6121 §8.5.2.1.2", "unavailable", bare, "to balcony,tomb"},
		{"RFC 6121 §8.5.3.1", "", match, "to mute"},
		{"RFC 6121 §8.5.3.1", "unavailable", match, "to mute"},
		{"RFC 6120 §8.3", "error", match, "to mute"},
		{"RFC 6120 §8.3.1", "error", bare, "drop"},
		{"RFC 6121 §8.5.3.2.2", "", bare + "/nowhere", "drop"},
		{"RFC 6121 §8.5.3.2.2", "unavailable", bare + "/nowhere", "drop"},
		{"RFC 6121 §8.5.1", "", "nobody@im.example", "to "},
		{"RFC 6121 §8.5.1", "unavailable", "nobody@im.example", "to "},
		{"RFC 6120 §10.5.1", "", "im.example", "serve"},
		{"RFC 6120 §10.5.2", "", "im.example/announce", "serve"},
		{"RFC 6120 §10.4.3", "", "romeo@elsewhere.example", "remote-server-not-found"},
		{"RFC 6120 §8.3.1 rule 8", "error", "romeo@elsewhere.example", "drop"},
	} {
		require.Equal(t, c.want, decide(table, stanza.PresenceKind, c.typ, c.to), "%s: %q to %s", c.clause, c.typ, c.to)
	}
	// RFC 6121 §8.5.1 wants silence for accounts that do not exist, and the same
	// has to hold for the others or the difference tells.
	for _, typ := range []string{"subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"} {
		for _, to := range []string{bare, match, bare + "/nowhere", "nobody@im.example", "nobody@im.example/x", ""} {
			require.Equal(t, "drop", decide(table, stanza.PresenceKind, typ, to), "%s to %q", typ, to)
		}
	}
}

//conformance:proves 6121-8.5.1-1 6121-8.5.2.1.3-1 6121-8.5.2.1.3-2 6121-8.5.2.1.3-4 6121-8.5.3.1-3 6121-8.5.3.2.3-1 6120-10.5.3.1-3 6120-10.5.3.2-5
//conformance:proves 6120-10.5.4-2 6120-8.2.3-6
func TestRouteIQ(t *testing.T) {
	table := crowd(t, "juliet@im.example/balcony 5", "juliet@im.example/mute -", "romeo@im.example/garden 0")
	const unavailable = "service-unavailable"
	for _, c := range []struct{ clause, to, request, reply string }{
		{"RFC 6120 §10.3.3", "", "serve", "serve"},
		{"RFC 6121 §8.5.2.1.3, own account", "romeo@im.example", "serve", "serve"},
		{"RFC 6121 §8.5.2.1.3, somebody else's", "juliet@im.example", unavailable, "drop"},
		{"RFC 6121 §8.5.1", "nobody@im.example", unavailable, "drop"},
		{"RFC 6121 §8.5.3.1", "juliet@im.example/balcony", "to balcony", "to balcony"},
		{"RFC 6121 §8.5.3.1, connected", "juliet@im.example/mute", "to mute", "to mute"},
		{"RFC 6121 §8.5.3.1, own", "romeo@im.example/garden", "to garden", "to garden"},
		{"RFC 6121 §8.5.3.2.3", "juliet@im.example/nowhere", unavailable, "drop"},
		{"RFC 6121 §8.5.1", "nobody@im.example/x", unavailable, "drop"},
		{"RFC 6120 §10.5.1", "im.example", "serve", "serve"},
		{"RFC 6120 §10.5.2", "im.example/admin", "serve", "serve"},
		{"RFC 6120 §10.4.3", "elsewhere.example", "remote-server-not-found", "drop"},
	} {
		for typ, want := range map[string]string{"get": c.request, "set": c.request, "result": c.reply, "error": c.reply} {
			require.Equal(t, want, decide(table, stanza.IQKind, typ, c.to), "%s: %s to %q", c.clause, typ, c.to)
		}
	}
}

//conformance:proves 6120-10.3.1-1 6121-4.2.2-2 6121-4.4.2-2 6121-4.5.2-5
func TestRouteWithoutToRFC6120Section10_3(t *testing.T) {
	table := crowd(t, "romeo@im.example/garden 0", "romeo@im.example/tomb -1", "romeo@im.example/mute -", "juliet@im.example/balcony 0")
	require.Equal(t, "to garden,orchard", decide(table, stanza.MessageKind, "normal", ""), "§10.3.1")
	require.Equal(t, "drop", decide(table, stanza.MessageKind, "error", ""))
	require.Equal(t, "service-unavailable", decide(table, stanza.MessageKind, "groupchat", ""))
	// RFC 6121 §4.4.2: including the resource that generated it.
	require.Equal(t, "to garden,orchard,tomb", decide(table, stanza.PresenceKind, "", ""), "§10.3.2")
	table.find(romeo).presence.Store(nil)
	require.Equal(t, "to garden,orchard,tomb", decide(table, stanza.PresenceKind, "unavailable", ""), "RFC 6121 §4.5.2")
	require.Equal(t, "drop", decide(table, stanza.PresenceKind, "error", ""))
	require.Equal(t, "serve", decide(table, stanza.IQKind, "get", ""), "§10.3.3")
}

//conformance:proves 6120-8.3.1-10
func TestRouteElsewhereAndErrorsNeverBounce(t *testing.T) {
	table := crowd(t)
	for _, kind := range []stanza.Kind{stanza.MessageKind, stanza.PresenceKind, stanza.IQKind} {
		for _, to := range []string{"elsewhere.example", "a@elsewhere.example", "a@elsewhere.example/b", "nobody@im.example", "nobody@im.example/x"} {
			require.Equal(t, "drop", decide(table, kind, "error", to), "%s to %s", kind, to)
		}
		typ := map[stanza.Kind]string{stanza.MessageKind: "chat", stanza.PresenceKind: "", stanza.IQKind: "set"}[kind]
		require.Equal(t, "remote-server-not-found", decide(table, kind, typ, "a@sub.im.example"), "a subdomain is another domain")
	}
	require.Equal(t, "drop", decide(table, stanza.IQKind, "result", "a@elsewhere.example"))
}

func TestResourcesClaimAndRelease(t *testing.T) {
	table := &resources{perAccount: 2}
	balcony, chamber, tomb := jid.MustParse("j@im.example/1"), jid.MustParse("j@im.example/2"), jid.MustParse("j@im.example/3")
	first, holder, err := table.claim(balcony, nil, false)
	require.NoError(t, err)
	require.Nil(t, holder)
	r, holder, err := table.claim(balcony, nil, false)
	require.NoError(t, err)
	require.Nil(t, r)
	require.Same(t, first, holder)
	_, _, err = table.claim(chamber, nil, false)
	require.NoError(t, err)
	_, _, err = table.claim(tomb, nil, true)
	require.ErrorIs(t, err, errTooManyResources)

	// To replace is possible even when the account is full.
	second, holder, err := table.claim(balcony, nil, true)
	require.NoError(t, err)
	require.Same(t, first, holder)
	table.release(first)
	require.Same(t, second, table.find(balcony), "who was replaced has nothing to give back")
	table.release(second)
	table.release(second)
	require.Nil(t, table.find(balcony))
	table.release(table.find(chamber))
	require.Empty(t, table.table, "nothing is kept of an account that is not connected")
}
