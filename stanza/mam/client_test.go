package mam_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stanza/rsm"
)

func TestAdversarial(t *testing.T) {
	t.Run("R04", adversarialR04)
}

// R04 (XEP-0313 §8.2): results with an unknown queryid or from another archive are
// ignored, before, during and after a query.
func adversarialR04(t *testing.T) {
	for _, tt := range []struct {
		archive jid.JID
		good    []string // senders that may answer
		bad     []string
	}{
		{jid.JID{}, []string{"", "juliet@capulet.lit"},
			[]string{"romeo@montague.lit", "juliet@capulet.lit/balcony", "juliet@capulet.lit/chamber", "capulet.lit", "juliet@capulet.lit.evil.lit"}},
		{juliet, []string{"", "juliet@capulet.lit"}, []string{"romeo@montague.lit", "capulet.lit"}},
		{jid.MustParse("coven@chat.shakespeare.lit"), []string{"coven@chat.shakespeare.lit"},
			[]string{"", "juliet@capulet.lit", "coven@chat.shakespeare.lit/firstwitch", "chat.shakespeare.lit"}},
	} {
		for _, good := range tt.good {
			c := &mam.Client{}
			var open string
			s := &script{client: c, answer: func(q *mam.Query) ([]string, string, error) {
				open = q.ID
				var messages []string
				for i, from := range tt.bad {
					messages = append(messages, result(from, q.ID, fmt.Sprintf("evil%d", i)), result(from, q.ID, "1"))
				}
				messages = append(messages,
					result(good, "unknown", "evil"), result(good, "", "evil"),
					strings.Replace(result(good, q.ID, "evil"), " queryid='"+q.ID+"'", "", 1),
					strings.Replace(result(good, q.ID, "evil"), " id='evil'", "", 1),
					strings.Replace(result(good, q.ID, strings.Repeat("x", 1025)), "<delay", "<x", 1),
					strings.Replace(result(good, q.ID, "evil"), "<message ", "<message type='error' ", 1),
					result(good, q.ID, "1"), result(good, q.ID, "1"), result(good, q.ID, "2"))
				return messages, fin("true", "1", "2"), nil
			}}
			require.True(t, take(c, result(good, "f27", "evil")), "nothing is open")
			results, _, err := c.Ask(t.Context(), s, tt.archive, nil)
			require.NoError(t, err)
			require.Equal(t, []string{"1", "2"}, ids(results))
			require.Equal(t, orchard, results[0].Message.From)
			require.True(t, take(c, result(good, open, "3")), "the query is over")
			require.Len(t, results, 2)
			require.GreaterOrEqual(t, len(open), 16, "hard to guess")
		}
	}
}

// Two queries at a time, of different archives and of the same one.
func TestQueriesApart(t *testing.T) {
	c := &mam.Client{}
	inner := &script{client: c, answer: func(q *mam.Query) ([]string, string, error) {
		return []string{result("", q.ID, "b")}, fin("true", "b", "b"), nil
	}}
	outer := &script{client: c}
	outer.answer = func(q *mam.Query) ([]string, string, error) {
		results, _, err := c.Ask(t.Context(), inner, jid.JID{}, &mam.Query{})
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, ids(results))
		return []string{result("", q.ID, "a")}, fin("true", "a", "a"), nil
	}
	results, _, err := c.Ask(t.Context(), outer, jid.JID{}, &mam.Query{})
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, ids(results))
}

// Other messages are not for the Client.
func TestTake(t *testing.T) {
	c := &mam.Client{}
	require.False(t, take(c, "<message><body>x</body></message>"))
	require.False(t, take(c, "<message><result xmlns='urn:other' queryid='1'/></message>"))
	require.True(t, take(c, "<message><result xmlns='urn:xmpp:mam:2'/></message>"))
	require.True(t, take(c, "<message type='error'><result xmlns='urn:xmpp:mam:2' queryid='1'/><error type='cancel'/></message>"))
}

// The reply may overtake the results, which wait for the consumer.
func TestLateResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &mam.Client{}
		s := &script{client: c, answer: func(q *mam.Query) ([]string, string, error) {
			return []string{result("", q.ID, "1"), result("", q.ID, "2"), result("", q.ID, "3")}, fin("true", "1", "3"), nil
		}}
		s.late = func(messages []string) {
			// Owner: this test. Stops after the messages. Joined by the bubble.
			go func() {
				for _, xml := range messages {
					<-time.After(time.Second)
					take(c, xml)
				}
			}()
		}
		results, f, err := c.Ask(t.Context(), s, jid.JID{}, &mam.Query{})
		require.NoError(t, err)
		require.Equal(t, []string{"1", "2", "3"}, ids(results))
		require.True(t, f.Complete)

		// They are waited for, but not for ever.
		s.late = func([]string) {}
		start := time.Now()
		_, _, err = c.Ask(t.Context(), s, jid.JID{}, &mam.Query{})
		require.ErrorIs(t, err, mam.ErrMissing)
		require.Equal(t, 30*time.Second, time.Since(start))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err = c.Ask(ctx, s, jid.JID{}, &mam.Query{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// What an archive may not say.
func TestSenselessAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			n    int
			fin  string
			want error
		}{
			"more than asked for":           {4, fin("true", "0", "3"), mam.ErrAnswer},
			"results that do not exist":     {1, fin("true", "", ""), mam.ErrAnswer},
			"too many that do not exist":    {4, fin("true", "", ""), mam.ErrAnswer},
			"the last one missing":          {2, fin("true", "0", "2"), mam.ErrMissing},
			"no page":                       {1, "<fin xmlns='urn:xmpp:mam:2'/>", mam.ErrAnswer},
			"first without last":            {1, "<fin xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><first>0</first></set></fin>", mam.ErrAnswer},
			"something else":                {1, "<x xmlns='urn:other'/>", mam.ErrAnswer},
			"a page without an end is fine": {3, fin("false", "0", "2"), nil},
		} {
			c := &mam.Client{}
			s := &script{client: c, answer: func(q *mam.Query) (messages []string, _ string, _ error) {
				for i := range tt.n {
					messages = append(messages, result("", q.ID, fmt.Sprint(i)))
				}
				return messages, tt.fin, nil
			}}
			_, _, err := c.Ask(t.Context(), s, jid.JID{}, &mam.Query{Page: rsm.Forward(3, "")})
			if tt.want == nil {
				require.NoError(t, err, name)
				continue
			}
			require.ErrorIs(t, err, tt.want, name)
		}
	})
}

// A message that cannot be read is not lost silently, and hides no other.
func TestUnreadableResult(t *testing.T) {
	c := &mam.Client{}
	s := &script{client: c, answer: func(q *mam.Query) ([]string, string, error) {
		bad := strings.Replace(result("", q.ID, "2"), "from='romeo@montague.lit/orchard'", "from='@'", 1)
		return []string{result("", q.ID, "1"), bad}, fin("true", "1", "2"), nil
	}}
	results, _, err := c.Ask(t.Context(), s, jid.JID{}, &mam.Query{})
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2"}, ids(results))
	require.NoError(t, results[0].Err)
	require.ErrorIs(t, results[1].Err, stanza.JIDMalformed)
	require.Nil(t, results[1].Message)
}

// An archive that does not know flipped pages gives the same order.
func TestFlipUnknown(t *testing.T) {
	c := &mam.Client{}
	s := &script{client: c, answer: func(q *mam.Query) ([]string, string, error) {
		return []string{result("", q.ID, "1"), result("", q.ID, "2")}, fin("true", "1", "2"), nil
	}}
	results, _, err := c.Ask(t.Context(), s, jid.JID{}, &mam.Query{Flip: true})
	require.NoError(t, err)
	require.Equal(t, []string{"2", "1"}, ids(results))
}

// A client that asks for pages, through real streams, with both ways to consume.
func TestQueryOverStreams(t *testing.T) {
	const n = 20
	consumers := map[string]func(t *testing.T, l link, c *mam.Client) (stop func()){
		"Serve": func(t *testing.T, l link, c *mam.Client) func() {
			mux := new(stanza.Mux)
			require.NoError(t, stanza.Install(mux, c))
			return consume(t, l, func(ctx context.Context) error { return l.Serve(ctx, mux) })
		},
		"All": func(t *testing.T, l link, c *mam.Client) func() {
			return consume(t, l, func(ctx context.Context) error {
				for st, err := range l.All(ctx) {
					if err != nil {
						return err
					}
					if msg, ok := st.(*stanza.Message); ok && !c.Take(msg) {
						t.Errorf("a message that is no result")
					}
				}
				return nil
			})
		},
	}
	for name, start := range consumers {
		t.Run(name, func(t *testing.T) {
			l, c := newLink(t, n), new(mam.Client)
			defer start(t, l, c)()
			var want []string
			for _, e := range l.server.archive(juliet) {
				want = append(want, e.ID)
			}
			for _, archive := range []jid.JID{{}, juliet} {
				require.Equal(t, want, collect(t, c.Query(t.Context(), l, archive, nil)))
				require.Equal(t, reversed(want), collect(t, c.Query(t.Context(), l, archive, &mam.Search{Newest: true, Page: 3})))
				require.Equal(t, want, collect(t, c.SyncSince(t.Context(), l, archive, "")))
				require.Equal(t, want[5:], collect(t, c.SyncSince(t.Context(), l, archive, want[4])))
				require.Empty(t, collect(t, c.SyncSince(t.Context(), l, archive, want[n-1])))
				require.Equal(t, want[3:9], collect(t, c.Query(t.Context(), l, archive, &mam.Search{
					Filter: mam.Filter{With: romeo, AfterID: want[2], BeforeID: want[9]}, Page: 2,
				})))
			}
			for r, err := range c.SyncSince(t.Context(), l, juliet, "unknown") {
				require.Nil(t, r)
				require.ErrorIs(t, err, stanza.ItemNotFound)
			}
			for r, err := range c.Query(t.Context(), l, juliet, nil) {
				require.NoError(t, err)
				require.Equal(t, want[0], r.ID)
				break
			}
			md, err := mam.GetMetadata(t.Context(), l, juliet)
			require.NoError(t, err)
			require.Equal(t, want[0], md.Start.ID)
			require.Equal(t, want[n-1], md.End.ID)
			p, err := mam.SetPrefs(t.Context(), l, &mam.Prefs{Default: mam.ArchiveNever, Never: []jid.JID{romeo}})
			require.NoError(t, err)
			require.Equal(t, &mam.Prefs{Default: mam.ArchiveNever, Never: []jid.JID{romeo}}, p)
			p, err = mam.GetPrefs(t.Context(), l)
			require.NoError(t, err)
			require.Equal(t, mam.ArchiveNever, p.Default)
			_, err = mam.SetPrefs(t.Context(), l, &mam.Prefs{Default: mam.ArchiveRoster})
			require.ErrorIs(t, err, stanza.FeatureNotImplemented)
			_, err = mam.SetPrefs(t.Context(), l, nil)
			require.Error(t, err)
		})
	}
}

// consume runs a consumer until the function that it returns is called.
func consume(t *testing.T, _ link, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	// Owner: the test. Stops through cancel. Joined through ended.
	go func() { ended <- run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("consumer: %v", err)
		}
	}
}

// collect returns the ids of all results.
func collect(t *testing.T, results func(func(*mam.Result, error) bool)) (out []string) {
	t.Helper()
	for r, err := range results {
		require.NoError(t, err)
		require.Equal(t, orchard, r.Message.From)
		out = append(out, r.ID)
	}
	return out
}

// A server that turns in circles is left.
func TestPagesLeadNowhere(t *testing.T) {
	c := &mam.Client{}
	for name, answer := range map[string]func(q *mam.Query) ([]string, string, error){
		"the same page again": func(q *mam.Query) ([]string, string, error) {
			return []string{result("", q.ID, "1")}, fin("false", "1", "1"), nil
		},
		"an empty page": func(*mam.Query) ([]string, string, error) { return nil, fin("false", "", ""), nil },
	} {
		s := &script{client: c, answer: answer}
		var last error
		for _, err := range c.Query(t.Context(), s, jid.JID{}, nil) {
			require.NoError(t, last, "nothing comes after an error")
			last = err
		}
		require.ErrorIs(t, last, mam.ErrAnswer, name)
		require.LessOrEqual(t, len(s.asked), 2, name)
	}
}

// The requests of a client.
func TestRequests(t *testing.T) {
	c := &mam.Client{Wait: time.Millisecond}
	s := &script{client: c, answer: func(q *mam.Query) ([]string, string, error) {
		if q.Page.After == "" {
			return []string{result("", q.ID, "1")}, fin("false", "1", "1"), nil
		}
		return nil, fin("true", "", ""), nil
	}}
	yes := true
	search := &mam.Search{Filter: mam.Filter{With: romeo}, Groupchat: &yes, Page: 5000}
	seq := c.Query(t.Context(), s, jid.JID{}, search)
	for range 2 { // a sequence can be used again
		s.asked = nil
		require.Equal(t, []string{"1"}, collect(t, seq))
		require.Len(t, s.asked, 2)
		require.Equal(t, mam.MaxPage, *s.asked[0].Page.Max)
		require.Equal(t, "1", s.asked[1].Page.After)
		require.Equal(t, romeo, s.asked[1].With)
		require.True(t, *s.asked[0].Groupchat)
		require.NotEqual(t, s.asked[0].ID, s.asked[1].ID)
	}
	s.asked = nil
	_, _, err := c.Ask(t.Context(), s, romeo, &mam.Query{ID: "mine"})
	require.Error(t, err) // the results do not come from romeo
	require.NotEqual(t, "mine", s.asked[0].ID)
	require.Equal(t, mam.DefaultPage, *s.asked[0].Page.Max)
	require.True(t, slices.Contains(s.to, romeo))
}

// reply is a Doer that always gets the same one.
type reply struct{ iq *stanza.IQ }

func (reply) LocalAddr() jid.JID                                   { return balcony }
func (r reply) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) { return r.iq, nil }

// Replies that do not fit the question.
func TestWrongReplies(t *testing.T) {
	for _, r := range []reply{{&stanza.IQ{Type: stanza.ResultIQ}}, {&stanza.IQ{Type: stanza.ResultIQ, Payload: element(t, "<x xmlns='urn:other'/>")}}} {
		_, err := mam.GetMetadata(t.Context(), r, juliet)
		require.ErrorIs(t, err, mam.ErrAnswer)
		_, err = mam.GetPrefs(t.Context(), r)
		require.ErrorIs(t, err, mam.ErrAnswer)
		_, err = mam.SetPrefs(t.Context(), r, &mam.Prefs{Default: mam.ArchiveNever})
		require.ErrorIs(t, err, mam.ErrAnswer)
		_, _, err = new(mam.Client).Ask(t.Context(), r, juliet, nil)
		require.ErrorIs(t, err, mam.ErrAnswer)
	}
}
