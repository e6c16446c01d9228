package auth_test

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

// TestAdversarial holds what an attacker would try, one subtest for each kind of attack, on the
// side that has to withstand it.
func TestAdversarial(t *testing.T) {
	t.Run("T01", noStartTLS)
	t.Run("T02", oddFeatures)
	t.Run("T10", fromIsNotWhoAuthenticates)
	t.Run("T14", authBeforeTLS)
	t.Run("C13", distinguishedNames)
	t.Run("S02", plainGrammar)
	t.Run("S04", func(t *testing.T) { headersDiffer(t, "S04") })
	t.Run("S12", strippedPlusIsNoticed)
	t.Run("S13", clientSaysWhatItSaw)
	t.Run("S14", flagsAndMechanismsDisagree)
	t.Run("S17", realManInTheMiddle)
	t.Run("S18", func(t *testing.T) { headersDiffer(t, "S18") })
	t.Run("S19", announcedTypes)
	t.Run("S23", func(t *testing.T) {
		tooManyAttempts(t)
		t.Run("streams", attemptsAcrossStreams)
	})
	t.Run("S24", certificates)
	t.Run("S25", externalWithoutCertificate)
	t.Run("S29", elementsOutOfTurn)
	t.Run("S31", anonymousNames)
	t.Run("S32", twoProfiles)
	t.Run("L08", authTooLarge)
	t.Run("S04 SASL 2", authzidOverSASL2)
	t.Run("T10 SASL 2", fromIsNotWhoAuthenticates2)
	t.Run("T22 SASL 2", pipelinedBehindAuthenticate)
	t.Run("S17 SASL 2", manInTheMiddleOfSASL2)
	t.Run("S19 SASL 2", bindingTypesOfSASL2)
	t.Run("S23 SASL 2", tooManyAttempts2)
	t.Run("S29 SASL 2", elementsOutOfTurn2)
	t.Run("S30", misusedTokens)
	t.Run("S31 tokens", tokensAreRandom)
	t.Run("S32 SASL 2", profilesMixed)
	t.Run("S33", nothingBeforeSuccess)
	t.Run("L08 SASL 2", sasl2Limits)
}

// T01: features without <starttls/>. A client that wants TLS sends nothing of an authentication,
// with or without the feature that insists on TLS.
func noStartTLS(t *testing.T) {
	offers := map[string]string{
		"PLAIN":     features("PLAIN"),
		"SCRAM":     features("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"),
		"EXTERNAL":  features("EXTERNAL", "ANONYMOUS"),
		"no offers": `<stream:features/>`,
	}
	for name, offer := range offers {
		for _, starttls := range []bool{true, false} {
			t.Run(fmt.Sprintf("client/%s/%t", name, starttls), func(t *testing.T) {
				io := clientWith(&auth.ClientOptions{Password: "r0m30", AllowPlain: true})
				io.Security = nil
				want := stream.ErrNoProgress
				if starttls {
					io.Features = append([]stream.Feature{xtls.StartTLSClient(nil)}, io.Features...)
					want = xtls.ErrNotOffered
				}
				p, done := scriptedServer(t, io)
				p.expect(">")
				p.send(serverHeader + offer)
				_, err := p.end(done)
				require.ErrorIs(t, err, want)
				require.NotContains(t, p.got.String(), "<auth")
				require.NotContains(t, p.got.String(), "juliet")
			})
		}
	}
	t.Run("server", func(t *testing.T) {
		ao := serverWith(&auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true})
		ao.Security = nil
		p, done := scriptedClient(t, ao)
		p.send(clientHeader + closing)
		out, err := p.end(done)
		require.NotContains(t, out, "mechanism")
		require.ErrorIs(t, err, stream.ErrPeerClosed)
	})
}

// T02: features in odd numbers, places and shapes never make the client authenticate in plaintext.
func oddFeatures(t *testing.T) {
	rounds := 20
	if os.Getenv("STANZAKIT_ADVERSARIAL_FULL") != "" {
		rounds = 1000
	}
	plain := features("PLAIN", "SCRAM-SHA-256")
	scripts := map[string][]string{
		"with the header":      {serverHeader + plain},
		"twice":                {serverHeader + plain + plain},
		"empty, then offers":   {serverHeader + `<stream:features/>` + plain},
		"two segments":         {serverHeader, plain},
		"byte by byte":         strings.Split(serverHeader+plain, ""),
		"after starttls":       {serverHeader + strings.Replace(plain, "<mechanisms", `<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><mechanisms`, 1), plain},
		"success unasked":      {serverHeader + plain + `<success` + xmlns + `/>`},
		"instead of features":  {serverHeader + `<mechanisms` + xmlns + `><mechanism>PLAIN</mechanism></mechanisms>`},
		"in a wrong namespace": {serverHeader + strings.Replace(plain, "urn:ietf:params:xml:ns:xmpp-sasl", "jabber:iq:auth", 1)},
	}
	for name, script := range scripts {
		t.Run("client/"+name, func(t *testing.T) {
			for i := range rounds {
				io := clientWith(&auth.ClientOptions{Password: "r0m30", AllowPlain: true})
				io.Security = nil
				if i%2 == 0 {
					io.Features = append([]stream.Feature{xtls.StartTLSClient(nil)}, io.Features...)
				}
				p, done := scriptedServer(t, io)
				p.expect(">")
				go func() {
					for _, s := range script {
						if _, err := p.conn.Write([]byte(s)); err != nil {
							return // the client has had enough
						}
					}
					p.conn.(*memconn.Conn).CloseWrite()
				}()
				_, err := p.end(done)
				require.Error(t, err)
				require.NotContains(t, p.got.String(), "<auth")
			}
		})
	}
}

// T10: a stream that says it is eve's, authenticated by juliet.
func fromIsNotWhoAuthenticates(t *testing.T) {
	accounts := store(t)
	for name, from := range map[string]string{
		"another account": "eve@im.example", "another domain": "juliet@other.example", "the domain": "im.example", "full": "eve@im.example/balcony",
	} {
		t.Run("server/"+name, func(t *testing.T) {
			p, done := scriptedClient(t, serverWith(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
			p.send(strings.Replace(clientHeader, " to=", " from='"+from+"' to=", 1))
			p.expect("</stream:features>")
			p.send(`<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`)
			out, err := p.end(done)
			require.Contains(t, out, "<invalid-from")
			require.NotContains(t, out, "<success")
			require.ErrorIs(t, err, stream.InvalidFrom)
		})
	}
	for name, from := range map[string]string{"none": "", "the same": " from='juliet@im.example'", "full": " from='Juliet@IM.example/balcony'"} {
		t.Run("server/good/"+name, func(t *testing.T) {
			p, _ := scriptedClient(t, serverWith(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
			p.send(strings.Replace(clientHeader, " to=", from+" to=", 1))
			p.expect("</stream:features>")
			p.send(`<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`)
			p.expect("<success")
		})
	}
	// The client's own header says who it is only inside TLS, and then who it authenticates as.
	t.Run("client", func(t *testing.T) {
		io := clientWith(&auth.ClientOptions{Password: "r0m30", InsecureWithoutTLS: true})
		io.Security, io.Profile = nil, insecureProfile
		p, _ := scriptedServer(t, io)
		require.NotContains(t, p.expect("'>"), "juliet")
	})
}

// T14: RFC 6120 §6.5.4. Nothing of what is sent is looked at, and the stream can still go on to
// TLS.
func authBeforeTLS(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		ca, err := xtls.NewDevCA()
		require.NoError(t, err)
		cert, err := ca.Issue("im.example")
		require.NoError(t, err)
		ao := serverWith(&auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true})
		ao.Security = nil
		ao.Features = append([]stream.Feature{xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{cert}})}, ao.Features...)
		p, done := scriptedClient(t, ao)
		p.send(clientHeader)
		require.NotContains(t, p.expect("</stream:features>"), "mechanism")
		for _, el := range []string{
			`<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`,
			`<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("n,,n=juliet,r=abc") + `</auth>`,
			`<auth` + xmlns + ` mechanism='NONSENSE'>!</auth>`,
		} {
			p.send(el)
			require.Contains(t, p.expect("</failure>"), "<encryption-required/>")
		}
		p.send(`<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`)
		p.expect("<proceed")
		p.conn.Close()
		require.Error(t, within(t, done).err)
	})
}

// S12: somebody removed -PLUS from the list. The client says that it saw none; the server knows
// better (RFC 5802 §6).
func strippedPlusIsNoticed(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		p, _ := scriptedClient(t, serverWith(&auth.ServerOptions{Store: store(t)}))
		p.send(clientHeader)
		require.Contains(t, p.expect("</stream:features>"), "SCRAM-SHA-256-PLUS")
		p.send(`<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("y,,n=juliet,r=abcdefghijkl") + `</auth>`)
		require.Contains(t, p.expect("</failure>"), "<not-authorized/>")
	})
	t.Run("client", func(t *testing.T) {
		// The list of types was left: that is enough to know (XEP-0440 §3).
		p, done := scriptedServer(t, clientWith(&auth.ClientOptions{Password: "r0m30"}))
		p.expect("'>")
		p.send(serverHeader + strings.Replace(features("SCRAM-SHA-256"), "</stream:features>",
			`<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding></stream:features>`, 1))
		out, err := p.end(done)
		require.ErrorIs(t, err, sasl.ErrDowngrade)
		require.NotContains(t, out, "<auth")
	})
}

// S13: a client that can bind the channel and sees no -PLUS says so ("y"); one that cannot says
// "n".
func clientSaysWhatItSaw(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*stream.Security)
		offers []string
		want   string
	}{
		"could bind":                      {func(*stream.Security) {}, []string{"SCRAM-SHA-256", "PLAIN"}, "y,,"},
		"cannot bind":                     {func(s *stream.Security) { s.Bindings = nil }, []string{"SCRAM-SHA-256"}, "n,,"},
		"only tls-unique in TLS 1.3":      {func(s *stream.Security) { s.Bindings = map[string][]byte{sasl.TLSUnique: {1}} }, []string{"SCRAM-SHA-256"}, "n,,"},
		"binds":                           {func(*stream.Security) {}, []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}, "p=tls-exporter,,"},
		"the stronger hash does not bind": {func(*stream.Security) {}, []string{"SCRAM-SHA-512", "SCRAM-SHA-1-PLUS"}, "p=tls-exporter,,"},
		"default of TLS 1.2 (RFC 5802 §6.1)": {func(s *stream.Security) {
			s.Version = tls.VersionTLS12
			s.Bindings[sasl.TLSUnique] = []byte("unique")
		}, []string{"SCRAM-SHA-256-PLUS"}, "p=tls-unique,,"},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			io := clientWith(&auth.ClientOptions{Password: "r0m30"})
			c.edit(io.Security)
			p, _ := scriptedServer(t, io)
			p.expect("'>")
			p.send(serverHeader + features(c.offers...))
			el, err := stream.ParseElement([]byte(p.expect("</auth>")), nil)
			require.NoError(t, err)
			first, err := base64.StdEncoding.DecodeString(el.Text())
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(string(first), c.want), "%q", first)
			require.Equal(t, strings.HasPrefix(c.want, "p="), strings.HasSuffix(el.Attr("mechanism"), "-PLUS"))
		})
	}
}

// S14: RFC 5802 §6: the flag and the mechanism have to fit, and the type has to be one of this
// connection.
func flagsAndMechanismsDisagree(t *testing.T) {
	accounts := store(t)
	for _, c := range []struct{ mechanism, first string }{
		{"SCRAM-SHA-256-PLUS", "n,,n=juliet,r=abcdefghijkl"},
		{"SCRAM-SHA-256-PLUS", "y,,n=juliet,r=abcdefghijkl"},
		{"SCRAM-SHA-256", "p=tls-exporter,,n=juliet,r=abcdefghijkl"},
		{"SCRAM-SHA-256-PLUS", "p=tls-unknown,,n=juliet,r=abcdefghijkl"},
		{"SCRAM-SHA-256-PLUS", "p=tls-unique,,n=juliet,r=abcdefghijkl"},
		{"SCRAM-SHA-256-PLUS", "p=,,n=juliet,r=abcdefghijkl"},
	} {
		t.Run("server/"+c.mechanism+"/"+c.first[:6], func(t *testing.T) {
			ao := serverWith(&auth.ServerOptions{Store: accounts})
			ao.Security.Bindings[sasl.TLSUnique] = []byte("there is no such thing in TLS 1.3")
			p, _ := scriptedClient(t, ao)
			p.send(clientHeader)
			require.NotContains(t, p.expect("</stream:features>"), "tls-unique")
			p.send(`<auth` + xmlns + ` mechanism='` + c.mechanism + `'>` + b64(c.first) + `</auth>`)
			p.expect("<failure")
			require.NotContains(t, p.expect("</failure>"), "<challenge")
		})
	}
}

// S23: 6 failed attempts, some of them aborted, with changing mechanisms.
func tooManyAttempts(t *testing.T) {
	accounts := store(t)
	attempts := map[string]string{
		"wrong password": `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00wrong") + `</auth>`,
		"abort":          `<abort` + xmlns + `/>`,
		"not base64":     `<auth` + xmlns + ` mechanism='PLAIN'>!</auth>`,
		"no mechanism":   `<auth` + xmlns + `/>`,
		"begin and abort": `<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("n,,n=juliet,r=abcdefghijkl") + `</auth>` +
			`<abort` + xmlns + `/>`,
	}
	good := `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`
	for name, attempt := range attempts {
		for _, retries := range []int{0, 2, 5} {
			t.Run(fmt.Sprintf("server/%s/%d", name, retries), func(t *testing.T) {
				p, done := scriptedClient(t, serverWith(&auth.ServerOptions{Store: accounts, AllowPlain: true, Retries: retries}))
				p.send(clientHeader)
				if retries == 0 {
					retries = 3
				}
				for range 1 + retries {
					p.send(attempt)
					p.expect("</failure>")
				}
				// Too late to know the password.
				p.send(good)
				out, err := p.end(done)
				require.Contains(t, out, "<policy-violation")
				require.NotContains(t, out, "<success")
				require.ErrorIs(t, err, stream.PolicyViolation)
			})
		}
	}
	t.Run("server/2 then success", func(t *testing.T) {
		p, _ := scriptedClient(t, serverWith(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
		p.send(clientHeader)
		for range 2 {
			p.send(attempts["wrong password"])
			p.expect("</failure>")
		}
		p.send(good)
		p.expect("<success")
	})
	// RFC 9266 §4.1.
	t.Run("server/binding is not used again", func(t *testing.T) {
		p, done := scriptedClient(t, serverWith(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
		p.send(clientHeader)
		first := `<auth` + xmlns + ` mechanism='SCRAM-SHA-256-PLUS'>` + b64("p=tls-exporter,,n=juliet,r=abcdefghijkl") + `</auth>`
		p.send(first)
		p.expect("</challenge>")
		p.send(`<response` + xmlns + `>` + b64("c=biws,r=x,p=AAAA") + `</response>` + good)
		out, err := p.end(done)
		require.Equal(t, `<failure`+xmlns+`><not-authorized/></failure>`+closing, out)
		require.ErrorIs(t, err, sasl.NotAuthorized)
	})
	// The client tries once, whatever else is on offer.
	t.Run("client", func(t *testing.T) {
		p, done := scriptedServer(t, clientWith(&auth.ClientOptions{Password: "r0m30", AllowPlain: true}))
		p.expect("'>")
		p.send(serverHeader + features("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"))
		p.expect("</auth>")
		p.send(`<failure` + xmlns + `><mechanism-too-weak/></failure>`)
		out, err := p.end(done)
		require.ErrorIs(t, err, sasl.MechanismTooWeak)
		require.Equal(t, closing, out)
	})
}

// S29: elements out of turn.
func elementsOutOfTurn(t *testing.T) {
	accounts := store(t)
	first := `<auth` + xmlns + ` mechanism='SCRAM-SHA-256'>` + b64("n,,n=juliet,r=abcdefghijkl") + `</auth>`
	good := `<auth` + xmlns + ` mechanism='PLAIN'>` + b64("\x00juliet\x00r0m30") + `</auth>`
	server := func(t *testing.T) (*peer, <-chan result) {
		p, done := scriptedClient(t, serverWith(&auth.ServerOptions{Store: accounts, AllowPlain: true}))
		p.send(clientHeader)
		p.expect("</stream:features>")
		return p, done
	}
	t.Run("server/second auth in the middle", func(t *testing.T) {
		p, _ := server(t)
		p.send(first)
		p.expect("</challenge>")
		p.send(good) // RFC 6120 §6.4.2
		p.expect("<success")
	})
	t.Run("server/response first", func(t *testing.T) {
		p, _ := server(t)
		p.send(`<response` + xmlns + `>` + b64("\x00juliet\x00r0m30") + `</response>`)
		require.Contains(t, p.expect("</failure>"), "<malformed-request/>")
	})
	for name, after := range map[string]string{
		"response": `<response` + xmlns + `/>`, "auth": good, "stanza": `<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>`,
	} {
		t.Run("server/"+name+" after success", func(t *testing.T) {
			p, done := server(t)
			p.send(good)
			p.expect("<success")
			p.expect(">")
			p.send(after)
			out, err := p.end(done)
			require.Contains(t, out, "<stream:error")
			require.Error(t, err)
		})
	}
	for name, el := range map[string]string{
		"challenge": `<challenge` + xmlns + `/>`, "success": `<success` + xmlns + `/>`, "failure": `<failure` + xmlns + `/>`,
		"mechanisms": `<mechanisms` + xmlns + `/>`, "message": `<message><body>hi</body></message>`,
	} {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("server/%s from the client/%t", name, begun), func(t *testing.T) {
				p, done := server(t)
				if begun {
					p.send(first)
					p.expect("</challenge>")
				}
				p.send(el)
				out, err := p.end(done)
				require.Contains(t, out, "<stream:error")
				require.NotContains(t, out, "<success")
				require.Error(t, err)
			})
		}
	}
	for name, el := range map[string]string{
		"auth":      good,
		"response":  `<response` + xmlns + `/>`,
		"abort":     `<abort` + xmlns + `/>`,
		"features":  features("PLAIN"),
		"success":   `<success` + xmlns + `/>`,
		"foreign":   `<success xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>`,
		"challenge": `<challenge` + xmlns + `>AAA</challenge>`,
		"v without": `<success` + xmlns + `>` + b64("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") + `</success>`,
	} {
		t.Run("client/"+name+" from the server", func(t *testing.T) {
			p, done := scriptedServer(t, clientWith(&auth.ClientOptions{Password: "r0m30", AllowPlain: true}))
			p.expect("'>")
			p.send(serverHeader + features("SCRAM-SHA-256-PLUS", "PLAIN"))
			p.expect("</auth>")
			p.send(el)
			out, err := p.end(done)
			var e *sasl.Error
			require.ErrorAs(t, err, &e)
			require.ErrorIs(t, err, sasl.Aborted)
			// Nothing more was said that could serve anybody.
			require.NotContains(t, out, "<auth")
			require.NotContains(t, out, "<response")
			require.Equal(t, name == "challenge", strings.Contains(out, "<abort"))
		})
	}
}

// L08: RFC 6120 §13.12: the limit for strangers is the smaller one.
func authTooLarge(t *testing.T) {
	big := func(n int) string {
		return `<auth` + xmlns + ` mechanism='PLAIN'>` + base64.StdEncoding.EncodeToString(make([]byte, n*3/4)) + `</auth>`
	}
	t.Run("server", func(t *testing.T) {
		p, done := scriptedClient(t, serverWith(&auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true}))
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(big(9 << 10))
		out, err := p.end(done)
		require.Contains(t, out, "<policy-violation")
		require.ErrorIs(t, err, stream.PolicyViolation)
	})
	t.Run("server/just below", func(t *testing.T) {
		p, _ := scriptedClient(t, serverWith(&auth.ServerOptions{Store: forbiddenStore{t}, AllowPlain: true}))
		p.send(clientHeader)
		p.expect("</stream:features>")
		p.send(big(7 << 10))
		require.Contains(t, p.expect("</failure>"), "<malformed-request/>")
	})
	t.Run("client", func(t *testing.T) {
		p, done := scriptedServer(t, clientWith(&auth.ClientOptions{Password: "r0m30"}))
		p.expect("'>")
		p.send(serverHeader + features("SCRAM-SHA-256-PLUS"))
		p.expect("</auth>")
		p.send(strings.ReplaceAll(big(9<<10), "auth", "challenge"))
		_, err := p.end(done)
		require.ErrorIs(t, err, stream.PolicyViolation)
	})
}

// newAuthority returns an authority and a certificate of it for im.example.
func newAuthority(t *testing.T) (*xtls.DevCA, tls.Certificate) {
	t.Helper()
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	cert, err := ca.Issue("im.example")
	require.NoError(t, err)
	return ca, cert
}

// S17: somebody in the middle has a certificate for the domain that the client trusts, and relays
// what is said inside TLS. What each channel binding is for.
func realManInTheMiddle(t *testing.T) {
	ca, cert := newAuthority(t)
	mitm, err := ca.Issue("im.example")
	require.NoError(t, err)
	accounts := store(t)
	noTypes := strings.NewReplacer("<channel-binding type='tls-exporter'/>", "")
	const types = `<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/><channel-binding type='tls-server-end-point'/></sasl-channel-binding>`
	noBinding := strings.NewReplacer(types, "", "<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "")

	for name, c := range map[string]struct {
		in   func(string) string // what the man in the middle makes of what the server says
		cert tls.Certificate
		want error
	}{
		"relayed: tls-exporter":                          {func(s string) string { return s }, mitm, sasl.NotAuthorized},
		"relayed with the same key: tls-exporter":        {func(s string) string { return s }, cert, sasl.NotAuthorized},
		"channel binding removed: the server is told so": {noBinding.Replace, mitm, sasl.NotAuthorized},
		// XEP-0474: a server that says what it offered.
		"exporter removed: the client sees":              {noTypes.Replace, mitm, sasl.ErrDowngrade},
		"exporter removed, the server's key: the client": {noTypes.Replace, cert, sasl.ErrDowngrade},
		"types removed: the client sees":                 {strings.NewReplacer(types, "").Replace, mitm, sasl.ErrDowngrade},
		"mechanisms removed": {
			strings.NewReplacer("<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "").Replace, mitm, sasl.ErrDowngrade,
		},
		// A server without XEP-0474. A thief of its own key who also removes tls-exporter gets through: tls-server-end-point
		// cannot tell (XEP-0440 §4). The case shows that the relay works, and that the ones above fail for the reason they should.
		"older/exporter removed: tls-server-end-point": {noTypes.Replace, mitm, sasl.NotAuthorized},
		"older/types removed: guessed":                 {strings.NewReplacer(types, "").Replace, mitm, sasl.NotAuthorized},
		"older/stolen key and exporter removed":        {noTypes.Replace, cert, nil},
	} {
		t.Run(name, func(t *testing.T) {
			clientEnd, middleLeft := memconn.Pipe()
			middleRight, serverEnd := memconn.Pipe()
			relay := &middleman{t: t, client: middleLeft, server: middleRight, cert: c.cert, roots: ca.Pool(), edit: c.in}
			relayed := make(chan struct{})
			go func() { // ends when either end is closed, which the client does
				defer close(relayed)
				relay.run()
			}()

			io := clientWith(&auth.ClientOptions{Password: "r0m30"})
			io.Security = nil
			io.Features = append([]stream.Feature{xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: ca.Pool()})}, io.Features...)
			so := &auth.ServerOptions{Store: accounts}
			if strings.HasPrefix(name, "older/") {
				so.Mechanisms = older(sasl.Default())
			}
			ao := serverWith(so)
			ao.Security = nil
			ao.Features = append([]stream.Feature{xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{cert}})}, ao.Features...)
			var who jid.JID
			ao.Trace = &stream.Trace{Authenticated: func(j jid.JID, _ string) { who = j }}

			cc, sc := initiate(t, clientEnd, io), accept(t, serverEnd, ao)
			client := within(t, cc)
			if client.session != nil {
				client.session.Abort(nil)
			}
			server := within(t, sc)
			if server.session != nil {
				server.session.Abort(nil)
			}
			middleLeft.Close()
			middleRight.Close()
			within(t, relayed)
			require.ErrorIs(t, client.err, c.want)
			if c.want == nil {
				require.Equal(t, juliet, who)
				return
			}
			require.Error(t, server.err)
			require.Zero(t, who)
		})
	}
}

// older makes mechanisms such as a server has that knows nothing of XEP-0474.
func older(mechs []sasl.Mechanism) []sasl.Mechanism {
	for i, m := range mechs {
		mechs[i].NewServer = func(cfg *sasl.ServerConfig) (sasl.Server, error) {
			c := *cfg
			c.Offered, c.OfferedTypes = nil, nil
			return m.NewServer(&c)
		}
	}
	return mechs
}
