package auth

import (
	"context"
	"errors"
	"slices"
	"time"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// ErrTokenRefused is wrapped by the error of a client whose token the server has refused (XEP-0484).
// The token is forgotten: whoever connects anew logs in with the password.
//
// That does not happen on the same stream if the token was for a mechanism with channel binding.
// Doing it with channel binding would use the binding of a connection twice, which RFC 9266 §4.1
// forbids (and servers of this library end the stream with the failure); without, it would give whoever
// is in the middle a weaker login for the price of a <failure/>. A token without channel binding leaves
// the binding unused: then the password follows at once, by the rules for the first attempt of a stream
// (XEP-0484 §4.1).
var ErrTokenRefused = errors.New("auth: the server has refused the token")

// canFast reports whether the client may use tokens on this stream, or ask for one.
func (o *ClientOptions) canFast(n *stream.Negotiation) bool {
	switch {
	case o.SASL2.NoTokens || o.Credentials == nil:
		return false
	// A token has no place for another identity.
	case !o.AuthzID.IsZero():
		return false
	}
	// §4.1: MUST provide the JID in the from of the stream, and the id of the user agent.
	who := o.remembered(n)
	return o.UserAgent.ID != "" && !who.IsZero() && n.LocalHeader().From == who
}

// selectFast returns the mechanism for tokens that suits the connection best, of those given, and its
// binding. A connection that can be bound never gets one without (XEP-0484 §6: MUST be preferred), and
// one that is not secure, with a verified certificate, gets none at all: sasl.Select sees to that.
func selectFast(mechs []sasl.Mechanism, offer offer2, p sasl.Policy) (sasl.Mechanism, sasl.Binding, bool) {
	p.Credentials = []sasl.Credential{sasl.FastTokenCredential}
	m, binding, err := sasl.Select(mechs, offer.fast, p)
	if err != nil || !m.ChannelBinding && len(p.Bindings) > 0 {
		return sasl.Mechanism{}, sasl.Binding{}, false
	}
	return m, binding, true
}

// requestToken returns the mechanism to ask for a token for; empty: none.
func (o *ClientOptions) requestToken(n *stream.Negotiation, offer offer2, p sasl.Policy) string {
	if !o.canFast(n) || o.SASL2.InvalidateToken {
		return ""
	}
	// Tokens are not in the way of a floor: one that does not reach it is not used.
	m, _, ok := selectFast(sasl.FastMechanisms(), offer, p)
	if !ok {
		return ""
	}
	return m.Name
}

// tokenAttempt prepares a login with the token, or returns nil if that cannot be.
func (o *ClientOptions) tokenAttempt(n *stream.Negotiation, offer offer2, p sasl.Policy, token FastToken) *login2 {
	if !time.Now().Before(token.Expires) || !o.canFast(n) { // none at all expires in the year 1
		return nil
	}
	// The one mechanism that it is for (XEP-0484 §3.4).
	mechs := slices.DeleteFunc(sasl.FastMechanisms(), func(m sasl.Mechanism) bool { return m.Name != token.Mechanism })
	m, binding, ok := selectFast(mechs, offer, p)
	if !ok {
		return nil
	}
	cfg := o.config(n, offer.fast, p, binding)
	cfg.Token, cfg.GetToken = token.Token, nil
	x, err := o.newExchange(m, cfg)
	if err != nil {
		return nil // the password will do
	}
	return &login2{
		o: o, mechanism: m, x: x, offer: offer, token: token.Token,
		fast: fastRequest{present: true, invalidate: o.SASL2.InvalidateToken},
	}
}

// count counts a use of the token up, and remembers that before the server can know of it: a count is
// never used twice (XEP-0484 §3.4), whatever becomes of the attempt. What cannot be remembered is not
// counted, or the next use would be taken for a replay; only early data needs a count.
func (a *login2) count(ctx context.Context, n *stream.Negotiation) {
	who := a.o.kept(n)
	// Anew: another stream may have saved something meanwhile.
	c, err := a.o.Credentials.Load(ctx, who)
	if err != nil || c.Token.Token != a.token {
		return
	}
	c.Token.Count++
	if a.o.Credentials.Save(ctx, who, c) == nil {
		a.fast.count = c.Token.Count
	}
}

// tokens returns what success makes of the token that is remembered.
func (a *login2) tokens(f frame2) func(*Credentials) {
	secret, expires, ok := parseToken(f.el)
	mechanism := a.fast.request
	if mechanism == "" {
		mechanism = a.mechanism.Name
	}
	// What nobody asked for is nobody's, and who logs out wants no other one (XEP-0484 §3.6).
	wanted := a.fast.request != "" || a.token != "" && !a.fast.invalidate
	return func(c *Credentials) {
		if a.fast.invalidate && c.Token.Token == a.token {
			c.Token = FastToken{}
		}
		if ok && wanted {
			c.Token = FastToken{Mechanism: mechanism, Token: secret, Expires: expires}
		}
	}
}

// forgetToken forgets a token that the server has refused.
func (o *ClientOptions) forgetToken(ctx context.Context, n *stream.Negotiation, token string) {
	o.remember(ctx, n, sasl.AnyStrength, func(c *Credentials) {
		if c.Token.Token == token {
			c.Token = FastToken{}
		}
	})
}
