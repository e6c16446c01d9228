package xmpp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

//conformance:proves 6120-8.1.1.1-3 6120-8.1.2.1-1 6120-8.1.2.1-2 6120-8.1.3-3 6120-8.2.1-1 6120-8.3.1-3 6120-8.3.1-5 6120-8.4-13 6120-10.5.4-2
//conformance:proves 6121-8.5.2.1.1-3 6121-8.5.2.1.1-17 6121-8.5.3.1-3 6121-8.5.3.1-4 6121-8.5.3.1-5
func TestServerRoutesMessagesPresenceAndIQ(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")

		romeo.say(`<message to='juliet@xmpp.test/balcony' type='chat' id='m1'><body>hello &amp; goodbye</body><x xmlns='urn:x'/></message>`)
		m := juliet.hears("message chat romeo@xmpp.test/orchard→juliet@xmpp.test/balcony m1")
		require.Contains(t, string(m.Raw()), `<body>hello &amp; goodbye</body><x xmlns='urn:x'/>`, "the contents pass unchanged")

		romeo.say(`<message to='juliet@xmpp.test' id='m2'/>`)
		romeo.quiet() // it waits
		juliet.say(`<presence/>`)
		juliet.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test -")
		juliet.hears("message - romeo@xmpp.test/orchard→juliet@xmpp.test m2")
		romeo.say(`<message to='juliet@xmpp.test' id='m3'/>`)
		juliet.hears("message - romeo@xmpp.test/orchard→juliet@xmpp.test m3")

		romeo.say(`<presence to='juliet@xmpp.test/balcony' type='unavailable'/>`)
		juliet.hears("presence unavailable romeo@xmpp.test/orchard→juliet@xmpp.test/balcony -")

		romeo.say(`<iq to='juliet@xmpp.test/balcony' type='get' id='q0'><query xmlns='urn:q'/></iq>`)
		romeo.hears("iq error juliet@xmpp.test/balcony→romeo@xmpp.test/orchard q0 service-unavailable")
		share(juliet, romeo)
		romeo.say(`<iq to='juliet@xmpp.test/balcony' type='get' id='q1'><query xmlns='urn:q'/></iq>`)
		juliet.hears("iq get romeo@xmpp.test/orchard→juliet@xmpp.test/balcony q1")
		juliet.say(`<iq to='romeo@xmpp.test/orchard' type='result' id='q1'/>`)
		romeo.hears("iq result juliet@xmpp.test/balcony→romeo@xmpp.test/orchard q1")
		romeo.quiet()
		juliet.quiet()
	})
}

//conformance:proves 6121-4.2.2-2 6121-4.5.2-1 6121-4.5.2-5
func TestPresenceOfAnAccountsResources(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		balcony, chamber, tomb := join(t, s, "juliet", "balcony"), join(t, s, "juliet", "chamber"), join(t, s, "juliet", "tomb")
		balcony.say(`<presence><priority> 5 </priority></presence>`)
		balcony.hears("presence - juliet@xmpp.test/balcony→juliet@xmpp.test -")
		chamber.say(`<presence><priority>-1</priority></presence>`)
		chamber.hears("presence - juliet@xmpp.test/chamber→juliet@xmpp.test -")
		balcony.hears("presence - juliet@xmpp.test/chamber→juliet@xmpp.test -")
		tomb.quiet() // has not sent presence

		// The resource that leaves without a word (RFC 6121 §4.5.2).
		chamber.Abort(stream.ErrTruncated)
		balcony.hears("presence unavailable juliet@xmpp.test/chamber→juliet@xmpp.test -")

		// And one that says so, which is said once.
		balcony.say(`<presence type='unavailable'><status>bye</status></presence>`)
		bye := balcony.hears("presence unavailable juliet@xmpp.test/balcony→juliet@xmpp.test -")
		require.Contains(t, string(bye.Raw()), "<status>bye</status>")
		require.NoError(t, balcony.Close(t.Context()))
		tomb.quiet()
	})
}

//conformance:proves 6121-8.5.2.1.1-8 6121-8.5.2.1.1-15
func TestPresencePriorityDecides(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo := join(t, s, "romeo", "orchard")
		high, low := join(t, s, "juliet", "high"), join(t, s, "juliet", "low")
		low.say(`<presence><priority>3</priority></presence>`)
		low.hear()
		high.say(`<presence/>`)
		high.hears("presence - juliet@xmpp.test/high→juliet@xmpp.test -")
		high.hears("presence - juliet@xmpp.test/low→juliet@xmpp.test -") // what was there before it
		low.hear()
		for priority, toHigh := range map[string]bool{
			"<priority>7</priority>": true, "<priority> 127\n</priority>": true, "": false, "<priority>-128</priority>": false,
			// RFC 6121 §4.7.2.3: what is no integer in the range counts as none.
			"<priority>128</priority>": false, "<priority>x</priority>": false, "<priority/>": false, "<priority>+9999999999999</priority>": false,
			"<priority xmlns='urn:other'>100</priority>": false,
		} {
			high.say(`<presence>` + priority + `</presence>`)
			high.hear()
			low.hear()
			romeo.say(`<message to='juliet@xmpp.test' type='chat' id='` + fmt.Sprint(toHigh) + `'/>`)
			got := low
			if toHigh {
				got = high
			}
			require.Equal(t, "message", got.hear().Name().Local, priority)
			high.quiet()
			low.quiet()
		}
	})
}

// RFC 6120 §8.1.2.1 rule 1.

//conformance:proves 6120-8.1.2.1-1 6120-8.1.2.1-2 6120-4.3.6-1 6120-4.3.6-3
func adversarialR09(t *testing.T) {
	const own = "romeo@xmpp.test/orchard"
	t.Run("own", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			s := memoryServer(t, nil)
			romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
			share(juliet, romeo)
			for i, from := range []string{"", ` from='romeo@xmpp.test'`, ` from='romeo@xmpp.test/orchard'`, ` from='ROMEO@XMPP.test/orchard'`} {
				for _, kind := range []string{"message", "presence", "iq type='get'"} {
					id := fmt.Sprintf("%d", i)
					name, _, _ := strings.Cut(kind, " ")
					romeo.say(`<` + kind + from + ` to='juliet@xmpp.test/balcony' id='` + id + `'><x xmlns='urn:x'/></` + name + `>`)
					t.Logf("%s from %q", kind, from)
					el := juliet.hear()
					require.Equal(t, own, el.Attr("from"), from)
					require.Equal(t, 1, strings.Count(string(el.Raw()), "from="), "%s", el.Raw())
				}
			}
		})
	})
	for _, from := range []string{
		"juliet@xmpp.test", "juliet@xmpp.test/balcony", "romeo@xmpp.test/elsewhere", "xmpp.test", "romeo@other.example",
		"romeo@xmpp.test/orchard/x", "", "@", "romeo@xmpp.test/orchard ", "romeo@xmpp.test/Orchard",
	} {
		for _, kind := range []string{"message", "presence", "iq type='set'"} {
			t.Run(kind+" of "+from, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					s := memoryServer(t, nil)
					romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
					share(juliet, romeo)
					name, _, _ := strings.Cut(kind, " ")
					// The second must not arrive either.
					for _, payload := range []string{"<x xmlns='urn:x'/>", "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>"} {
						romeo.Send(t.Context(), raw(`<`+kind+` from='`+from+`' to='juliet@xmpp.test/balcony' id='1'>`+payload+`</`+name+`>`))
					}
					require.ErrorIs(t, romeo.ended(), stream.InvalidFrom)
					juliet.quiet()
					require.Empty(t, romeo.in)
				})
			})
		}
	}
}

// A session that has authenticated is asked for its own address first, whatever
// the stanza is about.
func TestLegacySessionOfSomebodyElseRFC6120Section8_1_2_1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<iq type='set' id='s' from='juliet@xmpp.test'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`)
		require.ErrorIs(t, romeo.ended(), stream.InvalidFrom)
		require.Empty(t, romeo.in)
	})
}

func TestLegacySessionIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.Handler = nil })
		romeo := join(t, s, "romeo", "orchard")
		romeo.say(`<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`)
		romeo.hears("iq result -→- s")
		romeo.say(`<iq type='set' id='s2' to='xmpp.test'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`)
		romeo.hears("iq result -→- s2")
		romeo.quiet()
	})
}

// RFC 6120 §4.7.4: the default language of a stream is not lost with it.
//
//conformance:proves 6120-4.7.4-7 6120-4.7.4-8 6120-4.7.4-9 6120-4.7.4-10 6120-8.1.5-2 6120-8.1.5-5
//conformance:proves 6120-8.1.5-3
func TestLanguageOfTheStreamRFC6120Section4_7_4(t *testing.T) {
	for _, c := range []struct{ stream, stanza, want string }{
		{"xml:lang='de'", "", "de"},
		{"xml:lang='de'", "xml:lang='fr'", "fr"},
		{"xml:lang='de'", "xml:lang=''", ""},
		{"", "", ""},
		{"", "xml:lang='fr'", "fr"},
		{`xml:lang="de'&gt;&lt;x"`, "", ""}, // no language tag
	} {
		t.Run(c.stream+" "+c.stanza, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, allowPlain)
				juliet := join(t, s, "juliet", "balcony")
				romeo := dialWire(t, s)
				romeo.login("romeo", "orchard", c.stream)
				romeo.say(`<message to='juliet@xmpp.test/balcony' ` + c.stanza + `><body>hi</body></message>`)
				el := juliet.hear()
				require.Equal(t, c.want, el.Lang(), "%s", el.Raw())
				require.LessOrEqual(t, strings.Count(string(el.Raw()), "lang="), 1, "%s", el.Raw())
			})
		})
	}
}

//conformance:proves 6120-8.3.1-1 6120-8.3.1-2 6120-8.3.1-10
func TestMalformedAddressRFC6120Section8_3_3_8(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo := join(t, s, "romeo", "orchard")
		for _, to := range []string{"", "@", "juliet@", "@xmpp.test", "juliet@xmpp.test/", "a@b@c@/", "xmpp test", strings.Repeat("x", 2000)} {
			for kind, name := range map[string]string{"message": "message", "presence": "presence", "iq type='get'": "iq"} {
				romeo.say(`<` + kind + ` id='1' to='` + to + `'><x xmlns='urn:x'/></` + name + `>`)
				romeo.hears(name + " error -→romeo@xmpp.test/orchard 1 jid-malformed")
			}
			for _, kind := range []string{"message type='error'", "presence type='error'", "iq type='error'", "iq type='result'"} {
				name, _, _ := strings.Cut(kind, " ")
				romeo.say(`<` + kind + ` id='1' to='` + to + `'/>`)
				_ = name
			}
			romeo.quiet()
		}
	})
}

// RFC 6120 §8.2.3, §8.3.1 rule 8: malformed requests are refused whoever they
// are for, and errors and results are never answered.
//
//conformance:proves 6120-8.2.3-3 6120-8.2.3-6 6120-8.3.1-2 6120-8.3.1-3 6120-8.3.1-5 6120-8.3.1-10 6121-4.7.1-4
func adversarialR19(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		for _, to := range []string{"", "xmpp.test", "romeo@xmpp.test", "juliet@xmpp.test", "juliet@xmpp.test/balcony", "juliet@xmpp.test/nowhere", "other.example"} {
			attr, from := "", "-"
			if to != "" {
				attr, from = " to='"+to+"'", to
			}
			for _, c := range []struct{ xml, id string }{
				{`<iq type='get'` + attr + `><q xmlns='urn:q'/></iq>`, "-"},
				{`<iq type='set'` + attr + `><q xmlns='urn:q'/></iq>`, "-"},
				{`<iq type='foo' id='1'` + attr + `><q xmlns='urn:q'/></iq>`, "1"},
				{`<iq id='1'` + attr + `><q xmlns='urn:q'/></iq>`, "1"},
				{`<iq type='GET' id='1'` + attr + `><q xmlns='urn:q'/></iq>`, "1"},
				{`<iq type='get' id='1'` + attr + `/>`, "1"},
				{`<iq type='set' id='1'` + attr + `>text</iq>`, "1"},
				{`<iq type='get' id='1'` + attr + `><q xmlns='urn:q'/><q xmlns='urn:q'/></iq>`, "1"},
				{`<iq type='set' id='1'` + attr + `><q xmlns='urn:q'/><r xmlns='urn:r'/></iq>`, "1"},
			} {
				romeo.say(c.xml)
				require.Equal(t, "iq error "+from+"→romeo@xmpp.test/orchard "+c.id+" bad-request", look(romeo.hear()), c.xml)
			}
			for _, xml := range []string{
				`<iq type='error'` + attr + `/>`, // without an id
				`<iq type='result'` + attr + `/>`,
				`<message type='error' id='1'` + attr + `/>`,
				`<presence type='error' id='1'` + attr + `/>`,
				`<iq type='error' id='1'` + attr + `><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
				`<iq type='error' id='1'` + attr + `><q xmlns='urn:q'/><r xmlns='urn:r'/></iq>`,
				`<iq type='result' id='1'` + attr + `><q xmlns='urn:q'/><r xmlns='urn:r'/></iq>`,
			} {
				romeo.say(xml)
			}
			romeo.quiet()
		}
		// What is in order passed, what is not did not.
		for len(juliet.in) > 0 {
			el := <-juliet.in
			require.Contains(t, []string{"error", "result"}, el.Attr("type"))
		}
		// RFC 6121 §4.7.1.
		romeo.say(`<presence type='foo' id='p' to='juliet@xmpp.test/balcony'/>`)
		romeo.hears("presence error juliet@xmpp.test/balcony→romeo@xmpp.test/orchard p bad-request")
		romeo.say(`<presence type='available' id='p'/>`)
		romeo.hears("presence error -→romeo@xmpp.test/orchard p bad-request")
		juliet.quiet()
	})
}

// RFC 6120 §4.8.5: a prefix that the sender declared on its stream header means
// nothing on the stream of the recipient.
//
//conformance:proves 6120-4.8.5-11
func adversarialX28(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, allowPlain)
		juliet := join(t, s, "juliet", "balcony")
		romeo, mute := dialWire(t, s), dialWire(t, s)
		romeo.login("romeo", "orchard", `xmlns:ext='urn:ext' xmlns:same='urn:one'`)
		mute.login("nurse", "kitchen", "")

		message := `<message to='%s' id='1'><ext:thing ext:a='1'><plain xmlns='urn:p'><ext:deep/></plain></ext:thing><same:x xmlns:same='urn:two'/></message>`
		romeo.say(fmt.Sprintf(message, "juliet@xmpp.test/balcony"))
		el := juliet.hear()
		thing, ok := el.Child(stream.Name{Space: "urn:ext", Local: "thing"})
		require.True(t, ok, "%s", el.Raw())
		v, ok := thing.AttrNS(stream.Name{Space: "urn:ext", Local: "a"})
		require.True(t, ok)
		require.Equal(t, "1", string(v))
		plain, ok := thing.Child(stream.Name{Space: "urn:p", Local: "plain"})
		require.True(t, ok)
		_, ok = plain.Child(stream.Name{Space: "urn:ext", Local: "deep"})
		require.True(t, ok)
		_, ok = el.Child(stream.Name{Space: "urn:two", Local: "x"})
		require.True(t, ok)

		// The bytes alone, as a client gets them that never heard of "ext".
		romeo.say(fmt.Sprintf(message, "nurse@xmpp.test/kitchen"))
		out := mute.until("</message>")
		_, err := stream.ParseElement([]byte(out), nil)
		require.NoError(t, err, out)
		require.Contains(t, out, "urn:ext")
	})
}

// RFC 6120 §10.1: what one client sends to another arrives in order, whichever
// address it is sent to and whatever it is.
//
//conformance:proves 6120-10.1-1 6120-10.1-2
func TestOrderRFC6120Section10_1(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, juliet := join(t, s, "romeo", "orchard"), join(t, s, "juliet", "balcony")
		juliet.say(`<presence/>`)
		juliet.hear()
		share(juliet, romeo)
		for i := range 300 {
			to := []string{"juliet@xmpp.test", "juliet@xmpp.test/balcony"}[i%2]
			switch i % 3 {
			case 0:
				romeo.say(fmt.Sprintf(`<message to='%s' id='%d'/>`, to, i))
			case 1:
				romeo.say(fmt.Sprintf(`<presence to='%s' id='%d'/>`, to, i))
			default:
				romeo.say(fmt.Sprintf(`<iq type='get' to='juliet@xmpp.test/balcony' id='%d'><q xmlns='urn:q'/></iq>`, i))
			}
		}
		for i := range 300 {
			require.Equal(t, fmt.Sprint(i), juliet.hear().Attr("id"))
		}
	})
}

//conformance:proves 6120-10.4.3-1
func TestSeveralDomains(t *testing.T) {
	bubble(t, func(t *testing.T) {
		second := jid.MustParse("second.test")
		s := memoryServer(t, func(s *xmpp.Server) { s.Domains = append(s.Domains, second) })
		romeo := join(t, s, "romeo", "orchard")
		require.NoError(t, s.Accounts.Set(t.Context(), address("romeo@second.test"), "other"))
		romeo.say(`<message to='romeo@second.test/orchard' id='1'/>`)
		romeo.hears("message error romeo@second.test/orchard→romeo@xmpp.test/orchard 1 service-unavailable")
		romeo.say(`<message to='romeo@third.test/orchard' id='2'/>`)
		romeo.hears("message error romeo@third.test/orchard→romeo@xmpp.test/orchard 2 remote-server-not-found")
		romeo.say(`<iq type='get' to='second.test' id='3'><ping xmlns='urn:xmpp:ping'/></iq>`)
		romeo.hears("iq result second.test→romeo@xmpp.test/orchard 3")

		// The account of the other domain has another password, and is not let in
		// with this one.
		_, err := s.Client(address("romeo@second.test"), "secret of romeo").Connect(t.Context())
		require.Error(t, err)
	})
}

func TestStanzaConnTalksToTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, nil)
		romeo, juliet := s.Connect(t, "romeo"), s.Connect(t, "juliet")
		require.NoError(t, romeo.Send(t.Context(), &stanza.Message{To: juliet.LocalAddr(), Body: stanza.Plain("hi")}))
		m := next(t, juliet).(*stanza.Message)
		require.Equal(t, romeo.LocalAddr(), m.From)
		_, err := romeo.Do(t.Context(), &stanza.IQ{Type: stanza.GetIQ, To: address("other.example"), Payload: raw("<q xmlns='urn:q'/>")})
		require.ErrorIs(t, err, stanza.RemoteServerNotFound)
	})
}

// RFC 6121 §4.6.3: whoever got directed presence is told when it ends.
//
//conformance:proves 6121-4.6.1-4 6121-4.6.3-7
func TestDirectedPresenceEndsRFC6121Section4_6_3(t *testing.T) {
	const here, gone = "presence - ", "presence unavailable "
	const path = "romeo@xmpp.test/orchard→"
	for name, leave := range map[string]func(t *testing.T, s *xmpptest.Server, romeo *peer){
		"unavailable": func(_ *testing.T, _ *xmpptest.Server, romeo *peer) { romeo.say(`<presence type='unavailable'/>`) },
		"closes":      func(t *testing.T, _ *xmpptest.Server, romeo *peer) { require.NoError(t, romeo.Close(t.Context())) },
		"vanishes":    func(_ *testing.T, _ *xmpptest.Server, romeo *peer) { romeo.Abort(stream.ErrTruncated) },
		"replaced":    func(t *testing.T, s *xmpptest.Server, _ *peer) { join(t, s, "romeo", "orchard") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := memoryServer(t, nil)
				romeo := join(t, s, "romeo", "orchard")
				full, bare, told, stranger := join(t, s, "juliet", "balcony"), join(t, s, "nurse", "kitchen"), join(t, s, "friar", "cell"), join(t, s, "tybalt", "street")
				bare.say(`<presence/>`)
				bare.hear()
				for _, to := range []string{"juliet@xmpp.test/balcony", "nurse@xmpp.test", "friar@xmpp.test/cell", "nobody@xmpp.test", "nobody@xmpp.test/x"} {
					romeo.say(`<presence to='` + to + `'/>`)
				}
				romeo.say(`<presence to='friar@xmpp.test/cell' type='unavailable'/>`)
				full.hears(here + path + "juliet@xmpp.test/balcony -")
				bare.hears(here + path + "nurse@xmpp.test -")
				told.hears(here + path + "friar@xmpp.test/cell -")
				told.hears(gone + path + "friar@xmpp.test/cell -")
				leave(t, s, romeo)
				full.hears(gone + path + "juliet@xmpp.test/balcony -")
				bare.hears(gone + path + "nurse@xmpp.test -")
				for _, p := range []*peer{full, bare, told, stranger} {
					p.quiet()
				}
				// Once only.
				romeo.Abort(stream.ErrTruncated)
				full.quiet()
			})
		})
	}
}

func TestDirectedPresenceIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := memoryServer(t, func(s *xmpp.Server) { s.MaxResources = 300 })
		romeo := join(t, s, "romeo", "orchard")
		var all []*peer
		for i := range 257 {
			all = append(all, join(t, s, "juliet", fmt.Sprint(i)))
		}
		for i := range 257 {
			romeo.say(fmt.Sprintf(`<presence id='%d' to='juliet@xmpp.test/%d'/>`, i, i))
		}
		romeo.hears("presence error juliet@xmpp.test/256→romeo@xmpp.test/orchard 256 resource-constraint")
		all[256].quiet()
		romeo.say(`<presence to='juliet@xmpp.test/0' type='unavailable'/>`)
		romeo.say(`<presence to='juliet@xmpp.test/256'/>`)
		require.Equal(t, "presence", all[256].hear().Name().Local)
		romeo.quiet()
	})
}
