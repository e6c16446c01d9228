package interop

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ExampleServer is the program of examples/server, as it is built for everybody. It runs until the test ends.
type ExampleServer struct {
	Addr string // for clients, with STARTTLS
	CA   string // a file with the authority to trust

	process *process
}

// BuildExampleServer builds the program and returns where it is. It calls Missing if there is no Go.
func BuildExampleServer(t testing.TB) string {
	t.Helper()
	compiler, err := exec.LookPath("go")
	if err != nil {
		Missing(t, "Go is not on the PATH: %v", err)
	}
	program := filepath.Join(t.TempDir(), "server")
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, compiler, "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "..", "examples", "server")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// StartExampleServer starts the program and waits until it is ready.
func StartExampleServer(t testing.TB, program string, args ...string) *ExampleServer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	dir := t.TempDir()
	e := &ExampleServer{process: startWith(t, dir, []string{"TMPDIR=" + dir}, program, append([]string{"-c2s", "127.0.0.1:0"}, args...)...)}
	for prefix, value := range map[string]*string{"no -cert: clients have to trust the authority in ": &e.CA, "ready: c2s ": &e.Addr} {
		line, _, err := e.process.wait(ctx, 0, func(line string) bool { return strings.HasPrefix(line, prefix) })
		if err != nil {
			t.Fatalf("waiting for %q: %v", prefix, err)
		}
		*value, _, _ = strings.Cut(strings.TrimPrefix(line, prefix), ",")
	}
	return e
}

// Stop asks the server to end with SIGTERM and waits until it has. The error says that it ended in another way than with status 0.
func (e *ExampleServer) Stop() error {
	e.process.end()
	// A process that was told to stop and ended well is reported as cancelled by os/exec.
	if err := e.process.exit(); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}
