package xmpp

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Answer is a whole bot in one call: [Client.Answer] for the account with the
// given address and password, and defaults for everything else.
func Answer(ctx context.Context, address, password string, answer func(*stanza.Message) *stanza.Message) error {
	account, err := jid.Parse(address)
	if err != nil {
		return err
	}
	return (&Client{JID: account, Password: password}).Answer(ctx, answer)
}

// Answer connects, becomes available, and answers each chat message that has a
// body with what answer returns; nil means no answer. Requests are answered with
// service-unavailable. It runs until the connection is over or ctx ends, and returns
// why; with Reconnect set, the connection outlives its streams.
//
// The message is borrowed until answer returns. Calls are made one after the
// other. Programs that want anything more use [Client.Connect].
func (c *Client) Answer(ctx context.Context, answer func(*stanza.Message) *stanza.Message) error {
	conn, err := c.Connect(ctx)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	// RFC 6121 §4.2: without initial presence a server does not hand out
	// messages to the bare JID.
	available := func(ctx context.Context, s stanza.Sender) error { return s.Send(ctx, &stanza.Presence{}) }
	conn.Restore(availableKey{}, available)
	if err := available(ctx, conn); err != nil {
		return err
	}
	for st, err := range conn.All(ctx) {
		if err != nil {
			return err
		}
		m, ok := st.(*stanza.Message)
		if !ok || m.Type != stanza.ChatMessage || len(m.Body) == 0 {
			continue
		}
		if reply := answer(m); reply != nil {
			if err := conn.Send(ctx, reply); err != nil {
				return err
			}
		}
	}
	return conn.Err()
}

// availableKey finds what Answer restores.
type availableKey struct{}
