package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
)

// serveDebug answers /metrics, in the text format of Prometheus, and
// /debug/pprof.
func serveDebug(s *xmpp.Server) func(context.Context, net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) { writeMetrics(w, s) })
	return func(ctx context.Context, l net.Listener) error {
		h := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
		stop := context.AfterFunc(ctx, func() { h.Close() })
		defer stop()
		if err := h.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

func writeMetrics(w http.ResponseWriter, s *xmpp.Server) {
	var in, out uint64
	sessions := s.Sessions(jid.JID{})
	for _, c := range sessions {
		i, o := c.Stanzas()
		in, out = in+uint64(i), out+uint64(o)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Fprintf(w, "# TYPE xmpp_sessions gauge\nxmpp_sessions %d\n", len(sessions))
	fmt.Fprintf(w, "# TYPE xmpp_open_sessions_stanzas gauge\nxmpp_open_sessions_stanzas{direction=\"in\"} %d\nxmpp_open_sessions_stanzas{direction=\"out\"} %d\n", in, out)
	fmt.Fprintf(w, "# TYPE go_goroutines gauge\ngo_goroutines %d\n", runtime.NumGoroutine())
	fmt.Fprintf(w, "# TYPE go_heap_inuse_bytes gauge\ngo_heap_inuse_bytes %d\n", m.HeapInuse)
}
