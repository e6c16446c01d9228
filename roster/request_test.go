package roster_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// The requests of RFC 6121 §2.3 to §2.5, as printed there. A client MUST NOT
// include approved and ask (§2.1.2.1, §2.1.2.2).
//
//conformance:proves 6120-8.1.1.1-2 6120-8.4-2
func TestSet(t *testing.T) {
	d := answering(t, "")
	ctx := t.Context()
	require.NoError(t, roster.Set(ctx, d, roster.Item{JID: nurse, Name: "Nurse", Groups: []string{"Servants"}}))
	require.NoError(t, roster.Set(ctx, d, roster.Item{JID: romeo, Name: "<R>", State: roster.From | roster.PendingOut}))
	require.NoError(t, roster.Set(ctx, d, roster.Item{JID: romeo, State: roster.Approved, Added: true, Request: []byte("x")}))
	require.NoError(t, roster.Remove(ctx, d, nurse))
	require.Equal(t, []string{
		`set <query xmlns='jabber:iq:roster'><item jid='nurse@example.com' name='Nurse'><group>Servants</group></item></query>`,
		`set <query xmlns='jabber:iq:roster'><item jid='romeo@example.net' name='&lt;R&gt;'/></query>`,
		`set <query xmlns='jabber:iq:roster'><item jid='romeo@example.net'/></query>`,
		`set <query xmlns='jabber:iq:roster'><item jid='nurse@example.com' subscription='remove'/></query>`,
	}, d.asked)
	require.ErrorIs(t, roster.Set(ctx, d, roster.Item{}), stanza.ErrInvalid)
	require.ErrorIs(t, roster.Remove(ctx, d, jid.JID{}), stanza.ErrInvalid)
	require.Len(t, d.asked, 4)

	// §2.3.3, §2.5.3: the server's errors.
	d.answer = func(string) (string, error) { return "", &stanza.Error{Condition: stanza.ItemNotFound, Received: true} }
	require.ErrorIs(t, roster.Remove(ctx, d, nurse), stanza.ItemNotFound)
}

// RFC 6121 §2.1.3, §2.6.2.
//
//conformance:proves 6120-8.1.1.1-2 6120-8.4-2
func TestGet(t *testing.T) {
	d := answering(t, "")
	for _, get := range []*roster.Query{nil, {}, {Versioned: true}, {Versioned: true, Ver: "v1", Items: []roster.Entry{entry("a@x", "", roster.None)}}} {
		q, err := roster.Get(t.Context(), d, get)
		require.NoError(t, err)
		require.Nil(t, q)
	}
	require.Equal(t, []string{
		`get <query xmlns='jabber:iq:roster'/>`, `get <query xmlns='jabber:iq:roster'/>`,
		`get <query xmlns='jabber:iq:roster' ver=''/>`, `get <query xmlns='jabber:iq:roster' ver='v1'/>`,
	}, d.asked)
	q, err := roster.Get(t.Context(), answering(t, pushed("v1", `<item jid='romeo@example.net'/>`)), nil)
	require.NoError(t, err)
	require.Equal(t, &roster.Query{Ver: "v1", Versioned: true, Items: []roster.Entry{entry("romeo@example.net", "", roster.None)}}, q)
	_, err = roster.Get(t.Context(), answering(t, "<query xmlns='jabber:iq:private'/>"), nil)
	require.ErrorIs(t, err, stanza.BadRequest)
	q, err = roster.Get(t.Context(), silent{}, nil)
	require.NoError(t, err)
	require.Nil(t, q)
}

// RFC 6121 §3.1.1, §3.1.4, §3.2.1, §3.3.1, §3.4.1: to the bare JID, with an id.
//
//conformance:proves 6120-8.1.1.1-1
func TestSubscriptionRequests(t *testing.T) {
	orchard := jid.MustParse("romeo@example.net/orchard")
	nick := roster.Query{} // any payload
	for want, request := range map[string]func(context.Context, roster.Sender, jid.JID) error{
		"type='subscribe'><query xmlns='jabber:iq:roster'/></presence>": func(ctx context.Context, s roster.Sender, j jid.JID) error {
			return roster.Subscribe(ctx, s, j, &nick)
		},
		"type='unsubscribe'/>":   roster.Unsubscribe,
		"type='subscribed'/>":    roster.Approve,
		"type='subscribed' />":   roster.PreApprove,
		"type='unsubscribed'/>":  roster.Deny,
		"type='unsubscribed' />": roster.Cancel,
	} {
		want = strings.ReplaceAll(want, " />", "/>")
		var s sender
		require.NoError(t, request(t.Context(), &s, orchard))
		require.Len(t, s.sent, 1)
		require.Regexp(t, `^<presence id='[^']{16}' to='romeo@example.net' `+want+`$`, s.sent[0])
		require.ErrorIs(t, request(t.Context(), &s, jid.JID{}), stanza.ErrInvalid)
		require.Len(t, s.sent, 1)
		require.ErrorIs(t, request(t.Context(), closed{}, romeo), errClosed)
	}
}

// silent is a Doer that has no reply and no error.
type silent struct{}

func (silent) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) { return nil, nil }

var errClosed = errors.New("closed")

type closed struct{}

func (closed) Send(context.Context, stanza.Stanza) error { return errClosed }
