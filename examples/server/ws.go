package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/adapters/websocket"
	"stanzakit.dev/xmpp/stream"
)

// serveWS serves XMPP over WebSocket at /xmpp-websocket (RFC 7395): with TLS, or
// without if logins without TLS are permitted. Pages of the origin may connect, or
// without one those of the host that they connect to.
func serveWS(s *xmpp.Server, c config) func(context.Context, net.Listener) error {
	return func(ctx context.Context, l net.Listener) error {
		h := &websocket.Handler{Limits: s.Limits}
		h.Serve = func(_ context.Context, conn net.Conn, sec *stream.Security) {
			s.ServeSecured(ctx, conn, sec) // which logs what goes wrong
		}
		if c.wsOrigin != "" {
			h.Origin = func(_ *http.Request, origin string) bool { return origin == c.wsOrigin }
		}
		mux := http.NewServeMux()
		mux.Handle("/xmpp-websocket", h)
		web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
		defer context.AfterFunc(ctx, func() { web.Close() })()
		if c.plaintext {
			return web.Serve(l)
		}
		web.TLSConfig = &tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
		return web.ServeTLS(l, "", "")
	}
}
