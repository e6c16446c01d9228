package sasl

import (
	"context"
	"errors"
	"fmt"
)

// External returns the mechanism EXTERNAL (RFC 4422 appendix A): the server takes the client for who
// it has proved to be below, with the certificate of its TLS connection (XEP-0178). It is not part of
// [Default], because most clients have no certificate: put it in front of the others where there is
// one. The client sends nothing but [ClientConfig.AuthzID]; the server needs [ServerConfig.External],
// and is to offer the mechanism only to clients that could succeed with it (RFC 6120 §6.3.4).
func External() Mechanism {
	return Mechanism{
		Name:       "EXTERNAL",
		Credential: CertificateCredential,
		NewClient:  newExternalClient,
		NewServer:  newExternalServer,
	}
}

// externalClient is the client side of one EXTERNAL exchange.
type externalClient struct {
	cfg  *ClientConfig
	over bool
}

func newExternalClient(c *ClientConfig) (Client, error) {
	cfg, err := c.clone(0)
	if err != nil {
		return nil, err
	}
	return &externalClient{cfg: cfg}, nil
}

// Next implements [Client].
func (e *externalClient) Next(_ context.Context, in []byte) (out []byte, done bool, err error) {
	if e.over {
		return nil, false, aborted("", ErrFinished)
	}
	e.over = true
	// RFC 4422 §A.1: there are no challenges, but for the empty one of protocols without initial responses.
	if len(in) != 0 {
		return nil, false, aborted("the server speaks first", errors.New("EXTERNAL has no challenge"))
	}
	// §A.1: empty, which is not the same as none, asks for the identity that follows from the credentials.
	return []byte(e.cfg.AuthzID), true, nil
}

// Format prints the name of the mechanism, whatever the verb.
func (e *externalClient) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Client(EXTERNAL)") }

// externalServer is the server side of one EXTERNAL exchange.
type externalServer struct {
	cfg    *ServerConfig
	prompt bool
	over   bool
	id     Identity
}

func newExternalServer(c *ServerConfig) (Server, error) {
	cfg, err := c.clone(0)
	if err != nil {
		return nil, err
	}
	if cfg.External == nil {
		return nil, unusable("EXTERNAL", "External")
	}
	return &externalServer{cfg: cfg}, nil
}

// Identity implements [Server].
func (e *externalServer) Identity() Identity { return e.id }

// Next implements [Server].
func (e *externalServer) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if e.over {
		return nil, false, malformed("", ErrFinished)
	}
	// RFC 4422 §A.1: without an initial response, ask for one with an empty challenge.
	if in == nil && !e.prompt {
		e.prompt = true
		return []byte{}, false, nil
	}
	e.over = true
	// Nil where a response was due is not the empty response.
	if in == nil {
		return nil, false, malformed("", errors.New("EXTERNAL message is missing"))
	}
	authzID := string(in)
	// §A.1: *( UTF8-char-no-nul ).
	if authzID != "" {
		if err := checkName(authzID); err != nil {
			return nil, false, malformed("", err)
		}
	}
	authcID, err := e.cfg.External(ctx, authzID)
	if err != nil {
		return nil, false, refusal(ctx, err)
	}
	id := Identity{AuthcID: authcID, AuthzID: authzID}
	if err := e.cfg.admit(ctx, id); err != nil {
		return nil, false, err
	}
	e.id = id
	// §A.1: no additional data with success.
	return nil, true, nil
}

// Format prints the name of the mechanism, whatever the verb.
func (e *externalServer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Server(EXTERNAL)") }

// unusable is the error for a mechanism whose function in [ServerConfig] is not set.
func unusable(mechanism, field string) *Error {
	return &Error{Condition: InvalidMechanism, Cause: fmt.Errorf("%w: %s needs ServerConfig.%s", ErrConfig, mechanism, field)}
}

// refusal is the error of an exchange whose credentials a function of [ServerConfig] did not accept.
func refusal(ctx context.Context, err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case ctx.Err() != nil:
		return temporary(err)
	default:
		return &Error{Condition: NotAuthorized, Cause: err}
	}
}

// admit decides about an identity whose AuthcID a function of [ServerConfig] has returned.
func (c *ServerConfig) admit(ctx context.Context, id Identity) error {
	if err := checkName(id.AuthcID); err != nil {
		return temporary(fmt.Errorf("%w: name of the authenticated: %w", ErrConfig, err))
	}
	return c.authorize(ctx, id)
}
