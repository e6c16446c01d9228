package stream

import (
	"encoding/binary"
	"math/bits"
)

// Names come as bytes and leave as strings. Those that are known beforehand
// are found in a table that never changes; the rest go through a small cache
// of each tokenizer, in which a newcomer displaces whoever has its place. A
// peer that invents names costs a few small allocations each and cannot make the
// cache grow.

const (
	wellKnownBits = 11
	cacheBits     = 6

	// cachedName is the longest name that is kept: the cache of one tokenizer
	// refers to at most 8 KiB of foreign bytes.
	cachedName = 128

	hashMul = 0x9E3779B97F4A7C15
)

// qname is a string that was seen in a document, a qualified name or the name
// of a namespace, with everything about it that does not depend on where it
// stands. It never changes.
type qname struct {
	// key holds the bytes of a string shorter than eight, so that such strings
	// are compared by comparing keys; longKey otherwise.
	key uint64
	// bit is one bit, the same one for the same string. A set of names without
	// a bit in common has no name twice.
	bit uint64

	tag           string // all of it
	prefix, local string // of a name
	// space is what an attribute with this name has for a namespace before
	// prefixes are resolved: the prefix, except for xml, which always means the
	// same.
	space string
	kind  nameKind
}

// longKey is no key: the last byte of a short string is zero.
const longKey = ^uint64(0)

// nameKind says what a qname can be.
type nameKind uint8

const (
	notName  nameKind = iota // not a qualified name
	plain                    // needs no declaration
	prefixed                 // has a prefix other than xml
	declares                 // xmlns, or has it as its prefix
)

// newName makes the entry for b.
func newName(b []byte) *qname {
	key, h := hashName(b)
	n := &qname{key: key, bit: 1 << (h >> 58), tag: string(b)}
	end, colon, status := scanName(append([]byte(n.tag), ' '), 0)
	if status != nameOK || end != len(n.tag) {
		return n
	}
	n.local, n.kind = n.tag, plain
	if colon >= 0 {
		n.prefix, n.local = n.tag[:colon], n.tag[colon+1:]
		n.space, n.kind = n.prefix, prefixed
	}
	switch {
	case n.prefix == "xml":
		n.space, n.kind = NSXML, plain
	case n.prefix == "xmlns", n.tag == "xmlns":
		n.kind = declares
	}
	return n
}

// hashName returns the key of b and a hash. The hash mixes the length with the
// first and last eight bytes; it need not be strong: both tables hold at most
// one name per place, and a collision costs an allocation.
func hashName(b []byte) (key, h uint64) {
	if len(b) < 8 {
		var buf [8]byte
		copy(buf[:], b)
		key = binary.LittleEndian.Uint64(buf[:])
		return key, key * hashMul
	}
	return longKey, hashLong(load64(b, 0), load64(b, len(b)-8), len(b))
}

func hashLong(first, last uint64, n int) uint64 {
	return ((first^uint64(n))*hashMul ^ bits.RotateLeft64(last, 29)) * hashMul
}

// nobody stands in the places of the table that are empty.
var nobody = &qname{key: longKey, tag: "\x00"}

var wellKnown = func() (t [1 << wellKnownBits]*qname) {
	for i := range t {
		t[i] = nobody
	}
	for _, s := range wellKnownNames {
		_, h := hashName([]byte(s))
		if i := h >> (64 - wellKnownBits); t[i] == nobody { // the first of two with the same place wins
			t[i] = newName([]byte(s))
		}
	}
	return t
}()

// internCache is the replaceable part.
type internCache [1 << cacheBits]*qname

// find returns the name at i in b, if it is one that was seen before, and where
// it ends; nil when it takes a closer look. A name that was seen needs no
// checks.
func (t *Tokenizer) find(b []byte, i int) (*qname, int) {
	if i+8 > len(b) {
		return nil, i
	}
	x := load64(b, i)
	if m := nameStops(x); m != 0 {
		n := firstStop(m)
		x &= 1<<(8*n&63) - 1
		h := x * hashMul
		if q := wellKnown[h>>(64-wellKnownBits)]; q.key == x {
			return q, i + n
		}
		if t.cache != nil {
			if q := t.cache[h>>(64-cacheBits)]; q != nil && q.key == x && q.kind != notName {
				return q, i + n
			}
		}
		return nil, i
	}
	end := i + 8
	for {
		if end+8 > len(b) {
			return nil, i
		}
		m := nameStops(load64(b, end))
		if m != 0 {
			end += firstStop(m)
			break
		}
		end += 8
	}
	name := b[i:end]
	h := hashLong(x, load64(b, end-8), len(name))
	if q := wellKnown[h>>(64-wellKnownBits)]; q.tag == string(name) && q.kind != notName {
		return q, end
	}
	if t.cache != nil {
		if q := t.cache[h>>(64-cacheBits)]; q != nil && q.tag == string(name) && q.kind != notName {
			return q, end
		}
	}
	return nil, i
}

// intern returns the entry for b, which it makes if there is none.
func (t *Tokenizer) intern(b []byte) *qname {
	_, h := hashName(b)
	if q := wellKnown[h>>(64-wellKnownBits)]; q.tag == string(b) {
		return q
	}
	if len(b) > cachedName {
		return newName(b)
	}
	if t.cache == nil {
		t.cache = new(internCache)
	}
	p := &t.cache[h>>(64-cacheBits)]
	if *p == nil || (*p).tag != string(b) {
		*p = newName(b)
	}
	return *p
}

// wellKnownNames are names of elements, attributes and namespaces that nearly
// every stream carries, the most frequent ones first.
var wellKnownNames = []string{
	// RFC 6120, 6121
	"message", "presence", "iq", "body", "to", "from", "id", "type", "xml:lang", "xmlns", "item", "jid", "query",
	"subscription", "name", "group", "status", "show", "priority", "subject", "thread", "error", "text", "code", "by",
	"version", "ver", "lang", "parent", "ask", "approved", "stream:stream", "stream:features", "stream:error", "stream",
	"features", "xmlns:stream", "starttls", "proceed", "failure", "mechanisms", "mechanism", "auth", "challenge",
	"response", "success", "abort", "bind", "resource", "session", "required", "optional", "sub",
	"jabber:client", "jabber:server", "http://etherx.jabber.org/streams", "urn:ietf:params:xml:ns:xmpp-streams",
	"urn:ietf:params:xml:ns:xmpp-stanzas", "urn:ietf:params:xml:ns:xmpp-tls", "urn:ietf:params:xml:ns:xmpp-sasl",
	"urn:ietf:params:xml:ns:xmpp-bind", "urn:ietf:params:xml:ns:xmpp-session", "urn:ietf:params:xml:ns:xmpp-framing",
	"http://www.w3.org/XML/1998/namespace", "jabber:iq:roster", "jabber:component:accept",
	"urn:xmpp:features:rosterver", "urn:xmpp:features:pre-approval", "open", "close", "see-other-uri",
	// conditions
	"bad-request", "conflict", "feature-not-implemented", "forbidden", "gone", "internal-server-error",
	"item-not-found", "jid-malformed", "not-acceptable", "not-allowed", "not-authorized", "policy-violation",
	"recipient-unavailable", "redirect", "registration-required", "remote-server-not-found",
	"remote-server-timeout", "resource-constraint", "service-unavailable", "subscription-required",
	"undefined-condition", "unexpected-request",
	// extensions seen in everyday traffic
	"c", "hash", "node", "x", "photo", "delay", "stamp", "active", "composing", "paused", "inactive", "request",
	"received", "ping", "r", "a", "h", "enable", "enabled", "resume", "resumed", "failed", "previd", "max", "location",
	"sm", "sent", "private", "forwarded", "result", "queryid", "fin", "complete", "set", "first", "last", "count",
	"index", "before", "after", "identity", "feature", "category", "var", "items", "event", "pubsub", "publish",
	"subscribe", "retract", "options", "configure", "field", "value", "label", "title", "instructions", "option",
	"form_type", "reported", "desc", "origin-id", "stanza-id", "replace", "store", "no-store", "no-copy", "html",
	"p", "span", "nick", "data", "metadata", "info", "bytes", "width", "height", "url", "reason", "password",
	"invite", "decline", "history", "maxstanzas", "seconds", "since", "role", "affiliation", "actor", "destroy",
	"encrypted", "header", "key", "keys", "payload", "rid", "sid", "iv", "prekey", "list", "device", "devices",
	"bundle", "devicelist", "username", "vCard", "FN", "PHOTO", "TYPE", "BINVAL", "block", "unblock", "blocklist",
	"csi", "displayed", "markable", "acknowledged", "reactions", "reaction", "reply", "fallback", "start", "end",
	"handshake", "compression", "method", "user-agent", "software", "device-id", "authentication", "authenticate",
	"initial-response", "additional-data", "authorization-identifier", "continue", "tasks", "task", "next", "inline",
	"bound", "tag", "fast", "token", "expiry", "sasl-channel-binding", "channel-binding", "db:result", "db:verify",
	"xmlns:db", "jabber:server:dialback", "urn:xmpp:ping", "urn:xmpp:delay", "urn:xmpp:sm:3", "urn:xmpp:csi:0",
	"urn:xmpp:carbons:2", "urn:xmpp:forward:0", "urn:xmpp:mam:2", "urn:xmpp:sid:0", "urn:xmpp:hints",
	"urn:xmpp:receipts", "urn:xmpp:chat-markers:0", "urn:xmpp:reactions:0", "urn:xmpp:reply:0",
	"urn:xmpp:fallback:0", "urn:xmpp:message-correct:0", "urn:xmpp:blocking", "urn:xmpp:sasl:2", "urn:xmpp:bind:0",
	"urn:xmpp:fast:0", "urn:xmpp:sasl-cb:0", "urn:xmpp:bidi", "urn:xmpp:features:dialback", "urn:xmpp:time",
	"urn:xmpp:avatar:data", "urn:xmpp:avatar:metadata", "vcard-temp", "vcard-temp:x:update", "jabber:x:data",
	"jabber:x:oob", "jabber:x:conference", "jabber:iq:version", "jabber:iq:last", "jabber:iq:private",
	"jabber:iq:register", "jabber:iq:auth", "http://jabber.org/protocol/caps",
	"http://jabber.org/protocol/chatstates", "http://jabber.org/protocol/disco#info",
	"http://jabber.org/protocol/disco#items", "http://jabber.org/protocol/muc",
	"http://jabber.org/protocol/muc#user", "http://jabber.org/protocol/muc#admin",
	"http://jabber.org/protocol/muc#owner", "http://jabber.org/protocol/pubsub",
	"http://jabber.org/protocol/pubsub#event", "http://jabber.org/protocol/pubsub#owner",
	"http://jabber.org/protocol/nick", "http://jabber.org/protocol/rsm", "http://jabber.org/protocol/commands",
	"http://jabber.org/protocol/xhtml-im", "http://www.w3.org/1999/xhtml", "http://jabber.org/features/compress",
	"http://jabber.org/protocol/compress", "eu.siacs.conversations.axolotl", "urn:xmpp:omemo:2", "storage", "system",
	"os", "utc", "tzo",
}
