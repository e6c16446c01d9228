package auth

import (
	"context"
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/sasl"
)

// ErrProtocol is wrapped by errors of the client about a server that breaks the rules of the
// exchange: an element out of turn, data that is not base64, success before the mechanism was
// satisfied.
var ErrProtocol = errors.New("auth: protocol violation by the server")

// clientExchange is the client side of one handshake (RFC 6120 §6.4), as a function of what the
// server sends: no I/O.
type clientExchange struct {
	mechanism string
	pin       sasl.Strength // what success says of the server
	sasl      sasl.Client

	satisfied bool // the mechanism is done
	over      bool
}

// clientStep is what to do next.
type clientStep struct {
	reply frame // to be written, unless its kind is zero
	done  bool  // authenticated
	err   error // not authenticated; reply, if any, is to be written first
}

// start returns the <auth/> that begins the handshake.
func (x *clientExchange) start(ctx context.Context) (frame, error) {
	// RFC 6120 §6.3.10: an initial response saves a round trip; a mechanism where the server speaks first has none.
	out, done, err := x.sasl.Next(ctx, nil)
	if err != nil {
		return frame{}, err
	}
	x.satisfied = done
	return frame{kind: frameAuth, mechanism: x.mechanism, data: out}, nil
}

// next takes the server's answer.
func (x *clientExchange) next(ctx context.Context, f frame) clientStep {
	if x.over {
		return violation("%s after the handshake", quote.ASCII(f.name.String(), 128))
	}
	var step clientStep
	switch {
	case f.kind == frameFailure:
		step.err = f.failure
	case f.err != nil:
		step = x.abort(violation("%w", f.err), f)
	case f.kind == frameChallenge:
		step = x.challenge(ctx, f)
	case f.kind == frameSuccess:
		step = x.success(ctx, f)
	default:
		step = violation("unexpected element %s", quote.ASCII(f.name.String(), 128))
	}
	x.over = step.done || step.err != nil
	return step
}

func (x *clientExchange) challenge(ctx context.Context, f frame) clientStep {
	out, done, err := x.sasl.Next(ctx, f.data)
	switch {
	case err != nil && out != nil:
		// RFC 7628 §3.2.3: the server says why it refuses, and wants an answer before the failure.
		return clientStep{reply: frame{kind: frameResponse, data: out}, err: err}
	case x.satisfied:
		// All that was to be said has been said.
		return x.abort(violation("challenge after the last message of the mechanism"), f)
	case err != nil:
		return x.abort(clientStep{err: err}, f)
	}
	x.satisfied = done
	if out == nil {
		// RFC 4422 §3.6: what could have come with success came as a challenge; an empty response lets the server go on.
		out = []byte{}
	}
	return clientStep{reply: frame{kind: frameResponse, data: out}}
}

func (x *clientExchange) success(ctx context.Context, f frame) clientStep {
	if f.data != nil {
		if x.satisfied {
			return violation("additional data after the last message of the mechanism")
		}
		out, done, err := x.sasl.Next(ctx, f.data)
		if err != nil {
			return clientStep{err: err}
		}
		if len(out) > 0 {
			return violation("success while the mechanism has more to say")
		}
		x.satisfied = done
	}
	// The server has not proved who it is. RFC 5802 §5: the client MUST consider the exchange unsuccessful.
	if !x.satisfied {
		return violation("%w: success before the mechanism was done", sasl.ErrServerSignature)
	}
	return clientStep{done: true}
}

// abort adds an <abort/> to a failing step when the server waits for a response (RFC 6120 §6.4.4).
func (x *clientExchange) abort(step clientStep, answered frame) clientStep {
	if answered.kind == frameChallenge {
		step.reply = frame{kind: frameAbort}
	}
	return step
}

// violation is a step that fails because of what the server did.
func violation(format string, args ...any) clientStep {
	err := fmt.Errorf("%w: %w", ErrProtocol, fmt.Errorf(format, args...))
	return clientStep{err: &sasl.Error{Condition: sasl.Aborted, Cause: err}}
}
