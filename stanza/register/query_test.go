package register_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

func cut(s, from, to string) (before, found, after string) {
	before, rest, _ := strings.Cut(s, from)
	found, after, _ = strings.Cut(rest, to)
	return before, found, after
}

func replaceAll(s, old, with string) string { return strings.ReplaceAll(s, old, with) }

// examples are payloads of XEP-0077.
var examples = []string{
	`<query xmlns='jabber:iq:register'/>`, // 1
	`<query xmlns='jabber:iq:register'>
    <instructions>
      Choose a username and password for use with this service.
      Please also provide your email address.
    </instructions>
    <username/>
    <password/>
    <email/>
  </query>`, // 2
	`<query xmlns='jabber:iq:register'>
    <registered/>
    <username>juliet</username>
    <password>R0m30</password>
    <email>juliet@capulet.com</email>
  </query>`, // 3
	`<query xmlns='jabber:iq:register'>
    <username>bill</username>
    <password>Calliope</password>
    <email>bard@shakespeare.lit</email>
  </query>`, // 4
	`<query xmlns='jabber:iq:register'>
    <x xmlns='jabber:x:data' type='submit'>
      <field type='hidden' var='FORM_TYPE'>
        <value>jabber:iq:register</value>
      </field>
      <field type='text-single' label='Given Name' var='first'>
        <value>Juliet</value>
      </field>
      <field type='list-single' label='Gender' var='x-gender'>
        <value>F</value>
      </field>
    </x>
  </query>`, // 10
	`<query xmlns='jabber:iq:register'>
    <remove/>
  </query>`, // 11
	`<query xmlns='jabber:iq:register'>
    <instructions>
      To register, visit http://www.shakespeare.lit/contests.php
    </instructions>
    <x xmlns='jabber:x:oob'>
      <url>http://www.shakespeare.lit/contests.php</url>
    </x>
  </query>`, // 25
}

func element(t testing.TB, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err)
	return el
}

func TestQuery(t *testing.T) {
	want := []register.Query{
		{},
		{Fields: register.Values{"username": "", "password": "", "email": ""}},
		{Registered: true, Fields: register.Values{"username": "juliet", "password": "R0m30", "email": "juliet@capulet.com"}},
		{Fields: register.Values{"username": "bill", "password": "Calliope", "email": "bard@shakespeare.lit"}},
		{Form: form.New(form.Submit, register.NS,
			form.Field{Var: "first", Type: form.TextSingle, Label: "Given Name", Values: []string{"Juliet"}},
			form.Field{Var: "x-gender", Type: form.ListSingle, Label: "Gender", Values: []string{"F"}})},
		{Remove: true},
		{URL: "http://www.shakespeare.lit/contests.php"},
	}
	for i, xml := range examples {
		var q register.Query
		require.NoError(t, q.DecodeElement(element(t, xml)), xml)
		if i == 1 || i == 6 {
			require.NotEmpty(t, q.Instructions)
		}
		// And back again.
		b, err := q.AppendXML(nil)
		require.NoError(t, err)
		var again register.Query
		require.NoError(t, again.DecodeElement(element(t, string(b))))
		require.Equal(t, q, again)
		q.Instructions = ""
		require.Equal(t, want[i], q)
	}
}

func TestQueryMalformed(t *testing.T) {
	const ns = " xmlns='jabber:iq:register'"
	for _, xml := range []string{
		`<query xmlns='jabber:iq:roster'/>`,
		`<register` + ns + `/>`,
		`<query/>`,
		`<query` + ns + `><remove/><remove/></query>`,
		`<query` + ns + `><username>a</username><username>b</username></query>`,
		`<query` + ns + `><x xmlns='jabber:x:data' type='submit'/><x xmlns='jabber:x:data' type='submit'/></query>`,
		`<query` + ns + `><x xmlns='jabber:x:data'/></query>`,
		`<query` + ns + `><nick>` + strings.Repeat("x", 4097) + `</nick></query>`,
		`<query` + ns + `><instructions>` + strings.Repeat("x", 16<<10+1) + `</instructions></query>`,
		`<query` + ns + `><x xmlns='jabber:x:oob'><url>` + strings.Repeat("x", 2049) + `</url></x></query>`,
	} {
		var q register.Query
		require.ErrorIs(t, q.DecodeElement(element(t, xml)), stanza.BadRequest, "%.100s", xml)
		require.Equal(t, register.Query{}, q)
	}
	// As much as there may be, and the first of two addresses.
	for _, xml := range []string{
		`<query` + ns + `><nick>` + strings.Repeat("x", 4096) + `</nick></query>`,
		`<query` + ns + `><instructions>` + strings.Repeat("x", 16<<10) + `</instructions></query>`,
		`<query` + ns + `><x xmlns='jabber:x:oob'><url>` + strings.Repeat("x", 2048) + `</url></x><x xmlns='jabber:x:oob'><url>y</url></x></query>`,
	} {
		var q register.Query
		require.NoError(t, q.DecodeElement(element(t, xml)), "%.100s", xml)
		require.NotEqual(t, "y", q.URL)
	}
	// What the schema does not have is passed over (§6).
	var q register.Query
	require.NoError(t, q.DecodeElement(element(t, `<query`+ns+`><shoe-size>44</shoe-size><username xmlns='x'>a</username>text<x xmlns='jabber:x:oob'/></query>`)))
	require.Equal(t, register.Query{}, q)
	// And is not written.
	_, err := (&register.Query{Fields: register.Values{"shoe-size": "44"}}).AppendXML(nil)
	require.ErrorIs(t, err, register.ErrFields)
	_, err = (&register.Query{Fields: register.Values{"username": "\x00"}}).AppendXML(nil)
	require.Error(t, err)
}

// A password is in no log.
func TestPrinted(t *testing.T) {
	q := &register.Query{Fields: register.Values{"password": "R0m30", "username": "juliet"}, Form: form.New(form.Submit, "R0m30")}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, v := range []any{q, *q, q.Fields, register.Applicant{Fields: q.Fields}} {
			require.NotContains(t, fmt.Sprintf(verb, v), "R0m30")
		}
	}
	require.Equal(t, "register.Query{register.Values{username password} registered:false remove:false form:true url:false}", fmt.Sprint(q))
}

func FuzzQuery(f *testing.F) {
	for _, xml := range examples {
		f.Add(xml)
	}
	f.Fuzz(func(t *testing.T, xml string) {
		el, err := stream.ParseElement([]byte(xml), nil)
		if err != nil {
			return
		}
		var q register.Query
		if q.DecodeElement(el) != nil {
			require.Equal(t, register.Query{}, q)
			return
		}
		b, err := q.AppendXML(nil)
		if err != nil {
			require.NotNil(t, q.Form) // what it cannot write it says
			return
		}
		var again register.Query
		require.NoError(t, again.DecodeElement(element(t, string(b))))
		require.Equal(t, q.Fields, again.Fields)
		require.Equal(t, q.Remove, again.Remove)
		require.Equal(t, q.Registered, again.Registered)
	})
}
