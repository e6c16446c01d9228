package sasl

import (
	"errors"
	"fmt"
	"io"
	"strconv"
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

// TestErrorTexts: how much of a peer's text is repeated, and how.
func TestErrorTexts(t *testing.T) {
	require.Equal(t, `"`+strings.Repeat("x", maxQuoted)+`"`, quote(strings.Repeat("x", maxQuoted)))
	require.Equal(t, `"`+strings.Repeat("x", maxQuoted)+`"…`, quote(strings.Repeat("x", maxQuoted+1)))
	require.Equal(t, strings.Repeat("x", maxText), legible(strings.Repeat("x", maxText)))
	require.Equal(t, strings.Repeat("x", maxText)+"…", legible(strings.Repeat("x", maxText+1)))
	for text, want := range map[string]string{"naïve": "naïve", "a\xffb": `"a\xffb"`, "a\ufffdb": `"a\ufffdb"`, "a\u202eb": `"a\u202eb"`, "a\nb": `"a\nb"`} {
		require.Equal(t, want, legible(text))
	}
	names := make([]string, maxListed)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	require.Equal(t, `"0", "1", "2", "3", "4", "5", "6", "7"`, quoteList(names))
	require.Equal(t, `"0", "1", "2", "3", "4", "5", "6", "7" and 1 more`, quoteList(append(names, "8")))
	require.NotErrorIs(t, &Error{}, Condition(""))
	require.NotErrorIs(t, &Error{Condition: Aborted}, errNo)
}
