package sasl

import (
	"fmt"
	"slices"
	"strings"
)

// Policy is what [Select] knows of the client and the connection besides the mechanisms. The zero
// Policy is a client with a password on a connection without security.
type Policy struct {
	// Bindings holds the channel bindings of this connection, most preferred first; tls-exporter before
	// tls-unique is the order of their strength, and tls-server-end-point comes last wherever it stands
	// (XEP-0440 §3, rule 7). Nil: this client cannot bind the channel.
	Bindings []Binding

	// ServerTypes holds the channel-binding types that the server announced (XEP-0440). Nil: it
	// announced none.
	ServerTypes []string

	// RequireServerTypes refuses -PLUS mechanisms that come without an announcement of types, which
	// XEP-0440 §3 asks of clients that use SASL2 (XEP-0388). Zero: a type is guessed.
	RequireServerTypes bool

	// Secure says that the channel is confidential and the server's identity verified. Zero:
	// mechanisms that reveal the password are not chosen, nor those with tokens of the server's own.
	Secure bool

	// Credentials holds the kinds of credentials that the client has at hand for this connection:
	// CertificateCredential if TLS was set up with a certificate, TokenCredential if it has a bearer
	// token, PasswordCredential if it has a password or keys derived from one. NoCredential stands for
	// being content to be anonymous. Mechanisms that need another kind are not chosen. Nil:
	// PasswordCredential alone.
	Credentials []Credential

	// Floor is the weakest mechanism to be content with; it is the client's memory of earlier logins
	// (see [Mechanism.Pin]). Zero: there is none.
	Floor Strength
}

// Select picks the mechanism for a client: the first of mechs, which are in order of preference,
// that the server offered, that the client has the credentials for and that the connection allows. A
// good order is External, if the client has a certificate, before [Default], before OAuthBearer,
// before [Plain].
//
// A -PLUS mechanism is allowed when a channel-binding type is common to both sides, and then no
// mechanism that uses the password without binding is; one that reveals the secret only when
// p.Secure, and then of course only if the caller listed it. Mechanisms whose name fixes the type
// (HT) are allowed when the connection has that type; the lists of FAST (XEP-0484) are selected from
// in the same way.
//
// The Binding goes into [ClientConfig], whichever mechanism was chosen, together with offered and
// p.ServerTypes: it is the one to use with a -PLUS mechanism, and otherwise says whether the client
// could have used one (see [ClientConfig]).
//
// Errors are *[Error]: [ErrNoMechanism] with InvalidMechanism, or with EncryptionRequired if a
// secure channel would help, and [ErrDowngrade] when the offer shows that somebody took the
// stronger choices away, or when nothing in it reaches p.Floor. Do not continue with a weaker
// mechanism then. Select is a pure function.
func Select(mechs []Mechanism, offered []string, p Policy) (Mechanism, Binding, error) {
	mechs = slices.DeleteFunc(slices.Clone(mechs), func(m Mechanism) bool { return m.NewClient == nil || !p.has(m.Credential) })
	binding, unproved, err := p.agree(mechs, offered)
	if err != nil {
		return Mechanism{}, Binding{}, err
	}
	usable := func(m Mechanism) bool {
		switch {
		case !slices.Contains(offered, m.Name):
			return false
		case m.BindingType != "":
			return len(p.own(m.BindingType).Data) > 0
		case m.ChannelBinding:
			return len(binding.Data) > 0 && unproved == nil
		}
		return true
	}
	bound := slices.ContainsFunc(mechs, func(m Mechanism) bool { return m.ChannelBinding && m.BindingType == "" && usable(m) })
	plaintext, weak := false, false
	for _, m := range mechs {
		switch {
		case !usable(m):
		// XEP-0474 §7: a client that did use SCRAM or EXTERNAL once MUST NOT fall back to PLAIN.
		case m.Strength() < p.Floor:
			weak = true
		// RFC 5802 §6: a password is not used over an unbound channel when the channel can be bound, even if
		// mechs lists it the other way round. Mechanisms without a password (EXTERNAL) keep their place.
		case bound && m.unboundPassword():
		// XEP-0474 §7, rule 6: the offer is in doubt until a SCRAM server proves it. Nobody learns a secret
		// before.
		case unproved != nil && (m.Plaintext || m.unboundPassword() && !m.isScram()):
		// draft-schmaus-kitten-sasl-ht-09 §1.2, XEP-0484 §6: HT MUST be used over channels protected by TLS.
		case !p.Secure && (m.Plaintext || m.Credential == FastTokenCredential):
			plaintext = true
		// RFC 5802 §6: a client that can bind MUST use "p" here, and this one was not given the mechanism for
		// it.
		case unproved == nil && binding.Type != "" && slices.Contains(offered, m.Name+plusSuffix):
		case m.BindingType != "":
			return m, p.own(m.BindingType), nil
		default:
			return m, binding, nil
		}
	}
	switch {
	case weak:
		return Mechanism{}, Binding{}, downgraded(fmt.Sprintf("the account has used stronger mechanisms (%s) than those offered: %s", p.Floor, quoteList(offered)))
	case unproved != nil:
		return Mechanism{}, Binding{}, unproved
	}
	condition := InvalidMechanism
	if plaintext {
		condition = EncryptionRequired
	}
	return Mechanism{}, Binding{}, &Error{Condition: condition, Cause: fmt.Errorf("%w among those offered: %s", ErrNoMechanism, quoteList(offered))}
}

// has reports whether the client has a credential of the kind.
func (p Policy) has(c Credential) bool {
	if p.Credentials == nil {
		return c == PasswordCredential
	}
	return slices.Contains(p.Credentials, c)
}

// own returns the binding of a type, and none if the connection does not have it.
func (p Policy) own(typ string) Binding {
	i := slices.IndexFunc(p.Bindings, func(b Binding) bool { return b.Type == typ })
	if i < 0 {
		return Binding{}
	}
	return p.Bindings[i]
}

// unboundPassword reports whether the mechanism shows something of the password to whoever is at the
// other end of the channel.
func (m Mechanism) unboundPassword() bool {
	return !m.ChannelBinding && m.Credential == PasswordCredential && (m.Hash != "" || m.Plaintext)
}

// isScram reports whether the mechanism is of the family that XEP-0474 is for.
func (m Mechanism) isScram() bool { return strings.HasPrefix(m.Name, scramPrefix) }

// agree chooses the binding to use with a -PLUS mechanism, by the rules of XEP-0440 §3 and RFC 5802
// §6. Without -PLUS in the offer, the binding only says that this client has one. If unproved is not
// nil, no -PLUS mechanism can be used, and unproved is the error unless the server proves its offer.
func (p Policy) agree(mechs []Mechanism, offered []string) (_ Binding, unproved, _ error) {
	own := slices.DeleteFunc(slices.Clone(p.Bindings), func(b Binding) bool { return !isBindingName(b.Type) || len(b.Data) == 0 })
	// XEP-0440 §3, rules 1 and 7: tls-server-end-point if there is nothing stronger.
	slices.SortStableFunc(own, func(a, b Binding) int { return endPointLast(a) - endPointLast(b) })
	canBind := slices.ContainsFunc(mechs, func(m Mechanism) bool { return m.ChannelBinding })
	if len(own) == 0 || !canBind {
		// XEP-0440 §3, rule 2: a client without channel binding sends "n".
		return Binding{}, nil, nil
	}
	plus := offersPlus(offered)
	switch {
	case !plus && len(p.ServerTypes) > 0 && !slices.ContainsFunc(offered, isBoundHT):
		// XEP-0440 §3, rule 5: MUST abort with SASL2, SHOULD with SASL1.
		return Binding{}, nil, downgraded("channel-binding types announced, but no mechanism that uses them")
	case !plus:
		// XEP-0440 §3, rule 3: neither announced: "y", which needs to know that there is a binding.
		return own[0], nil, nil
	case len(p.ServerTypes) == 0 && p.RequireServerTypes:
		// XEP-0440 §3, rule 4: MUST abort with SASL2.
		return Binding{}, nil, downgraded("mechanisms with channel binding offered, but no types announced")
	case len(p.ServerTypes) == 0:
		// XEP-0440 §3, rule 4: undefined with SASL1, the client MAY try one.
		return p.guess(own), nil, nil
	}
	for _, b := range own {
		if slices.Contains(p.ServerTypes, b.Type) {
			return b, nil, nil
		}
	}
	// XEP-0440 §3, rule 6: MUST abort, unless the server announced tls-server-end-point, which each server
	// has. A connection without that type (its certificate may have no hash function for it, RFC 5929 §4.1)
	// but with another one could go on unbound, but whoever edits the list could bring that about. XEP-0474
	// §7 replaces the rule: go on without binding if the server proves the list, whatever is in it.
	return own[0], downgraded("no announced channel-binding type fits this connection: " + quoteList(p.ServerTypes)), nil
}

// endPointLast is the sort key of a binding.
func endPointLast(b Binding) int {
	if b.Type == TLSServerEndPoint {
		return 1
	}
	return 0
}

// downgraded is the error for an offer that somebody seems to have edited.
func downgraded(what string) error {
	return aborted("", fmt.Errorf("%w: %s", ErrDowngrade, what))
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
