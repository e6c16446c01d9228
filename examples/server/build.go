package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

// build wires the server.
func build(ctx context.Context, c config, domain jid.JID, out interface{ Write([]byte) (int, error) }) (*xmpp.Server, func() error, error) {
	certs, err := certificates(c, domain, out)
	if err != nil {
		return nil, nil, err
	}
	accounts := new(xmpp.MemoryAccounts)
	for _, pair := range strings.Split(c.users, ",") {
		name, password, ok := strings.Cut(pair, ":")
		if !ok {
			continue
		}
		account, err := jid.New(name, domain.Domain(), "")
		if err == nil {
			err = accounts.Set(ctx, account, password)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("-users %s: %w", name, err)
		}
	}
	modules := []stanza.Module{ping.Responder()}
	if c.register {
		m := &register.Module{Accounts: accounts, InsecureWithoutTLS: c.plaintext}
		if c.plaintext {
			m.Total, m.PerStream = stream.Unlimited, 20
		}
		modules = append(modules, m)
	}
	s := &xmpp.Server{
		Domains:                []jid.JID{domain},
		Accounts:               accounts,
		TLS:                    &xtls.ServerOptions{Certificates: certs},
		Modules:                modules,
		InsecureAllowPlaintext: c.plaintext,
		MaxConnections:         100_000,
	}
	if c.plaintext {
		s.Auth = &auth.ServerOptions{AllowPlain: true, InsecureWithoutTLS: true, InsecurePlainWithoutTLS: true}
		s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
	}
	return s, func() error { return nil }, nil
}

// certificates loads the certificate, or makes one.
func certificates(c config, domain jid.JID, out interface{ Write([]byte) (int, error) }) ([]tls.Certificate, error) {
	if c.cert != "" || c.key != "" {
		cert, err := tls.LoadX509KeyPair(c.cert, c.key)
		return []tls.Certificate{cert}, err
	}
	ca, err := xtls.NewDevCA()
	if err != nil {
		return nil, err
	}
	cert, err := ca.Issue(domain.Domain())
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "stanzakit-server-")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "ca.pem")
	fmt.Fprintf(out, "no -cert: clients have to trust the authority in %s\n", file)
	return []tls.Certificate{cert}, os.WriteFile(file, ca.PEM(), 0o644)
}
