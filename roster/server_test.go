package roster_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// request is a roster request as it reaches the account of juliet.
func request(t testing.TB, from jid.JID, typ stanza.IQType, query string) *stanza.IQ {
	t.Helper()
	return &stanza.IQ{ID: "1", From: from, Type: typ, Payload: parse(t, query)}
}

func wire(t testing.TB, p stanza.Payload) string {
	t.Helper()
	b, err := p.AppendXML(nil)
	require.NoError(t, err)
	return string(b)
}

// RFC 6121 §2.3 to §2.5: every error that is defined, by the examples there.
func TestParseSet(t *testing.T) {
	set := func(items string) string { return "<query xmlns='jabber:iq:roster'>" + items + "</query>" }
	for name, tt := range map[string]struct {
		from  jid.JID
		query string
		want  roster.Entry
		err   stanza.Condition
		typ   stanza.ErrorType
	}{
		"§2.3.1 add": {
			balcony, set(`<item jid='nurse@example.com' name='Nurse'><group>Servants</group></item>`),
			entry("nurse@example.com", "Nurse", roster.None, "Servants"), "", "",
		},
		"§2.4.1 in no group": {balcony, set(`<item jid='romeo@example.net'/>`), entry("romeo@example.net", "", roster.None), "", ""},
		"§2.4.1 no name":     {balcony, set(`<item jid='romeo@example.net' name=''/>`), entry("romeo@example.net", "", roster.None), "", ""},
		"§2.5.1 remove": {
			balcony, set(`<item jid='nurse@example.com' subscription='remove' name='x'><group/></item>`),
			roster.Entry{Item: roster.Item{JID: nurse}, Remove: true}, "", "",
		},
		"remove what is no contact": {
			balcony, set(`<item jid='juliet@example.com' subscription='remove'/>`), roster.Entry{Item: roster.Item{JID: juliet}, Remove: true}, "", "",
		},
		"§2.1.5 rule 2: other subscriptions are ignored": {
			balcony, set(`<item jid='romeo@example.net' subscription='both'/>`), entry("romeo@example.net", "", roster.None), "", "",
		},
		"§2.1.2.1, §2.1.2.2: so are approved and ask": {
			balcony, set(`<item jid='romeo@example.net' approved='true' ask='subscribe'/>`), entry("romeo@example.net", "", roster.None), "", "",
		},
		"a group that is no resourcepart": {
			balcony, set(`<item jid='romeo@example.net'><group>a&#9;b</group></item>`), entry("romeo@example.net", "", roster.None, "a\tb"), "", "",
		},
		"the same twice":    {balcony, set(`<item jid='romeo@example.net'><group>a&#9;b</group><group>a&#9;b</group></item>`), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"from the bare JID": {juliet, set(`<item jid='romeo@example.net'/>`), entry("romeo@example.net", "", roster.None), "", ""},

		"§2.3.3 unauthorized":          {romeo, set(`<item jid='nurse@example.com'/>`), roster.Entry{}, stanza.Forbidden, stanza.AuthError},
		"before anything else":         {romeo, set(``), roster.Entry{}, stanza.Forbidden, stanza.AuthError},
		"from nobody":                  {jid.JID{}, set(`<item jid='nurse@example.com'/>`), roster.Entry{}, stanza.Forbidden, stanza.AuthError},
		"§2.1.5 rule 1: no item":       {balcony, set(``), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"§2.3.3 more than one item":    {balcony, set(`<item jid='nurse@example.com' name='Nurse'><group>Servants</group></item><item jid='mother@example.com' name='Mom'><group>Family</group></item>`), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"the same item twice":          {balcony, set(`<item jid='nurse@example.com'/><item jid='nurse@example.com'/>`), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"§2.1.2.3 no jid":              {balcony, set(`<item/>`), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"malformed jid":                {balcony, set(`<item jid='a@b@c'/>`), roster.Entry{}, stanza.JIDMalformed, stanza.ModifyError},
		"a resource":                   {balcony, set(`<item jid='romeo@example.net/orchard'/>`), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"§2.3.3 oversized handle":      {balcony, set(`<item jid='nurse@example.com' name='` + strings.Repeat("n", 1024) + `'/>`), roster.Entry{}, stanza.NotAcceptable, stanza.ModifyError},
		"§2.3.3 duplicate groups":      {balcony, set(`<item jid='nurse@example.com' name='Nurse'><group>Servants</group><group>Servants</group></item>`), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"the same as resourceparts":    {balcony, set(`<item jid='nurse@example.com'><group>Ångström</group><group>A&#x30a;ngstro&#x308;m</group></item>`), roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
		"§2.3.3 empty group":           {balcony, set(`<item jid='nurse@example.com' name='Nurse'><group></group></item>`), roster.Entry{}, stanza.NotAcceptable, stanza.ModifyError},
		"§2.3.3 oversized group":       {balcony, set(`<item jid='nurse@example.com'><group>` + strings.Repeat("g", 1024) + `</group></item>`), roster.Entry{}, stanza.NotAcceptable, stanza.ModifyError},
		"too many groups":              {balcony, set(`<item jid='nurse@example.com'>` + groups(65) + `</item>`), roster.Entry{}, stanza.NotAcceptable, stanza.ModifyError},
		"far too many groups":          {balcony, set(`<item jid='nurse@example.com'>` + groups(300) + `</item>`), roster.Entry{}, stanza.NotAcceptable, stanza.ModifyError},
		"§2.3.3 interop note: oneself": {balcony, set(`<item jid='JULIET@example.com'/>`), roster.Entry{}, stanza.NotAllowed, stanza.CancelError},
		"one's own resource":           {balcony, set(`<item jid='juliet@example.com/chamber'/>`), roster.Entry{}, stanza.NotAllowed, stanza.CancelError},
		"another query":                {balcony, `<query xmlns='jabber:iq:private'/>`, roster.Entry{}, stanza.BadRequest, stanza.ModifyError},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := roster.ParseSet(juliet, request(t, tt.from, stanza.SetIQ, tt.query), nil)
			require.Equal(t, tt.want, got)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, tt.err)
			reply := request(t, tt.from, stanza.SetIQ, tt.query).ErrorReply(err)
			b, err := reply.AppendXML(nil)
			require.NoError(t, err)
			require.Contains(t, string(b), fmt.Sprintf("<error type='%s'><%s ", tt.typ, tt.err))
		})
	}
	t.Run("limits", func(t *testing.T) {
		iq := request(t, balcony, stanza.SetIQ, set(`<item jid='a@x' name='ab'><group>cd</group><group>e</group></item>`))
		_, err := roster.ParseSet(juliet, iq, &roster.Limits{NameBytes: 2, GroupBytes: 2, Groups: 2})
		require.NoError(t, err)
		for _, lim := range []roster.Limits{{NameBytes: 1}, {GroupBytes: 1}, {Groups: 1}} {
			_, err := roster.ParseSet(juliet, iq, &lim)
			require.ErrorIs(t, err, stanza.NotAcceptable)
		}
		_, err = roster.ParseSet(juliet, &stanza.IQ{From: balcony, Type: stanza.SetIQ}, nil)
		require.ErrorIs(t, err, stanza.BadRequest, "no payload")
	})
}

// Who has one contact finds that one.
func TestRosterItem(t *testing.T) {
	r := roster.Roster{Items: []roster.Item{{JID: nurse}, {JID: romeo, Name: "Romeo"}}}
	i, ok := r.Item(romeo)
	require.True(t, ok)
	require.Equal(t, "Romeo", i.Name)
	i, ok = r.Item(juliet)
	require.False(t, ok)
	require.True(t, i.JID.IsZero())
}

func groups(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "<group>%d</group>", i)
	}
	return b.String()
}

// RFC 6121 §2.1.3, §2 (security warning).
func TestParseGet(t *testing.T) {
	q, err := roster.ParseGet(juliet, request(t, balcony, stanza.GetIQ, `<query xmlns='jabber:iq:roster' ver='7'/>`))
	require.NoError(t, err)
	require.Equal(t, &roster.Query{Ver: "7", Versioned: true}, q)
	for name, tt := range map[string]struct {
		from  jid.JID
		query string
		err   stanza.Condition
	}{
		"items":              {balcony, `<query xmlns='jabber:iq:roster'><item jid='a@x'/></query>`, stanza.BadRequest},
		"somebody else":      {romeo, `<query xmlns='jabber:iq:roster'/>`, stanza.ServiceUnavailable},
		"the server":         {juliet.DomainJID(), `<query xmlns='jabber:iq:roster'/>`, stanza.ServiceUnavailable},
		"a look-alike":       {jid.MustParse("juliet@example.com.evil.lit"), `<query xmlns='jabber:iq:roster'/>`, stanza.ServiceUnavailable},
		"an unbounded query": {balcony, `<query xmlns='jabber:iq:roster' ver='` + strings.Repeat("9", 5000) + `'/>`, stanza.NotAcceptable},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := roster.ParseGet(juliet, request(t, tt.from, stanza.GetIQ, tt.query))
			require.ErrorIs(t, err, tt.err)
		})
	}
}

// RFC 6121 §2.4.1: the item is as it was sent; what the client cannot set stays.
func TestApply(t *testing.T) {
	old := roster.Item{JID: nurse, Name: "Nurse", Groups: []string{"Servants"}, State: roster.PendingIn, Request: []byte("<presence/>")}
	got, err := entry("nurse@example.com", "Nanny", roster.None, "Family").Apply(old)
	require.NoError(t, err)
	require.Equal(t, roster.Item{JID: nurse, Name: "Nanny", Groups: []string{"Family"}, State: roster.PendingIn, Request: old.Request, Added: true}, got)
	got, err = entry("nurse@example.com", "", roster.None).Apply(roster.Item{})
	require.NoError(t, err)
	require.Equal(t, roster.Item{JID: nurse, Added: true}, got, "§2.3.2: a new one")

	remove := roster.Entry{Item: roster.Item{JID: nurse}, Remove: true}
	got, err = remove.Apply(old)
	require.NoError(t, err)
	require.False(t, got.Noted())
	// §2.5.3: the type of the error is that of the example there.
	for _, old := range []roster.Item{{}, {JID: nurse, State: roster.PendingIn}, {JID: romeo, Added: true}} {
		_, err = remove.Apply(old)
		require.ErrorIs(t, err, stanza.ItemNotFound)
		var e *stanza.Error
		require.True(t, errors.As(err, &e))
		require.Equal(t, stanza.ModifyError, e.Type)
	}
}

// RFC 6121 §2.6.3.
func TestAnswer(t *testing.T) {
	ctx := t.Context()
	store := new(roster.MemoryStore)
	put := func(i roster.Item) string {
		v, err := store.Put(ctx, juliet, i)
		require.NoError(t, err)
		return roster.FormatVersion(v)
	}
	answer := func(get *roster.Query) (*roster.Query, []string) {
		result, changes, err := roster.Answer(ctx, store, juliet, get)
		require.NoError(t, err)
		var pushes []string
		for _, c := range changes {
			pushes = append(pushes, wire(t, c.Push()))
		}
		return result, pushes
	}
	// §2.1.4: an empty roster is an empty query, also with a version.
	result, pushes := answer(&roster.Query{})
	require.Equal(t, `<query xmlns='jabber:iq:roster' ver='0'/>`, wire(t, result))
	require.Empty(t, pushes)
	result, _ = answer(&roster.Query{Versioned: true})
	require.NotNil(t, result, "§2.6.2: nothing is cached")
	result, pushes = answer(&roster.Query{Versioned: true, Ver: "0"})
	require.Nil(t, result)
	require.Empty(t, pushes)

	put(roster.Item{JID: benvolio, State: roster.PendingIn})
	v1 := put(roster.Item{JID: romeo, Name: "Romeo", State: roster.Both, Groups: []string{"Friends"}})
	v2 := put(roster.Item{JID: nurse, Added: true})
	_, err := store.Remove(ctx, juliet, romeo)
	require.NoError(t, err)
	r, err := store.Roster(ctx, juliet)
	require.NoError(t, err)
	v3 := roster.FormatVersion(r.Version)

	whole := `<query xmlns='jabber:iq:roster' ver='` + v3 + `'><item jid='nurse@example.com' subscription='none'/></query>`
	for name, get := range map[string]*roster.Query{
		"no version": {}, "nothing cached": {Versioned: true}, "of another server": {Versioned: true, Ver: "ver14"},
		"unknown": {Versioned: true, Ver: "7"}, "not as it was written": {Versioned: true, Ver: "0" + v1}, "nil": nil,
		"to come": {Versioned: true, Ver: roster.FormatVersion(r.Version + 1)},
	} {
		result, pushes := answer(get)
		require.NotNil(t, result, name)
		require.Equal(t, whole, wire(t, result), name)
		require.Empty(t, pushes, name)
	}
	result, pushes = answer(&roster.Query{Versioned: true, Ver: v3})
	require.Nil(t, result, "it is current")
	require.Empty(t, pushes)
	result, pushes = answer(&roster.Query{Versioned: true, Ver: v1})
	require.Nil(t, result)
	require.Equal(t, []string{
		`<query xmlns='jabber:iq:roster' ver='` + v2 + `'><item jid='nurse@example.com' subscription='none'/></query>`,
		`<query xmlns='jabber:iq:roster' ver='` + v3 + `'><item jid='romeo@example.net' subscription='remove'/></query>`,
	}, pushes)

	// The lengths at which it turns: nine changes, and twice as many contacts.
	for _, tt := range []struct {
		contacts, changes int
		whole             bool
	}{{8, 8, false}, {9, 9, true}, {18, 9, true}, {19, 9, false}} {
		some := new(roster.MemoryStore)
		name := func(i int, name string) uint64 {
			v, err := some.Put(ctx, juliet, roster.Item{JID: contact(i), Name: name})
			require.NoError(t, err)
			return v
		}
		var known uint64
		for i := range tt.contacts {
			known = name(i, "old")
		}
		for i := range tt.changes {
			name(i, "new")
		}
		result, changes, err := roster.Answer(ctx, some, juliet, &roster.Query{Versioned: true, Ver: roster.FormatVersion(known)})
		require.NoError(t, err)
		require.Equal(t, tt.whole, result != nil, "%+v", tt)
		if !tt.whole {
			require.Len(t, changes, tt.changes, "%+v", tt)
		}
	}

	// Many changes of a short roster are longer than the roster; of a long one not.
	for i := range 10 {
		put(roster.Item{JID: jid.MustParse(fmt.Sprintf("c%d@x", i)), Added: true})
	}
	result, _ = answer(&roster.Query{Versioned: true, Ver: v3})
	require.NotNil(t, result)
	for i := range 30 {
		v3 = put(roster.Item{JID: jid.MustParse(fmt.Sprintf("c%d@x", i)), Added: true})
	}
	for i := range 10 {
		put(roster.Item{JID: jid.MustParse(fmt.Sprintf("c%d@x", i)), Name: "n"})
	}
	result, pushes = answer(&roster.Query{Versioned: true, Ver: v3})
	require.Nil(t, result)
	require.Len(t, pushes, 10)
}

// broken is a store that cannot be read.
type broken struct {
	roster.Store
	changes bool // but for this
}

var errBroken = errors.New("broken")

func (broken) Roster(context.Context, jid.JID) (roster.Roster, error) {
	return roster.Roster{}, errBroken
}

func (b broken) Changes(context.Context, jid.JID, uint64) ([]roster.Change, bool, error) {
	if !b.changes {
		return nil, false, errBroken
	}
	return make([]roster.Change, 100), true, nil
}

func TestAnswerStoreFails(t *testing.T) {
	for _, s := range []broken{{}, {changes: true}} {
		for _, get := range []*roster.Query{{}, {Versioned: true, Ver: "7"}} {
			_, _, err := roster.Answer(t.Context(), s, juliet, get)
			require.ErrorIs(t, err, errBroken)
		}
	}
}

// RFC 6121 §3.1.3 rule 4: the complete stanza, with extended content.
func TestKeepRequest(t *testing.T) {
	var p stanza.Presence
	require.NoError(t, p.DecodeElement(parse(t, `<presence xmlns='jabber:client' from='romeo@example.net/orchard' id='xk3h1v69' to='juliet@example.com/balcony' type='subscribe' xml:lang='en'>`+
		`<status>Let me in &amp; out</status><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>`)))
	kept := roster.KeepRequest(&p)
	require.Equal(t, romeo, p.From.Bare())
	require.True(t, p.From.IsFull(), "the stanza itself is left alone")
	item := roster.Item{JID: romeo, State: roster.PendingIn, Request: kept}
	got := item.Subscribe(juliet)
	require.Equal(t, `<presence id='xk3h1v69' from='romeo@example.net' to='juliet@example.com' type='subscribe' xml:lang='en'>`+
		`<status>Let me in &amp; out</status><nick xmlns='http://jabber.org/protocol/nick'>Romeo</nick></presence>`, wire(t, got))
	require.Equal(t, string(kept), string(item.Request), "reading does not change what is kept")

	bare := `<presence from='romeo@example.net' to='juliet@example.com' type='subscribe'/>`
	long := stanza.Presence{ID: "1", From: romeo, To: juliet, Type: stanza.SubscribePresence, Status: stanza.Plain(strings.Repeat("x", 8<<10))}
	item.Request = roster.KeepRequest(&long)
	require.Less(t, len(item.Request), 200)
	require.Equal(t, bare, wire(t, item.Subscribe(juliet)))
	for _, b := range []string{"", "garbage", "<presence xmlns='jabber:client' type='unsubscribed' from='romeo@example.net'/>", "<presence xmlns='jabber:client' type='subscribe' from='nurse@example.com'/>", "<iq xmlns='jabber:client'/>"} {
		item.Request = []byte(b)
		require.Equal(t, bare, wire(t, item.Subscribe(juliet)), b)
	}
	// Whoever it was for, it is delivered to the account.
	item.Request = []byte("<presence xmlns='jabber:client' type='subscribe' from='romeo@example.net' to='nurse@example.com'/>")
	require.Equal(t, bare, wire(t, item.Subscribe(juliet)))
	item.Request = []byte("<presence xmlns='jabber:client' type='subscribe' from='romeo@example.net' to='@'><status>x</status></presence>")
	require.Equal(t, bare, wire(t, item.Subscribe(juliet)))

	// At the bound, and what cannot be written at all.
	p = stanza.Presence{From: romeo, To: juliet, Type: stanza.SubscribePresence, Status: stanza.Plain("x")}
	p.Status = stanza.Plain(strings.Repeat("x", 8<<10-len(roster.KeepRequest(&p))+1))
	require.Len(t, roster.KeepRequest(&p), 8<<10)
	p.Status[0].Value += "x"
	require.Less(t, len(roster.KeepRequest(&p)), 200)
	p.Status = stanza.Plain("\x00")
	item.Request = roster.KeepRequest(&p)
	require.NotEmpty(t, item.Request)
	require.Equal(t, bare, wire(t, item.Subscribe(juliet)))
}
