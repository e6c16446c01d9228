package otel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

func TestClassify(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{stream.ErrLocalClosed, ""},
		{&stream.ClosedError{Cause: stream.ErrPeerClosed}, ""},
		{&stream.Error{Condition: stream.InternalServerError, Cause: &stream.PanicError{Value: 1}}, "panic"},
		{&xtls.CertificateError{Cause: &net.OpError{Op: "read"}}, "certificate"},
		{&stream.Error{Condition: stream.PolicyViolation, Cause: &sasl.Error{Condition: sasl.NotAuthorized}}, "authentication: not-authorized"},
		{&auth.Failure{Err: &sasl.Error{Condition: sasl.AccountDisabled}}, "authentication: account-disabled"},
		{&sasl.Error{}, "authentication: not-authorized"},
		{&sasl.Error{Condition: "made-up"}, "authentication: _OTHER"},
		{&bind.Error{Condition: bind.Conflict}, "binding: conflict"},
		{&bind.Error{Condition: "made-up"}, "binding: _OTHER"},
		{&stream.Error{Condition: stream.SeeOtherHost, Received: true}, "stream_error: see-other-host"},
		{&stream.ClosedError{Cause: &stream.Error{Condition: "made-up"}}, "stream_error: _OTHER"},
		{fmt.Errorf("%w: %w", stream.ErrNegotiationTimeout, &net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}), "timeout"},
		{stream.ErrCloseTimeout, "timeout"},
		{context.DeadlineExceeded, "timeout"},
		{fmt.Errorf("%w: %w", context.Canceled, net.ErrClosed), "canceled"},
		{tls.AlertError(40), "tls"},
		{tls.RecordHeaderError{Msg: "not TLS"}, "tls"},
		{fmt.Errorf("%w: %w", stream.ErrTruncated, io.ErrUnexpectedEOF), "connection"},
		{&net.OpError{Op: "read", Err: errors.New("reset")}, "connection"},
		{stream.ErrClosed, "connection"},
		{errors.New("something else"), "_OTHER"},
	} {
		require.Equal(t, tt.want, describe(classify(tt.err)), "%v", tt.err)
	}
}

// The conditions that package sasl and package bind define are all known here.
func TestConditions(t *testing.T) {
	for _, c := range []sasl.Condition{sasl.Aborted, sasl.CredentialsExpired, sasl.MechanismTooWeak, sasl.TemporaryAuthFailure} {
		require.Equal(t, string(c), saslCondition(c))
	}
	for _, c := range []bind.Condition{bind.BadRequest, bind.NotAllowed, bind.ResourceConstraint, bind.UndefinedCondition} {
		require.Equal(t, string(c), bindCondition(c))
	}
}

func TestMechanisms(t *testing.T) {
	for _, m := range append(sasl.Default(), sasl.FastMechanisms()...) {
		require.Equal(t, m.Name, mechanism(m.Name))
	}
	for _, name := range []string{"PLAIN", "EXTERNAL", "ANONYMOUS", "OAUTHBEARER", "DIGEST-MD5", "SCRAM-SHA3-512-PLUS", "HT-SHA-256-EXPR"} {
		require.Equal(t, name, mechanism(name))
	}
	require.Equal(t, "_OTHER", mechanism("X-MADE-UP"))
	require.Equal(t, "_OTHER", mechanism(""))
}

func TestTLSVersions(t *testing.T) {
	for v, want := range map[uint16]string{
		tls.VersionTLS10: "1.0", tls.VersionTLS11: "1.1", tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3", 0x1234: "_OTHER",
	} {
		require.Equal(t, want, tlsVersion(v))
	}
}

func TestText(t *testing.T) {
	long := strings.Repeat("x", maxText)
	for in, want := range map[string]string{
		"":                         "",
		"{urn:x}y":                 "{urn:x}y",
		"\x1b[31m":                 `"\x1b[31m"`,
		"é\u202e":                  `"\u00e9\u202e"`,
		long:                       long,
		long + "x":                 `"` + long[1:] + "…",
		strings.Repeat("é", 10000): `"` + strings.Repeat(`\u00e9`, 42) + `\u0…`[:3] + "…",
	} {
		got := text(in)
		require.LessOrEqual(t, len(got), maxText+len("…"))
		require.Equal(t, want, got)
	}
}

// What counts as an element.
func TestElementName(t *testing.T) {
	for xml, want := range map[string]string{
		"<message/>": "message", "<presence type='x'>": "presence", "<iq\n>": "iq",
		"<r xmlns='urn:xmpp:sm:3'/>": "_OTHER", "<stream:error>": "_OTHER", "<messages/>": "_OTHER", "<message": "message",
		"<?xml version='1.0'?><stream:stream>": "", "<stream:stream>": "", "</stream:stream>": "", "": "", "<": "", " ": "",
		"[12 bytes that do not parse]": "",
	} {
		require.Equal(t, want, elementName([]byte(xml)), "%s", xml)
	}
}
