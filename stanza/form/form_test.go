package form

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

func parse(t testing.TB, s string) *stream.Element {
	el, err := stream.ParseElement([]byte(s), nil)
	require.NoError(t, err)
	return el
}

func golden(t testing.TB, name string) string {
	b, err := os.ReadFile("testdata/" + name + ".xml")
	require.NoError(t, err)
	return string(b)
}

func decode(t testing.TB, s string) *Data {
	d := new(Data)
	require.NoError(t, d.DecodeElement(parse(t, s)), s)
	return d
}

// roundTrip writes d and reads it again.
func roundTrip(t testing.TB, d *Data) *Data {
	b, err := d.AppendXML(nil)
	require.NoError(t, err)
	return decode(t, string(b))
}

// XEP-0004 example 2: the form to create a bot.
func TestExampleForm(t *testing.T) {
	d := decode(t, golden(t, "xep0004-2-form"))
	require.Equal(t, Form, d.Type)
	require.Equal(t, "Bot Configuration", d.Title)
	require.Equal(t, []string{"Fill out this form to configure your new bot!"}, d.Instructions)
	require.Equal(t, "jabber:bot", d.FormType())
	require.Len(t, d.Fields, 12)
	require.Equal(t, Field{Type: Fixed, Values: []string{"Section 1: Bot Info"}}, d.Fields[1])
	require.True(t, d.Field("public").Required)
	require.Equal(t, Field{
		Var: "features", Type: ListMulti, Label: "What features will the bot support?", Values: []string{"news", "search"},
		Options: []Option{{"Contests", "contests"}, {"News", "news"}, {"Polls", "polls"}, {"Reminders", "reminders"}, {"Search", "search"}},
	}, *d.Field("features"))
	require.Equal(t, "Tell all your friends about your new bot!", d.Field("invitelist").Desc)
	require.Equal(t, d, roundTrip(t, d))
}

// XEP-0004 example 3: the submission, which is one of that form.
func TestExampleSubmit(t *testing.T) {
	form, sub := decode(t, golden(t, "xep0004-2-form")), decode(t, golden(t, "xep0004-3-submit"))
	require.NoError(t, form.Check(sub))
	require.Equal(t, "The Jabber Google Bot", sub.Field("botname").String())
	require.Equal(t, 3, strings.Count(sub.Field("description").Text(), "\n"))
	public, err := sub.Field("public").Bool()
	require.NoError(t, err)
	require.False(t, public)
	max, err := sub.Field("maxsubs").Int()
	require.NoError(t, err)
	require.EqualValues(t, 50, max)
	require.True(t, sub.Field("features").Has("news"))
	invited, err := sub.Field("invitelist").JIDs()
	require.NoError(t, err)
	require.Equal(t, []jid.JID{jid.MustParse("juliet@capulet.com"), jid.MustParse("benvolio@montague.net")}, invited)
	require.Equal(t, sub, roundTrip(t, sub))
}

// XEP-0004 example 8: search results.
func TestExampleTable(t *testing.T) {
	d := decode(t, golden(t, "xep0004-8-result"))
	require.Equal(t, "Joogle Search: verona", d.Title)
	require.Equal(t, []Field{{Var: "name"}, {Var: "url"}}, d.Reported)
	require.Len(t, d.Items, 5)
	require.Equal(t, "http://www.hellasverona.it/", Cell(d.Items[1], "url").String())
	require.Nil(t, Cell(d.Items[1], "no such"))
	require.Equal(t, d, roundTrip(t, d))
}

// An answer has the hidden fields and what was chosen beforehand.
func TestAnswer(t *testing.T) {
	form := decode(t, golden(t, "xep0004-2-form"))
	a := form.Answer()
	require.Equal(t, Submit, a.Type)
	require.Equal(t, "jabber:bot", a.FormType())
	require.ErrorIs(t, form.Check(a), stanza.NotAcceptable) // "public" is required
	a.SetBool("public", true)
	a.Set("invitelist", "juliet@capulet.com")
	a.Set("features")
	require.NoError(t, form.Check(a))
	require.Equal(t, "20", a.Field("maxsubs").String())
	a.Field("maxsubs").Values[0] = "30"
	require.Equal(t, "20", form.Field("maxsubs").String())
	require.Nil(t, a.Field(""))
	again := roundTrip(t, a)
	require.Empty(t, again.Field("features").Values)
	require.NoError(t, form.Check(again))
}

// XEP-0068 §4.3, §5.
func TestFormType(t *testing.T) {
	for wire, want := range map[string]string{
		`<x xmlns='jabber:x:data' type='form'/>`: "",
		`<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='hidden'><value>a</value></field></x>`:                   "a",
		`<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE' type='text-single'><value>a</value></field></x>`:              "",
		`<x xmlns='jabber:x:data' type='form'><field var='FORM_TYPE'><value>a</value></field></x>`:                                 "",
		`<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>a</value></field></x>`:                               "",
		`<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>a</value></field></x>`:                               "a",
		`<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='text-single'><value>a</value></field></x>`:            "",
		`<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'/></x>`:                                        "",
		`<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>a</value><value>b</value></field></x>`: "",
	} {
		require.Equal(t, want, decode(t, wire).FormType(), wire)
	}
	require.Equal(t, "urn:x", New(Result, "urn:x", Field{Var: "a"}).FormType())
	require.Equal(t, "", New(Result, "").FormType())
}

func x(typ, inner string) string {
	return "<x xmlns='jabber:x:data' type='" + typ + "'>" + inner + "</x>"
}

func TestDecodeLenient(t *testing.T) {
	for wire, want := range map[string]*Data{
		x("cancel", ""): {Type: Cancel},
		x("form", "<title>a</title><title>b</title><y xmlns=''/>"): {Type: Form, Title: "a"},
		// §3.2: the default type. §3.3: an unknown one.
		x("form", "<field var='a'/><field var='b' type='new'/>"): {Type: Form, Fields: []Field{{Var: "a", Type: TextSingle}, {Var: "b", Type: TextSingle}}},
		x("submit", "<field var='a' type='new'/><field/>"):       {Type: Submit, Fields: []Field{{Var: "a"}}},
		// §3.4: in any order, and beside other fields.
		x("result", "<item><field var='a'/></item><reported><field var='a'/></reported><field var='b'/>"): {
			Type: Result, Reported: []Field{{Var: "a"}}, Items: [][]Field{{{Var: "a"}}}, Fields: []Field{{Var: "b"}},
		},
		x("result", "<field var='a'><value>1</value><value/></field>"): {Type: Result, Fields: []Field{{Var: "a", Values: []string{"1", ""}}}},
		x("form", "<field var='a'><required/><desc>d</desc><media xmlns='urn:xmpp:media-element'/></field>"): {
			Type: Form, Fields: []Field{{Var: "a", Type: TextSingle, Required: true, Desc: "d"}},
		},
	} {
		require.Equal(t, want, decode(t, wire), wire)
	}
}

func TestDecodeBad(t *testing.T) {
	repeat := strings.Repeat
	fields := func(n int, tag string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, tag, i)
		}
		return b.String()
	}
	for wire, want := range map[string]stanza.Condition{
		"<y xmlns='jabber:x:data' type='form'/>":             stanza.BadRequest,
		"<x type='form'/>":                                   stanza.BadRequest,
		"<x xmlns='jabber:x:data'/>":                         stanza.BadRequest, // §10
		x("error", ""):                                       stanza.BadRequest,
		x("form", "<field/>"):                                stanza.BadRequest, // §3.2
		x("form", "<field var=''/>"):                         stanza.BadRequest,
		x("form", "<field type='hidden'/>"):                  stanza.BadRequest,
		x("submit", "<field var='a'/><field var='a'/>"):      stanza.BadRequest,
		x("form", "<field var='a'><value/><value/></field>"): stanza.BadRequest,
		x("submit", "<field var='a' type='boolean'><value>1</value><value>0</value></field>"):                                     stanza.BadRequest,
		x("form", "<field var='a' type='list-single'><option/></field>"):                                                          stanza.BadRequest,
		x("form", "<field var='a' type='list-single'><option><value/><value/></option></field>"):                                  stanza.BadRequest,
		x("form", "<field var='a' type='list-single'><option><value>1</value></option><option><value>1</value></option></field>"): stanza.BadRequest,
		x("form", "<field var='a' type='text-single'><option><value>1</value></option></field>"):                                  stanza.BadRequest,
		x("form", "<field var='a'><option><value>1</value></option></field>"):                                                     stanza.BadRequest,
		x("form", "<reported><field var='a'/></reported>"):                                                                        stanza.BadRequest, // §3.4
		x("submit", "<item><field var='a'/></item>"):                                                                              stanza.BadRequest,
		x("result", "<reported/>"): stanza.BadRequest,
		x("result", "<item/>"):     stanza.BadRequest,
		x("result", "<reported><field var='a'/></reported><reported><field var='a'/></reported>"):                           stanza.BadRequest,
		x("result", "<item><field var='a'/><field var='a'/></item>"):                                                        stanza.BadRequest,
		x("form", "<field var='"+repeat("x", MaxVarSize+1)+"'/>"):                                                           stanza.PolicyViolation,
		x("form", fields(MaxFields+1, "<field var='f%d'/>")):                                                                stanza.PolicyViolation,
		x("form", repeat("<field type='fixed'/>", MaxFields+1)):                                                             stanza.PolicyViolation,
		x("form", repeat("<instructions/>", MaxValues+1)):                                                                   stanza.PolicyViolation,
		x("submit", "<field var='a'>"+repeat("<value/>", MaxValues+1)+"</field>"):                                           stanza.PolicyViolation,
		x("form", "<field var='a' type='list-multi'>"+fields(MaxValues+1, "<option><value>%d</value></option>")+"</field>"): stanza.PolicyViolation,
		x("result", repeat("<item><field var='a'/></item>", MaxItems+1)):                                                    stanza.PolicyViolation,
		x("result", repeat("<item>"+fields(8, "<field var='f%d'/>")+"</item>", MaxCells/8+1)):                               stanza.PolicyViolation,
	} {
		d := &Data{Title: "old"}
		err := d.DecodeElement(parse(t, wire))
		var e *stanza.Error
		require.True(t, errors.As(err, &e), "%.200s", wire)
		require.Equal(t, want, e.Condition, "%.200s", wire)
		require.False(t, e.Received)
		require.Equal(t, &Data{}, d)
	}
}

func TestAppendBad(t *testing.T) {
	many := make([]Field, MaxFields+1)
	for i := range many {
		many[i].Type = Fixed
	}
	a := Field{Var: "a"}
	for name, d := range map[string]*Data{
		"nil": nil, "no type": {}, "unknown type": {Type: "error"},
		"no name":             New(Form, "", Field{Type: TextSingle}),
		"unknown field type":  New(Form, "", Field{Var: "a", Type: "new"}),
		"twice":               New(Form, "", a, a),
		"two values":          New(Form, "", Field{Var: "a", Type: TextPrivate, Values: []string{"1", "2"}}),
		"options":             New(Form, "", Field{Var: "a", Options: []Option{{Value: "1"}}}),
		"options twice":       New(Form, "", Field{Var: "a", Type: ListMulti, Options: []Option{{"x", "1"}, {"y", "1"}}}),
		"too many fields":     New(Form, "", many...),
		"a long name":         New(Form, "", Field{Var: strings.Repeat("x", MaxVarSize+1)}),
		"too many values":     New(Form, "", Field{Var: "a", Type: TextMulti, Values: make([]string, MaxValues+1)}),
		"too many items":      {Type: Result, Items: make([][]Field, MaxItems+1)},
		"too many cells":      {Type: Result, Items: [][]Field{many}},
		"a table in a form":   {Type: Form, Reported: []Field{a}},
		"an empty item":       {Type: Result, Reported: []Field{a}, Items: [][]Field{{}}},
		"a column is missing": {Type: Result, Reported: []Field{a}, Items: [][]Field{{{Var: "b"}}}},
		"a table and fields":  {Type: Result, Reported: []Field{a}, Fields: []Field{{Var: "b"}}},
		"no such method":      New(Form, "", Field{Var: "a", Validation: &Validation{Method: "guess"}}),
		"a range of strings":  New(Form, "", Field{Var: "a", Validation: &Validation{Method: Range, Min: "1"}}),
		"an unusable min":     New(Form, "", Field{Var: "a", Validation: &Validation{Datatype: "xs:int", Method: Range, Min: "one"}}),
		"a max without order": New(Form, "", Field{Var: "a", Validation: &Validation{Datatype: "xs:double", Method: Range, Max: "NaN"}}),
		"a bad expression":    New(Form, "", Field{Var: "a", Validation: &Validation{Method: Regex, Pattern: "("}}),
		"a long expression":   New(Form, "", Field{Var: "a", Validation: &Validation{Method: Regex, Pattern: strings.Repeat("a", maxPattern+1)}}),
		"a list-range":        New(Form, "", Field{Var: "a", Type: TextSingle, Validation: &Validation{ListMin: 1}}),
		"an impossible one":   New(Form, "", Field{Var: "a", Type: ListMulti, Validation: &Validation{ListMin: 2, ListMax: 1}}),
		"a negative one":      New(Form, "", Field{Var: "a", Type: ListMulti, Validation: &Validation{ListMin: -1}}),
	} {
		t.Run(name, func(t *testing.T) {
			b, err := d.AppendXML([]byte("x"))
			require.ErrorIs(t, err, stanza.ErrInvalid)
			require.Equal(t, "x", string(b))
		})
	}
	// A table with the one field that it may have.
	d := New(Result, "jabber:iq:search")
	d.Reported, d.Items = []Field{a}, [][]Field{{a}, {{Var: "a", Values: []string{"1"}}}}
	require.Equal(t, d, roundTrip(t, d))
}
