//go:build unix

package interop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ProfanityOptions says how a client logs in.
type ProfanityOptions struct {
	JID      string // the account, with a resource
	Password string
	Addr     net.Addr
	CA       string // a file with the authority to trust
}

// Profanity is a client for a terminal, which runs in one until the test ends. It is driven by what is typed; what it shows and what it logs can be
// waited for. It is for one goroutine at a time.
type Profanity struct {
	process *process
	next    int // the line to look at next
}

// profanityAccount and profanityConfig are its settings. Its log of level DEBUG has all stanzas.
const (
	profanityAccount = `[interop]
jid=%[1]s
resource=%[2]s
server=%[3]s
port=%[4]s
tls.policy=force
password=%[5]s
enabled=true
`
	profanityConfig = `[connection]
carbons=true
mam=true
[logging]
chlog=true
[ui]
splash=false
`
)

// logged is in front of the lines of the log, where they are among the output.
const logged = "log: "

// StartProfanity starts a client that logs in. It calls Missing if there is none.
func StartProfanity(t testing.TB, o ProfanityOptions) *Profanity {
	t.Helper()
	if _, err := exec.LookPath("profanity"); err != nil {
		Missing(t, "profanity is not installed: %v", err)
	}
	terminal, err := exec.LookPath("script") // of util-linux: it runs a program in a terminal of its own
	if err != nil {
		Missing(t, "script is not installed: %v", err)
	}
	dir := t.TempDir()
	account, resource, _ := strings.Cut(o.JID, "/")
	host, port, err := net.SplitHostPort(o.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	for file, text := range map[string]string{
		"data/profanity/accounts": fmt.Sprintf(profanityAccount, account, resource, host, port, o.Password),
		"config/profanity/profrc": profanityConfig,
	} {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The log goes to a pipe with a name, so that nobody has to look whether a file has grown.
	pipe := filepath.Join(dir, "log")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := os.OpenFile(pipe, os.O_RDWR, 0) // with a writer, it does not end when the client does
	if err != nil {
		t.Fatal(err)
	}
	p := &Profanity{process: startSplit(t, scanTerminal, dir, []string{
		"HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, "config"), "XDG_DATA_HOME=" + filepath.Join(dir, "data"),
		"XDG_CACHE_HOME=" + filepath.Join(dir, "cache"), "SSL_CERT_FILE=" + o.CA, "TERM=xterm", "LC_ALL=C.UTF-8",
	}, terminal, "-qfc", "stty cols 200 rows 60 && exec profanity -l DEBUG -f log -a interop", "/dev/null")}
	read := make(chan struct{})
	// Owner: the test. Stops when log is closed, below. Joined through read.
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			p.process.add(logged + lines.Text())
		}
	}()
	t.Cleanup(func() {
		p.process.end()
		log.Close()
		<-read
	})
	return p
}

// scanTerminal is a bufio.SplitFunc: the text between control characters and control sequences (ECMA-48 §5.4). Where what is there may be the
// beginning of more, it asks for that.
func scanTerminal(data []byte, atEOF bool) (advance int, token []byte, err error) {
	for n := 0; n < len(data); {
		rest := data[n:]
		if rest[0] >= ' ' {
			end := bytes.IndexFunc(rest, func(r rune) bool { return r < ' ' })
			switch {
			case end > 0:
				return n + end, rest[:end], nil
			case atEOF:
				return len(data), rest, nil
			}
			return n, nil, nil
		}
		skip := control(rest)
		if skip == 0 { // incomplete
			return n, nil, nil
		}
		n += skip
	}
	return len(data), nil, nil
}

// control returns the length of the control character or sequence that data begins with; zero if more of it has to come.
func control(data []byte) int {
	switch {
	case data[0] != '\x1b':
		return 1
	case len(data) == 1:
		return 0
	case data[1] == '[': // parameters, and a final byte
		end := bytes.IndexFunc(data[2:], func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			return 0
		}
		return 2 + end + 1
	case data[1] >= ' ' && data[1] <= '/': // one that chooses a set of characters
		if len(data) == 2 {
			return 0
		}
		return 3
	}
	return 2
}

// Type types a line.
func (p *Profanity) Type(line string) error {
	_, err := p.process.stdin.Write([]byte(line + "\r"))
	return err
}

// Shows waits until the terminal shows a text, which must not be broken by control sequences: profanity wraps at spaces.
func (p *Profanity) Shows(ctx context.Context, text string) error {
	return p.wait(ctx, fmt.Sprintf("%q on the screen", text), func(line string) bool {
		return !strings.HasPrefix(line, logged) && strings.Contains(line, text)
	})
}

// Logs waits until a line of the log has all the texts.
func (p *Profanity) Logs(ctx context.Context, texts ...string) error {
	return p.wait(ctx, fmt.Sprintf("%q in the log", texts), func(line string) bool {
		return strings.HasPrefix(line, logged) && containsAll(line, texts)
	})
}

// wait waits for what comes after what was waited for last; whatever else has come until then, on the screen or in the log, is passed over.
func (p *Profanity) wait(ctx context.Context, what string, match func(string) bool) error {
	_, next, err := p.process.wait(ctx, p.next, match)
	if err != nil {
		return fmt.Errorf("waiting for %s of profanity: %w", what, err)
	}
	p.next = next
	return nil
}

// Ended waits until it has ended by itself.
func (p *Profanity) Ended(ctx context.Context) error {
	select {
	case <-p.process.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
