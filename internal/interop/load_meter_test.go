package interop_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"sync/atomic"
)

// meter counts what has come. Any number of goroutines add, one waits.
type meter struct {
	n, target atomic.Int64
	reached   chan struct{}
}

func newMeter() *meter {
	m := &meter{reached: make(chan struct{}, 1)}
	m.target.Store(math.MaxInt64)
	return m
}

func (m *meter) add(n int) {
	if m.n.Add(int64(n)) >= m.target.Load() {
		select {
		case m.reached <- struct{}{}:
		default: // it has been told already
		}
	}
}

// wait waits until the count is n at least.
func (m *meter) wait(ctx context.Context, n int64) error {
	m.target.Store(n) // first, so that no add between here and there is lost
	defer m.target.Store(math.MaxInt64)
	for m.n.Load() < n {
		select {
		case <-m.reached:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d: %w", m.n.Load(), n, context.Cause(ctx))
		}
	}
	return nil
}

var errRefused = errors.New("the server refused something")

// scan reads until the stream ends, which is io.EOF, and tells how often a token has come in each piece that it reads. seen is what has been read
// before. An error stanza is an error: what is counted must all arrive.
func scan(r io.Reader, seen []byte, token string, found func(n int)) error {
	const refused, closing = "<error", "</stream:stream>"
	const keep = 32 // of what has been read, in case that a token is cut in two; longer than any of them
	buf := make([]byte, keep+16<<10)
	held := 0
	r = io.MultiReader(bytes.NewReader(seen), r)
	for {
		n, err := r.Read(buf[held:])
		end := held + n
		// A token that ends in what was kept has been counted.
		if k := bytes.Count(buf[max(0, held-len(token)+1):end], []byte(token)); k > 0 {
			found(k)
		}
		if at := bytes.Index(buf[:end], []byte(refused)); at >= 0 {
			return fmt.Errorf("%w: %.500q", errRefused, buf[at:end])
		}
		if err != nil {
			return err
		}
		if bytes.HasSuffix(buf[:end], []byte(closing)) {
			return io.EOF
		}
		held = copy(buf, buf[max(0, end-keep):end])
	}
}
