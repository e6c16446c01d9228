package stream_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// A goal below security and authentication takes saying so.
func TestProfileIsSecureUnlessItSaysOtherwise(t *testing.T) {
	for _, goal := range []stream.State{stream.Secure, stream.Authenticated, stream.Bound, stream.Authenticated | stream.Bound} {
		prof := stream.Profile{Goal: goal}
		_, b := memconn.Pipe()
		_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: prof, Domains: []jid.JID{domain}})
		require.ErrorIs(t, err, stream.ErrOptions, goal)
		_, b = memconn.Pipe()
		_, err = stream.Initiate(t.Context(), b, &stream.InitiateOptions{Profile: prof, To: domain})
		require.ErrorIs(t, err, stream.ErrOptions, goal)
	}
	require.Equal(t, stream.Secure|stream.Authenticated|stream.Bound, stream.C2S().Goal)
	require.True(t, stream.InsecureC2S().InsecureGoal)
	require.Equal(t, "secure+bound", (stream.Secure | stream.Bound).String())
	require.Equal(t, "none", stream.State(0).String())
}
