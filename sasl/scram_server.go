package sasl

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"strconv"
)

// scramServer is the server side of one SCRAM exchange.
type scramServer struct {
	name string
	hash Hash
	plus bool
	cfg  *ServerConfig
	tail string // attributes of XEP-0474 and XEP-0515

	step    step
	prompt  bool // the empty first challenge has been sent
	client  clientFirst
	account account
	nonce   string // of both sides
	binding string // the only acceptable value of "c"
	first   string // server-first-message
	id      Identity
}

func newScramServer(name string, h Hash, plus bool, c *ServerConfig) (Server, error) {
	if !h.Available() {
		return nil, unavailable(name)
	}
	cfg, err := c.clone(needStore)
	if err != nil {
		return nil, err
	}
	if plus && len(cfg.Bindings) == 0 {
		return nil, &Error{Condition: InvalidMechanism, Cause: fmt.Errorf("%w: the connection has none", ErrChannelBinding)}
	}
	tail, err := cfg.protections(h)
	if err != nil {
		return nil, err
	}
	return &scramServer{name: name, hash: h, plus: plus, cfg: cfg, tail: tail}, nil
}

// Identity implements [Server].
func (s *scramServer) Identity() Identity { return s.id }

// Next implements [Server].
func (s *scramServer) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	at := s.step
	s.step = stepDone // unless all goes well
	switch at {
	case stepFirst:
		// RFC 4422 §3.3, §5: without an initial response, ask for one with an empty challenge.
		if in == nil && !s.prompt {
			s.step, s.prompt = stepFirst, true
			return []byte{}, false, nil
		}
		if out, err = s.challenge(ctx, string(in)); err == nil {
			s.step = stepFinal
		}
	case stepFinal:
		out, err = s.verify(ctx, string(in))
		done = err == nil
		s.account.keys = Keys{}
	default:
		err = malformed("", ErrFinished)
	}
	if err != nil {
		return nil, false, err
	}
	return out, done, nil
}

// challenge answers the client-first-message with the server-first-message.
func (s *scramServer) challenge(ctx context.Context, msg string) ([]byte, error) {
	m, err := parseClientFirst(msg)
	if err != nil {
		return nil, malformed("", err)
	}
	data, err := s.checkFlag(m)
	if err != nil {
		return nil, err
	}
	s.client, s.binding = m, bindingInput(m.gs2, data)
	if s.account, err = s.cfg.lookup(ctx, m.username, s.hash); err != nil {
		return nil, err
	}
	nonce := s.cfg.nonce
	if nonce == "" {
		if nonce, err = newNonce(s.cfg.Rand); err != nil {
			return nil, temporary(err)
		}
	}
	s.nonce = m.nonce + nonce
	s.first = "r=" + s.nonce +
		",s=" + base64.StdEncoding.EncodeToString(s.account.keys.Salt) +
		",i=" + strconv.Itoa(s.account.keys.Iterations) + s.tail
	return []byte(s.first), nil
}

// checkFlag judges the client's gs2-cbind-flag (RFC 5802 §6) and returns the binding data that it
// calls for.
func (s *scramServer) checkFlag(m clientFirst) ([]byte, error) {
	switch {
	case s.plus && m.flag != 'p':
		// §6: the -PLUS variant is the one with channel binding.
		return nil, malformed("the mechanism needs channel binding", ErrChannelBinding)
	case !s.plus && m.flag == 'p':
		return nil, malformed("the mechanism has no channel binding", ErrChannelBinding)
	case m.flag == 'y' && s.cfg.plusOffered():
		// §6: the client must have believed that there was no -PLUS, so somebody removed it from the list: MUST
		// fail.
		return nil, &Error{Condition: NotAuthorized, Text: "channel binding was offered", Cause: ErrDowngrade}
	case m.flag == 'p':
		// §6: a type that the server does not support MUST fail.
		data, ok := s.cfg.binding(m.cbType)
		if !ok {
			return nil, &Error{Condition: NotAuthorized, Text: "channel binding type not supported",
				Cause: fmt.Errorf("%w: type %s", ErrChannelBinding, quote(m.cbType))}
		}
		return data, nil
	}
	return nil, nil
}

// verify checks the client-final-message and returns the server-final-message.
func (s *scramServer) verify(ctx context.Context, msg string) ([]byte, error) {
	m, err := parseClientFinal(msg)
	if err != nil {
		return nil, malformed("", err)
	}
	// RFC 5802 §5.1: the server MUST verify that the nonce is the one it sent.
	if !hmac.Equal([]byte(m.nonce), []byte(s.nonce)) {
		return nil, &Error{Condition: NotAuthorized, Cause: ErrNonce}
	}
	// RFC 5802 §6: the server MUST always validate "c" by constructing the value itself. Comparing the base64
	// text leaves no room for another header, a second spelling or bytes behind the data.
	if !hmac.Equal([]byte(m.binding), []byte(s.binding)) {
		return nil, &Error{Condition: NotAuthorized, Cause: ErrChannelBinding}
	}
	auth := authMessage(s.client.bare, s.first, m.withoutProof)
	if verifyProof(s.hash, s.account.keys.StoredKey, m.proof, auth)&s.account.known != 1 {
		return nil, &Error{Condition: NotAuthorized}
	}
	id := Identity{AuthcID: s.account.name, AuthzID: s.client.authzID}
	if err := s.cfg.authorize(ctx, id); err != nil {
		return nil, err
	}
	s.id = id
	signature := s.hash.mac(s.account.keys.ServerKey, auth)
	return []byte("v=" + base64.StdEncoding.EncodeToString(signature)), nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (s *scramServer) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "sasl.Server(%s)", s.name) }
