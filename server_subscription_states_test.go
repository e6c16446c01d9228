package xmpp_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// The tables of RFC 6121 §A.2 and §A.3: the existing state, whether the stanza is
// routed or delivered, the new state ("=" for no change), and the reply of the
// server, if any. A state with "!" is one with pre-approval (§3.4.2). S.N. and M.N.
// are "no".
var (
	outboundRows = readRows(map[string]string{
		"subscribe": `
			None             yes  None+Out
			None+Out         yes  =
			None+In          yes  None+Out+In
			None+Out+In      yes  =
			To               yes  =
			To+In            yes  =
			From             yes  From+Out
			From+Out         yes  =
			Both             yes  =
			None!            yes  None+Out!
			None+Out!        yes  =
			To!              yes  =`,
		"unsubscribe": `
			None             yes  =
			None+Out         yes  None
			None+In          yes  =
			None+Out+In      yes  None+In
			To               yes  None
			To+In            yes  None+In
			From             yes  =
			From+Out         yes  From
			Both             yes  From
			None!            yes  =
			None+Out!        yes  None!
			To!              yes  None!`,
		"subscribed": `
			None             no   None!
			None+Out         no   None+Out!
			None+In          yes  From
			None+Out+In      yes  From+Out
			To               no   To!
			To+In            yes  Both
			From             no   =
			From+Out         no   =
			Both             no   =
			None!            no   =
			None+Out!        no   =
			To!              no   =`,
		"unsubscribed": `
			None             no   =
			None+Out         no   =
			None+In          yes  None
			None+Out+In      yes  None+Out
			To               no   =
			To+In            yes  To
			From             yes  None
			From+Out         yes  None+Out
			Both             yes  To
			None!            no   None
			None+Out!        no   None+Out
			To!              no   To`,
	})
	inboundRows = readRows(map[string]string{
		"subscribe": `
			None             yes  None+In
			None+Out         yes  None+Out+In
			None+In          no   =
			None+Out+In      no   =
			To               yes  To+In
			To+In            no   =
			From             no   =            subscribed
			From+Out         no   =            subscribed
			Both             no   =            subscribed
			None!            no   From         subscribed
			None+Out!        no   From+Out     subscribed
			To!              no   Both         subscribed`,
		"unsubscribe": `
			None             no   =
			None+Out         no   =
			None+In          yes  None         unsubscribed
			None+Out+In      yes  None+Out     unsubscribed
			To               no   =
			To+In            yes  To           unsubscribed
			From             yes  None         unsubscribed
			From+Out         yes  None+Out     unsubscribed
			Both             yes  To           unsubscribed
			None!            no   =
			None+Out!        no   =
			To!              no   =`,
		"subscribed": `
			None             no   =
			None+Out         yes  To
			None+In          no   =
			None+Out+In      yes  To+In
			To               no   =
			To+In            no   =
			From             no   =
			From+Out         yes  Both
			Both             no   =
			None!            no   =
			None+Out!        yes  To!
			To!              no   =`,
		"unsubscribed": `
			None             no   =
			None+Out         yes  None
			None+In          no   =
			None+Out+In      yes  None+In
			To               yes  None
			To+In            yes  None+In
			From             no   =
			From+Out         yes  From
			Both             yes  From
			None!            no   =
			None+Out!        yes  None!
			To!              yes  None!`,
	})
	stanzaTypes = []string{"subscribe", "unsubscribe", "subscribed", "unsubscribed"}
)

type stateRow struct {
	passes      bool // it is routed or delivered
	next, reply string
}

func readRows(tables map[string]string) map[string]map[string]stateRow {
	out := map[string]map[string]stateRow{}
	for typ, text := range tables {
		out[typ] = map[string]stateRow{}
		for line := range strings.Lines(strings.TrimSpace(text)) {
			f := append(strings.Fields(line), "")
			row := stateRow{f[1] == "yes", f[2], f[3]}
			if row.next == "=" {
				row.next = f[0]
			}
			out[typ][f[0]] = row
		}
	}
	return out
}

// The parts of a state.
func mayBeSeen(state string) bool { return strings.HasPrefix(state, "From") || state == "Both" }
func maySee(state string) bool    { return strings.HasPrefix(state, "To") || state == "Both" }
func wasAsked(state string) bool  { return strings.HasSuffix(state, "+In") }

// shownAs is what a roster says of a contact in that state (RFC 6121 §2.1.2).
func shownAs(state string) string {
	s := map[string]string{"None": "none", "To": "to", "From": "from", "Both": "both"}[strings.FieldsFunc(state, func(r rune) bool { return r == '+' || r == '!' })[0]]
	if strings.Contains(state, "+Out") {
		s += " ask=subscribe"
	}
	if strings.HasSuffix(state, "!") {
		s += " approved=true"
	}
	return s
}

// party is one side of a subscription in the model: what it is like, and what each
// of its resources ought to hear.
type party struct {
	name   string // localpart
	state  string
	listed bool     // the other one is in its roster
	up     []string // its resources: full, list, shown, deaf
	ought  map[string][]string
}

func (p *party) addr() string { return p.name + "@xmpp.test" }

// available are the resources that have sent presence, interested those that have
// asked for the roster; "deaf" ones have done neither.
func (p *party) available() []string  { return p.only("full", "shown") }
func (p *party) interested() []string { return p.only("full", "list") }

func (p *party) only(names ...string) (out []string) {
	for _, r := range p.up {
		if slices.Contains(names, r) {
			out = append(out, r)
		}
	}
	return out
}

func (p *party) hears(resources []string, what ...string) {
	for _, r := range resources {
		p.ought[r] = append(p.ought[r], what...)
	}
}

// sees is the presence of the other's resources.
func (p *party) sees(other *party, typ string) {
	for _, r := range other.available() {
		p.hears(p.available(), typ+" "+other.addr()+"/"+r+"→"+p.addr())
	}
}

// becomes is a change of state, with the push that it causes (§2.6.3: if the user
// can see it), or that is due in any case.
func (p *party) becomes(state string, other *party, always bool) {
	before := p.state
	p.state = state
	if shownAs(state) != "none" {
		p.listed = true
	}
	if shownAs(before) != shownAs(state) || always && p.listed {
		p.hears(p.interested(), "push "+other.addr()+" "+shownAs(state))
	}
}

// sends is RFC 6121 §3.1.2, §3.1.5, §3.2.2, §3.3.2: a client of p sends a stanza.
func (p *party) sends(typ, id string, to *party) {
	row := outboundRows[typ][p.state]
	if typ == "unsubscribed" && mayBeSeen(p.state) {
		to.sees(p, "unavailable") // §3.2.2: while still subscribed
	}
	p.becomes(row.next, to, typ == "unsubscribed" && row.passes)
	if !row.passes {
		return
	}
	to.gets(typ, id, p)
	if typ == "subscribed" {
		to.sees(p, "-") // §3.1.5: then
	}
}

// gets is RFC 6121 §3.1.3, §3.1.6, §3.2.3, §3.3.3: the stanza arrives.
func (p *party) gets(typ, id string, from *party) {
	row := inboundRows[typ][p.state]
	if row.passes {
		to := p.interested()
		if typ == "subscribe" {
			to = p.available()
		}
		p.hears(to, strings.TrimSpace(typ+" "+from.addr()+"→"+p.addr()+" "+id))
	}
	if typ == "unsubscribe" && mayBeSeen(p.state) {
		from.sees(p, "unavailable")
	}
	p.becomes(row.next, from, false)
	if row.reply != "" {
		from.gets(row.reply, "", p)
	}
	if row.reply == "subscribed" {
		from.sees(p, "-")
	}
}

// said describes what a resource has heard in the words of the model.
func said(el *stream.Element) string {
	if el.Name().Local == "iq" {
		for query := range el.Children() {
			for item := range query.Children() {
				if el.Attr("type") == "set" {
					return "push " + itemOf(item)
				}
			}
		}
		return look(el)
	}
	s := el.Attr("type") + " " + el.Attr("from") + "→" + el.Attr("to")
	if id := el.Attr("id"); strings.HasPrefix(id, "t.") {
		s += " " + id
	}
	if el.Attr("type") == "" {
		s = "-" + s
	}
	return s
}

// itemOf describes a roster item: the address, the subscription, and what there is
// beside these.
func itemOf(item *stream.Element) string {
	s := item.Attr("jid") + " " + item.Attr("subscription")
	for _, a := range []string{"ask", "approved", "name"} {
		if v := item.Attr(a); v != "" {
			s += " " + a + "=" + v
		}
	}
	for g := range item.Children() {
		s += " [" + g.Text() + "]"
	}
	return s
}

// saidAll is all that a resource has heard up to now. Inside a bubble only.
func (p *peer) saidAll() []string {
	synctest.Wait()
	var out []string
	for {
		select {
		case el := <-p.in:
			out = append(out, said(el))
		default:
			return out
		}
	}
}

// drop forgets what a resource has heard.
func (p *peer) drop() { p.saidAll() }

// resource connects a resource that is what its name says: "full" and "shown" are
// available, "full" and "list" are interested. It has heard nothing yet.
func resource(t *testing.T, s *xmpptest.Server, localpart, name string) *peer {
	t.Helper()
	p := join(t, s, localpart, name)
	if name == "full" || name == "list" {
		p.roster()
	}
	if name == "full" || name == "shown" {
		p.say(`<presence/>`)
	}
	p.drop()
	return p
}

// statePaths are the ways to each state from nothing: who sends what, "r" the user
// and "j" the contact.
var statePaths = map[string]string{
	"None":        "",
	"None+Out":    "r:subscribe",
	"None+In":     "j:subscribe",
	"None+Out+In": "r:subscribe j:subscribe",
	"To":          "r:subscribe j:subscribed",
	"To+In":       "r:subscribe j:subscribed j:subscribe",
	"From":        "j:subscribe r:subscribed",
	"From+Out":    "j:subscribe r:subscribed r:subscribe",
	"Both":        "r:subscribe j:subscribe r:subscribed j:subscribed",
	// The user approves beforehand what the contact has not asked for yet.
	"None!":     "r:subscribed",
	"None+Out!": "r:subscribed r:subscribe",
	"To!":       "r:subscribe j:subscribed r:subscribed",
	// The contact does.
	"None j!":    "j:subscribed",
	"None! j!":   "j:subscribed r:subscribed",
	"None+In j!": "j:subscribed j:subscribe",
	"From j!":    "j:subscribe r:subscribed j:subscribed",
}
