package ocsp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	wire "golang.org/x/crypto/ocsp"

	xtls "stanzakit.dev/xmpp/tls"
)

// world is an authority, a responder that it has appointed, and a certificate.
type world struct {
	now       time.Time
	ca        *xtls.DevCA
	issuer    *x509.Certificate
	responder tls.Certificate
	cert      tls.Certificate
}

const responderURL = "http://ocsp.example/"

func newWorld(t testing.TB, urls ...string) *world {
	t.Helper()
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	block, _ := pem.Decode(ca.PEM())
	issuer, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	w := &world{now: time.Now(), ca: ca, issuer: issuer}
	w.responder = w.issue(t, appointed)
	w.cert = w.issue(t, func(c *x509.Certificate) {
		c.DNSNames = []string{"im.example"}
		if c.OCSPServer = urls; urls == nil {
			c.OCSPServer = []string{responderURL}
		}
	})
	return w
}

func appointed(c *x509.Certificate) {
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
}

func (w *world) issue(t testing.TB, edit func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	cert, err := w.ca.IssueWith(xtls.IssueOptions{Edit: edit})
	require.NoError(t, err)
	return cert
}

func (w *world) path() []*x509.Certificate { return []*x509.Certificate{w.cert.Leaf, w.issuer} }

// response makes a response about the certificate, signed by the responder.
func (w *world) response(t testing.TB, edit func(*wire.Response)) []byte {
	t.Helper()
	return w.signed(t, w.responder, edit)
}

func (w *world) signed(t testing.TB, by tls.Certificate, edit func(*wire.Response)) []byte {
	t.Helper()
	template := wire.Response{
		Status: wire.Good, SerialNumber: w.cert.Leaf.SerialNumber,
		ThisUpdate: w.now.Add(-time.Minute), NextUpdate: w.now.Add(24 * time.Hour),
		Certificate: by.Leaf,
	}
	if edit != nil {
		edit(&template)
	}
	der, err := wire.CreateResponse(w.issuer, by.Leaf, template, by.PrivateKey.(crypto.Signer))
	require.NoError(t, err)
	return der
}

func revoked(r *wire.Response) {
	r.Status, r.RevokedAt, r.RevocationReason = wire.Revoked, r.ThisUpdate, wire.KeyCompromise
}

// responders is a RoundTripper that answers by URL.
type responders struct {
	answers map[string][]byte
	status  int
	err     error
	delay   time.Duration
	asked   []string
	request []byte
	open    int // bodies that nobody has closed
	broken  bool
}

type body struct {
	io.Reader
	open *int
}

func (b body) Close() error { *b.open--; return nil }

func (r *responders) RoundTrip(req *http.Request) (*http.Response, error) {
	r.asked = append(r.asked, req.URL.String())
	if req.Header.Get("Accept") != "application/ocsp-response" || req.Header.Get("Content-Type") != "application/ocsp-request" {
		return nil, errors.New("an odd request")
	}
	if r.delay > 0 {
		select {
		case <-time.After(r.delay):
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	var err error
	if r.request, err = io.ReadAll(req.Body); err != nil {
		return nil, err
	}
	if r.err != nil {
		return nil, r.err
	}
	der, ok := r.answers[req.URL.String()]
	status := max(r.status, http.StatusOK)
	if !ok {
		status = http.StatusNotFound
	}
	r.open++
	var content io.Reader = bytes.NewReader(der)
	if r.broken {
		content = io.MultiReader(content, iotest.ErrReader(io.ErrUnexpectedEOF))
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: body{content, &r.open}, Request: req}, nil
}

func serving(der []byte) *responders {
	return &responders{answers: map[string][]byte{responderURL: der}}
}

const (
	isGood = iota
	isRevoked
	isUnknown
)

func requireStatus(t testing.TB, want int, err error) {
	t.Helper()
	switch want {
	case isGood:
		require.NoError(t, err)
	case isRevoked:
		require.ErrorIs(t, err, xtls.ErrRevoked)
		require.NotErrorIs(t, err, xtls.ErrRevocationUnknown)
	case isUnknown:
		require.ErrorIs(t, err, xtls.ErrRevocationUnknown)
		require.NotErrorIs(t, err, xtls.ErrRevoked)
	}
}

func TestResponses(t *testing.T) {
	w := newWorld(t)
	other := newWorld(t)
	nobody := w.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"evil.example"} })
	late := w.issue(t, func(c *x509.Certificate) { appointed(c); c.NotAfter = w.now.Add(-time.Second) })
	early := w.issue(t, func(c *x509.Certificate) { appointed(c); c.NotBefore = w.now.Add(time.Second) })
	at := func(this, next time.Duration) func(*wire.Response) {
		return func(r *wire.Response) { r.ThisUpdate, r.NextUpdate = w.now.Add(this), w.now.Add(next) }
	}
	both := func(edits ...func(*wire.Response)) func(*wire.Response) {
		return func(r *wire.Response) {
			for _, e := range edits {
				e(r)
			}
		}
	}
	held := func(r *wire.Response) { r.RevocationReason = wire.CertificateHold }
	good := w.response(t, nil)
	for name, tc := range map[string]struct {
		der  []byte
		want int
	}{
		"good":                      {good, isGood},
		"revoked":                   {w.response(t, revoked), isRevoked},
		"on hold":                   {w.response(t, both(revoked, held)), isRevoked},
		"RFC 6960 §2.2 unknown":     {w.response(t, func(r *wire.Response) { r.Status = wire.Unknown }), isUnknown},
		"from the future":           {w.response(t, at(maxSkew+time.Minute, time.Hour)), isUnknown},
		"future, revoked":           {w.response(t, both(at(maxSkew+time.Minute, time.Hour), revoked)), isUnknown},
		"responder not yet valid":   {w.signed(t, early, nil), isUnknown},
		"from just now":             {w.response(t, at(maxSkew-time.Minute, time.Hour)), isGood},
		"out of date":               {w.response(t, at(-time.Hour, 0)), isUnknown},
		"out of date, revoked":      {w.response(t, both(at(-time.Hour, 0), revoked)), isRevoked},
		"out of date, on hold":      {w.response(t, both(at(-time.Hour, 0), revoked, held)), isUnknown},
		"RFC 5019 §2.2.4 no end":    {w.response(t, func(r *wire.Response) { r.NextUpdate = time.Time{} }), isUnknown},
		"another certificate":       {w.response(t, func(r *wire.Response) { r.SerialNumber = big.NewInt(7) }), isUnknown},
		"by another authority":      {other.signed(t, other.responder, func(r *wire.Response) { r.SerialNumber = w.cert.Leaf.SerialNumber }), isUnknown},
		"by a certificate's holder": {w.signed(t, nobody, nil), isUnknown},
		"by the certificate itself": {w.signed(t, w.cert, nil), isUnknown},
		"by itself, revoked":        {w.signed(t, w.cert, revoked), isUnknown},
		"responder expired":         {w.signed(t, late, nil), isUnknown},
		"altered":                   {append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1), isUnknown},
		"cut off":                   {good[:len(good)-1], isUnknown},
		"something behind":          {append(bytes.Clone(good), 0), isUnknown},
		"try later":                 {wire.TryLaterErrorResponse, isUnknown},
		"unauthorized":              {wire.UnauthorizedErrorResponse, isUnknown},
		"nothing":                   {nil, isUnknown},
		"rubbish":                   {[]byte("<html>"), isUnknown},
		"too long":                  {append(bytes.Clone(good), make([]byte, maxResponse)...), isUnknown},
		"critical extension": {w.response(t, func(r *wire.Response) {
			r.ExtraExtensions = []pkix.Extension{{Id: []int{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		}), isUnknown},
	} {
		t.Run(name+"/fetched", func(t *testing.T) {
			r := serving(tc.der)
			requireStatus(t, tc.want, Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now))
			require.Equal(t, []string{responderURL}, r.asked)
			require.Zero(t, r.open)
			request, err := wire.ParseRequest(r.request)
			require.NoError(t, err)
			require.Equal(t, w.cert.Leaf.SerialNumber, request.SerialNumber)
		})
		t.Run(name+"/stapled", func(t *testing.T) {
			r := serving(good)
			ctx := xtls.WithStapledOCSP(t.Context(), tc.der)
			requireStatus(t, tc.want, Checker(&Options{StapledOnly: true, Transport: r}).CheckRevocation(ctx, w.path(), w.now))
			require.Empty(t, r.asked)
			// One that is of no use is no reason not to ask, and one that is
			// saves asking.
			err := Checker(&Options{Transport: r}).CheckRevocation(ctx, w.path(), w.now)
			if tc.want == isRevoked {
				requireStatus(t, isRevoked, err)
			} else {
				require.NoError(t, err)
			}
			require.Equal(t, tc.want == isUnknown, len(r.asked) == 1)
		})
	}
}

func TestSignedByTheIssuer(t *testing.T) {
	// RFC 6960 §4.2.2.2: without a responder of its own; and with SHA-1, which
	// RFC 9325 §4.5 does not take.
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	issuer, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err = x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: now, NotAfter: now.Add(time.Hour), OCSPServer: []string{responderURL},
	}, issuer, leafKey.Public(), key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	for algorithm, want := range map[x509.SignatureAlgorithm]int{x509.SHA256WithRSA: isGood, x509.SHA1WithRSA: isUnknown} {
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(3), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), SignatureAlgorithm: algorithm,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning},
		}, issuer, leafKey.Public(), key)
		require.NoError(t, err)
		responder, err := x509.ParseCertificate(der)
		require.NoError(t, err)
		der, err = wire.CreateResponse(issuer, responder, wire.Response{
			Status: wire.Good, SerialNumber: leaf.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour), Certificate: responder,
		}, leafKey)
		require.NoError(t, err)
		requireStatus(t, want, Checker(&Options{Transport: serving(der)}).CheckRevocation(t.Context(), []*x509.Certificate{leaf, issuer}, now))
	}
	for _, tc := range []struct {
		algorithm x509.SignatureAlgorithm
		enclosed  *x509.Certificate
		want      int
	}{{x509.SHA256WithRSA, nil, isGood}, {x509.SHA256WithRSA, issuer, isGood}, {x509.SHA1WithRSA, nil, isUnknown}} {
		der, err := wire.CreateResponse(issuer, issuer, wire.Response{
			Status: wire.Good, SerialNumber: leaf.SerialNumber, ThisUpdate: now, NextUpdate: now.Add(time.Hour),
			SignatureAlgorithm: tc.algorithm, Certificate: tc.enclosed,
		}, key)
		require.NoError(t, err)
		requireStatus(t, tc.want, Checker(&Options{Transport: serving(der)}).CheckRevocation(t.Context(), []*x509.Certificate{leaf, issuer}, now))
	}
}

func TestFetching(t *testing.T) {
	const second, third = "http://second.example/", "http://third.example/"
	t.Run("the second one", func(t *testing.T) {
		w := newWorld(t, responderURL, second, third)
		r := &responders{answers: map[string][]byte{second: w.response(t, nil)}}
		requireStatus(t, isGood, Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now))
		require.Equal(t, []string{responderURL, second}, r.asked)
		r = &responders{answers: map[string][]byte{third: w.response(t, nil)}}
		requireStatus(t, isUnknown, Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now))
		require.Len(t, r.asked, maxResponders)
	})
	t.Run("not on the web", func(t *testing.T) {
		for _, u := range []string{"ldap://ocsp.example/", "file:///etc/passwd", "/x", "http:///x", "http://a:b@ocsp.example/", "::"} {
			w := newWorld(t, u)
			r := &responders{}
			err := Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now)
			requireStatus(t, isUnknown, err)
			require.ErrorContains(t, err, "not on the web")
			require.Empty(t, r.asked, u)
		}
		for _, u := range []string{"http://x.example/", "https://x.example/"} {
			w := newWorld(t, u)
			r := &responders{answers: map[string][]byte{u: w.response(t, nil)}}
			requireStatus(t, isGood, Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now))
		}
	})
	t.Run("nobody", func(t *testing.T) {
		w := newWorld(t, []string{}...)
		w.cert = w.issue(t, func(*x509.Certificate) {})
		requireStatus(t, isUnknown, Checker(&Options{Transport: &responders{}}).CheckRevocation(t.Context(), w.path(), w.now))
		require.NoError(t, Checker(nil).CheckRevocation(t.Context(), w.path()[1:], w.now), "a root alone")
		require.NoError(t, Checker(nil).CheckRevocation(t.Context(), nil, w.now))
	})
	t.Run("failures", func(t *testing.T) {
		w := newWorld(t)
		broken := errors.New("no route")
		r := serving(w.response(t, nil))
		r.err = broken
		c := Checker(&Options{Transport: r})
		for range 2 { // the second time nobody is asked, and it is no better
			err := c.CheckRevocation(t.Context(), w.path(), w.now)
			requireStatus(t, isUnknown, err)
			require.ErrorIs(t, err, broken)
		}
		require.Len(t, r.asked, 1)
		for _, status := range []int{301, 304, 404, 500} {
			r := serving(w.response(t, nil))
			r.status = status
			err := Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now)
			requireStatus(t, isUnknown, err)
			require.ErrorContains(t, err, fmt.Sprint("HTTP status ", status))
			require.Zero(t, r.open)
		}
		r = serving(w.response(t, nil))
		r.broken = true
		require.ErrorIs(t, Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now), io.ErrUnexpectedEOF)
		r = serving(make([]byte, maxResponse+1))
		require.ErrorContains(t, Checker(&Options{Transport: r}).CheckRevocation(t.Context(), w.path(), w.now), "longer than")
	})
	t.Run("time", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			r := serving(w.response(t, nil))
			r.delay = time.Hour
			begin := time.Now()
			c := Checker(&Options{Transport: r})
			for range 2 { // the second time, nobody is asked
				requireStatus(t, isUnknown, c.CheckRevocation(t.Context(), w.path(), w.now))
			}
			require.Equal(t, defaultTimeout, time.Since(begin))

			r.delay = time.Second
			c = Checker(&Options{Transport: r})
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			require.ErrorIs(t, c.CheckRevocation(ctx, w.path(), w.now), context.DeadlineExceeded)
			requireStatus(t, isGood, c.CheckRevocation(t.Context(), w.path(), w.now))
		})
	})
}

func TestKept(t *testing.T) {
	w := newWorld(t)
	at := func(c xtls.RevocationChecker, d time.Duration) error {
		return c.CheckRevocation(t.Context(), w.path(), w.now.Add(d))
	}
	t.Run("for an hour", func(t *testing.T) {
		r := serving(w.response(t, nil))
		c := Checker(&Options{Transport: r})
		requireStatus(t, isGood, at(c, 0))
		r.answers[responderURL] = w.response(t, func(x *wire.Response) { revoked(x); x.ThisUpdate = w.now })
		requireStatus(t, isGood, at(c, 59*time.Minute))
		require.Len(t, r.asked, 1)
		requireStatus(t, isRevoked, at(c, time.Hour))
		// From then on, whatever comes from before.
		r.answers[responderURL] = w.response(t, nil)
		requireStatus(t, isRevoked, at(c, 3*time.Hour))
		ctx := xtls.WithStapledOCSP(t.Context(), w.response(t, nil))
		requireStatus(t, isRevoked, c.CheckRevocation(ctx, w.path(), w.now.Add(3*time.Hour)))
	})
	t.Run("not when a clock was set back", func(t *testing.T) {
		r := serving(w.response(t, nil))
		c := Checker(&Options{Transport: r})
		requireStatus(t, isGood, at(c, time.Second))
		requireStatus(t, isGood, at(c, 0))
		require.Len(t, r.asked, 2)
	})
	t.Run("also when it was sent along", func(t *testing.T) {
		r := serving(w.response(t, nil))
		c := Checker(&Options{Transport: r})
		ctx := xtls.WithStapledOCSP(t.Context(), w.response(t, revoked))
		requireStatus(t, isRevoked, c.CheckRevocation(ctx, w.path(), w.now))
		requireStatus(t, isRevoked, at(c, 2*time.Hour))
		require.Empty(t, r.asked)
	})
	t.Run("by certificate and issuer", func(t *testing.T) {
		require.NotEqual(t, keyOf(w.cert.Leaf, w.issuer), keyOf(w.cert.Leaf, w.responder.Leaf))
		require.NotEqual(t, keyOf(w.cert.Leaf, w.issuer), keyOf(w.responder.Leaf, w.issuer))
	})
	t.Run("or until its end", func(t *testing.T) {
		r := serving(w.response(t, func(x *wire.Response) { x.NextUpdate = w.now.Add(time.Minute) }))
		c := Checker(&Options{Transport: r})
		requireStatus(t, isGood, at(c, 0))
		requireStatus(t, isGood, at(c, 58*time.Second))
		require.Len(t, r.asked, 1)
		requireStatus(t, isUnknown, at(c, time.Minute))
		require.Len(t, r.asked, 2)
	})
	t.Run("while nobody answers", func(t *testing.T) {
		r := serving(w.response(t, nil))
		c := Checker(&Options{Transport: r})
		requireStatus(t, isGood, at(c, 0))
		r.err = errors.New("no network")
		requireStatus(t, isGood, at(c, 2*time.Hour))
		requireStatus(t, isGood, at(c, 2*time.Hour+time.Second))
		require.Len(t, r.asked, 2, "left alone for a minute")
		requireStatus(t, isGood, at(c, 2*time.Hour+retryAfter))
		require.Len(t, r.asked, 3)
		requireStatus(t, isUnknown, at(c, 25*time.Hour))
	})
	t.Run("one from the future gives way", func(t *testing.T) {
		r := serving(w.response(t, func(x *wire.Response) { x.ThisUpdate = w.now.Add(time.Hour) }))
		c := Checker(&Options{Transport: r})
		requireStatus(t, isUnknown, at(c, 0))
		r.answers[responderURL] = w.response(t, nil)
		requireStatus(t, isGood, at(c, retryAfter))
	})
	t.Run("so many", func(t *testing.T) {
		require.Equal(t, defaultResponses, Checker(nil).(*checker).opts.MaxResponses)
		worlds := [3]*world{newWorld(t, "http://a.example/"), newWorld(t, "http://b.example/"), newWorld(t, "http://c.example/")}
		answers := map[string][]byte{}
		for _, w := range worlds {
			answers[w.cert.Leaf.OCSPServer[0]] = w.response(t, nil)
		}
		for range 20 { // one victim or the other could be chance
			r := &responders{answers: answers}
			c := Checker(&Options{Transport: r, MaxResponses: 2})
			for _, step := range []struct{ world, asked int }{{0, 1}, {1, 2}, {0, 2}, {2, 3}, {0, 3}, {1, 4}} {
				w := worlds[step.world]
				requireStatus(t, isGood, c.CheckRevocation(t.Context(), w.path(), w.now))
				require.Len(t, r.asked, step.asked)
				require.LessOrEqual(t, len(c.(*checker).kept), 2)
			}
		}
	})
	t.Run("a stapled one is about the first certificate", func(t *testing.T) {
		ctx := xtls.WithStapledOCSP(t.Context(), w.response(t, nil))
		path := []*x509.Certificate{w.cert.Leaf, w.issuer, w.issuer}
		requireStatus(t, isUnknown, Checker(&Options{StapledOnly: true}).CheckRevocation(ctx, path, w.now))
	})
}

func TestWeakSignatures(t *testing.T) {
	for a, want := range map[x509.SignatureAlgorithm]bool{
		x509.SHA1WithRSA: true, x509.ECDSAWithSHA1: true, x509.DSAWithSHA1: true, x509.ECDSAWithSHA256: false, x509.SHA256WithRSA: false,
	} {
		require.Equal(t, want, weak(a), a)
	}
}

// TestTransport: the one that is used if none is given.
func TestTransport(t *testing.T) {
	var answer []byte // set before the first request
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		asked <- req.Method + " " + req.Header.Get("Content-Type")
		if strings.HasSuffix(req.URL.Path, "/moved") {
			http.Redirect(rw, req, "/", http.StatusTemporaryRedirect)
			return
		}
		_, _ = rw.Write(answer)
	}))
	defer server.Close()
	w := newWorld(t, server.URL)
	answer = w.response(t, nil)
	requireStatus(t, isGood, Checker(nil).CheckRevocation(t.Context(), w.path(), w.now))
	require.Equal(t, "POST application/ocsp-request", <-asked)
	// Redirects are not followed.
	moved := w.issue(t, func(c *x509.Certificate) { c.OCSPServer = []string{server.URL + "/moved"} })
	requireStatus(t, isUnknown, Checker(nil).CheckRevocation(t.Context(), []*x509.Certificate{moved.Leaf, w.issuer}, w.now))
	require.Len(t, asked, 1)
}

func FuzzResponse(f *testing.F) {
	w := newWorld(f)
	f.Add(w.response(f, nil))
	f.Add(w.response(f, revoked))
	f.Add(w.signed(f, w.cert, nil))
	f.Add(wire.TryLaterErrorResponse)
	genuine, err := parse(w.response(f, nil), w.cert.Leaf, w.issuer)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, der []byte) {
		resp, err := parse(der, w.cert.Leaf, w.issuer)
		if err != nil {
			require.ErrorIs(t, err, errResponse)
			return
		}
		// The fuzzer has no key: whatever passes was made by the responder.
		require.Equal(t, w.cert.Leaf.SerialNumber, resp.SerialNumber)
		require.True(t, resp.Certificate.Equal(genuine.Certificate))
		_ = status(resp, w.now)
	})
}
