package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// webClient speaks WebSocket as it is on the wire (RFC 6455).
type webClient struct {
	t    *testing.T
	conn net.Conn
	buf  []byte
}

func (c *webClient) write(b []byte) {
	c.t.Helper()
	_, err := c.conn.Write(b)
	require.NoError(c.t, err)
}

// say sends a message, masked with zeros (§5.3).
func (c *webClient) say(xml string) {
	c.t.Helper()
	frame := []byte{0x81, 0x80 | byte(min(len(xml), 126))}
	if len(xml) > 125 {
		frame = binary.BigEndian.AppendUint16(frame, uint16(len(xml)))
	}
	c.write(append(append(frame, 0, 0, 0, 0), xml...))
}

// until reads up to and including mark. Servers mask nothing.
func (c *webClient) until(mark string) {
	c.t.Helper()
	b := make([]byte, 4096)
	for {
		if i := bytes.Index(c.buf, []byte(mark)); i >= 0 {
			c.buf = c.buf[i+len(mark):]
			return
		}
		n, err := c.conn.Read(b)
		c.buf = append(c.buf, b[:n]...)
		if err != nil && !bytes.Contains(c.buf, []byte(mark)) {
			require.FailNow(c.t, "the connection ended", "%v before %q: %q", err, mark, c.buf)
		}
	}
}

const upgrade = "GET /xmpp-websocket HTTP/1.1\r\nHost: chat.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Protocol: xmpp\r\n\r\n"

func (c *webClient) upgrade() {
	c.t.Helper()
	c.write([]byte(upgrade))
	c.until("\r\n\r\n")
}

func (c *webClient) open() {
	c.t.Helper()
	c.say(`<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='chat.test' version='1.0'/>`)
	c.until("features>")
}

func (c *webClient) login() {
	c.t.Helper()
	c.upgrade()
	c.open()
	c.say(`<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>` +
		base64.StdEncoding.EncodeToString([]byte("\x00user0\x00secret of user0")) + `</auth>`)
	c.until("<success")
}

func (c *webClient) bind() {
	c.t.Helper()
	c.login()
	c.open()
	c.say(`<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>web</resource></bind></iq>`)
	c.until("</iq>")
}

// Clients of WebSocket that connect, negotiate up to some point and drop the
// connection: goroutines, files and memory of the server return to where they were.
// What goes through it afterwards is no business of the transport.
func TestWebSocketCycles(t *testing.T) {
	cycles := 150
	if full() {
		cycles = 10_000
	}
	in := install(t, "-store", "memory", "-debug", "127.0.0.1:0", "-ws", "127.0.0.1:0")
	server := in.launch("-users", accounts(1))
	for _, phase := range []struct {
		name string
		to   func(c *webClient)
	}{
		{"connected", func(*webClient) {}},
		{"in the request", func(c *webClient) { c.write([]byte(upgrade[:len(upgrade)/2])) }},
		{"request sent", func(c *webClient) { c.write([]byte(upgrade)) }},
		{"upgraded", func(c *webClient) { c.upgrade() }},
		{"in a frame", func(c *webClient) { c.upgrade(); c.write([]byte{0x81, 0xfe, 0x01}) }},
		{"in a message", func(c *webClient) { c.upgrade(); c.write([]byte{0x01, 0x85, 0, 0, 0, 0, '<', 'o', 'p', 'e', 'n'}) }},
		{"opened", func(c *webClient) { c.upgrade(); c.open() }},
		{"authenticated", func(c *webClient) { c.login() }},
		{"bound", func(c *webClient) { c.bind() }},
		{"closed", func(c *webClient) {
			c.bind()
			c.say(`<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>`)
		}},
	} {
		t.Run(phase.name, func(t *testing.T) {
			run := func(i int) {
				nc, err := net.Dial("tcp", server.ports["ws"])
				require.NoError(t, err)
				require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
				phase.to(&webClient{t: t, conn: nc})
				if i%2 == 0 {
					require.NoError(t, nc.(*net.TCPConn).SetLinger(0))
				}
				nc.Close()
			}
			for i := range 10 { // pools and caches fill
				run(i)
			}
			base := in.settled(server)
			for i := range cycles {
				run(i)
			}
			// One per cent, and the noise of a heap this small: a hundred bytes for each of 10,000.
			limit := base.heap + base.heap/100 + 1<<20
			var after resources
			for range 50 {
				after = in.settled(server)
				if after.goroutines <= base.goroutines && after.files <= base.files && after.heap <= limit {
					break
				}
				<-time.After(50 * time.Millisecond)
			}
			require.LessOrEqual(t, after.goroutines, base.goroutines)
			require.LessOrEqual(t, after.files, base.files)
			require.LessOrEqual(t, after.heap, limit)
		})
	}
	in.stop(server)
	in.sound()
}

// resources are what a process uses.
type resources struct{ goroutines, files, heap int }

// settled returns what a process uses when it has no sessions.
func (in *installation) settled(p *life) resources {
	in.t.Helper()
	var r resources
	last := -1
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(10 * time.Millisecond) {
		require.True(in.t, time.Now().Before(deadline), "it does not settle: %+v", r)
		var sessions int
		r.goroutines, sessions = in.inside(p)
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid))
		if os.IsNotExist(err) {
			in.t.Skip("this system does not tell which files are open")
		}
		require.NoError(in.t, err)
		r.files = len(entries)
		if sessions == 0 && r.goroutines == last {
			break
		}
		last = r.goroutines
	}
	r.heap = in.ask(p, "/debug/pprof/heap?gc=1&debug=1", `\n# HeapAlloc = (\d+)\n`)
	return r
}
