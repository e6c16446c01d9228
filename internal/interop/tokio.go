package interop

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tokioEnv names the program that cargo has built from testdata/tokio.
const tokioEnv = "STANZAKIT_TOKIO_XMPP"

// TokioClient is a client on tokio-xmpp that runs until the test ends. It answers the first message that it gets with the same text, and logs
// out. It is for one goroutine at a time.
type TokioClient struct {
	process *process
	next    int
}

// TokioOptions says how a client logs in.
type TokioOptions struct {
	JID      string
	Password string
	Addr     net.Addr
	CA       string // a file with the authority to trust
}

// StartTokio starts a client and tells it to log in. It calls Missing if there is none.
func StartTokio(t testing.TB, o TokioOptions) *TokioClient {
	t.Helper()
	program := os.Getenv(tokioEnv)
	if program == "" {
		Missing(t, "%s does not name the program built from testdata/tokio", tokioEnv)
	}
	program, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	c := &TokioClient{process: startWith(t, t.TempDir(), []string{"SSL_CERT_FILE=" + o.CA, "SSL_CERT_DIR=/nonexistent"}, program, o.JID, o.Addr.String())}
	if _, err := io.WriteString(c.process.stdin, o.Password+"\n"); err != nil {
		t.Fatalf("tokio-xmpp: %v", err)
	}
	return c
}

// Next returns the next line of its output: "online" and its address, or something that went wrong.
func (c *TokioClient) Next(ctx context.Context) (string, error) {
	line, next, err := c.process.wait(ctx, c.next, func(line string) bool { return strings.TrimSpace(line) != "" })
	c.next = next
	return line, err
}

// Wait waits until the client has ended.
func (c *TokioClient) Wait(ctx context.Context) error {
	select {
	case <-c.process.done:
		c.process.mu.Lock()
		defer c.process.mu.Unlock()
		return c.process.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
