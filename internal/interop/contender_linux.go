package interop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// ContenderOptions says what a [Contender] serves.
type ContenderOptions struct {
	// Domain is the one domain.
	Domain string
	// Certificates is a directory with cert.pem and key.pem for Domain.
	Certificates string
	// Ours is the program built from examples/server; only the contender of that name needs it.
	Ours string
	// Accounts are localparts, and Password is what all of them have. Ours is given them at each start; the others keep accounts in files, and
	// somebody has to register them in-band after the first start (see [Contender.Registers]).
	Accounts []string
	Password string
}

// Contender is a server that is measured from outside: a child process that can be stopped and started again over the same data. Unlike
// [Prosody] and [Ejabberd] it takes clients without TLS too, writes hardly any log, and has no bounds on how fast clients may send. It is for
// one goroutine at a time.
type Contender struct {
	// Addr is where it listens for clients, with and without STARTTLS.
	Addr string
	// Registers says that accounts have to be registered in-band, once.
	Registers bool

	dir     string
	command command
	cmd     *exec.Cmd
	ended   chan error // has how the process ended, once
}

// command is how a server is started.
type command struct {
	program string
	args    []string
	env     []string // in addition to the environment
}

// contenders are the servers that there are, by name.
var contenders = map[string]func(o *ContenderOptions, dir string, port int) (command, error){
	"StanzaKit":            oursCommand,
	"Prosody":              prosodyCommand(""),
	"Prosody-generational": prosodyCommand(`gc = { mode = "generational" }`),
	"ejabberd":             ejabberdCommand,
}

// NewContender prepares a server: StanzaKit, Prosody, Prosody-generational or ejabberd. It calls Missing if that is not installed. The server
// is stopped when the test ends at the latest.
func NewContender(t testing.TB, name string, o ContenderOptions) *Contender {
	t.Helper()
	configure, ok := contenders[name]
	if !ok {
		t.Fatalf("there is no contender %q", name)
	}
	c := &Contender{dir: t.TempDir(), Registers: name != "StanzaKit"}
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	c.Addr = fmt.Sprintf("127.0.0.1:%d", ports[0])
	c.command, err = configure(&o, c.dir, ports[0])
	if errors.Is(err, exec.ErrNotFound) {
		Missing(t, "%s is not installed: %v", name, err)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	t.Cleanup(func() {
		c.Stop()
		if log, err := os.ReadFile(c.log()); err == nil && t.Failed() {
			t.Logf("output of %s:\n%s", name, log[max(0, len(log)-4096):])
		}
	})
	return c
}

func (c *Contender) log() string { return filepath.Join(c.dir, "output") }

// Start starts the process and does not wait for anything. It is killed should this process end without [Contender.Stop].
func (c *Contender) Start() error {
	// Go raises its own bound on open files, and hides that from children unless it is said aloud.
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	files.Cur = files.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return err
	}
	out, err := os.OpenFile(c.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.Command(c.command.program, c.command.args...)
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), c.command.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.cmd, c.ended = cmd, make(chan error, 1)
	// Owner: c. Stops when the process ends, which Stop brings about. Joined there.
	go func() { c.ended <- cmd.Wait() }()
	return nil
}

// Ready waits until the server takes connections.
func (c *Contender) Ready(ctx context.Context) error {
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", c.Addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case err := <-c.ended:
			c.ended <- err
			return fmt.Errorf("%w: %w", errEnded, err)
		}
	}
}

// Stop ends the process, if there is one, and waits for it: by SIGTERM, and by force if that does not help.
func (c *Contender) Stop() {
	if c.cmd == nil {
		return
	}
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // fails if it has ended already
	select {
	case <-c.ended:
	case <-time.After(2 * grace):
		_ = c.cmd.Process.Kill() // as above
		<-c.ended
	}
	c.cmd = nil
}

// ticks is USER_HZ, in which Linux tells times to programs: 100 per second on all architectures that Go knows.
const ticks = 100

// CPU returns the processor time that the running server has used so far, in user mode and in the kernel, with that of its children that have
// ended. It is exact to 10 ms.
func (c *Contender) CPU() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseCPU(stat)
}

// parseCPU reads utime, stime, cutime and cstime of proc_pid_stat(5), fields 14 to 17. The second field is a name in parentheses, which may have
// spaces and parentheses itself.
func parseCPU(stat []byte) (time.Duration, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // from the third on
	if len(fields) < 15 {
		return 0, fmt.Errorf("stat has %d fields", len(fields)+2)
	}
	var sum int64
	for _, field := range fields[11:15] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return time.Duration(sum) * (time.Second / ticks), nil
}

// Resident returns the resident memory of the running server in KiB.
func (c *Contender) Resident() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	return parseResident(string(status))
}

// parseResident reads VmRSS of proc_pid_status(5).
func parseResident(status string) (int64, error) {
	for line := range strings.Lines(status) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			value = strings.TrimSuffix(strings.TrimSpace(value), " kB")
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, errors.New("status has no VmRSS")
}
