package ws

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

const (
	header = `<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'`
	open   = `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing"`
	shut   = `<close xmlns="urn:ietf:params:xml:ns:xmpp-framing"/>`
)

// written returns the messages that a stream becomes, written in pieces of the
// given size.
func written(t testing.TB, server bool, wire string, size int) ([]string, error) {
	e := encoder{server: server}
	var out []string
	for len(wire) > 0 {
		piece := wire[:min(size, len(wire))]
		wire = wire[len(piece):]
		n, _, err := e.write([]byte(piece), func(m []byte) error {
			out = append(out, string(m))
			return nil
		})
		if err != nil {
			return out, err
		}
		require.Equal(t, len(piece), n)
	}
	return out, nil
}

// decoded returns the bytes that a message becomes, coming in pieces of the given
// size.
func decoded(d *decoder, message string, size int) (string, error) {
	from := len(d.out)
	d.begin()
	var err error
	for len(message) > 0 && err == nil {
		piece := message[:min(size, len(message))]
		message = message[len(piece):]
		err = d.write([]byte(piece))
	}
	if err == nil {
		err = d.end()
	}
	return string(d.out[from:]), err
}

// RFC 7395 §3.3: what is written becomes messages, however it is sliced.
func TestEncode(t *testing.T) {
	for name, c := range map[string]struct {
		server bool
		wire   string
		want   []string
	}{
		"§3.4 header": {
			wire: header + ` to='example.com' version='1.0' xml:lang='en'>`,
			want: []string{open + ` to="example.com" version="1.0" xml:lang="en"/>`},
		},
		"§3.4 response with features": {
			server: true,
			wire: header + ` from='example.com' id='++TR84Sm6A3hnt3Q065SnAbbk3Y=' xml:lang='en' version='1.0'>` +
				`<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>`,
			want: []string{
				open + ` from="example.com" id="++TR84Sm6A3hnt3Q065SnAbbk3Y=" version="1.0" xml:lang="en"/>`,
				`<stream:features xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams"><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>`,
			},
		},
		"§3.7 restart": {
			wire: header + `>` + `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</auth>` + header + `>`,
			want: []string{open + `/>`, `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AA==</auth>`, open + `/>`},
		},
		"§3.3.3 stanzas": {
			wire: `<message to='a@b'><body>&lt;message/&gt;</body></message><iq/><presence xmlns='jabber:client'/>`,
			want: []string{
				`<message xmlns="jabber:client" to='a@b'><body>&lt;message/&gt;</body></message>`,
				`<iq xmlns="jabber:client"/>`,
				`<presence xmlns='jabber:client'/>`,
			},
		},
		"§3.3.3 prefix from the header, inside": {
			wire: `<message><stream:foo/></message>`,
			want: []string{`<message xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams"><stream:foo/></message>`},
		},
		"§3.5 error, §3.6 end": {
			wire: `<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>`,
			want: []string{
				`<stream:error xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams"><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>`,
				shut,
			},
		},
		"§3.8 white space": {wire: " \n <iq/> <iq/>\t", want: []string{`<iq xmlns="jabber:client"/>`, `<iq xmlns="jabber:client"/>`}},
		"§3.9 no STARTTLS": {
			server: true,
			wire: `<stream:features><a xmlns='u'/><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>` +
				`<b xmlns='u'><starttls/></b><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:features>`,
			want: []string{`<stream:features xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams">` +
				`<a xmlns='u'/><b xmlns='u'><starttls/></b></stream:features>`},
		},
		"tricky": {
			wire: `<a b='>' c="/>'"><![CDATA[</a>]]]]><![CDATA[>]]><b/><c d = 'e' ></c ></a><xmlns:x xmlns:stream = 'u' xmlnsx='' y='xmlns='/>`,
			want: []string{
				`<a xmlns="jabber:client" b='>' c="/>'"><![CDATA[</a>]]]]><![CDATA[>]]><b/><c d = 'e' ></c ></a>`,
				`<xmlns:x xmlns="jabber:client" xmlns:stream = 'u' xmlnsx='' y='xmlns='/>`,
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for size := 1; size <= len(c.wire); size++ {
				got, err := written(t, c.server, c.wire, size)
				require.NoError(t, err)
				require.Equal(t, c.want, got, "pieces of %d", size)
			}
		})
	}
	_, err := written(t, false, "text", 4)
	require.ErrorIs(t, err, errNotStream)
	_, err = written(t, false, "<stream:stream x:y='1'>", 4)
	require.ErrorIs(t, err, stream.NotWellFormed)
}

// What could not be sent does not count as written.
func TestEncodeFails(t *testing.T) {
	e := encoder{}
	sent := 0
	n, _, err := e.write([]byte(`<a/><b/><c/>`), func([]byte) error {
		if sent++; sent == 2 {
			return errors.New("lost")
		}
		return nil
	})
	require.Error(t, err)
	require.Equal(t, len(`<a/>`), n)
}

// RFC 7395 §3.3: messages become what the tokenizer of a stream reads.
func TestDecode(t *testing.T) {
	for name, c := range map[string]struct {
		client   bool
		in, want string
	}{
		"§3.4 open": {
			in:   `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="example.com" version="1.0" />`,
			want: header + ` to="example.com" version="1.0">`,
		},
		"open with a prefix": {
			in:   `<f:open xmlns:f='urn:ietf:params:xml:ns:xmpp-framing' from="a&amp;b" xml:lang='en' odd='1'></f:open>`,
			want: header + ` from="a&amp;b" xml:lang="en">`,
		},
		"§3.6 close":   {in: shut, want: closingTag},
		"§3.3.3":       {in: `<message xmlns="jabber:client" xml:lang="en"><body>Every</body></message>`},
		"one tag":      {in: `<presence xmlns='jabber:client'/>`},
		"short":        {in: `<a xmlns='u'></a>`},
		"space behind": {in: "<iq xmlns='u'/>\r\n ", want: "<iq xmlns='u'/>"},
		"declaration":  {in: "<?xml version='1.0' encoding='UTF-8'?>\n<iq xmlns='u'/>", want: "<iq xmlns='u'/>"},
		"features": {
			client: true,
			in: `<stream:features xmlns:stream="http://etherx.jabber.org/streams"><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>` +
				`<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features> `,
			want: `<stream:features xmlns:stream="http://etherx.jabber.org/streams" xmlns=''><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>`,
		},
		"error without a prefix": {in: `<error xmlns="http://etherx.jabber.org/streams"><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>`},
		"tricky":                 {in: `<a xmlns='u' b='></a>'><![CDATA[</a>]]]><c/><d>]]&gt;</d></a>`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == "" {
				c.want = c.in
			}
			for size := 1; size <= len(c.in); size++ {
				got, err := decoded(&decoder{client: c.client, limit: defaultLimit}, c.in, size)
				require.NoError(t, err)
				require.Equal(t, c.want, got, "pieces of %d", size)
			}
		})
	}
}

// What is no element on its own is refused with the condition of a stream error.
func TestDecodeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		client bool
		in     string
		want   stream.Condition
	}{
		"empty":               {in: "", want: stream.BadFormat},
		"leading space":       {in: " <iq xmlns='u'/>", want: stream.BadFormat},
		"text":                {in: "hello", want: stream.BadFormat},
		"byte order mark":     {in: "\ufeff<iq xmlns='u'/>", want: stream.BadFormat},
		"two stanzas":         {in: "<iq xmlns='u'/><iq xmlns='u'/>", want: stream.BadFormat},
		"two with ends":       {in: "<iq xmlns='u'></iq><iq xmlns='u'/>", want: stream.BadFormat},
		"text behind":         {in: "<iq xmlns='u'/>x", want: stream.BadFormat},
		"much space behind":   {in: "<iq xmlns='u'/>" + strings.Repeat(" ", maxSpace+1), want: stream.BadFormat},
		"half":                {in: "<message xmlns='u'><body>", want: stream.NotWellFormed},
		"half a tag":          {in: "<message xmlns='u'", want: stream.NotWellFormed},
		"half a name":         {in: "<mes", want: stream.NotWellFormed},
		"half an open":        {in: "<open ", want: stream.NotWellFormed},
		"stream header":       {in: "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", want: stream.BadFormat},
		"declared header":     {in: "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", want: stream.BadFormat},
		"closing tag":         {in: "</stream:stream>", want: stream.BadFormat},
		"declaration only":    {in: "<?xml version='1.0'?>", want: stream.NotWellFormed},
		"half a declaration":  {in: "<?xml version='1.0'", want: stream.NotWellFormed},
		"two declarations":    {in: "<?xml version='1.0'?><?xml version='1.0'?><a xmlns='u'/>", want: stream.RestrictedXML},
		"UTF-16":              {in: "<?xml version='1.0' encoding='UTF-16'?><a xmlns='u'/>", want: stream.UnsupportedEncoding},
		"endless declaration": {in: "<?xml " + strings.Repeat(" ", 200), want: stream.BadFormat},
		"instruction":         {in: "<?php ?><a xmlns='u'/>", want: stream.RestrictedXML},
		"comment":             {in: "<!-- --><a xmlns='u'/>", want: stream.RestrictedXML},
		"doctype":             {in: "<!DOCTYPE a><a xmlns='u'/>", want: stream.RestrictedXML},
		"no namespace":        {in: "<message><body xmlns='jabber:client'/></message>", want: stream.InvalidNamespace},
		"undeclared prefix":   {in: "<stream:error/>", want: stream.NotWellFormed},
		"open, §3.3.2":        {in: "<open xmlns='jabber:client' to='a'/>", want: stream.InvalidNamespace},
		"close, §3.3.2":       {in: "<close xmlns='urn:other'/>", want: stream.InvalidNamespace},
		"open with content":   {in: open + "><a/></open>", want: stream.BadFormat},
		"large open":          {in: open + " a='" + strings.Repeat("x", defaultLimit) + "'/>", want: stream.PolicyViolation},
		"STARTTLS, §3.9":      {in: "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", want: stream.UnsupportedStanzaType},
		"features in pieces":  {client: true, in: "<features xmlns='http://etherx.jabber.org/streams'><a>", want: stream.NotWellFormed},
		"features and more":   {client: true, in: "<features xmlns='http://etherx.jabber.org/streams'/><a/>", want: stream.NotWellFormed},
	} {
		t.Run(name, func(t *testing.T) {
			for size := 1; size <= len(c.in)+1; size++ {
				out, err := decoded(&decoder{client: c.client, limit: defaultLimit}, c.in, size)
				var e *stream.Error
				require.ErrorAs(t, err, &e, "pieces of %d", size)
				require.Equal(t, c.want, e.Condition, "pieces of %d: %v", size, err)
				require.False(t, e.Received)
				// Nothing that was refused can have become an element.
				_, err = stream.ParseElement([]byte(out), nil)
				require.Error(t, err, out)
			}
		})
	}
}

// RFC 7395 §3.6.1
func TestSeeOtherURI(t *testing.T) {
	for uri, good := range map[string]bool{
		"wss://otherendpoint.example/xmpp-bind":             true,
		"WSS://otherendpoint.example:444/":                  true,
		"wss://[2001:db8::1]/":                              true,
		"ws://otherendpoint.example/xmpp-bind":              false,
		"http://otherendpoint.example/":                     false,
		"https://otherendpoint.example/bosh":                false,
		"otherendpoint.example":                             false,
		"wss:/path":                                         false,
		"wss://:5443/":                                      false,
		"wss://user:secret@host.example/":                   false,
		"wss://host.example/#fragment":                      false,
		"":                                                  false,
		"wss://host.example/" + strings.Repeat("x", maxURI): false,
	} {
		d := &decoder{client: true, limit: defaultLimit}
		out, err := decoded(d, `<close xmlns="urn:ietf:params:xml:ns:xmpp-framing" see-other-uri="`+uri+`"/>`, 100)
		require.Empty(t, out)
		require.True(t, d.closed)
		var e *stream.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, stream.SeeOtherHost, e.Condition)
		require.True(t, e.Received)
		var other *SeeOtherError
		require.Equal(t, good, errors.As(err, &other), uri)
		require.Equal(t, !good, errors.Is(err, ErrSeeOtherInsecure), uri)
		if good {
			require.Equal(t, uri, other.URI)
		}
		require.Less(t, len(err.Error()), 1024)
	}
	// To a server it means nothing.
	out, err := decoded(&decoder{limit: defaultLimit}, `<close xmlns="urn:ietf:params:xml:ns:xmpp-framing" see-other-uri="ws://x"/>`, 100)
	require.NoError(t, err)
	require.Equal(t, closingTag, out)
}

// FuzzDecode: no message makes the decoder panic, keep more than it may, or depend
// on slicing; and what it passes on is one element, as the message is.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="example.com" version="1.0" />`, shut,
		`<message xmlns="jabber:client" xml:lang="en"><body>Every</body></message>`,
		`<stream:features xmlns:stream="http://etherx.jabber.org/streams"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"/></stream:features>`,
		`<error xmlns="http://etherx.jabber.org/streams"><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></error>`,
		"<?xml version='1.0'?> <a xmlns='u'/> ", "<a/><b/>", "<a", " <a/>", "<a xmlns='u'><![CDATA[]]></a>", "<!DOCTYPE a><a/>", "</a>",
		`<p:a xmlns:p='u'><b c=">"/></p:a>`,
	} {
		f.Add([]byte(s), true)
		f.Add([]byte(s), false)
	}
	f.Fuzz(func(t *testing.T, in []byte, client bool) {
		const limit = 1 << 10
		whole := &decoder{client: client, limit: limit}
		want, wantErr := decoded(whole, string(in), len(in)+1)
		require.LessOrEqual(t, len(whole.head), limit+maxDeclaration)
		require.LessOrEqual(t, len(want), 6*len(in)+200)
		got, err := decoded(&decoder{client: client, limit: limit}, string(in), 1)
		require.Equal(t, wantErr, err)
		if err != nil {
			return
		}
		require.Equal(t, want, got)
		el, err := stream.ParseElement(in, nil)
		if err != nil || strings.HasPrefix(got, "<?xml") || got == closingTag {
			return
		}
		passed, err := stream.ParseElement([]byte(got), nil)
		require.NoError(t, err)
		require.Equal(t, el.Name(), passed.Name())
	})
}

// FuzzEncode: a first-level element that is written comes out of the other side's
// decoder with the same meaning, however it is sliced.
func FuzzEncode(f *testing.F) {
	for _, s := range []string{
		`<message to='a@b'><body>x</body></message>`, `<iq/>`, `<a xmlns='u' b='>'><![CDATA[</a>]]></a>`, `<message><stream:foo/></message>`,
		`<p:a xmlns:p='u'><b/></p:a>`, `<a:b xmlns:a='x' xmlns='y'/>`, `<a xmlns:stream='u'><stream:b/></a>`, `<a stream:b=''/>`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		around := func(s string) *stream.Element {
			el, err := stream.ParseElement([]byte(`<stream:s xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`+s+`</stream:s>`), nil)
			if err != nil {
				return nil
			}
			n := 0
			var only *stream.Element
			for c := range el.Children() {
				n++
				only = c.Clone()
			}
			if n != 1 || len(only.Raw()) != len(s) {
				return nil
			}
			return only
		}
		el := around(string(in))
		if el == nil {
			return
		}
		switch el.Name().Local {
		case "stream", "features", "open", "close", "starttls":
			return
		}
		messages, err := written(t, true, string(in), len(in))
		require.NoError(t, err)
		require.Len(t, messages, 1)
		bytewise, err := written(t, true, string(in), 1)
		require.NoError(t, err)
		require.Equal(t, messages, bytewise)
		if alone, err := stream.ParseElement([]byte(messages[0]), nil); err != nil || len(alone.Raw()) > 100_000 {
			// The declarations that were added can exceed a limit, nothing else.
			require.ErrorIs(t, err, stream.PolicyViolation)
			return
		}
		got, err := decoded(&decoder{limit: defaultLimit}, messages[0], 7)
		require.NoError(t, err)
		back := around(got)
		require.NotNil(t, back)
		require.Equal(t, tokens(el), tokens(back))
	})
}

// tokens lists what an element means.
func tokens(el *stream.Element) []string {
	var out []string
	for tok := range el.Tokens() {
		s := tok.Kind.String() + tok.Name.String() + string(tok.Text)
		for _, a := range tok.Attrs {
			s += " " + a.Name.String() + "=" + string(a.Value)
		}
		out = append(out, s)
	}
	return out
}
