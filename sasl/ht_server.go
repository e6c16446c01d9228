package sasl

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
)

// htServer is the server side of one HT exchange.
type htServer struct {
	kind   htKind
	cfg    *ServerConfig
	cb     []byte // cb-data; nil without binding
	prompt bool   // the empty first challenge has been sent
	over   bool
	id     Identity
}

func (k htKind) newServer(c *ServerConfig) (Server, error) {
	if !k.hash.Available() {
		return nil, unavailable(k.name)
	}
	cfg, err := c.clone(0)
	if err != nil {
		return nil, err
	}
	switch {
	case cfg.FastTokens == nil:
		return nil, &Error{Condition: InvalidMechanism, Cause: fmt.Errorf("%w: no FastTokens for %s", ErrConfig, k.name)}
	case !cfg.Secure:
		return nil, k.insecure()
	}
	h := &htServer{kind: k, cfg: cfg}
	if k.cbType != "" {
		data, ok := cfg.binding(k.cbType)
		if !ok {
			return nil, &Error{Condition: InvalidMechanism, Cause: fmt.Errorf("%w: the connection has no %s", ErrChannelBinding, k.cbType)}
		}
		h.cb = data
	}
	return h, nil
}

// Identity implements [Server].
func (h *htServer) Identity() Identity { return h.id }

// Next implements [Server].
func (h *htServer) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if h.over {
		return nil, false, malformed("", ErrFinished)
	}
	// RFC 4422 §3.3, §5: without an initial response, ask for one with an empty challenge.
	if in == nil && !h.prompt {
		h.prompt = true
		return []byte{}, false, nil
	}
	h.over = true
	m, err := parseHT(in)
	if err != nil {
		return nil, false, malformed("", err)
	}
	name, responder, err := h.lookup(ctx, m)
	if err != nil {
		return nil, false, err
	}
	id := Identity{AuthcID: name}
	if err := h.cfg.authorize(ctx, id); err != nil {
		return nil, false, err
	}
	h.id = id
	return responder, true, nil
}

// lookup finds the token that the message was made with, and returns the canonical name of its owner
// and the responder-msg.
func (h *htServer) lookup(ctx context.Context, m htMessage) (name string, responder []byte, err error) {
	name = m.username
	if h.cfg.Normalize != nil {
		n, err := h.cfg.Normalize(m.username)
		if err != nil || checkName(n) != nil {
			return "", nil, &Error{Condition: NotAuthorized}
		}
		name = n
	}
	responder = make([]byte, h.kind.hash.Size())
	matched, asked := 0, false
	match := func(token []byte) bool {
		asked = true
		// §3.2, §6: compared in constant time. The answer is made for tokens that do not fit too, so that each
		// costs the same.
		fits := subtle.ConstantTimeCompare(h.kind.hashed(token, htInitiator, h.cb), m.hashed)
		answer := h.kind.hashed(token, htResponder, h.cb)
		if len(token) == 0 { // a token that everybody knows
			fits = 0
		}
		subtle.ConstantTimeCopy(fits, responder, answer)
		matched |= fits
		return fits == 1
	}
	canonical, err := h.cfg.FastTokens(ctx, name, match)
	if canonical != "" {
		name = canonical
	}
	if !asked {
		match(h.cfg.FakeSecret) // a user without a token costs as much as one with
		matched = 0
	}
	var e *Error
	switch {
	case errors.Is(err, ErrUnknownUser):
		return "", nil, &Error{Condition: NotAuthorized}
	case errors.As(err, &e):
		return "", nil, e
	case err != nil:
		return "", nil, temporary(err)
	case matched != 1:
		// §3.2: if the values differ, authentication MUST fail, whatever FastTokens says.
		return "", nil, &Error{Condition: NotAuthorized, Cause: ErrToken}
	}
	return name, responder, nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (h *htServer) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "sasl.Server(%s)", h.kind.name) }
