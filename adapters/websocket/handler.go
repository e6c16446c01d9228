package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/ws"
	xtls "stanzakit.dev/xmpp/tls"
)

// Handler opens WebSockets for XMPP as the server (RFC 7395 §3.1): an http.Handler
// for the path of the endpoint. The http.Server that it belongs to has to speak
// HTTP/1.1, with TLS or behind something that does, and needs a ReadHeaderTimeout.
// Set the fields before the first request.
type Handler struct {
	// Serve runs a stream on a connection, for instance with stream.Accept, and
	// returns when it is over. The Security is for AcceptOptions.Security, and nil
	// without TLS, where the stream then permits what it does on any plaintext
	// connection: no authentication unless that was asked for. The context is that
	// of the request. Required.
	Serve func(ctx context.Context, conn net.Conn, sec *stream.Security)

	// Origin decides whether pages of an origin may connect: a browser lets any page
	// in the world try. It is called with what the request has as Origin, such as
	// "https://chat.example"; requests without one come from no browser and are not
	// asked about. Nil permits the host that the request is for, with https where
	// there is TLS.
	Origin func(r *http.Request, origin string) bool

	// Limits are those of the stream; see ws.Options.
	Limits *stream.Limits

	// InsecureBehindProxy says that every connection comes from a proxy that ends
	// TLS, over a network where nobody listens: those without TLS are taken for
	// secure, though without channel bindings. Whoever reaches this handler by
	// another way than the proxy can then log in, and be overheard.
	InsecureBehindProxy bool
}

// ServeHTTP answers the handshake and serves the connection until it is over.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !slices.ContainsFunc(r.Header.Values("Sec-WebSocket-Protocol"), offersXMPP) {
		// RFC 7395 §3.1
		http.Error(w, "the subprotocol xmpp is required", http.StatusBadRequest)
		return
	}
	if !h.permits(r) {
		http.Error(w, "origin not permitted", http.StatusForbidden)
		return
	}
	sec, err := h.security(r)
	if err != nil {
		http.Error(w, "TLS is too weak", http.StatusForbidden)
		return
	}
	takes := &hijacker{ResponseWriter: w}
	// The origin was looked at here, with other rules than the library has.
	judged := r.WithContext(r.Context())
	judged.Header = r.Header.Clone()
	judged.Header.Del("Origin")
	c, err := websocket.Accept(takes, judged, &websocket.AcceptOptions{
		Subprotocols:    []string{subprotocol},
		CompressionMode: websocket.CompressionDisabled,
	})
	if err != nil {
		return // the client was told
	}
	conn := ws.NewConn(newConn(c, takes.guarded), stream.Receiving, &ws.Options{Limits: h.Limits})
	defer conn.Close()
	h.Serve(r.Context(), conn, sec)
}

func offersXMPP(protocols string) bool {
	for p := range strings.SplitSeq(protocols, ",") {
		if strings.TrimSpace(p) == subprotocol {
			return true
		}
	}
	return false
}

// permits decides about the origin of a request (RFC 6455 §10.2).
func (h *Handler) permits(r *http.Request) bool {
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0:
		return true
	case len(origins) > 1:
		return false
	case h.Origin != nil:
		return h.Origin(r, origins[0])
	}
	// "null", the origin of pages that come from nowhere, has no host.
	o, err := url.Parse(origins[0])
	if err != nil || o.Host == "" || !strings.EqualFold(o.Host, r.Host) {
		return false
	}
	return o.Scheme == "https" || o.Scheme == "http" && r.TLS == nil && !h.InsecureBehindProxy
}

// security describes what is beneath a request; nil is nothing.
func (h *Handler) security(r *http.Request) (*stream.Security, error) {
	if r.TLS == nil {
		if h.InsecureBehindProxy {
			// What the proxy speaks is not known; this is the least that it may.
			return &stream.Security{Version: tls.VersionTLS12}, nil
		}
		return nil, nil
	}
	sec, err := xtls.ServerSecurity(r.TLS)
	return &sec, err
}

// hijacker puts a guard on the connection when it is taken from HTTP.
type hijacker struct {
	http.ResponseWriter
	guarded *guarded
}

// Hijack takes the connection over. What was received already goes past the guard
// too.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	nc, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	early := make([]byte, rw.Reader.Buffered())
	if _, err := rw.Reader.Read(early); err != nil && len(early) > 0 {
		nc.Close()
		return nil, nil, err
	}
	h.guarded = &guarded{Conn: nc, early: early, guard: newGuard(true, time.Now())}
	rw.Reader.Reset(h.guarded)
	return h.guarded, rw, nil
}
