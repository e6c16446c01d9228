package xmpp

import (
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"stanzakit.dev/xmpp/stream"
)

// logRate bounds the records about what clients can bring about: whoever floods the
// server must not fill its log too. What does not fit is counted.
var logRate = stream.Rate{PerSecond: 20, Burst: 200}

// logLimit applies logRate.
type logLimit struct {
	mu     sync.Mutex
	bucket stream.Bucket
	begun  bool
	left   int // records that were left out since the last one
}

// allow reports whether a record may be written now, and how many were left out
// before it.
func (l *logLimit) allow(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.begun {
		l.bucket, l.begun = stream.NewBucket(logRate, now), true
	}
	if !l.bucket.Allow(now, 1) {
		l.left++
		return 0, false
	}
	leftOut, l.left = l.left, 0
	return leftOut, true
}

func (s *Server) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

// logFailure logs what went wrong with one client, without addresses of the
// network.
func (s *Server) logFailure(what string, err error) {
	leftOut, ok := s.logs.allow(time.Now())
	if !ok {
		return
	}
	attrs := []any{"error", withoutAddresses(err)}
	if leftOut > 0 {
		attrs = append(attrs, "unlogged", leftOut)
	}
	var p *stream.PanicError
	if errors.As(err, &p) {
		s.logger().Error(what, append(attrs, "stack", string(p.Stack))...)
		return
	}
	s.logger().Info(what, attrs...)
}

// withoutAddresses returns the text of err. Errors of sockets name both ends;
// who connects from where is nobody's business but the program's, which can
// look at connections in Trace.
func withoutAddresses(err error) string {
	text := err.Error()
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		text = strings.ReplaceAll(text, op.Error(), op.Op+": "+op.Err.Error())
	}
	return text
}
