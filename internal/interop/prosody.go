package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// ProsodyOptions says which Prosody to start.
type ProsodyOptions struct {
	// Domain is the one virtual host.
	Domain string
	// Certificates is a directory with cert.pem and key.pem for Domain.
	Certificates string
	// Accounts maps localparts to passwords.
	Accounts map[string]string
	// Hash is the hash of the stored keys, and so of the one SCRAM mechanism that is offered: "SHA-1", which is Prosody's default, or
	// "SHA-256". Empty means "SHA-256".
	Hash string
}

// Prosody is a server that runs until the test ends.
type Prosody struct {
	// Addr is where it listens: an address of loopback.
	Addr string
	// Version is what it says about itself.
	Version string

	process *process
}

// prosodyConfig is the whole configuration: one virtual host, internal storage, no server-to-server streams, nothing that asks the
// network. Prosody refuses to run as root unless told that this is meant, and in a container there may be nobody else.
const prosodyConfig = `
run_as_root = true
daemonize = false
pidfile = %[1]q
data_path = %[2]q
certificates = %[3]q
log = { { levels = { min = "debug" }, to = "console" } }

interfaces = { "127.0.0.1" }
c2s_ports = { %[4]d }
c2s_direct_tls_ports = {}
legacy_ssl_ports = {}

authentication = "internal_hashed"
password_hash = %[5]q
storage = "internal"

modules_enabled = { "roster", "saslauth", "tls", "disco", "ping" }
modules_disabled = { "s2s", "s2s_auth_certs" }

VirtualHost %[6]q
	ssl = { certificate = %[7]q, key = %[8]q }
`

// StartProsody starts the prosody on the PATH and waits until it listens. It calls Missing if there is none.
func StartProsody(t testing.TB, o ProsodyOptions) *Prosody {
	t.Helper()
	program, err := exec.LookPath("prosody")
	if err != nil {
		Missing(t, "Prosody is not installed: %v", err)
	}
	if o.Hash == "" {
		o.Hash = "SHA-256"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// The port is found by asking for a free one and giving it back, so somebody else may take it meanwhile.
	const attempts = 3
	for range attempts {
		p, err := startProsody(ctx, t, program, o)
		if err == nil {
			return p
		}
		t.Logf("starting Prosody: %v", err)
	}
	t.Fatalf("Prosody did not start in %d attempts", attempts)
	return nil
}

func startProsody(ctx context.Context, t testing.TB, program string, o ProsodyOptions) (*Prosody, error) {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prosody.cfg.lua")
	text := fmt.Sprintf(prosodyConfig, filepath.Join(dir, "prosody.pid"), data, o.Certificates, port, o.Hash, o.Domain,
		filepath.Join(o.Certificates, "cert.pem"), filepath.Join(o.Certificates, "key.pem"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	for name, password := range o.Accounts {
		register := exec.CommandContext(ctx, "prosodyctl", "--config", config, "register", name, o.Domain, password)
		register.Dir = dir
		if out, err := register.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("prosodyctl register: %w\n%s", err, out)
		}
	}
	p := &Prosody{
		Addr:    fmt.Sprintf("127.0.0.1:%d", port),
		process: start(t, dir, program, "--config", config, "-F"),
	}
	line, _, err := p.process.wait(ctx, 0, func(line string) bool {
		if _, version, found := strings.Cut(line, "Prosody version "); found {
			p.Version = version
		}
		return strings.Contains(line, "Activated service 'c2s' on ")
	})
	if err != nil {
		p.process.end()
		return nil, err
	}
	if !strings.Contains(line, fmt.Sprintf("]:%d", port)) {
		p.process.end()
		return nil, fmt.Errorf("port %d: %s", port, line)
	}
	return p, nil
}

// Log returns the lines that Prosody has logged so far that contain all of the given texts.
func (p *Prosody) Log(texts ...string) []string {
	return slices.DeleteFunc(p.process.log(), func(line string) bool { return !containsAll(line, texts) })
}

// WaitLogCount waits until the log has n lines that contain all of the given texts.
func (p *Prosody) WaitLogCount(ctx context.Context, n int, texts ...string) error {
	from := 0
	for range n {
		var err error
		_, from, err = p.process.wait(ctx, from, func(line string) bool { return containsAll(line, texts) })
		if err != nil {
			return fmt.Errorf("waiting for %d lines with %q in the log of Prosody: %w", n, texts, err)
		}
	}
	return nil
}

func containsAll(s string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(s, part) })
}

// freePort returns a port of loopback that nobody used just now.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
