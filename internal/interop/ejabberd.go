package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// EjabberdOptions says which ejabberd to start.
type EjabberdOptions struct {
	// Domain is the one virtual host.
	Domain string
	// Certificates is a directory with cert.pem and key.pem for Domain, and ca.pem, the authority that clients' certificates are checked with.
	Certificates string
	// Accounts maps localparts to passwords.
	Accounts map[string]string
	// Storage is how passwords are stored, which decides about the mechanisms that are offered: "sha", "sha256" or "sha512" for keys of that
	// one SCRAM mechanism, or "plain" for all mechanisms. Empty means "sha256".
	Storage string
	// ClientCertificates has clients asked for certificates, and EXTERNAL offered to those that have one that is fine.
	ClientCertificates bool
	// Messaging adds modules for messaging: carbons, an archive, blocking, vCards and so on, registration for everybody, and commands for the
	// Admins.
	Messaging bool
	// Admins are localparts of administrators.
	Admins []string
	// Resumption adds stream management, and is for how long sessions can be resumed, in whole seconds.
	Resumption time.Duration
}

// Ejabberd is a server that runs until the test ends.
type Ejabberd struct {
	// Addr is where it listens: an address of loopback. At DirectAddr TLS begins with the first byte.
	Addr, DirectAddr string
	// Version is what it says about itself.
	Version string

	process *process
}

// ejabberdConfig is the whole configuration: one virtual host, listeners for STARTTLS and for direct TLS, hardly any modules.
const ejabberdConfig = `
hosts:
  - %[1]q
loglevel: info
certfiles:
  - %[2]q
  - %[3]q
listen:
  -
    module: ejabberd_c2s
    ip: "127.0.0.1"
    port: %[5]d
    access: all
    starttls_required: true
    tls_verify: %[6]t
    cafile: %[4]q
  -
    module: ejabberd_c2s
    ip: "127.0.0.1"
    port: %[9]d
    access: all
    tls: true
auth_method: [internal]
auth_password_format: %[7]s
auth_scram_hash: %[8]s
acl:
  admin:
    user: %[11]s
access_rules:
  configure:
    allow: admin
%[12]smodules:
  mod_disco: {}
  mod_ping: {}
%[10]s`

// ejabberdMessaging are more modules. Without a limit of its own for registration ejabberd lets an address register once in ten minutes.
const ejabberdMessaging = `
  mod_adhoc: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_configure: {}
  mod_last: {}
  mod_mam:
    default: always
  mod_offline: {}
  mod_privacy: {}
  mod_private: {}
  mod_register:
    ip_access: all
  mod_roster:
    versioning: true
  mod_time: {}
  mod_vcard:
    search: false
  mod_version: {}
`

// ejabberdAccounts is Erlang that creates the accounts in the environment, a name and a password on two lines each, and says how that went.
const ejabberdAccounts = `
Line = fun Line([Name, Password | More]) ->
               ok = ejabberd_auth:try_register(Name, list_to_binary(os:getenv("INTEROP_DOMAIN")), Password),
               Line(More);
           Line(_) -> ok
       end,
Line(binary:split(unicode:characters_to_binary(os:getenv("INTEROP_ACCOUNTS")), <<"\n">>, [global])),
{ok, Version} = application:get_key(ejabberd, vsn),
io:format("interop: accounts of ejabberd ~s~n", [Version]).
`

// ejabberdLibraries returns the directory with the ebin directories of ejabberd and what it needs. ERL_LIBS names it if it is in no usual place.
func ejabberdLibraries() (string, error) {
	if libs := os.Getenv("ERL_LIBS"); libs != "" {
		return libs, nil
	}
	for _, pattern := range []string{"/usr/lib/*/ejabberd-*", "/usr/lib/ejabberd-*", "/opt/ejabberd-*/lib/ejabberd-*"} {
		found, err := filepath.Glob(filepath.Join(pattern, "ebin", "ejabberd.app"))
		if err == nil && len(found) > 0 {
			return filepath.Dir(filepath.Dir(filepath.Dir(found[0]))), nil
		}
	}
	return "", fmt.Errorf("no ejabberd.app in the usual places")
}

// StartEjabberd starts ejabberd and waits until it listens. It calls Missing if there is none. The Erlang machine that it runs on has no name and so
// takes part in no cluster: no port mapper, no cookie, nothing that another one on the same computer could meet.
func StartEjabberd(t testing.TB, o EjabberdOptions) *Ejabberd {
	t.Helper()
	program, err := exec.LookPath("erl")
	if err != nil {
		Missing(t, "ejabberd is not installed: %v", err)
	}
	libs, err := ejabberdLibraries()
	if err != nil {
		Missing(t, "ejabberd is not installed: %v", err)
	}
	if o.Storage == "" {
		o.Storage = "sha256"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	// The ports are found by asking for free ones and giving them back, so somebody else may take one meanwhile.
	const attempts = 3
	for range attempts {
		e, err := startEjabberd(ctx, t, program, libs, o)
		if err == nil {
			return e
		}
		t.Logf("starting ejabberd: %v", err)
	}
	t.Fatalf("ejabberd did not start in %d attempts", attempts)
	return nil
}

func startEjabberd(ctx context.Context, t testing.TB, program, libs string, o EjabberdOptions) (*Ejabberd, error) {
	t.Helper()
	dir := t.TempDir()
	spool := filepath.Join(dir, "spool")
	if err := os.Mkdir(spool, 0o700); err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	format, hash := "scram", o.Storage
	if o.Storage == "plain" {
		format, hash = "plain", "sha256"
	}
	modules, options := "", ""
	if o.Messaging {
		modules, options = ejabberdMessaging, "registration_timeout: infinity\n"
	}
	if o.Resumption > 0 {
		modules += fmt.Sprintf("  mod_stream_mgmt:\n    resume_timeout: %d\n", o.Resumption/time.Second)
	}
	admins, err := json.Marshal(append([]string{}, o.Admins...))
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "ejabberd.yml")
	text := fmt.Sprintf(ejabberdConfig, o.Domain, filepath.Join(o.Certificates, "cert.pem"), filepath.Join(o.Certificates, "key.pem"),
		filepath.Join(o.Certificates, "ca.pem"), ports[0], o.ClientCertificates, format, hash, ports[1],
		modules, admins, options)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	var accounts []string
	for name, password := range o.Accounts {
		accounts = append(accounts, name, password)
	}
	e := &Ejabberd{
		Addr:       fmt.Sprintf("127.0.0.1:%d", ports[0]),
		DirectAddr: fmt.Sprintf("127.0.0.1:%d", ports[1]),
		process: startWith(t, dir, []string{
			"HOME=" + dir,
			"ERL_LIBS=" + libs,
			"ERL_CRASH_DUMP=" + filepath.Join(dir, "crash.dump"),
			"EJABBERD_CONFIG_PATH=" + config,
			"EJABBERD_LOG_PATH=" + filepath.Join(dir, "ejabberd.log"),
			"INTEROP_DOMAIN=" + o.Domain,
			"INTEROP_ACCOUNTS=" + strings.Join(accounts, "\n"),
		}, program, "+pc", "unicode", "-noinput", "-mnesia", "dir", fmt.Sprintf("%q", spool), "-s", "ejabberd", "-eval", ejabberdAccounts),
	}
	// It is not known what comes first.
	const failed, registered = "Failed to open socket", "interop: accounts of ejabberd "
	for _, wanted := range []string{registered, "Start accepting TCP connections at " + e.Addr + " ", "Start accepting TLS connections at " + e.DirectAddr + " "} {
		line, _, err := e.process.wait(ctx, 0, func(line string) bool {
			return strings.Contains(line, wanted) || strings.Contains(line, failed)
		})
		if err == nil && strings.Contains(line, failed) {
			err = fmt.Errorf("ports %d: %s", ports, line)
		}
		if err != nil {
			e.process.end()
			return nil, err
		}
		if _, version, found := strings.Cut(line, registered); found {
			e.Version = version
		}
	}
	return e, nil
}
