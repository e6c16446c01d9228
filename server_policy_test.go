package xmpp_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
)

// policy is a module of a program: rules before, at and after delivery.
type policy struct {
	mu      sync.Mutex // readers of many sessions ask it
	before  func(t *stanza.Transit) stanza.Verdict
	gate    func(from, to jid.JID) stanza.Verdict
	deliver func(t *stanza.Transit)
	became  []string
}

// set changes the rules.
func (p *policy) set(change func(p *policy)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// told returns what became of the stanzas since the last call. Inside a bubble only.
func (p *policy) told() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	became := p.became
	p.became = nil
	return became
}

func (*policy) Name() string               { return "policy" }
func (*policy) Register(*stanza.Mux) error { return nil }

func (p *policy) BeforeRoute(_ context.Context, t *stanza.Transit) stanza.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.before == nil {
		return stanza.Pass()
	}
	return p.before(t)
}

func (p *policy) Gate(from, to jid.JID, _ stanza.Kind, _ string) stanza.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate == nil {
		return stanza.Pass()
	}
	return p.gate(from, to)
}

func (p *policy) BeforeDeliver(_ context.Context, t *stanza.Transit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deliver != nil {
		p.deliver(t)
	}
}

func (p *policy) AfterRoute(_ context.Context, t *stanza.Transit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	got := ""
	for _, r := range t.Delivered {
		got += " " + r.Addr().String()
	}
	p.became = append(p.became, fmt.Sprintf("%s %s→%s:%s stored=%t refused=%v", t.Kind, t.From, t.To, got, t.Stored, t.Refused))
}

// What a module says before a stanza is routed is done, whatever it is.
func TestPolicyVerdicts(t *testing.T) {
	for name, c := range map[string]struct {
		verdict      stanza.Verdict
		say          string
		romeo, nurse string // what they hear; "" for nothing. Juliet, who is asked for, hears nothing.
	}{
		"drop message":      {stanza.Drop(), `<message to='juliet@xmpp.test' id='1'><body/></message>`, "", ""},
		"drop presence":     {stanza.Drop(), `<presence to='juliet@xmpp.test/balcony' id='1'/>`, "", ""},
		"drop request":      {stanza.Drop(), `<iq type='get' to='juliet@xmpp.test/balcony' id='1'><q xmlns='urn:q'/></iq>`, "iq error juliet@xmpp.test/balcony→romeo@xmpp.test/orchard 1 service-unavailable", ""},
		"drop own request":  {stanza.Drop(), `<iq type='get' id='1'><q xmlns='urn:q'/></iq>`, "iq error -→romeo@xmpp.test/orchard 1 service-unavailable", ""},
		"bounce message":    {stanza.Bounce(stanza.PolicyViolation), `<message to='juliet@xmpp.test' id='1'><body/></message>`, "message error juliet@xmpp.test→romeo@xmpp.test/orchard 1 policy-violation", ""},
		"bounce presence":   {stanza.Bounce(&stanza.Error{Condition: stanza.NotAcceptable}), `<presence to='juliet@xmpp.test' id='1'/>`, "presence error juliet@xmpp.test→romeo@xmpp.test/orchard 1 not-acceptable", ""},
		"bounce subscribe":  {stanza.Bounce(stanza.NotAllowed), `<presence type='subscribe' to='juliet@xmpp.test' id='1'/>`, "presence error juliet@xmpp.test→romeo@xmpp.test/orchard 1 not-allowed", ""},
		"bounce request":    {stanza.Bounce(stanza.Forbidden), `<iq type='set' to='juliet@xmpp.test/balcony' id='1'><q xmlns='urn:q'/></iq>`, "iq error juliet@xmpp.test/balcony→romeo@xmpp.test/orchard 1 forbidden", ""},
		"bounce error":      {stanza.Bounce(stanza.Forbidden), `<message type='error' to='juliet@xmpp.test/balcony' id='1'><body/></message>`, "", ""},
		"bounce result":     {stanza.Bounce(stanza.Forbidden), `<iq type='result' to='juliet@xmpp.test/balcony' id='1'/>`, "", ""},
		"redirect":          {stanza.RedirectTo(address("nurse@xmpp.test")), `<message to='juliet@xmpp.test' type='chat' id='1'><body/></message>`, "", "message chat romeo@xmpp.test/orchard→nurse@xmpp.test 1"},
		"redirect to full":  {stanza.RedirectTo(address("nurse@xmpp.test/kitchen")), `<message to='juliet@xmpp.test/balcony' id='1'><body/></message>`, "", "message - romeo@xmpp.test/orchard→nurse@xmpp.test/kitchen 1"},
		"redirect to none":  {stanza.RedirectTo(address("nobody@xmpp.test")), `<message to='juliet@xmpp.test' id='1'><body/></message>`, "message error juliet@xmpp.test→romeo@xmpp.test/orchard 1 service-unavailable", ""},
		"redirect presence": {stanza.RedirectTo(address("nurse@xmpp.test/kitchen")), `<presence to='juliet@xmpp.test' id='1'/>`, "", "presence - romeo@xmpp.test/orchard→nurse@xmpp.test/kitchen 1"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := new(policy)
				s := memoryServer(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, p) })
				romeo, juliet, nurse := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony"), join(t, s, "nurse", "kitchen")
				for _, one := range []*peer{romeo, juliet, nurse} {
					one.say(`<presence/>`)
					one.hear()
				}
				share(juliet, romeo)
				p.set(func(p *policy) { p.before = func(*stanza.Transit) stanza.Verdict { return c.verdict } })
				romeo.say(c.say)
				for who, want := range map[*peer]string{romeo: c.romeo, nurse: c.nurse, juliet: ""} {
					if want != "" {
						who.hears(want)
					}
					who.quiet()
				}
			})
		})
	}
}

// A module can change what is delivered, to whom it goes and learns what became of it;
// two addresses can be kept apart whatever they say.
func TestPolicyBeforeAndAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := new(policy)
		s := memoryServer(t, func(s *xmpp.Server) { s.Modules = append(s.Modules, p) })
		s.AddAccount(t, "paris", "secret of paris")
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		juliet.hear()
		secret := func(el *stream.Element) bool { return el.Name().Space == "urn:secret" }
		stamp := address("xmpp.test")
		p.set(func(p *policy) {
			p.before = func(t *stanza.Transit) stanza.Verdict {
				if err := t.Remove(secret); err != nil {
					return stanza.Bounce(err)
				}
				return stanza.Pass()
			}
			p.deliver = func(t *stanza.Transit) {
				t.Append(delay.Delay{From: stamp, Stamp: time.Unix(0, 0)})
			}
		})
		p.told()
		romeo.say(`<message to='juliet@xmpp.test' id='1'><body>a &amp; b</body><x xmlns='urn:secret'>x</x><y xmlns='urn:y'/></message>`)
		el := juliet.hears("message - romeo@xmpp.test/orchard→juliet@xmpp.test 1")
		require.Contains(t, string(el.Raw()), "<body>a &amp; b</body><y xmlns='urn:y'/><delay")
		require.NotContains(t, string(el.Raw()), "secret")
		romeo.say(`<message to='paris@xmpp.test' id='2'><body>later</body></message>`)
		romeo.say(`<message to='nobody@xmpp.test' id='3'><body>never</body></message>`)
		romeo.hears("message error nobody@xmpp.test→romeo@xmpp.test/orchard 3 service-unavailable")
		require.Equal(t, []string{
			"message romeo@xmpp.test/orchard→juliet@xmpp.test: juliet@xmpp.test/balcony stored=false refused=<nil>",
			"message romeo@xmpp.test/orchard→paris@xmpp.test: stored=true refused=<nil>",
			"message romeo@xmpp.test/orchard→nobody@xmpp.test: stored=false refused=service-unavailable",
		}, p.told())

		p.set(func(p *policy) {
			p.deliver = nil
			p.gate = func(from, to jid.JID) stanza.Verdict {
				if from.Bare() == address("romeo@xmpp.test") && to.Bare() == address(julietJID) {
					return stanza.Drop()
				}
				return stanza.Pass()
			}
		})
		for _, xml := range []string{
			`<message to='juliet@xmpp.test' id='4'/>`, `<message to='juliet@xmpp.test/balcony' id='4'/>`, `<presence to='juliet@xmpp.test/balcony' id='4'/>`,
			`<presence type='subscribe' to='juliet@xmpp.test' id='4'/>`, `<presence type='probe' to='juliet@xmpp.test' id='4'/>`, `<presence/>`,
		} {
			romeo.say(xml)
		}
		juliet.quiet()
		juliet.say(`<message to='romeo@xmpp.test/orchard' id='5'/>`)
		romeo.hears("presence - romeo@xmpp.test/orchard→romeo@xmpp.test -")
		romeo.hears("message - juliet@xmpp.test/balcony→romeo@xmpp.test/orchard 5")
		romeo.quiet()
	})
}
