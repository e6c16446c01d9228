package mam

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// refusing is a Doer that fails, when its query is open.
type refusing struct{ c *Client }

func (refusing) LocalAddr() jid.JID { return jid.MustParse("juliet@capulet.lit/balcony") }

func (r refusing) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	if len(r.c.open) != 1 {
		return nil, errors.New("the query is not open")
	}
	return nil, stanza.ServiceUnavailable
}

// A query that has ended, well or not, leaves nothing behind.
func TestNothingStaysOpen(t *testing.T) {
	c := new(Client)
	_, _, err := c.Ask(t.Context(), refusing{c}, jid.JID{}, nil)
	require.ErrorIs(t, err, stanza.ServiceUnavailable)
	require.Empty(t, c.open)
	q := &inquiry{max: 1, done: make(chan struct{})}
	c.begin("1", q)
	c.end("1")
	q.add(&Result{ID: "late"})
	require.Empty(t, q.results)
	c.end("1") // again
}
