package admin_test

import (
	"context"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/admin"
	"stanzakit.dev/xmpp/stanza/command"
	"stanzakit.dev/xmpp/stream"
)

var (
	bard   = jid.MustParse("bard@shakespeare.lit/globe")
	juliet = jid.MustParse("juliet@shakespeare.lit")
	iago   = jid.MustParse("iago@shakespeare.lit")
)

// account is a row of a user table.
type account struct {
	password string
	disabled bool
}

// table is a user table.
type table struct {
	mu   sync.Mutex
	rows map[jid.JID]account
	log  []string
	err  error // of everything
}

func (a *table) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.log = append(a.log, what)
}

// noted returns what was done since the last time.
func (a *table) noted() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.log
	a.log = nil
	return out
}

func (a *table) Create(_ context.Context, j jid.JID, password string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.rows[j]; ok {
		return admin.ErrExists
	}
	if a.err != nil {
		return a.err
	}
	if a.rows == nil {
		a.rows = make(map[jid.JID]account)
	}
	a.rows[j] = account{password: password}
	return nil
}

// change changes a row.
func (a *table) change(j jid.JID, what string, f func(*account)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	row, ok := a.rows[j]
	switch {
	case a.err != nil:
		return a.err
	case !ok:
		return admin.ErrUnknown
	}
	f(&row)
	a.rows[j] = row
	a.log = append(a.log, what+" "+j.Local())
	return nil
}

func (a *table) SetPassword(_ context.Context, j jid.JID, password string) error {
	return a.change(j, "password", func(r *account) { r.password = password })
}

func (a *table) Disable(_ context.Context, j jid.JID) error {
	return a.change(j, "disable", func(r *account) { r.disabled = true })
}

func (a *table) Enable(_ context.Context, j jid.JID) error {
	return a.change(j, "enable", func(r *account) { r.disabled = false })
}

func (a *table) Delete(_ context.Context, j jid.JID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.rows, j)
	a.log = append(a.log, "delete "+j.Local())
	return nil
}

func (a *table) Disabled(_ context.Context, j jid.JID) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rows[j].disabled, a.err
}

func (a *table) Count(context.Context) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.rows), a.err
}

func (a *table) List(_ context.Context, after jid.JID, limit int) ([]jid.JID, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := slices.SortedFunc(maps.Keys(a.rows), func(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) })
	all = slices.DeleteFunc(all, func(j jid.JID) bool { return j.String() <= after.String() })
	return all[:min(limit, len(all))], a.err
}

// host is a server.
type host struct {
	stanza.Host
	*table
	mu        sync.Mutex
	resources []*resource
	forget    error
}

func (*host) Domains() []jid.JID {
	return []jid.JID{jid.MustParse("shakespeare.lit"), jid.MustParse("globe.lit")}
}

func (h *host) Exists(_ context.Context, j jid.JID) (bool, error) {
	h.table.mu.Lock()
	defer h.table.mu.Unlock()
	_, ok := h.rows[j]
	return ok, h.err
}

func (h *host) Resources(j jid.JID) (out []stanza.Resource) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.resources {
		if j.IsZero() || r.addr.Bare() == j {
			out = append(out, r)
		}
	}
	return out
}

func (h *host) Forget(_ context.Context, j jid.JID) error {
	h.note("forget " + j.Local())
	return h.forget
}

func (h *host) connect(addrs ...string) {
	for _, a := range addrs {
		h.resources = append(h.resources, &resource{host: h, addr: jid.MustParse(a), there: true})
	}
}

// resource is a session.
type resource struct {
	stanza.Resource
	host  *host
	addr  jid.JID
	there bool
}

func (r *resource) Addr() jid.JID { return r.addr }

func (r *resource) Presence() *stream.Element {
	if r.there {
		return new(stream.Element)
	}
	return nil
}

func (r *resource) TrySend(st stream.Appender) error {
	b, err := st.AppendXML(nil)
	r.host.note(string(b))
	return err
}

func (r *resource) End(_ context.Context, reason *stream.Error) error {
	r.host.mu.Lock()
	r.host.resources = slices.DeleteFunc(r.host.resources, func(o *resource) bool { return o == r })
	r.host.mu.Unlock()
	r.host.note("end " + r.addr.String() + " " + string(reason.Condition))
	return nil
}

// bench is a server that administrators talk to.
type bench struct {
	*host
	t   testing.TB
	mux stanza.Mux
}

// start returns a server with two accounts, that bard administers.
func start(t testing.TB, m *admin.Module) *bench {
	t.Helper()
	b := &bench{t: t, host: &host{table: &table{rows: map[jid.JID]account{
		bard.Bare(): {password: "quill"}, juliet: {password: "R0m30"}, iago: {password: "honest"},
	}}}}
	if m.Accounts == nil {
		m.Accounts = b.table
	}
	if m.Admins == nil {
		m.Admins = []jid.JID{bard.Bare()}
	}
	require.NoError(t, m.Attach(b.host))
	require.NoError(t, stanza.Install(&b.mux, m))
	return b
}

// ask sends a request of somebody, and returns the reply.
func (b *bench) ask(from, xml string) string {
	b.t.Helper()
	el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client' from='"+from+"'"+xml[len("<iq"):]), nil)
	require.NoError(b.t, err)
	st, err := stanza.Decode(el)
	s := new(sender)
	if err != nil { // what a server does before any module
		require.NoError(b.t, s.Send(b.t.Context(), stanza.ErrorReply(st, err)))
		return s.sent[0]
	}
	_ = stanza.Dispatch(b.t.Context(), &b.mux, s, st) // what is left over is for the log
	require.Len(b.t, s.sent, 1)
	return s.sent[0]
}

const to = "to='shakespeare.lit' type='set'"

// execute begins a command.
func (b *bench) execute(node string) string {
	b.t.Helper()
	return b.ask(bard.String(), `<iq id='1' `+to+` xml:lang='en'><command xmlns='http://jabber.org/protocol/commands' action='execute' node='http://jabber.org/protocol/admin#`+node+`'/></iq>`)
}

var sessionID = regexp.MustCompile(`sessionid='([^']+)'`)

// submit answers the form of a command that was begun.
func (b *bench) submit(node, begun string, fields ...string) string {
	b.t.Helper()
	id := sessionID.FindStringSubmatch(begun)
	require.Len(b.t, id, 2, begun)
	return b.ask(bard.String(), `<iq id='2' `+to+` xml:lang='en'><command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#`+node+
		`' sessionid='`+id[1]+`'><x xmlns='jabber:x:data' type='submit'><field type='hidden' var='FORM_TYPE'><value>http://jabber.org/protocol/admin</value></field>`+
		strings.Join(fields, "")+`</x></command></iq>`)
}

// run does a command in two stages.
func (b *bench) run(node string, fields ...string) string {
	b.t.Helper()
	begun := b.execute(node)
	require.Contains(b.t, begun, "status='executing'")
	return b.submit(node, begun, fields...)
}

// field is a field of a submission.
func field(name string, values ...string) string {
	return "<field var='" + name + "'><value>" + strings.Join(values, "</value><value>") + "</value></field>"
}

// completed reports whether a reply says that a command was completed, and without
// a result.
func completed(reply string) bool {
	return strings.Contains(reply, "type='result'") && strings.Contains(reply, "status='completed'") && !strings.Contains(reply, "<x ") &&
		!strings.Contains(reply, "<note")
}

// sender records what a handler sends.
type sender struct{ sent []string }

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	s.sent = append(s.sent, string(b))
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// onlyHost cannot forget.
type onlyHost struct{ stanza.Host }

// rosters is a host that knows how large rosters are.
type rosters struct {
	*host
	err error
}

func (r *rosters) RosterSize(context.Context, jid.JID) (int, error) { return 123, r.err }

// nothing is a command.
func nothing(context.Context, *command.Session) error { return nil }

// parsed reads a stanza as it is in a stream of a client.
func parsed(b []byte) (*stream.Element, error) {
	_, rest, _ := strings.Cut(string(b), "<iq")
	return stream.ParseElement([]byte("<iq xmlns='jabber:client'"+rest), nil)
}

// deaf is a user table that knows little about who is disabled.
type deaf struct{ *table }

func (deaf) Enable(context.Context, jid.JID) error { return errors.New("not now") }

func (deaf) Disabled(context.Context, jid.JID) (bool, error) { return false, errors.New("not now") }
