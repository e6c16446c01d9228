package interop

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// xmppjsEnv names a directory in which npm has installed testdata/xmppjs/package-lock.json.
const xmppjsEnv = "STANZAKIT_XMPPJS"

// XMPPJS is an installed @xmpp/client.
type XMPPJS struct {
	node    string // the interpreter
	modules string // the directory node_modules
}

// FindXMPPJS returns the @xmpp/client that is installed. It calls Missing if there is none.
func FindXMPPJS(t testing.TB) XMPPJS {
	t.Helper()
	dir, err := filepath.Abs(os.Getenv(xmppjsEnv))
	if os.Getenv(xmppjsEnv) == "" || err != nil {
		Missing(t, "%s does not name a directory with @xmpp/client", xmppjsEnv)
	}
	node, err := exec.LookPath("node")
	if err != nil {
		Missing(t, "Node.js is not installed: %v", err)
	}
	x := XMPPJS{node: node, modules: filepath.Join(dir, "node_modules")}
	if _, err := os.Stat(filepath.Join(x.modules, "@xmpp", "client", "package.json")); err != nil {
		t.Fatalf("%s of %s has no @xmpp/client: %v", dir, xmppjsEnv, err)
	}
	return x
}

// XMPPJSOptions says how a client logs in.
type XMPPJSOptions struct {
	Domain, Username, Resource string

	Password  string          // empty: none
	Token     json.RawMessage // what a token event said; empty: none
	UserAgent string          // the client's id (XEP-0388 §2.3), a UUID

	Addr   net.Addr
	Direct bool   // TLS from the first byte, instead of STARTTLS
	CA     string // a file with the authority to trust
	TLS    string // the one version of TLS to use, "1.2" or "1.3"

	service string // the URL of a WebSocket, instead of Addr
}

// XMPPJSEvent is one thing that happened to the client. Which fields are set depends on Event.
type XMPPJSEvent struct {
	Event string // hello, sent, token, failed, session, message, disconnected

	// hello
	Version string `json:"version"`
	Node    string `json:"node"`

	// sent: a negotiation begins
	Name      string   `json:"name"`      // of the element
	Mechanism string   `json:"mechanism"` // that it asks for
	With      []string `json:"with"`      // the names of its child elements

	// token: the server issued one
	Token json.RawMessage `json:"token"`

	// failed
	Condition string `json:"condition"`
	Text      string `json:"text"`

	// session
	JID string `json:"jid"`
	TLS string `json:"tls"`

	// message
	From string `json:"from"`
	Type string `json:"type"`
	Body string `json:"body"`
}

// XMPPJSClient is a client that runs until the test ends, for one goroutine at a time.
type XMPPJSClient struct{ dialogue }

// Start starts a client and tells it to log in.
func (x XMPPJS) Start(t testing.TB, o XMPPJSOptions) *XMPPJSClient {
	t.Helper()
	return &XMPPJSClient{x.run(t, "peer.js", o)}
}

// run starts a program of testdata and tells it the secrets.
func (x XMPPJS) run(t testing.TB, program string, o XMPPJSOptions) dialogue {
	t.Helper()
	// Node looks for modules where the program is, so both are brought together.
	dir := t.TempDir()
	if err := os.Symlink(x.modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"package.json", program} {
		text, err := os.ReadFile(filepath.Join("testdata", "xmppjs", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	service, args := o.service, []string{"--tls-min-v" + o.TLS, "--tls-max-v" + o.TLS}
	switch {
	case service != "": // as it stands
	case o.Direct:
		service = "xmpps://" + o.Addr.String()
	default:
		service = "xmpp://" + o.Addr.String()
	}
	args = append(args, program, "--service", service, "--domain", o.Domain, "--username", o.Username, "--resource", o.Resource, "--agent", o.UserAgent)
	c := dialogue{name: "xmpp.js", process: startWith(t, dir, []string{"NODE_EXTRA_CA_CERTS=" + o.CA}, x.node, args...)}
	secrets := map[string]any{}
	if o.Password != "" {
		secrets["password"] = o.Password
	}
	if len(o.Token) > 0 {
		secrets["token"] = o.Token
	}
	if err := c.say(secrets); err != nil {
		t.Fatal(err)
	}
	return c
}

// Next returns the next event.
func (c *XMPPJSClient) Next(ctx context.Context) (*XMPPJSEvent, error) {
	e := new(XMPPJSEvent)
	return e, c.hear(ctx, e)
}
