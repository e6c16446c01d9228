package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
)

// scramClient is the client side of one SCRAM exchange.
type scramClient struct {
	name string
	hash Hash
	cfg  *ClientConfig

	step  step
	gs2   string // gs2-header
	prove bool   // the server must prove what it offered (XEP-0474)
	cb    []byte // channel binding data; nil without -PLUS
	nonce string
	bare  string // client-first-message-bare
	auth  string // AuthMessage
	keys  ClientKeys
	cache CacheKey
}

func newScramClient(name string, h Hash, plus bool, c *ClientConfig) (Client, error) {
	if !h.Available() {
		return nil, unavailable(name)
	}
	cfg, err := c.clone(needUsername | needPassword)
	if err != nil {
		return nil, err
	}
	s := &scramClient{name: name, hash: h, cfg: cfg}
	flag := ""
	switch {
	case plus:
		// RFC 5802 §7: the name must fit the grammar, and cbind-data MUST be present.
		if !isBindingName(cfg.Binding.Type) || len(cfg.Binding.Data) == 0 {
			return nil, aborted("", fmt.Errorf("%w: %s needs a Binding", ErrChannelBinding, quote(name)))
		}
		flag, s.cb = "p="+cfg.Binding.Type, cfg.Binding.Data
	case cfg.Binding.Type == "":
		// RFC 5802 §6: a client that cannot bind MUST use "n".
		flag = "n"
	case noCommonType(cfg.Binding.Type, cfg.Offered, cfg.OfferedTypes):
		// XEP-0474 §7, rule 6: go on with "n", and have the server prove that its announcement is its own.
		flag, s.prove = "n", true
	case slices.Contains(cfg.Offered, name+plusSuffix):
		// RFC 5802 §6: a client that can bind MUST use "p" when the -PLUS variant is offered.
		return nil, aborted("", fmt.Errorf("%w: %s is offered, and a binding available", ErrDowngrade, quote(name+plusSuffix)))
	default:
		// RFC 5802 §6: a client that can bind and does not see the -PLUS name MUST NOT use "n". That other
		// -PLUS names are offered makes no difference: an attacker could have put one in that nobody knows.
		flag = "y"
	}
	s.gs2 = flag + ","
	if cfg.AuthzID != "" {
		s.gs2 += "a=" + encodeName(cfg.AuthzID)
	}
	s.gs2 += ","
	return s, nil
}

// Next implements [Client].
func (s *scramClient) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	at := s.step
	s.step = stepDone // unless all goes well
	switch at {
	case stepFirst:
		if out, err = s.first(in); err == nil {
			s.step = stepFinal
		}
	case stepFinal:
		if out, err = s.final(ctx, string(in)); err == nil {
			s.step = stepOutcome
		}
	case stepOutcome:
		err = s.outcome(string(in))
		done = err == nil
	default:
		err = aborted("", ErrFinished)
	}
	if err != nil {
		s.keys = ClientKeys{}
		return nil, false, err
	}
	return out, done, nil
}

// first returns the client-first-message.
func (s *scramClient) first(in []byte) ([]byte, error) {
	// RFC 4422 §3.3: a protocol without initial responses starts with an empty challenge. Anything else is
	// out of turn.
	if len(in) != 0 {
		return nil, aborted("the server speaks first", errGrammar)
	}
	s.nonce = s.cfg.nonce
	if s.nonce == "" {
		r := s.cfg.Rand
		if r == nil {
			r = rand.Reader
		}
		var err error
		if s.nonce, err = newNonce(r); err != nil {
			return nil, aborted("", err)
		}
	}
	s.bare = "n=" + encodeName(s.cfg.Username) + ",r=" + s.nonce
	return []byte(s.gs2 + s.bare), nil
}

// final answers the server-first-message with the client-final-message.
func (s *scramClient) final(ctx context.Context, serverFirst string) ([]byte, error) {
	// A server may end the exchange here with an error (RFC 5802 §5.1).
	if strings.HasPrefix(serverFirst, "e=") {
		return nil, s.rejected(serverFirst)
	}
	m, err := parseServerFirst(serverFirst)
	if err != nil {
		return nil, aborted("server-first-message", err)
	}
	// RFC 5802 §5.1: the client MUST verify that the nonce starts with its own. A server that adds nothing
	// would let the exchange be replayed.
	if len(m.nonce) <= len(s.nonce) || !strings.HasPrefix(m.nonce, s.nonce) {
		return nil, aborted("server-first-message", ErrNonce)
	}
	// Before there is a proof that somebody could guess the password from.
	if err := s.cfg.checkProtections(s.hash, m, s.prove); err != nil {
		return nil, err
	}
	// Before any work: RFC 5802 §5.1 (at least 4096) and §9 (a large count is a denial of service).
	if m.iterations < s.cfg.MinIterations || m.iterations > s.cfg.MaxIterations {
		return nil, aborted("server-first-message", fmt.Errorf("%w: %d is not between %d and %d",
			ErrIterations, m.iterations, s.cfg.MinIterations, s.cfg.MaxIterations))
	}
	if err := s.derive(ctx, m); err != nil {
		return nil, err
	}
	withoutProof := "c=" + bindingInput(s.gs2, s.cb) + ",r=" + m.nonce
	s.auth = authMessage(s.bare, serverFirst, withoutProof)
	proof := clientProof(s.hash, s.keys.ClientKey, s.auth)
	return []byte(withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

// derive fills in the keys, from the cache if it has them.
func (s *scramClient) derive(ctx context.Context, m serverFirst) error {
	s.cache = CacheKey{s.cfg.Service, s.cfg.Username, s.hash, string(m.salt), m.iterations}
	if s.cfg.Cache != nil {
		keys, ok := s.cfg.Cache.Take(s.cache)
		if ok && len(keys.ClientKey) == s.hash.Size() && len(keys.ServerKey) == s.hash.Size() {
			s.keys = keys
			return nil
		}
	}
	password, err := s.cfg.password(ctx)
	if err != nil {
		return err
	}
	salted, err := saltedPassword(ctx, s.hash, password, m.salt, m.iterations)
	if err != nil {
		return aborted("deriving keys", err)
	}
	s.keys = clientKeys(s.hash, salted)
	return nil
}

// outcome verifies the server-final-message.
func (s *scramClient) outcome(serverFinal string) error {
	signature, errorValue, err := parseServerFinal(serverFinal)
	switch {
	case err != nil:
		return aborted("server-final-message", err)
	case errorValue != "":
		return s.rejected(serverFinal)
	}
	// RFC 5802 §5: if the signature differs, the client MUST consider the exchange unsuccessful.
	if !hmac.Equal(signature, s.hash.mac(s.keys.ServerKey, s.auth)) {
		return aborted("server-final-message", ErrServerSignature)
	}
	if s.cfg.Cache != nil {
		s.cfg.Cache.Put(s.cache, s.keys)
	}
	s.keys = ClientKeys{}
	return nil
}

// rejected turns a message with an error value (RFC 5802 §7, server-error) into an error.
func (s *scramClient) rejected(msg string) *Error {
	_, value, err := parseServerFinal(msg)
	if err != nil {
		return aborted("server error message", err)
	}
	condition := NotAuthorized
	switch value {
	case "invalid-encoding", "extensions-not-supported", "invalid-username-encoding":
		condition = MalformedRequest
	case "no-resources":
		condition = TemporaryAuthFailure
	}
	return &Error{Condition: condition, Cause: fmt.Errorf("%w: %s", ErrRejected, quote(value))}
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (s *scramClient) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "sasl.Client(%s)", s.name) }
