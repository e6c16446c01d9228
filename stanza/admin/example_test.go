package admin_test

import (
	"context"
	"fmt"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/command"
)

// local is a way to the server for the program that the server is in.
type local struct {
	from jid.JID
	mux  *stanza.Mux
}

// Do implements command.Doer.
func (l local) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	ask := iq.Clone()
	ask.ID, ask.From = "1", l.from
	b, err := ask.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	el, err := parsed(b)
	if err != nil {
		return nil, err
	}
	var got stanza.IQ
	if err := got.DecodeElement(el); err != nil {
		return nil, err
	}
	s := new(sender)
	if err := stanza.Dispatch(ctx, l.mux, s, &got); err != nil {
		return nil, err
	}
	if el, err = parsed([]byte(s.sent[0])); err != nil {
		return nil, err
	}
	reply := new(stanza.IQ)
	if err := reply.DecodeElement(el); err != nil {
		return nil, err
	}
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}

// An administrator adds an account with package command.
func Example() {
	ctx := context.Background()
	users := new(table) // the user table of the program
	module := &admin.Module{Accounts: users, Admins: []jid.JID{jid.MustParse("bard@shakespeare.lit")}}
	var mux stanza.Mux
	// An xmpp.Server does this with what is in its Modules.
	if err := module.Attach(&host{table: users}); err != nil {
		fmt.Println(err)
		return
	}
	if err := stanza.Install(&mux, module); err != nil {
		fmt.Println(err)
		return
	}

	client := local{jid.MustParse("bard@shakespeare.lit/globe"), &mux}
	x, err := command.Execute(ctx, client, jid.MustParse("shakespeare.lit"), admin.NS+"#add-user")
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := x.Response.Form.Answer()
	answer.Set("accountjid", "juliet@shakespeare.lit")
	answer.Set("password", "R0m30")
	answer.Set("password-verify", "R0m30")
	err = x.Continue(ctx, answer)
	n, _ := users.Count(ctx)
	fmt.Println(err, n)
	// Output: <nil> 1
}
