package sasl

import (
	"context"
	"errors"
	"fmt"
)

// oauthBearer is the name of the mechanism.
const oauthBearer = "OAUTHBEARER"

// OAuthBearer returns the mechanism OAUTHBEARER (RFC 7628), which hands an OAuth 2.0 bearer token to
// the server. Whoever learns the token can use it, so that both sides refuse the mechanism on a
// channel that is not Secure. It is not part of [Default].
//
// The client needs [ClientConfig.Token] or GetToken, and says [ClientConfig.AuthzID], Host and Port if
// they are set. The server needs [ServerConfig.Bearer]. A server that does not accept the token says
// why in one more challenge: the exchange of the client then ends with an error that wraps an
// [*OAuthError]. It is the one case where Next of a client returns a message together with an error
// (see [Client]).
func OAuthBearer() Mechanism {
	return Mechanism{
		Name:       oauthBearer,
		Plaintext:  true,
		Credential: TokenCredential,
		NewClient:  newBearerClient,
		NewServer:  newBearerServer,
	}
}

// kvsep separates the pairs of RFC 7628 §3.1. Alone, it is the client's answer to an error (§3.2.3).
const kvsep = "\x01"

// bearerClient is the client side of one OAUTHBEARER exchange.
type bearerClient struct {
	cfg  *ClientConfig
	step step
}

func newBearerClient(c *ClientConfig) (Client, error) {
	cfg, err := c.clone(needToken)
	if err != nil {
		return nil, err
	}
	// RFC 6750 §5.3: bearer tokens MUST be protected with TLS.
	if !cfg.Secure {
		return nil, errInsecure(oauthBearer)
	}
	if cfg.Host != "" && !isHost(cfg.Host) {
		return nil, aborted("", fmt.Errorf("%w: Host is not that of an address", ErrConfig))
	}
	if cfg.Port < 0 || cfg.Port > maxPort {
		return nil, aborted("", fmt.Errorf("%w: Port is not that of an address", ErrConfig))
	}
	return &bearerClient{cfg: cfg}, nil
}

// Next implements [Client].
func (b *bearerClient) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	at := b.step
	b.step = stepDone // unless all goes well
	switch at {
	case stepFirst:
		if out, err = b.first(ctx, in); err != nil {
			return nil, false, err
		}
		b.step = stepOutcome
		// The server says success or, in a challenge, why not.
		return out, true, nil
	case stepOutcome:
		refused, err := parseOAuthError(in)
		if err != nil {
			return nil, false, aborted("challenge after the token", err)
		}
		// RFC 7628 §3.2.3: the client MUST answer with ^A, so that the server can end the exchange, or abort it.
		return []byte(kvsep), false, &Error{Condition: NotAuthorized, Cause: refused}
	}
	return nil, false, aborted("", ErrFinished)
}

// first returns the client's message.
func (b *bearerClient) first(ctx context.Context, in []byte) ([]byte, error) {
	if len(in) != 0 {
		return nil, aborted("the server speaks first", errOAuthGrammar)
	}
	token, err := b.cfg.token(ctx)
	if err != nil {
		return nil, err
	}
	if !isToken68(token) {
		return nil, aborted("", fmt.Errorf("%w: not a bearer token", ErrToken))
	}
	m := BearerToken{Token: token, AuthzID: b.cfg.AuthzID, Host: b.cfg.Host, Port: b.cfg.Port}
	return m.append(nil), nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (b *bearerClient) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Client(OAUTHBEARER)") }

// bearerServer is the server side of one OAUTHBEARER exchange.
type bearerServer struct {
	cfg    *ServerConfig
	step   step
	prompt bool
	failed *Error // what the exchange ends with when the client has answered the error challenge
	id     Identity
}

func newBearerServer(c *ServerConfig) (Server, error) {
	cfg, err := c.clone(0)
	if err != nil {
		return nil, err
	}
	if cfg.Bearer == nil {
		return nil, unusable(oauthBearer, "Bearer")
	}
	if !cfg.Secure {
		return nil, errInsecure(oauthBearer)
	}
	return &bearerServer{cfg: cfg}, nil
}

// Identity implements [Server].
func (b *bearerServer) Identity() Identity { return b.id }

// Next implements [Server].
func (b *bearerServer) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	at := b.step
	b.step = stepDone // unless there is more to come
	switch at {
	case stepFirst:
		// RFC 4422 §3.3, §5: without an initial response, ask for one with an empty challenge.
		if in == nil && !b.prompt {
			b.step, b.prompt = stepFirst, true
			return []byte{}, false, nil
		}
		m, err := parseBearer(string(in))
		if err != nil {
			return nil, false, malformed("", err)
		}
		return b.verify(ctx, m)
	case stepFinal:
		// RFC 7628 §3.2.3: a single ^A.
		if string(in) != kvsep {
			return nil, false, malformed("", fmt.Errorf("%w: answer to the error", errOAuthGrammar))
		}
		return nil, false, b.failed
	}
	return nil, false, malformed("", ErrFinished)
}

// verify decides about the token.
func (b *bearerServer) verify(ctx context.Context, m BearerToken) (out []byte, done bool, err error) {
	// RFC 7628 §4.3: a client may send no token to see the error. Bearer is not asked about it, lest one that
	// takes "not in my list of revoked tokens" for good accept the empty token.
	if m.Token == "" {
		return b.refuse(&Error{Condition: NotAuthorized, Cause: ErrToken})
	}
	authcID, err := b.cfg.Bearer(ctx, m)
	if err != nil {
		return b.refuse(refusal(ctx, err))
	}
	id := Identity{AuthcID: authcID, AuthzID: m.AuthzID}
	if err := b.cfg.admit(ctx, id); err != nil {
		return nil, false, err
	}
	b.id = id
	return nil, true, nil
}

// refuse ends the exchange: at once, or for a token that is not accepted after a challenge which says
// so (RFC 7628 §3.2.2).
func (b *bearerServer) refuse(e *Error) (out []byte, done bool, err error) {
	// A failure of this side's own, or an account that is disabled, says nothing about the token: a client that
	// reads "invalid_token" would throw it away.
	if !errors.Is(e, NotAuthorized) && !errors.Is(e, CredentialsExpired) {
		return nil, false, e
	}
	refused := &OAuthError{Status: "invalid_token"} // RFC 6750 §3.1
	errors.As(e, &refused)
	challenge, err := refused.challenge()
	if err != nil {
		return nil, false, temporary(err)
	}
	b.step, b.failed = stepFinal, e
	return challenge, false, nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (b *bearerServer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Server(OAUTHBEARER)") }
