package tls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

func TestRevocation(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"))
	key := mustEC(t)
	// Two certificates of one authority under different roots: two paths.
	rootB := made(t, nil, mustEC(t), ca("root B"))
	left := made(t, root, key, ca("middle"))
	right := made(t, rootB, key, ca("middle"), func(c *x509.Certificate) { c.DNSNames = []string{"right.example"} })
	leaf := made(t, left, mustEC(t), named("im.example"))
	chain := []*x509.Certificate{leaf.cert, left.cert, right.cert}
	ref, err := newReference(jid.MustParse("im.example"), serviceClient)
	require.NoError(t, err)
	unknown := errors.New("no list to be had")
	revoked := errors.Join(ErrRevoked, errors.New("on the list"))
	by := func(l, r error) checkerFunc {
		return func(path []*x509.Certificate) error {
			if path[1] == left.cert {
				return l
			}
			return r
		}
	}
	for _, tc := range []struct {
		what        string
		left, right error
		want        Verdict
		paths       int
		unsure      bool
	}{
		{"good", nil, nil, stream.Anchored, 2, false},
		{"one is good", revoked, nil, stream.Anchored, 1, false},
		{"one is good, and nothing is known about the other", unknown, nil, stream.Anchored, 1, false},
		{"revoked", revoked, revoked, stream.Anchored | stream.Revoked, 0, false},
		{"revoked, or nothing is known", revoked, unknown, stream.Anchored | stream.Revoked, 0, false},
		{"nothing is known", unknown, unknown, stream.Anchored, 2, true},
	} {
		v := &verifier{ref: ref, roots: poolOf(root.cert, rootB.cert), usages: serverUsages, now: time.Now, revocation: by(tc.left, tc.right)}
		p, err := v.judge(t.Context(), chain)
		require.Equal(t, tc.want, p.Verdict, tc.what)
		require.Len(t, p.Chains, tc.paths, tc.what)
		require.Equal(t, tc.unsure, p.RevocationErr != nil, tc.what)
		if tc.want.OK() {
			require.NoError(t, err, tc.what)
			continue
		}
		require.ErrorIs(t, err, ErrRevoked, tc.what)
		require.NotErrorIs(t, err, ErrUntrusted, tc.what)
		require.ErrorContains(t, err, "on the list", tc.what)
	}
	t.Run("a policy that insists", func(t *testing.T) {
		v := &verifier{ref: ref, roots: poolOf(root.cert), usages: serverUsages, now: time.Now, revocation: by(unknown, unknown),
			policy: PolicyFunc(func(_ context.Context, p *Presented) error { return errors.Join(p.Err, p.RevocationErr) })}
		_, err := v.judge(t.Context(), chain)
		require.ErrorIs(t, err, unknown)
		var cerr *CertificateError
		require.ErrorAs(t, err, &cerr)
		require.True(t, cerr.Verdict.OK())
	})
	t.Run("only paths to trusted roots", func(t *testing.T) {
		asked := false
		v := &verifier{ref: ref, roots: poolOf(), usages: serverUsages, now: time.Now,
			revocation: checkerFunc(func([]*x509.Certificate) error { asked = true; return nil })}
		_, err := v.judge(t.Context(), chain)
		require.ErrorIs(t, err, ErrUntrusted)
		require.False(t, asked)
	})
	t.Run("both sides", func(t *testing.T) {
		ca := newCA(t)
		checker := checkerFunc(func([]*x509.Certificate) error { return revoked })
		c, _ := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Revocation: checker}, certs(issue(t, ca, "im.example")))
		require.ErrorIs(t, c.err, ErrRevoked)
		server := certs(issue(t, ca, "im.example"))
		server.ClientCAs, server.Revocation = ca.Pool(), checker
		c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Certificates: []tls.Certificate{issue(t, ca, "peer.example")}}, server)
		require.NoError(t, c.err)
		require.NoError(t, s.err)
		require.False(t, s.sec.Verified)
		require.Equal(t, stream.Anchored|stream.Revoked, s.sec.Verdict)
	})
}

// checkerFunc is a function as a RevocationChecker.
type checkerFunc func(path []*x509.Certificate) error

func (f checkerFunc) CheckRevocation(_ context.Context, path []*x509.Certificate, _ time.Time) error {
	return f(path)
}

func TestPolicy(t *testing.T) {
	ca, other := newCA(t), newCA(t)
	no := errors.New("not this one")
	t.Run("sees everything", func(t *testing.T) {
		at := time.Now().Add(time.Hour)
		var got Presented
		c, _ := shake(t, "münchen.example", &ClientOptions{
			RootCAs: ca.Pool(), Target: "xmpp.hosting.example:5222",
			Config: &tls.Config{Time: func() time.Time { return at }},
			Policy: PolicyFunc(func(ctx context.Context, p *Presented) error {
				require.NoError(t, ctx.Err())
				got = *p
				return p.Err
			}),
		}, certs(issue(t, ca, "münchen.example")))
		require.NoError(t, c.err)
		require.Equal(t, "münchen.example", got.Domain.String())
		require.Equal(t, "xmpp.hosting.example:5222", got.Target)
		require.Equal(t, c.sec.PeerChain, got.Chain)
		require.Len(t, got.Chains, 1)
		require.Len(t, got.Chains[0], 2)
		require.True(t, got.Verdict.OK())
		require.NoError(t, got.Err)
		require.Equal(t, at, got.Now)
	})
	t.Run("the context ends with the handshake", func(t *testing.T) {
		var held context.Context
		type key struct{}
		ctx := context.WithValue(t.Context(), key{}, "of the handshake")
		side, err := (&ClientOptions{RootCAs: ca.Pool(), Policy: PolicyFunc(func(ctx context.Context, p *Presented) error {
			held = ctx
			return p.Err
		})}).prepare(jid.MustParse("im.example"))
		require.NoError(t, err)
		near, far := memPipe(t)
		done := make(chan error, 1)
		go func() {
			done <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{issue(t, ca, "im.example")}}).Handshake()
		}()
		_, _, err = clientHandshake(ctx, near, side)
		require.NoError(t, err)
		require.NoError(t, <-done)
		require.Equal(t, "of the handshake", held.Value(key{}))
		require.ErrorIs(t, held.Err(), context.Canceled)
	})
	t.Run("accepts per chain", func(t *testing.T) {
		// RFC 6120 §13.7.2.3: a person may be asked, and is shown the chain.
		cert, mistaken := issue(t, other, "im.example"), issue(t, other, "im.example")
		opts := &ClientOptions{RootCAs: ca.Pool(), Policy: PolicyFunc(func(_ context.Context, p *Presented) error {
			require.ErrorIs(t, p.Err, ErrUntrusted)
			require.Empty(t, p.Chains)
			if p.Chain[0].Equal(cert.Leaf) {
				return nil
			}
			return p.Err
		})}
		c, s := shake(t, "im.example", opts, certs(cert))
		require.NoError(t, c.err)
		require.NoError(t, s.err)
		require.True(t, c.sec.Verified)
		require.Equal(t, stream.UnknownAuthority, c.sec.Verdict)
		require.Equal(t, cert.Leaf.NotAfter, c.sec.Expires)
		c, _ = shake(t, "im.example", opts, certs(mistaken))
		require.ErrorIs(t, c.err, ErrUntrusted)
	})
	t.Run("refuses what has no fault", func(t *testing.T) {
		c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Policy: PolicyFunc(func(context.Context, *Presented) error { return no })},
			certs(issue(t, ca, "im.example")))
		require.ErrorIs(t, c.err, no)
		require.Error(t, s.err)
		var cerr *CertificateError
		require.ErrorAs(t, c.err, &cerr)
		require.True(t, cerr.Verdict.OK())
		require.Equal(t, "im.example", cerr.Domain)
		require.NotEmpty(t, cerr.Chain)
		for target := range verdictErrors {
			require.NotErrorIs(t, c.err, target)
		}
		require.EqualError(t, c.err, `xmpp/tls: certificate for "im.example" not accepted: "not this one"`)
	})
	t.Run("cannot change the verdict", func(t *testing.T) {
		c, _ := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Policy: PolicyFunc(func(_ context.Context, p *Presented) error {
			p.Verdict, p.Err, p.Chain = stream.Anchored, nil, nil
			return nil
		})}, certs(issue(t, other, "im.example")))
		require.NoError(t, c.err)
		require.Equal(t, stream.UnknownAuthority, c.sec.Verdict)
		require.Equal(t, []string{"im.example"}, c.sec.Identities)
	})
	t.Run("panics", func(t *testing.T) {
		oops := func() { panic("oops") }
		policy := PolicyFunc(func(context.Context, *Presented) error { oops(); return nil })
		checker := checkerFunc(func([]*x509.Certificate) error { oops(); return nil })
		for _, opts := range []*ClientOptions{{RootCAs: ca.Pool(), Policy: policy}, {RootCAs: ca.Pool(), Revocation: checker}} {
			c, s := shake(t, "im.example", opts, certs(issue(t, ca, "im.example")))
			var cerr *CertificateError
			require.ErrorAs(t, c.err, &cerr)
			var perr *stream.PanicError
			require.ErrorAs(t, c.err, &perr)
			require.Equal(t, "oops", perr.Value)
			require.ErrorIs(t, c.err, ErrUnacceptable)
			require.LessOrEqual(t, len(c.err.Error()), 1024)
			require.Error(t, s.err)
		}
		server := certs(issue(t, ca, "im.example"))
		for _, set := range []func(){
			func() { server.ClientCAs, server.ClientPolicy, server.Revocation = nil, policy, nil },
			func() { server.ClientCAs, server.ClientPolicy, server.Revocation = ca.Pool(), nil, checker },
		} {
			set()
			c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Certificates: []tls.Certificate{issue(t, ca, "peer.example")}}, server)
			require.NoError(t, c.err)
			require.NoError(t, s.err)
			require.False(t, s.sec.Verified)
			require.True(t, s.sec.Verdict.Has(stream.Unacceptable))
			require.Zero(t, s.sec.Expires)
		}
	})
	t.Run("for clients", func(t *testing.T) {
		// Without ClientCAs no authority is trusted, least of all the system's.
		server := certs(issue(t, ca, "im.example"))
		pinned := issue(t, other, "peer.example")
		server.ClientPolicy = PolicyFunc(func(_ context.Context, p *Presented) error {
			require.True(t, p.Domain.IsZero())
			require.Empty(t, p.Chains)
			if p.Chain[0].Equal(pinned.Leaf) {
				return nil
			}
			return p.Err
		})
		for _, tc := range []struct {
			cert tls.Certificate
			want bool
		}{{pinned, true}, {issue(t, other, "peer.example"), false}} {
			c, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool(), Certificates: []tls.Certificate{tc.cert}}, server)
			require.NoError(t, c.err)
			require.NoError(t, s.err)
			require.Equal(t, tc.want, s.sec.Verified)
			require.Equal(t, stream.UnknownAuthority, s.sec.Verdict)
			require.Equal(t, tc.want, !s.sec.Expires.IsZero())
		}
		_, s := shake(t, "im.example", &ClientOptions{RootCAs: ca.Pool()}, server)
		require.NoError(t, s.err)
		require.Zero(t, s.sec.Verdict)
		require.False(t, s.sec.Verified)
	})
	t.Run("ends the handshake with its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ca := newCA(t)
			side, err := (&ClientOptions{RootCAs: ca.Pool(), Policy: PolicyFunc(func(ctx context.Context, _ *Presented) error {
				<-ctx.Done() // whoever it asks does not answer
				return ctx.Err()
			})}).prepare(jid.MustParse("im.example"))
			require.NoError(t, err)
			near, far := memPipe(t)
			done := make(chan error, 1)
			go func() {
				done <- tls.Server(far, &tls.Config{Certificates: []tls.Certificate{issue(t, ca, "im.example")}}).Handshake()
			}()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			_, _, err = clientHandshake(ctx, near, side)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 5*time.Second, time.Since(start))
			near.Close()
			<-done
		})
	})
}

func TestExpires(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"), days(-10, 30))
	long := made(t, root, mustEC(t), ca("long"), days(-5, 20))
	leaf := made(t, long, mustEC(t), named("im.example"), days(-5, 25))
	young := made(t, long, mustEC(t), named("im.example"), days(-5, 15))
	for _, tc := range []struct {
		what  string
		leaf  *issuer
		paths [][]*x509.Certificate
		v     Verdict
		want  time.Time
	}{
		{"the leaf is first", young, [][]*x509.Certificate{{young.cert, long.cert, root.cert}}, stream.Anchored, young.cert.NotAfter},
		{"the intermediate is first", leaf, [][]*x509.Certificate{{leaf.cert, long.cert, root.cert}}, stream.Anchored, long.cert.NotAfter},
		{"the longest path", leaf, [][]*x509.Certificate{{leaf.cert, long.cert, root.cert}, {leaf.cert, root.cert}}, stream.Anchored, leaf.cert.NotAfter},
		{"no path", leaf, nil, stream.SelfSigned, leaf.cert.NotAfter},
		{"it was not valid anyway", leaf, nil, stream.SelfSigned | stream.WrongTime, time.Time{}},
	} {
		p := &Presented{Chain: []*x509.Certificate{tc.leaf.cert}, Chains: tc.paths, Verdict: tc.v}
		require.Equal(t, tc.want, p.expires(), tc.what)
	}
}

func TestOwnCertificate(t *testing.T) {
	dev := newCA(t)
	mine := issue(t, dev, "peer.example")
	asking := certs(issue(t, dev, "im.example"))
	asking.ClientCAs = dev.Pool()
	elsewhere := certs(issue(t, dev, "im.example"))
	elsewhere.ClientCAs = poolOf(made(t, nil, mustEC(t), ca("elsewhere")).cert)
	get := func(cert *tls.Certificate) *tls.Config {
		return &tls.Config{GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }}
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for name, tc := range map[string]struct {
			client ClientOptions
			server *ServerOptions
			sent   bool
		}{
			"asked":                {ClientOptions{Certificates: []tls.Certificate{mine}}, asking, true},
			"asked, in the Config": {ClientOptions{Config: &tls.Config{Certificates: []tls.Certificate{mine}}}, asking, true},
			"asked, by a callback": {ClientOptions{Config: get(&mine)}, asking, true},
			"callback has none":    {ClientOptions{Config: get(new(tls.Certificate))}, asking, false},
			"the callback decides": {ClientOptions{Config: get(new(tls.Certificate)), Certificates: []tls.Certificate{mine}}, asking, false},
			"none":                 {ClientOptions{}, asking, false},
			"not asked":            {ClientOptions{Certificates: []tls.Certificate{mine}}, certs(issue(t, dev, "im.example")), false},
			"asked for another":    {ClientOptions{Certificates: []tls.Certificate{mine}}, elsewhere, false},
		} {
			t.Run(tls.VersionName(version)+"/"+name, func(t *testing.T) {
				client := tc.client
				client.RootCAs = dev.Pool()
				config := client.Config.Clone()
				if config == nil {
					config = new(tls.Config)
				}
				config.MaxVersion = version
				client.Config = config
				c, s := shake(t, "im.example", &client, tc.server)
				require.NoError(t, c.err)
				require.NoError(t, s.err)
				require.Equal(t, tc.sent, c.sec.OwnCertificate)
				require.Equal(t, tc.sent, len(s.sec.PeerChain) > 0)
				require.True(t, s.sec.OwnCertificate)
			})
		}
	}
}

func TestCertificateErrorText(t *testing.T) {
	long := strings.Repeat("é\x1b", 10_000)
	leaf := holding(san(dnsName(strings.Repeat("x\x1b", 10_000)), xmppName(long), dnsName("a"), dnsName("b"), dnsName("c")))
	for v := range Verdict(1 << 7) {
		for _, e := range []*CertificateError{
			{Verdict: v},
			{Verdict: v, Domain: long, Chain: []*x509.Certificate{leaf}, Cause: errors.New(long)},
			{Verdict: v, Chain: []*x509.Certificate{{}}},
		} {
			s := e.Error()
			require.LessOrEqual(t, len(s), 1024)
			require.NotContains(t, s, "\x1b")
			if !v.OK() {
				require.Contains(t, s, v.String())
			}
			require.Equal(t, e.Cause, e.Unwrap())
			require.False(t, e.Is(errors.New("other")))
			require.False(t, e.Is(nil))
		}
	}
	leaf = holding(san(dnsName("a.example"), xmppName("b.example"), dnsName("c.example"), dnsName("d.example"), dnsName("e.example")))
	e := &CertificateError{Verdict: stream.SelfSigned | stream.WrongName, Domain: "im.example", Chain: []*x509.Certificate{leaf}}
	require.EqualError(t, e, `xmpp/tls: certificate for "im.example" not accepted: self-signed, wrong name `+
		`(it presents "a.example", "b.example", "c.example", "d.example" and 1 more)`)
	e.Chain[0] = new(x509.Certificate)
	require.ErrorContains(t, e, "(it presents no name)")
	e.Chain[0] = holding(nil)
	require.ErrorContains(t, e, "(it presents names that cannot be read)")
	e = &CertificateError{Verdict: stream.Anchored | stream.WrongTime, Cause: errors.New("too old")}
	require.EqualError(t, e, `xmpp/tls: certificate not accepted: anchored, wrong time: "too old"`)
}
