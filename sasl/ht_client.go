package sasl

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// htClient is the client side of one HT exchange.
type htClient struct {
	kind htKind
	cfg  *ClientConfig
	cb   []byte // cb-data; nil without binding
	step step
	want []byte // the only acceptable responder-msg
}

func (k htKind) newClient(c *ClientConfig) (Client, error) {
	if !k.hash.Available() {
		return nil, unavailable(k.name)
	}
	cfg, err := c.clone(needUsername | needToken)
	if err != nil {
		return nil, err
	}
	h := &htClient{kind: k, cfg: cfg}
	switch {
	case !cfg.Secure:
		return nil, k.insecure()
	case cfg.AuthzID != "":
		// §1.2: not applicable for proxy authentication.
		return nil, aborted("", fmt.Errorf("%w: %s has no place for an AuthzID", ErrConfig, k.name))
	case k.cbType == "":
		// §2: cb-data is to be an empty string.
		return h, nil
	case cfg.Binding.Type != k.cbType || len(cfg.Binding.Data) == 0:
		return nil, aborted("", fmt.Errorf("%w: %s needs a Binding of type %s", ErrChannelBinding, k.name, k.cbType))
	}
	h.cb = cfg.Binding.Data
	return h, nil
}

// Next implements [Client].
func (h *htClient) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	at := h.step
	h.step = stepDone // unless all goes well
	switch at {
	case stepFirst:
		if out, err = h.first(ctx, in); err == nil {
			h.step = stepOutcome
		}
	case stepOutcome:
		// §3.3: the initiating entity MUST verify the responder-msg. One that is missing does not fit either.
		if done = hmac.Equal(in, h.want); !done {
			err = aborted("responder-msg", ErrServerSignature)
		}
		h.want = nil
	default:
		err = aborted("", ErrFinished)
	}
	return out, done, err
}

// first returns the initiator-msg.
func (h *htClient) first(ctx context.Context, in []byte) ([]byte, error) {
	if len(in) != 0 {
		return nil, aborted("the server speaks first", errors.New("HT has no challenge"))
	}
	token, err := h.cfg.token(ctx)
	if err != nil {
		return nil, err
	}
	// §5: the token is a Unicode string. One that is not could only ever fail.
	if !utf8.ValidString(token) {
		return nil, aborted("", fmt.Errorf("%w: not UTF-8", ErrToken))
	}
	h.want = h.kind.hashed([]byte(token), htResponder, h.cb)
	return slices.Concat([]byte(h.cfg.Username), []byte{0}, h.kind.hashed([]byte(token), htInitiator, h.cb)), nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (h *htClient) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "sasl.Client(%s)", h.kind.name) }
