package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
)

// fastServer is the server's side of tokens on one connection.
type fastServer struct {
	store      TokenStore
	lifetime   time.Duration
	mechanisms []sasl.Mechanism // those that the connection can use

	accounts sasl.KeyStore
	hashes   []sasl.Hash // of which the accounts have keys of one, at least
}

// finder returns what sasl.ServerConfig.FastTokens is in the exchange s.
func (f *fastServer) finder(s *serverExchange2, domain jid.JID) func(context.Context, string, func([]byte) bool) (string, error) {
	return func(ctx context.Context, username string, match func([]byte) bool) (string, error) {
		who, err := account(username, domain)
		if err != nil {
			return "", sasl.ErrUnknownUser
		}
		var token StoredToken
		err = f.store.Update(ctx, TokenClient{Account: who, Agent: s.request.agent.ID}, func(t *ClientTokens) error {
			var err error
			token, err = t.find(s.request.mechanism, s.request.fast.count, time.Now(), match)
			return err
		})
		if err == nil {
			err = f.fits(ctx, who.Local(), token.Stamp)
		}
		if err != nil {
			return "", err
		}
		s.token = token
		return who.Local(), nil
	}
}

// fits reports whether the keys of an account are those that a stamp is of. Only who has a token of the
// account gets to know that they are not.
func (f *fastServer) fits(ctx context.Context, name, stamp string) error {
	hash, _, _ := strings.Cut(stamp, ":")
	now, err := f.stamp(ctx, name, sasl.Hash(hash))
	switch {
	case err != nil && !errors.Is(err, sasl.ErrUnknownUser):
		return err
	case err != nil || now != stamp:
		// XEP-0484 §4.2: a token that the server no longer trusts.
		return &sasl.Error{Condition: sasl.CredentialsExpired}
	}
	return nil
}

// stamp returns a fingerprint of the first keys, by the order of hashes, that an account has.
func (f *fastServer) stamp(ctx context.Context, name string, hashes ...sasl.Hash) (string, error) {
	for _, h := range hashes {
		if !h.Available() {
			continue
		}
		keys, _, err := f.accounts.Keys(ctx, name, h)
		switch {
		case err == nil:
			// StoredKey is what a proof is checked with, and no secret that logs in; its hash is none at all.
			sum := sha256.Sum256(keys.StoredKey)
			return string(h) + ":" + hex.EncodeToString(sum[:]), nil
		case !errors.Is(err, sasl.ErrUnknownUser):
			return "", err
		}
	}
	return "", sasl.ErrUnknownUser
}

// settle does with the tokens of a client what its success has to bring about (XEP-0484 §3.3, §3.5,
// §3.6), and returns the token to give to it, if any.
func (f *fastServer) settle(ctx context.Context, s *serverExchange2) (StoredToken, error) {
	mechanism := s.x.mechanism
	login := mechanism.Credential == sasl.FastTokenCredential
	request := s.request.fast.request
	switch {
	case !slices.ContainsFunc(f.mechanisms, func(m sasl.Mechanism) bool { return m.Name == request }):
		request = "" // §3.2: MUST be one of those offered
	// A token is for who has proved to be the account: not for who may act for it, and neither after a certificate nor
	// after a bearer token, which end earlier or are withdrawn elsewhere.
	case s.own != s.who || mechanism.Credential != sasl.PasswordCredential && !login:
		request = ""
	}
	if s.request.agent.ID == "" || !login && request == "" {
		return StoredToken{}, nil
	}
	stamp := s.token.Stamp
	if !login {
		var err error
		if stamp, err = f.stamp(ctx, s.own.Local(), f.hashes...); err != nil {
			// The client has proved who it is without a token, and can do without one.
			return StoredToken{}, nil
		}
	}
	now := time.Now()
	var issued StoredToken
	err := f.store.Update(ctx, TokenClient{Account: s.own, Agent: s.request.agent.ID}, func(t *ClientTokens) error {
		issued = StoredToken{}
		grant := request
		if login {
			left, ok := t.used(s.token.Secret, now)
			if !ok {
				// Taken away between the proof and now.
				return &sasl.Error{Condition: sasl.CredentialsExpired}
			}
			switch {
			case s.request.fast.invalidate:
				// All that this client has: whoever logs out means it.
				*t = ClientTokens{}
			case grant == "" && left < f.lifetime/2:
				grant = mechanism.Name
			}
		}
		if grant != "" {
			issued = t.issue(grant, stamp, f.lifetime, now)
		}
		return nil
	})
	var e *sasl.Error
	switch {
	case err == nil:
		return issued, nil
	case login && errors.As(err, &e):
		return StoredToken{}, e
	case login:
		return StoredToken{}, &sasl.Error{Condition: sasl.TemporaryAuthFailure, Cause: err}
	}
	return StoredToken{}, nil // as above
}
