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
	// Certificates is a directory with cert.pem and key.pem for Domain, and ca.pem, the authority that clients' certificates are checked with.
	Certificates string
	// Accounts maps localparts to passwords.
	Accounts map[string]string
	// Hash is the hash of the stored keys, and so of the one SCRAM mechanism that is offered: "SHA-1", which is Prosody's default, or
	// "SHA-256". Empty means "SHA-256".
	Hash string
	// Authentication is the module that knows who may log in, and so decides about the mechanisms: "internal_hashed", "internal_plain" (every
	// hash at once), "anonymous", or one of the package prosody-modules: "ccert" (EXTERNAL), "oauthbearer". Empty means "internal_hashed".
	Authentication string
	// TokenService is where "oauthbearer" asks about tokens: a URL that has {{password}} where the token goes.
	TokenService string
	// SASL2 adds SASL 2, Bind 2 and FAST, from the package prosody-modules.
	SASL2 bool
	// AnnounceBindings adds an announcement of the types of channel binding (XEP-0440) to SASL2.
	AnnounceBindings bool
	// Messaging adds what Prosody itself has for messaging: carbons, an archive, blocking, vCards and so on, registration for everybody, and
	// commands for the Admins.
	Messaging bool
	// Admins are the addresses of administrators.
	Admins []string
	// Resumption adds stream management, and is for how long sessions can be resumed, in whole seconds. With SASL2 it is negotiated inline too.
	Resumption time.Duration
	// Unmended leaves resumption as Prosody has it: a session whose connection broke inside an element is not heard of again after that.
	Unmended bool
}

// Prosody is a server that runs until the test ends.
type Prosody struct {
	// Addr is where it listens: an address of loopback. At DirectAddr TLS begins with the first byte.
	Addr, DirectAddr string
	// Version is what it says about itself.
	Version string

	process *process
}

// prosodyConfig is the whole configuration: one virtual host, internal storage, no server-to-server streams, nothing that asks the
// network. Prosody refuses to run as root unless told that this is meant, and in a container there may be nobody else. It checks the
// certificates of clients as if they were servers', which those for clients only do not pass, unless told otherwise.
const prosodyConfig = `
run_as_root = true
daemonize = false
pidfile = %[1]q
data_path = %[2]q
plugin_paths = { %[3]q }
certificates = %[4]q
log = { { levels = { min = "debug" }, to = "console" } }

interfaces = { "127.0.0.1" }
c2s_ports = { %[5]d }
c2s_direct_tls_ports = { %[16]d }
c2s_direct_tls_ssl = { certificate = %[12]q, key = %[13]q }
legacy_ssl_ports = {}

authentication = %[6]q
password_hash = %[7]q
storage = "internal"
oauth_client_id = "interop"
oauth_client_secret = "interop"
oauth_url = %[8]q
interop_announce_channel_binding = %[9]t
allow_registration = true
admins = { %[17]s }
smacks_hibernation_time = %[18]d

modules_enabled = { "roster", "saslauth", "tls", "disco", "ping", %[10]s }
modules_disabled = { "s2s", "s2s_auth_certs" }

VirtualHost %[11]q
	ssl = { certificate = %[12]q, key = %[13]q, cafile = %[14]q, verify = { %[15]q }, verifyext = { lsec_ignore_purpose = false } }
`

// prosodyModules are the places where the package prosody-modules puts its modules.
var prosodyModules = []string{"/usr/lib/prosody/modules", "/usr/local/lib/prosody/modules"}

// modules returns the modules that the options ask for beyond those of Prosody itself.
func (o *ProsodyOptions) modules() []string {
	var names []string
	switch o.Authentication {
	case "ccert":
		names = append(names, "auth_ccert")
	case "oauthbearer":
		names = append(names, "auth_oauthbearer", "sasl_oauthbearer")
	}
	if o.SASL2 {
		names = append(names, "sasl2", "sasl2_bind2", "sasl2_fast")
		if o.Resumption > 0 {
			names = append(names, "sasl2_sm")
		}
	}
	return names
}

// prosodyMessaging are modules of Prosody itself.
const prosodyMessaging = `"adhoc"; "admin_adhoc"; "blocklist"; "carbons"; "csi_simple"; "lastactivity"; "mam"; "private"; "register_ibr"; "time"; "uptime"; ` +
	`"user_account_management"; "vcard"; "version"; `

// hasProsodyModule reports whether a module of prosody-modules is installed.
func hasProsodyModule(name string) bool {
	return slices.ContainsFunc(prosodyModules, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "mod_"+name, "mod_"+name+".lua"))
		return err == nil
	})
}

// StartProsody starts the prosody on the PATH and waits until it listens. It calls Missing if there is none.
func StartProsody(t testing.TB, o ProsodyOptions) *Prosody {
	t.Helper()
	program, err := exec.LookPath("prosody")
	if err != nil {
		Missing(t, "Prosody is not installed: %v", err)
	}
	for _, name := range o.modules() {
		if !hasProsodyModule(name) {
			Missing(t, "the package prosody-modules is not installed: no mod_%s", name)
		}
	}
	if o.Hash == "" {
		o.Hash = "SHA-256"
	}
	if o.Authentication == "" {
		o.Authentication = "internal_hashed"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// The ports are found by asking for free ones and giving them back, so somebody else may take one meanwhile.
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
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	plugins, err := filepath.Abs(filepath.Join("testdata", "prosody"))
	if err != nil {
		return nil, err
	}
	var modules strings.Builder
	for _, name := range o.modules() {
		if !strings.HasPrefix(name, "auth_") { // the one that is named in authentication is loaded because of that
			fmt.Fprintf(&modules, "%q; ", name)
		}
	}
	if o.SASL2 {
		modules.WriteString(`"interop"; `)
	}
	if o.Resumption > 0 {
		modules.WriteString(`"smacks"; `)
		if !o.Unmended {
			modules.WriteString(`"interop_resume"; `)
		}
	}
	if o.Messaging {
		modules.WriteString(prosodyMessaging)
	}
	var admins strings.Builder
	for _, who := range o.Admins {
		fmt.Fprintf(&admins, "%q; ", who)
	}
	verify := "none"
	if o.Authentication == "ccert" {
		verify = "peer"
	}
	config := filepath.Join(dir, "prosody.cfg.lua")
	text := fmt.Sprintf(prosodyConfig, filepath.Join(dir, "prosody.pid"), data, plugins, o.Certificates, ports[0], o.Authentication, o.Hash,
		o.TokenService, o.AnnounceBindings, modules.String(), o.Domain,
		filepath.Join(o.Certificates, "cert.pem"), filepath.Join(o.Certificates, "key.pem"), filepath.Join(o.Certificates, "ca.pem"), verify, ports[1],
		admins.String(), max(o.Resumption/time.Second, 1))
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
		Addr:       fmt.Sprintf("127.0.0.1:%d", ports[0]),
		DirectAddr: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		process:    start(t, dir, program, "--config", config, "-F"),
	}
	for service, port := range map[string]int{"c2s": ports[0], "c2s_direct_tls": ports[1]} {
		line, _, err := p.process.wait(ctx, 0, func(line string) bool {
			if _, version, found := strings.Cut(line, "Prosody version "); found {
				p.Version = version
			}
			return strings.Contains(line, "Activated service '"+service+"' on ")
		})
		if err == nil && !strings.Contains(line, fmt.Sprintf("]:%d", port)) {
			err = fmt.Errorf("port %d: %s", port, line)
		}
		if err != nil {
			p.process.end()
			return nil, err
		}
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

// freePorts returns n ports of loopback that nobody used just now.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
