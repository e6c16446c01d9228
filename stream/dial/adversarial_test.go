package dial_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/dial"
	xtls "stanzakit.dev/xmpp/tls"
)

// nameServer answers the queries of a real net.Resolver.
type nameServer struct {
	t       *testing.T
	answer  func(q dnsmessage.Question, b *dnsmessage.Builder) dnsmessage.RCode
	serving sync.WaitGroup

	mu   sync.Mutex
	seen []string
}

// resolver returns a resolver that asks s. Messages are framed as over TCP,
// since the connection is not one for packets.
func (s *nameServer) resolver() *net.Resolver {
	s.t.Cleanup(s.serving.Wait)
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		near, far := memconn.Pipe()
		s.serving.Go(func() { // ends when the resolver closes its end
			defer far.Close()
			for s.serve(far) == nil {
			}
		})
		return near, nil
	}}
}

func (s *nameServer) serve(conn net.Conn) error {
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	query := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, query); err != nil {
		return err
	}
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return err
	}
	q, err := p.Question()
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.seen = append(s.seen, q.Type.String()+" "+q.Name.String())
	s.mu.Unlock()
	build := func(rcode dnsmessage.RCode) (*dnsmessage.Builder, dnsmessage.RCode) {
		b := dnsmessage.NewBuilder([]byte{0, 0}, dnsmessage.Header{
			ID: header.ID, Response: true, RecursionAvailable: true, RCode: rcode,
		})
		b.EnableCompression()
		require.NoError(s.t, b.StartQuestions())
		require.NoError(s.t, b.Question(q))
		require.NoError(s.t, b.StartAnswers())
		return &b, s.answer(q, &b)
	}
	b, rcode := build(dnsmessage.RCodeSuccess)
	if rcode != dnsmessage.RCodeSuccess {
		b, _ = build(rcode)
	}
	out, err := b.Finish()
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint16(out, uint16(len(out)-2))
	_, err = conn.Write(out)
	return err
}

func (s *nameServer) asked(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, q := range s.seen {
		if q == what {
			return true
		}
	}
	return false
}

func header(name dnsmessage.Name) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 60}
}

// TestAdversarial runs with the resolver that programs use by default, against
// name servers that misbehave.
func TestAdversarial(t *testing.T) {
	t.Run("T18", testEndpointCertificate)
	t.Run("T19", func(t *testing.T) {
		for _, tc := range []struct {
			name string
			// records and rcode answer the SRV query.
			records []dnsmessage.SRVResource
			rcode   dnsmessage.RCode
			alias   string // answer with a CNAME to this name first
			both    bool   // answer the query for direct TLS in the same way
			// dialled is how many addresses are to be tried, fallback whether
			// those of the domain itself are.
			dialled  int
			fallback bool
			want     error
		}{
			{name: "dot", records: []dnsmessage.SRVResource{{Target: dnsmessage.MustNewName(".")}}, want: dial.ErrNotAvailable},
			{name: "dots", want: dial.ErrNotAvailable, records: []dnsmessage.SRVResource{
				{Target: dnsmessage.MustNewName(".")}, {Priority: 1, Target: dnsmessage.MustNewName(".")},
			}},
			{name: "dot and a target", dialled: 1, want: errRefused, records: []dnsmessage.SRVResource{
				{Target: dnsmessage.MustNewName(".")}, {Priority: 1, Port: 5222, Target: dnsmessage.MustNewName("x0.example.")},
			}},
			{name: "dots for both", both: true, records: []dnsmessage.SRVResource{{Target: dnsmessage.MustNewName(".")}}, want: dial.ErrNotAvailable},
			{name: "2000 records", both: true, records: flood(1000), dialled: 20, want: errRefused},
			{name: "1000 records", records: flood(1000), dialled: 20, want: errRefused},
			{name: "weights 0", records: flood(3), dialled: 3, want: errRefused},
			{name: "CNAME", alias: "elsewhere.example.", records: flood(1), dialled: 1, want: errRefused},
			{name: "NXDOMAIN", rcode: dnsmessage.RCodeNameError, fallback: true, dialled: 1, want: errRefused},
			{name: "no data", fallback: true, dialled: 1, want: errRefused},
			{name: "SERVFAIL", rcode: dnsmessage.RCodeServerFailure, fallback: true, dialled: 1, want: errRefused},
			{name: "REFUSED", rcode: dnsmessage.RCodeRefused, fallback: true, dialled: 1, want: errRefused},
		} {
			t.Run("client/"+tc.name, func(t *testing.T) {
				s := &nameServer{t: t}
				s.answer = func(q dnsmessage.Question, b *dnsmessage.Builder) dnsmessage.RCode {
					if q.Type == dnsmessage.TypeA {
						require.NoError(t, b.AResource(header(q.Name), dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}}))
					}
					if q.Type != dnsmessage.TypeSRV || q.Name.String() == directName && tc.rcode == dnsmessage.RCodeSuccess && !tc.both {
						return dnsmessage.RCodeSuccess
					}
					if tc.rcode != dnsmessage.RCodeSuccess {
						return tc.rcode
					}
					owner := q.Name
					if tc.alias != "" {
						target := dnsmessage.MustNewName(tc.alias)
						require.NoError(t, b.CNAMEResource(header(owner), dnsmessage.CNAMEResource{CNAME: target}))
						owner = target
					}
					for _, r := range tc.records {
						require.NoError(t, b.SRVResource(header(owner), r))
					}
					return dnsmessage.RCodeSuccess
				}
				n := &network{}
				conn, target, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{
					Resolver: s.resolver(), Dialer: n,
				})
				require.Nil(t, conn)
				require.Zero(t, target)
				require.ErrorIs(t, err, tc.want)
				require.LessOrEqual(t, len(err.Error()), 1024)
				require.True(t, s.asked("TypeSRV "+srvName))
				require.Equal(t, tc.fallback, s.asked("TypeA im.example."))
				require.Len(t, n.dialled, tc.dialled)
				var e *dial.Error
				require.ErrorAs(t, err, &e)
				require.Equal(t, "im.example", e.Domain)
				require.Len(t, e.Attempts, tc.dialled)
				// A server failure shows in the error; that there are no records
				// is nothing worth telling.
				broken := tc.rcode == dnsmessage.RCodeServerFailure || tc.rcode == dnsmessage.RCodeRefused
				require.Equal(t, broken, e.Lookup != nil, "%v", e.Lookup)
			})
		}

		t.Run("client/1000 addresses", func(t *testing.T) {
			z := &zone{addrs: map[string][]string{}}
			for i := range 1000 {
				z.addrs["im.example."] = append(z.addrs["im.example."], fmt.Sprintf("192.0.%d.%d", i/250, i%250))
			}
			n := &network{}
			_, _, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Resolver: z, Dialer: n})
			require.ErrorIs(t, err, errRefused)
			require.Len(t, n.dialled, 8)
		})

		t.Run("client/targets that are no names", func(t *testing.T) {
			z := &zone{srv: map[string][]*net.SRV{srvName: {
				record("a b\x1b[31m.example.", 1, 1), record(strings.Repeat("x", 70_000), 1, 2), record("..", 1, 3),
			}}}
			n := &network{}
			_, _, err := dial.Client(t.Context(), jid.MustParse("im.example"), &dial.Options{Resolver: z, Dialer: n})
			var e *dial.Error
			require.ErrorAs(t, err, &e)
			require.Len(t, e.Attempts, 3)
			require.Empty(t, n.dialled)
			require.NotContains(t, err.Error(), "\x1b")
			require.LessOrEqual(t, len(err.Error()), 1024)
			require.False(t, errors.Is(err, dial.ErrNotAvailable))
		})
	})
}

// testEndpointCertificate: the DNS says where to connect, whoever wrote it, and
// not whom to expect there: a certificate for the target alone is refused, and
// so it is after a redirect and behind a proxy.
func testEndpointCertificate(t *testing.T) {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	z := &zone{
		srv:   map[string][]*net.SRV{directName: {record("evil.example.", 443, 1)}},
		addrs: map[string][]string{"evil.example.": {"192.0.2.66"}},
	}
	redirected, err := new(dial.Redirects).Follow(
		&stream.Error{Condition: stream.SeeOtherHost, OtherHost: "evil.example:443", Received: true},
		dial.Target{Host: "x.example", Port: 443, DirectTLS: true}, true, &dial.Options{Resolver: z},
	)
	require.NoError(t, err)
	for name, opts := range map[string]*dial.Options{
		"SRV":      {Resolver: z},
		"Server":   {Resolver: z, Server: "192.0.2.66:443", TLS: dial.DirectTLS},
		"proxy":    {Resolver: z, ResolveAtDialer: true},
		"redirect": redirected,
	} {
		for names, good := range map[string]bool{"evil.example": false, "im.example": true} {
			cert, err := ca.Issue(names)
			require.NoError(t, err)
			opts.Dialer = serving{&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"xmpp-client"}}}
			asked := 0
			err = dial.Connect(t.Context(), im, opts, func(ctx context.Context, conn net.Conn, target dial.Target) (bool, error) {
				asked++
				require.True(t, target.DirectTLS)
				secured, _, err := xtls.ClientHandshake(ctx, conn, im, &xtls.ClientOptions{RootCAs: ca.Pool()})
				if err != nil {
					return true, err
				}
				return false, secured.Close()
			})
			require.Equal(t, 1, asked)
			if good {
				require.NoError(t, err, name)
				continue
			}
			require.ErrorAs(t, err, new(*xtls.CertificateError), name)
		}
	}
}

// serving is a dialer that leads to a TLS server, wherever it is asked to go.
type serving struct{ config *tls.Config }

func (s serving) DialContext(context.Context, string, string) (net.Conn, error) {
	near, far := memconn.Pipe()
	go func() { // ends with the other end
		defer far.Close()
		_, _ = io.Copy(io.Discard, tls.Server(far, s.config))
	}()
	return near, nil
}

func flood(n int) (out []dnsmessage.SRVResource) {
	for i := range n {
		out = append(out, dnsmessage.SRVResource{Port: 5222, Target: dnsmessage.MustNewName(fmt.Sprintf("x%d.example.", i))})
	}
	return out
}
