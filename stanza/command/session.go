package command

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
)

// key makes and recognises the identifiers of sessions.
type key [32]byte

func newKey() (k key) {
	rand.Read(k[:]) // never fails: crypto/rand ends the program instead
	return k
}

// idRaw is the length of an identifier before it is encoded: 16 random octets, and 16 of
// a code that only the key can make.
const idRaw = 32

// owner is whom a session belongs to.
type owner struct {
	from, to jid.JID
	node     string
}

// newID returns a fresh identifier for a session of o.
func (k *key) newID(o owner) string {
	var raw [idRaw]byte
	rand.Read(raw[:idRaw/2])
	copy(raw[idRaw/2:], k.code(raw[:idRaw/2], o))
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// made reports whether id was made with k for o, active or not.
func (k *key) made(id string, o owner) bool {
	if len(id) != base64.RawURLEncoding.EncodedLen(idRaw) {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return err == nil && len(raw) == idRaw && hmac.Equal(raw[idRaw/2:], k.code(raw[:idRaw/2], o))
}

// code authenticates a nonce and an owner.
func (k *key) code(nonce []byte, o owner) []byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write(nonce)
	for _, s := range []string{o.from.String(), o.to.String(), o.node} {
		mac.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		mac.Write([]byte(s))
	}
	return mac.Sum(nil)[:idRaw/2]
}

// held is a session between two requests.
type held struct {
	owner
	id      string
	lang    string
	used    time.Time
	busy    bool // a request is being handled
	stage   int
	actions Actions
	offer   *form.Data // of type form.Form, or nil
	value   any
}

// table holds the sessions of a Responder. It has no lock and no clock.
type table struct {
	sessions  map[string]*held
	max       int // in all
	perSource int // of one bare JID
	lifetime  time.Duration
}

// put adds a session. A further one of the same account takes the place of the one that
// it has not used for longest; if there are too many in all, the error is
// [stanza.ResourceConstraint], so that nobody can end the sessions of others.
func (t *table) put(h *held, now time.Time) error {
	t.expire(now)
	var oldest *held
	n := 0
	for _, s := range t.sessions {
		if s.from.Bare() != h.from.Bare() {
			continue
		}
		n++
		if !s.busy && (oldest == nil || s.used.Before(oldest.used)) {
			oldest = s
		}
	}
	switch {
	case n >= t.perSource && oldest == nil:
		return stanza.ResourceConstraint
	case n >= t.perSource:
		delete(t.sessions, oldest.id)
	case len(t.sessions) >= t.max:
		return stanza.ResourceConstraint
	}
	if t.sessions == nil {
		t.sessions = make(map[string]*held)
	}
	h.used = now
	t.sessions[h.id] = h
	return nil
}

// get returns an active session, or nil.
func (t *table) get(id string, now time.Time) *held {
	h := t.sessions[id]
	if h == nil || t.expired(h, now) {
		return nil
	}
	return h
}

func (t *table) expired(h *held, now time.Time) bool {
	return !h.busy && now.Sub(h.used) >= t.lifetime
}

// expire removes the sessions that were not used for too long.
func (t *table) expire(now time.Time) {
	for id, h := range t.sessions {
		if t.expired(h, now) {
			delete(t.sessions, id)
		}
	}
}

// remove ends a session.
func (t *table) remove(id string) { delete(t.sessions, id) }
