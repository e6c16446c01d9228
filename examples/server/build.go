package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/blocking"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/csi"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/entitytime"
	"stanzakit.dev/xmpp/stanza/last"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stanza/vcard"
	"stanzakit.dev/xmpp/stanza/version"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	xtls "stanzakit.dev/xmpp/tls"
)

// build wires the server.
func build(ctx context.Context, c config, domain jid.JID, st stores, out io.Writer) (*xmpp.Server, error) {
	certs, err := certificates(c, domain, out)
	if err != nil {
		return nil, err
	}
	if err := create(ctx, st.accounts, c.users, domain); err != nil {
		return nil, err
	}
	modules, err := c.modules(st, domain)
	if err != nil {
		return nil, err
	}
	s := &xmpp.Server{
		Domains:        []jid.JID{domain},
		Accounts:       st.accounts,
		Auth:           &auth.ServerOptions{SASL2: auth.SASL2ServerOptions{Tokens: st.tokens}},
		TLS:            &xtls.ServerOptions{Certificates: certs},
		Rosters:        st.rosters,
		Offline:        st.offline,
		LastSeen:       st.lastSeen,
		Modules:        modules,
		MaxConnections: 100_000,
	}
	if c.plaintext {
		s.InsecureAllowPlaintext = true
		s.Auth.AllowPlain, s.Auth.InsecureWithoutTLS, s.Auth.InsecurePlainWithoutTLS = true, true, true
		s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
	}
	return s, nil
}

// modules are what clients expect of a server besides RFC 6121. Those that keep
// addresses apart come first; copies are made of what the archive has seen.
func (c config) modules(st stores, domain jid.JID) ([]stanza.Module, error) {
	const node, release = "https://stanzakit.dev/xmpp/examples/server", "1"
	ofServer := &disco.Entity{Identities: []disco.Identity{{Category: "server", Type: "im", Name: "StanzaKit"}}}
	ofAccount := new(disco.Entity)
	modules := []stanza.Module{
		&blocking.Module{Store: st.blocking},
		&mam.Module{Store: st.archive},
		new(carbons.Module),
		new(csi.Module),
		&vcard.Module{Store: st.vcards},
		&private.Module{Store: st.private},
		new(last.Server),
		ping.Responder(),
		version.Responder(version.Version{Name: "StanzaKit example server", Number: release}),
		entitytime.Responder(nil),
		&caps.Announcer{Node: node, Entity: ofServer},
		&disco.Responder{Self: ofServer, Account: ofAccount},
	}
	if c.register {
		m := &register.Module{Accounts: st.accounts, InsecureWithoutTLS: c.plaintext}
		if c.plaintext {
			m.Total, m.PerStream = stream.Unlimited, 20
		}
		modules = append(modules, m)
	}
	if c.admin != "" {
		who, err := jid.Parse(c.admin)
		if err != nil {
			return nil, fmt.Errorf("-admin: %w", err)
		}
		modules = append(modules, &admin.Module{Accounts: st.accounts, Admins: []jid.JID{who}})
	}
	ofServer.Modules = modules
	ofAccount.Modules = modules[:6]
	return modules, nil
}

// create creates the accounts of -users, or sets their passwords.
func create(ctx context.Context, a accounts, users string, domain jid.JID) error {
	for pair := range strings.SplitSeq(users, ",") {
		if pair == "" {
			continue
		}
		name, password, ok := strings.Cut(pair, ":")
		if !ok {
			return errors.New("-users: want name:password,…")
		}
		account, err := jid.New(name, domain.Domain(), "")
		if err == nil {
			err = a.Set(ctx, account, password)
		}
		if err != nil {
			return fmt.Errorf("-users: %s: %w", name, err)
		}
	}
	return nil
}

// certificates loads the certificate, or makes one.
func certificates(c config, domain jid.JID, out io.Writer) ([]tls.Certificate, error) {
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
