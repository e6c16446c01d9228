package presence

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
)

// word is an Answer for a table: the condition of a refusal, or what is done.
func word(a Answer) string {
	return [...]string{
		Drop: "drop", Refuse: string(a.Condition), Serve: "serve", ServePublic: "public", DeliverOne: "one", DeliverBest: "best",
		DeliverReachable: "reachable", DeliverAvailable: "available", Keep: "keep", Subscription: "subscription", Probe: "probe",
	}[a.Action]
}

// RFC 6121 §8.5.4, Table 1, every cell: of O/E it is O, of S/E it is E, and of M/A
// it is M. Errors are added as a column of their own (§8.5.2.1.1, §8.5.3.2.1). What
// the situations are made of is for the tests with sessions.
//
//conformance:proves 6121-8.5.4-2 6121-8.5.2.1.1-9 6121-8.5.2.1.1-16
func TestDecideMessagesRFC6121Table1(t *testing.T) {
	const e, s, o, d = "service-unavailable", "drop", "keep", "one"
	types := []string{"normal", "chat", "groupchat", "headline", "error"}
	for _, row := range []struct {
		standing Standing
		to       Target
		want     []string
	}{
		{Unknown, Account, []string{e, e, e, s, s}},
		{Unknown, Absent, []string{e, e, e, e, s}},
		{Unavailable, Account, []string{o, o, e, s, s}},
		{Unavailable, Absent, []string{e, o, e, e, s}},
		{Unavailable, Connected, []string{d, d, d, d, d}},
		{Negative, Account, []string{o, o, e, s, s}},
		{Negative, Connected, []string{d, d, d, d, d}},
		{Negative, Absent, []string{e, o, e, e, s}},
		{Reachable, Account, []string{"best", "best", e, "reachable", s}},
		{Reachable, Connected, []string{d, d, d, d, d}},
		{Reachable, Absent, []string{e, "best", e, e, s}},
		{Unavailable, Elsewhere, []string{"remote-server-not-found", "remote-server-not-found", "remote-server-not-found", "remote-server-not-found", s}},
		{Unavailable, Service, []string{"serve", "serve", "serve", "serve", "serve"}},
	} {
		for i, typ := range types {
			for _, own := range []bool{false, true} { // it makes no difference
				q := Question{Kind: stanza.MessageKind, Type: typ, To: row.to, Standing: row.standing, Own: own, Seen: own}
				require.Equal(t, row.want[i], word(Decide(q)), "%+v", q)
			}
		}
	}
}

//conformance:proves 6121-8.5.1-3 6121-8.5.3.2.2-3 6120-8.3.1-10
func TestDecidePresence(t *testing.T) {
	types := []string{"", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"}
	const sub, silent, elsewhere = "subscription", "drop", "remote-server-not-found"
	for _, row := range []struct {
		clause   string
		to       Target
		standing Standing
		want     []string
	}{
		// §8.5.1: Subscription and Probe find out for themselves that nobody is there.
		{"8.5.1", Account, Unknown, []string{silent, silent, sub, sub, sub, sub, "probe", silent}},
		{"8.5.2.2.2", Account, Unavailable, []string{silent, silent, sub, sub, sub, sub, "probe", silent}},
		// A resource with a negative priority is available all the same.
		{"8.5.2.1.2", Account, Negative, []string{"available", "available", sub, sub, sub, sub, "probe", silent}},
		{"8.5.2.1.2", Account, Reachable, []string{"available", "available", sub, sub, sub, sub, "probe", silent}},
		{"8.5.3.1", Connected, Unavailable, []string{"one", "one", sub, sub, sub, sub, "probe", "one"}},
		{"8.5.3.2.2", Absent, Reachable, []string{silent, silent, sub, silent, silent, silent, "probe", silent}},
		{"RFC 6120 10.4.3", Elsewhere, Unknown, []string{elsewhere, elsewhere, elsewhere, elsewhere, elsewhere, elsewhere, elsewhere, silent}},
		{"RFC 6120 10.5.1", Service, Unknown, []string{"serve", "serve", "serve", "serve", "serve", "serve", "serve", "serve"}},
	} {
		for i, typ := range types {
			q := Question{Kind: stanza.PresenceKind, Type: typ, To: row.to, Standing: row.standing}
			require.Equal(t, row.want[i], word(Decide(q)), "%s: %+v", row.clause, q)
		}
	}
}

//conformance:proves 6121-8.5.2.1.3-4 6121-8.5.3.2.3-1
func TestDecideIQ(t *testing.T) {
	const unavailable = "service-unavailable"
	for _, c := range []struct {
		clause         string
		q              Question
		request, reply string
	}{
		{"RFC 6120 §10.3.3, own account", Question{To: Account, Own: true, Standing: Reachable}, "serve", "serve"},
		{"§8.5.2.1.3, somebody else's", Question{To: Account, Standing: Reachable}, "public", "drop"},
		{"§8.5.2.2.3", Question{To: Account, Standing: Unavailable}, "public", "drop"},
		{"§8.5.1", Question{To: Account}, unavailable, "drop"},
		{"§8.5.3.1, shared", Question{To: Connected, Seen: true}, "one", "one"},
		{"§8.5.3.1, own", Question{To: Connected, Own: true}, "one", "one"},
		{"§8.5.3.1, not shared", Question{To: Connected, Standing: Reachable}, unavailable, "one"},
		{"§8.5.3.2.3", Question{To: Absent, Standing: Reachable, Seen: true}, unavailable, "drop"},
		{"§8.5.3.2.3, own", Question{To: Absent, Own: true}, unavailable, "drop"},
		{"RFC 6120 §10.5.1", Question{To: Service}, "serve", "serve"},
		{"RFC 6120 §10.4.3", Question{To: Elsewhere}, "remote-server-not-found", "drop"},
	} {
		for typ, want := range map[string]string{"get": c.request, "set": c.request, "result": c.reply, "error": c.reply} {
			c.q.Kind, c.q.Type = stanza.IQKind, typ
			require.Equal(t, want, word(Decide(c.q)), "%s: %+v", c.clause, c.q)
		}
	}
}

// RFC 6120 §8.3.1 rule 8, §8.2.3 rule 4: whatever the circumstances, errors and
// results are not answered; RFC 6120 §8.2.3 rule 3: and requests always are, unless
// somebody gets them.
//
//conformance:proves 6120-8.3.1-10
func TestDecideForAllQuestions(t *testing.T) {
	for _, kind := range []stanza.Kind{stanza.MessageKind, stanza.PresenceKind, stanza.IQKind} {
		for _, typ := range []string{"", "normal", "chat", "groupchat", "headline", "error", "get", "set", "result", "unavailable", "probe", "subscribe", "junk"} {
			for to := Elsewhere; to <= Absent; to++ {
				for standing := Unknown; standing <= Reachable; standing++ {
					for bits := range 4 {
						q := Question{Kind: kind, Type: typ, To: to, Standing: standing, Own: bits&1 != 0, Seen: bits&2 != 0}
						a := Decide(q)
						if typ == "error" || kind == stanza.IQKind && typ == "result" {
							require.NotEqual(t, Refuse, a.Action, "%+v", q)
						}
						if kind == stanza.IQKind && (typ == "get" || typ == "set") {
							require.NotEqual(t, Drop, a.Action, "%+v", q)
						}
						require.Equal(t, a.Action == Refuse, a.Condition != "", "%+v", q)
						if kind == stanza.IQKind {
							require.NotContains(t, []Action{Keep, DeliverBest, DeliverReachable, DeliverAvailable, Subscription, Probe}, a.Action, "%+v", q)
						}
					}
				}
			}
		}
	}
}
