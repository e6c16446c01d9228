package presence_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// A program lets its users chat: the router is embedded, and what comes before it is
// put together from TLS, authentication and the features of the router. Connections
// may come from anywhere; here they are in memory.
func ExampleRouter() {
	ctx, stop := context.WithCancel(context.Background())
	domain := jid.MustParse("example.com")
	romeo, juliet := jid.MustParse("romeo@example.com"), jid.MustParse("juliet@example.com")
	ca, err := xtls.NewDevCA()
	must(err)
	certificate, err := ca.Issue("example.com")
	must(err)
	users := &userTable{names: []string{"romeo", "juliet"}}
	must(users.Set(ctx, "romeo", "call me but love"))
	must(users.Set(ctx, "juliet", "wherefore art thou"))
	rosters := new(roster.MemoryStore) // the two know each other
	_, err = rosters.Put(ctx, romeo, roster.Item{JID: juliet, State: roster.Both})
	must(err)
	_, err = rosters.Put(ctx, juliet, roster.Item{JID: romeo, State: roster.Both})
	must(err)

	router := &presence.Router{Hosted: []jid.JID{domain}, Accounts: users, Rosters: rosters}
	must(router.Init())
	opts := &stream.AcceptOptions{Domains: []jid.JID{domain}, Features: append([]stream.Feature{
		xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{certificate}}),
		auth.Server(&auth.ServerOptions{Store: users}),
	}, router.Features()...)}
	var serving sync.WaitGroup
	connect := func(account jid.JID, password string) *stanza.Conn {
		client, server := memconn.Pipe()
		// Owner: the example. Ends when the client closes its stream. Joined below.
		serving.Go(func() { must(router.ServeConn(ctx, server, opts)) })
		return dialIn(ctx, client, account, password, ca.Pool())
	}

	balcony := connect(juliet, "wherefore art thou")
	must(balcony.Send(ctx, &stanza.Presence{Show: stanza.ShowChat}))
	fmt.Println("Juliet:", hearFrom(ctx, balcony, juliet))
	fmt.Println("Juliet:", hearFrom(ctx, balcony, romeo))
	orchard := connect(romeo, "call me but love")
	must(orchard.Send(ctx, &stanza.Presence{}))
	fmt.Println("Romeo:", hearFrom(ctx, orchard, juliet))
	fmt.Println("Juliet:", hearFrom(ctx, balcony, romeo))
	must(orchard.Send(ctx, &stanza.Message{To: juliet, Type: stanza.ChatMessage, Body: stanza.Plain("My dear?")}))
	fmt.Println("Juliet:", hearFrom(ctx, balcony, romeo))
	// The program itself has something to say, too.
	must(router.Send(ctx, &stanza.Message{To: juliet, Body: stanza.Plain("The nurse calls.")}))
	fmt.Println("Juliet:", hearFrom(ctx, balcony, domain))
	must(balcony.Close(ctx))
	fmt.Println("Romeo:", hearFrom(ctx, orchard, juliet))
	must(orchard.Close(ctx))
	serving.Wait()
	stop()
	fmt.Println(len(router.Connected(jid.JID{})), "connected")
	// Output:
	// Juliet: presence of juliet@example.com
	// Juliet: presence of romeo@example.com, unavailable
	// Romeo: presence of juliet@example.com
	// Juliet: presence of romeo@example.com
	// Juliet: romeo@example.com says: My dear?
	// Juliet: example.com says: The nurse calls.
	// Romeo: presence of juliet@example.com, unavailable
	// 0 connected
}

// userTable is what the program has of its users: keys to log in with, which are those of
// sasl.MemoryStore, and who there is.
type userTable struct {
	sasl.MemoryStore
	names []string
}

// Exists implements presence.Accounts.
func (t *userTable) Exists(_ context.Context, account jid.JID) (bool, error) {
	return slices.Contains(t.names, account.Local()), nil
}

// dialIn connects a client. A program would use an xmpp.Client for that.
func dialIn(ctx context.Context, nc net.Conn, account jid.JID, password string, roots *x509.CertPool) *stanza.Conn {
	session, err := stream.Initiate(ctx, nc, &stream.InitiateOptions{
		To: account.DomainJID(), From: account,
		Features: []stream.Feature{
			xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: roots}),
			auth.Client(&auth.ClientOptions{Password: password}),
			bind.Client(nil),
		},
	})
	must(err)
	return stanza.NewConn(session, nil)
}

// hearFrom returns what comes next from an account or from the server.
func hearFrom(ctx context.Context, conn *stanza.Conn, from jid.JID) string {
	for st, err := range conn.All(ctx) {
		must(err)
		switch st := st.(type) {
		case *stanza.Message:
			if st.From.Bare() == from {
				return fmt.Sprintf("%s says: %s", from, st.Body)
			}
		case *stanza.Presence:
			switch {
			case st.From.Bare() != from:
			case st.Type == stanza.UnavailablePresence:
				return fmt.Sprintf("presence of %s, unavailable", from)
			default:
				return fmt.Sprintf("presence of %s", from)
			}
		}
	}
	return "nothing"
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
