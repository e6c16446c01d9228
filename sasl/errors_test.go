package sasl

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestError: conditions by the names of RFC 6120 §6.5, found with errors.Is and nothing else.
func TestError(t *testing.T) {
	conditions := []Condition{Aborted, AccountDisabled, CredentialsExpired, EncryptionRequired, IncorrectEncoding, InvalidAuthzid,
		InvalidMechanism, MalformedRequest, MechanismTooWeak, NotAuthorized, TemporaryAuthFailure}
	for _, c := range conditions {
		err := fmt.Errorf("logging in: %w", &Error{Condition: c, Text: "the text", Cause: io.ErrUnexpectedEOF})
		require.Equal(t, "logging in: sasl: "+string(c)+": the text: unexpected EOF", err.Error())
		require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		for _, other := range conditions {
			require.Equal(t, c == other, errors.Is(err, other))
		}
	}
	// RFC 6120 §6.5: a condition that is not understood is not-authorized; so is none.
	require.ErrorIs(t, &Error{}, NotAuthorized)
	require.Equal(t, "sasl: not-authorized", (&Error{}).Error())
	// Text from a peer is data.
	text := (&Error{Text: "a\nb\x1b[31m\xff" + strings.Repeat("x", 1000)}).Error()
	require.NotContains(t, text, "\n")
	require.NotContains(t, text, "\x1b")
	require.NotContains(t, text, "\xff")
	require.Less(t, len(text), 600)
	require.Contains(t, (&Error{Text: "naïve 日本"}).Error(), "naïve 日本")
}

// TestRejected: error values of RFC 5802 §7 from a server.
func TestRejected(t *testing.T) {
	for value, want := range map[string]Condition{
		"invalid-proof":                       NotAuthorized,
		"unknown-user":                        NotAuthorized,
		"channel-bindings-dont-match":         NotAuthorized,
		"server-does-support-channel-binding": NotAuthorized,
		"made-up-by-an-extension":             NotAuthorized,
		"other-error":                         NotAuthorized,
		"invalid-encoding":                    MalformedRequest,
		"extensions-not-supported":            MalformedRequest,
		"invalid-username-encoding":           MalformedRequest,
		"no-resources":                        TemporaryAuthFailure,
	} {
		c := newClient(t, Scram(SHA1), scramConfig(Scram(SHA1)))
		send(t, c, nil)
		require.ErrorContains(t, fail(t, c, "e="+value, want, ErrRejected), value)

		c = newClient(t, Scram(SHA1), scramConfig(Scram(SHA1)))
		send(t, c, send(t, newServer(t, Scram(SHA1), serverConfig()), send(t, c, nil)))
		fail(t, c, "e="+value, want, ErrRejected)
	}
}
