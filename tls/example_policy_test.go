package tls_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"stanzakit.dev/xmpp/jid"
	xtls "stanzakit.dev/xmpp/tls"
)

// Resolver would ask a DNS resolver on this machine that validates. This one
// has an answer for one server.
type Resolver struct{ records []xtls.TLSA }

func (Resolver) AuthenticatesTarget(_ context.Context, domain, host string, _ uint16) (bool, error) {
	return domain == "im.example" && host == "xmpp.hosting.example", nil
}

func (r Resolver) LookupTLSA(_ context.Context, _ uint16, host string) ([]xtls.TLSA, bool, error) {
	if host != "xmpp.hosting.example" {
		return nil, false, nil
	}
	return r.records, true, nil
}

// A client that accepts what the domain says in the DNS, or else what the
// system's roots vouch for; and a private server by its key alone.
func ExampleAnyOf() {
	ctx := context.Background()
	// Two servers whose certificates nobody vouches for. They are authorities of
	// nothing but themselves as far as the client is concerned.
	certificate := func(name string) tls.Certificate {
		ca, err := xtls.NewDevCA() // for development only
		if err != nil {
			panic(err)
		}
		cert, err := ca.Issue(name)
		if err != nil {
			panic(err)
		}
		return cert
	}
	hosted, private := certificate("xmpp.hosting.example"), certificate("im.private.example")

	key := xtls.PinOf(hosted.Leaf) // SHA-256 of the SubjectPublicKeyInfo
	resolver := Resolver{[]xtls.TLSA{{Usage: 3, Selector: 1, Matching: 1, Data: key[:]}}}
	policy := xtls.AnyOf(
		xtls.DANE(resolver), // includes the ordinary rules
		xtls.Pin(jid.MustParse("im.private.example"), xtls.PinOf(private.Leaf)),
	)

	for _, try := range []struct {
		domain, target string
		cert           tls.Certificate
	}{
		{"im.example", "xmpp.hosting.example:5222", hosted},
		{"im.private.example", "im.private.example:5222", private},
		{"im.example", "xmpp.hosting.example:5222", private},
	} {
		domain := jid.MustParse(try.domain)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		served := make(chan struct{})
		go func() { // ends with the handshake; waited for below
			defer close(served)
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conn, _, err = xtls.ServerHandshake(ctx, conn, []jid.JID{domain}, &xtls.ServerOptions{Certificates: []tls.Certificate{try.cert}})
			if err == nil {
				conn.Close()
			}
		}()
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			panic(err)
		}
		conn, sec, err := xtls.ClientHandshake(ctx, conn, domain, &xtls.ClientOptions{Policy: policy, Target: try.target})
		if err == nil {
			conn.Close()
		}
		<-served
		listener.Close()
		fmt.Printf("%s: %t (%s)\n", domain, err == nil, sec.Verdict)
	}
	// Output:
	// im.example: true (unknown authority, wrong name)
	// im.private.example: true (unknown authority)
	// im.example: false (no certificate)
}
