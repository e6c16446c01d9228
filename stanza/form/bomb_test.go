package form_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza/form"
)

// A short regular expression can stand for a very long one, with which every value is
// compared: it is treated like one that is too long (XEP-0122 §4.1, §6).
func TestRegexBomb(t *testing.T) {
	for pattern, ok := range map[string]bool{
		`[0-9]{3}-[0-9]{2}-[0-9]{4}`:                        true,
		`[a-z]{1,1000}`:                                     true,
		`(a|b)*c{2,}`:                                       true,
		`x{1000}`:                                           true,
		strings.Repeat(`(x?){0,1000}`, 80):                  false,
		strings.Repeat(`(.*x){0,1000}`, 70):                 false,
		`(((x{10}){10}){10})` + `(y?){0,1000}z{100}`:        false,
		strings.Repeat(`(`, 500) + strings.Repeat(`)`, 500): true,
	} {
		d := form.New(form.Form, "urn:x", form.Field{Var: "v", Type: form.TextSingle, Validation: &form.Validation{Method: form.Regex, Pattern: pattern}})
		err := d.Check(form.New(form.Submit, "urn:x", form.Field{Var: "v", Values: []string{strings.Repeat("x", 16<<10)}}))
		require.Error(t, err, pattern) // none of them matches
		var bad *form.FieldError
		if ok {
			require.ErrorAs(t, err, &bad, pattern)
		} else {
			require.NotErrorAs(t, err, &bad, pattern)
			require.ErrorContains(t, err, "repetitions")
		}
	}
}
