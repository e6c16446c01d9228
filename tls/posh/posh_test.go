package posh

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	xtls "stanzakit.dev/xmpp/tls"
)

// web is a RoundTripper that answers by URL: with a status and a body, or with a
// status and where to go.
type web struct {
	pages map[string]page
	asked []string
	delay time.Duration
	open  int // bodies that nobody has closed
}

// body is one that counts, and may break off.
type body struct {
	io.Reader
	open *int
}

func (b body) Close() error { *b.open--; return nil }

type page struct {
	status   int // zero means 200
	location string
	body     string
	broken   bool // off, behind body
	err      error
}

func (w *web) RoundTrip(req *http.Request) (*http.Response, error) {
	w.asked = append(w.asked, req.URL.String())
	if req.Method != http.MethodGet || req.Header.Get("Accept") != "application/json" || req.Host != req.URL.Host {
		return nil, errors.New("an odd request")
	}
	if w.delay > 0 {
		select {
		case <-time.After(w.delay):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	p, ok := w.pages[req.URL.String()]
	switch {
	case p.err != nil:
		return nil, p.err
	case !ok:
		p.status = http.StatusNotFound
	case p.status == 0:
		p.status = http.StatusOK
	}
	w.open++
	var content io.Reader = strings.NewReader(p.body)
	if p.broken {
		content = io.MultiReader(content, iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	resp := &http.Response{StatusCode: p.status, Header: http.Header{}, Body: body{content, &w.open}, Request: req}
	if p.location != "" {
		resp.Header.Set("Location", p.location)
	}
	return resp, nil
}

const home = "https://im.example/.well-known/posh/xmpp-client.json"

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var errOrdinary = errors.New("not by the ordinary rules")

func newCert(t testing.TB) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now, NotAfter: now.AddDate(1, 0, 0), DNSNames: []string{"hosting.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert
}

func present(v xtls.Verdict, cert *x509.Certificate) *xtls.Presented {
	p := &xtls.Presented{Domain: jid.MustParse("im.example"), Chain: []*x509.Certificate{cert}, Verdict: v, Now: now}
	if !v.OK() {
		p.Err = errOrdinary
	}
	return p
}

func sum256(cert *x509.Certificate) string {
	h := sha256.Sum256(cert.Raw)
	return base64.StdEncoding.EncodeToString(h[:])
}

func sum512(cert *x509.Certificate) string {
	h := sha512.Sum512(cert.Raw)
	return base64.StdEncoding.EncodeToString(h[:])
}

// listing is a document with the SHA-256 of certificates.
func listing(expires int, certs ...*x509.Certificate) string {
	var list []string
	for _, c := range certs {
		list = append(list, fmt.Sprintf(`{"sha-256":%q}`, sum256(c)))
	}
	return fmt.Sprintf(`{"fingerprints":[%s],"expires":%d}`, strings.Join(list, ","), expires)
}

// TestDocuments has the clauses of RFC 7711 §3 and §10.
func TestDocuments(t *testing.T) {
	cert, other := newCert(t), newCert(t)
	const there = "https://hosting.example/there.json"
	good := listing(3600, cert)
	refer := func(to string) string { return fmt.Sprintf(`{"url":%q,"expires":86400}`, to) }
	broken := errors.New("no route\x1b[2J" + strings.Repeat("x", 1000))
	hops := func(n int) map[string]page {
		pages := map[string]page{home: {status: 302, location: "/hop/1"}}
		for i := 1; i < n; i++ {
			pages[fmt.Sprintf("https://im.example/hop/%d", i)] = page{status: 302, location: fmt.Sprintf("/hop/%d", i+1)}
		}
		pages[fmt.Sprintf("https://im.example/hop/%d", n)] = page{body: good}
		return pages
	}
	one := func(body string) map[string]page { return map[string]page{home: {body: body}} }
	for name, tc := range map[string]struct {
		pages map[string]page
		want  error // nil: accepted
	}{
		"§3.1 fingerprints":          {one(good), nil},
		"§3.1 second of two":         {one(listing(1, other, cert)), nil},
		"§3.1 both hashes":           {one(fmt.Sprintf(`{"fingerprints":[{"sha-256":%q,"sha-512":%q}],"expires":1}`, sum256(cert), sum512(cert))), nil},
		"only SHA-512":               {one(fmt.Sprintf(`{"fingerprints":[{"sha-512":%q}],"expires":1}`, sum512(cert))), nil},
		"without padding, as there":  {one(fmt.Sprintf(`{"fingerprints":[{"sha-256":%q}],"expires":1}`, strings.TrimRight(sum256(cert), "="))), nil},
		"a hash nobody knows":        {one(fmt.Sprintf(`{"fingerprints":[{"sha-1":"AAAA","x":{"y":[1]},"sha-256":%q}],"expires":1}`, sum256(cert))), nil},
		"members nobody knows":       {one(fmt.Sprintf(`{"x":[1],"fingerprints":[{"sha-256":%q}],"expires":1}`, sum256(cert))), nil},
		"another status of success":  {map[string]page{home: {status: 203, body: good}}, nil},
		"§3.3 another certificate":   {one(listing(1, other)), ErrMismatch},
		"hashes of two certificates": {one(fmt.Sprintf(`{"fingerprints":[{"sha-256":%q,"sha-512":%q}],"expires":1}`, sum256(cert), sum512(other))), ErrMismatch},
		"only a weak hash":           {one(`{"fingerprints":[{"sha-1":"2jmj7l5rSw0yVb/vlWAYkK/YBwk="}],"expires":1}`), ErrMismatch},
		"no hashes":                  {one(`{"fingerprints":[{}],"expires":1}`), ErrMismatch},
		"hash cut short":             {one(fmt.Sprintf(`{"fingerprints":[{"sha-256":%q}],"expires":1}`, sum256(cert)[:40])), ErrMismatch},
		"rubbish behind a hash":      {one(fmt.Sprintf(`{"fingerprints":[{"sha-256":%q}],"expires":1}`, strings.TrimRight(sum256(cert), "=")+"!")), ErrMismatch},
		"hash that is no string":     {one(`{"fingerprints":[{"sha-256":1}],"expires":1}`), ErrMismatch},
		"one hash unreadable":        {one(fmt.Sprintf(`{"fingerprints":[{"sha-256":%q,"sha-512":"*"}],"expires":1}`, sum256(cert))), ErrMismatch},
		"name in another case":       {one(fmt.Sprintf(`{"fingerprints":[{"SHA-256":%q}],"expires":1}`, sum256(cert))), ErrMismatch},
		"§3.1 empty":                 {one(`{"fingerprints":[],"expires":1}`), ErrDocument},
		"§3.1 expires zero":          {one(listing(0, cert)), ErrDocument},
		"§3.1 expires negative":      {one(listing(-1, cert)), ErrDocument},
		"expires a fraction":         {one(strings.Replace(good, "3600", "1.5", 1)), ErrDocument},
		"expires a string":           {one(strings.Replace(good, "3600", `"3600"`, 1)), ErrDocument},
		"expires missing":            {one(strings.Replace(good, `"expires":3600`, `"x":1`, 1)), ErrDocument},
		"expires null":               {one(strings.Replace(good, "3600", "null", 1)), ErrDocument},
		"expires enormous":           {one(strings.Replace(good, "3600", strings.Repeat("9", 400), 1)), nil},
		"§3.1 with a url":            {one(strings.Replace(good, "{", `{"url":"`+there+`",`, 1)), ErrDocument},
		"members in another case":    {one(strings.Replace(good, "fingerprints", "Fingerprints", 1)), ErrDocument},
		"no object":                  {one(`[]`), ErrDocument},
		"null":                       {one(`null`), ErrDocument},
		"fingerprints null":          {one(`{"fingerprints":null,"expires":1}`), ErrDocument},
		"fingerprints strings":       {one(`{"fingerprints":["x"],"expires":1}`), ErrDocument},
		"nothing":                    {one(``), ErrDocument},
		"cut off":                    {one(good[:len(good)-1]), ErrDocument},
		"two of them":                {one(good + good), ErrDocument},
		"a web page":                 {one(`<!doctype html>`), ErrDocument},
		"just short enough":          {one(good + strings.Repeat(" ", maxBody-len(good))), nil},
		"too long":                   {one(good + strings.Repeat(" ", maxBody-len(good)+1)), ErrDocument},
		"too deep":                   {one(strings.Repeat("[", maxBody)), ErrDocument},

		"§3 not found":         {map[string]page{home: {status: 404, body: good}}, ErrNoDocument},
		"gone":                 {map[string]page{home: {status: 410}}, ErrNoDocument},
		"status 500":           {map[string]page{home: {status: 500, body: good}}, errors.New("HTTP status 500")},
		"status 401":           {map[string]page{home: {status: 401, body: good}}, errors.New("HTTP status 401")},
		"status 304":           {map[string]page{home: {status: 304, body: good}}, errors.New("HTTP status 304")},
		"status 300":           {map[string]page{home: {status: 300, body: good}}, errors.New("HTTP status 300")},
		"breaks off":           {map[string]page{home: {body: good, broken: true}}, io.ErrUnexpectedEOF},
		"no web server":        {map[string]page{home: {err: broken}}, broken},
		"§3.2 reference":       {map[string]page{home: {body: refer(there)}, there: {body: good}}, nil},
		"§3.2 to a reference":  {map[string]page{home: {body: refer(there)}, there: {body: refer(home)}}, ErrDocument},
		"to itself":            {map[string]page{home: {body: refer(home)}}, ErrDocument},
		"to nothing":           {map[string]page{home: {body: refer(there)}}, ErrDocument},
		"to another":           {map[string]page{home: {body: refer(there)}, there: {body: listing(1, other)}}, ErrMismatch},
		"§3.2 expires zero":    {map[string]page{home: {body: strings.Replace(refer(there), "86400", "0", 1)}, there: {body: good}}, ErrDocument},
		"to plain HTTP":        {map[string]page{home: {body: refer("http://hosting.example/there.json")}, "http://hosting.example/there.json": {body: good}}, ErrDocument},
		"to a file":            {map[string]page{home: {body: refer("file:///etc/passwd")}}, ErrDocument},
		"with a password":      {map[string]page{home: {body: refer("https://a:b@hosting.example/")}, "https://a:b@hosting.example/": {body: good}}, ErrDocument},
		"without a host":       {map[string]page{home: {body: refer("https:///there.json")}}, ErrDocument},
		"relative":             {map[string]page{home: {body: refer("/there.json")}}, ErrDocument},
		"no string":            {one(`{"url":7,"expires":1}`), ErrDocument},
		"no URL":               {one(`{"url":"https://\u0000/","expires":1}`), ErrDocument},
		"with a fragment":      {map[string]page{home: {body: refer(there + "#x")}, there: {body: good}}, nil},
		"§10 redirect":         {map[string]page{home: {status: 302, location: there}, there: {body: good}}, nil},
		"§10 permanent":        {map[string]page{home: {status: 308, location: there}, there: {body: good}}, nil},
		"§10 to plain HTTP":    {map[string]page{home: {status: 302, location: "http://im.example/x"}, "http://im.example/x": {status: 302, location: there}, there: {body: good}}, errNotHTTPS},
		"redirect nowhere":     {map[string]page{home: {status: 302}}, ErrDocument}, // to itself, that is
		"redirect to rubbish":  {map[string]page{home: {status: 302, location: "https://%zz"}}, errNotHTTPS},
		"redirect, relative":   {map[string]page{home: {status: 307, location: "../p.json"}, "https://im.example/.well-known/p.json": {body: good}}, nil},
		"a few redirects":      {hops(maxRedirects), nil},
		"§10 too many":         {hops(maxRedirects + 1), ErrDocument},
		"round and round":      {map[string]page{home: {status: 302, location: home}}, ErrDocument},
		"referred, redirected": {map[string]page{home: {body: refer(there)}, there: {status: 302, location: "https://x.example/"}, "https://x.example/": {body: good}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := &web{pages: tc.pages}
			err := Policy(&Options{Transport: w}).VerifyCertificate(t.Context(), present(stream.UnknownAuthority|stream.WrongName, cert))
			require.Equal(t, home, w.asked[0])
			require.Zero(t, w.open)
			require.LessOrEqual(t, len(w.asked), maxRedirects+2)
			for _, u := range w.asked {
				require.True(t, strings.HasPrefix(u, "https://"), u)
			}
			if tc.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, errOrdinary)
			if text := tc.want.Error(); strings.HasPrefix(text, "HTTP status") {
				require.ErrorContains(t, err, text)
			} else {
				require.ErrorIs(t, err, tc.want)
			}
			require.Less(t, len(err.Error()), 500)
			require.NotContains(t, err.Error(), "\x1b")
		})
	}
}

// Some texts tell more than the sentinel.
func TestDocumentErrors(t *testing.T) {
	for body, want := range map[string]string{
		`[]`: "no JSON object", `{"expires":1}`: "neither", `{"url":7,"expires":1}`: "no string",
		`{"fingerprints":[],"expires":1}`: "no fingerprints", `{"fingerprints":[1],"expires":1}`: "no array of objects",
		`{"url":"","fingerprints":[],"expires":1}`: "both", `{"expires":0}`: "expired", `{}`: "no count of seconds",
	} {
		_, err := parseDocument([]byte(body))
		require.ErrorIs(t, err, ErrDocument)
		require.ErrorContains(t, err, want)
	}
	for _, bad := range []string{"", "https://", "https:///x", "https:x.example", "http://x.example", "HTTPS", "https://u@x.example", "https://%zz"} {
		_, err := httpsURL(bad)
		require.ErrorIs(t, err, errNotHTTPS, bad)
	}
	w := &web{pages: map[string]page{home: {body: strings.Repeat(" ", maxBody+1)}}}
	err := Policy(&Options{Transport: w}).VerifyCertificate(t.Context(), present(stream.SelfSigned, newCert(t)))
	require.ErrorContains(t, err, "longer than")
}

func TestVerdicts(t *testing.T) {
	cert := newCert(t)
	w := &web{pages: map[string]page{home: {body: listing(3600, cert)}}}
	policy := Policy(&Options{Transport: w})
	for _, base := range []xtls.Verdict{0, stream.Anchored, stream.UnknownAuthority, stream.SelfSigned} {
		for _, flaw := range []xtls.Verdict{0, stream.WrongName, stream.WrongTime, stream.Revoked, stream.Unacceptable, stream.WrongName | stream.WrongTime} {
			w.asked = nil
			v := base | flaw
			err := policy.VerifyCertificate(t.Context(), present(v, cert))
			if base != 0 && (flaw == 0 || flaw == stream.WrongName) {
				require.NoError(t, err, v)
			} else {
				require.Equal(t, errOrdinary, err, v)
				require.Empty(t, w.asked)
			}
		}
	}
	// Nothing is fetched for what needs it not, or has no domain.
	w.asked = nil
	fresh := Policy(&Options{Transport: w})
	require.NoError(t, fresh.VerifyCertificate(t.Context(), present(stream.Anchored, cert)))
	for _, domain := range []jid.JID{{}, jid.MustParse("192.0.2.1"), jid.MustParse("[2001:db8::1]")} {
		p := present(stream.SelfSigned, cert)
		p.Domain = domain
		require.Equal(t, errOrdinary, fresh.VerifyCertificate(t.Context(), p))
	}
	p := present(stream.SelfSigned, cert)
	p.Domain = jid.MustParse(strings.Repeat("é", 60) + ".example") // too long for the DNS
	require.ErrorIs(t, fresh.VerifyCertificate(t.Context(), p), errOrdinary)
	p = present(stream.SelfSigned, cert)
	p.Chain = nil
	require.Equal(t, errOrdinary, fresh.VerifyCertificate(t.Context(), p))
	require.Empty(t, w.asked)

	// RFC 7712 §5.2: the address, with A-labels.
	for service, want := range map[string]string{
		"": "xmpp-client", ServiceClient: "xmpp-client", ServiceServer: "xmpp-server", "../x?y": "../x%3Fy",
	} {
		w.asked = nil
		p := present(stream.SelfSigned, cert)
		p.Domain = jid.MustParse("juliet@münchen.example/balcony")
		require.ErrorIs(t, Policy(&Options{Transport: w, Service: service}).VerifyCertificate(t.Context(), p), ErrNoDocument)
		require.Equal(t, []string{"https://xn--mnchen-3ya.example/.well-known/posh/" + want + ".json"}, w.asked)
	}
}

// TestKept: RFC 7711 §6.
func TestKept(t *testing.T) {
	cert, other := newCert(t), newCert(t)
	const there = "https://hosting.example/there.json"
	check := func(p xtls.VerifyPolicy, cert *x509.Certificate, after time.Duration) error {
		shown := present(stream.SelfSigned, cert)
		shown.Now = now.Add(after)
		return p.VerifyCertificate(t.Context(), shown)
	}
	t.Run("as long as it says", func(t *testing.T) {
		w := &web{pages: map[string]page{home: {body: listing(100, cert)}}}
		policy := Policy(&Options{Transport: w})
		require.NoError(t, check(policy, cert, 0))
		w.pages[home] = page{body: listing(100, other)}
		require.NoError(t, check(policy, cert, 99*time.Second))
		require.ErrorIs(t, check(policy, other, 99*time.Second), ErrMismatch)
		require.Len(t, w.asked, 1)
		require.ErrorIs(t, check(policy, cert, 100*time.Second), ErrMismatch)
		require.NoError(t, check(policy, other, 100*time.Second))
		require.Len(t, w.asked, 2)
		// A clock that was set back.
		require.NoError(t, check(policy, other, 99*time.Second))
		require.Len(t, w.asked, 3)
	})
	t.Run("the lower of two", func(t *testing.T) {
		for _, expires := range [][2]int{{100, 5000}, {5000, 100}} {
			w := &web{pages: map[string]page{
				home:  {body: fmt.Sprintf(`{"url":%q,"expires":%d}`, there, expires[0])},
				there: {body: listing(expires[1], cert)},
			}}
			policy := Policy(&Options{Transport: w})
			for _, step := range []struct {
				after    time.Duration
				requests int
			}{{0, 2}, {99 * time.Second, 2}, {100 * time.Second, 4}} {
				require.NoError(t, check(policy, cert, step.after))
				require.Len(t, w.asked, step.requests)
			}
			// The whole operation, from the start.
			require.Equal(t, []string{home, there, home, there}, w.asked)
		}
	})
	t.Run("not for ever", func(t *testing.T) {
		for _, doc := range []string{listing(1<<31, cert), strings.Replace(listing(7, cert), ":7", ":"+strings.Repeat("9", 40), 1)} {
			w := &web{pages: map[string]page{home: {body: doc}}}
			policy := Policy(&Options{Transport: w})
			require.NoError(t, check(policy, cert, 0))
			require.NoError(t, check(policy, cert, maxAge-time.Second))
			require.Len(t, w.asked, 1)
			require.NoError(t, check(policy, cert, maxAge))
			require.Len(t, w.asked, 2)
		}
	})
	t.Run("a failure, for a minute", func(t *testing.T) {
		w := &web{pages: map[string]page{}}
		policy := Policy(&Options{Transport: w})
		require.ErrorIs(t, check(policy, cert, 0), ErrNoDocument)
		w.pages[home] = page{body: listing(100, cert)}
		require.ErrorIs(t, check(policy, cert, 59*time.Second), ErrNoDocument)
		require.Len(t, w.asked, 1)
		require.NoError(t, check(policy, cert, time.Minute))
	})
	t.Run("for so many domains", func(t *testing.T) {
		require.Equal(t, defaultDomains, Policy(nil).(*policy).most)
		for range 20 { // one victim or the other could be chance
			w := &web{pages: map[string]page{}}
			policy := Policy(&Options{Transport: w, MaxDomains: 2})
			for i, step := range []struct {
				domain string
				asked  int
			}{{"a.example", 1}, {"b.example", 2}, {"a.example", 2}, {"c.example", 3}, {"a.example", 3}, {"b.example", 4}} {
				p := present(stream.SelfSigned, cert)
				p.Domain = jid.MustParse(step.domain)
				require.ErrorIs(t, policy.VerifyCertificate(t.Context(), p), ErrNoDocument)
				require.Len(t, w.asked, step.asked, i)
			}
		}
	})
}

func TestTime(t *testing.T) {
	cert := newCert(t)
	pages := map[string]page{home: {body: listing(3600, cert)}}
	t.Run("fetched once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &web{pages: pages, delay: 5 * time.Second}
			policy := Policy(&Options{Transport: w})
			errs := make(chan error, 5)
			for range 5 {
				go func() { errs <- policy.VerifyCertificate(t.Context(), present(stream.SelfSigned, cert)) }() // joined below
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, policy.VerifyCertificate(ctx, present(stream.SelfSigned, cert)), context.DeadlineExceeded)
			for range 5 {
				require.NoError(t, <-errs)
			}
			require.Len(t, w.asked, 1)
		})
	})
	t.Run("not longer than its own bound", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			w := &web{pages: pages, delay: time.Hour}
			policy := Policy(&Options{Transport: w})
			for range 2 { // the second one is spared
				require.ErrorIs(t, policy.VerifyCertificate(t.Context(), present(stream.SelfSigned, cert)), context.DeadlineExceeded)
			}
			require.Equal(t, defaultTimeout, time.Since(begin))
		})
	})
	t.Run("nor than the handshake, which is nobody's fault", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := &web{pages: pages, delay: 5 * time.Second}
			policy := Policy(&Options{Transport: w})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			require.ErrorIs(t, policy.VerifyCertificate(ctx, present(stream.SelfSigned, cert)), context.DeadlineExceeded)
			require.NoError(t, policy.VerifyCertificate(t.Context(), present(stream.SelfSigned, cert)))
		})
	})
}

func FuzzDocument(f *testing.F) {
	cert := &x509.Certificate{Raw: []byte("a certificate")} // the same in every process
	for _, body := range []string{
		listing(604800, cert), listing(0, cert), `{"url":"https://hosting.example/.well-known/posh/spice.json","expires":86400}`,
		`{"fingerprints":[{"sha-256":"4/mggdlVx8A3pvHAWW5sD+qJyMtUHgiRuPjVC48N0XQ","sha-512":"25N+1hB2Vo42l9lSGqw+n3BKFhDHsyork8ou+D9B43TXeJ1J81mdQEDqm39oR/EHkPBDDG1y5+AG94Kec0xVqA=="}],"expires":806400}`,
		`{"fingerprints":[{"sha-384":""},null,{"x":1}],"expires":1}`, `{`, `[]`, ``,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := parseDocument(body)
		if err != nil {
			require.ErrorIs(t, err, ErrDocument)
			require.Nil(t, d)
			return
		}
		require.Positive(t, d.expires)
		require.LessOrEqual(t, d.expires, maxAge)
		if d.reference != nil {
			require.Equal(t, "https", d.reference.Scheme)
			require.NotEmpty(t, d.reference.Hostname())
			require.Nil(t, d.reference.User)
			require.Empty(t, d.fingerprints)
		}
		if d.matches(cert.Raw) {
			require.True(t, strings.Contains(string(body), "sha-"))
		}
		require.False(t, d.matches([]byte("another certificate")))
	})
}
