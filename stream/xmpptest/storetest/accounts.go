package storetest

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stanza"
)

// AccountStore is what [Accounts] tests: all methods of [xmpp.MemoryAccounts]. A
// user table of a program that only logs users in needs no more than
// [xmpp.Accounts].
type AccountStore interface {
	xmpp.Accounts
	presence.Accounts
	KeyIterations() int

	Set(ctx context.Context, account jid.JID, password string) error
	Create(ctx context.Context, account jid.JID, password string) error
	SetPassword(ctx context.Context, account jid.JID, password string) error
	Delete(ctx context.Context, account jid.JID) error
	Disable(ctx context.Context, account jid.JID) error
	Enable(ctx context.Context, account jid.JID) error
	Disabled(ctx context.Context, account jid.JID) (bool, error)
	Count(ctx context.Context) (int, error)
	List(ctx context.Context, after jid.JID, max int) ([]jid.JID, error)
}

// Accounts tests an implementation of [AccountStore]. Each call of open returns a
// new, empty one with room for 20 accounts. Let it have few iterations, or the tests
// take long.
func Accounts(t *testing.T, open func(t *testing.T) AccountStore) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, a accountTable)
	}{
		{"Empty", accountsEmpty},
		{"Set", accountsSet},
		{"Unusable", accountsUnusable},
		{"Create", accountsCreate},
		{"SetPassword", accountsSetPassword},
		{"Domains", accountsDomains},
		{"Delete", accountsDelete},
		{"Disable", accountsDisable},
		{"List", accountsList},
		{"Race", accountsRace},
		{"Cancelled", accountsCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, accountTable{t, open(t)}) })
	}
}

var accountsJuliet = jid.MustParse("juliet@capulet.lit")

// accountTable is a store under test.
type accountTable struct {
	t *testing.T
	AccountStore
}

// works requires that an account has this password, and keys for all hashes.
func (a accountTable) works(account jid.JID, password string) {
	a.t.Helper()
	require.NotEmpty(a.t, a.Hashes())
	salts := make(map[string]bool)
	for _, h := range a.Hashes() {
		k, err := a.Keys(a.t.Context(), account, h)
		require.NoError(a.t, err)
		require.Equal(a.t, h, k.Hash)
		require.Equal(a.t, a.KeyIterations(), k.Iterations)
		require.GreaterOrEqual(a.t, len(k.Salt), 16, "XEP-0438 §6.2")
		require.False(a.t, salts[string(k.Salt)], "a salt is used twice")
		salts[string(k.Salt)] = true
		want, err := sasl.DeriveKeys(a.t.Context(), h, password, k.Salt, k.Iterations)
		require.NoError(a.t, err)
		require.Equal(a.t, want, k)
	}
	a.exists(account, true)
}

// unknown requires that nobody can log in to an account.
func (a accountTable) unknown(account jid.JID) {
	a.t.Helper()
	for _, h := range a.Hashes() {
		k, err := a.Keys(a.t.Context(), account, h)
		require.ErrorIs(a.t, err, sasl.ErrUnknownUser)
		require.Zero(a.t, k)
	}
}

func (a accountTable) exists(account jid.JID, want bool) {
	a.t.Helper()
	got, err := a.Exists(a.t.Context(), account)
	require.NoError(a.t, err)
	require.Equal(a.t, want, got)
}

func (a accountTable) counts(want int) {
	a.t.Helper()
	n, err := a.Count(a.t.Context())
	require.NoError(a.t, err)
	require.Equal(a.t, want, n)
}

func accountsEmpty(t *testing.T, a accountTable) {
	a.unknown(accountsJuliet)
	a.exists(accountsJuliet, false)
	a.exists(accountsJuliet.DomainJID(), false)
	a.counts(0)
	list, err := a.List(t.Context(), jid.JID{}, 10)
	require.NoError(t, err)
	require.Empty(t, list)
	require.NoError(t, a.Delete(t.Context(), accountsJuliet))
	disabled, err := a.Disabled(t.Context(), accountsJuliet)
	require.NoError(t, err)
	require.False(t, disabled)
}

func accountsSet(t *testing.T, a accountTable) {
	require.NoError(t, a.Set(t.Context(), jid.MustParse("juliet@capulet.lit/balcony"), "secret"), "a resource is ignored")
	a.works(accountsJuliet, "secret")
	a.works(jid.MustParse("juliet@capulet.lit/chamber"), "secret")
	before, err := a.Keys(t.Context(), accountsJuliet, a.Hashes()[0])
	require.NoError(t, err)
	require.NoError(t, a.Set(t.Context(), accountsJuliet, "secret"))
	after, err := a.Keys(t.Context(), accountsJuliet, a.Hashes()[0])
	require.NoError(t, err)
	require.NotEqual(t, before.Salt, after.Salt)
	a.counts(1)
	_, err = a.Keys(t.Context(), accountsJuliet, "SHA-0")
	require.ErrorIs(t, err, sasl.ErrUnknownUser, "a hash that there are no keys for")

	after.Salt[0]++
	after.StoredKey[0]++
	a.works(accountsJuliet, "secret") // what was returned is a copy
}

func accountsUnusable(t *testing.T, a accountTable) {
	for _, set := range []func(context.Context, jid.JID, string) error{a.Set, a.Create} {
		require.Error(t, set(t.Context(), accountsJuliet, ""), "RFC 8265 §4.2.2: not empty")
		require.Error(t, set(t.Context(), jid.MustParse("capulet.lit"), "secret"), "no localpart")
		require.Error(t, set(t.Context(), jid.JID{}, "secret"))
	}
	a.exists(accountsJuliet, false)
	a.counts(0)
	require.NoError(t, a.Create(t.Context(), accountsJuliet, "secret"), "a failure leaves nothing behind")
	require.Error(t, a.SetPassword(t.Context(), accountsJuliet, ""))
	a.works(accountsJuliet, "secret")
}

// XEP-0077 §3.1, example 6.
func accountsCreate(t *testing.T, a accountTable) {
	require.NoError(t, a.Create(t.Context(), accountsJuliet, "secret"))
	a.works(accountsJuliet, "secret")
	require.ErrorIs(t, a.Create(t.Context(), accountsJuliet, "other"), stanza.Conflict)
	a.works(accountsJuliet, "secret")
	a.counts(1)
}

func accountsSetPassword(t *testing.T, a accountTable) {
	require.ErrorIs(t, a.SetPassword(t.Context(), accountsJuliet, "secret"), stanza.ItemNotFound)
	a.exists(accountsJuliet, false)
	require.NoError(t, a.Create(t.Context(), accountsJuliet, "secret"))
	require.NoError(t, a.SetPassword(t.Context(), accountsJuliet, "new"))
	a.works(accountsJuliet, "new")
	a.counts(1)
}

func accountsDomains(t *testing.T, a accountTable) {
	other := jid.MustParse("juliet@montague.lit")
	require.NoError(t, a.Create(t.Context(), accountsJuliet, "secret"))
	a.unknown(other)
	a.exists(other, false)
	require.NoError(t, a.Create(t.Context(), other, "hers"))
	a.works(accountsJuliet, "secret")
	a.works(other, "hers")
}

func accountsDelete(t *testing.T, a accountTable) {
	romeo := jid.MustParse("romeo@montague.lit")
	require.NoError(t, a.Create(t.Context(), accountsJuliet, "secret"))
	require.NoError(t, a.Create(t.Context(), romeo, "secret"))
	require.NoError(t, a.Disable(t.Context(), accountsJuliet))
	require.NoError(t, a.Delete(t.Context(), accountsJuliet))
	a.unknown(accountsJuliet)
	a.exists(accountsJuliet, false)
	a.counts(1)
	a.works(romeo, "secret")
	require.NoError(t, a.Create(t.Context(), accountsJuliet, "again"))
	a.works(accountsJuliet, "again") // the next owner of the name is not disabled
}

// XEP-0133 §4.3, §4.4.
func accountsDisable(t *testing.T, a accountTable) {
	is := func(want bool) {
		t.Helper()
		got, err := a.Disabled(t.Context(), accountsJuliet)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	require.ErrorIs(t, a.Disable(t.Context(), accountsJuliet), stanza.ItemNotFound)
	require.ErrorIs(t, a.Enable(t.Context(), accountsJuliet), stanza.ItemNotFound)
	require.NoError(t, a.Create(t.Context(), accountsJuliet, "secret"))
	require.NoError(t, a.Enable(t.Context(), accountsJuliet))
	is(false)
	require.NoError(t, a.Disable(t.Context(), accountsJuliet))
	require.NoError(t, a.Disable(t.Context(), accountsJuliet), "again")
	is(true)
	a.unknown(accountsJuliet)
	a.exists(accountsJuliet, true)
	require.NoError(t, a.SetPassword(t.Context(), accountsJuliet, "new"))
	is(true)
	a.unknown(accountsJuliet)
	a.counts(1)
	require.NoError(t, a.Enable(t.Context(), accountsJuliet))
	is(false)
	a.works(accountsJuliet, "new")
}

// In the order of their addresses as strings.
func accountsList(t *testing.T, a accountTable) {
	var want []jid.JID
	for _, s := range []string{"a@b.lit", "a@capulet.lit", "aa@capulet.lit", "b@a.lit", "long-name@capulet.lit", "z@capulet.lit", "ñ@capulet.lit"} {
		want = append(want, jid.MustParse(s))
	}
	for i := range want {
		require.NoError(t, a.Create(t.Context(), want[len(want)-1-i], "secret"))
	}
	require.NoError(t, a.Disable(t.Context(), want[1]))
	a.counts(len(want))
	for size := 1; size <= len(want)+1; size++ {
		var got []jid.JID
		for last := (jid.JID{}); ; {
			some, err := a.List(t.Context(), last, size)
			require.NoError(t, err)
			require.LessOrEqual(t, len(some), size)
			if len(some) == 0 {
				break
			}
			got = append(got, some...)
			last = some[len(some)-1]
		}
		require.Equal(t, want, got)
	}
	some, err := a.List(t.Context(), jid.MustParse("aaa@nowhere.lit"), 1)
	require.NoError(t, err)
	require.Equal(t, want[3:4], some, "the last one need not be there any more")
}

// Of several who want a name at the same time one gets it.
func accountsRace(t *testing.T, a accountTable) {
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for i := range 8 {
		// Owner: this test. Stops when it has an answer. Joined through wg.
		wg.Go(func() { errs <- a.Create(t.Context(), accountsJuliet, "secret "+strconv.Itoa(i)) })
	}
	wg.Wait()
	close(errs)
	created := 0
	for err := range errs {
		if err == nil {
			created++
		} else {
			require.ErrorIs(t, err, stanza.Conflict)
		}
	}
	require.Equal(t, 1, created)
	a.counts(1)
}

func accountsCancelled(t *testing.T, a accountTable) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := a.Create(ctx, accountsJuliet, "secret")
	a.exists(accountsJuliet, err == nil)
	if err != nil {
		require.True(t, errors.Is(err, context.Canceled), "the error is %v", err)
	}
}
