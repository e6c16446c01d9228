package caps_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/caps"
	"stanzakit.dev/xmpp/stream"
)

func TestAdversarial(t *testing.T) {
	t.Run("R13", adversarialR13)
}

// R13 (XEP-0115 §5.4, §8.3): what somebody answers who wants others to be taken
// for something that they are not. None of it is kept for anybody else, and the
// one who answers so is not asked again.
func adversarialR13(t *testing.T) {
	const head = "<query xmlns='http://jabber.org/protocol/disco#info'>"
	announce := func(hash, node, ver string) string {
		c := "<c xmlns='http://jabber.org/protocol/caps' node='" + node + "' ver='" + ver + "'"
		if hash != "" {
			c += " hash='" + hash + "'"
		}
		return c + "/>"
	}
	for _, tt := range []struct {
		name, c, answer string
		is              error
	}{
		{"hash mismatch", exodusC, head + "<identity category='client' type='pc'/><feature var='urn:evil'/></query>", caps.ErrMismatch},
		{"the answer of another node", exodusC, psi, stanza.BadRequest},
		{"10,000 identities", exodusC, head + strings.Repeat("<identity category='a' type='b'/>", 10_000) + "</query>", stanza.BadRequest},
		{"as many as are read", exodusC, head + strings.Repeat("<identity category='a' type='b'/>", 128) + "</query>", caps.ErrIllFormed},
		{
			// One identity whose name holds the separator, so that the string is that
			// of the real answer, whose features go missing.
			"injected '<' in an identity", exodusC,
			head + "<identity category='client' type='pc' name='Exodus 0.9.1&lt;http://jabber.org/protocol/caps&lt;" +
				"http://jabber.org/protocol/disco#info&lt;http://jabber.org/protocol/disco#items&lt;http://jabber.org/protocol/muc'/></query>",
			caps.ErrIllFormed,
		},
		{
			"injected '<' in a feature", exodusC,
			head + "<identity category='client' type='pc' name='Exodus 0.9.1'/><feature var='http://jabber.org/protocol/caps&lt;" +
				"http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items&lt;http://jabber.org/protocol/muc'/></query>",
			caps.ErrIllFormed,
		},
		{
			// §5.1: an escape that was escaped stays one.
			"an escape that looks like a '<'", exodusC,
			head + "<identity category='client' type='pc' name='Exodus 0.9.1&amp;lt;http://jabber.org/protocol/caps'/>" +
				"<feature var='http://jabber.org/protocol/disco#info'/><feature var='http://jabber.org/protocol/disco#items'/>" +
				"<feature var='http://jabber.org/protocol/muc'/></query>",
			caps.ErrMismatch,
		},
		{
			// §5.1: all sorting is by octets, and the parts of an identity are four.
			"a '/' moved from one part to the next", exodusC,
			head + "<identity category='client/pc' type='x' name='Exodus 0.9.1'/></query>",
			caps.ErrIllFormed,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Larger than a session lets through: the bounds below it hold by themselves.
			lim := &stream.Limits{Elements: 20_000, ElementBytes: 1 << 20}
			_, err := stream.ParseElement([]byte(tt.answer), lim)
			require.NoError(t, err)
			mem := new(caps.MemoryCache)
			tr := &caps.Tracker{Cache: mem}
			n := &network{t: t, lim: lim, answer: answers{romeo: tt.answer, nurse: exodus}}
			tr.Note(presence(t, romeo, stanza.AvailablePresence, tt.c))
			for range 2 {
				info, err := tr.Info(t.Context(), n, romeo)
				require.ErrorIs(t, err, tt.is)
				require.Nil(t, info)
			}
			require.Len(t, n.asked, 1)
			c, _ := tr.Announced(romeo)
			_, ok := mem.Get(t.Context(), c.Key())
			require.False(t, ok)

			// The next one who announces the same is asked, and believed.
			tr.Note(presence(t, nurse, stanza.AvailablePresence, tt.c))
			info, err := tr.Info(t.Context(), n, nurse)
			require.NoError(t, err)
			require.True(t, info.Has("http://jabber.org/protocol/muc"))
		})
	}

	// Two nodes: the same string stands for the same, whatever software claims it.
	t.Run("two nodes", func(t *testing.T) {
		tr := new(caps.Tracker)
		n := &network{t: t, answer: answers{romeo: exodus, nurse: psi}}
		tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
		tr.Note(presence(t, nurse, stanza.AvailablePresence, announce("sha-1", "http://psi-im.org", exodusVer)))
		a, err := tr.Info(t.Context(), n, romeo)
		require.NoError(t, err)
		b, err := tr.Info(t.Context(), n, nurse)
		require.NoError(t, err)
		require.Equal(t, a, b)
		require.Len(t, n.asked, 1)
	})
	// Two hash functions: a string of one is none of the other.
	t.Run("two hash functions", func(t *testing.T) {
		tr := new(caps.Tracker)
		n := &network{t: t, answer: answers{romeo: exodus, nurse: exodus}}
		n.answer[nurse] = strings.Replace(exodus, "node='http://code.google.com/p/exodus#"+exodusVer+"'", "", 1)
		tr.Note(presence(t, romeo, stanza.AvailablePresence, exodusC))
		tr.Note(presence(t, nurse, stanza.AvailablePresence, announce("sha-256", "http://psi-im.org", exodusVer)))
		_, err := tr.Info(t.Context(), n, romeo)
		require.NoError(t, err)
		_, err = tr.Info(t.Context(), n, nurse)
		require.ErrorIs(t, err, caps.ErrMismatch)
	})
	// The legacy format proves nothing: it is believed of the one who is asked.
	t.Run("legacy", func(t *testing.T) {
		mem := new(caps.MemoryCache)
		tr := &caps.Tracker{Cache: mem}
		n := &network{t: t, answer: answers{romeo: head + "<feature var='urn:evil'/></query>", nurse: head + "<feature var='urn:good'/></query>"}}
		tr.Note(presence(t, romeo, stanza.AvailablePresence, announce("", "http://psi-im.org", exodusVer)))
		tr.Note(presence(t, nurse, stanza.AvailablePresence, announce("", "http://psi-im.org", exodusVer)))
		info, err := tr.Info(t.Context(), n, romeo)
		require.NoError(t, err)
		require.True(t, info.Has("urn:evil"))
		info, err = tr.Info(t.Context(), n, nurse)
		require.NoError(t, err)
		require.Equal(t, []string{"urn:good"}, info.Features)
		for _, hash := range []string{"", "sha-1"} {
			_, ok := mem.Get(t.Context(), caps.Key{Hash: hash, Ver: exodusVer})
			require.False(t, ok)
		}
	})
}
