package xmpp

import (
	"context"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
)

// Forget ends what a server has to do with an account that does not exist any
// more: its sessions, its roster and the subscriptions of its contacts, what waits
// for it, and what modules keep. Call it when the account has been deleted from
// Accounts.
func (s *Server) Forget(ctx context.Context, account jid.JID) error {
	if err := s.init(); err != nil {
		return err
	}
	return s.router.Forget(ctx, account)
}

// Router returns the router beneath the server, for what the server has no method
// for: sending stanzas, say, or telling it that a roster has changed. The error
// wraps [ErrServer].
func (s *Server) Router() (*presence.Router, error) {
	if err := s.init(); err != nil {
		return nil, err
	}
	return &s.router, nil
}
