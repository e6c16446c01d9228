package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"stanzakit.dev/xmpp/sasl"
)

// stampingStore is a KeyStore, behind a gate that is open, that leaves a stamp of the keys which a
// password is checked with. What the client is given for it, a token or more keys, is for those keys:
// read later they may be those of another password, with which nobody has logged in.
type stampingStore struct {
	gatedStore
	stamp *string
}

// Keys implements [sasl.KeyStore].
func (s stampingStore) Keys(ctx context.Context, username string, h sasl.Hash) (sasl.Keys, string, error) {
	keys, name, err := s.gatedStore.Keys(ctx, username, h)
	if err == nil {
		*s.stamp = stampOf(keys, h)
	}
	return keys, name, err
}

// stampOf returns a fingerprint of keys. StoredKey is what a proof is checked with, and no secret that
// logs in; its hash is none at all.
func stampOf(keys sasl.Keys, h sasl.Hash) string {
	sum := sha256.Sum256(keys.StoredKey)
	return string(h) + ":" + hex.EncodeToString(sum[:])
}

// checkStamp reports whether the keys of an account are still those that a stamp is of. Only who has
// proved to have been that account gets to know that they are not.
func checkStamp(ctx context.Context, accounts sasl.KeyStore, name, stamp string) error {
	text, _, _ := strings.Cut(stamp, ":")
	h := sasl.Hash(text)
	keys, _, err := accounts.Keys(ctx, name, h)
	switch {
	case err == nil && stampOf(keys, h) == stamp:
		return nil
	case err == nil || errors.Is(err, sasl.ErrUnknownUser):
		// XEP-0484 §4.2: a token that the server no longer trusts.
		return &sasl.Error{Condition: sasl.CredentialsExpired}
	}
	return err
}
