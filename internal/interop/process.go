package interop

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	// lifetime bounds a child process, whatever becomes of the test.
	lifetime = 2 * time.Minute
	// grace is how long a child may take to end after SIGTERM before it is killed.
	grace = 5 * time.Second
	// maxLines bounds the output that is kept. What comes later is read and dropped.
	maxLines = 20_000
)

// errEnded: the child ended before it said what was waited for.
var errEnded = errors.New("the process has ended")

// process is a child process whose output is kept, line by line.
type process struct {
	stdin io.WriteCloser
	stop  context.CancelFunc
	done  chan struct{} // closed when the child has ended and its output has been read

	mu    sync.Mutex
	lines []string
	grown chan struct{} // closed and replaced with each new line
	err   error         // how the child ended; valid after done
}

// start runs a program in dir until the test ends. Its output is logged when the test fails.
func start(t testing.TB, dir, program string, args ...string) *process {
	t.Helper()
	return startWith(t, dir, nil, program, args...)
}

// startWith is start with variables, "name=value", in addition to those of the environment.
func startWith(t testing.TB, dir string, variables []string, program string, args ...string) *process {
	t.Helper()
	return startSplit(t, bufio.ScanLines, dir, variables, program, args...)
}

// startSplit is startWith for a program whose output is not in lines: split says what is kept as one.
func startSplit(t testing.TB, split bufio.SplitFunc, dir string, variables []string, program string, args ...string) *process {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), lifetime)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), variables...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	p := &process{stop: stop, done: make(chan struct{}), grown: make(chan struct{})}
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	read := make(chan struct{})
	// Owner: the test. Stops when in is closed, below. Joined through read.
	go func() {
		defer close(read)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		lines.Split(split)
		for lines.Scan() {
			p.add(lines.Text())
		}
		out.CloseWithError(lines.Err()) // a line too long: the child gets an error, not a full pipe
	}()
	// Owner: the test. Stops when the child ends, which stop brings about. Joined through p.done.
	go func() {
		err := cmd.Wait()
		in.Close()
		<-read
		p.mu.Lock()
		p.err = err
		p.mu.Unlock()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.end()
		if t.Failed() {
			t.Logf("output of %s:\n%s", program, strings.Join(p.log(), "\n"))
		}
	})
	return p
}

// end stops the child and waits for it.
func (p *process) end() {
	p.stop()
	<-p.done
}

func (p *process) add(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) < maxLines {
		p.lines = append(p.lines, line)
	}
	close(p.grown)
	p.grown = make(chan struct{})
}

// log returns the output so far.
func (p *process) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// wait returns the first line, from index from on, that match accepts, and the index behind it. It waits until there is one, the child ends, or ctx does.
func (p *process) wait(ctx context.Context, from int, match func(line string) bool) (string, int, error) {
	ended := false
	for {
		p.mu.Lock()
		fresh, grown := p.lines[min(from, len(p.lines)):], p.grown
		for i, line := range fresh {
			if match(line) {
				p.mu.Unlock()
				return line, from + i + 1, nil
			}
		}
		from += len(fresh)
		p.mu.Unlock()
		if ended {
			return "", from, fmt.Errorf("%w: %w", errEnded, p.exit())
		}
		select {
		case <-grown:
		case <-p.done:
			ended = true // look once more at what came last
		case <-ctx.Done():
			return "", from, context.Cause(ctx)
		}
	}
}

// exit returns how the child ended, after done.
func (p *process) exit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}
