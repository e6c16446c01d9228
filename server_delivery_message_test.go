package xmpp_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
)

var errOver = errors.New("this part of the test is over")

// messageRow is a row of RFC 6121 §8.5.4, Table 1, as this server chooses: E is
// service-unavailable for the sender, S is silence, O is stored for later, and
// everything else are the resources that get it.
type messageRow struct {
	to                                        string // "bare", "absent", or a resource that is there
	normal, chat, groupchat, headline, failed string
}

var messageTable = map[string][]messageRow{
	"missing": {
		{"bare", "E", "E", "E", "S", "S"},
		{"absent", "E", "E", "E", "E", "S"},
	},
	"offline": {
		{"bare", "O", "O", "E", "S", "S"},
		{"absent", "E", "O", "E", "E", "S"},
	},
	"connected": {
		{"bare", "O", "O", "E", "S", "S"},
		{"plain", "plain", "plain", "plain", "plain", "plain"},
		{"absent", "E", "O", "E", "E", "S"},
	},
	"negative": {
		{"bare", "O", "O", "E", "S", "S"},
		{"low", "low", "low", "low", "low", "low"},
		{"absent", "E", "O", "E", "E", "S"},
	},
	"negatives": {
		{"bare", "O", "O", "E", "S", "S"},
		{"lower", "lower", "lower", "lower", "lower", "lower"},
		{"absent", "E", "O", "E", "E", "S"},
	},
	"one": {
		{"bare", "a", "a", "E", "a", "S"},
		{"a", "a", "a", "a", "a", "a"},
		{"absent", "E", "a", "E", "E", "S"},
	},
	"equal": {
		{"bare", "a b", "a b", "E", "a b", "S"},
		{"b", "b", "b", "b", "b", "b"},
		{"absent", "E", "a b", "E", "E", "S"},
	},
	"different": {
		{"bare", "a", "a", "E", "a b", "S"},
		{"b", "b", "b", "b", "b", "b"},
		{"absent", "E", "a", "E", "E", "S"},
	},
	"mix": {
		{"bare", "a", "a", "E", "a b", "S"},
		{"b", "b", "b", "b", "b", "b"},
		{"low", "low", "low", "low", "low", "low"},
		{"plain", "plain", "plain", "plain", "plain", "plain"},
		{"absent", "E", "a", "E", "E", "S"},
	},
	"equal mix": {
		{"bare", "a b", "a b", "E", "a b c", "S"},
		{"c", "c", "c", "c", "c", "c"},
		{"low", "low", "low", "low", "low", "low"},
		{"plain", "plain", "plain", "plain", "plain", "plain"},
		{"absent", "E", "a b", "E", "E", "S"},
	},
}

// messageTypes are the type attributes and the column that each belongs to; what is
// unknown is normal (RFC 6121 §5.2.2).
var messageTypes = []struct {
	attr, shown string
	column      func(messageRow) string
}{
	{"", "-", func(r messageRow) string { return r.normal }},
	{" type='normal'", "normal", func(r messageRow) string { return r.normal }},
	{" type='Chat'", "Chat", func(r messageRow) string { return r.normal }},
	{" type='foo'", "foo", func(r messageRow) string { return r.normal }},
	{" type='chat'", "chat", func(r messageRow) string { return r.chat }},
	{" type='groupchat'", "groupchat", func(r messageRow) string { return r.groupchat }},
	{" type='headline'", "headline", func(r messageRow) string { return r.headline }},
	{" type='error'", "error", func(r messageRow) string { return r.failed }},
}

// RFC 6121 §8.5.4, Table 1, whole, over real sessions and for each relation that
// the sender can have: what each resource hears, what the sender hears, that nobody
// else hears anything, that 'to' stays what it was, and what comes later.
//
//conformance:proves 6120-8.1.2.1-5 6120-10.5-3 6120-10.5.3.1-1 6120-10.5.3.2-1 6120-10.5.3.2-2 6121-8.1-1
//conformance:proves 6121-8.5-1 6121-8.5.1-2 6121-8.5.2-1 6121-8.5.3-1 6121-8.5.4-1 6121-8.5.4-2 6121-5.2.2-4 6121-5.2.2-5 6121-5.2.2-6 6121-5.2.2-7 6121-5.2.2-9
//conformance:proves 6121-8.5.2.1.1-1 6121-8.5.2.1.1-3 6121-8.5.2.1.1-4 6121-8.5.2.1.1-5 6121-8.5.2.1.1-7 6121-8.5.2.1.1-8 6121-8.5.2.1.1-9 6121-8.5.2.1.1-10 6121-8.5.2.1.1-11
//conformance:proves 6121-8.5.2.1.1-12 6121-8.5.2.1.1-13 6121-8.5.2.1.1-14 6121-8.5.2.1.1-15 6121-8.5.2.1.1-16 6121-8.5.2.1.1-17
//conformance:proves 6121-8.5.2.2.1-1 6121-8.5.2.2.1-3 6121-8.5.2.2.1-4 6121-8.5.2.2.1-5 6121-8.5.3.1-4 6121-8.5.3.2.1-1 6121-8.5.3.2.1-2 6121-8.5.3.2.1-3
//conformance:proves 6121-8.5.3.2.1-5 6121-8.5.3.2.1-7 6121-8.5.3.2.1-8 6121-8.5.3.2.1-9
//conformance:proves 6120-10.5.4-1
func TestMessageDeliveryRFC6121Section8_5(t *testing.T) {
	for situation, rows := range messageTable {
		for _, relation := range relations {
			if situation == "missing" && relation == "own" {
				continue
			}
			t.Run(situation+"/"+relation, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := stage(t, situation, relation)
					var later []string
					for _, row := range rows {
						for _, typ := range messageTypes {
							later = append(later, c.message(row, typ.attr, typ.shown, typ.column(row), "O")...)
						}
					}
					require.Equal(t, later, c.messagesOf("later"), "in order")
					require.Empty(t, c.messagesOf("last"), "once")
				})
			})
		}
	}
}

// message sends one message and requires the outcome. It returns what the account
// is to get later.
func (c *scene) message(row messageRow, attr, shown, outcome, stored string) (later []string) {
	c.t.Helper()
	to := julietJID
	if row.to != "bare" {
		to = full(row.to)
	}
	id := row.to + "-" + shown
	xml := `<message to='` + to + `' id='` + id + `'` + attr + `><body>hello</body></message>`
	passed := "message " + shown + " " + c.sender.LocalAddr().String() + "→" + to + " " + id
	want := map[string][]string{}
	switch outcome {
	case "S":
	case "E":
		want["sender"] = []string{"message error " + to + "→" + c.sender.LocalAddr().String() + " " + id + " service-unavailable"}
	case stored:
		later = append(later, passed)
	default:
		want = all(strings.Fields(outcome), passed)
	}
	c.expect(xml, want)
	return later
}

// Without a store, what would be stored comes back (RFC 6121 §8.5.4: E instead of
// O), and nothing else changes.
//
//conformance:proves 6121-8.5.2.1.1-2 6121-8.5.2.1.1-6 6121-8.5.2.2.1-2 6121-8.5.3.2.1-4 6121-8.5.3.2.1-6
func TestMessageDeliveryWithoutStoreRFC6121Section8_5(t *testing.T) {
	for situation, rows := range messageTable {
		t.Run(situation, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := stage(t, situation, "stranger", func(s *xmpp.Server) { s.NoOffline = true })
				for _, row := range rows {
					for _, typ := range messageTypes {
						outcome := typ.column(row)
						if outcome == "O" {
							outcome = "E"
						}
						c.message(row, typ.attr, typ.shown, outcome, "none")
					}
				}
				if situation != "missing" {
					require.Empty(t, c.messagesOf("later"))
				}
			})
		})
	}
}

// RFC 6120 §10.3.1: without 'to' a message is for the own account, and says so.
//
//conformance:proves 6120-10.3-1 6120-10.3.1-1
func TestMessageWithoutToRFC6120Section10_3_1(t *testing.T) {
	for situation, rows := range messageTable {
		if situation == "missing" {
			continue
		}
		t.Run(situation, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := stage(t, situation, "own")
				var later []string
				for _, typ := range messageTypes {
					xml := `<message id='1'` + typ.attr + `><body>hello</body></message>`
					passed := "message " + typ.shown + " " + full("self") + "→" + julietJID + " 1"
					switch outcome := typ.column(rows[0]); outcome {
					case "O":
						later = append(later, passed)
						fallthrough
					case "S":
						c.expect(xml, map[string][]string{})
					case "E":
						c.expect(xml, map[string][]string{"sender": {"message error -→" + full("self") + " 1 service-unavailable"}})
					default:
						c.expect(xml, all(strings.Fields(outcome), passed))
					}
				}
				require.Equal(t, later, c.messagesOf("later"))
			})
		})
	}
}
