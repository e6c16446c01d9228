package command_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/command"
	"stanzakit.dev/xmpp/stanza/form"
)

// A service offers a command with two stages: a form, and what is done with it.
func Example() {
	admin := jid.MustParse("admin@capulet.lit")
	announce := command.Command{
		Node:    "announce",
		Name:    "Send an announcement",
		Allowed: func(from jid.JID) bool { return from.Bare() == admin },
		Run: func(ctx context.Context, s *command.Session) error {
			if s.Stage == 0 {
				s.Ask(form.New(form.Form, "", form.Field{Var: "text", Type: form.TextMulti, Label: "Announcement", Required: true}),
					command.Actions{Complete: true})
				return nil
			}
			s.Note(command.Info, "announced: "+s.Form.Field("text").Text())
			return nil
		},
	}
	var mux stanza.Mux
	if err := stanza.Install(&mux, &command.Responder{Commands: []command.Command{announce}}); err != nil {
		fmt.Println(err)
		return
	}

	// A client executes it; d is its connection.
	ctx, d := context.Background(), inMemory(&mux, "admin@capulet.lit/tower")
	e, err := command.Execute(ctx, d, jid.MustParse("capulet.lit"), "announce")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := e.Response.Form.Answer()
	answer.Set("text", form.Lines("The ball\nbegins")...)
	if err := e.Complete(ctx, answer); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Response.Status, e.Response.Notes[0].Text)
	// Output:
	// completed announced: The ball
	// begins
}
