package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// steps prints the life of a client's stream as fourteen numbered steps. Each
// is announced by what goes over the wire; a step that does not come in its
// turn is an error.
type steps struct {
	out     io.Writer
	n       int // the last step announced
	err     error
	headers int
}

var titles = [...]string{
	1:  "TCP connection",
	2:  "stream headers, and features with STARTTLS",
	3:  "the client asks for TLS",
	4:  "the server agrees",
	5:  "TLS handshake, certificate verified",
	6:  "a new stream, inside TLS",
	7:  "features with SASL mechanisms",
	8:  "the client authenticates",
	9:  "the server's challenge",
	10: "the client's response",
	11: "success, the server's signature verified",
	12: "the stream restarts",
	13: "features with resource binding",
	14: "a resource is bound, stanzas flow",
}

func newSteps(out io.Writer) *steps { return &steps{out: out} }

// step announces step n, unless it is the current one.
func (s *steps) step(n int) {
	if n == s.n {
		return
	}
	if n != s.n+1 && s.err == nil {
		s.err = fmt.Errorf("step %d came after step %d", n, s.n)
	}
	s.n = n
	fmt.Fprintf(s.out, "\n%2d. %s\n", n, titles[n])
}

// line prints what one side sent. Something long is broken between its tags.
func (s *steps) line(who string, xml []byte) {
	if len(xml) > 160 {
		xml = bytes.ReplaceAll(xml, []byte("><"), []byte(">\n         <"))
	}
	fmt.Fprintf(s.out, "    %s: %s\n", who, xml)
}

// complete reports whether all steps came, in order.
func (s *steps) complete() error {
	if s.err == nil && s.n != len(titles)-1 {
		s.err = fmt.Errorf("the last step was %d", s.n)
	}
	return s.err
}

// dial is step 1.
func (s *steps) dial(ctx context.Context, addr string) (net.Conn, error) {
	nc, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err == nil {
		s.step(1)
		fmt.Fprintf(s.out, "    %s to %s\n", nc.LocalAddr(), nc.RemoteAddr())
	}
	return nc, err
}

// trace returns the hooks that see the other steps.
func (s *steps) trace() *stream.Trace {
	return &stream.Trace{
		XMLSent: func(xml []byte) {
			s.step(s.sent(xml))
			s.line("C", xml)
		},
		XMLReceived: func(xml []byte) {
			s.step(s.received(xml))
			s.line("S", xml)
		},
		Secured: func(sec stream.Security) {
			s.step(5)
			fmt.Fprintf(s.out, "    %s, %s, certificate for %v, verified: %t\n",
				tls.VersionName(sec.Version), tls.CipherSuiteName(sec.CipherSuite), sec.Identities, sec.Verified)
		},
		Authenticated: func(_ jid.JID, mechanism string) {
			fmt.Fprintf(s.out, "    %s: the server knows the account's keys, on this very TLS connection\n", mechanism)
		},
		Bound: func(full jid.JID) {
			fmt.Fprintf(s.out, "    the client is %s\n", full)
		},
	}
}

// sent tells to which step something that the client sends belongs.
func (s *steps) sent(xml []byte) int {
	switch {
	case bytes.HasPrefix(xml, []byte("<stream:stream")):
		s.headers++
		return [...]int{1: 2, 2: 6, 3: 12}[min(s.headers, 3)]
	case bytes.HasPrefix(xml, []byte("<starttls")):
		return 3
	case bytes.HasPrefix(xml, []byte("<auth")):
		return 8
	case bytes.HasPrefix(xml, []byte("<response")):
		return 10
	}
	return 14
}

// received tells to which step something that the server sends belongs.
func (s *steps) received(xml []byte) int {
	switch {
	case bytes.HasPrefix(xml, []byte("<stream:features")):
		return [...]int{1: 2, 2: 7, 3: 13}[min(s.headers, 3)]
	case bytes.HasPrefix(xml, []byte("<proceed")):
		return 4
	case bytes.HasPrefix(xml, []byte("<challenge")):
		return 9
	case bytes.HasPrefix(xml, []byte("<success")):
		return 11
	}
	return s.n
}
