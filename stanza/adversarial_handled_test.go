package stanza

import (
	"context"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// What is to be acknowledged stops before a stanza that is being handled, and not
// at one whose handler has panicked (XEP-0198 §4).
func adversarialM17(t *testing.T) {
	sides(t, func(t *testing.T, f *fake) {
		c := newConn(f, &Options{Router: true, Report: func(context.Context, Stanza, error) {}})
		release := make(chan struct{})
		var started ids
		go c.Serve(t.Context(), HandlerFunc(func(_ context.Context, _ Sender, st Stanza) error { // ends with the session
			started.add(st)
			switch st.Head().ID {
			case "panics":
				panic("boom")
			case "blocks":
				<-release
			}
			return nil
		}))
		for i, id := range []string{"1", "panics", "blocks", "2", "3"} {
			f.receive(`<message id='%s' from='u%d@capulet.lit'/>`, id, i)
		}
		f.receive(`<iq id='late' type='result'/>`)
		synctest.Wait()
		require.EqualValues(t, 2, c.Handled())
		close(release)
		synctest.Wait()
		require.EqualValues(t, 6, c.Handled())
	})
}
