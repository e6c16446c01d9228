package stream

import (
	"net"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall does not
// name on every architecture. The number is the same on all.
const tcpUserTimeout = 18

// setUserTimeout has the kernel give a connection up on which what was sent has
// not been acknowledged for so long (RFC 5482). Where that cannot be set, the
// kernel's own and much longer patience holds.
func setUserTimeout(conn net.Conn, timeout time.Duration) {
	socket, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	ms := int(min(timeout.Milliseconds(), 1<<31-1))
	// An error of Control means that the connection is closed already.
	raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, ms) })
}
