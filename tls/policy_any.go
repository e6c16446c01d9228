package tls

import (
	"context"
	"errors"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stream"
)

// Default returns the policy that applies where none is set, for use within
// [AnyOf] and [AllOf]: a certificate is accepted if its [Verdict] is OK. Which
// authorities are trusted, the system's or one's own, is for
// [ClientOptions].RootCAs to say.
func Default() VerifyPolicy {
	return PolicyFunc(func(_ context.Context, p *Presented) error { return verdictError(p) })
}

// AnyOf returns a policy that accepts what at least one of the given ones
// accepts. They are asked in their order, up to the first that accepts; a nil
// one is [Default]. Otherwise the error tells what each of them said, for
// errors.Is and errors.As too. Without policies nothing is accepted.
//
// A refusal by one of them is no veto. [DANE] contains the ordinary rules and
// decides whether they will do, so it replaces Default here rather than stand
// beside it: AnyOf(DANE(resolver), Pin(domain, pin)).
func AnyOf(policies ...VerifyPolicy) VerifyPolicy {
	policies = complete(policies)
	return PolicyFunc(func(ctx context.Context, p *Presented) error {
		var all refusals
		for _, policy := range policies {
			err := policy.VerifyCertificate(ctx, p)
			if err == nil {
				return nil
			}
			all = append(all, err)
		}
		return all.error()
	})
}

// AllOf returns a policy that accepts what all the given ones accept, in their
// order up to the first that refuses; a nil one is [Default]. AllOf(Default(),
// Pin(domain, pin)) demands a pinned key on top of the ordinary rules. Without
// policies nothing is accepted.
func AllOf(policies ...VerifyPolicy) VerifyPolicy {
	policies = complete(policies)
	return PolicyFunc(func(ctx context.Context, p *Presented) error {
		if len(policies) == 0 {
			return errNoPolicy
		}
		for _, policy := range policies {
			if err := policy.VerifyCertificate(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

var errNoPolicy = errors.New("xmpp/tls: no policy that could accept a certificate")

// complete returns a copy in which Default stands for nil.
func complete(policies []VerifyPolicy) []VerifyPolicy {
	out := make([]VerifyPolicy, len(policies))
	for i, p := range policies {
		if out[i] = p; p == nil {
			out[i] = Default()
		}
	}
	return out
}

// refusals are what several policies said.
type refusals []error

func (r refusals) error() error {
	switch len(r) {
	case 0:
		return errNoPolicy
	case 1:
		return r[0]
	}
	return r
}

// Error tells each different text once.
func (r refusals) Error() string {
	texts := make([]string, 0, len(r))
	seen := map[string]bool{}
	for _, err := range r {
		text := err.Error()
		if !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	return strings.Join(texts, "; ")
}

func (r refusals) Unwrap() []error { return r }

// verdictError is what the ordinary rules say: nil if nothing is wrong.
func verdictError(p *Presented) error {
	if p.Err == nil && !p.Verdict.OK() {
		return errors.New("xmpp/tls: certificate for " + quote.ASCII(p.Domain.Domain(), 256) + ": " + p.Verdict.String())
	}
	return p.Err
}

// nothingBut reports whether nothing is wrong with a certificate except what
// forgiven has. A verdict that says nothing about the authority is on something
// that was not, or could not be, looked at.
func nothingBut(v, forgiven Verdict) bool {
	return v&(stream.Anchored|stream.UnknownAuthority|stream.SelfSigned) != 0 && v&^(stream.Anchored|forgiven) == 0
}
