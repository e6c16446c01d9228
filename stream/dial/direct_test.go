package dial_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
)

const directName = "_xmpps-client._tcp.im.example."

// XEP-0368 §2, §4: the records of direct TLS, by the rules of RFC 2782 and
// RFC 6120 §3.2, and never those of STARTTLS.
func TestDirectTLS(t *testing.T) {
	addrs := map[string][]string{
		"im.example.": {"192.0.2.1"}, "plain.example.": {"192.0.2.11"}, "x1.example.": {"192.0.2.21"}, "x2.example.": {"192.0.2.22"},
	}
	plain := []*net.SRV{record("plain.example.", 5222, 1)}
	broken := &net.DNSError{Err: "server misbehaving", Name: directName, IsTemporary: true}
	everything := []string{
		"192.0.2.1:5222", "192.0.2.1:5223", "192.0.2.11:5222", "192.0.2.21:443", "192.0.2.22:5223", "192.0.2.9:5223", "192.0.2.9:443",
	}
	for name, c := range map[string]struct {
		domain, server string
		srv            map[string][]*net.SRV
		srvErr         map[string]error
		down           string
		want           string // the target, empty for an error
		source         dial.Source
		err            error
	}{
		"its record": {
			srv:  map[string][]*net.SRV{srvName: plain, directName: {record("x1.example.", 443, 10)}},
			want: "x1.example:443 (192.0.2.21)", source: dial.SRV,
		},
		"by priority": {
			srv:  map[string][]*net.SRV{directName: {record("x2.example.", 5223, 20), record("x1.example.", 443, 10)}},
			want: "x1.example:443 (192.0.2.21)", source: dial.SRV,
		},
		"the next one": {
			srv:  map[string][]*net.SRV{directName: {record("x2.example.", 5223, 20), record("x1.example.", 443, 10)}},
			down: "192.0.2.21:443", want: "x2.example:5223 (192.0.2.22)", source: dial.SRV,
		},
		"none can be reached": {
			srv:  map[string][]*net.SRV{srvName: plain, directName: {record("x1.example.", 443, 10)}},
			down: "192.0.2.21:443", err: errRefused,
		},
		"no record":        {srv: map[string][]*net.SRV{srvName: plain}, want: "im.example:5223 (192.0.2.1)", source: dial.Fallback},
		"server failure":   {srvErr: map[string]error{directName: broken}, want: "im.example:5223 (192.0.2.1)", source: dial.Fallback},
		"dot":              {srv: map[string][]*net.SRV{srvName: plain, directName: {record(".", 0, 0)}}, err: dial.ErrNotAvailable},
		"literal":          {domain: "192.0.2.1", want: "192.0.2.1:5223", source: dial.Literal},
		"configured":       {server: "192.0.2.9", want: "192.0.2.9:5223", source: dial.Configured},
		"configured, port": {server: "192.0.2.9:443", want: "192.0.2.9:443", source: dial.Configured},
	} {
		t.Run(name, func(t *testing.T) {
			n := &network{up: set(everything...)}
			delete(n.up, c.down)
			z := &zone{srv: c.srv, srvErr: c.srvErr, addrs: addrs}
			if c.domain == "" {
				c.domain = "im.example"
			}
			conn, target, err := dial.Client(t.Context(), jid.MustParse(c.domain), &dial.Options{
				Server: c.server, TLS: dial.DirectTLS, Resolver: z, Dialer: n,
			})
			require.NotContains(t, strings.Join(z.queries, " "), "_xmpp-client")
			require.NotContains(t, n.dialled, "192.0.2.1:5222")
			require.NotContains(t, n.dialled, "192.0.2.11:5222")
			if c.want == "" {
				require.ErrorIs(t, err, c.err)
				var e *dial.Error
				require.True(t, errors.As(err, &e))
				for _, a := range e.Attempts {
					require.True(t, a.Target.DirectTLS)
				}
				require.Equal(t, c.err == dial.ErrNotAvailable, len(n.dialled) == 0)
				return
			}
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			require.Equal(t, c.want, target.String())
			require.Equal(t, c.source, target.Source)
			require.True(t, target.DirectTLS)
		})
	}
}

// Who wants STARTTLS does not look at the records of direct TLS.
func TestWithoutDirectTLS(t *testing.T) {
	z := &zone{
		srv:   map[string][]*net.SRV{directName: {record("x1.example.", 443, 1)}},
		addrs: map[string][]string{"im.example.": {"192.0.2.1"}, "x1.example.": {"192.0.2.21"}},
	}
	n := &network{up: set("192.0.2.1:5222", "192.0.2.21:443")}
	conn, target, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{TLS: dial.StartTLS, Resolver: z, Dialer: n})
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	require.Equal(t, "im.example:5222 (192.0.2.1)", target.String())
	require.False(t, target.DirectTLS)
	require.NotContains(t, strings.Join(z.queries, " "), "_xmpps-client")
}
