package auth_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"sync"
	"testing"
)

// middleman sits between a client and a server, ends TLS on both sides, and relays what is inside.
type middleman struct {
	t              *testing.T
	client, server net.Conn
	cert           tls.Certificate
	roots          *x509.CertPool
	edit           func(string) string // of what the server says
}

func (m *middleman) run() {
	defer m.client.Close()
	defer m.server.Close()
	// In plaintext: relay until the server says <proceed/>.
	done := make(chan struct{})
	go func() { // ends with the <starttls/> of the client
		defer close(done)
		copyUntil(m.server, m.client, []byte("<starttls"))
	}()
	if !copyUntil(m.client, m.server, []byte("<proceed")) {
		return
	}
	<-done
	left := tls.Server(m.client, &tls.Config{Certificates: []tls.Certificate{m.cert}})
	right := tls.Client(m.server, &tls.Config{RootCAs: m.roots, ServerName: "im.example"})
	if err := left.Handshake(); err != nil {
		m.t.Errorf("TLS with the client: %v", err)
		return
	}
	if err := right.Handshake(); err != nil {
		m.t.Errorf("TLS with the server: %v", err)
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { // ends when the client's connection does
		defer right.Close()
		_, _ = io.Copy(right, left)
	})
	defer wg.Wait()
	defer left.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := right.Read(buf) // what is written at once arrives at once: features are never split
		if n > 0 {
			if _, err := io.WriteString(left, m.edit(string(buf[:n]))); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// copyUntil relays until what was relayed holds the mark and ends with a tag.
func copyUntil(dst io.Writer, src io.Reader, mark []byte) bool {
	var seen []byte
	b := make([]byte, 1)
	for {
		if _, err := src.Read(b); err != nil {
			return false
		}
		if _, err := dst.Write(b); err != nil {
			return false
		}
		seen = append(seen, b[0])
		if i := bytes.Index(seen, mark); i >= 0 && b[0] == '>' {
			return true
		}
	}
}
