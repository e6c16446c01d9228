package memconn_test

import (
	"fmt"
	"io"

	"stanzakit.dev/xmpp/internal/memconn"
)

func ExamplePipe() {
	client, server := memconn.Pipe()
	fmt.Fprint(client, "hello") // returns at once: the bytes wait in a buffer
	client.Close()
	got, err := io.ReadAll(server)
	fmt.Println(string(got), err)
	// Output: hello <nil>
}
