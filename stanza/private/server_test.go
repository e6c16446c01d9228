package private_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/private"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// XEP-0049 §2.3 and §4 with a whole server: what a client stores its account reads
// again, and nobody else.
func TestServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		s := xmpptest.NewServer(t, &xmpptest.Options{InMemory: true, Configure: func(s *xmpp.Server) {
			s.Modules = append(s.Modules, &private.Module{})
		}})
		hamlet, macbeth := s.Connect(t, "hamlet"), s.Connect(t, "macbeth")
		name := stream.Name{Space: "exodus:prefs", Local: "exodus"}
		el, err := stream.ParseElement([]byte("<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>"), nil)
		require.NoError(t, err)
		require.NoError(t, private.Set(ctx, hamlet, el))

		for _, conn := range []*stanza.Conn{hamlet, s.Connect(t, "hamlet")} {
			got, err := private.Get(ctx, conn, name)
			require.NoError(t, err)
			require.Equal(t, string(el.Inner()), string(got.Inner()))
		}
		got, err := private.Get(ctx, macbeth, name)
		require.NoError(t, err)
		require.Empty(t, got.Inner())
		// Of somebody else, whether he exists or not.
		query := stanza.XML(struct {
			XMLName struct{} `xml:"jabber:iq:private query"`
			Exodus  string   `xml:"exodus:prefs exodus"`
		}{})
		for _, typ := range []stanza.IQType{stanza.GetIQ, stanza.SetIQ} {
			_, err = macbeth.Do(ctx, &stanza.IQ{To: hamlet.LocalAddr().Bare(), Type: typ, Payload: query})
			require.ErrorIs(t, err, stanza.ServiceUnavailable)
		}
		_, err = macbeth.Do(ctx, &stanza.IQ{To: hamlet.LocalAddr().DomainJID(), Type: stanza.GetIQ, Payload: query})
		require.ErrorIs(t, err, stanza.Forbidden)
	})
}
