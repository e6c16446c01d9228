package stream

import (
	"errors"
	"fmt"
)

// Limits bounds what a peer can make this side hold or do. The zero value of
// each field is a safe default; a copy is taken when a stream starts. Limits
// are checked while bytes arrive, before memory is taken for them (RFC 6120
// §13.12).
type Limits struct {
	// ElementBytes is the size of the largest first-level element (a stanza,
	// say) accepted after authentication, in octets as they stand on the wire.
	// Zero means 262,144. RFC 6120 §13.12 rule 4: a limit on stanzas is never
	// below 10,000.
	ElementBytes int

	// PreAuthElementBytes is the same before authentication, where there are
	// no stanzas yet. Zero means 8,192; it is at least 1,024.
	PreAuthElementBytes int

	// Depth is how deep elements may nest, the first-level element being at
	// depth one. Zero means 64.
	Depth int

	// Attributes is how many attributes, namespace declarations included, one
	// tag may carry. Zero means 64.
	Attributes int

	// Namespaces is how many namespace declarations may be in scope at one
	// time. Zero means 128.
	Namespaces int

	// Elements is how many elements one first-level element may hold, itself
	// included. Zero means 8,192; before authentication a sixteenth of it.
	Elements int

	// InboundBytes is the budget for elements that were read and not yet
	// taken by the consumer. Zero means 1 MiB; at least two elements of
	// ElementBytes always fit.
	InboundBytes int

	// OutboundBytes is the budget for bytes that were queued for sending and
	// not yet written. Zero means 1 MiB; at least two elements of ElementBytes
	// always fit.
	OutboundBytes int
}

// ErrLimits is wrapped by every error about a Limits value that cannot be
// used.
var ErrLimits = errors.New("stream: unusable limits")

// withDefaults returns a copy of l, which may be nil, with every zero field
// replaced by its default.
func (l *Limits) withDefaults() (Limits, error) {
	if l == nil {
		return standardLimits, nil
	}
	return l.complete()
}

var standardLimits, _ = (&Limits{}).complete()

func (l *Limits) complete() (Limits, error) {
	out := *l
	for _, f := range []struct {
		name     string
		v        *int
		def, min int
	}{
		// RFC 6120 §13.12 rule 4: the maximum stanza size MUST NOT be smaller
		// than 10000 bytes.
		{"ElementBytes", &out.ElementBytes, 256 << 10, 10_000},
		{"PreAuthElementBytes", &out.PreAuthElementBytes, 8 << 10, 1 << 10},
		{"Depth", &out.Depth, 64, 8},
		{"Attributes", &out.Attributes, 64, 8},
		{"Namespaces", &out.Namespaces, 128, 8},
		{"Elements", &out.Elements, 8 << 10, 256},
		{"InboundBytes", &out.InboundBytes, 1 << 20, 1},
		{"OutboundBytes", &out.OutboundBytes, 1 << 20, 1},
	} {
		switch {
		case *f.v == 0:
			*f.v = f.def
		case *f.v < f.min:
			return out, fmt.Errorf("%w: %s is %d, the least is %d", ErrLimits, f.name, *f.v, f.min)
		}
	}
	out.InboundBytes = max(out.InboundBytes, 2*out.ElementBytes)
	out.OutboundBytes = max(out.OutboundBytes, 2*out.ElementBytes)
	return out, nil
}

// preAuth returns the limits in force before authentication.
func (l Limits) preAuth() Limits {
	l.ElementBytes = min(l.PreAuthElementBytes, l.ElementBytes)
	l.Elements = max(l.Elements/16, 64)
	return l
}
