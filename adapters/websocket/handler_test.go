package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/adapters/websocket"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// TestAdversarial has the rows of hostile inputs that are about this module.
func TestAdversarial(t *testing.T) {
	t.Run("W01", testOrigin)
	t.Run("L15", testFrames)
}

// testOrigin is W01 (RFC 6455 §10.2, RFC 7395 §3.1).
func testOrigin(t *testing.T) {
	secure, plain := newSite(t, nil, "im.example"), newSite(t, nil)
	behind := newSite(t, func(h *websocket.Handler) { h.InsecureBehindProxy = true })
	asked := newSite(t, func(h *websocket.Handler) {
		h.Origin = func(_ *http.Request, origin string) bool { return origin == "https://app.example" || origin == "null" }
	}, "im.example")
	for name, c := range map[string]struct {
		site   *site
		change func(http.Header)
		want   int
	}{
		"none":                     {secure, func(http.Header) {}, 101},
		"same host":                {secure, func(h http.Header) { h.Set("Origin", "https://im.example") }, 101},
		"same host, other case":    {secure, func(h http.Header) { h.Set("Origin", "https://IM.example") }, 101},
		"foreign":                  {secure, func(h http.Header) { h.Set("Origin", "https://evil.example") }, 403},
		"foreign, looks like it":   {secure, func(h http.Header) { h.Set("Origin", "https://im.example.evil.example") }, 403},
		"foreign, user":            {secure, func(h http.Header) { h.Set("Origin", "https://im.example@evil.example") }, 403},
		"other port":               {secure, func(h http.Header) { h.Set("Origin", "https://im.example:8443") }, 403},
		"null":                     {secure, func(h http.Header) { h.Set("Origin", "null") }, 403},
		"empty":                    {secure, func(h http.Header) { h.Set("Origin", "") }, 403},
		"nonsense":                 {secure, func(h http.Header) { h.Set("Origin", "https://%zz") }, 403},
		"two":                      {secure, func(h http.Header) { h["Origin"] = []string{"https://im.example", "https://evil.example"} }, 403},
		"page without TLS":         {secure, func(h http.Header) { h.Set("Origin", "http://im.example") }, 403},
		"all without TLS":          {plain, func(h http.Header) { h.Set("Origin", "http://im.example") }, 101},
		"proxy":                    {behind, func(h http.Header) { h.Set("Origin", "https://im.example") }, 101},
		"proxy, page without TLS":  {behind, func(h http.Header) { h.Set("Origin", "http://im.example") }, 403},
		"policy":                   {asked, func(h http.Header) { h.Set("Origin", "https://app.example") }, 101},
		"policy, null":             {asked, func(h http.Header) { h.Set("Origin", "null") }, 101},
		"policy, same host":        {asked, func(h http.Header) { h.Set("Origin", "https://im.example") }, 403},
		"no subprotocol":           {secure, func(h http.Header) { h.Del("Sec-WebSocket-Protocol") }, 400},
		"other subprotocol":        {secure, func(h http.Header) { h.Set("Sec-WebSocket-Protocol", "chat, xmpp2") }, 400},
		"among other subprotocols": {secure, func(h http.Header) { h.Set("Sec-WebSocket-Protocol", "chat, xmpp") }, 101},
		"not a WebSocket":          {secure, func(h http.Header) { h.Del("Upgrade") }, 426},
		"old version":              {secure, func(h http.Header) { h.Set("Sec-WebSocket-Version", "8") }, 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := handshake("im.example")
			c.change(r.Header)
			r.URL.Scheme, r.URL.Host = "http", c.site.Listener.Addr().String()
			if c.site.ca != nil {
				r.URL.Scheme = "https"
			}
			client := c.site.Client()
			if c.site.ca != nil {
				client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: c.site.ca.Pool(), ServerName: "im.example"}}}
			}
			response, err := client.Do(r)
			require.NoError(t, err)
			response.Body.Close()
			require.Equal(t, c.want, response.StatusCode)
			if c.want == 101 {
				require.Equal(t, "xmpp", response.Header.Get("Sec-WebSocket-Protocol"))
				require.Empty(t, response.Header.Get("Sec-WebSocket-Extensions"))
				require.Error(t, <-c.site.ended)
			}
		})
	}
}

// attacker is a client that speaks WebSocket by hand.
type attacker struct {
	net.Conn
	t  *testing.T
	in *bufio.Reader
}

// attack connects and does the handshake. What is given goes with the request, in
// the same segment.
func attack(t *testing.T, s *site, early []byte) *attacker {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	var request bytes.Buffer
	r := handshake("im.example")
	r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
	require.NoError(t, r.Write(&request))
	_, err = c.Write(append(request.Bytes(), early...))
	require.NoError(t, err)
	a := &attacker{c, t, bufio.NewReader(c)}
	response, err := http.ReadResponse(a.in, nil)
	require.NoError(t, err)
	require.Equal(t, 101, response.StatusCode)
	require.Empty(t, response.Header.Get("Sec-WebSocket-Extensions"), "RFC 7692 is not agreed on")
	return a
}

// frame is a frame with a mask of zeros, so that the content stands as it is.
func frame(first byte, content string) []byte {
	out := []byte{first, 0x80}
	switch n := len(content); {
	case n > 0xffff:
		out[1] |= 127
		out = binary.BigEndian.AppendUint64(out, uint64(n))
	case n > 125:
		out[1] |= 126
		out = binary.BigEndian.AppendUint16(out, uint16(n))
	default:
		out[1] |= byte(n)
	}
	return append(append(out, 0, 0, 0, 0), content...)
}

// closed reads until a Close frame has come, and returns its code.
func (a *attacker) closed() int {
	a.t.Helper()
	for {
		var h [2]byte
		_, err := io.ReadFull(a.in, h[:])
		require.NoError(a.t, err)
		n := int(h[1])
		if n == 126 {
			var l [2]byte
			_, err := io.ReadFull(a.in, l[:])
			require.NoError(a.t, err)
			n = int(binary.BigEndian.Uint16(l[:]))
		}
		content := make([]byte, n)
		_, err = io.ReadFull(a.in, content)
		require.NoError(a.t, err)
		if h[0] == 0x88 {
			a.Close()
			if n < 2 {
				return 1005
			}
			return int(binary.BigEndian.Uint16(content))
		}
	}
}

const openMsg = `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="im.example" version="1.0"/>`

// testFrames is L15: what is wrong beneath the messages ends the WebSocket with the
// code of RFC 6455 §7.4.1 for it, and costs next to nothing.
func testFrames(t *testing.T) {
	s := newSite(t, func(h *websocket.Handler) { h.InsecureBehindProxy = true })
	many := func(first []byte, again []byte, n int) []byte { return append(first, bytes.Repeat(again, n)...) }
	for name, c := range map[string]struct {
		in   []byte
		want int
	}{
		"a million continuations":       {many(frame(0x01, "<"), frame(0x00, ""), 1_000_000), 1009},
		"length 2^63":                   {[]byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1002},
		"length 2^63-1":                 {[]byte{0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 1009},
		"length 2^40":                   {[]byte{0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1009},
		"length not minimal":            {[]byte{0x81, 0xfe, 0, 5, 1, 2, 3, 4}, 1002},
		"unmasked":                      {[]byte{0x81, 1, '<'}, 1002},
		"control of 126 octets":         {frame(0x89, string(make([]byte, 126))), 1002},
		"control in fragments":          {frame(0x09, "x"), 1002},
		"compressed":                    {frame(0xc1, "\x00"), 1002},
		"reserved bit":                  {frame(0xa1, "x"), 1002},
		"unknown opcode":                {frame(0x83, "x"), 1002},
		"unknown control opcode":        {frame(0x8b, "x"), 1002},
		"continuation of nothing":       {frame(0x80, "x"), 1002},
		"message in a message":          {append(frame(0x01, "<"), frame(0x81, "<")...), 1002},
		"a thousand pings":              {many(nil, frame(0x89, "x"), 1000), 1008},
		"a thousand pongs":              {many(nil, frame(0x8a, "x"), 1000), 1008},
		"behind a good one":             {append(frame(0x81, openMsg), 0x81, 1, '<'), 1002},
		"Close with one octet":          {frame(0x88, "x"), 1002},
		"Close":                         {frame(0x88, "\x03\xe8"), 1000},
		"larger than an element may be": {frame(0x81, "<message xmlns='jabber:client'>"+string(bytes.Repeat([]byte("x"), 1<<20))), 1000},
	} {
		for _, early := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				var a *attacker
				if early && len(c.in) < 1000 {
					a = attack(t, s, c.in)
				} else {
					a = attack(t, s, nil)
					// Owner: the test. Ends with the connection.
					go a.Write(c.in)
				}
				require.Equal(t, c.want, a.closed())
				require.Error(t, <-s.ended)
			})
		}
	}
}

// A stream that is refused is told so in messages, before the WebSocket ends.
func TestRefused(t *testing.T) {
	s := newSite(t, nil)
	a := attack(t, s, frame(0x81, `<open xmlns="urn:ietf:params:xml:ns:xmpp-framing" to="other.example" version="1.0"/>`))
	got, err := io.ReadAll(io.LimitReader(a.in, 400))
	require.NoError(t, err)
	require.Contains(t, string(got), "<host-unknown ")
	require.ErrorIs(t, <-s.ended, stream.HostUnknown)
}

// Behind a proxy the connection counts as secure, and has no channel binding.
func TestBehindProxy(t *testing.T) {
	s := newSite(t, func(h *websocket.Handler) { h.InsecureBehindProxy = true })
	o := s.options()
	o.InsecurePlaintext, o.Domain = true, domain
	conn, sec, err := websocket.Dial(t.Context(), s.url("127.0.0.1"), o)
	require.NoError(t, err)
	sec.Version = tls.VersionTLS13 // what the client knows of the proxy
	session, mechanism, err := login(t, conn, sec)
	require.NoError(t, err)
	require.Regexp(t, `^SCRAM-SHA-\d+$`, mechanism)
	require.NoError(t, session.Close(t.Context()))
	require.NoError(t, <-s.ended)
}

// A client that says nothing is not waited for, and one that goes away is noticed.
func TestSilence(t *testing.T) {
	ended := make(chan error, 1)
	s := newSite(t, func(h *websocket.Handler) {
		h.Serve = func(ctx context.Context, conn net.Conn, sec *stream.Security) {
			_, err := stream.Accept(ctx, conn, &stream.AcceptOptions{Domains: []jid.JID{domain}, Timeout: 50 * time.Millisecond})
			ended <- err
		}
	})
	attack(t, s, nil)
	require.ErrorIs(t, <-ended, stream.ErrNegotiationTimeout)
	attack(t, s, nil).Close()
	require.ErrorIs(t, <-ended, stream.ErrTruncated)
}

// RFC 7395 §3.8: white space becomes a Ping frame, whose Pong is not seen.
func TestPing(t *testing.T) {
	s := newSite(t, func(h *websocket.Handler) {
		h.Serve = func(_ context.Context, conn net.Conn, _ *stream.Security) {
			conn.Write([]byte(" "))
			conn.Read(make([]byte, 1))
		}
	})
	a := attack(t, s, nil)
	head := make([]byte, 2)
	_, err := io.ReadFull(a.in, head)
	require.NoError(t, err)
	require.Equal(t, byte(0x89), head[0])
}
