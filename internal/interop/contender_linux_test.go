package interop

import (
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What Linux tells about a process is read from the right columns.
func TestContenderAccounting(t *testing.T) {
	stat := "4711 (beam (smp) x) S 1 4711 4711 0 -1 4194304 100 200 0 0 250 50 20 5 20 0 9 0 123 456 789"
	cpu, err := parseCPU([]byte(stat))
	require.NoError(t, err)
	require.Equal(t, 3250*time.Millisecond, cpu)
	for _, bad := range []string{"", "1 (x) S 1 2", "4711 (x) S 1 4711 4711 0 -1 4194304 100 200 0 0 a 50 20 5 20"} {
		_, err := parseCPU([]byte(bad))
		require.Error(t, err, bad)
	}
	kib, err := parseResident("Name:\tx\nVmHWM:\t   9000 kB\nVmRSS:\t    8192 kB\nRssAnon:\t 1 kB\n")
	require.NoError(t, err)
	require.EqualValues(t, 8192, kib)
	_, err = parseResident("Name:\tx\n")
	require.Error(t, err)

	// Of a child that is there.
	program, err := exec.LookPath("sh")
	require.NoError(t, err)
	c := &Contender{dir: t.TempDir(), command: command{program: program, args: []string{
		"-c", `i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; exec sleep 60`,
	}}}
	require.NoError(t, c.Start())
	t.Cleanup(c.Stop)
	tired := time.After(30 * time.Second)
	for cpu = 0; cpu == 0; {
		select {
		case <-time.After(time.Millisecond):
		case <-tired:
			require.FailNow(t, "the child uses no processor time")
		}
		cpu, err = c.CPU()
		require.NoError(t, err)
	}
	kib, err = c.Resident()
	require.NoError(t, err)
	require.Positive(t, kib)
	c.Stop()
	c.Stop() // of nothing
}
