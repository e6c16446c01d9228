package hostmeta

import (
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// checkLinks: whatever a document says, an endpoint is one for wss with a name.
func checkLinks(t *testing.T, links []link, err error) {
	if err != nil {
		require.ErrorIs(t, err, ErrDocument)
		require.Empty(t, links)
		return
	}
	for _, l := range links {
		e, ok := endpoint(l, "im.example")
		if !ok {
			continue
		}
		u, err := url.Parse(e.URL)
		require.NoError(t, err)
		require.Equal(t, "wss", u.Scheme)
		require.NotEmpty(t, e.Names[0])
		require.Equal(t, "im.example", e.Names[len(e.Names)-1])
		require.False(t, strings.ContainsAny(e.URL, " \r\n\t"), "%q", e.URL)
	}
}

func FuzzXRD(f *testing.F) {
	f.Add([]byte("<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='http://docs.oasis-open.org/ns/xri/xrd-1.0'>" +
		`<Link rel="urn:xmpp:alt-connections:websocket" href="wss://web.example.com:443/ws" /></XRD>`))
	f.Add([]byte("<x:XRD xmlns:x='http://docs.oasis-open.org/ns/xri/xrd-1.0'><x:Link rel='a'/></x:XRD>\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		links, err := parseXRD(body)
		checkLinks(t, links, err)
	})
}

func FuzzJRD(f *testing.F) {
	f.Add([]byte(`{"links":[{"rel":"urn:xmpp:alt-connections:websocket","href":"wss://web.example.com:443/ws"}]}`))
	f.Add([]byte(`{"subject":"x","links":[{"rel":1},null]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		links, err := parseJRD(body)
		checkLinks(t, links, err)
	})
}

func FuzzEndpoint(f *testing.F) {
	f.Add("wss://web.example.com:443/ws")
	f.Add("wss://[2001:db8::1]:5281/x?y")
	f.Fuzz(func(t *testing.T, href string) {
		checkLinks(t, []link{{relWebSocket, href}}, nil)
	})
}

// The transport of our own is no weaker than net/http, whatever it is given.
func TestTransport(t *testing.T) {
	given := &tls.Config{ServerName: "evil.example", MinVersion: tls.VersionTLS10}
	own, err := newTransport(given)
	require.NoError(t, err)
	require.Empty(t, own.TLSClientConfig.ServerName)
	require.EqualValues(t, tls.VersionTLS12, own.TLSClientConfig.MinVersion)
	require.Equal(t, "evil.example", given.ServerName, "what was given is not changed")
	_, err = parseXRD(nil)
	require.True(t, errors.Is(err, ErrDocument))
}
