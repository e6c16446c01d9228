package form_test

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza/form"
)

// A bot asks for its configuration, and checks what comes back.
func Example() {
	ask := form.New(form.Form, "jabber:bot",
		form.Field{Var: "botname", Type: form.TextSingle, Label: "The name of your bot", Required: true},
		form.Field{
			Var: "maxsubs", Type: form.TextSingle, Label: "Maximum number of subscribers", Values: []string{"20"},
			Validation: &form.Validation{Datatype: "xs:integer", Method: form.Range, Min: "1", Max: "100"},
		},
		form.Field{Var: "public", Type: form.Bool, Label: "Public bot?"},
	)
	answer := ask.Answer() // on the other side, of what was received
	answer.SetBool("public", true)
	answer.Set("maxsubs", "1000")
	fmt.Println(ask.Check(answer))
	answer.Set("botname", "The Jabber Google Bot")
	fmt.Println(ask.Check(answer))
	answer.Set("maxsubs", "50")
	fmt.Println(ask.Check(answer))
	n, err := answer.Field("maxsubs").Int()
	fmt.Println(answer.Field("botname"), n, err)
	// Output:
	// stanza error not-acceptable: "field botname is required": field botname: form: no value
	// stanza error not-acceptable: "field maxsubs has a value that is not valid": field maxsubs: form: unusable value: "1000" is not in the range
	// <nil>
	// The Jabber Google Bot 50 <nil>
}
