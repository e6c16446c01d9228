package xmpptest_test

import (
	"context"
	"fmt"
	"testing"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// greet is the program under test: it greets whoever writes to it.
func greet(ctx context.Context, conn *stanza.Conn) error {
	for st, err := range conn.All(ctx) {
		if err != nil {
			return err
		}
		if m, ok := st.(*stanza.Message); ok {
			return conn.Send(ctx, m.Reply("Hello, "+m.From.Local()))
		}
	}
	return nil
}

func Example() {
	// In a test this is the *testing.T that the test was given.
	TestGreet := func(t *testing.T) {
		server := xmpptest.NewServer(t, nil)
		bot, user := server.Connect(t, "bot"), server.Connect(t, "romeo")
		go greet(t.Context(), bot)
		user.Send(t.Context(), &stanza.Message{To: bot.LocalAddr(), Body: stanza.Plain("hi")})
		for st, err := range user.All(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if m := st.(*stanza.Message); m.Body.String() != "Hello, romeo" {
				t.Errorf("the bot said %q", m.Body)
			}
			break
		}
	}
	fmt.Println(testing.RunTests(func(pat, str string) (bool, error) { return true, nil },
		[]testing.InternalTest{{Name: "TestGreet", F: TestGreet}}))
	// Output: true
}
