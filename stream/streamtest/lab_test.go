package streamtest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream/streamtest"
)

// Run goes through the seeds, and each lab draws numbers of its own.
func TestRun(t *testing.T) {
	var seeds []uint64
	drawn := map[string]bool{}
	streamtest.Run(t, 5, nil, func(t *testing.T, lab *streamtest.Lab) {
		seeds = append(seeds, lab.Seed)
		drawn[fmt.Sprint(lab.IntN(1000), lab.IntN(1000), lab.IntN(1000))] = true
		require.Zero(t, lab.IntN(0))
		client, server := pair(t, lab.Network)
		// What takes a while to end is given the time.
		go func() {
			<-time.After(5 * time.Minute)
			client.Close()
			server.Close()
		}()
	})
	require.Equal(t, []uint64{0, 1, 2, 3, 4}, seeds)
	require.Len(t, drawn, 5)
}

// An experiment may plan by its seed.
func TestSetPlan(t *testing.T) {
	cuts := map[int64]bool{}
	streamtest.Run(t, 20, &wan, func(t *testing.T, lab *streamtest.Lab) {
		after := int64(lab.IntN(500))
		lab.SetPlan(streamtest.OnConn(1, streamtest.Up, streamtest.Fault{Kind: streamtest.End, After: after}))
		client, server := pair(t, lab.Network)
		write(t, client, string(make([]byte, 500)))
		got, err := io.ReadAll(server)
		require.NoError(t, err)
		require.Len(t, got, int(after))
		client.Close()
		server.Close()
		cuts[after] = true
	})
	require.Greater(t, len(cuts), 10)
}

// subjects are experiments that must fail, and why.
var subjects = map[string]struct {
	want string
	run  func(t *testing.T, lab *streamtest.Lab)
}{
	"connection": {"seed 2: left open: client→im.example:5222#1 (client)", func(t *testing.T, lab *streamtest.Lab) { pair(t, lab.Network) }},
	"goroutine": {"goroutines left behind", func(*testing.T, *streamtest.Lab) {
		never := make(chan int)
		go func() { <-never }()
	}},
	"deadlock":  {"[chan receive (durable)", func(*testing.T, *streamtest.Lab) { <-make(chan int) }},
	"assertion": {"not what it should be", func(t *testing.T, _ *streamtest.Lab) { t.Fatal("not what it should be") }},
}

// TestSubject is what TestRunFinds runs in a process of its own; by itself it
// finds nothing wrong.
func TestSubject(t *testing.T) {
	subject := subjects[os.Getenv("STREAMTEST_SUBJECT")]
	streamtest.Run(t, 1, nil, func(t *testing.T, lab *streamtest.Lab) {
		if subject.run != nil {
			subject.run(t, lab)
		}
	})
}

// What an experiment leaves behind is found, told, and told how to find again.
func TestRunFinds(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	for name, subject := range subjects {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, exe, "-test.run=^TestSubject$", "-streamtest.seed=2-3")
			cmd.Env = append(os.Environ(), "STREAMTEST_SUBJECT="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "%s", out)
			require.Contains(t, string(out), subject.want)
			require.Contains(t, string(out), "go test -run '^TestSubject$' -streamtest.seed=2")
			require.Contains(t, string(out), "streamtest: seeds 2 to 3")
			require.Contains(t, string(out), "seed=3", "the next seed had its turn")
		})
	}
}
