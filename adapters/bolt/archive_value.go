package bolt

import (
	"bytes"
	"encoding/binary"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/mam"
)

// entryCost is what mam.Entry.Size counts besides strings.
var entryCost = int64(new(mam.Entry).Size())

// entry is an entry as it lies in the file: what it refers to is valid as long as
// the transaction. Entries that are passed by are not copied.
type entry struct {
	id, from, to []byte
	at           time.Time
	message      []byte // nil: it was removed
}

func encodeEntry(e *mam.Entry, at time.Time) []byte {
	from, to := e.From.String(), e.To.String()
	v := newValue(64 + len(e.ID) + len(from) + len(to) + len(e.Message))
	v.string(e.ID)
	v.time(at)
	v.string(from)
	v.string(to)
	if e.Message == nil {
		v.uint(0)
		return v
	}
	v.uint(1)
	v.bytes(e.Message)
	return v
}

func decodeEntry(b []byte) (entry, error) {
	r := newReader(b)
	e := entry{id: r.bytes(), at: r.time(), from: r.bytes(), to: r.bytes()}
	switch r.uint() {
	case 0:
	case 1:
		e.message = r.bytes()
	default:
		r.fail(errRange)
	}
	return e, r.end(bucketEntries)
}

// address parses an address of an entry, which may be empty.
func address(b []byte) (jid.JID, error) {
	if len(b) == 0 {
		return jid.JID{}, nil
	}
	j, err := jid.ParseBytes(b)
	if err != nil {
		return jid.JID{}, &CorruptError{bucketEntries, errAddress}
	}
	return j, nil
}

// size is that of mam.Entry.
func (e *entry) size() int64 {
	return entryCost + int64(len(e.id)+len(e.from)+len(e.to)+len(e.message))
}

// contact is that of mam.Entry.
func (e *entry) contact(account jid.JID) (jid.JID, error) {
	from, err := address(e.from)
	if err != nil || from.Bare() != account {
		return from.Bare(), err
	}
	to, err := address(e.to)
	return to.Bare(), err
}

// between reports whether an address is one of those of the entry.
func (e *entry) between(j jid.JID) bool {
	return string(e.from) == j.String() || string(e.to) == j.String()
}

// copy returns the entry for a caller to keep.
func (e *entry) copy() (mam.Entry, error) {
	out := mam.Entry{ID: string(e.id), Time: e.at, Message: bytes.Clone(e.message)}
	var err error
	if out.From, err = address(e.from); err == nil {
		out.To, err = address(e.to)
	}
	return out, err
}

// archive is what is kept of an archive beside its entries.
type archive struct {
	first, next uint64 // numbers of the first entry, and of the one to come
	bytes       int64
}

func (a archive) count() int64 { return int64(a.next - a.first) }

func encodeArchive(a archive) []byte {
	v := newValue(32)
	v.uint(a.first)
	v.uint(a.next)
	v.uint(uint64(a.bytes))
	return v
}

func decodeArchive(b []byte) (archive, error) {
	r := newReader(b)
	a := archive{first: uint64(r.count()), next: uint64(r.count()), bytes: r.count()}
	if a.next < a.first {
		r.fail(errRange)
	}
	return a, r.end(bucketArchives)
}

func encodePrefs(p *mam.Prefs) []byte {
	v := newValue(16 + 32*(len(p.Always)+len(p.Never)))
	v.string(string(p.Default))
	v.jids(p.Always)
	v.jids(p.Never)
	return v
}

func decodePrefs(b []byte) (*mam.Prefs, error) {
	r := newReader(b)
	p := &mam.Prefs{Default: mam.Policy(r.string()), Always: r.jids(), Never: r.jids()}
	if err := r.end(bucketPrefs); err != nil {
		return nil, err
	}
	return p, nil
}

// with begins the keys of the index for a contact.
func with(account, contact jid.JID) []byte {
	s := contact.String()
	key := binary.BigEndian.AppendUint16(prefix(account, 2+len(s)+8), uint16(len(s)))
	return append(key, s...)
}
