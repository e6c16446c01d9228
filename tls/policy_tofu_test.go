package tls

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

func TestTrustOnFirstUse(t *testing.T) {
	cert, other := loneLeaf(t), loneLeaf(t)
	t.Run("accepts and remembers", func(t *testing.T) {
		for _, v := range []Verdict{stream.SelfSigned, stream.UnknownAuthority} {
			store := new(MemoryPins)
			policy := TrustOnFirstUse(store)
			for range 2 {
				require.NoError(t, policy.VerifyCertificate(t.Context(), present(v, cert)))
			}
			pins, err := store.Get(t.Context(), imExample)
			require.NoError(t, err)
			require.Equal(t, []PublicKeyPin{PinOf(cert)}, pins)

			// A changed key, whoever vouches for it.
			for _, v := range []Verdict{stream.SelfSigned, stream.UnknownAuthority, stream.Anchored} {
				err := policy.VerifyCertificate(t.Context(), present(v, other))
				var pin *PinError
				require.ErrorAs(t, err, &pin)
				require.Equal(t, &PinError{Domain: "im.example", Got: PinOf(other), Want: []PublicKeyPin{PinOf(cert)}}, pin)
			}
			require.NoError(t, AnyOf(Default(), policy).VerifyCertificate(t.Context(), present(stream.Anchored, other)))
			// The same key in a certificate of an authority is the same.
			require.NoError(t, policy.VerifyCertificate(t.Context(), present(stream.Anchored, cert)))
			// Another domain has keys of its own.
			p := present(v, other)
			p.Domain = jid.MustParse("other.example")
			require.NoError(t, policy.VerifyCertificate(t.Context(), p))
		}
	})
	t.Run("never remembers what is wrong otherwise", func(t *testing.T) {
		store := new(MemoryPins)
		forgives(t, TrustOnFirstUse(refuser{store}), 0, cert)
		for _, flaw := range []Verdict{stream.WrongName, stream.WrongTime, stream.Revoked, stream.Unacceptable} {
			for _, base := range []Verdict{stream.SelfSigned, stream.UnknownAuthority, stream.Anchored} {
				err := TrustOnFirstUse(store).VerifyCertificate(t.Context(), present(base|flaw, cert))
				require.ErrorIs(t, err, errOrdinary)
			}
		}
		require.Empty(t, store.pins)
	})
	t.Run("nor accepts it later", func(t *testing.T) {
		store := new(MemoryPins)
		require.NoError(t, store.Set(imExample, PinOf(cert)))
		forgives(t, TrustOnFirstUse(store), stream.SelfSigned|stream.UnknownAuthority, cert)
	})
	t.Run("an authority's word is enough, and not remembered", func(t *testing.T) {
		store := new(MemoryPins)
		for _, c := range []*Presented{present(stream.Anchored, cert), present(stream.Anchored, other)} {
			require.NoError(t, TrustOnFirstUse(store).VerifyCertificate(t.Context(), c))
		}
		require.Empty(t, store.pins)
	})
	t.Run("what speaks against it is not overlooked", func(t *testing.T) {
		p := present(stream.Anchored, cert)
		p.Err = errOrdinary
		require.ErrorIs(t, TrustOnFirstUse(new(MemoryPins)).VerifyCertificate(t.Context(), p), errOrdinary)
	})
	t.Run("a store that fails", func(t *testing.T) {
		for _, store := range []PinStore{broken{get: true}, broken{}} {
			err := TrustOnFirstUse(store).VerifyCertificate(t.Context(), present(stream.SelfSigned, cert))
			require.ErrorIs(t, err, errBroken)
		}
		// Not even for a good certificate: the pins could say otherwise.
		err := TrustOnFirstUse(broken{get: true}).VerifyCertificate(t.Context(), present(stream.Anchored, cert))
		require.ErrorIs(t, err, errBroken)
		require.Error(t, TrustOnFirstUse(nil).VerifyCertificate(t.Context(), present(stream.Anchored, cert)))
	})
	t.Run("a client", func(t *testing.T) {
		store := new(MemoryPins)
		p := present(stream.SelfSigned, cert)
		p.Domain = jid.JID{}
		require.ErrorIs(t, TrustOnFirstUse(store).VerifyCertificate(t.Context(), p), errOrdinary)
		require.Empty(t, store.pins)
		require.Error(t, TrustOnFirstUse(store).VerifyCertificate(t.Context(), present(stream.SelfSigned)), "no chain")
	})
	t.Run("somebody else was first", func(t *testing.T) {
		// Between Get and PutFirst.
		err := TrustOnFirstUse(late{PinOf(other)}).VerifyCertificate(t.Context(), present(stream.SelfSigned, cert))
		var pin *PinError
		require.ErrorAs(t, err, &pin)
	})
	t.Run("two at once", func(t *testing.T) {
		for range 50 {
			policy := TrustOnFirstUse(new(MemoryPins))
			errs := make([]error, 2)
			var wg sync.WaitGroup
			for i, c := range []*Presented{present(stream.SelfSigned, cert), present(stream.SelfSigned, other)} {
				wg.Go(func() { errs[i] = policy.VerifyCertificate(t.Context(), c) })
			}
			wg.Wait()
			require.True(t, (errs[0] == nil) != (errs[1] == nil), errs)
		}
	})
}

var errBroken = errors.New("the store is broken")

type broken struct{ get bool }

func (b broken) Get(context.Context, jid.JID) ([]PublicKeyPin, error) {
	if b.get {
		return nil, errBroken
	}
	return nil, nil
}

func (broken) PutFirst(context.Context, jid.JID, []PublicKeyPin) ([]PublicKeyPin, error) {
	return nil, errBroken
}

// refuser is a store that remembers nothing new.
type refuser struct{ *MemoryPins }

func (refuser) PutFirst(context.Context, jid.JID, []PublicKeyPin) ([]PublicKeyPin, error) {
	return nil, errBroken
}

// late is a store in which another pin has come first.
type late struct{ pin PublicKeyPin }

func (late) Get(context.Context, jid.JID) ([]PublicKeyPin, error) { return nil, nil }

func (l late) PutFirst(context.Context, jid.JID, []PublicKeyPin) ([]PublicKeyPin, error) {
	return []PublicKeyPin{l.pin}, nil
}

func TestMemoryPins(t *testing.T) {
	pin := func(b byte) PublicKeyPin { return PublicKeyPin{b} }
	domain := func(i int) jid.JID { return jid.MustParse(fmt.Sprintf("d%d.example", i)) }
	store := &MemoryPins{Max: 3}
	for i := range 3 {
		got, err := store.PutFirst(t.Context(), domain(i), []PublicKeyPin{pin(byte(i))})
		require.NoError(t, err)
		require.Equal(t, []PublicKeyPin{pin(byte(i))}, got)
	}
	// Full: nobody is forgotten, or the next use would be a first one again.
	_, err := store.PutFirst(t.Context(), domain(3), []PublicKeyPin{pin(3)})
	require.ErrorIs(t, err, ErrPinsFull)
	require.ErrorIs(t, store.Set(domain(3), pin(3)), ErrPinsFull)
	p := present(stream.SelfSigned, loneLeaf(t))
	require.ErrorIs(t, TrustOnFirstUse(store).VerifyCertificate(t.Context(), p), ErrPinsFull)

	got, err := store.PutFirst(t.Context(), domain(0), []PublicKeyPin{pin(9)})
	require.NoError(t, err)
	require.Equal(t, []PublicKeyPin{pin(0)}, got)
	require.NoError(t, store.Set(domain(0), pin(8), pin(9)))
	got, err = store.Get(t.Context(), domain(0))
	require.NoError(t, err)
	require.Equal(t, []PublicKeyPin{pin(8), pin(9)}, got)

	// What is handed out is a copy.
	got[0] = pin(1)
	got, _ = store.Get(t.Context(), domain(0))
	require.Equal(t, pin(8), got[0])

	require.NoError(t, store.Set(domain(0)))
	got, err = store.Get(t.Context(), domain(0))
	require.NoError(t, err)
	require.Empty(t, got)
	_, err = store.PutFirst(t.Context(), domain(3), []PublicKeyPin{pin(3)})
	require.NoError(t, err)

	// An account of the domain is the domain.
	got, err = store.Get(t.Context(), jid.MustParse("juliet@d3.example/balcony"))
	require.NoError(t, err)
	require.Equal(t, []PublicKeyPin{pin(3)}, got)
}
