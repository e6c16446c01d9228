package roster

import (
	"context"

	"stanzakit.dev/xmpp/stream"
)

// Features of servers (RFC 6121 §2.6.1, §3.4). They inform; there is nothing to
// negotiate.
var (
	versioningName  = stream.Name{Space: "urn:xmpp:features:rosterver", Local: "ver"}
	preApprovalName = stream.Name{Space: "urn:xmpp:features:pre-approval", Local: "sub"}
)

// Versioning returns the feature by which a server says that its rosters have
// versions (RFC 6121 §2.6.1). It is advertised once the client is authenticated.
func Versioning() stream.Feature { return advertised(versioningName) }

// PreApproval returns the feature by which a server says that subscriptions can be
// approved before they are asked for (RFC 6121 §3.4). It is advertised once the
// client is authenticated.
func PreApproval() stream.Feature { return advertised(preApprovalName) }

// advertised is a feature that is announced and never negotiated.
func advertised(name stream.Name) stream.Feature {
	return stream.Feature{
		Name:  name,
		Needs: stream.Authenticated,
		Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
			w.Start(name)
			w.End()
			return nil
		},
	}
}

// noticed is the client's side of an advertised feature: it tells whether the server
// has it, on each stream anew.
func noticed(name stream.Name, tell func(bool)) stream.Feature {
	return stream.Feature{
		Name:         name,
		Needs:        stream.Authenticated,
		Unadvertised: true,
		Initiate: func(_ context.Context, _ *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			tell(offer != nil)
			return stream.Outcome{}, stream.ErrSkip
		},
	}
}
