package mam_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stanza/mam"
)

const (
	allMessages = "<query xmlns='urn:xmpp:mam:2' queryid='f27'/>"
	formType    = "<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>"
)

// filtered is a query with fields and something after the form.
func filtered(fields string, more ...string) string {
	return "<query xmlns='urn:xmpp:mam:2' queryid='f27'><x xmlns='jabber:x:data' type='submit'>" + formType + fields + "</x>" +
		strings.Join(more, "") + "</query>"
}

func field(name string, values ...string) string {
	s := "<field var='" + name + "'>"
	for _, v := range values {
		s += "<value>" + v + "</value>"
	}
	return s + "</field>"
}

func set(inside string) string {
	return "<set xmlns='http://jabber.org/protocol/rsm'>" + inside + "</set>"
}

// filledServer has n messages from romeo to juliet, with the texts m0, m1 and so on;
// it returns their ids.
func filledServer(t *testing.T, m *mam.Module, n int) (*server, []string) {
	t.Helper()
	s := newServer(t, m)
	for i := range n {
		s.chat(orchard, juliet, fmt.Sprintf("m%d", i))
	}
	var ids []string
	for _, e := range s.archive(juliet) {
		ids = append(ids, e.ID)
	}
	return s, ids
}

// XEP-0313 examples 2 to 4: results, then the end.
func TestQuery(t *testing.T) {
	s := newServer(t, &mam.Module{})
	s.chat(orchard, juliet, "Call me but love")
	s.chat(balcony, romeo, "What man art thou")
	entries := s.archive(juliet)
	for _, to := range []jid.JID{{}, juliet} {
		reply, results := s.ask(balcony, to, stanza.SetIQ, allMessages)
		require.Len(t, results, 2)
		for i, xml := range results {
			msg := element(t, xml)
			require.Equal(t, "juliet@capulet.lit", msg.Attr("from"))
			require.Equal(t, "juliet@capulet.lit/balcony", msg.Attr("to"))
			r := resultOf(t, xml)
			require.Equal(t, "f27", r.QueryID)
			require.Equal(t, entries[i].ID, r.ID)
			require.True(t, entries[i].Time.Equal(r.Time), "the stamp is that of the archive")
			require.Equal(t, entries[i].From, r.Message.From)
			require.Equal(t, entries[i].To, r.Message.To)
		}
		f := finOf(t, reply)
		require.True(t, f.Complete)
		require.False(t, f.Unstable)
		require.Equal(t, entries[0].ID, f.Page.First)
		require.Equal(t, entries[1].ID, f.Page.Last)
		require.Equal(t, 0, *f.Page.Index)
		require.Equal(t, 2, *f.Page.Count)
	}
	// Only the resource that asked gets them, and without a queryid if it gave none.
	_, results := s.ask(chamber, juliet, stanza.SetIQ, "<query xmlns='urn:xmpp:mam:2'/>")
	require.Len(t, results, 2)
	require.NotContains(t, results[0], "queryid")
	require.Contains(t, results[0], "to='juliet@capulet.lit/chamber'")
	require.Empty(t, s.errs)
}

// XEP-0313 §4.1: an empty archive is no error.
func TestQueryEmpty(t *testing.T) {
	s := newServer(t, &mam.Module{})
	reply, results := s.ask(balcony, juliet, stanza.SetIQ, allMessages)
	require.Empty(t, results)
	f := finOf(t, reply)
	require.True(t, f.Complete)
	require.Empty(t, f.Page.First)
	require.Equal(t, 0, *f.Page.Count)
}

// XEP-0313 §4.1, examples 5 to 11.
func TestQueryFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, &mam.Module{})
		start := time.Now().UTC()
		for i, from := range []jid.JID{orchard, kitchen, orchard, balcony} {
			to := juliet
			if i == 3 {
				to = romeo
			}
			s.chat(from, to, fmt.Sprintf("m%d", i))
			<-time.After(time.Minute)
		}
		at := func(n int) string { return start.Add(time.Duration(n) * time.Minute).Format(time.RFC3339Nano) }
		var ids []string
		for _, e := range s.archive(juliet) {
			ids = append(ids, e.ID)
		}
		for _, tt := range []struct{ fields, want string }{
			{"", "m0 m1 m2 m3"},
			{field("with", "romeo@montague.lit"), "m0 m2 m3"},
			{field("with", "romeo@montague.lit/orchard"), "m0 m2"},
			{field("with", "juliet@capulet.lit"), ""},
			{field("with"), "m0 m1 m2 m3"},
			{field("start", at(1)), "m1 m2 m3"},
			{field("end", at(1)), "m0 m1"},
			{field("start", at(1)) + field("end", at(2)), "m1 m2"},
			{field("start", at(1)) + field("with", "romeo@montague.lit"), "m2 m3"},
			{field("after-id", ids[1]), "m2 m3"},
			{field("before-id", ids[1]), "m0"},
			{field("after-id", ids[0]) + field("before-id", ids[3]), "m1 m2"},
			{field("ids", ids[2], ids[0]), "m0 m2"},
			{field("ids", ids[2]) + field("with", "nurse@capulet.lit"), ""},
			{field("include-groupchat", "true"), "m0 m1 m2 m3"},
			{field("include-groupchat", "0"), "m0 m1 m2 m3"},
		} {
			reply, results := s.ask(balcony, jid.JID{}, stanza.SetIQ, filtered(tt.fields))
			require.Equal(t, tt.want, strings.Join(bodies(t, results), " "), tt.fields)
			require.True(t, finOf(t, reply).Complete)
		}
	})
}

// XEP-0313 §4.3 and XEP-0059 §2.
func TestQueryPages(t *testing.T) {
	s, ids := filledServer(t, &mam.Module{MaxPage: 4}, 10)
	for _, tt := range []struct {
		set, want string
		complete  bool
		index     int
	}{
		{"", "m0 m1 m2 m3", false, 0},
		{set(""), "m0 m1 m2 m3", false, 0},
		{set("<max>2</max>"), "m0 m1", false, 0},
		{set("<max>200</max>"), "m0 m1 m2 m3", false, 0},
		{set("<max>3</max><after>" + ids[6] + "</after>"), "m7 m8 m9", true, 7},
		{set("<after>" + ids[3] + "</after>"), "m4 m5 m6 m7", false, 4},
		{set("<max>3</max><before/>"), "m7 m8 m9", false, 7},
		{set("<max>3</max><before>" + ids[2] + "</before>"), "m0 m1", true, 0},
		{set("<max>3</max><index>5</index>"), "m5 m6 m7", false, 5},
		{set("<max>3</max><index>10</index>"), "", true, 0},
		{set("<max>0</max>"), "", false, 0},
	} {
		for _, flip := range []string{"", "<flip-page/>"} {
			reply, results := s.ask(balcony, jid.JID{}, stanza.SetIQ, "<query xmlns='urn:xmpp:mam:2'>"+tt.set+flip+"</query>")
			got := bodies(t, results)
			if flip != "" { // §4.3.4: the same results in reverse order
				got = reversed(got)
			}
			require.Equal(t, tt.want, strings.Join(got, " "), tt.set)
			f := finOf(t, reply)
			require.Equal(t, tt.complete, f.Complete, tt.set)
			require.Equal(t, 10, *f.Page.Count)
			if tt.want == "" {
				require.Empty(t, f.Page.First)
				continue
			}
			require.Equal(t, tt.index, *f.Page.Index)
			require.Equal(t, ids[tt.index], f.Page.First, "first and last are not flipped")
			require.Equal(t, ids[tt.index+len(results)-1], f.Page.Last)
		}
	}
}

// A page is bounded in octets too, and has one result at least.
func TestQueryPageBytes(t *testing.T) {
	s, _ := filledServer(t, &mam.Module{PageBytes: 1}, 3)
	reply, results := s.ask(balcony, jid.JID{}, stanza.SetIQ, allMessages)
	require.Len(t, results, 1)
	require.False(t, finOf(t, reply).Complete)

	s = newServer(t, &mam.Module{})
	for range 4 {
		s.chat(orchard, juliet, strings.Repeat("x", 100<<10))
	}
	_, results = s.ask(balcony, jid.JID{}, stanza.SetIQ, allMessages)
	require.Len(t, results, 2, "256 KiB")
}

func TestQueryErrors(t *testing.T) {
	s, ids := filledServer(t, &mam.Module{}, 3)
	long := strings.Repeat("x", 1025)
	many := make([]string, mam.MaxIDs+1)
	for i := range many {
		many[i] = ids[0]
	}
	for _, tt := range []struct {
		xml  string
		want stanza.Condition
	}{
		// §4.1.3, §4.3.2: MUST return item-not-found.
		{filtered(field("after-id", "x")), stanza.ItemNotFound},
		{filtered(field("before-id", "x")), stanza.ItemNotFound},
		{filtered(field("ids", ids[0], "x")), stanza.ItemNotFound},
		{filtered(field("after-id", long)), stanza.ItemNotFound},
		{filtered(field("ids", long)), stanza.ItemNotFound},
		{"<query xmlns='urn:xmpp:mam:2'>" + set("<after>x</after>") + "</query>", stanza.ItemNotFound},
		{"<query xmlns='urn:xmpp:mam:2'>" + set("<before>x</before>") + "</query>", stanza.ItemNotFound},
		// §4.1.5: MUST respond with feature-not-implemented.
		{filtered(field("{http://example.com/}free-text-search", "x")), stanza.FeatureNotImplemented},
		{"<query xmlns='urn:xmpp:mam:2' node='x'/>", stanza.FeatureNotImplemented},
		{filtered(field("start", "yesterday")), stanza.BadRequest},
		{filtered(field("end", "2010-07-10")), stanza.BadRequest},
		{filtered(field("with", "@")), stanza.BadRequest},
		{filtered(field("include-groupchat", "maybe")), stanza.BadRequest},
		{filtered(field("ids", many...)), stanza.ResourceConstraint},
		{"<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'/></query>", stanza.BadRequest},
		{"<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:other</value></field></x></query>", stanza.BadRequest},
		{"<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='cancel'>" + formType + "</x></query>", stanza.BadRequest},
		{"<query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='nonsense'/></query>", stanza.BadRequest},
		{filtered("", filtered("")[strings.Index(filtered(""), "<x "):strings.Index(filtered(""), "</query>")]), stanza.BadRequest},
		{"<query xmlns='urn:xmpp:mam:2'>" + set("<max>-1</max>") + "</query>", stanza.BadRequest},
		{"<query xmlns='urn:xmpp:mam:2'>" + set("") + set("") + "</query>", stanza.BadRequest},
		// §4.3.2: what both mean together is not defined.
		{"<query xmlns='urn:xmpp:mam:2'>" + set("<before/><after>"+ids[0]+"</after>") + "</query>", stanza.BadRequest},
		{"<query xmlns='urn:xmpp:mam:2' queryid='" + long + "'/>", stanza.BadRequest},
	} {
		s.refused(tt.want, balcony, jid.JID{}, stanza.SetIQ, tt.xml)
	}
	require.Empty(t, s.errs)
}

// XEP-0313 §8.1: an archive is for its owner.
func TestForbidden(t *testing.T) {
	s, _ := filledServer(t, &mam.Module{}, 3)
	const prefs = "<prefs xmlns='urn:xmpp:mam:2' default='never'/>"
	for _, tt := range []struct {
		typ stanza.IQType
		xml string
	}{
		{stanza.SetIQ, allMessages}, {stanza.GetIQ, "<query xmlns='urn:xmpp:mam:2'/>"}, {stanza.GetIQ, "<metadata xmlns='urn:xmpp:mam:2'/>"},
		{stanza.GetIQ, "<prefs xmlns='urn:xmpp:mam:2'/>"}, {stanza.SetIQ, prefs},
	} {
		s.refused(stanza.Forbidden, kitchen, juliet, tt.typ, tt.xml)
		s.refused(stanza.Forbidden, kitchen, balcony, tt.typ, tt.xml)
		s.refused(stanza.Forbidden, capulet, jid.JID{}, tt.typ, tt.xml)
		s.refused(stanza.ServiceUnavailable, kitchen, capulet, tt.typ, tt.xml)
		// Who may not see her presence does not learn that she has an account.
		for from, want := range map[jid.JID]stanza.Condition{orchard: stanza.Forbidden, kitchen: stanza.ServiceUnavailable} {
			reply, results := s.askOn(&s.public, from, juliet, tt.typ, tt.xml)
			require.Equal(t, want, reply.Error.Condition)
			require.Empty(t, results)
		}
	}
	p, err := s.m.Store.Prefs(t.Context(), juliet)
	require.NoError(t, err)
	require.Nil(t, p)
}

// A client that is gone gets no further results.
func TestQueryGone(t *testing.T) {
	s, _ := filledServer(t, &mam.Module{}, 3)
	s.broken = net.ErrClosed
	s.refused(stanza.InternalServerError, balcony, juliet, stanza.SetIQ, allMessages)
	require.ErrorIs(t, s.errs[0], net.ErrClosed)
}

// A store that fails is not the client's business; one that cannot do something says so.
func TestQueryStore(t *testing.T) {
	b := &broken{Store: new(mam.MemoryStore)}
	s := newServer(t, &mam.Module{Store: b})
	b.query = errStore
	s.refused(stanza.InternalServerError, balcony, juliet, stanza.SetIQ, allMessages)
	require.ErrorIs(t, s.errs[0], errStore)
	b.query = mam.ErrIndex
	s.refused(stanza.FeatureNotImplemented, balcony, juliet, stanza.SetIQ, allMessages)
	b.prefs = errStore
	s.refused(stanza.InternalServerError, balcony, juliet, stanza.GetIQ, "<prefs xmlns='urn:xmpp:mam:2'/>")
}

// XEP-0313 §3.2: a message that was removed leaves its place.
func TestQueryRedacted(t *testing.T) {
	s, ids := filledServer(t, &mam.Module{}, 3)
	require.NoError(t, s.m.Store.Redact(t.Context(), juliet, ids[1]))
	_, results := s.ask(balcony, jid.JID{}, stanza.SetIQ, allMessages)
	require.Len(t, results, 3)
	r := resultOf(t, results[1])
	require.Equal(t, ids[1], r.ID)
	require.Nil(t, r.Message)
	require.False(t, r.Time.IsZero())
}

// XEP-0313 examples 13 and 14.
func TestFields(t *testing.T) {
	s := newServer(t, &mam.Module{})
	reply, _ := s.ask(balcony, jid.JID{}, stanza.GetIQ, "<query xmlns='urn:xmpp:mam:2'/>")
	require.Equal(t, stanza.ResultIQ, reply.Type)
	el, ok := reply.Element().Child(form.Name)
	require.True(t, ok)
	var d form.Data
	require.NoError(t, d.DecodeElement(el))
	require.Equal(t, form.Form, d.Type)
	require.Equal(t, mam.NS, d.FormType())
	for name, typ := range map[string]form.FieldType{
		"with": form.JIDSingle, "start": form.TextSingle, "end": form.TextSingle, "before-id": form.TextSingle,
		"after-id": form.TextSingle, "ids": form.ListMulti, "include-groupchat": form.Bool,
	} {
		require.Equal(t, typ, d.Field(name).Type, name)
		require.False(t, d.Field(name).Required, "MUST NOT be required")
	}
	require.Empty(t, d.Field("ids").Options)
	require.Equal(t, form.Open, d.Field("ids").Validation.Method)
}

// XEP-0313 §5.
func TestMetadata(t *testing.T) {
	s, ids := filledServer(t, &mam.Module{}, 3)
	reply, _ := s.ask(balcony, jid.JID{}, stanza.GetIQ, "<metadata xmlns='urn:xmpp:mam:2'/>")
	var md mam.Metadata
	require.NoError(t, md.DecodeElement(reply.Element()))
	require.Equal(t, ids[0], md.Start.ID)
	require.Equal(t, ids[2], md.End.ID)
	require.True(t, s.archive(juliet)[0].Time.Equal(md.Start.Time))
	reply, _ = s.ask(kitchen, jid.JID{}, stanza.GetIQ, "<metadata xmlns='urn:xmpp:mam:2'/>")
	require.Equal(t, "<metadata xmlns='urn:xmpp:mam:2'/>", xmlOf(t, reply.Element()))
	s.refused(stanza.ServiceUnavailable, balcony, jid.JID{}, stanza.SetIQ, "<metadata xmlns='urn:xmpp:mam:2'/>")
}

// XEP-0441 §2.1.
func TestPrefsRequests(t *testing.T) {
	const updated = "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague.lit</jid></always>" +
		"<never><jid>montague@montague.lit</jid></never></prefs>"
	s := newServer(t, &mam.Module{})
	get := func() string {
		reply, _ := s.ask(balcony, juliet, stanza.GetIQ, "<prefs xmlns='urn:xmpp:mam:2'/>")
		require.Equal(t, stanza.ResultIQ, reply.Type)
		return xmlOf(t, reply.Element())
	}
	require.Equal(t, "<prefs xmlns='urn:xmpp:mam:2' default='always'><always/><never/></prefs>", get())
	s.refused(stanza.FeatureNotImplemented, balcony, juliet, stanza.SetIQ, updated) // no roster
	require.NoError(t, s.m.Attach(rosterHost{host: s.host, contact: romeo}))
	reply, _ := s.ask(balcony, juliet, stanza.SetIQ, updated)
	require.Equal(t, updated, xmlOf(t, reply.Element()))
	require.Equal(t, updated, get())
	many := strings.Repeat("<jid>a@b</jid><jid>c@d</jid>", 400)
	for i := range 1001 {
		many += fmt.Sprintf("<jid>u%d@b</jid>", i)
	}
	for xml, want := range map[string]stanza.Condition{
		"<prefs xmlns='urn:xmpp:mam:2'/>":                                                       stanza.BadRequest,
		"<prefs xmlns='urn:xmpp:mam:2' default='sometimes'/>":                                   stanza.BadRequest,
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>@</jid></always></prefs>":   stanza.JIDMalformed,
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><always>" + many + "</always></prefs>":   stanza.ResourceConstraint,
		"<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid/></always><never/></prefs>": stanza.JIDMalformed,
	} {
		s.refused(want, balcony, juliet, stanza.SetIQ, xml)
	}
	require.Equal(t, updated, get())
	full := newServer(t, &mam.Module{Store: &mam.MemoryStore{MaxBytes: 1}})
	full.refused(stanza.ResourceConstraint, balcony, juliet, stanza.SetIQ, "<prefs xmlns='urn:xmpp:mam:2' default='never'/>")
}
