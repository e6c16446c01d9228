package form

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
)

// options makes a list of the given options.
func options(t FieldType, values ...string) Field {
	f := Field{Var: "a", Type: t}
	for _, v := range values {
		f.Options = append(f.Options, Option{Value: v})
	}
	return f
}

// with adds a validation to a field.
func with(f Field, v Validation) Field {
	f.Validation = &v
	return f
}

// required makes a field one that has to be there.
func required(f Field) Field {
	f.Required = true
	return f
}

// XEP-0004 §3.3 and §4, XEP-0122 §3: what is accepted in a field called a.
func TestCheck(t *testing.T) {
	typ := func(t FieldType) Field { return Field{Var: "a", Type: t} }
	list := options(ListMulti, "1", "2", "3")
	for _, tt := range []struct {
		name  string
		field Field
		good  [][]string // values; nil means that the field is left out
		bad   [][]string
	}{
		{"optional", typ(TextSingle), [][]string{nil, {}, {""}, {"x"}}, [][]string{{"x", "y"}, {"a\nb"}, {"a\rb"}}},
		{"required", required(typ(TextSingle)), [][]string{{"x"}, {" "}}, [][]string{nil, {}, {""}}},
		{"no type", Field{Var: "a"}, [][]string{{"x"}}, [][]string{{"x", "y"}, {"a\nb"}}},
		{"text-private", typ(TextPrivate), [][]string{{"v3r0na"}}, [][]string{{"a\nb"}}},
		{"text-multi", required(typ(TextMulti)), [][]string{{"x", "", "y"}, {"a\nb"}}, [][]string{nil, {"", ""}}},
		{"boolean", typ(Bool), [][]string{nil, {"1"}, {"0"}, {"true"}, {"false"}, {""}}, [][]string{{"yes"}, {"1", "0"}}},
		{"jid-single", typ(JIDSingle), [][]string{{"a@b.example"}, {""}}, [][]string{{"@"}, {"a@b.example", "c.example"}}},
		{"jid-multi", typ(JIDMulti), [][]string{{"a@b.example", "A@b.example"}}, [][]string{{"a@b.example", "@"}}},
		{"list-single", options(ListSingle, "1", "2"), [][]string{{"1"}, nil, {""}}, [][]string{{"3"}, {"1", "2"}}},
		{"list-multi", list, [][]string{{"1"}, {"2", "1"}, {}, nil}, [][]string{{"4"}, {"1", "4"}, {"1", "1"}}},
		{"an option that is empty", options(ListSingle, ""), [][]string{{""}}, [][]string{{"x"}}},
		{"hidden may change", Field{Var: "a", Type: Hidden, Values: []string{"x"}}, [][]string{{"y"}, {"y", "z"}, nil}, nil},
		{"fixed is no question", typ(Fixed), [][]string{{"x", "y"}}, nil},

		{"§3.2.1 basic", with(typ(TextSingle), Validation{Datatype: "xs:dateTime"}), [][]string{{"2003-10-06T11:22:00-07:00"}, {""}}, [][]string{{"2003-10-06"}}},
		{"§3.2.1 basic keeps the options", with(list, Validation{Datatype: "xs:string"}), [][]string{{"1"}}, [][]string{{"4"}}},
		{"§3.2.1 basic on lines", with(typ(TextMulti), Validation{Datatype: "xs:int"}), [][]string{{"1"}}, [][]string{{"1", "2"}}},
		{"§3.2.2 open", with(options(ListSingle, "holiday", "reminder"), Validation{Method: Open}), [][]string{{"holiday"}, {"other"}}, [][]string{{"a", "b"}}},
		{"§3.2.2 open with a datatype", with(list, Validation{Datatype: "xs:int", Method: Open}), [][]string{{"1", "77"}}, [][]string{{"x"}}},
		{"§3.2.2 open on lines", with(typ(TextMulti), Validation{Datatype: "xs:int", Method: Open}), [][]string{{"1", "2"}}, [][]string{{"1", "x"}}},
		{
			"§3.2.3 range", with(typ(TextSingle), Validation{Datatype: "xs:dateTime", Method: Range, Min: "2003-10-05T00:00:00-07:00", Max: "2003-10-24T23:59:59-07:00"}),
			[][]string{{"2003-10-06T11:22:00-07:00"}, {"2003-10-05T07:00:00Z"}, {"2003-10-25T06:59:59Z"}},
			[][]string{{"2003-10-05T06:59:59Z"}, {"2003-10-25T07:00:00Z"}, {"x"}},
		},
		{"§3.2.3 range without min", with(typ(TextSingle), Validation{Datatype: "xs:integer", Method: Range, Max: "5"}), [][]string{{"5"}, {"-99999999999999999999"}}, [][]string{{"6"}}},
		{"§3.2.3 range without max", with(typ(TextSingle), Validation{Datatype: "xs:decimal", Method: Range, Min: "-0.5"}), [][]string{{"-.50"}, {"7"}}, [][]string{{"-0.51"}}},
		{"§3.2.3 range without either", with(typ(TextSingle), Validation{Datatype: "xs:byte", Method: Range}), [][]string{{"-128"}}, [][]string{{"-129"}}},
		{"§3.2 range opens a list", with(list, Validation{Datatype: "xs:int", Method: Range, Min: "1", Max: "9"}), [][]string{{"1", "9"}}, [][]string{{"0"}}},
		{
			"§3.2.4 regex", with(typ(TextSingle), Validation{Method: Regex, Pattern: "([0-9]{3})-([0-9]{2})-([0-9]{4})"}),
			[][]string{{"123-12-1234"}}, [][]string{{"x123-12-1234"}, {"123-12-12345"}, {"123-12-123"}},
		},
		{"§3.2.4 the whole value, longest first", with(typ(TextSingle), Validation{Method: Regex, Pattern: "a|ab"}), [][]string{{"a"}, {"ab"}}, [][]string{{"abb"}, {"b"}}},
		{"§3.2.4 parentheses do not get out", with(typ(TextMulti), Validation{Method: Regex, Pattern: "a$|b"}), [][]string{{"a"}, {"b"}}, [][]string{{"a\nx"}, {"xb"}}},
		{"§3.2.4 and the datatype", with(typ(TextSingle), Validation{Datatype: "xs:int", Method: Regex, Pattern: ".*"}), [][]string{{"1"}}, [][]string{{"x"}}},
		{"§3.2.4 a value without end", with(typ(TextSingle), Validation{Method: Regex, Pattern: "x*"}), [][]string{{strings.Repeat("x", maxMatched)}}, [][]string{{strings.Repeat("x", maxMatched+1)}}},
		{"§3.3 list-range", with(options(ListMulti, "1", "2", "3", "4"), Validation{ListMin: 1, ListMax: 3}), [][]string{nil, {"1"}, {"1", "2", "3"}}, [][]string{{}, {""}, {"1", "2", "3", "4"}}},
		{"§3.3 list-range elsewhere is ignored", with(options(ListSingle, "1"), Validation{ListMin: 2}), [][]string{{"1"}}, nil},
		{"§4.1 an unknown datatype", with(typ(TextSingle), Validation{Datatype: "x:shoe-size"}), [][]string{{"enormous"}}, [][]string{{"a\nb"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			form := New(Form, "urn:f", tt.field)
			check := func(values []string) error {
				sub := New(Submit, "urn:f")
				if values != nil {
					sub.Set("a", values...)
				}
				sub.Set("unknown", "is", "ignored") // §3.1: MUST
				return form.Check(sub)
			}
			for _, values := range tt.good {
				require.NoError(t, check(values), "%q", values)
			}
			for _, values := range tt.bad {
				err := check(values)
				require.ErrorIs(t, err, stanza.NotAcceptable, "%q", values) // §4
				var e *FieldError
				require.True(t, errors.As(err, &e))
				require.Equal(t, "a", e.Var)
				require.True(t, errors.Is(err, ErrValue) || errors.Is(err, ErrNoValue))
				require.LessOrEqual(t, len(err.Error()), 1<<10)
				var se *stanza.Error
				require.True(t, errors.As(err, &se))
				for _, v := range values {
					if len(v) > 1 {
						require.NotContains(t, se.Text, v)
					}
				}
			}
		})
	}
}

func TestCheckForms(t *testing.T) {
	form := New(Form, "urn:f", Field{Var: "a", Type: TextSingle}, Field{Type: Fixed, Values: []string{"b"}})
	require.NoError(t, form.Check(New(Submit, "urn:f")))
	require.NoError(t, form.Check(New(Submit, "")))
	require.ErrorIs(t, form.Check(New(Submit, "urn:g")), stanza.NotAcceptable)
	require.ErrorIs(t, form.Check(New(Submit, "", Field{Var: FormTypeVar})), stanza.NotAcceptable)
	for _, sub := range []*Data{nil, {}, New(Form, "urn:f"), New(Cancel, ""), New(Submit, "", Field{Var: "a"}, Field{Var: "a"})} {
		require.ErrorIs(t, form.Check(sub), stanza.BadRequest)
	}
	for _, f := range []*Data{nil, {}, New(Submit, ""), New(Form, "", with(Field{Var: "a"}, Validation{Method: Regex, Pattern: "("}))} {
		err := f.Check(New(Submit, "", Field{Var: "a", Values: []string{"x"}}))
		require.ErrorIs(t, err, stanza.ErrInvalid) // not the fault of who submits
		var e *stanza.Error
		require.False(t, errors.As(err, &e))
	}
}

// XEP-0122 §7.2.2.2 and XML Schema 1.0 Part 2 §3.
func TestDatatypes(t *testing.T) {
	for name, tt := range map[string]struct{ good, bad []string }{
		"xs:anyURI":             {[]string{"http://a.example/b?c#d", "mailto:a@b", "x"}, []string{"http://[::1", "%zz", "a\x7f"}},
		"xs:boolean":            {[]string{"true", "0"}, []string{"yes"}},
		"xs:byte":               {[]string{"-128", "127", "+1", "007", " 1 "}, []string{"-129", "128", "1.0", "", "-", "1e1", "0x1", "1_0", "1/1"}},
		"xs:date":               {[]string{"2003-10-06", "2003-10-06Z"}, []string{"2003-13-06", "06.10.2003"}},
		"xs:dateTime":           {[]string{"2003-10-06T11:22:00-07:00"}, []string{"2003-10-06T11:22:00", "99999-01-01T00:00:00Z"}},
		"xs:decimal":            {[]string{"1", "-1.50", ".5", "5.", strings.Repeat("9", 200)}, []string{".", "1.2.3", "1e5", "INF", strings.Repeat("9", 1000)}},
		"xs:double":             {[]string{"1", "-1.5e10", "INF", "-INF", "NaN", "1e999"}, []string{"inf", "0x1p4", "1_0", "nan", "Infinity", "", "1e", strings.Repeat("1", 1000)}},
		"xs:float":              {[]string{"1.5"}, []string{"x"}},
		"xs:int":                {[]string{"-2147483648", "2147483647"}, []string{"-2147483649", "2147483648"}},
		"xs:integer":            {[]string{"-99999999999999999999"}, []string{"1.5", "1e1000000000"}},
		"xs:language":           {[]string{"en", "de-CH", "x-klingon", "de-1996"}, []string{"", "en_US", "toolonglanguage", "1en", "en-"}},
		"xs:long":               {[]string{"9223372036854775807"}, []string{"9223372036854775808"}},
		"xs:negativeInteger":    {[]string{"-1"}, []string{"0"}},
		"xs:nonNegativeInteger": {[]string{"0"}, []string{"-1"}},
		"xs:nonPositiveInteger": {[]string{"0"}, []string{"1"}},
		"xs:positiveInteger":    {[]string{"1"}, []string{"0"}},
		"xs:short":              {[]string{"-32768", "32767"}, []string{"32768"}},
		"xs:time":               {[]string{"16:00:00"}, []string{"16:00", "25:00:00"}},
		"xs:unsignedByte":       {[]string{"255"}, []string{"256", "-1"}},
		"xs:unsignedInt":        {[]string{"4294967295"}, []string{"4294967296"}},
		"xs:unsignedLong":       {[]string{"18446744073709551615"}, []string{"18446744073709551616"}},
		"xs:unsignedShort":      {[]string{"65535"}, []string{"65536"}},
	} {
		dt := datatypes[name]
		require.NotNil(t, dt, name)
		for _, s := range tt.good {
			_, err := dt(s)
			require.NoError(t, err, "%s %q", name, s)
		}
		for _, s := range tt.bad {
			_, err := dt(s)
			require.ErrorIs(t, err, ErrValue, "%s %q", name, s)
		}
	}
	require.Len(t, datatypes, 22)
}

func TestOrder(t *testing.T) {
	for name, s := range map[string][]string{ // increasing
		"xs:integer":  {"-10", "-9", "0", "9", "10"},
		"xs:decimal":  {"-1", "-0.5", "0.49", ".5"},
		"xs:double":   {"-INF", "-1", "0.5", "1e3", "INF"},
		"xs:date":     {"1999-12-31", "2000-01-01"},
		"xs:dateTime": {"2000-01-01T00:00:00+01:00", "2000-01-01T00:00:00Z"},
		"xs:time":     {"00:00:00", "15:59:59.5", "16:00:00"},
	} {
		for i := range s {
			for j := range s {
				a, err := datatypes[name](s[i])
				require.NoError(t, err)
				b, err := datatypes[name](s[j])
				require.NoError(t, err)
				want := max(-1, min(1, i-j))
				require.Equal(t, want, a.compare(b), "%s %s %s", name, s[i], s[j])
			}
		}
	}
}

// The examples of XEP-0122 §3, read, written and read again.
func TestValidationExamples(t *testing.T) {
	for wire, want := range map[string]Validation{
		`datatype='xs:dateTime'/>`:                   {Datatype: "xs:dateTime"},
		`datatype='xs:dateTime'><basic/></validate>`: {Datatype: "xs:dateTime"},
		`datatype='xs:string'><open/></validate>`:    {Datatype: "xs:string", Method: Open},
		`datatype='xs:dateTime'><range min='2003-10-05T00:00:00-07:00' max='2003-10-24T23:59:59-07:00'/></validate>`: {
			Datatype: "xs:dateTime", Method: Range, Min: "2003-10-05T00:00:00-07:00", Max: "2003-10-24T23:59:59-07:00"},
		`datatype='xs:string'><regex>([0-9]{3})-([0-9]{2})-([0-9]{4})</regex></validate>`: {
			Datatype: "xs:string", Method: Regex, Pattern: "([0-9]{3})-([0-9]{2})-([0-9]{4})"},
		`datatype='xs:string'><basic/><list-range min='1' max='3'/></validate>`: {Datatype: "xs:string", ListMin: 1, ListMax: 3},
		`><fuzzy/></validate>`: {}, // §4.1
	} {
		d := decode(t, x("form", "<field var='a' type='list-multi'><validate xmlns='http://jabber.org/protocol/xdata-validate' "+wire+"</field>"))
		require.Equal(t, &want, d.Fields[0].Validation, wire)
		require.Equal(t, d, roundTrip(t, d))
	}
	// §4.2: with the recommended prefix.
	d := decode(t, `<x xmlns='jabber:x:data' xmlns:xdv='http://jabber.org/protocol/xdata-validate' type='form'>
  <field type='text-single' var='date/start' label='Starting Date'><xdv:validate datatype='xs:date'><xdv:basic/></xdv:validate></field></x>`)
	require.Equal(t, &Validation{Datatype: "xs:date"}, d.Fields[0].Validation)
	for _, wire := range []string{"<open/><regex/>", "<basic/><basic/>", "<list-range/><list-range/>", "<list-range min='x'/>", "<list-range max='-1'/>", "<list-range max='99999999999'/>"} {
		el := parse(t, x("form", "<field var='a'><validate xmlns='http://jabber.org/protocol/xdata-validate'>"+wire+"</validate></field>"))
		require.ErrorIs(t, new(Data).DecodeElement(el), stanza.BadRequest, wire)
	}
	el := parse(t, x("form", "<field var='a'>"+strings.Repeat("<validate xmlns='http://jabber.org/protocol/xdata-validate'/>", 2)+"</field>"))
	require.ErrorIs(t, new(Data).DecodeElement(el), stanza.BadRequest)
}
