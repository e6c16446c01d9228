package bind

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

var (
	domain  = jid.MustParse("im.example")
	account = jid.MustParse("juliet@im.example")
	balcony = jid.MustParse("juliet@im.example/balcony")
)

// parse reads one element as it stands in a client's stream.
func parse(tb testing.TB, xml string) *stream.Element {
	tb.Helper()
	doc, err := stream.ParseElement([]byte("<s xmlns='jabber:client'>"+xml+"</s>"), nil)
	require.NoError(tb, err)
	for el := range doc.Children() {
		return el.Clone()
	}
	tb.Fatal("no element")
	return nil
}

const bindNS = ` xmlns='` + NS + `'`

// RFC 6120 §7.6, §7.7, §8.1.2.1, §8.2.3.
func TestParseRequest(t *testing.T) {
	for name, c := range map[string]struct {
		in    string
		asked jid.JID
		err   error
	}{
		"§7.6.1 none":             {in: `<iq id='1' type='set'><bind` + bindNS + `/></iq>`, asked: account},
		"§7.7.1 resource":         {in: `<iq id='1' type='set'><bind` + bindNS + `><resource>balcony</resource></bind></iq>`, asked: balcony},
		"§7.7.2.1 empty":          {in: `<iq id='1' type='set'><bind` + bindNS + `><resource/></bind></iq>`, asked: account},
		"§7.7.2.1 cannot conform": {in: `<iq id='1' type='set'><bind` + bindNS + `><resource>a&#9;b</resource></bind></iq>`, asked: account},
		"§7.7.2.1 prepared":       {in: `<iq id='1' type='set'><bind` + bindNS + `><resource>` + "e\u0301" + `</resource></bind></iq>`, asked: jid.MustParse("juliet@im.example/\u00e9")},
		"slash":                   {in: `<iq id='1' type='set'><bind` + bindNS + `><resource>x/y@z</resource></bind></iq>`, asked: jid.MustParse("juliet@im.example/x/y@z")},
		"extension":               {in: `<iq id='1' type='set'><bind` + bindNS + `><tag xmlns='urn:x'>t</tag><resource>balcony</resource></bind></iq>`, asked: balcony},
		"white space":             {in: "<iq id='1' type='set'>\n <bind" + bindNS + "/>\n</iq>", asked: account},
		"to the server":           {in: `<iq id='1' type='set' to='im.example'><bind` + bindNS + `/></iq>`, asked: account},
		"to the account":          {in: `<iq id='1' type='set' to='juliet@im.example'><bind` + bindNS + `/></iq>`, asked: account},
		"from the account":        {in: `<iq id='1' type='set' from='juliet@im.example'><bind` + bindNS + `/></iq>`, asked: account},

		"§8.2.3 get":                {in: `<iq id='1' type='get'><bind` + bindNS + `/></iq>`, err: BadRequest},
		"§8.2.3 no type":            {in: `<iq id='1'><bind` + bindNS + `/></iq>`, err: BadRequest},
		"§8.2.3 odd type":           {in: `<iq id='1' type='SET'><bind` + bindNS + `/></iq>`, err: BadRequest},
		"§8.2.3 no id":              {in: `<iq type='set'><bind` + bindNS + `/></iq>`, err: BadRequest},
		"§8.2.3 empty id":           {in: `<iq type='set' id=''><bind` + bindNS + `/></iq>`, err: BadRequest},
		"§8.2.3 two children":       {in: `<iq id='1' type='set'><bind` + bindNS + `/><bind` + bindNS + `/></iq>`, err: BadRequest},
		"§8.2.3 something before":   {in: `<iq id='1' type='set'><x xmlns='urn:x'/><bind` + bindNS + `/></iq>`, err: BadRequest},
		"§8.2.3 something behind":   {in: `<iq id='1' type='set'><bind` + bindNS + `/><x xmlns='urn:x'/></iq>`, err: BadRequest},
		"two resources":             {in: `<iq id='1' type='set'><bind` + bindNS + `><resource>a</resource><resource>b</resource></bind></iq>`, err: BadRequest},
		"an address":                {in: `<iq id='1' type='set'><bind` + bindNS + `><jid>romeo@im.example/x</jid></bind></iq>`, err: BadRequest},
		"an address too":            {in: `<iq id='1' type='set'><bind` + bindNS + `><resource>a</resource><jid>romeo@im.example/x</jid></bind></iq>`, err: BadRequest},
		"§8.1.2.1 from another":     {in: `<iq id='1' type='set' from='romeo@im.example'><bind` + bindNS + `/></iq>`, err: stream.InvalidFrom},
		"§8.1.2.1 from a resource":  {in: `<iq id='1' type='set' from='juliet@im.example/x'><bind` + bindNS + `/></iq>`, err: stream.InvalidFrom},
		"§8.1.2.1 from no address":  {in: `<iq id='1' type='set' from='@'><bind` + bindNS + `/></iq>`, err: stream.InvalidFrom},
		"§7.1 to another":           {in: `<iq id='1' type='set' to='romeo@im.example'><bind` + bindNS + `/></iq>`, err: stream.NotAuthorized},
		"§7.1 to a resource of own": {in: `<iq id='1' type='set' to='juliet@im.example/x'><bind` + bindNS + `/></iq>`, err: stream.NotAuthorized},
		"§7.1 to no address":        {in: `<iq id='1' type='set' to='a@@b'><bind` + bindNS + `/></iq>`, err: stream.NotAuthorized},
	} {
		t.Run(name, func(t *testing.T) {
			el := parse(t, c.in)
			require.True(t, isRequest(el))
			r, err := parseRequest(el, domain, account)
			require.Equal(t, el.Attr("id"), r.id)
			if c.err != nil {
				require.ErrorIs(t, err, c.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.asked, r.asked)
		})
	}
}

// Other requests are none to bind, even if one should get here.
func TestParseRequestOfSomethingElse(t *testing.T) {
	for _, in := range []string{`<iq id='1' type='set'/>`, `<iq id='1' type='set'><x xmlns='urn:x'/></iq>`} {
		_, err := parseRequest(parse(t, in), domain, account)
		require.ErrorIs(t, err, BadRequest, in)
	}
}

func TestIsRequest(t *testing.T) {
	for _, in := range []string{
		`<iq id='1' type='result'><bind` + bindNS + `/></iq>`, // RFC 6120 §8.2.3 rule 4
		`<iq id='1' type='error'><bind` + bindNS + `/></iq>`,
		`<iq id='1' type='set'/>`,
		`<iq id='1' type='set'><bind/></iq>`,
		`<iq id='1' type='set'><bind xmlns='urn:x'/></iq>`,
		`<iq id='1' type='set'><x xmlns='urn:x'><bind` + bindNS + `/></x></iq>`,
		`<message id='1' type='set'><bind` + bindNS + `/></message>`,
		`<iq xmlns='jabber:server' id='1' type='set'><bind` + bindNS + `/></iq>`,
		`<c:iq xmlns:c='jabber:client' id='1' type='set'><bind` + bindNS + `/></c:iq>`, // §4.8.5
		`<bind` + bindNS + `/>`,
	} {
		require.False(t, isRequest(parse(t, in)), in)
	}
}

// RFC 6120 §7.6.1, §7.7.1: what a client takes for an answer.
func TestParseResult(t *testing.T) {
	result := func(attrs, jid string) string {
		return `<iq id='1' type='result'` + attrs + `><bind` + bindNS + `><jid>` + jid + `</jid></bind></iq>`
	}
	for name, c := range map[string]struct {
		in   string
		want string // empty: ErrProtocol
	}{
		"§7.6.1":            {result(``, `juliet@im.example/x`), `juliet@im.example/x`},
		"as in the RFC":     {result(``, "\n  juliet@im.example/4db06f06\n  "), `juliet@im.example/4db06f06`},
		"canonical":         {result(``, `Juliet@IM.example/X`), `juliet@im.example/X`},
		"another localpart": {result(``, `j.capulet@im.example/x`), `j.capulet@im.example/x`},
		"from the server":   {result(` from='im.example'`, `juliet@im.example/x`), `juliet@im.example/x`},
		"from the account":  {result(` from='juliet@im.example'`, `juliet@im.example/x`), `juliet@im.example/x`},
		"from the resource": {result(` from='juliet@im.example/x'`, `juliet@im.example/x`), `juliet@im.example/x`},
		"to the resource":   {result(` to='juliet@im.example/x'`, `juliet@im.example/x`), `juliet@im.example/x`},

		"bare":                 {result(``, `juliet@im.example`), ``},
		"domain":               {result(``, `im.example`), ``},
		"no localpart":         {result(``, `im.example/x`), ``},
		"another domain":       {result(``, `juliet@evil.example/x`), ``},
		"a subdomain":          {result(``, `juliet@x.im.example/x`), ``},
		"no address":           {result(``, `a@b@c/x`), ``},
		"empty":                {result(``, ``), ``},
		"no jid":               {`<iq id='1' type='result'><bind` + bindNS + `/></iq>`, ``},
		"jid elsewhere":        {`<iq id='1' type='result'><bind` + bindNS + `><jid xmlns='urn:x'>juliet@im.example/x</jid></bind></iq>`, ``},
		"no bind":              {`<iq id='1' type='result'/>`, ``},
		"another id":           {`<iq id='2' type='result'><bind` + bindNS + `><jid>juliet@im.example/x</jid></bind></iq>`, ``},
		"no id":                {`<iq type='result'><bind` + bindNS + `><jid>juliet@im.example/x</jid></bind></iq>`, ``},
		"from somebody":        {result(` from='romeo@im.example'`, `juliet@im.example/x`), ``},
		"from another server":  {result(` from='evil.example'`, `juliet@im.example/x`), ``},
		"from no address":      {result(` from='@'`, `juliet@im.example/x`), ``},
		"set":                  {`<iq id='1' type='set'><bind` + bindNS + `><jid>juliet@im.example/x</jid></bind></iq>`, ``},
		"no type":              {`<iq id='1'><bind` + bindNS + `><jid>juliet@im.example/x</jid></bind></iq>`, ``},
		"message":              {`<message id='1' type='result'><bind` + bindNS + `><jid>juliet@im.example/x</jid></bind></message>`, ``},
		"error from somebody":  {`<iq id='1' type='error' from='romeo@im.example'><error type='cancel'><conflict xmlns='` + nsStanzas + `'/></error></iq>`, ``},
		"of a server's stream": {`<iq xmlns='jabber:server' id='1' type='result'><bind` + bindNS + `><jid>juliet@im.example/x</jid></bind></iq>`, ``},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseResult(parse(t, c.in), "1", domain, account)
			if c.want == "" {
				require.ErrorIs(t, err, ErrProtocol)
				require.Zero(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, got.String())
		})
	}
}

func TestParseError(t *testing.T) {
	const ns = ` xmlns='` + nsStanzas + `'`
	for name, c := range map[string]struct {
		in   string
		want Error
	}{
		"§7.7.2.2": {`<error type='modify'><conflict` + ns + `/></error>`, Error{Condition: Conflict, Type: "modify"}},
		"text":     {`<error type='wait'><text` + ns + `>full</text><resource-constraint` + ns + `/></error>`, Error{Condition: ResourceConstraint, Type: "wait", Text: "full"}},
		"unknown":  {`<error type='cancel'><gone-fishing` + ns + `/></error>`, Error{Condition: "gone-fishing", Type: "cancel"}},
		"odd type": {`<error type='fatal'><not-allowed` + ns + `/></error>`, Error{Condition: NotAllowed}},
		"app":      {`<error type='cancel'><app xmlns='urn:x'/><not-allowed` + ns + `/></error>`, Error{Condition: NotAllowed, Type: "cancel"}},
		"none":     {``, Error{Condition: UndefinedCondition}},
		"empty":    {`<error/>`, Error{Condition: UndefinedCondition}},
		"echo":     {`<bind` + bindNS + `/><error type='cancel'><not-allowed` + ns + `/></error>`, Error{Condition: NotAllowed, Type: "cancel"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := `<iq id='1' type='error'>` + c.in + `</iq>`
			_, err := parseResult(parse(t, in), "1", domain, account)
			require.ErrorIs(t, err, c.want.Condition)
			var e *Error
			require.ErrorAs(t, err, &e)
			c.want.Raw = []byte(in)
			require.Equal(t, c.want, *e)
			require.LessOrEqual(t, len(e.Error()), 1<<10)
		})
	}
}

// What a callback returns goes to the client only as far as it may, and is well-formed whatever it
// is.
func TestRefusalOf(t *testing.T) {
	const ns = ` xmlns='` + nsStanzas + `'`
	for name, c := range map[string]struct {
		in   error
		want string
	}{
		"condition":        {Conflict, `<error type='modify'><conflict` + ns + `/></error>`},
		"§7.6.2.1":         {ResourceConstraint, `<error type='wait'><resource-constraint` + ns + `/></error>`},
		"§7.6.2.2":         {NotAllowed, `<error type='cancel'><not-allowed` + ns + `/></error>`},
		"§7.7.2.1":         {BadRequest, `<error type='modify'><bad-request` + ns + `/></error>`},
		"error":            {&Error{Condition: Conflict, Type: "cancel", Text: "a<b", Raw: []byte("x")}, `<error type='cancel'><conflict` + ns + `/><text` + ns + ` xml:lang='en'>a&lt;b</text></error>`},
		"odd characters":   {&Error{Condition: Conflict, Text: "a\x00\x1b\xff\ufffe"}, `<error type='modify'><conflict` + ns + `/><text` + ns + ` xml:lang='en'>a</text></error>`},
		"no condition":     {&Error{Text: "?"}, `<error type='cancel'><internal-server-error` + ns + `/><text` + ns + ` xml:lang='en'>?</text></error>`},
		"no XML name":      {Condition("a b><"), `<error type='cancel'><internal-server-error` + ns + `/></error>`},
		"odd type":         {&Error{Condition: NotAllowed, Type: "x' y"}, `<error type='cancel'><not-allowed` + ns + `/></error>`},
		"other":            {ErrOptions, `<error type='cancel'><internal-server-error` + ns + `/></error>`},
		"wrapped":          {violation("%w", NotAllowed), `<error type='cancel'><not-allowed` + ns + `/></error>`},
		"§8.3.3 elsewhere": {Condition("forbidden"), `<error type='cancel'><forbidden` + ns + `/></error>`},
	} {
		t.Run(name, func(t *testing.T) {
			w := stream.NewWriter(nil)
			w.Within(stream.NSClient)
			refusalOf(c.in).write(&w, "1")
			out, err := w.Bytes()
			require.NoError(t, err)
			require.Equal(t, `<iq type='error' id='1'>`+c.want+`</iq>`, string(out))
		})
	}
	require.Nil(t, refusalOf(&stream.Error{Condition: stream.PolicyViolation}))
}

// The two ends understand each other.
func TestRequestRoundTrip(t *testing.T) {
	for _, resource := range []string{"", "balcony", "a b/c@d", "<&>'\"", "\U0001F339"} {
		w := stream.NewWriter(nil)
		writeRequest(&w, "1", resource)
		out, err := w.Bytes()
		require.NoError(t, err)
		r, err := parseRequest(parse(t, string(out)), domain, account)
		require.NoError(t, err)
		require.Equal(t, resource, r.asked.Resource())

		if resource == "" {
			continue
		}
		w = stream.NewWriter(nil)
		writeResult(&w, r.id, r.asked)
		out, err = w.Bytes()
		require.NoError(t, err)
		got, err := parseResult(parse(t, string(out)), "1", domain, account)
		require.NoError(t, err)
		require.Equal(t, r.asked, got)
	}
}

// RFC 6120 §7.5, §7.6: random, unique and long enough that nobody guesses it.
func TestGenerate(t *testing.T) {
	seen := make(map[string]bool)
	for range 10_000 {
		j, err := Generate(account)
		require.NoError(t, err)
		require.Equal(t, account, j.Bare())
		// 26 characters of base32 are 130 bits.
		require.GreaterOrEqual(t, len(j.Resource()), 26)
		require.False(t, seen[j.Resource()])
		seen[j.Resource()] = true
	}
	_, err := Generate(jid.JID{})
	require.Error(t, err)
}

// RFC 3921 §3.
func TestAnswerSession(t *testing.T) {
	const session = `<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>`
	out, ok := AnswerSession(parse(t, `<iq to='im.example' type='set' id='&lt;1'>`+session+`</iq>`))
	require.True(t, ok)
	require.Equal(t, `<iq xmlns='jabber:client' type='result' id='&lt;1'/>`, string(out))
	for _, in := range []string{
		`<iq type='set'>` + session + `</iq>`,
		`<iq type='get' id='1'>` + session + `</iq>`,
		`<iq type='result' id='1'>` + session + `</iq>`,
		`<iq type='set' id='1'/>`,
		`<iq type='set' id='1'>` + session + session + `</iq>`,
		`<iq type='set' id='1'><x xmlns='urn:x'/>` + session + `</iq>`,
		`<iq type='set' id='1'><session xmlns='urn:x'/></iq>`,
		`<message type='set' id='1'>` + session + `</message>`,
	} {
		_, ok := AnswerSession(parse(t, in))
		require.False(t, ok, in)
	}
}

// Whatever a client sends, it is its own account that gets bound, or nothing.
func FuzzBind(f *testing.F) {
	for _, seed := range []string{
		`<iq id='1' type='set'><bind` + bindNS + `/></iq>`,
		`<iq id='1' type='set'><bind` + bindNS + `><resource>balcony</resource></bind></iq>`,
		`<iq id='1' type='set'><bind` + bindNS + `><jid>romeo@im.example/x</jid></bind></iq>`,
		`<iq id='1' type='set' from='romeo@im.example'><bind` + bindNS + `/></iq>`,
		`<iq id='1' type='result'><bind` + bindNS + `><jid>juliet@im.example/x</jid></bind></iq>`,
		`<iq id='1' type='error'><error type='cancel'><conflict xmlns='` + nsStanzas + `'/></error></iq>`,
		`<iq id='1' type='set'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, xml []byte) {
		doc, err := stream.ParseElement(append(append([]byte("<s xmlns='jabber:client'>"), xml...), "</s>"...), nil)
		if err != nil {
			return
		}
		for el := range doc.Children() {
			if isRequest(el) {
				r, err := parseRequest(el, domain, account)
				if err == nil {
					require.Equal(t, account, r.asked.Bare())
				} else if refusal := refusalOf(err); refusal != nil {
					w := stream.NewWriter(nil)
					refusal.write(&w, r.id)
					_, err := w.Bytes()
					require.NoError(t, err)
				}
			}
			if bound, err := parseResult(el, "1", domain, account); err == nil {
				require.True(t, bound.IsFull())
				require.Equal(t, domain, bound.DomainJID())
			} else {
				require.LessOrEqual(t, len(err.Error()), 8<<10)
			}
			if out, ok := AnswerSession(el); ok {
				_, err := stream.ParseElement(out, nil)
				require.NoError(t, err)
			}
		}
	})
}
