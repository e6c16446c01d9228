package disco_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/ping"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// host is a server with one account, whose resources and presence romeo may see.
type host struct {
	stanza.Host // nothing else is used

	resources []stanza.Resource
	err       error
}

func (h *host) Resources(account jid.JID) []stanza.Resource {
	if account != jid.MustParse("juliet@capulet.com") {
		return nil
	}
	return h.resources
}

func (h *host) MaySee(_ context.Context, account, viewer jid.JID) (bool, error) {
	return account == jid.MustParse("juliet@capulet.com") && viewer == jid.MustParse("romeo@montague.net"), h.err
}

// resource is a connected resource.
type resource struct {
	stanza.Resource

	addr      string
	available bool
}

func (r resource) Addr() jid.JID { return jid.MustParse(r.addr) }

func (r resource) Presence() *stream.Element {
	if !r.available {
		return nil
	}
	return new(stream.Element)
}

// XEP-0030 §3.1 examples 5 and 6, §4.1 examples 18 and 19, §8: what a module that
// is attached to a server knows without being told.
func TestAttached(t *testing.T) {
	h := &host{resources: []stanza.Resource{
		resource{addr: "juliet@capulet.com/chamber", available: true},
		resource{addr: "juliet@capulet.com/closet"},
		resource{addr: "juliet@capulet.com/balcony", available: true},
	}}
	const items = "<query xmlns='http://jabber.org/protocol/disco#items'>" +
		"<item jid='juliet@capulet.com/balcony'/><item jid='juliet@capulet.com/chamber'/></query>"
	r := &disco.Responder{}
	require.NoError(t, r.Attach(h))
	for _, addr := range [][2]string{
		{"juliet@capulet.com/x", ""}, {"juliet@capulet.com/x", "juliet@capulet.com"}, {"romeo@montague.net/orchard", "juliet@capulet.com"},
	} {
		require.Contains(t, ask(t, r, get(addr[0], addr[1], infoQuery)), "<identity category='account' type='registered'/>")
		require.Contains(t, ask(t, r, get(addr[0], addr[1], itemsQuery)), items)
	}
	for _, addr := range [][2]string{
		{"tybalt@capulet.com/x", "juliet@capulet.com"}, {"romeo@montague.net/orchard", "nobody@capulet.com"}, {"", "juliet@capulet.com"},
		{"juliet@capulet.com/x", "capulet.com"}, // no Self
	} {
		require.Contains(t, ask(t, r, get(addr[0], addr[1], infoQuery)), unavailable)
		require.Contains(t, ask(t, r, get(addr[0], addr[1], itemsQuery)), unavailable)
	}
	// Nobody asks about nobody: not about everybody.
	require.Contains(t, ask(t, r, get("", "", itemsQuery)), itemsQuery)

	// What the program adds, and what it decides itself.
	r.Account = &disco.Entity{
		Identities: []disco.Identity{{Category: "account", Type: "admin"}},
		ItemsFunc: func(context.Context, *stanza.IQ) ([]disco.Item, error) {
			return []disco.Item{{JID: plays}}, nil
		},
	}
	r.MaySee = func(_ context.Context, _, viewer jid.JID) (bool, error) {
		return viewer == jid.MustParse("montague.net"), nil // a trusted server
	}
	require.Contains(t, ask(t, r, get("montague.net", "juliet@capulet.com", infoQuery)), "<identity category='account' type='admin'/>")
	require.Contains(t, ask(t, r, get("montague.net", "juliet@capulet.com", itemsQuery)), "<item jid='juliet@capulet.com/chamber'/><item jid='plays.shakespeare.lit'/>")
	require.Contains(t, ask(t, r, get("romeo@montague.net/orchard", "juliet@capulet.com", infoQuery)), unavailable)
	r.Account.ItemsFunc = func(context.Context, *stanza.IQ) ([]disco.Item, error) { return nil, stanza.ResourceConstraint }
	require.Contains(t, ask(t, r, get("montague.net", "juliet@capulet.com", itemsQuery)), "<resource-constraint ")

	// A server that cannot tell keeps it to itself.
	h.err, r.MaySee = errors.New("database"), nil
	require.Contains(t, ask(t, r, get("romeo@montague.net/orchard", "juliet@capulet.com", infoQuery)), unavailable)
}

// A session with a server: the three kinds of address, over the wire.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			modules := []stanza.Module{ping.Responder()}
			s.Modules = append(modules, &disco.Responder{Self: &disco.Entity{
				Identities: []disco.Identity{{Category: "server", Type: "im", Name: "here"}},
				Modules:    modules,
			}})
		}})
		romeo, juliet := server.Connect(t, "romeo"), server.Connect(t, "juliet")
		me, other := romeo.LocalAddr(), juliet.LocalAddr()
		require.NoError(t, romeo.Send(t.Context(), new(stanza.Presence)))

		info, err := disco.GetInfo(t.Context(), romeo, server.Domain, "")
		require.NoError(t, err)
		require.Equal(t, []disco.Identity{{Category: "server", Type: "im", Name: "here"}}, info.Identities)
		require.Equal(t, []string{disco.NSInfo, disco.NSItems, ping.NS}, info.Features)
		for _, account := range []jid.JID{{}, me.Bare()} {
			info, err = disco.GetInfo(t.Context(), romeo, account, "")
			require.NoError(t, err)
			require.True(t, info.Is("account", "registered"))
			items, err := disco.GetItems(t.Context(), romeo, account, "")
			require.NoError(t, err)
			require.Equal(t, []disco.Item{{JID: me}}, items.Items)
		}
		_, err = disco.GetInfo(t.Context(), romeo, server.Domain, "unknown")
		require.ErrorIs(t, err, stanza.ItemNotFound)
		// §8: neither an account that one may not see nor one that is not there.
		for _, account := range []jid.JID{other.Bare(), jid.MustParse("nobody@" + server.Domain.String())} {
			_, err = disco.GetInfo(t.Context(), romeo, account, "")
			require.ErrorIs(t, err, stanza.ServiceUnavailable)
			_, err = disco.GetItems(t.Context(), romeo, account, "")
			require.ErrorIs(t, err, stanza.ServiceUnavailable)
		}
	})
}
