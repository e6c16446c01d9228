package register_test

import (
	"context"
	"crypto/tls"
	"fmt"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

// A server on which strangers may make accounts, but for one name, and a client
// that makes one.
func Example() {
	ctx := context.Background()
	users := &table{}
	module := &register.Module{
		Accounts: users, // the user table of the program
		Allow: func(_ context.Context, who register.Applicant) error {
			if who.Account.Local() == "admin" {
				return stanza.NotAllowed
			}
			return nil
		},
	}
	// An xmpp.Server does this with what is in its Modules.
	if err := module.Attach(&host{accounts: users}); err != nil {
		fmt.Println(err)
		return
	}

	a, b := memconn.Pipe()
	inside := &stream.Security{Version: tls.VersionTLS13} // as if there were TLS
	served := make(chan error, 1)
	go func() { // ends with the negotiation, and is waited for
		s, err := stream.Accept(ctx, b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Security: inside,
			Features: append(module.StreamFeatures(), trusted()), // in place of auth.Server
		})
		if err == nil {
			defer s.Abort(nil)
		}
		served <- err
	}()
	s, err := stream.Initiate(ctx, a, &stream.InitiateOptions{
		Profile: profile, To: domain, From: jid.MustParse("bill@shakespeare.lit"), Security: inside,
		Features: []stream.Feature{
			register.Client(&register.ClientOptions{Password: "Calliope"}),
			trusted(), // in place of auth.Client
		},
	})
	if err == nil {
		defer s.Abort(nil)
	}
	fmt.Println(err, <-served)
	fmt.Println(users.noted())
	// Output:
	// <nil> <nil>
	// [create bill@shakespeare.lit]
}
