// Command echobot answers every chat message with its own text.
package main

import (
	"context"
	"crypto/x509"
	"flag"
	"log"
	"os"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

func main() {
	address := flag.String("jid", os.Getenv("XMPP_JID"), "account, such as bot@example.org")
	password := flag.String("password", os.Getenv("XMPP_PASSWORD"), "password of the account")
	server := flag.String("server", "", "host:port of the server, if not what the DNS says")
	ca := flag.String("ca", "", "PEM file of the authorities to trust, if not the system's")
	flag.Parse()
	account, err := jid.Parse(*address)
	fatal(err)
	client := &xmpp.Client{JID: account, Password: *password, Addr: *server, Reconnect: &xmpp.Reconnect{}}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		fatal(err)
		client.RootCAs = x509.NewCertPool()
		client.RootCAs.AppendCertsFromPEM(pem)
	}
	fatal(client.Answer(context.Background(), func(m *stanza.Message) *stanza.Message {
		return m.Reply(m.Body.String())
	}))
}

func fatal(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
