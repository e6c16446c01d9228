package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/sm"
)

// crashFile is the environment variable that makes this program the one that is
// killed: the file to write to, and the number of the first write.
const crashFile = "STANZAKIT_CRASH_FILE"

func TestMain(m *testing.M) {
	if where := os.Getenv(crashFile); where != "" {
		path, first, _ := strings.Cut(where, "?")
		n, err := strconv.Atoi(first)
		if err == nil {
			err = writeUntilKilled(path, n)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

// crashWriters is how many write at the same time, each for an account of its own.
const crashWriters = 4

// crashOptions are those for a file: it is known by its name whether it is synced.
func crashOptions(path string) *Options {
	return &Options{
		OfflineMessages: 1 << 30, OfflineBytes: 1 << 30, Iterations: sasl.MinIterations,
		NoSync: strings.HasSuffix(path, "nosync.db"),
	}
}

// crashEntry is the message number n of a writer.
func crashEntry(n int) *mam.Entry {
	e := sampleEntry(n)
	e.Message = fmt.Appendf(nil, "<message xmlns='jabber:client'><body>%d %s</body></message>", n, strings.Repeat("x", n%2000))
	return e
}

// writeUntilKilled writes to all stores and says on the standard output what has
// been acknowledged.
func writeUntilKilled(path string, first int) error {
	db, err := Open(path, crashOptions(path))
	if err != nil {
		return err
	}
	errs := make(chan error)
	for w := range crashWriters {
		// Owner: this process, with which it ends.
		go func() {
			for n := first; ; n++ {
				fmt.Fprintf(os.Stdout, "try %d %d\n", w, n)
				if err := crashWrite(db, account(w), n); err != nil {
					errs <- err
					return
				}
				fmt.Fprintf(os.Stdout, "did %d %d\n", w, n)
			}
		}()
	}
	return <-errs
}

// crashWrite writes n to each store, one after the other.
func crashWrite(db *DB, account jid.JID, n int) error {
	ctx := context.Background()
	mark := []byte(strconv.Itoa(n))
	steps := []func() error{
		func() error { return db.Offline().Add(ctx, account, mark) },
		func() error {
			return db.Archive().Append(ctx, account, crashEntry(n), mam.Keep{Messages: 50})
		},
		func() error {
			_, err := db.Rosters().Put(ctx, account, roster.Item{JID: jid.MustParse("c" + strconv.Itoa(n%20) + "@example.net"), Name: string(mark), Added: true})
			return err
		},
		func() error {
			return db.Private().Put(ctx, account, []private.Fragment{
				{Name: sampleNotes.Name, XML: mark}, {Name: sampleCounter, XML: mark},
			}, private.Quota{Elements: 2, Bytes: 100})
		},
		func() error { return db.VCards().Put(ctx, account, mark) },
		func() error { return crashSession(ctx, db, account, n) },
		func() error {
			return db.Blocking().Put(ctx, account, []jid.JID{jid.MustParse(string(mark) + ".example.net")})
		},
		func() error {
			return db.LastSeen().SetLastSeen(ctx, account, presence.LastSeen{At: time.Unix(int64(n+1), 0)})
		},
		func() error {
			return db.Tokens().Update(ctx, auth.TokenClient{Account: account, Agent: "a"}, func(c *auth.ClientTokens) error {
				c.New = auth.StoredToken{Mechanism: "m", Secret: string(mark), Count: uint64(n)}
				return nil
			})
		},
	}
	if n%10 == 0 {
		steps = append(steps, func() error { return db.Accounts().Set(ctx, account, "password "+string(mark)) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// crashSession appends n to a session, of which the peer acknowledges all but five
// stanzas each time.
func crashSession(ctx context.Context, db *DB, account jid.JID, n int) error {
	id := account.String()
	st, err := db.Sessions().Load(ctx, id)
	if errors.Is(err, sm.ErrNoState) {
		st = &sm.State{ID: id, Owner: account}
		err = db.Sessions().Put(ctx, st)
	}
	if err != nil {
		return err
	}
	var j sm.Journal
	j.Sent(fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", n%2000)), sampleTime)
	j.Handled(uint32(n))
	if len(st.Queue) >= 5 {
		j.Acked(st.Acked + 1)
	}
	return db.Sessions().Append(ctx, id, j)
}

var sampleCounter = stream.Name{Space: "storage:counter", Local: "counter"}

// crashRound runs a process that writes, kills it after it has acknowledged some
// writes, and returns which was the last one of each writer that it has begun and
// acknowledged.
func crashRound(t *testing.T, path string, first, acks int) (tried, did [crashWriters]int) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashFile+"="+path+"?"+strconv.Itoa(first))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for w := range crashWriters {
		tried[w], did[w] = first-1, first-1
	}
	lines := bufio.NewReader(out)
	killed := false
	for n := 0; ; n++ {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
			break
		}
		require.NoError(t, err)
		var what string
		var w, number int
		_, err = fmt.Sscanf(line, "%s %d %d", &what, &w, &number)
		require.NoError(t, err, line)
		if what == "try" {
			tried[w] = number
		} else {
			did[w] = number
		}
		if n >= acks && !killed {
			killed = true
			require.NoError(t, cmd.Process.Kill()) // what it has said before is read nevertheless
		}
	}
	require.Error(t, cmd.Wait())
	require.Equal(t, -1, cmd.ProcessState.ExitCode(), "it ended by itself: %s", stderr.String())
	return tried, did
}

// A process is killed while it writes. Whatever it has acknowledged is there
// afterwards, in order, and nothing is there by half.
//
// This shows what a crash of the program does; for one of the machine the disk has
// to keep what it was told to, and the library below to tell it.
func TestCrash(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 20
	}
	crashRounds(t, filepath.Join(t.TempDir(), "xmpp.db"), rounds)
}

// That goes for a file that is not synced too.
func TestCrashNoSync(t *testing.T) {
	crashRounds(t, filepath.Join(t.TempDir(), "nosync.db"), 15)
}

func crashRounds(t *testing.T, path string, rounds int) {
	require.NoError(t, openAt(t, path, crashOptions(path)).Close())
	next := 0
	stored := [crashWriters][]string{}
	for round := range rounds {
		tried, did := crashRound(t, path, next, 2*crashWriters+rand.IntN(120))
		db := openAt(t, path, crashOptions(path))
		require.NoError(t, verify(db), "round %d", round)
		for w := range crashWriters {
			stored[w] = crashCheck(t, db, account(w), stored[w], next, tried[w], did[w])
		}
		require.NoError(t, db.Close())
		next = slices.Max(tried[:]) + 1
	}
	require.Greater(t, next, rounds, "nothing was written")
}

// crashCheck compares what an account has with what was acknowledged: n from first
// to did, and perhaps some of what was tried after that. It returns all messages
// that there are.
func crashCheck(t *testing.T, db *DB, account jid.JID, before []string, first, tried, did int) []string {
	t.Helper()
	ctx := t.Context()
	require.LessOrEqual(t, tried, did+1)
	// may reports whether n can be the last one of a store.
	may := func(n int) bool { return n == did || n == tried || did < first && n < first }

	messages, err := db.Offline().Messages(ctx, account, 1<<30)
	require.NoError(t, err)
	var got []string
	for _, m := range messages {
		got = append(got, string(m.Stanza))
	}
	want := slices.Clone(before)
	for n := first; n <= did; n++ {
		want = append(want, strconv.Itoa(n))
	}
	if len(got) > len(want) {
		want = append(want, strconv.Itoa(tried))
	}
	require.Equal(t, want, got)

	page, err := db.Archive().Query(ctx, account, &mam.Selection{Max: 100})
	require.NoError(t, err)
	last, archived := -1, make(map[int]bool)
	for _, e := range page.Entries {
		n, err := strconv.Atoi(strings.TrimPrefix(e.ID, "id-"))
		require.NoError(t, err)
		require.Equal(t, crashEntry(n).Message, e.Message)
		require.Greater(t, n, last)
		last, archived[n] = n, true
	}
	for n := max(first, did-48); n <= did; n++ {
		require.True(t, archived[n], "entry %d", n)
	}
	require.True(t, may(last), "%d is the last entry, after %d", last, did)

	if did >= first {
		number := func(b []byte, err error) int {
			require.NoError(t, err)
			n, err := strconv.Atoi(string(b))
			require.NoError(t, err)
			return n
		}
		notes := number(db.Private().Get(ctx, account, sampleNotes.Name))
		require.True(t, may(notes))
		require.Equal(t, notes, number(db.Private().Get(ctx, account, sampleCounter)), "half of what was put")
		require.True(t, may(number(db.VCards().Get(ctx, account))))
		st, err := db.Sessions().Load(ctx, account.String())
		require.NoError(t, err)
		require.True(t, may(int(st.In)))
		n, _, _ := strings.Cut(string(st.Queue[len(st.Queue)-1].XML), " ")
		require.Equal(t, strconv.Itoa(int(st.In)), n, "half of what was appended")
		seen, err := db.LastSeen().LastSeen(ctx, account)
		require.NoError(t, err)
		require.True(t, may(int(seen.At.Unix())-1))
		token := tokensOf(t, db, auth.TokenClient{Account: account, Agent: "a"}).New
		require.True(t, may(int(token.Count)) || token == auth.StoredToken{}, "%d", token.Count) // none after a new password
		r, err := db.Rosters().Roster(ctx, account)
		require.NoError(t, err)
		names := make(map[string]bool)
		for _, i := range r.Items {
			names[i.Name] = true
		}
		for n := max(first, did-18); n <= did; n++ {
			require.True(t, names[strconv.Itoa(n)], "contact of write %d", n)
		}
		require.NoError(t, db.Blocking().All(ctx, func(of jid.JID, blocked []jid.JID) error {
			if of == account {
				require.Len(t, blocked, 1)
				n, err := strconv.Atoi(strings.TrimSuffix(blocked[0].String(), ".example.net"))
				require.NoError(t, err)
				require.True(t, may(n))
			}
			return nil
		}))
	}
	return got
}
