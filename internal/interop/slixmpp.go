package interop

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// slixmppEnv names Python interpreters that have slixmpp, as a list like PATH. Unset means the python3 on the PATH.
const slixmppEnv = "STANZAKIT_SLIXMPP_PYTHON"

// Slixmpp is one installed version of slixmpp.
type Slixmpp struct {
	Python  string // the interpreter
	Version string
}

// FindSlixmpp returns the versions of slixmpp that are installed, at least one. It calls Missing if there is none.
func FindSlixmpp(t testing.TB) []Slixmpp {
	t.Helper()
	list, named := os.LookupEnv(slixmppEnv)
	if !named {
		list = "python3"
	}
	var found []Slixmpp
	for _, python := range filepath.SplitList(list) {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		out, err := exec.CommandContext(ctx, python, "-c", "import slixmpp; print(slixmpp.__version__)").Output()
		cancel()
		switch {
		case err == nil:
			found = append(found, Slixmpp{Python: python, Version: strings.TrimSpace(string(out))})
		case named:
			t.Fatalf("%s of %s has no slixmpp: %v", python, slixmppEnv, err)
		}
	}
	if len(found) == 0 {
		Missing(t, "slixmpp is not installed; %s can name Python interpreters that have it", slixmppEnv)
	}
	return found
}

// SlixmppOptions says how a client logs in.
type SlixmppOptions struct {
	JID      string
	Password string
	Addr     net.Addr
	CA       string // a file with the authority to trust
	TLS      string // the one version of TLS to use, "1.2" or "1.3"
	// Register has a Person make the account before it logs in to it.
	Register bool
	// Certificate is a directory with cert.pem and key.pem, the client's own. Empty: it has none.
	Certificate string
}

// SlixmppEvent is one thing that happened to the client. Which fields are set depends on Event.
type SlixmppEvent struct {
	Event string // hello, failed, session, message, stream_error, disconnected

	// hello
	Version    string   `json:"version"`
	Python     string   `json:"python"`
	Bindings   []string `json:"bindings"`    // channel-binding types of the ssl module
	KnowsTLS13 bool     `json:"knows_tls13"` // whether it knows that there is no tls-unique in TLS 1.3

	// failed, stream_error
	Condition string `json:"condition"`
	// failed, session
	Mechanism string `json:"mechanism"`
	GS2       string `json:"gs2"` // RFC 5802 §7, gs2-header
	// session
	JID string `json:"jid"`
	TLS string `json:"tls"`
	// message
	From string `json:"from"`
	Type string `json:"type"`
	Body string `json:"body"`
}

// SlixmppClient is a client that runs until the test ends, for one goroutine at a time.
type SlixmppClient struct{ dialogue }

// Start starts a client and tells it to log in.
func (s Slixmpp) Start(t testing.TB, o SlixmppOptions) *SlixmppClient {
	t.Helper()
	return &SlixmppClient{s.run(t, "slixmpp_peer.py", o)}
}

// run starts a program of testdata and gives it the password.
func (s Slixmpp) run(t testing.TB, program string, o SlixmppOptions) dialogue {
	t.Helper()
	script, err := filepath.Abs(filepath.Join("testdata", program))
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(o.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	variables := []string{"PYTHONDONTWRITEBYTECODE=1"} // one program imports the other, and is not to leave anything behind
	if o.Register {
		variables = append(variables, "INTEROP_REGISTER=yes")
	}
	d := dialogue{name: "slixmpp", process: startWith(t, t.TempDir(), variables, s.Python, script,
		"--jid", o.JID, "--host", host, "--port", port, "--ca", o.CA, "--tls", o.TLS, "--certificate", o.Certificate)}
	if _, err := io.WriteString(d.process.stdin, o.Password+"\n"); err != nil {
		t.Fatalf("slixmpp: %v", err)
	}
	return d
}

// Next returns the next event.
func (c *SlixmppClient) Next(ctx context.Context) (*SlixmppEvent, error) {
	e := new(SlixmppEvent)
	return e, c.hear(ctx, e)
}
