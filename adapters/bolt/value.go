package bolt

import (
	"encoding/binary"
	"errors"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// Values begin with the version of their encoding, so that one bucket can have old
// and new ones. Behind it are numbers as varints and strings with their length.

// encoding1 is the only version so far.
const encoding1 = 1

// Why a value cannot be read.
var (
	errShort    = errors.New("a value ends too early")
	errLong     = errors.New("a value goes on behind its end")
	errEncoding = errors.New("a value has an unknown encoding")
	errRange    = errors.New("a number is out of range")
	errKey      = errors.New("a key is malformed")
	errAddress  = errors.New("an address is malformed")
)

// value writes a value.
type value []byte

func newValue(size int) value { return append(make(value, 0, size), encoding1) }

func (v *value) uint(n uint64)   { *v = binary.AppendUvarint(*v, n) }
func (v *value) string(s string) { v.uint(uint64(len(s))); *v = append(*v, s...) }
func (v *value) bytes(b []byte)  { v.uint(uint64(len(b))); *v = append(*v, b...) }

func (v *value) time(t time.Time) {
	*v = binary.AppendVarint(*v, t.Unix())
	v.uint(uint64(t.Nanosecond()))
}

func (v *value) jids(list []jid.JID) {
	v.uint(uint64(len(list)))
	for _, j := range list {
		v.string(j.String())
	}
}

// reader reads a value. After an error it returns zero values; the error is found at
// the end.
type reader struct {
	rest []byte
	err  error
}

func newReader(v []byte) *reader {
	r := &reader{rest: v}
	if n := r.uint(); r.err == nil && n != encoding1 {
		r.fail(errEncoding)
	}
	return r
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

func (r *reader) uint() uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.fail(errShort)
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count reads how many there are of something.
func (r *reader) count() int64 {
	n := r.uint()
	if n > 1<<62 {
		r.fail(errRange)
		return 0
	}
	return int64(n)
}

// bytes returns a part of the value, not a copy.
func (r *reader) bytes() []byte {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.fail(errShort)
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) string() string { return string(r.bytes()) }

// list reads how many entries a list has, each of which takes a byte at least.
func (r *reader) list() int {
	n := r.uint()
	if n > uint64(len(r.rest)) {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) time() time.Time {
	sec, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail(errShort)
		return time.Time{}
	}
	r.rest = r.rest[size:]
	ns := r.uint()
	// From year 1 to 9999.
	if ns >= 1e9 || sec < -62135596800 || sec > 253402300799 {
		r.fail(errRange)
		return time.Time{}
	}
	return time.Unix(sec, int64(ns)).UTC()
}

func (r *reader) jid() jid.JID {
	j, err := jid.ParseBytes(r.bytes())
	if r.err == nil && err != nil {
		r.fail(errAddress) // which is not shown
	}
	return j
}

func (r *reader) jids() (list []jid.JID) {
	for range r.list() {
		if r.err != nil {
			return nil
		}
		list = append(list, r.jid())
	}
	return list
}

// end returns the error of all that was read.
func (r *reader) end(bucket string) error {
	if r.err == nil && len(r.rest) > 0 {
		r.err = errLong
	}
	if r.err != nil {
		return &CorruptError{bucket, r.err}
	}
	return nil
}

// A value may also be the encoding and then bytes as they came.

func encodeRaw(b []byte) []byte { return append(newValue(1+len(b)), b...) }

// decodeRaw returns a part of v, not a copy.
func decodeRaw(bucket string, v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] != encoding1 {
		return nil, &CorruptError{bucket, errEncoding}
	}
	return v[1:], nil
}

// decodeNumber reads a number that stands alone.
func decodeNumber(bucket string, v []byte) (uint64, error) {
	if len(v) != 8 {
		return 0, &CorruptError{bucket, errShort}
	}
	return binary.BigEndian.Uint64(v), nil
}
