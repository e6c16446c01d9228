package xmpp_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// asking is a handler that asks the resource of juliet that a message names, with the
// same id each time, and keeps what becomes of it.
type asking struct {
	mu   sync.Mutex
	got  map[string]*stanza.IQ
	errs map[string]error
	stop context.CancelCauseFunc
}

func (a *asking) configure(s *xmpp.Server) {
	a.got, a.errs = map[string]*stanza.IQ{}, map[string]error{}
	handler(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
		m, ok := st.(*stanza.Message)
		if !ok {
			return stanza.ServiceUnavailable
		}
		resource := m.ID
		ctx, stop := context.WithCancelCause(ctx)
		a.mu.Lock()
		a.stop = stop
		a.mu.Unlock()
		reply, err := s.Do(ctx, &stanza.IQ{ID: "same", Type: stanza.GetIQ, To: address(full(resource)), Payload: query})
		a.mu.Lock()
		defer a.mu.Unlock()
		a.errs[resource] = err
		if reply != nil {
			a.got[resource] = reply.Clone()
		}
		return nil
	})(s)
}

func (a *asking) result(resource string) (reply *stanza.IQ, err error, over bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err, over = a.errs[resource]
	return a.got[resource], err, over
}

// A reply settles what the server has asked only if it comes from who was asked.
func adversarialR05(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var a asking
		s := memoryServer(t, a.configure)
		romeo := join(t, s, "romeo", "orchard")
		asked, other, eve := join(t, s, "juliet", "asked"), join(t, s, "juliet", "other"), join(t, s, "eve", "asked")
		romeo.say(`<message to='xmpp.test' id='asked'/>`)
		require.Equal(t, "same", asked.hear().Attr("id"))
		for _, p := range []*peer{other, eve, romeo} {
			for _, attr := range []string{"", " to='xmpp.test'", " to='" + p.LocalAddr().Bare().String() + "'", " from='" + p.LocalAddr().String() + "' to='xmpp.test'"} {
				p.say(`<iq type='result' id='same'` + attr + `/>`)
				p.say(`<iq type='error' id='same'` + attr + `><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`)
			}
		}
		// Whoever claims to be her does not stay.
		liar := join(t, s, "eve", "liar")
		liar.say(`<iq type='result' id='same' to='xmpp.test' from='` + full("asked") + `'/>`)
		require.ErrorIs(t, liar.ended(), stream.InvalidFrom)
		asked.say(`<iq type='result' id='Same' to='xmpp.test'/>`)
		asked.quiet()
		_, _, over := a.result("asked")
		require.False(t, over, "the request is pending")
		asked.say(`<iq type='result' id='same' to='xmpp.test'><right xmlns='urn:r'/></iq>`)
		asked.quiet()
		reply, err, _ := a.result("asked")
		require.NoError(t, err)
		require.Equal(t, "right", reply.Element().Name().Local)
		for _, p := range []*peer{romeo, other, eve} {
			p.quiet()
		}
	})
}

// The same id towards two at a time, replies that come twice, and one that comes too
// late.
func adversarialR07(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var a asking
		s := memoryServer(t, a.configure)
		romeo, nurse := join(t, s, "romeo", "orchard"), join(t, s, "nurse", "kitchen")
		x, y := join(t, s, "juliet", "x"), join(t, s, "juliet", "y")
		romeo.say(`<message to='xmpp.test' id='x'/>`)
		nurse.say(`<message to='xmpp.test' id='y'/>`)
		x.hear()
		y.hear()
		for range 3 {
			y.say(`<iq type='result' id='same' to='xmpp.test'><y xmlns='urn:r'/></iq>`)
		}
		y.quiet()
		_, _, over := a.result("x")
		require.False(t, over)
		x.say(`<iq type='result' id='same' to='xmpp.test'><x xmlns='urn:r'/></iq>`)
		x.quiet()
		for _, name := range []string{"x", "y"} {
			reply, err, _ := a.result(name)
			require.NoError(t, err)
			require.Equal(t, name, reply.Element().Name().Local)
			require.Equal(t, full(name), reply.From.String())
		}

		// Given up; the late answer is nobody's, not even that of the next request.
		romeo.say(`<message to='xmpp.test' id='x'/>`)
		x.hear()
		why := errors.New("bored")
		a.mu.Lock()
		a.stop(why)
		a.mu.Unlock()
		romeo.quiet()
		_, err, _ := a.result("x")
		require.ErrorIs(t, err, why)
		x.say(`<iq type='result' id='same' to='xmpp.test'><late xmlns='urn:r'/></iq>`)
		x.quiet()
		nurse.say(`<message to='xmpp.test' id='x'/>`)
		x.hear()
		x.say(`<iq type='result' id='same' to='xmpp.test'><next xmlns='urn:r'/></iq>`)
		x.quiet()
		reply, err, _ := a.result("x")
		require.NoError(t, err)
		require.Equal(t, "next", reply.Element().Name().Local)
	})
}

// The ids that the server makes: of roster pushes, of requests and of resources.
func adversarialR08(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := scaled(300, 3_000)
		s := memoryServer(t, nil)
		romeo := join(t, s, "romeo", "orchard")
		romeo.roster()
		var pushes, resources []string
		for i := range n {
			romeo.say(fmt.Sprintf(`<iq type='set' id='%d'><query xmlns='jabber:iq:roster'><item jid='juliet@xmpp.test' name='%d'/></query></iq>`, i, i))
			for range 2 {
				if el := romeo.hear(); el.Attr("type") == "set" {
					pushes = append(pushes, el.Attr("id"))
				}
			}
		}
		for range 60 {
			p := join(t, s, "juliet", "")
			resources = append(resources, p.LocalAddr().Resource())
		}
		require.Len(t, pushes, n)
		for _, ids := range [][]string{pushes, resources} {
			unique := map[string]bool{}
			for _, id := range ids {
				unique[id] = true
				require.GreaterOrEqual(t, len(id), 11, "64 bits in base64, at least")
			}
			require.Len(t, unique, len(ids))
			// No part of it is a counter or a clock: enough characters at most places
			// for 64 bits.
			places := 0
			for at := range ids[0] {
				seen := map[byte]bool{}
				for _, id := range ids {
					if at < len(id) {
						seen[id[at]] = true
					}
				}
				if len(seen) >= 14 { // 16 for hex, 32 or 64 for others
					places++
				}
			}
			require.GreaterOrEqual(t, places, 11, "%v", ids[:3])
		}
	})
}

// attribute matches one attribute of the XML below.
var attribute = regexp.MustCompile(` [a-z:]+='[^']*'`)

// Each stanza that the server itself understands with each attribute removed, empty
// and nonsense, and with nothing inside: a request gets one answer, nobody else hears
// what is not for them, and the session goes on or is ended by an error of its own.
func adversarialR18(t *testing.T) {
	for _, xml := range []string{
		`<iq type='get' id='1'><query xmlns='jabber:iq:roster' ver='1'/></iq>`,
		`<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='nurse@xmpp.test' name='N' subscription='none' ask='subscribe'><group>G</group></item></query></iq>`,
		`<iq type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='juliet@xmpp.test' subscription='remove'/></query></iq>`,
		`<iq type='set' id='1'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`,
		`<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind></iq>`,
		`<iq type='get' id='1' to='xmpp.test'><ping xmlns='urn:xmpp:ping'/></iq>`,
		`<iq type='get' id='1' to='juliet@xmpp.test'><query xmlns='urn:q' node='n'/></iq>`,
		`<iq type='error' id='1' to='xmpp.test'><error type='cancel' by='x'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
		`<presence id='1' xml:lang='en'><show>away</show><priority>1</priority><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n' ver='v'/></presence>`,
		`<presence id='1' type='unavailable'/>`,
		`<presence id='1' type='probe' to='juliet@xmpp.test'/>`,
		`<presence id='1' type='subscribe' to='juliet@xmpp.test'/>`,
		`<presence id='1' type='subscribed' to='juliet@xmpp.test'/>`,
		`<presence id='1' type='error' to='juliet@xmpp.test'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`,
		`<message id='1' type='chat' to='juliet@xmpp.test' xml:lang='en'><body xml:lang='en'>b</body><delay xmlns='urn:xmpp:delay' stamp='2000-01-01T00:00:00Z' from='x'/></message>`,
		`<message id='1' type='groupchat' to='juliet@xmpp.test/balcony'/>`,
	} {
		broken := []string{xml}
		for _, at := range attribute.FindAllStringIndex(xml, -1) {
			name, _, _ := strings.Cut(xml[at[0]:at[1]], "=")
			for _, with := range []string{"", name + "=''", name + "=' '", name + "='&lt;'", name + "='" + strings.Repeat("\U0001F480", 2000) + "'"} {
				broken = append(broken, xml[:at[0]]+with+xml[at[1]:])
			}
		}
		open := xml[:strings.Index(xml, ">")]
		if !strings.HasSuffix(open, "/") {
			broken = append(broken, open+"/>")
		}
		t.Run(xml[:min(len(xml), 40)], func(t *testing.T) {
			bubble(t, func(t *testing.T) { sayBroken(t, broken) })
		})
	}
}

func sayBroken(t *testing.T, broken []string) {
	rosters := new(roster.MemoryStore)
	s := memoryServer(t, func(s *xmpp.Server) { s.Rosters = rosters })
	juliet, tybalt := join(t, s, "juliet", "balcony"), join(t, s, "tybalt", "street")
	juliet.say(`<presence/>`)
	tybalt.say(`<presence/>`)
	juliet.hear()
	tybalt.hear()
	var romeo *peer
	for i, xml := range broken {
		if romeo == nil {
			romeo = join(t, s, "romeo", fmt.Sprint("orchard", i))
		}
		romeo.Send(t.Context(), raw(xml))
		juliet.quietOrFrom(romeo.LocalAddr().Bare())
		tybalt.quiet()
		answers := 0
		for len(romeo.in) > 0 {
			el := <-romeo.in
			if el.Attr("id") == "1" && el.Name().Local == "iq" {
				answers++
				require.Contains(t, []string{"result", "error"}, el.Attr("type"), xml)
			}
			if el.Attr("type") == "error" {
				require.NotContains(t, look(el), "internal-server-error", xml)
			}
		}
		select {
		case err := <-romeo.over:
			var e *stream.Error
			require.ErrorAs(t, err, &e, "%s", xml)
			require.NotEqual(t, stream.InternalServerError, e.Condition, "%s", xml)
			romeo = nil
			continue
		default:
		}
		if strings.HasPrefix(xml, "<iq") && (strings.Contains(xml, " type='get'") || strings.Contains(xml, " type='set'")) && strings.Contains(xml, " id='1'") {
			require.Equal(t, 1, answers, xml)
		}
		romeo.say(`<iq type='get' id='alive' to='xmpp.test'><ping xmlns='urn:xmpp:ping'/></iq>`)
		romeo.hears("iq result xmpp.test→" + romeo.LocalAddr().String() + " alive")
	}
	_, err := rosters.Roster(t.Context(), address("romeo@xmpp.test"))
	require.NoError(t, err)
}

// quietOrFrom requires that what has come is from these accounts.
func (p *peer) quietOrFrom(accounts ...jid.JID) {
	p.t.Helper()
	p.roundOf(func(el *stream.Element) {
		from, err := el.From()
		require.NoError(p.t, err)
		require.Contains(p.t, accounts, from.Bare(), "%s", el.Raw())
	})
}
