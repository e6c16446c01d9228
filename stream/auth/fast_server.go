package auth

import (
	"context"
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
			err = checkStamp(ctx, f.accounts, who.Local(), token.Stamp)
		}
		if err != nil {
			return "", err
		}
		s.token, s.stamp = token, token.Stamp
		return who.Local(), nil
	}
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
	// DIGEST-MD5 leaves no stamp.
	if s.request.agent.ID == "" || s.stamp == "" || !login && request == "" {
		return StoredToken{}, nil
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
			n := t.issue(grant, f.lifetime, now)
			n.Stamp, n.Tasks = s.stamp, strings.Join(s.done, " ")
			issued = *n
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
	// The client has proved who it is without a token, and can do without one.
	return StoredToken{}, nil
}
