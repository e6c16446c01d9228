package auth

import (
	"container/list"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
)

// An AttemptLimiter bounds failed attempts to authenticate over all connections, by account and
// address. A [Server] asks it in addition to the bound on each stream. Implementations are safe for
// concurrent use, and quick: they are called between the messages of an exchange. One limiter may
// serve any number of features and servers; those that share accounts should share it.
//
// The account is a bare JID that the client claims, whether it exists or not, or the zero JID while,
// or where, it has not said who it is. A claim to one of several names of an account becomes, once the
// name has been looked up, one to its canonical name, and Allow is asked about that too. The address is
// what [ServerOptions].Address returned; it may be the zero Addr.
type AttemptLimiter interface {
	// Allow reports whether an attempt may be made. It is called when a handshake begins, and again
	// before the credentials of the account are looked at.
	Allow(account jid.JID, addr netip.Addr) bool

	// Failed records a failed attempt. It reports whether the client may learn that it failed: false
	// means that by now there have been too many, of attempts that were under way at the same time.
	Failed(account jid.JID, addr netip.Addr) bool

	// Succeeded records a successful attempt. It reports whether it counts: false means as above, and
	// the client is turned away as if it had failed, so that many attempts at the same time learn
	// nothing that one after the other would not.
	Succeeded(account jid.JID, addr netip.Addr) bool
}

// AttemptsOptions says what [Attempts] allows. The zero value is a bound that is safe.
type AttemptsOptions struct {
	// PerAccount is how many attempts at one account may fail from one address within Window. Zero
	// means 5.
	PerAccount int

	// PerAddress is how many attempts may fail from one address within Window, at whatever accounts.
	// Many people may share an address. Zero means 100.
	PerAddress int

	// Window is for how long failures count, beginning with the first of them. Zero means 15 minutes.
	Window time.Duration

	// MaxEntries is how many accounts with failures, for each address, and how many addresses are
	// remembered at a time; an entry takes some 200 bytes. When there are more, the one with the
	// oldest first failure, which would be forgotten first in any case, makes room. Zero means 65,536.
	MaxEntries int
}

// Attempts is an [AttemptLimiter] in memory. It counts failures by account and address together,
// never by account alone: whoever fails on purpose locks himself out, and not the owner of the
// account, who is elsewhere (XEP-0205 §2). A second, larger count by address bounds those who try
// one password with many accounts; it is not reset by success, which an attacker with an account of
// his own can have. Addresses of IPv6 count by their /64, which is what one customer is given,
// and those that translate IPv4 (64:ff9b::/96) by that.
//
// Attempts from the zero Addr are neither counted nor refused: for them there is the bound on each
// stream. Accounts and addresses are kept as hashes, since what people type for a user name is not
// always one. It is safe for concurrent use. There is no goroutine to stop.
type Attempts struct {
	opts AttemptsOptions

	mu       sync.Mutex
	accounts failures
	addrs    failures
}

// NewAttempts returns a limiter without failures. The options are copied; nil means the zero value.
func NewAttempts(opts *AttemptsOptions) *Attempts {
	var o AttemptsOptions
	if opts != nil {
		o = *opts
	}
	o.PerAccount = positive(o.PerAccount, 5)
	o.PerAddress = positive(o.PerAddress, 100)
	o.MaxEntries = positive(o.MaxEntries, 1<<16)
	o.Window = positive(o.Window, 15*time.Minute)
	return &Attempts{opts: o}
}

func positive[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Allow implements [AttemptLimiter].
func (a *Attempts) Allow(account jid.JID, addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.allow(account, addr)
}

// allow forgets what is over, and reports whether what is left leaves room for an attempt. Nothing is ever
// counted for the zero JID.
func (a *Attempts) allow(account jid.JID, addr netip.Addr) bool {
	before := time.Now().Add(-a.opts.Window)
	a.accounts.forget(before)
	a.addrs.forget(before)
	if a.addrs.count(failureKey("", addr)) >= a.opts.PerAddress {
		return false
	}
	return a.accounts.count(failureKey(account.String(), addr)) < a.opts.PerAccount
}

// Failed implements [AttemptLimiter].
func (a *Attempts) Failed(account jid.JID, addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.allow(account, addr) {
		return false
	}
	now := time.Now()
	a.addrs.add(failureKey("", addr), now, a.opts.MaxEntries)
	if !account.IsZero() {
		a.accounts.add(failureKey(account.String(), addr), now, a.opts.MaxEntries)
	}
	return true
}

// Succeeded implements [AttemptLimiter]. The failures of the account from this address are forgotten.
func (a *Attempts) Succeeded(account jid.JID, addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.allow(account, addr) {
		return false
	}
	a.accounts.remove(failureKey(account.String(), addr))
	return true
}

// Format prints how much there is, and nothing of whom, whatever the verb.
func (a *Attempts) Format(f fmt.State, _ rune) {
	a.mu.Lock()
	accounts, addrs := len(a.accounts.entries), len(a.addrs.entries)
	a.mu.Unlock()
	fmt.Fprintf(f, "auth.Attempts{%d accounts %d addresses}", accounts, addrs)
}

// translated are addresses of IPv4, in their last 32 bits, that a translator has made addresses of IPv6 of
// (RFC 6052 §2.1). By their /64 they would be one, and lock each other out.
var translated = netip.MustParsePrefix("64:ff9b::/96")

// failureKey names an account, or none, at an address.
func failureKey(account string, addr netip.Addr) [sha256.Size]byte {
	addr = addr.Unmap().WithZone("")
	if translated.Contains(addr) {
		b := addr.As16()
		addr = netip.AddrFrom4([4]byte(b[12:]))
	}
	if addr.Is6() {
		if p, err := addr.Prefix(64); err == nil {
			addr = p.Addr()
		}
	}
	b := addr.As16() // of one length, so that no two inputs are one
	return sha256.Sum256(append(b[:], account...))
}

// failures counts by key. Entries are in the order of their first failure, which is that in which
// they end.
type failures struct {
	entries map[[sha256.Size]byte]*list.Element // of failure
	order   list.List
}

type failure struct {
	key   [sha256.Size]byte
	since time.Time
	count int
}

func (f *failures) count(key [sha256.Size]byte) int {
	if e, ok := f.entries[key]; ok {
		return e.Value.(*failure).count
	}
	return 0
}

func (f *failures) add(key [sha256.Size]byte, now time.Time, limit int) {
	if e, ok := f.entries[key]; ok {
		e.Value.(*failure).count++
		return
	}
	if len(f.entries) >= limit {
		f.drop(f.order.Front())
	}
	if f.entries == nil {
		f.entries = make(map[[sha256.Size]byte]*list.Element)
	}
	f.entries[key] = f.order.PushBack(&failure{key: key, since: now, count: 1})
}

func (f *failures) remove(key [sha256.Size]byte) {
	if e, ok := f.entries[key]; ok {
		f.drop(e)
	}
}

// forget drops what began at the given time or earlier.
func (f *failures) forget(before time.Time) {
	for e := f.order.Front(); e != nil && !e.Value.(*failure).since.After(before); e = f.order.Front() {
		f.drop(e)
	}
	if len(f.entries) == 0 {
		f.entries = nil // a map does not shrink
	}
}

func (f *failures) drop(e *list.Element) {
	f.order.Remove(e)
	delete(f.entries, e.Value.(*failure).key)
}
