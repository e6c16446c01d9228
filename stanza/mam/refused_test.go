package mam_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
)

// XEP-0313 §6.1: a message that was refused after all, because there was no room to
// store it, is taken out of the archives; not that there was something.
func TestRefusedInTheEnd(t *testing.T) {
	s := newServer(t, &mam.Module{})
	kept := s.chat(orchard, juliet, "kept")
	s.m.AfterRoute(t.Context(), kept)
	for _, to := range []jid.JID{juliet, nurse} { // of another server, and of this one
		tr := s.chat(chamber, to, "refused")
		tr.Refused = stanza.ResourceConstraint
		s.m.AfterRoute(t.Context(), tr)
		s.m.AfterRoute(t.Context(), tr) // nothing is left to do
	}
	require.Empty(t, s.errs)
	for account, want := range map[jid.JID][]bool{juliet: {true, false, false}, nurse: {false}} {
		var got []bool
		for _, e := range s.archive(account) {
			got = append(got, e.Message != nil)
		}
		require.Equal(t, want, got, account)
	}
	// One that is gone by now, and a store that fails.
	tr := s.chat(orchard, juliet, "refused")
	tr.Refused = stanza.ResourceConstraint
	require.NoError(t, s.m.Store.Delete(t.Context(), juliet))
	s.m.AfterRoute(t.Context(), tr)
	require.Empty(t, s.errs)
	s.m.Store = failing{s.m.Store}
	s.m.AfterRoute(t.Context(), tr)
	require.Len(t, s.errs, 1)
}

type failing struct{ mam.Store }

func (failing) Redact(context.Context, jid.JID, string) error { return errors.New("disk") }
