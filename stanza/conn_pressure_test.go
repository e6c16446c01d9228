package stanza

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
)

// flood lets presence arrive until the reader takes no more, in a goroutine that
// ends with the session, and returns how many were taken so far.
func flood(f *fake) (taken func() int) {
	n := 0
	go func() {
		el := element(f.t, f.content, `<presence/>`)
		for {
			select {
			case f.in <- el.Clone():
				n++
			case <-f.done:
				return
			}
		}
	}()
	return func() int { synctest.Wait(); return n }
}

// Full without a call, the reader stops; with one, it reads on into the reserve, and the reply is found there.
func TestPressureReserve(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		f.limits.InboundBytes = 10*entryCost + 10*len(`<presence xmlns='jabber:client'/>`)
		c := newConn(f, nil)
		for i := range 10 {
			f.receive(`<presence/>`)
			synctest.Wait()
			require.Equal(t, (i+1)*f.limits.InboundBytes/10, c.queue.used)
		}
		f.receive(`<presence/>`) // the reader holds it and waits
		synctest.Wait()
		c.mu.Lock()
		require.True(t, c.stalled)
		c.mu.Unlock()

		ch := do(t.Context(), c, jid.JID{})
		id := f.takeID() // the call has made the reader go on
		f.receive(`<presence/>`)
		f.receive(`<iq id='%s' type='result'/>`, id)
		_, err := returned(t, ch)
		require.NoError(t, err)

		// The reserve is in use: the reader stops again, until there is room.
		taken := flood(f)
		require.Equal(t, 1, taken())
		n := 0
		for range c.All(t.Context()) {
			if n++; n == 50 {
				break
			}
		}
		require.Zero(t, c.Stats())
		require.GreaterOrEqual(t, taken(), 50-12)
	})
}

// When the reserve is full too, the calls fail; nothing else is lost, and the
// session is as good as before.
func TestPressureOverflow(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		const one = `<presence id='%03d' xml:lang='en'><status>of some size</status></presence>`
		f.limits.InboundBytes = 10 * (entryCost + len(declare(f.content, fmt.Sprintf(one, 0))))
		c := newConn(f, nil)
		first, second := do(t.Context(), c, jid.JID{}), do(t.Context(), c, f.remote)
		synctest.Wait()
		f.take()
		for i := range 15 {
			f.receive(one, i)
			stillPending(t, first)
		}
		f.receive(one, 15)
		_, err := returned(t, first)
		require.ErrorIs(t, err, ErrOverflow)
		_, err = returned(t, second)
		require.ErrorIs(t, err, ErrOverflow)
		require.NoError(t, c.Err())

		// One that begins now cannot be reached either, and says so at once.
		_, err = returned(t, do(t.Context(), c, jid.JID{}))
		require.ErrorIs(t, err, ErrOverflow)
		f.take()

		var got []string
		for st, err := range c.All(t.Context()) {
			require.NoError(t, err)
			if got = append(got, st.Head().ID); len(got) == 16 {
				break
			}
		}
		require.Equal(t, list("%03d", 0, 16), got)
		require.Zero(t, c.queue.used)
		require.Zero(t, c.Stats())
		ch := do(t.Context(), c, jid.JID{})
		f.receive(`<iq id='%s' type='result'/>`, f.takeID())
		_, err = returned(t, ch)
		require.NoError(t, err)
	})
}

// A reader that waits for room ends with its session.
func TestPressureSessionEnds(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		f.limits.InboundBytes = 3 * entryCost
		c := newConn(f, nil)
		taken := flood(f)
		require.Equal(t, 3, taken())
		c.Abort(nil)
		<-c.Done()
		n := 0
		for _, err := range c.All(t.Context()) {
			if err == nil {
				n++
			}
		}
		require.Equal(t, 2, n)
		require.EqualValues(t, 1, c.Stats().Discarded)
		require.EqualValues(t, 2, c.Handled())
	})
}
