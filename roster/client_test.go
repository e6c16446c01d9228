package roster_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// doer is a server: it is asked one thing after the other.
type doer struct {
	t     testing.TB
	asked []string
	// answer returns the payload of the result, "" for none, or an error.
	answer func(query string) (string, error)
}

func (d *doer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	q := wire(d.t, iq.Payload)
	require.True(d.t, iq.To.IsZero() && iq.From.IsZero())
	d.asked = append(d.asked, string(iq.Type)+" "+q)
	out, err := d.answer(q)
	if err != nil {
		return nil, err
	}
	reply := &stanza.IQ{ID: "1", Type: stanza.ResultIQ}
	if out != "" {
		reply.Payload = parse(d.t, out)
	}
	return reply, nil
}

// answering is a server that always says the same.
func answering(t testing.TB, xml string) *doer {
	return &doer{t: t, answer: func(string) (string, error) { return xml, nil }}
}

// rig is a Client in a Mux, and all that it has told.
type rig struct {
	t testing.TB
	*roster.Client
	mux  stanza.Mux
	told []string
	errs []error
}

func newRig(t testing.TB, opts roster.Options) *rig {
	t.Helper()
	r := &rig{t: t}
	opts.Account = balcony
	if opts.OnChange == nil {
		opts.OnChange = func(_ context.Context, e roster.Event) { r.told = append(r.told, describe(e)) }
	}
	opts.Report = func(_ context.Context, err error) { r.errs = append(r.errs, err) }
	var err error
	r.Client, err = roster.NewClient(&opts)
	require.NoError(t, err)
	require.NoError(t, stanza.Install(&r.mux, r.Client))
	return r
}

func describe(e roster.Event) string {
	switch {
	case e.Added():
		return fmt.Sprintf("+%s %q %s %v", e.Contact(), e.After.Name, e.After.State, e.After.Groups)
	case e.Removed():
		return fmt.Sprintf("-%s", e.Contact())
	}
	return fmt.Sprintf("%s %q→%q %s→%s %v→%v", e.Contact(), e.Before.Name, e.After.Name, e.Before.State, e.After.State, e.Before.Groups, e.After.Groups)
}

// sender records what a handler sends.
type sender struct {
	mu   sync.Mutex
	sent []string
}

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, string(b))
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// receive lets an IQ arrive, and returns the reply.
func (r *rig) receive(from, query string) string {
	r.t.Helper()
	if from != "" {
		from = " from='" + from + "'"
	}
	st, err := stanza.Decode(parse(r.t, "<iq xmlns='jabber:client' id='p1' type='set' to='juliet@example.com/balcony'"+from+">"+query+"</iq>"))
	require.NoError(r.t, err)
	s := &sender{}
	require.NoError(r.t, stanza.Dispatch(r.t.Context(), &r.mux, s, st))
	require.Len(r.t, s.sent, 1, "each request has one reply")
	return s.sent[0]
}

// push lets a push of the account arrive.
func (r *rig) push(items string) string {
	r.t.Helper()
	return r.receive("", pushed("", items))
}

func pushed(ver, items string) string {
	if ver != "" {
		ver = " ver='" + ver + "'"
	}
	return "<query xmlns='jabber:iq:roster'" + ver + ">" + items + "</query>"
}

// flush returns what was told since the last time.
func (r *rig) flush() []string {
	out := r.told
	r.told = nil
	return out
}

const (
	noted   = `<iq id='p1' from='juliet@example.com/balcony' type='result'/>`
	unknown = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
	nobody  = "<query xmlns='jabber:iq:roster' ver='v1'/>"
)

// Pushes that the result has in it already are not applied to it again.
func TestSyncHeldPushes(t *testing.T) {
	r := newRig(t, roster.Options{Versioned: true})
	d := &doer{t: t, answer: func(string) (string, error) {
		r.receive("", pushed("v3", `<item jid='romeo@example.net' name='3'/>`))
		r.receive("", pushed("v4", `<item jid='romeo@example.net' name='4'/>`))
		r.receive("", pushed("v5", `<item jid='nurse@example.com'/>`))
		return pushed("v4", `<item jid='romeo@example.net' name='4'/>`), nil
	}}
	require.NoError(t, r.Sync(t.Context(), d))
	require.Equal(t, []string{`+romeo@example.net "4" None []`, `+nurse@example.com "" None []`}, r.flush())
	ver, _ := r.List().Version()
	require.Equal(t, "v5", ver)
	d.answer = func(string) (string, error) { // the first of them already
		r.receive("", pushed("v6", `<item jid='romeo@example.net' subscription='remove'/>`))
		return pushed("v6", `<item jid='nurse@example.com'/><item jid='romeo@example.net'/>`), nil
	}
	require.NoError(t, r.Sync(t.Context(), d))
	require.Equal(t, 2, r.List().Len())
}

// RFC 6121 §2.6.3: an empty result means the version that was asked for, and so
// nothing if none was.
func TestSyncEmptyResult(t *testing.T) {
	r := newRig(t, roster.Options{Versioned: true})
	require.ErrorIs(t, r.Sync(t.Context(), answering(t, "")), stanza.BadRequest, "asked, and nothing is cached")
	require.False(t, r.Current())
	r = newRig(t, roster.Options{})
	require.NoError(t, r.Sync(t.Context(), answering(t, nobody)))
	require.ErrorIs(t, r.Sync(t.Context(), answering(t, "")), stanza.BadRequest, "something is known, and not asked")
	require.False(t, r.Current())
}

// A server whose versions are all empty (XEP-0237 §4.1) loses no push.
func TestSyncEmptyVersions(t *testing.T) {
	for _, ver := range []string{"", " ver=''"} {
		r := newRig(t, roster.Options{Versioned: true})
		d := &doer{t: t, answer: func(string) (string, error) {
			r.receive("", "<query xmlns='jabber:iq:roster'"+ver+"><item jid='romeo@example.net'/></query>")
			return "<query xmlns='jabber:iq:roster'" + ver + "/>", nil
		}}
		require.NoError(t, r.Sync(t.Context(), d))
		require.Equal(t, 1, r.List().Len())
	}
}

// A change that could not be taken is asked for the next time, and is not hidden by
// the version of those that came after it.
func TestSyncAfterRefusal(t *testing.T) {
	for _, bad := range []string{`<item jid='@'/>`, ``} {
		cache := &memoryCache{}
		r := newRig(t, roster.Options{Versioned: true, Cache: cache})
		d := answering(t, nobody)
		require.NoError(t, r.Sync(t.Context(), d))
		require.Contains(t, r.receive("", pushed("v2", bad)), "type='error'")
		require.Contains(t, r.receive("", pushed("v3", `<item jid='romeo@example.net'/>`)), "type='result'")
		require.Equal(t, 1, r.List().Len())
		require.Equal(t, "v1", cache.s.Version)
		require.Len(t, cache.s.Items, 1)
		d.answer = func(string) (string, error) { return "", nil }
		require.NoError(t, r.Sync(t.Context(), d))
		require.Equal(t, "get <query xmlns='jabber:iq:roster' ver='v1'/>", d.asked[1])
		r.receive("", pushed("v2", `<item jid='nurse@example.com'/>`))
		r.receive("", pushed("v3", `<item jid='romeo@example.net'/>`))
		require.Equal(t, "v3", cache.s.Version)
	}
}

// What cannot be held costs the result, not the order.
func TestSyncOverflow(t *testing.T) {
	r := newRig(t, roster.Options{})
	d := &doer{t: t, answer: func(string) (string, error) {
		for i := range 1025 {
			require.Equal(t, noted, r.push(fmt.Sprintf(`<item jid='romeo@example.net' name='%d'/>`, i)))
		}
		return nobody, nil
	}}
	require.ErrorIs(t, r.Sync(t.Context(), d), roster.ErrOverflow)
	require.False(t, r.Current())
	require.Empty(t, r.told)
	require.NoError(t, r.Sync(t.Context(), answering(t, nobody)))
	require.True(t, r.Current())
}

// A Sync that fails leaves the list, and the pushes that follow, alone.
func TestSyncFails(t *testing.T) {
	failed := errors.New("no reply")
	for name, tt := range map[string]struct {
		answer string
		err    error
		is     error
	}{
		"no reply":                       {"", failed, failed},
		"§2.2 server error":              {"", &stanza.Error{Condition: stanza.InternalServerError, Received: true}, stanza.InternalServerError},
		"§2.6.3 empty, nothing is known": {"", nil, stanza.BadRequest},
		"not a roster":                   {"<query xmlns='jabber:iq:private'/>", nil, stanza.BadRequest},
		"an item without an address":     {pushed("v9", "<item/>"), nil, stanza.BadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, roster.Options{})
			require.NoError(t, r.Sync(t.Context(), answering(t, pushed("", `<item jid='nurse@example.com'/>`))))
			r.flush()
			d := &doer{t: t, answer: func(string) (string, error) {
				r.push(`<item jid='romeo@example.net'/>`)
				return tt.answer, tt.err
			}}
			require.ErrorIs(t, r.Sync(t.Context(), d), tt.is)
			require.False(t, r.Current())
			require.Equal(t, noted, r.push(`<item jid='romeo@example.net'/>`))
			require.Empty(t, r.flush())
			require.Equal(t, 1, r.List().Len())
			require.NoError(t, r.Sync(t.Context(), answering(t, nobody)))
			require.Equal(t, []string{"-nurse@example.com"}, r.flush())
		})
	}
}

// RFC 6121 §2.6.2, §2.6.3: what is asked for, and an empty result.
//
//conformance:proves 6121-2.1.2.5-1 6121-2.6.2-2
func TestSyncVersions(t *testing.T) {
	r := newRig(t, roster.Options{Versioned: true})
	d := answering(t, pushed("v1", `<item jid='nurse@example.com'/><item jid='romeo@example.net' subscription='remove'/>`))
	require.NoError(t, r.Sync(t.Context(), d))
	r.receive("", pushed("v2", `<item jid='romeo@example.net' subscription='to'/>`))
	require.Equal(t, []string{`+nurse@example.com "" None []`, `+romeo@example.net "" None []`, `romeo@example.net ""→"" None→To []→[]`}, r.flush())
	// Another session: the version of the last push, and nothing else is new.
	d.answer = func(string) (string, error) { return "", nil }
	require.NoError(t, r.Sync(t.Context(), d))
	r.receive("", pushed("v3", `<item jid='nurse@example.com' subscription='remove'/>`))
	require.Equal(t, []string{"-nurse@example.com"}, r.flush())
	require.Equal(t, []string{"get <query xmlns='jabber:iq:roster' ver=''/>", "get <query xmlns='jabber:iq:roster' ver='v2'/>"}, d.asked)

	// Without the feature, no version is sent, even if the server sends some.
	r = newRig(t, roster.Options{})
	d = answering(t, nobody)
	require.NoError(t, r.Sync(t.Context(), d))
	require.NoError(t, r.Sync(t.Context(), d))
	require.Equal(t, []string{"get <query xmlns='jabber:iq:roster'/>", "get <query xmlns='jabber:iq:roster'/>"}, d.asked)
}

// OnChange may use the Client, sync too; a panic in it stops nothing for good.
func TestOnChangeReenters(t *testing.T) {
	var r *rig
	var order []string
	synced := false
	r = newRig(t, roster.Options{OnChange: func(ctx context.Context, e roster.Event) {
		order = append(order, describe(e))
		_, there := r.Item(e.Contact())
		require.Equal(t, e.Contact() != nurse || !synced, there, "it is visible before it is told")
		if !synced {
			synced = true
			require.NoError(t, r.Sync(ctx, answering(t, pushed("v2", `<item jid='romeo@example.net'/>`))))
			r.push(`<item jid='benvolio@example.net'/>`)
			order = append(order, "end of the first")
		}
		if e.Contact() == benvolio {
			panic("of the program")
		}
	}})
	require.PanicsWithValue(t, "of the program", func() {
		_ = r.Sync(t.Context(), answering(t, pushed("v1", `<item jid='nurse@example.com'/><item jid='romeo@example.net'/>`)))
	})
	require.Equal(t, []string{
		`+nurse@example.com "" None []`, "end of the first", `+romeo@example.net "" None []`, "-nurse@example.com", `+benvolio@example.net "" None []`,
	}, order)
	r.push(`<item jid='mercutio@example.net'/>`)
	require.Equal(t, `+mercutio@example.net "" None []`, order[len(order)-1])
}

// Calls of Sync wait for each other, and for no longer than their context.
func TestSyncConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, roster.Options{})
		release := make(chan struct{})
		slow := &doer{t: t, answer: func(string) (string, error) { <-release; return nobody, nil }}
		done := make(chan error, 1)
		go func() { done <- r.Sync(t.Context(), slow) }() // ends below
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, r.Sync(ctx, answering(t, nobody)), context.Canceled)
		close(release)
		require.NoError(t, <-done)
	})
}

// Readers, pushes and Sync at the same time: for the race detector, and the events
// are those of one order.
func TestClientConcurrent(t *testing.T) {
	var mu sync.Mutex
	names := map[jid.JID]roster.Item{}
	r := newRig(t, roster.Options{OnChange: func(_ context.Context, e roster.Event) {
		mu.Lock()
		defer mu.Unlock()
		if !names[e.Contact()].Equal(e.Before) {
			t.Errorf("%s was %+v, not %+v", e.Contact(), names[e.Contact()], e.Before)
		}
		names[e.Contact()] = e.After
	}})
	require.NoError(t, r.Sync(t.Context(), answering(t, nobody)))
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 50 {
				r.push(fmt.Sprintf(`<item jid='c%d@x' name='%d-%d'/>`, i%5, g, i))
				r.Item(romeo)
				for range r.All() {
				}
			}
		})
	}
	wg.Wait()
	require.Len(t, slices.Collect(r.All()), 5)
	for i := range r.All() {
		require.True(t, names[i.JID].Equal(i))
	}
}

// A program that is slow with events costs the pushes beyond the bound, and knows it.
func TestEventsBound(t *testing.T) {
	var r *rig // which the options need
	first, resynced, replies := true, false, map[string]int{}
	r = newRig(t, roster.Options{OnChange: func(ctx context.Context, _ roster.Event) {
		if !first {
			return
		}
		first = false
		for i := range 16_385 { // none of these can be told meanwhile
			reply := r.push(fmt.Sprintf(`<item jid='romeo@example.net' name='%d'/>`, i))
			replies[reply]++
		}
		// A push that waits for a result needs no room yet.
		if err := r.Sync(ctx, &doer{t: t, answer: func(string) (string, error) {
			require.Equal(t, noted, r.push(`<item jid='romeo@example.net'/>`))
			return nobody, nil
		}}); err == nil {
			_, resynced = r.Item(romeo)
		}
		require.NotEqual(t, noted, r.push(`<item jid='benvolio@example.net'/>`))
	}})
	require.NoError(t, r.Sync(t.Context(), answering(t, pushed("v1", `<item jid='nurse@example.com'/>`))))
	require.Equal(t, 16_384, replies[noted])
	require.True(t, resynced)
	require.Len(t, replies, 2, "one was refused")
	require.False(t, r.Current())
	require.NoError(t, r.Sync(t.Context(), answering(t, nobody)))
	require.True(t, r.Current())
}

// One contact whose address was one under older rules does not cost all others; in
// a push it is an error like any.
func TestSyncSkips(t *testing.T) {
	r := newRig(t, roster.Options{})
	require.NoError(t, r.Sync(t.Context(), answering(t, pushed("v1", `<item jid='old_host@example_com'/><item jid='nurse@example.com'/><item jid=''/>`))))
	require.Equal(t, []string{`+nurse@example.com "" None []`}, r.flush())
	require.Len(t, r.errs, 1)
	require.ErrorContains(t, r.errs[0], "2 contacts")
	require.Contains(t, r.push(`<item jid='old_host@example_com'/>`), "<jid-malformed")
}

func TestNewClientErrors(t *testing.T) {
	for _, o := range []*roster.Options{nil, {}} {
		_, err := roster.NewClient(o)
		require.ErrorIs(t, err, stanza.ErrInvalid)
	}
	r := newRig(t, roster.Options{})
	require.ErrorIs(t, stanza.Install(&r.mux, r.Client), stanza.ErrRoute, "twice")
}
