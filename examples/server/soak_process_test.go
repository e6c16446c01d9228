package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	xtls "stanzakit.dev/xmpp/tls"
)

// installation is the program, built, and what every run of it is given.
type installation struct {
	t       *testing.T
	program string
	args    []string
	roots   *x509.CertPool
	log     string // file with what the processes have logged

	addr atomic.Pointer[string] // where the last process serves clients
}

// install builds the program, with the race detector if the test has it, and makes
// a certificate. The server permits login without TLS, but offers STARTTLS.
func install(t *testing.T, args ...string) *installation {
	t.Helper()
	dir := t.TempDir()
	in := &installation{t: t, program: filepath.Join(dir, "server"), log: filepath.Join(dir, "log")}
	build := []string{"build", "-o", in.program}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-race" && s.Value == "true" {
				build = append(build, "-race")
			}
		}
	}
	out, err := exec.CommandContext(t.Context(), "go", append(build, ".")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	require.NoError(t, ca.WriteFiles(dir, "chat.test"))
	in.roots = ca.Pool()
	in.args = append([]string{
		"-domain", "chat.test", "-c2s", "127.0.0.1:0", "-plaintext",
		"-cert", filepath.Join(dir, "cert.pem"), "-key", filepath.Join(dir, "key.pem"),
	}, args...)
	return in
}

// life is one process of the server.
type life struct {
	cmd   *exec.Cmd
	ports map[string]string
	ended chan struct{} // closed when the process is no more
	err   error         // what Wait returned; read it after ended
}

// launch runs the program until it serves. It is killed with the test at the latest.
func (in *installation) launch(args ...string) *life {
	in.t.Helper()
	stdout, w, err := os.Pipe()
	require.NoError(in.t, err)
	defer w.Close()
	log, err := os.OpenFile(in.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	require.NoError(in.t, err)
	defer log.Close()
	p := &life{ports: map[string]string{}, ended: make(chan struct{})}
	p.cmd = exec.Command(in.program, append(in.args, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = w, log
	require.NoError(in.t, p.cmd.Start())
	// Owner: the test. Ends with the process. Joined by kill, stop and the cleanup.
	go func() {
		defer close(p.ended)
		p.err = p.cmd.Wait()
	}()
	in.t.Cleanup(p.kill)
	// Nobody but the process has the other end after this.
	w.Close()
	in.t.Cleanup(func() { stdout.Close() })
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		ready, ok := strings.CutPrefix(lines.Text(), "ready: ")
		if !ok {
			continue
		}
		for _, port := range strings.Split(ready, ", ") {
			name, addr, _ := strings.Cut(port, " ")
			p.ports[name] = addr
		}
		addr := p.ports["c2s"]
		in.addr.Store(&addr)
		return p
	}
	<-p.ended
	require.FailNow(in.t, "not ready", "%v\n%s", p.err, in.logged())
	return nil
}

// kill ends the process as if it had crashed, and waits for that.
func (p *life) kill() {
	p.cmd.Process.Kill() // SIGKILL; an error says that it has ended already
	<-p.ended
}

// stop asks the process to end, and requires that it does so in good order.
func (in *installation) stop(p *life) {
	in.t.Helper()
	require.NoError(in.t, p.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-p.ended:
	case <-time.After(30 * time.Second):
		require.FailNow(in.t, "the server does not end")
	}
	require.NoError(in.t, p.err)
}

// dial connects to the process that serves now.
func (in *installation) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", *in.addr.Load())
}

// logged returns what the processes have logged.
func (in *installation) logged() string {
	b, err := os.ReadFile(in.log)
	require.NoError(in.t, err)
	return string(bytes.TrimSpace(b))
}

// sound requires that no process has logged what none may.
func (in *installation) sound() {
	in.t.Helper()
	log := in.logged()
	for _, bad := range []string{"DATA RACE", "panic", "storing a session failed", "restoring a session failed"} {
		i := strings.Index(log, bad)
		if i < 0 {
			continue
		}
		require.FailNow(in.t, bad, "%s", log[max(0, i-200):min(len(log), i+6000)])
	}
}
