package auth

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

const (
	ns2  = ` xmlns='urn:xmpp:sasl:2'`
	uuid = "d4565fa7-4d72-4749-b3d3-740edbf87770"
)

func parse2(t *testing.T, xml string) frame2 {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err)
	return parseFrame2(el)
}

func written2(t *testing.T, f frame2) string {
	t.Helper()
	w := stream.NewWriter(nil)
	f.write(&w)
	b, err := w.Bytes()
	require.NoError(t, err)
	return string(b)
}

// XEP-0388 §2: each element reads back as what was written.
func TestFrame2RoundTrip(t *testing.T) {
	agent := stream.UserAgent{ID: uuid, Software: "AwesomeXMPP", Device: "Kiva's <Phone>"}
	for _, f := range []frame2{
		{kind: frame2Authenticate, mechanism: "PLAIN"},
		{kind: frame2Authenticate, mechanism: "PLAIN", data: []byte{}, agent: agent},
		{
			kind: frame2Authenticate, mechanism: "HT-SHA-256-EXPR", data: []byte("x"), agent: agent, upgrades: []string{"UPGR-SCRAM-SHA-256", "UPGR-X"},
			fast: fastRequest{present: true, count: 7, invalidate: true, request: "HT-SHA-256-NONE"},
		},
		{kind: frame2Challenge, data: []byte{}},
		{kind: frame2Challenge, data: []byte("abc")},
		{kind: frame2Response, data: []byte("abcd")},
		{kind: frame2Success, who: "juliet@im.example"},
		{kind: frame2Success, who: "juliet@im.example/a'b", data: []byte{}},
		{kind: frame2Continue, data: []byte("v=x"), tasks: []string{"A", "B"}, text: "more & more"},
		{kind: frame2Next, task: "A"},
		{kind: frame2TaskData},
		{kind: frame2Abort},
	} {
		xml := written2(t, f)
		got := parse2(t, xml)
		require.NoError(t, got.err, xml)
		require.Equal(t, stream.Name{Space: NS2, Local: element2Names[f.kind]}, got.name)
		got.el, got.name = nil, stream.Name{}
		require.Equal(t, f, got, xml)
	}
	require.Equal(t, `<authenticate`+ns2+` mechanism='PLAIN'/>`, written2(t, frame2{kind: frame2Authenticate, mechanism: "PLAIN"}))
	// §2.6.2: conditions and text are in different namespaces.
	f := parse2(t, written2(t, frame2{kind: frame2Failure, failure: &Failure{Err: &sasl.Error{Condition: sasl.CredentialsExpired, Text: "old\x00"}}}))
	require.Equal(t, &sasl.Error{Condition: sasl.CredentialsExpired, Text: "old"}, f.failure.Err)
	require.Equal(t, "en", f.failure.Lang)
	require.Equal(t, `<failure`+ns2+`><not-authorized xmlns='`+NS+`'/></failure>`, written2(t, frame2{kind: frame2Failure, failure: &Failure{Err: &sasl.Error{Condition: "no'such"}}}))
}

// What is not as it should be, and is for the exchange to answer.
func TestFrame2Errors(t *testing.T) {
	auth := func(inside string) string {
		return `<authenticate` + ns2 + ` mechanism='X'>` + inside + `</authenticate>`
	}
	for xml, want := range map[string]error{
		auth(`<initial-response>=</initial-response>`):                                         errEncoding, // RFC 6120's way
		auth(`<initial-response>AA</initial-response>`):                                        errEncoding,
		auth(`<initial-response> AAAA</initial-response>`):                                     errEncoding,
		auth(`<initial-response>AA&#10;AA</initial-response>`):                                 errEncoding,
		auth(`<initial-response>AB==</initial-response>`):                                      errEncoding,
		auth(`<initial-response><x/></initial-response>`):                                      errContent,
		auth(`<initial-response/><initial-response/>`):                                         errContent,
		auth(`<user-agent/><user-agent/>`):                                                     errContent,
		auth(`<user-agent id='x'/>`):                                                           errContent,
		auth(`<user-agent id=''/>`):                                                            errContent,
		auth(`<fast xmlns='urn:xmpp:fast:0' count='x'/>`):                                      errContent,
		auth(`<fast xmlns='urn:xmpp:fast:0' count=''/>`):                                       errContent,
		auth(`<fast xmlns='urn:xmpp:fast:0' invalidate=''/>`):                                  errContent,
		auth(`<fast xmlns='urn:xmpp:fast:0'/><fast xmlns='urn:xmpp:fast:0'/>`):                 errContent,
		`<challenge` + ns2 + `>!</challenge>`:                                                  errEncoding,
		`<response` + ns2 + `><x/></response>`:                                                 errContent,
		`<success` + ns2 + `/>`:                                                                errContent,
		`<success` + ns2 + `><authorization-identifier> </authorization-identifier></success>`: errContent,
		`<continue` + ns2 + `/>`:                                                               errContent,
		`<continue` + ns2 + `><tasks><task>lower</task></tasks></continue>`:                    errContent,
		`<continue` + ns2 + `><tasks/><tasks><task>A</task></tasks></continue>`:                errContent,
	} {
		require.ErrorIs(t, parse2(t, xml).err, want, xml)
	}
	// Not defined here, and so ignored (§2.3), or for others.
	f := parse2(t, auth(`<initial-response>AAAA</initial-response><x xmlns='urn:example:x'><initial-response/></x><later/><upgrade xmlns='urn:xmpp:sasl:upgrade:0'>not a name</upgrade>`))
	require.NoError(t, f.err)
	require.Empty(t, f.upgrades)
	// White space around an address, as in the examples.
	require.Equal(t, "juliet@im.example", parse2(t, `<success`+ns2+`><authorization-identifier>
		juliet@im.example
	</authorization-identifier></success>`).who)
	require.Equal(t, frame2Foreign, parse2(t, `<authenticate xmlns='`+NS+`'/>`).kind)
	require.Equal(t, frame2Unknown, parse2(t, `<auth`+ns2+`/>`).kind)
}

// XEP-0388 §2.3: the id is a UUID of version 4.
func TestUserAgent(t *testing.T) {
	for id, want := range map[string]bool{
		uuid: true, strings.ToUpper(uuid): true, "00000000-0000-4000-8000-000000000000": true, "ffffffff-ffff-4fff-bfff-ffffffffffff": true,
		"d4565fa7-4d72-4749-93d3-740edbf87770": true, "d4565fa7-4d72-4749-a3d3-740edbf87770": true, "d4565fa7-4d72-4749-B3d3-740edbf87770": true,
		"": false, "x": false, uuid + "0": false, uuid[1:]: false, "{" + uuid[:34] + "}": false,
		"d4565fa7-4d72-1749-b3d3-740edbf87770":    false, // version 1
		"d4565fa7-4d72-4749-c3d3-740edbf87770":    false, // another variant
		"d4565fa7-4d72-4749-\x193d3-740edbf87770": false,
		"d4565fa7+4d72-4749-b3d3-740edbf87770":    false,
		"g4565fa7-4d72-4749-b3d3-740edbf87770":    false,
		"d4565fa7-4d72-4749-b3d3-740edbf8777\r":   false,
	} {
		require.Equal(t, want, validUUID4(id), "%q", id)
	}
	f := parse2(t, `<authenticate`+ns2+`><user-agent id='`+strings.ToUpper(uuid)+`'><software>`+strings.Repeat("é", 300)+`</software><device>a&#10;b</device><device>c</device></user-agent></authenticate>`)
	require.NoError(t, f.err)
	require.Equal(t, uuid, f.agent.ID)
	require.Len(t, f.agent.Software, 512)
	require.Equal(t, "c", f.agent.Device)
}

// XEP-0388 §2.6.2: the first condition that there is, in the namespace of RFC 6120, and the first text,
// in that of SASL 2.
func TestParseFailure2(t *testing.T) {
	for inside, want := range map[string]Failure{
		``:                                  {Err: &sasl.Error{Condition: sasl.NotAuthorized}},
		`<text/>`:                           {Err: &sasl.Error{Condition: sasl.NotAuthorized}},
		`<aborted/>`:                        {Err: &sasl.Error{Condition: sasl.NotAuthorized}},
		`<no-such xmlns='` + NS + `'/>`:     {Err: &sasl.Error{Condition: sasl.NotAuthorized}},
		`<text xmlns='` + NS + `'>a</text>`: {Err: &sasl.Error{Condition: sasl.NotAuthorized}},
		`<aborted xmlns='urn:example:x'/>`:  {Err: &sasl.Error{Condition: sasl.NotAuthorized}},
		`<text xml:lang='de'>a</text><text>b</text><aborted xmlns='` + NS + `'/><account-disabled xmlns='` + NS + `'/>`: {Err: &sasl.Error{Condition: sasl.Aborted, Text: "a"}, Lang: "de"},
		`<no-such xmlns='` + NS + `'/><account-disabled xmlns='` + NS + `'/><x xmlns='urn:example:x'/>`:                 {Err: &sasl.Error{Condition: sasl.AccountDisabled}},
	} {
		xml := `<failure` + ns2 + `>` + inside + `</failure>`
		want.Raw = []byte(xml)
		require.Equal(t, &want, parse2(t, xml).failure, inside)
	}
}

// What cannot be a name, or is there already, leaves the others as they are.
func TestAppendName(t *testing.T) {
	for _, last := range []string{"B", "not a name", ""} {
		f := parse2(t, `<continue`+ns2+`><tasks><task>A</task><x>C</x><task>B</task><task>`+last+`</task></tasks></continue>`)
		require.NoError(t, f.err)
		require.Equal(t, []string{"A", "B"}, f.tasks)
	}
	f := parse2(t, `<elsewhere xmlns='urn:example:x'/>`)
	require.Equal(t, stream.Name{Space: "urn:example:x", Local: "elsewhere"}, f.name)
}

// XEP-0484 §3.3, and what a client makes of a token that cannot be read.
func TestParseToken(t *testing.T) {
	w := stream.NewWriter(nil)
	expires := time.Date(2030, 1, 2, 3, 4, 5, 0, time.FixedZone("x", 3600))
	writeToken(&w, StoredToken{Secret: "s&cret", Expires: expires})
	b, err := w.Bytes()
	require.NoError(t, err)
	require.Equal(t, `<token xmlns='urn:xmpp:fast:0' token='s&amp;cret' expiry='2030-01-02T02:04:05Z'/>`, string(b))
	for xml, ok := range map[string]bool{
		string(b): true,
		`<token xmlns='urn:xmpp:fast:0' token='x' expiry='2030-01-02T02:04:05.123456+01:00'/>`:                     true,
		`<token xmlns='urn:xmpp:fast:0' expiry='2030-01-02T02:04:05Z'/>`:                                           false,
		`<token xmlns='urn:xmpp:fast:0' token='` + strings.Repeat("x", 1024) + `' expiry='2030-01-02T02:04:05Z'/>`: true,
		`<token xmlns='urn:xmpp:fast:0' token='` + strings.Repeat("x", 1025) + `' expiry='2030-01-02T02:04:05Z'/>`: false,
		`<token xmlns='urn:xmpp:fast:0' token='x'/>`:                                                               false,
		`<token xmlns='urn:xmpp:fast:0' token='x' expiry='tomorrow'/>`:                                             false,
		`<token xmlns='urn:example:x' token='x' expiry='2030-01-02T02:04:05Z'/>`:                                   false,
		``: false,
	} {
		f := parse2(t, `<success`+ns2+`><authorization-identifier>a@b</authorization-identifier>`+xml+`</success>`)
		require.NoError(t, f.err)
		_, _, got := parseToken(f.el)
		require.Equal(t, ok, got, xml)
	}
}

// Options that cannot be used.
func TestSASL2Options(t *testing.T) {
	begin := codeless
	for name, o := range map[string]SASL2ServerOptions{
		"a task without a name":   {Tasks: []Task{{Begin: begin}}},
		"a name that is none":     {Tasks: []Task{{Name: "totp", Begin: begin}}},
		"a task without Begin":    {Tasks: []Task{{Name: "TOTP"}}},
		"a task twice":            {Tasks: []Task{{Name: "TOTP", Begin: begin}, {Name: "TOTP", Begin: begin}}},
		"an unknown hash":         {Upgrades: []sasl.Hash{"MD5"}},
		"few iterations":          {UpgradeIterations: 1},
		"tokens that never serve": {TokenLifetime: -1},
		"tokens of no second":     {TokenLifetime: time.Millisecond},
		"many tasks":              {Tasks: manyTasks()},
		"many upgrades":           {Upgrades: make17()},
	} {
		require.ErrorIs(t, o.Validate(), ErrOptions, name)
	}
	// The last that will do.
	for _, o := range []SASL2ServerOptions{
		{}, {Tasks: manyTasks()[:maxTasks]}, {Upgrades: make17()[:maxUpgrades]}, {UpgradeIterations: sasl.MinIterations},
		{UpgradeIterations: 100_000}, {TokenLifetime: time.Second}, {TokenLifetime: time.Hour},
	} {
		require.NoError(t, o.Validate())
	}
	require.ErrorIs(t, (&SASL2ClientOptions{Tasks: []ClientTask{
		{Name: "TOTP", Begin: func(context.Context, string) (TaskFunc, error) { return nil, nil }},
		{Name: "TOTP", Begin: func(context.Context, string) (TaskFunc, error) { return nil, nil }},
	}}).Validate(), ErrOptions)
	require.NoError(t, new(SASL2ClientOptions).Validate())
	require.ErrorIs(t, (&SASL2ClientOptions{Tasks: []ClientTask{{Name: "TOTP"}}}).Validate(), ErrOptions)
	require.ErrorIs(t, (&SASL2ClientOptions{Upgrades: []sasl.Hash{"MD5"}}).Validate(), ErrOptions)
	require.ErrorIs(t, checkAgent(stream.UserAgent{ID: "x"}), ErrOptions)
	require.NoError(t, checkAgent(stream.UserAgent{Software: "x"}))
}

// Options are copied: what happens to the slices afterwards is for others.
func TestSASL2OptionsAreCopied(t *testing.T) {
	so := ServerOptions{SASL2: SASL2ServerOptions{Tasks: []Task{{Name: "A"}}, Upgrades: []sasl.Hash{sasl.SHA256}}}
	co := ClientOptions{SASL2: SASL2ClientOptions{Tasks: []ClientTask{{Name: "A"}}, Upgrades: []sasl.Hash{sasl.SHA256}}}
	server, client := so.prepare(), co.prepare()
	server.SASL2.prepare()
	client.SASL2.prepare()
	so.SASL2.Tasks[0].Name, co.SASL2.Tasks[0].Name = "B", "B"
	so.SASL2.Upgrades[0], co.SASL2.Upgrades[0] = sasl.SHA1, sasl.SHA1
	require.Equal(t, "A", server.SASL2.Tasks[0].Name)
	require.Equal(t, "A", client.SASL2.Tasks[0].Name)
	require.Equal(t, []sasl.Hash{sasl.SHA256}, server.SASL2.Upgrades)
	require.Equal(t, []sasl.Hash{sasl.SHA256}, client.SASL2.Upgrades)
}
