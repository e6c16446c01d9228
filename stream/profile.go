package stream

import "fmt"

// State is the set of facts that negotiation has established about a stream.
type State uint8

// The facts. They are reached in this order: RFC 6120 §13.8.3 and §14 (TCP,
// TLS, SASL, resource binding).
const (
	// Secure: TLS protects the connection.
	Secure State = 1 << iota
	// Authenticated: the initiating entity has proved its identity.
	Authenticated
	// Bound: a resource is bound (RFC 6120 §7), or an earlier one resumed.
	Bound
)

// Has reports whether s has every fact of want.
func (s State) Has(want State) bool { return s&want == want }

// String lists the facts.
func (s State) String() string {
	if s == 0 {
		return "none"
	}
	var out string
	for _, f := range []struct {
		bit  State
		name string
	}{{Secure, "secure"}, {Authenticated, "authenticated"}, {Bound, "bound"}} {
		if s&f.bit != 0 {
			if out != "" {
				out += "+"
			}
			out += f.name
		}
	}
	return out
}

// Profile is what kind of stream this is. The zero Profile means [C2S].
type Profile struct {
	// ContentNS is the content namespace (RFC 6120 §4.8.2); empty means
	// [NSClient].
	ContentNS string
	// Goal is the state that negotiation has to reach before stanzas may flow.
	// Zero means all of it: Secure, Authenticated and Bound. A Goal without
	// Secure or without Authenticated is refused with [ErrOptions] unless
	// InsecureGoal is set.
	Goal State
	// InsecureGoal permits any Goal, and then zero means none at all: whoever
	// sends a header may send stanzas. For tests, and for loopback.
	InsecureGoal bool
}

// C2S is the profile of a stream between a client and its server: TLS, SASL
// and resource binding are all mandatory.
func C2S() Profile {
	return Profile{ContentNS: NSClient, Goal: Secure | Authenticated | Bound}
}

// InsecureC2S is C2S without TLS as part of the goal, for load generators and
// conformance tools on loopback. Nothing protects such a stream, and whoever
// is between the two sides can read and change it.
func InsecureC2S() Profile {
	return Profile{ContentNS: NSClient, Goal: Authenticated | Bound, InsecureGoal: true}
}

func (p Profile) withDefaults() (Profile, error) {
	if p.ContentNS == "" {
		p.ContentNS = NSClient
	}
	if p.InsecureGoal {
		return p, nil
	}
	if p.Goal == 0 {
		p.Goal = C2S().Goal
	}
	if !p.Goal.Has(Secure | Authenticated) {
		return Profile{}, fmt.Errorf("%w: a stream that need not be secure and authenticated takes InsecureGoal", ErrOptions)
	}
	return p, nil
}
