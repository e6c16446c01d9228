package presence_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// TestAdversarial holds the attacks that this package answers, one subtest each.
//
//conformance:proves 6121-4.7.2.3-4
func TestAdversarial(t *testing.T) {
	t.Run("R21", func(t *testing.T) {
		t.Run("client", adversarialR21Client)
		t.Run("server", adversarialR21Server)
	})
}

// r21 is presence with a show and a priority that are none, and what has to be made
// of it: RFC 6121 §4.7.2.1, §4.7.2.3. The presence itself is good, since somebody is
// available.
var r21 = []struct {
	xml      string
	show     stanza.Show
	priority int8
}{
	{"", stanza.ShowOnline, 0},
	{"<priority>-129</priority>", stanza.ShowOnline, 0},
	{"<priority>128</priority>", stanza.ShowOnline, 0},
	{"<priority>-128</priority>", stanza.ShowOnline, -128},
	{"<priority>127</priority>", stanza.ShowOnline, 127},
	{"<priority>1e2</priority>", stanza.ShowOnline, 0},
	{"<priority> 5</priority>", stanza.ShowOnline, 5}, // white space of the schema type is none of the value
	{"<priority>5 6</priority>", stanza.ShowOnline, 0},
	{"<priority>0x10</priority>", stanza.ShowOnline, 0},
	{"<priority>1_0</priority>", stanza.ShowOnline, 0},
	{"<priority>--1</priority>", stanza.ShowOnline, 0},
	{"<priority>٣</priority>", stanza.ShowOnline, 0},
	{"<priority>99999999999999999999999999</priority>", stanza.ShowOnline, 0},
	{"<priority>256</priority>", stanza.ShowOnline, 0},
	{"<priority/>", stanza.ShowOnline, 0},
	{"<priority xmlns='urn:evil'>100</priority>", stanza.ShowOnline, 0},
	{"<priority>7</priority><priority>9</priority>", stanza.ShowOnline, 7},
	{"<show/>", stanza.ShowOnline, 0},
	{"<show>online</show>", stanza.ShowOnline, 0},
	{"<show>AWAY</show>", stanza.ShowOnline, 0},
	{"<show>\n dnd\t</show>", stanza.ShowDND, 0},
	{"<show>away dnd</show><priority>3</priority>", stanza.ShowOnline, 3},
	{"<show>chat</show><show>xa</show>", stanza.ShowChat, 0},
	{"<show xmlns='urn:evil'>dnd</show>", stanza.ShowOnline, 0},
}

func adversarialR21Client(t *testing.T) {
	for _, row := range r21 {
		tr := tracker(t)
		require.Len(t, tr.Apply(received(t, "<presence from='romeo@example.net/x'>"+row.xml+"</presence>")), 1)
		a, ok := tr.Best(trackRomeo)
		require.True(t, ok)
		require.Equal(t, row.show, a.Show, row.xml)
		require.Equal(t, row.priority, a.Priority, row.xml)
	}
}

// rawXML is written into a stanza as it stands.
type rawXML string

func (r rawXML) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

// What the server makes of a priority shows in where a message goes: one other
// resource has the priority that is expected, and RFC 6121 §8.5.2.1.1 has the message
// delivered to both or, if it is negative, to neither.
func adversarialR21Server(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true})
		account := server.AddAccount(t, "juliet", "secret")
		tr, err := presence.NewTracker(&presence.TrackerOptions{Account: account})
		require.NoError(t, err)
		var conns [2]*stanza.Conn
		var got [2]int
		for i := range conns {
			conns[i], err = server.Client(account, "secret").Connect(t.Context())
			require.NoError(t, err)
			served := make(chan struct{})
			go func() { // ends with the connection, in the cleanup
				defer close(served)
				_ = conns[i].Serve(context.Background(), stanza.HandlerFunc(func(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
					if st.Kind() == stanza.MessageKind {
						got[i]++
					}
					if i == 1 {
						tr.Filter(ctx, s, st)
					}
					return nil
				}))
			}()
			t.Cleanup(func() { conns[i].Abort(nil); <-served })
		}
		sender := server.Connect(t, "romeo")
		for _, row := range r21 {
			require.NoError(t, conns[0].Send(t.Context(), &stanza.Presence{Extra: []stanza.Payload{rawXML(row.xml)}}))
			require.NoError(t, tr.Available(t.Context(), conns[1], "", "", row.priority))
			<-time.After(time.Second) // what waited offline is acknowledged
			synctest.Wait()
			var seen []presence.Availability
			for _, a := range tr.Resources(account) {
				if a.JID == conns[0].LocalAddr() {
					seen = append(seen, a)
				}
			}
			require.Len(t, seen, 1, row.xml)
			require.Equal(t, row.show, seen[0].Show, row.xml)
			require.Equal(t, row.priority, seen[0].Priority, row.xml)

			got = [2]int{} // without what had to wait for somebody to be there
			require.NoError(t, sender.Send(t.Context(), &stanza.Message{To: account, Type: stanza.HeadlineMessage}))
			require.NoError(t, sender.Send(t.Context(), &stanza.Message{To: account, Type: stanza.ChatMessage, Extra: []stanza.Payload{rawXML("<x xmlns='urn:x'/>")}}))
			synctest.Wait()
			if row.priority < 0 {
				require.Equal(t, [2]int{}, got, row.xml)
			} else {
				require.Equal(t, [2]int{2, 2}, got, row.xml)
			}
		}
	})
}
