package mam

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/sid"
)

// Module is the [stanza.Module] of a server with an archive for each of its
// accounts: it archives what passes between accounts, tells recipients the ids,
// and answers queries. The zero value is ready: see each field. Fields are not
// changed once the server runs.
//
// A message that cannot be archived, because the store fails or is full, is
// delivered all the same, without an id, and Report is told.
type Module struct {
	// Store keeps the archives. Nil means a new [MemoryStore].
	Store Store

	// Retention says how much is kept for each account, and RetentionFor, if not
	// nil, says so for one account. See [Retention] for zero.
	Retention    Retention
	RetentionFor func(account jid.JID) Retention

	// Archive decides what goes into archives, as far as it depends on the
	// message; the preferences of the account come after it. It must not change
	// the Transit. Nil means [Archivable].
	Archive func(t *stanza.Transit) bool

	// Default is what happens to messages of accounts that have not set their
	// preferences. Zero means [ArchiveAlways].
	Default Policy

	// InRoster reports whether the contact, a bare JID, is in the roster of the
	// account, for [ArchiveRoster]. Nil means the method of that name of the
	// server; if that has none, the policy is refused with
	// feature-not-implemented, and nothing is archived by it.
	InRoster func(ctx context.Context, account, contact jid.JID) (bool, error)

	// MaxMessage is the size in octets of the largest message that is archived;
	// zero means 245,760. A result has to fit into what clients read as one
	// stanza.
	MaxMessage int

	// MaxPage is how many results a query gets at most, and without a word from
	// the client; zero means 100. PageBytes is how large they may be together,
	// unless there is only one; zero means 262,144. That much is read from the
	// store at a time.
	MaxPage, PageBytes int

	// Report is told what went wrong while archiving, once for each account that
	// misses the message. Nil means one record a minute with [log/slog.Default].
	Report func(ctx context.Context, account jid.JID, err error)

	host   stanza.Host
	local  map[string]bool // the domains served
	roster func(ctx context.Context, account, contact jid.JID) (bool, error)

	reported   atomic.Int64 // when something was logged last, in Unix seconds
	unreported atomic.Int64 // how much was not, since then
}

var (
	_ stanza.HostModule      = (*Module)(nil)
	_ stanza.PublicModule    = (*Module)(nil)
	_ stanza.Featurer        = (*Module)(nil)
	_ stanza.BeforeDeliverer = (*Module)(nil)
	_ stanza.AfterRouter     = (*Module)(nil)
	_ stanza.AccountWatcher  = (*Module)(nil)
)

// Retention is how much of an archive is kept. What exceeds it is removed, the
// oldest first (XEP-0313 §3.2), when a message is added and before a query is
// answered; see also [Module.Expire].
type Retention struct {
	// Messages is how many; zero means 10,000, less than that no bound.
	Messages int
	// Bytes is how large they may be together, by [Entry.Size]; zero means 16
	// MiB, less than that no bound.
	Bytes int64
	// Age is how old they may get; zero means no bound.
	Age time.Duration
}

const (
	defaultMessages   = 10_000
	defaultBytes      = 16 << 20
	defaultMaxMessage = 240 << 10
	defaultMaxPage    = 100
	defaultPageBytes  = 256 << 10
)

// keep returns what r means now.
func (r Retention) keep(now time.Time) Keep {
	k := Keep{Messages: r.Messages, Bytes: r.Bytes}
	if k.Messages == 0 {
		k.Messages = defaultMessages
	}
	if k.Bytes == 0 {
		k.Bytes = defaultBytes
	}
	k.Messages, k.Bytes = max(k.Messages, 0), max(k.Bytes, 0)
	if r.Age > 0 {
		k.Since = now.Add(-r.Age)
	}
	return k
}

// keep returns what to keep for an account.
func (m *Module) keep(account jid.JID) Keep {
	r := m.Retention
	if m.RetentionFor != nil {
		r = m.RetentionFor(account)
	}
	return r.keep(time.Now())
}

// Name implements [stanza.Module].
func (m *Module) Name() string { return "mam" }

// Features implements [stanza.Featurer]. They are those of accounts (XEP-0313 §7),
// and of the stanza-ids that come with it (XEP-0359 §5).
func (m *Module) Features() []string {
	// §7: the field is understood, though there are no messages of rooms.
	return []string{NS, NSExtended, NSGroupchatField, sid.NS}
}

// Attach implements [stanza.HostModule].
func (m *Module) Attach(h stanza.Host) error {
	switch {
	case m.Default == "":
		m.Default = ArchiveAlways
	case !m.Default.known():
		return fmt.Errorf("mam: unknown default policy %q", m.Default)
	}
	m.host, m.local = h, make(map[string]bool)
	for _, d := range h.Domains() {
		m.local[d.Domain()] = true
	}
	if m.Store == nil {
		m.Store = new(MemoryStore)
	}
	m.roster = m.InRoster
	if r, ok := h.(rosterHost); ok && m.roster == nil {
		m.roster = r.InRoster
	}
	if m.Default == ArchiveRoster && m.roster == nil {
		return fmt.Errorf("mam: the default policy needs a roster, and there is none")
	}
	return nil
}

// rosterHost is a [stanza.Host] with rosters.
type rosterHost interface {
	InRoster(ctx context.Context, account, contact jid.JID) (bool, error)
}

// Expire removes from all archives what the retention does not allow any more, and
// returns how many messages that were. Without it, messages that have become too
// old stay in the store until their account sends, receives or asks for something;
// call it now and then, such as every hour. ctx bounds the work.
func (m *Module) Expire(ctx context.Context) (removed int, err error) {
	const some = 1000
	var last jid.JID
	for {
		accounts, err := m.Store.Accounts(ctx, last, some)
		if err != nil {
			return removed, fmt.Errorf("mam: accounts: %w", err)
		}
		for _, last = range accounts {
			if err := ctx.Err(); err != nil {
				return removed, err
			}
			n, err := m.Store.Trim(ctx, last, m.keep(last))
			if err != nil {
				return removed, fmt.Errorf("mam: removing old messages: %w", err)
			}
			removed += n
		}
		if len(accounts) < some {
			return removed, nil
		}
	}
}

// AccountRemoved implements [stanza.AccountWatcher].
func (m *Module) AccountRemoved(ctx context.Context, account jid.JID) error {
	if err := m.Store.Delete(ctx, account.Bare()); err != nil {
		return fmt.Errorf("mam: deleting an archive: %w", err)
	}
	return nil
}

// report passes an error on.
func (m *Module) report(ctx context.Context, account jid.JID, err error) {
	if m.Report != nil {
		m.Report(ctx, account, err)
		return
	}
	// A store that is full is so for every message: one record a minute stands for
	// all of them.
	m.unreported.Add(1)
	now := time.Now().Unix()
	last := m.reported.Load()
	if now-last < 60 && now >= last || !m.reported.CompareAndSwap(last, now) {
		return
	}
	slog.Default().ErrorContext(ctx, "messages not archived", "count", m.unreported.Swap(0), "account", account.String(), "error", err)
}
