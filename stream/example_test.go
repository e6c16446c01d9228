package stream_test

import (
	"fmt"

	"stanzakit.dev/xmpp/stream"
)

// Input comes in pieces of any size; the tokens do not depend on where it was
// cut.
func ExampleTokenizer() {
	var t stream.Tokenizer
	for _, piece := range []string{"<message xmlns='jabber:cl", "ient'><body>Art thou not Ro", "meo &amp; a Montague?</body></mess", "age>"} {
		t.Feed([]byte(piece))
		for {
			tok, err := t.Next()
			if err == stream.ErrNeedMore {
				break
			}
			if err != nil {
				fmt.Println(err)
				return
			}
			fmt.Printf("%s %s%s\n", tok.Kind, tok.Name.Local, tok.Text)
		}
	}
	fmt.Println(t.Finish())
	// Output:
	// StartElement message
	// StartElement body
	// Text Art thou not Romeo & a Montague?
	// EndElement body
	// EndElement message
	// <nil>
}

func ExampleWriter() {
	w := stream.NewWriter(nil)
	w.Start(stream.Name{Space: stream.NSClient, Local: "message"})
	w.Attr("to", "romeo@example.net")
	w.Start(stream.Name{Local: "body"})
	w.Text("Neither, fair saint, if <either> thee dislike.")
	w.End()
	w.Start(stream.Name{Space: "urn:xmpp:receipts", Local: "request"})
	w.End()
	w.End()
	b, err := w.Bytes()
	fmt.Println(string(b), err)
	// Output:
	// <message xmlns='jabber:client' to='romeo@example.net'><body>Neither, fair saint, if &lt;either&gt; thee dislike.</body><request xmlns='urn:xmpp:receipts'/></message> <nil>
}

func ExampleElement_Children() {
	query, err := stream.ParseElement([]byte("<query xmlns='jabber:iq:roster'>"+
		"<item jid='juliet@example.com' name='Juliet'/><item jid='nurse@example.com'/></query>"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for item := range query.Children() {
		fmt.Println(item.Name(), item.Attr("jid"), item.Attr("name"))
	}
	// Output:
	// {jabber:iq:roster}item juliet@example.com Juliet
	// {jabber:iq:roster}item nurse@example.com
}
