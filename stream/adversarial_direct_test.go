package stream

import (
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
)

// T16: the domain that a connection was secured for is the domain of the
// stream (XEP-0368 §2).
var _ = attack(
	adversarialRow{"T16", "server", testAcceptsWhatWasSecured},
	adversarialRow{"T16", "client", testOpensWhatWasSecured},
)

var (
	im, alias, other = jid.MustParse("im.example"), jid.MustParse("alias.example"), jid.MustParse("other.example")
	secureGoal       = Profile{ContentNS: NSClient, Goal: Secure, InsecureGoal: true}
)

func testAcceptsWhatWasSecured(t *testing.T) {
	for name, c := range map[string]struct {
		secured []jid.JID
		to      string
		from    string // of the answer
		refused bool
	}{
		"the domain":             {[]jid.JID{im}, "to='im.example'", "im.example", false},
		"none":                   {[]jid.JID{other}, "", "other.example", false},
		"another served":         {[]jid.JID{other}, "to='im.example'", "other.example", true},
		"one of several":         {[]jid.JID{im, alias}, "to='alias.example'", "alias.example", false},
		"none of several":        {[]jid.JID{im, alias}, "to='other.example'", "im.example", true},
		"not served":             {[]jid.JID{im}, "to='elsewhere.example'", "im.example", true},
		"secured for a stranger": {[]jid.JID{jid.MustParse("elsewhere.example")}, "to='elsewhere.example'", "elsewhere.example", true},
		"nothing is known":       {nil, "to='alias.example'", "alias.example", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := memconn.Pipe()
				defer near.Close()
				_, err := io.WriteString(near, `<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0' `+c.to+`>`)
				require.NoError(t, err)
				var heard []Security
				s, err := Accept(t.Context(), far, &AcceptOptions{
					Profile: secureGoal, Domains: []jid.JID{im, alias, other},
					Security: &Security{Version: tls.VersionTLS13, Domains: c.secured},
					Trace:    &Trace{Secured: func(s Security) { heard = append(heard, s) }},
				})
				require.Len(t, heard, 1, "the trace hears of TLS that is there already")
				require.Equal(t, c.secured, heard[0].Domains)
				if c.refused {
					require.ErrorIs(t, err, HostUnknown)
				} else {
					require.NoError(t, err)
					require.Equal(t, c.from, s.LocalAddr().String())
					s.Abort(errors.New("the test is over"))
				}
				wire, _ := io.ReadAll(near)
				require.Contains(t, string(wire), " from='"+c.from+"'")
				require.Equal(t, c.refused, strings.Contains(string(wire), "<host-unknown"))
			})
		})
	}
}

func testOpensWhatWasSecured(t *testing.T) {
	near, far := memconn.Pipe()
	s, err := Initiate(t.Context(), near, &InitiateOptions{
		To: other, Security: &Security{Version: tls.VersionTLS13, Verified: true, Domains: []jid.JID{im}},
	})
	require.Nil(t, s)
	require.ErrorIs(t, err, ErrOptions)
	require.ErrorContains(t, err, "im.example")
	wire, err := io.ReadAll(far)
	require.NoError(t, err, "the connection is closed")
	require.Empty(t, wire)
}
