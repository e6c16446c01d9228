package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	_ "net/http/pprof" // adds /debug/pprof to what serveDebug serves
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/adapters/bolt"
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
	"stanzakit.dev/xmpp/stream/sm"
	xtls "stanzakit.dev/xmpp/tls"
)

// build wires the server, and returns what closes its store.
func build(ctx context.Context, c config, out io.Writer) (*xmpp.Server, func() error, error) {
	domain, err := jid.New("", c.domain, "")
	if err != nil {
		return nil, nil, fmt.Errorf("-domain: %w", err)
	}
	cert, err := certificate(c, domain.Domain(), out)
	if err != nil {
		return nil, nil, fmt.Errorf("-cert: %w", err)
	}
	s := &xmpp.Server{
		Domains:        []jid.JID{domain},
		TLS:            &xtls.ServerOptions{Certificates: []tls.Certificate{cert}},
		Auth:           &auth.ServerOptions{SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}},
		MaxConnections: 100_000,
	}
	if s.InsecureAllowPlaintext = c.plaintext; c.plaintext {
		s.Auth.AllowPlain, s.Auth.InsecureWithoutTLS, s.Auth.InsecurePlainWithoutTLS = true, true, true
		s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
	}
	// Without a Store these modules keep what they keep in memory.
	blocked, archive, vcards, fragments := new(blocking.Module), new(mam.Module), new(vcard.Module), new(private.Module)
	var who interface {
		xmpp.Accounts
		admin.Accounts
	} = new(xmpp.MemoryAccounts)
	closeStore := func() error { return nil }
	if c.store != "memory" {
		db, err := bolt.Open(c.store, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("-store: %w", err)
		}
		closeStore, who, s.Auth.SASL2.Tokens = db.Close, db.Accounts(), db.Tokens()
		s.Rosters, s.Offline, s.LastSeen, s.Management = db.Rosters(), db.Offline(), db.LastSeen(), &sm.ServerOptions{Store: db.Sessions()}
		blocked.Store, archive.Store, vcards.Store, fragments.Store = db.Blocking(), db.Archive(), db.VCards(), db.Private()
	}
	s.Accounts = who
	// Gates come first, carbons after the archive; the first six are about accounts.
	self, ofAccount := &disco.Entity{Identities: []disco.Identity{{Category: "server", Type: "im", Name: "StanzaKit"}}}, new(disco.Entity)
	s.Modules = []stanza.Module{
		blocked, archive, new(carbons.Module), vcards, fragments, new(last.Server),
		new(csi.Module), ping.Responder(), entitytime.Responder(nil),
		version.Responder(version.Version{Name: "StanzaKit example server", Number: "1"}),
		&caps.Announcer{Node: "https://stanzakit.dev/xmpp/examples/server", Entity: self},
		&disco.Responder{Self: self, Account: ofAccount},
	}
	var boss jid.JID
	if c.admin != "" {
		if boss, err = jid.Parse(c.admin); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("-admin: %w", err), closeStore())
		}
		s.Modules = append(s.Modules, &admin.Module{Accounts: who, Admins: []jid.JID{boss}})
	}
	if c.register {
		s.Modules = append(s.Modules, &register.Module{
			Accounts: who, InsecureWithoutTLS: c.plaintext, Total: s.Rates.Stanzas,
			Allow: func(_ context.Context, a register.Applicant) error {
				if a.Account == boss.Bare() {
					return stanza.Conflict // or a stranger would administer the server
				}
				return nil
			},
		})
	}
	self.Modules, ofAccount.Modules = s.Modules, s.Modules[:6]
	if err = create(ctx, who, c.users, domain.Domain()); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("-users: %w", err), closeStore())
	}
	return s, closeStore, nil
}

// create creates accounts, or sets their passwords.
func create(ctx context.Context, who admin.Accounts, users, domain string) error {
	for pair := range strings.SplitSeq(users, ",") {
		if pair == "" {
			continue
		}
		name, password, _ := strings.Cut(pair, ":")
		account, err := jid.New(name, domain, "")
		if err == nil {
			err = who.Create(ctx, account, password)
		}
		if errors.Is(err, stanza.Conflict) {
			err = who.SetPassword(ctx, account, password)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// certificate loads the certificate, or makes one.
func certificate(c config, domain string, out io.Writer) (tls.Certificate, error) {
	if c.cert == "" && c.key == "" {
		ca, err := xtls.NewDevCA()
		if err != nil {
			return tls.Certificate{}, err
		}
		dir, err := os.MkdirTemp("", "stanzakit-server-")
		if err != nil {
			return tls.Certificate{}, err
		}
		if err := ca.WriteFiles(dir, domain); err != nil {
			return tls.Certificate{}, err
		}
		fmt.Fprintf(out, "no -cert: clients have to trust the authority in %s\n", filepath.Join(dir, "ca.pem"))
		c.cert, c.key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	}
	return tls.LoadX509KeyPair(c.cert, c.key)
}

// serveDebug answers /metrics, in the text format of Prometheus, and /debug/pprof.
func serveDebug(s *xmpp.Server) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		mux := http.NewServeMux()
		mux.Handle("/debug/pprof/", http.DefaultServeMux)
		mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			fmt.Fprintf(w, "# TYPE xmpp_sessions gauge\nxmpp_sessions %d\n# TYPE go_heap_inuse_bytes gauge\ngo_heap_inuse_bytes %d\n", len(s.Sessions(jid.JID{})), m.HeapInuse)
		})
		h := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
		defer context.AfterFunc(ctx, func() { h.Close() })()
		return h.Serve(l)
	}
}
