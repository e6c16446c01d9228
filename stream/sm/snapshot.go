package sm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// State is all that has to be known of a session to resume it later, in another
// process if need be (XEP-0198 §5). It is a value: nothing that happens to the
// session afterwards changes it.
type State struct {
	// ID is the SM-ID: 1 to 4,000 bytes. The server has made it up.
	ID string
	// Owner is whose session it is: the full JID of the client. Nobody else may
	// resume it.
	Owner jid.JID
	// Location is where the server would like the client to come back to, as
	// "host" or "host:port"; empty if it has not said. Servers leave it empty.
	Location string

	// Since is when the session was lost, and Until when it can no longer be
	// resumed. The zero time means that it is not known, as of a session that was
	// not lost when its state was taken. Milliseconds are kept.
	Since, Until time.Time

	// In is how many stanzas of the peer were handled, modulo 2³²: the h that the
	// peer is told.
	In uint32
	// Acked is the last h of the peer.
	Acked uint32
	// Queue are the stanzas that were sent after that, in order. Acked and their
	// number make how many were sent.
	Queue []Unacked

	// Extra is what the host wants to know again when the session is resumed, under
	// names of its own. To this package it means nothing.
	Extra map[string][]byte
}

// Unacked is a stanza that the peer has not acknowledged.
type Unacked struct {
	// XML is the stanza as it was sent. It is not empty.
	XML []byte
	// At is when that was, in milliseconds: for the delay stamp that XEP-0198 §4
	// recommends if it is sent again on another session.
	At time.Time
}

// StateError says that a [State] cannot be stored as it is, or that what was
// stored is not a state.
type StateError struct {
	// Reason says what is wrong. It shows nothing of what is in the state.
	Reason string
}

// Error implements error.
func (e *StateError) Error() string { return "sm: bad state: " + e.Reason }

// VersionError says that a state was stored by a later version of this package.
type VersionError struct {
	// Found is the version of the encoding, and Known the latest one that can be
	// read.
	Found, Known uint8
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("sm: the state has version %d, and this program knows up to %d", e.Found, e.Known)
}

// stateVersion is the first byte of an encoded state. Behind it are numbers as
// varints, times in milliseconds, and strings with their length in front, in the
// order of the fields.
const stateVersion = 1

// The first and the last millisecond of the years 1 and 9999.
const minMillis, maxMillis = -62135596800000, 253402300799999

// Sent returns how many stanzas the peer was sent, modulo 2³².
func (s *State) Sent() uint32 { return s.Acked + uint32(len(s.Queue)) }

// Size returns about how many bytes the state takes when it is stored.
func (s *State) Size() int {
	n := len(s.ID) + len(s.Location) + 3*64
	for _, u := range s.Queue {
		n += len(u.XML) + 16
	}
	for name, v := range s.Extra {
		n += len(name) + len(v) + 16
	}
	return n
}

// Clone returns a copy that shares no memory with s.
func (s *State) Clone() *State {
	c := *s
	c.Queue = slices.Clone(s.Queue)
	for i := range c.Queue {
		c.Queue[i].XML = bytes.Clone(c.Queue[i].XML)
	}
	c.Extra = maps.Clone(s.Extra)
	for name, v := range c.Extra {
		c.Extra[name] = bytes.Clone(v)
	}
	return &c
}

// MarshalBinary implements [encoding.BinaryMarshaler]. The error is a
// [*StateError].
func (s *State) MarshalBinary() ([]byte, error) { return s.AppendBinary(make([]byte, 0, s.Size())) }

// AppendBinary implements [encoding.BinaryAppender].
func (s *State) AppendBinary(dst []byte) ([]byte, error) {
	if err := s.check(); err != nil {
		return dst, err
	}
	dst = append(dst, stateVersion)
	dst = appendBytes(dst, s.ID)
	dst = appendBytes(dst, s.Owner.String())
	dst = appendBytes(dst, s.Location)
	dst = binary.AppendVarint(dst, s.Since.UnixMilli())
	dst = binary.AppendVarint(dst, s.Until.UnixMilli())
	dst = binary.AppendUvarint(dst, uint64(s.In))
	dst = binary.AppendUvarint(dst, uint64(s.Acked))
	dst = binary.AppendUvarint(dst, uint64(len(s.Queue)))
	for _, u := range s.Queue {
		dst = binary.AppendVarint(dst, u.At.UnixMilli())
		dst = appendBytes(dst, u.XML)
	}
	dst = binary.AppendUvarint(dst, uint64(len(s.Extra)))
	for _, name := range slices.Sorted(maps.Keys(s.Extra)) {
		dst = appendBytes(dst, name)
		dst = appendBytes(dst, s.Extra[name])
	}
	return dst, nil
}

// check returns why a state cannot be stored.
func (s *State) check() error {
	switch {
	case s.ID == "" || len(s.ID) > maxID:
		return &StateError{"the id is empty or longer than 4000 bytes"}
	case s.Owner.IsZero():
		return &StateError{"there is no owner"}
	case len(s.Location) > maxLocation:
		return &StateError{"the location is too long"}
	case !inRange(s.Since) || !inRange(s.Until):
		return &StateError{"a time is out of range"}
	}
	for i := range s.Queue {
		switch u := &s.Queue[i]; {
		case len(u.XML) == 0:
			return &StateError{"a stanza is empty"}
		case !inRange(u.At):
			return &StateError{"a time is out of range"}
		}
	}
	return nil
}

// inRange reports whether a time can be stored.
func inRange(t time.Time) bool {
	// UnixMilli is not defined for all times.
	return t.Year() >= 1 && t.Year() <= 9999 && t.UnixMilli() >= minMillis && t.UnixMilli() <= maxMillis
}

// UnmarshalBinary implements [encoding.BinaryUnmarshaler]. It keeps nothing of
// data, and takes no more memory than a small multiple of its length. The error
// is a [*StateError] or a [*VersionError]; then s is as it was.
func (s *State) UnmarshalBinary(data []byte) error {
	if len(data) == 0 {
		return &StateError{"it is empty"}
	}
	if data[0] != stateVersion {
		return &VersionError{Found: data[0], Known: stateVersion}
	}
	r := reader{rest: data[1:]}
	out := State{ID: string(r.bytes())}
	owner := r.bytes()
	out.Location = string(r.bytes())
	out.Since, out.Until = r.time(), r.time()
	out.In, out.Acked = r.count(), r.count()
	// A stanza takes three bytes at least, and an extra two.
	for range r.list(3) {
		u := Unacked{At: r.time(), XML: bytes.Clone(r.bytes())}
		if r.reason != "" {
			break
		}
		out.Queue = append(out.Queue, u)
	}
	last := ""
	for i := range r.list(2) {
		name, value := string(r.bytes()), r.bytes()
		if i > 0 && name <= last {
			r.fail("names are not in order")
		}
		if r.reason != "" {
			break
		}
		if out.Extra == nil {
			out.Extra = make(map[string][]byte)
		}
		out.Extra[name], last = append([]byte{}, value...), name
	}
	if r.reason == "" && len(r.rest) > 0 {
		r.fail("something is behind its end")
	}
	if r.reason == "" {
		var err error
		if out.Owner, err = jid.ParseBytes(owner); err != nil {
			r.fail("the owner is not an address")
		}
	}
	if r.reason != "" {
		return &StateError{r.reason}
	}
	if err := out.check(); err != nil {
		return err
	}
	*s = out
	return nil
}

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// reader reads what was stored. After an error it returns zero values.
type reader struct {
	rest   []byte
	reason string
}

func (r *reader) fail(reason string) {
	if r.reason == "" {
		r.reason = reason
	}
	r.rest = nil
}

const short = "it ends too early"

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail(short)
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) count() uint32 {
	n := r.uint()
	if n > maxCount {
		r.fail("a count is out of range")
		return 0
	}
	return uint32(n)
}

// list returns how many entries follow, each of which takes that many bytes at
// least.
func (r *reader) list(atLeast int) int {
	n := r.uint()
	if n > uint64(len(r.rest)/atLeast) {
		r.fail(short)
		return 0
	}
	return int(n)
}

// bytes returns a part of what is read.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.fail(short)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) time() time.Time {
	n, size := binary.Varint(r.rest)
	switch {
	case size <= 0:
		r.fail(short)
		return time.Time{}
	case n < minMillis || n > maxMillis:
		r.fail("a time is out of range")
		return time.Time{}
	}
	r.rest = r.rest[size:]
	return time.UnixMilli(n).UTC()
}
