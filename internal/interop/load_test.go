package interop_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/xmpptest"
)

// loadTarget starts a server in this process that takes what the generator sends, with as many accounts.
func loadTarget(t *testing.T, accounts int) (*target, *xmpp.Server) {
	var server *xmpp.Server
	s := xmpptest.NewServer(t, &xmpptest.Options{Configure: func(s *xmpp.Server) {
		server = s
		s.Accounts.(*xmpp.MemoryAccounts).Iterations = sasl.MinIterations
		s.Handler = nil // messages are for their receivers
		s.InsecureAllowPlaintext = true
		s.Auth = &auth.ServerOptions{AllowPlain: true, InsecureWithoutTLS: true, InsecurePlainWithoutTLS: true}
		s.Rates = xmpp.Rates{Stanzas: stream.Unlimited, Bytes: stream.Unlimited}
		s.Modules = []stanza.Module{&register.Module{Accounts: s.Accounts.(*xmpp.MemoryAccounts), InsecureWithoutTLS: true}}
	}})
	o := &target{addr: s.Addr, domain: s.Domain.String(), password: "pw", cache: new(sasl.MemoryKeyCache)}
	for i := range accounts {
		require.NoError(t, registerAccount(t.Context(), o, account(i)))
	}
	// Each further session of the test has TLS or not.
	o.secure = &tls.Config{RootCAs: s.CA.Pool(), ServerName: o.domain}
	return o, server
}

// The generator counts exactly, with a server that is known to deliver.
func TestLoad(t *testing.T) {
	secured, server := loadTarget(t, 5)
	plain := *secured
	plain.secure = nil
	withPLAIN := *secured
	withPLAIN.mechanism = "PLAIN"
	const enough = 100
	for name, make := range map[string]func(ctx context.Context, o *target) (*traffic, error){
		"messages":            func(ctx context.Context, o *target) (*traffic, error) { return messages(ctx, o, 2, 3) },
		"messages, window 1":  func(ctx context.Context, o *target) (*traffic, error) { return messages(ctx, o, 2, 1) },
		"logins, SCRAM-SHA-1": func(ctx context.Context, o *target) (*traffic, error) { return logins(ctx, o, 2) },
	} {
		for kind, o := range map[string]*target{"TLS": secured, "plain": &plain, "TLS and PLAIN": &withPLAIN} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				x, err := make(t.Context(), o)
				require.NoError(t, err)
				require.NoError(t, x.received.wait(x.ctx, enough))
				require.NoError(t, x.finish())
				require.Equal(t, x.sent.Load(), x.received.n.Load())
				require.GreaterOrEqual(t, x.received.n.Load(), int64(enough))
			})
		}
	}
	t.Run("fanout", func(t *testing.T) {
		x, err := fanout(t.Context(), &plain, 4, 2)
		require.NoError(t, err)
		require.NoError(t, x.received.wait(x.ctx, enough))
		require.NoError(t, x.finish())
		require.Equal(t, x.sent.Load(), x.received.n.Load())
		require.Zero(t, x.sent.Load()%4)
	})
	t.Run("sessions", func(t *testing.T) {
		wires, err := sessions(t.Context(), secured, 5)
		require.NoError(t, err)
		require.Len(t, server.Sessions(jid.JID{}), 5)
		for _, w := range wires {
			require.NoError(t, w.leave())
		}
	})
	t.Run("what the server refuses", func(t *testing.T) {
		wrong := plain
		wrong.password, wrong.cache = "wrong", nil
		_, err := sessions(t.Context(), &wrong, 1)
		require.ErrorContains(t, err, "not-authorized")
		require.ErrorContains(t, registerAccount(t.Context(), &plain, account(0)), "conflict")
	})
}

// A message that does not arrive, or arrives twice, is noticed.
func TestLoadMiscount(t *testing.T) {
	o, _ := loadTarget(t, 2)
	for _, off := range []int{-1, 1} {
		x, err := messages(t.Context(), o, 1, 2)
		require.NoError(t, err)
		require.NoError(t, x.received.wait(x.ctx, 10))
		x.halt()
		x.senders.Wait()
		x.received.n.Add(int64(off))
		if off < 0 { // it would wait for long
			x.fail(errors.New("tired of waiting"))
		}
		require.Error(t, x.finish())
	}
}

// Tokens are found wherever a read cuts them.
func TestScan(t *testing.T) {
	text := strings.Repeat("<message><body>x</body></message><presence/></messag></message>", 40)
	for cut := range len(text) {
		var n atomic.Int64
		err := scan(strings.NewReader(text[cut:]), []byte(text[:cut]), "</message>", func(k int) { n.Add(int64(k)) })
		require.ErrorIs(t, err, io.EOF)
		require.EqualValues(t, 80, n.Load(), "cut at %d", cut)
	}
	for _, read := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
		n := 0
		require.ErrorIs(t, scan(read(strings.NewReader(text)), nil, "</message>", func(k int) { n += k }), io.EOF)
		require.Equal(t, 80, n)
		err := scan(read(strings.NewReader(text+"<error type='cancel'/>"+text)), nil, "</message>", func(int) {})
		require.ErrorIs(t, err, errRefused)
	}
	// The end of the stream ends it, although the connection goes on.
	pr, pw := io.Pipe()
	defer pr.Close()
	go io.Copy(pw, bytes.NewBufferString(text+"</stream:stream>")) // ends when it has been read
	require.ErrorIs(t, scan(pr, nil, "</message>", func(int) {}), io.EOF)
}
