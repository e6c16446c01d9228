package sm_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/sm"
)

// The rows of the list of attacks that need streams.
func TestAdversarial(t *testing.T) {
	for _, row := range []struct {
		id  string
		run func(t *testing.T)
	}{
		{"M01", adversarialM01},
		{"M02", adversarialM02},
		{"M04", adversarialM04},
		{"M05", adversarialM05},
		{"M06", adversarialM06},
		{"M07", adversarialM07},
		{"M08", adversarialM08},
		{"M09", adversarialM09},
		{"M10", adversarialM10},
		{"M13", adversarialM13},
		{"M14", adversarialM14},
		{"M16", adversarialM16},
		{"M17", adversarialM17},
		{"M20", adversarialM20},
		{"M22", adversarialM22},
	} {
		t.Run(row.id, row.run)
	}
}

// bubble runs a test in a bubble.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

func answer(h int) string { return fmt.Sprintf(`<a xmlns='urn:xmpp:sm:3' h='%d'/>`, h) }

// M01 (XEP-0198 §4, note): the sender counts from the moment at which it says
// <enable/> or <enabled/>, the receiver from the moment at which it hears it.
func adversarialM01(t *testing.T) {
	bubble(t, "client", func(t *testing.T) {
		c := newClient(t, nil)
		p, party := rawServer(t, c, nil)
		require.Contains(t, p.bound(p.admit()), `<enable xmlns='urn:xmpp:sm:3' resume='true'/>`)
		first, err := party.session.SendReceipt(t.Context(), message(1))
		require.NoError(t, err)
		require.NoError(t, party.session.Send(t.Context(), message(2)))
		require.Contains(t, p.say(`<message id='before'/>`), `id='m2'`)
		heard := p.say(`<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/><message id='behind'/>` + request + answer(2))
		require.Equal(t, answer(1), heard)
		require.Equal(t, stream.Acked, first.State())
		sent, acked, handled := c.Link().Counts()
		require.Equal(t, []uint32{2, 2, 1}, []uint32{sent, acked, handled})
		require.Equal(t, []string{"before", "behind"}, party.log.all())
		p.conn.Close()
		<-party.served
		require.True(t, c.Resumable())
		c.GiveUp(nil)
	})
	bubble(t, "server", func(t *testing.T) {
		p, party := rawClient(t, sm.NewServer(nil), nil)
		p.login()
		p.say(bindRequest)
		require.NoError(t, party.session.Send(t.Context(), message(0)))
		heard := p.say(message0("before") + enable + message0("m1") + message0("m2") + request)
		require.Contains(t, heard, `<enabled xmlns='urn:xmpp:sm:3' id='`)
		require.Contains(t, heard, answer(2))
		require.NoError(t, party.session.Send(t.Context(), message(1)))
		require.NotContains(t, p.say(answer(1)), "error", "the one before was not counted")
		sent, acked, handled := sm.Of(party.session).Counts()
		require.Equal(t, []uint32{1, 1, 2}, []uint32{sent, acked, handled})
		p.say(`</stream:stream>`)
		require.NoError(t, <-party.served)
	})
}

func message0(id string) string { return `<message id='` + id + `'/>` }

// M02: what is no stanza is not counted and not kept, on either side.
func adversarialM02(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, party := rawClient(t, sm.NewServer(nil), nil)
		p.login()
		p.say(bindRequest)
		p.say(enable)
		for range 5 {
			p.say(" \n" + request + answer(0) + "\t")
		}
		heard := p.say("  " + request + message0("m1") + "\n" + request + answer(0) + " ")
		require.Contains(t, heard, answer(1))
		require.NotContains(t, heard, answer(2))
		require.NoError(t, party.session.Send(t.Context(), text(`<other xmlns='urn:example:nonza'/>`)))
		l := sm.Of(party.session)
		sent, acked, handled := l.Counts()
		require.Equal(t, []uint32{0, 0, 1}, []uint32{sent, acked, handled})
		p.conn.Close()
		<-party.served
		l.GiveUp(nil)
	})
}

// M04: an h that is too high, lower than the last one, or no number, on a session
// (XEP-0198 §6, Example 17).
func adversarialM04(t *testing.T) {
	begin := func(t *testing.T) (*peer, *party) {
		p, party := rawClient(t, sm.NewServer(nil), nil)
		p.login()
		p.say(bindRequest)
		p.say(enable)
		for i := range 3 {
			require.NoError(t, party.session.Send(t.Context(), message(i)))
		}
		require.NotContains(t, p.say(answer(2)), "error")
		return p, party
	}
	for _, h := range []string{"4", "1", "0", "4294967295"} {
		bubble(t, "h "+h, func(t *testing.T) {
			p, party := begin(t)
			l := sm.Of(party.session)
			heard := p.say(`<a xmlns='urn:xmpp:sm:3' h='` + h + `'/>`)
			require.Contains(t, heard, `<undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>`)
			require.Contains(t, heard, `<handled-count-too-high xmlns='urn:xmpp:sm:3' h='`+h+`' send-count='3'/>`)
			require.True(t, strings.HasSuffix(heard, `</stream:stream>`))
			p.conn.Close()
			var e *sm.HandledCountError
			require.ErrorAs(t, <-party.served, &e)
			require.EqualValues(t, 3, e.Sent)
			<-l.Done()
			require.Error(t, l.Err(), "it cannot be resumed")
		})
	}
	bubble(t, "equal", func(t *testing.T) {
		p, party := begin(t)
		for range 3 {
			require.NotContains(t, p.say(answer(2)), "error")
		}
		_, acked, _ := sm.Of(party.session).Counts()
		require.EqualValues(t, 2, acked)
		p.say(answer(3) + `</stream:stream>`)
		require.NoError(t, <-party.served)
	})
	for _, attr := range []string{"", "h=''", "h='-1'", "h='0x10'", "h='1e3'", "h='4294967296'"} {
		bubble(t, attr, func(t *testing.T) {
			p, party := begin(t)
			require.Contains(t, p.say(`<a xmlns='urn:xmpp:sm:3' `+attr+`/>`), `<bad-format `)
			p.conn.Close()
			require.ErrorAs(t, <-party.served, new(*sm.MalformedError))
		})
	}
}

// M05 (XEP-0198 §5): exactly what was not handled is sent again, in its order,
// and before anything that others send meanwhile, however many they are.
func adversarialM05(t *testing.T) {
	const k, senders = 20, 50
	for j := range k + 1 {
		synctest.Test(t, func(t *testing.T) {
			c := newClient(t, nil)
			p, party := rawServer(t, c, nil)
			p.bound(p.admit())
			p.say(`<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>`)
			for i := range k {
				require.NoError(t, party.session.Send(t.Context(), message(i)))
			}
			if j > 3 {
				p.say(answer(j - 3))
			}
			p.heard()
			old := party.session
			p.conn.Close()
			<-party.served

			var wg sync.WaitGroup
			start := make(chan struct{})
			for n := range senders {
				wg.Go(func() {
					<-start
					for i := range 3 {
						if err := old.Send(t.Context(), text(fmt.Sprintf("<message id='new%d.%d'/>", n, i))); err != nil {
							t.Error(err)
						}
					}
				})
			}
			p, party = rawServer(t, c, nil)
			require.Equal(t, `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`, p.admit())
			close(start)
			p.say(fmt.Sprintf(`<resumed xmlns='urn:xmpp:sm:3' h='%d' previd='x'/>`, j))
			wg.Wait()
			p.heard()
			all := p.all()
			all = all[strings.Index(all, "previd='x'/>"):]
			var got []string
			for _, part := range strings.Split(all, "<message id='")[1:] {
				id, _, _ := strings.Cut(part, "'")
				got = append(got, id)
			}
			require.Len(t, got, k-j+3*senders)
			last := make(map[string]string)
			for i, id := range got {
				if i < k-j {
					require.Equal(t, fmt.Sprintf("m%d", j+i), id)
					continue
				}
				who, n, _ := strings.Cut(id, ".")
				require.True(t, strings.HasPrefix(id, "new"), id)
				require.Less(t, last[who], n, "each sender's own order")
				last[who] = n
			}
			p.conn.Close()
			<-party.served
			c.GiveUp(nil)
		})
	}
}

// M06: answers to what was not asked, and wrong ones: an error, and the session is
// not resumed any more.
func adversarialM06(t *testing.T) {
	for _, said := range []string{
		`<enabled xmlns='urn:xmpp:sm:3'/>`, `<enabled xmlns='urn:xmpp:sm:3' id='y' resume='true'/>`,
		`<resumed xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`, `<failed xmlns='urn:xmpp:sm:3'/>`, `<what xmlns='urn:xmpp:sm:3'/>`,
	} {
		bubble(t, "unasked", func(t *testing.T) {
			c := newClient(t, nil)
			p, party := rawServer(t, c, nil)
			p.bound(p.admit())
			p.say(`<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>`)
			require.Contains(t, p.say(said), "<stream:error>")
			p.conn.Close()
			require.Error(t, <-party.served)
			require.False(t, c.Resumable())
			<-c.Link().Done()
		})
	}
	bubble(t, "no id", func(t *testing.T) {
		c := newClient(t, nil)
		p, party := rawServer(t, c, nil)
		p.bound(p.admit())
		require.Contains(t, p.say(`<enabled xmlns='urn:xmpp:sm:3' resume='true'/>`), "<bad-format ")
		p.conn.Close()
		require.ErrorAs(t, <-party.served, new(*sm.MalformedError))
		require.False(t, c.Resumable())
	})
	for _, said := range []string{
		`<resumed xmlns='urn:xmpp:sm:3' h='0' previd='other'/>`, `<resumed xmlns='urn:xmpp:sm:3' h='0'/>`,
		`<resumed xmlns='urn:xmpp:sm:3' previd='x'/>`, `<resumed xmlns='urn:xmpp:sm:3' h='5' previd='x'/>`,
	} {
		bubble(t, "resumed", func(t *testing.T) {
			c := newClient(t, nil)
			p, party := rawServer(t, c, nil)
			p.bound(p.admit())
			p.say(`<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>`)
			r, err := party.session.SendReceipt(t.Context(), message(1))
			require.NoError(t, err)
			p.heard()
			p.conn.Close()
			<-party.served
			// Nobody has sent these, so nobody can have handled them.
			for range 9 {
				require.NoError(t, party.session.Send(t.Context(), message(2)))
			}
			p, party = rawServer(t, c, nil)
			p.admit()
			require.Contains(t, p.say(said), "<stream:error>")
			p.conn.Close()
			require.Error(t, <-party.served)
			require.False(t, c.Resumable())
			require.Equal(t, stream.Unknown, r.State())
			require.Len(t, c.TakeLeft(), 10)
		})
	}
}

// M07: the server has forgotten the session, and knows how much of it it got
// (XEP-0198 §5). That was delivered; of the rest each is reported.
func adversarialM07(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, nil)
		p, party := rawServer(t, c, nil)
		p.bound(p.admit())
		p.say(`<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>`)
		var receipts []*stream.Receipt
		for i := range 4 {
			r, err := party.session.SendReceipt(t.Context(), message(i))
			require.NoError(t, err)
			receipts = append(receipts, r)
		}
		p.heard()
		p.conn.Close()
		<-party.served
		r, err := party.session.SendReceipt(t.Context(), message(4))
		require.NoError(t, err)
		receipts = append(receipts, r)

		p, party = rawServer(t, c, nil)
		require.Contains(t, p.admit(), "<resume ")
		bindIt := p.say(`<failed xmlns='urn:xmpp:sm:3' h='2'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`)
		require.Contains(t, bindIt, "urn:ietf:params:xml:ns:xmpp-bind")
		require.Contains(t, p.bound(bindIt), "<enable ", "the new session is managed too")
		for i, want := range []stream.ReceiptState{stream.Acked, stream.Acked, stream.Unknown, stream.Unknown, stream.Failed} {
			require.Equal(t, want, receipts[i].State(), "%d", i)
		}
		err = receipts[3].Wait(t.Context(), stream.Acked)
		var failed *sm.FailedError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, "item-not-found", failed.Condition)
		require.ErrorIs(t, err, sm.ErrNotResumed)
		left := c.TakeLeft()
		require.Len(t, left, 3)
		for i, l := range left {
			require.Equal(t, string(message(i+2)), string(l.XML))
			require.Equal(t, i == 2, l.Unsent)
			require.Same(t, receipts[i+2], l.Receipt)
		}
		require.Empty(t, c.TakeLeft())
		p.say(`</stream:stream>`)
		require.NoError(t, <-party.served)
	})
	// It says that it got more than there was: the session is over anyway.
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &sm.ClientOptions{State: &sm.State{ID: "x", Owner: account}})
		p, party := rawServer(t, c, nil)
		require.Contains(t, p.admit(), "<resume ")
		p.bound(p.say(`<failed xmlns='urn:xmpp:sm:3' h='7'/>`))
		require.Nil(t, party.err)
		p.say(`</stream:stream>`)
		require.NoError(t, <-party.served)
	})
}

// M10: what was lost for too long is not resumed, whatever was said, and the
// client gets a new session.
func adversarialM10(t *testing.T) {
	for name, wait := range map[string]time.Duration{"just in time": time.Minute - time.Second, "too late": time.Minute + time.Second, "asleep": 10 * time.Hour} {
		bubble(t, name, func(t *testing.T) {
			server := sm.NewServer(&sm.ServerOptions{Max: time.Minute})
			// The client would wait for longer: it is the server that decides.
			c := newClient(t, nil)
			var atClient, atServer log
			e := connect(t, c, server, &atClient, &atServer)
			require.NoError(t, e.client.Send(t.Context(), message(1)))
			synctest.Wait()
			old := c.Link()
			e.cut()
			require.NoError(t, e.client.Send(t.Context(), message(2)))
			<-time.After(wait)
			synctest.Wait()
			f := connect(t, c, server, &atClient, &atServer)
			synctest.Wait()
			if wait < time.Minute {
				require.Same(t, old, c.Link())
				require.Equal(t, ids(1, 2), atServer.all())
			} else {
				require.NotSame(t, old, c.Link())
				require.False(t, c.Link().Resumed())
				require.Equal(t, ids(1, 1), atServer.all())
				require.ErrorIs(t, old.Err(), sm.ErrNotResumed)
				left := c.TakeLeft()
				require.Equal(t, string(message(2)), string(left[len(left)-1].XML))
				require.True(t, left[len(left)-1].Unsent)
			}
			require.Len(t, server.Links(), 1, "nothing is left behind")
			require.NoError(t, f.client.Close(t.Context()))
			<-f.served
		})
	}
}

// M13: SM-IDs that nobody can guess, and those that nobody has given.
func adversarialM13(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := sm.NewServer(nil)
		seen := make(map[string]bool)
		for range 50 {
			p, party := rawClient(t, server, nil)
			p.login()
			p.say(bindRequest)
			_, id, _ := strings.Cut(p.say(enable), "id='")
			id, _, _ = strings.Cut(id, "'")
			require.GreaterOrEqual(t, len(id)*6, 128)
			require.False(t, seen[id])
			seen[id] = true
			p.say(`</stream:stream>`)
			<-party.served
		}
		for id, want := range map[string]string{
			strings.Repeat("x", 4000):            "item-not-found",
			strings.Repeat("x", 4001):            "bad-request",
			"&apos;&lt;&quot;&gt;&amp;":          "item-not-found",
			"":                                   "bad-request",
			"'/><message id=&quot;m&quot; to='x": "bad-request",
		} {
			p, party := rawClient(t, server, nil)
			p.login()
			if strings.HasPrefix(id, "'") {
				id = "" // what a careless client makes of it is two elements
			}
			require.Contains(t, p.say(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='`+id+`'/>`), want)
			// XEP-0198 §5: binding is still possible.
			require.Contains(t, p.say(bindRequest), "type='result'")
			p.say(`</stream:stream>`)
			require.NoError(t, <-party.served)
		}
	})
	// What somebody else was given is worth nothing (§10).
	synctest.Test(t, func(t *testing.T) {
		server := sm.NewServer(nil)
		c := newClient(t, nil)
		var atClient, atServer log
		e := connect(t, c, server, &atClient, &atServer)
		synctest.Wait()
		id := c.Link().ID()
		p, party := rawClient(t, server, nil)
		p.say(clientHeader + strings.Replace(trust, "juliet", "iago", 1))
		p.say(clientHeader)
		require.Contains(t, p.say(`<resume xmlns='urn:xmpp:sm:3' h='0' previd='`+id+`'/>`), "item-not-found")
		require.NoError(t, e.client.Err())
		require.NoError(t, e.server.Err(), "and does no harm")
		p.conn.Close()
		<-party.served
		require.NoError(t, e.client.Close(t.Context()))
		<-e.served
	})
}

// M14 (XEP-0198 §3): what comes at the wrong time.
func adversarialM14(t *testing.T) {
	const unexpected = `<failed xmlns='urn:xmpp:sm:3'><unexpected-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>`
	resume := `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`
	for name, said := range map[string]string{"resume": resume, "enable": enable} {
		bubble(t, name+" before authentication", func(t *testing.T) {
			p, party := rawClient(t, sm.NewServer(nil), nil)
			require.Contains(t, p.say(clientHeader+said), "<not-authorized ")
			p.conn.Close()
			require.Error(t, <-party.served)
		})
	}
	bubble(t, "enable before binding", func(t *testing.T) {
		p, party := rawClient(t, sm.NewServer(nil), nil)
		require.Contains(t, p.login(), "<sm xmlns='urn:xmpp:sm:3'/>")
		require.Equal(t, unexpected, p.say(enable))
		require.Contains(t, p.say(bindRequest), "type='result'")
		require.Contains(t, p.say(enable), "<enabled ")
		require.Equal(t, unexpected, p.say(resume))
		require.Contains(t, p.say(enable), "<policy-violation ", "twice")
		p.conn.Close()
		require.Error(t, <-party.served)
	})
	bubble(t, "before enabling", func(t *testing.T) {
		p, party := rawClient(t, sm.NewServer(nil), nil)
		p.login()
		p.say(bindRequest)
		require.Contains(t, p.say(request), "<unsupported-stanza-type ")
		p.conn.Close()
		require.Error(t, <-party.served)
	})
	bubble(t, "malformed", func(t *testing.T) {
		p, party := rawClient(t, sm.NewServer(nil), nil)
		p.login()
		p.say(bindRequest)
		require.Contains(t, p.say(`<enable xmlns='urn:xmpp:sm:3' max='0'/>`), "<bad-request ")
		require.Contains(t, p.say(enable), "<enabled ")
		p.say(`</stream:stream>`)
		require.NoError(t, <-party.served)
	})
}

// M16 (XEP-0198 §4): the last acknowledgement stands in front of the closing tag,
// and nothing behind it, whoever closes.
func adversarialM16(t *testing.T) {
	begin := func(t *testing.T) (*sm.Client, *peer, *party) {
		c := newClient(t, nil)
		p, party := rawServer(t, c, nil)
		p.bound(p.admit())
		p.say(`<enabled xmlns='urn:xmpp:sm:3' id='x' resume='true'/>`)
		p.say(message0("m1") + message0("m2"))
		return c, p, party
	}
	bubble(t, "theirs", func(t *testing.T) {
		c, p, party := begin(t)
		// What is asked behind the acknowledgement is not answered any more.
		heard := p.say(message0("m3") + `</stream:stream>`)
		require.Equal(t, answer(3)+`</stream:stream>`, heard)
		require.NoError(t, <-party.served)
		require.False(t, c.Resumable())
		require.Error(t, party.session.Send(t.Context(), message(1)))
	})
	bubble(t, "ours", func(t *testing.T) {
		c, p, party := begin(t)
		closed := make(chan error, 1)
		require.NoError(t, party.session.Send(t.Context(), message(1)))
		go func() { closed <- party.session.Close(t.Context()) }()
		heard := p.heard()
		require.True(t, strings.HasSuffix(heard, answer(2)+`</stream:stream>`), heard)
		require.Empty(t, p.say(message0("late")+request+answer(1)), "nothing behind the closing tag")
		p.say(`</stream:stream>`)
		require.NoError(t, <-closed)
		require.NoError(t, <-party.served)
		require.Equal(t, []string{"m1", "m2", "late"}, party.log.all(), "what is under way is handled")
		<-c.Link().Done()
		require.Empty(t, c.TakeLeft(), "it was acknowledged after our closing tag")
	})
	bubble(t, "no answer", func(t *testing.T) {
		c, p, party := begin(t)
		at := time.Now()
		require.ErrorIs(t, party.session.Close(t.Context()), stream.ErrCloseTimeout)
		require.LessOrEqual(t, time.Since(at), 6*time.Second)
		require.True(t, strings.HasSuffix(p.heard(), answer(2)+`</stream:stream>`))
		<-party.served
		require.False(t, c.Resumable(), "we have closed it")
	})
}

// M20: the state is older than what went over the wire.
func adversarialM20(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, &sm.ClientOptions{State: &sm.State{ID: "x", Owner: account}})
		p, party := rawServer(t, c, nil)
		require.Equal(t, `<resume xmlns='urn:xmpp:sm:3' h='0' previd='x'/>`, p.admit())
		require.Contains(t, p.say(`<resumed xmlns='urn:xmpp:sm:3' h='5' previd='x'/>`), `h='5' send-count='0'`)
		p.conn.Close()
		require.ErrorAs(t, <-party.served, new(*sm.HandledCountError))
		require.False(t, c.Resumable())

		// And begins anew.
		p, party = rawServer(t, c, nil)
		require.Contains(t, p.bound(p.admit()), "<enable ")
		p.say(`</stream:stream>`)
		require.NoError(t, <-party.served)
	})
	// The client has told the server more than its state knows.
	synctest.Test(t, func(t *testing.T) {
		server := sm.NewServer(nil)
		c := newClient(t, nil)
		var atClient, atServer log
		e := connect(t, c, server, &atClient, &atServer)
		synctest.Wait()
		for i := range 3 {
			require.NoError(t, e.server.Send(t.Context(), message(i)))
		}
		synctest.Wait()
		e.cut()
		st, err := c.State()
		require.NoError(t, err)
		require.EqualValues(t, 3, st.In)
		st.In = 1
		stale := newClient(t, &sm.ClientOptions{State: st})
		a, b := memconn.Pipe()
		_, _, err, _ = try(t, a, b, stale, server)
		var said *stream.Error
		require.ErrorAs(t, err, &said)
		require.True(t, said.Received)
		require.Empty(t, server.Links())
		c.GiveUp(nil)
		f := connect(t, stale, server, &atClient, &atServer)
		require.False(t, stale.Link().Resumed())
		require.NoError(t, f.client.Close(t.Context()))
		<-f.served
	})
}
