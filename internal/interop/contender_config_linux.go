package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// oursCommand starts examples/server, which keeps everything in memory.
func oursCommand(o *ContenderOptions, _ string, port int) (command, error) {
	users := make([]string, len(o.Accounts))
	for i, name := range o.Accounts {
		users[i] = name + ":" + o.Password
	}
	return command{program: o.Ours, args: []string{
		"-domain", o.Domain,
		"-c2s", fmt.Sprintf("127.0.0.1:%d", port),
		"-cert", filepath.Join(o.Certificates, "cert.pem"),
		"-key", filepath.Join(o.Certificates, "key.pem"),
		"-users", strings.Join(users, ","),
		"-plaintext", // which lifts the bounds on how fast clients may send
	}}, nil
}

// contenderProsody has what examples/server has, but no archive of messages. Presence, messages, queries and messages for people who are offline
// are always in Prosody. Everything that is not named is as the package ships it.
const contenderProsody = `
run_as_root = true
daemonize = false
pidfile = %[1]q
data_path = %[2]q
certificates = %[3]q
log = { { levels = { min = "warn" }, to = "console" } }

interfaces = { "127.0.0.1" }
c2s_ports = { %[4]d }
c2s_direct_tls_ports = {}
legacy_ssl_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_hashed"
storage = "internal"
allow_registration = true
%[7]s

modules_enabled = {
	"roster"; "saslauth"; "tls"; "disco"; "ping"; "register_ibr";
	"blocklist"; "carbons"; "csi_simple"; "lastactivity"; "private"; "time"; "vcard"; "version";
}
modules_disabled = { "s2s"; "s2s_auth_certs" }

VirtualHost %[5]q
	ssl = { certificate = %[6]q, key = %[8]q }
`

// prosodyCommand returns what starts Prosody with further settings.
func prosodyCommand(settings string) func(o *ContenderOptions, dir string, port int) (command, error) {
	return func(o *ContenderOptions, dir string, port int) (command, error) {
		program, err := exec.LookPath("prosody")
		if err != nil {
			return command{}, err
		}
		data := filepath.Join(dir, "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			return command{}, err
		}
		config := filepath.Join(dir, "prosody.cfg.lua")
		text := fmt.Sprintf(contenderProsody, filepath.Join(dir, "prosody.pid"), data, o.Certificates, port, o.Domain,
			filepath.Join(o.Certificates, "cert.pem"), settings, filepath.Join(o.Certificates, "key.pem"))
		return command{program: program, args: []string{"--config", config, "-F"}}, os.WriteFile(config, []byte(text), 0o600)
	}
}

// contenderEjabberd has what examples/server has, but no archive of messages. mod_blocking needs mod_privacy. Derived keys are stored for
// SCRAM-SHA-1, as Prosody does unless told otherwise.
const contenderEjabberd = `
hosts:
  - %[1]q
loglevel: warning
certfiles:
  - %[2]q
  - %[3]q
listen:
  -
    module: ejabberd_c2s
    ip: "127.0.0.1"
    port: %[4]d
    access: all
    starttls: true
    starttls_required: false
    backlog: 1024
acme:
  auto: false
s2s_access: none
auth_method: [internal]
auth_password_format: scram
auth_scram_hash: sha
registration_timeout: infinity
modules:
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_disco: {}
  mod_last: {}
  mod_offline: {}
  mod_ping: {}
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

// ejabberdCommand starts ejabberd on an Erlang machine with the flags that ejabberdctl gives it, but without a name (see [StartEjabberd]).
func ejabberdCommand(o *ContenderOptions, dir string, port int) (command, error) {
	program, err := exec.LookPath("erl")
	if err != nil {
		return command{}, err
	}
	libs, err := ejabberdLibraries()
	if err != nil {
		return command{}, fmt.Errorf("%w: %w", exec.ErrNotFound, err)
	}
	spool := filepath.Join(dir, "spool")
	if err := os.Mkdir(spool, 0o700); err != nil {
		return command{}, err
	}
	config := filepath.Join(dir, "ejabberd.yml")
	text := fmt.Sprintf(contenderEjabberd, o.Domain, filepath.Join(o.Certificates, "cert.pem"), filepath.Join(o.Certificates, "key.pem"), port)
	return command{
		program: program,
		args:    []string{"+K", "true", "+P", "250000", "-noinput", "-mnesia", "dir", fmt.Sprintf("%q", spool), "-s", "ejabberd"},
		env: []string{
			"HOME=" + dir,
			"ERL_LIBS=" + libs,
			"ERL_CRASH_DUMP_BYTES=0",
			"EJABBERD_CONFIG_PATH=" + config,
			"EJABBERD_LOG_PATH=" + filepath.Join(dir, "ejabberd.log"),
		},
	}, os.WriteFile(config, []byte(text), 0o600)
}
