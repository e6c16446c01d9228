package xmpp

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Whoever makes something fail a thousand times gets a few hundred records, and what
// was left out is counted in the next one.
func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		s := &Server{Logger: slog.New(slog.NewTextHandler(&log, nil))}
		for range 1000 {
			s.logFailure("storing a message failed", errors.New("full"))
		}
		require.Equal(t, 200, strings.Count(log.String(), "\n"))
		<-time.After(time.Second)
		log.Reset()
		s.logFailure("storing a message failed", errors.New("full"))
		require.Contains(t, log.String(), "unlogged=800")
	})
}
