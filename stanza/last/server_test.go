package last_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/last"
	"stanzakit.dev/xmpp/stream"
)

// server is a host with one account, juliet, whose presence romeo may see.
type server struct {
	stanza.Host
	connected bool
	at        time.Time
	presence  string
	err       error
}

func (*server) Domains() []jid.JID {
	return []jid.JID{jid.MustParse("capulet.com"), jid.MustParse("chat.capulet.com")}
}

func (s *server) Exists(_ context.Context, account jid.JID) (bool, error) {
	return account.Local() == "juliet", s.err
}

func (s *server) Resources(jid.JID) []stanza.Resource {
	if s.connected {
		return make([]stanza.Resource, 1)
	}
	return nil
}

func (s *server) MaySee(_ context.Context, account, viewer jid.JID) (bool, error) {
	return viewer.Bare() == account || account.Local() == "juliet" && viewer.Local() == "romeo", s.err
}

func (s *server) LastSeen(context.Context, jid.JID) (time.Time, *stream.Element, error) {
	if s.presence == "" {
		return s.at, nil, s.err
	}
	el, err := stream.ParseElement([]byte(s.presence), nil)
	return s.at, el, errors.Join(err, s.err)
}

// answers records replies.
type answers struct{ sent []string }

func (a *answers) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	a.sent = append(a.sent, string(b))
	return err
}

func (*answers) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) { return nil, errors.New("no") }

// serve asks a module that is attached to h, at its Mux for its own accounts or at
// the one for others.
func serve(t *testing.T, m *last.Server, public bool, request string) string {
	t.Helper()
	var mux stanza.Mux
	if public {
		require.NoError(t, m.RegisterPublic(&mux))
	} else {
		require.NoError(t, m.Register(&mux))
	}
	el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client'"+request[len("<iq"):]), nil)
	require.NoError(t, err)
	st, err := stanza.Decode(el)
	require.NoError(t, err)
	a := new(answers)
	_ = stanza.Dispatch(t.Context(), &mux, a, st) // what is left over is for the log
	require.Len(t, a.sent, 1)
	return a.sent[0]
}

const (
	// XEP-0012 examples 1 and 3.
	romeoAsks = `<iq from='romeo@montague.net/orchard' id='last1' to='juliet@capulet.com' type='get'><query xmlns='jabber:iq:last'/></iq>`
	answered  = `<iq id='last1' from='juliet@capulet.com' to='romeo@montague.net/orchard' type='result'><query xmlns='jabber:iq:last' `
)

func notTold(typ string, c stanza.Condition) string {
	return `<iq id='last1' from='juliet@capulet.com' to='romeo@montague.net/orchard' type='error'><error type='` + typ + `'><` + string(c) +
		` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`
}

// XEP-0012 §3, examples 3 to 5.
func TestServerAccount(t *testing.T) {
	for name, tt := range map[string]struct {
		host *server
		ask  string
		want string
	}{
		"example 5": {&server{presence: "<presence xmlns='jabber:client' type='unavailable'><show>xa</show><status>Heading Home</status></presence>"},
			romeoAsks, answered + `seconds='903'>Heading Home</query></iq>`},
		"example 2: without words":  {&server{presence: "<presence xmlns='jabber:client' type='unavailable'><status xmlns='x'>no</status></presence>"}, romeoAsks, answered + `seconds='903'/></iq>`},
		"the connection just broke": {&server{}, romeoAsks, answered + `seconds='903'/></iq>`},
		"as many words as there may": {&server{presence: "<presence xmlns='jabber:client'><status>" + strings.Repeat("x", 4095) + "éé</status></presence>"},
			romeoAsks, answered + `seconds='903'>` + strings.Repeat("x", 4095) + `</query></iq>`},
		"connected":    {&server{connected: true, presence: "<presence xmlns='jabber:client'><status>old</status></presence>"}, romeoAsks, answered + `seconds='0'/></iq>`},
		"never":        {&server{at: time.Unix(0, 0)}, romeoAsks, notTold("cancel", stanza.ItemNotFound)},
		"out of order": {&server{err: errors.New("database is down")}, romeoAsks, notTold("cancel", stanza.InternalServerError)},
		"example 4": {&server{connected: true}, strings.ReplaceAll(romeoAsks, "romeo", "tybalt"),
			strings.ReplaceAll(notTold("cancel", stanza.ServiceUnavailable), "romeo", "tybalt")},
		"a client is not asked here": {&server{connected: true}, strings.ReplaceAll(romeoAsks, "juliet@capulet.com", "juliet@capulet.com/balcony"),
			strings.ReplaceAll(notTold("cancel", stanza.ServiceUnavailable), "juliet@capulet.com", "juliet@capulet.com/balcony")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if tt.host.at.IsZero() {
					tt.host.at = time.Now()
				} else {
					tt.host.at = time.Time{}
				}
				m := new(last.Server)
				require.NoError(t, m.Attach(tt.host))
				<-time.After(903*time.Second + 900*time.Millisecond)
				require.Equal(t, tt.want, serve(t, m, true, tt.ask))
			})
		})
	}
	// A clock that was set back.
	m := new(last.Server)
	require.NoError(t, m.Attach(&server{at: time.Now().Add(time.Hour)}))
	require.Equal(t, answered+`seconds='0'/></iq>`, serve(t, m, true, romeoAsks))
}

// XEP-0012 §5, examples 10 and 11, and an account that asks about itself.
func TestServerItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(last.Server)
		require.NoError(t, m.Attach(&server{connected: true}))
		<-time.After(123456 * time.Second)
		ask := func(to string) string {
			return serve(t, m, false, `<iq from='juliet@capulet.com/balcony' id='last3'`+to+` type='get'><query xmlns='jabber:iq:last'/></iq>`)
		}
		require.Equal(t, `<iq id='last3' from='capulet.com' to='juliet@capulet.com/balcony' type='result'><query xmlns='jabber:iq:last' seconds='123456'/></iq>`, ask(" to='capulet.com'"))
		require.Contains(t, ask(" to='chat.capulet.com'"), "seconds='123456'")
		require.Contains(t, ask(""), "seconds='0'")
		require.Contains(t, ask(" to='juliet@capulet.com'"), "seconds='0'")
		for _, other := range []string{"montague.net", "romeo@capulet.com", "juliet@capulet.com/balcony", "capulet.com/x"} {
			require.Contains(t, ask(" to='"+other+"'"), "<service-unavailable", other)
		}
	})
}

// XEP-0012 §4, examples 6 and 7: whose requests do not reach a client.
func TestServerClients(t *testing.T) {
	const query = "<query xmlns='jabber:iq:last'/>"
	for name, tt := range map[string]struct {
		from, to, typ, payload string
		err                    error
		want                   stanza.Verdict
	}{
		"example 6":             {"romeo@montague.net/orchard", "juliet@capulet.com/balcony", "get", query, nil, stanza.Pass()},
		"example 7":             {"tybalt@capulet.com/x", "juliet@capulet.com/balcony", "get", query, nil, stanza.Bounce(stanza.ServiceUnavailable)},
		"the account itself":    {"juliet@capulet.com/x", "juliet@capulet.com/balcony", "get", query, nil, stanza.Pass()},
		"no such account":       {"tybalt@capulet.com/x", "nurse@capulet.com/balcony", "get", query, nil, stanza.Bounce(stanza.ServiceUnavailable)},
		"the server":            {"tybalt@capulet.com/x", "capulet.com/x", "get", query, nil, stanza.Pass()},
		"somebody far away":     {"tybalt@capulet.com/x", "juliet@montague.net/balcony", "get", query, nil, stanza.Pass()},
		"another request":       {"tybalt@capulet.com/x", "juliet@capulet.com/balcony", "get", "<ping xmlns='urn:xmpp:ping'/>", nil, stanza.Pass()},
		"an answer":             {"tybalt@capulet.com/x", "juliet@capulet.com/balcony", "result", query, nil, stanza.Pass()},
		"answered on behalf of": {"tybalt@capulet.com/x", "juliet@capulet.com", "get", query, nil, stanza.Pass()},
	} {
		t.Run(name, func(t *testing.T) {
			m := new(last.Server)
			require.NoError(t, m.Attach(&server{err: tt.err}))
			el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client' id='x' type='"+tt.typ+"'>"+tt.payload+"</iq>"), nil)
			require.NoError(t, err)
			require.Equal(t, tt.want, m.BeforeRoute(t.Context(), &stanza.Transit{
				Kind: stanza.IQKind, Type: tt.typ, From: jid.MustParse(tt.from), To: jid.MustParse(tt.to), Element: el,
			}))
			require.Equal(t, stanza.Pass(), m.BeforeRoute(t.Context(), &stanza.Transit{Kind: stanza.MessageKind, Type: "normal"}))
		})
	}
	t.Run("nobody knows", func(t *testing.T) {
		m := new(last.Server)
		require.NoError(t, m.Attach(&server{err: errors.New("database is down")}))
		el, err := stream.ParseElement([]byte("<iq xmlns='jabber:client' id='x' type='get'>"+query+"</iq>"), nil)
		require.NoError(t, err)
		v := m.BeforeRoute(t.Context(), &stanza.Transit{
			Kind: stanza.IQKind, Type: "get", From: jid.MustParse("tybalt@capulet.com/x"), To: jid.MustParse("juliet@capulet.com/balcony"), Element: el,
		})
		require.Equal(t, stanza.ActionBounce, v.Action)
		require.ErrorIs(t, v.Err, stanza.InternalServerError)
	})
}

func TestServerModule(t *testing.T) {
	m := new(last.Server)
	require.ErrorIs(t, m.Register(new(stanza.Mux)), last.ErrHost)
	require.ErrorIs(t, m.RegisterPublic(new(stanza.Mux)), last.ErrHost)
	require.ErrorIs(t, m.Attach(forgetful{}), last.ErrHost)
	require.Equal(t, "last", m.Name())
	// §6, example 13.
	require.Equal(t, []string{"jabber:iq:last"}, m.Features())
}

// forgetful does not know when its accounts were there.
type forgetful struct{ stanza.Host }
