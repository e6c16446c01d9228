package command

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stream"
)

// canned answers every request with the same.
type canned string

func (c canned) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	if c == "" {
		return &stanza.IQ{}, nil
	}
	el, err := stream.ParseElement([]byte(c), nil)
	return &stanza.IQ{Payload: el}, err
}

// XEP-0050 §5: command nodes of other addresses are left out.
func TestList(t *testing.T) {
	items, err := List(t.Context(), canned(`<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'>
    <item jid='responder@domain' node='list' name='List Service Configurations'/>
    <item jid='evil@domain' node='config' name='Configure Service'/>
    <item jid='responder@domain' name='no node'/>
  </query>`), responder)
	require.NoError(t, err)
	require.Equal(t, []disco.Item{{JID: responder, Node: "list", Name: "List Service Configurations"}}, items)
	_, err = List(t.Context(), canned(""), jid.JID{})
	require.ErrorIs(t, err, stanza.ErrInvalid)
	_, err = List(t.Context(), canned("<x/>"), responder)
	require.Error(t, err)
}

// What a responder says is not taken for granted.
func TestResponses(t *testing.T) {
	for _, wire := range []string{
		"", "<x/>", command("status='completed'", ""), command("node='other' status='completed'", ""),
		command("node='c'", ""), command("node='c' status='done'", ""), command("node='c' status='executing'", ""),
		command("node='c' status='executing' sessionid=''", ""),
		command("node='c' status='executing' sessionid='1'", "<actions execute='dance'><next/></actions>"),
		command("node='c' status='completed'", "<x xmlns='jabber:x:data'/>"),
		command("node='c' status='completed'", strings.Repeat("<note/>", maxNotes+1)),
		command("node='c' status='completed'", "<note>"+strings.Repeat("x", maxNote+1)+"</note>"),
		command("node='c' status='completed'", strings.Repeat("<x xmlns='jabber:x:oob'/>", maxPayloads+1)),
	} {
		_, err := Execute(t.Context(), canned(wire), responder, "c")
		var e *stanza.Error
		require.True(t, errors.As(err, &e), "%.100s", wire)
		require.False(t, e.Received)
	}
	// It ignores the action (§4.1), and a default that is not allowed is not sent.
	e, err := Execute(t.Context(), canned(command("node='c' status='executing' sessionid='1' action='dance'",
		"<actions><complete/></actions><note type='loud'>x</note><x xmlns='jabber:x:oob'/>")), responder, "c")
	require.NoError(t, err)
	require.Equal(t, []Note{{Info, "x"}}, e.Response.Notes)
	require.Len(t, e.Response.Payloads, 1)
	require.ErrorIs(t, e.Continue(t.Context(), nil), ErrAction)
	e.d = canned(command("node='c' status='executing' sessionid='2'", ""))
	require.ErrorIs(t, e.Complete(t.Context(), nil), stanza.BadRequest)
	e.d = canned(command("node='c' status='canceled'", ""))
	require.NoError(t, e.Cancel(t.Context()))
}
