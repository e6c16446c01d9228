package sasl_test

import (
	"context"
	"fmt"
	"log"

	"stanzakit.dev/xmpp/sasl"
)

// A whole exchange in memory. In a real program the two halves are on two machines, and the
// messages travel in whatever the protocol has for them: base64 in <auth/>, <challenge/> and
// <response/> with XMPP, AUTHENTICATE with IMAP.
func Example() {
	ctx := context.Background()

	// The server keeps keys, not passwords, and offers what its store can serve.
	var store sasl.MemoryStore
	if err := store.Set(ctx, "juliet", "r0m30myr0m30"); err != nil {
		log.Fatal(err)
	}
	// Both ends of a TLS connection can compute this; nobody in between can.
	binding := sasl.Binding{Type: sasl.TLSExporter, Data: []byte("32 bytes exported from TLS......")}
	mechs := sasl.ForStore(sasl.Default(), &store)
	var offered []string
	for _, m := range mechs {
		offered = append(offered, m.Name)
	}

	// The client picks the strongest mechanism.
	mech, chosen, err := sasl.Select(sasl.Default(), offered, sasl.Policy{
		Bindings:    []sasl.Binding{binding},
		ServerTypes: []string{sasl.TLSExporter},
		Secure:      true,
	})
	if err != nil {
		log.Fatal(err)
	}
	client, err := mech.NewClient(&sasl.ClientConfig{
		Username: "juliet",
		Password: "r0m30myr0m30",
		Binding:  chosen,
		Offered:  offered,
		Secure:   true,
	})
	if err != nil {
		log.Fatal(err)
	}
	server, err := mech.NewServer(&sasl.ServerConfig{
		Store:    &store,
		Bindings: []sasl.Binding{binding},
		Offered:  offered,
		Secure:   true,
	})
	if err != nil {
		log.Fatal(err)
	}

	var challenge []byte
	for {
		response, satisfied, err := client.Next(ctx, challenge)
		if err != nil {
			log.Fatal(err)
		}
		if satisfied {
			break
		}
		if challenge, _, err = server.Next(ctx, response); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(mech, "authenticated", server.Identity().AuthcID)
	// Output: SCRAM-SHA-256-PLUS authenticated juliet
}
