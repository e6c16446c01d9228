package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
)

const fastOffer2 = `<inline><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-SHA-256-EXPR</mechanism><mechanism>HT-SHA-256-NONE</mechanism></fast></inline>`

// XEP-0484 §4.1, §6: when a client asks for a token, and that it keeps none that it has not asked for.
func TestClientRequestsTokens(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*auth.ClientOptions, *stream.InitiateOptions)
		want bool
	}{
		"as a rule":                 {func(*auth.ClientOptions, *stream.InitiateOptions) {}, true},
		"switched off":              {func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.SASL2.NoTokens = true }, false},
		"logging out":               {func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.SASL2.InvalidateToken = true }, false},
		"nowhere to keep it":        {func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.Credentials = nil }, false},
		"an agent without an id":    {func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.UserAgent.ID = "" }, false},
		"to act for another":        {func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.Username, o.AuthzID = "juliet", romeo }, false},
		"a stream for another":      {func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.Username = "romeo" }, false},
		"a stream for nobody":       {func(o *auth.ClientOptions, io *stream.InitiateOptions) { o.Username, io.From = "juliet", jid.JID{} }, false},
		"a name that is no account": {func(o *auth.ClientOptions, io *stream.InitiateOptions) { o.Username, io.From = "a@b", jid.JID{} }, false},
		"certificate not verified":  {func(_ *auth.ClientOptions, io *stream.InitiateOptions) { io.Security.Verified = false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			credentials := new(auth.MemoryCredentials)
			o := &auth.ClientOptions{Password: "r0m30", Credentials: credentials, UserAgent: stream.UserAgent{ID: agent1}}
			io := client2With(o)
			c.edit(o, &io)
			io.Features = client2With(o).Features
			p, done := scriptedServer(t, io)
			p.expect("version='1.0'")
			p.send(serverHeader + features2(types2, fastOffer2, "SCRAM-SHA-256-PLUS"))
			first := p.expect("</authenticate>")
			require.Contains(t, first, "mechanism='SCRAM-SHA-256-PLUS'")
			require.Equal(t, c.want, strings.Contains(first, "<request-token"))
			require.NotContains(t, first, "<fast")
			p.conn.Close()
			require.Error(t, within(t, done).err)
		})
	}
}

// answering is a server that gives away a token whether it is asked to or not.
func answering(t *testing.T, o *auth.ClientOptions, secret, token string) result {
	io := client2With(o)
	io.Security.Bindings = nil
	p, done := scriptedServer(t, io)
	p.expect("version='1.0'")
	p.send(serverHeader + features2("", fastOffer2, "PLAIN"))
	first := p.expect("</authenticate>")
	data := ""
	if strings.Contains(first, "<fast") {
		data = `<additional-data>` + b64(ht(secret, "Responder", "")) + `</additional-data>`
	}
	p.send(`<success` + xmlns2 + `>` + data + `<authorization-identifier>juliet@im.example</authorization-identifier>` +
		`<token xmlns='urn:xmpp:fast:0' token='` + token + `' expiry='2100-01-01T00:00:00Z'/></success><stream:features/>`)
	r := within(t, done)
	require.NoError(t, r.err)
	r.session.Abort(nil)
	return r
}

// A token that nobody has asked for is nobody's.
func TestUnwantedTokens(t *testing.T) {
	options := func() (*auth.ClientOptions, *auth.MemoryCredentials) {
		credentials := new(auth.MemoryCredentials)
		return &auth.ClientOptions{
			Password: "r0m30", AllowPlain: true, Credentials: credentials, UserAgent: stream.UserAgent{ID: agent1, Device: "lute"},
		}, credentials
	}
	token := func(c *auth.MemoryCredentials) string {
		known, err := c.Load(t.Context(), juliet)
		require.NoError(t, err)
		return known.Token.Token
	}
	o, c := options()
	r := answering(t, o, "", "asked for")
	require.Equal(t, "asked for", token(c))
	require.Equal(t, o.UserAgent, r.session.UserAgent())
	o.SASL2.NoTokens = true
	answering(t, o, "", "not asked for")
	require.Equal(t, "asked for", token(c))
	// After a login with a token it may be replaced, unless it was the last one.
	o.SASL2.NoTokens = false
	answering(t, o, "asked for", "rotated")
	require.Equal(t, "rotated", token(c))
	o.SASL2.InvalidateToken = true
	answering(t, o, "rotated", "unwanted")
	require.Empty(t, token(c))
	// Another stream has got another token meanwhile, which is not the one that was invalidated.
	o, c = options()
	require.NoError(t, c.Save(t.Context(), juliet, noneToken("t0ken")))
	o.Credentials, o.SASL2.InvalidateToken = &replacing{CredentialStore: c}, true
	answering(t, o, "t0ken", "unwanted")
	require.Equal(t, "another", token(c))
}

// A connection that cannot be bound, and a list without a mechanism for that: the password serves.
func TestNoMechanismForTheToken(t *testing.T) {
	credentials := new(auth.MemoryCredentials)
	for _, known := range []auth.Credentials{noneToken("t0ken"), noneToken("")} {
		require.NoError(t, credentials.Save(t.Context(), juliet, known))
		io := client2With(&auth.ClientOptions{Password: "r0m30", Credentials: credentials, UserAgent: stream.UserAgent{ID: agent1}})
		io.Security.Bindings = nil
		p, _ := scriptedServer(t, io)
		p.expect("version='1.0'")
		p.send(serverHeader + features2("", strings.Replace(fastOffer2, "HT-SHA-256-NONE", "HT-SHA-256-ENDP", 1), "SCRAM-SHA-256"))
		first := p.expect("</authenticate>")
		require.Contains(t, first, "mechanism='SCRAM-SHA-256'")
		require.NotContains(t, first, "request-token")
	}
}

// Who the client takes for itself, where it does not know that beforehand, or not by its user name.
func TestWhoTheServerSays(t *testing.T) {
	bearer := func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.Password, o.Token = "", "g00d" }
	nobody := func(o *auth.ClientOptions, io *stream.InitiateOptions) { bearer(o, io); io.From = jid.JID{} }
	acting := func(o *auth.ClientOptions, io *stream.InitiateOptions) {
		o.Username, o.AuthzID, io.From = "juliet", romeo, romeo
	}
	mailbox := func(o *auth.ClientOptions, _ *stream.InitiateOptions) { o.Username = "juliet@mail.example" }
	anonymous := func(o *auth.ClientOptions, _ *stream.InitiateOptions) {
		o.Mechanisms = []sasl.Mechanism{sasl.Anonymous()}
	}
	for name, c := range map[string]struct {
		edit func(*auth.ClientOptions, *stream.InitiateOptions)
		who  string
		good bool
	}{
		"a bearer token":                      {nobody, "juliet@im.example", true},
		"a bearer token, another domain":      {nobody, "juliet@other.example", false},
		"a bearer token, the domain":          {nobody, "im.example", false},
		"a bearer token, the stream is mine":  {bearer, "juliet@im.example", true},
		"a bearer token, and another account": {bearer, "romeo@im.example", false},
		"acting for another":                  {acting, "romeo@im.example", true},
		"acting for another, not let":         {acting, "juliet@im.example", false},
		"a mailbox for a name":                {mailbox, "juliet@im.example", true},
		"a mailbox for a name, and another":   {mailbox, "romeo@im.example", false},
		"nobody in particular":                {anonymous, "8e8ac3d5@im.example", true},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			o := &auth.ClientOptions{Password: "r0m30", AllowPlain: true}
			io := client2With(o)
			c.edit(o, &io)
			io.Features = client2With(o).Features
			io.Security.Bindings = nil
			p, done := scriptedServer(t, io)
			p.expect("version='1.0'")
			p.send(serverHeader + features2("", "", "PLAIN", "OAUTHBEARER", "ANONYMOUS"))
			p.expect("</authenticate>")
			p.send(`<success` + xmlns2 + `><authorization-identifier>` + c.who + `</authorization-identifier></success><stream:features/>`)
			if !c.good {
				_, err := p.end(done)
				require.ErrorIs(t, err, auth.ErrProtocol)
				return
			}
			r := within(t, done)
			require.NoError(t, r.err)
			require.Equal(t, c.who, r.session.LocalAddr().String())
			r.session.Abort(nil)
		})
	}
}

// What goes wrong on the client's own side, and what the error says of it.
func TestSASL2ClientErrors(t *testing.T) {
	boom := errors.New("boom")
	inline := func(request func(*stream.Negotiation, *stream.Element, *stream.Writer) error, result func(*stream.Negotiation, *stream.Element) (stream.Outcome, error)) stream.Feature {
		return stream.Feature{Name: stream.Name{Space: "urn:example:inline", Local: "x"}, Inline: []stream.Inline{{
			In: stream.InAuthentication, Space: "urn:example:inline", Request: request, Result: result,
		}}}
	}
	ask := func(_ *stream.Negotiation, _ *stream.Element, w *stream.Writer) error {
		w.Start(stream.Name{Space: "urn:example:inline", Local: "x"})
		w.End()
		return nil
	}
	const offer = `<inline><x xmlns='urn:example:inline'/></inline>`
	const good = `<success` + xmlns2 + `><authorization-identifier>juliet@im.example</authorization-identifier></success>`
	t.Run("before anything is sent", func(t *testing.T) {
		for name, c := range map[string]struct {
			edit func(*auth.ClientOptions, *stream.InitiateOptions)
			want error
			text string
		}{
			"options": {func(o *auth.ClientOptions, _ *stream.InitiateOptions) {
				o.SASL2.Tasks = []auth.ClientTask{{Name: "TOTP"}}
			}, auth.ErrOptions, "auth: auth: unusable options"},
			"no password": {func(o *auth.ClientOptions, _ *stream.InitiateOptions) {
				o.Password, o.GetPassword = "", func(context.Context) (string, error) { return "", boom }
			}, boom, "auth: PLAIN: "},
			"a request": {func(_ *auth.ClientOptions, io *stream.InitiateOptions) {
				io.Features = append(io.Features, inline(func(*stream.Negotiation, *stream.Element, *stream.Writer) error { return boom }, nil))
			}, boom, "auth: PLAIN: "},
			"a request that is no XML": {func(_ *auth.ClientOptions, io *stream.InitiateOptions) {
				io.Features = append(io.Features, inline(func(n *stream.Negotiation, el *stream.Element, w *stream.Writer) error {
					w.Start(stream.Name{Space: "urn:example:inline", Local: "x"})
					return nil
				}, nil))
			}, stream.ErrUnbalanced, "auth: PLAIN: "},
		} {
			o := &auth.ClientOptions{Password: "r0m30", AllowPlain: true}
			io := client2With(o)
			c.edit(o, &io)
			io.Features = append(client2With(o).Features, io.Features[2:]...)
			io.Security.Bindings = nil
			p, done := scriptedServer(t, io)
			p.expect("version='1.0'")
			p.send(serverHeader + features2("", offer, "PLAIN"))
			out, err := p.end(done)
			require.ErrorIs(t, err, c.want, name)
			require.ErrorContains(t, err, c.text, name)
			require.NotContains(t, out, "<authenticate", name)
		}
	})
	t.Run("an answer that is refused", func(t *testing.T) {
		for name, c := range map[string]struct {
			answer string
			want   error
		}{
			"by its feature":    {`<x xmlns='urn:example:inline'/>`, boom},
			"for there are two": {`<x xmlns='urn:example:inline'/><y xmlns='urn:example:inline'/>`, stream.BadFormat},
		} {
			credentials := new(auth.MemoryCredentials)
			io := client2With(&auth.ClientOptions{Password: "r0m30", AllowPlain: true, Credentials: credentials})
			io.Security.Bindings = nil
			io.Features = append(io.Features, inline(ask, func(n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
				require.True(t, n.State().Has(stream.Authenticated))
				require.Equal(t, juliet, n.Identity())
				return stream.Outcome{}, boom
			}))
			p, done := scriptedServer(t, io)
			p.expect("version='1.0'")
			p.send(serverHeader + features2("", offer, "PLAIN"))
			p.expect("</authenticate>")
			p.send(strings.Replace(good, "</success>", c.answer+"</success>", 1))
			_, err := p.end(done)
			require.ErrorIs(t, err, c.want, name)
			require.ErrorContains(t, err, "auth: PLAIN: ")
			known, err := credentials.Load(t.Context(), juliet)
			require.NoError(t, err)
			require.Zero(t, known)
		}
	})
	t.Run("the connection ends", func(t *testing.T) {
		io := client2With(&auth.ClientOptions{Password: "r0m30", AllowPlain: true})
		io.Security.Bindings = nil
		p, done := scriptedServer(t, io)
		p.expect("version='1.0'")
		p.send(serverHeader + features2("", "", "PLAIN"))
		p.conn.Close()
		r := within(t, done)
		require.Nil(t, r.session)
		require.ErrorContains(t, r.err, "auth: PLAIN: ")
	})
	// Which mechanism it was that the server has refused.
	t.Run("refused", func(t *testing.T) {
		w := newWorld(t)
		w.login()
		require.NoError(t, w.tokens.Revoke(t.Context(), juliet))
		_, err := w.failing()
		require.ErrorContains(t, err, "auth: HT-SHA-256-EXPR: ")
		w.co.Password = "wrong"
		_, err = w.failing()
		require.ErrorContains(t, err, "auth: SCRAM-SHA-256-PLUS: ")
		w.co.Floor, w.co.Mechanisms = sasl.Bound, []sasl.Mechanism{sasl.Scram(sasl.SHA256)}
		_, err = w.failing()
		require.ErrorIs(t, err, sasl.ErrDowngrade)
		require.NotContains(t, err.Error(), "auth: :")
	})
}

// S22: the password is asked for, and not to be had, after a token was refused.
func TestNoPasswordAfterTheToken(t *testing.T) {
	boom := errors.New("boom")
	w := newWorld(t)
	unbound := func(s *stream.Security) { s.Bindings = nil }
	w.editClient, w.editServer = unbound, unbound
	w.login()
	require.NoError(t, w.tokens.Revoke(t.Context(), juliet))
	w.co.Password, w.co.GetPassword = "", func(context.Context) (string, error) { return "r0m30", boom }
	_, err := w.failing()
	require.ErrorIs(t, err, boom)
	require.Empty(t, w.known().Token.Token)
}

// Features that fail to offer themselves end the stream, and so do options, without SASL 1 beside it.
func TestSASL2OfferFails(t *testing.T) {
	boom := errors.New("boom")
	failing := stream.Feature{Name: stream.Name{Space: "urn:example:inline", Local: "x"}, Inline: []stream.Inline{{
		In: stream.InAuthentication, Space: "urn:example:inline",
		Advertise: func(*stream.Negotiation, *stream.Writer) error { return boom },
		Accept: func(context.Context, *stream.Negotiation, *stream.Element, *stream.Writer) (stream.Outcome, error) {
			return stream.Outcome{}, nil
		},
	}}}
	for want, features := range map[error][]stream.Feature{
		boom:            {auth.SASL2Server(&auth.ServerOptions{Store: store(t)}), failing},
		auth.ErrOptions: {auth.SASL2Server(&auth.ServerOptions{Store: store(t), Retries: 9})},
	} {
		ao := server2With(&auth.ServerOptions{Store: store(t)})
		ao.Features = features
		p, done := scriptedClient(t, ao)
		p.send(clientHeader)
		out, err := p.end(done)
		require.ErrorIs(t, err, want)
		require.NotContains(t, out, "<mechanism")
	}
}

// A client that hangs up is not answered.
func TestSASL2ServerCannotAnswer(t *testing.T) {
	for name, el := range map[string]string{"with success": good2, "with a challenge": begin2("SCRAM-SHA-256", "n,,n=juliet,r=abcdefghijkl", "")} {
		t.Run("server/"+name, func(t *testing.T) {
			ao := server2With(&auth.ServerOptions{Store: store(t), AllowPlain: true})
			ao.Profile = stream.C2S()
			authenticated := false
			ao.Trace = &stream.Trace{Authenticated: func(jid.JID, string) { authenticated = true }}
			p, done := scriptedClient(t, ao)
			p.send(clientHeader)
			p.expect("</stream:features>")
			p.send(el)
			p.conn.Close()
			r := within(t, done)
			require.Error(t, r.err)
			require.Nil(t, r.session)
			require.False(t, authenticated)
		})
	}
}

// XEP-0484 §4.1: a token that ends while the client is away.
func TestTokenAtItsEnd(t *testing.T) {
	w := newWorld(t)
	w.login()
	known := w.known()
	known.Token.Expires = time.Now()
	require.NoError(t, w.credentials.Save(t.Context(), juliet, known))
	require.Equal(t, "SCRAM-SHA-256-PLUS", w.login().client)
	require.NotEqual(t, known.Token.Token, w.known().Token.Token)
}
