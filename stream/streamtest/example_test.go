package streamtest_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/streamtest"
)

// greeter is the program under test: a bot that greets whoever writes to it, and
// connects again when its connection breaks.
func greeter(ctx context.Context, client *xmpp.Client) {
	for ctx.Err() == nil {
		if conn, err := client.Connect(ctx); err == nil {
			conn.Send(ctx, &stanza.Presence{})
			for st, err := range conn.All(ctx) {
				if m, ok := st.(*stanza.Message); err == nil && ok && m.Type != stanza.ErrorMessage {
					conn.Send(ctx, m.Reply("Hello, "+m.From.Local()))
				}
			}
			conn.Close(ctx)
			<-conn.Done()
		}
		select {
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
		}
	}
}

// testGreeter runs the bot on a network that cuts its first three connections while
// it logs in, after a number of bytes that comes from the seed.
func testGreeter(t *testing.T, lab *streamtest.Lab) {
	accounts := &xmpp.MemoryAccounts{Iterations: sasl.MinIterations}
	server := &xmpp.Server{
		Domains:  []jid.JID{jid.MustParse("im.example")},
		Accounts: accounts,
		Logger:   slog.New(slog.DiscardHandler),
		// Byte counts are exact without TLS only.
		InsecureAllowPlaintext: true,
	}
	l, err := lab.Listen("im.example:5222")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(context.Background(), l)

	ctx, stop := context.WithCancel(t.Context())
	connect := func(name string) *xmpp.Client {
		account := jid.MustParse(name + "@im.example")
		if err := accounts.Set(ctx, account, "secret"); err != nil {
			t.Fatal(err)
		}
		return &xmpp.Client{
			JID: account, Password: "secret", InsecureWithoutTLS: true,
			Dial: &dial.Options{Dialer: lab.Host(name), Resolver: lab.Resolver()},
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		greeter(ctx, connect("bot"))
	}()

	<-time.After(5 * time.Minute) // of fake time: the bot has found a connection that lasts
	user, err := connect("romeo").Connect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	user.Send(ctx, &stanza.Message{To: jid.MustParse("bot@im.example"), Type: stanza.ChatMessage, Body: stanza.Plain("hi")})
	for st, err := range user.All(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if m := st.(*stanza.Message); m.Body.String() != "Hello, romeo" {
			t.Errorf("the bot said %q", m.Body)
		}
		break
	}
	user.Close(ctx)
	stop()
	<-ended
	server.Close()
}

// A bot is tested over a network that fails, with ten seeds.
func ExampleRun() {
	options := &streamtest.Options{
		Up:   streamtest.Path{Latency: 30 * time.Millisecond, Jitter: 20 * time.Millisecond},
		Down: streamtest.Path{Latency: 31 * time.Millisecond, Jitter: 20 * time.Millisecond},
	}
	cuts := &streamtest.Chaos{Cut: 1, Within: 400, Kinds: []streamtest.FaultKind{streamtest.Reset, streamtest.End}}
	options.Plan = func(id streamtest.ConnID) *streamtest.Script {
		if id.From == "bot" && id.N < 4 {
			return nil // what chance has in store
		}
		return new(streamtest.Script) // nothing
	}
	options.Chaos = cuts

	// In a test this is the *testing.T that the test was given.
	TestGreeter := func(t *testing.T) { streamtest.Run(t, 10, options, testGreeter) }

	fmt.Println(testing.RunTests(func(pat, str string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "TestGreeter", F: TestGreeter}}))
	// Output: true
}

// A network works without a bubble too, in real time.
func ExampleNetwork() {
	network := streamtest.NewNetwork(&streamtest.Options{
		Plan: streamtest.OnConn(1, streamtest.Up, streamtest.Fault{Kind: streamtest.End, After: 5}),
	})
	defer network.Close()
	l, _ := network.Listen("im.example:5222")
	conn, _ := network.DialContext(context.Background(), "tcp", "im.example:5222")
	fmt.Fprint(conn, "<presence/>")
	accepted, _ := l.Accept()
	var word string
	n, err := fmt.Fscan(accepted, &word)
	fmt.Println(n, err, word)
	// Output: 1 <nil> <pres
}
