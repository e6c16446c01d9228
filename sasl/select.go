package sasl

import (
	"fmt"
	"slices"
	"strings"
)

// Policy is what [Select] knows of the connection besides the mechanisms. The zero Policy is a
// connection without security.
type Policy struct {
	// Bindings holds the channel bindings of this connection, most preferred first: tls-exporter,
	// tls-unique, then tls-server-end-point is the order of their strength (XEP-0440). Nil: this
	// client cannot bind the channel.
	Bindings []Binding

	// ServerTypes holds the channel-binding types that the server announced (XEP-0440). Nil: it
	// announced none.
	ServerTypes []string

	// RequireServerTypes refuses -PLUS mechanisms that come without an announcement of types, which
	// XEP-0440 §3 asks of clients that use SASL2 (XEP-0388). Zero: a type is guessed.
	RequireServerTypes bool

	// Secure says that the channel is confidential and the server's identity verified. Zero:
	// mechanisms that reveal the password are not chosen.
	Secure bool
}

// Select picks the mechanism for a client: the first of mechs, which are in order of preference,
// that the server offered and the connection allows. A -PLUS mechanism is allowed when a
// channel-binding type is common to both sides, and then no SCRAM without it is; a mechanism that
// reveals the password only when p.Secure, and then of course only if the caller listed it.
//
// The Binding goes into [ClientConfig], whichever mechanism was chosen, together with offered: it
// is the one to use with a -PLUS mechanism, and otherwise says whether the client could have used
// one (see [ClientConfig]).
//
// Errors are *[Error]: [ErrNoMechanism] with InvalidMechanism, or with EncryptionRequired if a
// secure channel would help, and [ErrDowngrade] when the offer shows that somebody took the
// stronger choices away. Do not continue with a weaker mechanism then. Select is a pure function.
func Select(mechs []Mechanism, offered []string, p Policy) (Mechanism, Binding, error) {
	binding, err := p.agree(mechs, offered)
	if err != nil {
		return Mechanism{}, Binding{}, err
	}
	usable := func(m Mechanism) bool {
		return m.NewClient != nil && slices.Contains(offered, m.Name) && (!m.ChannelBinding || len(binding.Data) > 0)
	}
	bound := slices.ContainsFunc(mechs, func(m Mechanism) bool { return m.ChannelBinding && usable(m) })
	plaintext := false
	for _, m := range mechs {
		switch {
		case !usable(m):
		// RFC 5802 §6: a password is not used over an unbound channel when the channel can be bound, even if
		// mechs lists it the other way round. Mechanisms without a password (EXTERNAL) keep their place.
		case bound && !m.ChannelBinding && (m.Hash != "" || m.Plaintext):
		case m.Plaintext && !p.Secure:
			plaintext = true
		// RFC 5802 §6: a client that can bind MUST use "p" here, and this one was not given the mechanism for
		// it.
		case binding.Type != "" && slices.Contains(offered, m.Name+plusSuffix):
		default:
			return m, binding, nil
		}
	}
	condition := InvalidMechanism
	if plaintext {
		condition = EncryptionRequired
	}
	return Mechanism{}, Binding{}, &Error{Condition: condition, Cause: fmt.Errorf("%w among those offered: %s", ErrNoMechanism, quoteList(offered))}
}

// agree chooses the binding to use with a -PLUS mechanism, by the rules of XEP-0440 §3 and RFC 5802
// §6. Without -PLUS in the offer, the binding only says that this client has one.
func (p Policy) agree(mechs []Mechanism, offered []string) (Binding, error) {
	own := slices.DeleteFunc(slices.Clone(p.Bindings), func(b Binding) bool { return !isBindingName(b.Type) || len(b.Data) == 0 })
	canBind := slices.ContainsFunc(mechs, func(m Mechanism) bool { return m.ChannelBinding && m.NewClient != nil })
	if len(own) == 0 || !canBind {
		// XEP-0440 §3: a client without channel binding sends "n".
		return Binding{}, nil
	}
	plus := offersPlus(offered)
	downgrade := func(what string) error {
		return aborted("", fmt.Errorf("%w: %s", ErrDowngrade, what))
	}
	switch {
	case !plus && len(p.ServerTypes) > 0:
		// XEP-0440 §3: MUST abort with SASL2, SHOULD with SASL1.
		return Binding{}, downgrade("channel-binding types announced, but no mechanism that uses them")
	case !plus:
		// XEP-0440 §3: neither announced: "y", which needs to know that there is a binding.
		return own[0], nil
	case len(p.ServerTypes) == 0 && p.RequireServerTypes:
		// XEP-0440 §3: MUST abort with SASL2.
		return Binding{}, downgrade("mechanisms with channel binding offered, but no types announced")
	case len(p.ServerTypes) == 0:
		return p.guess(own), nil
	}
	for _, b := range own {
		if slices.Contains(p.ServerTypes, b.Type) {
			return b, nil
		}
	}
	// XEP-0440 §3: MUST abort, unless the server announced tls-server-end-point, which each server has. A
	// connection without that type (its certificate may have no hash function for it, RFC 5929 §4.1) but with
	// another one could go on unbound, but whoever edits the list could bring that about: abort here too.
	return Binding{}, downgrade("no announced channel-binding type fits this connection: " + quoteList(p.ServerTypes))
}

// guess chooses a type where the server announced none.
func (p Policy) guess(own []Binding) Binding {
	// RFC 5802 §6.1: the default is tls-unique; RFC 9266 §3: from TLS 1.3 on, where there is none, it is
	// tls-exporter.
	for _, typ := range []string{TLSUnique, TLSExporter} {
		if i := slices.IndexFunc(own, func(b Binding) bool { return b.Type == typ }); i >= 0 {
			return own[i]
		}
	}
	return own[0]
}

// maxListed is how many names an error text lists.
const maxListed = 8

// quoteList quotes names that came from the peer, a few of them.
func quoteList(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	var quoted []string
	for _, n := range names[:min(len(names), maxListed)] {
		quoted = append(quoted, quote(n))
	}
	s := strings.Join(quoted, ", ")
	if more := len(names) - maxListed; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
