package sm

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Journal is what has happened to a session since its [State] was stored: records
// one behind the other, which [State.Replay] applies. A store keeps them in order
// and need not look inside. The zero value is an empty journal, ready for use; to
// use its memory again, cut it to length zero.
//
// Acknowledgements are the points at which things are settled. A stanza is
// recorded before it is sent, and how many were handled before the peer is told.
// Then whatever was stored, a peer that resumes the session loses nothing.
type Journal []byte

// Kinds of records. Another meaning is another kind.
const (
	recordSent    = 1 // time, XML
	recordAcked   = 2 // h
	recordHandled = 3 // h
	recordExtra   = 4 // name, value
	recordNoExtra = 5 // name
)

// Sent records a stanza that is about to be sent, and when; see [Unacked].
func (j *Journal) Sent(xml []byte, at time.Time) { j.sent(xml, at.UnixMilli()) }

func (j *Journal) sent(xml []byte, at int64) {
	b := append(*j, recordSent)
	b = binary.AppendVarint(b, at)
	*j = appendBytes(b, xml)
}

// Acked records an h of the peer's.
func (j *Journal) Acked(h uint32) { *j = binary.AppendUvarint(append(*j, recordAcked), uint64(h)) }

// Handled records the h that the peer is about to be told.
func (j *Journal) Handled(h uint32) { *j = binary.AppendUvarint(append(*j, recordHandled), uint64(h)) }

// Extra records a change of State.Extra. A nil value removes the name.
func (j *Journal) Extra(name string, value []byte) {
	if value == nil {
		*j = appendBytes(append(*j, recordNoExtra), name)
		return
	}
	*j = appendBytes(appendBytes(append(*j, recordExtra), name), value)
}

// Replay applies what has happened since s was stored. It keeps nothing of j. The
// error is a [*StateError]; then the records before the one that is wrong have
// been applied.
func (s *State) Replay(j Journal) error {
	r := reader{rest: j}
	for len(r.rest) > 0 {
		kind := r.rest[0]
		r.rest = r.rest[1:]
		switch kind {
		case recordSent:
			at, xml := r.time(), r.bytes()
			if r.reason == "" && len(xml) == 0 {
				r.fail("a stanza is empty")
			}
			if r.reason == "" {
				s.Queue = append(s.Queue, Unacked{XML: bytes.Clone(xml), At: at})
			}
		case recordAcked:
			s.acknowledge(r.count(), &r)
		case recordHandled:
			// One that is late changes nothing: who was told more will not be told less.
			if h := r.count(); r.reason == "" && int32(h-s.In) > 0 {
				s.In = h
			}
		case recordExtra:
			name, value := string(r.bytes()), r.bytes()
			if r.reason == "" {
				if s.Extra == nil {
					s.Extra = make(map[string][]byte)
				}
				s.Extra[name] = append([]byte{}, value...)
			}
		case recordNoExtra:
			if name := string(r.bytes()); r.reason == "" {
				if delete(s.Extra, name); len(s.Extra) == 0 {
					s.Extra = nil
				}
			}
		default:
			r.fail("a record is of an unknown kind")
		}
		if r.reason != "" {
			return &StateError{r.reason}
		}
	}
	return nil
}

// acknowledge removes what the peer has got.
func (s *State) acknowledge(h uint32, r *reader) {
	n := distance(s.Acked, h)
	switch {
	case r.reason != "":
	case uint64(n) > uint64(len(s.Queue)):
		r.fail("more is acknowledged than was sent")
	default:
		clear(s.Queue[:n])
		if s.Queue = s.Queue[n:]; len(s.Queue) == 0 {
			s.Queue = nil
		}
		s.Acked = h
	}
}
