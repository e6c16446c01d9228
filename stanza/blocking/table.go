package blocking

import (
	"hash/maphash"
	"maps"
	"sync"
	"sync/atomic"

	"stanzakit.dev/xmpp/jid"
)

// table holds the lists of all accounts that have one. Reading takes no lock and
// no memory: each shard is a map that is replaced as a whole.
type table struct {
	seed     maphash.Seed
	accounts atomic.Int64 // how many have a list
	shards   [256]shard
}

type shard struct {
	mu    sync.Mutex // held while a list of the shard is changed, store included
	lists atomic.Pointer[map[jid.JID]*list]
}

func newTable() *table { return &table{seed: maphash.MakeSeed()} }

// shard returns where the list of an account is.
func (t *table) shard(account jid.JID) *shard {
	return &t.shards[maphash.String(t.seed, account.String())%uint64(len(t.shards))]
}

// empty reports whether no account has a list.
func (t *table) empty() bool { return t.accounts.Load() == 0 }

// of returns the list of an account.
func (t *table) of(account jid.JID) *list {
	if lists := t.shard(account).lists.Load(); lists != nil {
		return (*lists)[account]
	}
	return nil
}

// set replaces the list of an account. The caller holds the lock of s, which is
// its shard.
func (t *table) set(s *shard, account jid.JID, l *list) {
	lists := map[jid.JID]*list{}
	if old := s.lists.Load(); old != nil {
		lists = maps.Clone(*old)
	}
	before := len(lists)
	if l == nil {
		delete(lists, account)
	} else {
		lists[account] = l
	}
	s.lists.Store(&lists)
	t.accounts.Add(int64(len(lists) - before))
}

// load puts in the list of an account before anybody reads the table.
func (t *table) load(account jid.JID, l *list) {
	s := t.shard(account)
	if s.lists.Load() == nil {
		s.lists.Store(&map[jid.JID]*list{})
	}
	lists := *s.lists.Load()
	before := len(lists)
	if l == nil {
		delete(lists, account)
	} else {
		lists[account] = l
	}
	t.accounts.Add(int64(len(lists) - before))
}
