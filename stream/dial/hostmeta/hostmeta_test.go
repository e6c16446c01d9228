package hostmeta_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream/dial"
	"stanzakit.dev/xmpp/stream/dial/hostmeta"
	xtls "stanzakit.dev/xmpp/tls"
)

const (
	xmlURL  = "https://im.example/.well-known/host-meta"
	jsonURL = "https://im.example/.well-known/host-meta.json"

	// XEP-0156, examples 1 and 2, without the dots.
	example1 = `<?xml version='1.0' encoding='utf-8'?>
<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>
  <Link rel="urn:xmpp:alt-connections:xbosh"
        href="https://web.example.com:5280/bosh" />
  <Link rel="urn:xmpp:alt-connections:websocket"
        href="wss://web.example.com:443/ws" />
</XRD>
`
	example2 = `{
  "links": [
    {
      "rel": "urn:xmpp:alt-connections:xbosh",
      "href": "https://web.example.com:5280/bosh"
    },
    {
      "rel": "urn:xmpp:alt-connections:websocket",
      "href": "wss://web.example.com:443/ws"
    }
  ]
}
`
)

var example = []hostmeta.Endpoint{{URL: "wss://web.example.com:443/ws", Names: []string{"web.example.com", "im.example"}}}

// xrd and jrd return documents with links for WebSocket.
func xrd(hrefs ...string) string {
	out := "<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>"
	for _, h := range hrefs {
		out += "<Link rel='urn:xmpp:alt-connections:websocket' href='" + h + "'/>"
	}
	return out + "</XRD>"
}

// web is a web server without a network: bodies by URL. A body that begins with
// ">" is a redirect, one that begins with "!" a status.
type web struct {
	pages map[string]string
	asked []string
	err   error
}

func (w *web) RoundTrip(r *http.Request) (*http.Response, error) {
	w.asked = append(w.asked, r.URL.String())
	if w.err != nil {
		return nil, w.err
	}
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Request: r}
	body, ok := w.pages[r.URL.String()]
	to, redirect := strings.CutPrefix(body, ">")
	switch {
	case !ok:
		resp.StatusCode = 404
	case redirect:
		resp.StatusCode = 302
		resp.Header.Set("Location", to)
	case strings.HasPrefix(body, "!"):
		_, _ = fmt.Sscan(body[1:], &resp.StatusCode)
	}
	resp.Body = io.NopCloser(strings.NewReader(body))
	return resp, nil
}

func lookup(t *testing.T, w *web) ([]hostmeta.Endpoint, error) {
	return hostmeta.Lookup(t.Context(), jid.MustParse("im.example"), &hostmeta.Options{Transport: w})
}

func TestLookup(t *testing.T) {
	for name, c := range map[string]struct {
		xml, json string // "" for none
		want      []hostmeta.Endpoint
		err       error
		asked     []string
	}{
		"XEP-0156 example 1": {xml: example1, want: example, asked: []string{xmlURL}},
		"XEP-0156 example 2": {json: example2, want: example, asked: []string{xmlURL, jsonURL}},
		"RFC 7395 §4": {
			xml:  xrd("wss://im.example:443/ws"),
			want: []hostmeta.Endpoint{{URL: "wss://im.example:443/ws", Names: []string{"im.example"}}}, asked: []string{xmlURL},
		},
		"a byte order mark":                  {xml: "\ufeff" + example1, want: example, asked: []string{xmlURL}},
		"a comment":                          {xml: strings.Replace(example1, "<Link", "<!-- --><Link", 1), json: example2, want: example, asked: []string{xmlURL, jsonURL}},
		"neither":                            {err: hostmeta.ErrNoDocument, asked: []string{xmlURL, jsonURL}},
		"gone":                               {xml: "!410", err: hostmeta.ErrNoDocument, asked: []string{xmlURL, jsonURL}},
		"an error of the web server":         {xml: "!500", json: example2, want: example, asked: []string{xmlURL, jsonURL}},
		"the same, and no JRD":               {xml: "!500", err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"no links":                           {xml: xrd(), json: example2, err: hostmeta.ErrNoEndpoint, asked: []string{xmlURL}},
		"XRD is the one that has to be":      {xml: xrd("ws://a"), json: example2, err: hostmeta.ErrNoEndpoint, asked: []string{xmlURL}},
		"a page for people":                  {xml: "<!DOCTYPE html><html>", json: "<html>", err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"another namespace":                  {xml: strings.Replace(example1, "xrd-1.0", "xrd-2.0", 1), err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"cut off":                            {xml: example1[:len(example1)-8], err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"something behind it":                {xml: example1 + "<x/>", err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"a link inside something else":       {xml: strings.NewReplacer("<Link", "<p><Link", "/>", "/></p>").Replace(xrd("wss://a")), err: hostmeta.ErrNoEndpoint, asked: []string{xmlURL}},
		"RFC 5988 §4.2: case of relations":   {xml: strings.ReplaceAll(example1, "websocket", "WebSocket"), want: example, asked: []string{xmlURL}},
		"too long":                           {xml: example1 + strings.Repeat(" ", 64<<10), err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"too deep":                           {xml: strings.Replace(example1, "<Link", strings.Repeat("<a>", 100)+"<Link", 1), err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"a redirect on the same host":        {xml: ">/hm", want: example, asked: []string{xmlURL, "https://im.example/hm"}},
		"the same, with port":                {xml: ">https://im.example:443/hm", want: example, asked: []string{xmlURL, "https://im.example/hm"}},
		"the same, in capitals":              {xml: ">HTTPS://IM.Example/hm", want: example, asked: []string{xmlURL, "https://im.example/hm"}},
		"too many redirects":                 {xml: ">" + xmlURL, json: "!500", err: hostmeta.ErrDocument, asked: []string{xmlURL, xmlURL, xmlURL, xmlURL, jsonURL}},
		"JSON: links of another kind":        {json: `{"links":{}}`, err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"JSON: no links":                     {json: `{}`, err: hostmeta.ErrNoEndpoint, asked: []string{xmlURL, jsonURL}},
		"JSON: null":                         {json: `null`, err: hostmeta.ErrDocument, asked: []string{xmlURL, jsonURL}},
		"JSON: names have to be right":       {json: strings.Replace(example2, "links", "Links", 1), err: hostmeta.ErrNoEndpoint, asked: []string{xmlURL, jsonURL}},
		"JSON: one bad link among good ones": {json: strings.Replace(example2, "[", `[1,null,{"rel":1},{"rel":"urn:xmpp:alt-connections:websocket"},`, 1), want: example, asked: []string{xmlURL, jsonURL}},
	} {
		t.Run(name, func(t *testing.T) {
			w := &web{pages: map[string]string{"https://im.example/hm": example1}}
			if c.xml != "" {
				w.pages[xmlURL] = c.xml
			}
			if c.json != "" {
				w.pages[jsonURL] = c.json
			}
			got, err := lookup(t, w)
			require.Equal(t, c.asked, w.asked)
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want, got)
		})
	}
}

// What is a usable endpoint, and whom its certificate has to name.
func TestEndpoints(t *testing.T) {
	for href, names := range map[string][]string{
		"wss://im.example/":            {"im.example"},
		"WSS://IM.example/":            {"im.example"},
		"wss://[2001:db8::1]:5281/x?y": {"2001:db8::1", "im.example"},
		"wss://192.0.2.1":              {"192.0.2.1", "im.example"},
		"wss://bücher.example/":        {"xn--bcher-kva.example", "im.example"},
		"ws://im.example/":             nil,
		"https://im.example/":          nil,
		"//im.example/":                nil,
		"/ws":                          nil,
		"wss:im.example":               nil,
		"wss:///ws":                    nil,
		"wss://user:pw@im.example/":    nil,
		"wss://im.example/#x":          nil,
		"wss://im.example:0/":          nil,
		"wss://im.example:x/":          nil,
		"wss://[fe80::1%25eth0]/":      nil,
		"wss://a_b.example/":           nil,
		"wss://" + strings.Repeat("a.", 200) + "example/":  nil,
		"wss://im.example/" + strings.Repeat("x", 2048):    nil,
		" wss://im.example/":                               nil,
		"wss://im.example/&#x0a;Host: elsewhere.example/x": nil,
	} {
		got, err := lookup(t, &web{pages: map[string]string{xmlURL: xrd(href)}})
		if names == nil {
			require.ErrorIs(t, err, hostmeta.ErrNoEndpoint, href)
			continue
		}
		require.NoError(t, err, href)
		require.Len(t, got, 1)
		require.Equal(t, names, got[0].Names, href)
	}
	// There is an end to them.
	many := make([]string, 500)
	for i := range many {
		many[i] = fmt.Sprintf("wss://x%d.example/", i)
	}
	got, err := lookup(t, &web{pages: map[string]string{xmlURL: xrd(many...)}})
	require.NoError(t, err)
	require.Len(t, got, 16)
}

func TestOptions(t *testing.T) {
	im := jid.MustParse("im.example")
	_, err := hostmeta.Lookup(t.Context(), im, &hostmeta.Options{TLS: &tls.Config{InsecureSkipVerify: true}})
	require.ErrorIs(t, err, dial.ErrOptions)
	_, err = hostmeta.Lookup(t.Context(), im, &hostmeta.Options{TLS: &tls.Config{}, Transport: &web{}})
	require.ErrorIs(t, err, dial.ErrOptions)
	_, err = hostmeta.Lookup(t.Context(), jid.JID{}, nil)
	require.ErrorIs(t, err, jid.ErrEmpty)
	broken := errors.New("the cable is out")
	w := &web{err: broken}
	_, err = lookup(t, w)
	require.ErrorIs(t, err, broken)
	require.Len(t, w.asked, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = hostmeta.Lookup(ctx, im, nil)
	require.ErrorIs(t, err, context.Canceled)

	for domain, want := range map[string]string{
		"bücher.example": "https://xn--bcher-kva.example/.well-known/host-meta",
		"192.0.2.1":      "https://192.0.2.1/.well-known/host-meta",
		"[2001:db8::1]":  "https://[2001:db8::1]/.well-known/host-meta",
	} {
		w := &web{}
		_, err = hostmeta.Lookup(t.Context(), jid.MustParse(domain), &hostmeta.Options{Transport: w})
		require.ErrorIs(t, err, hostmeta.ErrNoDocument)
		require.Equal(t, want, w.asked[0])
	}
}

// stalled never answers.
type stalled struct{}

func (stalled) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, err := hostmeta.Lookup(t.Context(), jid.MustParse("im.example"), &hostmeta.Options{Transport: stalled{}})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 15*time.Second, time.Since(start))
	})
}

func TestAdversarial(t *testing.T) {
	// The delegation counts only if it comes from the domain: a web server with a
	// certificate for another name is not believed. How far it reaches is in
	// Endpoint.Names.
	t.Run("T18", func(t *testing.T) {
		ca, err := xtls.NewDevCA()
		require.NoError(t, err)
		for names, want := range map[string]bool{
			"im.example": true, "*.im.example": false, "web.example.com": false, "evil.example": false,
		} {
			cert, err := ca.Issue(names)
			require.NoError(t, err)
			asked := 0
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				_, _ = io.WriteString(w, example1)
			}))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			server.Config.ErrorLog = log.New(io.Discard, "", 0)
			server.StartTLS()
			transport := &http.Transport{
				DisableKeepAlives: true,
				TLSClientConfig:   &tls.Config{RootCAs: ca.Pool()},
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) { // a DNS that lies
					require.Equal(t, "im.example:443", address)
					return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
				},
			}
			got, err := hostmeta.Lookup(t.Context(), jid.MustParse("im.example"), &hostmeta.Options{Transport: transport})
			server.Close()
			if want {
				require.NoError(t, err)
				require.Equal(t, example, got)
				continue
			}
			require.ErrorAs(t, err, new(*tls.CertificateVerificationError))
			require.Zero(t, asked)
			require.Empty(t, got)
		}
	})

	// Nothing but HTTPS to the domain itself, and nothing but wss from there.
	t.Run("W02", func(t *testing.T) {
		for name, c := range map[string]struct {
			body string
			err  error
		}{
			"ws":                          {xrd("ws://im.example/ws"), hostmeta.ErrNoEndpoint},
			"redirect to http":            {">http://im.example/hm", hostmeta.ErrDocument},
			"redirect to another host":    {">https://evil.example/hm", hostmeta.ErrDocument},
			"redirect without a scheme":   {">//evil.example/hm", hostmeta.ErrDocument},
			"redirect to a subdomain":     {">https://www.im.example/hm", hostmeta.ErrDocument},
			"redirect to another port":    {">https://im.example:8443/hm", hostmeta.ErrDocument},
			"redirect with a user":        {">https://im.example@evil.example/hm", hostmeta.ErrDocument},
			"redirect with a user, again": {">https://evil@im.example/hm", hostmeta.ErrDocument},
			"redirect to nowhere":         {">", hostmeta.ErrDocument},
			"redirect to a file":          {">file:///etc/passwd", hostmeta.ErrDocument},
			"redirect that is no URL":     {">https://im.example:x/%zz", hostmeta.ErrDocument},
		} {
			w := &web{pages: map[string]string{xmlURL: c.body}}
			for _, u := range []string{"http://im.example/hm", "https://evil.example/hm", "https://www.im.example/hm", "https://im.example:8443/hm"} {
				w.pages[u] = xrd("wss://evil.example/")
			}
			got, err := lookup(t, w)
			require.ErrorIs(t, err, c.err, name)
			require.Empty(t, got)
			for _, u := range w.asked {
				require.True(t, strings.HasPrefix(u, "https://im.example/"), u)
			}
		}
		// A mixture gives what is good in it.
		got, err := lookup(t, &web{pages: map[string]string{xmlURL: xrd("ws://evil.example/", "wss://im.example/ws")}})
		require.NoError(t, err)
		require.Equal(t, []hostmeta.Endpoint{{URL: "wss://im.example/ws", Names: []string{"im.example"}}}, got)
	})
}
