package stream

import "time"

// ParsePeerLimits reads <limits/> as the initiating entity does.
func ParsePeerLimits(el *Element) (maxBytes int, idle time.Duration, ok bool) {
	l, ok := parseLimits(el)
	return l.maxBytes, l.idle, ok
}
