package xmpp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// Every stream error condition (RFC 6120 §4.9.3), as the end of a session and as
// that of an attempt. M18: no attempt follows the first four of that row, and one
// does follow the last two.
func TestRetryableStreamErrors(t *testing.T) {
	all := map[stream.Condition]verdict{
		stream.BadFormat:              verdictCrowd,
		stream.BadNamespacePrefix:     verdictCrowd,
		stream.Conflict:               verdictStop, // M18
		stream.ConnectionTimeout:      verdictRetry,
		stream.HostGone:               verdictStop,
		stream.HostUnknown:            verdictStop, // M18
		stream.ImproperAddressing:     verdictCrowd,
		stream.InternalServerError:    verdictCrowd,
		stream.InvalidFrom:            verdictCrowd,
		stream.InvalidNamespace:       verdictStop,
		stream.InvalidXML:             verdictCrowd,
		stream.NotAuthorized:          verdictStop, // M18
		stream.NotWellFormed:          verdictCrowd,
		stream.PolicyViolation:        verdictStop, // M18
		stream.RemoteConnectionFailed: verdictCrowd,
		stream.Reset:                  verdictCrowd, // M18
		stream.ResourceConstraint:     verdictCrowd,
		stream.RestrictedXML:          verdictCrowd,
		stream.SeeOtherHost:           verdictCrowd,
		stream.SystemShutdown:         verdictCrowd, // M18
		stream.UndefinedCondition:     verdictCrowd,
		stream.UnsupportedEncoding:    verdictStop,
		stream.UnsupportedFeature:     verdictStop,
		stream.UnsupportedStanzaType:  verdictCrowd,
		stream.UnsupportedVersion:     verdictStop,
	}
	require.Len(t, all, 25) // §4.9.3.1 to §4.9.3.25
	for c, want := range all {
		require.True(t, c.Known(), c)
		e := &stream.Error{Condition: c, Received: true, Text: "see you"}
		require.Equal(t, want, retryable(e), c)
		require.Equal(t, want, retryable(&stream.ClosedError{Cause: e}), c)
		require.Equal(t, want, retryable(fmt.Errorf("stream: negotiating with im.example: %w", e)), c)
		// What this side finds wrong with the server is no word of the server's.
		require.Equal(t, verdictCrowd, retryable(&stream.ClosedError{Cause: &stream.Error{Condition: c}}), c)
	}
}

// Every condition of a failed authentication (RFC 6120 §6.5), as an error that the
// server has sent with either profile.
func TestRetryableSASLErrors(t *testing.T) {
	all := map[sasl.Condition]verdict{
		sasl.Aborted:              verdictStop,
		sasl.AccountDisabled:      verdictStop,
		sasl.CredentialsExpired:   verdictStop,
		sasl.EncryptionRequired:   verdictStop,
		sasl.IncorrectEncoding:    verdictStop,
		sasl.InvalidAuthzid:       verdictStop,
		sasl.InvalidMechanism:     verdictStop,
		sasl.MalformedRequest:     verdictStop,
		sasl.MechanismTooWeak:     verdictStop,
		sasl.NotAuthorized:        verdictStop,
		sasl.TemporaryAuthFailure: verdictCrowd,
	}
	require.Len(t, all, 11) // §6.5.1 to §6.5.11
	all[""], all["no-such-condition"] = verdictStop, verdictStop
	for c, want := range all {
		err := fmt.Errorf("auth: SCRAM-SHA-256: %w", &auth.Failure{Err: &sasl.Error{Condition: c}})
		require.Equal(t, want, retryable(fmt.Errorf("stream: negotiating with im.example: %w", err)), c)
		require.Equal(t, want, retryable(fmt.Errorf("%w: %w", auth.ErrTokenRefused, err)), c)
	}
}

func TestRetryable(t *testing.T) {
	refused := &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", errors.New("connection refused"))}
	aborted := func(cause error) error {
		return fmt.Errorf("auth: %w", &sasl.Error{Condition: sasl.Aborted, Cause: cause})
	}
	lost := func(cause error) error { return &stream.ClosedError{Cause: cause} }
	for _, c := range []struct {
		name string
		err  error
		want verdict
	}{
		// The program wanted it so.
		{"nothing", nil, verdictClosed},
		{"closed here", lost(stream.ErrLocalClosed), verdictClosed},
		{"context", fmt.Errorf("stream: negotiating: %w: %w", context.Canceled, io.ErrUnexpectedEOF), verdictClosed},
		{"context of dial", &dial.Error{Cause: context.Canceled}, verdictClosed},

		// The network.
		{"anything", errors.New("boom"), verdictRetry},
		{"cut", lost(fmt.Errorf("%w: %w", stream.ErrTruncated, io.ErrUnexpectedEOF)), verdictRetry},
		{"reset", lost(refused), verdictRetry},
		{"closed beneath", net.ErrClosed, verdictRetry},
		{"silent", lost(stream.ErrCloseTimeout), verdictRetry},
		{"slow", fmt.Errorf("%w: %w", stream.ErrNegotiationTimeout, os.ErrDeadlineExceeded), verdictRetry},
		{"deadline of an attempt", fmt.Errorf("x: %w", context.DeadlineExceeded), verdictRetry},
		{"no route", &dial.Error{Attempts: []dial.Attempt{{Err: refused}}}, verdictRetry},
		{"name server", &dial.Error{Lookup: &net.DNSError{Err: "server misbehaving", IsTemporary: true}}, verdictRetry},
		// One of several that raced was cancelled: nobody wanted the end.
		{"race", &dial.Error{Attempts: []dial.Attempt{{Err: context.Canceled}, {Err: dial.ErrNotAvailable}}}, verdictRetry},

		// RFC 6120 §3.2.1 with RFC 2782.
		{"SRV .", &dial.Error{Cause: dial.ErrNotAvailable}, verdictStop},
		{"domain", fmt.Errorf("dial: %w", &jid.Error{}), verdictStop},

		// The server, for everybody.
		{"closed there", lost(stream.ErrPeerClosed), verdictCrowd},
		{"certificate ran out", lost(stream.ErrCertificateExpired), verdictCrowd},
		{"nothing offered", &stream.Error{Condition: stream.UnsupportedFeature, Cause: stream.ErrNoProgress}, verdictCrowd},
		{"nothing offered that is known", fmt.Errorf("x: %w", stream.ErrNoProgress), verdictCrowd},
		{"STARTTLS stripped", xtls.ErrNotOffered, verdictCrowd},
		{"STARTTLS refused", xtls.ErrRefused, verdictCrowd},
		{"binding", fmt.Errorf("%w: %w", bind.ErrProtocol, &jid.Error{}), verdictCrowd},

		// The handler: what is in the error of this session is another one's.
		{"handler", lost(&stream.Error{Condition: stream.UndefinedCondition, Cause: lost(&stream.Error{Condition: stream.Conflict, Received: true})}), verdictCrowd},
		{"handler's context", lost(&stream.Error{Condition: stream.UndefinedCondition, Cause: context.Canceled}), verdictCrowd},
		{"panic", lost(&stream.Error{Condition: stream.UndefinedCondition, Cause: &stream.PanicError{Value: "x"}}), verdictCrowd},

		// Certificates.
		{"self-signed", &xtls.CertificateError{Verdict: stream.SelfSigned, Cause: context.Canceled}, verdictCrowd},
		{"portal", &xtls.CertificateError{Verdict: stream.Anchored | stream.WrongName}, verdictCrowd},
		{"expired", &xtls.CertificateError{Verdict: stream.Anchored | stream.WrongTime}, verdictCrowd},
		{"revoked", &xtls.CertificateError{Verdict: stream.Anchored | stream.Revoked}, verdictStop},
		{"policy", &xtls.CertificateError{Verdict: stream.Anchored, Cause: errors.New("the user said no")}, verdictStop},

		// Authentication that this side has broken off (RFC 6120 §6.5.1).
		{"aborted", aborted(nil), verdictStop},
		{"no mechanism", aborted(fmt.Errorf("x: %w", sasl.ErrNoMechanism)), verdictStop},
		{"downgrade", aborted(sasl.ErrDowngrade), verdictStop},
		{"binding to the channel", aborted(sasl.ErrChannelBinding), verdictStop},
		{"nonce", aborted(sasl.ErrNonce), verdictStop},
		{"iterations", aborted(sasl.ErrIterations), verdictStop},
		{"extension", aborted(sasl.ErrExtension), verdictStop},
		{"impostor", aborted(sasl.ErrServerSignature), verdictStop},
		{"rejected", aborted(sasl.ErrRejected), verdictStop},
		{"password", aborted(sasl.ErrPassword), verdictStop},
		{"token", aborted(sasl.ErrToken), verdictStop},
		{"name", aborted(sasl.ErrUsername), verdictStop},
		{"configuration", aborted(sasl.ErrConfig), verdictStop},
		{"protocol", aborted(auth.ErrProtocol), verdictStop},
		{"tasks in it", aborted(auth.ErrTasks), verdictStop},
		{"tasks", fmt.Errorf("auth: %w", auth.ErrTasks), verdictStop},
		{"keychain is locked", aborted(errors.New("the keychain is locked")), verdictRetry},
		{"keychain says later", aborted(&sasl.Error{Condition: sasl.TemporaryAuthFailure}), verdictCrowd},
		{"prompt dismissed", aborted(context.Canceled), verdictClosed},

		// Binding (RFC 6120 §7.6.2, §7.7.2).
		{"resource in use", &bind.Error{Condition: bind.Conflict}, verdictCrowd},
		{"too many resources", &bind.Error{Condition: bind.ResourceConstraint}, verdictCrowd},
		{"binding failed", &bind.Error{Condition: bind.InternalServerError}, verdictCrowd},
		{"binding failed somehow", &bind.Error{Condition: bind.UndefinedCondition}, verdictCrowd},
		{"may not bind", &bind.Error{Condition: bind.NotAllowed}, verdictStop},
		{"bad resource", &bind.Error{Condition: bind.BadRequest}, verdictStop},

		// Options.
		{"client", fmt.Errorf("%w: x", ErrClient), verdictStop},
		{"options of dial", fmt.Errorf("%w: x", dial.ErrOptions), verdictStop},
		{"options of stream", fmt.Errorf("%w: x", stream.ErrOptions), verdictStop},
		{"limits", fmt.Errorf("%w: x", stream.ErrLimits), verdictStop},
		{"options of TLS", fmt.Errorf("%w: x", xtls.ErrConfig), verdictStop},
		{"insecure TLS", fmt.Errorf("%w: x", xtls.ErrInsecureConfig), verdictStop},
		{"options of auth", fmt.Errorf("%w: x", auth.ErrOptions), verdictStop},
		{"options of bind", fmt.Errorf("%w: x", bind.ErrOptions), verdictStop},

		{"two errors", errors.Join(errors.New("boom"), &sasl.Error{Condition: sasl.NotAuthorized}), verdictStop},
		{"hollow", hollow{}, verdictRetry},
	} {
		require.Equal(t, c.want, retryable(c.err), c.name)
	}
}

// hollow wraps nothing, in a way that could surprise: it cannot be compared.
type hollow []error

func (hollow) Error() string   { return "" }
func (hollow) Unwrap() []error { return []error{nil, nil} }

// The program has the last word, but for what it has done itself.
func TestRetryIsAsked(t *testing.T) {
	boom, conflict := errors.New("boom"), &stream.Error{Condition: stream.Conflict, Received: true}
	type asked struct {
		err       error
		otherwise bool
	}
	for _, c := range []struct {
		err  error
		says bool
		want verdict
		was  []asked
	}{
		{boom, true, verdictRetry, []asked{{boom, true}}},
		{boom, false, verdictStop, []asked{{boom, true}}},
		{conflict, true, verdictCrowd, []asked{{conflict, false}}},
		{conflict, false, verdictStop, []asked{{conflict, false}}},
		{stream.ErrPeerClosed, true, verdictCrowd, []asked{{stream.ErrPeerClosed, true}}},
		{stream.ErrLocalClosed, true, verdictClosed, nil},
	} {
		var was []asked
		r := &Reconnect{Retry: func(err error, otherwise bool) bool {
			was = append(was, asked{err, otherwise})
			return c.says
		}}
		require.Equal(t, c.want, r.verdict(c.err), "%v", c.err)
		require.Equal(t, c.was, was)
	}
}
