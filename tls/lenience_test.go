package tls

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// Browsers' lists of authorities distrust some for what they have issued after a
// certain date, and x509.CertPool.AddCertWithConstraint is how Go programs follow
// them. To look a second time with other dates must not get around that.
func TestConstraintOfRootHolds(t *testing.T) {
	root := made(t, nil, mustEC(t), ca("root"), days(-1000, 1000))
	middle := made(t, root, mustEC(t), ca("middle"), days(-900, 900))
	im := named("im.example")
	expired := made(t, nil, mustEC(t), ca("expired"), days(-20, -10)).cert
	onlyOther := func(c *x509.Certificate) { c.DNSNames = nil; withSAN(xmppName("im.example"))(c) }
	distrusted := errors.New("issued after that authority was found to be careless")
	for what, tc := range map[string]struct {
		edits []edit
		more  []*x509.Certificate
		after int // day from which on the authority is distrusted
		want  Verdict
	}{
		"issued before":                   {[]edit{im, days(-200, 10)}, nil, -100, stream.Anchored},
		"issued before, looked at twice":  {[]edit{onlyOther, days(-200, 10)}, nil, -100, stream.Anchored},
		"issued before, expired":          {[]edit{im, days(-200, -10)}, nil, -100, stream.Anchored | stream.WrongTime},
		"issued after":                    {[]edit{im, days(-50, 10)}, nil, -100, stream.UnknownAuthority},
		"issued after, something expired": {[]edit{im, days(-50, 10)}, []*x509.Certificate{expired}, -100, stream.UnknownAuthority},
		"issued after, looked at twice":   {[]edit{onlyOther, days(-50, 10)}, nil, -100, stream.UnknownAuthority},
		"issued after, expired":           {[]edit{im, days(-50, -10)}, nil, -100, stream.UnknownAuthority | stream.WrongTime},
		"to be issued":                    {[]edit{im, days(50, 90)}, nil, -100, stream.UnknownAuthority | stream.WrongTime},
		"to be issued, and trusted till":  {[]edit{im, days(50, 90)}, nil, 20, stream.UnknownAuthority | stream.WrongTime},
		"to be issued, and trusted then":  {[]edit{im, days(50, 90)}, nil, 100, stream.Anchored | stream.WrongTime},
	} {
		roots := x509.NewCertPool()
		limit := time.Now().AddDate(0, 0, tc.after)
		roots.AddCertWithConstraint(root.cert, func(path []*x509.Certificate) error {
			if path[0].NotBefore.After(limit) {
				return distrusted
			}
			return nil
		})
		chain := append([]*x509.Certificate{made(t, middle, mustEC(t), tc.edits...).cert, middle.cert}, tc.more...)
		f := inspectPath(chain, roots, time.Now(), serverUsages)
		require.Equal(t, tc.want, f.verdict, "%s: %s", what, f.verdict)
	}
}

// A root that has expired leads to another time, and there the one that is
// trusted for old certificates only would take a young one for old.
func TestConstraintOfRootHoldsAtAnotherTime(t *testing.T) {
	key, other := mustEC(t), mustEC(t)
	root := made(t, nil, key, ca("root"), days(-1000, 1000))
	expired := made(t, nil, key, ca("root"), days(-1000, -300), named("expired.example"))
	limit := time.Now().AddDate(0, 0, -100)
	old := func(path []*x509.Certificate) error {
		if path[0].NotBefore.After(limit) {
			return errors.New("too young")
		}
		return nil
	}
	young := made(t, root, other, named("im.example"), days(-50, 50)).cert
	roots := x509.NewCertPool()
	roots.AddCertWithConstraint(root.cert, old)
	roots.AddCert(expired.cert)
	f := inspectPath([]*x509.Certificate{young}, roots, time.Now(), serverUsages)
	require.Equal(t, stream.Anchored|stream.WrongTime, f.verdict, f.verdict.String())
	require.Equal(t, [][]*x509.Certificate{{young, expired.cert}}, f.chains)

	roots = x509.NewCertPool()
	roots.AddCertWithConstraint(root.cert, old)
	roots.AddCertWithConstraint(expired.cert, func([]*x509.Certificate) error { return errors.New("nothing at all") })
	f = inspectPath([]*x509.Certificate{young}, roots, time.Now(), serverUsages)
	require.True(t, f.verdict.Has(stream.UnknownAuthority), f.verdict.String())
	require.Empty(t, f.chains)
}

// Certificates are shared between connections, by the roots and by the cache of
// crypto/tls, and options by everybody: the race detector looks on.
func TestConcurrentHandshakes(t *testing.T) {
	ca := newCA(t)
	server, err := ca.IssueWith(IssueOptions{XMPPAddrs: []jid.JID{jid.MustParse("im.example")}}) // looked at twice
	require.NoError(t, err)
	client, err := ca.IssueWith(IssueOptions{Client: true, XMPPAddrs: []jid.JID{jid.MustParse("juliet@im.example")}})
	require.NoError(t, err)
	near := &ClientOptions{RootCAs: ca.Pool(), Certificates: []tls.Certificate{client}, Config: &tls.Config{}}
	far := &ServerOptions{Certificates: []tls.Certificate{server}, ClientCAs: ca.Pool(), Config: &tls.Config{}}
	var all sync.WaitGroup
	defer all.Wait()
	for range 4 {
		all.Go(func() { // ends with its handshakes; joined above
			for range 3 {
				c, s := shake(t, "im.example", near, far)
				if c.err != nil || s.err != nil || !c.sec.Verified || !s.sec.Verified || !c.sec.OwnCertificate {
					t.Errorf("%v, %v", c.err, s.err)
				}
			}
		})
	}
}
