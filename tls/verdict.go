package tls

import (
	"errors"

	"stanzakit.dev/xmpp/stream"
)

// Verdict is [stream.Verdict].
type Verdict = stream.Verdict

// ErrRevoked is wrapped by errors about a certificate that was taken back by
// whoever issued it.
var ErrRevoked = errors.New("xmpp/tls: certificate revoked")
