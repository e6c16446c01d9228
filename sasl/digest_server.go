package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/subtle"
	"errors"
	"fmt"
)

// digestServer is the server side of one DIGEST-MD5 exchange.
type digestServer struct {
	cfg   *ServerConfig
	step  step
	nonce string
	id    Identity
}

func newDigestServer(c *ServerConfig) (Server, error) {
	cfg, err := c.clone(0)
	if err != nil {
		return nil, err
	}
	if cfg.InsecureDigest == nil {
		return nil, unusable(digestMD5, "InsecureDigest")
	}
	if !cfg.Secure {
		return nil, errInsecure(digestMD5)
	}
	if err := checkRealm(cfg.Service); err != nil {
		return nil, temporary(fmt.Errorf("service: %w", err))
	}
	return &digestServer{cfg: cfg}, nil
}

// Identity implements [Server].
func (d *digestServer) Identity() Identity { return d.id }

// Next implements [Server].
func (d *digestServer) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	at := d.step
	d.step = stepDone // unless all goes well
	switch at {
	case stepFirst:
		// RFC 2831 §2.2.2: an initial response asks for subsequent authentication. A server that does not support it
		// sends a challenge as if there had been none.
		if out, err = d.challenge(); err == nil {
			d.step = stepFinal
		}
	case stepFinal:
		out, err = d.verify(ctx, string(in))
		done = err == nil
	default:
		err = malformed("", ErrFinished)
	}
	if err != nil {
		return nil, false, err
	}
	return out, done, nil
}

// challenge returns the digest-challenge.
func (d *digestServer) challenge() ([]byte, error) {
	if d.nonce = d.cfg.nonce; d.nonce == "" {
		var err error
		if d.nonce, err = newNonce(d.cfg.Rand); err != nil {
			return nil, temporary(err)
		}
	}
	return []byte("realm=" + quoteDirective(d.cfg.Service) + ",nonce=" + quoteDirective(d.nonce) +
		`,qop="auth",algorithm=md5-sess,charset=utf-8`), nil
}

// verify checks the digest-response and returns the response-auth.
func (d *digestServer) verify(ctx context.Context, msg string) ([]byte, error) {
	m, err := parseDigestResponse(msg)
	if err != nil {
		return nil, malformed("", err)
	}
	switch {
	case !hmac.Equal([]byte(m.nonce), []byte(d.nonce)):
		return nil, &Error{Condition: NotAuthorized, Cause: ErrNonce}
	case m.realm != d.cfg.Service:
		return nil, &Error{Condition: NotAuthorized, Cause: fmt.Errorf("realm %s is not of this service", quote(m.realm))}
	case !isDigestURI(m.uri, d.cfg.Service):
		// RFC 2831 §2.1.2: what was computed for another service is not accepted here.
		return nil, &Error{Condition: NotAuthorized, Cause: fmt.Errorf("digest-uri %s is not of this service", quote(m.uri))}
	}
	key, name, known, err := d.key(ctx, m)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare(digestProof(key, m, "AUTHENTICATE"), m.proof)&known != 1 {
		return nil, &Error{Condition: NotAuthorized}
	}
	id := Identity{AuthcID: name, AuthzID: m.authzID}
	if err := d.cfg.admit(ctx, id); err != nil {
		return nil, err
	}
	d.id = id
	return append([]byte("rspauth="), digestProof(key, m, "")...), nil
}

// key fetches the key of a user. For a name without one, known is 0, and whether the proof fits the key is of
// no importance.
func (d *digestServer) key(ctx context.Context, m digestResponse) (key [md5.Size]byte, name string, known int, err error) {
	name = m.username
	if d.cfg.Normalize != nil {
		if name, err = d.cfg.Normalize(m.username); err != nil || checkName(name) != nil {
			return [md5.Size]byte{}, "", 0, nil
		}
	}
	key, canonical, err := d.cfg.InsecureDigest(ctx, name, m.realm)
	if canonical != "" {
		name = canonical
	}
	var e *Error
	switch {
	case err == nil:
		return key, name, 1, nil
	case errors.Is(err, ErrUnknownUser):
		return [md5.Size]byte{}, "", 0, nil
	case errors.As(err, &e):
		return [md5.Size]byte{}, "", 0, e
	default:
		return [md5.Size]byte{}, "", 0, temporary(err)
	}
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (d *digestServer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Server(DIGEST-MD5)") }
