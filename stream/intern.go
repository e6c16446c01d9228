package stream

import "math/bits"

// Names come as bytes and leave as strings. Those that are known beforehand
// are found in a table that never changes; the rest go through a small cache
// of each tokenizer, in which a newcomer displaces whoever has its place. A
// peer that invents names pays with one small allocation each and cannot make
// the cache grow.

const (
	wellKnownBits = 11
	cacheBits     = 6

	// cachedName is the longest name that is kept: the cache of one tokenizer
	// refers to at most 8 KiB of foreign bytes.
	cachedName = 128

	hashMul = 0x9E3779B97F4A7C15
)

// hashName mixes the length with the first and last eight bytes. It need not
// be strong: both tables hold at most one name per place, and a collision
// costs an allocation.
func hashName(b []byte) uint64 {
	n := len(b)
	switch {
	case n >= 8:
		x, y := load64(b, 0), load64(b, n-8)
		return ((x^uint64(n))*hashMul ^ bits.RotateLeft64(y, 29)) * hashMul
	case n >= 4:
		x := uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
		y := uint64(b[n-4]) | uint64(b[n-3])<<8 | uint64(b[n-2])<<16 | uint64(b[n-1])<<24
		return (x | y<<32 ^ uint64(n)) * hashMul
	case n > 0:
		return (uint64(b[0]) | uint64(b[n>>1])<<8 | uint64(b[n-1])<<16 | uint64(n)<<24) * hashMul
	}
	return 0
}

var wellKnown [1 << wellKnownBits]string

func init() {
	for _, s := range wellKnownNames {
		i := hashName([]byte(s)) >> (64 - wellKnownBits)
		if wellKnown[i] == "" { // the first of two with the same place wins
			wellKnown[i] = s
		}
	}
}

// internCache is the replaceable part.
type internCache [1 << cacheBits]string

// name returns b as a string.
func (t *Tokenizer) name(b []byte) string {
	h := hashName(b)
	if s := wellKnown[h>>(64-wellKnownBits)]; s == string(b) {
		return s
	}
	if len(b) > cachedName {
		return string(b)
	}
	if t.cache == nil {
		t.cache = new(internCache)
	}
	p := &t.cache[h>>(64-cacheBits)]
	if *p != string(b) {
		*p = string(b)
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
