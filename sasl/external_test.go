package sasl

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// certificate is an External function for a client whose certificate names these addresses: the cases
// of XEP-0178 §3, as a server decides them.
func certificate(addrs ...string) func(context.Context, string) (string, error) {
	return func(_ context.Context, authzID string) (string, error) {
		switch {
		case len(addrs) == 0:
			return "", errors.New("the certificate names nobody")
		case authzID == "" && len(addrs) == 1:
			return addrs[0], nil
		case slices.Contains(addrs, authzID):
			return authzID, nil
		}
		return "", &Error{Condition: InvalidAuthzid}
	}
}

// testS24: EXTERNAL (RFC 4422 §A.1, RFC 6120 §13.7.2.2, XEP-0178 §3): what the client says reaches
// External as it is, and what External says decides.
func testS24(t *testing.T) {
	const juliet, nurse, foreign = "juliet@example.org", "nurse@example.org", "juliet@example.net"
	for _, row := range []struct {
		name    string
		addrs   []string
		authzID string
		want    error // nil: success
		authcID string
	}{
		{"no address", nil, "", NotAuthorized, ""},
		{"no address, authzid", nil, juliet, NotAuthorized, ""},
		{"one address, empty authzid", []string{juliet}, "", nil, juliet},
		{"one address, the same authzid", []string{juliet}, juliet, nil, juliet},
		{"one address, another authzid", []string{juliet}, nurse, InvalidAuthzid, ""},
		{"two addresses, empty authzid", []string{juliet, nurse}, "", InvalidAuthzid, ""},
		{"two addresses, one of them", []string{juliet, nurse}, nurse, nil, nurse},
		{"two addresses, none of them", []string{juliet, nurse}, "romeo@example.org", InvalidAuthzid, ""},
		{"a domain that is not ours", []string{juliet}, foreign, InvalidAuthzid, ""},
	} {
		scfg := othersServer()
		scfg.External = certificate(row.addrs...)
		t.Run("server/"+row.name, func(t *testing.T) {
			s := newServer(t, External(), scfg)
			if row.want != nil {
				// Empty is not none: it is the whole message ("=" in XMPP).
				fail(t, s, row.authzID, row.want)
				return
			}
			out, done, err := s.Next(t.Context(), []byte(row.authzID))
			require.NoError(t, err)
			require.True(t, done)
			require.Nil(t, out, "no additional data")
			require.Equal(t, Identity{AuthcID: row.authcID, AuthzID: row.authzID}, s.Identity())
		})
		t.Run("client/"+row.name, func(t *testing.T) {
			c := newClient(t, External(), &ClientConfig{AuthzID: row.authzID})
			out, done, err := c.Next(t.Context(), nil)
			require.NoError(t, err)
			require.True(t, done)
			require.NotNil(t, out)
			require.Equal(t, row.authzID, string(out))
		})
	}
	t.Run("server/authzid that External did not decide about", func(t *testing.T) {
		// A function that looks at the certificate alone does not open the accounts of others.
		scfg := othersServer()
		scfg.External = func(context.Context, string) (string, error) { return juliet, nil }
		fail(t, newServer(t, External(), scfg), "admin@example.org", InvalidAuthzid)
		scfg.Authorize = func(_ context.Context, id Identity) error {
			require.Equal(t, Identity{AuthcID: juliet, AuthzID: "admin@example.org"}, id)
			return nil
		}
		s := newServer(t, External(), scfg)
		_, done, err := s.Next(t.Context(), []byte("admin@example.org"))
		require.NoError(t, err)
		require.True(t, done)
	})
}

// testS25: EXTERNAL without anything below that says who the client is (RFC 6120 §6.3.4): the server
// cannot start, and one that was started with an unverified certificate refuses.
func testS25(t *testing.T) {
	t.Run("server/no certificate", func(t *testing.T) {
		_, err := External().NewServer(&ServerConfig{Secure: true, Store: testStore})
		require.ErrorIs(t, err, InvalidMechanism)
		require.ErrorIs(t, err, ErrConfig)
	})
	t.Run("server/unverified certificate", func(t *testing.T) {
		unverified := errors.New("the certificate has not been verified")
		scfg := &ServerConfig{External: func(context.Context, string) (string, error) { return "juliet@example.org", unverified }}
		for _, authzID := range []string{"", "juliet@example.org"} {
			fail(t, newServer(t, External(), scfg), authzID, NotAuthorized, unverified)
		}
	})
	t.Run("client/not chosen unless listed", func(t *testing.T) {
		_, _, err := Select(Default(), []string{"EXTERNAL"}, Policy{Secure: true})
		require.ErrorIs(t, err, ErrNoMechanism)
	})
}
