package interop

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
)

// dialogue is a client in a child process that a test talks with in lines of JSON, for one goroutine at a time.
type dialogue struct {
	name    string // of the client, for errors
	process *process
	next    int // the line to read next
}

// say writes a line.
func (d *dialogue) say(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	if _, err = d.process.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("%s: %w", d.name, err)
	}
	return nil
}

// hear reads the next line that holds a JSON object into v. The other lines are the log of the client.
func (d *dialogue) hear(ctx context.Context, v any) error {
	line, next, err := d.process.wait(ctx, d.next, func(line string) bool { return strings.HasPrefix(line, "{") })
	d.next = next
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", d.name, err)
	}
	if err := json.Unmarshal([]byte(line), v); err != nil {
		return fmt.Errorf("%s: %q: %w", d.name, line, err)
	}
	return nil
}

// Send tells the client to send a chat message.
func (d *dialogue) Send(to, body string) error {
	return d.say(map[string]string{"to": to, "body": body})
}

// Close tells the client to end its session; a disconnected event follows.
func (d *dialogue) Close() error { return d.process.stdin.Close() }
