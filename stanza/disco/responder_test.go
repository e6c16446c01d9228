package disco_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/ping"
)

// sender records what a handler sends.
type sender struct{ sent []string }

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	if err == nil {
		s.sent = append(s.sent, string(b))
	}
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// ask dispatches a request to the responder and returns the answer.
func ask(t *testing.T, r *disco.Responder, request string) string {
	t.Helper()
	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, r))
	st, err := stanza.Decode(parse(t, inStream(request)))
	require.NoError(t, err)
	s := &sender{}
	require.NoError(t, stanza.Dispatch(t.Context(), &mux, s, st))
	require.Len(t, s.sent, 1)
	return s.sent[0]
}

// get is a request with addresses, either of which may be empty.
func get(from, to, query string) string {
	iq := "<iq type='get' id='1'"
	if from != "" {
		iq += " from='" + from + "'"
	}
	if to != "" {
		iq += " to='" + to + "'"
	}
	return iq + ">" + query + "</iq>"
}

const (
	infoQuery  = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
	itemsQuery = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
	musicInfo  = "<query xmlns='http://jabber.org/protocol/disco#info' node='music'/>"
	musicItems = "<query xmlns='http://jabber.org/protocol/disco#items' node='music'/>"

	unavailable = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	notFound    = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
)

// XEP-0030 examples 11 and 12: a client, whatever address it is asked by.
func TestClient(t *testing.T) {
	r := &disco.Responder{Self: &disco.Entity{
		Identities: []disco.Identity{{Category: "client", Type: "pc", Name: "Gabber"}},
		Modules:    []stanza.Module{ping.Responder(), silent{}, ping.Responder()},
		Features:   []string{"jabber:iq:version", "jabber:iq:time", "urn:xmpp:ping"},
	}}
	for _, to := range []string{"", "romeo@montague.net/orchard", "romeo@montague.net", "montague.net"} {
		got := ask(t, r, get("juliet@capulet.com/balcony", to, infoQuery))
		require.Contains(t, got, "<query xmlns='http://jabber.org/protocol/disco#info'>"+
			"<identity category='client' type='pc' name='Gabber'/>"+
			"<feature var='http://jabber.org/protocol/disco#info'/>"+
			"<feature var='http://jabber.org/protocol/disco#items'/>"+
			"<feature var='jabber:iq:time'/>"+
			"<feature var='jabber:iq:version'/>"+
			"<feature var='urn:xmpp:ping'/></query></iq>", "each once, sorted; to %q", to)
		// §4.1, example 17: no items is an empty list.
		require.Contains(t, ask(t, r, get("juliet@capulet.com/balcony", to, itemsQuery)), itemsQuery)
	}
	require.Contains(t, ask(t, r, get("a@b", "c@d/e", musicInfo)), notFound)
	require.Contains(t, ask(t, r, get("a@b", "c@d/e", musicItems)), notFound)
	// §9: a set is not part of the protocol any more.
	require.Contains(t, ask(t, r, "<iq type='set' id='1'>"+infoQuery+"</iq>"), unavailable)
	require.Equal(t, "disco", r.Name())
	require.Equal(t, []string{disco.NSInfo, disco.NSItems}, r.Features())
}

// silent is a module without features.
type silent struct{}

func (silent) Name() string               { return "nothing" }
func (silent) Register(*stanza.Mux) error { return nil }

// server is a server whose account juliet may be seen by romeo.
func server() *disco.Responder {
	return &disco.Responder{
		Self: &disco.Entity{
			Identities: []disco.Identity{{Category: "server", Type: "im"}},
			Features:   []string{"urn:server"},
			Items:      []disco.Item{{JID: jid.MustParse("plays.capulet.com"), Name: "Play-Specific Chatrooms"}},
		},
		Account: &disco.Entity{
			Features: []string{"urn:account"},
			ItemsFunc: func(_ context.Context, iq *stanza.IQ) ([]disco.Item, error) {
				account := iq.To
				if account.IsZero() {
					account = iq.From.Bare()
				}
				balcony, err := account.WithResource("balcony")
				return []disco.Item{{JID: balcony}}, err
			},
			Nodes: []disco.Node{{Name: "music"}},
		},
		MaySee: func(_ context.Context, account, viewer jid.JID) (bool, error) {
			if account == jid.MustParse("broken@capulet.com") {
				return true, errors.New("database")
			}
			return account == jid.MustParse("juliet@capulet.com") && viewer == jid.MustParse("romeo@montague.net"), nil
		},
	}
}

// The table of Responder: XEP-0030 §3.1 examples 5 and 6, §4.1 examples 18 and
// 19, §8 rule 1, RFC 6120 §10.3.3.
func TestServer(t *testing.T) {
	const (
		serverInfo = "<identity category='server' type='im'/><feature var='http://jabber.org/protocol/disco#info'/>" +
			"<feature var='http://jabber.org/protocol/disco#items'/><feature var='urn:server'/></query></iq>"
		serverItems = "<item jid='plays.capulet.com' name='Play-Specific Chatrooms'/></query></iq>"
		accountInfo = "<identity category='account' type='registered'/><feature var='http://jabber.org/protocol/disco#info'/>" +
			"<feature var='http://jabber.org/protocol/disco#items'/><feature var='urn:account'/></query></iq>"
		accountItems = "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='juliet@capulet.com/balcony'/></query></iq>"
		leaf         = "<query xmlns='http://jabber.org/protocol/disco#info' node='music'><identity category='hierarchy' type='leaf'/>"
		noMusic      = musicItems
	)
	for _, tt := range []struct {
		name, from, to                   string
		info, items, nodeInfo, nodeItems string
	}{
		{name: "the server", from: "romeo@montague.net/orchard", to: "capulet.com",
			info: serverInfo, items: serverItems, nodeInfo: notFound, nodeItems: notFound},
		{name: "the server with a resource", from: "romeo@montague.net/orchard", to: "capulet.com/x",
			info: serverInfo, items: serverItems, nodeInfo: notFound, nodeItems: notFound},
		{name: "the own account", from: "juliet@capulet.com/chamber", to: "juliet@capulet.com",
			info: accountInfo, items: accountItems, nodeInfo: leaf, nodeItems: noMusic},
		{name: "no address", from: "juliet@capulet.com/chamber", to: "",
			info: accountInfo, items: accountItems, nodeInfo: leaf, nodeItems: noMusic},
		{name: "somebody with a subscription", from: "romeo@montague.net/orchard", to: "juliet@capulet.com",
			info: accountInfo, items: accountItems, nodeInfo: leaf, nodeItems: noMusic},
		{name: "somebody without", from: "tybalt@capulet.com/x", to: "juliet@capulet.com",
			info: unavailable, items: unavailable, nodeInfo: unavailable, nodeItems: unavailable},
		{name: "an account that does not exist", from: "romeo@montague.net/orchard", to: "nobody@capulet.com",
			info: unavailable, items: unavailable, nodeInfo: unavailable, nodeItems: unavailable},
		{name: "nobody asks", from: "", to: "juliet@capulet.com",
			info: unavailable, items: unavailable, nodeInfo: unavailable, nodeItems: unavailable},
		{name: "a resource", from: "romeo@montague.net/orchard", to: "juliet@capulet.com/gone",
			info: unavailable, items: unavailable, nodeInfo: unavailable, nodeItems: unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := server()
			require.Contains(t, ask(t, r, get(tt.from, tt.to, infoQuery)), tt.info)
			require.Contains(t, ask(t, r, get(tt.from, tt.to, itemsQuery)), tt.items)
			require.Contains(t, ask(t, r, get(tt.from, tt.to, musicInfo)), tt.nodeInfo)
			require.Contains(t, ask(t, r, get(tt.from, tt.to, musicItems)), tt.nodeItems)
		})
	}
	t.Run("without MaySee, the account alone", func(t *testing.T) {
		r := server()
		r.MaySee = nil
		require.Contains(t, ask(t, r, get("juliet@capulet.com/chamber", "juliet@capulet.com", itemsQuery)), accountItems)
		require.Contains(t, ask(t, r, get("romeo@montague.net/orchard", "juliet@capulet.com", infoQuery)), unavailable)
		require.Contains(t, ask(t, r, get("romeo@montague.net/orchard", "juliet@capulet.com", itemsQuery)), unavailable)
	})
	t.Run("the answers about who is hidden and who is not there are the same", func(t *testing.T) {
		r := server()
		long := "<query xmlns='http://jabber.org/protocol/disco#info' node='" + strings.Repeat("x", 5000) + "'/>"
		require.Contains(t, ask(t, r, get("romeo@montague.net/orchard", "juliet@capulet.com", long)), "<bad-request ")
		for _, q := range []string{infoQuery, itemsQuery, musicInfo, musicItems, long} {
			nobody := ask(t, r, get("tybalt@capulet.com/x", "nobody@capulet.com", q))
			require.Contains(t, nobody, unavailable)
			for _, local := range []string{"juliet", "broken"} {
				hidden := ask(t, r, get("tybalt@capulet.com/x", local+"@capulet.com", q))
				require.Equal(t, nobody, strings.Replace(hidden, local, "nobody", 1))
			}
		}
	})
	t.Run("no Self", func(t *testing.T) {
		r := server()
		r.Self = nil
		require.Contains(t, ask(t, r, get("a@b", "capulet.com", infoQuery)), unavailable)
	})
	t.Run("For comes first", func(t *testing.T) {
		r := server()
		room := &disco.Entity{Identities: []disco.Identity{{Category: "conference", Type: "text"}}}
		r.For = func(_ context.Context, iq *stanza.IQ) (*disco.Entity, error) {
			switch iq.To.String() {
			case "room@plays.capulet.com":
				return room, nil
			case "locked@plays.capulet.com":
				return nil, stanza.Forbidden
			}
			return nil, nil
		}
		require.Contains(t, ask(t, r, get("a@b", "room@plays.capulet.com", infoQuery)), "<identity category='conference' type='text'/>")
		require.Contains(t, ask(t, r, get("a@b", "locked@plays.capulet.com", itemsQuery)), "<forbidden ")
		require.Contains(t, ask(t, r, get("a@b", "capulet.com", infoQuery)), serverInfo)
	})
}

// finder is a module with nodes.
type finder struct {
	silent
	err error
}

func (f finder) FindNode(_ context.Context, _ *stanza.IQ, node string) (*disco.Node, error) {
	if node != "found by a module" {
		return nil, f.err
	}
	return &disco.Node{Items: func(context.Context, *stanza.IQ) ([]disco.Item, error) {
		return []disco.Item{{JID: plays, Node: "x"}}, nil
	}}, nil
}

// XEP-0030 §3.2, §4.2, §4.3, §7: nodes, wherever they are found.
func TestNodes(t *testing.T) {
	shared := &disco.Info{Node: "not this", Identities: []disco.Identity{{Category: "automation", Type: "command-list"}}, Features: []string{disco.NSInfo}}
	e := &disco.Entity{
		Identities: []disco.Identity{{Category: "client", Type: "bot"}},
		Modules:    []stanza.Module{finder{}},
		Items:      []disco.Item{{JID: plays}},
		Nodes: []disco.Node{
			{Name: "http://jabber.org/protocol/commands", Info: func(context.Context, *stanza.IQ) (*disco.Info, error) { return shared, nil }},
			{Name: "gone", Info: func(context.Context, *stanza.IQ) (*disco.Info, error) { return nil, nil }},
			{Name: "secret",
				Info:  func(context.Context, *stanza.IQ) (*disco.Info, error) { return nil, stanza.NotAllowed },
				Items: func(context.Context, *stanza.IQ) ([]disco.Item, error) { return nil, stanza.NotAllowed }},
		},
		Find: func(_ context.Context, iq *stanza.IQ, node string) (*disco.Node, error) {
			switch node {
			case "found":
				return &disco.Node{}, nil
			case "refused":
				return nil, stanza.Forbidden
			}
			return nil, nil
		},
	}
	r := &disco.Responder{Self: e}
	for _, tt := range []struct{ node, info, items string }{
		{"http://jabber.org/protocol/commands", // examples 13 and 14
			"<query xmlns='http://jabber.org/protocol/disco#info' node='http://jabber.org/protocol/commands'>" +
				"<identity category='automation' type='command-list'/><feature var='http://jabber.org/protocol/disco#info'/></query>",
			"<query xmlns='http://jabber.org/protocol/disco#items' node='http://jabber.org/protocol/commands'/>"},
		{"gone", notFound, "<query xmlns='http://jabber.org/protocol/disco#items' node='gone'/>"},
		{"secret", "<not-allowed ", "<not-allowed "}, // example 28
		{"found", "<identity category='hierarchy' type='leaf'/>", "node='found'/>"},
		{"refused", "<forbidden ", "<forbidden "},
		{"found by a module", "<identity category='hierarchy' type='branch'/>", "<item jid='plays.shakespeare.lit' node='x'/>"},
		{"unknown", notFound, notFound},
		// R18: an empty node is none.
		{"", "<identity category='client' type='bot'/>", "<query xmlns='http://jabber.org/protocol/disco#items'><item jid='plays.shakespeare.lit'/></query>"},
	} {
		t.Run(tt.node, func(t *testing.T) {
			require.Contains(t, ask(t, r, get("a@b", "", "<query xmlns='http://jabber.org/protocol/disco#info' node='"+tt.node+"'/>")), tt.info)
			require.Contains(t, ask(t, r, get("a@b", "", "<query xmlns='http://jabber.org/protocol/disco#items' node='"+tt.node+"'/>")), tt.items)
		})
	}
	require.Equal(t, "not this", shared.Node, "what a function returns is not changed")
	long := "<query xmlns='http://jabber.org/protocol/disco#info' node='" + strings.Repeat("x", 5000) + "'/>"
	require.Contains(t, ask(t, r, get("a@b", "", long)), "<bad-request ")

	e.ItemsFunc = func(context.Context, *stanza.IQ) ([]disco.Item, error) { return nil, stanza.ResourceConstraint }
	require.Contains(t, ask(t, r, get("a@b", "", itemsQuery)), "<resource-constraint ")
	e.Modules = []stanza.Module{finder{err: stanza.Forbidden}}
	require.Contains(t, ask(t, r, get("a@b", "", musicInfo)), "<forbidden ")
}

// An entity that cannot be announced is found at registration.
func TestRegister(t *testing.T) {
	client := []disco.Identity{{Category: "client", Type: "pc"}}
	for name, r := range map[string]*disco.Responder{
		"nothing":          {},
		"no identity":      {Self: &disco.Entity{}},
		"bad identity":     {Self: &disco.Entity{Identities: []disco.Identity{{Category: "client"}}}},
		"empty feature":    {Self: &disco.Entity{Identities: client, Features: []string{""}}},
		"node, no name":    {Self: &disco.Entity{Identities: client, Nodes: []disco.Node{{}}}},
		"two nodes":        {Self: &disco.Entity{Identities: client, Nodes: []disco.Node{{Name: "a"}, {Name: "a"}}}},
		"a bad account":    {Account: &disco.Entity{Features: []string{""}}},
		"a bad account id": {Account: &disco.Entity{Identities: []disco.Identity{{Type: "x"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorIs(t, stanza.Install(new(stanza.Mux), r), disco.ErrEntity)
		})
	}
	var mux stanza.Mux
	r := server()
	require.NoError(t, stanza.Install(&mux, r))
	require.ErrorIs(t, stanza.Install(&mux, r), stanza.ErrRoute)
	// One identity of a kind and language is announced, the first (§3.1).
	e := &disco.Entity{Identities: append(client, disco.Identity{Category: "client", Type: "pc", Name: "x"})}
	require.Equal(t, client, e.Info().Identities)
}
