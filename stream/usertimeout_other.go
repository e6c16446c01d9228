//go:build !linux

package stream

import (
	"net"
	"time"
)

// setUserTimeout does nothing on systems without the option.
func setUserTimeout(net.Conn, time.Duration) {}
